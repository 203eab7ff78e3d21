"""A process that stands ready inside the sandbox: it forks for every request, and confines what it runs for a job."""

import contextlib
import gc
import io
import json
import os
import select
import shutil
import signal
import socket
import sys
import tarfile
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tml_helpers.grading import confine

Role = Callable[[dict[str, Any], list[int]], None]
LARGEST_REQUEST = 1 << 16
LOOK = 0.5  # seconds between two looks at the memory of a job


class Server:
    """Answers what comes over its control socket; `roles` says who does."""

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

    def job(
        self,
        work: Callable[[], None],
        keep: list[int],
        leash: int,
        limits: confine.Limits,
        files: int,
        hidden: Sequence[str] = (),
    ) -> None:
        """Run `work` in a confined child until it is done or the leash is cut: then it and all that it started end.

        hidden: folders and files that it does not see.
        """
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
                confine.hide(hidden)
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
        for member in archive:  # one by one: `extractall` has no filter before Python 3.11.4
            place = Path(os.path.normpath(folder / member.name))
            file = archive.extractfile(member) if member.isfile() else None
            if file is None or not place.is_relative_to(folder):
                raise ValueError(f"{member.name} is no plain file, or lies outside of the folder")
            place.parent.mkdir(parents=True, exist_ok=True)
            with place.open("wb") as written:
                shutil.copyfileobj(file, written)
            place.chmod(0o600 | member.mode & 0o755)
    os.chdir(folder)
    if sys.path[0] != "":
        sys.path.insert(0, "")


def own_files(files: int, isolated: bool) -> None:
    """The folder with these files, where this process and its children alone see what is written into it."""
    if isolated:
        confine.own_mounts()
    unpack(os.pread(files, os.fstat(files).st_size, 0))
