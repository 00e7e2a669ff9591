"""Complete collapse: zero gradients, predicted curvatures, and when VICReg's collapse is stable."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from oracles import normal
from torch import Tensor
from torch.testing import assert_close

from jemlib.diagnose import uniformity
from jemlib.losses import (
    barlow_twins,
    byol,
    decoupled_info_nce,
    dino,
    epps_pulley_exact,
    info_nce,
    nt_xent,
    simsiam,
    swav,
    vicreg,
)
from jemlib.theory import (
    critical_noise,
    curvature,
    gradient_norm,
    predicted_curvature,
    scale_coefficient,
    trivial_start,
    vicreg_variance_hinge,
)

Loss = Callable[[Tensor], Tensor]
DIRECTION = torch.tensor([3.0, -1.0, 2.0], dtype=torch.float64)


def constant(n: int, d: int, norm: float = 1.0) -> Tensor:
    """`(N, D)`: the same row of the given length N times."""
    c = DIRECTION[:d] if d <= 3 else normal(0, d)
    return trivial_start(n, d, norm * c / c.norm(), dtype=torch.float64)


# Each loss as a function of one batch that stands for both views.
SHARED: dict[str, Loss] = {
    "info_nce": lambda z: info_nce(z, z).total,
    "nt_xent": lambda z: nt_xent(z, z).total,
    "decoupled_info_nce": lambda z: decoupled_info_nce(z, z, 0.2).total,
    "uniformity": uniformity,
    "vicreg": lambda z: vicreg(z, z).total,
    "vicreg_variance_hinge": lambda z: vicreg_variance_hinge(z, z).total,
    "barlow_twins": lambda z: barlow_twins(z, z).total,
    "simsiam": lambda z: simsiam(z, z, z, z).total,
    "byol": lambda z: byol(z, z, z, z).total,
}
# These are stationary at one constant only: 0, or the same score everywhere.
CENTRED: dict[str, Loss] = {
    "sigreg": lambda z: epps_pulley_exact(z).mean(),
    "dino": lambda z: dino([z, z], [z, z], z.detach().mean(dim=0)).total,
    "swav": lambda z: swav(z, z).total,
}


# --- the start -------------------------------------------------------------------------------------------------


def test_trivial_start_is_exactly_constant_without_noise() -> None:
    z = trivial_start(5, 3, constant=0.1)
    assert z.shape == (5, 3)
    assert z.dtype == torch.float32
    assert torch.equal(z, torch.full((5, 3), 0.1))
    row = torch.tensor([1.0, -2.0])
    assert torch.equal(trivial_start(4, 2, row), row.expand(4, 2))


def test_trivial_start_has_noise_of_the_given_size_and_repeats_with_the_generator() -> None:
    def draw() -> Tensor:
        return trivial_start(2000, 3, 2.0, 0.01, torch.Generator().manual_seed(0), torch.float64)

    z = draw()
    assert_close(z.std(dim=0), torch.full((3,), 0.01).double(), rtol=0.06, atol=0)
    assert_close(z.mean(dim=0), torch.full((3,), 2.0).double(), rtol=0, atol=1e-3)
    assert torch.equal(z, draw())


# --- zero gradient ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SHARED)
@pytest.mark.parametrize(("n", "d"), [(2, 1), (5, 3), (4, 7)])
def test_erratum_e25_at_the_exact_constant_every_objective_has_zero_gradient(name: str, n: int, d: int) -> None:
    z = constant(n, d, norm=1.3)
    assert gradient_norm(SHARED[name], z) < 1e-14
    if name not in ("simsiam", "byol") and d > 1:  # those are at their minimum wherever the views agree
        assert gradient_norm(SHARED[name], z + 0.01 * normal(1, n, d)) > 1e-5


@pytest.mark.parametrize("name", CENTRED)
def test_objectives_with_a_preferred_point_have_zero_gradient_at_it_and_push_all_samples_alike_elsewhere(
    name: str,
) -> None:
    d = 1 if name == "sigreg" else 4
    assert gradient_norm(CENTRED[name], trivial_start(5, d, 0.0, dtype=torch.float64)) < 1e-14
    z = trivial_start(5, d, 0.3 * normal(0, d), dtype=torch.float64).requires_grad_()
    (gradient,) = torch.autograd.grad(CENTRED[name](z), z)
    assert gradient[0].norm() > 1e-3
    assert_close(gradient, gradient[:1].expand_as(gradient), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", SHARED)
def test_a_linear_layer_of_zero_weight_gets_no_gradient(name: str) -> None:
    h, bias = normal(0, 5, 4), DIRECTION
    # z_b = W h_b + c, W = 0: dL/dW = sum_b g_b h_b^T
    assert gradient_norm(lambda w: SHARED[name](h @ w + bias), torch.zeros(4, 3, dtype=torch.float64)) < 1e-13


# --- curvature -------------------------------------------------------------------------------------------------


def expected_spectrum(name: str, n: int, d: int, **settings: float) -> Tensor:
    predicted = predicted_curvature(name, n, d, **settings)
    values = torch.zeros((n - 1) * d, dtype=torch.float64)
    values[: predicted.multiplicity] = predicted.eigenvalue
    return values.sort().values


SMOOTH: list[tuple[str, Loss, dict[str, float]]] = [
    ("info_nce", lambda z: info_nce(z, z).total, {}),
    ("info_nce", lambda z: info_nce(z, z, 0.5).total, {"temperature": 0.5, "norm": 2.0}),
    ("uniformity", uniformity, {}),
    ("uniformity", lambda z: uniformity(z, 0.7), {"t": 0.7, "norm": 0.5}),
    ("vicreg", lambda z: vicreg(z, z).total, {}),
    ("vicreg", lambda z: vicreg(z, z, 1, 3, 2, 0.5, 1e-2).total, {"variance": 3.0, "gamma": 0.5, "eps": 1e-2}),
    ("vicreg_variance_hinge", lambda z: vicreg_variance_hinge(z, z).total, {}),
    ("barlow_twins", lambda z: barlow_twins(z, z).total, {}),
    ("barlow_twins", lambda z: barlow_twins(z, z, 1.0, eps=0.1).total, {"eps": 0.1}),
    ("simsiam", lambda z: simsiam(z, z, z, z, stop_gradient=False).total, {}),
    ("byol", lambda z: byol(z, z, z, z, stop_gradient=False).total, {}),
]


@pytest.mark.parametrize(("name", "loss", "given_settings"), SMOOTH, ids=[f"{s[0]}-{s[2]}" for s in SMOOTH])
@pytest.mark.parametrize(("n", "d"), [(4, 3), (3, 2), (2, 1)])
def test_value_and_curvature_at_collapse_are_the_predicted_ones(
    name: str, loss: Loss, given_settings: dict[str, float], n: int, d: int
) -> None:
    z = constant(n, d, given_settings.get("norm", 1.0))
    predicted = predicted_curvature(name, n, d, **given_settings)
    assert_close(loss(z).item(), predicted.value, rtol=1e-12, atol=1e-14)
    expected = expected_spectrum(name, n, d, **given_settings)
    assert_close(curvature(loss, z), expected, rtol=1e-8, atol=1e-9 * (1 + expected.abs().max().item()))


@pytest.mark.parametrize("c", [0.0, 0.5, -1.0])
def test_sigreg_value_and_curvature_at_a_constant_are_the_predicted_ones(c: float) -> None:
    n = 5
    z = trivial_start(n, 1, c, dtype=torch.float64)
    predicted = predicted_curvature("sigreg", n, 1, constant=c)
    assert_close(CENTRED["sigreg"](z).item(), predicted.value, rtol=1e-10, atol=0)
    assert_close(curvature(CENTRED["sigreg"], z), expected_spectrum("sigreg", n, 1, constant=c), rtol=1e-9, atol=1e-9)


def test_sigreg_at_zero_has_its_golden_numbers_and_holds_the_mean() -> None:
    predicted = predicted_curvature("sigreg", 5, 1)
    assert_close(predicted.value, 5 * 0.40892308193650373, rtol=1e-12, atol=0)
    assert_close(predicted.eigenvalue, -3.2408, rtol=0, atol=1e-4)
    spectrum = curvature(CENTRED["sigreg"], trivial_start(5, 1, 0.0, dtype=torch.float64), zero_mean=False)
    assert_close(spectrum[-1].item(), math.sqrt(math.pi), rtol=1e-9, atol=0)  # the common shift is pulled back
    assert (spectrum[:-1] < 0).all()


DISTILLED: list[tuple[str, Loss, dict[str, float]]] = [
    ("dino", CENTRED["dino"], {}),
    ("dino", lambda z: dino([z, z], [z, z], z.detach().mean(0), 0.1, 0.3).total, {"teacher_temperature": 0.3}),
    ("swav", CENTRED["swav"], {}),
    ("swav", lambda z: swav(z, z, 0.2, 0.7, 1).total, {"temperature": 0.2, "epsilon": 0.7}),
    ("simsiam", SHARED["simsiam"], {}),
    ("byol", SHARED["byol"], {}),
]


@pytest.mark.parametrize(("name", "loss", "given_settings"), DISTILLED, ids=[f"{s[0]}-{s[2]}" for s in DISTILLED])
@pytest.mark.parametrize(("n", "k"), [(4, 3), (3, 5)])
def test_gradient_that_training_follows_with_a_stop_gradient_has_the_predicted_derivative(
    name: str, loss: Loss, given_settings: dict[str, float], n: int, k: int
) -> None:
    z = trivial_start(n, k, 0.4, dtype=torch.float64)
    predicted = predicted_curvature(name, n, k, **given_settings)
    assert_close(loss(z).item(), predicted.value, rtol=1e-12, atol=1e-12)
    expected = expected_spectrum(name, n, k, **given_settings)
    assert_close(curvature(loss, z, step=1e-5), expected, rtol=1e-6, atol=1e-6 * (1 + expected.abs().max().item()))


@pytest.mark.parametrize("name", ["dino", "swav"])
def test_uniform_codes_are_left_exactly_when_the_target_is_sharper_than_the_prediction(name: str) -> None:
    target = "teacher_temperature" if name == "dino" else "epsilon"
    assert predicted_curvature(name, 4, 3, **{target: 0.099}).eigenvalue < 0
    assert predicted_curvature(name, 4, 3, **{target: 0.1}).eigenvalue == 0
    assert predicted_curvature(name, 4, 3, **{target: 0.101}).eigenvalue > 0


@pytest.mark.parametrize("name", ["info_nce", "vicreg", "barlow_twins", "uniformity"])
def test_differences_agree_with_automatic_differentiation_where_there_is_no_stop_gradient(name: str) -> None:
    z = constant(3, 2) + 0.1 * normal(5, 3, 2)
    for zero_mean in (True, False):
        exact = curvature(SHARED[name], z, zero_mean=zero_mean)
        assert_close(
            curvature(SHARED[name], z, zero_mean=zero_mean, step=1e-5), exact, rtol=1e-5, atol=1e-5 * exact.abs().max()
        )


def test_curvature_of_a_quadratic_form_is_its_spectrum() -> None:
    half = normal(0, 6, 6)
    matrix = half @ half.T
    spectrum = curvature(lambda z: z.flatten() @ matrix @ z.flatten() / 2, normal(1, 3, 2), zero_mean=False)
    assert_close(spectrum, torch.linalg.eigvalsh(matrix), rtol=1e-10, atol=1e-10)


def test_a_gradient_step_multiplies_the_spread_by_one_minus_rate_times_curvature() -> None:
    n, rate = 6, 0.05
    z = constant(n, 3)
    noise = normal(0, n, 3)
    noise = noise - noise.mean(dim=0)
    noise = noise - (noise @ z[0])[:, None] * z[0]  # along the sphere
    z = (z + 1e-6 * noise).requires_grad_()
    (gradient,) = torch.autograd.grad(info_nce(z, z).total, z)
    after = (z - rate * gradient).detach()
    growth = (after - after.mean(dim=0)).norm() / (1e-6 * noise).norm()
    assert_close(growth.item(), 1 - rate * predicted_curvature("info_nce", n, 3).eigenvalue, rtol=1e-6, atol=0)
    # SimSiam without a predictor: nothing grows
    assert gradient_norm(SHARED["simsiam"], z.detach()) < 1e-14


def test_the_hinge_on_the_std_curves_fifty_times_more_than_the_one_on_the_variance() -> None:
    std, variance = (predicted_curvature(name, 8, 4) for name in ("vicreg", "vicreg_variance_hinge"))
    assert (std.value, variance.value) == (pytest.approx(24.75), 25.0)
    assert_close(std.eigenvalue / variance.eigenvalue, 50.0, rtol=1e-12, atol=0)


# --- augmentation noise ----------------------------------------------------------------------------------------


def exact_parts(n: int, d: int, noise: float) -> tuple[Tensor, Tensor, Tensor]:
    """Signal and two noises, centred and uncorrelated: Var(u + e) = 1 + noise, mean (e - e')^2 = 2 noise, exactly."""
    basis = torch.linalg.qr(torch.cat([torch.ones(n, 1).double(), normal(0, n, 3 * d)], dim=1))[0][:, 1:]
    # orthonormal columns: their sum of squares is 1, hence mean square 1/n and unbiased variance 1/(n-1)
    e_a, e_b = (math.sqrt(noise * n) * basis[:, start : start + d] for start in (d, 2 * d))
    signal_variance = 1 - noise / (n - 1)
    return math.sqrt(signal_variance * (n - 1)) * basis[:, :d], e_a, e_b


def shrinking(n: int, d: int, noise: float, form: str, hinge: str, invariance: float, variance: float) -> Loss:
    """The loss as a function of the scale s of `z = c + s (u + e)`; paper weights l, m are l D, 2 m in code scale."""
    u, e_a, e_b = exact_parts(n, d, noise)
    weights = (invariance * d, 2 * variance) if form == "paper" else (invariance, variance)
    objective: Any = vicreg if hinge == "std" else vicreg_variance_hinge
    return lambda s: objective(0.3 + s * (u + e_a), 0.3 + s * (u + e_b), *weights).total


@pytest.mark.parametrize("form", ["paper", "code"])
@pytest.mark.parametrize("hinge", ["std", "variance"])
@pytest.mark.parametrize(("noise", "d"), [(0.0, 2), (0.4, 2), (0.4, 5), (3.0, 4)])
@pytest.mark.parametrize("weights", [(25.0, 25.0), (1.0, 0.1), (7.0, 0.0)])
def test_scale_coefficient_is_half_the_second_derivative_of_the_loss(
    form: str, hinge: str, noise: float, d: int, weights: tuple[float, float]
) -> None:
    loss = shrinking(60, d, noise, form, hinge, *weights)
    second = torch.autograd.functional.hessian(loss, torch.zeros((), dtype=torch.float64))
    predicted = scale_coefficient(noise, d, form=form, hinge=hinge, invariance=weights[0], variance=weights[1])
    assert_close(second.item() / 2, predicted, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("form", "hinge", "d"), [("paper", "std", 60), ("paper", "variance", 5), ("code", "variance", 5)]
)
def test_collapse_is_stable_above_the_critical_noise_and_not_below(form: str, hinge: str, d: int) -> None:
    variance = 10.0  # with equal weights the code scale's threshold is infinite
    critical = critical_noise(d, form=form, hinge=hinge, variance=variance)
    assert math.isfinite(critical)
    for noise, stable in ((0.9 * critical, False), (1.1 * critical, True)):
        loss = shrinking(4 * d, d, noise, form, hinge, 25.0, variance)
        tiny, zero = torch.tensor(2e-4, dtype=torch.float64), torch.tensor(0.0, dtype=torch.float64)
        assert (loss(tiny) > loss(zero)) == stable
        assert (scale_coefficient(noise, d, form=form, hinge=hinge, variance=variance) > 0) == stable


def test_with_equal_weights_the_thresholds_are_the_known_ones() -> None:
    assert_close(critical_noise(8192, form="paper", hinge="variance"), 1 / 8191, rtol=1e-9, atol=0)
    assert_close(critical_noise(8192, form="paper", hinge="std"), 100 / (2 * 8192 - 100), rtol=1e-9, atol=0)
    assert critical_noise(50, form="paper", hinge="std") == math.inf
    assert critical_noise(51, form="paper", hinge="std") < math.inf
    assert_close(critical_noise(8192, form="code", hinge="variance"), 1.0, rtol=1e-12, atol=0)
    assert critical_noise(8192, form="code", hinge="std") == math.inf


def test_without_eps_the_std_hinge_never_lets_collapse_be_stable() -> None:
    assert scale_coefficient(100.0, 10_000, form="paper", variance=1e-3, eps=0.0) == -math.inf
    assert critical_noise(10_000, form="paper", variance=1e-3, eps=0.0) == math.inf
    # linear in s: the loss already falls at a scale where the noise would win for eps = 1e-4
    u, e_a, e_b = exact_parts(40, 3, 2.0)
    values = [vicreg(s * (u + e_a), s * (u + e_b), variance=0.1, eps=0.0).total.item() for s in (0.0, 1e-4)]
    assert values[1] < values[0]
    assert scale_coefficient(2.0, 3, variance=0.1) > 0


@pytest.mark.parametrize("noise", [0.0, 0.5, 8.0])
def test_info_nce_leaves_collapse_for_any_augmentation_noise(noise: float) -> None:
    n, d = 20, 4
    u, e_a, e_b = exact_parts(n, d, noise)
    c = torch.zeros(d, dtype=torch.float64)
    c[0] = 1.0

    def loss(s: Tensor) -> Tensor:
        return info_nce(c + s * (u + e_a), c + s * (u + e_b), 0.2).total

    second = torch.autograd.functional.hessian(loss, torch.zeros((), dtype=torch.float64))
    # L = log N + (1/2 tau)(mean_i |a_i - b_i|^2 - mean_ij |a_i - b_j|^2): only the signal across the sphere is left
    signal = u[:, 1:].square().mean(dim=0).sum()
    assert_close(second.item() / 2, -signal.item() / 0.2, rtol=1e-6, atol=1e-9)


def test_with_augmentation_noise_collapse_is_a_minimum_of_simsiam() -> None:
    u, e_a, e_b = exact_parts(20, 4, 0.5)
    c = torch.tensor([1.0, 0.0, 0.0, 0.0], dtype=torch.float64)

    def loss(s: Tensor) -> Tensor:
        z_a, z_b = c + s * (u + e_a), c + s * (u + e_b)
        return simsiam(z_a, z_b, z_a, z_b, stop_gradient=False).total

    second = torch.autograd.functional.hessian(loss, torch.zeros((), dtype=torch.float64))
    # -cos = -1 + |a - b|^2 / 2, and |a - b|^2 = 2 noise (D-1) s^2 across the sphere
    assert_close(second.item() / 2, 0.5 * 3, rtol=1e-9, atol=0)


# --- the hinge on the variance ---------------------------------------------------------------------------------


def test_vicreg_variance_hinge_is_vicreg_but_for_the_root() -> None:
    z_a, z_b = 0.5 * normal(0, 6, 3), 0.5 * normal(1, 6, 3)
    ours, theirs = vicreg_variance_hinge(z_a, z_b, 2.0, 3.0, 4.0), vicreg(z_a, z_b, 2.0, 3.0, 4.0)
    assert_close(ours.invariance, theirs.invariance, rtol=0, atol=0)
    assert_close(ours.covariance, theirs.covariance, rtol=0, atol=0)
    by_hand = 0.0
    for z in (z_a.tolist(), z_b.tolist()):
        for column in zip(*z):
            mean = sum(column) / 6
            by_hand += max(0.0, 1 - sum((x - mean) ** 2 for x in column) / 5) / 3 / 2
    assert_close(ours.variance.item(), by_hand, rtol=1e-12, atol=0)
    assert_close(ours.total, 2 * ours.invariance + 3 * ours.variance + 4 * ours.covariance, rtol=1e-12, atol=0)


def test_vicreg_variance_hinge_of_16_bit_input_and_under_autocast_works_in_float32() -> None:
    z_a, z_b = normal(0, 6, 3, dtype=torch.float32), normal(1, 6, 3, dtype=torch.float32)
    expected = vicreg_variance_hinge(z_a, z_b).total
    half = vicreg_variance_hinge(z_a.bfloat16(), z_b.bfloat16()).total
    assert half.dtype == torch.float32
    assert_close(half, expected, rtol=0.05, atol=0.05)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(vicreg_variance_hinge(z_a, z_b).total, expected)


def test_vicreg_variance_hinge_passes_gradcheck() -> None:
    pair = tuple((normal(s, 5, 2) * torch.tensor([0.3, 3.0])).requires_grad_() for s in (0, 1))
    assert torch.autograd.gradcheck(lambda a, b: vicreg_variance_hinge(a, b).total, pair)


# --- bad input -------------------------------------------------------------------------------------------------

Z = normal(0, 4, 3)
BAD: list[tuple[Any, type[Exception], str]] = [
    (lambda: trivial_start(0, 3), ValueError, "n must be"),
    (lambda: trivial_start(3, 1.5), TypeError, "d must be"),
    (lambda: trivial_start(3, 2, torch.zeros(3)), ValueError, r"constant must be a number or have shape \(2,\)"),
    (lambda: trivial_start(3, 2, math.nan), ValueError, "constant must be"),
    (lambda: trivial_start(3, 2, torch.tensor([0.0, math.inf])), ValueError, "constant must be finite"),
    (lambda: trivial_start(3, 2, noise=-1), ValueError, "noise must be"),
    (lambda: gradient_norm(lambda z: z, Z), TypeError, "loss must return a scalar tensor"),
    (lambda: gradient_norm(lambda z: vicreg(z, z), Z), TypeError, r"Take its \.total"),
    (lambda: gradient_norm(lambda z: torch.zeros(()), Z), ValueError, "loss must depend on its argument"),
    (lambda: gradient_norm(uniformity, Z[0]), ValueError, "z must have shape"),
    (lambda: curvature(uniformity, Z[:1]), ValueError, "z needs at least 2 samples"),
    (lambda: curvature(uniformity, Z, step=0), ValueError, "step must be"),
    (lambda: curvature(lambda z: z, Z), TypeError, "loss must return a scalar tensor"),
    (lambda: predicted_curvature("infonce", 4, 3), ValueError, "Did you mean 'info_nce'"),
    (lambda: predicted_curvature("info_nce", 1, 3), ValueError, "n must be"),
    (lambda: predicted_curvature("info_nce", 4, 0), ValueError, "d must be"),
    (lambda: predicted_curvature("info_nce", 4, 3, temprature=1), ValueError, "Did you mean 'temperature'"),
    (lambda: predicted_curvature("info_nce", 4, 3, temperature=0), ValueError, "temperature must be"),
    (lambda: predicted_curvature("simsiam", 4, 3, eps=1), ValueError, "a setting of simsiam must be"),
    (lambda: predicted_curvature("sigreg", 4, 3), ValueError, "d must be 1 for sigreg"),
    (lambda: scale_coefficient(-1, 3), ValueError, "noise must be"),
    (lambda: scale_coefficient(1, 3, form="papr"), ValueError, "Did you mean 'paper'"),
    (lambda: critical_noise(3, hinge="st"), ValueError, "Did you mean 'std'"),
    (lambda: critical_noise(3, variance=-1), ValueError, "variance must be"),
    (lambda: critical_noise(0), ValueError, "d must be"),
    (lambda: vicreg_variance_hinge(Z, Z[:3]), ValueError, "z_a and z_b must have the same shape"),
    (lambda: vicreg_variance_hinge(Z, Z, covariance=-1), ValueError, "covariance must be"),
    (lambda: vicreg_variance_hinge(Z, Z, gamma=0), ValueError, "gamma must be"),
]


@pytest.mark.parametrize(("call", "error", "message"), BAD, ids=[f"{i}-{b[2]}" for i, b in enumerate(BAD)])
def test_bad_input_is_named(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
