"""`python -m ml.features`: see `ml.features.extract`."""

from ml.features.extract import main

main()
