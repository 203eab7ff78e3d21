"""A bound on the memory and the processes of a sandbox as a whole, where the machine lets us set one."""

import contextlib
import os
import uuid
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
OURS = Path("/proc/self/cgroup")
MIB = 2**20
PREFIX = "tml-grading-"


class Group:
    """A control group of its own for one sandbox; nothing where the machine offers none."""

    def __init__(self, memory: int, processes: int) -> None:
        """memory in MiB."""
        name = f"{PREFIX}{os.getpid()}-{uuid.uuid4().hex[:12]}"
        limits = {"memory.max": memory * MIB, "memory.limit_in_bytes": memory * MIB, "pids.max": processes}
        places = _places()
        for place in places:
            for left in left_behind(place):
                with contextlib.suppress(OSError):  # something in it still runs
                    left.rmdir()
        self.folders = [made for place in places if (made := _make(place / name, limits)) is not None]

    def entering(self, command: list[str]) -> list[str]:
        """The command, run by a shell that enters the group first."""
        if not self.folders:
            return command
        files = [str(folder / "cgroup.procs") for folder in self.folders]
        lines = 'while [ "$1" != -- ]; do echo $$ > "$1"; shift; done; shift; exec "$@"'
        return ["sh", "-c", lines, "sh", *files, "--", *command]

    def close(self) -> None:
        """Remove the group; its processes have ended."""
        for folder in self.folders:
            with contextlib.suppress(OSError):
                folder.rmdir()
        self.folders = []


def left_behind(place: Path) -> list[Path]:
    """What runs that have died left in this folder: it begins with our name and the number of no living process."""
    found = [one for one in place.glob(f"{PREFIX}[0-9]*-*") if one.is_dir()]
    return [one for one in found if not Path("/proc", one.name.removeprefix(PREFIX).partition("-")[0]).exists()]


def _places() -> list[Path]:
    """The groups that this process is in, of those that bound memory or processes."""
    found = []
    with contextlib.suppress(OSError):
        for line in OURS.read_text(encoding="utf-8").splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers in ("memory", "pids"):
                found.append(ROOT / controllers / path.lstrip("/"))
            elif not controllers and (ROOT / "cgroup.controllers").exists():
                found.append(ROOT / path.lstrip("/"))
    return found


def _make(folder: Path, limits: dict[str, int]) -> Path | None:
    """A new group with those limits that it knows; None where it knows none, or where it may not be made."""
    try:
        folder.mkdir()
    except OSError:
        return None
    known = [name for name in limits if (folder / name).exists()]
    try:
        for name in known:
            (folder / name).write_text(str(limits[name]), encoding="utf-8")
    except OSError:
        known = []
    if not known or not os.access(folder / "cgroup.procs", os.W_OK):
        folder.rmdir()
        return None
    return folder
