"""The book's networks: images in [0, 1] go in, logits come out; each network carries its own normalisation."""

from tml_helpers.models.autoencoders import ELBO, VAE, Autoencoder, Posterior, elbo
from tml_helpers.models.classifiers import MLP, CourseCNN, SmallCNN
from tml_helpers.models.gan import GAN, GAN_WEIGHTS, Generator, Inverter, mnist_gan
from tml_helpers.models.imagenet import ImageNetClassifier, imagenet_classifier
from tml_helpers.models.normalize import STATISTICS, Normalize
from tml_helpers.models.size import multiply_adds, parameter_count

__all__ = [
    "ELBO",
    "GAN",
    "GAN_WEIGHTS",
    "MLP",
    "STATISTICS",
    "VAE",
    "Autoencoder",
    "CourseCNN",
    "Generator",
    "ImageNetClassifier",
    "Inverter",
    "Normalize",
    "Posterior",
    "SmallCNN",
    "elbo",
    "imagenet_classifier",
    "mnist_gan",
    "multiply_adds",
    "parameter_count",
]
