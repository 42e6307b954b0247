"""The heads of the vision baselines: one small file each, a head together with its loss."""

from ml.models.heads.head import Head
from ml.models.heads.hsoftmax_levels import HSoftmaxLevels
from ml.models.heads.hsoftmax_nodes import HSoftmaxNodes
from ml.models.heads.multilabel import Asymmetric, Multilabel
from ml.models.heads.softmax import Softmax

HEADS: dict[str, type[Head]] = {
    "multilabel": Multilabel,
    "asymmetric": Asymmetric,
    "softmax": Softmax,
    "hsoftmax_nodes": HSoftmaxNodes,
    "hsoftmax_levels": HSoftmaxLevels,
}
