"""Processes that stand ready inside the sandbox: packages imported, the course's first cells run. A job is a fork.

The first one never holds a test. It forks one that does, for the tests, and one that does not, for the submissions.
"""

import contextlib
import gc
import importlib
import io
import json
import os
import select
import signal
import socket
import sys
import tarfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tml_helpers.grading import confine
from tml_helpers.grading.wire import Wire

Role = Callable[[dict[str, Any], list[int]], None]
LARGEST_REQUEST = 1 << 16
REHEARSAL = b"""\
{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [
  {"cell_type": "markdown", "id": "a", "metadata": {}, "source": "# Title\\n\\n$x$ and `code`"},
  {"cell_type": "code", "id": "b", "metadata": {}, "source": "x = 1", "execution_count": null, "outputs": []}
]}"""
LOOK = 0.5  # seconds between two looks at the memory of a job


class Server:
    """One such process: it forks for every request that comes over its control socket."""

    def __init__(self, control: socket.socket, settings: dict[str, Any]) -> None:
        self.control = control
        self.isolated = bool(settings["isolated"])
        self.limits = confine.Limits(**settings["limits"])
        self.private: list[str] = settings["private"]
        self.roles: dict[str, Role] = {}

    def serve(self) -> None:
        """Answer requests until the collector closes the socket."""
        gc.collect()
        gc.freeze()
        while True:
            request, descriptors, _, _ = socket.recv_fds(self.control, LARGEST_REQUEST, 8)
            if not request:
                return
            if os.fork() == 0:
                try:
                    self.control.close()
                    message = json.loads(request)
                    self.roles[message["role"]](message, descriptors)
                except BaseException:
                    traceback.print_exc()  # into the collector's log
                finally:
                    os._exit(0)
            for descriptor in descriptors:
                os.close(descriptor)
            reap()

    def job(self, work: Callable[[], None], keep: list[int], leash: int, limits: confine.Limits, files: int) -> None:
        """Run `work` in a confined child until it is done or the leash is cut: then it and all that it started end."""
        if self.isolated:
            confine.die_with_parent()
            confine.own_namespaces()
        child = os.fork()
        if child == 0:
            os.close(leash)
            os.setsid()
            content = os.pread(files, os.fstat(files).st_size, 0)
            if self.isolated:
                confine.die_with_parent()
                confine.private_files(limits, self.private)
            unpack(content)
            confine.set_limits(limits)
            if self.isolated:
                confine.give_up_rights()
            confine.keep_only(*keep)
            work()
            os._exit(0)
        for descriptor in (*keep, files):
            os.close(descriptor)
        ended = os.pidfd_open(child)
        while not select.select([leash, ended], [], [], LOOK)[0]:
            # The child has put the `/proc` of its own namespace in place of ours.
            if self.isolated and memory() > limits.memory:
                break
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
        os.waitpid(child, 0)

    def prepared(self, control: int, run: Callable[[], None]) -> None:
        """Serve from a process that has run the first cells, or, if they leave threads, from one that has not."""
        self.control = socket.socket(fileno=control)
        tried = os.fork()
        if tried == 0:
            confine.die_with_parent()
            with contextlib.suppress(BaseException):
                run()
            if len(os.listdir("/proc/self/task")) > 1:
                os._exit(3)
            self.control.sendall(b'{"prepared": true}')
            self.serve()
            reap(wait=True)
            os._exit(0)
        if os.waitstatus_to_exitcode(os.waitpid(tried, 0)[1]) != 0:
            self.control.sendall(b'{"prepared": false}')
            self.serve()
            reap(wait=True)


def main() -> None:
    """The first process: reads its settings, imports, and serves."""
    control = socket.socket(fileno=int(sys.argv[1]))
    settings = json.loads(control.recv(LARGEST_REQUEST))
    from tml_helpers.grading import examiner, student

    for module in settings["modules"]:
        with contextlib.suppress(BaseException):
            importlib.import_module(module)
    with contextlib.suppress(ImportError):
        import tqdm

        tqdm.tqdm.monitor_interval = 0  # its thread would keep a process from being forked
    server = Server(control, settings)
    shell = _shell()
    _rehearse(shell)

    def run_student(request: dict[str, Any], descriptors: list[int]) -> None:
        wire, files, leash = descriptors
        agent = request.get("agent") or student.Student(shell)
        server.job(lambda: agent.serve(Wire(socket.socket(fileno=wire))), [wire], leash, server.limits, files)

    def prepare_student(request: dict[str, Any], descriptors: list[int]) -> None:
        new_control, link, files = descriptors
        message, _buffers = Wire(socket.socket(fileno=link)).receive()
        agent = student.Student(shell)

        def run() -> None:
            _own_files(files, server.isolated)
            for source in message["cells"]:
                agent.run(source)

        server.roles = {"student": lambda request, d: run_student(request | {"agent": agent}, d)}
        server.prepared(new_control, run)

    def prepare_examiner(request: dict[str, Any], descriptors: list[int]) -> None:
        new_control, link, files = descriptors
        message, _buffers = Wire(socket.socket(fileno=link)).receive()
        taught = examiner.Examiner(examiner.Exam.from_json(message["exam"]))

        def run() -> None:
            _own_files(files, server.isolated)
            taught.prepare()

        def examine(_: dict[str, Any], descriptors: list[int]) -> None:
            link, wire, files, leash = descriptors

            def work() -> None:
                answer = Wire(socket.socket(fileno=link))

                def connect(begun: bool) -> Wire:
                    answer.send({"student": begun})
                    return Wire(socket.socket(fileno=wire))

                examiner.serve(answer, connect, examiner=taught)

            server.job(
                work,
                [link, wire],
                leash,
                confine.Limits(**{**vars(server.limits), "cpu": 2 * server.limits.cpu}),
                files,
            )

        server.roles = {"examine": examine}
        server.prepared(new_control, run)

    server.roles = {"student": run_student, "prepare student": prepare_student, "prepare examiner": prepare_examiner}
    control.sendall(b'{"ready": true}')
    server.serve()
    reap(wait=True)


def memory() -> float:
    """What the processes in `/proc` use together, in MiB; shared pages are divided among those that share them."""
    total = 0
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            total += int((process / "smaps_rollup").read_text(encoding="utf-8").partition("\nPss:")[2].split()[0])
    return total / 1024


def reap(*, wait: bool = False) -> None:
    """Take leave of the children that have ended."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, 0 if wait else os.WNOHANG)[0]:
            pass


def unpack(content: bytes) -> None:
    """Make the folder that code runs in, with these files."""
    apart = os.environ.get("TML_UNSANDBOXED")
    folder = Path(apart, str(os.getpid())) if apart else Path(confine.JOB, "work")
    folder.mkdir(parents=True)
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        archive.extractall(folder, filter="data")
    os.chdir(folder)
    if sys.path[0] != "":
        sys.path.insert(0, "")


def _own_files(files: int, isolated: bool) -> None:
    if isolated:
        confine.own_mounts()
    unpack(os.pread(files, os.fstat(files).st_size, 0))


def _rehearse(shell: Any) -> None:
    """Read and show a notebook once, and an error: what that loads, every job would load anew after its fork."""
    from tml_helpers.grading import feedback, notebook

    notebook.load_format()
    parsed = notebook.parse(REHEARSAL, "rehearsal.ipynb")
    for cell in parsed.cells:
        feedback.fragment(cell, "shown")
    try:
        raise RuntimeError
    except RuntimeError:
        shell.InteractiveTB.structured_traceback(*sys.exc_info())


def _shell() -> Any:
    """IPython as a notebook has it, without history, and without another thread."""
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    config = Config()
    config.HistoryManager.enabled = False
    config.InteractiveShell.colors = "nocolor"
    shell = InteractiveShell.instance(config=config)
    return shell
