"""What an attack wants of each image: away from its label or, if there are targets, towards its target."""

from collections.abc import Callable

from torch import Tensor

from tml_helpers.common import answer_and_gradient, check_logits, cross_entropies, fooled, margin

LogitLoss = Callable[[Tensor, Tensor], Tensor]
"""`loss(logits, labels)`: one number for each image, `[N]`."""

Index = Tensor | slice
ALL = slice(None)


class Aim:
    """Labels `[N]` to lead away from, or targets `[N]` to lead to, and the loss that says how far it is.

    Where a method takes an `index`, the logits are those of the images at this index.
    """

    def __init__(self, labels: Tensor, targets: Tensor | None = None, loss: LogitLoss = cross_entropies) -> None:
        self.labels, self.targets, self.loss = labels, targets, loss
        self.classes, self.sign = (labels, 1.0) if targets is None else (targets, -1.0)

    def gain(self, logits: Tensor, index: Index = ALL) -> Tensor:
        """What an attack makes large, `[n]`: the loss of the label, or minus the loss of the target."""
        return self.sign * self.loss(logits, self.classes[index])

    def lead(self, logits: Tensor, index: Index = ALL) -> Tensor:
        """By how much the attack is won, in units of a logit, `[n]`: negative where it is not."""
        return self.sign * margin(logits, self.classes[index])

    def reached(self, logits: Tensor, index: Index = ALL) -> Tensor:
        """Whether each image is no longer called its label or, if there are targets, is called its target, `[n]`."""
        return fooled(logits, self.labels[index], None if self.targets is None else self.targets[index])

    def check(self, logits: Tensor) -> None:
        """Raises ValueError for a model's first answer that is not finite, or lacks a label's or a target's class."""
        check_logits(logits, labels=self.labels, targets=self.targets)

    def uphill(
        self, model: Callable[[Tensor], Tensor], inputs: Tensor, index: Index = ALL, *, first: bool
    ) -> tuple[Tensor, Tensor]:
        """The model's logits, and the gradient of Σ gain at the inputs; the first answer is checked."""

        def gain(logits: Tensor) -> Tensor:
            if first:
                self.check(logits)
            return self.gain(logits, index)

        return answer_and_gradient(model, inputs, gain)
