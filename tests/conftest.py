"""What all tests share: no window, no deadline, one thread, the default data, what is made once, no unseen skip."""

import os

from hypothesis import settings

# Before torch and numpy are imported: several tests run side by side, and sums come out equal.
os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", MPLBACKEND="Agg")
# Tests run on the default data. The full data sets, where they are named, are read by the tests that ask for them.
if folder := os.environ.pop("TML_DATA_DIR", None):
    os.environ["TML_FULL_DATA"] = folder

from made_once import docstrings, library, mlp, small_cnn
from skips import pytest_make_collect_report, pytest_runtest_makereport

__all__ = ["docstrings", "library", "mlp", "pytest_make_collect_report", "pytest_runtest_makereport", "small_cnn"]

# No test is timed: a busy machine must not fail what a quiet one passes. Examples are the same in every run, so that a
# failure returns; `pytest --hypothesis-profile explore` draws others, and prints how to see a failure again.
settings.register_profile("course", deadline=None, max_examples=50, derandomize=True)
settings.register_profile("explore", deadline=None, max_examples=50, derandomize=False, print_blob=True)
settings.load_profile("course")
