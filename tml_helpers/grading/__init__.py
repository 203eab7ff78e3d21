"""Release a homework, check a student's file, grade a class, export the points.

A course is a folder with nbgrader's `nbgrader_config.py`, which names its folders. In this book they are `solutions/`
(what the instructor edits), `exercises/` (what students get), `submitted/STUDENT/ASSIGNMENT/ASSIGNMENT.ipynb`,
`autograded/` and `feedback/`.
"""

from tml_helpers.grading.check import check
from tml_helpers.grading.release import release
from tml_helpers.grading.report import report
from tml_helpers.grading.run import Grade, grade

__all__ = ["Grade", "check", "grade", "release", "report"]
