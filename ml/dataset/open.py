"""Opens a dataset: the product's own folder, a release, or the published CSV files."""

import json
from pathlib import Path

from ml.dataset.ground_truth import Dataset, EvaluationError
from ml.dataset.published_csv import load_published
from ml.dataset.tag_list import FacetTags, TagListError, load_tag_list
from pipeline import FACETS
from pipeline.published.format import SPLIT_FILES


def load_dataset(folder: Path) -> Dataset:
    """Read `tag_list.json` of a dataset or release folder, or the published CSV files. Raises EvaluationError."""
    if not (folder / "tag_list.json").exists():
        if any((folder / name).is_file() for name in SPLIT_FILES.values()):
            return load_published(folder)
        raise EvaluationError(f"{folder} is no dataset: it has no tag_list.json, nor the published CSV files.")
    try:
        tag_list = load_tag_list(folder)
    except TagListError as error:
        raise EvaluationError(str(error)) from error
    listed = json.loads((folder / "tag_list.json").read_text(encoding="utf-8"))["facets"]
    facets = [facet for facet in FACETS if facet in listed]  # a facet may be younger than the dataset
    lists = {facet: tag_list.facets.get(facet) or FacetTags(facet, (), (), (), ()) for facet in facets}
    return Dataset(tag_list.split_hash, tag_list.tag_list_hash, lists, folder)
