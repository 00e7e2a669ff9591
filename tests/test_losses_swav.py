"""Sinkhorn's codes and the SwAV loss: values, extremes, invariances, gradients, collapse, bad input."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from oracles import log_sum_exp, normal, permutation, rows, seeds
from scipy.optimize import linprog
from torch import Tensor
from torch.testing import assert_close

from jemlib.losses import SwAVLoss, sinkhorn, swapped_prediction, swav, swav_codes, swav_multicrop

EPSILONS = [0.0005, 0.003, 0.01, 0.05, 0.3, 2.0, 100.0]


@st.composite
def cosines(draw: st.DrawFn, max_samples: int = 8, max_prototypes: int = 6) -> Tensor:
    """Scores `(N, K)` in [-1, 1], float64."""
    n, k = draw(st.integers(1, max_samples)), draw(st.integers(1, max_prototypes))
    return torch.tanh(draw(st.sampled_from([0.1, 1.0, 3.0])) * normal(draw(seeds), n, k))


epsilons = st.sampled_from(EPSILONS)
iteration_counts = st.integers(1, 6)


def oracle(scores: Tensor, epsilon: float, iterations: int) -> Tensor:
    """The log-domain algorithm as loops over the matrix itself, without scaling vectors."""
    L = [[s / epsilon for s in row] for row in rows(scores)]
    n, k = len(L), len(L[0])
    for _ in range(iterations):
        for j in range(k):
            total = log_sum_exp(L[i][j] for i in range(n)) + math.log(k)
            for i in range(n):
                L[i][j] -= total
        for i in range(n):
            total = log_sum_exp(L[i]) + math.log(n)
            L[i] = [x - total for x in L[i]]
    return torch.tensor([[n * math.exp(x) for x in row] for row in L], dtype=torch.float64)


def log_domain(scores: Tensor, epsilon: float, iterations: int) -> Tensor:
    """The same with tensors, for larger inputs."""
    L = scores.double() / epsilon
    for _ in range(iterations):
        L = L - L.logsumexp(dim=0)
        L = L - L.logsumexp(dim=1, keepdim=True)
    return L.exp()


def plain_exponential(scores: Tensor, epsilon: float, iterations: int) -> Tensor:
    """The form of most implementations: exponentiate, then divide."""
    q = torch.exp(scores / epsilon)
    q = q / q.sum()
    n, k = scores.shape
    for _ in range(iterations):
        q = q / q.sum(dim=0) / k
        q = q / q.sum(dim=1, keepdim=True) / n
    return q * n


def unit_cosines(seed: int, n: int, k: int, d: int = 16) -> Tensor:
    z, c = (torch.nn.functional.normalize(normal(seed + i, m, d), dim=1) for i, m in enumerate((n, k)))
    return z @ c.T


def cross_entropy(scores: Tensor, codes: Tensor, tau: float) -> float:
    total = 0.0
    for s, q in zip(rows(scores), rows(codes)):
        log_z = log_sum_exp(x / tau for x in s)
        total -= sum(weight * (x / tau - log_z) for weight, x in zip(q, s))
    return total / len(scores)


def entropy(codes: Tensor) -> float:
    return -sum(q * math.log(q) for row in rows(codes) for q in row if q > 0) / len(codes)


# --- sinkhorn: values ------------------------------------------------------------------------------------------


@given(scores=cosines(), epsilon=epsilons, iterations=iteration_counts)
def test_sinkhorn_equals_the_log_domain_loops(scores: Tensor, epsilon: float, iterations: int) -> None:
    assert_close(sinkhorn(scores, epsilon, iterations), oracle(scores, epsilon, iterations), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("epsilon", EPSILONS)
@pytest.mark.parametrize("iterations", [1, 3, 40])
def test_sinkhorn_in_float32_agrees_with_float64_at_every_epsilon(epsilon: float, iterations: int) -> None:
    scores = unit_cosines(0, 96, 40).float()
    # The rounding of score / epsilon itself: 6e-8 / epsilon in the exponent, a few times per entry.
    tolerance = 1e-6 + 1e-6 / epsilon
    assert_close(
        sinkhorn(scores, epsilon, iterations).double(), log_domain(scores, epsilon, iterations), rtol=0, atol=tolerance
    )


def test_sinkhorn_stays_exact_when_scaling_vectors_grow_beyond_float32() -> None:
    # All samples prefer prototype 0, by e^1400 to e^2000. Balance gives half of them to prototype 1, and sample 1
    # returns after hundreds of iterations: an entry that underflows at first is the answer at last.
    scores = torch.tensor([[1.0, 0.0], [0.9, 0.0], [0.8, 0.0], [0.7, 0.0]])
    for iterations in (2, 5, 50, 2000):
        expected = log_domain(scores, 0.0005, iterations)
        assert_close(sinkhorn(scores, 0.0005, iterations).double(), expected, rtol=0, atol=1e-5)
        assert_close(sinkhorn(scores.double(), 0.0005, iterations), expected, rtol=0, atol=1e-10)
    assert expected[1, 0] > 0.99
    assert log_domain(scores, 0.0005, 50)[1, 0] < 1e-60


def test_sinkhorn_keeps_its_balance_over_thousands_of_iterations() -> None:
    for n, k in ((40, 3), (3, 40)):
        codes = sinkhorn(unit_cosines(0, n, k).float(), 0.2, 2000)
        assert_close(codes.sum(dim=0), torch.full((k,), n / k), rtol=1e-4, atol=0)


@given(scores=cosines(), iterations=iteration_counts)
def test_sinkhorn_equals_the_exponential_form_where_that_does_not_overflow(scores: Tensor, iterations: int) -> None:
    for epsilon in (0.05, 0.5):
        expected = plain_exponential(scores, epsilon, iterations)
        assert_close(sinkhorn(scores, epsilon, iterations), expected, rtol=1e-10, atol=1e-14)


def test_sinkhorn_converged_is_golden_sk1() -> None:
    scores = torch.tensor([[0.7, 0.1], [0.2, 0.6]], dtype=torch.float64)
    assert_close(sinkhorn(scores, 0.5, 100)[0, 0].item(), 0.7310585786300049, rtol=1e-12, atol=0)


@given(seed=seeds, epsilon=st.sampled_from([0.5, 1.0, 5.0]))
def test_two_by_two_codes_converge_to_a_sigmoid(seed: int, epsilon: float) -> None:
    scores = torch.tanh(normal(seed, 2, 2))
    (a, b), (c, d) = rows(scores)
    expected = 1 / (1 + math.exp(-(a + d - b - c) / (2 * epsilon)))
    assert_close(sinkhorn(scores, epsilon, 500)[0, 0].item(), expected, rtol=1e-10, atol=0)


def test_no_iterations_is_a_softmax_unlike_the_official_code() -> None:
    # Note P12: with 0 iterations the official code only divides by the grand total.
    scores = unit_cosines(0, 6, 4)
    assert torch.equal(sinkhorn(scores, 0.05, 0), torch.softmax(scores / 0.05, dim=1))
    official = plain_exponential(scores, 0.05, 0)
    assert (official.sum(dim=1) - 1).abs().max() > 0.5


def test_default_epsilon_and_iterations_are_those_of_the_paper() -> None:
    scores = unit_cosines(0, 6, 4)
    assert torch.equal(sinkhorn(scores), sinkhorn(scores, 0.05, 3))


# --- sinkhorn: constraints -------------------------------------------------------------------------------------


@given(scores=cosines(), epsilon=epsilons, iterations=st.integers(0, 12))
def test_rows_are_distributions_after_any_number_of_iterations(scores: Tensor, epsilon: float, iterations: int) -> None:
    for given_scores, tolerance in ((scores, 1e-12), (scores.float(), 2e-6)):
        codes = sinkhorn(given_scores, epsilon, iterations)
        assert codes.min() >= 0
        assert_close(codes.sum(dim=1), torch.ones(len(scores), dtype=codes.dtype), rtol=0, atol=tolerance)


@given(seed=seeds)
def test_columns_share_the_samples_equally_in_the_limit_only(seed: int) -> None:
    # Note P4: the constraint is a mass of exactly N/K, not "at least N/K samples".
    scores = 2 * torch.rand(8, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) - 1
    assert_close(sinkhorn(scores, 0.5, 300).sum(dim=0), torch.full((4,), 2.0, dtype=torch.float64))
    errors = [(sinkhorn(scores, 0.05, n).sum(dim=0) - 2).abs().sum() for n in (1, 10, 100)]
    assert errors[0] > errors[1] > errors[2]


def test_three_iterations_leave_columns_far_from_equal() -> None:
    assert (sinkhorn(unit_cosines(0, 8, 4), 0.05, 3).sum(dim=0) - 2).abs().max() > 0.01


# --- sinkhorn: extremes ----------------------------------------------------------------------------------------


def transport_optimum(scores: Tensor) -> Tensor:
    """The vertex that maximises sum Q S over rows that sum to 1 and columns that sum to N/K."""
    n, k = scores.shape
    per_row = np.kron(np.eye(n), np.ones((1, k)))
    per_column = np.kron(np.ones((1, n)), np.eye(k))
    result = linprog(
        -scores.numpy().ravel(),
        A_eq=np.vstack([per_row, per_column]),
        b_eq=np.concatenate([np.ones(n), np.full(k, n / k)]),
        method="highs",
    )
    assert result.status == 0
    return torch.from_numpy(result.x.reshape(n, k))


@pytest.mark.parametrize(("n", "k", "seed"), [(8, 4, 0), (6, 3, 1), (7, 3, 4), (3, 5, 1)])
def test_small_epsilon_gives_the_optimal_balanced_assignment(n: int, k: int, seed: int) -> None:
    # Seeds whose optimum is unique by a margin: near ties need an epsilon too small to converge.
    scores = 2 * torch.rand(n, k, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) - 1
    best = transport_optimum(scores)
    assert_close(sinkhorn(scores, 0.008, 4000), best, rtol=0, atol=2e-3)
    if n % k == 0:  # one-hot, and exactly N/K samples for each prototype
        assert_close(best.max(dim=1).values, torch.ones(n, dtype=torch.float64))
        assert_close(best.round().sum(dim=0), torch.full((k,), n / k, dtype=torch.float64))
    else:  # no one-hot assignment is balanced: some code is split
        assert best.max(dim=1).values.min() < 0.9
    if n < k:  # each prototype has a mass of N/K < 1, so no code can be one-hot
        assert best.max() <= n / k + 1e-9


def test_erratum_e18_balanced_codes_are_not_the_nearest_prototypes() -> None:
    # Every sample prefers prototype 0: k-means would use that alone, the balanced assignment takes the best two.
    scores = torch.tensor([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.6, 0.4]], dtype=torch.float64)
    assert scores.argmax(dim=1).tolist() == [0, 0, 0, 0]
    assert sinkhorn(scores, 0.005, 2000).argmax(dim=1).tolist() == [0, 0, 1, 1]
    assert_close(sinkhorn(scores, 0.005, 0).argmax(dim=1), scores.argmax(dim=1))


@given(scores=cosines(), iterations=iteration_counts)
def test_large_epsilon_gives_the_flat_code(scores: Tensor, iterations: int) -> None:
    # Erratum E18: this is the regime of collapse; the *use of clusters* is equal at every epsilon.
    flat = torch.full_like(scores, 1 / scores.shape[1])
    assert_close(sinkhorn(scores, 1e9, iterations), flat, rtol=0, atol=1e-8)


def test_erratum_e17_codes_are_soft_at_the_papers_settings() -> None:
    codes = sinkhorn(unit_cosines(0, 64, 16))
    assert codes.max(dim=1).values.median() < 0.99
    assert entropy(codes) > 0.1


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
@pytest.mark.parametrize("epsilon", [0.003, 0.0005])
def test_sinkhorn_is_finite_where_the_exponential_form_is_not(epsilon: float, dtype: torch.dtype) -> None:
    scores = torch.tanh(2 * normal(0, 64, 30)).to(dtype)
    assert not plain_exponential(scores.float(), epsilon, 3).isfinite().all()
    codes = sinkhorn(scores, epsilon, 3)
    assert codes.dtype == torch.float32
    assert bool(codes.isfinite().all())
    assert_close(codes.sum(dim=1), torch.ones(64), rtol=0, atol=2e-6)
    assert torch.equal(codes, sinkhorn(scores.float(), epsilon, 3))


def test_scores_that_were_not_normalised_do_not_overflow() -> None:
    codes = sinkhorn(500 * normal(0, 32, 8, dtype=torch.float32))
    assert_close(codes.sum(dim=1), torch.ones(32), rtol=0, atol=2e-6)


# --- sinkhorn: invariances -------------------------------------------------------------------------------------


@given(seed=seeds)
def test_converged_codes_ignore_shifts_per_sample_and_per_prototype(seed: int) -> None:
    scores = torch.tanh(normal(seed, 6, 3))
    shifted = scores + 0.3 * normal(seed + 1, 6, 1) + 0.3 * normal(seed + 2, 1, 3)
    assert_close(sinkhorn(shifted, 1.0, 200), sinkhorn(scores, 1.0, 200), rtol=1e-9, atol=1e-12)


@given(scores=cosines(), seed=seeds, epsilon=st.sampled_from([0.01, 0.05, 0.5]), iterations=iteration_counts)
def test_codes_ignore_a_shift_per_prototype_after_one_iteration(
    scores: Tensor, seed: int, epsilon: float, iterations: int
) -> None:
    shifted = scores + normal(seed, 1, scores.shape[1])
    assert_close(sinkhorn(shifted, epsilon, iterations), sinkhorn(scores, epsilon, iterations), rtol=0, atol=1e-9)


def test_three_iterations_see_a_shift_per_sample() -> None:
    scores = unit_cosines(0, 8, 4)
    shift = torch.zeros(8, 1, dtype=torch.float64)
    shift[0] = 0.5
    assert (sinkhorn(scores + shift) - sinkhorn(scores)).abs().max() > 0.01


@given(scores=cosines(), seed=seeds, epsilon=epsilons)
def test_permuting_samples_and_prototypes_permutes_the_codes(scores: Tensor, seed: int, epsilon: float) -> None:
    p, q = permutation(seed, scores.shape[0]), permutation(seed + 1, scores.shape[1])
    assert_close(sinkhorn(scores[p][:, q], epsilon), sinkhorn(scores, epsilon)[p][:, q], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("epsilon", EPSILONS)
@pytest.mark.parametrize("iterations", [1, 3])
def test_constant_features_give_flat_codes(epsilon: float, iterations: int) -> None:
    scores = torch.tanh(normal(0, 1, 5)).expand(7, 5)
    flat = torch.full((7, 5), 0.2, dtype=torch.float64)
    assert_close(sinkhorn(scores, epsilon, iterations), flat, rtol=0, atol=1e-12)


# --- queue -----------------------------------------------------------------------------------------------------


def test_queue_rows_take_part_in_the_balance_and_are_not_returned() -> None:
    scores, queue = unit_cosines(0, 5, 4), unit_cosines(7, 20, 4)
    codes = swav_codes(scores, queue, 0.1, 5)
    assert_close(codes, oracle(torch.cat([scores, queue]), 0.1, 5)[:5], rtol=1e-10, atol=1e-12)
    assert (codes - swav_codes(scores, None, 0.1, 5)).abs().max() > 0.01
    assert torch.equal(swav_codes(scores), sinkhorn(scores))


def test_a_queue_lets_codes_be_sharp_when_the_batch_is_smaller_than_k() -> None:
    scores = unit_cosines(0, 3, 6)
    assert sinkhorn(scores, 0.01, 500).max() < 0.51  # N/K = 1/2
    assert swav_codes(scores, unit_cosines(9, 60, 6), 0.01, 500).max() > 0.99


# --- swav: values ----------------------------------------------------------------------------------------------


@given(seed=seeds, n=st.integers(2, 7), k=st.integers(1, 6), tau=st.floats(0.05, 2.0))
def test_swav_equals_the_written_out_sums(seed: int, n: int, k: int, tau: float) -> None:
    a, b = unit_cosines(seed, n, k), unit_cosines(seed + 9, n, k)
    q_a, q_b = oracle(a, 0.07, 4), oracle(b, 0.07, 4)
    loss = swav(a, b, tau, 0.07, 4)
    total = (cross_entropy(a, q_b, tau) + cross_entropy(b, q_a, tau)) / 2
    assert_close(loss.total.item(), total, rtol=1e-9, atol=1e-12)
    assert_close(loss.code_entropy.item(), (entropy(q_a) + entropy(q_b)) / 2, rtol=1e-9, atol=1e-12)
    assert_close(loss.kl, loss.total - loss.code_entropy, rtol=0, atol=1e-15)
    assert loss.kl > -1e-12
    assert_close(swav(b, a, tau, 0.07, 4).total, loss.total, rtol=1e-12, atol=0)


def test_swav_defaults_are_those_of_the_paper() -> None:
    a, b = unit_cosines(0, 6, 4), unit_cosines(9, 6, 4)
    assert torch.equal(swav(a, b).total, swav(a, b, 0.1, 0.05, 3).total)


def test_swapped_prediction_of_its_own_softmax_is_the_entropy() -> None:
    scores = unit_cosines(0, 6, 4)
    loss = swapped_prediction(scores, torch.softmax(scores / 0.3, dim=1), 0.3)
    assert_close(loss.total, loss.code_entropy, rtol=1e-12, atol=0)
    assert_close(loss.kl.item(), 0.0, rtol=0, atol=1e-12)


def test_codes_come_from_each_view_by_itself() -> None:
    # One Sinkhorn over both views, as another library does it, is a different loss.
    a, b = unit_cosines(0, 8, 4), unit_cosines(9, 8, 4) * 0.3
    q_a, q_b = sinkhorn(torch.cat([a, b])).chunk(2)
    joint = (swapped_prediction(a, q_b).total + swapped_prediction(b, q_a).total) / 2
    assert abs(joint - swav(a, b).total) > 0.01


@given(seed=seeds, crops=st.integers(2, 5), code_crops=st.integers(1, 2), queue=st.booleans())
def test_multicrop_is_a_mean_of_means_over_swapped_pairs(seed: int, crops: int, code_crops: int, queue: bool) -> None:
    scores = [unit_cosines(seed + 10 * i, 4, 3) for i in range(crops)]
    stored = [unit_cosines(seed + 10 * i + 5, 6, 3) for i in range(code_crops)] if queue else None
    loss = swav_multicrop(scores, code_crops, 0.2, 0.1, 3, stored)
    total = entropies = 0.0
    for i in range(code_crops):
        codes = oracle(torch.cat([scores[i], stored[i]]) if stored else scores[i], 0.1, 3)[:4]
        others = [cross_entropy(scores[j], codes, 0.2) for j in range(crops) if j != i]
        total += sum(others) / len(others) / code_crops
        entropies += entropy(codes) / code_crops
    assert_close(loss.total.item(), total, rtol=1e-9, atol=1e-12)
    assert_close(loss.code_entropy.item(), entropies, rtol=1e-9, atol=1e-12)


def test_multicrop_with_two_crops_is_swav() -> None:
    a, b = unit_cosines(0, 6, 4), unit_cosines(9, 6, 4)
    for x, y in zip(swav_multicrop([a, b]), swav(a, b)):
        assert torch.equal(x, y)


@given(seed=seeds)
def test_swav_ignores_the_order_of_samples_and_prototypes(seed: int) -> None:
    a, b = unit_cosines(seed, 6, 4), unit_cosines(seed + 9, 6, 4)
    p, q = permutation(seed, 6), permutation(seed + 1, 4)
    assert_close(swav(a[p][:, q], b[p][:, q]).total, swav(a, b).total, rtol=1e-10, atol=1e-12)
    assert abs(swav(a[:, q.roll(1)], b[:, q]).total - swav(a, b).total) > 1e-6  # but the views share the prototypes


# --- gradients -------------------------------------------------------------------------------------------------


@given(seed=seeds, tau=st.floats(0.05, 2.0))
def test_swapped_prediction_gradient_is_p_minus_q_over_tau(seed: int, tau: float) -> None:
    scores, codes = unit_cosines(seed, 5, 4).requires_grad_(), sinkhorn(unit_cosines(seed + 9, 5, 4))
    (grad,) = torch.autograd.grad(swapped_prediction(scores, codes, tau).total, scores)
    expected = (torch.softmax(scores.detach() / tau, dim=1) - codes) / (tau * 5)
    assert_close(grad, expected, rtol=1e-10, atol=1e-14)


def test_swapped_prediction_passes_gradcheck() -> None:
    scores, codes = unit_cosines(0, 4, 3).requires_grad_(), sinkhorn(unit_cosines(9, 4, 3))
    assert torch.autograd.gradcheck(lambda s: swapped_prediction(s, codes, 0.3).total, scores)
    assert torch.autograd.gradgradcheck(lambda s: swapped_prediction(s, codes, 0.3).total, scores)


def test_codes_carry_no_gradient() -> None:
    a, b = unit_cosines(0, 6, 4).requires_grad_(), unit_cosines(9, 6, 4).requires_grad_()
    assert not sinkhorn(a).requires_grad
    assert not sinkhorn(a, iterations=0).requires_grad
    assert not swav_codes(a, b).requires_grad
    codes = torch.softmax(b, dim=1)
    loss = swapped_prediction(a, codes)
    assert torch.autograd.grad(loss.total, [a, b], allow_unused=True)[1] is None
    # The gradient of swav is that of two swapped predictions with constant codes.
    grad_a, grad_b = torch.autograd.grad(swav(a, b).total, [a, b])
    for x, y, grad in ((a, b, grad_a), (b, a, grad_b)):
        (half,) = torch.autograd.grad(swapped_prediction(x, sinkhorn(y)).total / 2, x)
        assert_close(grad, half, rtol=1e-12, atol=1e-15)


def test_gradient_of_the_total_is_the_gradient_of_the_divergence() -> None:
    a, b = unit_cosines(0, 6, 4).requires_grad_(), unit_cosines(9, 6, 4)
    loss = swav(a, b)
    (total,) = torch.autograd.grad(loss.total, a, retain_graph=True)
    (kl,) = torch.autograd.grad(loss.kl, a)
    assert_close(total, kl, rtol=0, atol=0)
    assert not loss.code_entropy.requires_grad


# --- collapse --------------------------------------------------------------------------------------------------


@given(seed=seeds, k=st.integers(1, 6))
def test_erratum_e19_swav_at_collapse_is_log_k_or_more_and_still_a_collapse(seed: int, k: int) -> None:
    scores = torch.tanh(normal(seed, 1, k)).expand(5, k)
    p = torch.softmax(scores[0] / 0.1, dim=0)
    divergence = -math.log(k) - p.log().mean().item()  # KL(uniform || p)
    loss = swav(scores, scores)
    assert_close(loss.code_entropy.item(), math.log(k), rtol=1e-12, atol=1e-12)
    assert_close(loss.kl.item(), divergence, rtol=1e-9, atol=1e-12)
    assert loss.total >= math.log(k) - 1e-12


def test_swav_is_stuck_at_log_k_when_all_scores_are_equal() -> None:
    scores = torch.full((4, 3000), 0.3, dtype=torch.float64).requires_grad_()
    loss = swav(scores, scores)
    assert_close(loss.total.item(), math.log(3000), rtol=1e-12, atol=0)  # the 8.006 of SwAV's own instructions
    (grad,) = torch.autograd.grad(loss.total, scores)
    assert_close(grad, torch.zeros_like(grad), rtol=0, atol=1e-15)


# --- precision -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_sixteen_bit_scores_get_a_float32_loss_and_their_own_gradient(dtype: torch.dtype) -> None:
    a, b = (unit_cosines(s, 64, 16).to(dtype).requires_grad_() for s in (0, 9))
    loss = swav(a, b)
    for low, full in zip(loss, swav(a.float(), b.float())):
        assert low.dtype == torch.float32
        assert_close(low, full)
    loss.total.backward()
    assert a.grad is not None
    assert a.grad.dtype == dtype
    assert a.grad.abs().max() > 0


def test_autocast_changes_nothing() -> None:
    a, b = (unit_cosines(s, 64, 16).float() for s in (0, 9))
    functions: list[Any] = [swav, swav_codes, lambda x, y: swav_multicrop([x, y, x]), lambda x, y: (sinkhorn(x),)]
    functions.append(lambda x, y: swapped_prediction(x, torch.softmax(y, dim=1)))
    for function in functions:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert (a @ b.T).dtype == torch.bfloat16
            inside = function(a, b)
        for x, y in zip(inside, function(a, b)):
            assert torch.equal(x, y)


def test_inputs_are_left_unchanged() -> None:
    for epsilon in (0.05, 0.003):
        a, b = unit_cosines(0, 6, 4), unit_cosines(9, 6, 4)
        copies = a.clone(), b.clone()
        result = swav(a, b, epsilon=epsilon)
        assert isinstance(result, SwAVLoss)
        assert all(term.shape == () for term in result)
        assert torch.equal(a, copies[0])
        assert torch.equal(b, copies[1])


# --- bad input -------------------------------------------------------------------------------------------------

S = torch.zeros(4, 3)
NAN = torch.full((4, 3), math.nan)
CODES = torch.full((4, 3), 1 / 3)
BAD: list[tuple[Any, type[Exception], str]] = [
    (lambda: sinkhorn([[1.0]]), TypeError, r"^scores must be a torch.Tensor .* got list"),
    (lambda: sinkhorn(torch.zeros(4)), ValueError, r"^scores must have shape \(N, D\)"),
    (lambda: sinkhorn(torch.zeros(0, 4)), ValueError, r"^scores needs at least 1 samples"),
    (lambda: sinkhorn(S.long()), TypeError, r"^scores must be floating point"),
    (lambda: sinkhorn(NAN), ValueError, r"^scores must be finite; got 12 NaN"),
    (lambda: sinkhorn(S, 0.0), ValueError, r"^epsilon must be a finite number > 0; got 0\.0"),
    (lambda: sinkhorn(S, math.nan), ValueError, r"^epsilon must be a finite number > 0; got nan"),
    (lambda: sinkhorn(S, "a"), TypeError, r"^epsilon must be a finite number"),
    (lambda: sinkhorn(S + 1, 1e-39), ValueError, r"^epsilon is too small: scores / epsilon overflows; got .* 1e-39"),
    (lambda: sinkhorn(S, iterations=-1), ValueError, r"^iterations must be >= 0; got -1"),
    (lambda: sinkhorn(S, iterations=1.5), TypeError, r"^iterations must be a whole number"),
    (lambda: swav_codes(S, torch.zeros(4, 2)), ValueError, r"^scores and queue_scores must .* \(4, 3\) .* \(4, 2\)"),
    (lambda: swav_codes(S, NAN), ValueError, r"^queue_scores must be finite"),
    (lambda: swav(S, NAN), ValueError, r"^scores_b must be finite"),
    (lambda: swav(S[:1], S[:1]), ValueError, r"^scores_a needs at least 2 samples"),
    (lambda: swav(S, S[:3]), ValueError, r"^scores_a and scores_b must have the same shape .* \(4, 3\) and \(3, 3\)"),
    (lambda: swav(S, S, 0.0), ValueError, r"^temperature must be a finite number > 0"),
    (lambda: swav(S, S, epsilon=-1.0), ValueError, r"^epsilon must be a finite number > 0"),
    (lambda: swapped_prediction(S, S), ValueError, r"^codes must have .* rows that sum to 1; got .* row sums from 0"),
    (lambda: swapped_prediction(S, CODES * torch.tensor([-1, 2, 2])), ValueError, r"^codes must .* smallest .* -0.333"),
    (lambda: swapped_prediction(S, CODES[:3]), ValueError, r"^scores and codes must have the same shape"),
    (lambda: swapped_prediction(S, CODES, -1.0), ValueError, r"^temperature must be a finite number > 0"),
    (lambda: swav_multicrop(S), TypeError, r"^scores must be a list of \(N, K\) tensors.*got a float32 tensor"),
    (lambda: swav_multicrop([S]), ValueError, r"^scores needs at least 2 crops.* got 1"),
    (lambda: swav_multicrop([S, S, NAN]), ValueError, r"^scores\[2\] must be finite"),
    (lambda: swav_multicrop([S, S[:3]]), ValueError, r"^scores\[0\] and scores\[1\] must have the same shape"),
    (lambda: swav_multicrop([S, S], 3), ValueError, r"^num_code_crops must be at most the number of crops, 2; got 3"),
    (lambda: swav_multicrop([S, S], 0), ValueError, r"^num_code_crops must be >= 1; got 0"),
    (lambda: swav_multicrop([S, S], queue_scores=[S]), ValueError, r"^queue_scores needs one tensor per crop.*got 1"),
]


@pytest.mark.parametrize(("call", "error", "message"), BAD)
def test_bad_input_is_named(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
