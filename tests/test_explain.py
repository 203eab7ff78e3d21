"""What all explanations have in common: every argument counts, an image is explained as if alone, draws and devices."""

import ast
import dataclasses
import inspect
import itertools
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import pytest
import torch
from bad_input import refuses
from sklearn.tree import DecisionTreeClassifier
from torch import Tensor, nn
from torch.nn import functional as F

from tml_helpers import explain
from tml_helpers.common import GradientMaskingWarning

SIDE, CLASSES = 12, 4
ASKED: list[int] = []
"""How many inputs the black box was given in each call, since the list was last cleared."""


class Net(nn.Module):
    """Convolutions, the mean over positions, one linear layer; float64. It notes how many images it is given."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.first = nn.Sequential(nn.Conv2d(2, 6, 3, padding=1), nn.Tanh())
        self.second = nn.Sequential(nn.Conv2d(6, 5, 3, stride=2), nn.Tanh())
        self.head = nn.Linear(5, CLASSES)
        self.double().eval()
        with torch.no_grad():
            self.head.weight.mul_(10)

    def forward(self, images: Tensor) -> Tensor:
        ASKED.append(len(images))
        return self.head(self.second(self.first(images)).mean(dim=(2, 3)))


def draw(seed: int, *shape: int) -> Tensor:
    return torch.rand(*shape, generator=of(seed), dtype=torch.float64, device="cpu")


def of(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch() -> dict[str, Any]:
    return {"model": Net(), "images": draw(0, 3, 2, SIDE, SIDE), "targets": torch.tensor([0, 3, 1])}


def another_batch() -> dict[str, Any]:
    """The first three arguments of a method for images, each with another value."""
    return {"model": Net(1), "images": draw(9, 3, 2, SIDE, SIDE), "targets": torch.tensor([0, 2, 1])}


def board(cells: int) -> Tensor:
    """A chessboard of `cells` × `cells` superpixels."""
    row = torch.arange(SIDE) // (SIDE // cells)
    return cells * row[:, None] + row


def tiles() -> Tensor:
    """Three pictures of large tiles, each another one."""
    pictures = torch.stack([board(2) % 2, board(2) // 2, board(2) / 3]).double()
    return pictures.repeat_interleave(3, dim=1).repeat_interleave(3, dim=2)[:, None]


def masks(seed: int, count: int, features: int) -> Tensor:
    return torch.cat([torch.ones(1, features).bool(), draw(seed, count, features) > 0.5])


def words(texts: list[str]) -> np.ndarray:
    ASKED.append(len(texts))
    p = np.array([0.2 + 0.3 * ("good" in t) * ("not" not in t) + 0.1 * ("film" in t) for t in texts])
    return np.stack([1 - p, p], axis=1)


def waves(rows: np.ndarray) -> np.ndarray:
    ASKED.append(len(rows))
    p = 0.5 + 0.2 * np.sin(3 * rows[:, 0]) + 0.1 * rows[:, 1] * (rows[:, 2] > 0)
    return np.stack([1 - p, p], axis=1)


def number(rows: np.ndarray) -> np.ndarray:
    return waves(rows)[:, 1]


def game(coalitions: np.ndarray) -> np.ndarray:
    ASKED.append(len(coalitions))
    return np.sin(coalitions @ np.arange(1.0, coalitions.shape[1] + 1))


TABLE = np.random.default_rng(0).normal(size=(80, 3)).round(1)
CODES = np.column_stack([TABLE[:, :2], np.arange(80) % 3])


def text_explanations(texts: list[str]) -> list[explain.TextExplanation]:
    return explain.lime_text(words, texts, [1] * len(texts), samples=40, generator=of(0))


def neighbourhood(test: Tensor | None = None, **arguments: Any) -> explain.Support:
    """The support that a `DeepKNN` of these arguments finds for a few images."""
    return explain.DeepKNN(**arguments)(draw(5, 4, 2, SIDE, SIDE) if test is None else test)


def prototypes(seed: int = 0, classes: int = 3) -> explain.ProtoPNet:
    torch.manual_seed(seed)
    backbone = nn.Sequential(nn.Conv2d(2, 4, 4, stride=4), nn.Tanh())
    settings = {"channels": 4, "classes": classes, "prototypes_per_class": 2, "generator": of(seed)}
    return explain.ProtoPNet(backbone, **settings).double()


class Counted(nn.Sequential):
    """A backbone that notes how many images it is given."""

    def forward(self, images: Tensor) -> Tensor:
        ASKED.append(len(images))
        return super().forward(images)


def counted() -> explain.ProtoPNet:
    model = prototypes()
    model.backbone = Counted(*model.backbone)
    return model


def of_prototypes(method: Callable[..., Any]) -> Callable[..., Any]:
    """The method, called on a network of its own; with what it leaves there."""

    def call(**arguments: Any) -> Any:
        model = counted()
        return method(model, **arguments), model.prototypes, model.last_layer.weight

    return call


def digits_like(seed: int = 3, count: int = 24) -> dict[str, Tensor]:
    labels = torch.arange(count) % 3
    return {"images": draw(seed, count, 2, SIDE, SIDE), "labels": labels}


def shifted(**arguments: Any) -> list[Tensor]:
    """The parameters that a network of these arguments starts with."""
    torch.manual_seed(0)
    return list(explain.ProtoPNet(**arguments).state_dict().values())


def squares(weights: dict[str, Tensor]) -> Tensor:
    return weights["head.weight"].square().sum()


def cubes(weights: dict[str, Tensor]) -> Tensor:
    return squares(weights) + 0.1 * weights["head.weight"].pow(4).sum()


def smoothed(outputs: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(outputs, labels, label_smoothing=0.2)


class Ask(nn.Module):
    """The net, in a form that can be differentiated under `vmap`, where nothing may be noted but the call."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.body = nn.Sequential(nn.Linear(6, 4), nn.Tanh())
        self.head = nn.Linear(4, 3)
        self.double()

    def forward(self, inputs: Tensor) -> Tensor:
        ASKED.append(len(inputs))
        return self.head(self.body(inputs))


def influenced() -> dict[str, Any]:
    return {
        "model": Ask(), "inputs": draw(0, 20, 6), "labels": torch.arange(20) % 3,
        "test_inputs": draw(1, 4, 6), "test_labels": torch.arange(4) % 3,
        "damping": 5.0, "regulariser": squares, "solver": "conjugate_gradients", "tolerance": 1e-10,
    }  # fmt: skip


class Grid(nn.Sequential):
    """A grid of 3×3 cells, and a head that is not linear; it notes how many images it is given."""

    def __init__(self, seed: int = 4) -> None:
        torch.manual_seed(seed)
        cells = nn.Sequential(nn.Conv2d(2, 3, 4, stride=4), nn.Tanh())
        mixed = nn.Conv2d(3, 3, 3, padding=1)
        super().__init__(cells, mixed, nn.Tanh(), nn.Flatten(), nn.Linear(27, 12), nn.Tanh(), nn.Linear(12, 2))
        self.double()
        for parameter in self.parameters():
            parameter.data.mul_(3)
        with torch.no_grad():  # both classes are seen, whatever was drawn
            self[-1].bias -= super().forward(draw(4, 40, 2, SIDE, SIDE)).median(dim=0).values

    def forward(self, images: Tensor) -> Tensor:
        ASKED.append(len(images))
        return super().forward(images)


def swaps() -> dict[str, Any]:
    """Two images of different classes, of which one swap does not make the same."""
    return {"model": Grid(), "image": FIRST[0], "distractor": SECOND[0], "layer": "0"}


def told_apart() -> tuple[Tensor, Tensor]:
    images = draw(4, 40, 2, SIDE, SIDE)
    with torch.no_grad():
        margin = Grid()(images).diff(dim=1).squeeze(1)
    order = margin.argsort()
    return images[order[:2]], images[order[-2:]]


FIRST, SECOND = told_apart()
TREE = DecisionTreeClassifier(max_depth=3, random_state=0).fit(TABLE, TABLE.sum(axis=1).round() > 0)
WORDS = np.array(["a", "b", "c", "d"] * 20)

# For each function: how it is called, and for each argument what else it might be. Other arguments that change with it
# are those which would have no meaning beside it.
Case = tuple[Callable[..., Any], Callable[[], dict[str, Any]], Callable[[], dict[str, Any]]]
CASES: dict[str, Case] = {
    "saliency": (explain.saliency, batch, lambda: {**another_batch(), "absolute": False}),
    "smooth_grad": (
        explain.smooth_grad,
        lambda: {**batch(), "samples": 3, "generator": of(0)},
        lambda: {
            **another_batch(), "samples": 4, "sigma": 0.3, "absolute": False, "batch_size": 2, "generator": of(1),
        },
    ),
    "integrated_gradients": (
        explain.integrated_gradients,
        lambda: {**batch(), "steps": 3},
        lambda: {**another_batch(), "baseline": 0.5, "steps": 4, "batch_size": 2},
    ),
    "occlusion": (
        explain.occlusion,
        lambda: {**batch(), "window": (4, 3)},
        lambda: {**another_batch(), "window": (3, 4), "stride": 2, "baseline": 0.5, "batch_size": 2},
    ),
    "cam": (explain.cam, batch, another_batch),
    "grad_cam": (explain.grad_cam, batch, lambda: {**another_batch(), "layer": "first"}),
    "attention_rollout": (
        explain.attention_rollout,
        lambda: {"attentions": list(draw(0, 2, 1, 3, 4, 4).softmax(dim=-1))},
        lambda: {"attentions": list(draw(0, 3, 1, 3, 4, 4).softmax(dim=-1))},
    ),
    "deletion_insertion": (
        explain.deletion_insertion,
        lambda: {**batch(), "maps": draw(1, 3, SIDE, SIDE), "steps": 6},
        lambda: {
            **another_batch(), "maps": draw(2, 3, SIDE, SIDE), "steps": 5,
            "deletion_baseline": 0.5, "insertion_baseline": 0.5, "batch_size": 2,
        },
    ),
    "fool_explanation": (
        explain.fool_explanation,
        lambda: {**batch(), "wanted": draw(1, 3, SIDE, SIDE), "steps": 4},
        lambda: {
            **another_batch(), "wanted": draw(2, 3, SIDE, SIDE), "epsilon": 0.1, "steps": 5, "step_size": 0.01,
            "keep": 50.0,
        },
    ),
    "randomization_test": (
        explain.randomization_test,
        lambda: {**batch(), "explain": explain.saliency, "generator": of(0)},
        lambda: {**another_batch(), "explain": explain.grad_cam, "layers": ["first"], "generator": of(1)},
    ),
    "lime_image": (
        explain.lime_image,
        lambda: {**batch(), "segments": board(3), "samples": 30, "generator": of(0)},
        lambda: {
            **another_batch(), "segments": board(4), "hidden": 0.3, "samples": 31, "design": "hadamard",
            "masks": {"masks": masks(0, 20, 9), "samples": None, "generator": None},
            "kernel_width": 0.5, "alpha": 0.1, "features": 2, "batch_size": 7, "generator": of(1),
        },
    ),
    "lime_text": (
        explain.lime_text,
        lambda: {"predict": words, "texts": ["a good film", "not good"], "targets": [1, 1], "samples": 30,
                 "generator": of(0)},
        lambda: {
            "predict": lambda texts: words(texts) ** 2, "texts": ["a film", "not good"], "targets": [1, 0],
            "samples": 31,
            "masks": {"masks": masks(0, 9, 2), "texts": ["good film"] * 2, "samples": None, "generator": None},
            "kernel_width": 0.5, "alpha": 0.1, "features": 1, "generator": of(1),
        },
    ),
    "lime_tabular": (
        explain.lime_tabular,
        lambda: {"predict": waves, "rows": CODES[:2], "targets": [1, 1], "training": CODES, "samples": 30,
                 "generator": of(0)},
        lambda: {
            "predict": lambda rows: waves(rows) ** 2, "rows": CODES[2:4], "targets": [1, 0], "training": CODES[:40],
            "categorical": [2], "names": ["a", "b", "c"], "samples": 31,
            "neighbours": {"neighbours": CODES[:20], "samples": None, "generator": None},
            "kernel_width": 0.5, "alpha": 0.1, "features": 1, "generator": of(1),
        },
    ),
    "lime_fidelity": (
        explain.lime_fidelity,
        lambda: {"explanation": text_explanations(["a good film"])[0]},
        lambda: {"explanation": text_explanations(["not good film"])[0], "features": [1], "kernel_width": 0.5},
    ),
    "submodular_pick": (
        explain.submodular_pick,
        lambda: {"weights": draw(0, 6, 4) * (draw(1, 6, 4) > 0.5), "count": 2},
        lambda: {"weights": draw(2, 6, 4) * (draw(3, 6, 4) > 0.5), "count": 3},
    ),
    "explanation_matrix": (
        explain.explanation_matrix,
        lambda: {"explanations": text_explanations(["a good film", "not good"])},
        lambda: {"explanations": text_explanations(["not good", "a good film"])},
    ),
    "shapley": (
        explain.shapley,
        lambda: {"predict": number, "instances": TABLE[:2], "background": TABLE[2:9], "method": "kernel", "samples": 4},
        lambda: {
            "predict": lambda rows: number(rows) ** 2, "instances": TABLE[1:3], "background": TABLE[3:9],
            "method": "permutation", "samples": 20, "seed": 1, "batch_size": 14,
        },
    ),
    "shapley_of_game": (
        explain.shapley_of_game,
        lambda: {"value": game, "players": 6, "method": "kernel", "samples": 40},
        lambda: {
            "value": lambda m: game(m) ** 2, "players": 5, "method": "permutation", "samples": 50, "seed": 1,
        },
    ),
    "influence": (
        explain.influence,
        influenced,
        lambda: {
            "model": Ask(1), "inputs": draw(7, 20, 6), "labels": (torch.arange(20) + 1) % 3,
            "test_inputs": draw(8, 4, 6), "test_labels": (torch.arange(4) + 1) % 3, "loss": smoothed,
            "regulariser": cubes, "parameters": ["head.weight"], "damping": 6.0,
            "solver": {"solver": "exact", "tolerance": None}, "tolerance": 0.1, "iterations": 1, "batch_size": 7,
        },
    ),
    "DeepKNN": (
        neighbourhood,
        lambda: {
            "model": Net(), "images": draw(0, 30, 2, SIDE, SIDE), "labels": torch.arange(30) % CLASSES,
            "calibration_images": draw(1, 21, 2, SIDE, SIDE), "calibration_labels": torch.arange(21) % CLASSES,
            "layers": ["first", "head"], "neighbours": 5,
        },
        lambda: {
            "model": Net(1), "images": draw(7, 30, 2, SIDE, SIDE), "labels": (torch.arange(30) + 1) % CLASSES,
            "calibration_images": draw(8, 21, 2, SIDE, SIDE), "calibration_labels": (torch.arange(21) + 1) % CLASSES,
            "layers": ["head"], "neighbours": 6, "batch_size": 8,
        },
    ),
    "ProtoPNet": (
        shifted,
        lambda: {"channels": 8, "generator": of(0)},
        lambda: {
            "backbone": nn.Sequential(nn.Conv2d(1, 8, 4, stride=4)), "channels": 9, "classes": 4,
            "prototypes_per_class": 2, "generator": of(1),
        },
    ),
    "ProtoPNet.distances": (
        of_prototypes(explain.ProtoPNet.distances),
        lambda: {"images": digits_like()["images"]},
        lambda: {"images": digits_like(5)["images"]},
    ),
    "ProtoPNet.similarities": (
        of_prototypes(explain.ProtoPNet.similarities),
        lambda: {"distances": draw(0, 2, 6, 3, 3)},
        lambda: {"distances": draw(1, 2, 6, 3, 3)},
    ),
    "ProtoPNet.push": (
        of_prototypes(explain.ProtoPNet.push),
        digits_like,
        lambda: {"images": digits_like(5)["images"], "labels": (torch.arange(24) + 1) % 3, "batch_size": 3},
    ),
    "ProtoPNet.fit_last_layer": (
        of_prototypes(explain.ProtoPNet.fit_last_layer),
        digits_like,
        lambda: {
            "images": digits_like(5)["images"], "labels": (torch.arange(24) + 1) % 3, "penalty": 0.1, "steps": 2,
            "batch_size": 5,
        },
    ),
    "ProtoPNet.evidence": (
        of_prototypes(explain.ProtoPNet.evidence),
        lambda: {"images": digits_like()["images"], "classes": digits_like()["labels"]},
        lambda: {"images": digits_like(5)["images"], "classes": (torch.arange(24) + 1) % 3},
    ),
    "prototype_loss": (
        explain.prototype_loss,
        lambda: {"model": prototypes(), **digits_like()},
        lambda: {
            "model": prototypes(1), "images": digits_like(5)["images"], "labels": (torch.arange(24) + 1) % 3,
            "cluster": 0.5, "separation": 0.2,
        },
    ),
    "mmd_critic": (
        explain.mmd_critic,
        lambda: {"vectors": draw(0, 20, 3), "prototypes": 4, "criticisms": 4},
        lambda: {"vectors": draw(1, 20, 3), "prototypes": 3, "criticisms": 3, "bandwidth": 0.05},
    ),
    "counterfactual_patches": (
        explain.counterfactual_patches,
        swaps,
        lambda: {
            "model": Grid(5), "image": FIRST[1], "distractor": SECOND[1], "layer": "1", "search": "exhaustive",
            "max_swaps": 1, "batch_size": 20,
        },
    ),
    "quickshift_segments": (
        explain.quickshift_segments,
        lambda: {"images": tiles()[:1]},
        lambda: {"images": tiles()[1:2]},
    ),
    "feature_effects": (
        explain.feature_effects,
        lambda: {"features": TABLE, "target": (TABLE.sum(axis=1) + TABLE[::-1, 0] > 0) * 1},
        lambda: {
            "features": TABLE[::-1], "target": (TABLE[:, 0] + TABLE[::-1, 0] > 0) * 1, "model": "logistic",
            "names": ["a", "b", "c"], "levels": {"features": {"w": WORDS}, "levels": {"w": ("d", "c", "b", "a")}},
            "confidence": 0.5,
        },
    ),
    "tree_rules": (
        explain.tree_rules,
        lambda: {"tree": TREE},
        lambda: {
            "tree": DecisionTreeClassifier(max_depth=2).fit(TABLE, TABLE[:, 0] > 0),
            "feature_names": ["a", "b", "c"], "class_names": ["no", "yes"],
        },
    ),
}  # fmt: skip


def plain(value: Any) -> Any:
    """A result as lists and numbers, which can be compared."""
    if isinstance(value, (Tensor, np.ndarray)):
        return value.tolist()
    if dataclasses.is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    return value


def outcome(function: Callable[..., Any], arguments: dict[str, Any]) -> Any:
    """What a call gives, or why it does not, and how often the black box was asked about how much."""
    ASKED.clear()
    try:
        return plain(function(**arguments)), list(ASKED)
    except ValueError as error:
        return str(error), list(ASKED)


def changes() -> list[tuple[str, str]]:
    return [(name, argument) for name, (_, _, changed) in CASES.items() for argument in changed()]


@pytest.mark.parametrize(("name", "argument"), changes())
def test_every_argument_reaches_what_it_changes(name: str, argument: str) -> None:
    function, usual, changed = CASES[name]
    value = changed()[argument]
    with_it = value if isinstance(value, dict) and argument in value else {argument: value}
    before, again = outcome(function, usual()), outcome(function, usual())
    assert before == again, "the same arguments give the same"
    assert not isinstance(before[0], str), before[0]
    assert outcome(function, usual() | with_it) != before


def test_every_argument_of_every_function_is_looked_at() -> None:
    offered = {name: getattr(explain, name) for name in explain.__all__}
    for name, made in list(offered.items()):
        if inspect.isclass(made) and issubclass(made, nn.Module):
            methods = {m for m in vars(made) if inspect.isfunction(vars(made)[m]) and m[0] != "_"} - {"forward"}
            offered |= {f"{name}.{method}": getattr(made, method) for method in methods}
    for name, made in offered.items():
        if inspect.isfunction(made) or name in ("DeepKNN", "ProtoPNet"):
            arguments = set(inspect.signature(made).parameters) - {"self"}
            assert set(CASES[name][2]()) == arguments, name


USUAL = {
    "saliency": {"absolute": True},
    "smooth_grad": {"samples": 50, "sigma": 0.15, "absolute": True},  # Smilkov et al.: 50, and 10 to 20 % of noise
    "integrated_gradients": {"baseline": 0.0, "steps": 50},  # Sundararajan et al.: black, 20 to 300 steps
    "occlusion": {"baseline": 0.0},
    "deletion_insertion": {"deletion_baseline": 0.0, "steps": 50},
    "fool_explanation": {"epsilon": 8 / 255, "steps": 100, "keep": 1.0},
    "lime_image": {"kernel_width": 0.25, "alpha": 1.0},  # the package lime
    "lime_text": {"kernel_width": 0.25, "alpha": 1.0},  # lime: 25, with distances 100-fold
    "lime_tabular": {"alpha": 1.0},
    "DeepKNN": {"neighbours": 75},  # Papernot and McDaniel
    "prototype_loss": {"cluster": 0.8, "separation": 0.08},  # Chen et al.
    "ProtoPNet": {"channels": 32, "classes": 10, "prototypes_per_class": 3},
    "mmd_critic": {"criticisms": 0},
    "influence": {"damping": 0.0, "solver": "exact", "loss": F.cross_entropy},
    "feature_effects": {"model": "linear", "confidence": 0.95},
    "shapley": {"method": "auto", "seed": 0},
    "shapley_of_game": {"method": "auto", "seed": 0},
    "counterfactual_patches": {"search": "greedy"},
}


@pytest.mark.parametrize("name", USUAL)
def test_what_is_taken_where_nothing_is_said(name: str) -> None:
    arguments = inspect.signature(getattr(explain, name)).parameters
    assert {argument: arguments[argument].default for argument in USUAL[name]} == USUAL[name]


@pytest.mark.parametrize("name", [name for name in explain.__all__ if dataclasses.is_dataclass(getattr(explain, name))])
def test_results_with_tensors_are_equal_to_themselves_alone(name: str) -> None:
    """`==` of two tensors is no truth value, so these are compared as objects are; they can be put into a set."""
    made = getattr(explain, name)
    of_arrays = {"Tensor", "ndarray"} & {getattr(kind, "__name__", "") for kind in get_type_hints(made).values()}
    assert bool(of_arrays) == (made.__eq__ is object.__eq__)
    assert made.__hash__ is not None


# --- images one by one ---


def first_of(changed: dict[str, Any], count: slice) -> dict[str, Any]:
    """The arguments for a part of the batch of three."""
    return {
        name: value[count] if isinstance(value, (Tensor, list, np.ndarray)) and len(value) == 3 else value
        for name, value in changed.items()
    }


def one_by_one() -> dict[str, tuple[Callable[..., Any], dict[str, Any]]]:
    maps = draw(1, 3, SIDE, SIDE)
    table = {"training": CODES, "neighbours": CODES[:20]}
    return {
        "saliency": (explain.saliency, batch()),
        "integrated_gradients": (explain.integrated_gradients, batch() | {"baseline": draw(2, 3, 2, SIDE, SIDE)}),
        "smooth_grad": (explain.smooth_grad, batch() | {"samples": 3, "batch_size": 2}),
        "occlusion": (explain.occlusion, batch() | {"window": 4, "baseline": draw(2, 3, 2, SIDE, SIDE)}),
        "cam": (explain.cam, batch()),
        "grad_cam": (explain.grad_cam, batch()),
        "deletion_insertion": (explain.deletion_insertion, batch() | {"maps": maps, "steps": 5}),
        "fool_explanation": (explain.fool_explanation, batch() | {"wanted": maps, "steps": 3}),
        "lime_image": (explain.lime_image, batch() | {
            "segments": torch.stack([board(2), board(2).T, board(2).flip(0)]), "masks": masks(0, 9, 4)}),
        "lime_text": (explain.lime_text, {
            "predict": words, "texts": ["a good film", "not good ever", "film not good"], "targets": [1, 0, 1],
            "masks": masks(0, 9, 3)}),
        "lime_tabular": (explain.lime_tabular, {"predict": waves, "rows": CODES[:3], "targets": [1, 0, 1], **table}),
        "shapley": (explain.shapley, {"predict": number, "instances": TABLE[:3], "background": TABLE[3:9]}),
        "quickshift_segments": (explain.quickshift_segments, {"images": tiles()}),
        "attention_rollout": (
            lambda a, b: explain.attention_rollout([a, b]),
            {"a": draw(0, 3, 2, 4, 4).softmax(dim=-1), "b": draw(1, 3, 2, 4, 4).softmax(dim=-1)}),
        "evidence": (prototypes().evidence, {"images": digits_like(3, 3)["images"], "classes": torch.arange(3)}),
    }  # fmt: skip


@pytest.mark.parametrize("name", one_by_one())
def test_the_second_of_a_batch_is_explained_as_if_it_were_alone(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the same noise for all; three inputs that differ, so that no other one's explanation passes for it."""

    def same_for_all(sampler: object, shape: tuple[int, ...], **_: object) -> Tensor:
        return draw(6, 1, *shape[1:]).expand(shape)

    monkeypatch.setattr(import_module("tml_helpers.explain.smooth_grad"), "draw", same_for_all)
    function, arguments = one_by_one()[name]
    together = flat(function(**arguments))
    alone = [flat(function(**first_of(arguments, slice(i, i + 1)))) for i in range(3)]
    for i, one in enumerate(alone):
        for whole, part in zip(together, one, strict=True):
            if len(whole) == 3:  # else it belongs to no image, as the shares of a curve
                torch.testing.assert_close(whole[i : i + 1], part)
    assert not all(torch.equal(a, b) for a, b in zip(alone[0], alone[1], strict=True))


def flat(result: Any) -> list[Tensor]:
    """The tensors of a result, each with one row an input."""
    if isinstance(result, list):
        return [torch.stack([part.weights for part in result]), torch.tensor([part.answer or 0.0 for part in result])]
    parts = (
        [getattr(result, field.name) for field in dataclasses.fields(result)]
        if dataclasses.is_dataclass(result)
        else [result]
    )
    return [torch.as_tensor(part) for part in parts]


# --- gradients that are missing ---


class Headless(nn.Module):
    """Features of a convolution, and logits that have no gradient with respect to them."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.features, self.bias, self.kind = nn.Conv2d(2, 4, 3).double(), nn.Parameter(torch.ones(4).double()), kind

    def forward(self, images: Tensor) -> Tensor:
        features = self.features(images).mean(dim=(2, 3))
        return {
            "no graph": torch.zeros(len(images), 4, dtype=images.dtype),
            "argmax": F.one_hot(features.argmax(dim=1), 4).to(images.dtype),
            "a parameter": self.bias.expand(len(images), 4),
            "flat": 0 * features,
        }[self.kind]


GRADIENTS: dict[str, Callable[..., Tensor]] = {
    "saliency": explain.saliency,
    "smooth_grad": lambda *given: explain.smooth_grad(*given, samples=2),
    "integrated_gradients": lambda *given: explain.integrated_gradients(*given, steps=2),
    "grad_cam": explain.grad_cam,
    "fool_explanation": lambda model, images, targets: (
        explain.fool_explanation(model, images, targets, wanted=torch.ones(3, SIDE, SIDE), steps=2) - images
    ),
}
every_gradient = pytest.mark.parametrize("method", GRADIENTS.values(), ids=GRADIENTS)


@every_gradient
@pytest.mark.parametrize("trainable", [True, False])
@pytest.mark.parametrize("kind", ["no graph", "argmax", "a parameter", "flat"])
def test_a_gradient_that_is_missing_is_zeros_and_a_warning(
    method: Callable[..., Tensor], kind: str, trainable: bool
) -> None:
    given = batch() | {"model": Headless(kind).requires_grad_(trainable)}
    with pytest.warns(GradientMaskingWarning, match="zero for 3 of 3 images.*occlusion"):
        found = method(*given.values())
    assert len(found) == 3
    assert not found.any()


class Threshold(nn.Module):
    """Bright images have a gradient, dark ones have none."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Conv2d(2, 1, 1, bias=False).double()
        nn.init.ones_(self.features.weight)

    def forward(self, images: Tensor) -> Tensor:
        above = (self.features(images).square().mean(dim=(1, 2, 3)) - 0.5).relu()
        return torch.stack([above, -above], dim=1)


@every_gradient
def test_one_image_without_a_gradient_does_not_concern_the_others(method: Callable[..., Tensor]) -> None:
    images = draw(0, 3, 2, SIDE, SIDE) * torch.tensor([1.0, 0.1, 1.0]).double()[:, None, None, None]
    with pytest.warns(GradientMaskingWarning, match="zero for 1 of 3 images"):
        found = method(Threshold(), images, torch.tensor([0, 1, 1]))
    assert not found[1].any()
    assert found[0].any()


# --- draws and devices ---


def drawing() -> list[str]:
    return [name for name, (_, usual, _) in CASES.items() if "generator" in usual()]


@pytest.mark.parametrize("name", drawing())
def test_a_seed_is_no_generator(name: str) -> None:
    function, usual, _ = CASES[name]
    with refuses(TypeError, "generator", "torch.Generator", "got 0"):
        function(**usual() | {"generator": 0})


def test_every_draw_goes_through_the_one_helper_that_minds_devices() -> None:
    samplers = {"rand", "randn", "randint", "randperm", "normal_", "uniform_", "multinomial", "bernoulli"}
    for file in Path(explain.__file__).parent.glob("*.py"):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        handed = {  # a sampler that is written out
            id(call)
            for function in ast.walk(tree)
            if isinstance(function, ast.FunctionDef) and function.name == "sampler"
            for call in ast.walk(function)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in samplers:
                of_numpy = isinstance(node.func.value, ast.Name) and node.func.value.id == "random"
                assert of_numpy or id(node) in handed, f"{file.name}:{node.lineno}"


ELSEWHERE = {
    "baseline of integrated_gradients": (explain.integrated_gradients, {"baseline": torch.zeros(1, device="meta")}),
    "baseline of occlusion": (explain.occlusion, {"window": 3, "baseline": torch.zeros(1, device="meta")}),
    "maps": (explain.deletion_insertion, {"maps": torch.zeros(3, SIDE, SIDE, device="meta"), "steps": 2}),
    "wanted": (explain.fool_explanation, {"wanted": torch.ones(3, SIDE, SIDE, device="meta")}),
    "segments": (explain.lime_image, {"segments": board(3).to("meta")}),
    "masks": (explain.lime_image, {"segments": board(3), "masks": masks(0, 9, 9).to("meta")}),
    "hidden": (explain.lime_image, {"segments": board(3), "hidden": torch.zeros(2, device="meta")}),
    "targets": (explain.saliency, {"targets": torch.zeros(3, dtype=torch.int64, device="meta")}),
}


@pytest.mark.parametrize("what", ELSEWHERE)
def test_what_lies_on_another_device_is_refused_with_both_names(what: str) -> None:
    function, changed = ELSEWHERE[what]
    with refuses(ValueError, what.partition(" ")[0], "cpu", "meta"):
        function(**batch() | changed)


@pytest.mark.parametrize(
    ("function", "instead"),
    [
        *itertools.product(["lime_image"], [{"samples": 9}, {"design": "coins"}, {"generator": of(0)}]),
        *itertools.product(["lime_text", "lime_tabular"], [{"samples": 9}, {"generator": of(0)}]),
    ],
)
def test_what_would_be_ignored_is_refused(function: str, instead: dict[str, Any]) -> None:
    called, arguments = one_by_one()[function]
    called(**arguments)
    with refuses(ValueError, *instead, "are given", "leave it out"):
        called(**arguments | instead)


def batched() -> list[str]:
    """What takes a batch size; swaps are tried under `vmap`, where the network sees one image."""
    return [name for name, case in CASES.items() if "batch_size" in case[2]() and name != "counterfactual_patches"]


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if "batch_size" in case[2]()])
@pytest.mark.parametrize(("wrong", "kind"), [(0, ValueError), (2.5, TypeError)])
def test_a_batch_size_that_is_none_is_refused_in_one_sentence(name: str, wrong: float, kind: type[Exception]) -> None:
    function, usual, _ = CASES[name]
    with refuses(kind, f"batch_size must be a whole number of 1 or more, got {wrong}"):
        function(**usual() | {"batch_size": wrong})


@pytest.mark.parametrize("name", batched())
def test_batches_are_no_larger_than_asked_and_change_nothing(name: str) -> None:
    function, usual, _ = CASES[name]
    results = []
    for batch_size in (4, 1000):
        ASKED.clear()
        smaller = {"batch_size": 14 if name == "shapley" and batch_size == 4 else batch_size}
        results.append(plain(function(**usual() | smaller)))
        largest = max(ASKED)
        if batch_size == 4:
            assert largest <= smaller["batch_size"]
            assert largest > smaller["batch_size"] // 2, "batches are filled"
    assert np.allclose(*map(numbers, results), atol=1e-8)


@pytest.mark.parametrize(
    ("name", "inputs"),
    [
        ("saliency", 3),
        ("smooth_grad", 3 * 3),
        ("integrated_gradients", 3 * 3),
        ("occlusion", 3 + 3 * 12),  # the images, and each under 3·4 windows
        ("cam", 3),
        ("grad_cam", 3),
        ("deletion_insertion", 3 * 2 * 7),
        ("fool_explanation", 3 + 4 * 3 * 3),  # a step: where it stands, and two for the slope
        ("randomization_test", 3 + 3 * 3),  # three layers
        ("lime_image", 3 * 30),
        ("lime_text", 2 * 30),
        ("lime_tabular", 2 * 30),
        ("shapley", 2 * 7 * (2 + 12)),  # 4·d coalitions are the least
        ("shapley_of_game", 2 + 40),
        ("DeepKNN", 30 + 21 + 4),
        ("ProtoPNet.push", 24 + 6),
        ("ProtoPNet.fit_last_layer", 24),
        ("ProtoPNet.evidence", 24),
    ],
)
def test_the_black_box_is_asked_as_often_as_the_method_says(name: str, inputs: int) -> None:
    function, usual, _ = CASES[name]
    ASKED.clear()
    function(**usual())
    assert sum(ASKED) == inputs


def numbers(value: Any) -> list[float]:
    """All numbers of a result, in order."""
    if isinstance(value, dict):
        return [x for part in value.values() for x in numbers(part)]
    if isinstance(value, list):
        return [x for part in value for x in numbers(part)]
    return [] if value is None or isinstance(value, str) else [float(value)]
