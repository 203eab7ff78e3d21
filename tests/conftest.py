"""What all tests share: no window, no deadline, one thread, the default data."""

import os

from hypothesis import settings

# Before torch and numpy are imported: several tests run side by side, and sums come out equal.
os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", MPLBACKEND="Agg")
# Tests run on the default data. The full data sets, where they are named, are read by the tests that ask for them.
if folder := os.environ.pop("TML_DATA_DIR", None):
    os.environ["TML_FULL_DATA"] = folder

# No test is timed: a busy machine must not fail what a quiet one passes.
settings.register_profile("course", deadline=None, max_examples=50)
settings.load_profile("course")
