"""PCL, prototypical contrastive learning (Li et al., 2005.04966): EM with k-means in the E-step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from sklearn.cluster import KMeans
from sklearn.metrics import normalized_mutual_info_score
from torch import Tensor, nn

from jemlib import validate
from jemlib.data import Images
from jemlib.losses import concentration, info_nce_queue, proto_nce
from jemlib.methods.method import Method
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


def cluster(unit: Tensor, num_clusters: int, temperature: float, seed: int) -> Clustering:
    """The E-step: hard assignments by k-means, and how concentrated each cluster is.

    Distances are to the centroid as k-means leaves it; the prototypes are the centroids normalised.

    Args:
        unit: `(N, D)`, features of unit norm.
        num_clusters: K, 1 <= K <= N.
        temperature: mean of the concentrations, > 0.
        seed: of k-means' start.

    Raises:
        ValueError: there are fewer samples than clusters.

    Source: PCL, section 3.3; k-means is scikit-learn's.
    """
    if num_clusters > len(unit):
        raise ValueError(f"num_clusters must be <= the number of images {len(unit)}; got {num_clusters}.")
    # One start and few iterations: clusters are needed again soon, and the features move in between.
    kmeans = KMeans(num_clusters, init="random", n_init=1, max_iter=20, random_state=seed, copy_x=False)
    kmeans.fit(unit.cpu().numpy())
    assignments = torch.from_numpy(kmeans.labels_).long().to(unit.device)
    centroids = torch.from_numpy(kmeans.cluster_centers_).to(unit)
    distances = (unit - centroids[assignments]).norm(dim=1)
    phi = concentration(distances, assignments, num_clusters, temperature)
    return Clustering(assignments, F.normalize(centroids, dim=1), phi)


class PCL(Method):
    """Query and key encoders, a queue, and prototypes from k-means on the key encoder's features.

    The E-step looks at all training images, un-augmented, through the momentum encoder in evaluation mode.

    Args:
        temperature: tau of InfoNCE, and the mean of the concentrations.
        momentum: of the key encoder at the start, in [0, 1]; it rises to 1 by a half cosine.
        queue: number of keys of past batches that serve as negatives, >= 1.
        num_clusters: K of each clustering; the prototype term is averaged over them. Empty: MoCo.
        warmup: share of the training before the first E-step, in [0, 1].
        e_steps: number of E-steps, evenly spaced over the rest of the training, >= 1.
        settings: those of `Method`.
    """

    name = "pcl"
    queue: Tensor

    def __init__(
        self,
        temperature: float = 0.2,
        momentum: float = 0.99,
        queue: int = 512,
        num_clusters: Sequence[int] = (64, 128),
        warmup: float = 0.2,
        e_steps: int = 6,
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        for setting, share in (("momentum", momentum), ("warmup", warmup)):
            validate.number(setting, share, at_least=0, at_most=1)
        validate.number("temperature", temperature, above=0)
        for setting, count in (("queue", queue), ("e_steps", e_steps), *(("num_clusters", k) for k in num_clusters)):
            validate.integer(setting, count, at_least=1)
        self.temperature, self.momentum, self.num_clusters = temperature, momentum, tuple(num_clusters)
        self.warmup, self.e_steps = warmup, e_steps
        self.key = MomentumEncoder(self.query())
        # Random directions until keys have taken their places, as MoCo starts: any negative is better than none.
        self.register_buffer("queue", F.normalize(torch.randn(queue, self.dim), dim=1))
        self.clusterings: list[Clustering] = []
        self.done_e_steps, self.nmi = 0, 0.0
        self.index = torch.empty(0, dtype=torch.long)
        self.settings |= {"temperature": temperature, "momentum": momentum, "queue": queue}
        self.settings |= {"num_clusters": list(num_clusters), "warmup": warmup, "e_steps": e_steps}

    def query(self) -> nn.Module:
        """What the momentum encoder is a copy of."""
        return nn.Sequential(self.backbone, self.projector)

    def before_step(self, images: Images, index: Tensor, progress: float) -> None:
        super().before_step(images, index, progress)
        self.index = index
        # The E-step number j is due at  warmup + j (1 - warmup) / e_steps
        due = self.warmup + self.done_e_steps * (1 - self.warmup) / self.e_steps
        if self.num_clusters and self.done_e_steps < self.e_steps and progress >= due:
            self.e_step(images)

    @torch.no_grad()
    def e_step(self, images: Images) -> None:
        """Cluster the momentum features of all images, once for each K; `nmi` compares the last one with the labels."""
        unit = F.normalize(features(self.key, images), dim=1).to(self.queue.device)
        self.clusterings = [cluster(unit, k, self.temperature, seed=self.done_e_steps) for k in self.num_clusters]
        # The labels are looked at here for the log, and nowhere else.
        self.nmi = float(normalized_mutual_info_score(images.labels, self.clusterings[-1].assignments.cpu()))
        self.done_e_steps += 1

    def step(self, views: Sequence[Tensor]) -> PCLLoss:
        q_a, q_b = self.embed(views[0]), self.embed(views[1])
        k_a, k_b = self.key(views[0]), self.key(views[1])
        # Each view is a query once; the keys of this batch join the queue after their use.
        instance = (self.instance_term(q_a, k_b) + self.instance_term(q_b, k_a)) / 2
        prototype = (self.prototype_term(q_a) + self.prototype_term(q_b)) / 2
        self.remember(k_b)
        return PCLLoss(instance + prototype, instance, prototype, instance.new_tensor(self.nmi))

    def instance_term(self, query: Tensor, key: Tensor) -> Tensor:
        total: Tensor = info_nce_queue(query, key, self.queue, self.temperature).total
        return total

    def prototype_term(self, query: Tensor) -> Tensor:
        """ProtoNCE, averaged over the clusterings; 0 before the first E-step."""
        if not self.clusterings:
            return query.new_zeros((), dtype=torch.float32)
        index = self.index.to(query.device)
        terms = [proto_nce(query, c.prototypes, c.assignments[index], c.phi).total for c in self.clusterings]
        return torch.stack(terms).mean()

    @torch.no_grad()
    def remember(self, key: Tensor) -> None:
        """The newest keys first; the oldest fall out."""
        size = len(self.queue)
        self.queue.copy_(torch.cat([F.normalize(key.float(), dim=1), self.queue])[:size])

    def after_step(self, progress: float) -> None:
        self.key.follow(self.query(), cosine_momentum(progress, self.momentum))

    def get_extra_state(self) -> dict[str, Any]:
        """The clusterings belong to the state of a run: a resumed run goes on with the same ones."""
        clusterings = [dict(c._asdict()) for c in self.clusterings]
        return {"clusterings": clusterings, "done_e_steps": self.done_e_steps, "nmi": self.nmi}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        self.clusterings = [Clustering(**c) for c in state["clusterings"]]
        self.done_e_steps, self.nmi = int(state["done_e_steps"]), float(state["nmi"])
