"""`python -m tests.rehearsal.twelve STORAGE`: all twelve rows scored, on made-up predictions of the right size.

They are those of the trained row with noise of their own, so that no two rows are alike.
"""

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ml.baselines import PAPER_ROWS
from ml.evaluation.score_run import evaluate_benchmark
from pipeline.settings import load

TRAINED = "linear_probe"


def main(storage: Path) -> int:
    """Write the predictions beside the storage, score them, and print a line for each row."""
    folder = storage.parent / "twelve"
    folder.mkdir(exist_ok=True)
    if not (folder / "dataset").exists():
        (folder / "dataset").symlink_to(storage / "dataset")
    for number, row in enumerate(PAPER_ROWS):
        for file in sorted((storage / "predictions" / TRAINED).rglob("*.parquet")):
            if file.stem in row.facets:
                changed = folder / "predictions" / row.key / file.parent.name / file.name
                _write_changed(file, changed, row.key, number)
    scored = evaluate_benchmark(folder, load().evaluation, [row.key for row in PAPER_ROWS])
    print(f"  {scored.results.height:,} results, {scored.comparisons.height:,} comparisons")
    return 0


def _write_changed(file: Path, changed: Path, key: str, number: int) -> None:
    changed.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(number)
    with pq.ParquetFile(file) as source:
        schema = source.schema_arrow.with_metadata({**source.schema_arrow.metadata, b"baseline": key.encode()})
        at = schema.get_field_index("scores")
        with pq.ParquetWriter(changed, schema, compression="zstd") as target:
            for group in range(source.num_row_groups):
                table = source.read_row_group(group)
                rows = table["scores"].combine_chunks()
                scores = rows.flatten().to_numpy()
                noise = rng.standard_normal(len(scores), dtype=np.float32) * (0.1 + 0.05 * number)
                flat = pa.array((scores + noise).astype(np.float16), pa.float16())
                lists = pa.FixedSizeListArray.from_arrays(flat, schema.field(at).type.list_size)
                lists = lists.cast(schema.field(at).type)
                target.write_table(
                    table.set_column(at, schema.field(at), lists).cast(schema), row_group_size=len(table)
                )


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
