"""What several files of tests need and is slow to make: made once in a whole run, also where workers share the run."""

import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from torch import nn

from tml_helpers import data
from tml_helpers.data import TextSet
from tml_helpers.models import MLP, SmallCNN
from tml_helpers.training import fit, seed_everything


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[], Any]) -> Any:
    """Who asks first makes it and writes it to a file of the run; every caller gets a copy of its own."""
    folder = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    file = folder / f"{name}.pickle"
    with FileLock(folder / f"{name}.lock"):
        if not file.exists():
            file.write_bytes(pickle.dumps(make()))
    return pickle.loads(file.read_bytes())


def trained(network: Callable[[], nn.Module], **how: Any) -> nn.Module:
    generator = seed_everything(0)
    model = network()
    fit(model, data.mnist("train", source="default"), batch_size=64, generator=generator, progress=False, **how)
    return model.eval()


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the wheel is installed."""
    tool = Path(__file__).parents[1] / "tools/wheel.py"

    def install() -> Path:
        target = tmp_path_factory.mktemp("library")
        subprocess.run([sys.executable, str(tool), str(target)], check=True)
        return target

    folder: Path = made_once(tmp_path_factory, "library", install)
    return folder


@pytest.fixture(scope="module")
def small_cnn(tmp_path_factory: pytest.TempPathFactory) -> SmallCNN:
    """A convolutional network that reads more than 95 % of the test digits."""
    model: SmallCNN = made_once(tmp_path_factory, "small_cnn", lambda: trained(SmallCNN, epochs=3, learning_rate=2e-3))
    return model


@pytest.fixture(scope="module")
def mlp(tmp_path_factory: pytest.TempPathFactory) -> MLP:
    """A network with one hidden layer that reads more than 85 % of the test digits."""
    model: MLP = made_once(tmp_path_factory, "mlp", lambda: trained(lambda: MLP(64), epochs=5, learning_rate=3e-3))
    return model


@pytest.fixture(scope="module")
def docstrings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, TextSet]:
    """Both parts of `data.docstrings`, which parses some thousand source files."""
    parts: dict[str, TextSet] = made_once(
        tmp_path_factory, "docstrings", lambda: {split: data.docstrings(split) for split in ("train", "test")}
    )
    return parts
