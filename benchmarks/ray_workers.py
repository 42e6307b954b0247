"""Images and features on a Ray cluster of one worker and of two: seconds of the two stages, and the same bytes.

Needs the extra `ray`. A drawn museum is taken as far as its features once; then each cluster makes images and features
anew, two slices in two runs, a step at a time on each worker. `--museum` names the museum of a rehearsal instead:
`make rehearsal SIZE=20000`, then `python -m benchmarks.ray_workers --museum dagster_home/rehearsal-20000/museum`.
`--latency` makes every image wait, as on a real server: otherwise the museum's server takes the cores of the workers.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import dagster as dg
import psutil

from assets.engine.project import ROOT
from tests.operations.services import (
    dagster_home,
    environment,
    eufcc,
    final_hashes,
    free_port,
    ray_cluster,
    served_museum,
    storage_below,
)

IMAGES = 300
LONGEST_S = 7_200
SLICES = ("000-of-002", "001-of-002")


def main() -> None:
    """Print the one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=IMAGES)
    parser.add_argument("--museum", type=Path, help="a museum folder, in place of a drawn one")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds that every image takes at least")
    parser.add_argument("--slice", choices=SLICES, help="run the two stages of that slice, as the environment says")
    asked = parser.parse_args()
    if asked.slice:
        run_slice(asked.slice)
        return
    from pipeline.sandbox.render import render_museum

    with tempfile.TemporaryDirectory(prefix="eufcc-ray-workers-") as place:
        folder = Path(place)
        museum = asked.museum.resolve() if asked.museum else folder / "museums" / "small"
        if not asked.museum:
            render_museum(museum, images=asked.images)
        images = len((museum / "media.csv").read_text(encoding="utf-8").splitlines()) - 1
        before = dagster_home(folder / "before")
        port = free_port()
        with served_museum(museum, port):
            address = f"http://127.0.0.1:{port}"
            given = environment(before, museum, MUSEUM_ADDRESS=address)
            done = eufcc(["run", "dataset"], given, LONGEST_S)
            if done.returncode != 0:
                raise SystemExit(done.stderr)
        with served_museum(museum, port, asked.latency):
            found = {workers: _measured(workers, before, museum, address, folder) for workers in (1, 2)}
    seconds = {workers: round(each["seconds"], 1) for workers, each in found.items()}
    busy = {workers: each["busy"] for workers, each in found.items()}
    same = found[1]["hashes"] == found[2]["hashes"]
    print(
        json.dumps(
            {
                "name": "ray_workers",
                "n": images,
                "ours_s": seconds[2],
                **dict.fromkeys(("peer", "peer_version", "peer_s", "peer_rss_mb")),
                "ratio": round(seconds[1] / seconds[2], 2),
                "ours_rss_mb": round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024),
                "note": f"images and features of {images} images in two slices, at least {asked.latency * 1000:.0f} ms "
                f"an image: {seconds[1]} s by one worker of one core, {seconds[2]} s by two; bytes "
                f"{'equal' if same else 'DIFFER'}; the {os.cpu_count()} cores were "
                f"busy {busy[1]:.0%} and {busy[2]:.0%} of that time, for the museum's server, Dagster and Ray run on "
                "them too; the start of Ray is not counted, what Dagster and Ray take for every step is",
            }
        )
    )


def _measured(workers: int, before: Path, museum: Path, address: str, folder: Path) -> dict:
    """The two stages by that many workers, from a storage that has neither."""
    home = dagster_home(folder / f"workers-{workers}")
    settings = (home / "dagster.yaml").read_text()
    (home / "dagster.yaml").write_text(settings.replace("default_limit: 1", "default_limit: 2"))  # Ray decides
    with dg.DagsterInstance.from_config(f"{home}"):
        pass  # its databases are there before two runs open them at once
    storage = home / "storage" / storage_below(before).name
    shutil.copytree(storage_below(before), storage)
    for name in ("images", "features", "fetches"):
        shutil.rmtree(storage / name)
        shutil.rmtree(storage / ".made" / name)
    shutil.rmtree(storage / "cache" / "images")
    with ray_cluster(nodes=workers) as given:
        alone = {"OMP_NUM_THREADS": "1", "EUFCC__IMAGES__DECODERS": "1"}  # a worker keeps to its core
        given = environment(home, museum, MUSEUM_ADDRESS=address, **alone, **given)
        started, used = time.monotonic(), psutil.cpu_times()
        runs = [
            subprocess.Popen([sys.executable, "-m", "benchmarks.ray_workers", "--slice", part], env=given, cwd=ROOT)
            for part in SLICES
        ]
        if any(run.wait(LONGEST_S) for run in runs):
            raise SystemExit("a run failed")
        seconds = time.monotonic() - started
        idle = psutil.cpu_times().idle - used.idle
    busy = 1 - idle / seconds / (os.cpu_count() or 1)
    hashes = {name: digest for name, digest in final_hashes(storage).items() if name.startswith(("images", "features"))}
    return {"seconds": seconds, "busy": busy, "hashes": hashes}


def run_slice(part: str) -> None:
    """Images and features of one slice, by the executor of the environment."""
    from assets.definitions import defs
    from assets.engine.executors import execute

    with dg.DagsterInstance.get() as instance:
        done = execute(
            "dataset",
            defs,
            instance=instance,
            asset_selection=[dg.AssetKey(name) for name in ("fetches", "images", "features")],
            tags={"dagster/partition": part},
            raise_on_error=False,
        )
    if not done.success:
        raise SystemExit(1)


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    main()
