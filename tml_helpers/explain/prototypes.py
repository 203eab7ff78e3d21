"""Prototypes: a network that answers "this looks like that", and a few samples that stand for all."""

from typing import Any, NamedTuple

import torch
from scipy.optimize import minimize
from torch import Tensor, nn
from torch.nn import functional as F

from tml_helpers._checks import check_images, check_labels
from tml_helpers.explain._receptive_field import receptive_boxes
from tml_helpers.models import STATISTICS, Normalize
from tml_helpers.training import evaluating

EPSILON = 1e-4
"""Keeps the similarity finite where a patch is the prototype: log((0 + 1) / (0 + 1e-4)) = 9.2."""


class PrototypePatches(NamedTuple):
    """Where each of the P prototypes was cut out of the training images."""

    images: Tensor
    """Indices of training images, `[P]`, int64."""
    cells: Tensor
    """(row, column) in the grid of patches, `[P, 2]`, int64."""
    boxes: Tensor
    """The pixels that the patch sees, (top, left, bottom, right), `[P, 4]`, int64."""


class Evidence(NamedTuple):
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
    """z_k = Σ_p w_kp · max over patches of log((d² + 1) / (d² + ε)), d = distance of the patch to prototype p.

    Each class has `prototypes_per_class` prototypes, vectors in the space of `backbone`'s feature map `[N, D, h, w]`,
    of which one cell is one patch. The default backbone takes digits `[N, 1, 28, 28]` in [0, 1] to a grid of 7×7 cells
    that see 16×16 pixels each. Returns logits `[N, classes]`. The last layer has no bias and starts with 1 for a
    prototype's own class, −0.5 for the others. Training has three steps: `training.fit` with
    `prototype_loss` (the last layer rests), then `push`, then `fit_last_layer`.

    `generator` draws the prototypes. Raises ValueError for fewer than 2 classes or no prototypes, and for a backbone
    that is no chain of convolutions, pools and element-wise layers (a patch would have no box).
    Source: Chen et al., 2019. Derived in: lectures/40_interpretability/examples_and_counterfactuals.
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
        if classes < 2 or prototypes_per_class < 1 or channels < 1:
            raise ValueError(
                "classes must be 2 or more, prototypes_per_class and channels 1 or more, "
                f"got {classes}, {prototypes_per_class} and {channels}"
            )
        super().__init__()
        self.backbone = backbone or _digit_backbone(channels)
        receptive_boxes(self.backbone, (1, 1), (28, 28))  # raises where a layer's receptive field is unknown
        count = classes * prototypes_per_class
        self.prototypes = nn.Parameter(torch.rand(count, channels, generator=generator))
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
        """d² of each prototype to each patch, `[N, P, h, w]`."""
        patches: Tensor = self.backbone(images)  # (N, D, h, w)
        if patches.ndim != 4 or patches.shape[1] != self.prototypes.shape[1]:
            raise ValueError(
                f"the backbone must return [N, {self.prototypes.shape[1]}, h, w], got shape {list(patches.shape)}"
            )
        crossed = F.conv2d(patches, self.prototypes[:, :, None, None])
        lengths = self.prototypes.square().sum(dim=1)[:, None, None]
        return (patches.square().sum(dim=1, keepdim=True) - 2 * crossed + lengths).clamp_min(0)

    def similarities(self, distances: Tensor) -> Tensor:
        """log((d² + 1) / (d² + ε)) of the nearest patch, `[N, P]`."""
        nearest = distances.flatten(2).amin(dim=2)
        return ((nearest + 1) / (nearest + EPSILON)).log()

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.last_layer(self.similarities(self.distances(images)))
        return logits

    @torch.no_grad()
    def push(self, images: Tensor, labels: Tensor, *, batch_size: int = 512) -> PrototypePatches:
        """Put each prototype onto the nearest patch of a training image of its class, and say where that lies.

        No two prototypes of a class take the same patch. Raises ValueError for images and labels that do not fit, and
        for a class with fewer patches than prototypes.
        """
        self._check(images, labels)
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
        """min over w of cross-entropy + penalty · Σ |w_kp| over prototypes of other classes; returns the minimum.

        A convex problem, for L-BFGS-B: such a weight is written as a − b with a, b ≥ 0, so that those that do not help
        become exactly 0. Everything but the last layer stays as it is.
        """
        self._check(images, labels)
        if penalty < 0 or steps < 1 or batch_size < 1:
            raise ValueError(
                f"penalty must be 0 or more, steps and batch_size 1 or more, got {penalty}, {steps} and {batch_size}"
            )
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
        """How each prototype speaks for the classes `[N]`, by default the predicted ones; its sum is the logit."""
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

    The nearest in the image's patches and the prototypes of its class, or of all other classes: an image shall have a
    patch close to a prototype of its own, and none close to another's. To be given to `training.fit` as its loss.
    Source: Chen et al., 2019. Derived in: lectures/40_interpretability/examples_and_counterfactuals.
    """
    distances = model.distances(images)
    nearest = distances.flatten(2).amin(dim=2)  # (N, P)
    own = model.classes_of_prototypes == labels[:, None]
    near = nearest.masked_fill(~own, torch.inf).amin(dim=1).mean()
    far = nearest.masked_fill(own, torch.inf).amin(dim=1).mean()
    logits = model.last_layer(model.similarities(distances))
    return F.cross_entropy(logits, labels) + cluster * near - separation * far


class Representatives(NamedTuple):
    """Samples that stand for a data set, in the order in which they were chosen."""

    prototypes: Tensor
    """Indices, `[prototypes]`, int64: together, as nearly as possible the data set in small."""
    criticisms: Tensor
    """Indices, `[criticisms]`, int64: what the prototypes do not stand for."""


def mmd_critic(
    vectors: Tensor, *, prototypes: int, criticisms: int = 0, bandwidth: float | None = None
) -> Representatives:
    """Greedy argmin over S of MMD²(data, S), then criticisms where data and prototypes differ most.

    `vectors` `[N, D]`: pixels or representations. The kernel is exp(−‖a − b‖² / 2σ²), with σ = `bandwidth`, the median
    distance unless given. A criticism maximises the witness |mean k(x, data) − mean k(x, prototypes)| plus
    log det of the criticisms' kernel, so that they differ among each other. Holds N² numbers.

    Raises ValueError where there are fewer samples than are asked for, or samples that are all the same.
    Source: Kim, Khanna and Koyejo, 2016. Derived in: lectures/40_interpretability/examples_and_counterfactuals.
    """
    if vectors.ndim != 2 or not vectors.is_floating_point() or not torch.isfinite(vectors).all():
        raise ValueError(f"vectors must be finite floats [N, D], got {vectors.dtype} of shape {list(vectors.shape)}")
    if prototypes < 1 or criticisms < 0 or prototypes + criticisms > len(vectors):
        raise ValueError(
            f"prototypes must be 1 or more, criticisms 0 or more, together at most {len(vectors)}, the samples, "
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
