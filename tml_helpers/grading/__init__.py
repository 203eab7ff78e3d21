"""Homework: release it, start it, check it, collect and grade what a class submits, export the points.

A course is a folder with nbgrader's `nbgrader_config.py`, which names its folders. In this book they are `solutions/`
(what the instructor edits), `exercises/` (what students get), `submitted/STUDENT/ASSIGNMENT/ASSIGNMENT.ipynb`,
`autograded/` and `feedback/`. What grading remembers between runs lies in `.tml-grading/`.
"""

from tml_helpers.grading.bulk import GivenBack, give_back
from tml_helpers.grading.check import check
from tml_helpers.grading.collect import Collected, collect
from tml_helpers.grading.release import release
from tml_helpers.grading.report import Exported, report
from tml_helpers.grading.run import Grade, grade
from tml_helpers.grading.start import start

__all__ = [
    "Collected",
    "Exported",
    "GivenBack",
    "Grade",
    "check",
    "collect",
    "give_back",
    "grade",
    "release",
    "report",
    "start",
]
