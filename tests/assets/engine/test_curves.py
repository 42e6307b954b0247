"""The curves in Dagster's metadata are a picture with both lines in it, small enough for the event log."""

import base64
import io

from PIL import Image

from assets.engine.curves import LOSS, VALIDATION, curves


def test_both_curves_are_drawn():
    epochs = [{"epoch": n, "loss": 3.0 / n, "validation": {"mean": 1 - 0.9 / n}} for n in range(1, 21)]
    markdown = curves(epochs)
    assert markdown.startswith("![loss and validation by epoch](data:image/png;base64,")
    assert len(markdown) < 16_000
    picture = Image.open(io.BytesIO(base64.b64decode(markdown.partition("base64,")[2].strip().rstrip(")"))))
    colours = {colour for _, colour in picture.convert("RGB").getcolors() or []}
    for wanted in (LOSS, VALIDATION):
        assert any(max(abs(a - b) for a, b in zip(wanted, colour, strict=True)) <= 24 for colour in colours)


def test_one_epoch_and_a_loss_of_nought_can_be_drawn():
    assert curves([{"loss": 0.0, "validation": {"mean": 0.5}}]).endswith(")\n")


def test_a_training_without_validation_has_the_curve_of_its_loss():
    epochs = [{"loss": loss, "validation": {"mean": None}} for loss in (2.0, 1.0)]
    assert curves(epochs).startswith("![loss and validation by epoch](data:image/png;base64,")
