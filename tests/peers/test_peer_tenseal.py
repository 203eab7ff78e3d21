"""What Paillier cannot do and TenSEAL can, and what each makes of the same numbers.

Where we differ, and why: CKKS computes with approximate numbers, and multiplies encrypted ones; Paillier adds exactly.
"""

import numpy as np
import pytest

from tml_helpers import privacy

tenseal = pytest.importorskip("tenseal", reason="the extra [encryption] is not installed")
pytestmark = pytest.mark.filterwarnings("ignore::tml_helpers.privacy.TeachingCryptographyWarning")


@pytest.fixture(scope="module")
def context() -> "tenseal.Context":
    made = tenseal.context(tenseal.SCHEME_TYPE.CKKS, poly_modulus_degree=8192, coeff_mod_bit_sizes=[60, 40, 40, 60])
    made.global_scale = 2**40
    made.generate_galois_keys()
    return made


@pytest.mark.parametrize("seed", range(3))
def test_sums_of_updates_agree(context: "tenseal.Context", seed: int) -> None:
    updates = np.random.default_rng(seed).normal(size=(3, 20)).astype(np.float32)
    weights = [0.5, 0.3125, 0.1875]
    theirs = sum(
        (tenseal.ckks_vector(context, u.tolist()) * w for u, w in zip(updates[1:], weights[1:], strict=True)),
        tenseal.ckks_vector(context, updates[0].tolist()) * weights[0],
    ).decrypt()
    public, private = privacy.generate_keypair(512)
    ours = private.decrypt(sum(public.encrypt(u) * w for u, w in zip(updates, weights, strict=True)))
    plain = np.array(weights) @ updates.astype(float)
    np.testing.assert_allclose(theirs, plain, atol=1e-4)
    np.testing.assert_allclose(ours, plain, rtol=1e-15, atol=1e-16)
    assert np.abs(np.array(theirs) - plain).max() > 0  # CKKS is approximate


def test_products_agree_with_shares(context: "tenseal.Context") -> None:
    x, y = np.random.default_rng(0).normal(size=(2, 20)).astype(np.float32)
    theirs = (tenseal.ckks_vector(context, x.tolist()) * tenseal.ckks_vector(context, y.tolist())).decrypt()
    triple = privacy.beaver_triple((20,), parties=3)
    ours = privacy.multiply(privacy.share(x, parties=3), privacy.share(y, parties=3), triple=triple)
    np.testing.assert_allclose(privacy.reconstruct(ours), theirs, atol=1e-4)
    np.testing.assert_array_equal(privacy.reconstruct(ours), x.astype(float) * y)


def test_operands_stay_as_they_are() -> None:
    """TenSEAL #354: a product of two vectors overwrote both, and was itself 0."""
    public, private = privacy.generate_keypair(512)
    x, y = public.encrypt([4.0]), public.encrypt([0.5])
    before = x[0].value, y[0].value
    assert private.decrypt(x + y * 3 - 1) == [4.5]
    assert (x[0].value, y[0].value) == before
    shares = privacy.share([4.0], parties=2), privacy.share([0.5], parties=2)
    product = privacy.multiply(*shares, triple=privacy.beaver_triple((1,), parties=2))
    assert [float(privacy.reconstruct(s)[0]) for s in (*shares, product)] == [4.0, 0.5, 2.0]
