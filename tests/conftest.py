"""What every test may use; tests that need ../shared are counted when it is not there."""

import atexit
import fcntl
import gc
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# A shell's background job ignores Ctrl-C, and so would every process that a test starts and interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)
# Images of containers set it. Without caches every process of a test compiles the project, and every worker all tests.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch is imported: as in assets/cli/app.py
# A home of their own, set before any module reads it: what a person has made in theirs changes no test.
HOME = Path(tempfile.mkdtemp(prefix="eufcc-tests-"))
HOME.chmod(0o755)  # tests that run as another user read it
atexit.register(shutil.rmtree, HOME, ignore_errors=True)
shutil.copy(Path(__file__).parents[1] / "dagster_home" / "dagster.yaml", HOME)
os.environ.update(DAGSTER_HOME=str(HOME), EUFCC_HOME=str(HOME))
# An example may take its time: a deadline is a timed test, and fails on a busy machine.
settings.register_profile("eufcc", parent=settings(), deadline=None)
settings.load_profile("eufcc")
SHARED = Path(os.environ.get("EUFCC_SHARED") or Path(__file__).parents[2] / "shared")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of recorded payloads, the real thesaurus and the real museum."""
    return SHARED


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], object]], Path]:
    """once("name", make): the folder that `make` has filled, made by one xdist worker for all. Do not write into it."""
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent

    def folder_of(name: str, make: Callable[[Path], object]) -> Path:
        folder, made = base / "once" / name, base / "once" / f"{name}.made"
        folder.parent.mkdir(exist_ok=True)
        with (base / "once" / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not made.exists():
                shutil.rmtree(folder, ignore_errors=True)  # of a worker that failed
                make(folder)
                made.touch()
        return folder

    return folder_of


@pytest.fixture(scope="session")
def drawn_museum(once) -> Callable[..., Path]:
    """drawn_museum(40), drawn_museum(120, seed=7): a museum folder with so many images, drawn once."""
    from pipeline.sandbox.render import SEED, render_museum

    def drawn(images: int, seed: int = SEED) -> Path:
        return once(f"museum_{images}_{seed}", lambda folder: render_museum(folder, seed=seed, images=images))

    return drawn


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Importing all tests makes a million objects that stay: the garbage collector looks at none of them again."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what was not asked for, and keep together what shares a fixture."""
    leave_out(config, items)
    for item in items:
        fixtures = item._fixtureinfo.name2fixturedefs.values()
        if not item.get_closest_marker("xdist_group") and any(of[-1].scope == "module" for of in fixtures):
            item.add_marker(pytest.mark.xdist_group(item.path.relative_to(config.rootpath).as_posix()))


def leave_out(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what was not asked for, and count it: the summary says how many tests did not run and why."""
    not_run: dict[str, list[pytest.Item]] = {"shared": [], "long": [], "browser": []}
    for item in items:
        if item.get_closest_marker("shared") and not SHARED.is_dir():
            not_run["shared"].append(item)
        elif item.get_closest_marker("browser") and shutil.which("chromium") is None and not os.environ.get("CI"):
            not_run["browser"].append(item)
        elif item.get_closest_marker("long") and not config.getoption("--long"):
            not_run["long"].append(item)
    left_out = {id(item) for group in not_run.values() for item in group}
    config.hook.pytest_deselected(items=[item for item in items if id(item) in left_out])
    items[:] = [item for item in items if id(item) not in left_out]
    counts = {marker: len(group) for marker, group in not_run.items()}
    config.stash[NOT_RUN] = counts
    if hasattr(config, "workeroutput"):  # with xdist the workers collect, and the controller tells
        config.workeroutput["not_run"] = counts


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node, error: object) -> None:
    """Take the counts over from an xdist worker; all workers collect the same tests."""
    node.config.stash[NOT_RUN] = getattr(node, "workeroutput", {}).get("not_run", {})


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--long` runs the kills, the fuzzing, the soak and the other engines too."""
    parser.addoption("--long", action="store_true", help="run the tests marked `long` too")


def pytest_terminal_summary(terminalreporter, config: pytest.Config) -> None:
    """Say what did not run."""
    reasons = {
        "shared": f"need ../shared (not found at {SHARED})",
        "browser": "need Chromium (not installed)",
        "long": "are marked long (make test-long)",
    }
    for marker, count in config.stash.get(NOT_RUN, {}).items():
        if count:
            terminalreporter.write_line(f"not run: {count} tests that {reasons[marker]}")


NOT_RUN = pytest.StashKey[dict[str, int]]()
