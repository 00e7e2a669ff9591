"""VICReg: values, both scales, gradients, invariances, collapse."""

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

from jemlib.losses import covariance_matrix, covariance_penalty, variance_hinge, vicreg

Views = tuple[Tensor, Tensor]

H1 = torch.tensor([1.0, 1.0, -1.0, -1.0], dtype=torch.float64)
H2 = torch.tensor([1.0, -1.0, 1.0, -1.0], dtype=torch.float64)
H = torch.stack([H1, H2], dim=1)  # variances 4/3, covariance 0
WEIGHTS = st.sampled_from([(25.0, 25.0, 1.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)])


def gradient(z_a: Tensor, z_b: Tensor, *weights: float) -> Tensor:
    z_a = z_a.clone().requires_grad_()
    vicreg(z_a, z_b, *weights).total.backward()
    assert z_a.grad is not None
    return z_a.grad


# --- values ----------------------------------------------------------------------------------------------------


@given(pair=views(), gamma=st.sampled_from([0.5, 1.0, 3.0]), eps=st.sampled_from([0.0, 1e-4, 0.1]))
def test_vicreg_terms_equal_the_written_out_sums(pair: Views, gamma: float, eps: float) -> None:
    result = vicreg(*pair, gamma=gamma, eps=eps)
    s, v, c = oracles.vicreg(*pair, gamma=gamma, eps=eps)
    assert_close([result.invariance.item(), result.variance.item()], [s, v], rtol=1e-9, atol=1e-12)
    assert_close(result.covariance.item(), c, rtol=1e-9, atol=1e-12)


@given(pair=views(), weights=WEIGHTS)
def test_vicreg_total_weighs_the_terms(pair: Views, weights: tuple[float, float, float]) -> None:
    total, *terms = vicreg(*pair, *weights)
    assert_close(total.item(), sum(w * t.item() for w, t in zip(weights, terms)), rtol=1e-12, atol=1e-14)


@given(z=batches())
def test_the_branch_terms_equal_the_written_out_sums(z: Tensor) -> None:
    assert_close(
        variance_hinge(covariance_matrix(z), 1.0, 1e-4).item(),
        oracles.variance_hinge(oracles.rows(z)),
        rtol=1e-9,
        atol=1e-12,
    )
    assert_close(
        covariance_penalty(covariance_matrix(z)).item(),
        oracles.covariance_penalty(oracles.rows(z)),
        rtol=1e-9,
        atol=1e-12,
    )


@given(pair=views())
def test_caveat_p3_code_scale_is_paper_scale_with_25_over_d_and_half_the_variance(pair: Views) -> None:
    d = pair[0].shape[1]
    code = vicreg(*pair)
    assert_close(code.total.item(), oracles.vicreg_paper(*pair, 25 / d, 12.5, 1.0), rtol=1e-10, atol=1e-12)
    # The other way: the paper's 25, 25, 1 are 25 D, 50, 1 here.
    paper = vicreg(*pair, 25.0 * d, 50.0, 1.0).total.item()
    assert_close(paper, oracles.vicreg_paper(*pair), rtol=1e-10, atol=1e-12)


CONSTANT = torch.full((4, 2), 0.5, dtype=torch.float64)
SMALL = 0.5 * torch.stack([H1, H1], 1)
GOLDEN = [
    ("vic1", CONSTANT, CONSTANT, 49.5, 24.75),
    ("vic2", SMALL, SMALL, 21.350378960432835, 10.786300591327528),
    ("vic3", H, H + torch.tensor([1.0, 0.0]), 25.0, 12.5),
]


@pytest.mark.parametrize(("z_a", "z_b", "paper", "code"), [g[1:] for g in GOLDEN], ids=[g[0] for g in GOLDEN])
def test_vicreg_has_its_golden_values_in_both_scales(z_a: Tensor, z_b: Tensor, paper: float, code: float) -> None:
    assert_close(vicreg(z_a, z_b).total.item(), code, rtol=1e-12, atol=0)
    assert_close(vicreg(z_a, z_b, 25.0 * z_a.shape[1], 50.0, 1.0).total.item(), paper, rtol=1e-12, atol=0)


def test_vicreg_terms_of_the_hadamard_columns_are_the_hand_numbers() -> None:
    assert vicreg(H, H).total == 0  # variances 4/3 >= 1, covariance 0
    both_h1 = torch.stack([H1, H1], 1)
    assert_close(covariance_penalty(covariance_matrix(both_h1)).item(), 16 / 9, rtol=1e-12, atol=0)
    assert_close(covariance_penalty(covariance_matrix(SMALL)).item(), 1 / 9, rtol=1e-12, atol=0)
    assert_close(variance_hinge(covariance_matrix(SMALL), 1.0, 1e-4).item(), 0.42256313476421226, rtol=1e-12, atol=0)


def test_statistics_are_unbiased() -> None:
    z = torch.tensor([[0.0], [1.0]], dtype=torch.float64)  # biased variance 1/4, unbiased 1/2
    assert_close(variance_hinge(covariance_matrix(z), 1.0, 0.0).item(), 1 - math.sqrt(0.5), rtol=1e-12, atol=0)


# --- gradients -------------------------------------------------------------------------------------------------


def test_vicreg_passes_gradcheck_to_second_order() -> None:
    # Standard deviations near 0.5 and near 2: no dimension sits on the hinge's corner.
    scale = torch.tensor([0.3, 3.0, 0.3], dtype=torch.float64)
    pair = tuple((normal(s, 6, 3) * scale).requires_grad_() for s in (0, 1))
    assert torch.autograd.gradcheck(lambda a, b: vicreg(a, b).total, pair)
    assert torch.autograd.gradgradcheck(lambda a, b: vicreg(a, b).total, pair)


@given(pair=views(), weights=WEIGHTS)
def test_vicreg_gradient_has_its_closed_form(pair: Views, weights: tuple[float, float, float]) -> None:
    expected = torch.tensor(oracles.vicreg_gradient(*pair, *weights), dtype=torch.float64)
    actual = gradient(*pair, *weights)
    assert_close(actual, expected, rtol=1e-8, atol=1e-11 * (1 + expected.abs().max().item()))


@given(seed=seeds, n=st.integers(3, 8), d=st.integers(1, 5))
def test_saturated_hinge_has_exactly_no_gradient(seed: int, n: int, d: int) -> None:
    z = normal(seed, n, d)
    z = 1.01 * z / z.std(dim=0)
    assert torch.equal(gradient(z, z, 0.0, 25.0, 0.0), torch.zeros_like(z))
    assert gradient(0.9 * z, z, 0.0, 25.0, 0.0).abs().max() > 0


@pytest.mark.parametrize(
    ("sigma", "norm_std", "norm_var"),
    [(0.7, 0.3779, 0.529), (0.07, 0.3742, 0.0529), (0.007, 0.2167, 0.00529), (0.0007, 0.0264, 0.000529)],
)
def test_std_keeps_its_gradient_near_collapse_and_variance_does_not(
    sigma: float, norm_std: float, norm_var: float
) -> None:
    n = 8
    z = normal(0, n, 1)
    z = (sigma * (z - z.mean()) / z.std()).requires_grad_()
    # |dS| = sigma / sqrt(sigma^2 + eps) / sqrt(n-1): constant until sigma reaches sqrt(eps) = 0.01
    (grad,) = torch.autograd.grad(variance_hinge(covariance_matrix(z), 1.0, 1e-4), z)
    assert_close(grad.norm().item(), norm_std, rtol=2e-3, atol=0)
    # |dVar| = 2 sigma / sqrt(n-1): falls with sigma
    (grad,) = torch.autograd.grad(z.var(), z)
    assert_close(grad.norm().item(), norm_var, rtol=2e-3, atol=0)


# --- invariances -----------------------------------------------------------------------------------------------


@given(pair=views(), seed=seeds)
def test_vicreg_ignores_a_common_shift(pair: Views, seed: int) -> None:
    shift = normal(seed, pair[0].shape[1])
    for moved, term in zip(vicreg(pair[0] + shift, pair[1] + shift), vicreg(*pair)):
        assert_close(moved, term, rtol=1e-8, atol=1e-9)


@given(pair=views(), seed=seeds)
def test_variance_and_covariance_ignore_a_shift_of_one_branch_and_invariance_does_not(pair: Views, seed: int) -> None:
    (z_a, z_b), before = pair, vicreg(*pair)
    shift = normal(seed, z_a.shape[1])
    after = vicreg(z_a + shift, z_b)
    assert_close(after.variance, before.variance, rtol=1e-8, atol=1e-9)
    assert_close(after.covariance, before.covariance, rtol=1e-8, atol=1e-9)
    # mean |a + t - b|^2 = mean |a - b|^2 + 2 t . mean(a - b) / D + |t|^2 / D
    change = (2 * shift * (z_a - z_b).mean(0) + shift.square()).mean()
    assert_close(after.invariance - before.invariance, change, rtol=1e-8, atol=1e-9)


@given(pair=views(), seed=seeds)
def test_vicreg_ignores_order_of_samples_and_dimensions_signs_and_swap(pair: Views, seed: int) -> None:
    (z_a, z_b), value = pair, vicreg(*pair)
    order, dims = permutation(seed, len(z_a)), permutation(seed + 1, z_a.shape[1])
    signs = normal(seed, z_a.shape[1]).sign()
    for other in ((z_a[order], z_b[order]), (z_a[:, dims], z_b[:, dims]), (z_a * signs, z_b * signs), (z_b, z_a)):
        for moved, term in zip(vicreg(*other), value):
            assert_close(moved, term, rtol=1e-10, atol=1e-10)


@given(pair=views(), seed=seeds)
def test_rotation_keeps_the_invariance_and_the_frobenius_norm_of_the_covariance(pair: Views, seed: int) -> None:
    q = rotation(seed, pair[0].shape[1])
    z_a, z_b = pair[0] @ q, pair[1] @ q
    assert_close(vicreg(z_a, z_b).invariance, vicreg(*pair).invariance, rtol=1e-10, atol=1e-12)
    # c + (1/D) sum_j Var_j^2 = |Cov|_F^2 / D, which rotation does not change
    before, after = (covariance_penalty(covariance_matrix(z)) + z.var(dim=0).square().mean() for z in (pair[0], z_a))
    assert_close(after, before, rtol=1e-9, atol=1e-12)
    d = z_a.shape[1]
    frobenius = sum(x * x for row in oracles.covariance(oracles.rows(pair[0]), 1) for x in row) / d
    assert_close(before.item(), frobenius, rtol=1e-9, atol=1e-12)


def test_rotation_changes_variance_and_covariance() -> None:
    z = normal(0, 8, 2) * torch.tensor([0.1, 2.0], dtype=torch.float64)
    turned = z @ torch.tensor([[1.0, 1.0], [-1.0, 1.0]], dtype=torch.float64) / math.sqrt(2)
    assert (
        abs(variance_hinge(covariance_matrix(turned), 1.0, 1e-4) - variance_hinge(covariance_matrix(z), 1.0, 1e-4))
        > 0.1
    )
    assert abs(covariance_penalty(covariance_matrix(turned)) - covariance_penalty(covariance_matrix(z))) > 0.1


# --- bounds and zeros ------------------------------------------------------------------------------------------


@given(pair=views(), gamma=st.sampled_from([0.5, 1.0, 3.0]))
def test_variance_term_lies_between_zero_and_gamma_minus_root_eps(pair: Views, gamma: float) -> None:
    result = vicreg(*pair, gamma=gamma)
    assert 0 <= result.variance <= gamma - 0.01 + 1e-12
    assert result.invariance >= 0
    assert result.covariance >= 0


@given(z=batches(min_samples=3))
def test_variance_term_is_zero_exactly_when_every_std_reaches_gamma(z: Tensor) -> None:
    smallest = torch.sqrt(z.var(dim=0) + 1e-4).min()
    assert (variance_hinge(covariance_matrix(z), 1.0, 1e-4) == 0) == bool(smallest >= 1)


def test_covariance_term_is_zero_for_uncorrelated_dimensions_and_for_one_dimension() -> None:
    assert covariance_penalty(covariance_matrix(H)) == 0
    assert covariance_penalty(covariance_matrix(normal(0, 5, 1))) == 0


@given(pair=views(), scale=st.sampled_from([0.1, 3.0]))
def test_invariance_and_covariance_grow_with_the_second_and_fourth_power_of_the_scale(
    pair: Views, scale: float
) -> None:
    before, after = vicreg(*pair), vicreg(scale * pair[0], scale * pair[1])
    assert_close(after.invariance, scale**2 * before.invariance, rtol=1e-9, atol=1e-14)
    assert_close(after.covariance, scale**4 * before.covariance, rtol=1e-9, atol=1e-14)


# --- collapse --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [2, 7])
@pytest.mark.parametrize("d", [1, 5])
def test_collapse_costs_24_75_and_has_exactly_no_gradient(n: int, d: int) -> None:
    z = torch.full((n, d), -0.25, dtype=torch.float64)
    assert_close(vicreg(z, z).total.item(), 25 * (1 - math.sqrt(1e-4)), rtol=1e-12, atol=0)
    assert torch.equal(gradient(z, z), torch.zeros_like(z))


def test_collapse_with_eps_zero_has_the_documented_nan_gradient() -> None:
    z = torch.ones(4, 2, dtype=torch.float64, requires_grad=True)
    vicreg(z, z.detach(), eps=0.0).total.backward()
    assert z.grad is not None
    assert bool(z.grad.isnan().all())


@pytest.mark.parametrize(("n", "d"), [(4, 3), (3, 2)])
def test_vicreg_at_collapse_curves_down_along_every_zero_mean_direction(n: int, d: int) -> None:
    def shared(delta: Tensor) -> Tensor:
        return vicreg(0.5 + delta, 0.5 + delta).total

    zero = torch.zeros(n, d, dtype=torch.float64)
    hessian = torch.autograd.functional.hessian(shared, zero).reshape(n * d, n * d)
    # -mu / (D sqrt(eps) (N-1)) for (N-1) D directions; 0 for the D common shifts
    expected = torch.zeros(n * d, dtype=torch.float64)
    expected[: (n - 1) * d] = -25 / (d * math.sqrt(1e-4) * (n - 1))
    assert_close(torch.linalg.eigvalsh(hessian), expected, rtol=1e-9, atol=1e-9)


def test_a_hinge_on_the_variance_would_curve_fifty_times_less() -> None:
    n, d = 4, 3

    def hinge_on_variance(delta: Tensor) -> Tensor:
        return 25 * torch.relu(1 - delta.var(dim=0)).mean()

    zero = torch.zeros(n, d, dtype=torch.float64)
    wrong = torch.autograd.functional.hessian(hinge_on_variance, zero).reshape(n * d, n * d)
    right = torch.autograd.functional.hessian(lambda x: vicreg(x, x).total, zero).reshape(n * d, n * d)
    assert_close(torch.linalg.eigvalsh(wrong)[0].item(), -2 * 25 / (d * (n - 1)), rtol=1e-9, atol=0)
    ratio = torch.linalg.eigvalsh(right)[0] / torch.linalg.eigvalsh(wrong)[0]
    assert_close(ratio.item(), 1 / (2 * math.sqrt(1e-4)), rtol=1e-9, atol=0)


def test_erratum_e16_uncentred_covariance_would_accept_a_constant_output() -> None:
    # The lecture's C = H^T H / N at the constant (1, 1, 1): C_ii = 1 satisfies the hinge. Centred, it is fully charged.
    z = torch.ones(5, 3, dtype=torch.float64)
    uncentred = z.T @ z / len(z)
    assert torch.relu(1 - uncentred.diagonal()).sum() == 0
    assert_close(variance_hinge(covariance_matrix(z), 1.0, 1e-4).item(), 0.99, rtol=1e-12, atol=0)
