"""How many images of a tag the inner test should and may have (protocol, section 4)."""

from fractions import Fraction

from pipeline.settings import SplitSettings

# In the problem of a tag whose bounds do not hold because older images keep their splits.
EARLIER_SPLITS = "the earlier splits"


def exact(share: float) -> Fraction:
    """The share as its decimal digits say, so that 0.33 of 100 is 33 on every machine."""
    return Fraction(str(share))


def bounds_of_tag(facet: str, n_left: int, settings: SplitSettings) -> tuple[int, int]:
    """The minimum and the maximum of inner test images of a tag with `n_left` images outside the outer test.

    The maximum is a share of these, rounded down; the minimum is that of the facet, where the maximum allows it.
    """
    share = exact(settings.max_tag_share)
    maximum = n_left * share.numerator // share.denominator
    return min(settings.min_test_images[facet], maximum), maximum
