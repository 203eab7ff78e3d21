"""Training against closed forms and scikit-learn; interrupted training against training that was not."""

import itertools
import random
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from bad_input import full_disk, refuses
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

from tml_helpers import common, data
from tml_helpers.common import evaluating
from tml_helpers.training import Checkpoint, accuracy, batches, fit, own_optimizer, predict, seed_everything


def numbers(count: int) -> TensorDataset:
    return TensorDataset(torch.arange(count, dtype=torch.float32).unsqueeze(1))


class Loaded(Dataset[tuple[Tensor, ...]]):
    """The same samples through a `DataLoader`: any data set that is not a `TensorDataset`."""

    def __init__(self, tensors: TensorDataset) -> None:
        self.tensors = tensors

    def __len__(self) -> int:
        return len(self.tensors)

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        return self.tensors[index]


def dropout_network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 3))


def blobs(count: int = 40) -> TensorDataset:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(count) % 3
    return TensorDataset(torch.randn(count, 5, generator=generator) + labels.unsqueeze(1), labels)


def same(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


# --- what fit computes ---


def test_fit_reaches_scikit_learns_optimum() -> None:
    from sklearn.linear_model import LogisticRegression

    digits = data.digits("test").select(slice(200))
    images, labels = digits.images.flatten(1), digits.labels
    ridge = 0.02  # mean cross-entropy + ridge/2 · ‖W‖²: strictly convex in W
    theirs = LogisticRegression(C=1 / (ridge * len(images)), tol=1e-8, max_iter=10_000)
    theirs.fit(images.double().numpy(), labels.numpy())
    model = nn.Linear(64, 10)
    decay = [{"params": [model.weight], "weight_decay": ridge}, {"params": [model.bias]}]
    fit(
        model,
        TensorDataset(images, labels),
        epochs=1500,
        optimizer=torch.optim.SGD(decay, lr=0.5, momentum=0.9),
        batch_size=200,
    )
    np.testing.assert_allclose(model.weight.detach().numpy(), theirs.coef_, atol=1e-3)


def test_the_history_is_the_mean_over_samples_and_not_over_batches() -> None:
    model = nn.Linear(1, 1)
    nn.init.ones_(model.weight)
    nn.init.zeros_(model.bias)
    frozen = torch.optim.SGD(model.parameters(), lr=0.0)
    history = fit(model, numbers(10), epochs=2, batch_size=4, optimizer=frozen, loss=lambda m, x: m(x).mean())
    assert history == pytest.approx([4.5, 4.5])  # (0 + 1 + … + 9) / 10, in batches of 4, 4 and 2


def seen_in(samples: Dataset[tuple[Tensor, ...]], epochs: int, batch_size: int, seed: int = 0) -> list[list[float]]:
    """The samples that the loss was given, epoch by epoch."""
    seen: list[float] = []

    def watch(model: nn.Module, x: Tensor) -> Tensor:
        assert len(x) <= batch_size
        seen.extend(x.flatten().tolist())
        return model(x).mean()

    generator = torch.Generator().manual_seed(seed)
    fit(nn.Linear(1, 1), samples, epochs=epochs, batch_size=batch_size, loss=watch, generator=generator)
    each = len(seen) // epochs
    return [seen[k * each : (k + 1) * each] for k in range(epochs)]


@pytest.mark.parametrize("wrap", [lambda d: d, Loaded])
@given(count=st.integers(1, 40), batch_size=st.integers(1, 50), epochs=st.integers(1, 3))
def test_every_epoch_sees_every_sample_once(
    wrap: Callable[[TensorDataset], Dataset[tuple[Tensor, ...]]], count: int, batch_size: int, epochs: int
) -> None:
    for epoch in seen_in(wrap(numbers(count)), epochs, batch_size):
        assert sorted(epoch) == list(range(count))


@pytest.mark.parametrize("wrap", [lambda d: d, Loaded])
def test_the_generator_alone_decides_the_order(
    wrap: Callable[[TensorDataset], Dataset[tuple[Tensor, ...]]],
) -> None:
    samples = wrap(numbers(50))
    torch.manual_seed(1)
    first = seen_in(samples, 2, 50, seed=3)
    torch.manual_seed(2)
    assert seen_in(samples, 2, 50, seed=3) == first
    assert first[0] != first[1], "each epoch has an order of its own"
    assert seen_in(samples, 2, 50, seed=4) != first


def test_a_data_loader_keeps_its_own_batches() -> None:
    batches: list[list[float]] = []

    def watch(model: nn.Module, x: Tensor) -> Tensor:
        batches.append(x.flatten().tolist())
        return model(x).mean()

    fit(nn.Linear(1, 1), DataLoader(numbers(7), batch_size=3), epochs=1, batch_size=2, loss=watch)
    assert batches == [[0, 1, 2], [3, 4, 5], [6]]


def train_with(seed: int) -> nn.Module:
    generator = seed_everything(seed)
    model = dropout_network()
    fit(model, blobs(), epochs=3, batch_size=16, generator=generator)
    return model


def test_the_same_seed_gives_the_same_network() -> None:
    assert same(train_with(1), train_with(1))
    assert not same(train_with(1), train_with(2))


def test_without_a_generator_the_seed_of_torch_decides() -> None:
    def train(seed: int) -> nn.Module:
        torch.manual_seed(seed)
        model = dropout_network()
        fit(model, blobs(), epochs=2, batch_size=16)
        return model

    one = train(1)
    assert same(one, train(1))
    assert not same(one, train(2))
    torch.manual_seed(1)
    model = dropout_network()
    torch.manual_seed(2)
    fit(model, blobs(), epochs=2, batch_size=16)
    assert not same(one, model), "the same start, batches in another order"


def test_without_a_generator_each_training_has_an_order_of_its_own() -> None:
    def order(model: nn.Module) -> list[float]:
        seen: list[float] = []
        fit(model, numbers(50), epochs=1, loss=lambda m, x: seen.extend(x.flatten().tolist()) or m(x).mean())  # type: ignore[func-returns-value]
        return seen

    torch.manual_seed(1)
    model = nn.Linear(1, 1)
    first, second = order(model), order(model)
    torch.manual_seed(1)
    model = nn.Linear(1, 1)
    assert order(model) == first != second
    assert sorted(first) == list(range(50))


def test_a_data_loader_that_fit_makes_draws_on_the_cpu_whatever_the_generator(monkeypatch: pytest.MonkeyPatch) -> None:
    """A generator on a GPU cannot shuffle there: the loader gets an offspring."""
    made: list[torch.Generator] = []

    class Watched(DataLoader[object]):
        def __init__(self, *given: object, generator: torch.Generator, **how: object) -> None:
            made.append(generator)
            super().__init__(*given, generator=generator, **how)  # type: ignore[arg-type]

    monkeypatch.setattr("tml_helpers.training.DataLoader", Watched)
    generator = torch.Generator().manual_seed(0)
    assert len(list(batches(Loaded(numbers(4)), batch_size=2, generator=generator))) == 2
    assert made[0] is not generator
    assert made[0].device == torch.device("cpu")


def test_fit_trains_in_training_mode() -> None:
    modes = []

    def watch(model: nn.Module, x: Tensor, _: Tensor) -> Tensor:
        modes.append(model.training)
        return model(x).mean()

    fit(dropout_network().eval(), blobs(), epochs=1, loss=watch)
    assert modes == [True]


def test_seed_everything_seeds_python_numpy_and_torch() -> None:
    def draw(seed: int) -> tuple[float, ...]:
        generator = seed_everything(seed)
        return random.random(), np.random.rand(), torch.rand(()).item(), torch.rand((), generator=generator).item()

    first, again, other = draw(5), draw(5), draw(6)
    assert first == again
    assert all(a != b for a, b in zip(first, other, strict=True))


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_that_numpy_cannot_take_is_refused(seed: int) -> None:
    with refuses(ValueError, "from 0 to 2³² − 1", str(seed)):
        seed_everything(seed)


@pytest.mark.parametrize(("progress", "shown"), [(True, True), (False, False), (None, False)])
def test_a_bar_is_shown_where_asked_and_not_in_a_file(
    progress: bool | None, shown: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    fit(nn.Linear(1, 1), numbers(4), epochs=2, loss=lambda m, x: m(x).mean(), progress=progress)
    captured = capsys.readouterr()
    assert ("epochs" in captured.err) == shown
    assert captured.out == ""


# --- refusals ---


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"epochs": -1}, ("epochs", "-1")),
        ({"epochs": 1, "batch_size": 0}, ("batch_size", "0")),
        (
            {"epochs": 1, "optimizer": torch.optim.SGD([torch.zeros(1)]), "learning_rate": 0.1},
            ("learning_rate", "an optimizer is given"),
        ),
        ({"epochs": 1, "data": numbers(0)}, ("empty",)),
        ({"epochs": 0, "learning_rate": -0.1}, ("learning_rate must be 0 or more", "-0.1")),
        ({"epochs": 0, "learning_rate": float("inf")}, ("learning_rate", "finite", "inf")),
        ({"epochs": 0, "learning_rate": float("nan")}, ("learning_rate", "finite", "nan")),
    ],
)
def test_fit_refuses(arguments: dict[str, object], words: tuple[str, ...]) -> None:
    with refuses(ValueError, *words):
        fit(nn.Linear(1, 1), **{"data": numbers(3), "loss": lambda m, x: m(x).mean(), **arguments})


@pytest.mark.parametrize("rate", [True, "fast", torch.tensor(0.1)])
def test_a_learning_rate_that_is_no_number(rate: float) -> None:
    with refuses(TypeError, "learning_rate must be a number"):
        fit(nn.Linear(1, 1), numbers(3), epochs=0, learning_rate=rate)


@pytest.mark.parametrize("samples", [torch.zeros(3, 1), (torch.zeros(3, 1), torch.zeros(3)), [torch.zeros(3, 1)] * 2])
def test_tensors_are_no_data_set(samples: TensorDataset) -> None:
    with refuses(TypeError, "must be a data set or a loader", type(samples).__name__, "TensorDataset"):
        fit(nn.Linear(1, 1), samples, epochs=1, loss=lambda m, x: m(x).mean())


@pytest.mark.parametrize("samples", [Loaded(numbers(0)), DataLoader(numbers(3), batch_size=5, drop_last=True)])
def test_an_empty_data_set_of_any_kind_is_refused(samples: Dataset[tuple[Tensor, ...]]) -> None:
    with refuses(ValueError):
        fit(nn.Linear(1, 1), samples, epochs=1, loss=lambda m, x: m(x).mean())


@pytest.mark.parametrize(("value", "name"), [(float("nan"), "nan"), (float("inf"), "inf")])
def test_a_loss_that_is_not_finite_stops_and_spares_the_checkpoint(tmp_path: Path, value: float, name: str) -> None:
    model, file, calls = nn.Linear(1, 1), tmp_path / "run.pt", itertools.count(1)

    def loss(model: nn.Module, x: Tensor) -> Tensor:
        return model(x).mean() * (value if next(calls) == 3 else 1)

    with refuses(ValueError, name, "epoch 3", "lower the learning rate"):
        fit(model, numbers(4), epochs=5, loss=loss, checkpoint=file)
    assert not any(torch.isfinite(p).all() for p in model.parameters()), "the trial must have spoilt the network"
    assert len(Checkpoint(file, model, torch.optim.Adam(model.parameters()), torch.Generator()).load()) == 2
    assert all(torch.isfinite(p).all() for p in model.parameters())


# --- a model without parameters ---


class Scaled(nn.Module):
    """A model without parameters or buffers: its logits are twice the inputs."""

    def forward(self, x: Tensor) -> Tensor:
        return 2 * x


def test_a_model_without_parameters_is_asked_where_the_images_are() -> None:
    images = torch.rand(5, 3)
    torch.testing.assert_close(predict(Scaled(), images, batch_size=2), 2 * images)
    assert predict(Scaled(), images.to("meta")).device.type == "meta"
    assert accuracy(Scaled(), TensorDataset(images, images.argmax(dim=1))) == 1


def test_a_model_without_parameters_lets_what_its_loss_uses_be_trained() -> None:
    weight = nn.Parameter(torch.tensor(1.0))
    how = {"epochs": 3, "batch_size": 2, "loss": lambda model, x: (weight * model(x)).mean()}
    fit(Scaled(), numbers(4), optimizer=torch.optim.SGD([weight], lr=0.1), **how)
    assert weight.item() == pytest.approx(1 - 0.1 * 2 * 3 * 3)  # 3 epochs of 2 batches, of means 2x that add up to 6
    with refuses(ValueError, "no parameters to train", "pass an optimizer"):
        fit(Scaled(), numbers(4), **how)


def test_batches_go_to_where_the_model_is() -> None:
    seen: list[torch.device] = []

    class There(nn.Module):
        """A model that has a buffer alone, on a device without numbers."""

        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("level", torch.zeros(1, device="meta"))

        def forward(self, x: Tensor) -> Tensor:
            seen.append(x.device)
            return x

    predict(There(), torch.rand(3, 2))
    weight = nn.Parameter(torch.tensor(1.0))
    fit(
        There(),
        numbers(3),
        epochs=1,
        optimizer=torch.optim.SGD([weight], lr=0.1),
        loss=lambda model, x: weight * len(model(x)),
    )
    assert {device.type for device in seen} == {"meta"}


def test_an_optimizer_is_taken_as_it_is_and_adam_where_there_is_none() -> None:
    model = dropout_network()
    given = torch.optim.SGD(model.parameters(), lr=0.5)
    assert own_optimizer(model, optimizer=given, learning_rate=None) is given
    for rate, expected in ((None, 1e-3), (0.25, 0.25)):
        made = own_optimizer(model, optimizer=None, learning_rate=rate)
        assert isinstance(made, torch.optim.Adam)
        (group,) = made.param_groups
        assert group["lr"] == expected
        assert group["params"] == list(model.parameters())


def test_adams_learning_rate_is_a_thousandth_unless_given() -> None:
    networks = []
    for how in ({}, {"learning_rate": 1e-3}, {"learning_rate": 1e-2}):
        torch.manual_seed(0)
        networks.append(dropout_network().eval())
        fit(networks[-1], blobs(), epochs=1, generator=torch.Generator().manual_seed(0), **how)
    assert same(networks[0], networks[1])
    assert not same(networks[0], networks[2])


@pytest.mark.parametrize("samples", [numbers(3), Loaded(numbers(3)), DataLoader(numbers(3))])
def test_a_seed_is_no_generator(samples: Dataset[tuple[Tensor, ...]]) -> None:
    with refuses(TypeError, "generator", "got 0", "manual_seed"):
        fit(nn.Linear(1, 1), samples, epochs=1, loss=lambda m, x: m(x).mean(), generator=0)  # type: ignore[arg-type]


# --- measuring ---


@given(count=st.integers(1, 30), seed=st.integers(0, 99), batch_size=st.integers(1, 40))
def test_accuracy_is_scikit_learns(count: int, seed: int, batch_size: int) -> None:
    from sklearn.metrics import accuracy_score

    generator = torch.Generator().manual_seed(seed)
    images, labels = torch.randn(count, 4, generator=generator), torch.randint(4, (count,), generator=generator)
    model = nn.Linear(4, 4, bias=False)
    with torch.no_grad():
        model.weight.copy_(torch.eye(4))
    ours = accuracy(model, TensorDataset(images, labels), batch_size=batch_size)
    assert ours == pytest.approx(accuracy_score(labels.numpy(), images.numpy().argmax(axis=1)))


def test_predict_is_in_evaluation_mode_without_gradients_whatever_the_batches() -> None:
    model, images = dropout_network().train(), torch.randn(23, 5)
    whole = predict(model, images)
    assert not whole.requires_grad
    torch.testing.assert_close(predict(model, images, batch_size=4), whole)
    torch.testing.assert_close(model.eval()(images), whole)


@pytest.mark.parametrize("fails", [False, True])
def test_evaluating_restores_the_mode_of_every_layer(fails: bool) -> None:
    model = dropout_network().train()
    model[0].eval()  # a frozen layer
    before = [layer.training for layer in model.modules()]
    try:
        with evaluating(model):
            assert not any(layer.training for layer in model.modules())
            if fails:
                raise KeyboardInterrupt
    except KeyboardInterrupt:
        pass
    assert [layer.training for layer in model.modules()] == before
    assert len(set(before)) == 2


def test_nothing_can_be_predicted_from_nothing() -> None:
    with refuses(ValueError, "no images"):
        accuracy(nn.Linear(1, 2), TensorDataset(torch.empty(0, 1), torch.empty(0, dtype=torch.int64)))


def test_a_model_that_returns_more_than_logits() -> None:
    class Twice(nn.Module):
        def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
            return images, images

    with refuses(TypeError, "the model must return one tensor", "tuple"):
        predict(Twice(), torch.zeros(3, 2))


# --- checkpoints ---


def run(
    file: Path | None, epochs: int, *, seed: int, wrap: Callable[[TensorDataset], object], stop_after: int = 10**9
) -> tuple[nn.Module, list[float]]:
    """Train with dropout and Adam; `stop_after` batches the process is interrupted."""
    generator = seed_everything(seed)
    model, calls = dropout_network(), itertools.count(1)

    def loss(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        if next(calls) > stop_after:
            raise KeyboardInterrupt
        return nn.functional.cross_entropy(model(x), y)

    samples = wrap(blobs())
    history = fit(model, samples, epochs=epochs, batch_size=16, loss=loss, generator=generator, checkpoint=file)
    return model, history


@pytest.mark.parametrize("wrap", [lambda d: d, Loaded, lambda d: DataLoader(d, batch_size=16, shuffle=True)])
@pytest.mark.parametrize("stop_after", [1, 4, 6, 14])
def test_interrupted_training_ends_as_if_it_had_not_been(
    tmp_path: Path, wrap: Callable[[TensorDataset], object], stop_after: int
) -> None:
    whole, history = run(None, 5, seed=1, wrap=wrap)  # 3 batches an epoch
    file = tmp_path / "new folder/run.pt"
    with pytest.raises(KeyboardInterrupt):
        run(file, 5, seed=1, wrap=wrap, stop_after=stop_after)
    # Another process starts with other weights and other random numbers, unless no epoch was finished.
    resumed, again = run(file, 5, seed=2 if stop_after > 3 else 1, wrap=wrap)
    assert same(resumed, whole)
    assert again == history


def test_what_is_finished_is_not_trained_again(tmp_path: Path) -> None:
    file = tmp_path / "run.pt"
    whole, history = run(file, 3, seed=1, wrap=lambda d: d)
    again, same_history = run(file, 3, seed=2, wrap=lambda d: d, stop_after=0)
    assert same(again, whole)
    assert same_history == history


def checkpoint(file: Path, model: nn.Module | None = None) -> Checkpoint:
    model = model or nn.Linear(3, 2)
    return Checkpoint(file, model, torch.optim.Adam(model.parameters()), torch.Generator())


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    file = tmp_path / "run.pt"
    checkpoint(file).save([0.5])
    return file


def assert_refused(file: Path, model: nn.Module | None = None) -> None:
    with refuses(ValueError, str(file), "damaged or belongs to another model", "remove it"):
        checkpoint(file, model).load()


def test_a_checkpoint_that_is_cut_anywhere_is_refused(saved: Path) -> None:
    whole = saved.read_bytes()
    for length in range(0, len(whole), 97):
        saved.write_bytes(whole[:length])
        assert_refused(saved)


@pytest.mark.parametrize(
    "content",
    [b"hello", b"(", b"\x80\x02}q\x00.", b"\x80\x02K\x01.", b"PK\x03\x04" + bytes(99)],
    ids=["text", "one byte", "an empty dictionary", "a number", "a zip file's head"],
)
def test_a_file_that_is_no_checkpoint_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "run.pt"
    file.write_bytes(content)
    assert_refused(file)


@pytest.mark.filterwarnings("ignore:Using a non-tuple sequence")  # a tensor that is asked for its history
@pytest.mark.parametrize("thing", [3, [1.0], {}, {"history": [1.0]}, torch.ones(3), nn.Linear(3, 2).state_dict()])
def test_something_else_that_torch_saved_is_refused(tmp_path: Path, thing: object) -> None:
    file = tmp_path / "run.pt"
    torch.save(thing, file)
    assert_refused(file)


def test_another_models_checkpoint_is_refused(saved: Path) -> None:
    assert_refused(saved, nn.Linear(4, 2))
    assert_refused(saved, dropout_network())


def test_a_full_disk_leaves_the_former_checkpoint_and_nothing_half_written(saved: Path) -> None:
    former, size = saved.read_bytes(), saved.stat().st_size
    for room in (0, 10, size // 2, size - 1):
        with full_disk(after=room), refuses(OSError, str(saved), "free disk space"):
            checkpoint(saved).save([0.5, 0.4])
        assert saved.read_bytes() == former
        assert list(saved.parent.iterdir()) == [saved]


KILLED = """
    import os, sys, time
    from pathlib import Path
    import torch
    from tml_helpers.training import Checkpoint

    file, delays = Path(sys.argv[1]), sys.argv[2:]

    def make(value):
        model = torch.nn.Linear(300, 300)
        torch.nn.init.constant_(model.weight, value)
        return Checkpoint(file, model, torch.optim.SGD(model.parameters(), lr=0.1), torch.Generator())

    def save_for_ever(start):
        for count in range(start, 10**9):
            make(count).save([float(count)] * count)

    count = 1
    make(count).save([1.0])
    for delay in delays:  # one import of torch serves all lives
        child = os.fork()
        if not child:
            save_for_ever(count + 1)
        time.sleep(float(delay))
        os.kill(child, 9)
        os.waitpid(child, 0)
        found = make(0)
        history = found.load()  # raises where the file is not whole
        assert len(history) >= count and set(history) == {float(len(history))}, history
        assert bool((found.model.weight == len(history)).all()), "weights of one save, history of another"
        count = len(history)
    print(count)
"""


def test_a_checkpoint_is_whole_whenever_its_writer_is_killed(tmp_path: Path) -> None:
    file = tmp_path / "run.pt"
    draw = random.Random(0)
    delays = [f"{draw.uniform(0.01, 0.08):.4f}" for _ in range(25)]
    script = [sys.executable, "-c", textwrap.dedent(KILLED), str(file), *delays]
    done = subprocess.run(script, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 1, "no life was long enough for one save"
    checkpoint(file, nn.Linear(300, 300)).save([1.0])
    assert list(tmp_path.iterdir()) == [file], "the next save must take the place of what a kill left"


def test_a_network_that_works_in_place_leaves_the_images_alone() -> None:
    """`nn.ReLU(inplace=True)` as the first layer would otherwise write into the caller's images."""
    images = -torch.ones(5, 4)
    model = nn.Sequential(nn.ReLU(inplace=True), nn.Linear(4, 2))
    predict(model, images, batch_size=2)
    common.representations(model, images, ["1"], batch_size=2)
    assert torch.equal(images, -torch.ones(5, 4))
