"""`python -m tests.rehearsal.serve FOLDER PORT`: serves the museum folder, and counts the requests (/counted)."""

import sys
from collections import Counter
from pathlib import Path

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from pipeline.sandbox.folder import MuseumFolder
from pipeline.sandbox.server import create_app, serve


class Counted:
    """Counts requests by the first part of their path."""

    def __init__(self, app: ASGIApp) -> None:
        self.app, self.counts = app, Counter[str]()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == "/counted":
            await JSONResponse(self.counts)(scope, receive, send)
            return
        if scope["type"] == "http":
            self.counts[scope["path"].split("/")[1]] += 1
        await self.app(scope, receive, send)


if __name__ == "__main__":
    serve(Counted(create_app(MuseumFolder(Path(sys.argv[1])))), int(sys.argv[2]), lambda address: None)
