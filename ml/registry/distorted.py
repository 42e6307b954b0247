"""`python -m ml.registry.distorted`: what finished rows say of distorted test pictures, as prediction files.

`OUT/<distortion>/<row>/inner_test/<facet>.parquet`, `undistorted` among the distortions. `python -m
ml.evaluation.robustness` and the report compare them. An ensemble is made of its members, on its scales of validation.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from ml.dataset.batches import Images
from ml.dataset.distortions import DISTORTIONS, UNDISTORTED, distorted
from ml.dataset.prediction_files import Scores, write_predictions
from ml.dataset.split import DataError, ImageSplit, load_split, open_jpeg
from ml.dataset.tag_list import TagListError, load_tag_list
from ml.dataset.transforms import shrunk
from ml.experiments.ensemble import combine
from ml.models.calibration import Scale
from ml.registry.load import LoadError, load_description, load_row
from ml.training.device import Device, DeviceError, network_on, use_device
from ml.training.predict import predict
from ml.training.recipe import Recipe
from pipeline.terminal import one_line

SPLIT = "inner_test"
FOR_PEOPLE = (DataError, TagListError, LoadError, DeviceError)


class DistortedImages(Images):
    """The images of a split under one distortion, which comes before everything that training did to pictures."""

    distortion: str
    recipe: Recipe

    def picture(self, image: int) -> Image.Image:
        """The distorted image; its short side is at most what training had in memory."""
        record, view = self.split.record_ids[image], self.split.views[image]
        picture = open_jpeg(self.split.jpegs[image].as_buffer(), self.split.name_of(image))
        shown = distorted(picture, self.distortion, f"{record} {view}")
        size = self.recipe.cache_px
        return shown if size is None else shrunk(shown, size, self.recipe.card.input.interpolation)


def write_distorted(rows: Sequence[str], models: Path, dataset: Path, out: Path, device: Device) -> None:
    """The predictions of every row for every distortion; members of ensembles look once.

    Raises LoadError for a row that is not trained or has no image network, DataError and TagListError.
    """
    tag_list = load_tag_list(dataset)
    split = load_split(dataset, SPLIT, tag_list)
    described = {row: load_description(models / row) for row in rows}
    answers: dict[str, dict[str, Scores]] = {}
    for member in dict.fromkeys(m for row in rows for m in described[row].get("members", [row])):
        answers[member] = answers_of(member, models, dataset, split, device)
    for name in (UNDISTORTED, *DISTORTIONS):
        for row, model in described.items():
            scores = answers[row][name] if row in answers else {}
            if "members" in model:
                scales = [{facet: Scale(**scale) for facet, scale in each.items()} for each in model["scales"]]
                members = [answers[member][name] for member in model["members"]]
                scores = combine(members, scales, list(model["facets"]))
            write_predictions(scores, split, tag_list, out / name / row, baseline=row, seed=int(model["seed"]))


def answers_of(row: str, models: Path, dataset: Path, split: ImageSplit, device: Device) -> dict[str, Scores]:
    """By distortion, what a network says of the split's pictures. Raises LoadError."""
    network, recipe, tags = load_row(models / row, dataset)
    network = network_on(network, device.torch_device, recipe)
    found = {}
    for name in (UNDISTORTED, *DISTORTIONS):
        images = DistortedImages(split, tags, recipe.evaluation_view)
        images.distortion, images.recipe = name, recipe
        found[name] = predict(network, images, recipe, device)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the predictions; 1 with one sentence on stderr where a row cannot be asked."""
    parser = argparse.ArgumentParser(prog="python -m ml.registry.distorted", description=__doc__)
    parser.add_argument("--rows", nargs="+", required=True, metavar="KEY", help="finished rows that see pictures alone")
    parser.add_argument("--models", type=Path, required=True, help="where models/<row>/ are kept")
    parser.add_argument("--dataset", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="STORAGE/distorted, where the report looks for them")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    asked = parser.parse_args(arguments)
    try:
        with use_device(asked.device) as device:
            write_distorted(asked.rows, asked.models, asked.dataset, asked.out, device)
    except FOR_PEOPLE as error:
        print(f"error: {one_line(str(error))}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
