"""Linear dynamics: the modes of Tian et al., their matrices, DirectPred, and Jing et al.'s contrastive flow."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import normal, rotation, seeds
from torch import Tensor
from torch.testing import assert_close

from jemlib.diagnose import participation_ratio
from jemlib.nets.predictors import direct_predictor
from jemlib.theory import (
    cosine_mode_dynamics,
    critical_weight_decay,
    fixed_points,
    linear_contrastive_dynamics,
    linear_contrastive_loss,
    matrix_dynamics,
    mode_dynamics,
)
from jemlib.theory.dynamics import contrastive_gradient_matrix

STARTS = torch.tensor([0.02, 0.2, 0.6], dtype=torch.float64)
EYE = torch.eye(4, dtype=torch.float64)


# --- modes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("alpha_p", [1.0, 3.0])
@pytest.mark.parametrize(("tau0", "beta"), [(1.0, None), (0.6, None), (0.6, 0.4)])
def test_caveat_p6_distance_from_the_parabola_decays_with_the_corrected_sign(
    alpha_p: float, tau0: float, beta: float | None
) -> None:
    eta, p0, s0 = 0.1, torch.tensor([0.3, -0.2]).double(), torch.tensor([0.5, 0.8]).double()
    run = mode_dynamics(p0, s0, tau0, sigma2=0.5, eta=eta, alpha_p=alpha_p, beta=beta, steps=250, dt=0.02)
    # s = p^2 / alpha_p + e^(-2 eta t) (s0 - p0^2 / alpha_p)
    predicted = run.p.square() / alpha_p + torch.exp(-2 * eta * run.time)[:, None] * (s0 - p0**2 / alpha_p)
    assert_close(run.s, predicted, rtol=1e-6, atol=1e-7)
    printed = run.p.square() / alpha_p - torch.exp(-2 * eta * run.time)[:, None] * (s0 - p0**2 / alpha_p)
    assert (run.s - printed).abs().max() > 0.5


def test_golden_tian1_the_basin_of_collapse_ends_at_p_minus() -> None:
    points = fixed_points(1.0, 0.5, 0.1)
    assert points is not None
    assert_close(points.p_minus, 0.1225148226554414, rtol=1e-12, atol=0)
    assert_close(points.p_plus, 0.5441518440112253, rtol=1e-12, atol=0)
    run = mode_dynamics(STARTS, STARTS**2, sigma2=0.5, eta=0.1, steps=600, dt=0.3)
    expected = torch.tensor([0.0, points.p_plus, points.p_plus], dtype=torch.float64)
    assert_close(run.p[-1], expected, rtol=0, atol=1e-6)
    assert_close(run.s[-1], expected**2, rtol=0, atol=1e-6)
    near = torch.tensor([points.p_minus - 1e-3, points.p_minus + 1e-3], dtype=torch.float64)
    run = mode_dynamics(near, near**2, sigma2=0.5, eta=0.1, steps=600, dt=0.3)
    assert_close(run.p[-1], torch.tensor([0.0, points.p_plus]).double(), rtol=0, atol=1e-4)


def test_above_the_critical_weight_decay_every_mode_dies() -> None:
    assert_close(critical_weight_decay(1.0, 0.5), 1 / 6, rtol=1e-12, atol=0)
    assert fixed_points(1.0, 0.5, 0.17) is None
    run = mode_dynamics(STARTS, STARTS**2, sigma2=0.5, eta=0.17, steps=700, dt=0.5)
    assert run.p[-1].abs().max() < 1e-9
    assert run.s[-1].abs().max() < 1e-9


@given(tau=st.floats(0.1, 2), sigma2=st.floats(0, 3), fraction=st.floats(0, 0.99))
def test_fixed_points_are_roots_and_only_p_plus_is_stable(tau: float, sigma2: float, fraction: float) -> None:
    eta = fraction * critical_weight_decay(tau, sigma2)
    points = fixed_points(tau, sigma2, eta)
    assert points is not None
    for p in points:  # p (tau - (1 + sigma^2) p) = eta
        assert_close(p * (tau - (1 + sigma2) * p), eta, rtol=1e-9, atol=1e-12)
    assert points.p_minus < points.p_plus

    def slope_of_flow(p: float) -> float:
        """d/dp of p^2 [tau - (1 + sigma^2) p] - eta p."""
        return 2 * p * tau - 3 * (1 + sigma2) * p**2 - eta

    assert slope_of_flow(points.p_plus) < 0
    assert slope_of_flow(points.p_minus) > 0 or eta == 0


def test_without_weight_decay_the_predictor_ends_at_one_over_one_plus_sigma2() -> None:
    run = mode_dynamics(0.2, 0.04, sigma2=0.5, eta=0.0, steps=300, dt=0.4)
    assert_close(run.p[-1].item(), 2 / 3, rtol=1e-6, atol=0)
    points = fixed_points(1.0, 0.5, 0.0)
    assert points is not None
    assert points == (0.0, pytest.approx(2 / 3))


def test_a_slow_target_keeps_tau_below_one_while_the_encoder_grows_and_then_catches_up() -> None:
    run = mode_dynamics(0.3, 0.09, 1.0, sigma2=0.2, eta=0.02, beta=0.05, steps=1000, dt=0.4)
    assert run.tau[:50].min() < 0.8
    assert_close(run.tau[-1].item(), 1.0, rtol=0, atol=1e-3)


def test_mode_dynamics_is_fourth_order_accurate() -> None:
    def end(dt: float) -> float:
        return float(mode_dynamics(0.5, 0.3, sigma2=0.5, eta=0.1, steps=round(4 / dt), dt=dt).p[-1])

    exact = end(0.005)
    assert 12 < abs(end(0.4) - exact) / abs(end(0.2) - exact) < 22  # 2^4 = 16


# --- matrices --------------------------------------------------------------------------------------------------


def starting_matrices(seed: int) -> tuple[Tensor, Tensor]:
    """An encoder, and a symmetric predictor with eigenvalues between 0 and 1 / (1 + sigma^2).

    Negative modes start in the basin of collapse, and too large ones shrink the encoder until they have come down.
    """
    q = rotation(seed + 10, 4)
    return 0.4 * normal(seed, 4, 4), (q * torch.tensor([0.3, 0.45, 0.6, 0.7], dtype=torch.float64)) @ q.T


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_only_stop_gradient_together_with_a_predictor_keeps_the_rank(seed: int) -> None:
    w, w_p = starting_matrices(seed)
    kept = matrix_dynamics(w, w_p, EYE, 0.3 * EYE, eta=0.02, steps=240, dt=0.2)
    no_stop = matrix_dynamics(w, w_p, EYE, 0.3 * EYE, eta=0.02, stop_gradient=False, steps=240, dt=0.2)
    no_predictor = matrix_dynamics(w, None, EYE, 0.3 * EYE, eta=0.02, predictor=False, steps=240, dt=0.2)
    neither = matrix_dynamics(
        w, None, EYE, 0.3 * EYE, eta=0.02, predictor=False, stop_gradient=False, steps=240, dt=0.2
    )
    assert kept.singular_values[-1].min() > 0.5
    for collapsed in (no_stop, no_predictor, neither):
        assert collapsed.singular_values[-1].max() < 1e-4
        assert collapsed.singular_values[0].max() > 0.6


def test_a_predictor_with_a_negative_eigenvalue_loses_that_dimension() -> None:
    w, w_p = EYE.clone(), torch.diag(torch.tensor([0.8, 0.6, 0.5, -0.8], dtype=torch.float64))
    run = matrix_dynamics(w * torch.tensor([1, 1, 1, 0.3]), w_p, EYE, 0.3 * EYE, eta=0.02, steps=240, dt=0.25)
    assert run.singular_values[-1, 2] > 0.5
    assert run.singular_values[-1, 3] < 1e-2


@pytest.mark.parametrize("alpha_p", [1.0, 2.0])
def test_theorem_1_encoder_and_predictor_balance(alpha_p: float) -> None:
    w, w_p = 0.5 * normal(3, 3, 5), 0.5 * normal(4, 3, 3)
    x, noise = (m @ m.T / 5 for m in (normal(5, 5, 5), normal(6, 5, 5)))
    run = matrix_dynamics(w, w_p, x, noise, eta=0.1, alpha_p=alpha_p, beta=0.5, steps=400, dt=0.005)
    # W W^T - W_p^T W_p / alpha_p = e^(-2 eta t) C
    before, after = (a @ a.T - b.T @ b / alpha_p for a, b in ((w, w_p), (run.w, run.w_p)))
    assert_close(after, math.exp(-2 * 0.1 * 2) * before, rtol=1e-6, atol=1e-7)


def test_theorem_2_without_stop_gradient_the_flow_is_linear_and_contracts() -> None:
    w, w_p = normal(0, 3, 3), normal(1, 3, 3)
    x, noise = (m @ m.T / 3 for m in (normal(2, 3, 3), normal(3, 3, 3)))
    eye = torch.eye(3, dtype=torch.float64)
    # H = X' (x) (W_p^T W_p + I) + X (x) (W_p - I)^T (W_p - I) + eta I, on the stacked columns of W
    h = torch.kron(noise, w_p.T @ w_p + eye) + torch.kron(x, (w_p - eye).T @ (w_p - eye)) + 0.1 * torch.eye(9)
    assert torch.linalg.eigvalsh(h).min() > 0
    dt = 1e-6
    run = matrix_dynamics(w, w_p, x, noise, eta=0.1, stop_gradient=False, steps=1, dt=dt)
    slope = ((run.w - w) / dt).T.flatten()
    assert_close(slope, -h @ w.T.flatten(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("stop_gradient", [True, False])
def test_matrix_flow_is_minus_the_gradient_of_the_expected_loss(stop_gradient: bool) -> None:
    w, w_p = (m.requires_grad_() for m in (normal(0, 2, 3), normal(1, 2, 2)))
    x, noise = (m @ m.T / 3 for m in (normal(2, 3, 3), normal(3, 3, 3)))
    target = w.detach() if stop_gradient else w
    # J = 1/2 E |W_p W x_1 - W_a x_2|^2, with E[x_1 x_1^T] = X + X' and E[x_1 x_2^T] = X
    online, both = w_p @ w, x + noise
    loss = (online @ both @ online.T - 2 * online @ x @ target.T + target @ both @ target.T).trace() / 2
    grad_w, grad_p = torch.autograd.grad(loss, (w, w_p))
    dt = 1e-6
    run = matrix_dynamics(w.detach(), w_p.detach(), x, noise, stop_gradient=stop_gradient, steps=1, dt=dt)
    assert_close((run.w - w.detach()) / dt, -grad_w, rtol=1e-4, atol=1e-4)
    assert_close((run.w_p - w_p.detach()) / dt, -grad_p, rtol=1e-4, atol=1e-4)


def test_theorem_3_encoder_and_predictor_share_their_eigenvectors_in_the_end() -> None:
    w, w_p = starting_matrices(0)
    run = matrix_dynamics(w, w_p, EYE, 0.3 * EYE, eta=0.02, steps=240, dt=0.2)

    def commutator(w: Tensor, w_p: Tensor) -> float:
        f = w @ w.T
        return float((f @ w_p - w_p @ f).norm())

    assert commutator(w, w_p) > 0.1
    assert commutator(run.w, run.w_p) < 1e-3


@pytest.mark.parametrize("beta", [None, 0.2])
def test_matrix_modes_follow_the_mode_equation(beta: float | None) -> None:
    """Also with a momentum target: W_a = tau W follows by its own equation, and p and s by what tau does to them."""
    p0, s0 = torch.tensor([0.5, 0.9]).double(), torch.tensor([0.4, 0.2]).double()
    eye = torch.eye(2, dtype=torch.float64)
    run = matrix_dynamics(s0.sqrt().diag(), p0.diag(), eye, 0.3 * eye, eta=0.05, beta=beta, steps=200, dt=0.02)
    modes = mode_dynamics(p0, s0, sigma2=0.3, eta=0.05, beta=beta, steps=200, dt=0.02)
    assert_close(run.w_p.diagonal(), modes.p[-1], rtol=1e-7, atol=0)
    assert_close((run.w @ run.w.T).diagonal(), modes.s[-1], rtol=1e-7, atol=0)


def test_the_scale_of_a_momentum_target_is_that_of_a_target_followed_by_itself() -> None:
    """One mode in plain numbers, short Euler steps of  w' = p g w - eta w,  p' = s g - eta p,  a' = beta (w - a)."""
    p, w, a = 0.5, math.sqrt(0.4), 0.7 * math.sqrt(0.4)
    sigma2, eta, beta, dt = 0.3, 0.05, 0.2, 1e-4
    run = mode_dynamics(p, w * w, 0.7, sigma2=sigma2, eta=eta, beta=beta, steps=200, dt=0.02)
    for _ in range(round(200 * 0.02 / dt)):
        gain = a / w - (1 + sigma2) * p
        p, w, a = p + dt * (w * w * gain - eta * p), w + dt * (p * gain * w - eta * w), a + dt * beta * (w - a)
    assert [float(run.p[-1]), float(run.s[-1]), float(run.tau[-1])] == pytest.approx([p, w * w, a / w], rel=1e-3)


# --- DirectPred ------------------------------------------------------------------------------------------------


def correlation(seed: int, d: int, scale: float = 1.0) -> Tensor:
    half = normal(seed, 2 * d, d)
    return scale * half.T @ half / (2 * d)


@given(seed=seeds, d=st.integers(1, 6), scale=st.sampled_from([1e-3, 1.0, 50.0]), eps=st.sampled_from([0.0, 0.1, 1.0]))
@pytest.mark.parametrize("variant", ["paper", "code"])
def test_direct_predictor_is_symmetric_and_commutes_with_the_correlation(
    variant: str, seed: int, d: int, scale: float, eps: float
) -> None:
    f = correlation(seed, d, scale)
    w_p = direct_predictor(f, eps, variant)
    assert torch.equal(w_p, w_p.T)
    assert_close(w_p @ f, f @ w_p, rtol=1e-9, atol=1e-11 * scale * max(1.0, scale))


@given(seed=seeds, d=st.integers(1, 6), scale=st.sampled_from([0.01, 1.0, 50.0]))
def test_caveat_p7_paper_and_code_have_their_own_eigenvalues(seed: int, d: int, scale: float) -> None:
    q = rotation(seed, d)
    s = scale * (0.1 + normal(seed, d).abs())
    f = (q * s) @ q.T
    f = (f + f.T) / 2
    top = s.max()
    paper = (q * (s.sqrt() + 0.1 * top)) @ q.T
    code = (q * ((s / top).sqrt() + 0.1)) @ q.T
    assert_close(direct_predictor(f), paper, rtol=1e-8, atol=1e-10 * scale)
    assert_close(direct_predictor(f, variant="code"), code, rtol=1e-8, atol=1e-10)
    # one and the same when the largest eigenvalue is 1
    assert_close(direct_predictor(f / top), code, rtol=1e-8, atol=1e-10)


def test_direct_predictor_of_the_identity_is_one_plus_eps_times_the_identity() -> None:
    for variant in ("paper", "code"):
        assert_close(direct_predictor(EYE, 0.1, variant), 1.1 * EYE, rtol=1e-12, atol=1e-14)


def test_direct_predictor_at_collapse_and_the_code_s_floor() -> None:
    zero = torch.zeros(3, 3, dtype=torch.float64)
    assert torch.equal(direct_predictor(zero), zero)
    assert_close(direct_predictor(zero, 0.1, "code"), 0.1 * torch.eye(3).double(), rtol=1e-12, atol=0)
    flat = torch.diag(torch.tensor([1.0, 0.0], dtype=torch.float64))
    assert_close(direct_predictor(flat, 0.0, "code").diagonal().tolist(), [1.0, 1e-4], rtol=1e-12, atol=0)
    assert direct_predictor(flat, 0.0)[1, 1] == 0


def test_direct_predictor_of_16_bit_input_and_under_autocast_works_in_float32() -> None:
    f = correlation(0, 4).float()
    expected = direct_predictor(f)
    assert expected.dtype == torch.float32
    assert_close(direct_predictor(f.bfloat16()), expected, rtol=0.05, atol=0.05)
    assert direct_predictor(f.bfloat16()).dtype == torch.float32
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(direct_predictor(f), expected)


# --- linear contrastive learning -------------------------------------------------------------------------------


def loss_by_loops(x: Tensor, x_prime: Tensor, w: Tensor) -> float:
    z, z_prime = (x @ w.T).tolist(), (x_prime @ w.T).tolist()
    total = 0.0
    for i in range(len(z)):
        positive = math.exp(-(math.dist(z[i], z_prime[i]) ** 2) / 2)
        others = sum(math.exp(-(math.dist(z[i], z[j]) ** 2) / 2) for j in range(len(z)) if j != i)
        total -= math.log(positive / (positive + others))
    return total


@given(seed=seeds, n=st.integers(2, 6), d=st.integers(1, 4), d_in=st.integers(1, 4))
def test_contrastive_gradient_matrix_gives_the_gradient_and_the_loss_is_the_written_out_sum(
    seed: int, n: int, d: int, d_in: int
) -> None:
    x, w = normal(seed, n, d_in), 0.5 * normal(seed + 1, d, d_in)
    x_prime = x + 0.5 * normal(seed + 2, n, d_in)
    assert_close(linear_contrastive_loss(x, x_prime, w).item(), loss_by_loops(x, x_prime, w), rtol=1e-10, atol=1e-12)
    variable = w.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(linear_contrastive_loss(x, x_prime, variable), variable)
    matrix = contrastive_gradient_matrix(x, x_prime, w)
    assert_close(gradient, -w @ matrix, rtol=1e-12, atol=1e-12)
    assert_close(matrix, matrix.T, rtol=1e-12, atol=1e-12)


def test_at_zero_the_matrix_is_twice_the_signal_minus_the_augmentation_and_the_loss_is_n_log_n() -> None:
    n = 800
    sd = torch.tensor([1.0, 1.0, 0.0, 0.0]).double(), torch.tensor([0.1, 3.0, 3.0, 0.1]).double()
    x = normal(0, n, 4) * sd[0]
    x_prime = x + normal(1, n, 4) * sd[1]
    zero = torch.zeros(2, 4, dtype=torch.float64)
    matrix = contrastive_gradient_matrix(x, x_prime, zero) / n
    # 2 Var(signal) - Var(augmentation): augmentation wins in dimensions 1 and 2
    expected = 2 * sd[0] ** 2 - sd[1] ** 2
    assert_close(matrix.diagonal(), expected, rtol=0.12, atol=0.1)
    assert_close(linear_contrastive_loss(x, x_prime, zero).item(), n * math.log(n), rtol=1e-12, atol=0)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_mechanism_1_strong_augmentation_kills_singular_values_of_one_layer(seed: int) -> None:
    n, d = 48, 8
    x, w = normal(seed, n, d), 0.3 * normal(seed + 100, d, d)
    noise = normal(seed + 50, n, d) * torch.tensor([0.1] * 4 + [3.0] * 4).double()
    strong = linear_contrastive_dynamics(x, x + noise, [w], steps=75, dt=0.2)
    assert strong.singular_values[-1, 4:].max() < 0.05
    assert strong.singular_values[-1, 3] > 1.5
    assert (strong.layers[0][:, 4:].norm(dim=0) < 0.2).all()
    weak = linear_contrastive_dynamics(x, x + 0.1 * normal(seed + 50, n, d), [w], steps=75, dt=0.2)
    assert weak.singular_values[-1, 4] > 1.2


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_mechanism_2_two_layers_end_with_a_lower_effective_rank_than_one_from_the_same_product(seed: int) -> None:
    n, d = 48, 8
    x = normal(seed, n, d)
    x_prime = x + 0.1 * normal(seed + 50, n, d)
    first, second = 0.1 * normal(seed + 100, d, d), 0.1 * normal(seed + 200, d, d)
    one = linear_contrastive_dynamics(x, x_prime, [second @ first], steps=75, dt=0.2)
    two = linear_contrastive_dynamics(x, x_prime, [first, second], steps=75, dt=0.2)
    assert torch.equal(one.singular_values[0], two.singular_values[0])
    rank = [participation_ratio(run.singular_values[-1].diag()).item() for run in (one, two)]
    assert rank[1] < rank[0] - 1
    assert two.loss[-1] < 0.1 * two.loss[0]


def test_contrastive_flow_lowers_the_loss_and_keeps_linear_layers_balanced() -> None:
    x = normal(0, 10, 3)
    layers = [0.5 * normal(1, 4, 3), 0.5 * normal(2, 2, 4), 0.5 * normal(3, 2, 2)]
    run = linear_contrastive_dynamics(x, x + 0.3 * normal(4, 10, 3), layers, steps=60, dt=0.02)
    assert (run.loss.diff() < 0).all()
    # W_(l+1)^T W_(l+1) - W_l W_l^T never changes
    for k in (0, 1):
        before, after = (m[k + 1].T @ m[k + 1] - m[k] @ m[k].T for m in (layers, run.layers))
        assert_close(after, before, rtol=1e-6, atol=1e-7)
    product = run.layers[2] @ run.layers[1] @ run.layers[0]
    assert_close(run.singular_values[-1], torch.linalg.svdvals(product), rtol=1e-12, atol=1e-14)
    assert_close(run.time[-1].item(), 1.2, rtol=1e-12, atol=0)


# --- bad input -------------------------------------------------------------------------------------------------


NAN = torch.full((4, 4), math.nan, dtype=torch.float64)
X = normal(0, 5, 3)


def modes(p0: Any = 0.5, s0: Any = 0.25, tau0: Any = 1.0, **changes: Any) -> Any:
    return mode_dynamics(p0, s0, tau0, **{"sigma2": 0.5, "eta": 0.1, "steps": 2, **changes})


def matrices(w: Any = EYE, w_p: Any = EYE, x: Any = EYE, noise: Any = EYE, **changes: Any) -> Any:
    return matrix_dynamics(w, w_p, x, noise, **{"steps": 2, **changes})


BAD: list[tuple[Any, type[Exception], str]] = [
    (lambda: modes(sigma2=-1), ValueError, "sigma2 must be"),
    (lambda: modes(eta="x"), TypeError, "eta must be"),
    (lambda: modes(beta=-1), ValueError, "beta must be"),
    (lambda: modes(alpha_p=0), ValueError, "alpha_p must be"),
    (lambda: modes(p0=math.nan), ValueError, "p0 must be"),
    (lambda: modes(s0=-0.1), ValueError, "s0 must be"),
    (lambda: modes(s0=torch.tensor([0.1, -0.1])), ValueError, "s0 must be >= 0"),
    (lambda: modes(tau0=NAN), ValueError, "tau0 must be finite"),
    (lambda: modes(steps=0), ValueError, "steps must be"),
    (lambda: modes(dt=-1), ValueError, "dt must be"),
    (lambda: modes(p0=50, s0=2500, dt=10, steps=50), ValueError, "dt must be shorter"),
    (lambda: fixed_points(0, 0.5, 0.1), ValueError, "tau must be"),
    (lambda: fixed_points(1, 0.5, -0.1), ValueError, "eta must be"),
    (lambda: critical_weight_decay(1, -2), ValueError, "sigma2 must be"),
    (lambda: matrices(w=[1]), TypeError, "w must be a torch.Tensor"),
    (lambda: matrices(w=NAN), ValueError, "w must be finite"),
    (lambda: matrices(w_p=EYE[:3]), ValueError, r"w_p must have shape \(4, 4\)"),
    (lambda: matrices(w_p=None), ValueError, "w_p must be a"),
    (lambda: matrices(predictor=False), ValueError, "w_p must be None"),
    (lambda: matrices(x=normal(0, 4, 4)), ValueError, "x_cov must be symmetric"),
    (lambda: matrices(noise=torch.eye(3)), ValueError, "x_aug_cov must have shape"),
    (lambda: matrices(beta=0.1, stop_gradient=False), ValueError, "beta must be None"),
    (lambda: direct_predictor(normal(0, 3, 3)), ValueError, "correlation must be symmetric"),
    (lambda: direct_predictor(-EYE), ValueError, "correlation must have no negative eigenvalue"),
    (lambda: direct_predictor(EYE[:2]), ValueError, "correlation must have shape"),
    (lambda: direct_predictor(EYE.long()), TypeError, "correlation must be floating point"),
    (lambda: direct_predictor(NAN), ValueError, "correlation must be finite"),
    (lambda: direct_predictor(EYE, -0.1), ValueError, "eps must be"),
    (lambda: direct_predictor(EYE, variant="papr"), ValueError, "Did you mean 'paper'"),
    (lambda: contrastive_gradient_matrix(X, X[:4], X), ValueError, "x and x_prime must have the same shape"),
    (lambda: contrastive_gradient_matrix(X[:1], X[:1], X), ValueError, "x needs at least 2 samples"),
    (lambda: linear_contrastive_loss(X, X, EYE), ValueError, r"w must have shape \(outputs, 3\)"),
    (lambda: linear_contrastive_dynamics(X, X, X), TypeError, "layers must be a list"),
    (lambda: linear_contrastive_dynamics(X, X, []), TypeError, "layers must be a list"),
    (lambda: linear_contrastive_dynamics(X, X, [X, X]), ValueError, r"layers\[1\] must have shape \(outputs, 5\)"),
]


@pytest.mark.parametrize(("call", "error", "message"), BAD, ids=[f"{i}-{b[2]}" for i, b in enumerate(BAD)])
def test_bad_input_is_named(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


@settings(max_examples=10)
@given(seed=seeds)
def test_inputs_are_left_alone(seed: int) -> None:
    w, w_p = 0.3 * normal(seed, 4, 4), 0.3 * correlation(seed, 4)
    copies = w.clone(), w_p.clone()
    matrix_dynamics(w, w_p, EYE, EYE, steps=3)
    linear_contrastive_dynamics(normal(seed, 5, 4), normal(seed + 1, 5, 4), [w, w_p], steps=3, dt=0.01)
    direct_predictor(w_p)
    assert torch.equal(w, copies[0])
    assert torch.equal(w_p, copies[1])


def test_a_step_that_is_too_long_is_named_even_where_the_values_stay_finite():
    """Noise of size 3 on half of the dimensions: at dt = 0.2 singular values once grew to 1e18 without a word."""
    generator = torch.Generator().manual_seed(0)
    x, noise, weight = (
        torch.randn(*shape, generator=generator, dtype=torch.float64) for shape in ((48, 8),) * 2 + ((8, 8),)
    )
    strong = x + noise * torch.tensor([0.1] * 4 + [3.0] * 4, dtype=torch.float64)
    with pytest.raises(ValueError, match=r"dt must be shorter for these values; got 0\.2"):
        linear_contrastive_dynamics(x, strong, [0.3 * weight], dt=0.2)
    calm = linear_contrastive_dynamics(x, strong, [0.3 * weight], dt=0.02)
    assert (calm.loss.diff() <= 1e-9).all()


# --- modes under the cosine -------------------------------------------------------------------------------------

COSINE = {"sigma2": 0.5, "eta": 0.05, "steps": 200, "dt": 0.05}
P0 = torch.tensor([0.6, 0.3, 0.03], dtype=torch.float64)
S0 = torch.tensor([0.5, 0.1, 0.02], dtype=torch.float64)


def cosine_of_matrices(w: Tensor, w_p: Tensor, target: Tensor, sigma2: float) -> Tensor:
    """-E<W_p W x_1, W_a x_2> / sqrt(E|W_p W x_1|^2 E|W_a x_2|^2) for X = I and X' = sigma^2 I."""
    both = (1 + sigma2) * ((w_p @ w).square().sum() * target.square().sum()).sqrt()
    return -((w_p @ w) * target).sum() / both


@pytest.mark.parametrize("alpha_p", [1.0, 2.5])
def test_the_modes_under_the_cosine_move_as_gradient_descent_on_matrices_does(alpha_p: float) -> None:
    v = rotation(7, 3)
    w = (torch.diag(S0.sqrt()) @ v).requires_grad_()
    w_p = torch.diag(P0).requires_grad_()
    g_w, g_p = torch.autograd.grad(cosine_of_matrices(w, w_p, w.detach(), 0.5), (w, w_p))
    dt = 1e-5
    run = cosine_mode_dynamics(P0, S0, sigma2=0.5, eta=0.05, alpha_p=alpha_p, steps=1, dt=dt)
    p_slope = -alpha_p * g_p.diagonal() - 0.05 * P0
    w_slope = (-g_w @ v.T).diagonal() - 0.05 * S0.sqrt()
    assert_close((run.p[1] - run.p[0]) / dt, p_slope, rtol=1e-4, atol=1e-6)
    assert_close((run.s[1] - run.s[0]) / dt, 2 * S0.sqrt() * w_slope, rtol=1e-4, atol=1e-6)


def test_under_the_cosine_lengths_decay_by_weight_decay_alone() -> None:
    run = cosine_mode_dynamics(P0, S0, **COSINE)
    shrunk = torch.exp(-2 * 0.05 * run.time)
    assert_close(run.p.square().sum(dim=1), shrunk * P0.square().sum(), rtol=1e-6, atol=0)
    assert_close(run.s.sum(dim=1), shrunk * S0.sum(), rtol=1e-6, atol=0)
    assert_close(run.s - run.p.square(), shrunk[:, None] * (S0 - P0.square()), rtol=1e-6, atol=1e-9)


def test_under_the_cosine_weak_modes_catch_up_where_the_squared_distance_loses_them() -> None:
    start = torch.tensor([0.6, 0.03], dtype=torch.float64)
    both = {"sigma2": 0.5, "eta": 0.05, "steps": 600, "dt": 0.05}
    l2, cosine = mode_dynamics(start, start**2, **both), cosine_mode_dynamics(start, start**2, **both)
    assert float(l2.p[-1, 1] / l2.p[-1, 0]) < 0.02
    assert float(cosine.p[-1, 1] / cosine.p[-1, 0]) > 0.9


def test_the_cosine_refuses_bad_input() -> None:
    with pytest.raises(ValueError, match="s0 must have shape"):
        cosine_mode_dynamics(P0, S0[:2], **COSINE)
    with pytest.raises(TypeError, match="p0 must be a torch"):
        cosine_mode_dynamics(0.3, S0, **COSINE)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="alpha_p must be a finite number > 0"):
        cosine_mode_dynamics(P0, S0, alpha_p=0, **COSINE)
    with pytest.raises(ValueError, match="s0 must be >= 0"):
        cosine_mode_dynamics(P0, -S0, **COSINE)
