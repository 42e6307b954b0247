"""The table `informativeness`: what each test can tell, before any row is trained."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from ml.dataset.ground_truth import Dataset, Truth, load_truth
from ml.dataset.open import load_dataset
from ml.dataset.tag_list import FacetTags
from ml.evaluation.ceiling import best_constant, probe, probe_ceiling
from ml.evaluation.image_scores import score_images
from ml.evaluation.rankings import ProviderFrequencies, prior_scores, provider_frequencies
from ml.evaluation.tells import CANNOT_TELL, TELLS, WEAK, Figures, Word, sentence, word_of
from ml.evaluation.units import providers_of
from pipeline import EVALUATED_SPLITS
from pipeline.facets import FACET_OF, MEAN_FACETS
from pipeline.settings import EvaluationSettings
from pipeline.splits.order import seeded_order
from pipeline.splits.provider_features import chosen_extractor, extractors_of, feature_matrix
from pipeline.tables import INFORMATIVENESS

DIGITS = 4  # of the probes: the last bits of a linear algebra differ between machines
FILE = "informativeness.parquet"
SHOWN = ("support", "constant", "prior", "provider_alone", "probe", "ceiling")


@dataclass(frozen=True)
class Informativeness:
    """What the tests of one split can tell: by facet, and for `mean`, the mean over the facets that can."""

    figures: Mapping[str, Figures]
    settings: EvaluationSettings

    def word(self, facet: str) -> Word:
        """The word for a facet. A mean tells where every facet does that it counts, and cannot where none can."""
        members = self.averaged if facet == "mean" else [facet]
        words = {word_of(self.figures[member], self.settings) for member in members}
        if words <= {CANNOT_TELL}:
            return CANNOT_TELL
        return TELLS if words == {TELLS} else WEAK

    def missing(self, facet: str) -> str:
        """What the test of a facet lacks, as sentences; of the mean, what each facet that it counts lacks."""
        if facet != "mean":
            return sentence(self.figures[facet], self.settings)
        lacking = {member: sentence(self.figures[member], self.settings) for member in self.averaged}
        return " ".join(f"{FACET_OF[member].title}: {text}" for member, text in lacking.items() if text)

    @property
    def averaged(self) -> list[str]:
        """The facets that means count: those that can tell something, or all where none can."""
        return averaged([figure for facet, figure in self.figures.items() if facet != "mean"], self.settings)

    def rows(self, run: str) -> list[dict[str, object]]:
        """Rows of the table `informativeness`."""
        return [
            {"run": run, **asdict(figures), "tells": self.word(facet), "missing": self.missing(facet)}
            for facet, figures in self.figures.items()
        ]

    def beside(self, facet: str) -> dict[str, float | None]:
        """The figures that stand beside every figure of a facet in `results`."""
        known = asdict(self.figures[facet])
        return {name: known[name] for name in SHOWN}


def averaged(figures: Sequence[Figures], settings: EvaluationSettings) -> list[str]:
    """The facets that a mean counts: of those that means count at all, the ones that can tell, or all if none can.

    A facet is left out only where the pictures are known: where probes have measured what they give, or where the facet
    has no image for them. A dataset without features has the paper's mean, over all facets.
    """
    counted = [figure for figure in figures if figure.facet in MEAN_FACETS]
    described = any(figure.pictures is not None for figure in counted)
    telling = [
        figure.facet
        for figure in counted
        if word_of(figure, settings) != CANNOT_TELL or (figure.pictures is None and (figure.images or not described))
    ]
    return telling or [figure.facet for figure in counted]


def informativeness_rows(
    dataset: Path, features: Path | None, settings: EvaluationSettings, extractor: str | None = None
) -> pl.DataFrame:
    """INFORMATIVENESS of the evaluated splits of a dataset folder.

    `features` is the folder of the table `features`, from which the probes are trained; `extractor` the one to use if
    it is there, else the first by name.
    """
    loaded = load_dataset(dataset)
    described = None
    if features is not None:
        described = Features(features, chosen_extractor(extractors_of(features), extractor), loaded, settings)
    rows = []
    for split in EVALUATED_SPLITS:
        rows += measure(loaded, load_truth(loaded, split), settings, described).rows(loaded.run)
    return INFORMATIVENESS.frame(rows).sort(INFORMATIVENESS.key)


class Features:
    """The features of a dataset's images by one extractor, and the training images of the probe."""

    def __init__(self, folder: Path, extractor: str, dataset: Dataset, settings: EvaluationSettings) -> None:
        self.folder, self.extractor = folder, extractor
        truth = load_truth(dataset, "train")
        order = seeded_order(settings.seed, truth.images["image_id"]).argsort(kind="stable")
        self.train = np.sort(order[: settings.probe_images])
        self.relevance = {facet: relevance.of(self.train) for facet, relevance in truth.relevance.items()}
        self.train_vectors = self.of(truth.images["image_id"][self.train])

    def of(self, image_ids: pl.Series) -> np.ndarray:
        """The vectors of these images, (n, d)."""
        return feature_matrix(self.folder, self.extractor, image_ids)


def measure(
    dataset: Dataset, truth: Truth, settings: EvaluationSettings, features: Features | None = None
) -> Informativeness:
    """What one split can tell. Without features nothing is known of what pictures give."""
    frequencies = provider_frequencies(dataset)
    vectors = None if features is None else features.of(truth.images["image_id"])
    figures = {}
    for facet, tags in dataset.facets.items():
        figures[facet] = _without_pictures(truth, tags, frequencies)
        if features is not None and vectors is not None and figures[facet].images:
            relevance = truth.relevance[facet]
            probed = probe(vectors, relevance, features.train_vectors, features.relevance[facet], len(tags))
            ceiling = probe_ceiling(vectors, relevance, len(tags), truth.groups, settings)
            figures[facet] = replace(figures[facet], probe=_rounded(probed), ceiling=_rounded(ceiling))
    return _with_mean(truth, figures, settings)


def _rounded(value: float) -> float | None:
    return None if np.isnan(value) else round(value, DIGITS)


def _without_pictures(truth: Truth, tags: FacetTags, frequencies: ProviderFrequencies | None) -> Figures:
    """The figures of a facet that need no pictures."""
    relevance = truth.relevance[tags.facet]
    known = np.diff(relevance.starts) > 0
    groups, providers = (len(np.unique(units[known])) for units in (truth.groups, providers_of(truth)))
    size = {"images": int(known.sum()), "groups": groups, "providers": providers}
    support = _share(len(relevance.tags), int(relevance.unseen.sum()))
    if not known.any():
        return Figures(truth.name, tags.facet, **size, support=support)
    prior = np.tile(prior_scores(tags), (len(relevance), 1))
    means: dict[str, Any] = {"constant": best_constant(relevance, len(tags))}
    means["prior"] = _r_precision(prior, truth, tags)
    if frequencies is not None:
        names = truth.images["data_provider"].fill_null("").to_numpy()
        means["provider_alone"] = _r_precision(frequencies.scores(tags, names), truth, tags)
    return replace(Figures(truth.name, tags.facet, **size, support=support), **means)


def _share(known: int, unseen: int) -> float | None:
    return known / (known + unseen) if known + unseen else None


def _r_precision(scores: np.ndarray, truth: Truth, tags: FacetTags) -> float:
    return float(np.nanmean(score_images(scores, truth.relevance[tags.facet], further=False).column("r_precision")))


def _with_mean(truth: Truth, figures: dict[str, Figures], settings: EvaluationSettings) -> Informativeness:
    """Adds the mean: unweighted means of the figures, the support of all its pairs, and the fewest units of a facet."""
    counted = averaged(list(figures.values()), settings)
    relevance = [truth.relevance[facet] for facet in counted]
    support = _share(sum(len(r.tags) for r in relevance), sum(int(r.unseen.sum()) for r in relevance))
    known = [figures[facet] for facet in counted if figures[facet].images]
    means: dict[str, Any] = {}
    for name in SHOWN[1:]:
        values = [getattr(figure, name) for figure in known]
        means[name] = float(np.mean(values)) if values and None not in values else None
    sizes = {name: min((getattr(f, name) for f in known), default=0) for name in ("images", "groups", "providers")}
    mean = replace(Figures(truth.name, "mean", **sizes, support=support), **means)
    return Informativeness({**figures, "mean": mean}, settings)


def load_informativeness(dataset: Dataset, truth: Truth, settings: EvaluationSettings) -> Informativeness:
    """What a split can tell, with the probes from the file `informativeness.parquet` in the folder or beside it.

    A file of another run does not count, and without one nothing is known of what pictures give. The words follow from
    the given settings.
    """
    for file in (dataset.folder / FILE, dataset.folder.parent / FILE):
        if file.is_file() and (told := of_split(INFORMATIVENESS.read(file), dataset, truth, settings)) is not None:
            return told
    return measure(dataset, truth, settings)


def of_split(
    table: pl.DataFrame, dataset: Dataset, truth: Truth, settings: EvaluationSettings
) -> Informativeness | None:
    """The rows of INFORMATIVENESS for a split of this dataset; None where the table belongs to another one."""
    rows = table.filter(run=dataset.run, split=truth.name).drop("run", "tells", "missing").to_dicts()
    figures = {row["facet"]: Figures(**row) for row in rows}
    if not set(dataset.facets) <= set(figures):
        return None
    return _with_mean(truth, {facet: figures[facet] for facet in dataset.facets}, settings)
