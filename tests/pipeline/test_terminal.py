"""Texts for the terminal: nothing in them commands it."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.table import Table

from assets.engine.console import Terminal
from pipeline.terminal import one_line, printable

CLEAR = "\x1b[2J\x1b]8;;http://evil.example\x07"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/1/a\x1b[2J", "/1/a\\x1b[2J"),
        ("\x9b2J", "\\x9b2J"),
        ("a\rb", "a\\x0db"),
        ("a\u202eb\u2066c", "a\\u202eb\\u2066c"),
        ("a\ud800", "a\\ud800"),
        ("a\U000e0041", "a\\U000e0041"),
        ("Müller – 木 \U0001f3fa", "Müller – 木 \U0001f3fa"),
        ("two\nlines\tand", "two\nlines\tand"),
    ],
)
def test_commands_are_shown_as_escapes(text: str, shown: str):
    assert printable(text) == shown


def test_an_id_cannot_make_a_line_of_its_own():
    assert one_line("/1/a\n✓ ok\t\x1b") == "/1/a\\n✓ ok\\t\\x1b"


@given(st.text())
def test_no_text_holds_a_command(text: str):
    shown = printable(text)
    assert not any(letter < " " and letter not in "\n\t" for letter in shown)
    assert printable(shown) == shown
    assert "\n" not in one_line(text)


def terminal() -> Terminal:
    return Terminal(file=io.StringIO(), force_terminal=True, highlight=False, width=200, color_system="standard")


def printed(of: Terminal) -> str:
    written = of.file
    assert isinstance(written, io.StringIO)
    return written.getvalue()


def test_the_console_escapes_texts_and_keeps_its_own_colours():
    console = terminal()
    console.print(f"[red]{CLEAR}[/red] plain", markup=True)
    table = Table("a", title=CLEAR)
    table.add_row(f"x{CLEAR}")
    console.print(table)
    console.print_line(f"[link=http://evil.example]{CLEAR}\nnext")
    shown = printed(console)
    assert "\x1b[31m" in shown
    assert "\x1b[2J" not in shown
    assert "\x1b]8" not in shown
    assert "\\x1b[2J" in shown
    assert "[link=http://evil.example]" in shown
    assert "\\nnext" in shown
