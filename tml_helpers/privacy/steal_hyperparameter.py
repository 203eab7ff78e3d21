"""Stealing a penalty: at a minimum the loss pulls exactly as hard as the penalty, so one gives the other away."""

import warnings
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from scipy.special import expit, softmax

from tml_helpers.privacy._numbers import as_array, check_finite, read_array
from tml_helpers.privacy.stealing import StealingWarning

Objective = Literal["ridge", "lasso", "logistic", "softmax"]
Reduction = Literal["sum", "mean"]

LARGEST = 0.01
"""The share of the pull that may be left over before the weights are no minimum."""


def steal_hyperparameter(
    weights: Any,
    inputs: Any,
    outputs: Any,
    *,
    objective: Objective,
    bias: Any = None,
    reduction: Reduction = "sum",
) -> float:
    """λ = −∇L·∇R / ‖∇R‖², for at the minimum of L(w) + λ R(w) the gradient ∇L + λ ∇R is zero.

    There are as many equations as weights for one unknown, so this is least squares. What they are written for:

    - `"ridge"`: Σᵢ (yᵢ − wᵀxᵢ − b)² + λ ‖w‖². scikit-learn's `Ridge` has alpha = λ.
    - `"lasso"`: Σᵢ (yᵢ − wᵀxᵢ − b)² + λ ‖w‖₁, of whose weights those that are not 0 are used. `Lasso` has alpha = λ/2
      with `reduction="mean"`.
    - `"logistic"`, `"softmax"`: Σᵢ −log p(yᵢ | xᵢ) + λ ‖w‖². `LogisticRegression` has C = 1 / (2 λ).

    The bias b is not penalised. With `reduction="mean"` the sum is divided by the number of rows, and λ with it.

    Args:
        weights: w, as training left them: `[d]` or `[1, d]`; `[K, d]` for softmax.
        inputs: the rows that the model was trained on, `[N, d]`, as they went into training.
        outputs: their outcomes `[N]`: numbers; 0 or 1 for logistic, classes 0 … K − 1 for softmax.
        objective: what training made small.
        bias: b, as training left it: a number, `[K]` for softmax; None for a model without one.
        reduction: whether training adds the losses up, or takes their mean.

    Returns:
        λ. Warns where the gradient is not zero for this λ either (see `stationarity`), or where λ is not positive: then
        the weights are no minimum of this objective on these rows, and λ says nothing.

    Raises:
        TypeError: what is no number.
        ValueError: shapes that differ, NaN or infinity, labels that are none, an unknown objective or reduction, or
            weights that are all 0, at which the penalty pulls nowhere.

    Source: Wang and Gong, 2018. Derived in: lectures/60_privacy/inversion_and_stealing
    """
    pulls = _pulls(weights, inputs, outputs, objective=objective, bias=bias, reduction=reduction)
    if not pulls.penalty.any():
        raise ValueError("every weight is 0: there the penalty pulls nowhere, and its strength cannot be seen")
    penalty = float(-(pulls.loss @ pulls.penalty) / (pulls.penalty @ pulls.penalty))
    if penalty <= 0 or pulls.left(penalty) > LARGEST:
        warnings.warn(
            f"λ = {penalty:.4g} leaves {pulls.left(penalty):.0%} of the loss's gradient: the weights are no minimum of "
            "this objective on these rows. Is it another objective, is the bias missing, or did training stop early?",
            StealingWarning,
            stacklevel=2,
        )
    return penalty


def stationarity(
    weights: Any,
    inputs: Any,
    outputs: Any,
    *,
    objective: Objective,
    penalty: float,
    bias: Any = None,
    reduction: Reduction = "sum",
) -> float:
    """‖∇L + λ ∇R‖ / ‖∇L‖: 0 at a minimum, and about 1 or more where λ explains nothing.

    The gradient is that of the weights (for the lasso of those that are not 0) and, if there is one, of the bias, over
    that of the weights alone. With a single weight and no bias it is 0 for the λ that `steal_hyperparameter` returns,
    whatever the weight is: one equation with one unknown checks nothing.

    Args:
        weights, inputs, outputs, objective: as of `steal_hyperparameter`.
        penalty: λ, finite.
        bias, reduction: as of `steal_hyperparameter`.

    Returns:
        0 or more; 0 where neither loss nor penalty pulls.

    Raises:
        TypeError, ValueError: as of `steal_hyperparameter`.

    Source: Wang and Gong, 2018. Derived in: lectures/60_privacy/inversion_and_stealing
    """
    check_finite(penalty=penalty)
    return _pulls(weights, inputs, outputs, objective=objective, bias=bias, reduction=reduction).left(float(penalty))


@dataclass(frozen=True, eq=False)
class _Pulls:
    """Gradients at the weights: of the loss, of the penalty for λ = 1, and of the loss with respect to the bias."""

    loss: np.ndarray
    penalty: np.ndarray
    bias: np.ndarray

    def left(self, penalty: float) -> float:
        both = np.concatenate([self.loss + penalty * self.penalty, self.bias])
        size, whole = float(np.linalg.norm(both)), float(np.linalg.norm(self.loss))
        return size / whole if whole else (np.inf if size else 0.0)


def _pulls(weights: Any, inputs: Any, outputs: Any, *, objective: Objective, bias: Any, reduction: Reduction) -> _Pulls:
    if objective not in get_args(Objective):
        raise ValueError(f"objective must be one of {', '.join(get_args(Objective))}, got {objective!r}")
    if reduction not in get_args(Reduction):
        raise ValueError(f"reduction must be one of {', '.join(get_args(Reduction))}, got {reduction!r}")
    x = _matrix("inputs", inputs)
    w = _weights(weights, x.shape[1], objective)
    y = _outputs(outputs, len(x), len(w), objective)
    b = np.zeros(len(w)) if bias is None else _column("bias", bias, len(w))
    slope = _slope(x @ w.T + b, y, objective)  # ∂loss/∂z of each row, [N, K]
    if reduction == "mean":
        slope = slope / len(x)
    by_weight, by_bias = slope.T @ x, slope.sum(axis=0)
    used = w != 0 if objective == "lasso" else np.full(w.shape, True)
    pull = np.sign(w) if objective == "lasso" else 2 * w
    return _Pulls(by_weight[used], pull[used], by_bias[:0] if bias is None else by_bias)


def _slope(z: np.ndarray, y: np.ndarray, objective: Objective) -> np.ndarray:
    """The derivative of a row's loss with respect to its value or logits, `[N, K]`."""
    slope: np.ndarray
    if objective in ("ridge", "lasso"):
        slope = 2 * (z - y[:, None])
    elif objective == "logistic":
        slope = expit(z) - y[:, None]
    else:
        slope = softmax(z, axis=1) - np.eye(z.shape[1])[y.astype(int)]
    return slope


def _matrix(name: str, values: Any) -> np.ndarray:
    array = as_array(name, values)
    if array.ndim != 2 or array.size == 0:
        raise ValueError(f"{name} must be a table [N, d] of at least one number, got shape {list(array.shape)}")
    if array.dtype.kind not in "iuf":
        raise TypeError(f"{name} must be numbers, got {array.dtype}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite, but there is NaN or infinity among them")
    return array.astype(np.float64)


def _weights(weights: Any, features: int, objective: Objective) -> np.ndarray:
    """`[K, d]`: one row, or one for each class."""
    array = as_array("weights", weights)
    w = _matrix("weights", array[None] if array.ndim == 1 else array)
    if w.shape[1] != features or (len(w) > 1) != (objective == "softmax"):
        form = f"[K, {features}], a row for each class" if objective == "softmax" else f"[{features}]"
        raise ValueError(f"weights must be {form}, as inputs and objective say, got {list(array.shape)}")
    return w


def _outputs(outputs: Any, rows: int, classes: int, objective: Objective) -> np.ndarray:
    y = _column("outputs", outputs, rows)
    if objective in ("logistic", "softmax"):
        most = 1 if objective == "logistic" else classes - 1
        wrong = y[(y != np.floor(y)) | (y < 0) | (y > most)]
        if len(wrong):
            raise ValueError(f"outputs of {objective} must be classes from 0 to {most}, got {wrong[0]:g}")
    return y


def _column(name: str, values: Any, length: int) -> np.ndarray:
    array = as_array(name, values)
    array = read_array(name, array.reshape(-1) if array.size == length else array)
    if len(array) != length:
        raise ValueError(f"{name} must have {length} values, got {len(array)}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite, but there is infinity among them")
    return array.astype(np.float64)
