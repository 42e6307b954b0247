"""The icon that the local thumbnail service sends for a missing thumbnail: ours, always the same bytes."""

import hashlib
from pathlib import Path

PLACEHOLDER = Path(__file__).with_name("placeholder.png").read_bytes()
PLACEHOLDER_SHA256 = hashlib.sha256(PLACEHOLDER).hexdigest()
