"""Loss and validation curves of a training, as an image in Markdown for Dagster's pages."""

import base64
import io
from collections.abc import Sequence
from typing import Any

from PIL import Image, ImageDraw

SIZE, EDGE = (560, 220), 34
LOSS, VALIDATION, GREY = (176, 58, 46), (31, 97, 141), (120, 120, 120)


def curves(epochs: Sequence[dict[str, Any]]) -> str:
    """Draw the loss and the mean R-Precision on validation, by epoch; without images in validation the loss alone."""
    loss = [float(event["loss"]) for event in epochs]
    validation = [float(mean) for event in epochs if (mean := event["validation"]["mean"]) is not None]
    picture = Image.new("RGB", SIZE, "white")
    draw = ImageDraw.Draw(picture)
    draw.rectangle((EDGE, EDGE, SIZE[0] - EDGE, SIZE[1] - EDGE), outline=GREY)
    most = max(loss)
    step = (SIZE[0] - 2 * EDGE) / max(len(epochs) - 1, 1)
    for values, colour in (([value / most if most > 0 else 0.0 for value in loss], LOSS), (validation, VALIDATION)):
        heights = [(SIZE[1] - 2 * EDGE) * min(max(value, 0.0), 1.0) for value in values]
        points = [(EDGE + step * number, SIZE[1] - EDGE - height) for number, height in enumerate(heights)]
        draw.line(points, fill=colour, width=2)
        for point in points[-1:]:
            draw.circle(point, 3, fill=colour)
    draw.text((EDGE, 8), f"loss, 0 to {most:.3g}; last {loss[-1]:.3g}", fill=LOSS)
    validated = f"R-Precision on validation, 0 to 1; best {max(validation):.3f}" if validation else "no validation"
    draw.text((SIZE[0] // 2, 8), validated, fill=VALIDATION)
    draw.text((SIZE[0] // 2 - 20, SIZE[1] - EDGE + 10), f"{len(epochs)} epochs", fill=GREY)
    out = io.BytesIO()
    picture.quantize(16).save(out, "PNG", optimize=True)
    return f"![loss and validation by epoch](data:image/png;base64,{base64.b64encode(out.getvalue()).decode()})\n"
