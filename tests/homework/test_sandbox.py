"""The sandbox as it is begun: what it may see, what it is given, and what it says where it cannot start."""

import io
import os
import shutil
import stat
import sys
import tarfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tml_helpers.grading import sandbox, server
from tml_helpers.grading.confine import Limits
from tml_helpers.grading.sandbox import Sandbox, Task, archive, merged


def names(content: bytes) -> dict[str, bytes]:
    """The files of an archive; of two with one name the last, as unpacking leaves it."""
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        return {member.name: (tar.extractfile(member) or io.BytesIO()).read() for member in tar}


def test_plain_files_go_along(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    for name in ("a.ipynb", "a.txt", "a/a.ipynb", "a/b/c.txt"):
        (tmp_path / name).write_text(name, encoding="utf-8")
    (tmp_path / "link").symlink_to("a.txt")
    (tmp_path / "a/folder").symlink_to("b")
    os.mkfifo(tmp_path / "pipe")
    content, skipped = archive(tmp_path, {"a.ipynb"})
    assert names(content) == {name: name.encode() for name in ("a.txt", "a/a.ipynb", "a/b/c.txt")}
    assert sorted(skipped) == ["a/folder", "link", "pipe"]


def test_files_that_are_together_too_large(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).write_bytes(bytes(2**20))
    assert len(names(archive(tmp_path, set(), 2 * 2**20)[0])) == 2
    with pytest.raises(ValueError, match="larger than 1 MiB"):
        archive(tmp_path, set(), 2 * 2**20 - 1)
    assert names(archive(tmp_path, {"a"}, 2**20)[0]).keys() == {"b"}


def test_the_course_s_files_replace_the_student_s(tmp_path: Path) -> None:
    made = []
    for number, files in enumerate([("both", "theirs"), ("both", "ours")]):
        folder = tmp_path / str(number)
        folder.mkdir()
        for name in files:
            (folder / name).write_text(f"{number}", encoding="utf-8")
        made.append(archive(folder, set())[0])
    assert names(merged(*made)) == {"both": b"1", "theirs": b"0", "ours": b"1"}


@pytest.fixture
def begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """A sandbox of an ordinary user's, not started; its course is in a folder of its own."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    made = Sandbox.__new__(Sandbox)
    made.task = Task("{}", [], b"", ["json"], str(tmp_path / "course"), 30.0, [], 0.0)
    made.folder = SimpleNamespace(name="/stage")
    return made


def after(command: list[str], option: str, most: int) -> list[list[str]]:
    """What follows each place where the command has the option."""
    return [command[n + 1 : n + 1 + most] for n, word in enumerate(command) if word == option]


def test_what_a_sandbox_is_cut_off_from(begun: Sandbox) -> None:
    command = begun._bubblewrap(["python", "x"])
    options, program = command[: command.index("--")], command[command.index("--") + 1 :]
    assert (options[0], program) == ("bwrap", ["python", "x"])
    assert {f"--unshare-{name}" for name in ("user", "pid", "net", "ipc", "uts", "cgroup-try")} <= set(options)
    assert {"--as-pid-1", "--new-session", "--clearenv"} <= set(options)
    assert "--share-net" not in options
    assert (after(options, "--uid", 1), after(options, "--gid", 1)) == ([["1000"]], [["1000"]])
    assert after(options, "--cap-drop", 1) == [["ALL"]]
    assert after(options, "--cap-add", 1) == [["CAP_SYS_ADMIN"], ["CAP_SETPCAP"]]  # given up before code runs
    assert options.index("--cap-drop") < options.index("--cap-add")


def test_what_a_sandbox_sees(begun: Sandbox) -> None:
    """The system and Python, to read; nothing of HOME, /etc, /var, /tmp or the course."""
    options = begun._bubblewrap(["python"])
    shown = after(options, "--ro-bind", 2)
    assert all(source == place for source, place in shown), "an ordinary user's command binds what it names"
    places = [place for _, place in shown]
    for closed in ("/", "/etc", "/var", "/home", "/root", "/tmp", "/proc", "/sys", "/run", "/dev", str(Path.home())):
        assert closed not in places
    assert not any(Path(begun.task.hidden).is_relative_to(place) for place in places)
    assert any(Path(sys.base_prefix).is_relative_to(place) for place in places)
    assert not {"--bind", "--bind-try"} & set(options)
    devices = [f"/dev/{name}" for name in ("null", "zero", "full", "random", "urandom")]
    assert after(options, "--dev-bind", 2) == [[device, device] for device in devices]
    assert after(options, "--remount-ro", 1) == [["/"], ["/tmp"]]
    assert ["/job"] in after(options, "--tmpfs", 1)
    assert after(options, "--chdir", 1) == [["/job"]]
    assert begun.private[:2] == ["/job", "/dev/shm"]


def test_a_course_among_the_packages_is_hidden(begun: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    hidden = Path(begun.task.hidden)
    monkeypatch.setattr(sandbox, "_python_folders", lambda *_: ([hidden.parent, Path("/opt")], ["/opt"]))
    options = begun._bubblewrap(["python"])
    assert [str(hidden)] in after(options, "--tmpfs", 1)
    assert options.index(str(hidden.parent)) < options.index(str(hidden)) < options.index("--remount-ro")
    elsewhere = ([hidden.parent / "other"], [])
    monkeypatch.setattr(sandbox, "_python_folders", lambda *_: elsewhere)
    assert [str(hidden)] not in after(begun._bubblewrap(["python"]), "--tmpfs", 1)


def test_the_variables_of_a_sandbox(begun: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """None of this machine's but the path of Python."""
    monkeypatch.setenv("SECRET", "1")
    monkeypatch.setattr(sandbox, "_python_folders", lambda *_: ([], ["/a", "/b"]))
    assert dict(after(begun._bubblewrap(["python"]), "--setenv", 2)) == {
        "HOME": "/job",
        "TMPDIR": "/job",
        "LANG": "C.UTF-8",
        "USER": "student",
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "NBGRADER_EXECUTION": "autograde",
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "PYTHONHASHSEED": "0",
        "PYTHONPATH": "/a:/b",
    }


def test_root_becomes_a_user_who_owns_nothing(begun: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(sandbox, "_python_folders", lambda *_: ([Path("/opt/python")], []))
    command = begun._bubblewrap(["python"])
    assert command[:6] == ["unshare", "--mount", "--propagation", "private", "sh", "-c"]
    script, inner = command[6], command[command.index("bwrap") :]
    step = "setpriv --reuid=65533 --regid=65533 --clear-groups --inh-caps=-all"
    assert script.splitlines()[-1] == f'exec {step} "$@"'
    assert script.startswith("set -e\n")
    shown = command[9 : command.index("bwrap")]
    assert after(inner, "--ro-bind", 2) == [[f"/stage/{n}", place] for n, place in enumerate(shown)]
    assert shown[-1] == "/opt/python"


def test_without_bubblewrap_or_linux(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None if name == "bwrap" else "/bin/x")
    assert sandbox.missing().endswith("is not installed: run `apt-get install bubblewrap`")
    assert sandbox.trial() == sandbox.missing()
    monkeypatch.setattr(shutil, "which", lambda name: "/bin/x")
    assert sandbox.missing() == ""
    monkeypatch.setattr(sys, "platform", "win32")
    assert sandbox.missing().startswith("grading needs Linux")


@pytest.mark.parametrize("user", [0, 1000])
def test_a_trial(user: int, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    answers = iter([(0, b""), (1, b"a\nno namespaces\n"), (1, b"")])

    def run(command: list[str], **_: Any) -> Any:
        asked.append(command)
        code, text = next(answers)
        return SimpleNamespace(returncode=code, stderr=text)

    monkeypatch.setattr(sandbox, "missing", lambda: "")
    monkeypatch.setattr(os, "geteuid", lambda: user)
    monkeypatch.setattr(sandbox.subprocess, "run", run)
    assert sandbox.trial() == ""
    assert sandbox.trial() == "bubblewrap is not allowed to isolate here (no namespaces)"
    assert sandbox.trial() == "bubblewrap is not allowed to isolate here ()"
    assert asked[0][0] == ("bwrap" if user else "setpriv")


def test_a_sandbox_that_ends_or_is_slow_to_start(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Sandbox.__new__(Sandbox)
    made.log = io.BytesIO(b"first\nlast words\n")
    for answer, words in [
        (b"", r"does not start \(last words\)"),
        (ConnectionResetError(), r"does not start \(last words\)"),
        (TimeoutError(), "not ready within 600 seconds"),
    ]:

        class Control:
            def settimeout(self, seconds: float | None) -> None:
                pass

            def recv(self, _: int, answer: Any = answer) -> bytes:
                if isinstance(answer, Exception):
                    raise answer
                return bytes(answer)

        with pytest.raises(sandbox.Failed, match=words):
            made._ready(Control())
    made.log = io.BytesIO()
    with pytest.raises(sandbox.Failed, match="no reason given"):
        made._ready(SimpleNamespace(settimeout=lambda _: None, recv=lambda _: b""))


def test_a_bound_on_a_sandbox_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the page on scale says: 4 GiB, and 256 processes."""
    asked: list[Any] = []

    def group(*limits: int) -> None:
        asked.append(limits)
        raise KeyboardInterrupt

    monkeypatch.setattr(sandbox.cgroups, "Group", group)
    with pytest.raises(KeyboardInterrupt):
        Sandbox(Task("{}", [], b"", [], "", 30.0, [], 0.0, limits=Limits()))
    assert asked == [(4096, 256)]


def test_memory_is_what_processes_use_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In MiB; a page that two share counts once."""
    for process, text in {
        "1": "Rss: 9 kB\nPss:     2048 kB\nPss_Anon: 7 kB\n",
        "22": "\nPss: 512 kB\n",
        "3": "",
        "x4": "\nPss: 1",
    }.items():
        (tmp_path / process).mkdir()
        (tmp_path / process / "smaps_rollup").write_text(text, encoding="utf-8")
    (tmp_path / "5").mkdir()
    monkeypatch.setattr(server, "Path", lambda _: tmp_path)
    assert server.memory() == 2.5


def test_files_are_unpacked_where_code_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """First in Python's search; nothing climbs out."""
    monkeypatch.setenv("TML_UNSANDBOXED", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["/x"])
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        script, content = tarfile.TarInfo("a/b/c.txt"), b"#!/bin/sh"
        script.size, script.mode = len(content), 0o777
        tar.addfile(script, io.BytesIO(content))
    server.unpack(made.getvalue())
    assert Path.cwd() == tmp_path / str(os.getpid())
    assert Path("a/b/c.txt").read_bytes() == content
    assert stat.S_IMODE(Path("a/b/c.txt").stat().st_mode) == 0o755, "as it was, but for others to write"
    assert sys.path == ["", "/x"]
    climbing, link = tarfile.TarInfo("../../evil.txt"), tarfile.TarInfo("evil.txt")
    link.type, link.linkname = tarfile.SYMTYPE, "/"
    for number, member in enumerate((climbing, link, tarfile.TarInfo("/evil.txt"))):
        evil = io.BytesIO()
        with tarfile.open(fileobj=evil, mode="w") as tar:
            tar.addfile(member)
        monkeypatch.setattr(os, "getpid", lambda number=number: number)
        with pytest.raises(ValueError, match=r"evil\.txt"):
            server.unpack(evil.getvalue())
    assert not list(tmp_path.parent.rglob("evil.txt"))
