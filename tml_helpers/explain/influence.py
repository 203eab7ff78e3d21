"""Which training samples a prediction rests on: what would change if one of them had not been there."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn import functional as F

from tml_helpers.common import check_absent, check_counts, check_labels, evaluating

Parameters = dict[str, Tensor]
"""The model's parameters by their names."""

LARGEST_HESSIAN = 10_000
"""Parameters: the exact Hessian of so many is 400 MB of float32."""

VECTORS_AT_ONCE = 64
"""Products H·v that are computed together: enough to keep matrix products busy, few enough for memory."""


def influence(
    model: nn.Module,
    inputs: Tensor,
    labels: Tensor,
    *,
    test_inputs: Tensor,
    test_labels: Tensor,
    loss: Callable[[Tensor, Tensor], Tensor] = F.cross_entropy,
    regulariser: Callable[[Parameters], Tensor] | None = None,
    parameters: Sequence[str] | None = None,
    damping: float = 0.0,
    solver: str = "exact",
    tolerance: float | None = None,
    iterations: int | None = None,
    batch_size: int = 512,
) -> Tensor:
    """∇L(z_test)ᵀ (H + λI)⁻¹ ∇L(z_train) / n: by how much the test loss would rise without that training sample.

    This is −1/n times Koh and Liang's influence of up-weighting. H is the Hessian of what training made small, the mean
    of `loss(model(inputs), labels)` over the n training samples + `regulariser(parameters)`, at the model's parameters,
    which should be its minimum. Removing a sample leaves the weight of the others, 1/n, and the regulariser as they
    are. The model answers in evaluation mode; its parameters and their gradients are untouched.

    Args:
        model: any function of its inputs that can be differentiated twice.
        inputs: the training samples, `[n, …]`, finite floats of the model's type, where it is.
        labels: theirs, `[n, …]`: int64 classes `[n]` for cross-entropy, or what `loss` takes.
        test_inputs, test_labels: `[M, …]`, the samples whose loss is asked about, of the same kind.
        loss: `loss(outputs, labels)`, one number, the mean over a batch.
        regulariser: of the parameters by name, one number; None for none.
        parameters: the names of those that training would change, all unless given: for a deep network often those of
            its last layer.
        damping: λ, 0 or more.
        solver: `"exact"` builds H, for up to 10,000 parameters; `"conjugate_gradients"` never does.
        tolerance: of conjugate gradients, relative, above 0; 1e-6 unless given.
        iterations: of conjugate gradients, products H·v at most, 1 or more; 1000 unless given.
        batch_size: how many samples go through the model at a time.

    Returns:
        `[M, n]`, a row for each test sample. Positive: a helpful sample, the test loss rises when it is removed;
        negative: a harmful one.

    Raises:
        TypeError: another kind, type or device than the model's.
        ValueError: H + λI is not positive definite (no minimum: train on, or raise `damping`), conjugate gradients do
            not arrive, shapes do not fit, a name is unknown, or an argument has no meaning for the solver.

    Source: Koh and Liang, 2017. Derived in: lectures/40_interpretability/examples_and_counterfactuals
    """
    _check(inputs, labels, test_inputs, test_labels, loss)
    if not damping >= 0:
        raise ValueError(f"damping must be 0 or more, got {damping}")
    if solver == "exact":
        check_absent("the solver is exact", tolerance=tolerance, iterations=iterations)
    elif solver != "conjugate_gradients":
        raise ValueError(f"solver must be exact or conjugate_gradients, got {solver!r}")
    tolerance, iterations = 1e-6 if tolerance is None else tolerance, 1000 if iterations is None else iterations
    check_counts(batch_size=batch_size, iterations=iterations)
    if not tolerance > 0:
        raise ValueError(f"tolerance must be above 0, got {tolerance}")
    objective = _Objective(model, inputs, labels, loss, regulariser, parameters, damping, batch_size)
    with evaluating(model):
        objective.check(test_labels)
        test_gradients = torch.cat(list(objective.gradients(test_inputs, test_labels)))  # (M, parameters)
        if solver == "exact":
            solved = _solve_exactly(objective, test_gradients)
        else:
            solved = _conjugate_gradients(objective.products, test_gradients, tolerance, iterations)
        rows = [solved @ part.T for part in objective.gradients(inputs, labels)]
    return torch.cat(rows, dim=1) / len(inputs)


class _Objective:
    """What training made small, as a function of one flat vector of the chosen parameters."""

    def __init__(
        self,
        model: nn.Module,
        inputs: Tensor,
        labels: Tensor,
        loss: Callable[[Tensor, Tensor], Tensor],
        regulariser: Callable[[Parameters], Tensor] | None,
        chosen: Sequence[str] | None,
        damping: float,
        batch_size: int,
    ) -> None:
        everything = {name: value.detach() for name, value in model.named_parameters()}
        names = list(everything) if chosen is None else list(chosen)
        unknown = [name for name in names if name not in everything]
        if unknown or not names:
            raise ValueError(f"parameters must be names among {', '.join(everything) or 'none'}, got {names}")
        self.model, self.inputs, self.labels, self.loss = model, inputs, labels, loss
        self.regulariser, self.damping, self.batch_size = regulariser, damping, batch_size
        self.everything = everything
        self.shapes = {name: everything[name].shape for name in names}
        self.point = torch.cat([everything[name].flatten() for name in names])

    def named(self, point: Tensor) -> Parameters:
        pieces = point.split([shape.numel() for shape in self.shapes.values()])
        changed = {name: piece.view(shape) for (name, shape), piece in zip(self.shapes.items(), pieces, strict=True)}
        return self.everything | changed

    def mean_loss(self, point: Tensor, inputs: Tensor, labels: Tensor) -> Tensor:
        return self.loss(functional_call(self.model, self.named(point), (inputs,)), labels)

    def check(self, test_labels: Tensor) -> None:
        """One sentence instead of what torch says later, for labels, losses and models that do not fit."""
        if (self.point.dtype, self.point.device) != (self.inputs.dtype, self.inputs.device):
            raise TypeError(
                f"the model is {self.point.dtype} on {self.point.device}, but the inputs are {self.inputs.dtype} on "
                f"{self.inputs.device}: move one to the other's device and type"
            )
        with torch.no_grad():
            outputs = self.model(self.inputs[:1])
            if self.loss is F.cross_entropy:
                largest = max(int(self.labels.max()), int(test_labels.max()))
                if outputs.ndim != 2 or largest >= outputs.shape[1]:
                    raise ValueError(
                        f"the model must return logits [N, K] with K above the largest label, {largest}, "
                        f"got shape {list(outputs.shape)}"
                    )
            value = self.loss(outputs, self.labels[:1])
        if value.numel() != 1 or not torch.isfinite(value).all():
            raise ValueError(f"the loss must be one finite number, the mean over a batch, got {value.tolist()}")

    def gradients(self, inputs: Tensor, labels: Tensor) -> Iterator[Tensor]:
        """∇L of each sample, in parts `[batch_size, parameters]`."""

        def of_one(sample: Tensor, label: Tensor) -> Tensor:
            gradient: Tensor = grad(self.mean_loss)(self.point, sample[None], label[None])
            return gradient

        for some, their_labels in self.batches(inputs, labels):
            part: Tensor = vmap(of_one)(some, their_labels)
            if not torch.isfinite(part).all():
                raise ValueError("the gradient of the loss is not finite for some samples: has the model been trained?")
            yield part

    def batches(self, inputs: Tensor, labels: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        yield from zip(inputs.split(self.batch_size), labels.split(self.batch_size), strict=True)

    def products(self, vectors: Tensor) -> Tensor:
        """(H + λI) v for each row v, `[V, parameters]`: the gradient of (gradient · v), batch by batch."""
        total = self.damping * vectors
        for inputs, labels in self.batches(self.inputs, self.labels):
            share = len(inputs) / len(self.inputs)
            total = total + share * _products(
                partial(self.mean_loss, inputs=inputs, labels=labels), self.point, vectors
            )
        if self.regulariser is not None:
            total = total + _products(partial(self.penalty, self.regulariser), self.point, vectors)
        return total

    def penalty(self, regulariser: Callable[[Parameters], Tensor], point: Tensor) -> Tensor:
        return regulariser(self.named(point))


def _products(function: Callable[[Tensor], Tensor], point: Tensor, vectors: Tensor) -> Tensor:
    """∇²function(point) v for each row v of `vectors`."""

    def product(vector: Tensor) -> Tensor:
        result: Tensor = grad(lambda place: grad(function)(place) @ vector)(point)
        return result

    products: Tensor = vmap(product, chunk_size=VECTORS_AT_ONCE)(vectors)
    return products


def _solve_exactly(objective: _Objective, right: Tensor) -> Tensor:
    """The rows v of (H + λI) v = right, with H column by column, and its Cholesky factor."""
    size = len(objective.point)
    if size > LARGEST_HESSIAN:
        raise ValueError(
            f"the exact Hessian of {size} parameters would hold {size**2:.1e} numbers: "
            "pass solver='conjugate_gradients', or name fewer parameters, as the last layer's"
        )
    hessian = objective.products(torch.eye(size, dtype=right.dtype, device=right.device))
    hessian = (hessian + hessian.T) / 2
    if not torch.isfinite(hessian).all():
        raise ValueError("the Hessian is not finite: can the loss be differentiated twice?")
    factor, failed = torch.linalg.cholesky_ex(hessian)
    pivots = factor.diagonal().square()
    if failed or not pivots.min() > size * torch.finfo(right.dtype).eps * hessian.diagonal().max():
        least = float(torch.linalg.eigvalsh(hessian)[0])
        raise ValueError(f"H + damping is not positive definite, {_remedy(f'its least eigenvalue is {least:.2g}')}")
    return torch.cholesky_solve(right.T, factor).T


def _conjugate_gradients(
    products: Callable[[Tensor], Tensor], right: Tensor, tolerance: float, iterations: int
) -> Tensor:
    """The rows v of A v = right, all at once, until each residual is `tolerance` times its right-hand side."""
    solution, residual, direction = torch.zeros_like(right), right, right
    square = residual.square().sum(dim=1)
    goal = tolerance**2 * square
    for _ in range(iterations):
        active = (square > goal).nonzero().flatten()
        if len(active) == 0:
            return solution
        image = products(direction[active])
        curvature = (direction[active] * image).sum(dim=1)
        if not (curvature > 0).all():
            raise ValueError(
                f"H + damping is not positive definite, {_remedy('a direction curves down or not at all')}"
            )
        step = (square[active] / curvature)[:, None]
        solution = solution.index_add(0, active, step * direction[active])
        residual = residual.index_add(0, active, -step * image)
        following = residual.square().sum(dim=1)
        ratio = torch.where(square > goal, following / square.clamp_min(torch.finfo(right.dtype).tiny), 0)
        direction, square = residual + ratio[:, None] * direction, following
    if (square > goal).any():
        raise ValueError(
            f"conjugate gradients did not reach the tolerance {tolerance:g} in {iterations} iterations: "
            "raise damping or iterations"
        )
    return solution


def _remedy(what: str) -> str:
    return f"{what}: train the model to a minimum, with a regulariser, or raise damping"


def _check(
    inputs: Tensor,
    labels: Tensor,
    test_inputs: Tensor,
    test_labels: Tensor,
    loss: Callable[[Tensor, Tensor], Tensor],
) -> None:
    tensors = {"inputs": inputs, "labels": labels, "test_inputs": test_inputs, "test_labels": test_labels}
    for name, value in tensors.items():
        if not isinstance(value, Tensor):
            raise TypeError(f"{name} must be a tensor, got {type(value).__name__}")
        if value.device != inputs.device:
            raise ValueError(f"{name} must be on {inputs.device}, as the inputs are, got {value.device}")
    for prefix, given, theirs in (("", inputs, labels), ("test_", test_inputs, test_labels)):
        if not given.is_floating_point():
            raise TypeError(f"{prefix}inputs must be floats, got {given.dtype}")
        if given.ndim < 1 or len(given) == 0 or theirs.shape[:1] != given.shape[:1]:
            raise ValueError(
                f"{prefix}inputs and {prefix}labels must have one row for each sample, at least one, "
                f"got shapes {list(given.shape)} and {list(theirs.shape)}"
            )
        if not torch.isfinite(given).all():
            raise ValueError(f"{prefix}inputs must be finite, but some values are not")
        if loss is F.cross_entropy:
            check_labels(f"{prefix}labels", theirs, given)
    if inputs.shape[1:] != test_inputs.shape[1:]:
        raise ValueError(
            f"inputs and test_inputs must have one shape, got {list(inputs.shape[1:])} "
            f"and {list(test_inputs.shape[1:])}"
        )
