"""A read-only FTP server on loopback with the commands that ftplib sends: RFC 959, with RFC 2428 and 3659."""

import socket
import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class _Session(socketserver.StreamRequestHandler):
    """One client. `server.root` is served; `server.cut_after` bytes of the first download end its connection."""

    server: Any
    listener: socket.socket | None = None
    rest = 0
    place = ""

    def handle(self) -> None:
        self.say("220 ready")
        while line := self.rfile.readline():
            command, _, value = line.decode().strip().partition(" ")
            self.server.commands.append(f"{command} {value}".strip())
            answer = getattr(self, f"do_{command.lower()}", None)
            if answer is None or command in self.server.unknown:
                self.say("502 not implemented")
            else:
                answer(value)

    def finish(self) -> None:
        if self.listener is not None:
            self.listener.close()
        super().finish()

    def say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())

    def file(self, name: str) -> Path:
        return self.server.root / self.place.strip("/") / name

    def do_user(self, value: str) -> None:
        self.say("230 logged in" if value == "anonymous" else "530 anonymous only")

    def do_type(self, _: str) -> None:
        self.say("200 binary")

    def do_cwd(self, value: str) -> None:
        self.place = value
        self.say("250 there" if self.file("").is_dir() else "550 no such folder")

    def do_pasv(self, _: str) -> None:
        if self.listener is not None:
            self.listener.close()
        self.listener = socket.create_server(("127.0.0.1", 0))
        port = self.listener.getsockname()[1]
        self.say(f"227 (127,0,0,1,{port // 256},{port % 256})")

    def do_opts(self, _: str) -> None:
        self.say("200 fine")

    def do_size(self, name: str) -> None:
        self.say(f"213 {self.file(name).stat().st_size}" if self.file(name).is_file() else "550 no such file")

    def do_rest(self, value: str) -> None:
        self.rest = int(value)
        self.say("350 go on")

    def do_mlsd(self, _: str) -> None:
        lines = []
        for file in sorted(self.file("").iterdir()):
            changed = time.strftime("%Y%m%d%H%M%S", time.gmtime(file.stat().st_mtime))
            lines.append(f"size={file.stat().st_size};modify={changed}; {file.name}\r\n")
        self.send("".join(lines).encode())

    def do_nlst(self, _: str) -> None:
        self.send("".join(f"{file.name}\r\n" for file in sorted(self.file("").iterdir())).encode())

    def do_retr(self, name: str) -> None:
        if not self.file(name).is_file():
            self.say("550 no such file")
            return
        content, self.rest = self.file(name).read_bytes()[self.rest :], 0
        if self.server.cut_after is not None:
            content, self.server.cut_after = content[: self.server.cut_after], None
            self.send(content, "426 connection lost")
        else:
            self.send(content)

    def send(self, content: bytes, end: str = "226 done") -> None:
        self.say("150 here it comes")
        assert self.listener is not None
        with self.listener, self.listener.accept()[0] as data:
            data.sendall(content)
        self.say(end)

    def do_quit(self, _: str) -> None:
        self.say("221 bye")


class FtpServer(socketserver.ThreadingTCPServer):
    """The server of a folder; `commands` are those that it was sent."""

    allow_reuse_address = daemon_threads = True

    def __init__(self, root: Path, unknown: tuple[str, ...] = (), cut_after: int | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Session)
        self.root, self.unknown, self.cut_after = root, unknown, cut_after
        self.commands: list[str] = []

    @property
    def address(self) -> str:
        return f"ftp://127.0.0.1:{self.server_address[1]}"


@contextmanager
def ftp_server(root: Path, unknown: tuple[str, ...] = (), cut_after: int | None = None) -> Iterator[FtpServer]:
    """Serve a folder while the context lasts. `unknown`: commands that it refuses, as old servers do."""
    with FtpServer(root, unknown, cut_after) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server
        finally:
            server.shutdown()
