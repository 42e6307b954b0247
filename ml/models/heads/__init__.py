"""The heads of the vision baselines: a head together with its loss."""

from ml.models.heads.head import Head
from ml.models.heads.hsoftmax import HSoftmaxLevels, HSoftmaxNodes
from ml.models.heads.multilabel import Asymmetric, Multilabel
from ml.models.heads.softmax import Softmax

HEADS: dict[str, type[Head]] = {
    "multilabel": Multilabel,
    "asymmetric": Asymmetric,
    "softmax": Softmax,
    "hsoftmax_nodes": HSoftmaxNodes,
    "hsoftmax_levels": HSoftmaxLevels,
}
