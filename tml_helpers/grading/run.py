"""Grade a class: the collector, which alone writes grades, and believes nothing that it has not checked."""

import hashlib
import importlib.metadata
import json
import math
import os
import pickle
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Literal

from tqdm.auto import tqdm

from tml_helpers.grading import assignment as assignments
from tml_helpers.grading import engines, feedback, gradebook, notebook, roster, sandbox, sanitize
from tml_helpers.grading.collect import downloads
from tml_helpers.grading.course import Course, alone, workspace
from tml_helpers.grading.pool import Learned, Wrong
from tml_helpers.grading.wire import MIB

Status = Literal["ok", "failed", "rejected", "timeout", "no_notebook", "missing"]
GRADED = ("ok", "failed", "timeout")  # with a report on every question
LARGEST_NOTEBOOK = 64 * MIB
MOST_REASONS = 20


@dataclass(frozen=True)
class Grade:
    """What became of one submission.

    status: `ok` (run to its end), `timeout` (something in it took too long), `failed` (its process ended early),
    `rejected` (it cannot be read), `no_notebook`, `missing` (in the class list, but nothing was handed in). reason:
    plain sentences on what went wrong, was put right, waits for a human, or was late. Points earned before a process
    ended or was stopped count. score: before anything is taken off for being late.
    """

    student: str
    score: float
    max_score: float
    status: Status
    reason: str = ""


@dataclass
class _Work:
    """One student's submission on its way: reports by notebook, and the keys under which they are kept."""

    student: str
    reports: dict[str, dict[str, Any]] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    fresh: bool = False

    @property
    def status(self) -> Status:
        """That of the first notebook that is not `ok`."""
        return next((report["status"] for report in self.reports.values() if report["status"] != "ok"), "ok")

    @property
    def graded(self) -> dict[str, dict[str, Any]]:
        """The reports with points and an executed notebook, by the notebook's name."""
        found = self.reports.items()
        return {name: report for name, report in found if report["status"] in GRADED and "notebook" in report}


def grade(
    assignment: str,
    *,
    course: Path,
    engine: Literal["local", "dask"] = "local",
    address: str | None = None,
    jobs: int | None = None,
    unsandboxed: bool = False,
    student: str | None = None,
) -> list[Grade]:
    """Grade every submission of an assignment, or one student's, and write feedback.

    Submissions lie where the course's settings say, in this book `submitted/STUDENT/ASSIGNMENT/`. Points go to the
    gradebook, executed notebooks to `autograded/`, pages for the students to `feedback/`; those that a human gave stay.
    A submission that was graded before, under the same tests and packages, is not run again: so a run that was
    interrupted goes on where it stopped.

    Args:
        assignment: its name, as `h1_distillation`.
        course: the course's folder.
        engine: `local` for this machine, `dask` for the workers of a cluster.
        address: of the cluster's scheduler, for `dask`.
        jobs: how many submissions at once, for `local`; None for as many as are worth the start of their own
            processes, at most one per core.
        unsandboxed: run submissions with your rights where there is no bubblewrap.
        student: the id of the one to grade; None for everybody.

    Returns:
        One `Grade` per student, sorted by name; also for who is in `students.csv` and handed in nothing.

    Raises:
        ValueError: an unknown assignment, nobody submitted, the model solution does not get all points, or an empty or
            cheating one gets any.
        OSError: the sandbox, the disk, the gradebook, or another system than Linux.
    """
    if sys.platform != "linux":
        raise OSError(sandbox.missing())
    notebook.load_format()
    place = Course.open(course)
    place.require(assignment)
    students = place.students(assignment)
    if not students:
        here = place.folder("submitted", "STUDENT", assignment) / f"{place.notebooks(assignment)[0]}.ipynb"
        raise ValueError(f"nobody has submitted {assignment}: put each student's file at {here}")
    if student is not None and student not in students:
        raise ValueError(f"{student} has not submitted {assignment}: there are {', '.join(map(_shown, students))}")
    if engine not in ("local", "dask"):
        raise ValueError(f"there is no engine {engine!r}: choose local or dask")
    if engine == "dask" and not address:
        raise ValueError("the engine dask needs the address of its scheduler, as tls://host:8786")
    if not unsandboxed and engine == "local" and (reason := sandbox.missing()):
        raise OSError(reason)
    with alone(place):
        papers = assignments.papers(place, assignment, isolated=not unsandboxed)
        return _Collector(place, assignment, papers).run(students, student, engine, address, jobs)


class _Collector:
    """One run over a class."""

    def __init__(self, course: Course, assignment: str, papers: list[assignments.Paper]) -> None:
        self.course, self.assignment, self.papers = course, assignment, papers
        self.state = course.state / assignment
        (self.state / "reports").mkdir(parents=True, exist_ok=True)
        self.environment = _environment()
        self.grades: dict[str, Grade] = {}
        self.worth = sum(sum(paper.worth.values()) for paper in papers)
        self.downloads = downloads(course, assignment)
        self.roster = roster.Roster([], {})  # until the gradebook is open

    def run(
        self, students: list[str], only: str | None, engine: str, address: str | None, jobs: int | None
    ) -> list[Grade]:
        """Read, examine and publish all of them, or one."""
        works = {student: _Work(student) for student in students if only in (None, student)}
        with gradebook.opened(self.course) as book, tqdm(total=len(works), unit="student", disable=None) as bar:
            self.roster = roster.of(self.course, book)
            for number, paper in enumerate(self.papers):
                last = number == len(self.papers) - 1
                for student in self._examined(paper, works, engine, address, jobs):
                    if last:
                        self._publish(book, works.pop(student))
                        bar.update()
        return sorted(
            [*self.grades.values(), *(self._missing(students) if only is None else [])], key=lambda grade: grade.student
        )

    def _missing(self, students: list[str]) -> list[Grade]:
        """A line for each in the class who handed in nothing."""
        absent = self.roster.missing(students)
        return [Grade(_shown(person.id), 0.0, self.worth, "missing", "nothing was handed in") for person in absent]

    def _examined(
        self, paper: assignments.Paper, works: dict[str, _Work], engine: str, address: str | None, jobs: int | None
    ) -> Iterator[str]:
        """The students whose report on this notebook is there, one after the other, as it comes."""
        submissions: dict[str, sandbox.Submission] = {}
        for student, work in list(works.items()):
            submission = self._read(paper, work)
            if submission is not None:
                work.keys[paper.name] = self._key(paper, submission)
                kept = self._kept(work.keys[paper.name])
                if kept is not None:
                    work.reports[paper.name] = kept
                else:
                    submissions[student] = submission
            if student not in submissions:
                yield student
        if not submissions:
            return
        try:
            if engine == "dask":
                results = engines.dask(paper.task, submissions, str(address))
            else:
                start = self.state / "starts" / f"{self._start(paper)}.json"
                learn = partial(_learn, start)
                results = engines.local(paper.task, submissions, jobs, learned=_learned(start), learn=learn)
            for student, report in results:
                checked = _checked(report, paper)
                works[student].reports[paper.name] = checked
                works[student].fresh = True
                self._keep(works[student].keys[paper.name], checked)
                yield student
        except Wrong as wrong:
            raise ValueError(f"{paper.name} cannot be graded, {wrong}") from wrong
        except sandbox.Failed as failed:
            raise OSError(str(failed)) from failed

    def _read(self, paper: assignments.Paper, work: _Work) -> sandbox.Submission | None:
        """A student's file as it was handed in; None, with a report that says why, where there is none to examine."""
        file = self.course.submission(self.assignment, work.student, paper.name)
        top = self.course.top("submitted")

        try:
            if not _printable(work.student):
                raise ValueError("a folder of that name cannot be a student's: rename it")
            if file.is_symlink() or file.resolve() != top.resolve() / file.relative_to(top):
                raise ValueError(f"{file.name} is a link to elsewhere: hand in the file itself")
            if not file.is_file():
                raise FileNotFoundError(f"there is no file {file}: save your notebook under that name")
            if file.stat().st_size > LARGEST_NOTEBOOK:
                raise ValueError(f"{file.name} is larger than {LARGEST_NOTEBOOK // MIB} MiB: clear its outputs")
            theirs, skipped = sandbox.archive(file.parent, {p.name for p in file.parent.glob("*.ipynb")})
            content = file.read_bytes()
        except (ValueError, OSError) as reason:
            status = "no_notebook" if isinstance(reason, FileNotFoundError) else "rejected"
            work.reports[paper.name] = {"status": status, "remarks": [str(reason)]}
            return None
        if file.stem != paper.name:
            work.notes.append(f"{file.name} was taken for {paper.name}.ipynb")
        if paper is self.papers[0]:
            work.notes += [f"{name} was left out, it is no plain file" for name in skipped]
        return sandbox.Submission(file.name, content, sandbox.merged(theirs, paper.task.files))

    def _publish(self, book: Any, work: _Work) -> None:
        """Write files and gradebook, both anew at each run: what an interruption left undone is done by the next."""
        graded = work.graded
        if graded:
            self._enter(book, work, graded)
            self._write_executed(work.student, graded)
        points = gradebook.points_in(book, self.assignment, work.student) if graded else []
        handed_in = gradebook.HandedIn()
        if graded:
            handed_in = gradebook.handed_in(book, self.course, self.assignment, work.student)
        made = self._judged(work, points, handed_in)
        for name, report in graded.items():
            self._write_feedback(book, work.student, name, report, made.reason, handed_in)
        self.grades[work.student] = made
        self._log(made, work)

    def _judged(self, work: _Work, points: list[gradebook.Points], handed_in: gradebook.HandedIn) -> Grade:
        """What became of a submission that has these points."""
        waiting = sum(p.max_score for p in points if p.by_hand)
        late = any(download.late for download in self.downloads.get(work.student, {}).values())
        lateness = handed_in.lateness or ("late, says Canvas" if late else "")
        reasons = [
            *([lateness] if lateness else []),
            *work.notes,
            *(self._named(name, text) for name, report in work.reports.items() for text in report["remarks"]),
            *([f"{waiting:g} points wait to be graded by hand"] if waiting else []),
        ]
        more = [f"and {len(reasons) - MOST_REASONS} more"] if len(reasons) > MOST_REASONS else []
        reason = _shown("; ".join(reasons[:MOST_REASONS] + more))
        return Grade(_shown(work.student), sum((p.score for p in points), 0.0), self.worth, work.status, reason)

    def _enter(self, book: Any, work: _Work, graded: dict[str, dict[str, Any]]) -> None:
        scores = {name: report["scores"] for name, report in graded.items()}
        unanswered = {cell for report in graded.values() for cell in report["unanswered"]}
        gradebook.enter(book, self.course, self.assignment, work.student, scores, unanswered, anew=work.fresh)

    def _write_executed(self, student: str, graded: dict[str, dict[str, Any]]) -> None:
        place = self.course.folder("autograded", student, self.assignment)
        for name, report in graded.items():
            _write(place / f"{name}.ipynb", json.dumps(report["notebook"], indent=1, ensure_ascii=False) + "\n")

    def _log(self, made: Grade, work: _Work) -> None:
        """A line on what became of a submission in this run, and where its report is from."""
        source = "graded" if work.fresh else "kept" if work.keys else "not graded"
        now = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        line = {"time": now, "assignment": self.assignment, **asdict(made), "from": source}
        with open(self.state / "log.jsonl", "a", encoding="utf-8") as log:
            log.write(json.dumps(line) + "\n")

    def _named(self, notebook: str, text: str) -> str:
        return f"{notebook}: {text}" if len(self.papers) > 1 else text

    def _write_feedback(
        self,
        book: Any,
        student: str,
        name: str,
        report: dict[str, Any],
        remarks: str,
        handed_in: gradebook.HandedIn,
    ) -> None:
        found = book.find_submission_notebook(name, self.assignment, student)
        comments = {comment.name: comment.comment or "" for comment in found.comments}
        questions = [
            {
                "name": grade.name,
                "score": None if grade.needs_manual_grade and grade.manual_score is None else grade.score,
                "max_score": grade.max_score,
                "message": report["messages"].get(grade.name, ""),
                "comment": comments.get(grade.name, ""),
            }
            for grade in found.grades
        ]
        order = [fragment["name"] for fragment in report["fragments"]]
        questions.sort(key=lambda q: order.index(q["name"]) if q["name"] in order else len(order))
        called = self.roster.person(student).name
        facts = {"student": f"{called} ({student})" if called else student}
        facts |= {"due": _utc(handed_in.due)} if handed_in.due else {}
        facts |= {"handed in": _utc(handed_in.came)} if handed_in.came else {}
        penalty = float(found.late_submission_penalty or 0)
        page = feedback.page(name, questions, report["fragments"], remarks, facts=facts, penalty=penalty)
        _write(self.course.folder("feedback", student, self.assignment) / f"{name}.html", page)

    def _key(self, paper: assignments.Paper, submission: sandbox.Submission) -> str:
        """What a report depends on: the submission, the tests with what lies beside them, and the packages."""
        made = hashlib.sha256()
        for part in (os.fsencode(submission.name), submission.content, submission.files, paper.task.exam.encode(),
                     str(paper.task.isolated).encode(), self.environment.encode()):  # fmt: skip
            made.update(hashlib.sha256(part).digest())
        return made.hexdigest()

    def _start(self, paper: assignments.Paper) -> str:
        """What a start depends on: all of the task but where the course lies, and the packages."""
        task = replace(paper.task, hidden="")
        return hashlib.sha256(pickle.dumps(task) + self.environment.encode()).hexdigest()

    def _kept(self, key: str) -> dict[str, Any] | None:
        """The report of a former run, if it came to an end there."""
        try:
            report: dict[str, Any] = json.loads((self.state / "reports" / f"{key}.json").read_bytes())
        except (OSError, ValueError):
            return None
        return report if report["status"] in ("ok", "rejected") else None

    def _keep(self, key: str, report: dict[str, Any]) -> None:
        _write(self.state / "reports" / f"{key}.json", json.dumps(report))


def _checked(report: dict[str, Any], paper: assignments.Paper) -> dict[str, Any]:
    """The report, if it has the form and the points that it may have; otherwise one that says it has not."""
    try:
        remarks = [_shown(text)[:500] for text in report["remarks"]]
        if report["status"] in ("rejected", "failed", "timeout") and not report.get("scores"):
            return {"status": report["status"], "remarks": remarks}
        scores = report["scores"]
        if report["status"] not in GRADED or set(scores) != set(paper.worth):
            raise ValueError
        for question, score in scores.items():
            if score is None and question in paper.by_hand:
                continue
            if type(score) not in (int, float) or not math.isfinite(score) or not 0 <= score <= paper.worth[question]:
                raise ValueError
            if question in paper.by_hand and score != 0:
                raise ValueError
        if not isinstance(report["notebook"]["cells"], list):
            raise ValueError
        unanswered = [str(cell) for cell in report["unanswered"]]
        messages = {question: sanitize.text(said) for question, said in report["messages"].items()}
        fragments = [{"name": str(f["name"]), "html": sanitize.html(f["html"])} for f in report["fragments"]]
        believed = {"remarks": remarks, "unanswered": unanswered, "messages": messages, "fragments": fragments}
        return {**report, **believed}
    except (KeyError, TypeError, ValueError, AttributeError):
        return {"status": "failed", "remarks": ["what came back from grading it has not the right form"]}


def _learned(start: Path) -> Learned | None:
    """What the canaries told a former run, if it can be read."""
    try:
        return Learned(**json.loads(start.read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


def _learn(start: Path, learned: Learned) -> None:
    _write(start, json.dumps(asdict(learned)))


def _write(file: Path, text: str) -> None:
    """Write a file whole, or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with workspace(file.parent) as unfinished:
        made = unfinished / file.name
        made.write_text(text, encoding="utf-8", errors="replace")
        os.replace(made, file)


def _environment() -> str:
    """Python, every installed package, and the grader itself, as a text that changes when one of them does."""
    packages = sorted(f"{d.metadata['Name']}=={d.version}" for d in importlib.metadata.distributions())
    ours = hashlib.sha256()
    for file in sorted(Path(__file__).parent.glob("*.py")):
        ours.update(file.read_bytes())
    return "\n".join([sys.version, *packages, ours.hexdigest()])


def _utc(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M} UTC"


def _printable(name: str) -> bool:
    return name.isprintable() and name == _shown(name)


def _shown(name: str) -> str:
    """A text as it can be printed on one line, and stored."""
    return "".join(
        c if c.isprintable() and not "\ud800" <= c <= "\udfff" else "\N{REPLACEMENT CHARACTER}" for c in name
    )
