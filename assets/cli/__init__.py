"""The command `eufcc`."""

from assets.cli.app import main

__all__ = ["main"]
