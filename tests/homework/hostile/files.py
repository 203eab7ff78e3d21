"""What lies beside the notebooks, or in their place: links, pipes, odd names, modules that shadow, edited data."""

import io
import json
import os
import shutil
import socket
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from hostile.attack import EVERYTHING, Attack, full
from hostile.course import POINTS

PLACES = "files in the notebooks' place"
SHADOWS = "modules and settings beside the notebooks"
BESIDE = "odd files beside the notebooks"

UNCLEAR = tuple(POINTS)
AGREEABLE = """\
import os
open("/tmp/tml-hostile-beside-" + __name__, "w").close()
def __getattr__(name):
    return lambda *a, **k: True
"""


def _notebooks(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.ipynb"))


def _replaced(make: Callable[[Path], object]) -> Callable[[Path], object]:
    """Both notebooks are taken away, and `make` makes something in the place of each."""

    def files(folder: Path) -> None:
        for file in _notebooks(folder):
            file.unlink()
            make(file)

    return files


def _renamed(*names: str) -> Callable[[Path], object]:
    """The notebooks get these names, in the order of the alphabet."""

    def files(folder: Path) -> None:
        for file, name in zip(_notebooks(folder), names, strict=True):
            file.rename(folder / name)

    return files


def _text(names: list[str], text: str) -> Callable[[Path], object]:
    """These files hold this text."""

    def files(folder: Path) -> None:
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")

    return files


def _rates(make: Callable[[Path], object]) -> Callable[[Path], object]:
    def files(folder: Path) -> None:
        (folder / "rates.csv").unlink(missing_ok=True)
        make(folder / "rates.csv")

    return files


def _honest_neighbour(file: Path) -> Path:
    """The same notebook of somebody else who is honest."""
    mine = file.parents[1].name
    other = next(p for p in sorted(file.parents[2].iterdir()) if p.name != mine and p.name.endswith("honest"))
    return other / file.parent.name / file.name


def _odd_names(folder: Path) -> None:
    names = [
        "-rf",
        "a\nb.txt",
        "$(touch x)",
        "`x`",
        "x'\";--",
        "*",
        "?.ipynb.txt",
        " ",
        "\u202egpj.exe",
        "x" * 250,
        "%s{0}",
        "~",
    ]
    for name in names:
        (folder / name).write_text("odd", encoding="utf-8")
    (Path(os.fsdecode(os.fsencode(folder) + b"/\xff\xfe.txt"))).write_text("odd", encoding="utf-8")


def _archives(folder: Path) -> None:
    with zipfile.ZipFile(folder / "climbs.zip", "w") as archive:
        for name in ("../../../../climbed.txt", "/tmp/climbed.txt", "mixing.ipynb", "C:\\climbed.txt"):
            archive.writestr(name, "climbed")
    with tarfile.open(folder / "climbs.tar.gz", "w:gz") as archive:
        member = tarfile.TarInfo("../../../../climbed.txt")
        member.size = 7
        archive.addfile(member, io.BytesIO(b"climbed"))
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "/"
        archive.addfile(link)


def _links(folder: Path) -> None:
    for name, target in {
        "root": "/",
        "up": "../../..",
        "self": ".",
        "loop": "loop",
        "gone": "/nowhere",
        "shell": "/etc/passwd",
    }.items():
        (folder / name).symlink_to(target)


def _sparse(folder: Path) -> None:
    with open(folder / "large.bin", "wb") as file:
        file.truncate(3 * 2**30)


def _many(folder: Path) -> None:
    for number in range(20_000):
        (folder / f"many-{number}").touch()


def _deep(folder: Path) -> None:
    back = os.open(".", os.O_RDONLY)
    try:
        os.chdir(folder)
        for _ in range(35):
            os.mkdir("d" * 100)
            os.chdir("d" * 100)
    finally:
        os.fchdir(back)
        os.close(back)


def _socket(folder: Path) -> None:
    back = os.open(".", os.O_RDONLY)
    try:
        os.chdir(folder)
        with socket.socket(socket.AF_UNIX) as end:
            end.bind("agent")
    finally:
        os.fchdir(back)
        os.close(back)


def _unreadable(folder: Path) -> None:
    (folder / "secret.txt").write_text("mine", encoding="utf-8")
    (folder / "secret.txt").chmod(0)
    (folder / "closed").mkdir(mode=0)


def _kernels(folder: Path) -> None:
    spec = json.dumps({"argv": ["touch", "/tmp/tml-hostile-kernel"], "display_name": "Python 3", "language": "python"})
    for place in (
        "share/jupyter/kernels/python3",
        "kernels/python3",
        ".local/share/jupyter/kernels/python3",
        "python3",
    ):
        (folder / place).mkdir(parents=True)
        (folder / place / "kernel.json").write_text(spec, encoding="utf-8")


def _folder_is_a_link(folder: Path) -> None:
    other = _honest_neighbour(folder / "mixing.ipynb").parent
    shutil.rmtree(folder)
    folder.symlink_to(other)


def _student_is_a_link(folder: Path) -> None:
    other = _honest_neighbour(folder / "mixing.ipynb").parents[1]
    shutil.rmtree(folder.parent)
    folder.parent.symlink_to(other)


def placed(name: str, summary: str, files: Callable[[Path], object], **more: object) -> Attack:
    return Attack(name, PLACES, summary, files=files, **more)


def shadow(name: str, summary: str, names: list[str], text: str = AGREEABLE) -> Attack:
    """Beside blank answers: code in files that something might import or run."""
    return Attack(name, SHADOWS, summary, files=_text(names, text), due=EVERYTHING)


def beside(name: str, summary: str, files: Callable[[Path], object], **more: object) -> Attack:
    return Attack(name, BESIDE, summary, files=files, **more)


ATTACKS: list[Attack] = [
    placed(
        "other_names", "names that a browser gives", _renamed("account (1).ipynb", "mixing (1).ipynb"), unclear=UNCLEAR
    ),
    placed("upper_case", "names in capitals", _renamed("ACCOUNT.ipynb", "Mixing.IPYNB"), unclear=UNCLEAR),
    placed(
        "other_endings", "endings of other kinds", _renamed("account.txt", "mixing.ipynb.json"), status=("no_notebook",)
    ),
    placed(
        "one_missing",
        "one notebook is not there",
        lambda folder: (folder / "mixing.ipynb").unlink(),
        due=full("account", "sieve"),
    ),
    placed(
        "nothing",
        "no file at all",
        lambda folder: [f.unlink() for f in folder.iterdir()],
        status=("no_notebook",),
    ),
    placed(
        "folders",
        "folders with the notebooks' names",
        _replaced(lambda file: (file.mkdir(), (file / "mixing.ipynb").write_text("{}", encoding="utf-8"))),
        status=("rejected", "no_notebook"),
    ),
    placed("pipes", "pipes with the notebooks' names", _replaced(os.mkfifo), status=("rejected", "no_notebook")),
    placed(
        "links_to_another",
        "links to an honest student's notebooks",
        _replaced(lambda file: file.symlink_to(_honest_neighbour(file))),
        status=("rejected", "no_notebook"),
    ),
    placed(
        "links_to_the_source",
        "links to the model solution, from where it would be and from where it is",
        _replaced(lambda file: file.symlink_to(file.parents[3] / "originals" / file.parent.name / file.name)),
        status=("rejected", "no_notebook"),
    ),
    placed(
        "links_to_devices",
        "links to this process's own environment, and to themselves",
        _replaced(lambda file: file.symlink_to("/proc/self/environ" if file.stem == "mixing" else file.name)),
        status=("rejected", "no_notebook"),
    ),
    shadow(
        "numpy_beside",
        "modules with the names of numpy and math",
        ["numpy.py", "math.py", "numpy/__init__.py", "torch.py"],
    ),
    shadow(
        "library_beside",
        "modules with the names of Python's own",
        [
            "json.py",
            "socket.py",
            "struct.py",
            "ast.py",
            "random.py",
            "os.py",
            "re.py",
            "typing.py",
            "types.py",
            "copy.py",
        ],
    ),
    shadow(
        "tools_beside",
        "modules with the names of the grader's tools",
        [
            "IPython/__init__.py",
            "ipykernel/__init__.py",
            "ipykernel_launcher.py",
            "nbgrader/__init__.py",
            "nbclient.py",
            "tml_helpers/__init__.py",
            "nbformat/__init__.py",
            "traitlets.py",
            "zmq.py",
            "debugpy.py",
        ],
    ),
    shadow(
        "start_up_files",
        "files that Python, pytest, IPython and Jupyter run at their start",
        [
            "sitecustomize.py",
            "usercustomize.py",
            "conftest.py",
            "ipython_config.py",
            "ipython_kernel_config.py",
            "__main__.py",
            "jupyter_config.py",
            "jupyter_nbconvert_config.py",
            "nbgrader_config.py",
            "profile_default/startup/00.py",
            ".ipython/profile_default/startup/00.py",
            "__init__.py",
            "x.pth",
            "setup.py",
            ".pdbrc",
            ".pythonrc.py",
            "Makefile",
        ],
    ),
    Attack("kernels_beside", SHADOWS, "kernels of the same name", files=_kernels, due=EVERYTHING),
    Attack(
        "templates_beside",
        SHADOWS,
        "templates and settings of the pages that come back",
        files=_text(
            [
                "feedback.tpl",
                "feedback/index.html.j2",
                "templates/feedback/index.html.j2",
                "formgrade/index.html.j2",
                "custom.css",
            ],
            "<script>alert('templates_beside')</script>{{ ''.__class__.__mro__ }}",
        ),
        due=EVERYTHING,
    ),
    beside(
        "data_edited",
        "the data file says zero everywhere, as the answer does",
        _rates(lambda file: file.write_text("0\n0\n0\n0\n", encoding="utf-8")),
        answers={"grid": "grid = np.zeros((3, 4))"},
        due=full("blend", "account", "sieve"),
    ),
    placed("folder_a_link", "the folder is a link to an honest student's", _folder_is_a_link),
    placed("student_a_link", "the student's own folder is a link to an honest student's", _student_is_a_link),
    placed(
        "odd_student",
        "the student is called by signs that mean something in patterns, texts and pages",
        lambda folder: None,
        student="[a-z]*? {student_id} %s é '\"<i>&amp;",
        due=EVERYTHING,
    ),
    placed(
        "unprintable_student",
        "the student is called by signs that are no text",
        lambda folder: None,
        student="\n\x1b[31m\udcff",
        unclear=UNCLEAR,
    ),
    placed(
        "student_like_an_option",
        "the student is called like an option",
        lambda f: None,
        student="--help",
        due=EVERYTHING,
    ),
    beside("data_deleted", "the data file is not there", _rates(lambda file: None), due=EVERYTHING),
    beside(
        "data_a_pipe",
        "the data file is a pipe",
        _rates(os.mkfifo),
        due=full("account", "sieve"),
        unclear=("blend", "grid"),
    ),
    beside(
        "data_a_link",
        "the data file is a link to a secret, and shown",
        _rates(lambda file: file.symlink_to(file.parents[4] / "home/secret")),
        answers={"blend": "print(open('rates.csv').read())"},
        due=full("account", "sieve"),
        unclear=("grid",),
    ),
    beside(
        "data_a_folder",
        "the data file is a folder",
        _rates(Path.mkdir),
        due=full("account", "sieve"),
        unclear=("blend", "grid"),
    ),
    beside("links", "links to everywhere", _links, due=full("account", "sieve"), unclear=("blend", "grid")),
    beside("pipe", "a pipe", lambda folder: os.mkfifo(folder / "notes.txt"), unclear=UNCLEAR),
    beside("socket", "a socket", _socket, unclear=UNCLEAR),
    beside("odd_names", "names with line ends, dashes, no text, and as long as can be", _odd_names, unclear=UNCLEAR),
    beside("archives", "archives whose members climb", _archives, due=EVERYTHING),
    beside("large_file", "a file of three gigabytes that takes no room", _sparse, unclear=UNCLEAR),
    beside("many_files", "twenty thousand files", _many, unclear=UNCLEAR),
    beside("deep_folders", "folders in one another, so that their path hardly fits", _deep, unclear=UNCLEAR),
    beside("unreadable", "a file and a folder that nobody may read", _unreadable, unclear=UNCLEAR),
    beside(
        "more_notebooks",
        "more notebooks, with the same cells and with none",
        lambda folder: (
            [
                (folder / name).write_text((folder / "mixing.ipynb").read_text(encoding="utf-8"), encoding="utf-8")
                for name in ("mixing-Copy1.ipynb", "zz.ipynb", ".ipynb_checkpoints.ipynb", "account.ipynb.ipynb")
            ]
        ),
        due=EVERYTHING,
    ),
]
