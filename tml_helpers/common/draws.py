"""Draws from a generator that may live on another device than the data."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor


def draw(
    sampler: Callable[..., Tensor],
    *arguments: Any,
    device: torch.device | str,
    generator: torch.Generator | None,
    **settings: Any,
) -> Tensor:
    """What a sampler of PyTorch draws where the generator lives, moved to where it is needed.

    Args:
        sampler: `torch.rand`, `torch.randn`, `torch.randint`, `torch.randperm`.
        arguments: the sampler's own, as the shape.
        device: where the result is needed.
        generator: on any device; None draws from PyTorch's own on `device`.
        settings: the sampler's own, as `dtype`.

    Returns:
        The draw, on `device`.

    Raises:
        TypeError: a generator that is none, as a seed.
    """
    check_generator(generator)
    home = device if generator is None else generator.device
    return sampler(*arguments, device=home, generator=generator, **settings).to(device)


def uniform(low: float, high: float, images: Tensor, generator: torch.Generator | None, *shape: int) -> Tensor:
    """Uniform draws for each image, between two bounds.

    Args:
        low, high: the bounds.
        images: `[N, …]`.
        generator: on any device; None draws from PyTorch's own.
        shape: of what is drawn for one image; one number if it is left out.

    Returns:
        `[N, *shape]`, of the images' type and on their device.
    """
    drawn = draw(torch.rand, len(images), *shape, device=images.device, generator=generator, dtype=images.dtype)
    return low + (high - low) * drawn


def offspring(generator: torch.Generator | None, device: torch.device | str = "cpu") -> torch.Generator:
    """A generator on `device`, seeded by one draw from another.

    Args:
        generator: the one that is drawn from, on any device; None for PyTorch's own.
        device: where the new one draws.

    Returns:
        The new generator: equal ones have equal offspring, and each call gives another.
    """
    seed = draw(torch.randint, 2**62, (), device="cpu", generator=generator)
    return torch.Generator(device).manual_seed(int(seed))


def own_generator(generator: torch.Generator | None) -> torch.Generator:
    """The generator, or one that PyTorch's own seeds: for what draws many times from one stream.

    Args:
        generator: on any device; None for a new one, on the CPU.

    Returns:
        The generator.

    Raises:
        TypeError: anything else, as a seed.
    """
    check_generator(generator)
    return offspring(None) if generator is None else generator


def check_generator(generator: torch.Generator | None) -> None:
    """A generator, or None for PyTorch's own.

    Args:
        generator: on any device.

    Raises:
        TypeError: anything else, as a seed.
    """
    if generator is not None and not isinstance(generator, torch.Generator):
        raise TypeError(
            f"generator must be a torch.Generator or None, got {generator!r}: for a seed, pass "
            "torch.Generator().manual_seed(seed)"
        )


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Inside, what draws from PyTorch's own generators draws from this seed; afterwards they are as they were.

    Args:
        seed: 0 or more.

    Yields:
        Nothing.
    """
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        yield
