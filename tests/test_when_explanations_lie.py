"""Fooled explanations, randomised weights, deletion and insertion: closed forms, and what each must notice."""

import copy
import itertools

import numpy as np
import pytest
import torch
from bad_input import refuses
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from scipy.stats import spearmanr
from skimage.metrics import structural_similarity
from torch import Tensor, nn
from untied import untied

from tml_helpers.data import mnist, photos
from tml_helpers.explain.deletion_insertion import blurred, deletion_insertion
from tml_helpers.explain.fool_explanation import _hessian_times, fool_explanation
from tml_helpers.explain.randomization_test import randomization_test
from tml_helpers.explain.saliency import saliency
from tml_helpers.models import SmallCNN, imagenet_classifier
from tml_helpers.training import predict


def draw(seed: int, *shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture(scope="module")
def digits(small_cnn: nn.Module) -> tuple[Tensor, Tensor]:
    """Eight test digits that the model reads correctly."""
    test = mnist("test", source="default")
    right = predict(small_cnn, test.images).argmax(dim=1) == test.labels
    return test.images[right][::100][:8], test.labels[right][::100][:8]


class Weighed(nn.Module):
    """Two logits, 0 and Σ w · x over the pixels: p(1) is the logistic function of what is visible."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)

    def forward(self, images: Tensor) -> Tensor:
        z = (images * self.weight).sum(dim=(1, 2, 3))
        return torch.stack([torch.zeros_like(z), z], dim=1)


# --- deletion and insertion ---


@settings(max_examples=25)
@given(seed=st.integers(0, 10**6), h=st.integers(1, 5), w=st.integers(1, 5), data=st.data())
def test_the_curves_of_an_additive_model(seed, h, w, data):
    """After k groups the logit is the whole less the first contributions: a cumulated sum, in the map's order."""
    steps = data.draw(st.integers(1, h * w))
    weight, images, maps = draw(seed, h, w) - 0.5, draw(seed + 1, 2, 1, h, w), draw(seed + 2, 2, h, w)
    ones = torch.ones(2, dtype=torch.int64)
    found = deletion_insertion(
        Weighed(weight), images, ones, maps=maps, steps=steps, insertion_baseline=0.0, batch_size=3
    )
    parts = (images[:, 0] * weight).flatten(1).gather(1, maps.flatten(1).argsort(dim=1, descending=True))
    gone = torch.cat([torch.zeros(2, 1), parts.cumsum(dim=1)], dim=1)
    counts = [-(-step * h * w // steps) for step in range(steps + 1)]
    torch.testing.assert_close(found.insertion, gone[:, counts].sigmoid())
    torch.testing.assert_close(found.deletion, (gone[:, -1:] - gone[:, counts]).sigmoid())
    torch.testing.assert_close(found.shares, torch.tensor(counts, dtype=torch.float64) / (h * w))
    assert found.deletion.shape == (2, steps + 1)


def test_the_areas_are_trapezoids():
    weight = torch.tensor([[4.0, 2.0], [0.0, -1.0]], dtype=torch.float64)
    images, maps = torch.ones(1, 1, 2, 2, dtype=torch.float64), weight[None]
    found = deletion_insertion(Weighed(weight), images, torch.tensor([1]), maps=maps, steps=4, insertion_baseline=0.0)
    curve = torch.tensor([5.0, 1.0, -1.0, -1.0, 0.0], dtype=torch.float64).sigmoid()
    torch.testing.assert_close(found.deletion_area, ((curve[1:] + curve[:-1]) / 8).sum()[None])
    curve = torch.tensor([0.0, 4.0, 6.0, 6.0, 5.0], dtype=torch.float64).sigmoid()
    torch.testing.assert_close(found.insertion_area, ((curve[1:] + curve[:-1]) / 8).sum()[None])


def test_the_best_order_of_an_additive_model_is_its_weights_order():
    weight, images = draw(0, 6, 6) - 0.3, torch.ones(40, 1, 6, 6, dtype=torch.float64)
    maps = torch.cat([weight[None], draw(1, 39, 6, 6)])
    found = deletion_insertion(
        Weighed(weight), images, torch.ones(40, dtype=torch.int64), maps=maps, steps=36, insertion_baseline=0.0
    )
    assert found.deletion_area.argmin() == 0
    assert found.insertion_area.argmax() == 0


def test_curves_start_and_end_where_they_should(small_cnn, digits):
    images, labels = digits
    start = torch.full_like(images, 0.2)
    found = deletion_insertion(
        small_cnn, images, labels, maps=images[:, 0], steps=7, deletion_baseline=0.5, insertion_baseline=start
    )
    p = predict(small_cnn, images).softmax(dim=1).gather(1, labels[:, None]).squeeze(1)
    blank = predict(small_cnn, torch.full_like(images, 0.5)).softmax(dim=1).gather(1, labels[:, None]).squeeze(1)
    floor = predict(small_cnn, start).softmax(dim=1).gather(1, labels[:, None]).squeeze(1)
    torch.testing.assert_close(found.deletion[:, 0], p)
    torch.testing.assert_close(found.deletion[:, -1], blank)
    torch.testing.assert_close(found.insertion[:, 0], floor)
    torch.testing.assert_close(found.insertion[:, -1], p)


def test_ties_go_in_reading_order_and_blur_is_the_default():
    weight, images = torch.tensor([[3.0, 1.0, 0.5]], dtype=torch.float64), torch.ones(1, 1, 1, 3, dtype=torch.float64)
    found = deletion_insertion(Weighed(weight), images, torch.tensor([1]), maps=torch.zeros(1, 1, 3), steps=3)
    expected = torch.tensor([[4.5, 1.5, 0.5, 0.0]], dtype=torch.float64).sigmoid()
    torch.testing.assert_close(found.deletion, expected)
    torch.testing.assert_close(found.insertion, expected[:, :1].expand(1, 4))  # a blurred flat image is the image


@settings(max_examples=10)
@given(seed=st.integers(0, 10**6), h=st.integers(1, 20), w=st.integers(1, 20))
def test_a_blur_stays_in_range_and_keeps_what_is_flat(seed, h, w):
    images = draw(seed, 2, 3, h, w)
    soft = blurred(images)
    assert float(images.min()) - 1e-9 <= float(soft.min()) <= float(soft.max()) <= float(images.max()) + 1e-9
    flat = images[:, :, :1, :1].expand_as(images)
    torch.testing.assert_close(blurred(flat), flat)
    torch.testing.assert_close(blurred(images.flip(3)), soft.flip(3))


def test_the_blur_is_a_gaussian_of_five_pixels_cut_off_at_five():
    images = draw(3, 2, 3, 17, 9)
    theirs = gaussian_filter(images.numpy(), sigma=5, truncate=1, mode="nearest", axes=(2, 3))
    torch.testing.assert_close(blurred(images), torch.from_numpy(theirs))


def test_maps_that_give_no_order_are_refused(small_cnn, digits):
    images, labels = digits
    with refuses(ValueError, "maps", "channels"):
        deletion_insertion(small_cnn, images, labels, maps=images)
    with refuses(ValueError, "maps", "finite"):
        deletion_insertion(small_cnn, images, labels, maps=images[:, 0] * torch.nan)
    with refuses(ValueError, "steps", "784"):
        deletion_insertion(small_cnn, images, labels, maps=images[:, 0], steps=785)
    with refuses(ValueError, "targets", "0…9"):
        deletion_insertion(small_cnn, images, labels + 10, maps=images[:, 0])


# --- fooled explanations ---


def share_inside(model: nn.Module, images: Tensor, targets: Tensor, place: Tensor) -> Tensor:
    """How much of the saliency map lies in the place, `[N]`."""
    maps = saliency(model, images, targets).sum(dim=1)
    return (maps * place).sum(dim=(1, 2)) / maps.sum(dim=(1, 2))


def test_the_explanation_of_a_photograph_moves_and_the_answer_stays():
    model, images = imagenet_classifier(), photos(size=128).images[2:3]
    targets = predict(model, images).argmax(dim=1)
    place = torch.zeros(1, 128, 128)
    place[:, 20:60, 70:110] = 1  # a tenth of the picture
    fooled = fool_explanation(model, images, targets, wanted=place, epsilon=8 / 255, steps=25, step_size=2 / 255)
    assert float((fooled - images).abs().max()) <= 8 / 255 + 1e-6
    assert 0 <= float(fooled.min()) <= float(fooled.max()) <= 1
    before, after = (float(share_inside(model, x, targets, place)) for x in (images, fooled))
    assert before < 0.12
    assert after > 0.4
    p, q = (predict(model, x).softmax(dim=1)[0, targets] for x in (images, fooled))
    assert abs(float(p - q)) < 0.1


def test_a_small_network_bends_less_and_keeping_the_answer_keeps_it(small_cnn, digits):
    images, labels = digits
    below = torch.zeros(8, 28, 28)
    below[:, 14:] = 1
    fooled, opposite = (
        fool_explanation(small_cnn, images, labels, wanted=place, epsilon=0.2, steps=40) for place in (below, 1 - below)
    )
    bent = share_inside(small_cnn, fooled, labels, below) - share_inside(small_cnn, opposite, labels, below)
    assert (bent > 0.1).all()
    loose = fool_explanation(small_cnn, images, labels, wanted=below, epsilon=0.2, steps=40, keep=0.0)
    drift = [(predict(small_cnn, x) - predict(small_cnn, images)).square().mean() for x in (fooled, loose)]
    assert drift[0] < 0.5 * drift[1]


def test_no_room_no_change(small_cnn, digits):
    images, labels = digits
    all_room = fool_explanation(small_cnn, images, labels, wanted=torch.ones(8, 28, 28), epsilon=1.0, steps=1)
    assert float((all_room - images).abs().max()) == pytest.approx(0.1)
    assert torch.equal(
        fool_explanation(small_cnn, images, labels, wanted=torch.ones(8, 28, 28), epsilon=0.0, steps=3), images
    )


def test_the_slope_of_the_gradient_is_the_hessian():
    """On a smooth network the difference of two gradients is what differentiating twice gives."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(2, 4, 3), nn.Softplus(), nn.Flatten(), nn.Linear(64, 3), nn.Tanh()).double()
    images, targets, v = draw(0, 3, 2, 6, 6), torch.tensor([0, 2, 1]), draw(1, 3, 2, 6, 6) - 0.5
    leaf = images.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(net(leaf).gather(1, targets[:, None]).sum(), leaf, create_graph=True)
    (exact,) = torch.autograd.grad((gradient * v).sum(), leaf)
    found = _hessian_times(v, net, images, targets, reach=1e-3)
    torch.testing.assert_close(found, exact, rtol=1e-3, atol=1e-6)


def smooth_net(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(2, 4, 3), nn.Softplus(), nn.Flatten(), nn.Linear(64, 3), nn.Tanh()).double()


def slope_by_autograd(net: nn.Module, images: Tensor, targets: Tensor, wanted: Tensor) -> Tensor:
    """∇ₓ of ‖h(x) − ĥ‖², differentiated twice."""
    leaf = images.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(net(leaf).gather(1, targets[:, None]).sum(), leaf, create_graph=True)
    maps = gradient.abs().sum(dim=1)
    away = maps / maps.sum(dim=(1, 2), keepdim=True) - wanted / wanted.sum(dim=(1, 2), keepdim=True)
    return torch.autograd.grad(away.square().sum(), leaf)[0]


def test_each_step_goes_against_the_slope_by_a_tenth_of_the_radius_and_ever_less():
    net, images, targets, wanted = (
        smooth_net(),
        0.3 + 0.4 * draw(0, 3, 2, 6, 6),
        torch.tensor([0, 2, 1]),
        draw(1, 3, 6, 6),
    )
    one, four = (fool_explanation(net, images, targets, wanted=wanted, epsilon=0.01, steps=n) - images for n in (1, 4))
    torch.testing.assert_close(one.abs(), torch.full_like(images, 0.001))
    against = one.sign() == -slope_by_autograd(net, images, targets, wanted).sign()
    assert against.double().mean() > 0.98  # the slope is a difference over a distance
    torch.testing.assert_close(four.abs().max(), torch.tensor(0.001 * (1 + 3 / 4 + 1 / 2 + 1 / 4)).double())
    parts = (four / 0.001).flatten()
    sums = torch.tensor([a + 0.75 * b + 0.5 * c + 0.25 * d for a, b, c, d in itertools.product((-1, 1), repeat=4)])
    assert float((parts[:, None] - sums).abs().amin(dim=1).max()) < 1e-6
    chosen = fool_explanation(net, images, targets, wanted=wanted, epsilon=0.01, steps=1, step_size=0.004) - images
    torch.testing.assert_close(chosen, 4 * one)


def test_the_slope_is_measured_at_half_the_radius_on_both_sides():
    net, asked = smooth_net(), []
    net.register_forward_pre_hook(lambda _, inputs: asked.append(inputs[0].detach().clone()))
    images, targets = 0.3 + 0.4 * draw(0, 3, 2, 6, 6), torch.tensor([0, 2, 1])
    fool_explanation(net, images, targets, wanted=draw(1, 3, 6, 6), epsilon=0.1, steps=1)
    start, here, above, below = asked
    assert torch.equal(start, images)
    assert torch.equal(here, images)
    torch.testing.assert_close((above - images).abs().amax(dim=(1, 2, 3)), torch.full((3,), 0.05).double())
    torch.testing.assert_close(images - below, above - images)


@pytest.mark.parametrize("seed", [0, 1])
def test_the_slope_is_averaged_with_nine_tenths_of_the_last(seed):
    net, images, targets = smooth_net(seed), 0.3 + 0.4 * draw(seed, 3, 2, 6, 6), torch.tensor([0, 2, 1])
    wanted, size = draw(seed + 1, 3, 6, 6), 0.05
    how = {"epsilon": 0.25, "steps": 2, "step_size": size, "keep": 0.0}
    found = fool_explanation(net, images, targets, wanted=wanted, **how) - images
    first = slope_by_autograd(net, images, targets, wanted)
    second = slope_by_autograd(net, images - size * first.sign(), targets, wanted)
    first, second = (slope / slope.abs().mean(dim=(1, 2, 3), keepdim=True) for slope in (first, second))
    expected = -size * first.sign() - size / 2 * (0.9 * first + second).sign()
    assert ((found - expected).abs() < 1e-9).double().mean() > 0.993  # one pixel in 216 may be undecided


def test_fooling_leaves_the_model_alone(small_cnn, digits):
    images, labels = digits
    before = {name: tensor.clone() for name, tensor in small_cnn.state_dict().items()}
    small_cnn.train()
    fool_explanation(small_cnn, images[:1], labels[:1], wanted=torch.ones(1, 28, 28), steps=2)
    assert small_cnn.training
    small_cnn.eval()
    assert all(torch.equal(before[name], tensor) for name, tensor in small_cnn.state_dict().items())
    assert all(not m._forward_hooks for m in small_cnn.modules())


def test_each_image_is_fooled_by_itself(small_cnn, digits):
    images, labels = digits
    wanted = torch.rand(8, 28, 28, generator=torch.Generator().manual_seed(0))
    model, images = copy.deepcopy(small_cnn).double(), untied(images)
    both = fool_explanation(model, images[:2], labels[:2], wanted=wanted[:2], steps=5)
    alone = fool_explanation(model, images[1:2], labels[1:2], wanted=wanted[1:2], steps=5)
    torch.testing.assert_close(both[1:], alone)


def test_maps_that_cannot_be_wanted_are_refused(small_cnn, digits):
    images, labels = digits
    good = torch.ones(8, 28, 28)
    with refuses(ValueError, "wanted", "[8, 28, 28]"):
        fool_explanation(small_cnn, images, labels, wanted=images)
    for bad in (0 * good, -good, good * torch.nan):
        with refuses(ValueError, "wanted", "0 or more"):
            fool_explanation(small_cnn, images, labels, wanted=bad)
    with refuses(ValueError, "epsilon", "8/255"):
        fool_explanation(small_cnn, images, labels, wanted=good, epsilon=8)
    with refuses(ValueError, "keep"):
        fool_explanation(small_cnn, images, labels, wanted=good, keep=-1)
    for size in (0.0, -0.1, torch.nan):
        with refuses(ValueError, "step_size"):
            fool_explanation(small_cnn, images, labels, wanted=good, step_size=size)


# --- randomised weights ---


def edges(model: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
    """A map that never asks the model."""
    return (images - blurred(images)).abs()


def test_gradients_notice_and_edges_do_not(small_cnn, digits):
    images, labels = digits
    generator = torch.Generator().manual_seed(0)
    aware = randomization_test(small_cnn, images, labels, explain=saliency, generator=generator)
    blind = randomization_test(small_cnn, images, labels, explain=edges, generator=generator)
    assert aware.layers == ("layers.10", "layers.8", "layers.4", "layers.1")  # the last first
    assert aware.rank_correlation.shape == aware.structural_similarity.shape == (4, 8)
    assert float(aware.rank_correlation[-1].mean()) < 0.6
    torch.testing.assert_close(blind.rank_correlation, torch.ones(4, 8).double())
    torch.testing.assert_close(blind.structural_similarity, torch.ones(4, 8).double())


def test_the_model_is_left_alone_and_the_seed_decides(small_cnn, digits):
    images, labels = digits
    before = {name: tensor.clone() for name, tensor in small_cnn.state_dict().items()}
    one, same, other = (
        randomization_test(small_cnn, images, labels, explain=saliency, generator=torch.Generator().manual_seed(seed))
        for seed in (1, 1, 2)
    )
    assert torch.equal(one.rank_correlation, same.rank_correlation)
    assert not torch.equal(one.rank_correlation, other.rank_correlation)
    assert all(torch.equal(before[name], tensor) for name, tensor in small_cnn.state_dict().items())


def test_layers_fall_in_the_order_given_and_stay_down(small_cnn, digits):
    images, labels = digits
    seen: list[list[bool]] = []

    def watch(model: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
        pairs = zip(model.parameters(), small_cnn.parameters(), strict=True)
        seen.append([torch.equal(a, b) for a, b in pairs][::2])  # the weights of the four layers
        for a, b in zip(model.parameters(), small_cnn.parameters(), strict=True):
            assert torch.equal(a.flatten().sort().values, b.flatten().sort().values)  # shuffled, no more
        return images

    layers = [small_cnn.layers[8], "layers.1"]
    found = randomization_test(small_cnn, images, labels, explain=watch, layers=layers)
    assert found.layers == ("layers.8", "layers.1")
    assert seen == [[True] * 4, [True, True, False, True], [False, True, False, True]]


@pytest.mark.parametrize(("size", "window"), [((9, 8), 7), ((7, 9), 7), ((6, 9), 5), ((5, 5), 5), ((8, 4), 3)])
def test_resemblance_is_that_of_scipy_and_scikit_image(size, window):
    """Of the sizes of the maps, the largest over the channels, scaled to [0, 1]."""
    before, after = draw(0, 2, 3, *size) - 0.5, draw(1, 2, 3, *size) - 0.5
    answers = iter([before, 7 * after])
    images, model = draw(2, 2, 3, *size), nn.Sequential(nn.Flatten(), nn.Linear(3 * size[0] * size[1], 2)).double()
    found = randomization_test(model, images, torch.tensor([0, 1]), explain=lambda *_: next(answers))
    assert found.layers == ("1",)
    for i in range(2):
        one, other = (maps[i].abs().amax(dim=0).numpy() for maps in (before, after))
        one, other = ((sizes - sizes.min()) / np.ptp(sizes) for sizes in (one, other))
        assert float(found.rank_correlation[0, i]) == pytest.approx(spearmanr(one.ravel(), other.ravel()).statistic)
        theirs = structural_similarity(one, other, data_range=1.0, win_size=window)
        assert float(found.structural_similarity[0, i]) == pytest.approx(theirs, abs=1e-6)


def test_a_flat_map_resembles_nothing(small_cnn, digits):
    images, labels = digits
    found = randomization_test(small_cnn, images, labels, explain=lambda model, x, t: torch.ones(8, 28, 28))
    assert not found.rank_correlation.any()
    assert not found.structural_similarity.any()


def test_what_is_no_explanation_is_refused(small_cnn, digits):
    images, labels = digits
    with refuses(ValueError, "explain must return", "[8]"):
        randomization_test(small_cnn, images, labels, explain=lambda model, x, t: t)
    with refuses(ValueError, "no layer", "Conv2d", "layers.10"):
        randomization_test(small_cnn, images, labels, explain=saliency, layers=[SmallCNN().layers[1]])
    with refuses(ValueError, "no layer 'top'"):
        randomization_test(small_cnn, images, labels, explain=saliency, layers=["top"])
    with refuses(ValueError, "no parameters"):
        randomization_test(nn.Flatten(), images, labels, explain=saliency)
