"""Networks of every kind that DP-SGD knows, with inputs and labels, and each example's gradient by itself."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tml_helpers.models import MLP, SmallCNN

Loss = Callable[[Tensor, Tensor], Tensor]


def of_logits(logits: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(logits, labels, reduction="none")


def of_words(logits: Tensor, labels: Tensor) -> Tensor:
    """The mean over a text, `[N, T, K]` and `[N, T]`."""
    return F.cross_entropy(logits.mT, labels, reduction="none").mean(dim=1)


class Reader(nn.Module):
    """Words, each for itself, to the next word."""

    def __init__(self, width: int = 6, hidden: int = 40, padding_idx: int | None = None) -> None:
        super().__init__()
        self.words = nn.Embedding(11, width, padding_idx=padding_idx)
        self.up, self.activation, self.norm = nn.Linear(width, hidden), nn.ReLU(inplace=True), nn.LayerNorm(hidden)
        self.out = nn.Linear(hidden, 11, bias=False)

    def forward(self, words: Tensor) -> Tensor:
        logits: Tensor = self.out(self.norm(self.activation(self.up(self.words(words)))))
        return logits


class Recurrent(nn.Module):
    """A recurrent network of layers that are called once for each word."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.read = nn.Embedding(11, 5), nn.Linear(5, 7)
        self.keep, self.norm, self.out = nn.Linear(7, 7, bias=False), nn.LayerNorm(7), nn.Linear(7, 11)

    def forward(self, words: Tensor) -> Tensor:
        state = self.keep.weight.new_zeros(len(words), 7)
        outputs = []
        for step in range(words.shape[1]):
            state = torch.tanh(self.read(self.words(words[:, step])) + self.keep(state))
            outputs.append(self.out(self.norm(state)))
        return torch.stack(outputs, dim=1)


class Residual(nn.Module):
    """A layer by keyword, and a sum with its own input."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(9, 9), nn.Linear(9, 4)

    def forward(self, rows: Tensor) -> Tensor:
        logits: Tensor = self.second(rows + torch.relu(self.first(input=rows)))
        return logits


def twice() -> nn.Module:
    layer = nn.Linear(6, 6)
    return nn.Sequential(layer, nn.Tanh(), layer, nn.Flatten(), nn.Linear(18, 3))


def convolutions(**settings: object) -> nn.Module:
    """Strides, dilation and groups, and whatever else is set."""
    last = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(24, 5))
    first = nn.Conv2d(4, 6, (3, 2), **{"stride": (1, 2), "dilation": (2, 1), "groups": 2, **settings})  # type: ignore[arg-type]
    return nn.Sequential(first, nn.GELU(), last)


@dataclass(frozen=True)
class Case:
    """A network, inputs, labels, and the loss of each example."""

    model: nn.Module
    inputs: Tensor
    labels: Tensor
    loss: Loss = of_logits


def pictures(model: nn.Module, *shape: int, classes: int = 5) -> Case:
    inputs = torch.randn(7, *shape) * (0.3 + 2 * torch.rand(7, *(1 for _ in shape)))
    return Case(model, inputs, torch.randint(classes, (7,)))


def texts(model: nn.Module, length: int) -> Case:
    words = torch.randint(11, (6, length + 1))
    return Case(model, words[:, :-1].contiguous(), words[:, 1:].contiguous(), of_words)


CASES: dict[str, Callable[[], Case]] = {
    "SmallCNN": lambda: Case(SmallCNN(), torch.rand(8, 1, 28, 28), torch.randint(10, (8,))),
    "MLP": lambda: Case(MLP(16), torch.rand(8, 1, 28, 28), torch.randint(10, (8,))),
    "convolution": lambda: pictures(convolutions(), 4, 9, 11),
    "convolution with padding": lambda: pictures(convolutions(padding=(2, 1), bias=False), 4, 9, 11),
    "convolution, same": lambda: pictures(convolutions(padding="same", stride=1), 4, 8, 7),  # Opacus #451
    "convolution, valid": lambda: pictures(convolutions(padding="valid"), 4, 9, 11),
    "convolution, depthwise": lambda: pictures(
        nn.Sequential(nn.Conv2d(4, 8, 3, groups=4), nn.Tanh(), nn.Flatten(), nn.Linear(72, 5)), 4, 5, 5
    ),
    "convolution with more kernel than places": lambda: pictures(
        nn.Sequential(nn.Conv2d(8, 32, 3, groups=2), nn.Tanh(), nn.Flatten(), nn.Linear(128, 5)), 8, 4, 4
    ),
    "convolution in one dimension": lambda: pictures(
        nn.Sequential(nn.Conv1d(3, 5, 4, stride=2, padding=3, dilation=2), nn.ReLU(), nn.Flatten(), nn.Linear(45, 5)),
        3,
        17,
    ),
    "convolution in three dimensions": lambda: pictures(
        nn.Sequential(nn.Conv3d(2, 3, (2, 1, 3), padding=(1, 0, 1)), nn.ReLU(), nn.Flatten(), nn.Linear(180, 5)),
        2,
        4,
        3,
        4,
    ),
    "norms": lambda: pictures(
        nn.Sequential(
            nn.Conv2d(2, 6, 3),
            nn.GroupNorm(3, 6),
            nn.ReLU(inplace=True),
            nn.Conv2d(6, 4, 2, bias=False),
            nn.InstanceNorm2d(4, affine=True),
            nn.Flatten(2),
            nn.LayerNorm((4, 16)),
            nn.Flatten(),
            nn.Linear(64, 6),
            nn.GroupNorm(2, 6),
            nn.Linear(6, 5),
        ),
        2,
        7,
        7,
    ),
    "norms in one dimension": lambda: pictures(
        nn.Sequential(nn.InstanceNorm1d(3, affine=True), nn.Flatten(), nn.LayerNorm(12), nn.Linear(12, 5)),
        3,
        4,
    ),
    "a norm without shift": lambda: pictures(nn.Sequential(nn.LayerNorm(9, bias=False), nn.Linear(9, 5)), 9),
    "a sequence": lambda: texts(Reader(), 9),
    "a sequence that is long": lambda: texts(Reader(width=3, hidden=5), 25),
    "a sequence with padding": lambda: texts(Reader(padding_idx=2), 9),
    "a sequence of two": lambda: texts(Reader(width=32, hidden=64), 2),
    "a recurrent network": lambda: texts(Recurrent(), 5),
    "a layer called twice": lambda: pictures(twice(), 3, 6, classes=3),
    "a residual layer": lambda: pictures(Residual(), 9, classes=4),
}
for mode in ("reflect", "replicate", "circular"):
    CASES[f"convolution, {mode}"] = partial(lambda m: pictures(convolutions(padding=2, padding_mode=m), 4, 9, 11), mode)


def make(name: str, *, dtype: torch.dtype = torch.float32) -> Case:
    """One of the cases, the same in every run."""
    with torch.random.fork_rng():
        torch.manual_seed(7)
        case = CASES[name]()
        inputs = case.inputs.to(dtype) if case.inputs.is_floating_point() else case.inputs
        return Case(case.model.to(dtype), inputs, case.labels, case.loss)


def one_by_one(case: Case) -> dict[str, Tensor]:
    """Each example's gradient, by a loop over examples, `[N, *shape]`."""
    named = {name: p for name, p in case.model.named_parameters() if p.requires_grad}
    rows = []
    for example in range(len(case.inputs)):
        one = slice(example, example + 1)
        loss = case.loss(case.model(case.inputs[one]), case.labels[one]).sum()
        rows.append(torch.autograd.grad(loss, list(named.values()), materialize_grads=True))
    return {name: torch.stack(parts) for name, parts in zip(named, zip(*rows, strict=True), strict=True)}


def norms_of(gradients: dict[str, Tensor]) -> Tensor:
    """‖g_i‖ over all parameters."""
    norms: Tensor = torch.cat([part.flatten(1) for part in gradients.values()], dim=1).norm(dim=1)
    return norms


def clipped(gradients: dict[str, Tensor], clip_norm: float) -> dict[str, Tensor]:
    """Σ_i g_i · min(1, C / ‖g_i‖), one after the other."""
    total = {name: torch.zeros_like(part[0]) for name, part in gradients.items()}
    for example, norm in enumerate(norms_of(gradients)):
        for name, part in gradients.items():
            total[name] += part[example] * min(1.0, clip_norm / float(norm))
    return total


def relative_error(found: dict[str, Tensor], wanted: dict[str, Tensor]) -> float:
    """The largest difference over the largest value, by parameter, the worst of them."""
    assert found.keys() == wanted.keys()
    return max(
        float((found[name] - part).abs().max() / part.abs().max().clamp_min(1e-6)) for name, part in wanted.items()
    )
