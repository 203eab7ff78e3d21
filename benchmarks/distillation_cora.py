"""Distillation on two graphs, scikit-learn's digits and Cora: the longer experiment of lecture 1.4.

    TML_DATA_DIR=… python benchmarks/distillation_cora.py        about six CPU-minutes on one core

Writes results/distillation_cora.json. For each graph and each of eight seeds: accuracy in per cent of a graph network
(the teacher), of an MLP that learned from the labels alone, and of the same MLP, from the same start and with as many
looks at nodes, that learned from the teacher's answers; on nodes that were there in training without their labels
(`seen`), and on nodes that were not (`unseen`; of the digits the test part, of Cora's test papers a fifth, drawn for
each seed). Then a graph network of eight hidden units: alone, with the teacher's answers, and with its local structure;
each has three settings of one number, of which the best on the validation labels of two other seeds is taken. `rows`
counts whose features one answer reads.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from statistics import mean
from typing import Any

import torch
from _measure import write
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import TensorDataset

from tml_helpers._console import on_any_console
from tml_helpers.data import Graph, cora, digits_graph
from tml_helpers.distillation import GraphNetwork, distillation_loss, local_structure_loss
from tml_helpers.training import fit, predict, seed_everything

SEEDS, CHOOSING = range(8), (100, 101)
HIDDEN = {"digits": 64, "cora": 16}  # Kipf and Welling's 16 for Cora
SMALL = 8
GRID = {"alone": (0.003, 0.01, 0.03), "answers": (1, 4, 16), "structure": (1, 10, 100)}


@dataclass(frozen=True)
class Task:
    """A graph, a part of which nobody sees until the end."""

    graph: Graph
    unseen: Tensor
    hidden: int
    dropout: float

    @cached_property
    def seen(self) -> Graph:
        return self.graph.select(~self.unseen)

    def network(self, hidden: int, dropout: float) -> GraphNetwork:
        classes = len(self.graph.classes)
        return GraphNetwork(self.seen.features, self.seen.edges, hidden=hidden, classes=classes, dropout=dropout)

    def mlp(self) -> nn.Module:
        layers = nn.Linear(self.graph.features.shape[1], 32), nn.ReLU(), nn.Dropout(self.dropout)
        return nn.Sequential(nn.Dropout(self.dropout), *layers, nn.Linear(32, len(self.graph.classes)))

    def scores(self, model: nn.Module) -> dict[str, float]:
        """Accuracy in per cent on seen nodes without a label, and on unseen ones."""
        seen, rest = self.seen, ~self.seen.train & ~self.seen.validation
        if isinstance(model, GraphNetwork):
            arguments = {"hidden": model.first.weight.shape[1], "classes": len(self.graph.classes)}
            whole = GraphNetwork(self.graph.features, self.graph.edges, **arguments)
            whole.load_state_dict(model.state_dict())
            answers = predict(model, seen.nodes[rest]), predict(whole, self.graph.nodes[self.unseen])
        else:
            answers = predict(model, seen.features[rest]), predict(model, self.graph.features[self.unseen])
        labels = seen.labels[rest], self.graph.labels[self.unseen]
        return {
            name: right(*pair) for name, pair in zip(("seen", "unseen"), zip(answers, labels, strict=True), strict=True)
        }


def right(logits: Tensor, labels: Tensor) -> float:
    return round(100 * (logits.argmax(dim=1) == labels).float().mean().item(), 2)


def task(name: str, seed: int) -> Task:
    graph = digits_graph() if name == "digits" else cora(source="full")
    if name == "digits":
        return Task(graph, graph.test, HIDDEN[name], dropout=0.0)
    words = graph.features / graph.features.sum(dim=1, keepdim=True).clamp_min(1)
    order = torch.randperm(int(graph.test.sum()), generator=torch.Generator().manual_seed(seed))
    unseen = torch.zeros_like(graph.test).index_fill(0, graph.nodes[graph.test][order[: len(order) // 5]], True)
    return Task(replace(graph, features=words), unseen, HIDDEN[name], dropout=0.5)


def learn(
    start: Callable[[], nn.Module], data: TensorDataset, seed: int, *, rate: float = 0.01, decay: float = 0.0,
    loss: Callable[..., Tensor], epochs: int = 100, batch_size: int = 4096,
) -> Any:  # fmt: skip
    """A network after training; the same seed is the same start."""
    generator = seed_everything(seed)
    model = start()
    optimizer = torch.optim.Adam(model.parameters(), lr=rate, weight_decay=decay)
    fit(model, data, epochs=epochs, loss=loss, optimizer=optimizer, batch_size=batch_size, generator=generator)
    return model


def on_labels(model: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(model(inputs), labels)


def on_answers(model: nn.Module, inputs: Tensor, logits: Tensor) -> Tensor:
    return distillation_loss(model(inputs), logits, None, temperature=1.0, alpha=1.0)


@dataclass(frozen=True)
class Lesson:
    """A task and a teacher of it."""

    task: Task
    seed: int
    teacher: GraphNetwork

    @classmethod
    def of(cls, name: str, seed: int) -> "Lesson":
        chosen = task(name, seed)
        start = partial(chosen.network, chosen.hidden, 0.5)
        return cls(chosen, seed, learn(start, labelled_nodes(chosen.seen), seed, decay=5e-4, loss=on_labels))

    @cached_property
    def answers(self) -> Tensor:
        return predict(self.teacher, self.task.seen.nodes)

    @cached_property
    def features(self) -> Tensor:
        return self.teacher.eval().hidden().detach()

    def mlps(self) -> dict[str, nn.Module]:
        """Without the graph: from the labels alone, and from the teacher's answers."""
        seen, steps = self.task.seen, {"epochs": 100} if self.task.dropout else {"epochs": 40, "batch_size": 128}
        labelled = TensorDataset(seen.features[seen.train], seen.labels[seen.train])
        answered = TensorDataset(seen.features, self.answers)
        as_many = round(steps["epochs"] * len(answered) / len(labelled))  # as many looks at nodes
        return {
            "alone": learn(self.task.mlp, labelled, self.seed, decay=5e-4, loss=on_labels, epochs=as_many),
            "taught": learn(self.task.mlp, answered, self.seed, loss=on_answers, **steps),
        }

    def small(self, method: str, setting: float) -> GraphNetwork:
        """A graph network of eight hidden units, by one of three methods."""
        seen = self.task.seen

        def loss(model: GraphNetwork, nodes: Tensor, labels: Tensor) -> Tensor:
            value = on_labels(model, nodes, labels)
            if method == "answers":
                return value + setting * on_answers(model, seen.nodes, self.answers)
            if method == "structure":
                return value + setting * local_structure_loss(model.hidden(), self.features, seen.edges)
            return value

        rate = setting if method == "alone" else 0.01
        start = partial(self.task.network, SMALL, 0.0)
        return learn(start, labelled_nodes(seen), self.seed, rate=rate, decay=5e-4, loss=loss)

    def validated(self, method: str, setting: float) -> float:
        seen = self.task.seen
        logits = predict(self.small(method, setting), seen.nodes[seen.validation])
        return right(logits, seen.labels[seen.validation])


def labelled_nodes(graph: Graph) -> TensorDataset:
    return TensorDataset(graph.nodes[graph.train], graph.labels[graph.train])


def rows_read(graph: Graph) -> list[int]:
    """For each node, how many nodes' features two graph convolutions read: itself, its neighbours, and theirs."""
    ties = torch.eye(len(graph), dtype=torch.bool)
    ties[graph.edges[0], graph.edges[1]] = True
    return [int(ties[row].any(dim=0).sum()) for row in ties]


def measure(name: str) -> dict[str, Any]:
    choosing = [Lesson.of(name, seed) for seed in CHOOSING]
    settings = {
        method: max(grid, key=lambda setting: mean(lesson.validated(method, setting) for lesson in choosing))
        for method, grid in GRID.items()
    }
    print(f"{name}: chosen on the validation labels: {settings}", flush=True)
    found: dict[str, dict[str, dict[str, list[float]]]] = {"mlp": {}, "small": {}}
    for seed in SEEDS:
        lesson = Lesson.of(name, seed)
        models = {("mlp", "teacher"): lesson.teacher}
        models |= {("mlp", student): model for student, model in lesson.mlps().items()}
        models |= {("small", method): lesson.small(method, setting) for method, setting in settings.items()}
        for (part, student), model in models.items():
            for nodes, score in lesson.task.scores(model).items():
                found[part].setdefault(student, {}).setdefault(nodes, []).append(score)
        print(
            f"{name}, seed {seed}: "
            + ", ".join(f"{k} {v['unseen'][-1]}" for p in found.values() for k, v in p.items()),
            flush=True,
        )
    graph = lesson.task.graph
    rows = rows_read(graph)
    size = {"nodes": len(graph), "edges": graph.edges.shape[1] // 2, "labels": int(graph.train.sum())}
    return {**size, "rows": {"mean": round(mean(rows), 1), "most": max(rows)}, **found, "settings": settings}


def main() -> None:
    write("distillation_cora", {name: measure(name) for name in ("digits", "cora")})


if __name__ == "__main__":
    on_any_console()
    main()
