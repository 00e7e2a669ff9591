"""SIGReg: the Epps-Pulley statistic in both forms, gradients, invariances, collapse, LeJEPA's sum, bad input."""

from __future__ import annotations

import cmath
import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from oracles import batches, normal, permutation, rotation, rows, seeds, views
from torch import Tensor
from torch.testing import assert_close

from jemlib.losses import epps_pulley, epps_pulley_exact, lejepa, sigreg

F64 = torch.float64
COLLAPSED = 0.40204757973166455  # T / N of the 17 knots when every sample is 0
BOTH = pytest.mark.parametrize("statistic", [epps_pulley, epps_pulley_exact], ids=["quadrature", "exact"])
samples = st.builds(
    lambda seed, n, scale, offset: scale * (normal(seed, n) + offset),
    seeds,
    st.integers(1, 8),
    st.sampled_from([0.01, 1.0, 2.5]),
    st.sampled_from([0.0, 1.0]),
)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def oracle_integrand(x: list[float], t: float) -> float:
    """|phi_hat(t) - e^{-t^2/2}|^2 e^{-t^2/2}."""
    phi_hat = sum(cmath.exp(1j * t * v) for v in x) / len(x)
    return abs(phi_hat - math.exp(-t * t / 2)) ** 2 * math.exp(-t * t / 2)


def oracle_quadrature(x: list[float], knots: int = 17, t_max: float = 3.0) -> float:
    dt = t_max / (knots - 1)
    ends = oracle_integrand(x, 0.0) + oracle_integrand(x, t_max)
    inside = sum(oracle_integrand(x, k * dt) for k in range(1, knots - 1))
    return len(x) * 2 * dt * (inside + ends / 2)


def oracle_exact(x: list[float]) -> float:
    n = len(x)
    pairs = sum(math.exp(-((a - b) ** 2) / 2) for a in x for b in x) / n**2
    singles = sum(math.exp(-a * a / 4) for a in x) / n
    return n * (math.sqrt(2 * math.pi) * pairs - 2 * math.sqrt(math.pi) * singles + math.sqrt(2 * math.pi / 3))


def directions(d: int, slices: int, seed: int) -> Tensor:
    """What sigreg draws from a generator of this seed."""
    a = torch.randn(d, slices, generator=seeded(seed)).double()
    return a / a.square().sum(dim=0).sqrt()


def statistic_gradient(statistic: Any, x: Tensor) -> Tensor:
    x = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(statistic(x).sum(), x)
    return gradient


# --- values of the statistic -----------------------------------------------------------------------------------

GOLDEN = [
    ("ep1", [0.0], 0.40892308193650373, COLLAPSED),
    ("ep2, ep3", [1.0, -1.0], 0.21871475220758763, 0.20565923192631907),
    ("far", [2.0, 2.0], 5.299464238801902, 5.285704788201317),
]


@pytest.mark.parametrize(("x", "exact", "quadrature"), [g[1:] for g in GOLDEN], ids=[g[0] for g in GOLDEN])
def test_epps_pulley_has_its_golden_values(x: list[float], exact: float, quadrature: float) -> None:
    column = torch.tensor(x, dtype=F64)
    assert_close(epps_pulley_exact(column).item(), exact, rtol=1e-12, atol=0)
    assert_close(epps_pulley(column).item(), quadrature, rtol=1e-12, atol=0)


@given(x=samples, grid=st.sampled_from([(17, 3.0), (2, 1.0), (3, 2.0), (40, 6.0)]))
def test_quadrature_equals_the_written_out_trapezoid_rule(x: Tensor, grid: tuple[int, float]) -> None:
    assert_close(epps_pulley(x, *grid).item(), oracle_quadrature(x.tolist(), *grid), rtol=1e-10, atol=1e-12)


@given(x=samples)
def test_exact_form_equals_the_written_out_sums_and_the_integral(x: Tensor) -> None:
    assert_close(epps_pulley_exact(x).item(), oracle_exact(x.tolist()), rtol=1e-11, atol=1e-12)
    assert_close(oracle_quadrature(x.clamp(-3, 3).tolist(), 201, 8.0), oracle_exact(x.clamp(-3, 3).tolist()))


@given(x=samples)
def test_a_fine_and_wide_quadrature_is_the_exact_form(x: Tensor) -> None:
    x = x.clamp(-3, 3)
    assert abs(epps_pulley(x, t_max=8, knots=401) - epps_pulley_exact(x)) < 1e-12


@BOTH
@given(z=batches(min_samples=1))
def test_columns_are_judged_one_by_one(statistic: Any, z: Tensor) -> None:
    together = statistic(z)
    assert together.shape == (z.shape[1],)
    alone = torch.stack([statistic(z[:, j]) for j in range(z.shape[1])])
    assert alone.shape == together.shape
    assert_close(together, alone, rtol=1e-10, atol=1e-10)


@BOTH
def test_one_sample_gives_a_scalar(statistic: Any) -> None:
    assert statistic(torch.zeros(5)).shape == ()
    assert statistic(torch.zeros(5, 1)).shape == (1,)


def test_expectation_for_standard_normal_samples_does_not_depend_on_their_number() -> None:
    exact = math.sqrt(2 * math.pi) * (1 - 1 / math.sqrt(3))
    assert_close(exact, 1.0594258, rtol=0, atol=1e-7)
    # E |phi_hat - phi|^2 = (1 - e^{-t^2}) / N, summed over the 17 knots
    weights = [2 * 3 / 16 * (0.5 if k == 16 else 1.0) for k in range(17)]
    knots = [math.exp(-((k * 3 / 16) ** 2) / 2) for k in range(17)]
    seventeen = sum(w * p * (1 - p * p) for w, p in zip(weights, knots))
    assert_close(seventeen, 1.0525, rtol=0, atol=5e-5)
    for n, columns in ((1, 40_000), (16, 10_000), (64, 2_000)):
        x = normal(n, n, columns)
        for statistic, expected in ((epps_pulley, seventeen), (epps_pulley_exact, exact)):
            values = statistic(x[:, :500] if statistic is epps_pulley_exact else x)
            error = values.std() / math.sqrt(len(values))
            assert abs(values.mean() - expected) < 4 * error


def test_misfit_grows_with_the_number_of_samples() -> None:
    for n in (1, 4, 32):
        assert_close(epps_pulley(torch.zeros(n, dtype=F64)).item(), n * COLLAPSED, rtol=1e-12, atol=0)


# --- gradients of the statistic ---------------------------------------------------------------------------------


@given(x=samples)
def test_exact_gradient_has_its_closed_form_and_its_bound(x: Tensor) -> None:
    # dT/dx_i = -2 sqrt(2 pi) mean_j (x_i - x_j) e^{-(x_i - x_j)^2/2} + sqrt(pi) x_i e^{-x_i^2/4}
    values, n = x.tolist(), len(x)
    expected = [
        -2 * math.sqrt(2 * math.pi) * sum((a - b) * math.exp(-((a - b) ** 2) / 2) for b in values) / n
        + math.sqrt(math.pi) * a * math.exp(-a * a / 4)
        for a in values
    ]
    actual = statistic_gradient(epps_pulley_exact, x)
    assert_close(actual.tolist(), expected, rtol=1e-9, atol=1e-12)
    assert actual.abs().max() <= 3 * math.sqrt(2 * math.pi / math.e)  # 4.5610


@given(x=samples)
def test_quadrature_gradient_has_its_closed_form(x: Tensor) -> None:
    # dT/dx_i = sum_k 2 w_k t_k [ q_k cos(t_k x_i) - r_k sin(t_k x_i) ]
    expected = [0.0] * len(x)
    for k in range(1, 17):
        t = k * 3 / 16
        w = 2 * 3 / 16 * (0.5 if k == 16 else 1.0) * math.exp(-t * t / 2)
        r = sum(math.cos(t * v) for v in x.tolist()) / len(x) - math.exp(-t * t / 2)
        q = sum(math.sin(t * v) for v in x.tolist()) / len(x)
        for i, v in enumerate(x.tolist()):
            expected[i] += 2 * w * t * (q * math.cos(t * v) - r * math.sin(t * v))
    assert_close(statistic_gradient(epps_pulley, x).tolist(), expected, rtol=1e-9, atol=1e-12)


def test_bound_is_4_5610_and_samples_far_out_pull_no_harder() -> None:
    assert_close(3 * math.sqrt(2 * math.pi / math.e), 4.5610, rtol=0, atol=5e-5)
    for scale in (1.0, 10.0, 1e3):
        x = scale * normal(0, 200)
        for statistic in (epps_pulley, epps_pulley_exact):
            assert statistic_gradient(statistic, x).abs().max() < 4.5610
        assert statistic_gradient(lambda v: v.square().mean() * len(v), x).abs().max() > scale  # a moment does


@pytest.mark.parametrize("grid", [(17, 3.0), (2, 1.0), (3, 2.0)])
def test_statistics_pass_gradcheck_to_second_order(grid: tuple[int, float]) -> None:
    x = normal(0, 4, 2).requires_grad_()
    for statistic in (lambda v: epps_pulley(v, *grid), epps_pulley_exact):
        assert torch.autograd.gradcheck(statistic, x)
        assert torch.autograd.gradgradcheck(statistic, x)


@given(z=batches(min_samples=1))
def test_float32_statistic_and_gradient_keep_six_digits(z: Tensor) -> None:
    z = 2 * z / (z.abs().max() + 1e-9)
    low, full = epps_pulley(z.float()), epps_pulley(z.float().double())
    assert_close(low.double(), full, rtol=3e-6, atol=3e-6)
    gradient = statistic_gradient(epps_pulley, z.float()).double()
    assert_close(gradient, statistic_gradient(epps_pulley, z.float().double()), rtol=3e-6, atol=3e-6)


# --- properties of the statistic --------------------------------------------------------------------------------


@BOTH
@given(x=samples, seed=seeds)
def test_statistic_ignores_sign_and_order(statistic: Any, x: Tensor, seed: int) -> None:
    assert_close(statistic(-x), statistic(x), rtol=1e-11, atol=1e-12)
    assert_close(statistic(x[permutation(seed, len(x))]), statistic(x), rtol=1e-11, atol=1e-12)


@BOTH
@given(x=samples, scale=st.sampled_from([1.0, 5.0, 100.0]))
def test_statistic_lies_between_zero_and_4n_times_the_weight(statistic: Any, x: Tensor, scale: float) -> None:
    value = statistic(scale * x)
    assert -1e-12 <= value <= 4 * len(x) * math.sqrt(2 * math.pi)


@BOTH
def test_statistic_notices_shift_scale_and_shape(statistic: Any) -> None:
    n = 600
    x = math.sqrt(2) * torch.erfinv((2 * torch.arange(n, dtype=F64) + 1) / n - 1)  # normal quantiles
    x = x / x.std(correction=0)
    assert statistic(x) < 0.01
    signs = torch.ones(n, dtype=F64)
    signs[::2] = -1  # mean 0 and variance 1 as well, but not normal
    for other in (x + 0.2, 0.7 * x, 1.4 * x, signs):
        assert statistic(other) > 3


def test_quadrature_sees_samples_modulo_the_period_of_its_knots_and_the_exact_form_does_not() -> None:
    x = normal(0, 6)
    moved = x.clone()
    moved[2] += 2 * math.pi / (3 / 16)  # 33.5
    assert_close(epps_pulley(moved), epps_pulley(x), rtol=1e-9, atol=1e-10)
    assert abs(epps_pulley_exact(moved) - epps_pulley_exact(x)) > 0.1


# --- collapse ---------------------------------------------------------------------------------------------------


@BOTH
def test_gradient_at_zero_is_exactly_zero_and_at_another_constant_a_common_pull(statistic: Any) -> None:
    assert torch.equal(statistic_gradient(statistic, torch.zeros(6, dtype=F64)), torch.zeros(6, dtype=F64))
    for c in (0.3, -1.0, 2.0):
        gradient = statistic_gradient(statistic, torch.full((6,), c, dtype=F64))
        assert_close(gradient, gradient[:1].expand(6), rtol=1e-12, atol=1e-14)
        assert gradient[0] * c > 0.1 * c * c  # downhill is towards 0
        if statistic is epps_pulley_exact:
            assert_close(gradient[0].item(), math.sqrt(math.pi) * c * math.exp(-c * c / 4), rtol=1e-12, atol=0)


@pytest.mark.parametrize("n", [2, 5])
def test_zero_is_a_saddle_that_any_spread_escapes(n: int) -> None:
    zero = torch.zeros(n, dtype=F64)
    # sqrt(pi) - 2 sqrt(2 pi) along the n-1 directions that spread samples, sqrt(pi) along the mean
    values = torch.linalg.eigvalsh(torch.autograd.functional.hessian(epps_pulley_exact, zero))
    assert_close(values[:-1].tolist(), [math.sqrt(math.pi) - 2 * math.sqrt(2 * math.pi)] * (n - 1), rtol=1e-10, atol=0)
    assert_close(values[-1].item(), math.sqrt(math.pi), rtol=1e-10, atol=0)
    fine = torch.autograd.functional.hessian(lambda x: epps_pulley(x, 401, 8.0), zero)
    assert_close(torch.linalg.eigvalsh(fine), values, rtol=1e-9, atol=0)


@pytest.mark.parametrize(("n", "d"), [(2, 1), (7, 5)])
def test_collapse_to_zero_costs_0_402_n_and_has_exactly_no_gradient(n: int, d: int) -> None:
    z = torch.zeros(n, d, dtype=F64, requires_grad=True)
    total = sigreg(z, 20).total
    assert_close(total.item(), n * COLLAPSED, rtol=1e-12, atol=0)
    (gradient,) = torch.autograd.grad(total, z)
    assert torch.equal(gradient, torch.zeros_like(gradient))
    assert_close(lejepa(z, z, 0.02, 20).total.item(), 0.02 * n * COLLAPSED, rtol=1e-12, atol=0)


def test_collapse_elsewhere_pulls_all_samples_alike_towards_zero() -> None:
    c = normal(0, 5)
    z = c.expand(7, 5).clone().requires_grad_()
    (gradient,) = torch.autograd.grad(sigreg(z, 500, seeded()).total, z)
    assert_close(gradient, gradient[:1].expand(7, 5), rtol=1e-10, atol=1e-13)
    assert torch.cosine_similarity(gradient[0], c, dim=0) > 0.9


# --- the loss ---------------------------------------------------------------------------------------------------


@given(z=batches(), seed=seeds, slices=st.sampled_from([1, 7]))
def test_sigreg_is_the_mean_over_random_unit_directions(z: Tensor, seed: int, slices: int) -> None:
    projections = rows((z @ directions(z.shape[1], slices, seed)).T)
    expected = sum(oracle_quadrature(x) for x in projections) / slices
    assert_close(sigreg(z, slices, seeded(seed)).total.item(), expected, rtol=1e-9, atol=1e-10)


def test_sigreg_passes_gradcheck() -> None:
    z_a, z_b = normal(0, 4, 3).requires_grad_(), normal(1, 4, 3).requires_grad_()
    assert torch.autograd.gradcheck(lambda z: sigreg(z, 5, seeded()).total, z_a)
    assert torch.autograd.gradcheck(lambda a, b: lejepa(a, b, 0.3, 5, seeded()).total, (z_a, z_b))


def test_a_generator_makes_the_slices_repeatable_and_none_takes_the_global_one() -> None:
    z = normal(0, 8, 4)
    assert torch.equal(sigreg(z, 9, seeded(3)).total, sigreg(z, 9, seeded(3)).total)
    assert not torch.equal(sigreg(z, 9, seeded(3)).total, sigreg(z, 9, seeded(4)).total)
    shared = seeded(3)
    assert not torch.equal(sigreg(z, 9, shared).total, sigreg(z, 9, shared).total)  # fresh slices in each call
    state = torch.random.get_rng_state()
    sigreg(z, 9, seeded(3))
    assert torch.equal(torch.random.get_rng_state(), state)
    sigreg(z, 9)
    assert not torch.equal(torch.random.get_rng_state(), state)


def test_float32_and_float64_see_the_same_slices() -> None:
    z = normal(0, 32, 8)
    assert_close(sigreg(z.float(), 64, seeded()).total.double(), sigreg(z, 64, seeded()).total, rtol=1e-5, atol=1e-6)


@given(z=batches(), seed=seeds)
def test_sigreg_ignores_sign_and_the_order_of_samples(z: Tensor, seed: int) -> None:
    before = sigreg(z, 5, seeded(seed)).total
    for moved in (-z, z[permutation(seed, len(z))]):
        assert_close(sigreg(moved, 5, seeded(seed)).total, before, rtol=1e-9, atol=1e-10)


def test_rotation_changes_the_value_for_given_slices_but_not_in_expectation() -> None:
    z = normal(0, 10, 3) * torch.tensor([3.0, 1.0, 0.1], dtype=F64)
    turned = z @ rotation(1, 3)
    assert abs(sigreg(turned, 4, seeded()).total - sigreg(z, 4, seeded()).total) > 1e-2
    slices = 20_000
    values = [epps_pulley(x @ directions(3, slices, seed)) for seed, x in enumerate((z, turned))]
    error = math.sqrt(sum(float(v.var()) / slices for v in values))
    assert error < 0.1
    assert abs(values[0].mean() - values[1].mean()) < 4 * error


def test_standard_normal_embeddings_cost_about_1_0525_and_wrong_ones_more() -> None:
    z = normal(0, 512, 16)
    good = sigreg(z, 256, seeded()).total
    assert 0.7 < good < 1.5
    flat = z.clone()
    flat[:, 8:] = 0  # dimensional collapse
    for bad in (2 * z, z + 1, flat, z[:1].expand(512, 16)):
        assert sigreg(bad, 256, seeded()).total > 5 * good


# --- LeJEPA's sum ------------------------------------------------------------------------------------------------


@given(pair=views(), seed=seeds, lambd=st.sampled_from([0.0, 0.02, 0.5, 1.0]))
def test_lejepa_weighs_the_distance_to_the_mean_of_the_views_and_sigreg_of_both(
    pair: tuple[Tensor, Tensor], seed: int, lambd: float
) -> None:
    total, invariance, misfit = lejepa(*pair, lambd, 6, seeded(seed))
    entries = [((a - (a + b) / 2) ** 2, (b - (a + b) / 2) ** 2) for x, y in zip(*map(rows, pair)) for a, b in zip(x, y)]
    assert_close(invariance.item(), sum(map(sum, entries)) / (2 * len(entries)), rtol=1e-10, atol=1e-14)
    both = [sigreg(z, 6, seeded(seed)).total.item() for z in pair]  # the same slices for both views
    assert_close(misfit.item(), sum(both) / 2, rtol=1e-10, atol=1e-12)
    assert_close(total.item(), (1 - lambd) * invariance.item() + lambd * misfit.item(), rtol=1e-12, atol=1e-14)


def test_lejepa_invariance_is_a_quarter_of_the_mean_squared_difference() -> None:
    z = torch.zeros(3, 2, dtype=F64)
    assert lejepa(z, z + 2).invariance == 1.0
    assert lejepa(z, z).invariance == 0.0


@given(pair=views(), seed=seeds)
def test_lejepa_is_symmetric_and_has_no_stop_gradient(pair: tuple[Tensor, Tensor], seed: int) -> None:
    z_a, z_b = (z.clone().requires_grad_() for z in pair)
    there, back = lejepa(z_a, z_b, 0.1, 4, seeded(seed)).total, lejepa(z_b, z_a, 0.1, 4, seeded(seed)).total
    assert_close(there, back, rtol=1e-10, atol=1e-12)
    g_a, g_b = torch.autograd.grad(lejepa(z_a, z_b, 0.0, 1).total, (z_a, z_b))
    assert_close(g_a, -g_b, rtol=1e-10, atol=1e-14)
    assert_close(g_a, (z_a - z_b).detach() / (2 * z_a.numel()), rtol=1e-10, atol=1e-14)


# --- input ------------------------------------------------------------------------------------------------------


def holding_nan() -> Tensor:
    z = torch.ones(6, 4)
    z[2, 3] = math.nan
    return z


BAD = [
    ([[1.0]], TypeError, r"must be a torch.Tensor .* got list"),
    (torch.ones(2, 6, 4), ValueError, r"must have shape \(N, D\).* got shape \(2, 6, 4\)"),
    (torch.ones(6, 4).long(), TypeError, r"must be floating point; got a int64 tensor"),
    (torch.ones(0, 4), ValueError, r"needs at least \d samples .* got shape \(0, 4\)"),
    (holding_nan(), ValueError, r"must be finite; got 1 NaN .* at index \(2, 3\)"),
]


@pytest.mark.parametrize(("bad", "error", "message"), BAD)
def test_bad_tensors_are_named(bad: Any, error: type[Exception], message: str) -> None:
    good = torch.ones(6, 4)
    for name, call in [
        ("x", lambda: epps_pulley(bad)),
        ("x", lambda: epps_pulley_exact(bad)),
        ("z", lambda: sigreg(bad)),
        ("z_a", lambda: lejepa(bad, good)),
        ("z_b", lambda: lejepa(good, bad)),
    ]:
        with pytest.raises(error, match=f"^{name} {message}"):
            call()


def test_other_bad_arguments_are_named() -> None:
    z = torch.ones(6, 4)
    with pytest.raises(ValueError, match=r"^z needs at least 2 samples .* got shape \(1, 4\)"):
        sigreg(z[:1])
    with pytest.raises(ValueError, match=r"^z_a and z_b must have the same shape .* got \(6, 4\) and \(5, 4\)"):
        lejepa(z, z[:5])
    for count in (0, -3):
        with pytest.raises(ValueError, match=rf"^num_slices must be >= 1; got {count}"):
            sigreg(z, count)
    with pytest.raises(TypeError, match=r"^num_slices must be a whole number >= 1; got 2\.5"):
        lejepa(z, z, num_slices=2.5)
    with pytest.raises(TypeError, match=r"^generator must be a torch.Generator or None; got 7"):
        sigreg(z, generator=7)
    for bad in (-0.1, 1.1, math.nan):
        with pytest.raises(ValueError, match=r"^lambd must be a finite number >= 0 and <= 1; got "):
            lejepa(z, z, bad)
    with pytest.raises(ValueError, match=r"^knots must be >= 2; got 1"):
        epps_pulley(z, knots=1)
    for bad in (0.0, -3.0, math.inf):
        with pytest.raises(ValueError, match=r"^t_max must be a finite number > 0; got "):
            epps_pulley(z, t_max=bad)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_sixteen_bit_inputs_and_autocast_get_float32_statistics(dtype: torch.dtype) -> None:
    z_a, z_b = normal(0, 64, 16).to(dtype).requires_grad_(), normal(1, 64, 16).to(dtype)
    full = lejepa(z_a.detach().float(), z_b.float(), generator=seeded())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        low = lejepa(z_a, z_b, generator=seeded())
        alone = sigreg(z_a.detach(), generator=seeded()), sigreg(z_a.detach().float(), generator=seeded())
        columns = epps_pulley(z_b), epps_pulley(z_b.float())
    assert all(term.dtype == torch.float32 for term in low)
    assert all(torch.equal(a, b) for a, b in zip(low, full))
    assert torch.equal(alone[0].total, alone[1].total)
    assert torch.equal(*columns)
    low.total.backward()
    assert z_a.grad is not None
    assert z_a.grad.dtype == dtype
    assert z_a.grad.abs().max() > 0


@pytest.mark.cuda
def test_a_generator_on_the_cpu_gives_the_same_slices_on_a_gpu() -> None:
    z = normal(0, 64, 16).float()
    assert_close(sigreg(z.cuda(), 32, seeded()).total.cpu(), sigreg(z, 32, seeded()).total, rtol=1e-4, atol=1e-5)
