"""The tests of this folder use torch."""

from tests.ml.torch_threads import one_thread

__all__ = ["one_thread"]
