"""`python -m pipeline.sandbox`: render a museum folder, or serve one."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from pipeline.published.format import PublishedError
from pipeline.sandbox.folder import MuseumError, MuseumFolder
from pipeline.sandbox.server import PortInUse, create_app, serve
from pipeline.terminal import one_line

FAILED = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; a mistake of the caller is one sentence and exit code 2."""
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except (MuseumError, PublishedError) as error:
        print(one_line(str(error)), file=sys.stderr)
        return FAILED
    except PortInUse as error:
        print(error.strerror, file=sys.stderr)
        return FAILED
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m pipeline.sandbox", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    render = commands.add_parser("render", help="draw the demo's museum into a folder")
    render.add_argument("folder", type=Path)
    render.add_argument("--seed", type=int, default=340)
    render.add_argument("--images", type=int, default=1500)
    render.set_defaults(run=_render)
    published = commands.add_parser("published", help="draw the museums behind a folder of published files")
    published.add_argument("published", type=Path, help="the folder with train.csv")
    published.add_argument("folder", type=Path)
    published.set_defaults(run=_render_published)
    served = commands.add_parser("serve", help="serve a museum folder on loopback")
    served.add_argument("folder", type=Path)
    served.add_argument("--port", type=int, default=8765, help="0: any free one")
    served.add_argument("--api-key", help="the one key to accept; default: any and none")
    served.set_defaults(run=_serve)
    return parser


def _render(options: argparse.Namespace) -> None:
    from pipeline.sandbox.render import render_museum  # Pillow and numpy: a server needs no drawing

    render_museum(options.folder, seed=options.seed, images=options.images)
    print(options.folder)


def _render_published(options: argparse.Namespace) -> None:
    from pipeline.sandbox.published.world import render_published

    render_published(options.published, options.folder)
    print(options.folder)


def _serve(options: argparse.Namespace) -> None:
    app = create_app(MuseumFolder(options.folder), api_key=options.api_key)
    serve(app, options.port, lambda address: print(f"The local museum answers at {address}", flush=True))


if __name__ == "__main__":
    sys.exit(main())
