"""The sandbox as the collector sees it: start it for an exam, hand it one submission after the other."""

import contextlib
import importlib.util
import io
import json
import os
import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tml_helpers.grading import cgroups
from tml_helpers.grading.confine import JOB, Limits
from tml_helpers.grading.wire import MIB, Broken, Wire

UNPRIVILEGED = 65533  # the user that root becomes: it owns nothing
STEP_DOWN = ["setpriv", f"--reuid={UNPRIVILEGED}", f"--regid={UNPRIVILEGED}", "--clear-groups", "--inh-caps=-all"]
STARTING = 600.0  # seconds for imports and the course's own first cells
SLACK = 30.0  # seconds beyond its time that an examiner has to say what came out
ENDING = 30.0  # seconds in which a job that is killed must be gone
LARGEST_REPLY = 64 * MIB
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
SETTINGS = (
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/fonts",
    "/etc/alternatives",
    "/etc/localtime",
)
DEVICES = ("null", "zero", "full", "random", "urandom")
ENVIRONMENT = {
    "HOME": JOB,
    "TMPDIR": JOB,
    "LANG": "C.UTF-8",
    "USER": "student",
    "PATH": "/usr/bin:/bin",
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    "NBGRADER_EXECUTION": "autograde",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "PYTHONHASHSEED": "0",
}


class Failed(Exception):
    """The sandbox could not be started; the text says what to do."""


@dataclass(frozen=True)
class Task:
    """What a sandbox is started for.

    exam: as JSON. cells: those that every submission begins with. files: what lies beside the released notebook, a tar
    archive. modules: to import before anything. hidden: the folder that nobody inside may see. seconds: for one cell.
    canaries: submissions to begin with, of which the first is due `due` points, and each other none. withheld: modules
    that submissions do not have.
    """

    exam: str
    cells: list[str]
    files: bytes
    modules: list[str]
    hidden: str
    seconds: float
    canaries: list[tuple[str, "Submission"]]
    due: float
    isolated: bool = True
    limits: Limits = field(default_factory=Limits)
    withheld: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Submission:
    """One notebook as it was handed in, and a tar archive of what lies beside it."""

    name: str
    content: bytes
    files: bytes


def missing() -> str:
    """Why nothing can be graded in a sandbox here, in one sentence; empty if it can be."""
    if sys.platform != "linux":
        return "grading needs Linux: grade in a virtual machine, a container or on a server"
    if shutil.which("bwrap") is None:
        return "bubblewrap, which isolates submissions, is not installed: run `apt-get install bubblewrap`"
    return ""


def trial() -> str:
    """Why no sandbox starts on this machine, in one sentence; empty if it does."""
    if reason := missing():
        return reason
    command = [
        "bwrap",
        "--unshare-user",
        "--unshare-pid",
        "--unshare-net",
        "--ro-bind",
        "/",
        "/",
        "--proc",
        "/proc",
        "true",
    ]
    made = subprocess.run(command if os.geteuid() else [*STEP_DOWN, *command], capture_output=True, cwd="/")
    last = made.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
    return f"bubblewrap is not allowed to isolate here ({''.join(last)})" if made.returncode else ""


class Sandbox:
    """Processes that stand ready for one exam, in a bubblewrap of their own. Examines one submission at a time."""

    def __init__(self, task: Task) -> None:
        """Raises Failed where the machine does not let it start."""
        self.task = task
        self.group = cgroups.Group(task.limits.memory + 2048, 4 * task.limits.processes)
        for left in cgroups.left_behind(Path(tempfile.gettempdir())):
            shutil.rmtree(left, ignore_errors=True)
        self.folder = tempfile.TemporaryDirectory(prefix=f"{cgroups.PREFIX}{os.getpid()}-")
        os.chmod(self.folder.name, 0o755)
        self.private: list[str] = []
        self.log = tempfile.TemporaryFile()  # noqa: SIM115  (closed by close)
        try:
            self.control = self._start()
            self.examiners, _ = self._prepare("prepare examiner", {"exam": task.exam})
            self.students, told = self._prepare("prepare student", {"cells": task.cells})
            self.students_ready = bool(told["prepared"])
        except BaseException:
            self.close()
            raise

    def examine(self, submission: Submission, seconds: float, allowed: list[Any] | None) -> dict[str, Any]:
        """What the examiner says of a submission; nothing of it outlives the call.

        `allowed`: what tests may do to its objects, as the model solution's report says; None for the model solution.

        Raises TimeoutError where it takes too long in all, Broken where the examiner did not survive it.
        """
        with contextlib.ExitStack() as closing:

            def pair() -> tuple[socket.socket, socket.socket]:
                ends = socket.socketpair()
                return closing.enter_context(ends[0]), closing.enter_context(ends[1])

            link, link_there = pair()
            wire, wire_there = pair()
            leashes = pair(), pair()
            given = closing.enter_context(_memory(self.task.files))
            handed_in = closing.enter_context(_memory(submission.files))
            _ask(self.examiners, {"role": "examine"}, [link_there, wire, given, leashes[0][1]])
            link_there.close()
            wire.close()
            leashes[0][1].close()
            answers = Wire(link, largest=LARGEST_REPLY)
            answers.until = time.monotonic() + seconds + SLACK
            request = {"name": submission.name, "allowed": allowed, "prepared": self.students_ready, "seconds": seconds}
            try:
                answers.send(request, [submission.content])
                reply, _ = answers.receive()
                if isinstance(reply, dict) and "student" in reply:
                    server = self.students if reply["student"] else self.control
                    _ask(server, {"role": "student"}, [wire_there, handed_in, leashes[1][1]])
                    wire_there.close()
                    reply, _ = answers.receive()
            finally:
                self._end(leashes)
            return reply if isinstance(reply, dict) else {}

    def _end(self, leashes: tuple[tuple[socket.socket, socket.socket], ...]) -> None:
        """Cut the leashes, and wait until all that hung on them has ended: nothing of it may disturb the next."""
        for mine, theirs in leashes:
            theirs.close()
            mine.settimeout(ENDING)
            try:
                mine.shutdown(socket.SHUT_WR)
                mine.recv(1)
            except TimeoutError:
                self.process.kill()
            except OSError:
                continue

    def alive(self) -> bool:
        """Whether it can examine another submission."""
        return self.process.poll() is None

    def close(self) -> None:
        """End every process, and forget."""
        for name in ("examiners", "students", "control"):
            if hasattr(self, name):
                getattr(self, name).close()
        if hasattr(self, "process"):
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.group.close()
        self.folder.cleanup()
        self.log.close()

    def _start(self) -> socket.socket:
        control, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        program = "from tml_helpers.grading import roles; roles.main()"
        python = [sys.executable, "-s", "-P", "-c", program, str(there.fileno())]
        if self.task.isolated:
            command, environment = self._bubblewrap(python), {"PATH": os.environ.get("PATH", os.defpath)}
        else:
            command, environment = (
                python,
                os.environ | ENVIRONMENT | dict.fromkeys(("TML_UNSANDBOXED", "HOME", "TMPDIR"), self.folder.name),
            )
        with there:
            self.process = subprocess.Popen(
                self.group.entering(command), env=environment, pass_fds=[there.fileno()],
                stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, cwd="/",
            )  # fmt: skip
        settings = {"isolated": self.task.isolated, "limits": asdict(self.task.limits), "modules": self.task.modules}
        settings |= {"private": self.private, "withheld": self.task.withheld}
        with contextlib.suppress(BrokenPipeError):
            control.sendall(json.dumps(settings).encode())
        self._ready(control)
        return control

    def _prepare(self, role: str, message: dict[str, Any]) -> tuple[socket.socket, dict[str, Any]]:
        """A server with the course's first cells run, and what it says of itself."""
        control, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        link, link_there = socket.socketpair()
        with there, link, link_there, _memory(self.task.files) as files:
            _ask(self.control, {"role": role}, [there, link_there, files])
            link_there.close()
            Wire(link).send(message)
        return control, self._ready(control)

    def _ready(self, control: socket.socket) -> dict[str, Any]:
        control.settimeout(STARTING)
        try:
            told = control.recv(1 << 16)
        except ConnectionResetError:
            told = b""
        except TimeoutError as error:
            raise Failed(f"the sandbox was not ready within {STARTING:g} seconds") from error
        control.settimeout(None)
        if not told:
            self.log.seek(0)
            last = self.log.read().decode(errors="replace").strip().splitlines()[-1:]
            raise Failed(f"the sandbox does not start ({''.join(last) or 'no reason given'}): see `tml doctor`")
        answer: dict[str, Any] = json.loads(told)
        return answer

    def _bubblewrap(self, python: list[str]) -> list[str]:
        """The command inside a sandbox: the system and Python to read, and nothing else of this machine."""
        folders, search = _python_folders(self.task.modules, Path(self.task.hidden))
        shown: list[str] = []
        command = ["bwrap", "--unshare-user", "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts"]
        command += [
            "--as-pid-1",
            "--unshare-cgroup-try",
            "--new-session",
            "--uid",
            "1000",
            "--gid",
            "1000",
            "--hostname",
            "grading",
        ]
        command += ["--cap-drop", "ALL", "--cap-add", "CAP_SYS_ADMIN", "--cap-add", "CAP_SETPCAP", "--clearenv"]
        environment = ENVIRONMENT | {"PATH": f"{Path(sys.executable).parent}:{ENVIRONMENT['PATH']}"}
        environment["PYTHONPATH"] = ":".join(search)
        for name, value in environment.items():
            command += ["--setenv", name, value]
        for name in (*SYSTEM, *SETTINGS):
            if os.path.islink(name) and name in SYSTEM:
                command += ["--symlink", os.readlink(name), name]
            elif os.path.exists(name):
                shown.append(name)
        shown += [str(folder) for folder in folders if not folder.is_relative_to("/usr")]
        # Where Python itself lies in /tmp, jobs have no /tmp of their own.
        self.private = [JOB, "/dev/shm"] + ["/tmp"] * (not any(path.startswith("/tmp/") for path in shown))
        command += ["--tmpfs", "/tmp", "--tmpfs", JOB]
        made: set[Path] = set()
        for path in shown:
            for parent in reversed(Path(path).parents[:-1]):
                if parent not in made:
                    command += ["--perms", "0755", "--dir", str(parent)]
                    made.add(parent)
            command += ["--ro-bind", path if os.geteuid() else f"{self.folder.name}/{shown.index(path)}", path]
        for folder in shown:
            if Path(self.task.hidden).is_relative_to(folder):
                command += ["--tmpfs", self.task.hidden]
        command += ["--proc", "/proc", "--perms", "0755", "--dir", "/dev", "--tmpfs", "/dev/shm"]
        for device in DEVICES:
            command += ["--dev-bind", f"/dev/{device}", f"/dev/{device}"]
        command += ["--remount-ro", "/", "--remount-ro", "/tmp", "--chdir", JOB, "--", *python]
        return command if os.geteuid() else self._stepped_down(command, shown)

    def _stepped_down(self, command: list[str], shown: list[str]) -> list[str]:
        """The command as another user than root, who may enter none of the folders that only root may.

        So what the sandbox shows is mounted first where everybody may go, in a mount namespace of this command alone.
        """
        lines = ["set -e", 'stage="$1"; shift', 'mount -t tmpfs -o mode=0755 none "$stage"']
        for number, path in enumerate(shown):
            make = "mkdir" if Path(path).is_dir() else "touch"
            lines += [f'{make} "$stage/{number}"; mount --rbind "$1" "$stage/{number}"; shift']
        lines += [f'exec {" ".join(STEP_DOWN)} "$@"']
        outer = ["unshare", "--mount", "--propagation", "private", "sh", "-c", "\n".join(lines), "sh"]
        return [*outer, self.folder.name, *shown, *command]


def archive(folder: Path, leave_out: set[str], most: int = 100 * MIB) -> tuple[bytes, list[str]]:
    """A folder's plain files as a tar archive, without those names at its top; and what else was left out.

    Raises ValueError where it is too large.
    """
    made, left, skipped = io.BytesIO(), most, list[str]()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for place, folders, files in os.walk(folder):
            for name in sorted(files):
                path = Path(place, name)
                known = str(path.relative_to(folder))
                if known in leave_out:
                    continue
                if path.is_symlink() or not path.is_file():
                    skipped.append(known)
                    continue
                left -= path.stat().st_size
                if left < 0:
                    raise ValueError(f"what lies beside the notebook is larger than {most // MIB} MiB: hand in less")
                tar.add(path, known, recursive=False)
            skipped += [
                str(Path(place, name).relative_to(folder)) for name in folders if Path(place, name).is_symlink()
            ]
    return made.getvalue(), skipped


def _python_folders(modules: list[str], hidden: Path) -> tuple[list[Path], list[str]]:
    """Where Python, its packages, and each of these modules lie, and what of it Python would not search by itself."""
    packages = [p for p in sys.path if Path(p).name in ("site-packages", "dist-packages") and Path(p).is_dir()]
    packages = [p for p in packages if not hidden.is_relative_to(p)]
    # Of a folder that was added to the path, only the modules that are asked for are shown.
    search = [*packages, *filter(None, os.environ.get("PYTHONPATH", "").split(":"))]
    found = [Path(sys.base_prefix), Path(sys.prefix), *map(Path, packages)]
    for name in {"tml_helpers", *(module.split(".")[0] for module in modules)}:
        with contextlib.suppress(ImportError, ValueError, AttributeError):
            spec = importlib.util.find_spec(name)
            places = list(spec.submodule_search_locations or []) if spec else []
            origin = [spec.origin] if spec and spec.origin and not places and Path(spec.origin).is_file() else []
            found += [Path(place) for place in (*places, *origin)]
    apart: list[Path] = []
    for path in found:
        if not any(path.is_relative_to(other) for other in apart):
            apart.append(path)
    return apart, search


def _memory(content: bytes) -> Any:
    """An anonymous file with this content."""
    file = os.fdopen(os.memfd_create("files"), "w+b")
    file.write(content)
    file.flush()
    return file


def _ask(control: socket.socket, request: dict[str, Any], descriptors: list[Any]) -> None:
    """Send a request with open files to a server. Raises Broken where it is gone."""
    try:
        socket.send_fds(control, [json.dumps(request).encode()], [d.fileno() for d in descriptors])
    except OSError as error:
        raise Broken("the sandbox ended") from error


def merged(first: bytes, second: bytes) -> bytes:
    """Two archives as one; what is in the second counts."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for content in (first, second):
            with tarfile.open(fileobj=io.BytesIO(content)) as part:
                for member in part:
                    tar.addfile(member, part.extractfile(member))
    return made.getvalue()
