"""Fairness on the CPU, beside Fairlearn, AIF360 and plain NumPy: rates by group, bootstrap, thresholds, weights.

python benchmarks/fairness.py [--rounds 2] [--only WORD]      writes results/fairness.json

Seconds are CPU time of one thread, so that another program on the machine counts for little. Rates by group are the
four of `METRICS`, of a million people in eight groups, once as bytes and once as int64, which most columns are.
"""

import argparse
import time
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas
import torch
from _measure import medians, speedups, wall_times, write
from aif360.algorithms.preprocessing import Reweighing
from aif360.datasets import BinaryLabelDataset
from aif360.metrics import ClassificationMetric
from fairlearn import metrics as fairlearn
from fairlearn.postprocessing import ThresholdOptimizer
from sklearn.base import BaseEstimator
from sklearn.metrics import accuracy_score

from tml_helpers import fairness, measured
from tml_helpers._console import on_any_console
from tml_helpers.fairness.metrics import tallies

PEOPLE, GROUPS, DRAWS = 1_000_000, 8, 1000
APPLICANTS = 100_000
DRAWN_ROWS = 10  # samples whose rows are drawn: a thousand of them would take a minute
METRICS = {
    "selection_rate": fairlearn.selection_rate,
    "true_positive_rate": fairlearn.true_positive_rate,
    "false_positive_rate": fairlearn.false_positive_rate,
    "accuracy": accuracy_score,
}
Run = Callable[[], Any]
Row = dict[str, Any]


def people(dtype: type) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, predictions that are right for three of four, and groups."""
    random = np.random.default_rng(0)
    y = random.integers(0, 2, PEOPLE)
    wrong = random.random(PEOPLE) < 0.25
    return y.astype(dtype), np.where(wrong, 1 - y, y).astype(dtype), random.integers(0, GROUPS, PEOPLE).astype(dtype)


def rates_by_group(dtype: type) -> dict[str, Run]:
    """Everyone's four rates of each group, `[8, 4]`; of plain NumPy, the counts alone."""
    y, y_hat, group = people(dtype)
    table = pandas.DataFrame({"y": y, "group": group}).astype(float)
    names = {"label_names": ["y"], "protected_attribute_names": ["group"]}
    true = BinaryLabelDataset(df=table, **names)
    predicted = BinaryLabelDataset(df=table.assign(y=y_hat.astype(float)), **names)

    def by_fairlearn() -> np.ndarray:
        frame = fairlearn.MetricFrame(metrics=METRICS, y_true=y, y_pred=y_hat, sensitive_features=group)
        return frame.by_group.to_numpy()

    def by_aif360() -> np.ndarray:
        found = []
        for one in range(GROUPS):
            metric = ClassificationMetric(true, predicted, [{"group": (one + 1) % GROUPS}], [{"group": one}])
            found.append([getattr(metric, name)(privileged=True) for name in METRICS])
        return np.array(found)

    def ours() -> np.ndarray:
        found = fairness.group_metrics(y, y_hat, sensitive_features=group)
        return np.stack([found.rates(name) for name in METRICS], axis=1)

    return {
        "Fairlearn": by_fairlearn,
        "AIF360": by_aif360,
        "plain bincount": lambda: np.bincount(4 * group + 2 * y + y_hat, minlength=4 * GROUPS),
        "ours": ours,
    }


def check_rates(runs: dict[str, Run]) -> None:
    """The same work: the same numbers."""
    expected = runs["ours"]()
    counts = runs["plain bincount"]().reshape(GROUPS, 2, 2)
    np.testing.assert_array_equal(counts[:, :, 1].sum(axis=1) / counts.sum(axis=(1, 2)), expected[:, 0])
    for peer in ("Fairlearn", "AIF360"):
        np.testing.assert_allclose(runs[peer]().astype(float), expected, rtol=1e-12, err_msg=peer)


def bootstrap() -> dict[str, Run]:
    """All rates of each group in bootstrap samples, `[draws, 8, 9]`; and a whole audit."""
    y, y_hat, group = people(np.int64)

    def by_rows() -> np.ndarray:
        random, code = np.random.default_rng(0), 4 * group + 2 * y + y_hat
        drawn = [np.bincount(code[random.integers(0, PEOPLE, PEOPLE)], minlength=32) for _ in range(DRAWN_ROWS)]
        return np.divide(*tallies(np.stack(drawn).reshape(-1, GROUPS, 2, 2)))

    def by_counts() -> np.ndarray:
        counts = fairness.group_metrics(y, y_hat, sensitive_features=group).counts
        return np.divide(*tallies(fairness.bootstrap_counts(counts, draws=DRAWS)))

    return {
        "rows drawn": by_rows,
        "ours, audit": lambda: fairness.audit(y, y_hat, sensitive_features=group, draws=DRAWS),
        "ours": by_counts,
    }


def measuring(rounds: int) -> dict[str, Callable[[], Row]]:
    """The rows of group metrics and of the bootstrap."""

    def rates(dtype: type) -> Row:
        runs = rates_by_group(dtype)
        check_rates(runs)
        quick = {name: runs[name] for name in ("plain bincount", "ours")}
        times = wall_times(quick, rounds=20 * rounds, clock=time.process_time)
        slow = wall_times(runs, rounds=rounds, warm_up=0, clock=time.process_time)
        against = {**speedups(slow, "ours"), **speedups(times, "ours")}
        return {"seconds": {**medians(slow), **medians(times)}, "times_as_fast": against}

    def draws() -> Row:
        times = wall_times(bootstrap(), rounds=5 * rounds, warm_up=1, clock=time.process_time)
        times["rows drawn"] = [seconds * DRAWS / DRAWN_ROWS for seconds in times["rows drawn"]]
        return {"seconds": medians(times), "times_as_fast": speedups(times, "ours"), "draws": DRAWS}

    return {
        "four rates by group, uint8": lambda: rates(np.uint8),
        "four rates by group, int64": lambda: rates(np.int64),
        "bootstrap of 1,000 samples": draws,
    }


class Scores(BaseEstimator):
    """What Fairlearn asks for: a fitted estimator, whose prediction is its only column."""

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def fit(self, *_: Any) -> "Scores":
        return self

    def predict(self, rows: Any) -> np.ndarray:
        return np.asarray(rows)[:, 0]


def applicants(groups: int, decimals: int | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, scores that fit some groups better than others, and groups with different base rates."""
    random = np.random.default_rng(0)
    group = random.integers(groups, size=APPLICANTS)
    y = (random.random(APPLICANTS) < 0.3 + 0.4 * group / groups).astype(np.int64)
    score = 1 / (1 + np.exp(-1.2 * (y - 0.5) * (1 + group / groups) - random.normal(size=APPLICANTS)))
    return y, score if decimals is None else score.round(decimals), group


def equalized_odds(rounds: int, groups: int, decimals: int | None) -> Row:
    """The policy of equal rates, and how accurate and fair it is on its people."""
    y, score, group = applicants(groups, decimals)

    def ours() -> np.ndarray:
        policy = fairness.equalized_odds_postprocessing(y, score, sensitive_features=group)
        return policy.probabilities(score, sensitive_features=group)

    def by_fairlearn() -> np.ndarray:
        optimizer = ThresholdOptimizer(
            estimator=Scores(), constraints="equalized_odds", prefit=True, predict_method="predict"
        )
        optimizer.fit(score[:, None], y, sensitive_features=group)
        return optimizer._pmf_predict(score[:, None], sensitive_features=group)[:, 1]

    runs = {"Fairlearn": by_fairlearn, "ours": ours}
    chances = {name: run() for name, run in runs.items()}
    times = wall_times(runs, rounds=max(3, 2 * rounds), warm_up=0, clock=time.process_time)
    rates = {
        name: [[chance[(group == one) & (y == label)].mean() for one in range(groups)] for label in (0, 1)]
        for name, chance in chances.items()
    }
    return {
        "seconds": medians(times),
        "times_as_fast": speedups(times, "ours"),
        "accuracy": {name: float(np.where(y == 1, chance, 1 - chance).mean()) for name, chance in chances.items()},
        "largest_gap": {name: float(np.ptp(rate, axis=1).max()) for name, rate in rates.items()},
        "people": APPLICANTS,
        "groups": groups,
    }


def reweighing(rounds: int) -> Row:
    """Weights of a million people in two groups."""
    y, _, group = people(np.int64)
    group = group % 2
    names = {"label_names": ["y"], "protected_attribute_names": ["group"]}
    given = BinaryLabelDataset(df=pandas.DataFrame({"y": y, "group": group}).astype(float), **names)
    theirs = Reweighing(unprivileged_groups=[{"group": 0}], privileged_groups=[{"group": 1}])
    runs = {
        "AIF360": lambda: theirs.fit_transform(given).instance_weights,
        "ours": lambda: fairness.reweighing_weights(y, sensitive_features=group),
    }
    np.testing.assert_allclose(runs["AIF360"](), runs["ours"](), rtol=1e-12)
    times = wall_times(runs, rounds=5 * rounds, warm_up=0, clock=time.process_time)
    return {"seconds": medians(times), "times_as_fast": speedups(times, "ours"), "groups": 2}


def mending(rounds: int) -> dict[str, Callable[[], Row]]:
    """The rows of thresholds by group, and of weights."""
    odds = {
        f"equalized odds, {scores}, {groups} groups": partial(equalized_odds, rounds, groups, decimals)
        for groups in (2, 8)
        for scores, decimals in (("distinct scores", None), ("two decimals", 2))
    }
    return {**odds, "reweighing": lambda: reweighing(rounds)}


def short(content: Any) -> Any:
    """Numbers with five digits, wherever they are."""
    if isinstance(content, dict):
        return {name: short(value) for name, value in content.items()}
    return float(f"{content:.5g}") if isinstance(content, float) else content


def show(name: str, row: Row) -> None:
    print(name)
    for library, seconds in row["seconds"].items():
        ratio = row["times_as_fast"].get(library)
        print(f"  {library:<22}{1e3 * seconds:12.2f} ms" + (f"{ratio:12.2f} ×" if ratio else ""), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--only", default="", help="the rows whose name has this word; the others stay as they were")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    rows = {**measuring(asked.rounds), **mending(asked.rounds)}
    before = measured.result("fairness")["rows"] if asked.only and "fairness" in measured.names() else {}
    table = {name: before[name] for name in rows if name in before}
    for name, run in rows.items():
        if asked.only in name:
            table[name] = run()
            show(name, table[name])
    settings = {"threads": 1, "clock": "CPU", "people": PEOPLE, "groups": GROUPS, "rounds": asked.rounds}
    print(write("fairness", {**settings, "rows": short(table)}))


if __name__ == "__main__":
    on_any_console()
    main()
