"""PCL, prototypical contrastive learning (Li et al., 2005.04966): EM with k-means in the E-step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from sklearn.cluster import KMeans
from sklearn.metrics import normalized_mutual_info_score
from torch import Tensor, nn

from jemlib.data import Images
from jemlib.losses import concentration, info_nce_queue, proto_nce
from jemlib.methods.method import Batch, Method, images_of
from jemlib.methods.settings import setting
from jemlib.nets import MomentumEncoder, cosine_momentum, features


class PCLLoss(NamedTuple):
    """`total = instance + prototype`; prototype is 0 until the first E-step, and nmi is not part of the loss."""

    total: Tensor
    instance: Tensor
    prototype: Tensor
    nmi: Tensor


class Clustering(NamedTuple):
    """One E-step with one K: what every training image was assigned to."""

    assignments: Tensor  # (images,) int64, cluster ids
    prototypes: Tensor  # (K, D), unit norm
    phi: Tensor  # (K,) concentrations: temperatures of the prototypes, with mean tau


def cluster(unit: Tensor, num_clusters: int, temperature: float, seed: int, *, random: bool = False) -> Clustering:
    """The E-step: hard assignments by k-means, and how concentrated each cluster is.

    Distances are to the centroid as k-means leaves it; the prototypes are the centroids normalised.

    Args:
        unit: `(N, D)`, features of unit norm.
        num_clusters: K, 1 <= K <= N.
        temperature: mean of the concentrations, > 0.
        seed: of k-means' start, or of the random partition.
        random: a random partition in place of k-means, with the means of its parts for centroids: a bad clustering.

    Raises:
        ValueError: there are fewer samples than clusters.

    Source: PCL, section 3.3; k-means is scikit-learn's.
    """
    if num_clusters > len(unit):
        raise ValueError(f"num_clusters must be <= the number of images {len(unit)}; got {num_clusters}.")
    if random:
        assignments = random_partition(len(unit), num_clusters, seed).to(unit.device)
        centroids = torch.zeros_like(unit[:num_clusters]).index_add(0, assignments, unit)
        centroids = centroids / assignments.bincount(minlength=num_clusters)[:, None]
    else:
        # One start and few iterations: clusters are needed again soon, and the features move in between.
        kmeans = KMeans(num_clusters, init="random", n_init=1, max_iter=20, random_state=seed, copy_x=False)
        kmeans.fit(unit.cpu().numpy())
        assignments = torch.from_numpy(kmeans.labels_).long().to(unit.device)
        centroids = torch.from_numpy(kmeans.cluster_centers_).to(unit)
    distances = (unit - centroids[assignments]).norm(dim=1)
    phi = concentration(distances, assignments, num_clusters, temperature)
    return Clustering(assignments, F.normalize(centroids, dim=1), phi)


def random_partition(n: int, num_clusters: int, seed: int) -> Tensor:
    """Ids `(N,)` of parts whose sizes differ by one at most, so that none is empty; by `seed` alone."""
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    return torch.empty_like(order).index_copy(0, order, torch.arange(n) % num_clusters)


class PCL(Method):
    """Query and key encoders, a queue, and prototypes from k-means on the key encoder's features.

    The E-step looks at all training images, un-augmented, through the momentum encoder in evaluation mode.
    """

    name = "pcl"
    loss_function = staticmethod(proto_nce)  # of one clustering; the instance term is `info_nce_queue`
    queue: Tensor

    @dataclass(frozen=True, kw_only=True)
    class Settings(Method.Settings):
        temperature: float = setting(0.2, "tau of InfoNCE, and the mean of the concentrations", above=0)
        momentum: float = setting(
            0.99, "of the key encoder at the start; it rises to 1 by a half cosine", at_least=0, at_most=1
        )
        queue: int = setting(512, "number of keys of past batches that serve as negatives", at_least=1)
        num_clusters: tuple[int, ...] = setting(
            (64, 128), "K of each clustering; the prototype term is averaged over them; empty: MoCo", at_least=1
        )
        warmup: float = setting(0.2, "share of the training before the first E-step", at_least=0, at_most=1)
        e_steps: int = setting(6, "number of E-steps, evenly spaced over the rest of the training", at_least=1)

    config: Settings

    def __init__(self, loss: Callable[..., Any] | None = None, **settings: Any) -> None:
        super().__init__(loss, **settings)
        self.key = MomentumEncoder(self.query())
        # Random directions until keys have taken their places, as MoCo starts: any negative is better than none.
        self.register_buffer("queue", F.normalize(torch.randn(self.config.queue, self.dim), dim=1))
        self.clusterings: list[Clustering] = []
        self.done_e_steps, self.nmi = 0, 0.0

    def query(self) -> nn.Module:
        """What the momentum encoder is a copy of."""
        return nn.Sequential(self.backbone, self.projector)

    def before_step(self, batch: Batch) -> None:
        # The E-step number j is due at  warmup + j (1 - warmup) / e_steps
        s = self.config
        due = s.warmup + self.done_e_steps * (1 - s.warmup) / s.e_steps
        if s.num_clusters and self.done_e_steps < s.e_steps and batch.progress >= due:
            self.e_step(images_of(batch)[0])

    @torch.no_grad()
    def e_step(self, images: Images) -> None:
        """Cluster the momentum features of all images, once for each K; `nmi` compares the last one with the labels."""
        unit = F.normalize(features(self.key, images), dim=1).to(self.queue.device)
        tau, sizes = self.config.temperature, self.config.num_clusters
        self.clusterings = [cluster(unit, k, tau, seed=self.done_e_steps) for k in sizes]
        # The labels are looked at here for the log, and nowhere else.
        self.nmi = float(normalized_mutual_info_score(images.labels.cpu(), self.clusterings[-1].assignments.cpu()))
        self.done_e_steps += 1

    def step(self, batch: Batch) -> PCLLoss:
        q_a, q_b = self.embed_views(batch)
        k_a, k_b = map(self.key, batch.views)
        # Each view is a query once; the keys of this batch join the queue after their use.
        instance = (self.instance_term(q_a, k_b) + self.instance_term(q_b, k_a)) / 2
        prototype = (self.prototype_term(q_a, batch) + self.prototype_term(q_b, batch)) / 2
        self.remember(k_b)
        return PCLLoss(instance + prototype, instance, prototype, instance.new_full((), self.nmi))

    def instance_term(self, query: Tensor, key: Tensor) -> Tensor:
        return info_nce_queue(query, key, self.queue, self.config.temperature).total

    def prototype_term(self, query: Tensor, batch: Batch) -> Tensor:
        """ProtoNCE, averaged over the clusterings; 0 before the first E-step."""
        if not self.clusterings:
            return query.new_zeros((), dtype=torch.float32)
        index = images_of(batch)[1].to(query.device)
        terms = [self.loss(query, c.prototypes, c.assignments[index], c.phi).total for c in self.clusterings]
        return torch.stack(terms).mean()

    @torch.no_grad()
    def remember(self, key: Tensor) -> None:
        """The newest keys first; the oldest fall out."""
        size = len(self.queue)
        self.queue.copy_(torch.cat([F.normalize(key.float(), dim=1), self.queue])[:size])

    def after_step(self, progress: float) -> None:
        self.key.follow(self.query(), cosine_momentum(progress, self.config.momentum))

    def get_extra_state(self) -> dict[str, Any]:
        """The clusterings belong to the state of a run: a resumed run goes on with the same ones."""
        clusterings = [dict(c._asdict()) for c in self.clusterings]
        return {"clusterings": clusterings, "done_e_steps": self.done_e_steps, "nmi": self.nmi}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        self.clusterings = [Clustering(**c) for c in state["clusterings"]]
        self.done_e_steps, self.nmi = int(state["done_e_steps"]), float(state["nmi"])
