"""Graph convolution and local structure against plain loops, and the laws that both obey."""

import copy
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from bad_input import refuses
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from tml_helpers.distillation import (
    CollapsedEmbeddingsWarning,
    GraphConvolution,
    GraphNetwork,
    distill,
    local_structure_loss,
    normalized_adjacency,
)
from tml_helpers.training import accuracy, fit, predict, seed_everything

PATH = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])  # 0 – 1 – 2
seeds = st.integers(0, 10_000)


def random_edges(seed: int, nodes: int, count: int) -> Tensor:
    """Edges in both directions, some twice and some from a node to itself; the last node has none."""
    generator = torch.Generator().manual_seed(seed)
    edges = torch.randint(nodes - 1, (2, count), generator=generator)
    return torch.cat([edges, edges.flip(0)], dim=1)


def neighbours(edges: Tensor) -> dict[int, list[int]]:
    """Of each node that has some, without itself, in order."""
    found: dict[int, set[int]] = {}
    for i, j in edges.T.tolist():
        if i != j:
            found.setdefault(i, set()).add(j)
    return {i: sorted(others) for i, others in found.items()}


def normal(seed: int, *shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


# --- the adjacency ---


def adjacency_by_loops(edges: Tensor, nodes: int) -> Tensor:
    tied = neighbours(edges)
    table = torch.zeros(nodes, nodes, dtype=torch.float64)
    for i in range(nodes):
        for j in [*tied.get(i, []), i]:
            table[i, j] = ((len(tied.get(i, [])) + 1) * (len(tied.get(j, [])) + 1)) ** -0.5
    return table


@settings(max_examples=40, deadline=None)
@given(seed=seeds, nodes=st.integers(2, 12), count=st.integers(0, 40))
def test_the_adjacency_is_that_of_plain_loops(seed: int, nodes: int, count: int) -> None:
    """A self-loop that the graph has is not added again (pyg-team/pytorch_geometric #129, dmlc/dgl #482)."""
    edges = random_edges(seed, nodes, count)
    found = normalized_adjacency(edges, nodes, dtype=torch.float64)
    assert found.is_sparse
    assert found.is_coalesced()
    torch.testing.assert_close(found.to_dense(), adjacency_by_loops(edges, nodes), atol=1e-14, rtol=0)


def test_three_nodes_in_a_row_are_the_closed_form() -> None:
    a, b = 1 / 2, 6**-0.5
    expected = torch.tensor([[a, b, 0], [b, 1 / 3, b], [0, b, a]])
    torch.testing.assert_close(normalized_adjacency(PATH, 3).to_dense(), expected)


def test_the_adjacency_is_of_the_type_asked_for_and_its_largest_eigenvalue_is_one() -> None:
    edges = random_edges(3, 20, 60)
    assert normalized_adjacency(edges, 20).dtype == torch.float32
    found = normalized_adjacency(edges, 20, dtype=torch.float64)
    assert found.dtype == torch.float64
    largest = torch.linalg.eigvalsh(found.to_dense())[-1]  # Kipf and Welling: the eigenvalues lie in [−1, 1]
    torch.testing.assert_close(largest, torch.tensor(1.0, dtype=torch.float64))


def test_no_edge_at_all_gives_the_identity() -> None:
    found = normalized_adjacency(torch.empty(2, 0, dtype=torch.int64), 3)
    assert torch.equal(found.to_dense(), torch.eye(3))


# --- the network ---


def network(edges: Tensor, features: Tensor, seed: int = 0, **arguments: Any) -> GraphNetwork:
    seed_everything(seed)
    made = GraphNetwork(features, edges, **{"hidden": 5, "classes": 3, **arguments})
    with torch.no_grad():  # biases start at 0, where a wrong one would not be noticed
        for bias in (made.first.bias, made.second.bias):
            bias.copy_(normal(seed + 1, len(bias)))
    return made


def by_hand(model: GraphNetwork, features: Tensor, edges: Tensor) -> Tensor:
    """All nodes' logits, from neighbours that are looked up one by one."""
    tied = adjacency_by_loops(edges, len(features))
    hidden = torch.stack([(row[:, None] * (features @ model.first.weight)).sum(dim=0) for row in tied])
    hidden = (hidden + model.first.bias).clamp_min(0)
    logits = torch.stack([(row[:, None] * (hidden @ model.second.weight)).sum(dim=0) for row in tied])
    return logits + model.second.bias


@settings(max_examples=20, deadline=None)
@given(seed=seeds)
def test_the_network_is_that_of_plain_loops_at_the_nodes_asked_for(seed: int) -> None:
    edges, features = random_edges(seed, 9, 15), normal(seed, 4, 9).T  # not contiguous
    model = network(edges, features, seed).eval()
    asked = torch.tensor([7, 0, 8, 0])
    expected = by_hand(model, features, edges)
    torch.testing.assert_close(model(asked), expected[asked], atol=1e-12, rtol=0)
    hidden = adjacency_by_loops(edges, 9) @ features @ model.first.weight + model.first.bias
    torch.testing.assert_close(model.hidden(), hidden.clamp_min(0), atol=1e-12, rtol=0)


def test_numbering_the_nodes_anew_changes_nothing() -> None:
    edges, features = random_edges(1, 12, 30), normal(1, 12, 4)
    model = network(edges, features).eval()
    order = torch.randperm(12, generator=torch.Generator().manual_seed(2))
    place = order.argsort()  # node i is now node place[i]
    renamed = network(place[edges], features[order]).eval()
    renamed.load_state_dict(model.state_dict())
    nodes = torch.arange(12)
    torch.testing.assert_close(renamed(place[nodes]), model(nodes), atol=1e-12, rtol=0)


def test_a_node_without_neighbours_keeps_its_own_features() -> None:
    """Without a loop its features would be washed out in the first layer (dmlc/dgl #1566)."""
    features = normal(3, 6, 4)
    model = network(torch.empty(2, 0, dtype=torch.int64), features).eval()
    plain = torch.relu(features @ model.first.weight + model.first.bias) @ model.second.weight + model.second.bias
    torch.testing.assert_close(model(torch.arange(6)), plain)
    among = network(random_edges(0, 6, 9), features).eval()  # its last node has no edge
    among.load_state_dict(model.state_dict())
    torch.testing.assert_close(among(torch.tensor([5])), plain[5:])


def test_what_was_learned_moves_to_another_graph_and_the_graph_does_not() -> None:
    model = network(PATH, normal(0, 3, 4))
    assert set(model.state_dict()) == {"first.weight", "first.bias", "second.weight", "second.bias"}
    edges, features = random_edges(5, 10, 20), normal(5, 10, 4)
    larger = network(edges, features, seed=8).eval()
    larger.load_state_dict(model.state_dict())
    torch.testing.assert_close(larger(torch.arange(10)), by_hand(model, features, edges))


def test_a_copy_and_another_type_keep_the_graph() -> None:
    model = network(PATH, normal(0, 3, 4, dtype=torch.float32)).eval()
    nodes = torch.arange(3)
    twin = copy.deepcopy(model)
    torch.testing.assert_close(twin(nodes), model(nodes), atol=0, rtol=0)
    wider = twin.double()(nodes)
    assert wider.dtype == torch.float64
    torch.testing.assert_close(wider.float(), model(nodes))


def test_the_network_is_of_its_features_type_and_keeps_a_copy_of_its_own() -> None:
    features = normal(0, 3, 4).requires_grad_()
    model = network(PATH, features).eval()
    assert {p.dtype for p in model.parameters()} == {torch.float64}
    assert not model.features.requires_grad
    before = model(torch.arange(3))
    with torch.no_grad():
        features.zero_()
    torch.testing.assert_close(model(torch.arange(3)), before, atol=0, rtol=0)


def test_units_are_left_out_in_training_only() -> None:
    model = network(PATH, normal(0, 3, 40), hidden=200, dropout=0.5)
    nodes = torch.arange(3)
    assert not torch.equal(model(nodes), model(nodes))
    none = network(PATH, normal(0, 3, 40), hidden=200, dropout=0.0)
    torch.testing.assert_close(none(nodes), none.eval()(nodes), atol=0, rtol=0)
    torch.testing.assert_close(model.eval()(nodes), none(nodes), atol=0, rtol=0)


def test_a_layer_takes_a_dense_adjacency_as_well_and_has_the_right_gradient() -> None:
    seed_everything(0)
    layer = GraphConvolution(4, 2).double()
    features, adjacency = normal(1, 3, 4).requires_grad_(), normalized_adjacency(PATH, 3, dtype=torch.float64)
    torch.testing.assert_close(layer(features, adjacency), layer(features, adjacency.to_dense()))
    expected = adjacency.to_dense() @ features @ layer.weight + layer.bias
    torch.testing.assert_close(layer(features, adjacency), expected)
    assert torch.autograd.gradcheck(lambda x: layer(x, adjacency), features)
    torch.autograd.gradcheck(lambda w: adjacency @ (features.detach() @ w), layer.weight)


def two_clouds(seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """40 nodes in two halves, tied inside their half only; features are noise. One label in each half is enough."""
    generator = torch.Generator().manual_seed(seed)
    edges = torch.randint(20, (2, 200), generator=generator)
    edges = torch.cat([edges, edges + 20], dim=1)
    labels = torch.arange(40) // 20
    return torch.cat([edges, edges.flip(0)], dim=1), torch.randn(40, 16, generator=generator), labels


def test_it_is_trained_and_distilled_by_the_numbers_of_its_nodes() -> None:
    edges, noise, labels = two_clouds(0)
    generator = seed_everything(0)
    teacher = GraphNetwork(noise, edges, hidden=16, classes=2, dropout=0.0)
    few = torch.tensor([0, 20])
    fit(teacher, TensorDataset(few, labels[few]), epochs=100, learning_rate=0.02, generator=generator)
    nodes = torch.arange(40)
    assert accuracy(teacher, TensorDataset(nodes, labels)) == 1.0  # by its neighbours: the features say nothing
    student = GraphNetwork(noise, edges, hidden=4, classes=2, dropout=0.0)
    losses = distill(student, teacher, TensorDataset(nodes), alpha=1.0, epochs=100, learning_rate=0.02)
    assert losses[-1] < losses[0] / 2
    torch.testing.assert_close(predict(teacher, nodes, batch_size=7), predict(teacher, nodes))


# --- local structure ---


def structure_by_loops(student: Tensor, teacher: Tensor, edges: Tensor, sigma: float | None) -> Tensor:
    tied = neighbours(edges)

    def shares(features: Tensor) -> dict[tuple[int, int], Tensor]:
        squares = {(i, j): ((features[i] - features[j]) ** 2).sum() for i, others in tied.items() for j in others}
        scale = sum(squares.values()) / len(squares) if sigma is None else sigma**2
        near = {pair: (-square / (2 * scale)).exp().exp() for pair, square in squares.items()}
        return {(i, j): value / sum(near[i, k] for k in tied[i]) for (i, j), value in near.items()}

    p, q = shares(student), shares(teacher)
    total = sum(q[pair] * (q[pair].log() - p[pair].log()) for pair in p)
    return torch.as_tensor(total) / len(student)


@settings(max_examples=30, deadline=None)
@given(seed=seeds, nodes=st.integers(4, 12), sigma=st.sampled_from([None, 0.7, 3.0]))
def test_local_structure_is_that_of_plain_loops(seed: int, nodes: int, sigma: float | None) -> None:
    edges = torch.cat([random_edges(seed, nodes, 20), torch.tensor([[0, 1, 0, 2], [1, 0, 2, 0]])], dim=1)
    student, teacher = normal(seed, 3, nodes).T, normal(seed + 1, nodes, 5)
    found = local_structure_loss(student, teacher, edges, sigma=sigma)
    torch.testing.assert_close(found, structure_by_loops(student, teacher, edges, sigma), atol=1e-12, rtol=0)


def test_three_nodes_in_a_row_have_one_structure_to_compare() -> None:
    """Only the middle has two neighbours: KL of two shares, over three nodes."""
    student, teacher = torch.tensor([[0.0], [1.0], [3.0]]), torch.tensor([[2.0, 0.0], [0.0, 0.0], [0.0, 1.0]])
    q, p = torch.tensor([[-4.0, -1.0], [-1.0, -4.0]]).div(2).exp().softmax(dim=1)
    expected = (q * (q / p).log()).sum() / 3
    torch.testing.assert_close(local_structure_loss(student, teacher, PATH, sigma=1.0), expected)


def test_an_edge_in_one_direction_makes_one_neighbour() -> None:
    """(i, j) makes j a neighbour of i: turned round, no node has two."""
    star = torch.tensor([[0, 0, 0], [1, 2, 3]])
    student, teacher = normal(0, 4, 2), normal(1, 4, 2)
    assert local_structure_loss(student, teacher, star) > 0
    with refuses(ValueError, "no node has two neighbours"):
        local_structure_loss(student, teacher, star.flip(0))


def test_the_same_structure_costs_nothing_wherever_it_lies_and_at_any_scale() -> None:
    edges, teacher = random_edges(2, 10, 30), normal(2, 10, 3)
    turn = torch.linalg.qr(normal(3, 3, 3)).Q
    moved = 7 * teacher @ turn + 100
    assert local_structure_loss(moved, teacher, edges).abs() < 1e-12
    assert local_structure_loss(teacher @ turn + 100, teacher, edges, sigma=1.3).abs() < 1e-12
    assert local_structure_loss(moved, teacher, edges, sigma=1.3) > 1e-3  # with a sigma, scale counts


def test_the_gradient_is_right_and_none_goes_to_the_teacher() -> None:
    edges = random_edges(4, 8, 20)
    student, teacher = normal(4, 8, 3).requires_grad_(), normal(5, 8, 2).requires_grad_()
    for sigma in (None, 0.9):
        assert torch.autograd.gradcheck(lambda x, s=sigma: local_structure_loss(x, teacher, edges, sigma=s), student)
    local_structure_loss(student, teacher, edges).backward()
    assert teacher.grad is None
    assert student.grad is not None
    assert student.grad[:-1].abs().sum() > 0
    assert student.grad[-1].abs().sum() == 0  # the last node has no neighbour


def test_repeated_edges_and_loops_count_once_and_not() -> None:
    student, teacher = normal(0, 3, 2), normal(1, 3, 2)
    plain = local_structure_loss(student, teacher, PATH)
    crowded = torch.cat([PATH, PATH[:, :2], torch.tensor([[1, 2], [1, 2]])], dim=1)
    torch.testing.assert_close(local_structure_loss(student, teacher, crowded), plain, atol=0, rtol=0)


def test_numbering_anew_leaves_the_structure() -> None:
    edges, student, teacher = random_edges(6, 9, 25), normal(6, 9, 3), normal(7, 9, 4)
    order = torch.randperm(9, generator=torch.Generator().manual_seed(1))
    renamed = local_structure_loss(student[order], teacher[order], order.argsort()[edges])
    torch.testing.assert_close(renamed, local_structure_loss(student, teacher, edges))


@pytest.mark.parametrize("kinds", [(torch.float32, torch.float64), (torch.bfloat16, torch.float16)])
def test_types_may_differ(kinds: tuple[torch.dtype, torch.dtype]) -> None:
    edges = random_edges(6, 9, 25)
    student, teacher = normal(6, 9, 3).to(kinds[0]), normal(7, 9, 4).to(kinds[1])
    found = local_structure_loss(student, teacher, edges)
    assert found.dtype == (torch.float64 if torch.float64 in kinds else torch.float32)
    torch.testing.assert_close(found.double(), local_structure_loss(student.double(), teacher.double(), edges))


@pytest.mark.parametrize("which", ["student", "teacher"])
@pytest.mark.parametrize("how", ["collapsed", "too far"])
def test_features_without_a_structure_are_said_and_the_gradient_stays_finite(which: str, how: str) -> None:
    flat, sigma = (torch.ones(3, 2), None) if how == "collapsed" else (normal(0, 3, 2).float() * 1e3, 0.1)
    features = {name: normal(seed, 3, 2).float() / 10 for seed, name in enumerate(("student", "teacher"))}
    features[which] = flat.clone()
    student = features["student"].requires_grad_()
    with pytest.warns(CollapsedEmbeddingsWarning, match=f"{which}'s features"):
        loss = local_structure_loss(student, features["teacher"], PATH, sigma=sigma)
    loss.backward()
    assert loss.isfinite()
    assert student.grad is not None
    assert student.grad.isfinite().all()


def test_two_points_at_one_place_have_a_finite_gradient_and_no_warning() -> None:
    student = torch.tensor([[1.0, 2.0], [1.0, 2.0], [0.0, 3.0]], requires_grad=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        local_structure_loss(student, torch.tensor([[0.0], [1.0], [5.0]]), PATH, sigma=1.0).backward()
    assert student.grad is not None
    assert student.grad.isfinite().all()
    assert student.grad.abs().sum() > 0


def test_a_student_learns_whom_its_neighbours_are_like() -> None:
    edges, teacher = random_edges(1, 20, 60), normal(1, 20, 8)
    student = nn.Parameter(normal(2, 20, 8))
    adam = torch.optim.Adam([student], lr=0.05)
    start = local_structure_loss(student, teacher, edges).item()
    for _ in range(300):
        adam.zero_grad()
        loss = local_structure_loss(student, teacher, edges)
        loss.backward()
        adam.step()
    assert loss.item() < start / 10


# --- what is refused ---

X, T = torch.zeros(3, 2), torch.randn(3, 4)
EMPTY = torch.empty(2, 0, dtype=torch.int64)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: normalized_adjacency(PATH[:, :1], 3), ValueError, ("both directions", "edges.flip(0)")),
        (lambda: normalized_adjacency(PATH, 2), ValueError, ("0…1", "0…2")),
        (lambda: normalized_adjacency(-PATH, 3), ValueError, ("0…2", "-2…0")),
        (lambda: normalized_adjacency(PATH.float(), 3), TypeError, ("edges", "int64", "float32")),
        (lambda: normalized_adjacency(PATH.int(), 3), TypeError, ("edges", "int64", "int32")),
        (lambda: normalized_adjacency([[0, 1], [1, 0]], 3), TypeError, ("edges", "list")),  # type: ignore[arg-type]
        (lambda: normalized_adjacency(PATH.T, 3), ValueError, ("[2, E]", "[4, 2]")),
        (lambda: normalized_adjacency(PATH, 0), ValueError, ("nodes", "0")),
        (lambda: normalized_adjacency(PATH, True), TypeError, ("nodes", "True")),
        (lambda: normalized_adjacency(PATH, 3, dtype=torch.int64), TypeError, ("dtype", "torch.int64")),
        (lambda: normalized_adjacency(PATH, 3, dtype="float"), TypeError, ("dtype", "float")),  # type: ignore[arg-type]
        (lambda: normalized_adjacency(PATH, 3.0), TypeError, ("nodes", "3.0")),  # type: ignore[arg-type]
        (lambda: GraphConvolution(0, 2), ValueError, ("inputs", "0")),
        (lambda: GraphConvolution(2, 2.0), TypeError, ("outputs", "2.0")),  # type: ignore[arg-type]
        (lambda: GraphNetwork(X.long(), PATH), TypeError, ("features", "int64")),
        (lambda: GraphNetwork(X[0], PATH), ValueError, ("[N, D]", "[2]")),
        (lambda: GraphNetwork(X[:0], PATH), ValueError, ("non-empty", "[0, 2]")),
        (lambda: GraphNetwork(X / 0, PATH), ValueError, ("features", "finite")),
        (lambda: GraphNetwork(X[:2], PATH), ValueError, ("0…1", "0…2")),
        (lambda: GraphNetwork(X, PATH.to("meta")), ValueError, ("edges", "on cpu", "on meta")),
        (lambda: GraphNetwork(X, PATH, hidden=0), ValueError, ("hidden", "0")),
        (lambda: GraphNetwork(X, PATH, classes=1), ValueError, ("classes", "2 or more", "1")),
        (lambda: GraphNetwork(X, PATH, dropout=1.0), ValueError, ("dropout", "[0, 1)", "1.0")),
        (lambda: GraphNetwork(X, PATH, hidden=4.0), TypeError, ("hidden", "4.0")),  # type: ignore[arg-type]
        (lambda: GraphNetwork(X, PATH, dropout="0.5"), TypeError, ("dropout", "'0.5'")),  # type: ignore[arg-type]
        (lambda: GraphNetwork(X, PATH, dropout=True), TypeError, ("dropout", "True")),
        (lambda: GraphNetwork(X, PATH, dropout=float("nan")), ValueError, ("dropout", "nan")),
        (lambda: GraphNetwork(X, PATH)(torch.tensor([0, -1])), ValueError, ("nodes", "0…2", "-1…0")),
        (lambda: GraphNetwork(X, PATH)(torch.tensor([3])), ValueError, ("nodes", "0…2", "3…3")),
        (lambda: GraphNetwork(X, PATH)(torch.ones(3, dtype=torch.bool)), TypeError, ("nodes", "bool")),
        (lambda: GraphNetwork(X, PATH)(X), TypeError, ("nodes", "float32 [3, 2]")),
        (lambda: GraphNetwork(X, PATH)(1), TypeError, ("nodes", "int")),
        (lambda: local_structure_loss(X.long(), T, PATH), TypeError, ("student_features", "int64")),
        (lambda: local_structure_loss(T, None, PATH), TypeError, ("teacher_features", "NoneType")),  # type: ignore[arg-type]
        (lambda: local_structure_loss(T[:, 0], T, PATH), ValueError, ("student_features", "[3]")),
        (lambda: local_structure_loss(T, T[:2], PATH), ValueError, ("teacher_features", "3 nodes", "got 2")),
        (lambda: local_structure_loss(T, T / 0, PATH), ValueError, ("teacher_features", "finite")),
        (lambda: local_structure_loss((-T.abs()).log(), T, PATH), ValueError, ("student_features", "finite")),
        (lambda: local_structure_loss(T, T, PATH + 1), ValueError, ("0…2", "1…3")),
        (lambda: local_structure_loss(T, T, PATH.to("meta")), ValueError, ("edges", "on meta")),
        (lambda: local_structure_loss(T, T, PATH[:, :2]), ValueError, ("no node has two neighbours",)),
        (lambda: local_structure_loss(T, T, EMPTY), ValueError, ("no node has two neighbours",)),
        (lambda: local_structure_loss(T, T, PATH, sigma="1"), TypeError, ("sigma", "'1'")),  # type: ignore[arg-type]
        (lambda: local_structure_loss(T, T, PATH, sigma=True), TypeError, ("sigma", "True")),
        (lambda: local_structure_loss(T, T, PATH, sigma=0.0), ValueError, ("sigma", "0.0")),
        (lambda: local_structure_loss(T, T, PATH, sigma=float("nan")), ValueError, ("sigma", "nan")),
        (lambda: local_structure_loss(T, T, PATH, sigma=float("inf")), ValueError, ("sigma", "inf")),
    ],
)
def test_what_does_not_fit_is_one_sentence(
    call: Callable[[], object], error: type[Exception], words: tuple[str, ...]
) -> None:
    with refuses(error, *words):
        call()


@pytest.mark.parametrize("scale", [1e-30, 1e-12, 1e12, 1e30])
def test_features_of_any_size_have_their_structure(scale: float) -> None:
    """Their squares are 0, or infinite, in float32."""
    edges, student, teacher = random_edges(4, 8, 20), normal(4, 8, 3).float(), normal(5, 8, 2).float()
    usual, scaled = student.clone().requires_grad_(), (student * scale).requires_grad_()
    expected = local_structure_loss(usual, teacher, edges)
    found = local_structure_loss(scaled, teacher * scale, edges)
    torch.testing.assert_close(found, expected)
    (slope,) = torch.autograd.grad(expected, usual)
    (found_slope,) = torch.autograd.grad(found, scaled)
    torch.testing.assert_close(found_slope * scale, slope, atol=1e-6, rtol=1e-4)
    torch.testing.assert_close(
        local_structure_loss(student * scale, teacher * scale, edges, sigma=scale),
        local_structure_loss(student, teacher, edges, sigma=1.0),
    )
