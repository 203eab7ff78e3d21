"""Attacks whose "small" is no Lᵖ norm: each keeps to what its threat model allows, and succeeds within it."""

import copy
import functools
import itertools
from collections.abc import Callable

import numpy as np
import pytest
import scipy.ndimage
import torch
from bad_input import refuses
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from untied import untied

from tml_helpers import attacks
from tml_helpers.attacks import transforms
from tml_helpers.attacks.sparse_l0 import project_l0
from tml_helpers.attacks.transforms import (
    infrared_spots,
    random_blur,
    random_light,
    random_noise,
    random_pose,
    rotate_and_shift,
    transformed,
)
from tml_helpers.common import margin, norms
from tml_helpers.data import ImageSet, mnist
from tml_helpers.models import SmallCNN
from tml_helpers.training import predict

POSE = [random_pose(max_rotation=30, max_shift=3, scales=(0.8, 1.2))]
ATTACKS: dict[str, Callable[..., Tensor]] = {
    "wasserstein": lambda *a, generator=None, **k: attacks.wasserstein(*a, epsilon=0.3, steps=4, **k),
    "sparse_l0": lambda *a, **k: attacks.sparse_l0(*a, epsilon=10, steps=5, **k),
    "patch": lambda *a, **k: attacks.patch(*a, size=8, steps=20, **k),
    "spatial": lambda *a, **k: attacks.spatial(*a, max_rotation=30, max_translation=2, samples=5, **k),
    "universal": lambda *a, **k: attacks.universal(*a, epsilon=0.2, epochs=2, **k),
    "expectation_over_transformation": lambda *a, **k: attacks.expectation_over_transformation(
        *a, transformations=POSE, epsilon=0.2, samples=2, steps=4, **k
    ),
}
each_attack = pytest.mark.parametrize("attack", ATTACKS.values(), ids=list(ATTACKS))


@pytest.fixture(scope="module")
def train() -> ImageSet:
    return mnist("train", source="default")


@pytest.fixture(scope="module")
def model(small_cnn: SmallCNN) -> nn.Module:
    return small_cnn


@pytest.fixture(scope="module")
def test(model: nn.Module) -> ImageSet:
    """Forty test digits that the model reads correctly, of all ten classes."""
    digits = mnist("test", source="default")
    right = (predict(model, digits.images).argmax(dim=1) == digits.labels).nonzero().squeeze(1)
    return digits.select(right[:: len(right) // 40][:40])


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def share_right(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    return (predict(model, images).argmax(dim=1) == labels).float().mean().item()


# --- what all of them promise ---


@each_attack
def test_an_attack_keeps_shape_and_range_and_leaves_model_and_images_as_they_were(attack, model, test):
    network = copy.deepcopy(model).train()
    network.layers[1].eval()
    for weight in network.parameters():
        weight.grad = torch.ones_like(weight)
    modes, images = [m.training for m in network.modules()], test.images[:6].clone()
    found = attack(network, images, test.labels[:6], generator=generator())
    assert found.shape == images.shape
    assert found.dtype == images.dtype
    assert not found.requires_grad
    assert 0 <= found.min() <= found.max() <= 1
    assert torch.equal(images, test.images[:6])
    assert [m.training for m in network.modules()] == modes
    assert all(torch.equal(w.grad, torch.ones_like(w)) and w.requires_grad for w in network.parameters())


@each_attack
def test_strided_images_and_a_batch_of_one_are_attacked_alike(attack, model, test):
    network, images = copy.deepcopy(model).double(), untied(test.images[:3]).transpose(2, 3)  # not contiguous
    expected = attack(network, images.contiguous(), test.labels[:3], generator=generator())
    torch.testing.assert_close(attack(network, images, test.labels[:3], generator=generator()), expected)
    assert attack(model, test.images[:1], test.labels[:1], generator=generator()).shape == (1, 1, 28, 28)


REACH: dict[str, Callable[..., Tensor]] = {  # as the attacks above, with means to reach a target
    "wasserstein": lambda *a, generator, **k: attacks.wasserstein(*a, epsilon=0.6, steps=8, **k),
    "sparse_l0": functools.partial(attacks.sparse_l0, epsilon=40, steps=12),
    "patch": functools.partial(attacks.patch, size=14, location=(7, 7), steps=25, step_size=0.1),
    "spatial": functools.partial(attacks.spatial, max_rotation=180, max_translation=6, samples=100),
    "universal": functools.partial(attacks.universal, epsilon=0.3, epochs=12),
    "expectation_over_transformation": functools.partial(
        attacks.expectation_over_transformation, transformations=POSE, epsilon=0.3, samples=4, steps=10
    ),
}


@pytest.mark.parametrize("attack", REACH.values(), ids=list(REACH))
def test_targets_are_reached_more_often_than_without_targets(attack, model, test):
    """One target for all: two of the attacks have one picture for all."""
    others = test.labels != 9
    images, labels = test.images[others][::2], test.labels[others][::2]
    nines = torch.full_like(labels, 9)
    towards, away = (attack(model, images, labels, generator=generator(), **aim) for aim in ({"targets": nines}, {}))
    assert share_right(model, towards, nines) > share_right(model, away, nines) + 0.2


@each_attack
def test_bad_input_is_refused_in_one_sentence(attack, model, test):
    images, labels = test.images[:2], test.labels[:2]
    with refuses(TypeError, "float32", "uint8"):
        attack(model, (255 * images).byte(), labels)
    with refuses(ValueError, "[0, 1]", "division"):
        attack(model, 255 * images, labels)
    with refuses(ValueError, "[0, 1]"):
        attack(model, images * torch.nan, labels)
    with refuses(ValueError, "non-empty"):
        attack(model, images[:0], labels[:0])
    with refuses(TypeError, "int64"):
        attack(model, images, labels.float())
    with refuses(ValueError, "labels", "0…9", "12"):
        attack(model, images, labels + 12 - labels)
    with refuses(ValueError, "target must differ"):
        attack(model, images, labels, targets=labels)


def test_each_refuses_the_sizes_that_it_is_not_defined_on(model, test):
    a, two = attacks, (model, test.images[:2], test.labels[:2])
    with refuses(ValueError, "epsilon", "-0.1"):
        a.wasserstein(*two, epsilon=-0.1)
    with refuses(ValueError, "window", "odd", "4"):
        a.wasserstein(*two, epsilon=0.1, window=4)
    with refuses(ValueError, "regularization", "0"):
        a.project_wasserstein(two[1], two[1], epsilon=0.1, regularization=0)
    with refuses(ValueError, "points", "[2, 1, 28, 28]"):
        a.project_wasserstein(two[1][:1], two[1], epsilon=0.1)
    with refuses(TypeError, "whole number of pixels", "0.1"):
        a.sparse_l0(*two, epsilon=0.1)
    with refuses(ValueError, "784", "785"):
        a.sparse_l0(*two, epsilon=785)
    with refuses(ValueError, "must fit", "28×28"):
        a.patch(*two, size=29)
    with refuses(ValueError, "must fit", "turned"):
        a.patch(*two, size=21, max_rotation=45)
    with refuses(ValueError, "leaves the 28×28 images"):
        a.patch(*two, size=8, location=(21, 0))
    with refuses(ValueError, "[1, size, size]"):
        a.place_patch(test.images[:2], torch.zeros(3, 8, 8))
    with refuses(ValueError, "max_rotation", "181"):
        a.spatial(*two, max_rotation=181, max_translation=0)
    with refuses(ValueError, "samples"):
        a.spatial(*two, max_rotation=10, max_translation=0, samples=0)
    with refuses(ValueError, "linf", "16/255"):
        a.universal(*two, epsilon=16)
    with refuses(TypeError, "transformations"):
        a.expectation_over_transformation(*two, transformations=[], epsilon=0.1)
    with refuses(ValueError, "keep the shape"):
        a.expectation_over_transformation(*two, transformations=[lambda x, g: x[..., 1:]], epsilon=0.1)


# --- few pixels ---


def nearest_by_brute_force(delta: Tensor, image: Tensor, pixels: int) -> float:
    """The least distance to a perturbation that changes so many pixels and stays in the box: every choice is tried."""
    boxed = (image + delta).clamp(0, 1) - image
    height, width = delta.shape[1:]
    distances = []
    for chosen in itertools.combinations(range(height * width), pixels):
        mask = torch.zeros(height * width).index_fill(0, torch.tensor(chosen, dtype=torch.int64), 1).view(height, width)
        distances.append((delta - mask * boxed).norm().item())
    return min(distances)


@given(st.integers(0, 2**31), st.integers(0, 6))
def test_the_l0_projection_is_the_nearest_of_all(seed, pixels):
    draws = generator(seed)
    images = torch.rand(3, 2, 2, 3, generator=draws)
    delta = 2 * torch.randn(3, 2, 2, 3, generator=draws)
    found = project_l0(delta, images, pixels)
    assert (norms(found, "l0") <= pixels).all()
    assert 0 <= (images + found).min() <= (images + found).max() <= 1
    for one_delta, image, one_found in zip(delta, images, found, strict=True):
        assert (one_delta - one_found).norm().item() == pytest.approx(
            nearest_by_brute_force(one_delta, image, pixels), abs=1e-5
        )


def test_sparse_l0_changes_as_many_pixels_as_allowed_and_more_pixels_fool_more(model, test):
    margins = [margin(predict(model, test.images), test.labels).mean().item()]
    for pixels in (5, 20):
        found = attacks.sparse_l0(model, *test.tensors, epsilon=pixels, steps=30, generator=generator())
        assert (norms(found - test.images, "l0") <= pixels).all()
        margins.append(margin(predict(model, found), test.labels).mean().item())
    assert torch.equal(attacks.sparse_l0(model, *test.tensors, epsilon=0), test.images)
    assert margins[0] + 1 < margins[1] < margins[2] - 1
    assert share_right(model, found, test.labels) < 0.3


def test_sparse_l0_beats_pixels_at_random(model, test):
    draws = generator()
    noise = torch.randint(2, test.images.shape, generator=draws) - test.images
    kept = torch.rand(len(test), 784, generator=draws).topk(20, dim=1).indices
    mask = torch.zeros(len(test), 784).scatter(1, kept, 1.0).view(test.images.shape)
    assert share_right(model, test.images + noise * mask, test.labels) > 0.7


# --- turned and shifted ---


@pytest.mark.parametrize("degrees", [-30.0, 0.0, 17.0, 90.0])
def test_a_rotation_is_scipys(degrees):
    images = torch.rand(2, 3, 9, 9, generator=generator(), dtype=torch.float64)
    ours = rotate_and_shift(images, torch.full((2,), degrees).double(), torch.zeros(2, 2).double())
    theirs = scipy.ndimage.rotate(images.numpy(), degrees, axes=(3, 2), reshape=False, order=1, mode="grid-constant")
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


@pytest.mark.parametrize(("height", "width"), [(9, 9), (7, 12)])
def test_any_pose_is_scipys_affine_transform(height, width):
    images = torch.rand(2, 1, height, width, generator=generator(), dtype=torch.float64)
    degrees, scales = torch.tensor([20.0, -50.0]).double(), torch.tensor([1.3, 0.7]).double()
    shifts = torch.tensor([[1.5, -2.0], [0.0, 3.0]]).double()
    ours = rotate_and_shift(images, degrees, shifts, scales)
    centre = np.array([height - 1, width - 1]) / 2
    for index in range(2):
        turn = np.deg2rad(degrees[index].item())
        cos, sin = np.cos(turn), np.sin(turn)
        back = np.array([[cos, sin], [-sin, cos]]) / scales[index].item()  # rows first
        offset = centre - back @ (centre + shifts[index].numpy())
        theirs = scipy.ndimage.affine_transform(images[index, 0].numpy(), back, offset, order=1, mode="grid-constant")
        np.testing.assert_allclose(ours[index, 0], theirs, atol=1e-6)


def worst_by_brute_force(model: nn.Module, image: Tensor, label: Tensor) -> float:
    """The largest margin over the grid of the test below, with scipy's transformations."""
    tried = []
    for degrees, down, right in itertools.product((-30, -15, 0, 15, 30), (-2, 0, 2), (-2, 0, 2)):
        cos, sin = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
        back = np.array([[cos, sin], [-sin, cos]])
        offset = 13.5 - back @ (13.5 + np.array([down, right]))
        tried.append(scipy.ndimage.affine_transform(image[0].numpy(), back, offset, order=1, mode="grid-constant"))
    logits = predict(model, torch.from_numpy(np.stack(tried))[:, None].clamp(0, 1))
    return margin(logits, label.expand(len(tried))).max().item()


def test_the_grid_search_finds_the_worst_that_brute_force_finds(model, test):
    images, labels = test.images[::5], test.labels[::5]
    found = attacks.spatial(model, images, labels, max_rotation=30, max_translation=2, rotations=5, translations=3)
    for image, label, ours in zip(images, labels, margin(predict(model, found), labels), strict=True):
        assert ours.item() == pytest.approx(worst_by_brute_force(model, image, label), abs=1e-3)


def test_no_rotation_and_no_translation_leave_the_images(model, test):
    found = attacks.spatial(model, *test.tensors, max_rotation=0, max_translation=0, rotations=3, translations=3)
    torch.testing.assert_close(found, test.images, atol=1e-5, rtol=0)


def test_more_random_poses_are_never_weaker(model, test):
    margins = [margin(predict(model, test.images), test.labels)]
    for samples in (3, 6, 12):  # the first poses are the same, since the generator is
        found = attacks.spatial(
            model, *test.tensors, max_rotation=30, max_translation=3, samples=samples, generator=generator()
        )
        margins.append(margin(predict(model, found), test.labels))
    assert all((later >= earlier - 1e-5).all() for earlier, later in itertools.pairwise(margins))
    assert (margins[-1] > 0).float().mean() > 0.5


# --- patches ---


def test_a_patch_lies_where_it_is_put_and_touches_nothing_else():
    images, picture = torch.rand(3, 3, 12, 20, generator=generator()), torch.rand(3, 5, 5, generator=generator(1))
    found = attacks.place_patch(images, picture, location=(4, 11))
    torch.testing.assert_close(found[:, :, 4:9, 11:16], picture.expand(3, -1, -1, -1))
    found[:, :, 4:9, 11:16] = images[:, :, 4:9, 11:16]
    assert torch.equal(found, images)


@given(st.integers(0, 2**31))
def test_a_patch_at_random_is_whole_and_inside(seed):
    images = torch.zeros(4, 1, 12, 20)
    found = attacks.place_patch(images, torch.ones(1, 6, 6), generator=generator(seed))
    assert (found.sum(dim=(1, 2, 3)) == 36).all()
    rows, columns = found.amax(dim=3).sum(dim=(1, 2)), found.amax(dim=2).sum(dim=(1, 2))
    assert (rows == 6).all()
    assert (columns == 6).all()


def test_a_patch_reaches_every_place():
    images = torch.zeros(2000, 1, 8, 9)
    found = attacks.place_patch(images, torch.ones(1, 7, 7), generator=generator())
    corners = {tuple((image[0] > 0).nonzero()[0].tolist()) for image in found}
    assert corners == set(itertools.product(range(2), range(3)))


def test_a_patch_that_is_turned_and_scaled_is_never_cut_off():
    images = torch.zeros(200, 1, 64, 64)
    found = attacks.place_patch(
        images, torch.ones(1, 20, 20), max_rotation=180, scales=(0.5, 2.0), generator=generator()
    )
    areas = found.sum(dim=(1, 2, 3))
    assert areas.min() > 0.9 * 10**2
    assert areas.max() < 1.1 * 40**2
    assert areas.std() > 100
    turned = attacks.place_patch(images, torch.ones(1, 20, 20), max_rotation=180, generator=generator())
    assert ((turned.sum(dim=(1, 2, 3)) - 20**2).abs() <= 0.02 * 20**2).all()


def test_a_patch_made_on_some_images_fools_on_others_as_noise_does_not(model, train):
    some, others = train.select(slice(0, None, 10)), mnist("test", source="default")
    made = attacks.adversarial_patch(model, *some.tensors, size=12, steps=80, generator=generator())
    assert made.shape == (1, 12, 12)
    noise = torch.rand(1, 12, 12, generator=generator(2))
    with_patch, with_noise = (  # in the same thousand places
        share_right(model, attacks.place_patch(others.images, picture, generator=generator(1)), others.labels)
        for picture in (made, noise)
    )
    assert with_patch < with_noise - 0.1


def test_patch_is_the_made_patch_in_place(model, test):
    how = {"size": 9, "location": (0, 3), "steps": 15}
    made = attacks.adversarial_patch(model, *test.tensors, generator=generator(), **how)
    found = attacks.patch(model, *test.tensors, generator=generator(), **how)
    torch.testing.assert_close(found[:, :, :9, 3:12], made.expand(len(test), -1, -1, -1))
    assert torch.equal(found[:, :, 9:], test.images[:, :, 9:])


# --- one perturbation for all ---


@pytest.mark.parametrize(("norm", "epsilon"), [("linf", 0.2), ("l2", 5.0)])
def test_a_universal_perturbation_fools_on_images_that_it_has_not_seen(mlp, train, norm, epsilon):
    some, others = train.select(slice(0, None, 4)), mnist("test", source="default")
    delta = attacks.universal_perturbation(
        mlp, *some.tensors, epsilon=epsilon, norm=norm, epochs=8, generator=generator()
    )
    assert delta.shape == (1, 28, 28)
    assert norms(delta[None], norm) <= epsilon * (1 + 1e-6)
    noise = torch.randn(1, 28, 28, generator=generator()).sign()
    noise = noise * epsilon / norms(noise[None], norm)
    clean = predict(mlp, others.images).argmax(dim=1)
    fooled_by = [
        (predict(mlp, (others.images + added).clamp(0, 1)).argmax(dim=1) != clean).float().mean().item()
        for added in (delta, noise)
    ]
    assert fooled_by[0] > 0.3
    assert fooled_by[0] > 3 * fooled_by[1]


def test_universal_adds_the_one_perturbation_to_every_image(model, test):
    how = {"epsilon": 0.2, "epochs": 2}
    delta = attacks.universal_perturbation(model, *test.tensors, generator=generator(), **how)
    found = attacks.universal(model, *test.tensors, generator=generator(), **how)
    assert torch.equal(found, (test.images + delta).clamp(0, 1))


@pytest.mark.parametrize(("how", "silent_from"), [({"loss_cap": 5.0}, 5.0), ({}, 9.0)])
def test_the_cap_silences_an_image_that_is_already_lost(how, silent_from):
    class Linear(nn.Module):
        def __init__(self, steepness: float) -> None:
            super().__init__()
            self.steepness = steepness

        def forward(self, images: Tensor) -> Tensor:
            total = self.steepness * images.flatten(1).sum(dim=1)
            return torch.stack([total, -total], dim=1)

    images, labels = torch.full((4, 1, 2, 2), 0.5), torch.tensor([0, 1, 1, 1])  # three are lost: 4 · steepness
    for share, decides in ((0.9, 1), (1.1, -1)):  # the three, or only the one that can still be lost
        network = Linear(share * silent_from / 4)
        delta = attacks.universal_perturbation(network, images, labels, epsilon=0.01, epochs=3, **how)
        assert torch.equal(delta.sign(), torch.full_like(delta, decides))


# --- expectation over transformations ---


def test_with_no_transformation_it_is_pgd(model, test):
    network, images, labels = copy.deepcopy(model).double(), untied(test.images[::2]), test.labels[::2]
    for norm, epsilon in (("linf", 0.1), ("l2", 1.5)):
        how = {"epsilon": epsilon, "norm": norm, "steps": 5}
        plain = attacks.pgd(network, images, labels, random_start=False, **how)
        found = attacks.expectation_over_transformation(
            network, images, labels, transformations=[lambda images, _: images], samples=3, **how
        )
        torch.testing.assert_close(found, plain, atol=1e-9, rtol=0)
        assert (norms(found - images, norm) <= epsilon * (1 + 1e-9)).all()


@pytest.mark.parametrize(
    "changes",
    [[random_noise(deviation=0.3)], [random_blur(max_sigma=2.0), random_pose(max_rotation=15, max_shift=2)]],
)
def test_it_survives_changes_of_the_image_that_undo_pgd(model, test, changes):
    plain = attacks.pgd(model, *test.tensors, epsilon=0.15, steps=15, generator=generator())
    made = attacks.expectation_over_transformation(
        model, *test.tensors, transformations=changes, epsilon=0.15, steps=15, generator=generator()
    )
    assert norms(made - test.images, "linf").max() <= 0.15 + 1e-6
    draws = generator(1)  # not those that it was made with
    reached = [
        margin(predict(model, transformed(x.repeat(20, 1, 1, 1), changes, draws)), test.labels.repeat(20)).mean()
        for x in (made, plain)
    ]
    assert reached[0] > reached[1] + 0.3


def test_transformations_are_applied_in_their_order():
    doubled, lifted = (lambda x, _: 2 * x), (lambda x, _: x + 1)
    assert transformed(torch.ones(1, 1, 1, 1), [doubled, lifted]).item() == 3


RANDOM = {
    "rotation": random_pose(max_rotation=20),
    "shift": random_pose(max_shift=3),
    "scale": random_pose(scales=(0.5, 2)),
    "brightness": random_light(brightness=0.1),
    "contrast": random_light(contrast=0.3),
    "blur": random_blur(max_sigma=2.0),
    "noise": random_noise(deviation=0.1),
}
each_transform = pytest.mark.parametrize("transform", RANDOM.values(), ids=list(RANDOM))


@each_transform
def test_a_random_transformation_draws_for_each_image_from_the_generator(transform):
    images = torch.rand(1, 3, 16, 16, generator=generator()).expand(5, -1, -1, -1) * 0.5 + 0.25
    one, same, other = (transform(images, generator(seed)) for seed in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert all(not torch.equal(first, second) for first, second in itertools.combinations(one, 2))


@each_transform
def test_each_image_is_transformed_as_if_it_were_alone(transform, monkeypatch):
    """Five different images of three channels, and for each of them alone the draw that it had among the five."""
    images, drawn = torch.rand(5, 3, 12, 16, generator=generator()), []

    def noting(function):
        def run(*a, **k):
            drawn.append(function(*a, **k))
            return drawn[-1]

        return run

    for name in ("draw", "uniform"):
        monkeypatch.setattr(transforms, name, noting(getattr(transforms, name)))
    together = transform(images, generator())
    for i in range(5):
        again = iter([draws[i : i + 1] for draws in drawn])
        for name in ("draw", "uniform"):
            monkeypatch.setattr(transforms, name, lambda *_, again=again, **__: next(again))
        torch.testing.assert_close(transform(images[i : i + 1], None)[0], together[i])


def test_a_pose_shifts_and_scales_as_far_as_it_may():
    square = torch.zeros(400, 1, 41, 41)
    square[:, :, 15:26, 15:26] = 1
    shifts = centre(random_pose(max_shift=3)(square, generator())) - 20
    assert shifts.abs().max() <= 3 + 1e-4
    assert (shifts.amin(dim=0) < -2.9).all()
    assert (shifts.amax(dim=0) > 2.9).all()
    scaled = random_pose(scales=(0.5, 1.5))(square, generator())
    assert (centre(scaled) - 20).abs().max() < 1e-3
    for axis in (2, 3):
        sides = scaled.sum(dim=axis).amax(dim=(1, 2)) / 11
        assert sides.min().item() == pytest.approx(0.5, abs=0.06)  # five or six of eleven pixels
        assert sides.max().item() == pytest.approx(1.5, abs=0.02)


def centre(images: Tensor) -> Tensor:
    """The mean row and column of what is bright, `[N, 2]`."""
    places = torch.stack(torch.meshgrid(*(torch.arange(side) for side in images.shape[2:]), indexing="ij")).float()
    return torch.einsum("nchw,rhw->nr", images, places) / images.sum(dim=(1, 2, 3))[:, None]


def test_random_poses_turn_and_shift_in_every_direction_as_far_as_they_may():
    """Noted by a model that sees one point of light, away from the centre, at all the poses that are tried."""

    class Notes(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            seen.append(centre(images))
            return torch.eye(2)[[0] * len(images)]

    image = torch.zeros(1, 1, 41, 41)
    image[0, 0, 20, 20] = 1
    for how, least, most in (
        ({"max_rotation": 0, "max_translation": 3}, (-3, -3), (3, 3)),
        ({"max_rotation": 0, "max_translation": 0}, (0, 0), (0, 0)),
    ):
        seen: list[Tensor] = []
        attacks.spatial(Notes(), image, torch.tensor([0]), samples=300, generator=generator(), **how)
        shifts = torch.cat(seen[1:]) - 20
        for axis in range(2):
            assert shifts[:, axis].min().item() == pytest.approx(least[axis], abs=0.1)
            assert shifts[:, axis].max().item() == pytest.approx(most[axis], abs=0.1)
    seen = []
    image = image.roll(10, dims=3)  # ten pixels to the right of the centre
    attacks.spatial(
        Notes(), image, torch.tensor([0]), max_rotation=30, max_translation=0, samples=300, generator=generator()
    )
    down, right = (torch.cat(seen[1:]) - 20).unbind(1)
    angles = torch.atan2(-down, right).rad2deg()
    assert angles.min().item() == pytest.approx(-30, abs=1.5)
    assert angles.max().item() == pytest.approx(30, abs=1.5)


def test_blur_averages_and_light_is_affine():
    images = torch.full((4, 2, 9, 11), 0.4)
    torch.testing.assert_close(random_blur(max_sigma=3.0)(images, generator()), images)
    spike = torch.zeros(200, 1, 21, 21)
    spike[:, :, 10, 10] = 1
    blurred = random_blur(max_sigma=2.0)(spike, generator())
    torch.testing.assert_close(blurred.sum(dim=(1, 2, 3)), torch.ones(200))
    torch.testing.assert_close(blurred, blurred.transpose(2, 3))
    assert blurred.amax() > 0.99  # the sharpest, with a width of about 0.1,
    assert 0.0417 < blurred[:, :, 10, 10].min() < 0.046  # and the widest, of about 2 pixels, cut off at 4
    ramp = torch.linspace(0.4, 0.6, 100).view(1, 1, 10, 10).repeat(30, 1, 1, 1)
    lit = random_light(brightness=0.1, contrast=0.2)(ramp, generator()).flatten(1)
    gain = (lit[:, -1] - lit[:, 0]) / 0.2
    assert 0.8 <= gain.min() < 0.9 < 1.1 < gain.max() <= 1.2
    assert (lit.diff(dim=1) > 0).all()


def test_infrared_spots_are_gaussians_of_light_that_can_be_differentiated():
    images = torch.full((1, 3, 20, 40), 0.2, dtype=torch.float64)
    spots = torch.tensor([[[0.525, 0.2625, 0.5, 0.1], [0.9, 0.9, 0.0, 0.1]]], dtype=torch.float64)
    lit = infrared_spots(images, spots)
    assert lit[0, :, 10, 10].tolist() == pytest.approx([0.7] * 3)  # the centre of pixel (10, 10)
    assert lit[0, 0, 10, 12].item() == pytest.approx(0.2 + 0.5 * np.exp(-0.5))  # 2 of 20 pixels: one size away
    assert lit[0, 0, 12, 10].item() == pytest.approx(0.2 + 0.5 * np.exp(-0.5))
    assert torch.autograd.gradcheck(lambda s: infrared_spots(images[..., :6, :9], s), spots.requires_grad_())
    with refuses(ValueError, "[1, S, 4]"):
        infrared_spots(images, spots[0])
