"""Schemas of run configuration that check every value at launch, so that a run with a wrong one never starts."""

from typing import Any

import dagster as dg
from dagster._config.errors import PostProcessingError
from dagster._core.errors import DagsterUserCodeProcessError
from dagster._utils.error import SerializableErrorInfo
from pydantic import ValidationError


def fields_of(config: type[dg.Config]) -> dict[str, dg.Field]:
    """The schema of a `dg.Config` class, all of whose fields have defaults, with their bounds.

    Dagster's own schema of such a class has the types alone: what is out of bounds would fail in the running step.
    """
    return {
        name: dg.Field(_Bounded(config, name, field), default_value=field.default_value, description=field.description)
        for name, field in config.to_fields_dict().items()
    }


class _Bounded(dg.Noneable):
    """The type of one field; Dagster calls `post_process` before it makes a run."""

    def __init__(self, config: type[dg.Config], name: str, field: dg.Field) -> None:
        super().__init__(getattr(field.config_type, "inner_type", field.config_type))
        self.key = f"{self.key}.{config.__name__}.{name}"  # Dagster keeps one type per key
        self._config, self._name = config, name

    def post_process(self, value: Any) -> Any:
        """The value as it was given. Raises PostProcessingError, with a sentence, when it is out of bounds."""
        try:
            self._config(**{self._name: value})
        except ValidationError as error:
            problem = error.errors()[0]["msg"]
            raise _OutOfBounds(f"{self._name} cannot be {value!r}: {problem[0].lower()}{problem[1:]}.") from None
        return value


class _OutOfBounds(PostProcessingError, DagsterUserCodeProcessError):
    """A value out of bounds. As an error that brings its own description it is shown without a stack trace."""

    def __init__(self, sentence: str) -> None:
        told = SerializableErrorInfo(message=sentence, stack=[], cls_name=None)
        super().__init__(sentence, user_code_process_error_infos=[told])
