"""Speed of the objectives by themselves: forward and backward against `lightly`'s, Sinkhorn, and PCL's E-step."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from jemlib import losses
from jemlib.methods.pcl import cluster

Work = Callable[[], Any]


def leaves(count: int, *shape: int) -> list[Tensor]:
    """Tensors that want a gradient."""
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(*shape, generator=generator).requires_grad_() for _ in range(count)]


def loss_pairs(n: int, d: int) -> dict[str, tuple[Callable[..., Tensor], Callable[..., Tensor], list[Tensor]]]:
    """`{objective: (ours, lightly's, inputs)}` for each objective that both have, with the same arithmetic."""
    import lightly.loss as peer

    z, p, cosines = leaves(2, n, d), leaves(4, n, d), leaves(2, n, d)
    cosine, dino_peer, nt_xent = peer.NegativeCosineSimilarity(), peer.DINOLoss(output_dim=d), peer.NTXentLoss(0.5)
    barlow, vicreg, swav = peer.BarlowTwinsLoss(5e-3), peer.VICRegLoss(), peer.SwaVLoss()
    lejepa = peer.LeJEPALoss(lambda_param=0.02, sigreg_num_vectors=256)

    def simsiam_peer(p_a: Tensor, p_b: Tensor, z_a: Tensor, z_b: Tensor) -> Tensor:
        return 0.5 * (cosine(p_a, z_b.detach()) + cosine(p_b, z_a.detach()))

    def lejepa_peer(a: Tensor, b: Tensor) -> Tensor:
        both: Tensor = torch.stack([a, b])
        return lejepa(local_proj=both, global_proj=both)

    def unit(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        return F.normalize(a, dim=1), F.normalize(b, dim=1)  # scores in [-1, 1], as cosines are

    return {
        "nt_xent": (lambda a, b: losses.nt_xent(a, b, 0.5).total, nt_xent, z),
        "barlow_twins": (lambda a, b: losses.barlow_twins(a, b, 5e-3).total, barlow, z),
        "vicreg": (lambda a, b: losses.vicreg(a, b).total, vicreg, z),
        "swav": (lambda a, b: losses.swav(*unit(a, b)).total, lambda a, b: swav(list(unit(a, b)), []), cosines),
        "simsiam": (lambda *x: losses.simsiam(*x).total, simsiam_peer, p),
        "dino": (
            lambda a, b: losses.dino([a, b], [a.detach(), b.detach()], torch.zeros(d)).total,
            lambda a, b: dino_peer([a.detach(), b.detach()], [a, b], teacher_temp=0.04),
            z,
        ),
        "sigreg": (lambda a, b: losses.lejepa(a, b, 0.02, 256).total, lejepa_peer, z),
    }


def backward(loss: Callable[..., Tensor], inputs: list[Tensor]) -> Work:
    """One forward and backward pass."""

    def work() -> None:
        for x in inputs:
            x.grad = None
        loss(*inputs).backward()

    return work


def plain_sinkhorn(scores: Tensor, epsilon: float, iterations: int) -> Tensor:
    """The exponential form of the SwAV paper's pseudo-code: quick, and infinite once scores / epsilon is large."""
    q = torch.exp(scores / epsilon).T
    q = q / q.sum()
    for _ in range(iterations):
        q = q / q.sum(dim=1, keepdim=True) / q.shape[0]
        q = q / q.sum(dim=0, keepdim=True) / q.shape[1]
    return (q * q.shape[1]).T


def milliseconds(works: dict[str, Work], rounds: int) -> dict[str, float]:
    """Median time of each over rounds in which all take turns, so that noise hits all alike."""
    taken: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(rounds + 2):
        for name, work in works.items():
            started = time.perf_counter()
            work()
            if turn >= 2:  # the first two warm up
                taken[name].append(1e3 * (time.perf_counter() - started))
    return {name: statistics.median(values) for name, values in taken.items()}


def bench_losses(*, n: int = 1024, d: int = 2048, rounds: int = 15) -> dict[str, Any]:
    """Measure on the CPU; needs lightly (`pip install -e '.[bench]'`).

    Returns:
        `{"milliseconds": {...}, "ratios": {...}}`; a ratio above 1 says that ours is quicker.
    """
    found: dict[str, float] = {}
    ratios: dict[str, float] = {}
    for name, (ours, peers, inputs) in loss_pairs(n, d).items():
        pair = {f"{name}, ours": backward(ours, inputs), f"{name}, lightly": backward(peers, inputs)}
        found |= milliseconds(pair, rounds)
        ratios[f"{name}, lightly / ours"] = found[f"{name}, lightly"] / found[f"{name}, ours"]
    scores = 2 * torch.rand(4096, 3000, generator=torch.Generator().manual_seed(0)) - 1
    found |= milliseconds(
        {
            "sinkhorn 4096 x 3000, plain": lambda: plain_sinkhorn(scores, 0.05, 3),
            "sinkhorn 4096 x 3000, ours": lambda: losses.sinkhorn(scores, 0.05, 3),
            "sinkhorn 4096 x 3000, ours, epsilon 0.003": lambda: losses.sinkhorn(scores, 0.003, 3),
        },
        max(3, rounds // 3),
    )
    ratios["sinkhorn, plain / ours"] = found["sinkhorn 4096 x 3000, plain"] / found["sinkhorn 4096 x 3000, ours"]
    features = clustered(20_000, 128)
    e_step = {"E-step 20,000 x 128, K = 100, 200, 400": lambda: [cluster(features, k, 0.2, 0) for k in (100, 200, 400)]}
    found |= milliseconds(e_step, 3)
    return {"n": n, "d": d, "milliseconds": found, "ratios": ratios}


def clustered(n: int, d: int) -> Tensor:
    """Unit features around 150 centres, in number and spread about what k-means meets in training."""
    generator = torch.Generator().manual_seed(0)
    centres = torch.randn(150, d, generator=generator)[torch.arange(n) % 150]
    return F.normalize(centres + 0.7 * torch.randn(n, d, generator=generator), dim=1)
