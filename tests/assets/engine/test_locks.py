"""Two runs never write one table at the same time, and a dead one holds nothing."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from assets.engine.locks import InUse, hold


@contextmanager
def another_process(notes: Path, writes: tuple[str, ...], reads: tuple[str, ...]) -> Iterator[int]:
    """A process that holds them until it is killed."""
    ready, tell = os.pipe()
    child = os.fork()
    if child == 0:
        with hold(notes, writes, reads, "run 1a2b"):
            os.write(tell, b"!")
            signal.pause()
        os._exit(0)
    try:
        assert os.read(ready, 1) == b"!"
        yield child
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(ready)
        os.close(tell)


def test_what_is_written_elsewhere_cannot_be_read_or_written(tmp_path: Path):
    with another_process(tmp_path, ("images/000-of-002",), ()) as child:
        with (
            pytest.raises(InUse, match=rf"in use by another run .*run 1a2b, process {child}\): wait"),
            hold(tmp_path, ["images/000-of-002"], [], "run 2"),
        ):
            pass
        with (
            pytest.raises(InUse, match="is being written by another run"),
            hold(tmp_path, [], ["images/000-of-002"], "run 2"),
        ):
            pass
        with hold(tmp_path, ["images/001-of-002"], [], "run 2"):
            pass


def test_what_is_read_elsewhere_can_be_read_and_not_written(tmp_path: Path):
    with another_process(tmp_path, (), ("tags",)):
        with hold(tmp_path, [], ["tags"], "run 2"):
            pass
        with pytest.raises(InUse, match="tags is in use by another run"), hold(tmp_path, ["tags"], [], "run 2"):
            pass


def test_a_killed_process_holds_nothing(tmp_path: Path):
    with another_process(tmp_path, ("tags",), ()):
        pass
    with hold(tmp_path, ["tags"], [], "run 2"):
        assert (tmp_path / "tags.lock").read_text() == f"run 2, process {os.getpid()}"
