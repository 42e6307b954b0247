"""How a trainer ended is told with what to do."""

import pytest

from assets.engine.training_process import how_it_ended


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        (3, "The training process ended with code 3; its output is in the log."),
        (
            -9,
            "The training process was ended by SIGKILL (if nobody did so: the machine was out of memory): run the same"
            " job again, it goes on at its last checkpoint.",
        ),
        (-15, "The training process was ended by SIGTERM: run the same job again, it goes on at its last checkpoint."),
    ],
)
def test_a_code_or_a_signal(code: int, sentence: str):
    assert how_it_ended(code) == sentence
