"""How attacks are called, by hand and by what tries several, and what all of them refuse."""

import inspect
import math
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from tml_helpers.common import check_images, check_labels, check_numbers

Attack = Callable[..., Tensor]
"""`attack(model, images, labels, *, …)`, with those of `epsilon`, `norm`, `targets` and `generator` that it takes.

It returns images of the same shape, in [0, 1].
"""


def launch(attack: Attack, model: nn.Module, images: Tensor, labels: Tensor, **settings: Any) -> Tensor:
    """attack(model, images, labels, …), handed those of the settings that its signature names.

    Args:
        attack: any attack; one that takes `**keywords` gets all settings.
        model: as of the attack.
        images: `[N, C, H, W]`.
        labels: `[N]`, int64.
        settings: `epsilon`, `norm`, `targets`, `generator`. An attack that takes no norm is called all the same: its
            signature does not say for which norm it is made, so what it returns has to be measured.

    Returns:
        What the attack returns.

    Raises:
        TypeError: there are targets, and the attack takes none.
    """
    parameters = inspect.signature(attack).parameters
    takes_all = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    handed = {name: value for name, value in settings.items() if takes_all or name in parameters}
    if settings.get("targets") is not None and "targets" not in handed:
        raise TypeError("this attack takes no targets: choose one that does, or leave them out")
    return attack(model, images, labels, **handed)


def check_batch(model: nn.Module, images: Tensor, labels: Tensor, targets: Tensor | None = None) -> None:
    """Images in [0, 1] where the model is, a label for each and, for a targeted attack, another class for each.

    Args:
        model: maps images to logits.
        images: `[N, C, H, W]`, float32 or float64, at least one.
        labels: `[N]`, int64, 0 or more.
        targets: `[N]`, int64, 0 or more, none of them the label; None for an untargeted attack.

    Raises:
        TypeError: another kind, another type or another device than the model's.
        ValueError: another shape, values outside [0, 1], an index below 0, or a target that is the label.
    """
    check_images(model, images)
    check_labels("labels", labels, images)
    if targets is not None:
        check_labels("targets", targets, images)
        if (same := (targets == labels).nonzero().flatten()).numel():
            raise ValueError(
                f"a target must differ from the label; image {int(same[0])} has both {int(labels[same[0]])}: "
                "leave it out, or aim at another class"
            )


def check_step(**sizes: float | None) -> None:
    """How far a step leads.

    Args:
        sizes: by name, as `step_size=…`: 0 or more, finite; None for an attack's own.

    Raises:
        TypeError: what is no number.
        ValueError: a number below 0, or not finite.
    """
    for name, size in sizes.items():
        if size is not None:
            check_numbers(**{name: size})
            if not 0 <= size < math.inf:
                raise ValueError(f"{name} must be 0 or more and finite, got {size}")
