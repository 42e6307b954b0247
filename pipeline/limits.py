"""Limits on what others have made: the section `limits` of the settings."""

from pydantic import BaseModel, ConfigDict, Field


class LimitSettings(BaseModel):
    """How much is read of the files that others have made; what is larger is refused in one sentence, unread."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rows_per_image: float = Field(default=2.0, ge=1)  # ours: of predictions; enough to name an image that came twice
    release_images: int = 5_000_000  # ours: of a split or a release; 14 times the published dataset
    text_bytes: int = 10_000  # ours: of an id, a name or an address; the longest URL that is fetched has 8,000
    values_per_row: int = 1_000  # ours: of one list, as the tags of an image
    sparql_s: float = Field(default=30.0, gt=0)  # ours: of a query to the local museum; ours take less than a second
    sparql_memory_mb: int = 4_096  # ours: of its evaluation, with the thesaurus


LIMITS = LimitSettings()  # of commands that read somebody's files without a project
