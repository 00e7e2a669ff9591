"""What lesson 06 claims about SwAV, measured; and how the lesson names clusters by a few labels."""

from __future__ import annotations

import statistics
from functools import lru_cache
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from sklearn.cluster import KMeans
from torch import Tensor

from jemlib.course.machinery.claims import Claim, register
from jemlib.course.machinery.lessons import lesson_of
from jemlib.course.machinery.runs import columns, splits
from jemlib.data import Images
from jemlib.diagnose import assignment_entropy, directional_spread
from jemlib.evaluate import backbone_knn, name_clusters
from jemlib.experiments import embeddings
from jemlib.methods import Method, build
from jemlib.nets import features
from jemlib.scales import Scale
from jemlib.train import fit

LESSON = lesson_of(__name__)
PROTOTYPES = 64  # fewer than images in a batch, so that codes can be sharp, and few enough to be named by hand
LABELS = (1, 5, 10)  # labelled images of each class
# Both without the batch norm at the output, which holds the spread of each dimension up and hides a collapse.
REMOVALS: dict[str, dict[str, Any]] = {
    "with Sinkhorn": {"normalize_output": False},
    "without Sinkhorn": {"normalize_output": False, "iterations": 0},
}


class Clusters(NamedTuple):
    """Which cluster each training and test image is in, `(N,)` and `(M,)`, and the centres `(K, D)`."""

    train: Tensor
    test: Tensor
    centroids: Tensor


def nearest_prototypes(method: Method, train: Images, test: Images) -> Clusters:
    """Each image belongs to the prototype with the largest score; images as they are, without augmentation."""
    prototypes: Any = method.cpu().prototypes
    with torch.no_grad():
        near, near_test = (prototypes(embeddings(method, images)).argmax(dim=1) for images in (train, test))
    return Clusters(near, near_test, F.normalize(prototypes.weight.detach(), dim=1))


def k_means(method: Method, train: Images, test: Images, count: int = PROTOTYPES, seed: int = 0) -> Clusters:
    """k-means of the backbone's features, fitted on at most 5,000 training images."""
    z, z_test = features(method.backbone, train), features(method.backbone, test)
    fitted = KMeans(min(count, len(z)), n_init=1, random_state=seed).fit(z[:5000].numpy())
    near, near_test = (torch.from_numpy(fitted.predict(x.numpy())).long() for x in (z, z_test))
    return Clusters(near, near_test, torch.from_numpy(fitted.cluster_centers_).float())


def draw_labelled(labels: Tensor, per_class: int, draw: int) -> Tensor:
    """Positions of `per_class` random samples of each class."""
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(draw))
    return torch.cat([order[labels[order] == c][:per_class] for c in range(int(labels.max()) + 1)])


def naming_accuracy(
    clusters: Clusters, train_labels: Tensor, test_labels: Tensor, per_class: int, draws: int = 10
) -> tuple[float, float]:
    """Accuracy on the test images when clusters are named by a few labelled training images: mean and deviation.

    A cluster without a labelled image takes the name of the nearest one that has some.
    """
    found = []
    for draw in range(draws):
        chosen = draw_labelled(train_labels, per_class, draw)
        assignments = torch.cat([clusters.train[chosen], clusters.test])
        labels = torch.cat([train_labels[chosen], test_labels])
        named = name_clusters(assignments, labels, torch.arange(len(chosen)), centroids=clusters.centroids)
        found.append(named.accuracy)
    return statistics.fmean(found), statistics.stdev(found)


def effective_number(assignments: Tensor, count: int) -> float:
    """How many prototypes are in use: exp of the entropy of their shares; 1 for one alone, `count` for equal use."""
    shares = F.one_hot(assignments, count).double()
    return float(assignment_entropy(shares).usage.exp())


@lru_cache(maxsize=32)
def measured(seed: int, scale: Scale, removal: str | None) -> dict[str, float]:
    """One run, trained on all steps (`removal` ""), on a third of them ("with Sinkhorn", ...), or not (None).

    Kept, because several claims ask for the same run.
    """
    train, test = splits(scale)
    method = build("swav", scale=scale, seed=seed, prototypes=PROTOTYPES, **REMOVALS.get(removal or "", {}))
    steps = scale.total_steps(len(train))
    loss = float("nan")
    if removal is not None:
        # A third of the steps has a third of the warm-up.
        share = 3 if removal else 1
        history = fit(method, train, scale=scale, seed=seed, steps=max(1, steps // share), warmup=scale.warmup // share)
        loss = history.rows[-1]["total"]
    clusters = nearest_prototypes(method, train, test) if removal is not None else k_means(method, train, test)
    return {
        "knn": backbone_knn(method.backbone, train, test),
        "named": naming_accuracy(clusters, train.labels, test.labels, LABELS[-1])[0],
        "used": effective_number(clusters.test, len(clusters.centroids)),
        "spread": float(directional_spread(embeddings(method, test))),
        "loss": loss,
    }


def sinkhorn_removed(seed: int, scale: Scale) -> dict[str, float]:
    """Spread, loss and use of the prototypes with and without Sinkhorn, at a third of the steps."""
    found: dict[str, float] = {}
    for name in REMOVALS:
        run = measured(seed, scale, name)
        found |= {f"{column} {name.split()[0]}": run[column] for column in ("spread", "loss", "used")}
    return found


register(
    Claim(
        id="swav.learns",
        statement="SwAV learns the pattern without labels: its kNN beats the same backbone untrained.",
        lesson=LESSON,
        criterion="kNN trained >= kNN untrained + 0.30",
        measure=columns(measured, trained=("knn", ""), untrained=("knn", None)),
        holds=lambda n: n["trained"] >= n["untrained"] + 0.30,
    )
)
register(
    Claim(
        id="swav.uses-all-prototypes",
        statement="With Sinkhorn the images spread over the prototypes; without it nearly all have one nearest.",
        lesson=LESSON,
        criterion="effective number of prototypes: with Sinkhorn >= K/4, without <= K/20",
        measure=lambda seed, scale: {
            "with_sinkhorn": sinkhorn_removed(seed, scale)["used with"],
            "without": sinkhorn_removed(seed, scale)["used without"],
            "K": PROTOTYPES,
        },
        holds=lambda n: n["with_sinkhorn"] >= n["K"] / 4 and n["without"] <= n["K"] / 20,
    )
)
register(
    Claim(
        id="swav.sinkhorn-prevents-collapse",
        statement="Without Sinkhorn all embeddings coincide, and the loss, which is lower then, does not show it.",
        lesson=LESSON,
        criterion="directional spread: with Sinkhorn >= 0.5, without <= 0.1; loss without < loss with",
        measure=lambda seed, scale: {
            "spread_with": sinkhorn_removed(seed, scale)["spread with"],
            "spread_without": sinkhorn_removed(seed, scale)["spread without"],
            "loss_with": sinkhorn_removed(seed, scale)["loss with"],
            "loss_without": sinkhorn_removed(seed, scale)["loss without"],
        },
        holds=lambda n: n["spread_with"] >= 0.5 and n["spread_without"] <= 0.1 and n["loss_without"] < n["loss_with"],
    )
)
register(
    Claim(
        id="swav.few-labels-name-clusters",
        statement="Ten labels a class name SwAV's clusters better than as many k-means clusters of untrained features.",
        lesson=LESSON,
        criterion="accuracy of the names >= that of the control + 0.20",
        measure=columns(measured, swav=("named", ""), control=("named", None)),
        holds=lambda n: n["swav"] >= n["control"] + 0.20,
    )
)
