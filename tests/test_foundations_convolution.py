"""Lecture 0.5: the convolution against PyTorch's, the table of the course's network, its blocks, receptive fields."""

import pytest
import torch
from bad_input import refuses
from hypothesis import given, settings
from hypothesis import strategies as st
from page_code import page_code
from torch import nn
from torch.nn import functional as F

from tml_helpers.models import CourseCNN, SmallCNN, parameter_count

page = page_code("00_foundations/convolution")

# Sizes and parameters as the course's notes print them, a minibatch's size left out.
NOTES = [
    ("Conv2d", (32, 30, 30), 896),
    ("MaxPool2d", (32, 15, 15), 0),
    ("Conv2d", (64, 13, 13), 18496),
    ("MaxPool2d", (64, 6, 6), 0),
    ("Conv2d", (64, 4, 4), 36928),
    ("Flatten", (1024,), 0),
    ("Linear", (64,), 65600),
    ("Linear", (10,), 650),
]


def test_the_courses_network_has_the_table_of_the_notes_exactly() -> None:
    found = page.table(CourseCNN(), torch.zeros(1, 3, 32, 32))
    assert [row for row in found if row[0] not in ("Normalize", "ReLU")] == NOTES
    assert parameter_count(CourseCNN()) == sum(parameters for _, _, parameters in NOTES)


def test_the_courses_network_normalises_bends_after_each_hidden_layer_and_gives_logits() -> None:
    """The same numbers by hand, from its own weights: an activation left out, or a softmax added, would show."""
    torch.manual_seed(0)
    model, images = CourseCNN(classes=7), torch.rand(2, 3, 32, 32)
    W = list(model.parameters())
    mean = torch.tensor([0.4914, 0.4822, 0.4465]).view(3, 1, 1)
    std = torch.tensor([0.2470, 0.2435, 0.2616]).view(3, 1, 1)
    h = (images - mean) / std
    for place, pooled in ((0, True), (2, True), (4, False)):
        h = torch.relu(F.conv2d(h, W[place], W[place + 1]))
        h = F.max_pool2d(h, 2) if pooled else h
    h = torch.relu(h.flatten(1) @ W[6].T + W[7])
    torch.testing.assert_close(model(images), h @ W[8].T + W[9])
    assert model(images).shape == (2, 7)
    with refuses(ValueError, "classes", "0"):
        CourseCNN(classes=0)


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 4), st.integers(1, 3), st.integers(0, 2), st.integers(1, 3))
@settings(deadline=None)
def test_the_convolution_is_pytorchs(rows: int, columns: int, k: int, stride: int, padding: int, many: int) -> None:
    x = torch.randn(2, many, rows, columns, dtype=torch.float64)
    w, b = torch.randn(3, many, k, k, dtype=torch.float64), torch.randn(3, dtype=torch.float64)
    if min(rows, columns) + 2 * padding < k:
        with refuses(ValueError, str(k), "does not fit"):
            page.convolve(x, w, b, stride, padding)
        return
    theirs = F.conv2d(x, w, b, stride=stride, padding=padding)
    torch.testing.assert_close(page.convolve(x, w, b, stride, padding), theirs)
    assert theirs.shape[2] == page.output_size(rows, k, stride, padding)
    assert theirs.shape[3] == page.output_size(columns, k, stride, padding)


@pytest.mark.parametrize(("channels", "each", "squeezed"), [(8, 4, 2), (3, 5, 1)])
def test_an_inception_block_is_its_three_branches_side_by_side(channels: int, each: int, squeezed: int) -> None:
    block, x = page.Inception(channels, each, squeezed), torch.randn(2, channels, 6, 7)
    out = block(x)
    assert out.shape == (2, 3 * each, 6, 7)
    for place, branch in enumerate((block.one, block.three, block.five)):
        torch.testing.assert_close(out[:, place * each : (place + 1) * each], branch(x))
    squeeze, wide = channels * squeezed + squeezed, squeezed * each
    assert parameter_count(block) == channels * each + each + 2 * squeeze + 9 * wide + each + 25 * wide + each


def test_a_residual_blocks_slope_is_one_plus_what_it_adds() -> None:
    block = page.Residual(3).double()
    x = torch.randn(1, 3, 5, 5, dtype=torch.float64, requires_grad=True)
    (whole,) = torch.autograd.grad(block(x).sum(), x)
    (added,) = torch.autograd.grad(block.adds(x).sum(), x)
    torch.testing.assert_close(whole, 1 + added)


@pytest.mark.parametrize(
    ("layers", "side"),
    [
        ([page.Mean()], 3),
        ([page.Mean(), page.Mean(), page.Mean()], 7),
        ([nn.AvgPool2d(2), page.Mean()], 6),
        ([nn.AvgPool2d(2), nn.AvgPool2d(2)], 4),
    ],
)
def test_receptive_fields_are_those_of_the_recurrence(layers: list[nn.Module], side: int) -> None:
    """r ← r + (k − 1) · jump, jump ← jump · stride, by hand."""
    assert page.field(nn.Sequential(*layers), 40) == side


def test_the_table_of_another_network_adds_up() -> None:
    model = SmallCNN(width=4)
    rows = page.table(model, torch.zeros(1, 1, 28, 28))
    assert sum(parameters for _, _, parameters in rows) == parameter_count(model) == 13242
    assert rows[-1][1] == (10,)
    assert all(len(module._forward_hooks) == 0 for module in model.modules()), "no hook is left behind"
