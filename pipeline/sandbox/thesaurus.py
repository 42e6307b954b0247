"""A SPARQL 1.1 endpoint over the museum's thesaurus, answering as Getty's does at `/sparql`."""

import json
import signal
import subprocess
import sys
import threading
import weakref
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import IO, cast
from urllib.parse import parse_qs

import pyoxigraph
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from pipeline.home import ROOT

MAX_QUERY = 1_000_000


@dataclass(frozen=True)
class SparqlLimits:
    """What a query may take. The museum is served without a project's settings, so these are none."""

    seconds: float = 30.0  # ours take less than one
    memory_mb: int = 4_096  # of its evaluation, with the thesaurus


class SparqlApi:
    """Answers queries over a thesaurus; a process of its own evaluates them, one at a time, within the limits."""

    def __init__(self, thesaurus: pyoxigraph.Store, limits: SparqlLimits | None = None) -> None:
        self.thesaurus, self.limits = thesaurus, limits or SparqlLimits()
        self._turn = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None  # started when it is needed

    async def query(self, request: Request) -> Response:
        """GET `?query=`, POST as a form, or POST with the query as the body; JSON or XML as `Accept` asks."""
        if request.headers.get("x-original-host", "").startswith("http://"):
            # Since spring 2026 plain http is answered like this; a POST body is lost on the way.
            query = f"?{request.url.query}" if request.url.query else ""
            return RedirectResponse(f"https://vocab.getty.edu{request.url.path}{query}", 301)
        text = await _query(request)
        if not text:
            return Response("MALFORMED QUERY: no query given", 400, media_type="text/plain")
        if len(text) > MAX_QUERY:
            return Response("Request entity too large", 413, media_type="text/plain")
        return await run_in_threadpool(self._answer, text, request.headers.get("accept", "*/*"))

    def _answer(self, text: str, accept: str) -> Response:
        with self._turn:
            new = self._process is None
            process = self._process = self._process or self._started()
            questions, answers = cast(IO[bytes], process.stdin), cast(IO[bytes], process.stdout)
            try:
                if new:
                    self._send_thesaurus(questions)
                questions.write(json.dumps({"text": text, "accept": accept}).encode() + b"\n")
                questions.flush()
                head = json.loads(answers.readline())
                return Response(answers.read(head["size"]), head["status"], media_type=head["media_type"])
            except (OSError, ValueError):  # it has ended: the pipe is closed, or there is no line
                self._process = None
                ended = _end(process)
        if ended == -signal.SIGALRM:
            what = f"it took more than {self.limits.seconds:g} s"
        else:
            what = f"it took more than {self.limits.memory_mb} MB, or broke the evaluation (exit code {ended})"
        return Response(f"QUERY NOT ANSWERED: {what}", 503, media_type="text/plain")

    def _started(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-m", "pipeline.sandbox.sparql_worker"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=ROOT,
        )  # fmt: skip
        weakref.finalize(self, _stop, process)
        return process

    def _send_thesaurus(self, questions: IO[bytes]) -> None:
        triples = (
            self.thesaurus.dump(format=pyoxigraph.RdfFormat.N_TRIPLES, from_graph=pyoxigraph.DefaultGraph()) or b""
        )
        questions.write(json.dumps({**asdict(self.limits), "size": len(triples)}).encode() + b"\n" + triples)


def _end(process: subprocess.Popen[bytes]) -> int:
    """Kills the process if it has not ended by itself; its exit code."""
    try:
        process.wait(timeout=1)  # its streams are closed a moment before it is gone
    except subprocess.TimeoutExpired:
        process.kill()
    for stream in (process.stdin, process.stdout):
        with suppress(OSError):  # what was not yet written is lost with it
            cast(IO[bytes], stream).close()
    return process.wait()


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.returncode is None:
        process.kill()
        _end(process)


async def _query(request: Request) -> str | None:
    if request.method == "GET":
        return request.query_params.get("query")
    body = (await request.body()).decode("utf-8", "replace")
    if request.headers.get("content-type", "").startswith("application/sparql-query"):
        return body
    if "\x00" in body:
        return None
    return (parse_qs(body).get("query") or [request.query_params.get("query") or ""])[0]
