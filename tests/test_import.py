"""`import tml_helpers` costs next to nothing. What is loaded is counted, not timed."""

import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import tml_helpers

HEAVY = {"torch", "numpy", "scipy", "sklearn", "skimage", "matplotlib", "pandas", "triton", "nbgrader", "torchvision"}


def loaded_by(code: str) -> set[str]:
    """The modules that a fresh Python loads for `code`, beyond those that it starts with."""
    script = f"import json, sys; before = set(sys.modules); {code}; print(json.dumps(list(set(sys.modules) - before)))"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(json.loads(run.stdout.splitlines()[-1]))


def test_the_package_alone_loads_nothing_but_itself() -> None:
    loaded = loaded_by("import importlib, types; before |= set(sys.modules); import tml_helpers")
    assert loaded == {"tml_helpers"}


@pytest.mark.parametrize(
    "code",
    [
        "from tml_helpers import claims, machine",
        "from tml_helpers import cli; cli._parser()",
        "from tml_helpers import cli; cli.main(['check', 'no/such/file.ipynb'])",
    ],
)
def test_what_needs_no_tensor_loads_no_torch(code: str) -> None:
    assert not {name.partition(".")[0] for name in loaded_by(code)} & HEAVY


def test_explanations_load_no_more_than_torch_and_numpy() -> None:
    loaded = loaded_by("from tml_helpers.explain import saliency, tree_rules")
    heavy = {name.partition(".")[0] for name in loaded} & HEAVY
    assert heavy - {"triton"} == {"torch", "numpy"}  # kernels load triton where it is installed


def test_a_module_is_loaded_when_it_is_first_used_and_no_other() -> None:
    loaded = loaded_by("import tml_helpers; tml_helpers.claims.claim('', True)")
    ours = {name for name in loaded if name.startswith("tml_helpers")}
    assert ours == {"tml_helpers", "tml_helpers.claims", "tml_helpers._console"}


def test_an_unknown_module_is_named_with_those_that_there_are() -> None:
    with pytest.raises(AttributeError, match=r"no module 'modells'.*models.*training"):
        tml_helpers.modells  # noqa: B018
    with pytest.raises(ImportError):
        from tml_helpers import modells  # noqa: F401


def test_what_is_announced_is_there_and_what_is_there_is_announced() -> None:
    folder = Path(tml_helpers.__file__).parent
    modules = {p.stem for p in folder.glob("*.py")} | {p.parent.name for p in folder.glob("*/__init__.py")}
    assert set(tml_helpers.__all__) == {name for name in modules if not name.startswith("_")} - {"cli"}
    assert set(tml_helpers.__all__) <= set(dir(tml_helpers))
    assert tml_helpers.__all__ == sorted(tml_helpers.__all__)


def test_the_version_is_that_of_the_installed_package() -> None:
    assert tml_helpers.__version__ == version("tml-helpers")
