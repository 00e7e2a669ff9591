"""InfoNCE, NT-Xent and the decoupled form: values, gradients, invariances, collapse."""

from __future__ import annotations

import math
from collections.abc import Callable

import oracles
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from oracles import normal, permutation, rotation, seeds, temperatures, views
from torch import Tensor
from torch.testing import assert_close

from jemlib.losses import ContrastiveLoss, decoupled_info_nce, info_nce, nt_xent

Loss = Callable[[Tensor, Tensor, float], ContrastiveLoss]
LOSSES = [info_nce, nt_xent, decoupled_info_nce]
each_loss = pytest.mark.parametrize("loss", LOSSES, ids=lambda f: f.__name__)

Views = tuple[Tensor, Tensor]


def simplex(n: int) -> Tensor:
    """n unit vectors with equal pairwise cosines -1/(n-1)."""
    centred = torch.eye(n, dtype=torch.float64) - 1 / n
    return centred / centred.norm(dim=1, keepdim=True)


def gradients(loss: Loss, z_a: Tensor, z_b: Tensor, tau: float) -> tuple[Tensor, Tensor]:
    z_a, z_b = z_a.clone().requires_grad_(), z_b.clone().requires_grad_()
    loss(z_a, z_b, tau).total.backward()
    assert z_a.grad is not None
    assert z_b.grad is not None
    return z_a.grad, z_b.grad


# --- values ----------------------------------------------------------------------------------------------------


@each_loss
@given(pair=views(), tau=temperatures)
def test_contrastive_losses_equal_the_written_out_sums(loss: Loss, pair: Views, tau: float) -> None:
    result = loss(*pair, tau)
    alignment, contrast = getattr(oracles, loss.__name__)(*pair, tau)
    assert_close(result.alignment.item(), alignment, rtol=1e-12, atol=1e-12)
    assert_close(result.contrast.item(), contrast, rtol=1e-12, atol=1e-12)
    # One rounding in each of two sums: NT-Xent's contrast is total - alignment, and the test adds again. Where the
    # total is small, as for nearly parallel views at a low temperature, it is the difference of two large numbers.
    rounding = torch.finfo(torch.float64).eps * (abs(alignment) + abs(contrast))
    assert_close(result.total, result.alignment + result.contrast, rtol=0, atol=rounding)


# The mean over N throughout. The Barlow Twins paper's form is a sum, so btn1 = -2 is N = 2 times this -1.
GOLDEN = [
    ("nce1", info_nce, torch.eye(2), 1.0, 0.31326168751822286),
    ("nce2", info_nce, torch.eye(3), 0.5, 0.23954476622188453),
    ("nce4", info_nce, torch.ones(5, 3), 0.2, 1.6094379124341003),
    ("ntx1", nt_xent, torch.eye(2), 1.0, 0.5514447139320509),
    ("btn1", decoupled_info_nce, torch.eye(2), 1.0, -2.0 / 2),
    ("btn, I3", decoupled_info_nce, torch.eye(3), 0.5, -3.920558458320164 / 3),
]


@pytest.mark.parametrize(("loss", "z", "tau", "value"), [g[1:] for g in GOLDEN], ids=[g[0] for g in GOLDEN])
def test_contrastive_losses_have_their_golden_values(loss: Loss, z: Tensor, tau: float, value: float) -> None:
    assert_close(loss(z.double(), z.double(), tau).total.item(), value, rtol=1e-12, atol=0)


def test_info_nce_of_the_simplex_is_golden_nce3() -> None:
    # alignment + contrast = -10 + 10.0000149: the sum keeps 1e-15 of absolute, not 1e-12 of relative accuracy.
    z = simplex(5)
    assert_close(info_nce(z, z, 0.1).total.item(), 1.490650158576788e-05, rtol=0, atol=1e-14)


def test_demystifying_loss_is_n_times_info_nce() -> None:
    z = torch.eye(2, dtype=torch.float64)
    p = math.e / (math.e + 1)  # exp(1) / (exp(1) + exp(0)) for each of the two samples
    assert_close(2 * info_nce(z, z, 1.0).total.item(), -2 * math.log(p), rtol=1e-12, atol=0)
    # Erratum E5: without the logarithm the value is -sum p instead.
    assert_close(-2 * p, -1.46212, rtol=0, atol=1e-5)


def test_erratum_e2_every_similarity_is_divided_by_the_temperature() -> None:
    z = torch.eye(2, dtype=torch.float64)
    # By hand, as a sum over N = 2: -2/tau + 2 log(e^0). The notes, which drop tau, get -2 at every temperature.
    for tau in (1.0, 0.5, 0.1):
        assert_close(2 * decoupled_info_nce(z, z, tau).total.item(), -2 / tau, rtol=1e-12, atol=1e-12)


def test_default_temperatures_are_those_of_the_papers() -> None:
    z_a, z_b = normal(0, 4, 3), normal(1, 4, 3)
    assert info_nce(z_a, z_b).total == info_nce(z_a, z_b, 0.2).total
    assert nt_xent(z_a, z_b).total == nt_xent(z_a, z_b, 0.5).total


# --- gradients -------------------------------------------------------------------------------------------------


@each_loss
def test_contrastive_losses_pass_gradcheck_to_second_order(loss: Loss) -> None:
    pair = tuple(normal(s, 4, 3).requires_grad_() for s in (0, 1))
    assert torch.autograd.gradcheck(lambda a, b: loss(a, b, 0.3).total, pair)
    assert torch.autograd.gradgradcheck(lambda a, b: loss(a, b, 0.3).total, pair)


@given(pair=views(), tau=temperatures)
def test_info_nce_gradient_has_its_closed_form_on_the_query_side(pair: Views, tau: float) -> None:
    for loss, positive in ((info_nce, True), (decoupled_info_nce, False)):
        expected = torch.tensor(oracles.info_nce_gradient(*pair, tau, positive=positive), dtype=torch.float64)
        grad, _ = gradients(loss, *pair, tau)
        assert_close(grad, expected, rtol=1e-9, atol=1e-12 * (1 + expected.abs().max().item()))


@given(pair=views(), tau=temperatures)
def test_nt_xent_gradient_has_its_closed_form(pair: Views, tau: float) -> None:
    expected = torch.tensor(oracles.nt_xent_gradient(*pair, tau), dtype=torch.float64)
    actual = torch.cat(gradients(nt_xent, *pair, tau))
    assert_close(actual, expected, rtol=1e-9, atol=1e-12 * (1 + expected.abs().max().item()))


def test_info_nce_gradient_of_the_scores_has_rows_that_sum_to_zero() -> None:
    # Orthonormal keys make dL/du_a = (dL/dS) keys / tau, so dL/dS = (P - I)/N can be read off the gradient.
    n, tau = 4, 0.3
    z_a, keys = normal(0, n, n), rotation(1, n)
    u = z_a / z_a.norm(dim=1, keepdim=True)
    p = torch.softmax(u @ keys.T / tau, dim=1)
    g_s = (p - torch.eye(n, dtype=torch.float64)) / n
    assert_close(g_s.sum(dim=1), torch.zeros(n, dtype=torch.float64), rtol=0, atol=1e-15)
    g_u = g_s @ keys / tau
    expected = (g_u - (g_u * u).sum(dim=1, keepdim=True) * u) / z_a.norm(dim=1, keepdim=True)
    assert_close(gradients(info_nce, z_a, keys, tau)[0], expected, rtol=1e-10, atol=1e-12)


@each_loss
@given(pair=views(), tau=temperatures)
def test_contrastive_gradients_are_orthogonal_to_the_embedding(loss: Loss, pair: Views, tau: float) -> None:
    # Scale invariance per row: z_i . dL/dz_i = 0.
    for z, grad in zip(pair, gradients(loss, *pair, tau)):
        along = (z * grad).sum(dim=1)
        assert_close(along, torch.zeros_like(along), rtol=0, atol=1e-12 / tau)


@each_loss
@given(pair=views(), scale=st.floats(0.01, 100))
def test_contrastive_gradients_grow_as_one_over_the_scale(loss: Loss, pair: Views, scale: float) -> None:
    z_a, z_b = pair
    grad, _ = gradients(loss, z_a, z_b, 0.5)
    scaled, _ = gradients(loss, scale * z_a, z_b, 0.5)
    assert_close(scale * scaled, grad, rtol=1e-8, atol=1e-12 * (1 + grad.abs().max().item()))


# --- invariances -----------------------------------------------------------------------------------------------


@each_loss
@given(pair=views(), tau=temperatures, seed=seeds)
def test_contrastive_losses_ignore_order_rotation_and_row_scale(loss: Loss, pair: Views, tau: float, seed: int) -> None:
    (z_a, z_b), value = pair, loss(*pair, tau).total
    order, q = permutation(seed, len(z_a)), rotation(seed, z_a.shape[1])
    lengths = normal(seed, len(z_a), 1).exp()
    for other in ((z_a[order], z_b[order]), (z_a @ q, z_b @ q), (z_a * lengths, z_b * lengths.flip(0))):
        assert_close(loss(*other, tau).total, value, rtol=1e-10, atol=1e-10)


@each_loss
def test_contrastive_losses_see_the_pairing_of_the_views(loss: Loss) -> None:
    z = normal(0, 4, 3)
    assert loss(z, z.roll(1, 0), 0.2).total > loss(z, z, 0.2).total + 1


@given(pair=views(), tau=temperatures)
def test_nt_xent_is_symmetric_in_the_views(pair: Views, tau: float) -> None:
    z_a, z_b = pair
    assert_close(nt_xent(z_a, z_b, tau).total, nt_xent(z_b, z_a, tau).total, rtol=1e-12, atol=1e-12)


def test_info_nce_has_a_direction() -> None:
    z_a, z_b = normal(0, 4, 3), normal(1, 4, 3)
    assert abs(info_nce(z_a, z_b).total - info_nce(z_b, z_a).total) > 0.01


@given(pair=views(), tau=temperatures)
def test_info_nce_is_softplus_of_the_decoupled_loss_per_sample(pair: Views, tau: float) -> None:
    # The decoupled loss is a mean over samples; its per-sample values come from the sums written out.
    a, b = ([oracles.unit(row) for row in oracles.rows(z)] for z in pair)
    n = len(a)
    linked = 0.0
    for i in range(n):
        scores = [oracles.dot(a[i], b[j]) / tau for j in range(n)]
        x = oracles.log_sum_exp(scores[j] for j in range(n) if j != i) - scores[i]
        linked += math.log1p(math.exp(-abs(x))) + max(x, 0.0)
    assert_close(info_nce(*pair, tau).total.item(), linked / n, rtol=1e-10, atol=1e-12)


def test_softplus_links_the_two_losses_when_all_samples_are_alike() -> None:
    z = simplex(5)
    coupled, decoupled = (f(z, z, 0.7).total for f in (info_nce, decoupled_info_nce))
    assert_close(coupled, torch.nn.functional.softplus(decoupled), rtol=1e-12, atol=0)


# --- bounds ----------------------------------------------------------------------------------------------------


@given(pair=views(), tau=temperatures)
def test_info_nce_stays_within_its_bounds(pair: Views, tau: float) -> None:
    n = len(pair[0])
    lowest = math.log1p((n - 1) * math.exp(-(1 + 1 / (n - 1)) / tau))
    highest = math.log1p((n - 1) * math.exp(2 / tau))
    assert lowest - 1e-10 <= info_nce(*pair, tau).total <= highest + 1e-10


@pytest.mark.parametrize("tau", [0.1, 0.5, 2.0])
def test_info_nce_attains_both_bounds(tau: float) -> None:
    z = simplex(5)
    assert_close(info_nce(z, z, tau).total.item(), math.log1p(4 * math.exp(-1.25 / tau)), rtol=1e-9, atol=1e-14)
    # Two opposite samples whose views are swapped: the positive is as far, the negative as near as can be.
    two = torch.tensor([[1.0], [-1.0]], dtype=torch.float64)
    assert_close(info_nce(two, -two, tau).total.item(), math.log1p(math.exp(2 / tau)), rtol=1e-12, atol=0)


def test_decoupled_loss_falls_without_bound_as_the_temperature_does() -> None:
    z = torch.eye(3, dtype=torch.float64)
    values = [decoupled_info_nce(z, z, tau).total.item() for tau in (1.0, 0.1, 0.01)]
    assert_close(values, [math.log(2) - 1 / tau for tau in (1.0, 0.1, 0.01)], rtol=1e-12, atol=1e-12)


@each_loss
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_contrastive_losses_stay_finite_at_an_extreme_temperature(loss: Loss, dtype: torch.dtype) -> None:
    z_a, z_b = normal(0, 8, 4, dtype=dtype), normal(1, 8, 4, dtype=dtype)
    z_a[1], z_b[1] = -z_b[0], -z_a[0]
    assert all(math.isfinite(term) for term in loss(z_a, z_b, 0.005))
    assert all(bool(grad.isfinite().all()) for grad in gradients(loss, z_a, z_b, 0.005))


# --- collapse --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [2, 3, 17])
@pytest.mark.parametrize("tau", [0.1, 1.0])
def test_collapse_costs_the_logarithm_of_the_number_of_candidates(n: int, tau: float) -> None:
    z = torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64).repeat(n, 1)
    for loss, candidates in ((info_nce, n), (nt_xent, 2 * n - 1), (decoupled_info_nce, n - 1)):
        assert_close(loss(z, z, tau).total.item(), math.log(candidates), rtol=1e-12, atol=1e-12)


@each_loss
def test_contrastive_gradient_is_zero_at_collapse(loss: Loss) -> None:
    z = torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64).repeat(6, 1)
    for grad in gradients(loss, z, z, 0.2):
        assert grad.abs().max() < 1e-15


@pytest.mark.parametrize(("n", "d", "tau", "length"), [(4, 3, 0.5, 1.0), (3, 4, 0.2, 2.0)])
def test_info_nce_at_collapse_curves_down_by_two_over_tau_n_c_squared(
    n: int, d: int, tau: float, length: float
) -> None:
    constant = torch.zeros(n, d, dtype=torch.float64)
    constant[:, 0] = length
    hessian = torch.autograd.functional.hessian(
        lambda delta: info_nce(constant + delta, constant + delta, tau).total, torch.zeros_like(constant)
    )
    eigenvalues = torch.linalg.eigvalsh(hessian.reshape(n * d, n * d))
    # (N-1)(d-1) directions of -2/(tau N |c|^2): spread across the sphere. All others: rotation and length, flat.
    expected = torch.zeros(n * d, dtype=torch.float64)
    expected[: (n - 1) * (d - 1)] = -2 / (tau * n * length**2)
    assert_close(eigenvalues, expected, rtol=1e-9, atol=1e-9)


def test_info_nce_near_collapse_is_alignment_minus_spread() -> None:
    n, d, tau = 6, 4, 0.5
    c = torch.eye(d, dtype=torch.float64)[0]
    errors = []
    for size in (1e-1, 1e-2):
        a, b = (torch.nn.functional.normalize(c + size * normal(s, n, d), dim=1) for s in (0, 1))
        # L = log N + (1/2tau) ( mean_i |a_i - b_i|^2 - mean_ij |a_i - b_j|^2 ) + higher order
        spread = torch.cdist(a, b).square().mean()
        expansion = math.log(n) + ((a - b).square().sum(1).mean() - spread) / (2 * tau)
        errors.append(abs(info_nce(a, b, tau).total - expansion).item())
    assert errors[0] > 0
    assert errors[1] < errors[0] / 500  # at least third order in the size
