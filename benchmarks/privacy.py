"""Privacy on the CPU: a private step, an attack, encrypted numbers and ε, beside Opacus, dp-accounting and phe.

python benchmarks/privacy.py [--rounds 7] [--only WORD] [--again]      writes results/privacy.json after each row

A run goes on where an earlier one ended, as long as machine, library and peers are the same; `--again` measures anew.
Seconds are CPU time of one thread, so that another program on the machine counts for little. Memory is what PyTorch
holds at most during a step beyond what it held before.
"""

import argparse
import copy
import hashlib
import os
import time
import warnings
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from statistics import mean, median
from typing import Any

import dp_accounting
import phe
import torch
from _measure import added_bytes, medians, speedups, wall_times, write
from dp_accounting.pld import PLDAccountant
from dp_accounting.rdp import RdpAccountant
from opacus import accountants
from opacus.grad_sample import GradSampleModule, GradSampleModuleFastGradientClipping
from opacus.optimizers import DPOptimizer, DPOptimizerFastGradientClipping
from opacus.utils.fast_gradient_clipping_utils import DPTensorFastGradientClipping
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import TensorDataset

from tml_helpers import measured, privacy
from tml_helpers._console import on_any_console
from tml_helpers.data import mnist
from tml_helpers.kernels.clip_and_sum import clip_and_sum, reference
from tml_helpers.machine import describe
from tml_helpers.models import MLP, SmallCNN
from tml_helpers.training import fit

BATCH, CLIP_NORM, NOISE, RATE = 256, 1.0, 1.0, 0.1
SHADOWS, TARGETS, EPOCHS, ATTACK_BATCH = 16, 4, 30, 32
BITS, NUMBERS = 2048, 4
ACCOUNT = {"noise_multiplier": 1.1, "sample_rate": 256 / 60_000, "steps": 14_040, "delta": 1e-5}  # 60 epochs of MNIST
PEERS = ("torch", "opacus", "dp-accounting", "phe")
Run = Callable[[], Any]
Row = dict[str, Any]


# ------------------------------------------------------------------------------------------------ a private step


def sgd(model: nn.Module) -> torch.optim.SGD:
    return torch.optim.SGD(model.parameters(), lr=RATE)


def public(model: nn.Module, images: Tensor, labels: Tensor, _noise: float) -> Run:
    optimizer = sgd(model)

    def step() -> None:
        optimizer.zero_grad()
        F.cross_entropy(model(images), labels).backward()
        optimizer.step()

    return step


def ours(model: nn.Module, images: Tensor, labels: Tensor, noise: float) -> Run:
    """At rate 1 a trainer draws the whole data set, which is this batch."""
    trainer = privacy.DPTrainer(
        model, clip_norm=CLIP_NORM, noise_multiplier=noise, sample_rate=1.0, learning_rate=RATE, generator=seeded()
    )
    return lambda: trainer.step(images, labels)


def opacus_hooks(model: nn.Module, images: Tensor, labels: Tensor, noise: float) -> Run:
    wrapped = GradSampleModule(model, loss_reduction="mean")
    optimizer = DPOptimizer(
        sgd(model), noise_multiplier=noise, max_grad_norm=CLIP_NORM, expected_batch_size=BATCH, generator=seeded()
    )

    def step() -> None:
        optimizer.zero_grad()
        F.cross_entropy(wrapped(images), labels).backward()
        optimizer.step()

    return step


def opacus_ghost(model: nn.Module, images: Tensor, labels: Tensor, noise: float) -> Run:
    wrapped = GradSampleModuleFastGradientClipping(model, loss_reduction="mean", max_grad_norm=CLIP_NORM)
    optimizer = DPOptimizerFastGradientClipping(
        sgd(model), noise_multiplier=noise, max_grad_norm=CLIP_NORM, expected_batch_size=BATCH, generator=seeded()
    )

    def step() -> None:
        optimizer.zero_grad()
        losses = F.cross_entropy(wrapped(images), labels, reduction="none")
        DPTensorFastGradientClipping(wrapped, optimizer, losses, loss_reduction="mean").backward()
        optimizer.step()

    return step


def vmap_plain(model: nn.Module, images: Tensor, labels: Tensor, noise: float) -> Run:
    return by_vmap(model, images, labels, noise, lambda gradients: reference(gradients, CLIP_NORM))


def vmap_clip_and_sum(model: nn.Module, images: Tensor, labels: Tensor, noise: float) -> Run:
    return by_vmap(model, images, labels, noise, lambda gradients: clip_and_sum(gradients, clip_norm=CLIP_NORM))


def by_vmap(model: nn.Module, images: Tensor, labels: Tensor, noise: float, clip: Callable[[Tensor], Tensor]) -> Run:
    """Each example's gradient by `torch.func`, in one tensor, then clipped and added up."""
    optimizer, generator = sgd(model), seeded()
    parameters = dict(model.named_parameters())

    def of_one(weights: dict[str, Tensor], image: Tensor, label: Tensor) -> Tensor:
        return F.cross_entropy(torch.func.functional_call(model, weights, image[None]), label[None])

    each = torch.func.vmap(torch.func.grad(of_one), in_dims=(None, 0, 0))

    def step() -> None:
        found = each({name: p.detach() for name, p in parameters.items()}, images, labels)
        total = clip(torch.cat([found.pop(name).flatten(1) for name in parameters], dim=1))
        total += noise * CLIP_NORM * torch.randn(total.shape, generator=generator)
        parts = total.split([p.numel() for p in parameters.values()])
        for parameter, part in zip(parameters.values(), parts, strict=True):
            parameter.grad = part.view_as(parameter) / BATCH
        optimizer.step()

    return step


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


STEPS: dict[str, Callable[[nn.Module, Tensor, Tensor, float], Run]] = {
    "not private": public,
    "Opacus, hooks": opacus_hooks,
    "Opacus, ghost": opacus_ghost,
    "vmap, plain PyTorch": vmap_plain,
    "vmap, clip_and_sum": vmap_clip_and_sum,
    "ours": ours,
}


def private_step(rounds: int) -> Row:
    """Forward, backward, clipping, noise and the change of the weights, of a network for digits."""
    images, labels = mnist("train").select(torch.arange(BATCH)).tensors
    torch.manual_seed(0)
    network = SmallCNN()
    check_steps(network, images, labels)
    runs = {name: make(copy.deepcopy(network), images, labels, NOISE) for name, make in STEPS.items()}
    times = wall_times(runs, rounds=rounds, warm_up=2, clock=time.process_time)
    return {
        "seconds": medians(times),
        "times_as_fast": speedups(times, "ours"),
        "added_bytes": {name: added_bytes(run) for name, run in runs.items()},
        "batch": BATCH,
        "parameters": sum(p.numel() for p in network.parameters()),
    }


def check_steps(network: nn.Module, images: Tensor, labels: Tensor) -> None:
    """The same work: without noise, all private steps change the weights alike."""
    changed = {}
    for name, make in STEPS.items():
        model = copy.deepcopy(network)
        make(model, images, labels, 0.0)()
        changed[name] = torch.cat([p.detach().flatten() for p in model.parameters()])
    for name in set(STEPS) - {"not private"}:
        torch.testing.assert_close(changed[name], changed["ours"], rtol=0, atol=1e-6)


# ------------------------------------------------------------------------------------------------------ an attack


def attack(_rounds: int) -> Row:
    """From nothing to the scores of 4,000 digits; against several targets, the threshold on the loss beside it."""
    images, labels = mnist("train").tensors
    start = time.process_time()
    shadows = privacy.train_shadow_models(
        lambda: MLP(128), images, labels, count=SHADOWS, epochs=EPOCHS, batch_size=ATTACK_BATCH, generator=seeded()
    )
    trained = time.process_time() - start
    found: dict[str, list[float]] = {"threshold": [], "ours": []}
    areas: dict[str, list[float]] = {"threshold": [], "ours": []}
    attacked = []
    for target in range(1, TARGETS + 1):
        model, member = trained_target(images, labels, seed=target)
        start = time.process_time()
        scores = {"ours": privacy.likelihood_ratio_attack(model, images, labels, shadow_models=shadows)}
        attacked.append(time.process_time() - start)
        scores["threshold"] = privacy.membership_inference(model, images, labels, score="loss")
        for name, score in scores.items():
            roc = privacy.membership_roc(score[member], score[~member])
            found[name].append(roc.tpr_at(0.01).true_positive_rate)
            areas[name].append(roc.auc)
    return {
        "seconds": {"shadow models": trained, "attack": median(attacked), "ours": trained + median(attacked)},
        "times_as_fast": {},
        "true_positives_at_1_percent": {name: mean(rates) for name, rates in found.items()},
        "each": found,
        "auc": {name: mean(area) for name, area in areas.items()},
        "examples": len(images),
        "shadow_models": SHADOWS,
        "epochs": EPOCHS,
        "targets": TARGETS,
    }


def trained_target(images: Tensor, labels: Tensor, seed: int) -> tuple[nn.Module, Tensor]:
    """A network like the shadow models, and which examples it saw: about half."""
    generator = torch.Generator().manual_seed(seed)
    member = torch.rand(len(images), generator=generator) < 0.5
    torch.manual_seed(seed)
    model = MLP(128)
    data = TensorDataset(images[member], labels[member])
    fit(model, data, epochs=EPOCHS, batch_size=ATTACK_BATCH, generator=generator, progress=False)
    return model.eval(), member


# ----------------------------------------------------------------------------------------------- encrypted numbers


def keys(rounds: int) -> Row:
    """Two primes of 1,024 bits: how many candidates it takes is luck, so the mean of many."""
    runs = {
        "phe": lambda: phe.generate_paillier_keypair(n_length=BITS),
        "ours": lambda: privacy.generate_keypair(BITS),
    }
    times = wall_times(runs, rounds=3 * rounds, warm_up=0, clock=time.process_time)
    seconds = {name: mean(values) for name, values in times.items()}
    ratio = {"phe": round(seconds["phe"] / seconds["ours"], 2)}
    return {"seconds": seconds, "times_as_fast": ratio, "bits": BITS}


def encrypted(operation: str) -> Callable[[int], Row]:
    """One number, with the same key: 3.25, and 1.5 that is added to it."""

    def row(rounds: int) -> Row:
        public, private = privacy.generate_keypair(BITS)
        theirs = phe.PaillierPublicKey(public.n)
        reader = phe.PaillierPrivateKey(theirs, private.p, private.q)
        one, other = (public.encrypt(value) for value in (3.25, 1.5))
        its_one, its_other = (theirs.encrypt(value) for value in (3.25, 1.5))
        assert private.decrypt(one + other) == reader.decrypt(its_one + its_other) == 4.75
        many, runs = {
            "encrypt": (NUMBERS, {"phe": lambda: theirs.encrypt(3.25), "ours": lambda: public.encrypt(3.25)}),
            "add": (1000, {"phe": lambda: its_one + its_other, "ours": lambda: one + other}),
            "decrypt": (NUMBERS, {"phe": lambda: reader.decrypt(its_one), "ours": lambda: private.decrypt(one)}),
        }[operation]
        repeated = {name: repeat(run, many) for name, run in runs.items()}
        times = wall_times(repeated, rounds=rounds, warm_up=1, clock=time.process_time)
        seconds = {name: value / many for name, value in medians(times).items()}
        return {"seconds": seconds, "times_as_fast": speedups(times, "ours"), "bits": BITS}

    return row


def repeat(run: Run, times: int) -> Run:
    def several() -> None:
        for _ in range(times):
            run()

    return several


# ------------------------------------------------------------------------------------------------------------- ε


def account(rounds: int) -> Row:
    """ε of 60 epochs of MNIST, by Rényi divergences or by the privacy loss itself; the second is smaller."""
    noise, rate, steps, delta = ACCOUNT.values()

    def by_dp_accounting(accountant: type) -> float:
        event = dp_accounting.PoissonSampledDpEvent(rate, dp_accounting.GaussianDpEvent(noise))
        return float(accountant().compose(event, int(steps)).get_epsilon(delta))

    def by_opacus(accountant: type) -> float:
        counted = accountant()
        counted.history = [(noise, rate, steps)]
        return float(counted.get_epsilon(delta=delta))

    runs: dict[str, Run] = {
        "dp-accounting, Rényi": lambda: by_dp_accounting(RdpAccountant),
        "Opacus, Rényi": lambda: by_opacus(accountants.RDPAccountant),
        "dp-accounting, loss": lambda: by_dp_accounting(PLDAccountant),
        "Opacus, loss": lambda: by_opacus(accountants.PRVAccountant),
        "ours": lambda: privacy.rdp_epsilon(noise_multiplier=noise, sample_rate=rate, steps=int(steps), delta=delta),
    }
    times = wall_times(runs, rounds=rounds, warm_up=1, clock=time.process_time)
    return {
        "seconds": medians(times),
        "times_as_fast": speedups(times, "ours"),
        "epsilon": {name: run() for name, run in runs.items()},
        **ACCOUNT,
    }


# ------------------------------------------------------------------------------------------------------- the table


ROWS: dict[str, Callable[[int], Row]] = {
    "a private step": private_step,
    "epsilon": account,
    "Paillier, two keys": keys,
    "Paillier, encrypt": encrypted("encrypt"),
    "Paillier, add": encrypted("add"),
    "Paillier, decrypt": encrypted("decrypt"),
    "likelihood-ratio attack": attack,
}


def measurement() -> dict[str, Any]:
    """What a row depends on: this file and what it calls, the peers, the machine."""
    root = Path(__file__).parents[1]
    files = [Path(__file__), root / "tml_helpers/kernels/clip_and_sum.py"]
    files += sorted((root / "tml_helpers/privacy").glob("*.py"))
    code = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]
    return {"code": code, "versions": {name: metadata.version(name) for name in PEERS}}


def earlier(taken: dict[str, Any]) -> dict[str, Row]:
    """The rows that a run of the same machine, code and peers has left."""
    found = measured.result("privacy") if "privacy" in measured.names() else {}
    same = found.get("measured") == taken and found.get("machine") == describe()
    rows: dict[str, Row] = found.get("rows", {}) if same else {}
    return rows


def short(content: Any) -> Any:
    """Numbers with five digits, wherever they are."""
    if isinstance(content, dict):
        return {name: short(value) for name, value in content.items()}
    if isinstance(content, list):
        return [short(value) for value in content]
    return float(f"{content:.5g}") if isinstance(content, float) else content


def show(name: str, row: Row) -> None:
    print(name)
    for column, seconds in row["seconds"].items():
        ratio = row["times_as_fast"].get(column)
        memory = row.get("added_bytes", {}).get(column)
        epsilon = row.get("epsilon", {}).get(column)
        print(
            f"  {column:<22}{1e3 * seconds:12.3f} ms"
            + (f"{ratio:12.2f} ×" if ratio else 14 * " ")
            + (f"{memory / 2**20:10.1f} MiB" if memory is not None else "")
            + (f"   ε = {epsilon:.4f}" if epsilon is not None else ""),
            flush=True,
        )
    for column, rate in row.get("true_positives_at_1_percent", {}).items():
        print(f"  {column:<22}{rate:12.1%} of the members, at 1 % of the others")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", default="", help="the rows whose name has this word")
    parser.add_argument("--again", action="store_true", help="measure also what an earlier run has left")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    taken = measurement()
    table = earlier(taken)
    for name, run in ROWS.items():
        if asked.only in name and (asked.again or name not in table):
            load = round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None
            table[name] = {**short(run(asked.rounds)), "load": load}
            rows = {name: table[name] for name in ROWS if name in table}
            write("privacy", {"threads": 1, "clock": "CPU", "measured": taken, "rows": rows})
        if name in table:
            show(name, table[name])


if __name__ == "__main__":
    on_any_console()
    main()
