"""What this machine is and has: for `tml doctor`, for benchmark results, and for the address of the book's sources."""

import importlib.metadata
import os
import platform
import shutil
from pathlib import Path

__all__ = ["GIB", "cores", "describe", "processor", "program", "repository", "version"]

GIB = 2**30
CPUINFO = Path("/proc/cpuinfo")


def repository() -> str:
    """The address of the book's sources, from the package's metadata: `[project.urls]` in pyproject.toml.

    Returns:
        The address.

    Raises:
        ValueError: the package was installed without it.
    """
    for entry in importlib.metadata.metadata("tml-helpers").get_all("Project-URL") or []:
        label, _, address = entry.partition(", ")
        if label == "Repository":
            return str(address)
    raise ValueError("tml-helpers was installed without its Project-URL: install it again with `make setup`")


def processor() -> str:
    """The processor's name, as the system gives it.

    Returns:
        The name; on Linux that of /proc/cpuinfo.
    """
    if CPUINFO.exists():
        for line in CPUINFO.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(": ")[2].strip()
    return platform.processor() or platform.machine()


def cores() -> int:
    """How many processors this process may use.

    Returns:
        1 or more.
    """
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def version(package: str) -> str | None:
    """The installed version of a package, without importing it.

    Args:
        package: its name, as on the package index.

    Returns:
        The version; None where the package is missing.
    """
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def describe() -> dict[str, str | int | None]:
    """What a reader of a measurement needs to know of the machine that it was taken on.

    Returns:
        Facts by name: system, processor, cores, python, and the versions of torch, numpy and triton.
    """
    facts: dict[str, str | int | None] = {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": processor(),
        "cores": cores(),
        "python": platform.python_version(),
    }
    for package in ("torch", "numpy", "triton"):
        facts[package] = version(package)
    return facts


def program(*names: str) -> str | None:
    """Where the first of these programs is.

    Args:
        names: of programs, the best first.

    Returns:
        The path; None where none is found.
    """
    return next(filter(None, map(shutil.which, names)), None)
