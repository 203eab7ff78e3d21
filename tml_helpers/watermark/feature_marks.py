"""The marks of Sablayrolles et al.: features that are moved along a secret direction, and the test by cosines."""

from dataclasses import dataclass

import torch
from scipy import stats
from torch import Tensor, nn
from torch.nn import functional as F

from tml_helpers.common import (
    check_counts,
    check_gradient,
    check_images,
    check_labels,
    check_numbers,
    differentiable,
    evaluating,
    input_gradient,
    layer_names,
)
from tml_helpers.common.layers import Layer
from tml_helpers.watermark.evidence import SMALLEST, Evidence
from tml_helpers.watermark.keys import check_key, normals
from tml_helpers.watermark.radioactive import RadioactiveData, chosen_of_each_class
from tml_helpers.watermark.tampering import psnr

NEARNESS = 0.5
"""How much a change of the features beside the direction costs: the paper's weight."""


@dataclass(frozen=True, eq=False)
class CosineEvidence(Evidence):
    """What `cosine_test` found: the statistic is Fisher's, −2 Σ ln πₖ."""

    cosines: Tensor
    """`[K]`, float64: between the classifier's row and the key's direction of each class."""
    p_values: Tensor
    """`[K]`, float64: of each class alone."""


def feature_mark(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    key: bytes,
    epsilon: float,
    layer: Layer,
    fraction: float = 0.1,
    steps: int = 40,
    batch_size: int = 256,
) -> RadioactiveData:
    """max over |x̃ − x| ≤ ε of ⟨φ(x̃) − φ(x), u_y⟩ − ½‖φ(x̃) − φ(x)‖, on a fraction of the images of each class.

    φ are the features that the model hands to its last layer, and u_y is the key's direction of the class. The pixels
    are optimised by steps along the sign of the gradient.

    Args:
        model: the owner's marking network; it comes back as it was.
        images: `[N, C, H, W]` in [0, 1], where the model is.
        labels: `[N]`, int64.
        key: 16 to 32 secret bytes; it draws the directions and picks the images.
        epsilon: how much a pixel may change, above 0 and at most 1.
        layer: the classifier, an `nn.Linear` whose input are the features.
        fraction: of the images of each class, above 0 and at most 1.
        steps: of the optimiser, each of 2.5 ε / steps.
        batch_size: images at a time.

    Returns:
        All images, which of them are marked, and how visible that is.

    Raises:
        TypeError: a key that is not bytes, a layer that is not linear, images or labels of another kind.
        ValueError: shapes that differ, values outside of [0, 1], a size or share out of range, a fraction of which
            every class has less than one image, a layer that the model does not have, or labels beyond its rows.

    Source: Sablayrolles et al., 2020. Derived in: lectures/70_watermarking/radioactive_data
    """
    check_key(key)
    check_images(model, images)
    check_labels("labels", labels, images)
    check_counts(steps=steps, batch_size=batch_size)
    check_numbers(epsilon=epsilon, fraction=fraction)
    for name, number in (("epsilon", epsilon), ("fraction", fraction)):
        if not 0 < number <= 1:
            raise ValueError(f"{name} must lie above 0 and be at most 1, got {number}")
    classifier = _classifier(model, layer)
    if int(labels.max()) >= classifier.out_features:
        raise ValueError(f"labels must lie in 0…{classifier.out_features - 1}, the layer's rows, got {labels.max()}")
    marked = chosen_of_each_class(labels, key=key, fraction=fraction)
    result = images.detach().clone()
    for part in marked.split(batch_size):
        along = _directions(key, labels[part], classifier.in_features).to(images)
        result[part] = _moved(model, images[part], classifier, along, epsilon, steps)
    return RadioactiveData(result, marked, psnr(result[marked], images[marked]))


def cosine_test(
    model: nn.Module,
    images: Tensor,
    *,
    key: bytes,
    layer: Layer,
    marker: nn.Module | None = None,
    marker_layer: Layer | None = None,
    batch_size: int = 256,
) -> CosineEvidence:
    """cos(w_k, u_k) of each row of the classifier: (1 + cos)/2 is Beta((d − 1)/2, (d − 1)/2) for a random direction.

    The p-values of the classes are independent under a fresh key, whatever the model is: Fisher's sum is χ² with 2K
    degrees of freedom. Where the suspect has features of its own, they are aligned first: the matrix M by least squares
    takes the marker's features to the suspect's, and the row is w_k M. M is made without the key.

    Args:
        model: the suspect.
        images: in [0, 1], where the models are; only the alignment looks at them.
        key: with which the data were marked.
        layer: the suspect's classifier, an `nn.Linear`.
        marker: the owner's marking network; None where the suspect has its features, frozen.
        marker_layer: the marker's classifier; None for the same name as `layer`.
        batch_size: images at a time.

    Returns:
        The evidence, with the cosine of each class.

    Raises:
        TypeError: a key that is not bytes, a layer that is not linear, or images of another kind.
        ValueError: a layer that the model does not have, a classifier of a single feature or with a row of zeros, or
            features that are not finite.

    Source: Sablayrolles et al., 2020. Derived in: lectures/70_watermarking/radioactive_data
    """
    check_key(key)
    check_images(model, images)
    check_counts(batch_size=batch_size)
    classifier = _classifier(model, layer)
    rows = classifier.weight.detach().double().cpu()
    if marker is not None:
        check_images(marker, images)
        other = _classifier(marker, marker_layer or layer_names(model, [layer])[0])
        own, known = (_features(*pair, images, batch_size) for pair in ((model, classifier), (marker, other)))
        rows = rows @ torch.linalg.lstsq(known, own, driver="gelsd").solution.T
    sizes, dimension = rows.norm(dim=1), rows.shape[1]
    if dimension < 2 or not (sizes > 0).all():
        raise ValueError(f"a cosine needs rows that are not zero, of 2 features or more, got {list(rows.shape)}")
    cosines = (rows * _directions(key, torch.arange(len(rows)), dimension)).sum(1) / sizes
    shape = (dimension - 1) / 2
    p_values = torch.from_numpy(stats.beta.sf(((1 + cosines) / 2).numpy(), shape, shape)).clamp_min(SMALLEST)
    fisher = float(-2 * p_values.log().sum())
    p_value = max(float(stats.chi2.sf(fisher, 2 * len(rows))), SMALLEST)
    return CosineEvidence(fisher, p_value, p_value, cosines, p_values)


def _classifier(model: nn.Module, layer: Layer) -> nn.Linear:
    found = model.get_submodule(layer_names(model, [layer])[0])
    if not isinstance(found, nn.Linear):
        raise TypeError(f"layer must be an nn.Linear, whose rows are the classes, got {type(found).__name__}")
    return found


def _directions(key: bytes, labels: Tensor, dimension: int) -> Tensor:
    """u_k of each label, `[M, d]`: unit vectors, uniform on the sphere."""
    known = {k: normals(key, f"radioactive: direction of class {k}", dimension) for k in labels.unique().tolist()}
    return F.normalize(torch.stack([known[label] for label in labels.tolist()]))


def _seen(model: nn.Module, classifier: nn.Linear, images: Tensor) -> Tensor:
    """φ: what the classifier is given in one forward pass."""
    inputs: list[Tensor] = []
    handle = classifier.register_forward_pre_hook(lambda _, given: inputs.append(given[0]))
    try:
        model(images)
    finally:
        handle.remove()
    if len(inputs) != 1 or inputs[0].ndim != 2 or not inputs[0].isfinite().all():
        raise ValueError("the classifier must be used once, on finite features [N, d]: name the model's last layer")
    return inputs[0]


@torch.no_grad()
def _features(model: nn.Module, classifier: nn.Linear, images: Tensor, batch_size: int) -> Tensor:
    """φ of all images, float64 on the CPU."""
    with evaluating(model):
        parts = [_seen(model, classifier, part) for part in images.split(batch_size)]
    return torch.cat(parts).double().cpu()


def _moved(
    model: nn.Module, images: Tensor, classifier: nn.Linear, along: Tensor, epsilon: float, steps: int
) -> Tensor:
    """The images, with their features moved along their directions."""
    with differentiable(model):
        start = _seen(model, classifier, images).detach()
        moved = images
        for _ in range(steps):
            leaf = moved.detach().requires_grad_()
            shift = _seen(model, classifier, leaf.clone()) - start
            gain = (shift * along).sum() - NEARNESS * (shift.square().sum(1) + 1e-12).sqrt().sum()
            slope = check_gradient(input_gradient(gain, leaf))
            change = moved + 2.5 * epsilon / steps * slope.sign() - images
            moved = (images + change.clamp(-epsilon, epsilon)).clamp(0, 1)
    return moved.detach()
