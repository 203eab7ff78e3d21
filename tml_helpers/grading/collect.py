"""From what a learning platform lets you download to `submitted/STUDENT/ASSIGNMENT/NOTEBOOK.ipynb`.

Three layouts are known, as a zip file or as a folder:

- Canvas, "Download submissions": `doejane_12345_678910_sums.ipynb`, where 12345 is Canvas's number for the student and
  678910 its number for the file; `_LATE` may follow the name. The student's id becomes 12345, for a name may change and
  two people may share one, and the `ID` column of Canvas's gradebook wants this number. In an anonymous assignment it
  is `anon_` and a code.
- Moodle, "Download all submissions": `Jane Doe_12345_assignsubmission_file_/sums.ipynb`, or all that in one file name.
  Moodle gives a student another number in each assignment, but no two students the same: the id becomes
  `Jane_Doe_12345`.
- Plain: `STUDENT/.../sums.ipynb` or `STUDENT.ipynb`.

An id is one person's only within its platform: take the files of a course from one. Where most of a source is named by
a platform, what is not is asked about: it may be a name of this platform's that somebody changed.

How each file was named stays in `.tml-grading/ASSIGNMENT/downloads.json`: feedback goes back under that name.

No `timestamp.txt` is written: in a zip from Canvas or Moodle each file bears the time of the download, and nbgrader
would take that for the time of submission.
"""

import filecmp
import io
import json
import os
import re
import shutil
import stat
import unicodedata
import zipfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, Literal

from tml_helpers.grading.course import Course, alone, workspace

MEMBERS = 50_000
ONE_FILE = 64 * 2**20
ALL_FILES = 4 * 2**30
NAME_LENGTH = 64

CANVAS = re.compile(
    r"((?P<late>LATE_)?(?P<code>anon_[^_]+)|(?P<name>\w*?)(?P<too_late>_LATE)?_(?P<number>[1-9]\d*))"
    r"_((?P<file>[1-9]\d*)_(?P<original>.+)|(?P<page>(text|link)\.html))"
)
MOODLE = re.compile(r"(?P<student>[^_]+(_\d+)?)_assignsubmission_[a-z]+_?(?P<original>.*)")
COPY = re.compile(r"(?: \((\d+)\)|-(\d+))$")
JUNK = re.compile(r"__MACOSX|\.DS_Store|\._.*|\.ipynb_checkpoints|Thumbs\.db|desktop\.ini", re.IGNORECASE)


@dataclass(frozen=True)
class Collected:
    """What became of one student's files.

    file: where the notebook lies now, or the folder of an assignment's several notebooks; None where nothing of this
    student could be taken. note: plain sentences about what was put right, and what was left out.
    """

    student: str
    file: Path | None
    note: str = ""


Platform = Literal["canvas", "moodle", "plain"]
CALLED = {"canvas": "Canvas", "moodle": "Moodle"}


@dataclass(frozen=True)
class Download:
    """How a notebook that was taken is named in the download, and by whom; `late` is what Canvas says of it."""

    platform: Platform
    name: str
    late: bool


@dataclass(frozen=True)
class _Member:
    """A file of the download; `unfit` says why it must not be read."""

    name: str
    time: float
    open: Callable[[], IO[bytes]]
    unfit: str = ""

    @property
    def parts(self) -> list[str]:
        parts = unicodedata.normalize("NFC", self.name).split("/")
        return [part for part in parts if part not in ("", ".", "..") and not re.fullmatch("[A-Za-z]:", part)]


@dataclass(frozen=True)
class _File:
    """A file that a student handed in: its name as the student chose it, its place among its versions, and its name
    in the download."""

    member: _Member
    name: str
    version: tuple[float, ...]
    download: Download

    @property
    def stem(self) -> str:
        return self.name.rpartition(".")[0]


@dataclass
class _Student:
    """A student's files as they come, and the notes about them."""

    files: list[_File] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def collect(assignment: str, source: Path, *, course: Path) -> list[Collected]:
    """Put downloaded submissions where they are graded.

    Where an assignment has one notebook, a student's only notebook is taken whatever its name. Several must have the
    right names, but for what a platform or a browser adds (` (1)`, `-1`). Of several versions the latest is taken.
    A submission that was there is kept in `.tml-grading/ASSIGNMENT/former/STUDENT/NUMBER/` when another takes its
    place. Of a source that is refused nothing is put in place.

    Args:
        assignment: its name, as `h1_distillation`.
        source: what was downloaded, an archive or a folder.
        course: the course's folder.

    Returns:
        One `Collected` per student, sorted by the student's id.

    Raises:
        ValueError: an unknown assignment, a source without notebooks or too large to be true, or two students who
            would get the same id.
        OSError: a file cannot be read or written.
    """
    place = Course.open(course)
    place.require(assignment)
    own = place.state / assignment
    with alone(place), _members(source) as members, workspace(own) as unfinished:
        students, asked = _students(members, [name for name in place.assignments() if name != assignment])
        if not any(_is_notebook(f) for s in students.values() for f in s.files):
            raise ValueError(f"{source} holds no notebooks: name the zip file or the folder with what students sent")
        taken = _take(students, place.notebooks(assignment), unfinished)
        found = [
            _put(place, assignment, student, students[student].notes, taken[student], own / "former" / student)
            for student in sorted(students)
        ]
        _remember(own, unfinished, taken)
        return sorted([*found, *_asked(place, assignment, asked)], key=lambda c: c.student)


def downloads(course: Course, assignment: str) -> dict[str, dict[str, Download]]:
    """How each notebook that lies in `submitted/` is named in its download, by student and notebook."""
    file = course.state / assignment / "downloads.json"
    kept = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    return {student: {name: Download(**d) for name, d in found.items()} for student, found in kept.items()}


def _remember(own: Path, unfinished: Path, taken: dict[str, dict[str, "_Taken"]]) -> None:
    file = own / "downloads.json"
    kept = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    for student, notebooks in taken.items():
        kept.setdefault(student, {}).update({name: asdict(t.download) for name, t in notebooks.items()})
    (unfinished / file.name).write_text(json.dumps(kept, indent=1), encoding="utf-8")
    os.replace(unfinished / file.name, file)


def _asked(course: Course, assignment: str, names: dict[str, Platform]) -> Iterator[Collected]:
    """A line for each file whose name is nearly a platform's: it is the instructor who knows whose it is."""
    place = course.folder("submitted", "STUDENT", assignment).relative_to(course.root)
    for name, platform in names.items():
        note = (
            f"{name!r} is not named as {CALLED[platform]} names the others: "
            f"give it its name back, or put it by hand into {place}/"
        )
        yield Collected(_safe(name), None, note)


@contextmanager
def _members(source: Path) -> Iterator[list[_Member]]:
    """The files in a zip file or a folder, open for reading."""
    if source.is_dir():
        yield _within_limit(_of_folder(source), source)
        return
    if not source.is_file():
        raise FileNotFoundError(f"there is no file or folder {source}: name what you downloaded")
    try:
        archive = zipfile.ZipFile(source)
    except OSError:
        raise
    except Exception as error:  # whatever zipfile makes of a damaged file
        raise ValueError(f"{source} is not a whole zip file: download it again, or name a folder") from error
    with archive:
        yield _within_limit(_of_zip(archive), source)


def _within_limit(members: Iterator[_Member], source: Path) -> list[_Member]:
    found: list[_Member] = []
    for count, member in enumerate(members):
        if count == MEMBERS:
            raise ValueError(f"{source} holds more than {MEMBERS} files: take out what students did not send")
        if member.parts and not any(JUNK.fullmatch(part) for part in member.parts):
            found.append(member)
    if not found:
        raise ValueError(f"{source} is empty: name the zip file or the folder with what students sent")
    return found


def _of_folder(folder: Path) -> Iterator[_Member]:
    for here, folders, files in os.walk(folder):
        for name in sorted(files + [f for f in folders if Path(here, f).is_symlink()]):
            file = Path(here, name)
            status = file.lstat()
            unfit = "" if stat.S_ISREG(status.st_mode) else "a link or no plain file"
            relative = file.relative_to(folder).as_posix()
            yield _Member(relative, status.st_mtime, partial(io.FileIO, file), unfit)


def _of_zip(archive: zipfile.ZipFile) -> Iterator[_Member]:
    for info in archive.infolist():
        name = info.filename.replace("\\", "/")
        if name.endswith("/"):
            continue
        kind = stat.S_IFMT(info.external_attr >> 16)
        unfit = "a link or no plain file" if kind not in (0, stat.S_IFREG) else ""
        if name.startswith("/") or re.match("[A-Za-z]:", name) or ".." in name.split("/"):
            unfit = "a path that leads elsewhere"
        year, month, day, hour, minute, second = info.date_time
        time = ((((year * 12 + month) * 31 + day) * 24 + hour) * 60 + minute) * 60 + second
        yield _Member(name, time, partial(archive.open, info), unfit)


def _students(members: list[_Member], other_assignments: list[str]) -> tuple[dict[str, _Student], dict[str, Platform]]:
    """Whose files these are, by the students' ids; and what is to be asked about, with the platform of the others.

    Raises ValueError where two students would get the same id.
    """
    top = {member.parts[0] for member in members}
    paths = [member.parts for member in members]
    if len(top) == 1 and all(len(path) > 1 and (CANVAS.fullmatch(path[1]) or MOODLE.match(path[1])) for path in paths):
        paths = [path[1:] for path in paths]  # what the platform packed was packed again, in a folder
    _require_canvas(
        [path[0] for member, path in zip(members, paths, strict=True) if len(path) == 1 and not member.unfit]
    )
    students: dict[str, _Student] = {}
    asked: dict[str, Platform] = {}
    claimed: dict[str, tuple[str, str]] = {}
    owned = [_owner(member, path, position) for position, (member, path) in enumerate(zip(members, paths, strict=True))]
    most = _platform([file.download.platform for _, file in owned])
    for member, path, (raw, file) in zip(members, paths, owned, strict=True):
        kind = file.download.platform
        if kind == "plain" and most != "plain":
            asked[path[0]] = most
            continue
        student = _safe(raw)
        # A disk may not tell capitals apart.
        if claimed.setdefault(student.casefold(), (kind, raw)) != (kind, raw):
            first = claimed[student.casefold()][1]
            raise ValueError(f"{first!r} and {raw!r} would both become {student}: give one another name in the source")
        known = students.setdefault(student, _Student())
        if student != raw:
            _note(known, f"{raw!r} was renamed {student}")
        if file.download.late:
            _note(known, "late, says Canvas")
        if member.unfit:
            _note(known, f"left out {member.name!r}: it is {member.unfit}")
        elif kind == "plain" and set(path[1:-1]) & set(other_assignments):
            _note(known, f"left out {member.name!r}: it belongs to another assignment")
        else:
            known.files.append(file)
    return students, asked


def _platform(kinds: list[Platform]) -> Platform:
    """Who named most of the files; `plain` where no platform did."""
    kind, count = Counter(kinds).most_common(1)[0]
    return kind if 2 * count > len(kinds) else "plain"


def _require_canvas(names: list[str]) -> None:
    """Raise ValueError where names only look as if Canvas had made them, as `hw_2026_1_anna.ipynb` beside
    `hw_2026_1_bea.ipynb`: in Canvas a number is one person, and one file of this person."""
    people: dict[str, re.Match[str]] = {}
    files: dict[tuple[str, str], re.Match[str]] = {}
    for canvas in filter(None, map(CANVAS.fullmatch, names)):
        who = canvas["number"] or canvas["code"]
        person = people.setdefault(who, canvas)
        file = files.setdefault((who, canvas["file"] or canvas["page"]), canvas)
        if file is not canvas or person["name"] != canvas["name"]:
            other = file if file is not canvas else person
            raise ValueError(
                f"{other[0]!r} and {canvas[0]!r} cannot both be named by Canvas, and would become one student's: "
                "put each student's files in a folder of the student's name"
            )


def _owner(member: _Member, path: list[str], position: int) -> tuple[str, _File]:
    """The student as the platform writes it, and the file under the name that the student gave it."""
    first, last, name = path[0], path[-1], "/".join(path)
    if moodle := MOODLE.fullmatch(first):
        original = last if len(path) > 1 else moodle["original"]
        return moodle["student"].replace(" ", "_"), _file(member, original, position, Download("moodle", name, False))
    if len(path) == 1 and (canvas := CANVAS.fullmatch(first)):
        download = Download("canvas", name, bool(canvas["late"] or canvas["too_late"]))
        original, version = canvas["original"] or canvas["page"], (int(canvas["file"] or 0), position)
        return canvas["number"] or canvas["code"], _File(member, original, version, download)
    student = first if len(path) > 1 else first.rpartition(".")[0] or first
    return student, _file(member, last, position, Download("plain", name, False))


def _file(member: _Member, name: str, position: int, download: Download) -> _File:
    """A file whose versions are told apart by their times, then by the number that a browser adds."""
    copy = COPY.search(name.rpartition(".")[0])
    return _File(member, name, (member.time, int(copy[1] or copy[2]) if copy else 0, position), download)


def _safe(name: str) -> str:
    """The name as an id that can be a folder's name: letters, digits and `._-@+`, no dot in front."""
    text = "".join(letter if letter.isalnum() or letter in "._-@+" else "_" for letter in name)
    if len(text) > NAME_LENGTH:
        number = re.search(r"_\d{1,20}$", text)
        text = text[:NAME_LENGTH] + (number[0] if number else "")
    return re.sub(r"^\.", "_", text)


def _note(student: _Student, text: str) -> None:
    if text not in student.notes:
        student.notes.append(text)


def _is_notebook(file: _File) -> bool:
    return file.name.lower().endswith(".ipynb")


@dataclass(frozen=True)
class _Taken:
    """A copy of our own of what counts, and where it is from."""

    copy: Path
    download: Download


def _take(students: dict[str, _Student], notebooks: list[str], into: Path) -> dict[str, dict[str, _Taken]]:
    """Copy what counts of each student into a folder of our own; by student, then by the notebook's name."""
    left = ALL_FILES
    taken: dict[str, dict[str, _Taken]] = {}
    for number, (student, handed_in) in enumerate(students.items()):
        taken[student] = {}
        for name, file in _choose(handed_in, notebooks).items():
            copy = into / f"{number}-{name}"
            try:
                left -= _copy(file.member, copy, min(ONE_FILE, left))
            except _TooLarge as reason:
                left -= ONE_FILE
                if left < 0:
                    raise ValueError(
                        f"the notebooks hold more than {ALL_FILES / 2**30:.3g} GiB: take out what students did not send"
                    ) from reason
                _note(handed_in, f"left out {file.name!r}: it has more than {ONE_FILE / 2**20:.3g} MiB")
            except _Unreadable as reason:
                _note(handed_in, f"left out {file.name!r}: it cannot be read ({reason})")
            else:
                taken[student][name] = _Taken(copy, file.download)
    return taken


def _choose(student: _Student, notebooks: list[str]) -> dict[str, _File]:
    """The files that count, by the notebook's name; a note for whatever does not."""
    files = [file for file in student.files if _is_notebook(file)]
    for file in student.files:
        if file not in files:
            _note(student, f"left out {file.name!r}: it is no notebook")
    versions: dict[str, list[_File]] = defaultdict(list)
    for file in files:
        name = _name_among(notebooks, file.stem)
        if name is None and len(notebooks) == len(files) == 1:
            name = notebooks[0]
        if name is not None:
            versions[name].append(file)
    chosen = {name: max(found, key=lambda f: f.version) for name, found in versions.items()}
    for name, file in chosen.items():
        if len(versions[name]) > 1:
            _note(student, f"of {len(versions[name])} versions the latest was taken, {file.name!r}")
        if file.stem != name:
            _note(student, f"{file.name!r} was renamed {name}.ipynb")
    strange = [file.name for file in files if not any(file in found for found in versions.values())]
    for stray in strange:
        _note(student, f"left out {stray!r}: no notebook of the assignment has this name")
    missing = [f"{name}.ipynb" for name in notebooks if name not in chosen]
    if missing:
        _note(student, f"there is no {' and no '.join(missing)}")
    return chosen


def _name_among(notebooks: list[str], stem: str) -> str | None:
    """The notebook that a file of this name is, whatever was added to it."""
    while True:
        for name in notebooks:
            if name.casefold() == stem.casefold():
                return name
        shorter = COPY.sub("", stem)
        if shorter == stem:
            return None
        stem = shorter


class _TooLarge(Exception):
    """A file has more bytes than it may have."""


class _Unreadable(Exception):
    """A file cannot be read; the text says why."""


def _copy(member: _Member, to: Path, limit: int) -> int:
    """Copy a member, taking no more than the limit whatever its header says; returns its size."""
    size = 0
    with open(to, "wb") as copy:
        for block in _blocks(member):
            size += len(block)
            if size > limit:
                raise _TooLarge
            copy.write(block)
    return size


def _blocks(member: _Member) -> Iterator[bytes]:
    try:
        with member.open() as source:
            while block := source.read(2**20):
                yield block
    except Exception as error:  # whatever zipfile makes of a damaged file, or the disk of one that it may not read
        raise _Unreadable(str(error) or type(error).__name__) from error


def _put(
    course: Course, assignment: str, student: str, notes: list[str], taken: dict[str, _Taken], former: Path
) -> Collected:
    """Put a student's notebooks in place; what they replace goes to the next free number in `former`."""
    folder = course.folder("submitted", student, assignment)
    number = 1 + max((int(p.name) for p in former.glob("*") if p.name.isdecimal()), default=0)
    for name, new in taken.items():
        file = folder / f"{name}.ipynb"
        if file.exists():
            if filecmp.cmp(file, new.copy, shallow=False):
                notes.append(f"{file.name} was there already")
                continue
            _land(file, former / str(number) / file.name)
            notes.append(f"the former {file.name} is now {(former / str(number) / file.name).relative_to(course.root)}")
            stamp = folder / "timestamp.txt"  # tells nbgrader when the former was handed in
            if stamp.exists():
                shutil.move(stamp, former / str(number) / stamp.name)
        _land(new.copy, file)
    if not taken:
        return Collected(student, None, "; ".join(notes))
    return Collected(student, folder / f"{next(iter(taken))}.ipynb" if len(taken) == 1 else folder, "; ".join(notes))


def _land(file: Path, place: Path) -> None:
    """Copy a file to a place, which has the whole of it or does not change."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with workspace(place.parent) as unfinished:
        os.replace(shutil.copyfile(file, unfinished / place.name), place)
