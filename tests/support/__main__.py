"""`python -m tests.support MUSEUM`: serve a museum folder, or so many made-up records, slow or failing if asked."""

import argparse
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from pipeline.sandbox.folder import MuseumError
from pipeline.sandbox.server import PortInUse
from tests.support.faults import FAULTS, Faults
from tests.support.museum_server import running
from tests.support.synthetic import SyntheticMuseum


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until interrupted; a mistake of the caller is one sentence and exit code 2."""
    options = _parser().parse_args(arguments)
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())  # also where whoever started this ignores it
    try:
        with running(
            SyntheticMuseum(int(options.museum)) if options.museum.isdigit() else Path(options.museum),
            port=options.port,
            api_key=options.api_key,
            faults=_faults(options),
            latency_s=options.latency,
            image_latency_s=options.image_latency,
            preserialised=options.preserialised,
        ) as address:
            print(f"The local museum answers at {address}", flush=True)
            stopped.wait()
        return 0
    except MuseumError as error:
        print(error, file=sys.stderr)
    except PortInUse as error:
        print(error.strerror, file=sys.stderr)
    except KeyboardInterrupt:
        return 0
    return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.support", description=__doc__)
    parser.add_argument("museum", help="a museum folder, or a number of made-up records without images")
    parser.add_argument("--port", type=int, default=8765, help="0: any free one")
    parser.add_argument("--api-key", help="the one key to accept; default: any and none")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds every API answer takes at least")
    parser.add_argument("--image-latency", type=float, default=0.0, help="seconds every image takes at least")
    parser.add_argument("--preserialised", action="store_true", help="write all items before the first answer")
    parser.add_argument("--faults", type=float, default=0.0, help="share of requests that are struck")
    parser.add_argument("--modes", default="", help=f"faults in play, by comma: {', '.join(f.name for f in FAULTS)}")
    parser.add_argument("--lasting", action="store_true", help="lasting faults strike every time")
    parser.add_argument("--seed", type=int, default=0, help="seed of the faults")
    return parser


def _faults(options: argparse.Namespace) -> Faults | None:
    if options.faults <= 0:
        return None
    modes = tuple(name for name in options.modes.split(",") if name)
    try:
        return Faults(seed=options.seed, probability=options.faults, modes=modes, lasting=options.lasting)
    except ValueError as error:
        raise MuseumError(str(error)) from error


if __name__ == "__main__":
    sys.exit(main())
