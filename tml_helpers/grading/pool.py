"""A process's sandboxes for one task: none examines a student's work before the canaries have come out right."""

import math
import os
import threading
import time
from dataclasses import dataclass, replace
from typing import Any

from tml_helpers.grading.sandbox import Sandbox, Submission, Task
from tml_helpers.grading.wire import Broken

LEAST, TIMES = 60.0, 20.0  # a submission may take so many seconds and so many times as long as the model solution


class Wrong(Exception):
    """A canary did not come out right; the text says which, and what it got."""


@dataclass(frozen=True)
class Learned:
    """What the canaries told: what tests may do to a submission's objects, and the model solution's seconds."""

    allowed: list[Any]
    model: float


class Pool:
    """As many sandboxes as submissions are examined at once."""

    def __init__(self, task: Task, learned: Learned | None = None) -> None:
        """`learned`: of the same task in the same environment; None examines the canaries, and learns it.

        Raises Wrong where a canary does not come out right, Failed where the sandbox does not start.
        """
        self.task = task
        began = time.monotonic()
        self.free: list[Sandbox] = [Sandbox(task)]
        self.start = time.monotonic() - began
        self.lock = threading.Lock()
        self.seconds = 3600.0
        self.allowed: list[Any] | None = None
        try:
            self.learned = learned or self._check()
        except BaseException:
            self.close()
            raise
        self.allowed = self.learned.allowed
        self.seconds = max(LEAST, task.seconds) + TIMES * self.learned.model

    def examine(self, submission: Submission) -> dict[str, Any]:
        """The report on a submission; one that the sandbox does not survive gets a report that says so."""
        with self.lock:
            sandbox = self.free.pop() if self.free else None
        sandbox = sandbox or Sandbox(self.task)
        try:
            report = sandbox.examine(submission, self.seconds, self.allowed)
        except TimeoutError:
            report = {"status": "timeout", "remarks": [f"it took longer than {self.seconds:.0f} seconds in all"]}
        except Broken:
            reason = "the process that reads it and runs its tests ended: it may be too large, or no Python can read it"
            report = {"status": "failed", "remarks": [reason]}
        if sandbox.alive():
            with self.lock:
                self.free.append(sandbox)
        else:
            sandbox.close()
        return report

    def worth(self, submissions: int) -> int:
        """How many sandboxes so many submissions are worth: another one where they take as long as it takes to start.

        A submission is taken to last as long as the model solution. There is no use in more than one per core.
        """
        return min(len(os.sched_getaffinity(0)), 1 + int(submissions * self.learned.model / self.start))

    def close(self) -> None:
        """End all that wait."""
        while self.free:
            self.free.pop().close()

    def _check(self) -> Learned:
        learned = Learned([], 0.0)
        for place, (name, submission) in enumerate(self.task.canaries):
            began = time.monotonic()
            report = self.examine(replace(submission, files=self.task.files))
            scores = {question: score for question, score in report.get("scores", {}).items() if score is not None}
            if place == 0:
                self._check_model(report, scores)
                learned = Learned(report["allowed"], time.monotonic() - began)
                self.allowed = learned.allowed
                self.seconds = max(LEAST, self.task.seconds) + TIMES * learned.model
            elif any(scores.values()):
                given = ", ".join(f"{score:g} for {question}" for question, score in scores.items() if score)
                raise Wrong(f"{name} would get points ({given}): such a test must fail without an answer")
        return learned

    def _check_model(self, report: dict[str, Any], scores: dict[str, float]) -> None:
        if report["status"] != "ok":
            raise Wrong(f"the model solution came out as {report['status']} ({'; '.join(report['remarks'])})")
        if not math.isclose(sum(scores.values()), self.task.due):
            said = [f"{question}: {text}" for question, text in report["messages"].items()]
            got = f"{sum(scores.values()):g} of {self.task.due:g} points"
            raise Wrong(f"the model solution gets {got} ({'; '.join(said)}): is a package missing, or a test wrong?")
