"""A class on a Dask cluster while a worker dies, a gradebook on PostgreSQL, and other ways to run the same thing."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bad_input import refuses
from courses import cell, rows, submit

from tml_helpers import grading

CLASSES = [24, pytest.param(200, marks=pytest.mark.slow)]
UNLUCKY = 65534  # the user that PostgreSQL runs as where the tests are root's: it refuses root


def hand_in(course: Path, answered: Any, size: int) -> None:
    """A class of which a third answers wrongly and a few end their process; nobody is done at once."""
    for number in range(size):
        text = (
            f"import os\nos._exit({number})"
            if number % 20 == 7
            else f"def double(x):\n    return {2 + (number % 3 == 0)} * x"
        )
        cell(answered, "double").source = f"import time\ntime.sleep(0.2)\n{text}\n# {number}"
        submit(course, f"s{number:03}", "sums", answered)


@pytest.mark.parametrize("size", CLASSES)
def test_a_worker_dies_and_all_are_graded_once(released: Path, answered: Any, size: int) -> None:
    distributed = pytest.importorskip("distributed")
    hand_in(released, answered, size)
    calm = shutil.copytree(released, released.parent / "calm")
    expected = grading.grade("sums", course=calm)
    failed = len(range(7, size, 20))
    assert Counter(grade.status for grade in expected) == {"ok": size - failed, "failed": failed}
    settings = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with distributed.LocalCluster(**settings) as cluster:
        killed, ended = threading.Event(), threading.Event()

        def kill() -> None:
            reports = released / ".tml-grading/sums/reports"
            while len(list(reports.glob("*.json"))) < 4:
                if ended.wait(0.1):
                    return
            os.kill(next(iter(cluster.workers.values())).pid, signal.SIGKILL)
            killed.set()

        killer = threading.Thread(target=kill)
        killer.start()
        try:
            grades = grading.grade("sums", course=released, engine="dask", address=cluster.scheduler_address)
        finally:
            ended.set()
            killer.join()
    assert killed.is_set()
    assert grades == expected
    assert rows(released) == rows(calm)
    log = (released / ".tml-grading/sums/log.jsonl").read_text(encoding="utf-8")
    lines = [json.loads(line) for line in log.splitlines()]
    assert Counter(line["student"] for line in lines) == {f"s{number:03}": 1 for number in range(size)}


def test_no_scheduler_and_no_worker(released: Path, answered: Any) -> None:
    distributed = pytest.importorskip("distributed")
    submit(released, "ada", "sums", answered)
    with (
        distributed.LocalCluster(n_workers=0, dashboard_address=None) as cluster,
        refuses(OSError, "has no worker", "dask worker"),
    ):
        grading.grade("sums", course=released, engine="dask", address=cluster.scheduler_address)


def test_no_certificates_and_nobody_there(released: Path, answered: Any) -> None:
    pytest.importorskip("distributed")
    submit(released, "ada", "sums", answered)
    with refuses(ValueError, "needs certificates"):
        grading.grade("sums", course=released, engine="dask", address="tls://127.0.0.1:9")


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of a PostgreSQL server of our own, on a socket."""
    found = [*map(Path, filter(None, [shutil.which("initdb")])), *Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    if not found:
        assert not os.environ.get("CI"), "PostgreSQL is not installed: apt-get install postgresql"
        pytest.skip(
            "PostgreSQL IS NOT INSTALLED: the gradebook on a server is not checked (apt-get install postgresql)"
        )
    pytest.importorskip("psycopg")
    programs = found[0].resolve().parent
    user = ["setpriv", f"--reuid={UNLUCKY}", f"--regid={UNLUCKY}", "--clear-groups"] if os.geteuid() == 0 else []
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        data = f"{folder}/data"
        quiet: dict[str, Any] = {"check": True, "stdout": subprocess.DEVNULL, "cwd": folder}
        subprocess.run([*user, programs / "initdb", "-D", data, "-U", "grader", "--auth=trust"], **quiet)
        options = f"-k {folder} -c listen_addresses="
        start = [*user, programs / "pg_ctl", "-D", data, "-o", options, "-l", f"{folder}/log", "-w"]
        subprocess.run([*start, "start"], **quiet)
        try:
            yield f"postgresql+psycopg://grader@/postgres?host={folder}"
        finally:
            subprocess.run([*start, "stop", "-m", "immediate"], **quiet)


def test_gradebook_on_postgresql(tiny: Path, server: str) -> None:
    config = tiny / "nbgrader_config.py"
    config.write_text(f"{config.read_text(encoding='utf-8')}c.CourseDirectory.db_url = {server!r}\n", encoding="utf-8")
    with refuses(ValueError, "c.CourseDirectory.course_id"):
        grading.release("sums", course=tiny)
    config.write_text(
        f"{config.read_text(encoding='utf-8')}c.CourseDirectory.course_id = 'sums101'\n", encoding="utf-8"
    )
    settings = config.read_text(encoding="utf-8")
    config.write_text(
        f"{settings}c.CourseDirectory.db_url = 'postgresql+psycopg://grader:secret@/none?host=/nowhere'\n",
        encoding="utf-8",
    )
    with refuses(OSError, "cannot be used", "is the server up", "grader:***@"):
        grading.release("sums", course=tiny)
    config.write_text(settings, encoding="utf-8")
    notebook = grading.release("sums", course=tiny)
    from courses import read

    answered = read(notebook)
    cell(answered, "double").source = "def double(x):\n    return 2 * x"
    for student in ("ada", "bob"):
        submit(tiny, student, "sums", answered)
    for _ in range(2):
        assert [(g.student, g.score, g.status) for g in grading.grade("sums", course=tiny)] == [
            ("ada", 2, "ok"),
            ("bob", 2, "ok"),
        ]
    assert len(rows(tiny)) == 4
    assert not (tiny / "gradebook.db").exists()


def test_without_a_sandbox_the_grades_are_the_same(released: Path, answered: Any) -> None:
    cell(answered, "double").source = "import os\nassert os.path.isdir(os.getcwd())\ndef double(x):\n    return 2 * x"
    submit(released, "ada", "sums", answered)
    cell(answered, "double").source = "import os\nos._exit(0)"
    submit(released, "bob", "sums", answered)
    ada, bob = grading.grade("sums", course=released, unsandboxed=True)
    assert (ada.score, ada.status) == (2, "ok")
    assert (bob.score, bob.status) == (0, "failed")
    assert not list(Path(tempfile.gettempdir()).glob("tml-grading-*/[0-9]*"))


@pytest.mark.skipif(
    os.geteuid() != 0, reason="only root can become another user; for others the rest of the tests says it"
)
def test_as_an_ordinary_user(released: Path, answered: Any) -> None:
    """A folder that only root may enter, as the one of this Python may be, is opened for this one command."""
    submit(released, "ada", "sums", answered)
    with tempfile.TemporaryDirectory() as folder:
        course = shutil.copytree(released, Path(folder) / "course")
        subprocess.run(["chown", "-R", "1000:1000", folder], check=True)
        closed = next((p for p in reversed(Path(sys.base_prefix).parents) if not p.stat().st_mode & 1), None)
        base = Path(sys.base_prefix)
        opened = [
            f"mkdir {folder}/base && mount --rbind {base} {folder}/base",
            f"mount -t tmpfs -o mode=0755 none {closed}",
            f"mkdir -p {base} && mount --rbind {folder}/base {base}",
        ]
        user = f"setpriv --reuid=1000 --regid=1000 --clear-groups env HOME={folder}"
        grade = f"{sys.executable} -m tml_helpers.cli grade sums --course {course}"
        lines = [*(opened if closed else []), f"cd {folder} && exec {user} {grade}"]
        private = ["unshare", "--mount", "--propagation", "private", "sh", "-ec", "\n".join(lines)]
        said = subprocess.run(private, capture_output=True, text=True, encoding="utf-8")
        assert said.stdout.split()[:5] == ["ada", "2", "of", "5", "ok"], said.stderr
