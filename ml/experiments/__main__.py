"""`python -m ml.experiments`: train rows of the benchmark and write their predictions."""

from ml.experiments.run import main

raise SystemExit(main())
