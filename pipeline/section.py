"""What every section of the settings is."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A section of the settings: unknown names are errors, values are frozen."""

    model_config = ConfigDict(frozen=True, extra="forbid")
