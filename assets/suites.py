"""Stage suites: heads on stored features, on many splits beside the paper's two tests."""

from pathlib import Path

import polars as pl

from assets.engine.asset_factory import stage_asset
from assets.engine.console import bar
from assets.engine.plan import AssetPlan, Metadata
from assets.engine.versions import code_version
from pipeline.settings import Settings
from pipeline.tables import IMAGES

CODE = ("ml/suites/run.py", "ml/suites/collection.py", "pipeline/splits/suites.py")


@stage_asset(
    AssetPlan("suites", settings=("suites", "features.extractors"), of_images=False), kinds={"pytorch", "parquet"}
)
def suite_results(
    images: Path,
    features: Path,
    groups: pl.DataFrame,
    records: pl.DataFrame,
    record_tags: pl.DataFrame,
    tags: pl.DataFrame,
    storage: Path,
    settings: Settings,
) -> dict[str, pl.DataFrame]:
    """Every row of the suites on every split of every suite. A killed run goes on from its finished cells."""
    from ml.suites.collection import collect
    from ml.suites.run import run_suites

    known = IMAGES.read(images, ["record_id", "view", "image_id"])
    extractor = settings.features.extractors[0]
    collection = collect(known, groups, records, record_tags, tags, features, extractor)
    with bar("suites", "cells") as progress:
        found = run_suites(collection, settings.suites, storage / "suite_cells", code_version(CODE), progress)
    return {"suite_results": found}


@stage_asset(AssetPlan("suites", settings=("suites", "evaluation"), of_images=False), kinds={"html"})
def suites_page(suite_results: pl.DataFrame, storage: Path, settings: Settings) -> Metadata:
    """A page for people, suites.html, and the same tables as Markdown: what every row reaches on every suite."""
    from ml.report.suites import write_suites_page

    tables = write_suites_page(suite_results, settings.suites, settings.evaluation, storage / "suites_page")
    text = (storage / "suites_page" / "suites.md").read_text(encoding="utf-8")
    return {"suites_page": {"count": len(tables), "tables": text}}
