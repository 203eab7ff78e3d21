"""What this machine is and has, and where the course is on the web: for `tml`, the book and benchmark results."""

import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

__all__ = ["GIB", "cores", "describe", "processor", "program", "repository", "site", "version", "web_address"]

GIB = 2**30
CPUINFO = Path("/proc/cpuinfo")
ROOT = Path(__file__).parents[1]
# What git takes for a repository that has a page on the web; an address of ssh needs a whole host, not a name for one.
REMOTES = (
    re.compile(r"(?P<scheme>https?)://(?:[^/]*@)?(?P<host>[^/@]+)/(?P<path>[^?#]+).*"),
    re.compile(r"ssh://(?:[^/]*@)?(?P<host>[\w-]+(?:\.[\w-]+)+)(?::\d+)?/(?P<path>[^~].*)"),
    re.compile(r"[^@/:]+@(?P<host>[\w-]+(?:\.[\w-]+)+):(?P<path>[^/~].*)"),
)


def repository(*, committed: bool = False) -> str | None:
    """The web address of the course's sources: `[project.urls]` in pyproject.toml, else the clone's own `origin`.

    Args:
        committed: look into pyproject.toml alone; what is committed must not depend on whose clone it was made in.

    Returns:
        The address, without a slash at its end; None where there is none.
    """
    address = _written("Repository")
    return address if address or committed else web_address(_origin())


def site(*, committed: bool = False) -> str | None:
    """The web address of the book: `Documentation` in pyproject.toml, else where GitHub or GitLab shows its pages.

    Args:
        committed: as of `repository`.

    Returns:
        The address, without a slash at its end; None where there is none.
    """
    return _written("Documentation") or _pages(repository(committed=committed) or "")


def web_address(remote: str) -> str | None:
    """The page in a browser of what git calls a remote, as `git@host.org:owner/name.git`; no password stays in it.

    Args:
        remote: an address that git takes.

    Returns:
        As `https://host.org/owner/name`; None where it leads to no web page, as a path on this machine.
    """
    for form in REMOTES:
        if found := form.fullmatch(remote.strip()):
            parts = {"scheme": "https"} | found.groupdict()
            return "{scheme}://{host}/{path}".format_map(parts).rstrip("/").removesuffix(".git")
    return None


def _written(label: str) -> str | None:
    """An address of `[project.urls]`, of a checkout from its own file: its metadata are as old as its installation."""
    urls: dict[str, str] = {}
    if (ROOT / "pyproject.toml").exists():
        urls = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"].get("urls", {})
    elif version("tml-helpers"):
        entries = importlib.metadata.metadata("tml-helpers").get_all("Project-URL") or []
        urls = dict(entry.split(", ", 1) for entry in entries)
    return urls[label].rstrip("/") if label in urls else None


def _origin() -> str:
    """The remote that this checkout was cloned from; empty where it is no clone, or git is missing."""
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        return ""
    command = ["git", "-C", str(ROOT), "config", "--get", "remote.origin.url"]
    return subprocess.run(command, capture_output=True, encoding="utf-8", check=False).stdout


def _pages(address: str) -> str | None:
    """Where GitHub and GitLab show the pages of a repository."""
    found = re.fullmatch(r"https://(github|gitlab)\.com/([^/]+)/(.+)", address)
    if found is None:
        return None
    host = f"{found[2].lower()}.{found[1]}.io"
    return f"https://{host}" if found[3].lower() == host else f"https://{host}/{found[3]}"


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
