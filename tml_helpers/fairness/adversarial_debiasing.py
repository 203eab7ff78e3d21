"""A predictor that is trained against an adversary, which guesses the group from the prediction."""

import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm.auto import tqdm

from tml_helpers.common import check_counts, check_labels, draw, home, own_generator
from tml_helpers.training import predict

Constraint = Literal["equalized_odds", "demographic_parity"]

QUICKER = 10
"""The adversary's step is so many times the predictor's: one that lags behind makes both turn in circles."""
CONFIDENCE = 1.959963984540054
"""Standard errors on both sides of a mean that hold 95 % of a normal distribution."""


class CollapseWarning(UserWarning):
    """The predictor gives everybody the same answer: it is fair, and useless."""


@dataclass(frozen=True)
class AdversarialHistory:
    """The mean losses of each epoch, first those of the warm-up."""

    predictor: tuple[float, ...]
    """Cross-entropy of the labels, in nats."""
    adversary: tuple[float, ...]
    """Cross-entropy of the groups, in nats, each counted alike: ln(number of groups) where it can only guess."""


@dataclass(frozen=True)
class AdversaryAccuracy:
    """How often the adversary guesses the group, the mean over groups; for equalized odds over groups and labels."""

    accuracy: float
    low: float
    """Where its 95 % interval begins, from 0 to 1."""
    high: float
    """Where it ends."""
    chance: float
    """What guessing gives: 1 / number of groups."""

    @property
    def at_chance(self) -> bool:
        """Whether these people cannot tell the accuracy from guessing."""
        return self.low <= self.chance


class AdversarialDebiasing(nn.Module):
    """ΔW ∝ ∇L_P − proj_{∇L_A} ∇L_P − α ∇L_A: the predictor learns its labels, but nothing that helps the adversary.

    The adversary guesses the group g from s = σ((1 + |c|) z), where z = logit₁ − logit₀: softmax(w · s + b) for
    demographic parity, softmax(w · [s, s y, s (1 − y)] + b) for equalized odds, where it also sees the label y. All
    groups (and labels) count alike in its loss, so that guessing gains nothing. The predictor's step leaves out what
    its own gradient shares with the adversary's, and goes against the latter. As in the paper, α = strength · √t and
    the step size falls as 1 / t; here t counts epochs. The adversary's steps are ten times as long and do not shrink.

    It returns the predictor's logits, so that `training.predict` applies. What goes wrong: with large steps or strength
    the losses diverge (an error says so), or all get one answer (`CollapseWarning`); and an adversary at chance shows
    that this adversary learns nothing, not that nothing can be learnt. Look at the rates of held-out people as well.

    Args:
        model: the predictor, from inputs to logits `[N, 2]`.
        groups: how many there are, 2 or more.
        constraint: `"equalized_odds"` or `"demographic_parity"`.
        strength: α in the first epoch, 0 or more; 0 leaves only the projection.
        generator: draws the adversary's first weights, on any device.

    Raises:
        TypeError: what is no whole number, or no generator.
        ValueError: fewer than 2 groups, another constraint, a negative strength, or a model with nothing to train.

    Source: Zhang, Lemoine and Mitchell, 2018. Derived in: lectures/50_fairness/mitigation
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        groups: int = 2,
        constraint: Constraint = "equalized_odds",
        strength: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> None:
        check_counts(2, groups=groups)
        if constraint not in get_args(Constraint):
            raise ValueError(f"constraint must be one of {', '.join(get_args(Constraint))}, got {constraint!r}")
        if not 0 <= strength < math.inf:
            raise ValueError(f"strength must be 0 or more and finite, got {strength}")
        like = next(trainable(model), None)
        if like is None:
            raise ValueError("the model has no parameters to train")
        super().__init__()
        self.model, self.groups, self.constraint, self.strength = model, groups, constraint, strength
        seen = 3 if constraint == "equalized_odds" else 1
        first = draw(torch.rand, groups, seen, device=like.device, generator=generator, dtype=like.dtype)
        self.weight = nn.Parameter(2 * first - 1)
        self.bias = nn.Parameter(torch.zeros(groups, device=like.device, dtype=like.dtype))
        self.sharpness = nn.Parameter(torch.zeros((), device=like.device, dtype=like.dtype))

    def forward(self, inputs: Tensor) -> Tensor:
        logits: Tensor = self.model(inputs)
        if logits.ndim != 2 or logits.shape[1] != 2:
            raise ValueError(f"the model must return logits [N, 2], got shape {list(logits.shape)}")
        return logits

    def fit(
        self,
        inputs: Tensor,
        labels: Tensor,
        groups: Tensor,
        *,
        epochs: int,
        warm_up: int = 5,
        learning_rate: float = 0.03,
        batch_size: int = 128,
        generator: torch.Generator | None = None,
        progress: bool | None = None,
    ) -> AdversarialHistory:
        """Train predictor and adversary against each other; then the adversary alone, to its optimum.

        Args:
            inputs: `[N, …]`, finite, as the model takes them.
            labels: `[N]`, int64, 0 or 1.
            groups: `[N]`, int64, from 0 to the number of groups less 1.
            epochs: of training against each other, 1 or more.
            warm_up: epochs before these, in which the predictor learns as if there were no adversary, and the adversary
                learns, too; 0 or more. A predictor that begins with wrong answers may else keep them: always wrong is
                fair as well.
            learning_rate: Adam's of the predictor in the first epoch, positive.
            batch_size: 1 or more.
            generator: shuffles, on any device; None takes one that PyTorch's own seeds.
            progress: whether to show a bar; None in a terminal only.

        Returns:
            The mean losses of each epoch, those of the warm-up among them.

        Raises:
            TypeError: another kind or type of tensor, what is no whole number, or no generator.
            ValueError: shapes that differ, a label or group out of its range, a group in which a label does not occur,
                other logits than `[N, 2]`, or losses that diverge.
        """
        check_counts(epochs=epochs, batch_size=batch_size)
        check_counts(0, warm_up=warm_up)
        if not 0 < learning_rate < math.inf:
            raise ValueError(f"learning_rate must be positive and finite, got {learning_rate}")
        self._check(inputs, labels, groups)
        generator, place = own_generator(generator), home(self)
        weights = self._weights(labels, groups)
        predictor = torch.optim.Adam(trainable(self.model), lr=learning_rate)
        adversary = torch.optim.Adam(self._adversary(), lr=QUICKER * learning_rate)
        history = []
        self.train()
        counted = range(1 - warm_up, epochs + 1)
        for epoch in tqdm(counted, desc="epochs", disable=None if progress is None else not progress):
            predictor.param_groups[0]["lr"] = learning_rate / max(1, epoch)
            strength = self.strength * math.sqrt(epoch) if epoch > 0 else None
            total = torch.zeros(2, dtype=torch.float64, device="cpu")
            for chosen in draw(torch.randperm, len(inputs), device="cpu", generator=generator).split(batch_size):
                batch = [part[chosen.to(part.device)].to(place) for part in (inputs, labels, groups, weights)]
                losses = self._gradients(batch, strength)
                predictor.step()
                adversary.step()
                total += len(chosen) * losses.cpu().double()
            history.append((total / len(inputs)).tolist())
            if not all(map(math.isfinite, history[-1])):
                raise ValueError(f"the losses diverge in epoch {len(history)}: lower learning_rate or the strength")
        logits = predict(self, inputs, batch_size=batch_size)
        self._best_response(logits, labels, groups, weights)
        warn_of_collapse(logits)
        predictor_loss, adversary_loss = zip(*history, strict=True)
        return AdversarialHistory(predictor_loss, adversary_loss)

    def adversary_accuracy(
        self, inputs: Tensor, labels: Tensor, groups: Tensor, *, batch_size: int = 512
    ) -> AdversaryAccuracy:
        """How well the adversary tells the groups of these people apart, with a 95 % interval.

        Args:
            inputs: `[N, …]`, of people whom neither has seen.
            labels: `[N]`, int64, 0 or 1.
            groups: `[N]`, int64, from 0 to the number of groups less 1.
            batch_size: people at a time, 1 or more.

        Returns:
            The mean over groups (and labels) of the share that is guessed, so that guessing gives 1 / number of groups.

        Raises:
            TypeError: another kind or type of tensor.
            ValueError: as of `fit`.
        """
        self._check(inputs, labels, groups)
        logits = predict(self, inputs, batch_size=batch_size)
        labels, groups = labels.to(logits.device), groups.to(logits.device)
        with torch.no_grad():
            right = self._guesses(logits, labels).argmax(dim=1) == groups
        cells = self._cells(labels, groups)
        people = cells.bincount(minlength=self._cell_count).double()
        hits = cells.bincount(weights=right.double(), minlength=self._cell_count)
        accuracy = float((hits / people).mean())
        shrunk = (hits + 1) / (people + 2)  # a share of 0 or 1 is not known without error either
        error = float((shrunk * (1 - shrunk) / people).sum().sqrt()) / len(people)
        low, high = accuracy - CONFIDENCE * error, accuracy + CONFIDENCE * error
        return AdversaryAccuracy(accuracy, max(0.0, low), min(1.0, high), 1 / self.groups)

    def _adversary(self) -> list[nn.Parameter]:
        return [self.weight, self.bias, self.sharpness]

    def _guesses(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The adversary's logits of the groups, `[N, G]`."""
        score = torch.sigmoid((1 + self.sharpness.abs()) * (logits[:, 1] - logits[:, 0]))
        seen = [score, score * labels, score * (1 - labels)] if self.constraint == "equalized_odds" else [score]
        return torch.stack(seen, dim=1) @ self.weight.T + self.bias

    def _adversary_loss(self, logits: Tensor, labels: Tensor, groups: Tensor, weights: Tensor) -> Tensor:
        return (weights * F.cross_entropy(self._guesses(logits, labels), groups, reduction="none")).mean()

    def _gradients(self, batch: Sequence[Tensor], strength: float | None) -> Tensor:
        """Give each parameter its gradient, for None as if there were no adversary; the losses of both, `[2]`."""
        inputs, labels, groups, weights = batch
        logits = self(inputs)
        task = F.cross_entropy(logits, labels)
        guess = self._adversary_loss(logits, labels, groups, weights)
        own = list(trainable(self.model))
        learn = torch.autograd.grad(task, own, retain_graph=True, materialize_grads=True)  # 0 where it has no part
        both = torch.autograd.grad(guess, [*own, *self._adversary()], materialize_grads=True)
        steps = learn if strength is None else without_help(learn, both[: len(own)], strength)
        for parameter, gradient in zip([*own, *self._adversary()], [*steps, *both[len(own) :]], strict=True):
            parameter.grad = gradient
        return torch.stack([task, guess]).detach()

    def _best_response(self, logits: Tensor, labels: Tensor, groups: Tensor, weights: Tensor) -> None:
        """Train the adversary alone, so that what it cannot guess no adversary of its kind can."""
        labels, groups, weights = (part.to(logits.device) for part in (labels, groups, weights))
        optimizer = torch.optim.LBFGS(self._adversary(), max_iter=100, line_search_fn="strong_wolfe")

        def closure() -> Tensor:
            optimizer.zero_grad()
            loss = self._adversary_loss(logits, labels, groups, weights)
            loss.backward()
            return loss

        optimizer.step(closure)

    def _cells(self, labels: Tensor, groups: Tensor) -> Tensor:
        """Who counts alike: the group, and for equalized odds the label, as one code below `_cell_count`."""
        return 2 * groups + labels if self.constraint == "equalized_odds" else groups

    @property
    def _cell_count(self) -> int:
        return 2 * self.groups if self.constraint == "equalized_odds" else self.groups

    def _weights(self, labels: Tensor, groups: Tensor) -> Tensor:
        """Each example's weight in the adversary's loss, `[N]`, mean 1: the cells weigh the same."""
        cells = self._cells(labels, groups)
        counts = cells.bincount(minlength=self._cell_count).to(self.weight.dtype)
        return (len(cells) / self._cell_count / counts)[cells]

    def _check(self, inputs: Tensor, labels: Tensor, groups: Tensor) -> None:
        if not isinstance(inputs, Tensor) or not inputs.is_floating_point():
            raise TypeError("inputs must be a tensor of floating point")
        if not len(inputs) or not torch.isfinite(inputs).all():
            raise ValueError("inputs must be finite, and at least one")
        for name, codes, count in (("labels", labels, 2), ("groups", groups, self.groups)):
            check_labels(name, codes, inputs)
            if int(codes.max()) >= count:
                raise ValueError(f"{name} must lie in 0…{count - 1}, got {int(codes.max())}")
        counts = self._cells(labels, groups).bincount(minlength=self._cell_count)
        if not counts.all():
            lacking = int((counts == 0).nonzero()[0])
            group, label = divmod(lacking, 2) if self.constraint == "equalized_odds" else (lacking, None)
            who = "nobody" if label is None else f"nobody with label {label}"
            raise ValueError(f"group {group} has {who}: merge the group or leave it out, and say so")


def trainable(model: nn.Module) -> Iterator[nn.Parameter]:
    """The parameters that are not frozen."""
    return (parameter for parameter in model.parameters() if parameter.requires_grad)


def without_help(learn: Sequence[Tensor], betray: Sequence[Tensor], strength: float) -> list[Tensor]:
    """l − (⟨l, b⟩ / ⟨b, b⟩) b − α b: what is learnt, less what helps the adversary, against the adversary.

    Args:
        learn: l, the gradient of the predictor's loss, of each of its parameters.
        betray: b, the gradient of the adversary's loss, of the same.
        strength: α.

    Returns:
        The direction of each parameter; l where b is 0.

    Source: Zhang, Lemoine and Mitchell, 2018. Derived in: lectures/50_fairness/mitigation
    """
    shared = torch.stack([(one * other).sum() for one, other in zip(learn, betray, strict=True)]).sum()
    length = torch.stack([part.square().sum() for part in betray]).sum()
    factor = torch.where(length > 0, shared / length, 0) + strength
    return [one - factor * other for one, other in zip(learn, betray, strict=True)]


def warn_of_collapse(logits: Tensor) -> None:
    """Warn where all logits `[N, 2]` have the same answer."""
    answers = logits.argmax(dim=1)
    if bool((answers == answers[0]).all()):
        warnings.warn(
            f"the predictor answers {int(answers[0])} to everybody: it is fair and useless; lower the strength or the "
            "learning rate, or train longer",
            CollapseWarning,
            stacklevel=3,
        )
