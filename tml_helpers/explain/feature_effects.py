"""Linear and logistic regression, read term by term: weights with their errors, and what each adds to one answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np

from tml_helpers.common import check_absent

Design = tuple[tuple[str, ...], np.ndarray, np.ndarray]  # terms, the feature of each, columns [N, p]


class Columns(Protocol):
    """Named columns: a frame of pandas, a dict of arrays."""

    def keys(self) -> Any:
        """The names, in order.

        Returns:
            What can be iterated over.
        """

    def __getitem__(self, name: str, /) -> Any: ...


@dataclass(frozen=True, eq=False)
class FeatureEffects:
    """A fitted linear score β₀ + Σⱼ βⱼ xⱼ, term by term."""

    terms: tuple[str, ...]
    """`[p]`: the intercept, then the features, a category with one term for each level but the first."""
    weights: np.ndarray
    """β of each term, `[p]`."""
    standard_errors: np.ndarray
    """Theirs, `[p]`."""
    t_values: np.ndarray
    """Weight by standard error, `[p]`."""
    intervals: np.ndarray
    """The confidence interval of each weight, (low, high), `[p, 2]`."""
    features: tuple[str, ...]
    """`[d]`."""
    effects: np.ndarray
    """What each feature adds to the score of each instance of the training data, `[N, d]`: βⱼ · xⱼ for a number, the
    weight of its level for a category."""
    kind: str
    """"linear" or "logistic"."""
    levels: Mapping[str, tuple[str, ...]] = field(repr=False)
    """Of each category, the first being the one that the others are compared with."""

    def effects_of(self, features: np.ndarray | Columns) -> np.ndarray:
        """βⱼ · xⱼ: the effects of other instances.

        Args:
            features: as of `feature_effects`, with the same names.

        Returns:
            `[M, d]`, in the unit of the score.

        Raises:
            ValueError: other features, or a level that the training data did not have.
        """
        columns = _columns(features, self.features)
        missing = [name for name in self.features if name not in columns]
        if missing or len(columns) != len(self.features):
            raise ValueError(f"features must be {', '.join(self.features)}, got {', '.join(columns)}")
        _, owners, design = _design({name: columns[name] for name in self.features}, self.levels)
        weighted = design * self.weights[1:]
        return np.column_stack([weighted[:, owners == j].sum(axis=1) for j in range(len(self.features))])

    def predict(self, features: np.ndarray | Columns) -> np.ndarray:
        """β₀ + Σⱼ βⱼ xⱼ, or its logistic function.

        Args:
            features: as of `effects_of`.

        Returns:
            `[M]`: the linear model's answers, or the logistic model's probabilities of class 1.
        """
        from scipy import special

        score = self.weights[0] + self.effects_of(features).sum(axis=1)
        return np.asarray(score if self.kind == "linear" else special.expit(score))


def feature_effects(
    features: np.ndarray | Columns,
    target: np.ndarray,
    *,
    model: Literal["linear", "logistic"] = "linear",
    names: Sequence[str] | None = None,
    levels: Mapping[str, Sequence[str]] | None = None,
    confidence: float = 0.95,
) -> FeatureEffects:
    """f(x) = β₀ + Σⱼ βⱼ xⱼ by maximum likelihood; the effect of feature j on instance i is βⱼ · xᵢⱼ.

    Standard errors are the classical ones (equal variance; inverse Fisher information). Intervals come from Student's
    t, or from the normal law for a logistic model.

    Args:
        features: columns by name (a frame of pandas, a dict), or a matrix `[N, d]`. Columns of words or booleans
            are categories, of which each level but the first gets a weight of its own, compared with the first.
        target: `[N]`, finite numbers, or 0 and 1 for a logistic model.
        model: `"linear"`, or `"logistic"`, whose score is the logarithm of the odds of class 1.
        names: of a matrix's columns; x0, x1, … unless given.
        levels: of categories, by the column's name, the first being the one to compare with; those of a categorical
            column, or the words in the order of the alphabet, unless given.
        confidence: of the intervals, above 0 and below 1.

    Returns:
        Weights, errors, intervals and effects.

    Raises:
        ValueError: weights or errors do not exist (a constant column, one that follows from others, classes that a
            plane separates, values that are not finite, fewer than p + 1 instances), or names that do not fit.

    Derived in: lectures/40_interpretability/self_explaining
    """
    from scipy import stats

    if model not in ("linear", "logistic"):
        raise ValueError(f"model must be 'linear' or 'logistic', got {model!r}")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, got {confidence}")
    if hasattr(features, "keys"):
        check_absent("the columns have names", names=names)
    columns = _columns(features, names)
    if unknown := set(levels or {}) - set(columns):
        raise ValueError(f"levels are of columns, but {min(unknown)} is none of {', '.join(columns)}")
    known = {name: tuple(map(str, given)) for name, given in (levels or _categories(features)).items()}
    known |= {name: _levels_of(c) for name, c in columns.items() if name not in known and c.dtype.kind not in "iuf"}
    known = {name: known[name] for name in columns if name in known}
    terms, owners, design = _design(columns, known)
    y = _target(target, len(design), model)
    _check_rank(terms, design)
    shift, scale = design.mean(axis=0), design.std(axis=0)
    standard = np.column_stack([np.ones(len(design)), (design - shift) / scale])  # well conditioned
    weights, covariance = (_least_squares if model == "linear" else _newton)(standard, y)
    back = np.diag(np.concatenate([[1.0], 1 / scale]))
    back[0, 1:] = -shift / scale
    weights, covariance = back @ weights, back @ covariance @ back.T
    errors = np.sqrt(np.diag(covariance))
    law = stats.t(len(design) - len(weights)) if model == "linear" else stats.norm()
    reach = law.ppf((1 + confidence) / 2) * errors
    with np.errstate(divide="ignore", invalid="ignore"):  # a perfect fit has no errors
        t_values = np.where(errors > 0, weights / errors, np.sign(weights) * np.inf)
    weighted = design * weights[1:]
    return FeatureEffects(
        terms=("intercept", *terms),
        weights=weights,
        standard_errors=errors,
        t_values=t_values,
        intervals=np.column_stack([weights - reach, weights + reach]),
        features=tuple(columns),
        effects=np.column_stack([weighted[:, owners == j].sum(axis=1) for j in range(len(columns))]),
        kind=model,
        levels=known,
    )


def _columns(features: np.ndarray | Columns, names: Sequence[str] | None) -> dict[str, np.ndarray]:
    """Every column by its name, all of one length."""
    if hasattr(features, "keys"):
        columns = {str(name): np.asarray(features[name]) for name in features.keys()}  # noqa: SIM118
    else:
        matrix = np.asarray(features)
        if matrix.ndim != 2:
            raise ValueError(f"features must be named columns or a matrix [N, d], got shape {list(matrix.shape)}")
        names = tuple(names or (f"x{j}" for j in range(matrix.shape[1])))
        if len(set(names)) != matrix.shape[1]:
            raise ValueError(f"names must be {matrix.shape[1]} different words, got {len(set(names))}")
        columns = dict(zip(names, matrix.T, strict=True))
    shapes = {column.shape for column in columns.values()}
    if len(shapes) != 1 or len(next(iter(shapes))) != 1:
        raise ValueError(f"features must be one or more columns of one length, got shapes {sorted(shapes)}")
    return columns


def _categories(features: np.ndarray | Columns) -> dict[str, Any]:
    """The categories of a frame's categorical columns, by name."""
    columns = {name: features[name] for name in features.keys()} if hasattr(features, "keys") else {}  # noqa: SIM118
    return {name: column.cat.categories for name, column in columns.items() if hasattr(column, "cat")}


def _levels_of(column: np.ndarray) -> tuple[str, ...]:
    return tuple(sorted({str(word) for word in column}))


def _design(columns: Mapping[str, np.ndarray], levels: Mapping[str, tuple[str, ...]]) -> Design:
    """Numbers as they are; a category as one column of 0 and 1 for each level but the first."""
    terms: list[str] = []
    owners: list[int] = []
    parts: list[np.ndarray] = []
    for place, (name, column) in enumerate(columns.items()):
        if name in levels:
            words = np.array([str(word) for word in column])
            unknown = sorted(set(words) - set(levels[name]))
            if unknown:
                raise ValueError(f"{name} has the unknown level {unknown[0]!r}: it has {', '.join(levels[name])}")
            new = [(f"{name}: {level}", (words == level).astype(np.float64)) for level in levels[name][1:]]
            new = new or [(name, np.zeros(len(words)))]
        else:
            if column.dtype.kind not in "iuf":
                raise ValueError(f"{name} must be a column of numbers, got {column.dtype}")
            new = [(name, column.astype(np.float64))]
        terms += [term for term, _ in new]
        parts += [part for _, part in new]
        owners += [place] * len(new)
    design = np.column_stack(parts)
    if not np.isfinite(design).all():
        raise ValueError("features must be finite numbers, got NaN or infinity")
    return tuple(terms), np.array(owners), design


def _target(target: np.ndarray, count: int, model: str) -> np.ndarray:
    y = np.asarray(target)
    if y.shape != (count,) or y.dtype.kind not in "biuf" or not np.isfinite(y).all():
        raise ValueError(f"target must be {count} finite numbers, one an instance, got {y.dtype} of shape {[*y.shape]}")
    y = y.astype(np.float64)
    if model == "logistic" and set(np.unique(y)) != {0.0, 1.0}:
        raise ValueError("target of a logistic model must hold both classes as 0 and 1, and nothing else")
    return y


def _check_rank(terms: tuple[str, ...], design: np.ndarray) -> None:
    """Each column must say something that the intercept and the others do not."""
    from scipy import linalg

    count, width = design.shape
    if count < width + 2:
        raise ValueError(f"{width + 1} weights and their errors need at least {width + 2} instances, got {count}")
    centred = design - design.mean(axis=0)
    sizes = np.linalg.norm(centred, axis=0)
    constant = sizes <= 1e-10 * (np.abs(design).max(axis=0) + 1e-300) * np.sqrt(count)
    if constant.any():
        raise ValueError(f"{terms[int(constant.argmax())]} is constant, as the intercept is: leave it out")
    (triangle, order) = linalg.qr(centred / sizes, mode="r", pivoting=True)[-2:]
    left = np.abs(np.diag(triangle)) < 1e-8
    if left.any():
        raise ValueError(f"{terms[order[int(left.argmax())]]} follows from other columns: leave one of them out")


def _least_squares(design: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """β = (XᵀX)⁻¹ Xᵀy and its covariance s² (XᵀX)⁻¹."""
    inverse = np.linalg.inv(design.T @ design)
    weights = np.linalg.lstsq(design, y, rcond=None)[0]
    variance = np.sum((y - design @ weights) ** 2) / (len(y) - design.shape[1])
    return weights, variance * inverse


def _newton(design: np.ndarray, y: np.ndarray, steps: int = 50) -> tuple[np.ndarray, np.ndarray]:
    """Maximum likelihood, and the inverse of the Fisher information XᵀWX with W = p (1 − p)."""
    from scipy import special

    weights = np.zeros(design.shape[1])
    loss = np.inf
    for _ in range(steps):
        score = design @ weights
        p = special.expit(score)
        information = (design * (p * (1 - p))[:, None]).T @ design
        if np.linalg.cond(information) > 1e14:
            break
        step = np.linalg.solve(information, design.T @ (y - p))
        while (new := _log_loss(design @ (weights + step), y)) > loss + 1e-12 * abs(loss):
            step /= 2
        weights, loss = weights + step, new
        if np.abs(design @ step).max() < 1e-9:
            return weights, np.linalg.inv(information)
    raise ValueError("a plane separates the two classes, so the weights grow without end: leave columns out")


def _log_loss(score: np.ndarray, y: np.ndarray) -> float:
    """−log likelihood of 0 and 1 under the logits `score`."""
    return float(np.sum(np.logaddexp(0, score) - y * score))
