"""Membership attacks and their curves beside scikit-learn's, SciPy's and the adversarial-robustness-toolbox's."""

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn import metrics
from torch import Tensor, nn

from tml_helpers import _torchvision
from tml_helpers.data import digits
from tml_helpers.models import MLP
from tml_helpers.privacy import (
    ShadowModels,
    membership_inference,
    membership_roc,
    scaled_confidence,
    shadow_attack,
    train_shadow_models,
)
from tml_helpers.training import predict


def scores(seed: int, *, decimals: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Members and others from two normals; rounded, many are equal."""
    random = np.random.default_rng(seed)
    found = random.normal(0.7, 1, 230), random.normal(0, 1.3, 310)
    return found if decimals is None else tuple(part.round(decimals) for part in found)  # type: ignore[return-value]


every_kind = pytest.mark.parametrize(("seed", "decimals"), [(0, None), (1, None), (2, 1), (3, 0)])


@every_kind
def test_curve_and_area_are_scikit_learns(seed: int, decimals: int | None) -> None:
    members, others = scores(seed, decimals=decimals)
    truth, everybody = np.repeat([1, 0], [len(members), len(others)]), np.concatenate([members, others])
    roc = membership_roc(members, others)
    fpr, tpr, thresholds = metrics.roc_curve(truth, everybody, drop_intermediate=False)
    np.testing.assert_allclose(roc.false_positive_rates, fpr, atol=1e-12)
    np.testing.assert_allclose(roc.true_positive_rates, tpr, atol=1e-12)
    np.testing.assert_array_equal(roc.thresholds, thresholds)
    assert roc.auc == pytest.approx(metrics.roc_auc_score(truth, everybody), abs=1e-12)
    statistic = stats.mannwhitneyu(members, others).statistic
    assert roc.auc == pytest.approx(statistic / len(members) / len(others), abs=1e-12)


@every_kind
@pytest.mark.parametrize("rate", [0.01, 0.05, 0.2])
def test_true_positives_at_a_rate_are_arts_or_more(seed: int, decimals: int | None, rate: float) -> None:
    """ART drops points of the curve that lie on a line between others, and with them some that it is asked for."""
    _torchvision.load()  # which ART imports
    peer = pytest.importorskip("art.metrics.privacy.worst_case_mia_score", reason="the extra [peers] is not installed")
    members, others = scores(seed, decimals=decimals)
    truth, everybody = np.repeat([1, 0], [len(members), len(others)]), np.concatenate([members, others])
    ((fpr, tpr, threshold),) = peer.get_roc_for_fpr(everybody, truth, targeted_fpr=rate)
    point = membership_roc(members, others).tpr_at(rate)
    assert fpr <= point.false_positive_rate <= rate
    assert point.true_positive_rate >= tpr
    assert point.threshold <= threshold
    if fpr == point.false_positive_rate:
        assert point.true_positive_rate == pytest.approx(tpr)


def test_entropies_and_losses_are_scipys_and_pytorchs() -> None:
    class Same(nn.Module):
        def forward(self, rows: Tensor) -> Tensor:
            return rows

    logits = 5 * torch.randn(50, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    labels = torch.arange(50) % 7
    p = logits.softmax(dim=1)
    expected = -torch.from_numpy(stats.entropy(p.numpy(), axis=1))
    assert torch.allclose(membership_inference(Same(), logits, labels, score="entropy"), expected)
    loss = nn.functional.cross_entropy(logits, labels, reduction="none")
    assert torch.allclose(membership_inference(Same(), logits, labels), -loss)
    own = p.gather(1, labels[:, None]).squeeze(1)
    assert torch.allclose(scaled_confidence(logits, labels), torch.logit(own))


def world(seed: int) -> tuple[ShadowModels, nn.Module, Tensor]:
    """Shadow models of 8×8 digits, of which a third have a drawn label, a target like them, and what it saw."""
    some, g = digits("train").select(slice(0, 400)), torch.Generator().manual_seed(seed)
    drawn = torch.randint(10, (400,), generator=g)
    labels = torch.where(torch.rand(400, generator=g) < 0.3, drawn, some.labels)
    how = {"count": 7, "epochs": 40, "batch_size": 32}
    made = train_shadow_models(lambda: MLP(64, in_features=64), some.images, labels, generator=g, **how)  # type: ignore[arg-type]
    shadows = ShadowModels(made.models[:-1], made.included[:-1], made.images, made.labels)
    return shadows, made.models[-1], made.included[-1]


def test_members_by_rule_are_those_with_a_positive_margin() -> None:
    """ART's rule: whoever is classified correctly is a member."""
    _torchvision.load()
    art = pytest.importorskip("art.attacks.inference.membership_inference", reason="the extra [peers] is not installed")
    shadows, target, _ = world(0)
    asked = shadows.images, shadows.labels
    theirs = art.MembershipInferenceBlackBoxRuleBased(classifier(target)).infer(*(part.numpy() for part in asked))
    ours = membership_inference(target, *asked, score="margin") > 0
    assert 0.5 < ours.double().mean() < 1
    np.testing.assert_array_equal(ours.numpy(), theirs.astype(bool))


def test_the_shadow_attack_is_not_weaker_than_arts() -> None:
    """The same shadow models' answers teach ART's random forest, one for all classes: mean AUC over two targets."""
    _torchvision.load()
    art = pytest.importorskip("art.attacks.inference.membership_inference", reason="the extra [peers] is not installed")
    areas = []
    for seed in range(2):
        shadows, target, member = world(seed)
        answers = np.stack([softmax(model, shadows.images) for model in shadows.models])  # (S, N, 10)
        labels = shadows.labels.expand(len(shadows.models), -1).numpy()
        saw = shadows.included.numpy()
        attack = art.MembershipInferenceBlackBox(classifier(target), attack_model_type="rf")
        attack.fit(pred=answers[saw], y=labels[saw], test_pred=answers[~saw], test_y=labels[~saw])
        asked = {"y": shadows.labels.numpy(), "pred": softmax(target, shadows.images)}
        theirs = torch.from_numpy(attack.infer(None, **asked, probabilities=True).ravel())
        own = {"shadow_models": shadows, "generator": torch.Generator().manual_seed(seed)}
        ours = shadow_attack(target, shadows.images, shadows.labels, **own)  # type: ignore[arg-type]
        areas.append([membership_roc(found[member], found[~member]).auc for found in (ours, theirs)])
    found, peer = np.mean(areas, axis=0)
    assert found > 0.53
    assert found > peer - 0.05


def softmax(model: nn.Module, images: Tensor) -> np.ndarray:
    return predict(model, images).softmax(dim=1).numpy()


def classifier(model: nn.Module):
    from art.estimators.classification import PyTorchClassifier

    return PyTorchClassifier(model, loss=nn.CrossEntropyLoss(), input_shape=(1, 8, 8), nb_classes=10)
