"""Counterfactual patches: exhaustive search, a linear head's closed form, boxes by hand, and bad input."""

import itertools

import pytest
import torch
from bad_input import refuses
from torch import Tensor, nn

from tml_helpers import data
from tml_helpers.explain import counterfactual_patches
from tml_helpers.models import SmallCNN
from tml_helpers.training import predict

CLASSES = 3


class Twice(nn.Module):
    """2x, written over x."""

    def forward(self, maps: Tensor) -> Tensor:
        return maps.mul_(2)


def network(seed: int, channels: int = 3) -> nn.Sequential:
    """6×6 pixels → a grid of 3×3 cells → a head that is not linear: two cells can do what none does alone."""
    torch.manual_seed(seed)
    features = nn.Sequential(nn.Conv2d(1, channels, 2, stride=2), nn.Tanh())
    head = nn.Sequential(nn.Flatten(), nn.Linear(9 * channels, 12), nn.Tanh(), nn.Linear(12, CLASSES))
    with torch.no_grad():
        for layer in (features[0], head[1], head[3]):
            layer.weight.mul_(3)
    return nn.Sequential(features, head)


def pairs(model: nn.Module, seed: int, count: int) -> list[tuple[Tensor, Tensor]]:
    """Images that the model tells apart."""
    generator = torch.Generator().manual_seed(seed)
    found: list[tuple[Tensor, Tensor]] = []
    while len(found) < count:
        image, distractor = torch.rand(2, 1, 6, 6, generator=generator)
        first, second = model(torch.stack([image, distractor])).argmax(dim=1)
        if first != second:
            found.append((image, distractor))
    return found


def swap_by_loops(
    features: Tensor, other: Tensor, cells: list[tuple[int, int]], theirs: list[tuple[int, int]]
) -> Tensor:
    features = features.clone()
    for (row, column), (from_row, from_column) in zip(cells, theirs, strict=True):
        for channel in range(features.shape[1]):
            features[0, channel, row, column] = other[0, channel, from_row, from_column]
    return features


def fewest_swaps(model: nn.Sequential, image: Tensor, distractor: Tensor, limit: int) -> int | None:
    """The least number of swaps after which the class is the distractor's, by trying all of them one by one."""
    features, head = model
    query, other = features(image[None]), features(distractor[None])
    target = head(other).argmax()
    grid = list(itertools.product(range(3), range(3)))
    for size in range(1, limit + 1):
        for cells in itertools.combinations(grid, size):
            maps = [
                swap_by_loops(query, other, list(cells), list(theirs)) for theirs in itertools.permutations(grid, size)
            ]
            if (head(torch.cat(maps)).argmax(dim=1) == target).any():
                return size
    return None


@pytest.fixture(scope="module")
def searched() -> list[tuple[nn.Sequential, Tensor, Tensor, int | None]]:
    """Networks, pairs of images, and the fewest swaps up to two; None where two are not enough."""
    with torch.no_grad():
        return [
            (model, image, distractor, fewest_swaps(model, image, distractor, 2))
            for model in map(network, range(2))
            for image, distractor in pairs(model, 0, 6)
        ]


def test_the_trials_are_not_all_alike(searched: list[tuple[nn.Sequential, Tensor, Tensor, int | None]]) -> None:
    assert {1, 2} <= {fewest for *_, fewest in searched}


def test_exhaustive_search_finds_the_fewest(searched: list[tuple[nn.Sequential, Tensor, Tensor, int | None]]) -> None:
    for model, image, distractor, fewest in searched:
        if fewest is not None:
            found = counterfactual_patches(model, image, distractor=distractor, layer="0", search="exhaustive")
            assert len(found.cells) == fewest
        else:
            with refuses(ValueError, "2 swaps"):
                counterfactual_patches(model, image, distractor=distractor, layer="0", search="exhaustive", max_swaps=2)


def test_greedy_search_is_right_where_one_swap_is_enough_and_never_below_the_fewest(
    searched: list[tuple[nn.Sequential, Tensor, Tensor, int | None]],
) -> None:
    extra = []
    for model, image, distractor, fewest in searched:
        try:
            needed = len(counterfactual_patches(model, image, distractor=distractor, layer="0").cells)
        except ValueError:  # greedy search has used up its cells
            continue
        assert needed >= (fewest or 3)
        assert needed == 1 or fewest != 1
        if fewest is not None:
            extra.append(needed - fewest)
    assert sum(extra) / len(extra) < 0.5


@pytest.mark.parametrize("search", ["greedy", "exhaustive"])
def test_the_class_flips_with_the_swaps_that_are_returned_and_not_before(
    searched: list[tuple[nn.Sequential, Tensor, Tensor, int | None]], search: str
) -> None:
    for model, image, distractor, fewest in searched[:6]:
        if fewest is None:
            continue
        found = counterfactual_patches(model, image, distractor=distractor, layer="0", search=search)
        features, head = model
        query, other = features(image[None]), features(distractor[None])
        cells, theirs = found.cells.tolist(), found.distractor_cells.tolist()
        assert len({tuple(cell) for cell in cells}) == len({tuple(cell) for cell in theirs}) == len(cells)
        path = [head(swap_by_loops(query, other, cells[:count], theirs[:count])) for count in range(len(cells) + 1)]
        torch.testing.assert_close(found.logits, torch.cat(path).detach())
        answers = found.logits.argmax(dim=1)
        assert answers[0] == found.prediction == model(image[None]).argmax()
        assert answers[-1] == found.target == model(distractor[None]).argmax()
        assert (answers[:-1] != found.target).all()


def test_among_single_swaps_the_most_probable_is_taken() -> None:
    """A linear head: each swap changes the margin by its own amount, so the best is an argmax over two tables."""
    torch.manual_seed(3)
    features, head = nn.Conv2d(1, 4, 2, stride=2), nn.Sequential(nn.Flatten(), nn.Linear(36, 2, bias=False))
    for image, distractor in pairs(nn.Sequential(features, head), 1, 8):
        query, other = features(image[None])[0].flatten(1), features(distractor[None])[0].flatten(1)  # (4, 9)
        weight = head[1].weight.view(2, 4, 9)
        target = int(head(features(distractor[None])).argmax())
        slope = weight[target] - weight[1 - target]
        gains = torch.einsum("dc,de->ce", slope, other) - torch.einsum("dc,dc->c", slope, query)[:, None]
        ours, theirs = divmod(int(gains.argmax()), 9)
        found = counterfactual_patches(nn.Sequential(features, head), image, distractor=distractor, layer="0")
        assert found.cells[0].tolist() == [ours // 3, ours % 3]
        assert found.distractor_cells[0].tolist() == [theirs // 3, theirs % 3]


def test_a_layer_is_given_by_its_name_or_as_itself() -> None:
    model = network(0)
    image, distractor = pairs(model, 0, 1)[0]
    usual = vars(counterfactual_patches(model, image, distractor=distractor, layer="0"))
    for layer in (model[0], "0.1", model[0][1]):  # the block ends with what its last layer returns
        other = vars(counterfactual_patches(model, image, distractor=distractor, layer=layer))
        for name, ours in usual.items():
            assert torch.equal(ours, other[name]) if isinstance(ours, Tensor) else ours == other[name], name


def test_a_network_that_asks_for_its_batch_size_and_one_that_works_in_place() -> None:
    plain = network(0)

    class Asks(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.features, self.head = plain[0], nn.Sequential(*plain[1][1:])

        def forward(self, images: Tensor) -> Tensor:
            maps = self.features(images)
            return self.head(maps.view(len(images), -1))

    doubled = nn.Sequential(plain[0], Twice(), plain[1])
    for image, distractor in pairs(plain, 0, 3):
        expected = counterfactual_patches(plain, image, distractor=distractor, layer="0")
        assert torch.equal(
            counterfactual_patches(Asks(), image, distractor=distractor, layer="features").cells, expected.cells
        )
    for image, distractor in pairs(doubled, 0, 3):
        kept = counterfactual_patches(doubled, image, distractor=distractor, layer="0")
        torch.testing.assert_close(kept.logits[:1], doubled(image[None]).detach())


@pytest.mark.parametrize("batch_size", [1, 7])
@pytest.mark.parametrize("search", ["greedy", "exhaustive"])
def test_batches_do_not_matter(
    searched: list[tuple[nn.Sequential, Tensor, Tensor, int | None]], batch_size: int, search: str
) -> None:
    model, image, distractor, _ = next(trial for trial in searched if trial[3] == 2)
    settings = {"search": search, "max_swaps": 9}
    usual = counterfactual_patches(model, image, distractor=distractor, layer="0", **settings)
    other = counterfactual_patches(model, image, distractor=distractor, layer="0", batch_size=batch_size, **settings)
    assert torch.equal(usual.cells, other.cells)
    assert torch.equal(usual.distractor_cells, other.distractor_cells)


def test_boxes_tile_the_picture_as_the_grid_does() -> None:
    torch.manual_seed(0)
    features = nn.Conv2d(1, 4, 4, stride=3)  # 10×13 pixels → 3×4 cells
    head = nn.Sequential(nn.Flatten(), nn.Linear(48, CLASSES))
    generator = torch.Generator().manual_seed(0)
    while True:
        image, distractor = torch.rand(2, 1, 10, 13, generator=generator)
        first, second = head(features(torch.stack([image, distractor]))).argmax(dim=1)
        if first != second:
            break
    found = counterfactual_patches(nn.Sequential(features, head), image, distractor=distractor, layer="0")
    tops, lefts = [0, 3, 6, 10], [0, 3, 6, 9, 13]
    for cells, boxes in ((found.cells, found.boxes), (found.distractor_cells, found.distractor_boxes)):
        expected = [[tops[r], lefts[c], tops[r + 1], lefts[c + 1]] for r, c in cells.tolist()]
        assert boxes.tolist() == expected


def test_the_distractor_may_have_another_size() -> None:
    torch.manual_seed(0)
    features, head = nn.Conv2d(1, 4, 2, stride=2), nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    model = nn.Sequential(features, head)
    with torch.no_grad():
        head[2].bias.zero_()
        head[2].weight[1] = -head[2].weight[0]
    image, distractor = torch.zeros(1, 6, 6), torch.ones(1, 4, 8)
    with torch.no_grad():
        middle = (features(image[None]).mean(dim=(2, 3)) + features(distractor[None]).mean(dim=(2, 3))) / 2
        head[2].bias.copy_(-head[2](middle)[0])
    found = counterfactual_patches(model, image, distractor=distractor, layer="0")
    assert found.prediction != found.target
    assert found.distractor_cells[:, 1].max() <= 3
    assert found.distractor_cells[:, 0].max() <= 1


def test_the_model_comes_back_as_it_was_and_its_dropout_rests() -> None:
    model = network(0)
    model.append(nn.Dropout(0.9))
    image, distractor = pairs(network(0), 0, 1)[0]
    model.train()
    model[0].eval()
    strided = image.transpose(1, 2).contiguous().transpose(1, 2)
    found = counterfactual_patches(model, strided, distractor=distractor, layer="0")
    assert model.training
    assert not model[0].training
    assert not any(module._forward_hooks for module in model.modules())
    assert all(p.grad is None for p in model.parameters())
    assert not found.logits.requires_grad
    plain = counterfactual_patches(network(0), image, distractor=distractor, layer="0")
    assert torch.equal(found.cells, plain.cells)


def test_digits_flip_after_a_few_swaps_and_sooner_than_at_random(small_cnn: SmallCNN) -> None:
    model, test = small_cnn, data.mnist("test", source="default")
    generator = torch.Generator().manual_seed(0)
    seen = predict(model, test.images).argmax(dim=1)
    needed, by_chance = [], []
    for first, second in ((3, 5), (4, 9), (7, 2)):
        image = test.images[(seen == first).nonzero()[0, 0]]
        distractor = test.images[(seen == second).nonzero()[0, 0]]
        found = counterfactual_patches(model, image, distractor=distractor, layer="layers.6")
        assert (found.prediction, found.target) == (first, second)
        needed.append(len(found.cells))
        features, head = model.layers[:7], model.layers[7:]
        with torch.no_grad():
            query, other = features(image[None]), features(distractor[None])
            order = torch.randperm(49, generator=generator)
            maps = query.flatten(2).repeat(50, 1, 1)
            for count in range(1, 50):
                maps[count:, :, order[count - 1]] = other.flatten(2)[0, :, order[count - 1]]
            flips = head(maps.unflatten(2, (7, 7))).argmax(dim=1) == second
        by_chance.append(int(flips.nonzero()[0]))
    assert max(needed) < 15
    assert sum(needed) < 0.7 * sum(by_chance)


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        ({"search": "beam"}, ValueError, ["greedy", "exhaustive", "beam"]),
        ({"batch_size": 0}, ValueError, ["batch_size", "0"]),
        ({"max_swaps": 0}, ValueError, ["max_swaps", "0"]),
        ({"max_swaps": 1.5}, TypeError, ["max_swaps", "1.5"]),
        ({"layer": nn.Tanh()}, ValueError, ["no layer", "Tanh", "0.0"]),
        ({"layer": "conv"}, ValueError, ["conv", "0.0"]),
        ({"layer": "1.1"}, ValueError, ["[1, D, h, w]", "[1, 12]"]),
        ({"image": torch.rand(1, 1, 6, 6)}, ValueError, ["image", "[C, H, W]", "[1, 1, 6, 6]"]),
        ({"distractor": torch.full((1, 6, 6), 2.0)}, ValueError, ["[0, 1]"]),
        ({"distractor": torch.full((1, 6, 6), torch.nan)}, ValueError, ["[0, 1]"]),
        ({"image": torch.zeros(1, 6, 6, dtype=torch.uint8)}, TypeError, ["uint8"]),
        ({"image": "cat.png"}, TypeError, ["str"]),
    ],
)
def test_bad_input(change: dict[str, object], kind: type[Exception], words: list[str]) -> None:
    model = network(0)
    image, distractor = pairs(model, 0, 1)[0]
    arguments = {"image": image, "distractor": distractor, "layer": "0"} | change
    with refuses(kind, *words):
        counterfactual_patches(model, **arguments)


def test_two_images_of_one_class_are_refused() -> None:
    image = torch.rand(1, 6, 6)
    with refuses(ValueError, "another class"):
        counterfactual_patches(network(0), image, distractor=image, layer="0")


def test_no_flip_is_an_error_and_not_a_wrong_answer() -> None:
    class FirstPixel(nn.Module):
        """Class 1 where the grid's first cell is above the last by more than ½; no set of swaps brings that about."""

        def forward(self, maps: Tensor) -> Tensor:
            gap = maps[:, 0, 0, 0] - maps[:, 0, -1, -1] - 0.5
            return torch.stack([0 * gap, gap], dim=1)

    image, distractor = torch.full((1, 2, 2), 0.9), torch.full((1, 2, 2), 0.5)
    distractor[0, 0, 0] = 1.0
    distractor[0, 1, 1] = 0.45
    image[0, 1, 1] = 0.8
    with refuses(ValueError, "1 swaps", "class 0 into 1", "more swaps"):
        counterfactual_patches(
            nn.Sequential(nn.Identity(), FirstPixel()), image, distractor=distractor, layer="0", max_swaps=1
        )


class Mean(nn.Module):
    """Class 1 where the features' mean is above 0.9."""

    def forward(self, maps: Tensor) -> Tensor:
        gap = maps.mean(dim=(1, 2, 3)) - 0.9
        return torch.stack([0 * gap, gap], dim=1)


def test_an_exhaustive_search_that_would_never_end_is_refused() -> None:
    image, distractor = torch.zeros(1, 10, 10), torch.ones(1, 10, 10)
    with refuses(ValueError, "no 1 swaps", "greedily"):
        counterfactual_patches(
            nn.Sequential(nn.Identity(), Mean()), image, distractor=distractor, layer="0", search="exhaustive"
        )


class Looked(nn.Module):
    """Logits of 1×2 cells from a table; between its entries, those of the nearest."""

    TABLE = torch.tensor([[0.1, 0.2], [0.7, 0.9], [0.7, 0.2], [0.9, 0.2], [0.1, 0.7], [0.1, 0.9]])
    LOGITS = torch.tensor([[5, 0, 0], [0, 5, 0], [-9, 2.0, 2.1], [0, 0.2, 0], [0, 0.1, 0], [5, 0, 0]])

    def forward(self, maps: Tensor) -> Tensor:
        return self.LOGITS[torch.cdist(maps.flatten(1), self.TABLE).argmin(dim=1)]


def test_a_swap_that_flips_the_class_goes_before_one_after_which_the_target_is_more_probable() -> None:
    """The third entry gives class 1 a probability of 47 %, class 2 more; the fourth 38 %, the others less."""
    image, distractor = torch.tensor([[[0.1, 0.2]]]), torch.tensor([[[0.7, 0.9]]])
    model = nn.Sequential(nn.Identity(), Looked())
    for search in ("greedy", "exhaustive"):
        found = counterfactual_patches(model, image, distractor=distractor, layer="0", search=search)
        assert (found.cells.tolist(), found.distractor_cells.tolist()) == ([[0, 0]], [[0, 1]])
        assert (found.prediction, found.target) == (0, 1)


def test_a_mean_over_cells_needs_as_many_swaps_as_it_is_far() -> None:
    found = counterfactual_patches(
        nn.Sequential(nn.Identity(), Mean()), torch.zeros(1, 4, 4), distractor=torch.ones(1, 4, 4), layer="0"
    )
    assert len(found.cells) == 15  # 14.4 of 16
    torch.testing.assert_close(found.logits[:, 1], torch.arange(16) / 16 - 0.9)
