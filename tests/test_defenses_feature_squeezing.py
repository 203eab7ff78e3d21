"""Squeezers against SciPy and NumPy; the detector against its definition, a loop, and an attack."""

from functools import partial

import numpy as np
import pytest
import scipy.ndimage
import torch
from bad_input import refuses
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from tml_helpers.attacks import pgd
from tml_helpers.data import ImageSet, mnist
from tml_helpers.defenses.feature_squeezing import FeatureSqueezing, median_filter, reduce_bit_depth
from tml_helpers.models import SmallCNN
from tml_helpers.training import predict


@pytest.fixture(scope="module")
def test_set() -> ImageSet:
    return mnist("test", source="default")


@pytest.fixture(scope="module")
def network(small_cnn: SmallCNN) -> SmallCNN:
    return small_cnn.to(memory_format=torch.channels_last)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


# --- squeezers ---


@given(st.integers(1, 6), st.integers(6, 9), st.integers(6, 9), st.integers(0, 99))
def test_the_median_filter_is_scipys_at_every_pixel(size, height, width, seed) -> None:
    images = noise(2, 3, height, width, seed=seed)
    expected = scipy.ndimage.median_filter(images.numpy(), size=(1, 1, size, size), mode="reflect")
    assert np.array_equal(median_filter(images, size=size).numpy(), expected)


def test_the_median_filter_takes_what_is_not_contiguous() -> None:
    images = noise(3, 8, 9, 2).permute(0, 3, 2, 1)
    straight = median_filter(images.contiguous(), size=3)
    torch.testing.assert_close(median_filter(images, size=3), straight, atol=0, rtol=0)


@given(st.integers(1, 8), st.integers(0, 99))
def test_bit_depth_is_the_authors_rounding(bits, seed) -> None:
    images = noise(2, 1, 5, 5, seed=seed)
    squeezed = reduce_bit_depth(images, bits=bits)
    levels = np.float32(2**bits - 1)
    assert np.array_equal(squeezed.numpy(), np.rint(images.numpy() * levels) / levels)
    assert (squeezed - images).abs().max() <= 0.5 / levels + 1e-6
    torch.testing.assert_close(reduce_bit_depth(squeezed, bits=bits), squeezed, atol=0, rtol=0)
    assert len(reduce_bit_depth(torch.linspace(0, 1, 1001)[None, None, None], bits=bits).unique()) == 2**bits


def test_squeezers_refuse_sizes_that_do_not_exist() -> None:
    for bits in (0, 9):
        with refuses(ValueError, "bits", "1…8", str(bits)):
            reduce_bit_depth(noise(1, 1, 4, 4), bits=bits)
    for size in (0, 5):
        with refuses(ValueError, "size", "1…4", str(size)):
            median_filter(noise(1, 1, 4, 6), size=size)


# --- the detector ---


class Table(nn.Module):
    """Two classes; the logits are −z and z for the first pixel's z = 4x − 2."""

    def forward(self, images: Tensor) -> Tensor:
        z = 4 * images[:, 0, 0, 0] - 2
        return torch.stack([-z, z], dim=1)


def test_the_score_is_the_largest_l1_distance_between_softmax_answers() -> None:
    images = noise(50, 1, 3, 3)
    squeezers = [torch.zeros_like, lambda x: x * 0.9, torch.ones_like]
    scores = FeatureSqueezing(Table(), squeezers=squeezers).score(images)
    for image, score in zip(images.numpy().astype(np.float64), scores, strict=True):
        x = image[0, 0, 0]
        right = [1 / (1 + np.exp(-2 * (4 * value - 2))) for value in (x, 0.0, 0.9 * x, 1.0)]
        expected = max(2 * abs(right[0] - other) for other in right[1:])  # both classes move, by the same
        assert float(score) == pytest.approx(expected, abs=1e-6)


def test_a_network_that_squeezing_does_not_move_scores_zero() -> None:
    assert FeatureSqueezing(Table(), squeezers=[lambda x: x]).score(noise(9, 1, 3, 3)).tolist() == [0] * 9


@given(st.integers(1, 200), st.sampled_from([0.0, 0.01, 0.05, 0.2, 0.5, 0.99]), st.integers(0, 99))
def test_at_most_the_given_share_of_clean_images_is_flagged_and_no_lower_threshold_would_do(count, rate, seed) -> None:
    images = noise(count, 1, 3, 3, seed=seed)
    detector = FeatureSqueezing(Table(), squeezers=[torch.zeros_like])
    threshold = detector.calibrate(images, false_positive_rate=rate)
    assert threshold == detector.threshold
    assert detector.detect(images).double().mean() <= rate + 1e-9
    below = np.nextafter(np.float32(threshold), np.float32(-1))
    assert (detector.score(images) > below).double().mean() > rate - 1e-9


def test_fast_attacks_are_found(network, test_set) -> None:
    """As in the paper: most images of an attacker who does not know of the detector."""
    clean, held_out = test_set.select(slice(0, None, 2)), test_set.select(slice(1, None, 2))
    detector = FeatureSqueezing(network)
    detector.calibrate(clean.images, false_positive_rate=0.05)
    assert detector.detect(held_out.images).float().mean() < 0.10
    adversarial = pgd(network, held_out.images, held_out.labels, epsilon=0.2, steps=10, random_start=False)
    fooled = predict(network, adversarial).argmax(dim=1) != held_out.labels
    assert fooled.float().mean() > 0.8
    assert detector.detect(adversarial[fooled]).float().mean() > 0.7


def test_batches_do_not_show_and_the_model_keeps_its_mode(network, test_set) -> None:
    network.train()
    detector = FeatureSqueezing(network, squeezers=[partial(median_filter, size=3)])
    scores = detector.score(test_set.images[:600])
    assert all(module.training for module in network.modules())
    torch.testing.assert_close(scores[:1], detector.score(test_set.images[:1]), atol=1e-5, rtol=0)
    torch.testing.assert_close(scores[512:], detector.score(test_set.images[512:600]), atol=1e-5, rtol=0)
    assert not scores.requires_grad


def test_a_detector_without_threshold_squeezers_or_images_says_so(network) -> None:
    detector = FeatureSqueezing(network)
    with refuses(ValueError, "calibrate"):
        detector.detect(noise(2, 1, 28, 28))
    with refuses(ValueError, "squeezers"):
        FeatureSqueezing(network, squeezers=[])
    with refuses(ValueError, "false_positive_rate", "1.5"):
        detector.calibrate(noise(2, 1, 28, 28), false_positive_rate=1.5)
    with refuses(ValueError, "[0, 1]"):
        detector.score(255 * noise(2, 1, 28, 28))
    with refuses(ValueError, "non-empty"):
        detector.score(noise(0, 1, 28, 28))
