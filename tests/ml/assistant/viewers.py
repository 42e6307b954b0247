"""IIIF viewers from the package index."""

import subprocess
import tarfile
from pathlib import Path


def npm_package(name: str, folder: Path) -> Path:
    """The files of an npm package, such as `mirador@3.4.3`, unpacked below the folder."""
    subprocess.run(["npm", "pack", "--silent", name], cwd=folder, check=True, timeout=300)
    (archive,) = folder.glob("*.tgz")
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    return folder / "package"
