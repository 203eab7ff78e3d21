"""ε against Google's dp-accounting and Meta's Opacus: equal to the former's RDP, and never below its tighter PLD."""

import warnings
from collections.abc import Iterator

import pytest

dp_accounting = pytest.importorskip("dp_accounting", reason="the extra [peers] is not installed")
from dp_accounting import pld, rdp  # noqa: E402

from tml_helpers import privacy  # noqa: E402


@pytest.fixture(autouse=True)
def without_advice() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", privacy.RenyiOrderWarning)
        yield


def event(noise: float, rate: float, steps: int) -> "dp_accounting.DpEvent":
    one = dp_accounting.GaussianDpEvent(noise)
    return dp_accounting.SelfComposedDpEvent(dp_accounting.PoissonSampledDpEvent(rate, one), steps)


def theirs(noise: float, rate: float, steps: int, delta: float) -> float:
    return rdp.RdpAccountant().compose(event(noise, rate, steps)).get_epsilon(delta)


def ours(noise: float, rate: float, steps: int, delta: float) -> float:
    return privacy.rdp_epsilon(noise_multiplier=noise, sample_rate=rate, steps=steps, delta=delta)


@pytest.mark.parametrize("rate", [1e-4, 0.004, 0.064, 0.25, 1.0])
@pytest.mark.parametrize("noise", [0.5, 1.1, 4.0, 50.0])
def test_rdp_is_dp_accountings(noise: float, rate: float) -> None:
    for steps in (1, 100, 10_000):
        for delta in (1e-5, 1e-9):
            found, expected = ours(noise, rate, steps, delta), theirs(noise, rate, steps, delta)
            assert found == pytest.approx(expected, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize(
    ("noise", "rate", "steps"),
    [(1.1, 0.0043, 1000), (0.7, 0.01, 100), (2.0, 0.1, 200), (4.0, 1.0, 20), (0.875, 0.064, 150), (1.0, 0.5, 1)],
)
@pytest.mark.parametrize("delta", [1e-5, 1e-3])
def test_never_below_the_privacy_loss_distribution(noise: float, rate: float, steps: int, delta: float) -> None:
    tighter = pld.PLDAccountant(value_discretization_interval=1e-3).compose(event(noise, rate, steps))
    tight = tighter.get_epsilon(delta)
    found = ours(noise, rate, steps, delta)
    assert found >= tight - 1e-4
    assert found < 1.6 * tight + 0.3, "an accountant that is far from the truth is of no use"


@pytest.mark.parametrize(("noise", "rate", "steps"), [(1.1, 256 / 60_000, 14_040), (1.0, 0.01, 1000), (2.0, 0.1, 500)])
def test_opacus_agrees_where_epsilon_is_of_use(noise: float, rate: float, steps: int) -> None:
    accountants = pytest.importorskip("opacus.accountants", reason="the extra [peers] is not installed")
    accountant = accountants.RDPAccountant()
    accountant.history = [(noise, rate, steps)]
    assert ours(noise, rate, steps, 1e-5) == pytest.approx(accountant.get_epsilon(1e-5), abs=1e-3)


@pytest.mark.parametrize("epsilon", [0.01, 0.5, 1.0, 8.0])
@pytest.mark.parametrize("delta", [1e-9, 1e-5, 1e-2])
def test_the_analytic_gaussian_is_dp_accountings(epsilon: float, delta: float) -> None:
    expected = dp_accounting.get_sigma_gaussian(epsilon, delta)
    found = privacy.gaussian_noise_multiplier(epsilon=epsilon, delta=delta)
    assert found == pytest.approx(expected, rel=1e-4)
    assert found >= expected * (1 - 1e-7)


def test_basic_laplace_budget_is_the_privacy_loss_distributions() -> None:
    """Ten Laplace answers of 0.1 each: with next to no δ nothing beats their sum, and the accountant finds the same."""
    accountant = pld.PLDAccountant(value_discretization_interval=1e-4)
    accountant.compose(dp_accounting.SelfComposedDpEvent(dp_accounting.LaplaceDpEvent(10.0), 10))
    assert privacy.basic_composition([0.1] * 10).epsilon == pytest.approx(accountant.get_epsilon(1e-9), abs=2e-3)
    advanced = privacy.advanced_composition(epsilon=0.1, delta=0, count=10, slack=1e-3).epsilon
    assert advanced >= accountant.get_epsilon(1e-3) - 1e-4
