"""The four goals of an attacker, on logits that are written down by hand."""

import pytest
import torch
from bad_input import refuses
from torch import Tensor, nn

from tml_helpers.attacks.goals import goals


class Pixels(nn.Module):
    """Each pixel is a logit, ten times as large: an image `[1, 1, K]` writes down what the model answers."""

    def forward(self, images: Tensor) -> Tensor:
        return 10 * images.flatten(1)


def rows(*logits: tuple[float, ...]) -> Tensor:
    return torch.tensor(logits)[:, None, None, :]


CASES = {  # before, after, label, target → confidence reduction, misclassification, target
    "less sure": ((0.9, 0.5, 0.1), (0.7, 0.5, 0.1), 0, 1, (True, False, False)),
    "surer": ((0.7, 0.5, 0.1), (0.9, 0.5, 0.1), 0, 1, (False, False, False)),
    "nothing done": ((0.9, 0.5, 0.1), (0.9, 0.5, 0.1), 0, 1, (False, False, False)),
    "the target": ((0.9, 0.5, 0.1), (0.5, 0.9, 0.1), 0, 1, (True, True, True)),
    "another class than the target": ((0.9, 0.5, 0.1), (0.5, 0.9, 0.1), 0, 2, (True, True, False)),
    "from another source": ((0.1, 0.9, 0.2), (0.1, 0.3, 0.8), 1, 2, (True, True, True)),
    "misread before, and left so": ((0.1, 0.9, 0.5), (0.1, 0.9, 0.5), 0, 2, (False, True, False)),
    "overtaken while p(label) rises": ((0.6, 0.59, 0.59), (0.6, 0.61, 0.0), 0, 1, (False, True, True)),
}


def batch() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    before, after, labels, targets, _ = zip(*CASES.values(), strict=True)
    return rows(*before), rows(*after), torch.tensor(labels), torch.tensor(targets)


@pytest.mark.parametrize("name", CASES)
def test_each_case_reaches_the_goals_that_a_reader_would_say(name):
    before, after, label, target, expected = CASES[name]
    reached = goals(
        Pixels(), rows(before), torch.tensor([label]), adversarial=rows(after), targets=torch.tensor([target])
    )
    found = (reached.confidence_reduction, reached.misclassification, reached.targeted_misclassification)
    assert tuple(bool(one) for one in found) == expected


def test_a_batch_is_its_images_one_by_one():
    before, after, labels, targets = batch()
    reached = goals(Pixels(), before, labels, adversarial=after, targets=targets)
    expected = torch.tensor([case[-1] for case in CASES.values()])
    found = (reached.confidence_reduction, reached.misclassification, reached.targeted_misclassification)
    assert torch.equal(torch.stack(found, dim=1), expected)


def test_source_to_target_counts_images_of_the_source_alone():
    before, after, labels, targets = batch()
    reached = goals(Pixels(), before, labels, adversarial=after, targets=targets, source=1)
    assert reached.source_target_misclassification.tolist() == [name == "from another source" for name in CASES]
    assert reached.from_source.tolist() == [name == "from another source" for name in CASES]


def test_shares_are_of_the_images_that_a_goal_is_about():
    before, after, labels, targets = batch()
    assert goals(Pixels(), before, labels, adversarial=after, targets=targets, source=1).shares() == pytest.approx(
        {
            "confidence reduction": 4 / 8,
            "misclassification": 5 / 8,
            "targeted misclassification": 3 / 8,
            "source/target misclassification": 1 / 1,
        }
    )


def test_what_was_not_asked_for_is_none_and_has_no_share():
    before, after, labels, targets = batch()
    plain = goals(Pixels(), before, labels, adversarial=after)
    assert plain.targeted_misclassification is None
    assert list(plain.shares()) == ["confidence reduction", "misclassification"]
    assert goals(Pixels(), before, labels, adversarial=after, targets=targets).source_target_misclassification is None


def test_a_drop_of_confidence_far_below_a_millionth_is_seen():
    reached = goals(Pixels(), rows((1.0, 0.0)), torch.tensor([0]), adversarial=rows((0.9, 0.0)))
    assert bool(reached.confidence_reduction)


def test_the_model_answers_in_evaluation_mode_and_comes_back_in_its_own():
    model = nn.Sequential(nn.Dropout(0.9), Pixels()).train()
    before, after, labels, _ = batch()
    reached = goals(model, before, labels, adversarial=after)
    assert model.training
    assert model[0].training
    assert torch.equal(reached.misclassification, goals(Pixels(), before, labels, adversarial=after).misclassification)


def test_bad_input_is_refused_in_one_sentence():
    before, after, labels, targets = batch()
    with refuses(ValueError, "source", "targets"):
        goals(Pixels(), before, labels, adversarial=after, source=1)
    with refuses(ValueError, "no image", "label 2"):
        goals(Pixels(), before, labels, adversarial=after, targets=targets, source=2)
    with refuses(ValueError, "adversarial", "shape"):
        goals(Pixels(), before, labels, adversarial=after[:3])
    with refuses(ValueError, "[0, 1]"):
        goals(Pixels(), before, labels, adversarial=after + 1)
    with refuses(ValueError, "target must differ"):
        goals(Pixels(), before, labels, adversarial=after, targets=labels)
    with refuses(ValueError, "labels must lie in 0…2"):
        goals(Pixels(), before, labels + 2, adversarial=after)
