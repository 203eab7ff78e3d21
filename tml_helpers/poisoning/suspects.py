"""What a detector makes of a training set: a score for each example, whom it suspects, and how right it was."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from tml_helpers.common import Layer, check_counts, check_images, check_labels, representations
from tml_helpers.poisoning.poison import Poison

__all__ = ["Detection", "Suspects", "detection_rates"]


@dataclass(frozen=True, eq=False)
class Suspects:
    """N examples, how suspicious each of them is, and which are to be left out.

    Args:
        scores: float64 `[N]`, larger for the more suspicious; to be compared within a class.
        indices: the places of those that are suspected, int64 `[R]`, ascending, none twice.

    Derived in: lectures/30_poisoning/defenses
    """

    scores: Tensor
    indices: Tensor

    @property
    def kept(self) -> Tensor:
        """`[N]`, bool: who is not suspected."""
        kept = torch.ones(len(self.scores), dtype=torch.bool, device=self.scores.device)
        kept[self.indices] = False
        return kept

    def without(self, images: Tensor, labels: Tensor) -> TensorDataset:
        """The training set with the suspects left out.

        Args:
            images: the N images, `[N, …]`.
            labels: their classes `[N]`.

        Returns:
            A data set, as `training.fit` takes it.

        Raises:
            ValueError: another number of images or labels than there are scores.
        """
        if not len(images) == len(labels) == len(self.scores):
            raise ValueError(
                f"there are scores of {len(self.scores)} examples, got {len(images)} images and {len(labels)} labels"
            )
        kept = self.kept
        return TensorDataset(images[kept.to(images.device)], labels[kept.to(labels.device)])


@dataclass(frozen=True)
class Detection:
    """How right a detector was, for somebody who knows what was poisoned."""

    found: float
    """The share of the poison that is suspected; NaN where there is none."""
    false_alarms: float
    """The share of the clean examples that is suspected; NaN where there is none."""
    left: int
    """How many poisoned examples stay in the training set: the attack goes on with these."""
    auc: float
    """How often a poisoned example scores above a clean one of the same label, ties counted half; NaN without pairs."""


def detection_rates(suspects: Suspects, poison: Poison) -> Detection:
    """Found = suspected and poisoned / poisoned; false alarms = suspected and clean / clean.

    Args:
        suspects: what a detector said of the poisoned training set.
        poison: the training set, with the places of what was changed.

    Returns:
        Both rates, how much poison is left, and the area under the ROC curve of the scores within classes.

    Raises:
        ValueError: a training set of another size than the detector's.

    Derived in: lectures/30_poisoning/defenses
    """
    scores = suspects.scores.cpu()
    if len(scores) != len(poison):
        raise ValueError(f"the detector saw {len(scores)} examples, but the training set has {len(poison)}")
    poisoned = torch.zeros(len(poison), dtype=torch.bool)
    poisoned[poison.indices.cpu()] = True
    suspected = ~suspects.kept.cpu()
    pairs, wins = 0, 0.0
    for label in poison.labels.unique().tolist():
        own = poison.labels.cpu() == label
        bad, good = scores[own & poisoned], scores[own & ~poisoned].sort().values
        below = torch.searchsorted(good, bad, right=False)
        through = torch.searchsorted(good, bad, right=True)
        wins += float((below + through).double().sum()) / 2
        pairs += len(bad) * len(good)
    return Detection(
        found=_share(suspected[poisoned]),
        false_alarms=_share(suspected[~poisoned]),
        left=int((poisoned & ~suspected).sum()),
        auc=wins / pairs if pairs else float("nan"),
    )


def features_by_class(
    model: nn.Module, images: Tensor, labels: Tensor, layer: Layer, batch_size: int
) -> list[tuple[Tensor, Tensor]]:
    """For each class that a label has, ascending: the places of its examples, and their features `[n, D]`, float64."""
    check_images(model, images)
    check_labels("labels", labels, images)
    check_counts(batch_size=batch_size)
    (features,), logits = representations(model, images, [layer], batch_size=batch_size)
    if logits.ndim == 2 and int(labels.max()) >= logits.shape[1]:
        raise ValueError(f"labels must lie in 0…{logits.shape[1] - 1}, the model's classes, got {int(labels.max())}")
    places = [(labels == label).nonzero().squeeze(1) for label in labels.unique().tolist()]
    return [(own, features[own].double()) for own in places]


def _share(suspected: Tensor) -> float:
    return float(suspected.double().mean())
