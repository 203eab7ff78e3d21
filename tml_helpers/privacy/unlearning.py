"""Exact unlearning: an ensemble in which a record has touched one model only, and only from one moment on."""

import copy
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from tml_helpers.common import check_counts, check_labels, draw, offspring, own_generator, seeded
from tml_helpers.privacy._numbers import check_positive, kind
from tml_helpers.training import fit

__all__ = ["SisaEnsemble"]


class SisaEnsemble(nn.Module):
    """log of the mean of G networks' probabilities, each trained on its own shard, slice after slice.

    Sharded, isolated, sliced, aggregated: records are dealt at random to G shards, and each shard into Z slices. A
    shard's network learns its first slice, then the first two, and so on, and is kept after each. To forget a record,
    its network goes back to the state before the record's slice, and learns the rest again, with the same seeds. What
    comes out does not depend on the forgotten record in any bit, nor do the states that were kept, nor the data. That
    holds for requests that do not depend on the trained networks; who looks at them first may choose what to have
    forgotten, and then the choice itself says something.

    Args:
        build: makes a new network with random weights each time, from inputs to logits `[N, K]`; it draws from
            PyTorch's own generator.
        shards: G, how many networks, 1 or more. More are cheaper to change, and each learns from fewer records.
        slices: Z, how many parts of a shard, 1 or more. More are cheaper to change, and need more room.

    Raises:
        TypeError: numbers that are not whole.
        ValueError: no shard or no slice.

    Source: Bourtoule et al., 2021. Derived in: lectures/60_privacy/memory_and_forgetting.
    """

    def __init__(self, build: Callable[[], nn.Module], *, shards: int, slices: int = 1) -> None:
        check_counts(shards=shards, slices=slices)
        super().__init__()
        self.build, self.shards, self.slices = build, shards, slices
        self.models = nn.ModuleList()
        self._parts: list[list[tuple[Tensor, Tensor, Tensor]]] = []
        self._states: list[list[dict[str, Tensor]]] = []
        self._seeds: list[list[int]] = []
        self._rates: dict[str, float] = {}

    def forward(self, inputs: Tensor) -> Tensor:
        self._check_fitted()
        logs = torch.stack([model(inputs).log_softmax(dim=1) for model in self.models])
        return logs.logsumexp(dim=0) - torch.tensor(float(self.shards), device=logs.device).log()

    def fit(
        self,
        inputs: Tensor,
        labels: Tensor,
        *,
        epochs: int,
        learning_rate: float = 1e-3,
        batch_size: int = 64,
        generator: torch.Generator | None = None,
    ) -> int:
        """Deal the records, and train every shard's network from new weights.

        Args:
            inputs: the records, `[N, …]`, finite, with N of G·Z or more. They are copied.
            labels: their classes, int64 `[N]`.
            epochs: over each slice and those before it, 1 or more; the first is seen Z times as often as the last.
            learning_rate: Adam's, positive; each slice starts with a new Adam, which remembers nothing.
            batch_size: records in a step, 1 or more.
            generator: deals the records, and draws weights and batches; PyTorch's own state is left as it was.

        Returns:
            The cost: how many times a network was shown a record.

        Raises:
            TypeError: records, labels or a generator of another kind, or a `build` that makes no new network.
            ValueError: numbers outside their range, records not finite, shapes that differ, or fewer than G·Z records.
        """
        check_counts(epochs=epochs, batch_size=batch_size)
        check_positive(learning_rate=learning_rate)
        if not isinstance(inputs, Tensor) or not inputs.is_floating_point():
            raise TypeError(f"inputs must be a floating-point tensor, got {kind(inputs)}")
        if inputs.ndim == 0 or len(inputs) < self.shards * self.slices:
            given = len(inputs) if inputs.ndim else "a single number"
            raise ValueError(f"{self.shards} shards of {self.slices} slices need as many records, got {given}")
        check_labels("labels", labels, inputs)
        if not torch.isfinite(inputs).all():
            raise ValueError("inputs must be finite")
        generator = own_generator(generator)
        self._rates = {"epochs": epochs, "learning_rate": learning_rate, "batch_size": batch_size}
        order = draw(torch.randperm, len(inputs), device=inputs.device, generator=generator)
        before = [*self.models]
        self.models, self._parts, self._states, self._seeds = nn.ModuleList(), [], [], []
        for shard in order.tensor_split(self.shards):
            rows = shard.tensor_split(self.slices)
            self._parts.append([(index.cpu(), inputs[index], labels[index]) for index in rows])
            self._seeds.append([offspring(generator).initial_seed() for _ in range(self.slices)])
            with seeded(offspring(generator).initial_seed()):
                network = self.build()
            if not isinstance(network, nn.Module) or any(network is other for other in [*before, *self.models]):
                self._states = []
                made = "the same one again" if isinstance(network, nn.Module) else type(network).__name__
                raise TypeError(f"build must make a new network each time, got {made}")
            self.models.append(network.to(inputs.device))
            self._states.append([_kept(self.models[-1])])
        return sum(self._learn(shard, 0) for shard in range(self.shards))

    def forget(self, indices: Tensor | Sequence[int]) -> int:
        """Remove records, and retrain what has seen them.

        Args:
            indices: of the records, as they were numbered in `fit`, each once; whole numbers `[M]`.

        Returns:
            The cost: how many times a network was shown a record.

        Raises:
            TypeError: indices that are not whole numbers.
            ValueError: an index that is not there, is named twice or was forgotten before, no index, or all records of
                a shard; then nothing has changed.
            RuntimeError: before `fit`.
        """
        self._check_fitted()
        try:
            asked = torch.as_tensor(indices, device="cpu")
        except (TypeError, ValueError, RuntimeError) as problem:
            raise TypeError(f"indices must be whole numbers [M], got {type(indices).__name__}") from problem
        if asked.dtype not in (torch.int64, torch.int32) or asked.ndim != 1 or len(asked) == 0:
            raise TypeError(f"indices must be whole numbers [M], at least one, got {asked.dtype} {list(asked.shape)}")
        if len(set(asked.tolist())) != len(asked):
            raise ValueError("indices must name each record once")
        known = [torch.cat([index for index, _, _ in parts]) for parts in self._parts]
        missing = asked[~torch.isin(asked, torch.cat(known))]
        if len(missing):
            raise ValueError(f"there is no record {int(missing[0])}: its number is wrong, or it was forgotten before")
        for shard, index in enumerate(known):
            if torch.isin(index, asked).all():
                raise ValueError(f"shard {shard} would have no record left: train the ensemble anew, with fewer shards")
        return sum(self._remove(shard, asked) for shard in range(self.shards))

    def _remove(self, shard: int, asked: Tensor) -> int:
        """Take records out of a shard, and retrain it from before the first slice that had one."""
        kept = [~torch.isin(index, asked) for index, _, _ in self._parts[shard]]
        touched = [place for place, keep in enumerate(kept) if not keep.all()]
        for place in touched:
            index, inputs, labels = self._parts[shard][place]
            keep = kept[place].to(inputs.device)
            self._parts[shard][place] = index[kept[place]], inputs[keep], labels[keep]
        return self._learn(shard, touched[0]) if touched else 0

    def _learn(self, shard: int, first: int) -> int:
        """Train a shard's network from before slice `first` on; returns how many records it was shown."""
        model, states = self.models[shard], self._states[shard]
        del states[first + 1 :]
        model.load_state_dict(states[first])
        shown = 0
        for place in range(first, self.slices):
            parts = self._parts[shard][: place + 1]
            data = TensorDataset(*(torch.cat([part[column] for part in parts]) for column in (1, 2)))
            if len(data):
                seed = self._seeds[shard][place]
                with seeded(seed):
                    own = torch.Generator().manual_seed(seed)
                    fit(model, data, generator=own, progress=False, **self._rates)  # type: ignore[arg-type]
            shown += int(self._rates["epochs"]) * len(data)
            states.append(_kept(model))
        model.eval()
        return shown

    def _check_fitted(self) -> None:
        if not self._states:
            raise RuntimeError("the ensemble has not been trained: call fit first")


def _kept(model: nn.Module) -> dict[str, Tensor]:
    """A copy of all that a network has learnt."""
    return copy.deepcopy(model.state_dict())
