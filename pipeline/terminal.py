"""Text for a terminal: characters that command it, or that turn the order of letters, are shown as escapes."""

import re

# C0 and C1 controls but newline and tab; the controls of bidirectional text (Unicode UAX 9); line separators; half
# surrogates; and the invisible letters of the block of tags.
COMMANDS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff\U000e0000-\U000e007f]"
)
LINES = {ord("\n"): "\\n", ord("\t"): "\\t"}


def printable(text: str) -> str:
    """The text with such characters as escapes, as Python writes them: `\\x1b[2J`, `\\u202e`."""
    return COMMANDS.sub(lambda found: _escaped(ord(found[0])), text)


def _escaped(point: int) -> str:
    return f"\\x{point:02x}" if point < 0x100 else f"\\u{point:04x}" if point < 0x1_0000 else f"\\U{point:08x}"


def one_line(text: str) -> str:
    """The same, with newlines and tabs as escapes too: an id cannot make a line of its own."""
    return printable(text).translate(LINES)
