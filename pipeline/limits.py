"""Limits on what others have made: the section `limits` of the settings."""

from pipeline.foreign_parquet import TEXT_BYTES
from pipeline.section import Section


class LimitSettings(Section):
    """How much is read of the files that others have made; what is larger is refused in one sentence, unread."""

    release_images: int = 5_000_000  # ours: of a split or a release; 14 times the published dataset
    text_bytes: int = TEXT_BYTES  # ours: of an id, a name or an address
    values_per_row: int = 1_000  # ours: of one list, as the tags of an image


LIMITS = LimitSettings()  # of commands that read somebody's files without a project
