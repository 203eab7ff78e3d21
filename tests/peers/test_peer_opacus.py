"""Clipped, summed gradients are Opacus's, of its hooks and of its ghost clipping, and so are steps without noise."""

import copy
import warnings
from collections.abc import Iterator

import pytest
import torch
from dp_models import CASES, Case, clipped, make, norms_of, one_by_one, relative_error
from torch import Tensor, nn

from tml_helpers import privacy

opacus = pytest.importorskip("opacus", reason="the extra [peers] is not installed")
from opacus.grad_sample import GradSampleModule, GradSampleModuleFastGradientClipping  # noqa: E402
from opacus.optimizers import DPOptimizer, DPOptimizerFastGradientClipping  # noqa: E402
from opacus.utils.fast_gradient_clipping_utils import DPTensorFastGradientClipping  # noqa: E402

# Where Opacus 1.6 stops, or differs
# it pads with zeros, and moves the row of padding_idx, which PyTorch leaves as it is
WRONG = {"convolution, reflect", "convolution, replicate", "convolution, circular", "a sequence with padding"}
UNKNOWN = {"a residual layer", "a norm without shift"}  # a layer called by keyword; LayerNorm(bias=False)
CALLED_OFTEN = {"a recurrent network", "a layer called twice"}  # refused by ghost clipping as tied


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def copied(model: nn.Module) -> nn.Module:
    """A copy in training mode, without layers in place, which Opacus's hooks cannot bear."""
    other = copy.deepcopy(model).train()
    for layer in other.modules():
        if isinstance(layer, nn.ReLU):
            layer.inplace = False
    return other


def of_hooks(case: Case, clip_norm: float) -> dict[str, Tensor]:
    """Opacus with each example's gradient."""
    model = GradSampleModule(copied(case.model), loss_reduction="sum", strict=False)
    sgd = torch.optim.SGD(model.parameters(), lr=0.0)
    optimizer = DPOptimizer(
        sgd, noise_multiplier=0.0, max_grad_norm=clip_norm, expected_batch_size=1, loss_reduction="sum"
    )
    case.loss(model(case.inputs), case.labels).sum().backward()
    optimizer.pre_step()
    return {name.removeprefix("_module."): p.grad for name, p in model.named_parameters()}


def of_ghosts(case: Case, clip_norm: float) -> dict[str, Tensor]:
    """Opacus with ghost clipping."""
    model = GradSampleModuleFastGradientClipping(
        copied(case.model), loss_reduction="sum", strict=False, max_grad_norm=clip_norm
    )
    sgd = torch.optim.SGD(model.parameters(), lr=0.0)
    optimizer = DPOptimizerFastGradientClipping(
        sgd, noise_multiplier=0.0, max_grad_norm=clip_norm, expected_batch_size=1, loss_reduction="sum"
    )
    losses = case.loss(model(case.inputs), case.labels)
    DPTensorFastGradientClipping(model, optimizer, losses, loss_reduction="sum").backward()
    optimizer.pre_step()
    return {name.removeprefix("_module."): p.grad for name, p in model.named_parameters()}


def clip_norm_of(case: Case) -> float:
    """One that clips about half of the examples."""
    return float(privacy.gradient_norms(case.model, case.inputs, case.labels, loss=case.loss).median()) * 1.01


def ours(case: Case, clip_norm: float) -> dict[str, Tensor]:
    return privacy.clipped_gradient_sum(case.model, case.inputs, case.labels, clip_norm=clip_norm, loss=case.loss)


@pytest.mark.parametrize("name", [name for name in CASES if name not in WRONG | UNKNOWN])
def test_hooks(name: str) -> None:
    case = make(name)
    clip_norm = clip_norm_of(case)
    assert relative_error(ours(case, clip_norm), of_hooks(case, clip_norm)) < 1e-5


@pytest.mark.parametrize("name", [name for name in CASES if name not in WRONG | UNKNOWN | CALLED_OFTEN])
def test_ghost_clipping(name: str) -> None:
    case = make(name)
    clip_norm = clip_norm_of(case)
    assert relative_error(ours(case, clip_norm), of_ghosts(case, clip_norm)) < 1e-5


@pytest.mark.parametrize("name", sorted(WRONG))
def test_where_opacus_pads_in_another_way_a_loop_decides(name: str) -> None:
    case = make(name)
    clip_norm = clip_norm_of(case)
    loop = clipped(one_by_one(case), clip_norm)
    assert relative_error(ours(case, clip_norm), loop) < 1e-5
    assert relative_error(of_hooks(case, clip_norm), loop) > 0.01


def test_five_steps_without_noise_on_the_whole_data_set_are_opacus_s() -> None:
    """q = 1 leaves nothing to chance; Adam, as an optimiser with a memory."""
    case = make("norms")
    peer = GradSampleModule(copied(case.model), loss_reduction="mean", strict=False)
    optimizer = DPOptimizer(
        torch.optim.Adam(peer.parameters(), lr=0.01),
        noise_multiplier=0.0,
        max_grad_norm=0.7,
        expected_batch_size=len(case.inputs),
    )
    trainer = privacy.DPTrainer(
        case.model,
        clip_norm=0.7,
        noise_multiplier=0.0,
        sample_rate=1.0,
        optimizer=torch.optim.Adam(case.model.parameters(), lr=0.01),
    )
    for _ in range(5):
        nn.functional.cross_entropy(peer(case.inputs), case.labels).backward()
        optimizer.step()
        optimizer.zero_grad()
    trainer.fit(case.inputs, case.labels, steps=5)
    for one, other in zip(case.model.parameters(), peer.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


def test_the_noise_is_as_large_as_opacus_s() -> None:
    """The loss of every example is 0, so that a step is noise alone: σ C / (q N) a coordinate, by both, to 3 %."""
    steps = {}
    for name in ("ours", "Opacus"):
        model = nn.Linear(200, 200, bias=False)
        before = model.weight.detach().clone()
        rows, labels = torch.zeros(50, 200), torch.zeros(50, dtype=torch.int64)
        if name == "ours":
            trainer = privacy.DPTrainer(
                model,
                clip_norm=0.5,
                noise_multiplier=3.0,
                sample_rate=0.4,
                learning_rate=1.0,
                generator=torch.Generator().manual_seed(1),
            )
            trainer.step(rows, labels)
        else:
            peer = GradSampleModule(model)
            optimizer = DPOptimizer(
                torch.optim.SGD(peer.parameters(), lr=1.0),
                noise_multiplier=3.0,
                max_grad_norm=0.5,
                expected_batch_size=20,
                generator=torch.Generator().manual_seed(1),
            )
            nn.functional.cross_entropy(peer(rows[:17]), labels[:17]).backward()
            optimizer.step()
        steps[name] = float((model.weight - before).std())
    assert steps["ours"] == pytest.approx(3.0 * 0.5 / 20, rel=0.03)
    assert steps["Opacus"] == pytest.approx(steps["ours"], rel=0.03)


def test_norms_are_those_of_a_loop_where_opacus_has_none() -> None:
    """Attention is refused by name here; Opacus asks to replace it by a layer of its own."""
    with pytest.raises(ValueError, match="MultiheadAttention"):
        privacy.gradient_norms(nn.MultiheadAttention(4, 2), torch.randn(3, 4, 4), torch.tensor([0, 1, 0]))
    assert opacus.validators.ModuleValidator.validate(nn.MultiheadAttention(4, 2))
    case = make("a recurrent network")
    torch.testing.assert_close(
        privacy.gradient_norms(case.model, case.inputs, case.labels, loss=case.loss), norms_of(one_by_one(case))
    )


def test_what_both_refuse() -> None:
    """Opacus's validator and we: batch normalisation, and running statistics."""
    for layer in (nn.BatchNorm2d(3), nn.InstanceNorm2d(3, track_running_stats=True, affine=True)):
        model = nn.Sequential(nn.Conv2d(2, 3, 3), layer)
        assert opacus.validators.ModuleValidator.validate(model)
        with pytest.raises(ValueError, match=type(layer).__name__):
            privacy.DPTrainer(model, clip_norm=1.0, noise_multiplier=1.0, sample_rate=0.5)
