"""Prototypes: a network that answers "this looks like that", and a few samples that stand for all."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tml_helpers.common import check_counts, check_images, check_labels, draw, evaluating
from tml_helpers.explain._receptive_field import receptive_boxes
from tml_helpers.models import STATISTICS, Normalize

EPSILON = 1e-4
"""Keeps the similarity finite where a patch is the prototype: log((0 + 1) / (0 + 1e-4)) = 9.2."""


@dataclass(frozen=True, eq=False)
class PrototypePatches:
    """Where each of the P prototypes was cut out of the training images."""

    images: Tensor
    """Indices of training images, `[P]`, int64."""
    cells: Tensor
    """(row, column) in the grid of patches, `[P, 2]`, int64."""
    boxes: Tensor
    """The pixels that the patch sees, (top, left, bottom, right), `[P, 4]`, int64."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """Why a class gets its logit: one row for each of the P prototypes, for N images."""

    similarities: Tensor
    """How much the most similar patch resembles the prototype, `[N, P]`, from 0 to 9.2."""
    weights: Tensor
    """What a unit of similarity counts for the class, `[N, P]`."""
    contributions: Tensor
    """Their product, `[N, P]`: a row's sum is the logit."""
    logits: Tensor
    """The logit that is explained, `[N]`."""
    boxes: Tensor
    """The pixels that the most similar patch sees, (top, left, bottom, right), `[N, P, 4]`, int64."""


class ProtoPNet(nn.Module):
    """z_k = Σ_p w_kp · max over patches of log((d² + 1) / (d² + 10⁻⁴)), d = distance of the patch to prototype p.

    A prototype is a vector in the space of the backbone's feature map, of which one cell is one patch. The last layer
    has no bias and starts with 1 for a prototype's own class, −0.5 for the others. It returns logits `[N, classes]`.
    Training has three steps: `training.fit` with `prototype_loss` (the last layer rests), then `push`, then
    `fit_last_layer`.

    Args:
        backbone: a chain of convolutions, pools and element-wise layers, so that a patch has a box, to a feature map
            `[N, channels, h, w]`. By default one that takes digits `[N, 1, 28, 28]` in [0, 1] to 7×7 cells that see
            16×16 pixels each.
        channels: of the feature map, 1 or more.
        classes: 2 or more.
        prototypes_per_class: 1 or more.
        generator: draws the prototypes from [0, 1], on any device.

    Raises:
        TypeError: what is no whole number, or no generator.
        ValueError: a number out of its range, or a backbone of another kind.

    Source: Chen et al., 2019. Derived in: lectures/40_interpretability/examples_and_counterfactuals
    """

    classes_of_prototypes: Tensor

    def __init__(
        self,
        backbone: nn.Sequential | None = None,
        *,
        channels: int = 32,
        classes: int = 10,
        prototypes_per_class: int = 3,
        generator: torch.Generator | None = None,
    ) -> None:
        check_counts(2, classes=classes)
        check_counts(prototypes_per_class=prototypes_per_class, channels=channels)
        super().__init__()
        self.backbone = backbone or _digit_backbone(channels)
        receptive_boxes(self.backbone, (1, 1), (28, 28))  # raises where a layer's receptive field is unknown
        count = classes * prototypes_per_class
        self.prototypes = nn.Parameter(draw(torch.rand, count, channels, device="cpu", generator=generator))
        self.last_layer = nn.Linear(count, classes, bias=False)
        self.register_buffer("classes_of_prototypes", torch.arange(classes).repeat_interleave(prototypes_per_class))
        with torch.no_grad():
            self.last_layer.weight.copy_(1.5 * self.own.float() - 0.5)
        self.last_layer.weight.requires_grad_(False)

    @property
    def own(self) -> Tensor:
        """Whether a prototype is of a class, `[classes, P]`."""
        classes = torch.arange(self.last_layer.out_features, device=self.classes_of_prototypes.device)
        return self.classes_of_prototypes == classes[:, None]

    def distances(self, images: Tensor) -> Tensor:
        """d² = ‖patch‖² − 2 ⟨patch, prototype⟩ + ‖prototype‖² of each prototype to each patch.

        Args:
            images: as the backbone takes them.

        Returns:
            `[N, P, h, w]`, 0 or more.

        Raises:
            ValueError: the backbone returns another shape.
        """
        patches: Tensor = self.backbone(images)  # (N, D, h, w)
        if patches.ndim != 4 or patches.shape[1] != self.prototypes.shape[1]:
            raise ValueError(
                f"the backbone must return [N, {self.prototypes.shape[1]}, h, w], got shape {list(patches.shape)}"
            )
        crossed = F.conv2d(patches, self.prototypes[:, :, None, None])
        lengths = self.prototypes.square().sum(dim=1)[:, None, None]
        return (patches.square().sum(dim=1, keepdim=True) - 2 * crossed + lengths).clamp_min(0)

    def similarities(self, distances: Tensor) -> Tensor:
        """log((d² + 1) / (d² + 10⁻⁴)) of the nearest patch.

        Args:
            distances: d², `[N, P, h, w]`, as `distances` gives them.

        Returns:
            `[N, P]`, from 0 to 9.2.
        """
        nearest = distances.flatten(2).amin(dim=2)
        return ((nearest + 1) / (nearest + EPSILON)).log()

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.last_layer(self.similarities(self.distances(images)))
        return logits

    @torch.no_grad()
    def push(self, images: Tensor, labels: Tensor, *, batch_size: int = 512) -> PrototypePatches:
        """Put each prototype onto the nearest patch of a training image of its class, and say where that lies.

        No two prototypes of a class take the same patch.

        Args:
            images: `[n, C, H, W]` in [0, 1], where the model is.
            labels: `[n]`, int64.
            batch_size: how many images go through the backbone at a time.

        Returns:
            Where each prototype was cut out.

        Raises:
            TypeError: another kind, type or device.
            ValueError: images and labels that do not fit, or a class with fewer patches than prototypes.
        """
        self._check(images, labels)
        check_counts(batch_size=batch_size)
        found, grid = [], torch.Size()
        with evaluating(self):
            for own_class in range(self.last_layer.out_features):
                members = (labels == own_class).nonzero().flatten()
                own = (self.classes_of_prototypes == own_class).nonzero().flatten()
                parts = [self.distances(images[some])[:, own] for some in members.split(batch_size)]
                patches = len(members) and parts[0][0, 0].numel() * len(members)
                if patches < len(own):
                    raise ValueError(f"class {own_class} has {patches} patches for {len(own)} prototypes")
                grid = parts[0].shape[2:]
                nearest = torch.cat(parts).transpose(0, 1).flatten(1)  # (prototypes, members · h · w)
                for distances in nearest:
                    chosen = int(distances.argmin())
                    nearest[:, chosen] = torch.inf
                    found.append((int(members[chosen // grid.numel()]), chosen % grid.numel()))
            sources, cells = torch.tensor(found, device=images.device).T
            for prototype, (source, cell) in enumerate(found):
                patches_of_one = self.backbone(images[source : source + 1]).flatten(2)
                self.prototypes[prototype] = patches_of_one[0, :, cell]
        places = torch.stack([cells // grid[1], cells % grid[1]], dim=1)
        boxes = receptive_boxes(self.backbone, tuple(grid), tuple(images.shape[2:])).to(images.device)
        return PrototypePatches(sources, places, boxes[cells])

    @torch.no_grad()
    def fit_last_layer(
        self, images: Tensor, labels: Tensor, *, penalty: float = 1e-3, steps: int = 1000, batch_size: int = 512
    ) -> float:
        """min over w of cross-entropy + penalty · Σ |w_kp| over prototypes of other classes.

        A convex problem, for L-BFGS-B: such a weight is written as a − b with a, b ≥ 0, so that those that do not help
        become exactly 0. Everything but the last layer stays as it is.

        Args:
            images, labels: as of `push`.
            penalty: 0 or more.
            steps: iterations of the solver at most, 1 or more.
            batch_size: as of `push`.

        Returns:
            The minimum.

        Raises:
            TypeError: another kind, type or device.
            ValueError: images and labels that do not fit, or a number out of its range.
        """
        from scipy.optimize import minimize

        self._check(images, labels)
        check_counts(steps=steps, batch_size=batch_size)
        if not penalty >= 0:
            raise ValueError(f"penalty must be 0 or more, got {penalty}")
        with evaluating(self):
            parts = [self.similarities(self.distances(part)) for part in images.split(batch_size)]
        inputs, others = torch.cat(parts).double(), ~self.own
        truth = F.one_hot(labels, len(others)).double()
        start = self.last_layer.weight.double()
        start = torch.stack([torch.where(others, start.clamp_min(0), start), (-start).clamp_min(0) * others])

        def objective(flat: Any) -> tuple[float, Any]:
            """The value and its gradient, where every step of the solver asks."""
            split = torch.from_numpy(flat).to(inputs.device).view_as(start)
            logits = inputs @ (split[0] - split[1]).T
            value = F.cross_entropy(logits, labels) + penalty * (split[:, others]).sum()
            gradient = (logits.softmax(dim=1) - truth).T @ inputs / len(inputs)
            both = torch.stack([gradient, -gradient * others]) + penalty * others
            return float(value), both.cpu().numpy().ravel()

        free = [(None, None) if own else (0, None) for own in self.own.flatten().tolist()]
        found = minimize(
            objective,
            start.cpu().numpy().ravel(),
            jac=True,
            method="L-BFGS-B",
            bounds=[*free, *(((0, None) if other else (0, 0)) for other in others.flatten().tolist())],
            options={"maxiter": steps, "maxfun": 2 * steps, "ftol": 1e-12, "gtol": 1e-7},
        )
        split = torch.from_numpy(found.x).to(inputs.device).view_as(start)
        self.last_layer.weight.copy_(split[0] - split[1])
        return float(found.fun)

    @torch.no_grad()
    def evidence(self, images: Tensor, classes: Tensor | None = None) -> Evidence:
        """z_k = Σ_p w_kp · similarity_p: how each prototype speaks for a class; the sum is the logit.

        Args:
            images: `[N, C, H, W]` in [0, 1], where the model is.
            classes: `[N]`, int64; the predicted ones unless given.

        Returns:
            Similarities, weights, their products, and where the most similar patches lie.

        Raises:
            TypeError: another kind, type or device.
            ValueError: images and classes that do not fit.
        """
        check_images(self, images)
        with evaluating(self):
            distances = self.distances(images)
            similarities = self.similarities(distances)
            logits = self.last_layer(similarities)
        classes = logits.argmax(dim=1) if classes is None else classes
        check_labels("classes", classes, images)
        if int(classes.max()) >= logits.shape[1]:
            raise ValueError(f"classes must lie in 0…{logits.shape[1] - 1}, got {int(classes.max())}")
        weights = self.last_layer.weight[classes]
        places = distances.flatten(2).argmin(dim=2)
        boxes = receptive_boxes(self.backbone, tuple(distances.shape[2:]), tuple(images.shape[2:]))
        return Evidence(
            similarities=similarities,
            weights=weights,
            contributions=weights * similarities,
            logits=logits.gather(1, classes[:, None]).squeeze(1),
            boxes=boxes.to(images.device)[places],
        )

    def _check(self, images: Tensor, labels: Tensor) -> None:
        check_images(self, images)
        check_labels("labels", labels, images)
        if int(labels.max()) >= self.last_layer.out_features:
            raise ValueError(f"labels must lie in 0…{self.last_layer.out_features - 1}, got {int(labels.max())}")


def prototype_loss(
    model: ProtoPNet, images: Tensor, labels: Tensor, *, cluster: float = 0.8, separation: float = 0.08
) -> Tensor:
    """Cross-entropy + `cluster` · mean d² to the nearest own prototype − `separation` · to the nearest other.

    The nearest in the image's patches and the prototypes of its class, or of all other classes: an image should have a
    patch close to a prototype of its own, and none close to another's. To be given to `training.fit` as its loss.

    Args:
        model: whose prototypes are learnt.
        images: `[N, C, H, W]`, as its backbone takes them.
        labels: `[N]`, int64.
        cluster, separation: what both distances count.

    Returns:
        One number, with its graph.

    Source: Chen et al., 2019. Derived in: lectures/40_interpretability/examples_and_counterfactuals
    """
    distances = model.distances(images)
    nearest = distances.flatten(2).amin(dim=2)  # (N, P)
    own = model.classes_of_prototypes == labels[:, None]
    near = nearest.masked_fill(~own, torch.inf).amin(dim=1).mean()
    far = nearest.masked_fill(own, torch.inf).amin(dim=1).mean()
    logits = model.last_layer(model.similarities(distances))
    return F.cross_entropy(logits, labels) + cluster * near - separation * far


@dataclass(frozen=True, eq=False)
class Representatives:
    """Samples that stand for a data set, in the order in which they were chosen."""

    prototypes: Tensor
    """Indices, `[prototypes]`, int64: together, as nearly as possible the data set in small."""
    criticisms: Tensor
    """Indices, `[criticisms]`, int64: what the prototypes do not stand for."""


def mmd_critic(
    vectors: Tensor, *, prototypes: int, criticisms: int = 0, bandwidth: float | None = None
) -> Representatives:
    """Greedy argmin over S of MMD²(data, S), then criticisms where data and prototypes differ most.

    The kernel is exp(−‖a − b‖² / 2σ²). A criticism maximises the witness |mean k(x, data) − mean k(x, prototypes)| plus
    log det of the criticisms' kernel, so that they differ among each other. Holds N² numbers.

    Args:
        vectors: `[N, D]`, finite floats: pixels or representations.
        prototypes: how many, 1 or more.
        criticisms: how many, 0 or more; with the prototypes at most N.
        bandwidth: σ, above 0, in the unit of the vectors; the median distance between different samples unless given.

    Returns:
        Indices of samples.

    Raises:
        TypeError: what is no whole number.
        ValueError: fewer samples than are asked for, samples that are all the same, or vectors of another kind.

    Source: Kim, Khanna and Koyejo, 2016. Derived in: lectures/40_interpretability/examples_and_counterfactuals
    """
    if vectors.ndim != 2 or not vectors.is_floating_point() or not torch.isfinite(vectors).all():
        raise ValueError(f"vectors must be finite floats [N, D], got {vectors.dtype} of shape {list(vectors.shape)}")
    check_counts(prototypes=prototypes)
    check_counts(0, criticisms=criticisms)
    if prototypes + criticisms > len(vectors):
        raise ValueError(
            f"prototypes and criticisms must be at most {len(vectors)}, the samples, together, "
            f"got {prototypes} and {criticisms}"
        )
    exact = vectors.double()
    squares = torch.cdist(exact, exact, compute_mode="donot_use_mm_for_euclid_dist").square()  # 0 for equal samples
    if bandwidth is None:
        bandwidth = float(squares[squares > 0].median().sqrt()) if (squares > 0).any() else 0.0
    if not bandwidth > 0:
        raise ValueError(f"bandwidth must be above 0, got {bandwidth}; are all samples the same?")
    kernel = (-squares / (2 * bandwidth**2)).exp()
    kernel.fill_diagonal_(1)
    chosen = _greedy_prototypes(kernel, prototypes)
    return Representatives(chosen, _greedy_criticisms(kernel, chosen, criticisms))


def _greedy_prototypes(kernel: Tensor, count: int) -> Tensor:
    """argmax of 2/(N·m) Σ k(x, s) − 1/m² Σ k(s, s′), one sample after the other."""
    likeness, within = kernel.mean(dim=1), torch.zeros(len(kernel), dtype=kernel.dtype, device=kernel.device)
    chosen: list[int] = []
    total, inner = 0.0, 0.0
    for size in range(1, count + 1):
        inners = inner + 2 * within + kernel.diagonal()
        value = 2 * (total + likeness) / size - inners / size**2
        value[chosen] = -torch.inf
        best = int(value.argmax())
        chosen.append(best)
        total, inner, within = total + float(likeness[best]), float(inners[best]), within + kernel[best]
    return torch.tensor(chosen, device=kernel.device)


def _greedy_criticisms(kernel: Tensor, prototypes: Tensor, count: int) -> Tensor:
    """argmax of |witness| + log(1 − kᵀ K⁻¹ k): what the determinant grows by, one sample after the other."""
    witness = (kernel.mean(dim=1) - kernel[:, prototypes].mean(dim=1)).abs()
    chosen: list[int] = []
    for _ in range(count):
        cross = kernel[:, chosen]
        rest = torch.ones_like(witness)
        if chosen:
            rest = 1 - (cross * torch.linalg.solve(kernel[chosen][:, chosen], cross.T).T).sum(dim=1)
        value = witness + rest.clamp_min(torch.finfo(rest.dtype).tiny).log()
        value[[*chosen, *prototypes.tolist()]] = -torch.inf
        chosen.append(int(value.argmax()))
    return torch.tensor(chosen, dtype=torch.int64, device=kernel.device)


def _digit_backbone(channels: int) -> nn.Sequential:
    """`[N, 1, 28, 28]` → `[N, channels, 7, 7]` in [0, 1]; a cell sees 16×16 pixels."""
    return nn.Sequential(
        Normalize(*STATISTICS["mnist"]),
        nn.Conv2d(1, 16, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, channels, 1),
        nn.Sigmoid(),
    )
