"""The peers: each benchmark's packages, pinned in `peers.txt`, in a virtual environment of their own."""

import subprocess
import sys
import venv
from pathlib import Path

from threadpoolctl import threadpool_info

HERE = Path(__file__).parent
PINS = HERE / "peers.txt"


def pins(benchmark: str) -> list[str]:
    """The pinned packages of a benchmark, as `package==version`; lines are `benchmark: package==version`."""
    lines = [line.partition("#")[0].strip() for line in PINS.read_text(encoding="utf-8").splitlines()]
    named = [line.split(":", 1) for line in lines if line]
    return [package.strip() for name, package in named if name.strip() == benchmark]


def version(benchmark: str) -> str:
    """The first pin's version: the peer itself, for the `peer_version` of the result."""
    return pins(benchmark)[0].partition("==")[2]


def blas_kernels() -> str:
    """The kernels of OpenBLAS in this process: those of the processor, unless OPENBLAS_CORETYPE names others."""
    libraries = threadpool_info()
    return "/".join(sorted({info["architecture"] for info in libraries if info["internal_api"] == "openblas"}))


def peer_python(benchmark: str) -> Path:
    """The interpreter of the benchmark's environment, which is made when it is missing or its pins have changed."""
    folder = HERE.parent / f".venv-peer-{benchmark}"
    python, note = folder / "bin" / "python", folder / "pins"
    wanted = pins(benchmark)
    if not wanted:
        raise SystemExit(f"benchmarks/peers.txt names no package for {benchmark!r}.")
    if not note.exists() or note.read_text(encoding="utf-8") != "\n".join(wanted):
        print(f"Making {folder.name} with {', '.join(wanted)} …", file=sys.stderr)
        venv.create(folder, with_pip=False, clear=True)
        uv = Path(sys.executable).with_name("uv")
        subprocess.run(
            [uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", python, *wanted],
            check=True,
            stdout=sys.stderr,
        )
        note.write_text("\n".join(wanted), encoding="utf-8")
    return python
