"""A class of hostile and careless submissions, each between two honest ones, graded in one run.

Nobody gets points that are not due, nobody loses points that are, and nothing outside what grading writes is touched.
The run is a process of its own, whose orphans come to this one: one that is killed, or never ends, fails these tests.
"""

import contextlib
import ctypes
import dataclasses
import html
import json
import os
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nbformat
import pytest
from courses import ROOT, read, submit
from hostile.attack import ASLEEP, BOUNDLESS, EVERYTHING, Attack
from hostile.course import ASSIGNMENT, BY_HAND, EXPECTED, FULL, HONEST, NOTEBOOKS, POINTS, SECRET, SOLVED, build
from hostile.page import Page
from hostile.pages import PAGES, SCRIPTS
from hostile.submissions import ATTACKS
from nbconvert import HTMLExporter

from tml_helpers import grading
from tml_helpers.grading.gradebook import opened

NAMES = [attack.name for attack in ATTACKS]
WRITTEN = {"executed", "returned", "gradebook.db", ".tml-grading"}  # what grading writes in the course's folder
PATIENCE = 3600  # seconds; a run that takes longer hangs
GRADE = """\
import dataclasses, json, sys
from pathlib import Path
from tml_helpers import grading
grades = grading.grade(sys.argv[1], course=Path(sys.argv[2]))
Path(sys.argv[3]).write_text(json.dumps([dataclasses.asdict(grade) for grade in grades]), "utf-8")
"""
PLACES = [
    "/",
    "/tmp",
    "/var/tmp",
    "/dev/shm",
    "/dev",
    "/run",
    "/etc",
    "/var",
    "/opt",
    "/root",
    "/home",
    "/usr/lib",
    "/mnt",
]


@pytest.fixture(scope="module")
def bubblewrap() -> None:
    """Without a sandbox these attacks would hit this machine."""
    probe = ["bwrap", "--unshare-all", "--ro-bind", "/", "/", "true"]
    if shutil.which("bwrap") and subprocess.run(probe, capture_output=True).returncode == 0:
        return
    reason = "THE HOSTILE SUBMISSIONS ARE NOT TRIED: bubblewrap is missing or may not make namespaces here; install it"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@dataclasses.dataclass
class Class:
    """A graded class, and what was there before."""

    course: Path
    home: Path
    token: str
    grades: list[grading.Grade]
    points: dict[str, dict[str, Any]]
    before: dict[str, Any]
    heard: list[str]
    left: list[str]

    def of(self, name: str) -> tuple[grading.Grade, dict[str, Any]]:
        """The grade of an attack, and its points by task."""
        begin = place_of(name)
        grade = next(g for g in self.grades if g.student.startswith(begin))
        return grade, next((given for student, given in self.points.items() if student.startswith(begin)), {})

    @cached_property
    def usual(self) -> dict[str, "Counter[str]"]:
        """What an honest student's pages run, by notebook."""
        return {name: Page(text).found for name, text in self.pages(honest_students()[0]).items()}

    def pages(self, place: str) -> dict[str, str]:
        """The pages that the student at this place gets back."""
        return {
            p.stem: p.read_text(encoding="utf-8")
            for p in (self.course / "returned").glob(f"{place}*/{ASSIGNMENT}/*.html")
        }

    def pages_of(self, attack: Attack) -> dict[str, str]:
        """The pages of an attack's student: all where it ran to its end, and some wherever it has points."""
        grade, given = self.of(attack.name)
        found = self.pages(place_of(attack.name))
        assert bool(found) == bool(given), grade
        assert found.keys() == NOTEBOOKS.keys() or grade.status != "ok", grade
        return found


def place_of(name: str) -> str:
    """What the name of the student begins with who hands this attack in."""
    return f"s{2 * NAMES.index(name) + 1:04}-"


def honest_students() -> list[str]:
    return [f"s{2 * place:04}-honest" for place in range(len(NAMES) + 1)]


@pytest.fixture(scope="module")
def graded(bubblewrap: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Class]:
    """Everybody's submission, graded in one call."""
    base = tmp_path_factory.mktemp("hostile")
    course, home, token = build(base / "course"), base / "home", secrets.token_hex(8)
    home.mkdir()
    (home / "secret").write_text(f"canary-{token}", encoding="utf-8")
    (home / ".bashrc").write_text("# nothing", encoding="utf-8")
    (home / ".ipython/profile_default/startup").mkdir(parents=True)
    grading.release(ASSIGNMENT, course=course)
    listeners = Listeners(home, token)
    hand_in(course, home, token, listeners.port)
    before = {"course": listing(course), "home": listing(home), "marks": marks(base), "sleepers": sleepers()}
    with orphans_come_here() as orphans, open(base / "said", "w", encoding="utf-8") as said:
        process = subprocess.Popen(
            [sys.executable, "-c", GRADE, ASSIGNMENT, str(course), str(base / "grades.json")],
            env={**os.environ, "HOME": str(home), "PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code: int | str = process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            code = f"nothing after {PATIENCE} seconds"
        left = [line for line in orphans() if "multiprocessing.resource_tracker" not in line]
    if code != 0:
        pytest.fail(f"the whole run ended with {code}: {(base / 'said').read_text(encoding='utf-8')[-3000:]}")
    grades = [grading.Grade(**grade) for grade in json.loads((base / "grades.json").read_text(encoding="utf-8"))]
    yield Class(course, home, token, grades, points(course), before, listeners.heard(), left)
    for path in marks(base) - before["marks"]:
        Path(path).unlink(missing_ok=True)


class Listeners:
    """What a submission could reach of this machine: a port, an abstract socket, a socket in HOME."""

    def __init__(self, home: Path, token: str) -> None:
        self.ends: list[socket.socket] = []
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            end = socket.socket(socket.AF_INET, kind)
            end.bind(("127.0.0.1", self.port if self.ends else 0))
            self.port = end.getsockname()[1]
            self.ends.append(end)
        self.ends.append(socket.socket(socket.AF_UNIX))
        self.ends[-1].bind(f"\0tml-hostile-{token}")
        self.ends.append(socket.socket(socket.AF_UNIX))
        back = os.getcwd()
        os.chdir(home)  # a socket's path is short
        self.ends[-1].bind("agent")
        os.chdir(back)
        for end in self.ends:
            end.setblocking(False)
            if end.type == socket.SOCK_STREAM:
                end.listen()

    def heard(self) -> list[str]:
        """Which of them were spoken to."""
        found = []
        for end in self.ends:
            with contextlib.suppress(BlockingIOError):
                found.append(repr(end.recv(99) if end.type == socket.SOCK_DGRAM else end.accept()))
            end.close()
        return found


def hand_in(course: Path, home: Path, token: str, port: int) -> None:
    """Everybody's submission: the honest ones first, for some of the others link to them."""
    blank = {name: read(course / "worksheets" / ASSIGNMENT / f"{name}.ipynb") for name in NOTEBOOKS}
    words = {"COURSE": str(course), "HOME": str(home), "TOKEN": token, "PORT": str(port)}
    words["HOST"] = os.readlink("/proc/self/ns/pid")
    answers = {**HONEST, "essay": f"phrase-{token}"}
    due = dict.fromkeys(HONEST, 0.0)
    honest = honest_students()
    everybody = [Attack(student, "", "", answers=answers, due=due) for student in honest] + ATTACKS
    for attack in everybody:
        student = attack.name if attack.name in honest else place_of(attack.name) + (attack.student or attack.name)
        folder = course / "handed_in" / student / ASSIGNMENT
        folder.mkdir(parents=True)
        shutil.copy(course / "worksheets" / ASSIGNMENT / "rates.csv", folder)
        attack.hand_in(blank, folder, words)


@dataclasses.dataclass(frozen=True)
class Entry:
    """What a file is: its kind and rights, and what it says."""

    mode: int
    content: Any


def listing(folder: Path) -> dict[str, Entry]:
    """Everything in a folder, but for what grading writes into the course's."""
    found = {}
    stack = [os.scandir(os.fsencode(folder))]
    while stack:
        for entry in stack.pop():
            if os.path.dirname(entry.path) == os.fsencode(folder) and os.fsdecode(entry.name) in WRITTEN:
                continue
            status = entry.stat(follow_symlinks=False)
            content: Any = None
            if stat.S_ISLNK(status.st_mode):
                content = os.readlink(entry.path)
            elif stat.S_ISREG(status.st_mode):
                content = (status.st_size, status.st_mtime_ns)
            elif stat.S_ISDIR(status.st_mode):
                with contextlib.suppress(PermissionError):  # one submission has a folder that nobody may read
                    stack.append(os.scandir(entry.path))
            found[repr(entry.path)] = Entry(status.st_mode, content)
    return found


def marks(base: Path) -> set[str]:
    """Files that an attack left where it should not be able to write."""
    places = {*map(Path, PLACES), base, base / "home", Path(sys.prefix), Path(sys.executable).parent, Path.cwd()}
    packages = {Path(nbformat.__file__).parents[1], Path(os.path.expanduser("~"))}
    return {str(p) for place in places | packages if place.is_dir() for p in place.glob("*tml-hostile-*")} | {
        str(p) for p in [base / "climbed.txt", Path("/tmp/climbed.txt")] if p.exists()
    }


def sleepers() -> set[str]:
    """The processes that an attack left asleep."""
    return {pid for pid, line in command_lines().items() if line.split()[-1:] == [ASLEEP]}


def command_lines() -> dict[str, str]:
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            found[process.name] = (
                (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
            )
        except OSError:
            continue
    return found


class orphans_come_here:
    """Inside, every process that this one's children leave behind becomes its own child, and is listed and ended."""

    SUBREAPER = 36

    def __enter__(self) -> Any:
        ctypes.CDLL(None).prctl(self.SUBREAPER, 1, 0, 0, 0)
        self.before = self.descendants()
        return lambda: [command_lines().get(str(pid), "") for pid in self.descendants() - self.before if not ended(pid)]

    def __exit__(self, *reason: Any) -> None:
        for pid in self.descendants() - self.before:
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
        ctypes.CDLL(None).prctl(self.SUBREAPER, 0, 0, 0, 0)

    @staticmethod
    def descendants() -> set[int]:
        parents = {}
        for process in Path("/proc").glob("[0-9]*"):
            try:
                parents[int(process.name)] = int(
                    (process / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1]
                )
            except OSError:
                continue
        mine: set[int] = {os.getpid()}
        while more := {pid for pid, parent in parents.items() if parent in mine} - mine:
            mine |= more
        return mine - {os.getpid()}


def ended(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def points(course: Path) -> dict[str, dict[str, Any]]:
    """What the gradebook says of each student: the points of each task, whoever gave them."""
    found: dict[str, dict[str, Any]] = {}
    with opened(grading.course.Course.open(course)) as book:
        for submission in book.assignment_submissions(ASSIGNMENT):
            grades = [grade for notebook in submission.notebooks for grade in notebook.grades]
            found[submission.student.id] = {
                grade.name.removesuffix("_test"): SimpleNamespace(
                    score=grade.score, most=grade.max_score, by_hand=grade.manual_score, waits=grade.needs_manual_grade
                )
                for grade in grades
            }
            assert len(found[submission.student.id]) == len(grades)
    return found


class TestWhatWatches:
    """What these tests look with sees what it looks for."""

    @pytest.mark.parametrize("text", SCRIPTS)
    def test_a_page(self, text: str) -> None:
        assert Page(f"<p>fine</p>{text}").found
        assert not Page(f"<p class='x'>fine</p>{html.escape(text)}").found

    def test_an_orphan(self) -> None:
        with orphans_come_here() as orphans:
            begun = "while ! grep -q ^sleep /proc/$!/cmdline; do :; done"
            subprocess.run(["sh", "-c", f"sleep {ASLEEP} & {begun}"], check=True)
            assert orphans() == [f"sleep {ASLEEP}"]
            assert len(sleepers()) == 1
        assert sleepers() == set()

    def test_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "gone").write_text("1", encoding="utf-8")
        (tmp_path / "changed").write_text("1", encoding="utf-8")
        before = listing(tmp_path)
        (tmp_path / "gone").unlink()
        (tmp_path / "changed").chmod(0o777)
        (tmp_path / "new").symlink_to("/")
        after = listing(tmp_path)
        assert {Path(eval(path).decode()).name for path, _ in before.items() ^ after.items()} == {
            "gone",
            "changed",
            "new",
        }

    def test_a_listener(self, tmp_path: Path) -> None:
        listeners = Listeners(tmp_path, secrets.token_hex(8))
        with socket.create_connection(("127.0.0.1", listeners.port)):
            assert len(listeners.heard()) == 1


every_attack = pytest.mark.parametrize("attack", ATTACKS, ids=NAMES)


def test_the_table_is_whole() -> None:
    assert len(ATTACKS) >= 66
    assert len(set(NAMES)) == len(NAMES)
    given = [text for attack in ATTACKS for text in attack.answers.values()]
    assert not any(secret in text for secret in (SECRET, EXPECTED, SOLVED) for text in given), "these are searched for"


def test_everybody_has_a_grade(graded: Class) -> None:
    everybody = [f"s{number:04}-" for number in range(2 * len(NAMES) + 1)]
    assert [grade.student[:6] for grade in graded.grades] == everybody
    assert {grade.max_score for grade in graded.grades} == {FULL + BY_HAND}
    assert {student[:6] for student in graded.points} <= set(everybody)


def test_honest_students_have_their_points(graded: Class) -> None:
    found = {g.student: g for g in graded.grades if g.student in honest_students()}
    hurt = {
        s: g for s, g in found.items() if (g.score, g.status) != (FULL, "ok") or not graded.points[s]["essay"].waits
    }
    assert hurt == {}, "the attack before or after these hurt them"
    assert all({task: graded.points[s][task].score for task in POINTS} == EVERYTHING for s in found)


@every_attack
def test_an_attack_gets_what_is_due(graded: Class, attack: Attack) -> None:
    grade, given = graded.of(attack.name)
    scores = {task: given[task].score if task in given else 0 for task in POINTS}
    undeserved = {t: s for t, s in scores.items() if s > (POINTS[t] if t in attack.unclear else attack.due.get(t, 0))}
    lost = {t: s for t, s in scores.items() if s < attack.due.get(t, 0)}
    assert (undeserved, lost) == ({}, {}), grade
    assert grade.score == sum(scores.values())
    assert not given or given["essay"].by_hand is None


@every_attack
def test_an_attack_has_a_status_and_a_reason(graded: Class, attack: Attack) -> None:
    grade, given = graded.of(attack.name)
    assert grade.status in (attack.status or ("ok", "failed", "rejected", "timeout", "no_notebook")), grade
    assert grade.status == "ok" or grade.reason
    assert attack.says in grade.reason
    assert len(grade.reason) < 5000
    assert grade.reason.isprintable()
    assert "Traceback" not in grade.reason
    assert {task: g.most for task, g in given.items()} in ({}, {**POINTS, "essay": BY_HAND})


@every_attack
def test_an_attack_learns_nothing(graded: Class, attack: Attack) -> None:
    """Neither hidden tests, nor the solution, nor another's answer, nor a secret of the instructor's."""
    grade, _ = graded.of(attack.name)
    pages = graded.pages_of(attack)
    for where, text in {**pages, "reason": grade.reason}.items():
        for secret in (SECRET, EXPECTED, SOLVED, f"phrase-{graded.token}", f"canary-{graded.token}"):
            assert secret not in text, f"{where}: ...{text[max(0, text.find(secret) - 300) : text.find(secret) + 100]}"


@every_attack
def test_an_attack_meets_a_limit(graded: Class, attack: Attack) -> None:
    assert not any(BOUNDLESS in text for text in graded.pages_of(attack).values())


@every_attack
def test_a_page_runs_nothing(graded: Class, attack: Attack) -> None:
    for name, text in graded.pages_of(attack).items():
        assert Page(text).found - graded.usual[name] == Counter()


@pytest.mark.parametrize("attack", [a for a in ATTACKS if a.family == PAGES], ids=lambda attack: attack.name)
def test_an_executed_notebook_runs_nothing(graded: Class, attack: Attack) -> None:
    """Instructors look at it as nbgrader's pages show it, which is as nbconvert does."""

    def shown(place: str) -> dict[str, Counter[str]]:
        files = (graded.course / "executed").glob(f"{place}*/**/*.ipynb")
        return {file.name: Page(HTMLExporter().from_filename(str(file))[0]).found for file in files}

    usual, found = shown(honest_students()[0]), shown(place_of(attack.name))
    assert found.keys() == {f"{name}.ipynb" for name in graded.pages_of(attack)}
    for name in found:
        assert found[name] - usual[name] == Counter()


def test_most_attacks_have_pages(graded: Class) -> None:
    """Or the tests of pages would look at none."""
    for attacks in (ATTACKS, [attack for attack in ATTACKS if attack.family == PAGES]):
        assert sum(bool(graded.pages_of(attack)) for attack in attacks) > len(attacks) / 2


def test_honest_pages_hide_the_tests_and_show_the_answers(graded: Class) -> None:
    for student in (honest_students()[0], honest_students()[-1]):
        pages = graded.pages(student)
        assert set(pages) == set(NOTEBOOKS)
        assert f"phrase-{graded.token}" in pages["mixing"]
        assert not any(secret in text for text in pages.values() for secret in (SECRET, EXPECTED, SOLVED))


def test_an_executed_notebook_holds_no_other_students_text(graded: Class) -> None:
    files = [f for name in NAMES for f in (graded.course / "executed").glob(f"{place_of(name)}*/**/*.ipynb")]
    assert len(files) > len(NAMES)
    for file in files:
        text = file.read_text(encoding="utf-8")
        assert not any(secret in text for secret in (f"phrase-{graded.token}", f"canary-{graded.token}")), file


def test_nothing_else_in_the_course_changed(graded: Class) -> None:
    after = listing(graded.course)
    changed = {
        path
        for path in after.keys() | graded.before["course"].keys()
        if after.get(path) != graded.before["course"].get(path)
    }
    assert {path for path in changed if after.get(path) is None or not stat.S_ISDIR(after[path].mode)} == set()


def test_home_is_as_it_was(graded: Class) -> None:
    assert (graded.home / "secret").read_text(encoding="utf-8") == f"canary-{graded.token}"
    after = {path: entry for path, entry in listing(graded.home).items() if path in graded.before["home"]}
    assert after == graded.before["home"]
    assert not (graded.home / ".jupyter").exists()
    assert list((graded.home / ".ipython/profile_default/startup").iterdir()) == []


def test_no_file_is_left_on_this_machine(graded: Class) -> None:
    assert marks(graded.course.parent) - graded.before["marks"] == set()


def test_no_process_is_left(graded: Class) -> None:
    assert graded.left == []
    assert sleepers() - graded.before["sleepers"] == set()


def test_nobody_reached_this_machine_over_a_network(graded: Class) -> None:
    assert graded.heard == []


def test_odd_file_names_where_an_assignment_has_one_notebook(bubblewrap: None, released: Path, answered: Any) -> None:
    """There a file of another name is taken for the notebook, and what is left out is told."""
    odd = [os.fsdecode(name) for name in (b"sums\xff.ipynb", b"sums\n\x1b[31m.ipynb", b"<i>\xe2\x80\xae.ipynb")]
    for number, name in enumerate(odd):
        submit(released, f"b{number}", "sums", answered, name=name)
        beside = submit(released, f"c{number}", "sums", answered).with_name(name.replace(".ipynb", ".txt"))
        os.mkfifo(beside)
    for student in ("a", "z"):
        submit(released, student, "sums", answered)
    grades = {grade.student: grade for grade in grading.grade("sums", course=released)}
    assert [student[0] for student in grades] == ["a", "b", "b", "b", "c", "c", "c", "z"]
    assert {(grades[s].score, grades[s].status) for s in grades if s[0] in "acz"} == {(2, "ok")}
    assert all(grade.reason.isprintable() for grade in grades.values())
