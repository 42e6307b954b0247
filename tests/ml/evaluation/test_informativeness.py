"""What a test can tell is counted as by hand, stands beside every figure, and decides intervals, means and words."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from ml.dataset.ground_truth import load_truth
from ml.dataset.open import load_dataset
from ml.evaluation.controls import TRAINED, control_rows, counted
from ml.evaluation.evaluate import evaluate
from ml.evaluation.exchanged import exchanged
from ml.evaluation.informativeness import Informativeness, averaged, informativeness_rows, load_informativeness, measure
from ml.evaluation.intervals import jackknife_interval, leave_one_out, unit_weights
from ml.evaluation.rankings import provider_frequencies
from ml.evaluation.tells import Figures
from ml.evaluation.verdicts import standings
from pipeline import FACETS
from pipeline.settings import EvaluationSettings
from pipeline.splits.provider_features import feature_matrix
from pipeline.tables import COMPARISONS, INFORMATIVENESS, RESULTS, features_table
from tests.ml.evaluation.coverage import held
from tests.ml.scored import FAST


def r_precision(scores: dict[str, float], right: list[str]) -> float:
    """The expected share of right tags among the R best, ties in random order."""
    known = [tag for tag in right if tag in scores]
    total = 0.0
    for tag in known:
        larger = sum(score > scores[tag] for score in scores.values())
        equal = sum(score == scores[tag] for score in scores.values())
        total += min(1, max(0, (len(known) - larger) / equal))
    return total / len(known)


@pytest.mark.parametrize("split", ["inner_test", "outer_test"])
def test_support_prior_and_the_museums_name_equal_a_slow_count(dataset: Path, split: str):
    loaded = load_dataset(dataset)
    told = measure(loaded, load_truth(loaded, split), FAST)
    train, test = (pl.read_parquet(dataset / name / "part-00000.parquet") for name in ("train", split))
    for facet, tags in loaded.facets.items():
        frequency = dict(zip(tags.tag_ids, tags.n_train, strict=True))
        prior, alone, known, pairs = [], [], 0, 0
        for row in test.iter_rows(named=True):
            pairs += len(row[facet])
            seen = [tag for tag in row[facet] if tag in frequency]
            known += len(seen)
            if not seen:
                continue
            own = train.filter(data_provider=row["data_provider"])
            counts = {tag: sum(tag in held for held in own[facet]) for tag in frequency}
            shares = {t: (counts[t] + frequency[t] / train.height) / (own.height + 1) for t in frequency}
            shares = {t: float(np.float32(share)) for t, share in shares.items()}
            prior.append(r_precision(frequency, seen))
            alone.append(r_precision(shares, seen))
        found = told.figures[facet]
        assert (found.images, found.support) == (len(prior), pytest.approx(known / pairs))
        assert found.prior == pytest.approx(np.mean(prior))
        assert found.provider_alone == pytest.approx(np.mean(alone))
        assert found.constant >= found.prior - 1e-12


def test_a_museum_that_was_not_in_training_has_the_label_prior(dataset: Path):
    loaded = load_dataset(dataset)
    frequencies = provider_frequencies(loaded)
    for tags in loaded.facets.values():
        scores = frequencies.scores(tags, np.array(["A museum of nowhere"]))[0]
        assert (np.argsort(-scores, kind="stable") == np.argsort(-np.array(tags.n_train), kind="stable")).all()


def test_what_a_test_can_tell_stands_beside_every_figure(report: Path):
    results, told = RESULTS.read(report / "results.parquet"), INFORMATIVENESS.read(report / "informativeness.parquet")
    names = ["support", "constant", "prior", "provider_alone", "probe", "ceiling", "tells"]
    joined = results.join(told, on=["run", "split", "facet"], suffix="_told")
    assert joined.height == results.height
    for name in names[:-1]:
        assert np.allclose(joined[name].to_numpy(), joined[f"{name}_told"].to_numpy(), rtol=1e-5, equal_nan=True)
    assert joined["tells"].to_list() == joined["tells_told"].to_list()
    prior = results.filter(baseline="label_prior", metric="r_precision", policy="ignore_unseen").drop_nulls("value")
    assert np.allclose(prior["value"], prior["prior"], rtol=1e-5)


def test_without_features_nothing_is_known_of_pictures_and_no_test_tells(dataset: Path, storage: Path):
    bare = informativeness_rows(dataset, None, FAST)
    assert bare["ceiling"].null_count() == bare["probe"].null_count() == bare.height
    assert "tells" not in bare["tells"].to_list()
    full = informativeness_rows(dataset, storage / "features", FAST)
    assert full.filter(split="inner_test", facet="mean")["tells"].to_list() == ["tells"]


def test_a_file_of_another_run_does_not_count(dataset: Path, storage: Path, tmp_path: Path):
    loaded = load_dataset(dataset)
    truth = load_truth(loaded, "inner_test")
    (tmp_path / "dataset").symlink_to(dataset)
    moved = replace(loaded, folder=tmp_path / "dataset")
    table = INFORMATIVENESS.read(storage / "informativeness.parquet")
    INFORMATIVENESS.write(table, tmp_path / "informativeness.parquet")
    assert load_informativeness(moved, truth, FAST).figures["materials"].ceiling is not None
    INFORMATIVENESS.write(table.with_columns(run=pl.lit("other")), tmp_path / "informativeness.parquet")
    assert load_informativeness(moved, truth, FAST).figures["materials"].ceiling is None


def test_a_mean_counts_what_can_tell_and_everything_where_nothing_can():
    good = {"images": 300, "groups": 290, "providers": 8, "support": 0.9, "constant": 0.4, "ceiling": 0.6}
    told = [Figures("outer_test", facet, **good) for facet in FACETS]
    blind = [replace(figure, constant=0.6) for figure in told]
    assert averaged(told, EvaluationSettings()) == list(FACETS)
    assert averaged([told[0], *blind[1:]], EvaluationSettings()) == [FACETS[0]]
    assert averaged(blind, EvaluationSettings()) == list(FACETS)


def test_a_facet_without_images_is_in_no_mean_beside_facets_that_tell():
    good = {"images": 300, "groups": 290, "providers": 8, "support": 0.9, "constant": 0.4, "ceiling": 0.6}
    told = {facet: Figures("outer_test", facet, **good) for facet in FACETS}
    told[FACETS[-1]] = Figures("outer_test", FACETS[-1], 0, 0, 0, support=0.0)
    settings = EvaluationSettings()
    assert averaged(list(told.values()), settings) == list(FACETS[:-1])
    assert Informativeness(told, settings).word("mean") == "tells"
    assert Informativeness(told, settings).missing("mean") == ""
    unknown = {facet: replace(figure, ceiling=None) for facet, figure in told.items()}
    assert averaged(list(unknown.values()), settings) == list(FACETS)  # without features the paper's mean


def test_with_too_few_providers_the_outer_test_has_no_interval(dataset: Path, predictions: Path):
    rows = RESULTS.frame(evaluate(predictions, dataset, settings=EvaluationSettings(resamples=50, least_groups=2)))
    outer = rows.filter(split="outer_test")
    assert outer["low"].null_count() == outer["high"].null_count() == outer.height
    assert outer["units"].max() < 6
    assert rows.filter(split="inner_test", facet="object_types")["low"].null_count() < 10


def test_the_jackknife_equals_a_slow_one():
    generator = np.random.default_rng(4)
    counts = generator.integers(1, 50, 9).astype(float)
    sums = counts * generator.random(9)
    value = sums.sum() / counts.sum()
    without = [np.delete(sums, unit).sum() / np.delete(counts, unit).sum() for unit in range(9)]
    error = np.sqrt(8 / 9 * sum((figure - value) ** 2 for figure in without))
    fast = leave_one_out(sums[:, None])[:, 0] / leave_one_out(counts[:, None])[:, 0]
    np.testing.assert_allclose(fast, without)
    weights = unit_weights(counts[:, None])
    low, high = jackknife_interval(value, fast, weights, 0.95)
    kish = counts.sum() ** 2 / (counts**2).sum()
    # The t quantile, by searching its distribution function, integrated numerically.
    grid = np.linspace(0, 60, 600_001)
    density = (1 + grid**2 / (kish - 1)) ** (-kish / 2)
    mass = np.concatenate([[0], np.cumsum((density[1:] + density[:-1]) / 2)])
    quantile = grid[np.searchsorted(mass, 0.95 * mass[-1])]
    # The skewness of the units, from sums over them; these have their long tail below.
    influence = [value - figure for figure in without]
    mean = sum(influence) / 9
    third, second = (sum((each - mean) ** power for each in influence) for power in (3, 2))
    further = error * third / second**1.5 * (1 + 2 * 1.959964**2) / 6
    assert further < -0.01
    assert high - value == pytest.approx(quantile * error, rel=2e-3)
    assert value - low == pytest.approx(quantile * error - further, rel=2e-3)


def test_equal_providers_have_a_t_interval_and_one_has_none():
    low, high = jackknife_interval(0.5, np.array([0.4, 0.6, 0.5]), np.full(3, 1 / 3), 0.95)
    assert high - low == pytest.approx(2 * 4.302653 * np.sqrt(2 / 3 * 0.02), rel=1e-6)
    assert np.isnan(jackknife_interval(0.5, np.array([np.nan]), np.ones(1), 0.95)).all()


@pytest.mark.parametrize("n", [6, 30])
def test_intervals_over_providers_hold_the_truth_in_a_short_simulation(n):
    assert 0.92 <= held(n, 1.0, "symmetric", 1_000) <= 0.98


def test_they_hold_it_where_most_providers_are_near_nothing_and_few_are_not():
    """Without the longer end on the side of the long tail, 91 % do."""
    assert held(12, 0.0, "rare", 2_000) >= 0.925


def test_the_longer_end_is_on_the_side_of_the_long_tail():
    without = 0.5 - np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.06])
    low, high = jackknife_interval(0.5, without, np.full(6, 1 / 6), 0.95)
    assert high - 0.5 > 1.3 * (0.5 - low)
    low_, high_ = jackknife_interval(-0.5, -without, np.full(6, 1 / 6), 0.95)
    assert (low_, high_) == pytest.approx((-high, -low))


@pytest.mark.long
@pytest.mark.parametrize("spread", [0.0, 0.5, 1.0, 1.5])
@pytest.mark.parametrize("kind", ["symmetric", "skewed", "larger is better"])
@pytest.mark.parametrize("n", [6, 12, 30, 358])
def test_intervals_over_providers_hold_the_truth_93_to_97_times_in_a_hundred(n, kind, spread):
    noise = 2.6 * np.sqrt(0.95 * 0.05 / 4_000)  # of the simulation itself
    assert 0.93 - noise <= held(n, spread, kind, 4_000) <= 0.97 + noise


@pytest.mark.parametrize("split", ["inner_test", "outer_test"])
def test_exchanged_pictures_keep_the_museum_inside_and_the_test_outside(dataset: Path, split: str):
    loaded = load_dataset(dataset)
    truth = load_truth(loaded, split)
    other = exchanged(truth, 1)
    for facet in loaded.facets:
        before, after = truth.relevance[facet], other.relevance[facet]
        known = np.diff(before.starts) > 0
        assert ((np.diff(after.starts) > 0) == known).all()

        def of(relevance, image):
            return tuple(relevance.tags[relevance.starts[image] : relevance.starts[image + 1]])

        providers = np.array(truth.providers) if split == "inner_test" else np.zeros(len(known))
        for provider in set(providers):
            images = np.flatnonzero(known & (providers == provider))
            assert sorted(of(before, image) for image in images) == sorted(of(after, image) for image in images)
    assert any((other.relevance[f].tags != truth.relevance[f].tags).any() for f in loaded.facets)


def test_rows_that_see_get_a_verdict_and_controls_get_none(storage: Path, report: Path):
    found = standings(COMPARISONS.read(report / "comparisons.parquet"))
    assert found["softmax", "inner_test"].verdict == "better"
    assert found["clip_zero_shot", "inner_test"].verdict != "better"
    rows = control_rows(storage / "dataset", storage / "features", FAST)
    table = {row["control"]: row for row in counted(rows).iter_rows(named=True)}
    assert set(table) == {"untrained", "shuffled_labels", "shuffled_pictures", "provider_alone", TRAINED}
    assert table[TRAINED]["better"] > 0
    assert [name for name, row in table.items() if row["better"] and name != TRAINED] == []


def test_features_are_read_from_files_that_hold_none_of_the_wanted_images(tmp_path: Path):
    table = features_table(2)
    for part, name in enumerate("ab"):
        rows = [{"image_id": name, "extractor": "x", "vector": [float(part), 1.0]}]
        table.write(table.frame(rows), tmp_path / f"part-0000{part}.parquet")
    assert feature_matrix(tmp_path, "x", pl.Series(["b"])).tolist() == [[1.0, 1.0]]
