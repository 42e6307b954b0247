"""The command line."""

import socket
import subprocess
import sys

import httpx
import pytest

from pipeline.sandbox.__main__ import main
from tests.support import __main__ as troubled


def test_a_port_in_use_is_one_clear_sentence(museum_folder, capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["serve", str(museum_folder), "--port", str(port)]) == 2
    said = capsys.readouterr().err
    assert said == f"Port {port} is in use; stop the program on it, or choose another with --port.\n"


def test_a_missing_museum_is_one_clear_sentence(tmp_path, capsys):
    assert main(["serve", str(tmp_path / "no")]) == 2
    assert capsys.readouterr().err.startswith("There is no museum folder at ")


def test_an_unknown_fault_is_one_clear_sentence(museum_folder, capsys):
    assert troubled.main([str(museum_folder), "--faults", "0.5", "--modes", "earthquake"]) == 2
    assert "Unknown fault 'earthquake'" in capsys.readouterr().err


@pytest.mark.parametrize("command", [("pipeline.sandbox", "serve"), ("tests.support",)])
def test_the_command_serves_until_it_is_stopped(museum_folder, command):
    command = [sys.executable, "-m", *command, str(museum_folder), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        address = server.stdout.readline().split()[-1]
        page = httpx.get(f"{address}/record/v2/search.json", params={"query": "*", "rows": 0}, timeout=10).json()
        server.terminate()
        assert server.wait(10) in (0, -15)
    assert page["success"] is True
