"""Online distillation: one step of each student by hand, what no student may notice, and that all of them gain."""

import copy
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from bad_input import refuses
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset, TensorDataset

from tml_helpers.data import digits
from tml_helpers.distillation import distill_online
from tml_helpers.models import MLP, SmallCNN
from tml_helpers.training import accuracy, fit, predict, seed_everything


def images_and_labels(number: int = 24) -> TensorDataset:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(number, 1, 4, 4, generator=generator)
    return TensorDataset(images, torch.randint(10, (number,), generator=generator))


def linear(seed: int, hidden: tuple[int, ...] = ()) -> MLP:
    seed_everything(seed)
    return MLP(*hidden, in_features=16)


def soft_loss(logits: Tensor, answer: Tensor, temperature: float) -> Tensor:
    """T²·KL(answer ‖ own), mean over the batch and not over the classes (AlignedReID #42)."""
    log_p = F.log_softmax(logits / temperature, dim=1)
    q = F.softmax(answer / temperature, dim=1)
    return temperature**2 * (q * (q.log() - log_p)).sum(dim=1).mean()


def lowest(logits: list[Tensor], labels: Tensor) -> Tensor:
    """What KDCL's MinLogit says, one image and class at a time."""
    rows = [
        [min(float(z[n, k] - z[n, y]) for z in logits) for k in range(z0.numel())]
        for n, (z0, y) in enumerate(zip(logits[0], labels, strict=True))
    ]
    return torch.tensor(rows, dtype=logits[0].dtype)


def by_hand(
    models: list[nn.Module], batches: list[list[Tensor]], *, temperature: float, alpha: float, answer: str = "peers"
) -> list[list[float]]:
    """In turn, for each batch: ask all as they are now, differentiate the formula, move one student."""
    optimizers = [torch.optim.Adam(model.parameters(), lr=1e-3) for model in models]
    losses: list[list[float]] = [[] for _ in models]
    for images, labels in batches:
        for own, (model, optimizer) in enumerate(zip(models, optimizers, strict=True)):
            logits = model(images)
            now = [other(images).detach() for other in models]
            heard = [lowest(now, labels)] if answer == "min_logit" else [z for m, z in enumerate(now) if m != own]
            soft = torch.stack([soft_loss(logits, z, temperature) for z in heard]).mean()
            loss = alpha * soft + (1 - alpha) * F.cross_entropy(logits, labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses[own].append(loss.item())
    return losses


def same_weights(found: nn.Module, expected: nn.Module, tolerance: float = 1e-6) -> None:
    for name, value in expected.state_dict().items():
        torch.testing.assert_close(found.state_dict()[name], value, atol=tolerance, rtol=0)


@pytest.mark.parametrize("answer", ["peers", "min_logit"])
@pytest.mark.parametrize("students", [2, 3])
def test_students_move_in_turn_along_the_gradient_of_the_formula(answer: Any, students: int) -> None:
    """The mean over the peers, not their sum (what Online-Knowledge-Distillation-via-Collaborative-Learning does), and
    a gradient that begins anew with each step; peers are constants (Deep-Mutual-Learning #5)."""
    data = images_and_labels()
    models: list[nn.Module] = [linear(m).double() for m in range(students)]
    expected = copy.deepcopy(models)
    doubles = TensorDataset(data.tensors[0].double(), data.tensors[1])
    loader = DataLoader(doubles, batch_size=10)  # the last batch has 4
    found = distill_online(models, loader, temperature=3.0, alpha=0.7, answer=answer, epochs=1)
    losses = by_hand(expected, list(loader), temperature=3.0, alpha=0.7, answer=answer)
    for model, other, history, steps in zip(models, expected, found, losses, strict=True):
        same_weights(model, other, 1e-9)
        assert history == [pytest.approx((10 * steps[0] + 10 * steps[1] + 4 * steps[2]) / 24, rel=1e-9)]


def test_by_default_it_is_the_papers_sum() -> None:
    """Cross-entropy + KL at T = 1; Adam does not notice the factor ½."""
    data = images_and_labels()
    pair: list[nn.Module] = [linear(0), linear(1)]
    expected = copy.deepcopy(pair)
    distill_online(pair, DataLoader(data, batch_size=24), epochs=1)
    images, labels = data.tensors
    for own in range(2):
        logits, peer = expected[own](images), expected[1 - own](images).detach()
        (F.cross_entropy(logits, labels) + soft_loss(logits, peer, 1.0)).backward()
        torch.optim.Adam(expected[own].parameters(), lr=1e-3).step()
        same_weights(pair[own], expected[own], 1e-5)


def test_without_peers_each_learns_as_if_it_were_alone() -> None:
    data = images_and_labels()
    together: list[nn.Module] = [linear(0, (5,)), linear(1)]
    alone = copy.deepcopy(together)
    how: dict[str, Any] = {"epochs": 3, "learning_rate": 0.01, "batch_size": 7}
    histories = distill_online(together, data, alpha=0.0, generator=torch.Generator().manual_seed(4), **how)
    for model, other, history in zip(together, alone, histories, strict=True):
        expected = fit(other, data, generator=torch.Generator().manual_seed(4), **how)
        assert history == pytest.approx(expected, rel=1e-4)
        same_weights(model, other, 1e-5)


class Listening(nn.Module):
    """A network with layers that act differently in training, which notes the mode in which it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(16), nn.Dropout(0.5), nn.Linear(16, 10))
        self.modes: list[tuple[bool, bool]] = []

    def forward(self, images: Tensor) -> Tensor:
        self.modes.append((self.layers[1].training, torch.is_grad_enabled()))
        logits: Tensor = self.layers(images)
        return logits


def test_a_student_is_asked_in_evaluation_mode_and_learns_in_training_mode() -> None:
    seed_everything(0)
    pair = [Listening(), Listening().eval()]
    distill_online(pair, images_and_labels(), epochs=2, batch_size=8)
    for student in pair:
        assert student.modes.count((True, True)) == 6  # one step for each batch
        assert set(student.modes) == {(True, True), (False, False)}
        assert int(student.layers[1].num_batches_tracked) == 6  # an answer leaves no trace in the running statistics
        assert all(module.training for module in student.modules())


def test_nothing_is_left_in_a_peers_gradient() -> None:
    """After the last step a student's gradient is that of its own loss, with nothing added by whoever heard it."""
    data = images_and_labels()
    pair: list[nn.Module] = [linear(0), linear(1)]
    images, labels = data.tensors
    start = copy.deepcopy(pair)
    distill_online(pair, DataLoader(data, batch_size=24), epochs=1)
    logits = start[0](images)
    (0.5 * F.cross_entropy(logits, labels) + 0.5 * soft_loss(logits, start[1](images).detach(), 1.0)).backward()
    for found, expected in zip(pair[0].parameters(), start[0].parameters(), strict=True):
        assert found.grad is not None
        torch.testing.assert_close(found.grad, expected.grad, atol=1e-6, rtol=1e-5)


def test_what_is_frozen_stays_and_does_not_count_as_shared() -> None:
    backbone = nn.Sequential(nn.Flatten(), nn.Linear(16, 8)).requires_grad_(False)
    before = copy.deepcopy(backbone)
    pair = [nn.Sequential(backbone, nn.ReLU(), nn.Linear(8, 10)) for _ in range(2)]
    distill_online(pair, images_and_labels(), epochs=1)
    same_weights(backbone, before, 0)


def test_students_of_any_build_and_any_data_set() -> None:
    class Pictures(Dataset[tuple[Tensor, Tensor]]):
        def __len__(self) -> int:
            return 20

        def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
            return torch.full((3, 32, 32), index / 20), torch.tensor(index % 7)

    seed_everything(0)
    convolutional = SmallCNN(3, 32, classes=7, width=2)
    flat = nn.Sequential(nn.AvgPool2d(8), nn.Flatten(), nn.Linear(48, 7))
    histories = distill_online(nn.ModuleList([convolutional, flat]), Pictures(), epochs=2, batch_size=8)
    assert [len(history) for history in histories] == [2, 2]
    assert all(math.isfinite(value) for history in histories for value in history)


def test_one_seed_gives_one_result_and_another_order_another() -> None:
    def after(seed: int) -> Tensor:
        pair = [linear(0), linear(1)]
        distill_online(pair, images_and_labels(), epochs=2, batch_size=5, generator=torch.Generator().manual_seed(seed))
        return pair[1].layers[2].weight.detach()

    torch.testing.assert_close(after(1), after(1), atol=0, rtol=0)
    assert (after(1) - after(2)).abs().max() > 1e-6


def test_with_no_label_they_agree() -> None:
    """α = 1, images alone: each goes to where the others are, and that is all that happens."""
    images, _ = images_and_labels(64).tensors
    trio: list[nn.Module] = [linear(m) for m in range(3)]

    def apart() -> float:
        first, *others = (F.softmax(predict(model, images), dim=1) for model in trio)
        return max(float((first - other).abs().max()) for other in others)

    before = apart()
    distill_online(trio, TensorDataset(images), alpha=1.0, epochs=150, learning_rate=0.02)
    assert before > 0.05
    assert apart() < 0.01


def test_nothing_happens_in_no_epoch() -> None:
    pair: list[nn.Module] = [linear(0), linear(1)]
    before = copy.deepcopy(pair)
    assert distill_online(pair, images_and_labels(), epochs=0) == [[], []]
    for model, other in zip(pair, before, strict=True):
        same_weights(model, other, 0)


def test_both_peers_gain_where_labels_are_wrong() -> None:
    """What a network memorises of wrong labels is its own, and its peer says something else."""
    train, test = digits("train"), digits("test")
    images, labels = train.select(slice(300)).tensors
    gains = []
    for seed in range(4):
        generator = seed_everything(seed)
        wrong = torch.rand(300, generator=generator) < 0.3
        noisy = torch.where(wrong, torch.randint(10, (300,), generator=generator), labels)
        alone: list[nn.Module] = [MLP(64, 64, in_features=64) for _ in range(2)]
        together = copy.deepcopy(alone)
        how: dict[str, Any] = {"epochs": 30, "learning_rate": 0.01, "batch_size": 64}
        for model in alone:
            fit(model, TensorDataset(images, noisy), generator=torch.Generator().manual_seed(seed), **how)
        order = torch.Generator().manual_seed(seed)
        distill_online(together, TensorDataset(images, noisy), alpha=0.7, generator=order, **how)
        gains.append([accuracy(b, test) - accuracy(a, test) for a, b in zip(alone, together, strict=True)])
    for of_peer in torch.tensor(gains).mean(dim=0):
        assert of_peer > 0.02  # 9 points, and 2 the standard deviation of a pair


# --- what is refused ---


def shared_head() -> list[nn.Module]:
    head = nn.Linear(16, 10)
    return [nn.Sequential(nn.Flatten(), head), nn.Sequential(nn.Flatten(), nn.Identity(), head)]


def one_twice() -> list[nn.Module]:
    return [linear(0)] * 2


MODELS: dict[str, tuple[Callable[[], Any], type[Exception], tuple[str, ...]]] = {
    "one": (lambda: [linear(0)], ValueError, ("two or more, got 1",)),
    "none": (list, ValueError, ("two or more, got 0",)),
    "a network and not a list": (lambda: linear(0), TypeError, ("list of two or more", "MLP")),
    "a chain of layers": (lambda: nn.Sequential(nn.Flatten(), nn.Linear(16, 10)), TypeError, ("one Sequential",)),
    "one twice": (one_twice, ValueError, ("models[0] and models[1] are the same module",)),
    "a common head": (shared_head, ValueError, ("models[0] and models[1] share parameters",)),
    "a teacher": (lambda: [linear(0), linear(1).requires_grad_(False)], ValueError, ("models[1]", "no parameter")),
    "no network": (lambda: [linear(0), "resnet"], TypeError, ("models[1]", "str")),
    "other classes": (
        lambda: [linear(0), MLP(in_features=16, classes=9)],
        ValueError,
        ("[24, 10]", "[24, 9]"),
    ),
}


@pytest.mark.parametrize("kind", MODELS)
def test_networks_that_cannot_learn_from_each_other(kind: str) -> None:
    make, error, words = MODELS[kind]
    with refuses(error, *words):
        distill_online(make(), images_and_labels(), epochs=1)


ARGUMENTS: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "T": ({"temperature": 0.0}, ValueError, "temperature must be a positive number"),
    "alpha": ({"alpha": 1.5}, ValueError, "alpha must lie in [0, 1], got 1.5"),
    "alpha, a word": ({"alpha": "0.5"}, TypeError, "alpha must be a number"),
    "rate": ({"learning_rate": math.inf}, ValueError, "learning_rate must be 0 or more and finite, got inf"),
    "answer": ({"answer": "mean"}, ValueError, "peers, min_logit, got 'mean'"),
    "epochs": ({"epochs": -1}, ValueError, "epochs"),
    "epochs, half": ({"epochs": 1.5}, TypeError, "epochs"),
    "batch": ({"batch_size": 0}, ValueError, "batch_size"),
    "seed": ({"generator": 3}, TypeError, "torch.Generator().manual_seed(seed)"),
}


@pytest.mark.parametrize("kind", ARGUMENTS)
def test_arguments_out_of_their_range(kind: str) -> None:
    wrong, error, words = ARGUMENTS[kind]
    with refuses(error, words):
        distill_online([linear(0), linear(1)], images_and_labels(), **({"epochs": 1} | wrong))


def test_a_loss_that_is_no_number_ends_the_training() -> None:
    data, pair = images_and_labels(), [linear(0, (5,)), linear(1, (5,))]  # two layers of 1e30 overflow
    with refuses(ValueError, "is nan in epoch", "lower the learning rate"):
        distill_online(pair, data, alpha=0.0, epochs=2, learning_rate=1e30)


def test_data_that_do_not_do() -> None:
    images, labels = images_and_labels().tensors
    pair: list[nn.Module] = [linear(0), linear(1)]
    with refuses(ValueError, "labels may be None only when alpha is 1"):
        distill_online(pair, TensorDataset(images), epochs=1)
    with refuses(ValueError, "min_logit needs labels"):
        distill_online(pair, TensorDataset(images), alpha=1.0, answer="min_logit", epochs=1)
    with refuses(ValueError, "empty"):
        distill_online(pair, TensorDataset(images[:0], labels[:0]), epochs=1)
    with refuses(ValueError, "no batch"):
        distill_online(pair, DataLoader(TensorDataset(images, labels), batch_size=50, drop_last=True), epochs=1)
    with refuses(ValueError, "models[0] is nan", "if the images are finite"):
        distill_online(pair, TensorDataset(images * math.nan, labels), epochs=1)
    with refuses(ValueError, "images and maybe labels, got 3 tensors"):
        distill_online(pair, TensorDataset(images, labels, labels), epochs=1)
    with refuses(TypeError, "must be a data set or a loader, got a tuple"):
        distill_online(pair, (images, labels), epochs=1)  # type: ignore[arg-type]
