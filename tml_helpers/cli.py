"""The command `tml`: what this machine can do, the data, and the homework."""

import argparse
import contextlib
import io
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tml_helpers import __version__
from tml_helpers._console import on_any_console

MOST_LINES = 10
"""Of `tml check`, with the last."""
ROW = "{:<17} {:<37} {}"
"""Of the table of `tml data`."""
UNSANDBOXED = "--let-submissions-do-whatever-i-can-do"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `tml`; returns the exit status: 0, or 1 after one sentence on what is wrong."""
    on_any_console()
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
    sub = command("start", start, "copy a homework to a folder of yours, to work in")
    sub.add_argument("homework", help="as h1")
    sub.add_argument("--to", type=Path, metavar="DIR", help="the folder; default: one of the homework's name, here")
    sub = command("check", check, "say what is missing in a homework file before you submit it")
    sub.add_argument("file", type=Path, help="your notebook")
    sub.add_argument("--course", type=Path, metavar="DIR", help="default: the course around the file, or this book")
    sub = command("collect", collect, "put what Canvas, Moodle or a folder gives you where it is graded")
    sub.add_argument("assignment", help="as h1_distillation")
    sub.add_argument("source", type=Path, help="the zip file, or the folder, with what students sent")
    for name, run, text in (
        ("release", release, "write the students' notebook of an assignment"),
        ("grade", grade, "grade every submission of an assignment, and write feedback"),
    ):
        command(name, run, text).add_argument("assignment", help="as h1_distillation")
    sub = command("luck", luck, "try an assignment's tests under many keys, on the answers beside its source")
    sub.add_argument("assignment", help="as h1_distillation")
    sub.add_argument("--keys", type=int, default=200, metavar="N", help="how many (default 200)")
    sub = commands.choices["grade"]
    sub.add_argument("--engine", choices=("local", "dask"), default="local", help="this machine, or a Dask cluster")
    sub.add_argument("--address", help="of the cluster's scheduler, as tls://host:8786")
    sub.add_argument(
        "--jobs", type=int, metavar="N", help="submissions at once here; default: what pays, at most one per core"
    )
    sub.add_argument("--student", metavar="NAME", help="grade one student; default: everybody")
    sub.add_argument(UNSANDBOXED, action="store_true", dest="unsandboxed", help="grade without bubblewrap")
    sub = command("feedback", feedback, "put all feedback into one archive, which Canvas or Moodle takes back")
    sub.add_argument("assignment", help="as h1_distillation")
    sub.add_argument("--zip", choices=("canvas", "moodle"), required=True, dest="platform", help="for which of them")
    sub.add_argument("--to", type=Path, required=True, metavar="FILE", help="the zip file")
    sub = command("report", report, "export points per student and question")
    sub.add_argument("--csv", type=Path, required=True, metavar="FILE")
    sub.add_argument(
        "--layout", choices=("questions", "canvas", "moodle"), default="questions", help="default: questions"
    )
    sub.add_argument("--assignment", help="default: all")
    for sub in (commands.choices[name] for name in ("collect", "luck", "release", "grade", "feedback", "report")):
        sub.add_argument("--course", type=Path, default=Path(), metavar="DIR", help="default: this folder")
    return parser


def doctor(_: argparse.Namespace) -> int:
    """Print what works; 1 where something that everything needs is missing."""
    from tml_helpers.doctor import diagnosis

    works = {}
    for good, name, text in diagnosis():
        print(f"{'ok' if good else '--':<3} {name:<13} {text}")
        works[name] = good
    return 0 if works["Python"] and works["torch"] else 1


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
    if not options.name:
        print(ROW.format("data set", "what it holds", "from"))
    for name in [options.name] if options.name else sets.LOADERS:
        try:
            with contextlib.redirect_stdout(io.StringIO()):  # what a loader says of its source stands in the table
                holds, source = _described(sets.load(name))
        except FileNotFoundError:  # a set that no package ships
            if options.name:
                raise
            holds, source = "-", f"not here yet: `tml data {name}` says how to get it"
        print(ROW.format(name, holds, source), flush=True)
    return 0


def _described(made: Any) -> tuple[str, str]:
    """What a data set holds, and where it is from."""
    if hasattr(made, "attrs"):  # a frame of pandas, which would fill the screen
        return f"{len(made):,} rows, {made.shape[1]} columns", made.attrs["source"]
    holds, _, source = repr(made).rpartition(", from ")
    return holds, source


def release(options: argparse.Namespace) -> int:
    from tml_helpers import grading

    print(f"wrote {grading.release(options.assignment, course=options.course)}")
    return 0


def luck(options: argparse.Namespace) -> int:
    """Print what passes under which share of the keys; 1 where a verdict hangs on one, or is wrong."""
    from tml_helpers.grading import luck
    from tml_helpers.grading.course import Course

    if options.keys < 1:
        raise ValueError(f"--keys must be 1 or more, got {options.keys}")
    course = Course.open(options.course)
    course.require(options.assignment)
    return 0 if luck.table(course, options.assignment, options.keys) else 1


def start(options: argparse.Namespace) -> int:
    """Make a student's copy of a homework, and print what to do with it."""
    from tml_helpers import grading

    file = str(grading.start(options.homework, to=options.to))
    quoted = f'"{file}"' if " " in file else file
    print(f"wrote {file}")
    print(f"to work in it, run `jupyter lab {quoted}`, or upload it to Colab: File, Upload notebook")
    print(f"before you submit it, run `tml check {quoted}`")
    return 0


def check(options: argparse.Namespace) -> int:
    """Print what would go wrong, the most important first; 1 where anything would."""
    from tml_helpers import grading

    problems = grading.check(options.file, course=options.course)
    shown = problems if len(problems) < MOST_LINES else problems[: MOST_LINES - 2]
    for problem in shown:
        print(f"- {problem}")
    if problems[len(shown) :]:
        print(f"- and {len(problems) - len(shown)} more, which are shown when these are mended")
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
        student=options.student,
    )
    for g in grades:
        score = "-" if g.status == "missing" else f"{g.score:g}"
        print(f"{g.student:<20} {score} of {g.max_score:g}  {g.status}  {g.reason}".rstrip())
    return 0 if all(g.status in ("ok", "missing") for g in grades) else 1


def feedback(options: argparse.Namespace) -> int:
    """Print a line for each student whose page cannot go back."""
    from tml_helpers import grading

    given = grading.give_back(options.assignment, options.to, platform=options.platform, course=options.course)
    print(f"wrote {sum(len(g.pages) for g in given)} pages to {options.to}")
    for g in given:
        if not g.pages:
            print(f"{g.student:<20} no page  {g.note}")
    return 0


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


if __name__ == "__main__":
    sys.exit(main())
