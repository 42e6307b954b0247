"""`python -m assets.cli`: the command `eufcc`."""

from assets.cli.app import main

main()
