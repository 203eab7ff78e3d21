"""Grading: CPU and memory of a submission, stock nbgrader and ours in one run; and a class of 300 on two cores.

python benchmarks/grading.py           writes results/grading.json
"""

import contextlib
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import nbformat
import psutil
from _measure import write
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from tml_helpers._console import on_any_console

FEW, MANY, ROUNDS, CLASS = 2, 22, 3, 300
PLAIN = """\
def double(x):
    ### BEGIN SOLUTION
    return 2 * x
    ### END SOLUTION
"""
PLAIN_TEST = "assert double(2) == 4\n### BEGIN HIDDEN TESTS\nassert double(3) == 6\n### END HIDDEN TESTS"
TENSORS = """\
def double(x):
    ### BEGIN SOLUTION
    return 2 * torch.relu(x)
    ### END SOLUTION
"""
TENSORS_TEST = """\
x = torch.rand(100, 100)
assert (double(x) - 2 * x).abs().max() < 1e-6
### BEGIN HIDDEN TESTS
assert double(-x).abs().max() < 1e-6
### END HIDDEN TESTS
"""
ASSIGNMENTS = {"trivial": ("start = 0", PLAIN, PLAIN_TEST), "torch": ("import torch", TENSORS, TENSORS_TEST)}


def cell(source: str, name: str, **settings: Any) -> Any:
    common = {"schema_version": 3, "grade_id": name, "grade": False, "solution": False, "locked": False, "task": False}
    return new_code_cell(source, metadata={"nbgrader": common | settings})


def make_course(folder: Path, students: int) -> Path:
    """A course whose students all hand in the model solution."""
    folder.mkdir()
    (folder / "nbgrader_config.py").write_text("c = get_config()\n", encoding="utf-8")
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    for assignment, (setup, answer, test) in ASSIGNMENTS.items():
        cells = [
            new_markdown_cell("# Double"),
            cell(setup, "setup", locked=True),
            cell(answer, "double", solution=True),
            cell(test, "double_test", grade=True, locked=True, points=1),
        ]
        made = new_notebook(cells=cells, metadata={"kernelspec": kernel})
        (folder / "source" / assignment).mkdir(parents=True)
        nbformat.write(made, folder / "source" / assignment / f"{assignment}.ipynb")
        for number in range(students):
            place = folder / f"submitted/s{number:03}" / assignment
            place.mkdir(parents=True)
            nbformat.write(made, place / f"{assignment}.ipynb")
        run(["-m", "nbgrader", "generate_assignment", assignment], folder)
    return folder


def run(arguments: list[str], folder: Path) -> dict[str, float]:
    """CPU seconds, seconds, and the most MiB at any time of a command of this Python and all its processes."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    command = subprocess.Popen([sys.executable, *arguments], cwd=folder, **pipes)
    most = [0.0]
    done = threading.Event()
    watch = threading.Thread(target=sample, args=(command.pid, most, done))
    watch.start()
    output, _ = command.communicate()
    done.set()
    watch.join()
    if command.returncode:
        raise SystemExit(output.decode())
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"cpu": cpu, "wall": time.monotonic() - began, "memory": most[0]}


def sample(root: int, most: list[float], done: threading.Event) -> None:
    """Note the largest sum of proportional memory over the descendants of `root`, itself excepted."""
    while not done.wait(0.05):
        total = 0
        with contextlib.suppress(psutil.Error):
            for process in psutil.Process(root).children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    total += process.memory_full_info().pss
        most[0] = max(most[0], total / 2**20)


def commands(assignment: str) -> dict[str, list[str]]:
    return {
        "nbgrader": ["-m", "nbgrader", "autograde", assignment],
        "tml grade": ["-m", "tml_helpers.cli", "grade", assignment, "--jobs", "1"],
    }


def main() -> None:
    os.environ.update(OMP_NUM_THREADS="1", PATH=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        courses = {students: make_course(folder / f"class{students}", students) for students in (FEW, MANY)}
        for assignment in ASSIGNMENTS:
            found: dict[str, list[dict[str, float]]] = {name: [] for name in commands(assignment)}
            for _ in range(ROUNDS):
                for name, command in commands(assignment).items():
                    taken = {}
                    for students, course in courses.items():
                        for made in (".tml-grading", "autograded", "feedback"):
                            shutil.rmtree(course / made, ignore_errors=True)
                        taken[students] = run(command, course)
                    each = (taken[MANY]["cpu"] - taken[FEW]["cpu"]) / (MANY - FEW)
                    start = taken[FEW]["cpu"] - FEW * each
                    for made in (f".tml-grading/{assignment}/reports", "autograded", "feedback"):
                        shutil.rmtree(courses[FEW] / made, ignore_errors=True)
                    again = run(command, courses[FEW])["cpu"] - FEW * each
                    costs = {"each": each, "start": start, "again": again, "memory": taken[MANY]["memory"]}
                    found[name].append(costs)
            for name, measured in found.items():
                middle = {key: round(statistics.median(m[key] for m in measured), 3) for key in measured[0]}
                rows.append({"assignment": assignment, "grader": name, **middle})
                print(json.dumps(rows[-1]), flush=True)
        large = make_course(folder / "large", CLASS)
        taken = run([*commands("trivial")["tml grade"][:-1], "2"], large)
        class_ = {"submissions": CLASS, "jobs": 2, "wall": round(taken["wall"], 1), "cpu": round(taken["cpu"], 1)}
        print(json.dumps(class_))
    units = "each, start, again (a start where nothing has changed), cpu: CPU s; memory: MiB; wall: s"
    write("grading", {"rows": rows, "class": class_, "units": units})


if __name__ == "__main__":
    on_any_console()
    main()
