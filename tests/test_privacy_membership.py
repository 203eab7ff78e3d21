"""Scores of one model and of two: from the definitions in high precision, in any mode, for answers of any size."""

import copy
import math
from decimal import Decimal, getcontext

import pytest
import torch
from bad_input import refuses
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from tml_helpers.privacy import compare_two_models, membership_inference, membership_roc, scaled_confidence

SCORES = ("loss", "confidence", "entropy", "modified_entropy", "margin")


class Table(nn.Module):
    """Answers with the numbers that it is asked about: an input is a row of logits."""

    def forward(self, rows: Tensor) -> Tensor:
        return rows.flatten(1)


def by_definition(logits: list[float], label: int) -> dict[str, float]:
    """Every score as its formula says, with 60 digits."""
    getcontext().prec = 60
    powers = [(Decimal(z) - Decimal(max(logits))).exp() for z in logits]
    p = [power / sum(powers) for power in powers]
    rest = [sum(powers[j] for j in range(len(p)) if j != k) / sum(powers) for k in range(len(p))]
    log = [value.ln() for value in p]
    others = [k for k in range(len(p)) if k != label]
    found = {
        "loss": log[label],
        "confidence": max(log),
        "entropy": sum(a * b for a, b in zip(p, log, strict=True)),
        "modified_entropy": rest[label] * log[label] + sum(p[k] * rest[k].ln() for k in others),
        "margin": Decimal(logits[label]) - max(Decimal(logits[k]) for k in others),
        "psi": log[label] - rest[label].ln(),
    }
    return {name: float(value) for name, value in found.items()}


rows = st.lists(st.floats(-40, 40, width=32), min_size=2, max_size=6)


@given(logits=rows, data=st.data())
@settings(max_examples=150, deadline=None)
def test_scores_are_their_formulas(logits: list[float], data: st.DataObject) -> None:
    label = data.draw(st.integers(0, len(logits) - 1))
    truth = by_definition(logits, label)
    row, labels = torch.tensor([logits]), torch.tensor([label])
    for name in SCORES:
        found = membership_inference(Table(), row, labels, score=name).item()  # type: ignore[arg-type]
        assert found == pytest.approx(truth[name], rel=1e-9, abs=1e-30), name
    assert scaled_confidence(row, labels).item() == pytest.approx(truth["psi"], rel=1e-9, abs=1e-12)


@given(logits=st.lists(st.sampled_from([-1e4, -3.0, 0.0, 2.0, 1e4]), min_size=2, max_size=5), data=st.data())
@settings(max_examples=60, deadline=None)
def test_extreme_logits_give_finite_scores(logits: list[float], data: st.DataObject) -> None:
    label = data.draw(st.integers(0, len(logits) - 1))
    row, labels = torch.tensor([logits]), torch.tensor([label])
    for name in SCORES:
        assert torch.isfinite(membership_inference(Table(), row, labels, score=name)).all(), name  # type: ignore[arg-type]
    assert torch.isfinite(scaled_confidence(row, labels)).all()


def test_very_sure_answers_still_differ() -> None:
    """log p of float32 is 0 for both: a threshold could not tell them, and ties would stand for a defence."""
    sure = torch.tensor([[30.0, 0.0], [40.0, 0.0], [400.0, 0.0]])
    labels = torch.zeros(3, dtype=torch.int64)
    for name in SCORES:
        found = membership_inference(Table(), sure, labels, score=name)  # type: ignore[arg-type]
        assert (found.diff() > 0).all(), name


@pytest.mark.parametrize("name", ["confidence", "entropy"])
def test_two_scores_do_not_look_at_the_label(name: str) -> None:
    logits = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    found = [membership_inference(Table(), logits, torch.full((6,), k), score=name) for k in range(4)]  # type: ignore[arg-type]
    assert all(torch.equal(found[0], other) for other in found)


@pytest.mark.parametrize("name", ["loss", "modified_entropy", "margin"])
def test_three_scores_find_a_wrong_sure_answer_unlike_a_member(name: str) -> None:
    """Plain entropy takes a sure mistake for a member: that is why Song and Mittal modify it."""
    logits, wrong = torch.tensor([[9.0, 0.0, 0.0], [9.0, 0.0, 0.0]]), torch.tensor([0, 1])
    right, mistaken = membership_inference(Table(), logits, wrong, score=name).tolist()  # type: ignore[arg-type]
    assert right > mistaken


class Moody(nn.Module):
    """Batch normalisation and dropout: it answers otherwise while training."""

    def __init__(self, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(12), nn.Dropout(0.5), nn.Linear(12, 3)).to(dtype)

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(images)


def batch(count: int = 9, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(1)
    return torch.rand(count, 1, 3, 4, generator=g, dtype=dtype), torch.randint(3, (count,), generator=g)


def test_a_model_in_training_is_asked_in_evaluation_mode_and_comes_back() -> None:
    """TensorFlow Privacy 427: the likelihood-ratio code asked networks in training mode, batch by batch."""
    images, labels = batch()
    model = Moody().train()
    model.layers[2].eval()
    state = copy.deepcopy(model.state_dict())
    found = membership_inference(model, images, labels, batch_size=4)
    assert [module.training for module in model.layers] == [True, True, False, True]
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    model.eval()
    with torch.no_grad():
        expected = -nn.functional.cross_entropy(model(images), labels, reduction="none")
    assert torch.allclose(found, expected.double(), atol=1e-6)
    assert all(p.grad is None for p in model.parameters())


def test_scores_stand_in_the_order_of_the_examples() -> None:
    """Adversarial-robustness-toolbox 1165: `infer` shuffled, so nobody knew whose score was whose."""
    images, labels = batch(11)
    model = Moody()
    found = membership_inference(model, images, labels, batch_size=3)
    one_by_one = [membership_inference(model, images[i : i + 1], labels[i : i + 1]) for i in range(11)]
    assert torch.allclose(found, torch.cat(one_by_one), atol=1e-6)
    assert found.unique().numel() == 11


def test_two_classes_are_classes() -> None:
    """Adversarial-robustness-toolbox 1334: with two classes labels were not encoded, and the attack failed."""
    logits, labels = torch.tensor([[2.0, 0.0], [2.0, 0.0]]), torch.tensor([0, 1])
    expected = [-math.log1p(math.exp(-2)), -math.log1p(math.exp(2))]
    assert membership_inference(Table(), logits, labels).tolist() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_precision_and_memory_layout_of_inputs(dtype: torch.dtype) -> None:
    images, labels = batch(9, dtype)
    turned = images.transpose(2, 3).contiguous().transpose(2, 3)
    assert not turned.is_contiguous()
    model = Moody(dtype)
    found = membership_inference(model, turned, labels)
    assert found.dtype == torch.float64
    assert torch.equal(found, membership_inference(model, images, labels))


def test_two_models_are_compared_on_the_scale_of_phi() -> None:
    images, labels = batch()
    one, other = Moody().eval(), Moody().eval()
    with torch.no_grad():
        expected = scaled_confidence(one(images), labels) - scaled_confidence(other(images), labels)
    found = compare_two_models(one, images, labels, other=other, batch_size=4)
    assert torch.allclose(found, expected, atol=1e-5)
    assert torch.allclose(found, -compare_two_models(other, images, labels, other=one), atol=1e-5)
    assert found.abs().min() > 1e-3


def test_a_model_that_never_saw_either_set_gives_it_away_to_no_score() -> None:
    """Mean AUC over 30 models and pairs of sets that were never seen: 0.5 up to six standard errors."""
    areas: dict[str, list[float]] = {name: [] for name in SCORES}
    for seed in range(30):
        g = torch.Generator().manual_seed(seed)
        images, labels = torch.rand(400, 12, generator=g), torch.randint(3, (400,), generator=g)
        torch.manual_seed(seed)
        model = nn.Linear(12, 3)
        for name in SCORES:
            found = membership_inference(model, images, labels, score=name)  # type: ignore[arg-type]
            areas[name].append(membership_roc(found[:200], found[200:]).auc)
    error = math.sqrt(401 / (12 * 200 * 200) / 30)
    for name, found_areas in areas.items():
        assert abs(sum(found_areas) / 30 - 0.5) < 6 * error, name


def test_two_kinds_of_data_look_like_members_to_a_model_that_saw_neither() -> None:
    """Das, Zhang and Tramèr, 2024: a mixture of distributions is told apart without any membership."""
    g = torch.Generator().manual_seed(0)
    plain, shifted = torch.randn(300, 12, generator=g), torch.randn(300, 12, generator=g) * 4
    inputs, labels = torch.cat([shifted, plain]), torch.zeros(600, dtype=torch.int64)
    torch.manual_seed(0)
    found = membership_inference(nn.Linear(12, 3), inputs, labels, score="confidence")
    assert membership_roc(found[:300], found[300:]).auc > 0.7


def test_what_cannot_be_scored_is_refused() -> None:
    images, labels = batch()
    model = Moody()
    refused: list[tuple[type[Exception], tuple[str, ...], tuple[object, object], dict[str, object]]] = [
        (ValueError, ("score must be one of loss", "'Loss'"), (images, labels), {"score": "Loss"}),
        (TypeError, ("images must be a tensor", "ndarray"), (images.numpy(), labels), {}),
        (ValueError, ("non-empty", "[0, 1, 3, 4]"), (images[:0], labels[:0]), {}),
        (ValueError, ("shape [9]", "[8]"), (images, labels[:8]), {}),
        (ValueError, ("labels must lie in 0…2", "got 3"), (images, labels + 3 - labels.max()), {}),
        (ValueError, ("0 or more", "-1"), (images, labels - 1 - labels.min()), {}),
        (TypeError, ("int64", "float32"), (images, labels.float()), {}),
        (TypeError, ("int64", "bool"), (images, labels.bool()), {}),
        (ValueError, ("images must be finite",), (images / 0, labels), {}),
        (TypeError, ("model is torch.float32", "images are torch.float64"), (images.double(), labels), {}),
        (ValueError, ("batch_size", "1 or more"), (images, labels), {"batch_size": 0}),
        (TypeError, ("batch_size", "whole number"), (images, labels), {"batch_size": 2.0}),
    ]
    for kind, words, arguments, settings_ in refused:
        with refuses(kind, *words):
            membership_inference(model, *arguments, **settings_)  # type: ignore[arg-type]


def test_answers_that_are_no_logits_are_refused() -> None:
    images, labels = batch()
    wrong = {
        "shape [9, 1]": nn.Sequential(nn.Flatten(), nn.Linear(12, 1)),
        "[9, K]": nn.Flatten(0),
        "not finite": nn.Sequential(nn.Flatten(), nn.Linear(12, 3), nn.Threshold(math.inf, math.inf)),
    }
    for words, model in wrong.items():
        with refuses(ValueError, words):
            membership_inference(model, images, labels)
    with refuses(ValueError, "same one twice"):
        compare_two_models(wrong["not finite"], images, labels, other=wrong["not finite"])
    elsewhere = nn.Sequential(nn.Flatten(), nn.Linear(12, 3, device="meta"))
    with refuses(TypeError, "model is on meta", "images are on cpu"):
        membership_inference(elsewhere, images, labels)


@pytest.mark.parametrize("wrong", [None, lambda x: x])
def test_a_model_that_is_none(wrong: object) -> None:
    images, labels = torch.rand(4, 3), torch.zeros(4, dtype=torch.int64)
    with refuses(TypeError, "model must be a torch.nn.Module"):
        membership_inference(wrong, images, labels)  # type: ignore[arg-type]
    with refuses(TypeError, "model must be a torch.nn.Module"):
        compare_two_models(nn.Linear(3, 2), images, labels, other=wrong)  # type: ignore[arg-type]
