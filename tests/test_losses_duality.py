"""The duality of contrastive and non-contrastive criteria: identity, bounds, and the paper's special case."""

from __future__ import annotations

import math
from typing import Any

import oracles
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from oracles import batches, dot, normal, permutation, rotation, rows, seeds
from torch import Tensor
from torch.testing import assert_close

from jemlib.losses import (
    contrastive_bounds,
    contrastive_criterion,
    cross_correlation,
    duality,
    noncontrastive_criterion,
    redundancy_term,
    standardize,
    vicreg,
)

F64 = torch.float64


def gram_penalty(vectors: oracles.Matrix) -> float:
    """The sum of squared inner products of all ordered pairs of different vectors."""
    n = len(vectors)
    return sum((dot(vectors[i], vectors[j]) ** 2 for i in range(n) for j in range(n) if i != j), 0.0)


def fourth_powers(vectors: oracles.Matrix) -> float:
    return sum(dot(v, v) ** 2 for v in vectors)


def tight_frame(n: int, d: int) -> Tensor:
    """N unit samples in D dimensions whose dimensions are orthogonal, each of norm sqrt(N/D). D must divide N."""
    return torch.cat([rotation(seed, d) for seed in range(n // d)])


# --- values -----------------------------------------------------------------------------------------------------


@given(k=batches(min_samples=1))
def test_criteria_and_norms_equal_the_written_out_sums(k: Tensor) -> None:
    samples, dimensions = rows(k), rows(k.T)
    expected = [gram_penalty(dimensions), fourth_powers(dimensions), gram_penalty(samples), fourth_powers(samples)]
    size = fourth_powers(samples)
    assert_close([term.item() for term in duality(k)], expected, rtol=1e-10, atol=1e-13 * size)
    assert_close(noncontrastive_criterion(k).item(), expected[0], rtol=1e-10, atol=1e-13 * size)
    assert_close(contrastive_criterion(k).item(), expected[2], rtol=1e-10, atol=1e-13 * size)


@given(k=batches(min_samples=1, max_samples=9))
def test_the_two_sides_of_the_duality_are_equal_for_every_matrix(k: Tensor) -> None:
    result = duality(k)
    assert_close(result.dimension_side, result.sample_side, rtol=1e-12, atol=0)
    assert_close(result.sample_side, torch.linalg.matrix_norm(k.T @ k).square(), rtol=1e-12, atol=0)


@given(k=batches(min_samples=1))
def test_transposing_swaps_the_criteria(k: Tensor) -> None:
    result, other = duality(k), duality(k.T.contiguous())
    for x, y in zip(result, (other.contrastive, other.sample_norms, other.noncontrastive, other.dimension_norms)):
        assert_close(x, y, rtol=1e-12, atol=0)


def test_tight_frame_has_its_golden_values() -> None:
    k = tight_frame(12, 3)
    assert_close(k.norm(dim=1), torch.ones(12, dtype=F64), rtol=1e-12, atol=0)
    assert_close(noncontrastive_criterion(k).item(), 0.0, rtol=0, atol=1e-25)
    assert_close(contrastive_criterion(k).item(), 36.0, rtol=1e-12, atol=0)


def test_orthonormal_samples_score_zero_and_one_sample_has_no_pairs() -> None:
    assert contrastive_criterion(torch.eye(3, 5)) == 0
    assert contrastive_criterion(torch.ones(1, 5)) == 0
    assert noncontrastive_criterion(torch.ones(5, 1)) == 0


def test_criteria_at_collapse_are_the_hand_numbers() -> None:
    c, n = torch.tensor([1.0, 2.0], dtype=F64), 4
    k = c.expand(n, 2)
    assert_close(contrastive_criterion(k).item(), n * (n - 1) * 5.0**2, rtol=1e-12, atol=0)
    assert_close(noncontrastive_criterion(k).item(), n**2 * (5.0**2 - 1 - 16), rtol=1e-12, atol=0)


# --- bounds -----------------------------------------------------------------------------------------------------


@given(k=batches(min_samples=1, max_samples=9))
def test_contrastive_criterion_lies_within_its_bounds(k: Tensor) -> None:
    value, slack = contrastive_criterion(k), 1e-12 * k.square().sum().square()
    lower, upper = contrastive_bounds(k)
    assert lower - slack <= value <= upper + slack


@given(k=batches(min_samples=1, max_samples=9))
def test_bounds_for_unit_samples_are_those_of_the_paper(k: Tensor) -> None:
    k = F.normalize(k, dim=1)
    (n, d), nc = k.shape, noncontrastive_criterion(k)
    lower, upper = contrastive_bounds(k)
    assert_close(lower, nc - n + n**2 / d, rtol=1e-10, atol=1e-10)
    assert_close(upper, nc - n + n**2, rtol=1e-10, atol=1e-10)


def test_bounds_are_reached_by_equal_dimensions_and_by_a_single_one() -> None:
    even = tight_frame(12, 4)
    assert_close(contrastive_bounds(even).lower, contrastive_criterion(even), rtol=1e-12, atol=0)
    single = normal(0, 6, 1) * torch.tensor([0.0, 1.0, 0.0], dtype=F64)
    assert_close(contrastive_bounds(single).upper, contrastive_criterion(single), rtol=1e-12, atol=0)
    assert contrastive_criterion(single) - contrastive_bounds(single).lower > 0.1


# --- the paper's special case -----------------------------------------------------------------------------------


@given(seed=seeds, n=st.integers(1, 8), d=st.integers(1, 8))
def test_caveat_p8_unit_samples_and_unit_dimensions_need_a_square_matrix(seed: int, n: int, d: int) -> None:
    k = normal(seed, n, d)
    for _ in range(400):  # alternate; both can be met only if N = D, since both sums of squares are |k|_F^2
        k = F.normalize(F.normalize(k, dim=1), dim=0)
    off_unit = (k.square().sum(dim=1) - 1).abs().mean()
    assert off_unit >= abs(n - d) / n - 1e-9


@given(seed=seeds, n=st.integers(1, 6))
def test_caveat_p8_the_criteria_of_a_square_doubly_normalised_matrix_are_equal(seed: int, n: int) -> None:
    # Unit rows and columns without orthogonality: |k_ij|^2 doubly stochastic, the mean of two permutations.
    signs = normal(seed, n, n).sign()
    k = signs * ((torch.eye(n, dtype=F64) + torch.eye(n, dtype=F64)[permutation(seed, n)]) / 2).sqrt()
    assert_close(k.norm(dim=0), k.norm(dim=1), rtol=1e-12, atol=0)
    assert_close(contrastive_criterion(k), noncontrastive_criterion(k), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("n", "d"), [(12, 3), (8, 4), (5, 5), (10, 2)])
def test_caveat_p8_equal_norms_differ_by_n_squared_over_d_minus_n_and_not_by_the_papers_constant(
    n: int, d: int
) -> None:
    frame = tight_frame(n, d)
    # +-1 entries over sqrt(D): every sample has norm 1, every dimension sqrt(N/D), and neither is orthogonal
    signs = normal(n, n, d).sign() / math.sqrt(d)
    for k in (frame, signs):
        difference = (contrastive_criterion(k) - noncontrastive_criterion(k)).item()
        assert_close(difference, n**2 / d - n, rtol=1e-10, atol=1e-10)
        # L_nc = L_c + N - M would be -difference = N - M
        assert (abs(-difference - (n - d)) < 1e-9) == (n == d)


# --- relatives, invariances, gradients --------------------------------------------------------------------------


@given(z=batches(min_samples=3))
def test_noncontrastive_criterion_is_the_covariance_penalty_of_vicreg_and_the_redundancy_of_barlow_twins(
    z: Tensor,
) -> None:
    n, d = z.shape
    penalty = noncontrastive_criterion(z - z.mean(dim=0)) / (d * (n - 1) ** 2)
    assert_close(penalty, vicreg(z, z).covariance / 2, rtol=1e-10, atol=1e-14)  # the sum of two branches
    redundancy = noncontrastive_criterion(standardize(z)) / n**2
    assert_close(redundancy, redundancy_term(cross_correlation(z, z)), rtol=1e-10, atol=1e-14)


@given(k=batches(), seed=seeds, w=st.sampled_from([0.1, 3.0]))
def test_criteria_ignore_order_and_signs_and_grow_with_the_fourth_power(k: Tensor, seed: int, w: float) -> None:
    n, d = k.shape
    size = k.square().sum().square().item()
    same = (
        k[permutation(seed, n)],
        k[:, permutation(seed, d)],
        k * normal(seed, d).sign(),
        k * normal(seed, n, 1).sign(),
    )
    for criterion in (contrastive_criterion, noncontrastive_criterion):
        for other in same:
            assert_close(criterion(other), criterion(k), rtol=1e-10, atol=1e-13 * size)
        assert_close(criterion(w * k), w**4 * criterion(k), rtol=1e-10, atol=1e-13 * size)
    # A rotation of the space keeps the samples' inner products; one of the samples keeps the dimensions'.
    assert_close(contrastive_criterion(k @ rotation(seed, d)), contrastive_criterion(k), rtol=1e-9, atol=1e-12 * size)
    turned = rotation(seed, n) @ k
    assert_close(noncontrastive_criterion(turned), noncontrastive_criterion(k), rtol=1e-9, atol=1e-12 * size)


@given(k=batches(min_samples=1))
def test_criteria_gradients_have_their_closed_forms(k: Tensor) -> None:
    k = k.clone().requires_grad_()
    samples, dimensions = k @ k.T, k.T @ k
    scale = k.detach().norm().item() ** 3
    # dL_c/dk = 4 offdiag(k k^T) k,  dL_nc/dk = 4 k offdiag(k^T k)
    (grad,) = torch.autograd.grad(contrastive_criterion(k), k)
    assert_close(grad, 4 * (samples - torch.diag(samples.diagonal())) @ k, rtol=1e-10, atol=1e-12 * scale)
    (grad,) = torch.autograd.grad(noncontrastive_criterion(k), k)
    assert_close(grad, 4 * k @ (dimensions - torch.diag(dimensions.diagonal())), rtol=1e-10, atol=1e-12 * scale)


def test_criteria_have_one_gradient_where_all_norms_are_held() -> None:
    """On matrices whose rows and columns keep their norms, the two losses differ by a constant."""
    k = normal(0, 5, 3).requires_grad_()
    difference = contrastive_criterion(k) - noncontrastive_criterion(k)
    norms = k.square().sum(0).square().sum() - k.square().sum(1).square().sum()
    (grad,), (expected,) = torch.autograd.grad(difference, k), torch.autograd.grad(norms, k)
    assert_close(grad, expected, rtol=1e-10, atol=1e-10)


def test_duality_passes_gradcheck() -> None:
    k = normal(0, 4, 3).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: tuple(duality(x)), (k,))
    assert torch.autograd.gradcheck(lambda x: tuple(contrastive_bounds(x)), (k,))
    assert torch.autograd.gradgradcheck(contrastive_criterion, (k,))


# --- input ------------------------------------------------------------------------------------------------------

FUNCTIONS = [contrastive_criterion, noncontrastive_criterion, duality, contrastive_bounds]
each_function = pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)


def terms(result: Any) -> list[Tensor]:
    return list(result) if isinstance(result, tuple) else [result]


@each_function
@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        ([[1.0]], TypeError, r"must be a torch.Tensor of shape \(N, D\); got list"),
        (torch.ones(3), ValueError, r"must have shape \(N, D\).* got shape \(3,\)"),
        (torch.ones(0, 3), ValueError, r"needs at least 1 samples .* got shape \(0, 3\)"),
        (torch.ones(3, 3).long(), TypeError, "must be floating point; got a int64 tensor"),
        (torch.full((2, 2), math.nan), ValueError, "must be finite; got 4 NaN"),
    ],
)
def test_bad_matrices_are_named(function: Any, bad: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^k {message}"):
        function(bad)


@each_function
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_16_bit_input_is_computed_in_float32(function: Any, dtype: torch.dtype) -> None:
    k = normal(0, 20, 6).to(dtype)
    for low, rounded in zip(terms(function(k)), terms(function(k.float()))):
        assert low.dtype == torch.float32
        assert torch.equal(low, rounded)


@each_function
def test_autocast_changes_nothing(function: Any) -> None:
    k = normal(0, 20, 6).float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = terms(function(k))
    for low, full in zip(inside, terms(function(k))):
        assert torch.equal(low, full)
