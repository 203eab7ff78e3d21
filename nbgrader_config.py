"""nbgrader's settings for this course; read by `tml` and by `nbgrader formgrader` alike."""

c = get_config()  # noqa: F821  (nbgrader defines it)

c.CourseDirectory.course_id = "trustworthy-ml"
c.CourseDirectory.source_directory = "solutions"
c.CourseDirectory.release_directory = "exercises"
# The default is "solution": one letter from the folder that people edit.
c.CourseDirectory.solution_directory = "_solution_release"
# nbgrader copies what lies beside a notebook to the students: never the sources, nor the answers to grade.
c.CourseDirectory.ignore = [
    ".ipynb_checkpoints",
    "__pycache__",
    "*.pyc",
    "*.py",
    "*.md",
    "wrong",
    "right",
]

c.ClearSolutions.code_stub = {"python": "# YOUR CODE HERE\nraise NotImplementedError"}
c.Execute.timeout = 300  # seconds for one cell; the slowest of ours takes a few
c.OverwriteCells.add_missing_cells = True
# What a test cell prints to stderr (a warning, a progress bar) would cost its points.
c.IgnorePattern.enabled = True
c.IgnorePattern.pattern = r"(?s).*"
