"""The bound on a sandbox as a whole: which control groups are made, with which limits, and who enters them.

The kernel's part is played by folders: a new one holds the files that its controller has, as in the kernel's
documentation (`admin-guide/cgroup-v2.rst`, `cgroup-v1/memory.rst`, `cgroup-v1/pids.rst`).
"""

import os
import subprocess
from pathlib import Path

import pytest

from tml_helpers.grading import cgroups
from tml_helpers.grading.cgroups import Group

MEMORY, PROCESSES = 3 * 2**30, 17  # of the group that is asked for
FILES = {
    "memory": {"memory.limit_in_bytes": str(MEMORY), "cgroup.procs": ""},
    "pids": {"pids.max": str(PROCESSES), "cgroup.procs": ""},
    "v2": {"memory.max": str(MEMORY), "pids.max": str(PROCESSES), "cgroup.procs": ""},
}


class Kernel:
    """A tree of control groups. `files`: what a new group holds, by the folder at the top that it is in."""

    def __init__(self, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root, self.ours = place / "cgroup", place / "ours"
        self.root.mkdir()
        self.files: dict[str, list[str]] = {name: list(files) for name, files in FILES.items()}
        mkdir, rmdir = Path.mkdir, Path.rmdir

        def make(folder: Path) -> None:
            mkdir(folder)
            top = folder.relative_to(self.root).parts[0]
            for name in self.files[top if top in self.files else "v2"]:
                (folder / name).touch()

        def remove(folder: Path) -> None:
            for file in folder.iterdir():
                file.unlink()
            rmdir(folder)

        monkeypatch.setattr(cgroups, "ROOT", self.root)
        monkeypatch.setattr(cgroups, "OURS", self.ours)
        monkeypatch.setattr(Path, "mkdir", make)
        monkeypatch.setattr(Path, "rmdir", remove)

    def offers(self, *lines: str, unified: bool = False) -> None:
        """What this process is told of its groups; whether the second version is in use."""
        self.ours.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        for line in lines:
            _, controllers, path = line.split(":", 2)
            os.makedirs(self.root / controllers.removeprefix("name=") / path.lstrip("/"), exist_ok=True)
        if unified:
            (self.root / "cgroup.controllers").touch()

    def groups(self) -> dict[str, dict[str, str]]:
        """The groups that were made: their places, and what was written into their files."""
        return {
            str(group.parent.relative_to(self.root)): {f.name: f.read_text(encoding="utf-8") for f in group.iterdir()}
            for group in self.root.rglob("tml-grading-*")
        }


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kernel:
    return Kernel(tmp_path, monkeypatch)


def made() -> Group:
    return Group(3 * 1024, 17)


def test_one_group_for_memory_and_one_for_processes(kernel: Kernel) -> None:
    """The first version has a tree for each controller."""
    kernel.offers("9:name=systemd:/s", "8:pids:/", "5:cpu:/c", "4:memory:/our/place", "0::/")
    group = made()
    assert kernel.groups() == {"memory/our/place": FILES["memory"], "pids": FILES["pids"]}
    assert len(group.folders) == 2


def test_one_group_for_both(kernel: Kernel) -> None:
    """The second version has one tree for all; a path may hold colons."""
    kernel.offers("0::/user.slice/a:b", unified=True)
    made()
    assert kernel.groups() == {"user.slice/a:b": FILES["v2"]}


def test_a_group_knows_what_it_knows(kernel: Kernel) -> None:
    kernel.files["v2"].remove("memory.max")
    kernel.offers("0::/", unified=True)
    made()
    assert kernel.groups() == {".": {"pids.max": "17", "cgroup.procs": ""}}


def test_two_sandboxes_have_two_groups(kernel: Kernel) -> None:
    kernel.offers("8:pids:/")
    assert made().folders != made().folders
    assert len(list(kernel.root.rglob("tml-grading-*"))) == 2


@pytest.mark.parametrize("without", [["pids.max"], ["cgroup.procs"]])
def test_a_group_that_bounds_nothing_is_not_kept(kernel: Kernel, without: list[str]) -> None:
    kernel.files["pids"] = [name for name in kernel.files["pids"] if name not in without]
    kernel.offers("8:pids:/")
    assert made().folders == []
    assert kernel.groups() == {}


def test_a_limit_that_may_not_be_set(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel.offers("0::/", unified=True)
    write = Path.write_text

    def refuse(file: Path, text: str, encoding: str) -> int:
        if file.name == "pids.max":
            raise PermissionError(file)
        return write(file, text, encoding=encoding)

    monkeypatch.setattr(Path, "write_text", refuse)
    assert made().folders == []
    assert kernel.groups() == {}


def test_no_group_where_none_may_be_made(kernel: Kernel) -> None:
    """Not told of any; or of one that is not there; or only of the second version where it has no controller."""
    assert made().folders == []
    kernel.offers("0::/")
    assert made().folders == []
    kernel.ours.write_text("8:pids:/gone\n", encoding="utf-8")
    group = made()
    assert group.folders == []
    assert group.entering(["echo", "a b"]) == ["echo", "a b"]


def test_a_command_enters_all_groups_before_it_runs(kernel: Kernel) -> None:
    kernel.offers("8:pids:/", "4:memory:/a b")
    group = made()
    told = subprocess.run(group.entering(["sh", "-c", 'echo "$$ $1"', "sh", "-- $x"]), capture_output=True, check=True)
    process, said = told.stdout.decode().split(" ", 1)
    assert said == "-- $x\n"
    entered = {(folder / "cgroup.procs").read_text(encoding="utf-8") for folder in group.folders}
    assert (len(group.folders), entered) == (2, {f"{process}\n"})


def test_the_end_of_a_group(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel.offers("8:pids:/", "4:memory:/")
    group, busy = made(), made()
    group.close()
    assert len(list(kernel.root.rglob("tml-grading-*"))) == 2
    assert group.folders == []
    monkeypatch.setattr(Path, "rmdir", lambda folder: os.rmdir(folder))  # as where a process is still in it
    busy.close()
    group.close()


def test_what_a_run_that_died_left_is_removed_by_the_next_and_nothing_else(kernel: Kernel) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    kernel.offers("8:pids:/", "4:memory:/a")
    gone = [kernel.root / place / f"tml-grading-{ended.pid}-0a1b" for place in ("pids", "memory/a")]
    names = [f"tml-grading-{os.getpid()}-0a1b", "tml-grading-0a1b", "theirs", f"my-tml-grading-{ended.pid}-0a1b"]
    others = [kernel.root / "pids" / name for name in names]
    for folder in (*gone, *others):
        os.mkdir(folder)
    group = made()
    assert [folder.exists() for folder in (*gone, *others, *group.folders)] == [False] * 2 + [True] * 6
    assert cgroups.left_behind(kernel.root / "none") == []
