"""The small dataset folder with its predictions."""

from tests.ml.scored import dataset, museum, predictions, report, storage

__all__ = ["dataset", "museum", "predictions", "report", "storage"]
