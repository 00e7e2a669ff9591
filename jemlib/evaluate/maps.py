"""Nearest neighbours, and maps of the embeddings in two dimensions."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.neighbors import NearestNeighbors
from torch import Tensor

from jemlib import validate
from jemlib.evaluate.checks import _check_same_dimensions


class Neighbours(NamedTuple):
    """Both `(M, k)`, nearest first: positions in the bank, and cosine similarities in [-1, 1]."""

    indices: Tensor
    similarities: Tensor


def nearest_neighbours(query_features: Tensor, bank_features: Tensor, k: int = 8) -> Neighbours:
    """The k rows of the bank with the largest cosine similarity to each query.

    A query that is itself in the bank finds itself; ask for one more and drop it. Equal similarities come in any
    order. A zero row has similarity 0 to everything.

    Args:
        query_features, bank_features: `(M, D)` and `(N, D)`.
        k: 1 <= k <= N.

    Raises:
        TypeError, ValueError: shapes do not agree, features are not finite, or k is out of range.
    """
    query = validate.embeddings("query_features", query_features, min_samples=1)
    bank = validate.embeddings("bank_features", bank_features, min_samples=1)
    _check_same_dimensions("query_features", query, "bank_features", bank)
    validate.integer("k", k, at_least=1)
    if k > len(bank):
        raise ValueError(f"k must be <= the number of rows of bank_features, {len(bank)}; got {k}.")
    search = NearestNeighbors(n_neighbors=k, metric="cosine").fit(bank.detach().cpu().numpy())
    distances, indices = search.kneighbors(query.detach().cpu().numpy())
    return Neighbours(torch.from_numpy(indices), torch.from_numpy(1 - distances).to(query.dtype))


def embedding_map(z: Tensor, kind: str = "pca", seed: int = 0, limit: int = 2000) -> Tensor:
    """Embeddings as points in the plane: `(N, D)` -> `(N, 2)`, by principal components or t-SNE.

    Rows are l2-normalised, as the kNN classifier compares them, and then centred. Dimensions are not rescaled, because
    that would blow up those that hardly vary. Distances on a PCA map are real ones, shortened; on a t-SNE map only
    nearness means something, sizes of clusters and gaps between them do not.

    Convention: PCA axes are signed so that the largest loading is positive. t-SNE starts from PCA, with perplexity 30,
    or (N - 1) / 3 where that is less. The same seed gives the same map on one machine; t-SNE magnifies rounding, so
    another machine may draw another.

    Args:
        z: `(N, D)` embeddings, N >= 3, D >= 2.
        kind: `pca`, or `tsne`, which takes seconds for 2,000 points and grows faster than N.
        seed: of t-SNE, >= 0.
        limit: an error rather than a long wait when N is larger; choose rows, and their labels with them.

    Returns:
        `(N, 2)` float32. When all rows point the same way (complete collapse), all points are 0.

    Raises:
        TypeError, ValueError: a wrong type, shape or range, or N > limit.
    """
    z = validate.embeddings("z", z, min_samples=3)
    validate.choice("kind", kind, ("pca", "tsne"))
    validate.integer("seed", seed, at_least=0)
    validate.integer("limit", limit, at_least=3)
    n, d = z.shape
    if d < 2:
        raise ValueError(f"z must have at least 2 dimensions to be mapped to 2; got shape {tuple(z.shape)}.")
    if n > limit:
        raise ValueError(f"z must have at most limit={limit} samples; got {n}. Map z[:: {-(-n // limit)}] instead.")
    u = F.normalize(z.detach().cpu().double(), dim=1)
    u = u - u.mean(dim=0)
    if float(u.abs().max()) < 1e-6:  # a map of rounding errors would look like structure
        return torch.zeros(n, 2)
    if kind == "pca":
        pca = PCA(n_components=2, svd_solver="full").fit(u.numpy())
        largest = np.abs(pca.components_).argmax(axis=1)
        points = pca.transform(u.numpy()) * np.sign(pca.components_[[0, 1], largest])
    else:
        tsne = TSNE(n_components=2, perplexity=min(30.0, (n - 1) / 3), init="pca", random_state=seed)
        points = tsne.fit_transform(u.float().numpy())
    return torch.from_numpy(points).float()
