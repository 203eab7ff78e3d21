"""Distillation across modalities: whose input goes where, and that an answer stays with its pair."""

import copy
from typing import Any

import pytest
import torch
from bad_input import refuses
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset, TensorDataset

from tml_helpers.distillation import cross_modal, distill
from tml_helpers.models import MLP
from tml_helpers.training import predict, seed_everything


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures(number: int = 24) -> Tensor:
    return torch.rand(number, 1, 4, 4, generator=seeded(1))


def readings(number: int = 24) -> Tensor:
    """The same things as a row of five sensors saw them."""
    return torch.randn(number, 5, generator=seeded(2))


def labels(number: int = 24) -> Tensor:
    return torch.randint(10, (number,), generator=seeded(3))


def seer(seed: int = 0) -> MLP:
    seed_everything(seed)
    return MLP(in_features=16)


def reader(seed: int = 1) -> nn.Module:
    seed_everything(seed)
    return nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 10))


def taught(pairs: Dataset[Any] | DataLoader[Any], teacher: nn.Module | None = None, **how: Any) -> dict[str, Tensor]:
    student = reader()
    cross_modal(student, teacher or seer(), pairs, **{"epochs": 1, "batch_size": 24, "generator": seeded()} | how)
    return student.state_dict()


def same(one: dict[str, Tensor], other: dict[str, Tensor], within: float = 1e-6) -> None:
    for name, value in one.items():
        torch.testing.assert_close(other[name], value, atol=within, rtol=0)


@pytest.mark.parametrize("alpha", [1.0, 0.7, 0.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_one_step_follows_the_gradient_of_the_formula(alpha: float, dtype: torch.dtype) -> None:
    a, b, y = pictures().to(dtype), readings().to(dtype), labels()
    teacher, student, learner = seer().to(dtype), reader().to(dtype), reader().to(dtype)
    answers, logits = teacher(a).detach(), learner(b)
    soft = F.kl_div(F.log_softmax(logits / 3, 1), F.softmax(answers / 3, 1), reduction="batchmean")
    loss = alpha * 9 * soft + (1 - alpha) * F.cross_entropy(logits, y)
    loss.backward()
    torch.optim.Adam(learner.parameters(), lr=0.01).step()
    how = {"temperature": 3.0, "alpha": alpha, "epochs": 1, "learning_rate": 0.01, "batch_size": 24}
    history = cross_modal(student, teacher, TensorDataset(a, b, y), **how)
    assert history == pytest.approx([loss.item()], rel=1e-5)
    same(learner.state_dict(), student.state_dict())


def test_an_answer_stays_with_its_pair_however_the_pairs_are_shuffled() -> None:
    """knowledge-distillation-pytorch #17: answers were taken in one order, and the batches came in another."""
    things = torch.eye(12)
    teacher, student = nn.Linear(12, 4), nn.Linear(12, 4)
    with torch.no_grad():
        teacher.weight.copy_(3 * torch.randn(4, 12, generator=seeded(4)))
    backwards = things.flip(1)  # the second modality: each thing has a code of its own in it
    how = {"temperature": 1.0, "epochs": 200, "learning_rate": 0.1, "batch_size": 5, "generator": seeded()}
    cross_modal(student, teacher, TensorDataset(things, backwards), **how)
    p, q = F.softmax(predict(student, backwards), dim=1), F.softmax(predict(teacher, things), dim=1)
    assert (p - q).abs().max() < 0.05


def test_one_modality_alone_is_distillation() -> None:
    a, y = pictures(), labels()
    teacher, students = seer(0), [seer(1), seer(1)]
    how: dict[str, Any] = {"temperature": 2.0, "alpha": 0.6, "epochs": 3, "batch_size": 7}
    losses = cross_modal(students[0], teacher, TensorDataset(a, a, y), generator=seeded(), **how)
    assert losses == pytest.approx(distill(students[1], teacher, TensorDataset(a, y), generator=seeded(), **how))
    same(students[0].state_dict(), students[1].state_dict())


@pytest.mark.parametrize("labelled", [True, False])
def test_a_loader_and_a_data_set_teach_the_same(labelled: bool) -> None:
    pairs = TensorDataset(pictures(), readings(), *[labels()] * labelled)
    alpha = 0.5 if labelled else 1.0
    at_once = taught(pairs, alpha=alpha)
    same(at_once, taught(DataLoader(pairs, batch_size=24), alpha=alpha))


def test_a_data_set_that_is_no_tensor_data_set() -> None:
    class Things(Dataset[tuple[Tensor, Tensor]]):
        def __len__(self) -> int:
            return 24

        def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
            return pictures()[index], readings()[index]

    same(taught(TensorDataset(pictures(), readings())), taught(Things()))


def test_the_teachers_answer_alone_needs_and_hears_no_label() -> None:
    without = taught(TensorDataset(pictures(), readings()))
    with_labels = taught(TensorDataset(pictures(), readings(), labels()))
    same(without, with_labels, within=0)


@pytest.mark.parametrize("as_loader", [True, False])
def test_the_teacher_answers_in_evaluation_mode_and_stays_as_it_is(as_loader: bool) -> None:
    """vrvlive/knowlege-distillation #2: nobody had called eval() on the teacher."""
    teacher = nn.Sequential(seer(), nn.Dropout(0.9), nn.BatchNorm1d(10)).train()
    teacher[1].eval()
    for parameter in teacher.parameters():
        parameter.grad = torch.full_like(parameter, 7.0)
    before = copy.deepcopy(teacher.state_dict())
    pairs = TensorDataset(pictures(), readings())
    given = DataLoader(pairs, batch_size=24) if as_loader else pairs
    same(taught(given, teacher), taught(given, teacher), within=1e-7)
    assert [m.training for m in teacher] == [True, False, True]
    assert all(p.grad is not None and bool((p.grad == 7).all()) for p in teacher.parameters())
    for name, value in before.items():
        torch.testing.assert_close(teacher.state_dict()[name], value, atol=0, rtol=0)


def test_a_second_modality_may_be_words() -> None:
    words = torch.randint(50, (24, 6), generator=seeded(5))
    seed_everything(0)
    student = nn.Sequential(nn.EmbeddingBag(50, 4), nn.Linear(4, 10))
    history = cross_modal(student, seer(), TensorDataset(pictures(), words), epochs=30, learning_rate=0.05)
    assert history[-1] < history[0]


def test_batch_size_epochs_and_generator_are_handed_on() -> None:
    sizes: list[int] = []
    student = reader()
    student.register_forward_hook(lambda _, inputs, __: sizes.append(len(inputs[0])))
    pairs = TensorDataset(pictures(), readings())
    assert len(cross_modal(student, seer(), pairs, epochs=2, batch_size=10, generator=seeded())) == 2
    assert sizes == [10, 10, 4] * 2
    shuffled = [taught(pairs, batch_size=5, generator=seeded(k)) for k in (0, 0, 1)]
    same(shuffled[0], shuffled[1], within=0)
    assert not torch.equal(shuffled[0]["0.weight"], shuffled[2]["0.weight"])


def test_what_is_no_pair() -> None:
    with refuses(ValueError, "got 1 tensor"):
        taught(TensorDataset(pictures()))
    with refuses(ValueError, "got 4 tensors"):
        taught(TensorDataset(pictures(), readings(), labels(), labels()))
    with refuses(ValueError, "got 1 tensor"):
        taught(DataLoader(TensorDataset(pictures())))
    with refuses(ValueError, "no images"):
        taught(TensorDataset(pictures()[:0], readings()[:0]))
    with refuses(ValueError, "labels"):
        taught(TensorDataset(pictures(), readings()), alpha=0.5)
    narrow = nn.Sequential(nn.Flatten(), nn.Linear(16, 7))
    with refuses(ValueError, "(24, 10)", "(24, 7)"):
        taught(TensorDataset(pictures(), readings()), narrow)


@pytest.mark.parametrize(
    ("how", "error"),
    [
        ({"temperature": 0.0}, ValueError),
        ({"temperature": -2.0}, ValueError),
        ({"temperature": float("nan")}, ValueError),
        ({"alpha": 1.5}, ValueError),
        ({"alpha": -0.1}, ValueError),
        ({"alpha": True}, TypeError),
        ({"temperature": "4"}, TypeError),
        ({"temperature": 0.0, "epochs": 0}, ValueError),
        ({"learning_rate": float("inf")}, ValueError),
        ({"learning_rate": "fast"}, TypeError),
        ({"epochs": -1}, ValueError),
        ({"epochs": 1.5}, TypeError),
        ({"batch_size": 0}, ValueError),
        ({"generator": 3}, TypeError),
    ],
)
def test_numbers_out_of_their_range(how: dict[str, Any], error: type[Exception]) -> None:
    with refuses(error, next(iter(how))):
        taught(TensorDataset(pictures(), readings(), labels()), **how)


@pytest.mark.parametrize("as_loader", [True, False])
def test_networks_that_do_not_fit(as_loader: bool) -> None:
    data = TensorDataset(pictures(), pictures())
    given = DataLoader(data, batch_size=24) if as_loader else data
    teacher = seer()
    with refuses(ValueError, "student and teacher share parameters"):
        cross_modal(teacher, teacher, given, epochs=1)
    with refuses(TypeError, "teacher must be a torch.nn.Module", "function"):
        cross_modal(seer(1), lambda images: images, given, epochs=1)  # type: ignore[arg-type]
    with torch.no_grad():
        teacher.layers[2].weight[0, 0] = float("nan")
    with refuses(ValueError, "the teacher's answers are NaN"):
        cross_modal(seer(1), teacher, given, epochs=1)


def test_two_tensors_are_no_pairs() -> None:
    """A loader would have made a batch of the two and shuffled them: the teacher saw either."""
    pair: Any = (pictures(), pictures())
    with refuses(TypeError, "must be a data set or a loader, got a tuple"):
        cross_modal(seer(1), seer(), pair, epochs=1)


def test_what_is_not_given_is_the_teacher_alone() -> None:
    """T = 4, α = 1, and 128 pairs at a time by Adam at 0.001."""
    data = TensorDataset(pictures(130), readings(130), labels(130))
    given = {"temperature": 4.0, "alpha": 1.0, "learning_rate": 1e-3, "batch_size": 128}
    states, sizes = [], []
    for how in ({}, given):
        student = reader()
        student.register_forward_hook(lambda _, inputs, __: sizes.append(len(inputs[0])))
        cross_modal(student, seer(), data, epochs=1, generator=seeded(), **how)
        states.append(student.state_dict())
    assert sizes == [128, 2] * 2
    same(*states, within=0)
