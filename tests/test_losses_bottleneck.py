"""The information bottleneck: discrete and Gaussian values, bounds, and the steps to Barlow Twins."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import oracles
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from oracles import batches, normal, permutation, rotation, seeds, views
from torch import Tensor
from torch.testing import assert_close

from jemlib.losses import (
    auto_correlation,
    barlow_twins,
    beta_of_weight,
    bottleneck_surrogates,
    conditional_covariance,
    conditional_entropy,
    cross_correlation,
    entropy,
    frobenius_term,
    gaussian_bottleneck,
    gaussian_entropy,
    information_bottleneck,
    invariance_term,
    log_determinant_term,
    mutual_information,
    redundancy_term,
    standardize,
    weight_of_beta,
)

F64 = torch.float64


def tensor(*values: Any) -> Tensor:
    return torch.tensor(values, dtype=F64)


def probabilities(seed: int, *shape: int, zeros: float = 0.0) -> Tensor:
    """Random probabilities that sum to 1 over everything, about a share `zeros` of them exactly 0."""
    generator = torch.Generator().manual_seed(seed)
    p = torch.rand(*shape, generator=generator, dtype=F64) ** 2 + 1e-3
    p = p * (torch.rand(*shape, generator=generator) >= zeros)
    p.view(-1)[0] += 0.01
    return p / p.sum()


def encoder_of(seed: int, n: int, k: int, zeros: float) -> Tensor:
    rows = probabilities(seed, n, k, zeros=zeros) + 1e-3 * torch.eye(max(n, k), dtype=F64)[:n, :k] + 1e-9
    rows = torch.where(rows < 1e-6, 0.0, rows)
    rows[rows.sum(1) == 0, 0] = 1.0
    return rows / rows.sum(dim=1, keepdim=True)


@st.composite
def chains(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    """`(joint_xy, encoder)` of a random discrete chain X -> Y -> Z, with or without zeros."""
    x, y, z = (draw(st.integers(1, 5)) for _ in range(3))
    zeros = draw(st.sampled_from([0.0, 0.5]))
    return probabilities(draw(seeds), x, y, zeros=zeros), encoder_of(draw(seeds), y, z, zeros)


# --- oracles: plain loops ---------------------------------------------------------------------------------------


def entropy_oracle(p: list[float]) -> float:
    return -sum(q * math.log(q) for q in p if q > 0)


def information_oracle(joint: oracles.Matrix) -> float:
    rows = [sum(row) for row in joint]
    columns = [sum(row[j] for row in joint) for j in range(len(joint[0]))]
    return sum(
        p * math.log(p / (rows[i] * columns[j])) for i, row in enumerate(joint) for j, p in enumerate(row) if p > 0
    )


def log_determinant_oracle(c: oracles.Matrix) -> float:
    """Gaussian elimination with pivots."""
    c, total = [list(row) for row in c], 0.0
    for k in range(len(c)):
        pivot = max(range(k, len(c)), key=lambda i: abs(c[i][k]))
        c[k], c[pivot] = c[pivot], c[k]
        total += math.log(abs(c[k][k]))
        for i in range(k + 1, len(c)):
            factor = c[i][k] / c[k][k]
            c[i] = [x - factor * y for x, y in zip(c[i], c[k])]
    return total


def gaussian_oracle(c: oracles.Matrix, eps: float = 0.0) -> float:
    c = [[x + eps * (i == j) for j, x in enumerate(row)] for i, row in enumerate(c)]
    return log_determinant_oracle(c) / 2 + len(c) / 2 * math.log(2 * math.pi * math.e)


# --- discrete: values -------------------------------------------------------------------------------------------


@given(seed=seeds, shape=st.sampled_from([(1,), (5,), (3, 4), (2, 3, 2)]), zeros=st.sampled_from([0.0, 0.5]))
def test_entropy_equals_the_written_out_sum(seed: int, shape: tuple[int, ...], zeros: float) -> None:
    p = probabilities(seed, *shape, zeros=zeros)
    expected = entropy_oracle(p.flatten().tolist())
    assert_close(entropy(p).item(), expected, rtol=1e-12, atol=1e-15)
    assert_close(entropy(p, base=2).item(), expected / math.log(2), rtol=1e-12, atol=1e-15)
    assert 0 <= entropy(p) <= math.log(p.numel()) + 1e-12


def test_entropy_of_a_fair_coin_is_one_bit_and_of_a_certain_outcome_exactly_zero() -> None:
    assert entropy(tensor(0.5, 0.5), base=2) == 1
    assert_close(entropy(torch.full((8,), 0.125, dtype=F64)).item(), math.log(8), rtol=1e-12, atol=0)
    assert entropy(tensor(0.0, 1.0, 0.0)) == 0


@given(seed=seeds, shape=st.tuples(st.integers(1, 4), st.integers(1, 4)), zeros=st.sampled_from([0.0, 0.5]))
def test_information_equals_the_written_out_sum_and_the_differences_of_entropies(
    seed: int, shape: tuple[int, int], zeros: float
) -> None:
    joint = probabilities(seed, *shape, zeros=zeros)
    information = mutual_information(joint).item()
    assert_close(information, information_oracle(oracles.rows(joint)), rtol=1e-10, atol=1e-13)
    assert_close(mutual_information(joint.T).item(), information, rtol=1e-10, atol=1e-13)
    rows, columns = entropy(joint.sum(1)), entropy(joint.sum(0))
    # H(V|U) = H(U,V) - H(U),  I(U;V) = H(V) - H(V|U)
    assert_close(conditional_entropy(joint), entropy(joint) - rows, rtol=1e-10, atol=1e-13)
    assert_close(information, (columns - conditional_entropy(joint)).item(), rtol=1e-10, atol=1e-13)
    assert -1e-13 <= information <= min(rows, columns) + 1e-13


def test_independent_variables_have_no_information_and_copies_have_all() -> None:
    p, q = tensor(0.2, 0.5, 0.3), tensor(0.6, 0.4)
    assert_close(mutual_information(p[:, None] * q).item(), 0.0, rtol=0, atol=1e-15)
    assert_close(mutual_information(torch.diag(p)), entropy(p), rtol=1e-12, atol=0)
    assert conditional_entropy(torch.diag(p)) == 0


@given(chain=chains(), beta=st.sampled_from([0.3, 1.0, 4.0]))
def test_bottleneck_equals_the_written_out_sums(chain: tuple[Tensor, Tensor], beta: float) -> None:
    joint, encoder = (oracles.rows(t) for t in chain)
    x_s, y_s, z_s = range(len(joint)), range(len(joint[0])), range(len(encoder[0]))
    yz = [[sum(joint[x][y] for x in x_s) * encoder[y][z] for z in z_s] for y in y_s]
    xz = [[sum(joint[x][y] * encoder[y][z] for y in y_s) for z in z_s] for x in x_s]
    zy, zx = information_oracle(yz), information_oracle(xz)
    h_z = entropy_oracle([sum(row[z] for row in yz) for z in z_s])
    result = information_bottleneck(*chain, beta)
    expected = [zy - beta * zx, zy, zx, h_z, h_z - zx, h_z - zy]
    assert_close([term.item() for term in result], expected, rtol=1e-9, atol=1e-12)


@given(chain=chains(), beta=st.sampled_from([0.3, 1.0, 4.0]), base=st.sampled_from([2.0, 10.0]))
def test_bottleneck_in_another_base_is_the_same_in_other_units(
    chain: tuple[Tensor, Tensor], beta: float, base: float
) -> None:
    nats, other = information_bottleneck(*chain, beta), information_bottleneck(*chain, beta, base)
    for x, y in zip(nats, other):
        assert_close(x, y * math.log(base), rtol=1e-12, atol=1e-13)


# X uniform on 2, Y = (X, augmentation) uniform on 4
JOINT = torch.kron(torch.eye(2, dtype=F64), torch.ones(1, 2, dtype=F64)) / 4
ENCODERS = {
    "Z=Y": torch.eye(4, dtype=F64),
    "Z=X": torch.kron(torch.eye(2, dtype=F64), torch.ones(2, 1, dtype=F64)),
    "const": torch.ones(4, 1, dtype=F64),
}
GOLDEN = {0.5: (1.5, 0.5, 0.0), 1.0: (1.0, 0.0, 0.0), 2.0: (0.0, -1.0, 0.0), 3.0: (-1.0, -2.0, 0.0)}


@pytest.mark.parametrize("beta", GOLDEN)
def test_bottleneck_has_its_golden_bits(beta: float) -> None:
    for encoder, value in zip(ENCODERS.values(), GOLDEN[beta]):
        assert_close(information_bottleneck(JOINT, encoder, beta, base=2).total.item(), value, rtol=1e-12, atol=1e-15)


def test_terms_of_the_golden_system_are_the_hand_numbers() -> None:
    keeps_all = information_bottleneck(JOINT, ENCODERS["Z=Y"], 1.0, base=2)
    assert_close([t.item() for t in keeps_all[1:]], [2.0, 1.0, 2.0, 1.0, 0.0], rtol=1e-12, atol=1e-15)
    invariant = information_bottleneck(JOINT, ENCODERS["Z=X"], 1.0, base=2)
    assert_close([t.item() for t in invariant[1:]], [1.0, 1.0, 1.0, 0.0, 0.0], rtol=1e-12, atol=1e-15)


# --- discrete: bounds -------------------------------------------------------------------------------------------


@given(chain=chains(), beta=st.floats(0.01, 1.0))
def test_erratum_e3_up_to_beta_one_nothing_beats_the_constant(chain: tuple[Tensor, Tensor], beta: float) -> None:
    result = information_bottleneck(*chain, beta)
    assert result.i_zx <= result.i_zy + 1e-12  # data processing
    assert result.total >= (1 - beta) * result.i_zx - 1e-12
    assert (1 - beta) * result.i_zx >= -1e-12


@given(chain=chains(), beta=st.floats(0.1, 10.0))
def test_erratum_e3_the_division_by_beta_is_exact_for_a_deterministic_encoder(
    chain: tuple[Tensor, Tensor], beta: float
) -> None:
    joint, encoder = chain
    result = information_bottleneck(joint, torch.eye(encoder.shape[1], dtype=F64)[encoder.argmax(1)], beta)
    assert_close(result.h_z_given_y.item(), 0.0, rtol=0, atol=0)
    expected = result.h_z_given_x + (1 - beta) / beta * result.h_z
    assert_close(result.total / beta, expected, rtol=1e-9, atol=1e-12)


@given(chain=chains(), beta=st.floats(0.1, 10.0))
def test_bottleneck_of_a_noisy_encoder_also_needs_the_entropy_given_the_view(
    chain: tuple[Tensor, Tensor], beta: float
) -> None:
    result = information_bottleneck(*chain, beta)
    expected = beta * result.h_z_given_x + (1 - beta) * result.h_z - result.h_z_given_y
    assert_close(result.total, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("beta", [1.5, 2.0, 8.0])
def test_above_beta_one_an_invariant_code_scores_minus_its_entropy(beta: float) -> None:
    x = 6
    joint = torch.kron(torch.eye(x, dtype=F64), torch.ones(1, 2, dtype=F64)) / (2 * x)  # two views of each image
    totals = []
    for codes in (1, 2, 3, 6):  # Z = g(X) with that many equally likely codes
        encoder = torch.kron(torch.eye(codes, dtype=F64), torch.ones(2 * x // codes, 1, dtype=F64))
        totals.append(information_bottleneck(joint, encoder, beta).total.item())
        assert_close(totals[-1], (1 - beta) * math.log(codes), rtol=1e-12, atol=1e-15)
    assert totals == sorted(totals, reverse=True)


@given(chain=chains(), beta=st.sampled_from([0.5, 3.0]), seed=seeds)
def test_bottleneck_ignores_the_names_of_images_views_and_codes(
    chain: tuple[Tensor, Tensor], beta: float, seed: int
) -> None:
    joint, encoder = chain
    x, y, z = (permutation(seed + i, n) for i, n in enumerate((*joint.shape, encoder.shape[1])))
    for renamed, term in zip(
        information_bottleneck(joint[x][:, y], encoder[y][:, z], beta), information_bottleneck(joint, encoder, beta)
    ):
        assert_close(renamed, term, rtol=1e-10, atol=1e-13)


@given(chain=chains(), beta=st.sampled_from([0.5, 3.0]))
def test_a_constant_code_is_zero_in_every_term(chain: tuple[Tensor, Tensor], beta: float) -> None:
    for term in information_bottleneck(chain[0], torch.ones(len(chain[1]), 1, dtype=F64), beta):
        assert_close(term.item(), 0.0, rtol=0, atol=1e-14)


# --- discrete: gradients ----------------------------------------------------------------------------------------


def test_discrete_gradients_have_their_closed_forms() -> None:
    p = probabilities(0, 6).requires_grad_()
    (grad,) = torch.autograd.grad(entropy(p), p)
    assert_close(grad, -p.log() - 1, rtol=1e-12, atol=0)
    joint = probabilities(1, 3, 4).requires_grad_()
    (grad,) = torch.autograd.grad(mutual_information(joint), joint)
    outer = joint.sum(1, keepdim=True) * joint.sum(0, keepdim=True)
    assert_close(grad, (joint / outer).log() - 1, rtol=1e-12, atol=1e-12)


def test_bottleneck_passes_gradcheck() -> None:
    joint, encoder = probabilities(0, 3, 4).requires_grad_(), encoder_of(1, 4, 3, 0.0).requires_grad_()
    assert torch.autograd.gradcheck(lambda j, e: tuple(information_bottleneck(j, e, 2.0)), (joint, encoder))
    assert torch.autograd.gradcheck(conditional_entropy, (joint,))


def test_gradients_at_zero_probabilities_are_finite_and_right_for_a_softmax_that_underflows() -> None:
    logits = torch.tensor([[0.0, -2000.0, 1.0], [0.3, 0.1, -2000.0]], dtype=F64, requires_grad=True)
    encoder = logits.softmax(dim=1)
    assert (encoder == 0).sum() == 2
    joint = probabilities(0, 3, 2)
    (grad,) = torch.autograd.grad(information_bottleneck(joint, encoder, 2.0).total, logits)
    assert bool(grad.isfinite().all())
    less = logits.detach().clamp(min=-40.0).requires_grad_()  # nearly the same encoder, without zeros
    (expected,) = torch.autograd.grad(information_bottleneck(joint, less.softmax(dim=1), 2.0).total, less)
    assert_close(grad, expected, rtol=0, atol=1e-14)


# --- Gaussian entropy -------------------------------------------------------------------------------------------

COLUMNS = torch.tensor(
    [[(-1.0) ** bin(i & j).count("1") for j in range(8)] for i in range(8)], dtype=F64
)  # Hadamard: orthogonal columns of +-1; all but the first have mean 0
H = COLUMNS[:, 1:4]


@given(z=batches(min_samples=6, max_samples=9, max_dims=4), eps=st.sampled_from([0.0, 1e-3, 1.0]))
def test_gaussian_entropy_equals_the_written_out_determinant(z: Tensor, eps: float) -> None:
    expected = gaussian_oracle(oracles.covariance(oracles.rows(z), correction=0), eps)
    assert_close(gaussian_entropy(z, eps).item(), expected, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("d", [1, 2, 3, 6])
def test_gaussian_entropy_of_unit_covariance_is_its_constant(d: int) -> None:
    z = COLUMNS[:, 1 : d + 1]  # biased covariance: exactly the identity
    assert_close(gaussian_entropy(z).item(), d / 2 * math.log(2 * math.pi * math.e), rtol=1e-12, atol=0)


@given(z=batches(min_samples=7, max_samples=9, max_dims=4), seed=seeds, w=st.sampled_from([1e-3, 0.5, 10.0]))
def test_gaussian_entropy_moves_with_the_log_of_the_volume_and_with_nothing_else(
    z: Tensor, seed: int, w: float
) -> None:
    d, value = z.shape[1], gaussian_entropy(z)
    same = (z + normal(seed, d), z @ rotation(seed, d), z[permutation(seed, len(z))], -z)
    for other in same:
        assert_close(gaussian_entropy(other), value, rtol=1e-7, atol=1e-7)
    assert_close(gaussian_entropy(w * z), value + d * math.log(w), rtol=1e-7, atol=1e-7)
    a = normal(seed + 1, d, d) + 3 * torch.eye(d, dtype=F64)
    assert_close(gaussian_entropy(z @ a), value + torch.linalg.det(a).abs().log(), rtol=1e-6, atol=1e-6)


def test_the_unit_of_one_dimension_does_not_make_it_singular() -> None:
    units = tensor(1e-12, 1.0, 1e12)
    assert_close(gaussian_entropy(H * units), gaussian_entropy(H), rtol=1e-9, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, F64])
@pytest.mark.parametrize("seed", range(20))
def test_gaussian_entropy_of_a_flat_cloud_is_minus_infinity(seed: int, dtype: torch.dtype) -> None:
    flat = normal(seed, 50, 3) @ normal(seed + 9, 3, 4) + 2.0  # 3 directions in 4 dimensions
    for z in (flat, normal(seed, 50, 4) * tensor(1.0, 1.0, 0.0, 1.0), normal(seed, 4, 4), torch.ones(9, 4)):
        leaf = z.to(dtype).requires_grad_()
        value = gaussian_entropy(leaf)
        assert value == -math.inf
        (grad,) = torch.autograd.grad(value, leaf)
        assert torch.equal(grad, torch.zeros_like(leaf))
    assert gaussian_entropy(normal(seed, 50, 4).to(dtype)).isfinite()


@pytest.mark.parametrize("eps", [1e-4, 0.5])
def test_gaussian_entropy_with_eps_has_a_floor_at_collapse_and_no_gradient_there(eps: float) -> None:
    z = torch.full((5, 3), 0.25, dtype=F64, requires_grad=True)
    value = gaussian_entropy(z, eps)
    assert_close(value.item(), 1.5 * math.log(2 * math.pi * math.e * eps), rtol=1e-12, atol=0)
    assert torch.equal(torch.autograd.grad(value, z)[0], torch.zeros_like(z))


@given(seed=seeds, eps=st.sampled_from([0.0, 0.3]))
def test_gaussian_entropy_gradient_has_its_closed_form(seed: int, eps: float) -> None:
    z = normal(seed, 9, 3).requires_grad_()
    centred = z - z.mean(0)
    c = centred.T @ centred / 9 + eps * torch.eye(3, dtype=F64)
    # dH/dz_b = C^-1 (z_b - mean) / N
    (grad,) = torch.autograd.grad(gaussian_entropy(z, eps), z)
    assert_close(grad, torch.linalg.solve(c, centred.T).T / 9, rtol=1e-8, atol=1e-10)


def test_gaussian_terms_pass_gradcheck_to_second_order() -> None:
    z, pair = normal(0, 7, 3).requires_grad_(), normal(1, 2, 7, 3).requires_grad_()
    assert torch.autograd.gradcheck(gaussian_entropy, (z,))
    assert torch.autograd.gradgradcheck(gaussian_entropy, (z,))
    assert torch.autograd.gradcheck(lambda v: gaussian_bottleneck(v, 2.0).total, (pair,))
    several = normal(2, 5, 4, 2).requires_grad_()
    assert torch.autograd.gradcheck(lambda v: gaussian_bottleneck(v, 2.0, pooled=False).total, (several,))


# --- Gaussian bottleneck ----------------------------------------------------------------------------------------


def scatter(rows: oracles.Matrix) -> oracles.Matrix:
    return oracles.covariance(rows, correction=1)


@pytest.mark.parametrize("num_views", [2, 4])
@pytest.mark.parametrize("beta", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("eps", [0.0, 0.1])
def test_gaussian_bottleneck_equals_the_written_out_sums(num_views: int, beta: float, eps: float) -> None:
    images, d = 5, 2
    clouds = normal(3, num_views, images, d) + 2 * normal(4, images, d)
    per_image = [scatter(oracles.rows(clouds[:, i])) for i in range(images)]
    pooled = [[sum(c[i][j] for c in per_image) / images for j in range(d)] for i in range(d)]
    h_z = gaussian_oracle(oracles.covariance(oracles.rows(clouds.flatten(0, 1)), correction=0), eps)
    result = gaussian_bottleneck(clouds, beta, eps)
    given_x = gaussian_oracle(pooled, eps)
    expected = [given_x + (1 - beta) / beta * h_z, given_x, h_z]
    assert_close([t.item() for t in result], expected, rtol=1e-10, atol=1e-10)
    separate = gaussian_bottleneck(clouds, beta, eps, pooled=False)
    if num_views > d or eps:
        given_x = sum(gaussian_oracle(c, eps) for c in per_image) / images
        assert_close(separate.h_z_given_x.item(), given_x, rtol=1e-9, atol=1e-9)
        assert separate.total <= result.total
    else:
        assert separate.total == -math.inf


def test_gaussian_bottleneck_keeps_the_half_and_the_constants_of_eq_8() -> None:
    clouds, beta, d = normal(0, 2, 20, 3), 1.7, 3
    c_x, c = conditional_covariance(clouds), torch.cov(clouds.flatten(0, 1).T, correction=0)
    eq_8 = torch.logdet(c_x) + (1 - beta) / beta * torch.logdet(c)
    constant = d / (2 * beta) * math.log(2 * math.pi * math.e)
    assert_close(gaussian_bottleneck(clouds, beta).total, eq_8 / 2 + constant, rtol=1e-12, atol=0)


@given(pair=views(min_samples=8, max_samples=12, max_dims=3), beta=st.sampled_from([0.5, 1.0, 2.0, 9.0]))
def test_scaling_shifts_the_gaussian_bottleneck_by_d_over_beta_times_the_log(
    pair: tuple[Tensor, Tensor], beta: float
) -> None:
    clouds, d = torch.stack(pair), pair[0].shape[1]
    value = gaussian_bottleneck(clouds, beta).total
    for w in (0.01, 0.5, 3.0):
        shifted = value + d / beta * math.log(w)
        assert_close(gaussian_bottleneck(w * clouds, beta).total, shifted, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize(("beta", "slope"), [(2.0, 1.5), (0.5, 6.0)])
def test_the_slope_per_log_scale_in_three_dimensions_is_the_golden_one(beta: float, slope: float) -> None:
    clouds = normal(0, 2, 12, 3)
    rise = gaussian_bottleneck(math.e * clouds, beta).total - gaussian_bottleneck(clouds, beta).total
    assert_close(rise.item(), slope, rtol=1e-10, atol=0)


@pytest.mark.parametrize("beta", [0.2, 1.0, 1.005, 50.0])
@pytest.mark.parametrize("pooled", [True, False])
def test_shrinking_to_nothing_is_best_at_every_beta(beta: float, pooled: bool) -> None:
    clouds = normal(0, 5, 12, 3)
    totals = [gaussian_bottleneck(w * clouds, beta, pooled=pooled).total for w in (1.0, 1e-2, 1e-4, 1e-8, 0.0)]
    assert all(after < before for before, after in pairwise(totals))
    assert totals[-1] == -math.inf  # not NaN, although it reads -inf + lambda inf


@pytest.mark.parametrize("beta", [0.5, 1.0, 2.0, 50.0])
def test_an_invertible_map_moves_the_gaussian_bottleneck_by_its_log_determinant_over_beta(beta: float) -> None:
    clouds, m = normal(0, 2, 12, 3), normal(1, 3, 3)
    rise = gaussian_bottleneck(clouds @ m, beta).total - gaussian_bottleneck(clouds, beta).total
    assert_close(rise, torch.linalg.slogdet(m).logabsdet / beta, rtol=1e-9, atol=1e-10)


def standardised_with_copy(pair: tuple[Tensor, Tensor], e: float) -> tuple[Tensor, Tensor]:
    """Dimension 1 becomes dimension 0 plus e times itself, in both views, after standardising."""
    m = torch.eye(pair[0].shape[1], dtype=torch.float64)
    m[0, 1], m[1, 1] = 1.0, e
    a, b = (standardize(z, eps=0) @ m for z in pair)
    return a, b


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("lambd", [0.0, 0.3, 0.9])
def test_standardising_does_not_stop_the_reward_for_copies_and_step_four_does(seed: int, lambd: float) -> None:
    pair = (shared := normal(seed, 30, 3)) + 0.4 * normal(seed + 10, 30, 3), shared + 0.4 * normal(seed + 20, 30, 3)
    near, nearer = (
        torch.stack(bottleneck_surrogates(*standardised_with_copy(pair, e), lambd, eps=0.0)) for e in (1e-3, 1e-4)
    )
    # per unit of -log e: log|S| falls by 2 and -lambd log|R| rises by 2 lambd; the squares of steps 2 and 3 do not rise
    slopes = torch.tensor([2 * (1 - lambd), 2.0, 2.0, 0.0], dtype=torch.float64)
    assert_close((near - nearer) / math.log(10), slopes, rtol=0, atol=5e-3)
    assert nearer[3] >= 0


@pytest.mark.parametrize("seed", range(3))
def test_whitening_undoes_every_invertible_map_and_leaves_the_difference_of_the_entropies(seed: int) -> None:
    def whitened(clouds: Tensor) -> Tensor:
        rows = clouds.flatten(0, 1)
        factor = torch.linalg.cholesky(torch.cov(rows.T, correction=0))
        return (clouds - rows.mean(dim=0)) @ torch.linalg.inv(factor).T

    clouds, m = normal(seed, 2, 20, 3), normal(seed + 1, 3, 3)
    before = gaussian_bottleneck(clouds, 2.0)
    constants = 3 / 2 * (math.log(2 * math.pi) + 1)
    for some in (clouds, clouds @ m):
        value = gaussian_bottleneck(whitened(some), 2.0)
        assert_close(value.h_z.item(), constants, rtol=1e-9, atol=1e-9)
        assert_close(value.h_z_given_x - value.h_z, before.h_z_given_x - before.h_z, rtol=1e-8, atol=1e-8)


def test_near_the_identity_step_two_has_twice_the_weight_of_step_one() -> None:
    e = normal(3, 4, 4)
    e = (e + e.T) / 2
    near = torch.eye(4, dtype=torch.float64) + 1e-4 * (e - torch.diag(e.diagonal()))
    assert_close((frobenius_term(near) / -log_determinant_term(near)).item(), 2.0, rtol=1e-3, atol=0)


def test_standardising_takes_the_scale_out() -> None:
    a, b = normal(0, 12, 3), normal(1, 12, 3)
    for w in (1e-3, 50.0):
        before = bottleneck_surrogates(a, b, 0.5, eps=0.0)
        for x, y in zip(bottleneck_surrogates(w * a, w * b, 0.5, eps=0.0), before):
            assert_close(x, y, rtol=1e-9, atol=1e-11)


def test_collapse_has_no_gradient_in_the_gaussian_bottleneck() -> None:
    for eps in (0.0, 1e-2):
        clouds = torch.full((2, 6, 3), 0.5, dtype=F64, requires_grad=True)
        total = gaussian_bottleneck(clouds, 2.0, eps).total
        # (D / 2 beta) log(2 pi e eps)
        expected = 0.75 * math.log(2 * math.pi * math.e * eps) if eps else -math.inf
        assert_close(total.item(), expected, rtol=1e-12, atol=0)
        assert torch.equal(torch.autograd.grad(total, clouds)[0], torch.zeros_like(clouds))


@given(seed=seeds, beta=st.sampled_from([0.5, 2.0]))
def test_gaussian_bottleneck_ignores_shift_rotation_order_and_swap_of_views(seed: int, beta: float) -> None:
    clouds = normal(seed, 2, 9, 3)
    value = gaussian_bottleneck(clouds, beta).total
    same = (clouds + normal(seed, 3), clouds @ rotation(seed, 3), clouds[:, permutation(seed, 9)], clouds.flip(0))
    for other in same:
        assert_close(gaussian_bottleneck(other, beta).total, value, rtol=1e-8, atol=1e-8)


@given(pair=views(min_samples=3))
def test_conditional_covariance_of_standardised_views_has_diagonal_one_minus_c_ii(pair: tuple[Tensor, Tensor]) -> None:
    a, b = (standardize(z, eps=0) for z in pair)
    diagonal = conditional_covariance(torch.stack([a, b])).diagonal()
    assert_close(diagonal, 1 - cross_correlation(*pair, eps=0).diagonal(), rtol=1e-8, atol=1e-10)


# --- step 1 -----------------------------------------------------------------------------------------------------


@given(beta=st.floats(0.01, 1e4))
def test_weight_of_beta_turns_the_sign_of_eq_8_and_has_its_inverse(beta: float) -> None:
    assert_close(weight_of_beta(beta), -(1 - beta) / beta, rtol=1e-12, atol=0)
    assert_close(beta_of_weight(weight_of_beta(beta)), beta, rtol=1e-9, atol=0)
    assert (0 < weight_of_beta(beta) < 1) == (beta > 1)


def test_the_official_lambda_would_formally_be_beta_1_005() -> None:
    assert_close(beta_of_weight(0.0051), 1.005126, rtol=1e-6, atol=0)
    assert weight_of_beta(2.0) == 0.5


# --- step 2 -----------------------------------------------------------------------------------------------------


def correlation_matrix(seed: int, d: int, size: float) -> Tensor:
    """I + E with E symmetric, zero on the diagonal, of spectral norm `size`."""
    e = normal(seed, d, d)
    e = e + e.T
    e = e - torch.diag(e.diagonal())
    return torch.eye(d, dtype=F64) + size * e / torch.linalg.matrix_norm(e, 2)


@given(seed=seeds, d=st.integers(2, 6), size=st.sampled_from([0.5, 0.1, 1e-2, 1e-3]))
def test_minus_log_det_is_half_the_frobenius_term_minus_a_third_of_the_cubic_trace(
    seed: int, d: int, size: float
) -> None:
    c = correlation_matrix(seed, d, size)
    e = c - torch.eye(d, dtype=F64)
    second, third = frobenius_term(c) / 2, torch.trace(e @ e @ e) / 3
    rest = (-log_determinant_term(c) - second + third).abs()
    # sum_{k >= 4} |tr E^k| / k <= |E|_F^2 size^2 / (4 (1 - size))
    assert rest <= 2 * second * size**2 / (4 * (1 - size)) + 1e-14
    series = sum((-1) ** k * torch.trace(torch.linalg.matrix_power(e, k)) / k for k in range(2, 60))
    assert_close(-log_determinant_term(c), series, rtol=1e-9, atol=1e-14)


@given(z=batches(min_samples=8, max_samples=12, max_dims=4, min_dims=2))
def test_hadamard_bounds_the_determinant_by_the_variances(z: Tensor) -> None:
    covariance = torch.cov(z.T, correction=0)
    assert log_determinant_term(covariance) <= covariance.diagonal().log().sum() + 1e-9
    r = auto_correlation(z, eps=0)
    assert_close(r.diagonal(), torch.ones(z.shape[1], dtype=F64), rtol=1e-9, atol=0)
    assert log_determinant_term(r) < 0  # random columns are never exactly uncorrelated
    assert frobenius_term(r) > 0


def test_hadamard_is_an_equality_for_the_identity() -> None:
    r = auto_correlation(H, eps=0)
    assert_close(r, torch.eye(3, dtype=F64), rtol=0, atol=0)
    assert log_determinant_term(r) == 0
    assert frobenius_term(r) == 0


@pytest.mark.parametrize("d", [2, 3, 8])
def test_the_frobenius_term_has_no_barrier_against_a_singular_correlation(d: int) -> None:
    copies = COLUMNS[:, 1:2].expand(8, d)
    assert log_determinant_term(auto_correlation(copies, eps=0)) == -math.inf
    assert_close(frobenius_term(auto_correlation(copies, eps=0)).item(), float(d * (d - 1)), rtol=1e-12, atol=0)
    nearly = torch.full((2, 2), 1 - 1e-9, dtype=F64).fill_diagonal_(1.0).requires_grad_()
    (steep,) = torch.autograd.grad(log_determinant_term(nearly), nearly)
    (gentle,) = torch.autograd.grad(frobenius_term(nearly), nearly)
    assert steep.abs().max() > 1e8
    assert gentle.abs().max() <= 2


def test_log_determinant_gradient_is_the_inverse() -> None:
    c = correlation_matrix(0, 4, 0.6).requires_grad_()
    (grad,) = torch.autograd.grad(log_determinant_term(c), c)
    assert_close(grad, torch.linalg.inv(c.detach()), rtol=1e-10, atol=1e-10)


# --- steps 3 and 4: the sets of optima differ -------------------------------------------------------------------


def test_erratum_e4_independent_views_hide_the_redundancy_of_each() -> None:
    one, two, three, four = (COLUMNS[:, i] for i in (1, 2, 3, 4))
    z_a, z_b = torch.stack([one, one + two], 1), torch.stack([three, three + four], 1)
    assert_close(frobenius_term(cross_correlation(z_a, z_b, eps=0)).item(), 0.0, rtol=0, atol=1e-30)
    # corr(one, one + two) = 1 / sqrt 2, twice
    for z in (z_a, z_b):
        assert_close(frobenius_term(auto_correlation(z, eps=0)).item(), 1.0, rtol=1e-12, atol=0)
    result = bottleneck_surrogates(z_a, z_b, 1.0, eps=0.0)
    assert_close((result.frobenius - result.cross_frobenius).item(), 1.0, rtol=1e-12, atol=0)


def test_erratum_e4_one_invariant_direction_is_all_that_the_log_determinant_asks() -> None:
    one, two, three = (COLUMNS[:, i] for i in (1, 2, 3))
    z_a, z_b = torch.stack([one, two], 1), torch.stack([one, three], 1)
    result = bottleneck_surrogates(z_a, z_b, 0.5, eps=0.0)
    assert [t.item() for t in result[:3]] == [-math.inf] * 3
    assert_close(invariance_term(cross_correlation(z_a, z_b, eps=0)).item(), 1.0, rtol=1e-12, atol=0)
    assert_close(result.barlow_twins.item(), 1.0, rtol=1e-12, atol=0)


@pytest.mark.parametrize("seed", range(4))
def test_the_invariant_direction_need_not_be_an_axis(seed: int) -> None:
    shared, d = normal(seed, 30, 1), 3
    turn = rotation(seed, d)
    clouds = torch.stack([torch.cat([shared, normal(seed + k, 30, d - 1)], 1) @ turn for k in (50, 90)])
    assert gaussian_bottleneck(clouds, 2.0).total == -math.inf
    assert (1 - cross_correlation(*clouds, eps=0).diagonal()).min() > 0.01


def test_perfectly_invariant_white_views_are_optimal_for_all_four() -> None:
    result = bottleneck_surrogates(H, H, eps=0.0)
    assert [t.item() for t in result[:3]] == [-math.inf] * 3
    assert_close(result.barlow_twins.item(), 0.0, rtol=0, atol=1e-28)


@given(pair=views(min_samples=8, max_samples=12, max_dims=4), lambd=st.sampled_from([0.0, 5e-3, 0.5]))
def test_the_ladder_starts_at_eq_8_and_ends_at_barlow_twins(pair: tuple[Tensor, Tensor], lambd: float) -> None:
    result = bottleneck_surrogates(*pair, lambd, eps=0.0)
    assert_close(result.barlow_twins, barlow_twins(*pair, lambd, eps=0.0).total, rtol=1e-12, atol=1e-13)
    standard, d = torch.stack([standardize(z, eps=0) for z in pair]), pair[0].shape[1]
    beta = beta_of_weight(lambd)
    eq_8 = 2 * gaussian_bottleneck(standard, beta).total - d / beta * math.log(2 * math.pi * math.e)
    assert_close(result.log_determinant, eq_8, rtol=1e-7, atol=1e-7)
    log_s = torch.logdet(conditional_covariance(standard))
    r = (auto_correlation(pair[0], eps=0) + auto_correlation(pair[1], eps=0)) / 2
    assert_close(result.frobenius, log_s + lambd * redundancy_term(r), rtol=1e-6, atol=1e-6)
    c = cross_correlation(*pair, eps=0)
    assert_close(result.cross_frobenius, log_s + lambd * redundancy_term(c), rtol=1e-6, atol=1e-6)


def test_surrogates_with_eps_are_those_of_barlow_twins_with_eps_and_pass_gradcheck() -> None:
    z_a, z_b = normal(0, 8, 3).requires_grad_(), normal(1, 8, 3).requires_grad_()
    result = bottleneck_surrogates(z_a, z_b, 0.1, eps=0.3)
    assert_close(result.barlow_twins, barlow_twins(z_a, z_b, 0.1, eps=0.3).total, rtol=1e-12, atol=0)
    assert torch.autograd.gradcheck(lambda a, b: tuple(bottleneck_surrogates(a, b, 0.1, eps=0.3)), (z_a, z_b))


# --- input ------------------------------------------------------------------------------------------------------

GOOD = torch.full((2, 2), 0.25)
EYE = torch.eye(2)
NAN = torch.tensor([[0.5, math.nan], [0.25, 0.25]])
BAD_TABLES = [
    ("a list", [[0.5, 0.5]], TypeError, r"must be a torch.Tensor of probabilities .* got list"),
    ("numpy", np.ones((1, 1)), TypeError, r"must be a torch.Tensor of probabilities .* got ndarray"),
    ("integers", torch.tensor([[1, 0]]), TypeError, "must be floating point; got a int64 tensor"),
    ("a vector", torch.tensor([0.5, 0.5]), ValueError, r"must have 2 dimensions .* got shape \(2,\)"),
    ("empty", torch.ones(0, 2), ValueError, r"must have 2 dimensions and at least one entry; got shape \(0, 2\)"),
    ("NaN", NAN, ValueError, r"must be finite; got 1 NaN .* at index \(0, 1\)"),
    ("negative", torch.tensor([[1.5, -0.5]]), ValueError, r"must have entries >= 0 .* got a smallest entry of -0.5"),
    ("counts", torch.ones(2, 2), ValueError, r"must have entries >= 0 that sum to 1.* sums from [24] to [24]"),
]
TABLES = {
    "joint": lambda p: mutual_information(p),
    "joint_xy": lambda p: information_bottleneck(p, EYE, 1.0),
    "encoder": lambda p: information_bottleneck(GOOD, p, 1.0),
}


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize(("bad", "error", "message"), [b[1:] for b in BAD_TABLES], ids=[b[0] for b in BAD_TABLES])
def test_bad_tables_get_an_error_that_names_them(name: str, bad: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^{name} {message}"):
        TABLES[name](bad)


def test_bad_probabilities_and_bases_are_named() -> None:
    with pytest.raises(ValueError, match=r"^p must have entries >= 0 that sum to 1; .* sums from 2 to 2"):
        entropy(torch.ones(2))
    with pytest.raises(TypeError, match=r"^p must be a torch.Tensor of probabilities with any shape; got float"):
        entropy(0.5)
    for bad in (1.0, 0.5, math.inf):
        with pytest.raises(ValueError, match=r"^base must be a finite number > 1"):
            entropy(torch.ones(1), base=bad)
    with pytest.raises(ValueError, match=r"^joint must have entries"):
        conditional_entropy(torch.ones(2, 2))
    with pytest.raises(ValueError, match=r"^joint_xy must be .* got \(2, 2\) on cpu and \(3, 3\) on cpu"):
        information_bottleneck(GOOD, torch.eye(3), 1.0)


BETAS = {
    "information_bottleneck": lambda beta: information_bottleneck(GOOD, EYE, beta),
    "gaussian_bottleneck": lambda beta: gaussian_bottleneck(normal(0, 2, 4, 2), beta),
    "weight_of_beta": weight_of_beta,
}


@pytest.mark.parametrize("name", BETAS)
def test_bad_betas_are_named(name: str) -> None:
    for bad in (0.0, -1.0, math.nan):
        with pytest.raises(ValueError, match=r"^beta must be a finite number > 0"):
            BETAS[name](bad)
    with pytest.raises(TypeError, match=r"^beta must be a finite number > 0; got '2'"):
        BETAS[name]("2")


def test_other_bad_numbers_are_named() -> None:
    z = normal(0, 5, 2)
    for call in (
        lambda: gaussian_entropy(z, -1.0),
        lambda: gaussian_bottleneck(torch.stack([z, z]), 2.0, -1.0),
        lambda: bottleneck_surrogates(z, z, eps=-1.0),
    ):
        with pytest.raises(ValueError, match=r"^eps must be a finite number >= 0; got -1.0"):
            call()
    with pytest.raises(ValueError, match=r"^lambd must be a finite number >= 0; got -1.0"):
        bottleneck_surrogates(z, z, -1.0)
    with pytest.raises(ValueError, match=r"^lambd must be < 1, .* got 1.0"):
        beta_of_weight(1.0)


@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        ([[1.0]], TypeError, r"of shape \(V, N, D\); got list"),
        (torch.ones(4, 2), ValueError, r"V >= 2 views of N >= 2 images; got shape \(4, 2\)"),
        (torch.ones(1, 4, 2), ValueError, r"got shape \(1, 4, 2\)"),
        (torch.ones(2, 1, 2), ValueError, r"got shape \(2, 1, 2\)"),
        (torch.ones(2, 4, 2).long(), TypeError, "must be floating point; got a int64 tensor"),
        (torch.full((2, 4, 2), math.nan), ValueError, r"must be finite; got 16 NaN .* at index \(0, 0, 0\)"),
    ],
)
def test_bad_views_are_named(bad: Any, error: type[Exception], message: str) -> None:
    for function in (conditional_covariance, lambda v: gaussian_bottleneck(v, 2.0)):
        with pytest.raises(error, match=f"^views .*{message}"):
            function(bad)


@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        (3.0, TypeError, r"z must be a torch.Tensor of shape \(N, D\); got float"),
        (torch.ones(4), ValueError, r"z must have shape \(N, D\)"),
        (torch.ones(1, 4), ValueError, "z needs at least 2 samples"),
        (torch.full((3, 1), math.inf), ValueError, "z must be finite"),
    ],
)
def test_bad_embeddings_are_named(bad: Any, error: type[Exception], message: str) -> None:
    for function in (gaussian_entropy, auto_correlation):
        with pytest.raises(error, match=f"^{message}"):
            function(bad)


def test_bad_pairs_are_named() -> None:
    with pytest.raises(ValueError, match=r"^z_a and z_b must have the same shape"):
        bottleneck_surrogates(torch.ones(4, 2), torch.ones(4, 3))


def test_bad_matrices_are_named() -> None:
    for function in (log_determinant_term, frobenius_term):
        with pytest.raises(ValueError, match=r"^c must be square, \(D, D\); got shape \(2, 3\)"):
            function(torch.ones(2, 3))
        with pytest.raises(TypeError, match=r"^c must be a torch.Tensor"):
            function(None)
    with pytest.raises(ValueError, match=r"^c must be symmetric"):
        log_determinant_term(torch.tensor([[1.0, 0.5], [0.0, 1.0]]))
    with pytest.raises(ValueError, match=r"^c must be positive semi-definite; got a smallest eigenvalue of -1"):
        log_determinant_term(torch.tensor([[1.0, 2.0], [2.0, 1.0]]))


def functions() -> list[Any]:
    z, other = normal(0, 20, 3), normal(1, 20, 3)
    return [
        lambda to: entropy(to(GOOD)),
        lambda to: conditional_entropy(to(GOOD)),
        lambda to: mutual_information(to(GOOD)),
        lambda to: information_bottleneck(to(GOOD), to(EYE), 2.0),
        lambda to: gaussian_entropy(to(z)),
        lambda to: conditional_covariance(to(torch.stack([z, other]))),
        lambda to: gaussian_bottleneck(to(torch.stack([z, other])), 2.0),
        lambda to: auto_correlation(to(z)),
        lambda to: log_determinant_term(to(torch.tensor([[1.0, 0.5], [0.5, 1.0]]))),
        lambda to: frobenius_term(to(torch.tensor([[1.0, 0.5], [0.5, 1.0]]))),
        lambda to: bottleneck_surrogates(to(z), to(other)),
    ]


def terms(result: Any) -> list[Tensor]:
    return list(result) if isinstance(result, tuple) else [result]


@pytest.mark.parametrize("function", functions())
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_16_bit_input_is_computed_in_float32(function: Any, dtype: torch.dtype) -> None:
    low, rounded = terms(function(lambda t: t.to(dtype))), terms(function(lambda t: t.to(dtype).float()))
    for x, y in zip(low, rounded):
        assert x.dtype == torch.float32
        assert torch.equal(x, y)


@pytest.mark.parametrize("function", functions())
def test_autocast_changes_nothing(function: Any) -> None:
    outside = terms(function(lambda t: t.float()))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = terms(function(lambda t: t.float()))
    for x, y in zip(inside, outside):
        assert torch.equal(x, y)


def test_float32_agrees_with_float64() -> None:
    z, other = normal(0, 200, 16), normal(1, 200, 16)
    assert_close(gaussian_entropy(z.float()).double(), gaussian_entropy(z), rtol=1e-5, atol=0)
    for x, y in zip(bottleneck_surrogates(z.float(), other.float()), bottleneck_surrogates(z, other)):
        assert_close(x.double(), y, rtol=1e-5, atol=1e-5)
