"""`eufcc` without a command says where one stands; every command has an example, and JSON where it prints a result."""

import json
import shlex
import sys
from pathlib import Path

import dagster as dg
import pytest
import typer
from typer.core import TyperGroup

from assets.cli import standing as subject
from assets.cli.app import app
from assets.cli.output import print_json
from assets.engine.console import Terminal
from assets.engine.instance import NoHome, opened
from assets.engine.project import Project
from pipeline.settings import RENDERED_MUSEUM, demo, full, official

COMMANDS = typer.main.get_command(app)
assert isinstance(COMMANDS, TyperGroup)
# These do something, and say that they did; the others answer a question.
ACTIONS = {"demo", "run", "dev", "assistant", "dictionary", "models", "export", "tidy", "weights"}


@pytest.mark.parametrize("name", sorted(COMMANDS.commands))
def test_every_command_has_an_example_that_it_understands(name: str):
    command = COMMANDS.commands[name]
    assert (command.epilog or "").startswith("Example: "), f"give {name} an epilog"
    words = [word for word in shlex.split(command.epilog.removeprefix("Example: ")) if "=" not in word]
    assert words[:2] == ["eufcc", name]
    with command.make_context(name, words[2:], resilient_parsing=True) as context:
        missing = [each.name for each in command.params if each.required and context.params[each.name] is None]
    assert missing == []


@pytest.mark.parametrize("name", sorted(set(COMMANDS.commands) - ACTIONS))
def test_every_answer_can_be_had_as_json(name: str):
    assert "--json" in [option for each in COMMANDS.commands[name].params for option in each.opts]


def test_shell_completion_can_be_installed():
    assert "--install-completion" in [option for each in COMMANDS.params for option in each.opts]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Dagster home in which nothing has run; the program is on the path."""
    monkeypatch.setattr(sys, "argv", ["eufcc"])
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(subject, "program", lambda: "eufcc")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def test_before_the_first_run_the_way_to_it_is_told_and_nothing_is_written(home: Path):
    found = subject.standing(Project(full(), home / "storage" / "full-europeana"))
    assert (found.profile, found.source, found.last_run, found.due) == ("full", "europeana", None, found.steps)
    assert [one.command for one in found.next] == [
        "EUFCC_PROFILE=full eufcc doctor",
        "EUFCC_PROFILE=full eufcc plan",
        "EUFCC_PROFILE=full eufcc run benchmark",
    ]
    assert list(home.iterdir()) == []


@pytest.mark.parametrize(
    ("due", "commands"),
    [
        (33, ["eufcc doctor", "eufcc demo"]),
        (2, ["eufcc demo", "eufcc status benchmark"]),
        (0, ["eufcc assistant", "eufcc compare multilabel softmax", "MUSEUM=path/to/museum eufcc demo"]),
    ],
)
def test_the_next_steps_follow_from_what_is_due(home: Path, due: int, commands: list[str]):
    settings = demo(RENDERED_MUSEUM, None)
    rows = settings.benchmark.model_copy(update={"rows": ("multilabel", "softmax")})
    settings = settings.model_copy(update={"benchmark": rows})
    assert [one.command for one in subject.next_steps(settings, due, 33)] == commands


@pytest.mark.parametrize("museum", [None, RENDERED_MUSEUM], ids=["full", "demo"])
def test_the_published_files_are_the_profile_official(home: Path, tmp_path: Path, museum: Path | None):
    settings = official(tmp_path / "csvs", demo(museum, None) if museum else None)
    found = subject.standing(Project(settings, tmp_path / "storage"))
    assert (found.profile, found.source) == ("official", "published-csvs")
    assert all("EUFCC_PROFILE=official" in one.command or "--published" in one.command for one in found.next)


def test_a_museum_of_ones_own_stays_in_the_commands(home: Path, tmp_path: Path):
    own = demo(tmp_path / "our museum", None)
    assert subject.step(own, "doctor", "").command == f"MUSEUM='{tmp_path}/our museum' eufcc doctor"


@dg.op
def falls() -> None:
    raise dg.Failure("as asked", allow_retries=False)


@dg.job
def falling() -> None:
    falls()


def test_the_last_run_is_told_as_it_ended(home: Path):
    with opened(home) as (instance, _):
        falling.execute_in_process(instance=instance, raise_on_error=False)
    told = subject.last_run(home)
    assert told is not None
    assert (told.job, told.state) == ("falling", "failed")
    assert told.started is not None
    assert told.seconds is not None


def test_a_home_that_cannot_be_opened_is_not_told_as_new(home: Path, monkeypatch: pytest.MonkeyPatch):
    def refused(place: Path) -> None:
        raise NoHome(f"DAGSTER_HOME is {place}, where this user cannot write")

    project = Project(full(), home / "storage" / "full-europeana")
    assert subject._told(subject.standing(project)) == "none yet"
    (home / "history").mkdir()
    monkeypatch.setattr(subject, "opened", refused)  # root may write everywhere
    found = subject.standing(project)
    assert (found.last_run, found.last_run_known) == (None, False)
    assert subject._told(found) == "none known"


@pytest.mark.parametrize(
    ("called", "on_path", "said"),
    [("bin/eufcc", True, "eufcc"), ("bin/eufcc", False, "bin/eufcc"), ("assets/cli/__main__.py", False, "eufcc")],
)
def test_the_program_is_named_as_the_shell_finds_it(
    called: str, on_path: bool, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    file = tmp_path / called
    file.parent.mkdir(parents=True)
    file.touch(mode=0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(file)])
    monkeypatch.setenv("PATH", str(file.parent if on_path else tmp_path))
    assert subject.program() == said


def test_json_has_no_nan_and_no_control_characters(capsys: pytest.CaptureFixture[str]):
    print_json({"id": "a\x9b2J\u202e", "share": float("nan"), "run": subject.NextStep("eufcc", "ø")})
    out = capsys.readouterr().out
    assert out.isascii()
    assert json.loads(out) == {"id": "a\x9b2J\u202e", "share": None, "run": {"command": "eufcc", "what": "ø"}}


def test_a_command_is_whole_however_narrow_the_terminal_is(capsys):
    command = f"EUFCC_PROFILE=official PUBLISHED=/{'long/' * 30}csvs .venv/bin/eufcc run benchmark"
    console = Terminal(width=40)
    console.print(
        subject.steps_screen([subject.NextStep(command, "makes dataset, models, table and report")]), soft_wrap=True
    )
    assert command in capsys.readouterr().out.splitlines()[1]
