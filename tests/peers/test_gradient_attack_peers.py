"""FGSM and PGD equal torchattacks', Foolbox's and ART's; DeepFool and Carlini & Wagner are no worse than theirs."""

import copy
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset
from untied import untied

from tml_helpers import _torchvision
from tml_helpers.attacks.carlini_wagner import carlini_wagner
from tml_helpers.attacks.deepfool import deepfool
from tml_helpers.attacks.fgsm import fgsm
from tml_helpers.attacks.pgd import pgd
from tml_helpers.data import mnist
from tml_helpers.models import SmallCNN
from tml_helpers.training import fit, predict, seed_everything

_torchvision.load()  # which torchattacks imports
torchattacks = pytest.importorskip("torchattacks", reason="the extra [peers] is not installed")
foolbox = pytest.importorskip("foolbox", reason="the extra [peers] is not installed")
pytest.importorskip("art", reason="the extra [peers] is not installed")

Batch = tuple[nn.Module, Tensor, Tensor]
EPSILON = {"linf": 0.1, "l2": 1.5}
STEPS = 10
ART_PGD = "art.attacks.evasion.projected_gradient_descent.projected_gradient_descent_pytorch"


def art_classifier(model: nn.Module, images: Tensor) -> Any:
    from art.estimators.classification import PyTorchClassifier

    classes = predict(model, images[:1]).shape[1]
    loss = nn.CrossEntropyLoss(reduction="sum")  # ART's own mean would shrink gradients below the L2 norm's guard
    return PyTorchClassifier(model, loss, images.shape[1:], classes, clip_values=(0.0, 1.0), device_type="cpu")


def by_art(attack: Any, images: Tensor, labels: Tensor) -> Tensor:
    return torch.from_numpy(attack.generate(images.numpy(), np.eye(10)[labels.numpy()]))


def by_foolbox(attack: Any, model: nn.Module, images: Tensor, labels: Tensor, epsilon: float | None) -> Tensor:
    return attack(foolbox.PyTorchModel(model, bounds=(0, 1), device="cpu"), images, labels, epsilons=epsilon)[1]


def random_net(seed: int) -> Batch:
    """A smooth random network and images away from its gradients' zeros."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(400, 10)).eval()
    return model, torch.rand(16, 1, 12, 12), torch.randint(10, (16,))


@pytest.fixture(scope="module")
def reader(small_cnn: SmallCNN) -> Batch:
    """A trained network and 24 digits that it reads correctly."""
    test = mnist("test", source="default")
    right = predict(small_cnn, test.images).argmax(dim=1) == test.labels
    return small_cnn, test.images[right][::40][:24], test.labels[right][::40][:24]


@pytest.fixture(params=["random 0", "random 1", "random 2", "SmallCNN"])
def batch(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Batch:
    """In float64, and without ties: where a maximum or a sign decides, a last digit would lead to another image."""
    trained = request.param == "SmallCNN"
    model, images, labels = request.getfixturevalue("reader") if trained else random_net(int(request.param[-1]))
    monkeypatch.setattr("art.attacks.evasion.fast_gradient.ART_NUMPY_DTYPE", np.float64)
    monkeypatch.setattr(f"{ART_PGD}.ART_NUMPY_DTYPE", np.float64)
    return copy.deepcopy(model).double(), untied(images), labels


def assert_same(ours: Tensor, theirs: Tensor) -> None:
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)


# --- FGSM and PGD: the same images ---


def test_fgsm_equals_torchattacks(batch):
    model, images, labels = batch
    theirs = torchattacks.FGSM(model, eps=0.1)(images, labels)
    assert_same(fgsm(model, images, labels, epsilon=0.1), theirs)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_fgsm_equals_foolboxs(batch, norm):
    model, images, labels = batch
    attack = {"linf": foolbox.attacks.LinfFastGradientAttack, "l2": foolbox.attacks.L2FastGradientAttack}[norm]()
    theirs = by_foolbox(attack, model, images, labels, EPSILON[norm])
    assert_same(fgsm(model, images, labels, epsilon=EPSILON[norm], norm=norm), theirs)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_fgsm_equals_arts(batch, norm):
    from art.attacks.evasion import FastGradientMethod

    model, images, labels = batch
    attack = FastGradientMethod(
        art_classifier(model, images), norm=math.inf if norm == "linf" else 2, eps=EPSILON[norm], batch_size=64
    )
    theirs = by_art(attack, images, labels)
    assert_same(fgsm(model, images, labels, epsilon=EPSILON[norm], norm=norm), theirs)


def ours(model: nn.Module, images: Tensor, labels: Tensor, norm: str, epsilon: float | None = None) -> Tensor:
    epsilon = EPSILON[norm] if epsilon is None else epsilon
    how = {"steps": STEPS, "step_size": epsilon / 4, "random_start": False}
    return pgd(model, images, labels, epsilon=epsilon, norm=norm, **how)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_pgd_equals_torchattacks(batch, norm):
    model, images, labels = batch
    how = {"eps": EPSILON[norm], "alpha": EPSILON[norm] / 4, "steps": STEPS, "random_start": False}
    if norm == "linf":
        attack = torchattacks.PGD(model, **how)
    else:  # it adds this to the length of the mean loss's gradient, which is short where the model is sure
        attack = torchattacks.PGDL2(model, eps_for_division=1e-20, **how)
    assert_same(ours(model, images, labels, norm), attack(images, labels))


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_pgd_equals_foolboxs(batch, norm):
    model, images, labels = batch
    attack = {"linf": foolbox.attacks.LinfPGD, "l2": foolbox.attacks.L2PGD}[norm]
    theirs = attack(abs_stepsize=EPSILON[norm] / 4, steps=STEPS, random_start=False)
    assert_same(ours(model, images, labels, norm), by_foolbox(theirs, model, images, labels, EPSILON[norm]))


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_pgd_equals_arts(batch, norm):
    from art.attacks.evasion import ProjectedGradientDescentPyTorch

    model, images, labels = batch
    epsilon = 0.3 if norm == "l2" else EPSILON[norm]
    if norm == "l2":  # ART cuts to the box before it projects onto the ball, we after: stay away from the box
        images = 0.4 + 0.2 * images
    attack = ProjectedGradientDescentPyTorch(
        art_classifier(model, images),
        norm=math.inf if norm == "linf" else 2,
        eps=epsilon,
        eps_step=epsilon / 4,
        max_iter=STEPS,
        batch_size=64,
        verbose=False,
    )
    assert_same(ours(model, images, labels, norm, epsilon), by_art(attack, images, labels))


def test_targeted_pgd_equals_torchattacks(batch):
    model, images, labels = batch
    targets = (labels + 1) % 10
    attack = torchattacks.PGD(model, eps=0.1, alpha=0.025, steps=STEPS, random_start=False)
    attack.set_mode_targeted_by_label(quiet=True)
    mine = pgd(model, images, labels, targets=targets, epsilon=0.1, step_size=0.025, steps=STEPS, random_start=False)
    assert_same(mine, attack(images, targets))


# --- DeepFool and Carlini & Wagner: success and distance ---


def distances(batch: Batch, adversarial: Tensor, order: float = 2) -> Tensor:
    """How far each image was moved, `[N]`: infinitely far where it is still read correctly."""
    model, images, labels = batch
    lengths = torch.linalg.vector_norm((adversarial - images).flatten(1), order, dim=1)
    return torch.where(predict(model, adversarial).argmax(dim=1) != labels, lengths, math.inf)


def assert_no_worse(mine: Tensor, theirs: Tensor) -> None:
    """As many images, and image by image no farther: in the median of the ratios by 2 % at most."""
    assert mine.isfinite().sum() >= theirs.isfinite().sum()
    both = mine.isfinite() & theirs.isfinite()
    assert (mine / theirs)[both].median() <= 1.02


@pytest.mark.parametrize(("norm", "order"), [("l2", 2), ("linf", math.inf)])
def test_deepfool_is_no_worse_than_foolboxs(reader, norm, order):
    attack = {"l2": foolbox.attacks.L2DeepFoolAttack, "linf": foolbox.attacks.LinfDeepFoolAttack}[norm]()
    theirs = distances(reader, by_foolbox(attack, *reader, None), order)
    mine = distances(reader, deepfool(*reader, norm=norm), order)
    assert theirs.isfinite().all()
    assert_no_worse(mine, theirs)
    assert (mine / theirs).median().item() == pytest.approx(1, rel=0.02)


def test_deepfool_is_no_worse_than_arts(reader):
    from art.attacks.evasion import DeepFool

    model, images, labels = few = (reader[0], *(part[:8] for part in reader[1:]))  # it takes one after the other
    attack = DeepFool(art_classifier(model, images), max_iter=50, epsilon=0.02, verbose=False)
    theirs = distances(few, by_art(attack, images, labels))
    assert_no_worse(distances(few, deepfool(*few)), theirs)


def test_carlini_wagner_is_no_worse_than_foolboxs(reader):
    few = (reader[0], *(part[::2] for part in reader[1:]))
    attack = foolbox.attacks.L2CarliniWagnerAttack(binary_search_steps=5, steps=100, stepsize=0.1)
    theirs = distances(few, by_foolbox(attack, *few, None))
    assert theirs.isfinite().all()
    assert_no_worse(distances(few, carlini_wagner(*few)), theirs)


def test_carlini_wagner_is_no_worse_than_arts(reader):
    from art.attacks.evasion import CarliniL2Method

    model, images, labels = (reader[0], *(part[:8] for part in reader[1:]))
    how = {"binary_search_steps": 4, "max_iter": 10, "initial_const": 10.0, "learning_rate": 0.01, "batch_size": 8}
    attack = CarliniL2Method(art_classifier(model, images), verbose=False, **how)
    few = (model, images, labels)
    theirs = distances(few, by_art(attack, images, labels))
    assert theirs.isfinite().float().mean() > 0.5
    assert_no_worse(distances(few, carlini_wagner(model, images, labels)), theirs)


def eight_by_eight(normalised: bool, seed: int) -> Batch:
    """A network trained on scikit-learn's digits of 8 × 8, and 24 of them that it reads correctly."""
    from sklearn.datasets import load_digits

    loaded = load_digits()
    images, labels = torch.tensor(loaded.images / 16).float()[:, None], torch.tensor(loaded.target).long()
    generator = seed_everything(seed)
    norm = nn.BatchNorm2d if normalised else nn.Identity
    first = (nn.Conv2d(1, 16, 3, padding=1), norm(16), nn.ReLU())
    second = (nn.Conv2d(16, 32, 3, stride=2, padding=1), norm(32), nn.ReLU())
    model = nn.Sequential(*first, *second, nn.Flatten(), nn.Linear(32 * 16, 10))
    train = TensorDataset(images[:1300], labels[:1300])
    fit(model, train, epochs=6, learning_rate=3e-3, batch_size=64, generator=generator)
    model.eval()
    right = (predict(model, images[1300:]).argmax(dim=1) == labels[1300:]).nonzero().squeeze(1)[:24] + 1300
    return model, images[right], labels[right]


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("normalised", [False, True], ids=["plain", "BatchNorm"])
def test_on_other_images_carlini_wagner_is_no_worse_than_foolbox_at_its_best_rate_nor_than_deepfool(normalised, seed):
    """A search that starts from the image alone loses to DeepFool on the plain network."""
    batch = eight_by_eight(normalised, seed)
    mine = distances(batch, carlini_wagner(*batch))
    theirs = []
    for rate in (0.03, 0.1, 0.3):
        attack = foolbox.attacks.L2CarliniWagnerAttack(binary_search_steps=5, steps=100, stepsize=rate)
        theirs.append(distances(batch, by_foolbox(attack, *batch, None)))
    assert mine.isfinite().all()
    assert mine.median() <= 1.02 * min(found.median() for found in theirs)
    assert (mine <= distances(batch, deepfool(*batch, steps=10)) + 1e-5).all()


def test_targeted_carlini_wagner_is_no_worse_than_foolboxs(reader):
    model, images, labels = (reader[0], *(part[:8] for part in reader[1:]))
    targets = (labels + 1) % 10
    attack = foolbox.attacks.L2CarliniWagnerAttack(binary_search_steps=5, steps=100, stepsize=0.1)
    theirs = by_foolbox(attack, model, images, foolbox.criteria.TargetedMisclassification(targets), None)
    mine = carlini_wagner(model, images, labels, targets=targets)
    for found in (mine, theirs):
        assert (predict(model, found).argmax(dim=1) == targets).all()
    few = (model, images, labels)
    assert_no_worse(distances(few, mine), distances(few, theirs))
