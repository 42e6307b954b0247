"""The report's table of what distorted pictures cost, where `python -m ml.registry.distorted` was run."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ml.dataset.distortions import UNDISTORTED
from ml.dataset.prediction_files import PredictionError
from ml.evaluation.robustness import Change, robustness
from ml.report.results import points, show, title
from ml.report.tables import HeadCell, ShownCell, ShownRow, ShownTable
from pipeline.settings import EvaluationSettings

TITLES = {
    "jpeg": "JPEG of quality 30",
    "blur": "Blur",
    "grey": "Grey",
    "crop": "Crop",
    "rotation": "Turned by 90°",
    "colour_cast": "Colour cast",
    "frame": "Frame and ruler",
}
CAPTION = (
    "Pictures as phones and scanners give them, inner test: R-Precision, mean over facets, and its change in points"
)


class RobustnessSection(NamedTuple):
    """The table, or why there is none: both are empty where no distorted picture was looked at."""

    table: ShownTable | None = None
    missing: str = ""


def robustness_section(storage: Path, rows: Sequence[str], settings: EvaluationSettings) -> RobustnessSection:
    """From the folder `distorted` of the storage; predictions for another split are not shown."""
    folder = storage / "distorted"
    shown = [row for row in rows if (folder / UNDISTORTED / row).is_dir()]
    if not shown:
        return RobustnessSection()
    try:
        found = robustness([folder], storage / "dataset", shown, settings)
    except PredictionError as error:
        return RobustnessSection(missing=str(error))
    changes = {(each.row, each.distortion): each for each in found.changes}
    names = list(dict.fromkeys(each.distortion for each in found.changes))
    lines = [
        ShownRow(
            title(row),
            (ShownCell(show("r_precision", found.undistorted[row])), *(_cell(changes[row, name]) for name in names)),
        )
        for row in shown
    ]
    head = (HeadCell("Row"), HeadCell("Undistorted"), *(HeadCell(TITLES[name]) for name in names))
    return RobustnessSection(ShownTable("robustness", CAPTION, (head,), tuple(lines)))


def _cell(change: Change) -> ShownCell:
    sure = "" if math.isnan(change.low) else f"{points(change.low)} to {points(change.high)}"
    return ShownCell(points(change.change), sure)
