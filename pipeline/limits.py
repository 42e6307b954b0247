"""Limits on what others have made: the section `limits` of the settings."""

from pydantic import BaseModel, ConfigDict, Field

from pipeline.foreign_parquet import TEXT_BYTES


class LimitSettings(BaseModel):
    """How much is read of the files that others have made; what is larger is refused in one sentence, unread."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    release_images: int = 5_000_000  # ours: of a split or a release; 14 times the published dataset
    text_bytes: int = TEXT_BYTES  # ours: of an id, a name or an address
    values_per_row: int = 1_000  # ours: of one list, as the tags of an image
    sparql_s: float = Field(default=30.0, gt=0)  # ours: of a query to the local museum; ours take less than a second
    sparql_memory_mb: int = 4_096  # ours: of its evaluation, with the thesaurus


LIMITS = LimitSettings()  # of commands that read somebody's files without a project
