"""What the processes in the sandbox do: packages are imported, the course's first cells run, and then a job is a fork.

The first one never holds a test. It forks one that does, for the tests, and one that does not, for the submissions.
"""

import contextlib
import importlib
import json
import socket
import sys
from dataclasses import replace
from typing import Any

from tml_helpers.grading import examiner, feedback, notebook
from tml_helpers.grading.exam import Exam
from tml_helpers.grading.server import LARGEST_REQUEST, Server, own_files, reap
from tml_helpers.grading.student import Student
from tml_helpers.grading.wire import Wire
from tml_helpers.grading.withhold import Withheld, places

REHEARSAL = b"""\
{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [
  {"cell_type": "markdown", "id": "a", "metadata": {}, "source": "# Title\\n\\n$x$ and `code`"},
  {"cell_type": "code", "id": "b", "metadata": {}, "source": "x = 1", "execution_count": null, "outputs": []}
]}"""


class Students:
    """Runs submissions, in a process where the first cells have been run, or in one where they have not.

    Neither has ever imported what the homework withholds.
    """

    def __init__(self, server: Server, agent: Student, hidden: list[str]) -> None:
        self.server, self.agent, self.hidden = server, agent, hidden

    def prepare(self, _: dict[str, Any], descriptors: list[int]) -> None:
        """Run the first cells, and stand ready."""
        control, link, files = descriptors
        cells = _sent(link)["cells"]

        def run() -> None:
            own_files(files, self.server.isolated)
            for source in cells:
                self.agent.run(source)

        self.server.roles = {"student": self.run}
        self.server.prepared(control, run)

    def run(self, _: dict[str, Any], descriptors: list[int]) -> None:
        """Run one submission, as its examiner asks over the wire."""
        wire, files, leash = descriptors
        self.server.job(lambda: self.agent.serve(_wire(wire)), [wire], leash, self.server.limits, files, self.hidden)


class Examiners:
    """Runs tests, in a process where the course's own part of the first cells has been run."""

    examiner: examiner.Examiner

    def __init__(self, server: Server, withheld: Withheld, modules: list[str]) -> None:
        self.server, self.withheld, self.modules = server, withheld, modules

    def prepare(self, _: dict[str, Any], descriptors: list[int]) -> None:
        """Learn the tests, run the course's first cells, and stand ready. Nothing is withheld from tests."""
        control, link, files = descriptors
        sys.meta_path.remove(self.withheld)
        _import(self.modules)
        self.examiner = examiner.Examiner(Exam.from_json(_sent(link)["exam"]))

        def run() -> None:
            own_files(files, self.server.isolated)
            self.examiner.prepare()

        self.server.roles = {"examine": self.examine}
        self.server.prepared(control, run)

    def examine(self, _: dict[str, Any], descriptors: list[int]) -> None:
        """Grade one submission; it may take as much again as the submission itself."""
        link, wire, files, leash = descriptors
        limits = replace(self.server.limits, cpu=2 * self.server.limits.cpu)
        self.server.job(lambda: self._answer(_wire(link), wire), [link, wire], leash, limits, files)

    def _answer(self, collector: Wire, wire: int) -> None:
        """Tell the collector what came out. It starts the submission's process, once it is told which."""

        def connect(begun: bool) -> Wire:
            collector.send({"student": begun})
            return _wire(wire)

        examiner.serve(collector, connect, examiner=self.examiner)


def main() -> None:
    """The first process: reads its settings, imports, and serves."""
    control = socket.socket(fileno=int(sys.argv[1]))
    settings = json.loads(control.recv(LARGEST_REQUEST))
    hidden, withheld = places(settings["withheld"]), Withheld(settings["withheld"])
    sys.meta_path.insert(0, withheld)
    _import(settings["modules"])
    shell = _shell()
    _rehearse(shell)
    server = Server(control, settings)
    students, examiners = Students(server, Student(shell), hidden), Examiners(server, withheld, settings["modules"])
    server.roles = {
        "student": students.run,
        "prepare student": students.prepare,
        "prepare examiner": examiners.prepare,
    }
    control.sendall(b'{"ready": true}')
    server.serve()
    reap(wait=True)


def _import(modules: list[str]) -> None:
    """Import what the model solution does, as far as it can be; without threads, which would keep it from forking."""
    for module in modules:
        with contextlib.suppress(BaseException):
            importlib.import_module(module)
    with contextlib.suppress(ImportError):
        import tqdm

        tqdm.tqdm.monitor_interval = 0


def _shell() -> Any:
    """IPython as a notebook has it, without history, and without another thread."""
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    config = Config()
    config.HistoryManager.enabled = False
    config.InteractiveShell.colors = "nocolor"
    return InteractiveShell.instance(config=config)


def _rehearse(shell: Any) -> None:
    """Read and show a notebook once, and an error: what that loads, every job would load anew after its fork."""
    notebook.load_format()
    parsed = notebook.parse(REHEARSAL, "rehearsal.ipynb")
    for cell in parsed.cells:
        feedback.fragment(cell, "shown")
    try:
        raise RuntimeError
    except RuntimeError:
        shell.InteractiveTB.structured_traceback(*sys.exc_info())


def _wire(descriptor: int) -> Wire:
    return Wire(socket.socket(fileno=descriptor))


def _sent(link: int) -> dict[str, Any]:
    """The one message that the collector sends over this link."""
    message: dict[str, Any] = _wire(link).receive()[0]
    return message
