"""Fifty decisions in the assistant, then training again: ranks before, with corrections alone, and with negatives."""

import argparse
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import polars as pl
from playwright.sync_api import Page, sync_playwright

from benchmarks.served import CHROMIUM, FLAGS, ROOT, serving
from pipeline import FACETS
from pipeline.sandbox.catalogue import DISCIPLINES, MATERIALS, SUBJECTS
from pipeline.sandbox.items import record_id_of
from pipeline.sandbox.plan import Holding, holdings
from pipeline.settings import RENDERED_MUSEUM

TRAINED = ("multilabel", "softmax")  # the rows with heads, which learn from negatives
ROWS = (*TRAINED, "clip_1_tag_prompt", "ensemble_ml_s_clip")
SHOWN = "ensemble_ml_s_clip"


def true_tags() -> dict[str, set[str]]:
    """What a cataloguer would see in each picture of the rendered museum: what it was drawn from, stated or not."""
    drawn = json.loads((RENDERED_MUSEUM / "rendered.json").read_text(encoding="utf-8"))
    return {record_id_of(each): _seen(each) for each in holdings(drawn["seed"], drawn["images"])}


def _seen(holding: Holding) -> set[str]:
    kind, thing = holding.kind, holding.thing
    tags = {kind.concept, *(concept for concept, _ in kind.disciplines)}
    tags |= set(kind.stated_materials or [MATERIALS[name] for name in (thing.material, thing.second) if name])
    tags |= {DISCIPLINES[thing.motif]} if thing.motif else set()
    return tags | ({SUBJECTS[thing.scene]} if thing.scene in SUBJECTS else set())


def known_tags(storage: Path) -> dict[str, set[str]]:
    """By record, the right tags: those stated, those that can be seen, and all above them."""
    paths = dict(pl.read_parquet(storage / "tags.parquet", columns=["tag_id", "path"]).iter_rows())
    known = {record: {above for tag in tags for above in paths.get(tag, ())} for record, tags in true_tags().items()}
    for record, tag in pl.read_parquet(storage / "record_tags.parquet", columns=["record_id", "tag_id"]).iter_rows():
        known[record].add(tag)
    return known


def decide(address: str, n: int, known: dict[str, set[str]]) -> tuple[int, float]:
    """Decide on every facet's first suggestion, image by image, by clicks on the page. Returns images and seconds."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_context(locale="en-GB").new_page()
        page.goto(address)
        page.wait_for_selector("body[data-ready]")
        page.fill("#who", "benchmark")
        page.locator(".add").first.click()
        page.fill("#count", str(n // len(FACETS) + 3))
        page.click("#add-dataset")
        page.wait_for_selector("#trees:not([aria-busy]) .suggested", timeout=60_000)
        started, decided, images = time.perf_counter(), 0, 0
        while decided < n:
            page.wait_for_selector("#trees:not([aria-busy]) .suggested")
            address_of = f"{address}/api/images/{page.evaluate('location.hash').removeprefix('#image=')}"
            record = httpx.get(address_of).json()["image"]["record_id"]
            for facet in FACETS[: n - decided]:
                _judge(page, facet, known[record])
                decided += 1
            images += 1
            page.click("#done")
            page.wait_for_function("old => location.hash !== old", arg=f"#image={address_of.rpartition('/')[2]}")
        browser.close()
    return images, time.perf_counter() - started


def _judge(page: Page, facet: str, right: set[str]) -> None:
    first = page.locator(f"#facet-{facet} [aria-label*='suggested, place 1,']")
    tag = first.get_attribute("data-key")
    first.locator(".yes" if tag in right else ".no").first.click()
    page.wait_for_selector(f"#item-{tag}.accepted, #item-{tag}.rejected")


@contextmanager
def home_with(storage: Path) -> Iterator[Path]:
    """A temporary Dagster home with a copy of the storage, so that the graph can run without changing the demo's."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "storage" / storage.name
        shutil.copytree(storage, copy, ignore=shutil.ignore_patterns("assistant", "pages"))
        os.environ |= {"DAGSTER_HOME": folder, "EUFCC_PROFILE": "demo"}
        yield copy


def materialize(*names: str) -> None:
    """Materialize these assets in this process; raises if one fails."""
    import dagster as dg

    from assets import curation, splits, training
    from assets.engine.project import current_project

    made = {"rows": training.TRAINING}
    made |= {name: [getattr(room, name)] for room in (curation, splits) for name in dir(room)}
    chosen = [asset for name in names for asset in made[name]]
    if names == ("rows",):
        chosen = [each for each in chosen if {key.path[-1] for key in each.keys} & set(ROWS)]
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    dg.materialize(chosen, resources={"project": current_project()}, run_config=quiet)


def without_negatives(storage: Path, folder: Path) -> None:
    """Train the same rows on the corrected dataset, with `rejected_weight=0`: a rejected tag counts as not stated."""
    for kind in ("models", "predictions"):
        shutil.copytree(storage / kind / "clip_1_tag_prompt", folder / kind / "clip_1_tag_prompt")
    command = [sys.executable, "-m", "ml.experiments", "--dataset", storage / "dataset", "--seed", "0"]
    command += ["--models", folder / "models", "--predictions", folder / "predictions"]
    command += ["--cache", storage / "cache" / "activations", "--override", "rejected_weight=0"]
    command += ["--baseline", *TRAINED, SHOWN]
    subprocess.run([*map(str, command)], check=True, cwd=ROOT, stdout=subprocess.DEVNULL)


def quality_of(run: str, decisions: pl.DataFrame, dataset: Path, models: Path) -> pl.DataFrame:
    """How the ensemble of these models ranks the decided tags, and its R-Precision on the inner test."""
    from ml.assistant.dataset_images import DatasetImages
    from ml.assistant.decision_impact import rank_again, summary
    from ml.assistant.trained import find_models
    from ml.assistant.vocabulary import read_tag_list
    from ml.dataset.prediction_files import read_predictions
    from ml.dataset.split import load_split
    from ml.dataset.tag_list import load_tag_list
    from ml.training.predict import quick_metrics

    order, _ = read_tag_list(dataset / "tag_list.json")
    suggester = find_models(models / "models", models / "predictions", dataset, order).get(SHOWN)
    rows = summary(rank_again(decisions, suggester, DatasetImages(dataset).jpeg))
    tag_list = load_tag_list(dataset)
    test = load_split(dataset, "inner_test", tag_list)
    quality = quick_metrics(read_predictions(models / "predictions" / SHOWN, test, tag_list), test)["mean"]
    columns = ("decided", "n", "score_now", "rank_now", "top_10_now")
    return rows.select(pl.lit(run).alias("models"), *columns, pl.lit(quality).alias("r_precision_inner_test"))


def main() -> None:
    """Print the table, then one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--storage", type=Path, default=ROOT / "dagster_home" / "storage" / "demo-rendered")
    parser.add_argument("--n", type=int, default=50, help="decisions")
    asked = parser.parse_args()
    started = time.perf_counter()
    with home_with(asked.storage) as storage, tempfile.TemporaryDirectory() as folder:
        before, control = Path(folder) / "before", Path(folder) / "control"
        materialize("rows")
        for kind in ("models", "predictions", "dataset"):
            shutil.copytree(storage / kind, before / kind)
        with serving(storage, "--model", SHOWN, folder=storage / "assistant") as assistant:
            images, seconds = decide(assistant.address, asked.n, known_tags(storage))
        os.environ["EUFCC__SPLITS__PREVIOUS"] = str(storage / "splits.before.parquet")
        shutil.copy(storage / "splits.parquet", storage / "splits.before.parquet")
        materialize("cataloguer_decisions", "corrections", "selection", "usable", "rejected_tags")
        materialize("provider_distances", "benchmark_splits", "dataset")
        materialize("rows")
        without_negatives(storage, control)
        decisions = pl.read_parquet(storage / "cataloguer_decisions.parquet")
        negatives = pl.read_parquet(storage / "rejected_tags.parquet")
        table = pl.concat(
            [
                quality_of("before", decisions, before / "dataset", before),
                quality_of("corrections alone", decisions, storage / "dataset", control),
                quality_of("corrections and negatives", decisions, storage / "dataset", storage),
            ]
        ).sort("decided", maintain_order=True)
    with pl.Config(tbl_rows=-1, tbl_cols=-1, tbl_width_chars=140, float_precision=3, tbl_hide_dataframe_shape=True):
        print(re.sub(r"\n.*(str|f64).*\n", "\n", str(table)), file=sys.stderr)
    note = f"{decisions.height} decisions on {images} images in {seconds:.0f} s of clicking; "
    note += f"{negatives.height} verified negatives; {'; '.join(' '.join(map(str, row)) for row in table.iter_rows())}"
    row = {"name": "decisions", "n": decisions.height, "ours_s": round(time.perf_counter() - started, 1)}
    row |= dict.fromkeys(("peer", "peer_version", "peer_s", "ratio", "peer_rss_mb"))
    rss = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    print(json.dumps(row | {"ours_rss_mb": round(rss / 2**10), "note": note}))


if __name__ == "__main__":
    main()
