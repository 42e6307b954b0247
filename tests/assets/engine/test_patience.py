"""How long a run waits for a server that does not answer, and who decides it."""

import pytest

from assets.engine import console
from pipeline.waits import FIRST_ANSWER_S


@pytest.mark.parametrize(
    ("environment", "limit"),
    [({}, None), ({console.LINES: "1"}, FIRST_ANSWER_S), ({console.LINES: "1", console.WAIT: "1"}, None)],
    ids=["schedule", "command", "--wait"],
)
def test_only_a_persons_command_is_impatient(environment: dict[str, str], limit: float | None, monkeypatch):
    for name in (console.LINES, console.WAIT):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert console.patience().first_answer_s == limit
