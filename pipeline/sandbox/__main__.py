"""`python -m pipeline.sandbox`: render a museum folder, serve one, or serve a large synthetic museum."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from pipeline.sandbox.faults import FAULTS, Faults
from pipeline.sandbox.folder import Museum, MuseumError
from pipeline.sandbox.server import PortInUse, create_app, serve
from pipeline.sandbox.synthetic import SyntheticMuseum

FAILED = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; a mistake of the caller is one sentence and exit code 2."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except MuseumError as error:
        print(error, file=sys.stderr)
    except PortInUse as error:
        print(error.strerror, file=sys.stderr)
    return FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m pipeline.sandbox", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    render = commands.add_parser("render", help="draw the demo's museum into a folder")
    render.add_argument("folder", type=Path)
    render.add_argument("--seed", type=int, default=340)
    render.add_argument("--images", type=int, default=1500)
    render.set_defaults(run=_render)
    folder = commands.add_parser("serve", help="serve a museum folder on loopback")
    folder.add_argument("folder", type=Path)
    folder.set_defaults(run=_serve_folder)
    synthetic = commands.add_parser("synthetic", help="serve any number of made-up records, without images")
    synthetic.add_argument("--records", type=int, default=100_000)
    synthetic.add_argument("--preserialised", action="store_true", help="write all items before the first answer")
    synthetic.set_defaults(run=_serve_synthetic)
    for command in (folder, synthetic):
        command.add_argument("--port", type=int, default=8765, help="0: any free one")
        command.add_argument("--api-key", help="the one key to accept; default: any and none")
        command.add_argument("--latency", type=float, default=0.0, help="seconds every API answer takes at least")
        command.add_argument("--faults", type=float, default=0.0, help="share of requests that are struck")
        command.add_argument(
            "--modes", default="", help=f"faults in play, by comma: {', '.join(f.name for f in FAULTS)}"
        )
        command.add_argument("--lasting", action="store_true", help="lasting faults strike every time")
        command.add_argument("--seed", type=int, default=0, help="seed of the faults")
    return parser


def _render(options: argparse.Namespace) -> int:
    from pipeline.sandbox.render import render_museum

    render_museum(options.folder, seed=options.seed, images=options.images)
    print(options.folder)
    return 0


def _serve_folder(options: argparse.Namespace) -> int:
    return _serve(Museum.load(options.folder), options)


def _serve_synthetic(options: argparse.Namespace) -> int:
    return _serve(SyntheticMuseum(options.records, preserialised=options.preserialised), options)


def _serve(museum: Museum | SyntheticMuseum, options: argparse.Namespace) -> int:
    faults = None
    if options.faults > 0:
        modes = tuple(name for name in options.modes.split(",") if name)
        try:
            faults = Faults(seed=options.seed, probability=options.faults, modes=modes, lasting=options.lasting)
        except ValueError as error:
            raise MuseumError(str(error)) from error
    app = create_app(museum, api_key=options.api_key, faults=faults, latency_s=options.latency)
    serve(app, options.port, lambda address: print(f"The local museum answers at {address}", flush=True))
    return 0


if __name__ == "__main__":
    sys.exit(main())
