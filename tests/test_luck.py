"""The tool that tries a homework's tests under many keys sees each way in which a verdict can hang on one."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "tools"))
from luck import Answer, Homework, Trial, row

ANSWER = """\
import torch

def twice(x):
    return x + x

def noise():
    torch.manual_seed(0)
    return torch.rand(())
"""


def trial(test: str, keys: int = 40) -> Trial:
    """A homework of one question, with that test."""
    return Trial(Homework(["import torch"], [ANSWER], {"q": test}), keys)


def wrong(says: str) -> Answer:
    """An answer that adds nothing, which must fail."""
    return Answer("wrong", "", {"twice": "def twice(x):\n    return x"}, frozenset({"q"}), says)


@pytest.mark.parametrize(
    ("test", "good"),
    [
        ("x = 1 + torch.rand(())\nassert twice(x) == 2 * x", True),
        ("x = torch.rand(())\nassert twice(x) < 1, 'large'", False),
        ("noise()\nassert torch.rand(()) < 0.5, 'large'", False),  # what an answer seeds is its own
    ],
)
def test_right_answer_must_pass_under_every_key(test: str, good: bool) -> None:
    assert row(None, trial(test).of(None))[1] is good


@pytest.mark.parametrize(
    ("test", "good"),
    [
        ("x = 1 + torch.rand(())\nassert twice(x) > 2, 'twice'", True),
        ("x = torch.rand(())\nassert twice(x) > 0.5, 'twice'", False),
        ("x = torch.rand(())\nassert x < 0.5, 'large'\nassert twice(x) > 9, 'twice'", False),
    ],
)
def test_wrong_answer_must_fail_and_hear_its_words_under_every_key(test: str, good: bool) -> None:
    answer = wrong("twice")
    assert row(answer, trial(test).of(answer))[1] is good


def test_test_that_draws_nothing_is_run_once() -> None:
    runs: list[int] = []
    tried = trial("runs.append(1)\nassert twice(1) == 2")
    tried.locked["runs"] = runs
    assert tried.of(None)["q"] == [None] * 40
    assert len(runs) == 1
