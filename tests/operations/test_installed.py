"""Installed from its wheel, in a folder of its own: demo, status, assistant, and nothing is written beside the code."""

import os
import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import httpx
import pytest

from pipeline.home import ROOT
from tests.operations.services import end, free_port

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel as it would be uploaded."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([ROOT / ".venv/bin/uv", "build", "--wheel", "--out-dir", folder, ROOT], check=True, timeout=300)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new environment with the wheel; its dependencies are those of this one, which takes seconds."""
    folder = tmp_path_factory.mktemp("installed") / "env"
    uv = ROOT / ".venv/bin/uv"
    subprocess.run([uv, "venv", "--python", sys.executable, folder], check=True, timeout=100)
    subprocess.run([uv, "pip", "install", "--python", folder / "bin/python", "--no-deps", wheel], check=True)
    ours = next(path for path in map(Path, sys.path) if path.name == "site-packages")
    packages = next((folder / "lib").glob("python*/site-packages"))
    (packages / "dependencies.pth").write_text(f"{ours}\n")  # its own .pth files, this checkout's too, are not read
    return folder


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A login shell's variables: nothing of ours, and a home of its own."""
    return {"PATH": os.environ["PATH"], "HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "1"}


def files_of(folder: Path) -> set[str]:
    return {str(path) for path in folder.rglob("*") if "__pycache__" not in path.parts}


def eufcc(installed: Path, environment: dict[str, str], where: Path, *arguments: str) -> str:
    """What the command says on stdout; it succeeded."""
    done = subprocess.run(
        [installed / "bin/eufcc", *arguments], cwd=where, env=environment, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_the_metadata_and_the_size_of_the_wheel(wheel: Path):
    with zipfile.ZipFile(wheel) as opened:
        names = opened.namelist()
        metadata = Parser().parsestr(opened.read(next(n for n in names if n.endswith("METADATA"))).decode())
    assert wheel.stat().st_size < 5_000_000
    assert not [name for name in names if name.startswith(("tests", "benchmarks", "docs"))]
    assert {"Programming Language :: Python :: 3.11", "Development Status :: 4 - Beta"} <= set(
        metadata.get_all("Classifier")
    )
    assert metadata["Summary"]
    assert "europeana" in metadata["Keywords"]


def test_demo_run_and_assistant_from_an_empty_folder(installed: Path, environment: dict[str, str], tmp_path: Path):
    where = tmp_path / "work"
    where.mkdir()
    before = files_of(installed)
    said = eufcc(installed, environment, where, "demo")
    assert said.lstrip().startswith(f"all is kept in {where / 'eufcc_home'}")
    assert "report.html" in said
    assert [path.name for path in where.iterdir()] == ["eufcc_home"]
    standing = eufcc(installed, environment, where)
    assert str(where / "eufcc_home") in standing.replace("\n", "")
    port = free_port()
    desk = subprocess.Popen([installed / "bin/eufcc", "assistant", "--port", str(port)], cwd=where, env=environment)
    try:
        answer = None
        for _ in range(600):
            try:
                answer = httpx.get(f"http://127.0.0.1:{port}/api/about", timeout=5).status_code
                break
            except httpx.TransportError:
                assert desk.poll() is None
        assert answer == 200
    finally:
        end(desk)
    assert files_of(installed) == before


def test_a_folder_that_cannot_be_written_has_the_users_own_in_its_place(
    installed: Path, environment: dict[str, str], tmp_path: Path
):
    code = "import os; os.access = lambda path, mode, **_: False if str(path) == os.getcwd() else True\n"
    code += "from pipeline.home import default_home; print(default_home())"
    done = subprocess.run(
        [installed / "bin/python", "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == f"{environment['HOME']}/.local/share/eufcc"
