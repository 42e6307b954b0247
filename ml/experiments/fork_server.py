"""`python -m ml.experiments.fork_server SOCKET`: imports torch once, and forks a trainer for each request.

Importing torch, timm and open_clip takes longer than many a row of the demo. A request is one line of JSON with the
arguments of `python -m ml.experiments`; what the trainer prints goes back over the same connection, followed by its
exit code. The process ends when its standard input closes, that is with the process that started it.
"""

import json
import os
import select
import socket
import sys
from pathlib import Path


def serve(file: Path) -> None:
    """Answer requests one after the other until standard input ends; a request may come before the imports are done."""
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(file))
            server.listen()
            import ml.experiments.run
            import ml.models.clip  # noqa: F401  what the forks need

            while True:
                ready, _, _ = select.select([server, sys.stdin], [], [])
                if sys.stdin in ready:
                    return
                connection, _ = server.accept()
                with connection:
                    answer(connection)
    finally:
        file.unlink(missing_ok=True)


def answer(connection: socket.socket) -> None:
    """Train what the request asks for in a fork, and say how it ended."""
    with connection.makefile("r", encoding="utf-8") as request:
        arguments = json.loads(request.readline())
    child = os.fork()
    if child == 0:
        _train(connection, arguments)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    try:
        connection.sendall(json.dumps({"event": "exit", "code": code}).encode() + b"\n")
    except BrokenPipeError:
        return  # whoever asked is gone


def _train(connection: socket.socket, arguments: list[str]) -> None:
    """The fork: stdout is the connection, and nothing of the parent's clean-up runs."""
    from ml.experiments.run import main

    code = 1
    try:
        os.dup2(connection.fileno(), 1)
        code = main(arguments)
        sys.stdout.flush()
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(code)


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
