"""Train the book's GAN and its inverter on the full MNIST, and say how good they are.

    TML_DATA_DIR=… python benchmarks/train_gan.py        about 15 CPU-minutes on one core

Writes tml_helpers/weights/mnist_gan.pt (float16) and results/gan.json. The generator is trained as a Wasserstein GAN
with gradient penalty (Gulrajani et al., 2017). For a short training the learning rates are large and fall to zero, the
critic's is twice the generator's, which allows two steps of it instead of five (Heusel et al., 2017), and what is kept
is the running mean of the generator's weights. The inverter is trained afterwards (Zhao, Dua and Singh, 2018).
"""

import time
from pathlib import Path
from typing import Any

import torch
from _measure import write
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import swa_utils
from torch.utils.data import TensorDataset
from tqdm.auto import trange

from tml_helpers._console import on_any_console
from tml_helpers.data import mnist
from tml_helpers.models import GAN, GAN_WEIGHTS, Generator, Inverter, SmallCNN, parameter_count
from tml_helpers.training import accuracy, fit, predict, seed_everything

LATENT, BATCH = 64, 64
STEPS, CRITIC_STEPS = 3000, 2
LEARNING_RATES = {"critic": 8e-4, "generator": 4e-4}
PENALTY, DECAY = 10.0, 0.995
INVERTER_STEPS, LATENT_WEIGHT = 4000, 0.1
SAMPLES = 10_000
UNFINISHED = GAN_WEIGHTS.with_suffix(".unfinished")  # every 500 steps; at last it becomes the weights


class Critic(Inverter):
    """x ↦ one number `[N]`, large for real digits: the opponent that a generator is trained against.

    No normalisation between images, which the gradient penalty does not allow (Gulrajani et al., 2017).
    """

    def __init__(self) -> None:
        super().__init__(latent=1)

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images).squeeze(1)


def some(images: Tensor) -> Tensor:
    return images[torch.randint(len(images), (BATCH,))]


def critic_loss(critic: Critic, real: Tensor, fake: Tensor) -> Tensor:
    """E[D(fake)] − E[D(real)] + λ E[(‖∇D‖ − 1)²], the gradient taken between a real and a fake image."""
    between = torch.lerp(fake, real, torch.rand(len(real), 1, 1, 1)).requires_grad_()
    (slope,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    penalty = ((slope.flatten(1).norm(dim=1) - 1) ** 2).mean()
    return critic(fake).mean() - critic(real).mean() + PENALTY * penalty


def descend(loss: Tensor, optimizer: torch.optim.Optimizer) -> None:
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()


def train_generator(images: Tensor) -> Generator:
    nets = {"critic": Critic(), "generator": Generator(LATENT)}
    critic, generator = nets.values()
    average = swa_utils.AveragedModel(generator, multi_avg_fn=swa_utils.get_ema_multi_avg_fn(DECAY))
    optimizers = {
        name: torch.optim.Adam(net.parameters(), lr=LEARNING_RATES[name], betas=(0.0, 0.9))
        for name, net in nets.items()
    }
    for step in trange(STEPS, desc="generator", mininterval=10):
        for name, optimizer in optimizers.items():
            optimizer.param_groups[0]["lr"] = LEARNING_RATES[name] * (1 - step / STEPS)
        for _ in range(CRITIC_STEPS):
            with torch.no_grad():
                fake = generator(torch.randn(BATCH, LATENT))
            descend(critic_loss(critic, some(images), fake), optimizers["critic"])
        descend(-critic(generator(torch.randn(BATCH, LATENT))).mean(), optimizers["generator"])
        average.update_parameters(generator)
        if (step + 1) % 500 == 0:
            save(GAN(renormalized(average.module), Inverter(LATENT)), UNFINISHED)
    return renormalized(average.module)


@torch.no_grad()
def renormalized(generator: Generator) -> Generator:
    """The mean of weights has other activations than the weights: measure the batch norms' statistics anew."""
    swa_utils.update_bn((torch.randn(BATCH, LATENT) for _ in range(200)), generator)
    return generator.eval()


def train_inverter(generator: Generator, images: Tensor) -> Inverter:
    """min E‖G(I(x)) − x‖² + λ E‖I(G(z)) − z‖²"""
    inverter = Inverter(LATENT)
    generator.requires_grad_(False)
    optimizer = torch.optim.Adam(inverter.parameters(), lr=1e-3)
    for step in trange(INVERTER_STEPS, desc="inverter", mininterval=10):
        optimizer.param_groups[0]["lr"] = 1e-3 * (1 - step / INVERTER_STEPS)
        real, latents = some(images), torch.randn(BATCH, LATENT)
        in_images = F.mse_loss(generator(inverter(real)), real, reduction="sum") / BATCH
        in_latents = F.mse_loss(inverter(generator(latents)), latents, reduction="sum") / BATCH
        descend(in_images + LATENT_WEIGHT * in_latents, optimizer)
    return inverter.eval()


def save(gan: GAN, path: Path) -> None:
    """In float16."""
    state = {name: {k: half(v) for k, v in net.state_dict().items()} for name, net in vars(gan).items()}
    path.parent.mkdir(exist_ok=True)
    torch.save(state, path)


def half(values: Tensor) -> Tensor:
    return values.half() if values.is_floating_point() else values


def quality(gan: GAN, judge: nn.Module, test: TensorDataset) -> dict[str, Any]:
    """What a classifier that never saw a generated image says of them, and how near the inverter comes."""
    images, labels = test.tensors
    latents = torch.randn(SAMPLES, LATENT)
    samples = predict(gan.generator, latents)
    confidence, digits = predict(judge, samples).softmax(dim=1).max(dim=1)
    inverted = predict(gan.inverter, samples)
    reconstructed = predict(gan.generator, predict(gan.inverter, images))
    kept = predict(judge, reconstructed).argmax(dim=1) == labels
    return {
        "judge_accuracy": round(accuracy(judge, test), 4),
        "samples_called_with_confidence_above_0.9": share(confidence > 0.9),
        "test_images_called_with_confidence_above_0.9": share(predict(judge, images).softmax(dim=1).amax(dim=1) > 0.9),
        "share_of_each_digit_among_samples": [share(digits == digit) for digit in range(10)],
        "test_images_whose_reconstruction_keeps_the_label": share(kept),
        "mean_squared_error_of_reconstruction": round(F.mse_loss(reconstructed, images).item(), 4),
        "mean_squared_error_of_the_mean_image": round(images.var(dim=0, unbiased=False).mean().item(), 4),
        "correlation_of_latents_and_inverted_samples": round(correlation(latents, inverted), 3),
    }


def share(of: Tensor) -> float:
    return round(of.float().mean().item(), 4)


def correlation(a: Tensor, b: Tensor) -> float:
    return torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1].item()


def main() -> None:
    torch.set_num_threads(1)
    seed_everything(0)
    train, test = mnist("train", source="full"), mnist("test", source="full")
    generator = train_generator(train.images)
    gan = GAN(generator, train_inverter(generator, train.images))
    save(gan, UNFINISHED)
    UNFINISHED.replace(GAN_WEIGHTS)
    seconds = time.process_time()
    judge = SmallCNN()
    fit(judge, train, epochs=5, progress=True)
    result = {
        "generator_steps": STEPS,
        "critic_steps": STEPS * CRITIC_STEPS,
        "inverter_steps": INVERTER_STEPS,
        "epochs_of_the_critic": round(STEPS * CRITIC_STEPS * BATCH / len(train), 1),
        "cpu_seconds": round(seconds),
        "parameters": {name: parameter_count(net) for name, net in vars(gan).items()},
        "bytes": GAN_WEIGHTS.stat().st_size,
        **quality(gan, judge, test),
    }
    print(write("gan", result))


if __name__ == "__main__":
    on_any_console()
    main()
