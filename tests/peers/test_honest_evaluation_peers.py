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


@pytest.mark.parametrize(("norm", "epsilon", "count"), [("linf", 0.05, 50), ("l2", 0.8, 25)])
def test_the_ensemble_is_within_one_image_of_autoattack(mlp, norm, epsilon, count):
    _torchvision.load()  # which torchattacks imports
    torchattacks = pytest.importorskip("torchattacks", reason="the extra [peers] is not installed")
    test = mnist("test", source="default")
    images, labels = test.images[:count], test.labels[:count]
    theirs = torchattacks.AutoAttack(
        mlp, norm={"linf": "Linf", "l2": "L2"}[norm], eps=epsilon, version="standard", n_classes=10, seed=0
    )(images, labels)
    left = (mlp(theirs).argmax(dim=1) == labels).double().mean().item()
    ours = evaluate(
        mlp, images, labels, epsilon=epsilon, norm=norm, sanity=False, generator=torch.Generator().manual_seed(0)
    )
    assert 0.1 < left < 0.9
    assert ours.robust_accuracy == pytest.approx(left, abs=1.01 / count)


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


def test_classes_and_radii_are_arts_but_for_the_noise(mlp):
    images = mnist("test", source="default").images[:20]
    np.random.seed(0)
    torch.manual_seed(0)
    theirs = arts(mlp, 0.25, 0.001)
    theirs._lower_confidence_bound = clopper_pearson  # its own is statsmodels', which ART does not install
    classes, radii = theirs.certify(images.numpy(), n=2000)
    smoothed = RandomizedSmoothing(mlp, sigma=0.25)
    ours = smoothed.certify(images, n=2000, generator=torch.Generator().manual_seed(0))
    both = (ours.classes.numpy() != -1) & (classes != -1)
    assert both.mean() > 0.7
    assert (ours.classes.numpy() == classes)[both].all()
    assert ours.radii.numpy()[both] == pytest.approx(radii[both], abs=0.1)  # both draw 2,000 times
    assert np.mean(ours.radii.numpy()[both] - radii[both]) == pytest.approx(0, abs=0.015)
