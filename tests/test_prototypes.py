"""Prototypes: patches of training images after the push, evidence that sums to the logit, an optimal last layer."""

import itertools

import pytest
import torch
from bad_input import refuses
from torch import Tensor, nn
from torch.nn import functional as F

from tml_helpers import data
from tml_helpers.explain import ProtoPNet, PrototypePatches, mmd_critic, prototype_loss
from tml_helpers.explain._receptive_field import receptive_boxes
from tml_helpers.models import Normalize
from tml_helpers.training import accuracy, fit, seed_everything

CLASSES, EACH, CHANNELS = 3, 2, 4


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def small(seed: int = 0) -> ProtoPNet:
    """9×9 pixels → 3×3 cells of 4×4 pixels, stride 2, and three classes with two prototypes each."""
    torch.manual_seed(seed)
    backbone = nn.Sequential(nn.Conv2d(2, CHANNELS, 3, stride=2), nn.Tanh(), nn.AvgPool2d(2, stride=1))
    return ProtoPNet(backbone, channels=CHANNELS, classes=CLASSES, prototypes_per_class=EACH, generator=seeded(seed))


def images_and_labels(count: int = 40, seed: int = 1) -> tuple[Tensor, Tensor]:
    generator = seeded(seed)
    return torch.rand(count, 2, 9, 9, generator=generator), torch.randint(CLASSES, (count,), generator=generator)


def squared_distances(model: ProtoPNet, images: Tensor) -> Tensor:
    """d² by differences, `[N, P, h, w]`."""
    patches = model.backbone(images)[:, None]  # (N, 1, D, h, w)
    return (patches - model.prototypes[None, :, :, None, None]).square().sum(dim=2)


def test_the_logits_are_the_formula() -> None:
    model, (images, _) = small(), images_and_labels()
    nearest = squared_distances(model, images).flatten(2).amin(dim=2)
    similarity = ((nearest + 1) / (nearest + 1e-4)).log()
    torch.testing.assert_close(model(images), similarity @ model.last_layer.weight.T, rtol=1e-4, atol=1e-4)


def test_the_last_layer_starts_at_one_and_minus_one_half_and_rests() -> None:
    model = small()
    expected = torch.tensor([[1.0, 1, -0.5, -0.5, -0.5, -0.5], [-0.5, -0.5, 1, 1, -0.5, -0.5]])
    assert torch.equal(model.last_layer.weight[:2], expected)
    assert not model.last_layer.weight.requires_grad
    assert model.last_layer.bias is None


def test_the_loss_is_the_formula() -> None:
    model, (images, labels) = small(), images_and_labels()
    nearest = squared_distances(model, images).flatten(2).amin(dim=2)
    near, far = [], []
    for row, label in zip(nearest, labels.tolist(), strict=True):
        own = row[EACH * label : EACH * (label + 1)]
        others = torch.cat([row[: EACH * label], row[EACH * (label + 1) :]])
        near.append(own.min())
        far.append(others.min())
    expected = F.cross_entropy(model(images), labels)
    expected = expected + 0.5 * torch.stack(near).mean() - 0.25 * torch.stack(far).mean()
    torch.testing.assert_close(prototype_loss(model, images, labels, cluster=0.5, separation=0.25), expected)


def test_after_the_push_each_prototype_is_the_nearest_patch_of_its_class() -> None:
    model, (images, labels) = small(), images_and_labels()
    with torch.no_grad():
        before = squared_distances(model, images)
    pushed = model.push(images, labels, batch_size=7)
    with torch.no_grad():
        patches = model.backbone(images)
    for p in range(CLASSES * EACH):
        source, (row, column) = int(pushed.images[p]), pushed.cells[p].tolist()
        torch.testing.assert_close(model.prototypes[p], patches[source, :, row, column])
        assert labels[source] == p // EACH
        candidates = before[labels == p // EACH, p]
        if p % EACH == 0:  # the first of a class has all patches to choose from
            torch.testing.assert_close(before[source, p, row, column], candidates.min())
        else:
            assert before[source, p, row, column] <= candidates.flatten().sort().values[1] + 1e-6
    taken = {(int(i), *cell.tolist()) for i, cell in zip(pushed.images, pushed.cells, strict=True)}
    assert len(taken) == CLASSES * EACH


def test_two_prototypes_of_a_class_never_take_one_patch() -> None:
    model, (images, labels) = small(), images_and_labels()
    with torch.no_grad():
        model.prototypes[1] = model.prototypes[0]
    pushed = model.push(images, labels)
    assert not torch.equal(
        torch.cat([pushed.images[:1], pushed.cells[0]]), torch.cat([pushed.images[1:2], pushed.cells[1]])
    )


def test_a_prototypes_box_holds_all_that_its_patch_sees_and_no_more() -> None:
    model, (images, labels) = small(), images_and_labels()
    pushed = model.push(images, labels)
    for p in range(CLASSES * EACH):
        image = images[pushed.images[p]][None].clone().requires_grad_()
        row, column = pushed.cells[p].tolist()
        (gradient,) = torch.autograd.grad(model.backbone(image)[0, :, row, column].sum(), image)
        seen = gradient[0].abs().sum(dim=0).nonzero()
        top, left, bottom, right = pushed.boxes[p].tolist()
        assert (seen.amin(dim=0).tolist(), (seen.amax(dim=0) + 1).tolist()) == ([top, left], [bottom, right])


BACKBONES = {
    "padding and dilation": nn.Sequential(nn.Conv2d(1, 2, 3, padding=2, dilation=2), nn.Conv2d(2, 2, (3, 1), stride=2)),
    "same": nn.Sequential(nn.Conv2d(1, 2, 5, padding="same"), nn.Sequential(nn.AvgPool2d(3, stride=2, padding=1))),
    "valid": nn.Sequential(nn.Conv2d(1, 2, (2, 4), padding="valid"), nn.Tanh(), nn.AvgPool2d((1, 2))),
    "points": nn.Sequential(nn.Conv2d(1, 3, 1), nn.Sigmoid(), nn.Dropout(0.0)),
}


@pytest.mark.parametrize("name", BACKBONES)
def test_receptive_fields_are_where_the_gradient_is(name: str) -> None:
    torch.manual_seed(0)
    image = torch.rand(1, 1, 12, 15, requires_grad=True)
    maps = BACKBONES[name](image)
    grid = tuple(maps.shape[2:])
    boxes = receptive_boxes(BACKBONES[name], grid, (12, 15))
    for cell, (row, column) in enumerate(itertools.product(*map(range, grid))):
        (gradient,) = torch.autograd.grad(maps[0, :, row, column].sum(), image, retain_graph=True)
        seen = gradient[0, 0].nonzero()
        assert boxes[cell].tolist() == [*seen.amin(dim=0).tolist(), *(seen.amax(dim=0) + 1).tolist()]


def test_the_default_backbone_sees_sixteen_pixels_in_the_middle() -> None:
    model, middle = ProtoPNet(), 3 * 7 + 3
    box = receptive_boxes(model.backbone, (7, 7), (28, 28))[middle].tolist()
    image = torch.rand(200, 1, 28, 28, generator=seeded(), requires_grad=True)
    (gradient,) = torch.autograd.grad(model.backbone(image)[:, :, 3, 3].sum(), image)
    seen = gradient.abs().sum(dim=(0, 1)).nonzero()  # over many images, each place is the maximum of some image
    assert box == [*seen.amin(dim=0).tolist(), *(seen.amax(dim=0) + 1).tolist()]
    assert (box[2] - box[0], box[3] - box[1]) == (16, 16)


def test_the_evidence_sums_to_the_logit_and_points_at_the_nearest_patch() -> None:
    model, (images, labels) = small(), images_and_labels()
    model.push(images, labels)
    model.train()
    logits = model(images)
    for classes in (None, labels):
        found = model.evidence(images, classes)
        explained = logits.argmax(dim=1) if classes is None else classes
        torch.testing.assert_close(found.contributions.sum(dim=1), logits.gather(1, explained[:, None]).squeeze(1))
        torch.testing.assert_close(found.logits, found.contributions.sum(dim=1))
        torch.testing.assert_close(found.contributions, found.weights * found.similarities)
    distances = squared_distances(model, images)
    boxes = receptive_boxes(model.backbone, (3, 3), (9, 9))
    assert torch.equal(found.boxes, boxes[distances.flatten(2).argmin(dim=2)])
    assert model.training


def test_a_prototypes_own_image_has_the_largest_similarity_there_is() -> None:
    model, (images, labels) = small(), images_and_labels()
    pushed = model.push(images, labels)
    own = model.evidence(images[pushed.images]).similarities.diagonal()
    assert (own > 9).all(), "log(1 / 1e-4) = 9.2"
    assert torch.equal(model.evidence(images[pushed.images]).boxes.diagonal().T, pushed.boxes)


@pytest.mark.parametrize("penalty", [0.0, 0.02])
def test_the_last_layer_is_optimal(penalty: float) -> None:
    """The gradient is 0 without a penalty; with one, −penalty · sign(w), or at most the penalty where w = 0."""
    model, (images, labels) = small(), images_and_labels(200)
    model.push(images, labels)
    prototypes = model.prototypes.clone()
    value = model.fit_last_layer(images, labels, penalty=penalty)
    assert torch.equal(model.prototypes, prototypes)
    weight = model.last_layer.weight.double().detach().requires_grad_()
    similarity = model.evidence(images).similarities.double()
    loss = F.cross_entropy(similarity @ weight.T, labels)
    (gradient,) = torch.autograd.grad(loss, weight)
    own = torch.arange(CLASSES)[:, None] == torch.arange(CLASSES * EACH) // EACH
    assert abs(value - loss - penalty * weight[~own].abs().sum()) < 1e-5
    assert gradient[own].abs().max() < 2e-3
    others, slopes = weight[~own], gradient[~own]
    assert ((slopes + penalty * others.sign())[others != 0].abs() < 2e-3).all()
    if penalty:
        assert (others == 0).any(), "L1 leaves nothing out"
        assert (slopes[others == 0].abs() < penalty + 2e-3).all()


def trained(seed: int) -> tuple[ProtoPNet, PrototypePatches]:
    generator = seed_everything(seed)
    train = data.mnist("train", source="default").select(slice(0, None, 5))
    model = ProtoPNet(prototypes_per_class=2, generator=generator)
    fit(model, train, epochs=2, loss=prototype_loss, learning_rate=3e-3, batch_size=50, generator=generator)
    return model, model.push(train.images, train.labels)


def test_digits_are_learnt_and_the_same_seed_gives_the_same_prototypes() -> None:
    train, test = data.mnist("train", source="default"), data.mnist("test", source="default")
    model, pushed = trained(0)
    again, pushed_again = trained(0)
    assert torch.equal(pushed.images, pushed_again.images)
    assert torch.equal(model.prototypes, again.prototypes)
    model.fit_last_layer(train.images[::5], train.labels[::5])
    assert accuracy(model, test.select(slice(0, None, 4))) > 0.5  # a guess: 0.1
    assert torch.equal(ProtoPNet(generator=seeded(5)).prototypes, ProtoPNet(generator=seeded(5)).prototypes)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"classes": 1}, ["classes", "2 or more"]),
        ({"prototypes_per_class": 0}, ["prototypes_per_class"]),
        ({"channels": 0}, ["channels"]),
        ({"backbone": nn.Sequential(nn.AdaptiveAvgPool2d(1))}, ["AdaptiveAvgPool2d", "pixels"]),
        ({"backbone": nn.Conv2d(1, 32, 3)}, ["nn.Sequential", "Conv2d"]),
    ],
)
def test_bad_settings(change: dict[str, object], words: list[str]) -> None:
    with refuses(ValueError, *words):
        ProtoPNet(**change)


def test_bad_data() -> None:
    model, (images, labels) = small(), images_and_labels()
    with refuses(ValueError, "class 0 has 0 patches for 2"):
        model.push(images, labels.clamp_min(1))
    with refuses(ValueError, "0…2", "7"):
        model.push(images, labels + 5)
    with refuses(ValueError, "[0, 1]"):
        model.evidence(2 * images)
    with refuses(ValueError, "0…2", "3"):
        model.evidence(images, torch.full_like(labels, 3))
    with refuses(TypeError, "int64"):
        model.fit_last_layer(images, labels.float())
    with refuses(ValueError, "penalty", "-1"):
        model.fit_last_layer(images, labels, penalty=-1)
    with refuses(ValueError, "[N, 32, h, w]", "[40, 4, 3, 3]"):
        ProtoPNet(model.backbone)(images)


# --- MMD-critic ---


def discrepancy(kernel: Tensor, chosen: list[int]) -> float:
    """MMD² between all samples and the chosen ones."""
    within = kernel[chosen][:, chosen].mean()
    return float(kernel.mean() - 2 * kernel[:, chosen].mean() + within)


def gaussian(vectors: Tensor, bandwidth: float) -> Tensor:
    differences = vectors[:, None] - vectors
    return (-differences.square().sum(dim=2) / (2 * bandwidth**2)).exp()


def test_each_prototype_lowers_the_discrepancy_as_far_as_one_sample_can() -> None:
    vectors = torch.randn(30, 3, generator=seeded(), dtype=torch.float64)
    found = mmd_critic(vectors, prototypes=6, bandwidth=0.9).prototypes.tolist()
    kernel = gaussian(vectors, 0.9)
    for size in range(6):
        rest = [i for i in range(30) if i not in found[:size]]
        values = {i: discrepancy(kernel, [*found[:size], i]) for i in rest}
        assert found[size] == min(values, key=values.__getitem__)


def test_each_criticism_is_where_the_witness_is_largest_and_apart_from_the_others() -> None:
    vectors = torch.randn(30, 3, generator=seeded(1), dtype=torch.float64)
    found = mmd_critic(vectors, prototypes=4, criticisms=5, bandwidth=0.9)
    prototypes, criticisms = found.prototypes.tolist(), found.criticisms.tolist()
    kernel = gaussian(vectors, 0.9)
    witness = (kernel.mean(dim=1) - kernel[:, prototypes].mean(dim=1)).abs()
    for size in range(5):
        rest = [i for i in range(30) if i not in [*prototypes, *criticisms[:size]]]
        values = {}
        for i in rest:
            chosen = [*criticisms[:size], i]
            values[i] = float(witness[chosen].sum() + torch.logdet(kernel[chosen][:, chosen]))
        assert criticisms[size] == max(values, key=values.__getitem__)


def test_three_clusters_have_one_prototype_each_and_the_smallest_is_criticised() -> None:
    centres = torch.tensor([[0.0, 0.0], [9.0, 0.0], [0.0, 9.0], [9.0, 9.0]])
    vectors = centres.repeat_interleave(20, dim=0) + 0.5 * torch.randn(80, 2, generator=seeded())
    found = mmd_critic(vectors[:70], prototypes=3, criticisms=1, bandwidth=2.0)
    assert sorted((found.prototypes // 20).tolist()) == [0, 1, 2]
    assert (found.criticisms // 20).tolist() == [3]


def test_the_bandwidth_is_the_median_distance() -> None:
    vectors = torch.randn(25, 3, generator=seeded())
    median = float(torch.pdist(vectors).median())
    ours, theirs = mmd_critic(vectors, prototypes=5), mmd_critic(vectors, prototypes=5, bandwidth=median)
    assert torch.equal(ours.prototypes, theirs.prototypes)


@pytest.mark.parametrize(
    ("vectors", "settings", "words"),
    [
        (torch.rand(5, 2, 2), {"prototypes": 1}, ["[N, D]", "[5, 2, 2]"]),
        (torch.full((5, 2), torch.nan), {"prototypes": 1}, ["finite"]),
        (torch.rand(5, 2), {"prototypes": 0}, ["prototypes"]),
        (torch.rand(5, 2), {"prototypes": 3, "criticisms": 3}, ["at most 5"]),
        (torch.full((60, 9), 0.3), {"prototypes": 1}, ["all samples the same"]),
        (torch.rand(5, 2), {"prototypes": 1, "bandwidth": 0.0}, ["bandwidth"]),
    ],
)
def test_mmd_critic_refuses(vectors: Tensor, settings: dict[str, float], words: list[str]) -> None:
    with refuses(ValueError, *words):
        mmd_critic(vectors, **settings)


def test_normalisation_is_a_point_by_point_layer() -> None:
    backbone = nn.Sequential(Normalize([0.5], [0.5]), nn.Conv2d(1, 32, 3))
    assert receptive_boxes(backbone, (1, 1), (9, 9)).tolist() == [[0, 0, 3, 3]]
