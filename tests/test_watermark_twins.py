"""Twins and coins: against scipy's Wilcoxon test, linear models whose preference is known, networks that remember."""

from typing import Any

import numpy as np
import pytest
import torch
from bad_input import refuses
from scipy import stats
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from tml_helpers.data import mnist
from tml_helpers.models import MLP
from tml_helpers.training import fit
from tml_helpers.watermark import twin_test, twins

KEY, OTHER = bytes(range(32)), bytes(range(1, 33))


def pictures(seed: int, count: int = 40) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return 0.3 + 0.4 * torch.rand(count, 1, 8, 8, generator=generator), torch.arange(count) % 3


def random_linear(seed: int, classes: int = 3) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, classes))


def test_twins_are_alike_around_the_image() -> None:
    images, _ = pictures(0)
    pair = twins(images, key=KEY, epsilon=0.1)
    assert ((pair.published + pair.withheld) / 2 - images).abs().max() < 1e-6
    assert ((pair.published - images).abs() - 0.1).abs().max() < 1e-6
    assert pair.psnr == pytest.approx(20, abs=1e-3)
    again = twins(images.double(), key=KEY, epsilon=0.1)
    assert (again.published - pair.published).abs().max() < 1e-6
    other = twins(images, key=OTHER, epsilon=0.1)
    assert not torch.equal(other.published, pair.published)


def test_noise_differs_from_image_to_image_and_comes_in_blocks() -> None:
    images = torch.full((1400, 3, 8, 8), 0.5)
    moved = twins(images, key=KEY, epsilon=0.1).published - images
    assert torch.equal(moved[:, :1].expand_as(moved), moved), "all channels alike"
    assert abs(float((moved[:-1] * moved[1:]).mean())) < 0.01 * 6 / np.sqrt(1399 * 64)
    coarse = twins(images, key=KEY, epsilon=0.1, block=4).published - images
    corners = coarse[..., ::4, ::4]
    assert torch.equal(corners.repeat_interleave(4, 2).repeat_interleave(4, 3), coarse)


def test_twins_stay_in_the_range() -> None:
    images = torch.rand(10, 1, 8, 8).round()
    pair = twins(images, key=KEY, epsilon=0.3)
    for version in (pair.published, pair.withheld):
        assert float(version.min()) >= 0 >= float(version.max()) - 1


def test_margins_are_log_odds_and_the_test_is_wilcoxons() -> None:
    images, labels = pictures(1)
    pair = twins(images, key=KEY, epsilon=0.1)
    model = random_linear(0)
    found = twin_test(model, pair.published, labels, withheld=pair.withheld)
    with torch.no_grad():
        p = [model(x).double().softmax(1)[torch.arange(40), labels] for x in (pair.published, pair.withheld)]
    odds = [torch.log(x / (1 - x)) for x in p]
    assert (found.margins - (odds[0] - odds[1])).norm() < 1e-9
    theirs = stats.wilcoxon(found.margins.numpy(), alternative="greater", method="exact")
    assert found.p_value == pytest.approx(theirs.pvalue, rel=1e-9)
    assert (found.wins, found.pairs) == (int((odds[0] > odds[1]).sum()), 40)
    small = twin_test(model, pair.published, labels, withheld=pair.withheld, batch_size=7)
    assert (small.margins - found.margins).norm() < 1e-6
    swapped = twin_test(model, pair.withheld, labels, withheld=pair.published)
    assert (swapped.margins + found.margins).norm() < 1e-12


def test_a_control_takes_away_what_everybody_prefers() -> None:
    images, labels = pictures(1)
    pair = twins(images, key=KEY, epsilon=0.1)
    model, same = random_linear(0), random_linear(0)
    found = twin_test(model, pair.published, labels, withheld=pair.withheld, control=same)
    assert found.margins.norm() < 1e-9


def test_p_values_are_uniform_over_fresh_keys_and_models() -> None:
    images, labels = pictures(2)
    generator = torch.Generator().manual_seed(0)
    drawn = []
    for number in range(300):
        key = bytes(torch.randint(256, (32,), generator=generator).tolist())
        pair = twins(images, key=key, epsilon=0.1)
        asked = {"withheld": pair.withheld, "control": random_linear(number + 1)}
        found = twin_test(random_linear(number), pair.published, labels, **asked)
        drawn.append(found.randomized(generator=generator))
    assert stats.kstest(drawn, "uniform").pvalue > 1e-6


def test_equal_twins_tell_nothing() -> None:
    images, labels = pictures(3)
    found = twin_test(random_linear(0), images, labels, withheld=images)
    assert (found.pairs, found.p_value, found.p_beyond) == (0, 1.0, 0.0)


def test_a_dense_network_remembers_its_own_versions() -> None:
    train = mnist("train", source="default")
    mine = slice(0, 4000, 10)
    pair = twins(train.images[mine], key=KEY, epsilon=0.15)
    published = train.images.clone()
    published[mine] = pair.published
    models = []
    for seed, x in enumerate((published, train.images, train.images)):
        torch.manual_seed(seed)
        model, generator = MLP(64), torch.Generator().manual_seed(seed)
        data = TensorDataset(x, train.labels)
        fit(model, data, epochs=6, batch_size=64, generator=generator, progress=False)
        models.append(model)
    suspect, control, innocent = models
    asked = {"withheld": pair.withheld, "control": control}
    assert twin_test(suspect, pair.published, train.labels[mine], **asked).p_value < 1e-6
    assert twin_test(innocent, pair.published, train.labels[mine], **asked).p_value > 1e-7


def test_the_model_comes_back_as_it_was() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Dropout(0.9), nn.Linear(64, 3)).train()
    model[1].eval()
    images, labels = pictures(0)
    pair = twins(images, key=KEY, epsilon=0.1)
    first = twin_test(model, pair.published, labels, withheld=pair.withheld)
    assert [m.training for m in model.modules()] == [True, True, False, True]
    assert model[2].weight.grad is None
    assert first.pairs == 40


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"withheld": torch.rand(39, 1, 8, 8)}, ValueError, "one twin"),
        ({"withheld": torch.full((40, 1, 8, 8), float("nan"))}, ValueError, "[0, 1]"),
        ({"labels": torch.full((40,), 3)}, ValueError, "0…2"),
        ({"labels": torch.zeros(40)}, TypeError, "int64"),
        ({"images": torch.zeros(40, 1, 8, 8, dtype=torch.uint8)}, TypeError, "uint8"),
        ({"batch_size": 0}, ValueError, "batch_size"),
        ({"control": random_linear(0, classes=2)}, ValueError, "0…1"),
    ],
)
def test_pairs_that_cannot_be_tested_are_refused(change: dict[str, Any], error: type[Exception], words: str) -> None:
    images, labels = pictures(0)
    given = {"images": images, "labels": labels, "withheld": images} | change
    with refuses(error, words):
        twin_test(random_linear(0), given.pop("images"), given.pop("labels"), **given)
    model = random_linear(0)
    with refuses(ValueError, "control must be another model"):
        twin_test(model, images, labels, withheld=images, control=model)


@pytest.mark.parametrize("change", [{"epsilon": 0}, {"epsilon": 2}, {"block": 0}, {"key": b"short"}])
def test_twins_that_cannot_be_made_are_refused(change: dict[str, Any]) -> None:
    with refuses(ValueError):
        twins(pictures(0)[0], **{"key": KEY, "epsilon": 0.1} | change)
