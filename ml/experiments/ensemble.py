"""Ensembles: the mean of several rows' scores, on one scale that is fixed on validation."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ml.baselines import Ensemble
from ml.dataset.prediction_files import Scores, read_predictions
from ml.experiments.fit import Job, Splits, keep_scores
from ml.models.calibration import Scale, fit_scale
from ml.training import checkpoints
from ml.training.device import Device
from ml.training.progress import Progress
from pipeline import EVALUATED_SPLITS
from pipeline.files import write_json

SUMMED = ("parameters_m", "gflop_per_image", "ms_per_image", "training_s")  # costs of the members, added up


def combine(members: Sequence[Scores], scales: Sequence[Mapping[str, Scale]], facets: Sequence[str]) -> Scores:
    """Log of the mean probability of each tag over the members that score the facet."""
    combined: Scores = {}
    for facet in facets:
        logits = [
            scale[facet].logit(scores[facet]) for scores, scale in zip(members, scales, strict=True) if facet in scores
        ]
        log_probabilities = np.stack([-np.logaddexp(0.0, -logit) for logit in logits])
        mean = np.logaddexp.reduce(log_probabilities, axis=0) - np.log(len(logits))
        combined[facet] = mean.astype(np.float32)
    return combined


def make_ensemble(row: Ensemble, job: Job, splits: Splits, device: Device, _: Progress) -> dict[str, Any]:
    """Fit the scale of each member on validation, then average the members' scores on every evaluated split."""
    began, tag_list = time.perf_counter(), splits.tag_list
    folders = [job.predictions / member for member in row.members]
    validation = splits.get("validation")
    scales = [
        {facet: fit_scale(matrix, validation.relevant(facet, matrix.shape[1])) for facet, matrix in scores.items()}
        for scores in (read_predictions(folder, validation, tag_list) for folder in folders)
    ]
    metrics = {}
    for name in EVALUATED_SPLITS:
        split = splits.get(name)
        members = [read_predictions(folder, split, tag_list) for folder in folders]
        metrics[name] = keep_scores(job, combine(members, scales, list(tag_list.facets)), split, tag_list, device)
    costs = [checkpoints.read_description(job.models / member)["cost"] for member in row.members]
    cost = {name: sum(each[name] or 0.0 for each in costs) for name in SUMMED}
    cost["training_s"] += time.perf_counter() - began
    if device.first:
        described = job.description(tag_list) | {
            "members": list(row.members),
            "scales": [{facet: vars(scale) for facet, scale in each.items()} for each in scales],
            "validation": metrics["validation"],
            "cost": cost,
        }
        write_json(described, job.folder / "model.json")
    return cost | {"validation": metrics["validation"]}
