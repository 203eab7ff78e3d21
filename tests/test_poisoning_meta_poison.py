"""MetaPoison: its look-ahead against plain training, a closed form and finite differences; laws and refusals."""

from copy import deepcopy
from typing import Any

import pytest
import torch
from bad_input import refuses
from torch import Tensor, nn
from torch.nn import functional as F

from tml_helpers.common import GradientMaskingWarning
from tml_helpers.poisoning import UnmovedTargetWarning, meta_poison, unrolled_margin

ASKED: dict[str, Any] = {"target_label": 1, "fraction": 0.1, "epsilon": 0.3, "steps": 10, "batch_size": 8}


def network(seed: int, dtype: torch.dtype = torch.float32) -> nn.Module:
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 6), nn.Tanh(), nn.Linear(6, 3)).to(dtype)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) / 2)
    return model


def scene(dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, Tensor]:
    """30 images of three classes, and a target that the networks of `fitting` do not call 1."""
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(30, 1, 4, 4, generator=generator).to(dtype)
    return images, torch.arange(30) % 3, torch.rand(1, 4, 4, generator=generator).to(dtype)


def fitting(target: Tensor, dtype: torch.dtype = torch.float32) -> list[nn.Module]:
    """Three networks that do not call the target 1."""
    made = (network(seed, dtype) for seed in range(100))
    with torch.no_grad():
        return [one for one in made if int(one(target[None]).argmax()) != 1][:3]


def ahead(target: Tensor, batches: int, dtype: torch.dtype = torch.float64) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(1)
    clean = [torch.rand(7, 1, 4, 4, generator=generator).to(dtype) for _ in range(batches)]
    return {
        "target_image": target,
        "target_label": 1,
        "clean_batches": tuple((x, torch.arange(7) % 3) for x in clean),
        "share": 0.3,
        "learning_rate": 0.4,
    }


@pytest.mark.parametrize("steps", [1, 3])
def test_the_look_ahead_is_plain_training_of_a_copy(steps: int) -> None:
    """metapoison #1 asks for the order of the steps: each has its own clean batch, and all of the poisons."""
    images, labels, target = scene(torch.float64)
    model, asked = network(3, torch.float64), ahead(target, steps)
    copy = deepcopy(model)
    optimizer = torch.optim.SGD(copy.parameters(), lr=0.4)
    for x, y in asked["clean_batches"]:
        optimizer.zero_grad()
        (0.7 * F.cross_entropy(copy(x), y) + 0.3 * F.cross_entropy(copy(images), labels)).backward()
        optimizer.step()
    z = copy(target[None])[0].tolist()
    found = float(unrolled_margin(model, images, labels, **asked).detach())
    assert found == pytest.approx(max(z[0], z[2]) - z[1], rel=1e-9)


def test_its_gradient_is_that_of_finite_differences() -> None:
    images, labels, target = scene(torch.float64)
    model, asked = network(3, torch.float64), ahead(target, 2)
    few = images[:3].clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: unrolled_margin(model, x, labels[:3], **asked), (few,))


def test_its_gradient_for_a_linear_model_is_the_closed_form() -> None:
    """One step of softmax regression: ∂h/∂x_i = −(ηβ/M) (q_i t + ⟨x_i, t⟩ Wᵀ J_i d) for d = e_best − e_a."""
    images, labels, target = scene(torch.float64)
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 3, bias=False, dtype=torch.float64))
    weight = torch.randn(3, 16, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    model[1].weight.data = weight
    asked, leaf = ahead(target, 1), images[:5].clone().requires_grad_()
    (found,) = torch.autograd.grad(unrolled_margin(model, leaf, labels[:5], **asked), leaf)

    def slope(rows: Tensor, classes: Tensor) -> Tensor:
        wrong = (rows @ weight.T).softmax(1) - torch.eye(3, dtype=torch.float64)[classes]
        return wrong.T @ rows / len(rows)

    rows, t = images[:5].flatten(1), target.flatten()
    (x, y), eta, share = asked["clean_batches"][0], 0.4, 0.3
    after = weight - eta * ((1 - share) * slope(x.flatten(1), y) + share * slope(rows, labels[:5]))
    z = after @ t
    d = torch.zeros(3, dtype=torch.float64)
    d[0 if z[0] > z[2] else 2], d[1] = 1, -1
    p = (rows @ weight.T).softmax(1)
    q = (p - torch.eye(3, dtype=torch.float64)[labels[:5]]) @ d
    bent = p * d - p * (p @ d)[:, None]
    closed = -(eta * share / 5) * (q[:, None] * t + (rows @ t)[:, None] * (bent @ weight))
    assert (found.flatten(1) - closed).norm() < 1e-9 * closed.norm()


def test_one_short_step_is_matching_by_an_inner_product() -> None:
    images, labels, target = scene(torch.float64)
    model = network(3, torch.float64)
    asked = ahead(target, 1) | {"learning_rate": 1e-6}
    leaf = images[:5].clone().requires_grad_()
    (of_step,) = torch.autograd.grad(unrolled_margin(model, leaf, labels[:5], **asked), leaf)
    weights = list(model.parameters())
    z = model(target[None])[0]
    aim = torch.autograd.grad(torch.maximum(z[0], z[2]) - z[1], weights)
    loss = F.cross_entropy(model(leaf), labels[:5])
    pull = torch.autograd.grad(loss, weights, create_graph=True)
    product = torch.stack([(a * b).sum() for a, b in zip(aim, pull, strict=True)]).sum()
    (of_product,) = torch.autograd.grad(-1e-6 * 0.3 * product, leaf)
    assert (of_step - of_product).norm() < 1e-4 * of_product.norm()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_what_no_poison_may_break(dtype: torch.dtype) -> None:
    images, labels, target = scene(dtype)
    models = fitting(target, dtype)
    before = images.clone()
    asked = ASKED | {"ensemble": models[1:], "target_image": target}
    made, again, other = (
        meta_poison(models[0], images, labels, generator=torch.Generator().manual_seed(s), **asked) for s in (0, 0, 1)
    )
    assert torch.equal(made.images, again.images)
    assert not torch.equal(made.images, other.images)
    assert torch.equal(images, before)
    assert torch.equal(made.clean.tensors[0], images)
    assert torch.equal(made.labels, labels)
    assert bool((labels[made.indices] == 1).all())
    assert made.budget == 0.1
    assert 0 < float(made.linf.max()) <= 0.3 + 1e-6
    assert float(made.images.min()) >= 0
    assert float(made.images.max()) <= 1
    assert made.images.dtype == dtype
    assert made.margins.shape == (10,)
    assert made.poisoned_margin < made.clean_margin


def test_the_hardest_images_of_the_class_are_the_bases() -> None:
    images, labels, target = scene()
    models = fitting(target)
    made = meta_poison(models[0], images, labels, target_image=target, ensemble=models[1:], **ASKED | {"steps": 1})
    own = range(1, 30, 3)
    loss = {i: sum(float(F.cross_entropy(m(images[[i]]), labels[[i]]).detach()) for m in models) for i in own}
    assert made.indices.tolist() == sorted(sorted(own, key=lambda i: -loss[i])[:3])


def test_every_model_of_the_ensemble_has_a_say() -> None:
    images, labels, target = scene()
    models = fitting(target)
    asked: dict[str, Any] = ASKED | {"target_image": target, "fraction": 10 / 30}
    alone, together = (
        meta_poison(models[0], images, labels, ensemble=more, generator=torch.Generator().manual_seed(0), **asked)
        for more in ((), models[1:])
    )
    assert not torch.equal(alone.images, together.images)


def test_models_come_back_as_they_were_and_answer_in_evaluation_mode() -> None:
    images, labels, target = scene()
    model = nn.Sequential(nn.Flatten(), nn.Dropout(0.9), nn.BatchNorm1d(16), nn.Linear(16, 3)).train()
    model[1].eval()
    with torch.no_grad():
        model[3].bias.copy_(torch.tensor([0.0, -9.0, 0.0]))
    model[3].weight.grad = torch.ones_like(model[3].weight)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    asked: dict[str, Any] = ASKED | {"target_image": target}
    with torch.no_grad():
        first = meta_poison(model, images, labels, generator=torch.Generator().manual_seed(0), **asked)
    again = meta_poison(model, images, labels, generator=torch.Generator().manual_seed(0), **asked)
    assert torch.equal(first.images, again.images)
    assert [one.training for one in model.modules()] == [True, True, False, True, True]
    assert torch.equal(model[3].weight.grad, torch.ones_like(model[3].weight))
    assert model[3].bias.grad is None
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in state.items())


def test_frozen_layers_stay_frozen_in_the_look_ahead() -> None:
    images, labels, target = scene(torch.float64)
    model = network(3, torch.float64)
    model[1].requires_grad_(False)
    asked = ahead(target, 2)
    head = nn.Sequential(nn.Identity(), model[3])
    with torch.no_grad():
        rows = [(model[:3](x), y) for x, y in asked["clean_batches"]]
        own, at = model[:3](images), model[:3](target[None])[0]
    features = asked | {"clean_batches": tuple(rows), "target_image": at}
    whole = float(unrolled_margin(model, images, labels, **asked).detach())
    assert whole == pytest.approx(float(unrolled_margin(head, own, labels, **features).detach()), rel=1e-9)


def test_warns_where_the_data_cannot_move_the_model() -> None:
    images, labels, target = scene()

    class Blind(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bias = nn.Parameter(torch.tensor([1.0, 0.0, 0.0]))

        def forward(self, x: Tensor) -> Tensor:
            return self.bias.expand(len(x), 3)

    with pytest.warns(UnmovedTargetWarning, match="raise epsilon"), pytest.warns(GradientMaskingWarning):
        made = meta_poison(Blind(), images, labels, target_image=target, **ASKED)
    assert float(made.linf.max()) == 0


NAN = torch.full((1, 4, 4), float("nan"))


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"fraction": 0.0}, ValueError, "fraction"),
        ({"fraction": 0.5}, ValueError, "class 1 has only 10"),
        ({"fraction": 0.001}, ValueError, "less than one example"),
        ({"target_label": 7}, ValueError, "class 7 has only 0"),
        ({"target_label": True}, TypeError, "target_label"),
        ({"epsilon": 0.0}, ValueError, "epsilon"),
        ({"epsilon": float("nan")}, ValueError, "epsilon"),
        ({"unroll": 0}, ValueError, "unroll"),
        ({"unroll": 1.0}, TypeError, "unroll"),
        ({"steps": 0}, ValueError, "steps"),
        ({"batch_size": 0}, ValueError, "batch_size"),
        ({"learning_rate": 0.0}, ValueError, "learning_rate"),
        ({"learning_rate": float("inf")}, ValueError, "learning_rate"),
        ({"learning_rate": "0.1"}, TypeError, "learning_rate"),
        ({"generator": 3}, TypeError, "torch.Generator"),
        ({"ensemble": network(0)}, TypeError, "sequence of networks"),
        ({"ensemble": (network(0).double(),)}, TypeError, "float64"),
        ({"images": 255 * torch.rand(30, 1, 4, 4)}, ValueError, "division"),
        ({"images": torch.rand(0, 1, 4, 4)}, ValueError, "non-empty"),
        ({"labels": torch.ones(30, dtype=torch.int64)}, ValueError, "two classes"),
        ({"labels": torch.arange(30)}, ValueError, "0…2"),
        ({"target_image": torch.rand(1, 1, 4, 4)}, ValueError, "one image of shape [1, 4, 4]"),
        ({"target_image": NAN}, ValueError, "target_image"),
        ({"model": network(0).requires_grad_(False)}, ValueError, "requires gradients"),
        ({"model": nn.Sequential(nn.Flatten(), nn.Linear(16, 1))}, ValueError, "K ≥ 2"),
    ],
)
def test_what_cannot_be_asked_is_refused(change: dict[str, Any], error: type[Exception], words: str) -> None:
    images, labels, target = scene()
    change = {"fraction": 0.03} | change if "labels" in change else change
    given = {"model": fitting(target)[0], "images": images, "labels": labels, "target_image": target, **ASKED} | change
    with refuses(error, words):
        meta_poison(given.pop("model"), given.pop("images"), given.pop("labels"), **given)


def test_a_target_that_is_lost_already_is_refused() -> None:
    images, labels, target = scene()
    fooled = [one for one in (network(seed) for seed in range(100)) if int(one(target[None]).argmax()) == 1]
    with refuses(ValueError, "already calls the target 1"):
        meta_poison(fooled[0], images, labels, target_image=target, ensemble=fooled[1:2], **ASKED)
