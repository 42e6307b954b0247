"""The assistant over HTTP: suggestions for a 1000 px JPEG, search in the full AAT, twenty clients at once."""

import argparse
import hashlib
import io
import json
import random
import resource
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from PIL import Image, ImageDraw

from benchmarks.cataloguers import add_images, twenty
from benchmarks.first_paint import first_paint
from benchmarks.served import ROOT, Served, serving
from pipeline import FACETS

PAPER_TAGS = (910, 276, 33, 8)  # paper: tags per facet, in the order of its table 1
MEMBERS = ("multilabel", "softmax", "clip_1_tag_prompt")


def photograph(seed: int, side: int = 1_000) -> bytes:
    """A JPEG with this long side and the detail of a photograph."""
    generator = np.random.default_rng(seed)
    coarse = Image.fromarray(generator.integers(0, 255, (24, 32, 3), dtype=np.uint8))
    picture = coarse.resize((side, side * 3 // 4), Image.Resampling.BICUBIC)
    ImageDraw.Draw(picture).ellipse((200, 150, 800, 650), outline="white", width=9)
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=92)
    return out.getvalue()


def full_size(folder: Path) -> Path:
    """A storage folder with the paper's ensemble at full size and random weights, to measure latency."""
    from ml.baselines import BASELINES, recipe
    from ml.dataset.tag_list import load_tag_list
    from ml.experiments.make import network_of
    from ml.training.checkpoints import save_model
    from pipeline.files import write_json

    n_tags = dict(zip(FACETS, PAPER_TAGS, strict=False))  # only the paper's facets
    facets = {
        facet: [_tag(f"3{number}{position:07d}") for position in range(n)]
        for number, (facet, n) in enumerate(n_tags.items())
    }
    (folder / "dataset").mkdir(parents=True)
    hashes = {"split_hash": "0" * 64, "tag_list_hash": hashlib.sha256(b"benchmark").hexdigest()}
    (folder / "dataset" / "tag_list.json").write_text(json.dumps(hashes | {"facets": facets}))
    tag_list = load_tag_list(folder / "dataset")
    described: dict[str, Any] = hashes | {"facets": n_tags, "seed": 340}
    for key in MEMBERS:
        row, chosen = BASELINES[key], replace(recipe(key, "full"), pretrained=False)
        network, _ = network_of(row, chosen, tag_list, None, 340)
        save_model(
            network,
            described | {"baseline": key, "recipe": chosen.as_json(), "network": chosen.card.as_json()},
            folder / "models" / key,
        )
    scale = {facet: {"slope": 1.0, "intercept": 0.0} for facet in n_tags}
    together = {"baseline": "ensemble_ml_s_clip", "members": MEMBERS, "scales": [scale] * len(MEMBERS)}
    write_json(described | together, folder / "models" / "ensemble_ml_s_clip" / "model.json")
    return folder


def _tag(tag_id: str) -> dict[str, Any]:
    flat = {"labels": {"en": tag_id}, "parent": None, "depth": 1, "path": [tag_id], "n_train": 9}
    return {"tag_id": tag_id, "label": tag_id} | flat


def suggest_ms(assistant: Served, model: str | None, n: int) -> tuple[np.ndarray, float]:
    """Milliseconds of successive POST /api/suggest, each with another picture, and mean CPU milliseconds."""
    pictures = [photograph(seed) for seed in range(min(n, 20))]
    query = {"model": model} if model else {}
    times = []
    with httpx.Client(base_url=assistant.address, timeout=120) as client:
        client.post("/api/suggest", params=query, content=pictures[0]).raise_for_status()  # the model is loaded
        before = assistant.cpu_s()
        for turn in range(n):
            start = time.perf_counter()
            client.post("/api/suggest", params=query, content=pictures[turn % len(pictures)]).raise_for_status()
            times.append((time.perf_counter() - start) * 1e3)
        cpu_ms = (assistant.cpu_s() - before) / n * 1e3
    return np.array(times), cpu_ms


def spread(times: np.ndarray, cpu_ms: float) -> str:
    """The milliseconds in words."""
    return f"median {np.median(times):.1f}, p95 {np.percentile(times, 95):.1f}, CPU {cpu_ms:.1f} ms"


def search_ms(address: str, n: int) -> tuple[np.ndarray, int]:
    """Milliseconds of GET /api/search for labels typed letter by letter, and the number of tags."""
    rng, times = random.Random(340), list[float]()
    with httpx.Client(base_url=address, timeout=30) as client:
        size = client.get("/api/about").json()["tags"]
        roots = [
            node
            for facet in client.get("/api/about").json()["facets"]
            for node in client.get(f"/api/tree/{facet}").json()["nodes"]
        ]
        words = sorted({text for node in roots for text in node["labels"].values()})
        while len(times) < n:
            word = rng.choice(words)
            for end in range(1, min(len(word), 12) + 1):
                start = time.perf_counter()
                client.get("/api/search", params={"q": word[:end], "lang": "ca"}).raise_for_status()
                times.append((time.perf_counter() - start) * 1e3)
    return np.array(times[:n]), size


def main() -> None:
    """Print one JSON line; `ours_s` is the 95th percentile of one suggestion."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--storage", type=Path, help="a storage folder with trained models (default: the demo's)")
    parser.add_argument(
        "--thesaurus", type=Path, nargs="*", help="dumps of the whole AAT (default: those in ../shared)"
    )
    parser.add_argument("--n", type=int, default=200)
    parser.add_argument("--images", type=int, default=400, help="in the queue of the twenty cataloguers")
    parser.add_argument("--seconds", type=float, default=60.0, help="of each of their three phases")
    parser.add_argument("--full-size", action="store_true", help="also the full-size ensemble, with random weights")
    asked = parser.parse_args()
    storage = asked.storage or next(iter(sorted(ROOT.glob("dagster_home/storage/demo-*/models"))), ROOT / "none").parent
    dumps = asked.thesaurus
    if dumps is None:
        dumps = sorted((ROOT.parent / "shared" / "aat").glob("*.nt.gz"))
    notes = []
    with serving(storage) as assistant:
        suggested, cpu = suggest_ms(assistant, "ensemble_ml_s_clip", asked.n)
        notes.append(f"ensemble_ml_s_clip of the demo: {spread(suggested, cpu)}")
    pictures = [photograph(seed, 600) for seed in range(asked.images)]
    found = twenty(serving, storage, pictures, asked.seconds)
    with tempfile.TemporaryDirectory() as folder, serving(storage, folder=Path(folder)) as assistant:
        add_images(assistant.address, pictures[:20])
        painted = first_paint(assistant.address)
    with serving(storage, *(("--thesaurus", *map(str, dumps)) if dumps else ())) as assistant:
        before = assistant.cpu_s()
        searched, size = search_ms(assistant.address, 1_000)
        notes.append(f"search over {size} tags: {spread(searched, assistant.cpu_s() - before)}")  # s for 1,000
    if asked.full_size:
        with tempfile.TemporaryDirectory() as folder, serving(full_size(Path(folder) / "storage")) as assistant:
            full, cpu = suggest_ms(assistant, "ensemble_ml_s_clip", max(20, asked.n // 5))
            notes.append(f"full-size ensemble, random weights: {spread(full, cpu)}")
    row = {
        "name": "assistant",
        "n": asked.n,
        "ours_s": round(float(np.percentile(suggested, 95)) / 1e3, 4),
        "peer": None,
        "peer_version": None,
        "peer_s": None,
        "ratio": None,
        "ours_rss_mb": round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**10),
        "peer_rss_mb": None,
        "twenty_cataloguers": found,
        "first_visit_by_3g": painted,
        "note": "; ".join(notes),
    }
    print(json.dumps(row))


if __name__ == "__main__":
    main()
