"""`python -m ml.assistant --storage FOLDER`: serves the assistant and prints its address."""

import argparse
import ipaddress
import os
import re
import secrets
import socket
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from urllib.parse import quote

from ml.assistant import people_command
from ml.assistant.app import create_app
from ml.assistant.connections import server
from ml.assistant.decisions import DATABASE
from ml.assistant.full_thesaurus import terms_of, terms_of_dumps
from ml.assistant.limits import AssistantLimits
from ml.assistant.remote_images import RemoteImages
from ml.assistant.service import AssistantService
from ml.assistant.store import DatabaseError, Store
from ml.assistant.stored_features import stored_features
from ml.assistant.trained import ModelError, find_models, start_with
from ml.assistant.vocabulary import (
    Term,
    Vocabulary,
    VocabularyError,
    read_tag_list,
    with_alignment,
    with_full_thesaurus,
)
from pipeline.foreign_parquet import TableError
from pipeline.settings import SettingsError
from pipeline.settings import load as load_settings
from pipeline.tables import CONCEPTS, PUBLISHED_ALIGNMENT
from pipeline.vocabulary.dump import DumpError

DEFAULT_PORT = 8760
# Their messages are sentences for the user.
USER_ERRORS = (SettingsError, VocabularyError, ModelError, DumpError, TableError, DatabaseError)
TOKEN = "ASSISTANT_TOKEN"  # noqa: S105  # environment variable; other users of the machine can read a command line
COOKIE_TEXT = re.compile(r"[A-Za-z0-9._~+/=-]+")  # what a cookie and a header can carry as it is


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until stopped. Returns 1, with one sentence on stderr, if that is not possible."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] == ["user"]:
        return people_command.main(arguments[1:])
    options = _parser().parse_args(arguments)
    try:
        token = token_of(options, os.environ)
        service = make_service(options)
        service.people.read()
    except USER_ERRORS as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    hosts = [_host_in_address(each) for each in (*options.allow_host, options.host)] if options.allow_host else []
    if token is None and not service.people and _is_open(options):
        token = secrets.token_urlsafe(24)
    app = create_app(service, token=token, hosts=hosts, user_header=options.user_header)
    listener = new_listener(options.host)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((options.host, options.port))
        listener.listen(service.limits.accepted_at_once)  # from here on clients can connect
    except OSError as error:
        listener.close()
        reason = f"{_host_in_address(options.host)}:{options.port} cannot be served ({error.strerror})"
        print(f"error: {reason}; try --port 0.", file=sys.stderr)
        return 1
    _introduce(service, options.host, listener.getsockname()[1], token)
    server(app, service.limits, service.refusals, proxies=options.trusted_proxy).run(sockets=[listener])
    return 0


def new_listener(host: str) -> socket.socket:
    """A socket for connections to this host.

    It names TCP as its protocol: only then does asyncio send the body of an answer at once. Otherwise the body waits up
    to 40 ms for the client to acknowledge the headers (Nagle's algorithm).
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)


def token_of(options: argparse.Namespace, environ: Mapping[str, str]) -> str | None:
    """The given token that all clients share; None without one.

    Raises SettingsError for a token that is empty or cannot be carried in a cookie, and for a header of a proxy that
    could not prove itself.
    """
    given = environ.get(TOKEN) if options.token is None else options.token
    if given is not None and not COOKIE_TEXT.fullmatch(given):
        allowed = "letters, digits and . _ ~ + / = -"
        raise SettingsError(f"The token (--token or {TOKEN}) must not be empty and may contain only {allowed}.")
    if options.user_header and not (given and options.trusted_proxy):
        reason = f"the proxy's address (--trusted-proxy) and a token that only the proxy sends ({TOKEN})"
        raise SettingsError(f"--user-header {options.user_header} needs {reason}; see docs/security.md.")
    return given


def _is_open(options: argparse.Namespace) -> bool:
    """Whether others than this machine may reach the desk."""
    return bool(options.allow_host or options.trusted_proxy or not _is_loopback(options.host))


def make_service(options: argparse.Namespace) -> AssistantService:
    """The service for these command-line options."""
    storage: Path = options.storage
    dataset: Path = options.dataset or storage / "dataset"
    folder: Path = options.folder or storage / "assistant"
    order, tags = read_tag_list(dataset / "tag_list.json")
    models, predictions = options.models or storage / "models", options.predictions or storage / "predictions"
    models = find_models(models, predictions, dataset, order)
    start_with(models, options.model, storage)
    return AssistantService(
        vocabulary=_vocabulary(options, tags, list(order)),
        models=models,
        store=Store(options.database or os.environ.get(DATABASE) or f"sqlite:///{folder / 'assistant.sqlite'}"),
        folder=folder,
        dataset=dataset,
        records=storage / "records.parquet",
        stored=partial(stored_features, storage / "features", folder, load_settings().features),
        remote_images=None if options.no_fetch else _remote_images(folder),
        blind_share=options.blind_share,
        blind_seed=options.seed,
    )


def _remote_images(folder: Path) -> RemoteImages:
    settings = load_settings()
    return RemoteImages(
        folder / "incoming",
        limits=AssistantLimits(),
        images=settings.images,
        http=settings.http,
        harvest=settings.harvest,
    )


def _vocabulary(options: argparse.Namespace, tags: list[Term], facets: list[str]) -> Vocabulary:
    """The models' tags inside the AAT of the given dumps or of the storage's `concepts` table, if there is either.

    Tags of the published files stay at their paths.
    """
    concepts, alignment = (options.storage / f"{table}.parquet" for table in ("concepts", "published_alignment"))
    if options.thesaurus:
        thesaurus = terms_of_dumps(options.thesaurus)
    else:
        thesaurus = [*terms_of(CONCEPTS.read(concepts))] if concepts.exists() else []
    if alignment.exists():
        ids = PUBLISHED_ALIGNMENT.read(alignment, ["tag_id", "concept_id"]).drop_nulls("concept_id")
        return with_alignment(tags, dict(ids.iter_rows()), thesaurus, facets)
    return with_full_thesaurus(tags, thesaurus, facets)


def _introduce(service: AssistantService, host: str, port: int, token: str | None) -> None:
    """Print the number of tags and labels, the model, and the address."""
    labels = ", ".join(f"{language} {n}" for language, n in service.vocabulary.coverage().items())
    info = service.models.infos.get(service.models.default or "")
    model = f"{info.key} ({'; '.join(filter(None, (info.description, info.note)))})" if info else "none trained yet"
    images = service.store.progress()["all"]
    print(f"{len(service.vocabulary)} tags; with a label in: {labels}. Model: {model}. Images: {images}.")
    query = f"?token={quote(token, safe='')}" if token else ""  # in a query, + means a space
    address = f"http://{_host_in_address(host)}:{port}/{query}"
    print(f"The annotation assistant serves at {address} (stop with Ctrl+C)", flush=True)


def _host_in_address(host: str) -> str:
    """The host as an address and a Host header write it: an IPv6 address in brackets, in its short form."""
    try:
        return f"[{ipaddress.IPv6Address(host)}]"
    except ValueError:
        return host


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError("a share is between 0 and 1")
    return value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m ml.assistant", description=__doc__)
    add = parser.add_argument
    add("--storage", type=Path, required=True, help="storage folder: dataset, models, predictions")
    add("--model", metavar="KEY", help="the model shown first (default: the best on validation)")
    add("--host", default="127.0.0.1", help="any other than a loopback address requires a token (default: %(default)s)")
    add("--port", type=int, default=DEFAULT_PORT, help="0: any free port (default: %(default)s)")
    add("--database", metavar="URL", help=f"SQLAlchemy URL (default: ${DATABASE}, or SQLite in the storage folder)")
    add("--folder", type=Path, help="folder for pictures and the default database (default: <storage>/assistant)")
    for name in ("dataset", "models", "predictions"):
        add(f"--{name}", type=Path, help=f"default: <storage>/{name}")
    dumps = "dumps of the full AAT (.nt, .nt.gz, .zip)"
    add("--thesaurus", type=Path, nargs="+", default=[], metavar="FILE", help=dumps)
    add("--no-fetch", action="store_true", help="never ask another server, even at a person's request")
    add("--blind-share", type=_share, default=0.0, help="share of images decided without suggestions")
    add("--seed", type=int, default=340, help="seed of the blind share")
    shared = f"token that all share (default: ${TOKEN}; none on loopback or with named tokens, else a new one)"
    add("--token", help=shared)
    add("--allow-host", nargs="*", default=[], metavar="NAME", help="public host names to answer; requires a token")
    proxies = "addresses of reverse proxies whose X-Forwarded-For and -Proto are believed; requires a token"
    add("--trusted-proxy", nargs="*", default=[], metavar="ADDRESS", help=proxies)
    by_header = "header in which such a proxy names who signed in there, such as X-Remote-User (default: none)"
    add("--user-header", metavar="NAME", help=by_header)
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
