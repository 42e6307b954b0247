"""The page of near-duplicates for people to check."""

import base64
from pathlib import Path

import jinja2
import polars as pl

from pipeline.files import write_text
from pipeline.images.duplicates.near_duplicates import read_pictures


def duplicate_pairs_page(groups: pl.DataFrame, images_folder: Path, file: Path, *, most: int = 300) -> None:
    """Writes one self-contained HTML page with the groups that were joined as near-duplicates, largest first."""
    joined = (
        groups.with_columns(n=pl.len().over("group_id"))
        .filter((pl.col("reason") == "near_duplicate").any().over("group_id"))
        .sort(["n", "group_id", "record_id", "view"], descending=[True, False, False, False])
        .select("group_id", "record_id", "view", "reason")
        .partition_by("group_id", maintain_order=True)
    )
    shown = [group.rows(named=True) for group in joined[:most]]
    wanted = {(row["record_id"], row["view"]) for group in shown for row in group}
    pictures = {
        key: base64.b64encode(data).decode()
        for key, data in read_pictures(images_folder, ("record_id", "view"), wanted)
    }
    template = Path(__file__).with_name("near_duplicates.html").read_text(encoding="utf-8")
    environment = jinja2.Environment(
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
    )
    text = environment.from_string(template).render(
        shown=shown,
        pictures=pictures,
        n_groups=len(joined),
        n_images=len(groups),
        reasons=groups.group_by("reason").len().sort("reason").rows(),
    )
    write_text(text, file)
