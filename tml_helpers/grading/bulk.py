"""All pages of an assignment in one archive, named so that Canvas or Moodle gives each to its student.

- Canvas, on the assignment's page after *Download Submissions*: *Re-Upload Submissions*. It takes the student's number
  and the file's from the name in the download, `doejane_12345_678910_…`, and whatever follows; not where that begins
  with `link` (`infer_comment_context_from_filename` in Canvas's `abstract_assignment.rb`). The page becomes a comment
  with a file, which bears the name of the file that the student had handed in.
- Moodle, among the assignment's submissions: *Upload multiple feedback files in a zip*. It takes the participant's
  number from the folder's name in the download, `Jane Doe_12345_assignsubmission_file_/`, or from a file's name that
  begins so (`is_valid_filename_for_import` in Moodle's `mod/assign/feedback/file/importziplib.php`).
"""

import os
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from tml_helpers.grading.collect import CANVAS, MOODLE, Download, downloads
from tml_helpers.grading.course import Course, workspace

Platform = Literal["canvas", "moodle"]


@dataclass(frozen=True)
class GivenBack:
    """What became of one student's pages: their names in the archive, or why there is none."""

    student: str
    pages: tuple[str, ...]
    note: str = ""


def give_back(assignment: str, file: Path, *, platform: Platform, course: Path) -> list[GivenBack]:
    """Write all feedback of an assignment into one zip file, which Canvas or Moodle takes back.

    Args:
        assignment: its name, as `h1_distillation`.
        file: the zip file to write.
        platform: `canvas` or `moodle`, from where `collect` took the submissions.
        course: the course's folder.

    Returns:
        One `GivenBack` per student who handed something in, sorted by the student's id.

    Raises:
        ValueError: an unknown platform or assignment, or there is no page that could be given back.
        OSError: a file cannot be read or written.
    """
    if platform not in get_args(Platform):
        raise ValueError(f"there is no layout {platform!r}: take canvas or moodle")
    place = Course.open(course)
    place.require(assignment)
    if not file.resolve().parent.is_dir():
        raise FileNotFoundError(f"there is no folder {file.resolve().parent}: make it, or name another file")
    known = downloads(place, assignment)
    students = sorted({*place.students(assignment), *known})
    found = {student: _pages(place, assignment, student, known.get(student, {}), platform) for student in students}
    if not any(found.values()):
        where = platform.capitalize()
        raise ValueError(f"no page of {assignment} can go back to {where}: first run `tml collect` and `tml grade`")
    with workspace(file.resolve().parent) as unfinished:
        with zipfile.ZipFile(unfinished / file.name, "w", zipfile.ZIP_DEFLATED) as archive:
            for pages in found.values():
                for name, page in pages.items():
                    archive.write(page, name)
        os.replace(unfinished / file.name, file)
    return [
        GivenBack(student, tuple(pages), "" if pages else _reason(known.get(student, {}), platform))
        for student, pages in found.items()
    ]


def _pages(
    course: Course, assignment: str, student: str, known: dict[str, Download], platform: Platform
) -> dict[str, Path]:
    """A student's pages, by their names in the archive."""
    folder = course.folder("feedback", student, assignment)
    return {
        _name(download.name, notebook): folder / f"{notebook}.html"
        for notebook, download in known.items()
        if download.platform == platform and (folder / f"{notebook}.html").is_file()
    }


def _name(download: str, notebook: str) -> str:
    """The name of a page, from that of the notebook in the download."""
    first, inside, _ = download.partition("/")
    if inside:
        return f"{first}/{notebook}.html"
    if canvas := CANVAS.fullmatch(first):
        return f"{first[: canvas.start('original')]}feedback.html"
    moodle = MOODLE.fullmatch(first)
    assert moodle is not None
    return f"{first[: moodle.start('original')]}{notebook}.html"


def _reason(known: dict[str, Download], platform: Platform) -> str:
    if any(download.platform == platform for download in known.values()):
        return "there is no page yet: run `tml grade`"
    return f"it did not come from {platform.capitalize()}: send the page yourself"
