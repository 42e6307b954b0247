"""`python -m ml.assistant --storage FOLDER`: serves the assistant, and says where."""

import argparse
import ipaddress
import os
import secrets
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

import sqlalchemy as sa
import uvicorn

from ml.assistant.app import create_app
from ml.assistant.decisions import DATABASE
from ml.assistant.full_thesaurus import terms_of_dumps, terms_of_table
from ml.assistant.limits import DeskLimits
from ml.assistant.remote_images import Elsewhere
from ml.assistant.service import Desk
from ml.assistant.store import Store
from ml.assistant.suggest import ModelInfo
from ml.assistant.trained import ModelError, find_models, start_with
from ml.assistant.vocabulary import LANGUAGES, Vocabulary, VocabularyError, read_tag_list, widened
from pipeline.parquet import TableError
from pipeline.settings import SettingsError
from pipeline.settings import load as load_settings
from pipeline.vocabulary.dump import DumpError

DEFAULT_PORT = 8760
FOR_PEOPLE = (
    SettingsError,
    VocabularyError,
    ModelError,
    DumpError,
    TableError,
    sa.exc.OperationalError,
    sa.exc.ArgumentError,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until stopped; 1 with one sentence on stderr when it cannot."""
    asked = _parser().parse_args(arguments)
    try:
        desk = make_desk(asked)
    except FOR_PEOPLE as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    token = None if _is_loopback(asked.host) else (asked.token or secrets.token_urlsafe(24))
    app = create_app(desk, token=token, hosts=asked.allow_host)
    try:
        opened = _bound(asked.host, asked.port)
    except OSError as error:
        print(f"error: {asked.host}:{asked.port} cannot be served ({error.strerror}); try --port 0.", file=sys.stderr)
        return 1
    _introduce(desk, asked.host, opened.getsockname()[1], token)
    uvicorn.Server(uvicorn.Config(app, log_level="warning", server_header=False)).run(sockets=[opened])
    return 0


def _bound(host: str, port: int) -> socket.socket:
    """A socket of this address; raises OSError when it is taken or not ours."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_STREAM)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        opened.bind((host, port))
    except OSError:
        opened.close()
        raise
    return opened


def make_desk(asked: argparse.Namespace) -> Desk:
    """The desk that the command line asks for."""
    dataset: Path = asked.dataset or asked.storage / "dataset"
    order, tags = read_tag_list(dataset / "tag_list.json")
    vocabulary = _vocabulary(asked, tags)
    models = find_models(
        asked.models or asked.storage / "models", asked.predictions or asked.storage / "predictions", dataset, order
    )
    start_with(models, asked.model, asked.storage)
    folder: Path = asked.folder or asked.storage / "assistant"
    of_folder = f"sqlite:///{folder / 'assistant.sqlite'}"
    return Desk(
        vocabulary=vocabulary,
        models=models,
        store=Store(asked.database or os.environ.get(DATABASE) or of_folder),
        folder=folder,
        dataset=dataset,
        records=asked.storage / "records.parquet",
        elsewhere=None if asked.no_fetch else _elsewhere(folder),
        blind_share=asked.blind_share,
        blind_seed=asked.seed,
    )


def _elsewhere(folder: Path) -> Elsewhere:
    settings, limits = load_settings(), DeskLimits()
    return Elsewhere(
        folder / "incoming",
        images=settings.images,
        http=settings.http,
        harvest=settings.harvest,
        max_bytes=limits.max_upload_bytes,
        most=limits.most_from_manifest,
    )


def _vocabulary(asked: argparse.Namespace, tags: list) -> Vocabulary:
    """The models' tags inside the AAT of the given dumps, else inside the storage's `concepts`, else alone."""
    if asked.thesaurus:
        return widened(tags, terms_of_dumps(asked.thesaurus))
    concepts = asked.storage / "concepts.parquet"
    return widened(tags, terms_of_table(concepts)) if concepts.exists() else Vocabulary(tags)


def _introduce(desk: Desk, host: str, port: int, token: str | None) -> None:
    """Where it serves, with what, in which languages."""
    total = len(desk.vocabulary)
    covered = ", ".join(
        f"{language} {n}" for language, n in desk.vocabulary.coverage().items() if language in LANGUAGES
    )
    info: ModelInfo | None = desk.models.infos.get(desk.models.default or "")
    model = f"{info.key} ({'; '.join(filter(None, (info.description, info.note)))})" if info else "none trained yet"
    print(f"{total} tags; with a label in: {covered}. Model: {model}. Images: {desk.store.progress()['all']}.")
    query = f"/?token={token}" if token else "/"
    host = f"[{host}]" if ":" in host else host
    print(f"The annotation assistant serves at http://{host}:{port}{query} (stop with Ctrl+C)", flush=True)


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
        raise argparse.ArgumentTypeError("a share lies between 0 and 1")
    return value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m ml.assistant", description=__doc__)
    parser.add_argument("--storage", type=Path, required=True, help="storage folder: dataset, models, predictions")
    parser.add_argument("--model", metavar="KEY", help="the model shown first (default: the best on validation)")
    parser.add_argument("--host", default="127.0.0.1", help="elsewhere than loopback a token is asked for")
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="0: any free one")
    parser.add_argument(
        "--database", metavar="URL", help=f"SQLAlchemy URL (default: ${DATABASE}, else SQLite in the storage folder)"
    )
    parser.add_argument("--folder", type=Path, help="where pictures and the default database are kept")
    parser.add_argument("--dataset", type=Path, help="default: <storage>/dataset")
    parser.add_argument("--models", type=Path, help="default: <storage>/models")
    parser.add_argument("--predictions", type=Path, help="default: <storage>/predictions")
    parser.add_argument(
        "--thesaurus",
        type=Path,
        nargs="+",
        default=[],
        metavar="FILE",
        help="dumps of the whole AAT (.nt, .nt.gz, .zip)",
    )
    parser.add_argument("--no-fetch", action="store_true", help="never ask another server, even when a person wants it")
    parser.add_argument("--blind-share", type=_share, default=0.0, help="share of images decided without suggestions")
    parser.add_argument("--seed", type=int, default=340, help="draws the blind share")
    parser.add_argument("--token", help="asked from whoever does not come over loopback (default: a new one)")
    parser.add_argument("--allow-host", nargs="*", default=[], metavar="NAME", help="further host names answered to")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
