"""Where runs, tables and drawn museums are kept."""

import os
from pathlib import Path

HOME = "EUFCC_HOME"
ROOT = Path(__file__).parents[1]  # of a checkout, or the site-packages of an installation


def default_home() -> Path:
    """The folder in EUFCC_HOME; without it, `dagster_home` of a checkout.

    An installation keeps nothing beside its code: it has `eufcc_home` in the working folder, or, where that cannot be
    written, `eufcc` in XDG_DATA_HOME (https://specifications.freedesktop.org/basedir-spec/latest/).
    """
    if named := os.environ.get(HOME):
        return Path(named).expanduser().resolve()
    if (ROOT / "pyproject.toml").is_file():
        return ROOT / "dagster_home"
    here = Path.cwd() / "eufcc_home"
    if here.is_dir() or os.access(Path.cwd(), os.W_OK):
        return here
    return Path(os.environ.get("XDG_DATA_HOME") or "~/.local/share").expanduser() / "eufcc"
