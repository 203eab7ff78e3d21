"""The ensemble against AutoAttack's, and randomised smoothing against ART's."""

import numpy as np
import pytest
import torch
from scipy.stats import binomtest
from torch import nn

from tml_helpers import _torchvision
from tml_helpers.attacks.evaluate import evaluate
from tml_helpers.data import mnist
from tml_helpers.defenses.randomized_smoothing import RandomizedSmoothing
from tml_helpers.models import MLP
from tml_helpers.training import fit, seed_everything


@pytest.fixture(scope="module")
def trained():
    generator = seed_everything(0)
    model = MLP(64)
    fit(model, mnist("train", source="default"), epochs=5, learning_rate=3e-3, batch_size=64, generator=generator)
    return model.eval()


@pytest.mark.parametrize(("norm", "epsilon"), [("linf", 0.05), ("l2", 0.8)])
def test_the_ensemble_is_within_two_points_of_autoattack(trained, norm, epsilon):
    _torchvision.load()  # which torchattacks imports
    torchattacks = pytest.importorskip("torchattacks", reason="the extra [peers] is not installed")
    test = mnist("test", source="default")
    images, labels = test.images[:50], test.labels[:50]
    theirs = torchattacks.AutoAttack(
        trained, norm={"linf": "Linf", "l2": "L2"}[norm], eps=epsilon, version="standard", n_classes=10, seed=0
    )(images, labels)
    left = (trained(theirs).argmax(dim=1) == labels).double().mean().item()
    ours = evaluate(
        trained, images, labels, epsilon=epsilon, norm=norm, sanity=False, generator=torch.Generator().manual_seed(0)
    )
    assert 0.1 < left < 0.9
    assert ours.robust_accuracy == pytest.approx(left, abs=0.0201)


def arts(model: nn.Module, sigma: float, alpha: float):
    _torchvision.load()  # which ART imports
    art = pytest.importorskip("art.estimators.certification.randomized_smoothing", reason="[peers] is not installed")
    return art.PyTorchRandomizedSmoothing(
        model=model,
        loss=nn.CrossEntropyLoss(),
        input_shape=(1, 28, 28),
        nb_classes=10,
        sample_size=500,
        scale=sigma,
        alpha=alpha,
    )


def clopper_pearson(successes: float, n: int) -> float:
    exact = binomtest(int(successes), n, alternative="greater")
    return float(exact.proportion_ci(confidence_level=0.999, method="exact").low)


def test_classes_and_radii_are_arts_but_for_the_noise(trained):
    images = mnist("test", source="default").images[:40]
    np.random.seed(0)
    torch.manual_seed(0)
    theirs = arts(trained, 0.25, 0.001)
    theirs._lower_confidence_bound = clopper_pearson  # its own is statsmodels', which ART does not install
    classes, radii = theirs.certify(images.numpy(), n=2000)
    smoothed = RandomizedSmoothing(trained, sigma=0.25)
    ours, ours_radii = smoothed.certify(images, n=2000, generator=torch.Generator().manual_seed(0))
    both = (ours.numpy() != -1) & (classes != -1)
    assert both.mean() > 0.7
    assert (ours.numpy() == classes)[both].all()
    assert ours_radii.numpy()[both] == pytest.approx(radii[both], abs=0.1)  # both draw 2,000 times
    assert np.mean(ours_radii.numpy()[both] - radii[both]) == pytest.approx(0, abs=0.01)
