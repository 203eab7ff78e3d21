"""DP-SGD: drawn batches, clipped gradients, noise, and a count of the steps for the accountant."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from tqdm.auto import trange

from tml_helpers.common import check_absent, check_counts, cross_entropies, draw, offspring, own_generator
from tml_helpers.privacy._backprops import ExampleLoss, check_apart
from tml_helpers.privacy._clippable import trainable_layers
from tml_helpers.privacy._numbers import check_between, check_not_negative, check_positive
from tml_helpers.privacy.accounting import rdp_epsilon
from tml_helpers.privacy.ghost_clipping import check_clip_norm, check_examples, summed
from tml_helpers.privacy.poisson import check_sampling, poisson_batch


class DPTrainer:
    """θ ← θ − η · (Σ_{i in batch} g_i · min(1, C / ‖g_i‖) + σ C z) / (q N), with z standard normal.

    Each step draws its own batch from the whole data set, each example by a coin of its own with probability q, so that
    the accountant's assumption holds by construction: there is no way to pass a batch. What is divided by is the
    expected size q N, which says nothing about the data. An empty batch is a step of noise alone.

    The bound is for one row of the data: a person with five rows has five times the ε, or more. It covers the model
    after any number of steps and all that is made of it, but not what the trainer sees on the way, as losses. And it
    counts on noise that nobody can predict: PyTorch's generators are no cryptography, and who knows their seed, knows
    the noise.

    Args:
        model: maps images to outputs, each example for itself; frozen parameters stay as they are.
        clip_norm: C, above 0, in units of a gradient.
        noise_multiplier: σ, the noise's standard deviation over C; 0 for clipping without noise, whose ε is infinite.
        sample_rate: q, above 0 and at most 1.
        learning_rate: η, above 0, of plain gradient descent; 0.1 unless given. Refused beside an optimiser.
        optimizer: any that needs no closure, of exactly the model's trainable parameters.
        loss: of outputs and labels, one number for each example, `[N]`; None for the cross-entropy of logits `[N, K]`.
        batch_size: examples at a time, for less memory; None for all that were drawn. It changes no result.
        generator: for batches and noise, on any device; None takes one that PyTorch's own seeds.

    Raises:
        TypeError: numbers, a model, an optimiser or a generator that are none.
        ValueError: numbers out of their range, an optimiser of other parameters, or a model that
            `clipped_gradient_sum` refuses.

    Source: Abadi et al., 2016. Derived in: lectures/60_privacy/dp_sgd.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        clip_norm: float,
        noise_multiplier: float,
        sample_rate: float,
        learning_rate: float | None = None,
        optimizer: torch.optim.Optimizer | None = None,
        loss: ExampleLoss | None = None,
        batch_size: int | None = 512,
        generator: torch.Generator | None = None,
    ) -> None:
        check_clip_norm(clip_norm)
        check_sampling(sample_rate)
        check_not_negative(noise_multiplier=noise_multiplier)
        if batch_size is not None:
            check_counts(batch_size=batch_size)
        trainable_layers(model)
        self._model, self._loss, self._batch_size = model, loss or cross_entropies, batch_size
        self._clip_norm, self._noise_multiplier, self._sample_rate = clip_norm, noise_multiplier, sample_rate
        self._optimizer = _own_optimizer(model, optimizer, learning_rate)
        generator = own_generator(generator)
        self._coins, self._noise = offspring(generator), offspring(generator, next(model.parameters()).device)
        self._steps = 0
        self._examined = False
        self._left: list[tuple[int, int]] = []  # the parameters as the last step left them

    @property
    def steps(self) -> int:
        """How many steps have been taken, empty batches included."""
        return self._steps

    def step(self, images: Tensor, labels: Tensor) -> None:
        """Draw a batch from the whole data set, and take one step; nothing is told, for no ε covers sizes and losses.

        The model is in training mode meanwhile, and in its own afterwards.

        Args:
            images: all of them, `[N, …]`, where the model is.
            labels: all of them, `[N, …]`.

        Raises:
            TypeError: images or labels that are no tensors.
            ValueError: no images, a parameter that holds a gradient already, a model that something else has changed
                since the last step, a gradient that is not finite, or what `clipped_gradient_sum` refuses.
        """
        model, expected = self._model, self._sample_rate * len(images)
        layers = trainable_layers(model)
        check_examples(model, images, labels)
        if len(images) == 0:
            raise ValueError("the data set is empty: there is nothing to train on")
        parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
        for name, parameter in parameters.items():
            if parameter.grad is not None:
                raise ValueError(
                    f"{name} holds a gradient already, and a step takes none but its own: gradients cannot be "
                    "accumulated, so set them to None, as optimizer.zero_grad() does"
                )
        self._check_untouched()
        _check_held(parameters, self._optimizer)
        batch = poisson_batch(len(images), sample_rate=self._sample_rate, generator=self._coins).to(images.device)
        with _training(model):
            if not self._examined:
                check_apart(model, layers, images[:2], labels[:2], self._loss)
                self._examined = True
            sums = summed(
                model,
                layers,
                images[batch],
                labels[batch.to(labels.device)],
                clip_norm=self._clip_norm,
                loss=self._loss,
                batch_size=self._batch_size,
            )
        scale = self._noise_multiplier * self._clip_norm
        for name, parameter in parameters.items():
            total = sums[name]
            total += scale * draw(
                torch.randn, total.shape, device=total.device, generator=self._noise, dtype=total.dtype
            )
            parameter.grad = (total / expected).to(parameter.dtype)
        self._steps += 1  # also of a step that an optimizer breaks off
        self._optimizer.step()
        for parameter in parameters.values():
            parameter.grad = None
        self._left = self._versions()

    def fit(self, images: Tensor, labels: Tensor, *, steps: int, progress: bool | None = None) -> None:
        """Take several steps, each on a batch of its own.

        Args:
            images: all of them, `[N, …]`, where the model is.
            labels: all of them, `[N, …]`.
            steps: how many more, 0 or more.
            progress: whether to show a bar; None in a terminal only.

        Raises:
            TypeError: what `step` refuses, or a number of steps that is not whole.
            ValueError: what `step` refuses.
        """
        check_counts(0, steps=steps)
        for _ in trange(steps, desc="steps", disable=None if progress is None else not progress):
            self.step(images, labels)

    def epsilon(self, delta: float) -> float:
        """ε at δ of the steps taken so far: any one row, put in or left out, changes no probability by more.

        Args:
            delta: δ, above 0 and below 1; well below 1/N, for with δ = 1/N one may publish a row.

        Returns:
            ε by Rényi differential privacy, an upper bound; 0 before the first step, infinite without noise.

        Raises:
            TypeError: a δ that is no number.
            ValueError: a δ outside of (0, 1), or a model that something else has changed since the last step, of which
                nothing is known.
        """
        check_between(delta=delta)
        self._check_untouched()
        if self._steps == 0:
            return 0.0
        return rdp_epsilon(
            noise_multiplier=self._noise_multiplier, sample_rate=self._sample_rate, steps=self._steps, delta=delta
        )

    def _versions(self) -> list[tuple[int, int]]:
        return [(id(parameter), parameter._version) for parameter in self._model.parameters()]

    def _check_untouched(self) -> None:
        if self._steps and self._versions() != self._left:
            raise ValueError(
                "something else than this trainer has changed the model since the last step, and no ε is known of "
                "that: train with a new DPTrainer"
            )


@contextmanager
def _training(model: nn.Module) -> Iterator[None]:
    """Inside, the model is in training mode; afterwards every layer is back in the mode that it had."""
    modes = [(module, module.training) for module in model.modules()]
    model.train()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def _own_optimizer(
    model: nn.Module, optimizer: torch.optim.Optimizer | None, learning_rate: float | None
) -> torch.optim.Optimizer:
    """The optimiser, if it changes what is clipped and noised; or gradient descent."""
    trainable = {id(p): name for name, p in model.named_parameters() if p.requires_grad}
    if optimizer is None:
        rate = 0.1 if learning_rate is None else learning_rate
        check_positive(learning_rate=rate)
        return torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=rate)
    check_absent("an optimizer is given", learning_rate=learning_rate)
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise TypeError(f"optimizer must be a torch.optim.Optimizer, got {type(optimizer).__name__}")
    if isinstance(optimizer, torch.optim.LBFGS):
        raise ValueError("LBFGS asks for the loss several times a step, which no ε covers: take SGD or Adam")
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    if held - set(trainable):
        raise ValueError(
            "the optimizer holds parameters that are not trainable parameters of the model: nothing would clip their "
            "gradients"
        )
    _check_held({name: p for name, p in model.named_parameters() if p.requires_grad}, optimizer)
    return optimizer


def _check_held(parameters: Mapping[str, nn.Parameter], optimizer: torch.optim.Optimizer) -> None:
    """Everything that is clipped is trained; a layer may have been unfrozen meanwhile."""
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    if missing := [name for name, parameter in parameters.items() if id(parameter) not in held]:
        raise ValueError(
            f"the optimizer does not hold {missing[0]}: freeze it by requires_grad_(False), or its gradient takes a "
            "part of the clip norm for nothing"
        )
