"""Barlow Twins: values, gradients, invariances, the rank floor, collapse, errata E1 and P1."""

from __future__ import annotations

import math

import oracles
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from oracles import batches, normal, permutation, rotation, seeds, views
from torch import Tensor
from torch.testing import assert_close

from jemlib.losses import (
    barlow_twins,
    barlow_twins_gradient,
    cross_correlation,
    invariance_term,
    off_diagonal,
    redundancy_term,
    standardize,
)
from jemlib.losses.barlow_twins import standardize_gradient

Views = tuple[Tensor, Tensor]

H1 = torch.tensor([1.0, 1.0, -1.0, -1.0], dtype=torch.float64)
H2 = torch.tensor([1.0, -1.0, 1.0, -1.0], dtype=torch.float64)
H = torch.stack([H1, H2], dim=1)  # centred, unit variance, uncorrelated

# With eps = 0 every property below is exact; each dimension then needs some spread, which 3 samples give.
varied = views(min_samples=3)
wide = views(min_samples=3, min_dims=2)
epsilons = st.sampled_from([0.0, 1e-5, 0.1])
lambdas = st.sampled_from([0.0, 5e-3, 1.0])


def total(z_a: Tensor, z_b: Tensor, lambd: float = 5e-3) -> Tensor:
    return barlow_twins(z_a, z_b, lambd, eps=0).total


def gradient(z_a: Tensor, z_b: Tensor, lambd: float = 5e-3, eps: float = 0.0) -> Tensor:
    z_a = z_a.clone().requires_grad_()
    barlow_twins(z_a, z_b, lambd, eps=eps).total.backward()
    assert z_a.grad is not None
    return z_a.grad


def tight_frame(n: int, d: int) -> Tensor:
    """Identical-view embeddings (n, d) whose d standardised columns are a unit-norm tight frame of rank n - 1.

    Harmonic frame: column k is (cos wk, sin wk, cos 2wk, ...), w = 2 pi / d, in the n - 1 dimensions that centring
    leaves.
    """
    assert n % 2 == 1
    assert n - 1 < d
    angle = 2 * math.pi * torch.arange(d, dtype=torch.float64) / d
    frame = torch.cat([torch.stack([(m * angle).cos(), (m * angle).sin()]) for m in range(1, (n - 1) // 2 + 1)])
    centring = torch.eye(n, dtype=torch.float64) - 1 / n
    basis = torch.linalg.svd(centring)[0][:, : n - 1]
    return basis @ frame


# --- values ----------------------------------------------------------------------------------------------------


@given(z=batches(min_samples=3), eps=epsilons)
def test_standardize_equals_the_written_out_statistics(z: Tensor, eps: float) -> None:
    expected = torch.tensor(oracles.standardize(oracles.rows(z), eps), dtype=torch.float64)
    assert_close(standardize(z, eps), expected, rtol=1e-9, atol=1e-11)


@given(z=batches(min_samples=3))
def test_standardized_dimensions_have_mean_zero_and_biased_variance_one(z: Tensor) -> None:
    u = standardize(z, eps=0)
    assert_close(u.mean(dim=0), torch.zeros_like(u[0]), rtol=0, atol=1e-10)
    assert_close(u.var(dim=0, correction=0), torch.ones_like(u[0]), rtol=1e-10, atol=0)


@given(pair=varied, eps=epsilons)
def test_cross_correlation_equals_the_written_out_sums(pair: Views, eps: float) -> None:
    expected = torch.tensor(oracles.cross_correlation(*pair, eps), dtype=torch.float64)
    assert_close(cross_correlation(*pair, eps), expected, rtol=1e-9, atol=1e-11)


@given(pair=varied, eps=epsilons, lambd=lambdas)
def test_barlow_twins_equals_the_written_out_sums(pair: Views, eps: float, lambd: float) -> None:
    result = barlow_twins(*pair, lambd, eps=eps)
    invariance, redundancy = oracles.barlow_terms(oracles.cross_correlation(*pair, eps))
    assert_close(result.invariance.item(), invariance, rtol=1e-8, atol=1e-10)
    assert_close(result.redundancy.item(), redundancy, rtol=1e-8, atol=1e-10)
    assert_close(result.total, result.invariance + lambd * result.redundancy, rtol=0, atol=0)


@given(seed=seeds, d=st.integers(1, 6))
def test_the_two_terms_split_the_matrix_into_diagonal_and_rest(seed: int, d: int) -> None:
    c = normal(seed, d, d)
    invariance, redundancy = oracles.barlow_terms(oracles.rows(c))
    assert_close(invariance_term(c).item(), invariance, rtol=1e-12, atol=0)
    assert_close(redundancy_term(c).item(), redundancy, rtol=1e-12, atol=0)
    assert_close(off_diagonal(c) + torch.diag(c.diagonal()), c, rtol=0, atol=0)


GOLDEN = [
    ("bt1", H, H, 0.0),
    ("bt2", H, H.flip(1), 2.0102),
    ("bt3", H, -H, 8.0),
    ("bt4", torch.stack([H1, H1], 1), torch.stack([H1, H1], 1), 0.0102),
]


@pytest.mark.parametrize(("z_a", "z_b", "value"), [g[1:] for g in GOLDEN], ids=[g[0] for g in GOLDEN])
def test_barlow_twins_has_its_golden_values(z_a: Tensor, z_b: Tensor, value: float) -> None:
    assert_close(total(z_a, z_b, 0.0051).item(), value, rtol=1e-12, atol=1e-15)


def test_default_weight_and_eps_are_as_documented() -> None:
    z_a, z_b = normal(0, 5, 3), normal(1, 5, 3)
    assert barlow_twins(z_a, z_b).total == barlow_twins(z_a, z_b, 5e-3, eps=1e-5).total
    assert torch.equal(cross_correlation(z_a, z_b), cross_correlation(z_a, z_b, 1e-5))


def test_erratum_e1_without_the_square_anticorrelated_dimensions_are_rewarded() -> None:
    z = torch.stack([H1, -H1], dim=1)
    c = cross_correlation(z, z, eps=0)
    assert_close(redundancy_term(c).item(), 2.0, rtol=1e-12, atol=0)
    # The notes sum C_ij itself: -2, better than the 0 of uncorrelated dimensions.
    assert_close(off_diagonal(c).sum().item(), -2.0, rtol=1e-12, atol=0)


@pytest.mark.parametrize(("z", "floor"), [(H, 0.125), (torch.tensor([[1.0], [-1.0]]).double(), 0.25)])
def test_caveat_p1_unbiased_std_divided_by_n_leaves_a_floor(z: Tensor, floor: float) -> None:
    # Algorithm 1 of the paper: C_ii = (N-1)/N for identical views, so the loss cannot fall below D/N^2.
    n, d = z.shape
    hat = (z - z.mean(0)) / z.std(0)
    algorithm_1 = invariance_term(hat.T @ hat / n).item()
    assert_close(algorithm_1, floor, rtol=1e-12, atol=0)
    assert_close(algorithm_1, d / n**2, rtol=1e-12, atol=0)
    assert_close(total(z, z).item(), 0.0, rtol=0, atol=1e-15)


# --- gradients -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("eps", [0.0, 1e-5, 0.1])
def test_barlow_twins_passes_gradcheck_to_second_order(eps: float) -> None:
    pair = tuple(normal(s, 5, 3).requires_grad_() for s in (0, 1))
    assert torch.autograd.gradcheck(lambda a, b: barlow_twins(a, b, 0.1, eps=eps).total, pair)
    assert torch.autograd.gradgradcheck(lambda a, b: barlow_twins(a, b, 0.1, eps=eps).total, pair)
    assert torch.autograd.gradcheck(lambda a, b: cross_correlation(a, b, eps), pair)


@given(pair=varied, lambd=lambdas)
def test_barlow_twins_gradient_equals_autograd_and_the_written_out_sums(pair: Views, lambd: float) -> None:
    closed, auto = barlow_twins_gradient(*pair, lambd), gradient(*pair, lambd)
    # Entries may cancel, so the tolerance is relative to the unit of the gradient, 1 / z.
    atol = 1e-10 * (1 / pair[0].std(0)).max().item()
    assert_close(closed, auto, rtol=1e-8, atol=atol)
    written_out = torch.tensor(oracles.barlow_twins_gradient(*pair, lambd), dtype=torch.float64)
    assert_close(closed, written_out, rtol=1e-8, atol=atol)


@pytest.mark.parametrize(("n", "d"), [(7, 3), (4, 9), (2, 1)])
def test_standardize_gradient_equals_autograd_for_any_gradient_that_comes_in(n: int, d: int) -> None:
    generator = torch.Generator().manual_seed(n)
    g, z = (5 + 3 * torch.randn(n, d, generator=generator, dtype=torch.float64) for _ in range(2))
    leaf = z.clone().requires_grad_()
    (g * standardize(leaf, 0.0)).sum().backward()
    assert_close(standardize_gradient(g, z), leaf.grad, rtol=1e-9, atol=1e-9)


@given(pair=varied, lambd=lambdas)
def test_barlow_twins_gradient_moves_neither_mean_nor_scale(pair: Views, lambd: float) -> None:
    g, centred = gradient(*pair, lambd), pair[0] - pair[0].mean(0)
    # sum_b g_bj = 0   and   sum_b (z_bj - mean_j) g_bj = 0, for each dimension
    size = (g.abs().sum(0) + 1 / pair[0].std(0)).max().item()
    assert g.sum(0).abs().max() <= 1e-10 * size
    assert (centred * g).sum(0).abs().max() <= 1e-10 * (1 + size * centred.abs().max().item())


def test_barlow_twins_gradient_grows_as_one_over_the_scale() -> None:
    z_a, z_b = normal(0, 6, 4), normal(1, 6, 4)
    norms = [gradient(scale * z_a, z_b).norm().item() for scale in (1.0, 0.1, 0.01)]
    assert_close(norms, [norms[0], 10 * norms[0], 100 * norms[0]], rtol=1e-9, atol=0)


# --- invariances -----------------------------------------------------------------------------------------------


@given(pair=varied, seed=seeds)
def test_barlow_twins_ignores_shift_and_scale_of_each_dimension_of_each_branch(pair: Views, seed: int) -> None:
    z_a, z_b = pair
    d = z_a.shape[1]
    a, b = normal(seed, d).exp(), normal(seed + 1, d).exp()
    moved = total(z_a * a + normal(seed + 2, d), z_b * b + normal(seed + 3, d))
    # Shifting numbers of size 0.01 by 1 costs digits.
    assert_close(moved, total(z_a, z_b), rtol=1e-8, atol=1e-8)


@given(pair=varied, seed=seeds)
def test_barlow_twins_ignores_order_of_samples_and_dimensions_joint_signs_and_swap(pair: Views, seed: int) -> None:
    (z_a, z_b), value = pair, total(*pair)
    order, dims = permutation(seed, len(z_a)), permutation(seed + 1, z_a.shape[1])
    signs = normal(seed, z_a.shape[1]).sign()
    for other in ((z_a[order], z_b[order]), (z_a[:, dims], z_b[:, dims]), (z_a * signs, z_b * signs), (z_b, z_a)):
        assert_close(total(*other), value, rtol=1e-9, atol=1e-9)


@given(pair=varied)
def test_swapping_the_views_transposes_the_cross_correlation(pair: Views) -> None:
    assert_close(cross_correlation(*pair), cross_correlation(*pair[::-1]).T, rtol=1e-10, atol=1e-12)


def test_barlow_twins_sees_rotation() -> None:
    z_a, q = normal(0, 8, 4) * torch.tensor([1.0, 2.0, 4.0, 8.0]), rotation(3, 4)
    z_b = z_a + 0.1 * normal(1, 8, 4)
    assert abs(total(z_a @ q, z_b @ q, 1.0) - total(z_a, z_b, 1.0)) > 0.1


def test_barlow_twins_sees_the_signs_of_one_branch() -> None:
    z = normal(0, 8, 4)
    # Flipping one dimension of one branch turns C_ii from 1 to -1: (1 - C_ii)^2 from 0 to 4.
    flip = torch.tensor([-1.0, 1.0, 1.0, 1.0], dtype=torch.float64)
    assert_close(total(z, z * flip, 0.0).item() - total(z, z, 0.0).item(), 4.0, rtol=1e-10, atol=0)


# --- bounds and the rank floor ---------------------------------------------------------------------------------


@given(pair=varied, eps=epsilons)
def test_correlations_and_terms_stay_within_their_bounds(pair: Views, eps: float) -> None:
    c, result, d = cross_correlation(*pair, eps), barlow_twins(*pair, eps=eps), pair[0].shape[1]
    assert c.abs().max() <= 1 + 1e-10
    assert 0 <= result.invariance <= 4 * d + 1e-9
    assert 0 <= result.redundancy <= d * (d - 1) + 1e-9


def test_opposite_white_views_attain_the_upper_bound_of_the_invariance() -> None:
    white = torch.linalg.qr(torch.cat([torch.ones(8, 1, dtype=torch.float64), normal(0, 8, 3)], 1))[0][:, 1:]
    assert_close(barlow_twins(white, -white, eps=0).total.item(), 4.0 * 3, rtol=1e-12, atol=0)


@given(seed=seeds, n=st.integers(3, 5), extra=st.integers(1, 6))
def test_redundancy_of_identical_views_cannot_pass_the_rank_floor(seed: int, n: int, extra: int) -> None:
    d, r = n - 1 + extra, n - 1
    z = normal(seed, n, d)
    assert redundancy_term(cross_correlation(z, z, eps=0)) >= d**2 / r - d - 1e-9


@pytest.mark.parametrize(("n", "d", "floor"), [(5, 16, 48.0), (3, 7, 7 * 7 / 2 - 7)])
def test_a_tight_frame_attains_the_rank_floor(n: int, d: int, floor: float) -> None:
    z = tight_frame(n, d)
    result = barlow_twins(z, z, eps=0)
    assert_close(result.redundancy.item(), floor, rtol=1e-12, atol=0)
    assert_close(result.invariance.item(), 0.0, rtol=0, atol=1e-20)


@given(z=batches(min_samples=3, min_dims=2))
def test_the_determinant_of_the_correlations_is_one_only_without_redundancy(z: Tensor) -> None:
    c, d = cross_correlation(z, z, eps=0), z.shape[1]
    # Hadamard: det C <= prod C_ii = 1. With eigenvalues at most D:  det C <= exp( -|E|_F^2 / (2 D^2) )
    assert torch.linalg.det(c) <= torch.exp(-redundancy_term(c) / (2 * d**2)) + 1e-12


def test_redundancy_is_twice_minus_log_det_to_second_order() -> None:
    # -log det(I + E) = |E|_F^2 / 2 - tr E^3 / 3 + O(E^4)   for symmetric E with zero diagonal
    e = off_diagonal(normal(0, 5, 5) + normal(0, 5, 5).T)
    rest = []
    for size in (1e-2, 1e-3):
        c = torch.eye(5, dtype=torch.float64) + size * e
        cubic = torch.linalg.matrix_power(size * e, 3).trace() / 3
        rest.append((-torch.logdet(c) - redundancy_term(c) / 2 + cubic).abs().item())
    assert_close(rest[0] / rest[1], 1e4, rtol=0.2, atol=0)  # fourth order


# --- collapse --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("d", [1, 3, 10])
def test_collapse_costs_one_per_dimension_and_has_no_gradient(d: int) -> None:
    z = torch.full((6, d), 0.5, dtype=torch.float64)
    assert barlow_twins(z, z).total == d
    assert torch.equal(gradient(z, z, eps=1e-5), torch.zeros_like(z))


def test_constant_dimensions_standardize_to_zero() -> None:
    assert torch.equal(standardize(torch.full((3, 2), 0.5)), torch.zeros(3, 2))


@pytest.mark.parametrize("value", [1.0, 0.1])  # the mean of three times 0.1 is not 0.1
def test_eps_zero_names_the_constant_dimensions(value: float) -> None:
    z = normal(0, 3, 4)
    z[:, [1, 3]] = value
    for call in (cross_correlation, lambda a, b, eps: barlow_twins(a, b, eps=eps)):
        with pytest.raises(ValueError, match=r"eps = 0 .* dimensions \[1, 3\] are constant"):
            call(z, z, 0)
    with pytest.raises(ValueError, match=r"dimensions \[1, 3\] are constant"):
        barlow_twins_gradient(z, normal(1, 3, 4))


@pytest.mark.parametrize(("n", "d", "eps"), [(4, 3, 1e-5), (3, 2, 0.01)])
def test_barlow_twins_at_collapse_curves_down_by_four_over_n_eps(n: int, d: int, eps: float) -> None:
    def shared(delta: Tensor) -> Tensor:
        return barlow_twins(0.5 + delta, 0.5 + delta, eps=eps).total

    zero = torch.zeros(n, d, dtype=torch.float64)
    hessian = torch.autograd.functional.hessian(shared, zero).reshape(n * d, n * d)
    # -4/(N eps) for the (N-1) d directions with zero mean; 0 for the d common shifts
    expected = torch.zeros(n * d, dtype=torch.float64)
    expected[: (n - 1) * d] = -4 / (n * eps)
    assert_close(torch.linalg.eigvalsh(hessian), expected, rtol=1e-9, atol=1e-6 / eps * 1e-5)


@given(pair=wide)
def test_copying_one_dimension_everywhere_costs_only_redundancy(pair: Views) -> None:
    z_a = pair[0][:, :1].expand_as(pair[0])
    d = z_a.shape[1]
    result = barlow_twins(z_a, z_a, eps=0)
    assert_close(result.invariance.item(), 0.0, rtol=0, atol=1e-15)
    assert_close(result.redundancy.item(), float(d * (d - 1)), rtol=1e-10, atol=0)
