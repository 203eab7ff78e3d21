"""What is shown, and what is made of it, beside the Adversarial Robustness Toolbox.

Where we differ, and why:

- Its defences return what is left after hiding, and rows no longer add up to 1: zeros, whose logarithm no attack can
  take. Ours fills zeros and what is hidden with what a reader would: where it shows a number, it is the same number.
- Its `HighConfidence` shows confidences above a cut-off; ours shows the largest, as many as asked.
- Its `ClassLabels` marks, in each row, the classes of all rows of the batch (version 1.20.1); asked about one row at a
  time, it names the same class as ours.
- Its MIFace climbs the probability itself without a penalty. Ours descends −log p, which has a slope where p is near 0.
"""

import warnings

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from tml_helpers.data import mnist
from tml_helpers.models import MLP
from tml_helpers.privacy import LimitedAPI, attribute_inference, model_inversion
from tml_helpers.training import fit, predict, seed_everything

postprocessor = pytest.importorskip("art.defences.postprocessor", reason="the extra [peers] is not installed")


class Says(nn.Module):
    def forward(self, rows: Tensor) -> Tensor:
        return rows.log()


@pytest.mark.parametrize("decimals", [1, 2, 3, 6])
def test_rounded_numbers_are_the_same_where_they_are_shown(decimals: int) -> None:
    p = torch.randn(500, 10, generator=torch.Generator().manual_seed(0), dtype=torch.float64).mul(2).softmax(dim=1)
    theirs = postprocessor.Rounded(decimals=decimals)(p.numpy())
    ours = LimitedAPI(Says(), decimals=decimals)(p).exp().numpy()
    shown = theirs > 0
    assert shown.any()
    np.testing.assert_allclose(ours[shown], theirs[shown], rtol=1e-12)
    if decimals == 1:
        assert not shown.all()
    assert (ours[~shown] > 0).all()
    assert (ours.argmax(axis=1) == p.argmax(dim=1).numpy()).all()


def test_the_class_alone_is_the_same() -> None:
    p = torch.randn(200, 7, generator=torch.Generator().manual_seed(1), dtype=torch.float64).softmax(dim=1)
    theirs = np.concatenate([postprocessor.ClassLabels()(row[None]) for row in p.numpy()])
    ours = LimitedAPI(Says(), top=1, decimals=0)(p)
    assert (ours.argmax(dim=1).numpy() == theirs.argmax(axis=1)).all()


def test_high_confidence_and_top_show_the_same_largest() -> None:
    p = torch.randn(200, 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64).mul(3).softmax(dim=1)
    theirs = postprocessor.HighConfidence(cutoff=0.5)(p.numpy())
    ours = LimitedAPI(Says(), top=1)(p).exp().numpy()
    sure = theirs.max(axis=1) > 0
    assert sure.any()
    np.testing.assert_allclose(ours.max(axis=1)[sure], theirs.max(axis=1)[sure], rtol=1e-12)


def test_inversion_beside_miface() -> None:
    """Of four digits, a second network names nearly all of ours, and about as many as of theirs."""
    estimators = pytest.importorskip("art.estimators.classification")
    inference = pytest.importorskip("art.attacks.inference.model_inversion")
    train = mnist("train")
    generator = seed_everything(0)
    victim, second = MLP(64), MLP(64)
    for network, part in ((victim, slice(0, 2000)), (second, slice(2000, 4000))):
        data = TensorDataset(train.images[part], train.labels[part])
        fit(network, data, epochs=5, learning_rate=2e-3, batch_size=64, generator=generator)
    targets = torch.arange(4)
    wrapped = estimators.PyTorchClassifier(
        model=nn.Sequential(victim, nn.Softmax(dim=1)),
        loss=nn.CrossEntropyLoss(),
        input_shape=(1, 28, 28),
        nb_classes=10,
        clip_values=(0, 1),
    )
    theirs = inference.MIFace(wrapped, max_iter=10, threshold=1.0, learning_rate=0.5, verbose=False).infer(
        np.zeros((4, 1, 28, 28), dtype=np.float32), targets.numpy()
    )
    ours = model_inversion(victim, targets=targets, shape=(1, 28, 28), steps=60)
    named = [
        int((predict(second, images).argmax(dim=1) == targets).sum())
        for images in (ours.images, torch.as_tensor(theirs))
    ]
    assert named[0] >= 3
    assert named[0] >= named[1] - 1


def test_attributes_beside_the_black_box_attack_that_is_trained() -> None:
    """On a formula with noise, Bayes' rule with the true error is no worse than a classifier of 2,000 people."""
    estimators = pytest.importorskip("art.estimators.regression.scikitlearn")
    inference = pytest.importorskip("art.attacks.inference.attribute_inference")
    from sklearn.linear_model import LinearRegression

    random = np.random.default_rng(0)
    gene = random.integers(0, 2, 6000)
    x = np.c_[gene, random.normal(size=(6000, 2))].astype(np.float64)
    y = x @ [1.5, 1.0, -1.0] + random.normal(size=6000)
    formula = LinearRegression().fit(x[:2000], y[:2000])
    model = nn.Linear(3, 1, dtype=torch.float64)
    model.load_state_dict({"weight": torch.tensor(formula.coef_)[None], "bias": torch.tensor([formula.intercept_])})
    attack = inference.AttributeInferenceBlackBox(
        estimators.ScikitlearnRegressor(formula), attack_feature=0, attack_model_type="lr"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        attack.fit(x[:2000], y[:2000].reshape(-1, 1))
        answers = formula.predict(x[2000:])
        outcomes = y[2000:].reshape(-1, 1)
        theirs = attack.infer(x[2000:, 1:], y=outcomes, pred=answers.reshape(-1, 1), values=[0, 1]).reshape(-1)
    ours = attribute_inference(
        model, torch.tensor(x[2000:]), torch.tensor(y[2000:]), feature=0, values=torch.tensor([0.0, 1.0]), error=1.0
    )
    exact = attribute_inference(
        model, torch.tensor(x[2000:]), torch.tensor(answers), feature=0, values=torch.tensor([0.0, 1.0]), error=0.1
    )
    right = (ours.choices.numpy() == gene[2000:]).mean()
    assert right == pytest.approx(0.773, abs=0.03)  # Φ(1.5 / 2), the best that the outcome allows
    assert (exact.choices.numpy() == gene[2000:]).all()  # from the answer itself
    assert (theirs == gene[2000:]).mean() > 0.95  # which it learned from 2,000 people whose gene it knew
