"""`python -m tests.ml.evaluation.coverage`: how often intervals over providers hold the truth, in simulated tests."""

import sys

import numpy as np
from scipy import stats

from ml.evaluation.intervals import interval, jackknife_interval, leave_one_out

PROVIDERS = (3, 4, 6, 12, 30, 358)
SPREADS = (0.0, 0.5, 1.0, 1.5)  # of the logarithm of the providers' sizes
# The mean and the standard deviation of the providers' own means, which have a beta distribution.
MEANS = {
    "symmetric": (0.5, 0.2),
    "skewed": (0.2, 0.15),
    "larger is better": (0.5, 0.2),
    "rare": (0.08, 0.08),
    "all or nothing": (0.5, 0.4),
}
SEED = 19


def providers(n: int, spread: float, kind: str, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Images of n providers, and how many of them are right."""
    images = np.maximum(5, np.round(30 * np.exp(spread * generator.standard_normal(n)))).astype(int)
    centre, deviation = MEANS[kind]
    weight = centre * (1 - centre) / deviation**2 - 1
    chance = generator.beta(centre * weight, (1 - centre) * weight, n)
    if kind == "larger is better":
        chance = np.clip(chance + 0.1 * np.tanh(np.log(images / 30)), 0, 1)
    return images.astype(float), generator.binomial(images, chance).astype(float)


def held(n: int, spread: float, kind: str, simulations: int, seed: int = SEED, bootstrap: bool = False) -> float:
    """The share of simulated tests of n providers whose 95 % interval holds the truth."""
    generator = np.random.default_rng([seed, n, int(10 * spread), list(MEANS).index(kind), bootstrap])
    images, right = providers(1_000_000, spread, kind, generator)
    truth, inside = right.sum() / images.sum(), 0
    for _ in range(simulations):
        images, right = providers(n, spread, kind, generator)
        value = right.sum() / images.sum()
        if bootstrap:
            drawn = generator.multinomial(n, np.full(n, 1 / n), 1_000)
            low, high = (float(end[0]) for end in interval((drawn @ right) / (drawn @ images), n, 0.95))
        else:
            without = leave_one_out(right[:, None])[:, 0] / leave_one_out(images[:, None])[:, 0]
            low, high = jackknife_interval(value, without, images / images.sum(), 0.95)
        inside += low <= truth <= high
    return inside / simulations


def main() -> None:
    """Print the table of docs/experiments/intervals-over-providers.md; an argument sets the number of simulations."""
    simulations = int(sys.argv[1]) if len(sys.argv) > 1 else 4_000
    error = float(stats.norm.ppf(0.975) * np.sqrt(0.95 * 0.05 / simulations))
    print(f"{simulations} simulations a cell, ±{error:.1%}\n")
    print("| providers | means | " + " | ".join(f"spread {spread:g}" for spread in SPREADS) + " |")
    print("|---|---|" + "---|" * len(SPREADS))
    for bootstrap in (False, True):
        for n in PROVIDERS:
            for kind in MEANS:
                cells = [
                    held(n, spread, kind, simulations // (4 if bootstrap else 1), bootstrap=bootstrap)
                    for spread in SPREADS
                ]
                name = f"{n}{', percentile bootstrap' if bootstrap else ''}"
                print(f"| {name} | {kind} | " + " | ".join(f"{100 * cell:.1f}" for cell in cells) + " |", flush=True)


if __name__ == "__main__":
    main()
