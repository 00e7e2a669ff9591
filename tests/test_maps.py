"""Neighbours and maps of features: an oracle, the seed, what is planted, collapse, and bad input."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from planted import planted_clusters, randn

from jemlib.evaluate import maps


@given(st.integers(0, 999), st.integers(1, 7))
def test_neighbours_are_those_of_a_loop(seed, k) -> None:
    query, bank = randn(4, 5, seed=seed).double(), randn(7, 5, seed=seed + 1).double()
    found = maps.nearest_neighbours(query, bank, k)
    assert found.indices.shape == found.similarities.shape == (4, k)
    for i, q in enumerate(query):
        cosines = [float(q @ b / (q.norm() * b.norm())) for b in bank]
        order = sorted(range(7), key=lambda j: -cosines[j])[:k]
        assert found.indices[i].tolist() == order
        assert found.similarities[i].tolist() == pytest.approx([cosines[j] for j in order])


def test_neighbours_ignore_length_and_a_query_finds_itself_in_16_bits_too() -> None:
    bank = randn(20, 6)
    lengths = torch.linspace(0.1, 10, 20)[:, None]
    found = maps.nearest_neighbours((bank * lengths).bfloat16(), bank, k=1)
    assert found.indices[:, 0].tolist() == list(range(20))
    assert found.similarities.dtype == torch.float32


@pytest.mark.parametrize("kind", ["pca", "tsne"])
def test_a_map_is_the_same_for_a_seed_and_leaves_the_global_generators_alone(kind) -> None:
    z, _ = planted_clusters(3, 15, spread=0.5)
    state = torch.get_rng_state()
    first, second = maps.embedding_map(z, kind, seed=3), maps.embedding_map(z, kind, seed=3)
    assert first.shape == (45, 2)
    assert first.dtype == torch.float32
    assert torch.equal(first, second)
    assert torch.equal(state, torch.get_rng_state())


def test_the_pca_map_is_that_of_the_singular_vectors_with_the_largest_loading_positive() -> None:
    u = F.normalize(randn(30, 5).double(), dim=1)
    centred = u - u.mean(dim=0)
    axes = torch.linalg.svd(centred).Vh[:2]
    axes = torch.stack([axis * axis[axis.abs().argmax()].sign() for axis in axes])
    torch.testing.assert_close(maps.embedding_map(7 * u).double(), centred @ axes.T, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", ["pca", "tsne"])
def test_planted_clusters_stay_apart_on_a_map(kind) -> None:
    z, y = planted_clusters(3, 20, spread=0.2)
    points = maps.embedding_map(z, kind)
    nearest = torch.cdist(points, points).fill_diagonal_(torch.inf).argmin(dim=1)
    assert torch.equal(y[nearest], y)


@pytest.mark.parametrize("kind", ["pca", "tsne"])
def test_the_map_of_a_complete_collapse_is_one_point(kind) -> None:
    z = torch.ones(10, 4) * torch.linspace(1, 3, 10)[:, None]
    assert torch.equal(maps.embedding_map(z, kind), torch.zeros(10, 2))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: maps.nearest_neighbours(randn(2, 3), randn(4, 3), 5), ValueError, "k must be <= .* 4; got 5"),
        (lambda: maps.nearest_neighbours(randn(2, 3), randn(4, 3), 0), ValueError, "k must be >= 1"),
        (lambda: maps.nearest_neighbours(randn(2, 3), randn(4, 2)), ValueError, "same D; got 3 and 2"),
        (lambda: maps.embedding_map(randn(9, 3), "umap"), ValueError, "kind must be one of 'pca', 'tsne'"),
        (lambda: maps.embedding_map(randn(9, 1)), ValueError, "at least 2 dimensions"),
        (lambda: maps.embedding_map(randn(2, 3)), ValueError, "at least 3 samples"),
        (lambda: maps.embedding_map(randn(9, 3), limit=4), ValueError, r"at most limit=4 .* z\[:: 3\]"),
        (lambda: maps.embedding_map(randn(9, 3), seed=-1), ValueError, "seed must be >= 0"),
        (lambda: maps.embedding_map(randn(9, 3) / 0), ValueError, "z must be finite"),
    ],
)
def test_bad_input_to_neighbours_and_maps_is_named(call, error, message) -> None:
    with pytest.raises(error, match=message):
        call()
