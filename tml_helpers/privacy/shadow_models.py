"""Shadow models: networks like the target, trained by the attacker, who knows what each of them saw."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import TensorDataset
from tqdm.auto import tqdm

from tml_helpers.common import check_counts, draw, offspring, own_generator, seeded
from tml_helpers.privacy._numbers import check_between, check_positive
from tml_helpers.privacy.membership import all_odds, answers, check_examples, scaled_confidence
from tml_helpers.training import fit

CLIPPED = 50.0
"""The attack's network sees scaled confidences up to this size: beyond, a probability is 0 or 1 in any precision."""


@dataclass(frozen=True, eq=False)
class ShadowModels:
    """S models, the N examples that they were drawn from, and which of these each model was trained on.

    Args:
        models: S networks, at least two, which map inputs to logits.
        included: bool `[S, N]`: whether a model was trained on an example.
        images: the examples, `[N, …]`.
        labels: their classes, int64 `[N]`.

    Raises:
        TypeError: `included` that is not bool, or examples of another kind.
        ValueError: fewer than two models, one of them twice, or shapes that differ.

    Derived in: lectures/60_privacy/membership_inference.
    """

    models: tuple[nn.Module, ...]
    included: Tensor
    images: Tensor
    labels: Tensor

    def __post_init__(self) -> None:
        check_examples(self.images, self.labels)
        if not isinstance(self.included, Tensor) or self.included.dtype != torch.bool:
            kind = self.included.dtype if isinstance(self.included, Tensor) else type(self.included).__name__
            raise TypeError(f"included must be a bool tensor, got {kind}")
        object.__setattr__(self, "models", tuple(self.models))
        object.__setattr__(self, "included", self.included.to(self.images.device))
        if len(self.models) < 2 or len({id(model) for model in self.models}) < len(self.models):
            raise ValueError(f"shadow models are two or more, each another one, got {len(self.models)}")
        if self.included.shape != (len(self.models), len(self.images)):
            expected = [len(self.models), len(self.images)]
            raise ValueError(
                f"included must have shape {expected}, models by examples, got {list(self.included.shape)}"
            )

    def saw(self, images: Tensor, labels: Tensor) -> Tensor:
        """Which model was trained on which of some examples, found by their values and labels.

        Args:
            images: any examples, `[M, …]`, of the type of those that the models were drawn from.
            labels: their classes, int64 `[M]`.

        Returns:
            Bool `[S, M]`, on the examples' device. What the models were not drawn from was seen by none; what is there
            twice was seen where either was.

        Raises:
            TypeError: examples of another kind or type.
            ValueError: no examples, or shapes that differ.
        """
        check_examples(images, labels)
        if images.dtype != self.images.dtype or images.shape[1:] != self.images.shape[1:]:
            raise TypeError(
                f"images must be {self.images.dtype} of shape {list(self.images.shape[1:])} each, as those of the "
                f"shadow models, got {images.dtype} of {list(images.shape[1:])}"
            )
        known: dict[tuple[bytes, int], Tensor] = {}
        included = self.included.cpu()
        for example, column in zip(_names(self.images, self.labels), included.T, strict=True):
            known[example] = known[example] | column if example in known else column
        nobody = torch.zeros(len(self.models), dtype=torch.bool, device="cpu")
        found = [known.get(example, nobody) for example in _names(images, labels)]
        return torch.stack(found, dim=1).to(images.device)

    def confidences(self, images: Tensor, labels: Tensor, *, batch_size: int = 512) -> Tensor:
        """The scaled confidence of every model on some examples.

        Args:
            images: any examples, `[M, …]`, where the models are.
            labels: their classes, int64 `[M]`.
            batch_size: examples at a time.

        Returns:
            ψ, float64 `[S, M]`.

        Raises:
            TypeError: examples of another kind, type or device.
            ValueError: no examples, shapes that differ, a label beyond the classes, logits that are not finite.
        """
        each = (answers(model, images, labels, batch_size=batch_size) for model in self.models)
        return torch.stack([scaled_confidence(logits, labels) for logits in each])


def check_target(model: nn.Module, shadow_models: ShadowModels) -> None:
    """Raises ValueError where the target is one of the shadow models: what it saw would be known beforehand."""
    if not isinstance(shadow_models, ShadowModels):
        raise TypeError(
            f"shadow_models must be ShadowModels, as train_shadow_models makes, got {type(shadow_models).__name__}"
        )
    if any(shadow is model for shadow in shadow_models.models):
        raise ValueError("the target must not be one of the shadow models: leave it out of them")


def _names(images: Tensor, labels: Tensor) -> list[tuple[bytes, int]]:
    """What tells examples apart: all of their values, and the label."""
    values = images.detach().cpu()
    values = values.float() if values.dtype == torch.bfloat16 else values  # NumPy has none
    rows = (values + 0).numpy()  # 0 and −0 are one value
    return [(row.tobytes(), label) for row, label in zip(rows, labels.tolist(), strict=True)]


def train_shadow_models(
    build: Callable[[], nn.Module],
    images: Tensor,
    labels: Tensor,
    *,
    count: int,
    epochs: int,
    share: float = 0.5,
    learning_rate: float = 1e-3,
    batch_size: int = 64,
    generator: torch.Generator | None = None,
    progress: bool | None = None,
) -> ShadowModels:
    """S networks, each trained on a random part of the examples, and each example in exactly share·S of them.

    Every example draws its models by itself, so all have models that saw them and models that did not. How many a
    model saw varies a little around share·N. Train as the target was trained: the same network, share and epochs.

    Args:
        build: makes a new network with random weights each time; it draws from PyTorch's own generator.
        images: the examples that the attacker has, `[N, …]`; they may contain the ones in question.
        labels: their classes, int64 `[N]`.
        count: S, how many models, 2 or more.
        epochs: of each model's training, 1 or more.
        share: of the models that see an example, in (0, 1); share·S is rounded to at least 1 and at most S − 1.
        learning_rate: Adam's, positive.
        batch_size: examples in a step, 1 or more.
        generator: draws parts, weights and batches; PyTorch's own state is left as it was.
        progress: whether to show a bar; None in a terminal only.

    Returns:
        The models in evaluation mode, where the images are, with what each of them saw.

    Raises:
        TypeError: examples of another kind, a generator that is none, or a `build` that makes no network.
        ValueError: numbers outside their range, no examples, shapes that differ, or a `build` that gives one network
            again and again.

    Source: Shokri et al., 2017; Carlini et al., 2022. Derived in: lectures/60_privacy/membership_inference.
    """
    check_counts(2, count=count)
    check_counts(epochs=epochs, batch_size=batch_size)
    check_examples(images, labels)
    check_between(share=share)
    check_positive(learning_rate=learning_rate)
    generator = own_generator(generator)
    included = _parts(len(images), count, share, generator).to(images.device)
    if not included.any(dim=1).all():
        raise ValueError(f"{len(images)} examples are too few for {count} models: some would see none")
    models: list[nn.Module] = []
    for seen in tqdm(included, desc="shadow models", disable=None if progress is None else not progress):
        own = offspring(generator)
        with seeded(own.initial_seed()):
            model = build()
            if not isinstance(model, nn.Module) or any(model is other for other in models):
                made = "the same one again" if isinstance(model, nn.Module) else type(model).__name__
                raise TypeError(f"build must make a new network each time, got {made}")
            data = TensorDataset(images[seen], labels[seen])
            model.to(images.device)
            rates = {"epochs": epochs, "learning_rate": learning_rate, "batch_size": batch_size}
            fit(model, data, generator=own, progress=False, **rates)  # type: ignore[arg-type]
        models.append(model.eval())
    return ShadowModels(tuple(models), included, images, labels)


def _parts(examples: int, count: int, share: float, generator: torch.Generator) -> Tensor:
    """Bool `[S, N]` with the same number of models in each column, drawn at random."""
    each = min(max(round(share * count), 1), count - 1)
    order = draw(torch.rand, count, examples, device="cpu", generator=generator, dtype=torch.float64)
    return order.argsort(dim=0).argsort(dim=0) < each


def shadow_attack(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    shadow_models: ShadowModels,
    epochs: int = 20,
    batch_size: int = 512,
    generator: torch.Generator | None = None,
) -> Tensor:
    """log-odds that an example was a member, by a network for each class that learnt it from the shadow models.

    For each class, the answers of all shadow models on the examples of that class are the attack's training data, and
    whether the model had seen the example is what is to be learnt. An answer is given to the attack as the scaled
    confidences log(p_k / (1 − p_k)): that of the label first, the others from the largest to the smallest. The
    attack's network has 64 hidden units.

    Args:
        model: the target, which maps inputs to logits `[N, K]`.
        images: the examples in question, `[N, …]`, where the models are; they need not be the shadow models'.
        labels: their classes, int64 `[N]`.
        shadow_models: of `train_shadow_models`, or your own; the target must not be one of them.
        epochs: of the training of each class's network, 1 or more.
        batch_size: examples at a time that models are asked about.
        generator: draws the weights and batches of the attack's networks.

    Returns:
        Scores, float64 `[N]`, in the order of the examples: the higher, the likelier it was a member.

    Raises:
        TypeError: inputs or labels of another kind, or inputs of another type or device than the models'.
        ValueError: no examples, shapes that differ, a label beyond the classes, logits not finite, the target among
            the shadow models, or a class of which the shadow models saw no example, or all.

    Source: Shokri et al., 2017. Derived in: lectures/60_privacy/membership_inference.
    """
    check_counts(epochs=epochs)
    check_target(model, shadow_models)
    generator = own_generator(generator)
    target = _sorted_odds(answers(model, images, labels, batch_size=batch_size), labels)
    pool = shadow_models.images, shadow_models.labels
    shadows = torch.stack(
        [_sorted_odds(answers(shadow, *pool, batch_size=batch_size), pool[1]) for shadow in shadow_models.models]
    )
    if shadows.shape[2] != target.shape[1]:
        raise ValueError(f"the target has {target.shape[1]} classes, but the shadow models have {shadows.shape[2]}")
    scores = torch.empty_like(target[:, 0])
    for label in labels.unique().tolist():
        of_class = pool[1] == label
        member = shadow_models.included[:, of_class].flatten().to(labels.device)
        if not member.any() or member.all():
            lacking = "all" if len(member) and member.all() else "no"
            raise ValueError(f"the shadow models saw {lacking} examples of class {label}: nothing can be learnt there")
        answered = shadows[:, of_class].flatten(0, 1)
        scores[labels == label] = _learn(answered, member, target[labels == label], epochs, generator)
    return scores


def _sorted_odds(logits: Tensor, labels: Tensor) -> Tensor:
    """log(p_k / (1 − p_k)), `[N, K]`, clipped: the label's first, then the others in falling order."""
    odds = all_odds(logits)
    own = labels[:, None]
    others = odds.scatter(1, own, -torch.inf).sort(dim=1, descending=True).values[:, :-1]
    return torch.cat([odds.gather(1, own), others], dim=1).clamp(-CLIPPED, CLIPPED)


def _learn(answered: Tensor, member: Tensor, asked: Tensor, epochs: int, generator: torch.Generator) -> Tensor:
    """Train a network to tell members by their answers; its log-odds for other answers, `[M]`."""
    mean, deviation = answered.mean(dim=0), answered.std(dim=0).clamp(min=1e-6)
    own = offspring(generator)
    with seeded(own.initial_seed()):
        network = nn.Sequential(nn.Linear(answered.shape[1], 64), nn.ReLU(), nn.Linear(64, 1)).to(answered)
    fit(
        network,
        TensorDataset((answered - mean) / deviation, member.to(answered)),
        epochs=epochs,
        loss=lambda model, inputs, truth: F.binary_cross_entropy_with_logits(model(inputs).squeeze(1), truth),
        batch_size=128,
        generator=own,
        progress=False,
    )
    with torch.no_grad():
        odds: Tensor = network((asked - mean) / deviation).squeeze(1)
    return odds
