"""Alignment and uniformity as a loss: values, InfoNCE's exact form and its limit, gradients, collapse."""

from __future__ import annotations

import math
from typing import Any

import oracles
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from oracles import batches, normal, permutation, rotation, rows, seeds, unit, views
from torch import Tensor
from torch.testing import assert_close

from jemlib import diagnose
from jemlib.losses import align_uniform, info_nce, info_nce_uniformity, uniformity_term

Views = tuple[Tensor, Tensor]
F64 = torch.float64
ALPHAS, WIDTHS = st.sampled_from([0.5, 1.0, 2.0, 3.0]), st.sampled_from([0.5, 2.0, 5.0])


def uniformity(z: Tensor, t: float = 2.0) -> Tensor:
    return align_uniform(z, z, t=t).uniformity


def gradient(z_a: Tensor, z_b: Tensor, **settings: float) -> Tensor:
    z_a = z_a.clone().requires_grad_()
    return torch.autograd.grad(align_uniform(z_a, z_b, **settings).total, z_a)[0]


def log_mean_potential(z_a: Tensor, z_b: Tensor, t: float, *, jensen: bool) -> float:
    """`mean_i log mean_j exp(-t |u_i - v_j|^2)`, or with `jensen` the logarithm outside both means; by loops."""
    u, v = [unit(x) for x in rows(z_a)], [unit(x) for x in rows(z_b)]
    potentials = [sum(math.exp(-t * math.dist(x, y) ** 2) for y in v) / len(v) for x in u]
    if jensen:
        return math.log(sum(potentials) / len(u))
    return sum(math.log(p) for p in potentials) / len(u)


def simplex(n: int) -> Tensor:
    return torch.eye(n, dtype=F64) - 1 / n


# --- values -----------------------------------------------------------------------------------------------------


@given(pair=views(), alpha=ALPHAS, t=WIDTHS)
def test_terms_equal_the_written_out_sums(pair: Views, alpha: float, t: float) -> None:
    result = align_uniform(*pair, alpha=alpha, t=t)
    # Unit vectors of 6 entries are off by some 1e-15, and so are their distances, here and in the loop. At parallel
    # views that is all there is of a distance, and |e|^alpha is much more than |e| where alpha < 1: (1e-15)^0.5 = 3e-8.
    rounding = 1e-14 ** min(alpha, 1)
    assert_close(result.alignment.item(), oracles.alignment(*pair, alpha), rtol=1e-9, atol=rounding)
    expected = (oracles.uniformity(pair[0], t) + oracles.uniformity(pair[1], t)) / 2
    assert_close(result.uniformity.item(), expected, rtol=1e-9, atol=1e-11)


@given(pair=views(), alpha=ALPHAS, t=WIDTHS)
def test_the_loss_and_the_diagnostics_agree(pair: Views, alpha: float, t: float) -> None:
    result = align_uniform(*pair, alpha=alpha, t=t)
    assert_close(result.alignment, diagnose.alignment(*pair, alpha), rtol=1e-12, atol=1e-13)
    expected = (diagnose.uniformity(pair[0], t) + diagnose.uniformity(pair[1], t)) / 2
    assert_close(result.uniformity, expected, rtol=1e-12, atol=1e-13)


@given(pair=views(), alignment=st.sampled_from([0.0, 1.0, 3.0]), weight=st.sampled_from([0.0, 1.0, 0.5]))
def test_total_weighs_the_terms(pair: Views, alignment: float, weight: float) -> None:
    total, align, uniform = align_uniform(*pair, alignment, weight)
    assert_close(total, alignment * align + weight * uniform, rtol=1e-12, atol=1e-15)
    assert_close(align, align_uniform(*pair).alignment, rtol=0, atol=0)


ANTIPODAL = torch.tensor([[1.0, 0.0], [-1.0, 0.0]], dtype=F64)
GOLDEN = [
    ("un1", simplex(3), -6.0),
    ("un2", torch.eye(4, dtype=F64), -4.0),
    ("antipodal", ANTIPODAL, -8.0),
    ("simplex of 6", simplex(6), -4 * 6 / 5),
    ("constant", torch.ones(5, 3, dtype=F64), 0.0),
]


@pytest.mark.parametrize(("z", "value"), [g[1:] for g in GOLDEN], ids=[g[0] for g in GOLDEN])
def test_uniformity_has_its_golden_values(z: Tensor, value: float) -> None:
    assert_close(uniformity(z).item(), value, rtol=1e-12, atol=1e-15)
    assert_close(uniformity(z, 0.5).item(), value / 4, rtol=1e-12, atol=1e-15)


def test_alignment_of_opposite_views_is_two_to_the_alpha() -> None:
    z = normal(0, 5, 3)
    for alpha in (0.5, 1.0, 2.0, 3.0):
        assert_close(align_uniform(z, -3 * z, alpha=alpha).alignment.item(), 2.0**alpha, rtol=1e-12, atol=0)


@given(pair=views(), alpha=ALPHAS, t=WIDTHS)
def test_terms_stay_in_their_ranges(pair: Views, alpha: float, t: float) -> None:
    result = align_uniform(*pair, alpha=alpha, t=t)
    assert 0 <= result.alignment <= 2**alpha + 1e-12
    assert -4 * t - 1e-12 <= result.uniformity <= 1e-12
    assert -4 * t - 1e-12 <= info_nce_uniformity(*pair, t) <= 1e-12


# --- InfoNCE: what is exact -------------------------------------------------------------------------------------


@given(pair=views(), t=WIDTHS)
def test_info_nce_is_exactly_alignment_plus_its_own_uniformity(pair: Views, t: float) -> None:
    (z_a, z_b), tau = pair, 1 / (2 * t)
    loss, log_n = info_nce(z_a, z_b, tau), math.log(len(z_a))
    potential = info_nce_uniformity(z_a, z_b, t)
    assert_close(potential.item(), log_mean_potential(z_a, z_b, t, jensen=False), rtol=1e-9, atol=1e-11)
    assert_close(loss.total - log_n, t * align_uniform(z_a, z_b).alignment + potential, rtol=1e-9, atol=1e-11)
    assert_close(loss.contrast - log_n, 1 / tau + potential, rtol=1e-9, atol=1e-11)
    assert_close(loss.alignment, t * align_uniform(z_a, z_b).alignment - 1 / tau, rtol=1e-9, atol=1e-11)


@given(z=batches(), t=WIDTHS)
def test_counting_the_sample_itself_is_an_exact_mixture(z: Tensor, t: float) -> None:
    n = len(z)
    # mean_ij k = ( (N-1) mean_{i != j} k + mean_i k_ii ) / N, with k_ii = 1 for one view
    mixture = math.log(((n - 1) * math.exp(uniformity(z, t).item()) + 1) / n)
    assert_close(log_mean_potential(z, z, t, jensen=True), mixture, rtol=1e-9, atol=1e-11)


@given(pair=views(), t=WIDTHS)
def test_info_nce_uniformity_is_never_above_the_log_of_the_mean(pair: Views, t: float) -> None:
    assert info_nce_uniformity(*pair, t) <= log_mean_potential(*pair, t, jensen=True) + 1e-12


def test_info_nce_uniformity_reaches_the_log_of_the_mean_where_all_potentials_are_equal() -> None:
    for z in (simplex(5), torch.eye(4, dtype=F64), ANTIPODAL):
        value = info_nce_uniformity(z, z).item()
        assert_close(value, log_mean_potential(z, z, 2.0, jensen=True), rtol=1e-12, atol=0)


# --- InfoNCE: what holds only in the limit ----------------------------------------------------------------------


def circle(n: int) -> Tensor:
    angle = 2 * math.pi * torch.arange(n, dtype=F64) / n
    return torch.stack([angle.cos(), angle.sin()], dim=1)


def bessel_limit(t: float) -> float:
    """`log E exp(-t |x - y|^2)` of uniform points on the circle: `log( e^(-2t) I_0(2t) )`."""
    series = sum((t ** (2 * m)) / math.factorial(m) ** 2 for m in range(60))
    return -2 * t + math.log(series)


def test_the_limit_on_the_circle_is_the_known_one() -> None:
    assert_close(bessel_limit(2.0), -1.5750, rtol=0, atol=5e-5)


@pytest.mark.parametrize("t", [0.5, 2.0])
def test_on_the_evenly_spaced_circle_contrast_minus_log_n_has_reached_its_limit(t: float) -> None:
    tau = 1 / (2 * t)
    for n in (48, 96):
        z = circle(n)
        contrast = info_nce(z, z, tau).contrast - math.log(n)
        assert_close(contrast.item(), 1 / tau + bessel_limit(t), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("t", [0.5, 2.0])
def test_uniformity_which_leaves_the_sample_out_approaches_the_same_limit_as_one_over_n(t: float) -> None:
    limit = bessel_limit(t)
    for n in (50, 400):
        # mean_{i != j} k = (N m - 1) / (N - 1) with m = e^limit; so the gap is -(1 - m) / (m N) to first order
        gap = uniformity(circle(n), t).item() - limit
        assert_close(n * gap, -(1 - math.exp(limit)) / math.exp(limit), rtol=10 / n, atol=0)


def test_for_random_points_info_nce_approaches_its_limit_as_n_grows() -> None:
    deviations = []
    for n in (16, 128, 1024):
        draws = [normal(seed, n, 2) for seed in range(8)]
        values = [info_nce_uniformity(z, torch.roll(z, 1, 0)) - bessel_limit(2.0) for z in draws]
        deviations.append(torch.stack(values).square().mean().sqrt().item())
    assert deviations[0] > 3 * deviations[1] > 9 * deviations[2]
    assert deviations[2] < 0.01


@pytest.mark.parametrize("n", [4, 40, 400])
def test_jensens_gap_does_not_close_as_n_grows(n: int) -> None:
    z = torch.tensor([[1.0, 0.0]], dtype=F64).repeat(n, 1)
    z[: n // 4] *= -1  # one quarter at the south pole
    far = math.exp(-4 * 2.0)
    inside = 0.75 * math.log(0.75 + 0.25 * far) + 0.25 * math.log(0.25 + 0.75 * far)
    assert_close(info_nce_uniformity(z, z).item(), inside, rtol=1e-10, atol=0)
    # The logarithm of the mean is log(0.625 + 0.375 far), whatever N; uniformity comes to it as 1/N.
    outside = math.log(0.625 + 0.375 * far)
    assert abs(uniformity(z).item() - outside) < 1 / n
    assert outside - inside > 0.09


# --- InfoNCE near collapse --------------------------------------------------------------------------------------


def near(seed: int, size: float, n: int = 6, d: int = 4) -> Views:
    centre = F.normalize(normal(seed, d), dim=0)
    noise_a, noise_b = normal(seed + 1, n, d), normal(seed + 2, n, d)
    return F.normalize(centre + size * noise_a, dim=1), F.normalize(centre + size * noise_b, dim=1)


def expansion(a: Tensor, b: Tensor, tau: float) -> tuple[Tensor, Tensor]:
    """`log N + (1/2 tau)( mean_i |a_i - b_i|^2 - mean_ij |a_i - b_j|^2 )` and the distances."""
    distances = (a[:, None] - b[None]).square().sum(dim=2)
    return math.log(len(a)) + (distances.diagonal().mean() - distances.mean()) / (2 * tau), distances


@given(seed=seeds, size=st.sampled_from([1.0, 0.3, 0.1, 0.01]), tau=st.sampled_from([0.2, 1.0, 3.0]))
def test_info_nce_near_collapse_is_alignment_minus_spread_up_to_fourth_order(
    seed: int, size: float, tau: float
) -> None:
    a, b = near(seed, size)
    approximation, distances = expansion(a, b, tau)
    remainder = info_nce(a, b, tau).total - approximation
    # 0 <= log mean e^x - mean x <= range(x)^2 / 8 (Hoeffding), here with x = -|a_i - b_j|^2 / (2 tau)
    spread = (distances.amax(1) - distances.amin(1)) / (2 * tau)
    assert -1e-12 <= remainder <= spread.square().mean() / 8 + 1e-12


def test_the_remainder_near_collapse_falls_with_the_fourth_power() -> None:
    remainders = []
    for size in (0.02, 0.01):
        a, b = near(3, size)
        remainders.append((info_nce(a, b, 0.5).total - expansion(a, b, 0.5)[0]).item())
    assert remainders[0] > 1e-8
    assert_close(remainders[0] / remainders[1], 16.0, rtol=0.1, atol=0)


# --- gradients --------------------------------------------------------------------------------------------------


@given(z=batches(min_samples=3), t=WIDTHS)
def test_uniformity_gradient_has_its_closed_form(z: Tensor, t: float) -> None:
    u = [unit(x) for x in rows(z)]
    n, d = len(u), len(u[0])
    kernel = [[math.exp(-t * math.dist(x, y) ** 2) for y in u] for x in u]
    pairs = sum(kernel[i][j] for i in range(n) for j in range(i + 1, n))
    # dL/du_i = -2t sum_j w_ij (u_i - u_j),  w_ij = k_ij / sum of the pairs; then the chain rule of u = z/|z|
    free = [
        [-2 * t * sum(kernel[i][j] * (u[i][c] - u[j][c]) for j in range(n)) / pairs for c in range(d)] for i in range(n)
    ]
    leaf = torch.tensor(u, dtype=F64, requires_grad=True)
    (grad,) = torch.autograd.grad(uniformity_term(leaf, t), leaf)
    assert_close(grad, torch.tensor(free, dtype=F64), rtol=1e-8, atol=1e-10)
    expected = torch.tensor([oracles.tangent(g, x) for g, x in zip(free, rows(z))], dtype=F64)
    scale = 1 / z.norm(dim=1).min().item()
    # Only view A moves, so its half of the average counts.
    actual = gradient(z, normal(0, *z.shape), alignment=0.0, t=t)
    assert_close(actual, expected / 2, rtol=1e-7, atol=1e-10 * (1 + scale))


@given(pair=views(), alpha=st.sampled_from([1.0, 1.5, 2.0, 3.0]))
def test_alignment_gradient_has_its_closed_form(pair: Views, alpha: float) -> None:
    z_a, z_b = pair
    u, v = F.normalize(z_a, dim=1), F.normalize(z_b, dim=1)
    distance = (u - v).norm(dim=1, keepdim=True)
    # d|x|^alpha = alpha |x|^(alpha - 2) x, and 0 where the views coincide
    free = torch.where(distance > 0, alpha * distance.clamp(min=1e-300) ** (alpha - 2) * (u - v), 0.0) / len(u)
    expected = torch.tensor([oracles.tangent(g, x) for g, x in zip(rows(free), rows(z_a))], dtype=F64)
    scale = 1 / z_a.norm(dim=1).min().item()
    actual = gradient(z_a, z_b, uniformity=0.0, alpha=alpha)
    assert_close(actual, expected, rtol=1e-7, atol=1e-10 * (1 + scale))


@pytest.mark.parametrize("alpha", [0.5, 1.0, 1.5, 2.0, 3.0])
def test_alignment_of_coinciding_views_has_no_gradient_at_any_power(alpha: float) -> None:
    z = normal(0, 5, 3)
    assert torch.equal(gradient(z, z, uniformity=0.0, alpha=alpha), torch.zeros_like(z))


def test_align_uniform_passes_gradcheck_to_second_order() -> None:
    pair = tuple(normal(seed, 5, 3).requires_grad_() for seed in (0, 1))
    for alpha, t in ((2.0, 2.0), (1.0, 0.5)):
        assert torch.autograd.gradcheck(lambda a, b, p=alpha, t=t: align_uniform(a, b, alpha=p, t=t).total, pair)
    assert torch.autograd.gradgradcheck(lambda a, b: align_uniform(a, b).total, pair)
    assert torch.autograd.gradcheck(info_nce_uniformity, pair)


@given(pair=views(), seed=seeds)
def test_gradient_is_tangent_to_the_sphere(pair: Views, seed: int) -> None:
    grad = gradient(*pair)
    along = (grad * pair[0]).sum(dim=1)  # z . dL/dz = 0, because scale does not matter
    assert along.abs().max() <= 1e-10


# --- invariances ------------------------------------------------------------------------------------------------


@given(pair=views(min_dims=2), seed=seeds)
def test_align_uniform_ignores_rotation_scale_order_and_swap(pair: Views, seed: int) -> None:
    (z_a, z_b), value = pair, align_uniform(*pair)
    turn, order = rotation(seed, z_a.shape[1]), permutation(seed, len(z_a))
    scale = normal(seed, len(z_a), 1).abs() + 0.1
    for other in ((z_a @ turn, z_b @ turn), (scale * z_a, 7 * z_b), (z_a[order], z_b[order]), (z_b, z_a)):
        for moved, term in zip(align_uniform(*other), value):
            assert_close(moved, term, rtol=1e-9, atol=1e-10)


@given(pair=views(min_dims=2, min_samples=3), seed=seeds)
def test_uniformity_does_not_see_which_views_belong_together(pair: Views, seed: int) -> None:
    z_a, z_b = pair
    shuffled = align_uniform(z_a, z_b[permutation(seed, len(z_b))])
    assert_close(shuffled.uniformity, align_uniform(z_a, z_b).uniformity, rtol=1e-10, atol=1e-12)


def test_an_orthogonal_map_of_one_view_keeps_uniformity_and_changes_alignment() -> None:
    z = normal(0, 8, 3)
    moved = align_uniform(z, z @ rotation(1, 3))
    assert_close(moved.uniformity, uniformity(z), rtol=1e-10, atol=0)
    assert moved.alignment > 0.1


# --- collapse ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("constant", [[0.5, -1.0, 2.0], [3.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
@pytest.mark.parametrize("n", [2, 5])
def test_collapse_scores_zero_in_every_term_and_has_no_gradient(constant: list[float], n: int) -> None:
    z = torch.tensor(constant, dtype=F64).expand(n, 3).contiguous()
    for term in (*align_uniform(z, z), info_nce_uniformity(z, z)):
        assert_close(term.item(), 0.0, rtol=0, atol=1e-14)
    assert gradient(z, z).abs().max() <= 1e-15


@pytest.mark.parametrize(("n", "d", "t", "length"), [(4, 3, 2.0, 1.0), (3, 2, 0.5, 2.0), (2, 4, 2.0, 0.5)])
def test_uniformity_at_collapse_curves_down_by_four_t_over_n_minus_one(n: int, d: int, t: float, length: float) -> None:
    constant = length * F.normalize(normal(0, d), dim=0)
    # The loss of two equal views is the uniformity of either; their alignment stays 0.
    hessian = torch.autograd.functional.hessian(
        lambda x: align_uniform(constant + x, constant + x, t=t).total, torch.zeros(n, d, dtype=F64)
    )
    expected = torch.zeros(n * d, dtype=F64)
    expected[: (n - 1) * (d - 1)] = -4 * t / ((n - 1) * length**2)
    assert_close(torch.linalg.eigvalsh(hessian.reshape(n * d, n * d)), expected, rtol=1e-9, atol=1e-9)


def test_alignment_alone_calls_collapse_perfect_and_uniformity_calls_it_worst() -> None:
    constant, spread = torch.ones(4, 4, dtype=F64), torch.eye(4, dtype=F64)
    assert align_uniform(constant, constant, uniformity=0.0).total == 0
    assert align_uniform(spread, spread).total < align_uniform(constant, constant).total - 3


# --- input ------------------------------------------------------------------------------------------------------

FUNCTIONS = [align_uniform, info_nce_uniformity]
each_function = pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)


def terms(result: Any) -> list[Tensor]:
    return list(result) if isinstance(result, tuple) else [result]


@each_function
@pytest.mark.parametrize("side", ["z_a", "z_b"])
@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        ([[1.0]], TypeError, r"must be a torch.Tensor of shape \(N, D\); got list"),
        (torch.ones(3), ValueError, r"must have shape \(N, D\).* got shape \(3,\)"),
        (torch.ones(1, 3), ValueError, r"needs at least 2 samples .* got shape \(1, 3\)"),
        (torch.ones(3, 3).long(), TypeError, "must be floating point; got a int64 tensor"),
        (torch.full((2, 2), math.nan), ValueError, "must be finite; got 4 NaN"),
    ],
)
def test_bad_embeddings_are_named(function: Any, side: str, bad: Any, error: type[Exception], message: str) -> None:
    good = torch.ones(2, 2)
    with pytest.raises(error, match=f"^{side} {message}"):
        function(bad, good) if side == "z_a" else function(good, bad)


@each_function
def test_views_of_different_shapes_are_both_named(function: Any) -> None:
    with pytest.raises(ValueError, match=r"^z_a and z_b must have the same shape .* \(4, 3\) and \(4, 2\)"):
        function(torch.ones(4, 3), torch.ones(4, 2))


@pytest.mark.parametrize(
    ("setting", "bad", "wanted"),
    [("alignment", -1.0, ">= 0"), ("uniformity", math.nan, ">= 0"), ("alpha", 0.0, "> 0"), ("t", -2.0, "> 0")],
)
def test_bad_settings_are_named(setting: str, bad: float, wanted: str) -> None:
    z = normal(0, 4, 3)
    with pytest.raises(ValueError, match=f"^{setting} must be a finite number {wanted}; got {bad}"):
        align_uniform(z, z, **{setting: bad})
    with pytest.raises(TypeError, match=f"^{setting} must be a finite number {wanted}; got '1'"):
        align_uniform(z, z, **{setting: "1"})
    with pytest.raises(ValueError, match=r"^t must be a finite number > 0; got 0"):
        info_nce_uniformity(z, z, 0)


@each_function
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_16_bit_input_is_computed_in_float32(function: Any, dtype: torch.dtype) -> None:
    z_a, z_b = normal(0, 20, 6).to(dtype), normal(1, 20, 6).to(dtype)
    for low, rounded in zip(terms(function(z_a, z_b)), terms(function(z_a.float(), z_b.float()))):
        assert low.dtype == torch.float32
        assert torch.equal(low, rounded)


@each_function
def test_autocast_changes_nothing(function: Any) -> None:
    z_a, z_b = normal(0, 20, 6).float(), normal(1, 20, 6).float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = terms(function(z_a, z_b))
    for low, full in zip(inside, terms(function(z_a, z_b))):
        assert torch.equal(low, full)


def test_the_result_is_named_scalars_with_total_first() -> None:
    result = align_uniform(normal(0, 4, 3), normal(1, 4, 3))
    assert result._fields == ("total", "alignment", "uniformity")
    assert all(term.shape == () for term in result)
