"""Runs the command `eufcc` several times from one start of Python: importing Dagster costs more than these runs.

`python forked_commands.py FOLDER`: each line of its input is a JSON list of runs to be made side by side, each
`{"name": …, "arguments": […], "environment": {…}}`; it says `made` when they have ended. A run's home is FOLDER/<name>,
a copy of FOLDER/<like> where it names one, else an empty one with our dagster.yaml and what `configuration` adds to it;
its output goes to FOLDER/<name>.out and .err, its exit code to FOLDER/<name>.code.
"""

import json
import os
import shutil
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

LONGEST_S = 600  # a run that hangs is ended


def main(folder: Path) -> int:
    """Make the runs; nothing that reads settings is imported before their processes part."""
    import alembic.command  # noqa: F401
    import dagster  # noqa: F401
    import plotly.graph_objects  # noqa: F401
    import polars  # noqa: F401
    import pyarrow.parquet  # noqa: F401
    import SPARQLWrapper  # noqa: F401
    import sqlalchemy.dialects.sqlite  # noqa: F401

    import pipeline.curation.curate
    import pipeline.harvest.dumps
    import pipeline.images.fetch
    import pipeline.release.pack
    import pipeline.vocabulary.source  # noqa: F401

    for line in sys.stdin:
        children = {start(folder, run): run for run in json.loads(line)}
        for child, run in children.items():
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            (folder / f"{run['name']}.code").write_text(str(code))
        print("made", flush=True)
    return 0


def start(folder: Path, run: dict[str, Any]) -> int:
    """Fork one run; returns its process id."""
    home = folder / run["name"]
    if "like" in run:
        shutil.copytree(folder / run["like"], home)
    else:
        home.mkdir()
        ours = (Path(__file__).parents[2] / "dagster_home" / "dagster.yaml").read_text(encoding="utf-8")
        (home / "dagster.yaml").write_text(ours + run.get("configuration", ""), encoding="utf-8")
    child = os.fork()
    if child:
        return child
    signal.alarm(LONGEST_S)
    code = 70
    try:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for number, ending in ((1, "out"), (2, "err")):
            os.dup2(os.open(folder / f"{run['name']}.{ending}", os.O_WRONLY | os.O_CREAT), number)
        os.environ |= {"DAGSTER_HOME": str(home), **run["environment"]}
        sys.argv = ["eufcc", *run["arguments"]]
        from assets.cli.app import main as eufcc

        eufcc()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1])))
