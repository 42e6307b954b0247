"""The trained models, each loaded when it is first used."""

from collections.abc import Callable, Iterable, Mapping

from ml.assistant.calibration import Calibration
from ml.assistant.suggest import ModelInfo, Suggester
from ml.dataset.confirmed import NO_GROUP


class UnknownModel(Exception):
    """The assistant has no model with this key."""


class Models:
    """The trained models by key; a model is loaded when it is first used.

    `group_of` gives the group of an image, which nothing in a model's memory may be of that counts for the image.
    """

    def __init__(
        self,
        loaders: Mapping[str, Callable[[], Suggester]],
        infos: Iterable[ModelInfo],
        default: str | None,
        calibrations: Mapping[str, dict[str, Calibration]] | None = None,
    ):
        self.calibrations = calibrations or {}  # by model and facet
        self.infos = {info.key: info for info in infos}
        self.default = default
        self.group_of: Callable[[str], int] = lambda image_id: NO_GROUP
        self._loaders = loaders
        self._loaded: dict[str, Suggester] = {}

    def info(self, key: str | None) -> ModelInfo:
        """What is known of a model, without a key of the default one. Raises UnknownModel."""
        info = self.infos.get(key or self.default or "")
        if info is None:
            raise UnknownModel(f"There is no model {key!r}." if key else "There is no trained model.")
        return info

    def get(self, key: str | None) -> Suggester:
        """The model, loaded. Raises UnknownModel."""
        key = key or self.default
        if key is None or key not in self._loaders:
            raise UnknownModel(f"There is no model {key!r}." if key else "There is no trained model.")
        if key not in self._loaded:
            loaded = self._loaders[key]()
            loaded.group_of = self.group_of
            self._loaded[key] = loaded
        return self._loaded[key]
