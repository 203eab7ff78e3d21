"""PatchCleanser: masks that leave no place uncovered, and certificates against every patch there is."""

import itertools
import math

import pytest
import torch
from bad_input import refuses
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from tml_helpers.attacks import pgd
from tml_helpers.defenses import PatchCleanser


class Answers(nn.Module):
    """A given answer for each of the masked images, in the order in which they come."""

    def __init__(self, answer) -> None:
        super().__init__()
        self.answer = answer

    def forward(self, images: Tensor) -> Tensor:
        return torch.stack([self.answer(image) for image in images])


def small(seed: int, classes: int = 3) -> nn.Module:
    """A random network on 1 × 4 × 4 images."""
    layer = nn.Linear(16, classes)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        layer.weight.copy_(torch.randn(classes, 16, generator=generator))
        layer.bias.copy_(2 * torch.randn(classes, generator=generator))
    return nn.Sequential(nn.Flatten(), layer)


@given(height=st.integers(3, 40), width=st.integers(3, 40), size=st.integers(1, 12), masks=st.integers(1, 7))
@settings(max_examples=60)
def test_every_place_of_a_patch_lies_under_one_mask(height: int, width: int, size: int, masks: int) -> None:
    images = torch.zeros(1, 1, height, width)
    wide = max(size + math.ceil((side - size + 1) / masks) - 1 - side for side in (height, width))
    if max(wide, size - min(height, width) - 1) >= 0:  # a mask as long as a side, or a patch that does not fit
        with refuses(ValueError, "take more masks"):
            PatchCleanser(nn.Identity(), size=size, masks=masks).cover(images)
        return
    cover = PatchCleanser(nn.Identity(), size=size, masks=masks).cover(images)
    assert len(cover) <= masks**2
    for top, left in itertools.product(range(height - size + 1), range(width - size + 1)):
        assert cover[:, top : top + size, left : left + size].flatten(1).all(1).any()
    assert not cover.flatten(1).all(1).any(), "a mask over the whole image"


def test_masks_are_as_wide_as_in_the_paper() -> None:
    """224 pixels, a patch of 32 and 6 masks a side: stride ⌈193 / 6⌉ = 33, masks of 64 pixels."""
    cover = PatchCleanser(nn.Identity(), size=32, masks=6).cover(torch.zeros(1, 3, 224, 224))
    assert len(cover) == 36
    assert set(cover.flatten(1).sum(1).tolist()) == {64 * 64}


@pytest.mark.parametrize("seed", range(6))
def test_no_patch_changes_a_certified_answer(seed: int) -> None:
    """All 9 places of a 2 × 2 patch on 4 × 4 images, and all 3⁴ contents of black, grey and white."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(8, 1, 4, 4, generator=generator)
    defence = PatchCleanser(small(seed), size=2, masks=3)
    labels = defence(images).argmax(1)
    certified = defence.certified(images, labels)
    contents = torch.tensor(list(itertools.product([0.0, 0.5, 1.0], repeat=4))).view(-1, 1, 2, 2)
    for image, label in zip(images[certified], labels[certified], strict=True):
        for top, left in itertools.product(range(3), repeat=2):
            patched = image.repeat(len(contents), 1, 1, 1)
            patched[:, :, top : top + 2, left : left + 2] = contents
            assert (defence(patched).argmax(1) == label).all()


def test_some_are_certified_and_some_without_certificate_do_fall() -> None:
    """The law above is not empty, and what is not certified is not safe by chance."""
    kept = fell = 0
    for seed in range(12):
        images = torch.rand(20, 1, 4, 4, generator=torch.Generator().manual_seed(seed))
        defence = PatchCleanser(small(seed), size=2, masks=3)
        labels = defence(images).argmax(1)
        certified = defence.certified(images, labels)
        kept += int(certified.sum())
        for top, left in itertools.product(range(3), repeat=2):
            for value in (0.0, 1.0):
                patched = images.clone()
                patched[:, :, top : top + 2, left : left + 2] = value
                fell += int((defence(patched).argmax(1) != labels)[~certified].sum())
    assert kept > 20
    assert fell > 20


def test_the_three_cases_of_the_algorithm() -> None:
    """Agreement; a mask that disagrees and is confirmed; one that is not. A one in the image is the patch."""
    images = torch.zeros(3, 1, 8, 8)
    images[1:, :, 0, 0] = 1
    images[2, :, 7, 7] = 0.9

    def answer(image: Tensor) -> Tensor:
        if image[0, 0, 0] == 1:
            return torch.tensor([0.0, 3.0, 1.0])  # fooled
        if image[0, 7, 7] == 0.9:
            return torch.tensor([4.0, 0.0, 0.0])  # without its patch: 0 where the far corner is seen …
        return torch.tensor([0.0, 0.0, 2.0])  # … and 2 where it is masked

    logits = PatchCleanser(Answers(answer), size=2, masks=3)(images)
    assert torch.equal(logits[0], torch.tensor([0.0, 0.0, 2.0])), "all agree"
    assert torch.equal(logits[1], torch.tensor([0.0, 0.0, 2.0])), "one disagrees, and every second mask confirms it"
    assert torch.equal(logits[2], torch.tensor([0.0, 3.0, 1.0])), "a second mask contradicts it: the majority's"


def test_batches_and_order_change_nothing() -> None:
    images = torch.rand(6, 1, 4, 4, generator=torch.Generator().manual_seed(1))
    whole, parts = (PatchCleanser(small(3), size=2, masks=3, batch_size=size) for size in (256, 2))
    assert torch.allclose(whole(images), parts(images))
    assert torch.allclose(whole(images.flip(0)), whole(images).flip(0))
    labels = whole(images).argmax(1)
    assert torch.equal(whole.certified(images, labels), parts.certified(images, labels))
    assert torch.equal(whole.certified(images.flip(0), labels.flip(0)), whole.certified(images, labels).flip(0))
    assert not whole.certified(images, (labels + 1) % 3).any(), "a wrong label is not certified"


def test_what_lies_under_a_mask_is_the_fill() -> None:
    seen = []

    def answer(image: Tensor) -> Tensor:
        seen.append(image)
        return torch.zeros(2)

    PatchCleanser(Answers(answer), size=2, masks=2, fill=0.25)(torch.ones(1, 3, 6, 6))
    assert all(set(image.unique().tolist()) == {0.25, 1.0} for image in seen)


def test_it_has_a_gradient_and_leaves_the_mode_as_it_was() -> None:
    """An attack can use it; a layer of dropout is asked in evaluation mode and comes back in its own."""
    network = nn.Sequential(nn.Dropout(0.9), small(0)).train()
    defence = PatchCleanser(network, size=2, masks=3)
    images = torch.rand(4, 1, 4, 4).requires_grad_()
    first = defence(images)
    assert torch.equal(first, defence(images))
    assert network.training
    (gradient,) = torch.autograd.grad(first.sum(), images)
    assert gradient.abs().sum() > 0
    images, labels = images.detach(), first.argmax(1)
    moved = pgd(defence, images, labels, epsilon=0.3, steps=10, generator=torch.Generator().manual_seed(0))
    loss = nn.functional.cross_entropy
    assert loss(defence(moved), labels) > loss(defence(images), labels), "a gradient that leads uphill"


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        ({"size": 0}, ValueError, ["size"]),
        ({"size": 2.0}, TypeError, ["size"]),
        ({"masks": 0}, ValueError, ["masks"]),
        ({"batch_size": True}, TypeError, ["batch_size"]),
        ({"fill": 1.5}, ValueError, ["fill"]),
        ({"fill": float("nan")}, ValueError, ["fill"]),
    ],
)
def test_numbers_are_checked(change: dict[str, object], kind: type[Exception], words: list[str]) -> None:
    with refuses(kind, *words):
        PatchCleanser(nn.Identity(), **{"size": 2, **change})


def test_images_and_labels_are_checked() -> None:
    defence = PatchCleanser(small(0), size=2)
    with refuses(ValueError, "take more masks"):
        PatchCleanser(small(0), size=3, masks=1)(torch.rand(1, 1, 4, 4))
    with refuses(ValueError, "take more masks"):
        PatchCleanser(small(0), size=5)(torch.rand(1, 1, 4, 4))
    with refuses(TypeError, "uint8"):
        defence((255 * torch.rand(1, 1, 4, 4)).byte())
    with refuses(ValueError, "labels"):
        defence.certified(torch.rand(2, 1, 4, 4), torch.tensor([0]))
    with refuses(ValueError, "label"):
        defence.certified(torch.rand(1, 1, 4, 4), torch.tensor([3]))
