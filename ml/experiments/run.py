"""`python -m ml.experiments`: train rows of the benchmark and write their predictions."""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from ml.baselines import BASELINES, baseline, recipe
from ml.dataset.prediction_files import PredictionError
from ml.dataset.split import DataError
from ml.dataset.tag_list import TagListError, load_tag_list
from ml.experiments.fit import Job, Splits
from ml.experiments.make import is_made, make_row
from ml.models.weights import WeightsError
from ml.training.checkpoints import CheckpointError
from ml.training.device import Device, DeviceError, use_device
from ml.training.progress import Progress
from ml.training.recipe import BaselineError
from ml.training.train import TrainingError
from pipeline.terminal import one_line

DATA_ERRORS = (DataError, PredictionError, TagListError, WeightsError)
FOR_PEOPLE = (*DATA_ERRORS, BaselineError, CheckpointError, DeviceError, TrainingError)


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the rows that were asked for, one after the other; 1 with one sentence on stderr when one cannot be made."""
    asked = _parser().parse_args(arguments)
    try:
        with use_device(asked.device) as device:
            _make_rows(asked, device)
    except FOR_PEOPLE as error:
        print(f"error: {one_line(str(error))}", file=sys.stderr)
        print(json.dumps({"event": "error", "kind": type(error).__name__, "message": str(error)}), flush=True)
        return 1
    return 0


def _make_rows(asked: argparse.Namespace, device: Device) -> None:
    overrides = dict(_assignment(text) for text in asked.override)
    shared = {name: getattr(asked, name) for name in ("models", "predictions", "weights", "seed", "restart")}
    shared["cache"] = asked.cache or asked.models.parent / "cache" / "activations"
    recipes = {
        key: recipe(key, asked.profile, asked.weights, asked.recipes).override(overrides) for key in asked.baseline
    }
    jobs = [Job(baseline(key), chosen, **shared) for key, chosen in recipes.items()]
    splits = Splits(asked.dataset, load_tag_list(asked.dataset))
    for job in jobs:
        if asked.missing and is_made(job, splits.tag_list):
            continue
        board = job.folder / "curves" if job.recipe.tensorboard and job.row.trainable else None
        progress = Progress(job.row.key, quiet=not device.first, board=board, log=job.folder / "log.jsonl")
        began = time.perf_counter()
        try:
            outcome = make_row(job, splits, device, progress)
        finally:
            progress.close()
        progress.event("done", **outcome, total_s=time.perf_counter() - began)


def _assignment(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign:
        raise BaselineError(f"`--override {text}` has no `=`: write name=value.")
    return name, value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m ml.experiments", description=__doc__)
    parser.add_argument("--baseline", nargs="+", required=True, metavar="KEY", help=", ".join(BASELINES))
    parser.add_argument(
        "--dataset", type=Path, required=True, help="folder with tag_list.json and one folder per split"
    )
    parser.add_argument("--models", type=Path, required=True, help="where models/<baseline>/ are kept")
    parser.add_argument("--predictions", type=Path, required=True, help="where predictions/<baseline>/ are kept")
    parser.add_argument("--profile", choices=("demo", "full"), default="demo")
    parser.add_argument("--recipes", metavar="NAME", help="a base recipe of ml/recipes.toml in place of the profile's")
    parser.add_argument("--weights", type=Path, help="folder with weight files, for machines without network")
    parser.add_argument("--cache", type=Path, help="where rows share activations of frozen networks")
    parser.add_argument("--seed", type=int, default=340)
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--restart", action="store_true", help="do not continue an interrupted training")
    parser.add_argument("--missing", action="store_true", help="leave rows alone that were made from the same before")
    parser.add_argument("--override", nargs="*", default=[], metavar="NAME=VALUE", help="recipe values")
    return parser
