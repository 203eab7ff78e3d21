"""The tests that a GPU runs (test_kernels_gpu*.py), on small shapes in Triton's interpreter, without a GPU."""

import pytest
from kernel_checks import interpret, needs_triton


@needs_triton
def test_every_kernel_in_tritons_interpreter() -> None:
    """Of the first kernels' tests, 161, 85 and 79 need no device: none of the files may be left out."""
    assert interpret("not slow") >= 325


@needs_triton
@pytest.mark.slow
def test_the_cases_of_large_images_in_tritons_interpreter() -> None:
    assert interpret("slow") >= 48
