"""A run asks before hours of work that another version of the code causes; and only then."""

import sys

import pytest
import typer

from assets.cli.upgrade import confirm
from assets.engine.status import Due


def one(*, code: bool = True, longest: float | None = 7_200.0) -> Due:
    return Due(("features",), "features", ("code: ml/features/extract.py",), code, 3.0, longest)


@pytest.mark.parametrize(
    ("found", "profile", "yes"),
    [
        ([], "full", False),
        ([one(code=False)], "full", False),  # other settings: wanted
        ([one(longest=600.0)], "full", False),
        ([one(longest=None)], "demo", False),  # the demo takes minutes
        ([one()], "full", True),
    ],
    ids=["nothing", "settings", "minutes", "demo", "yes"],
)
def test_nobody_is_asked(found: list[Due], profile: str, yes: bool, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(typer, "confirm", None)
    confirm(found, profile, yes=yes)


@pytest.mark.parametrize(
    ("longest", "took"),
    [(7_200.0, "took up to 2 h 00 min"), (None, "can take hours: an older version did not note how long")],
)
def test_without_a_terminal_it_is_refused(
    longest: float | None, took: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False)
    with pytest.raises(typer.Exit) as end:
        confirm([one(longest=longest)], "full", yes=False)
    assert end.value.exit_code == 1
    said = " ".join(capsys.readouterr().err.split())
    assert said.startswith(f"✗ The code has changed since features were made. Making them anew {took}. `eufcc status`")
    assert "--yes" in said


@pytest.mark.parametrize("answer", [True, False])
def test_at_a_terminal_it_is_asked(answer: bool, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    asked: list[str] = []
    monkeypatch.setattr(typer, "confirm", lambda text: asked.append(text) or answer)
    if answer:
        confirm([one()], "full", yes=False)
    else:
        with pytest.raises(typer.Exit):
            confirm([one()], "full", yes=False)
    assert asked == ["The code has changed since features were made. Making them anew took up to 2 h 00 min. Go on?"]
