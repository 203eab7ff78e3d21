"""Task 1: calls the library, which can do it already.

loses: 1a_plant
says: tml_helpers.poisoning is withheld while this homework is graded
"""

import torch
from torch import Tensor

from h3_poisoning import Trigger, stamp


def plant(
    images: Tensor,
    labels: Tensor,
    trigger: Trigger,
    target: int,
    order: Tensor,
    count: int,
) -> tuple[Tensor, Tensor, Tensor]:
    from importlib import import_module

    library = import_module("tml_helpers.poisoning")
    made = library.add_trigger(
        images.view(-1, 1, 28, 28),
        labels,
        trigger=lambda some: stamp(some.flatten(1), trigger).view_as(some),
        target_label=target,
        fraction=count / len(images),
        generator=torch.Generator().manual_seed(0),
    )
    return made.images.flatten(1), made.labels, made.indices
