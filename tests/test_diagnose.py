"""Collapse diagnostics: values, the chain of ranks, invariances, what each one cannot see."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import oracles
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from oracles import batches, normal, permutation, rotation, seeds, views
from torch import Tensor
from torch.testing import assert_close

from jemlib import diagnose as module
from jemlib.diagnose import (
    Diagnosis,
    alignment,
    assignment_entropy,
    centered_rankme,
    correlation_offdiagonal,
    covariance_spectrum,
    diagnose,
    directional_spread,
    normalized_std,
    participation_ratio,
    rankme,
    uniformity,
)

Measure = Callable[..., Tensor]
Views = tuple[Tensor, Tensor]
MEASURES: list[Measure] = [
    normalized_std,
    directional_spread,
    rankme,
    centered_rankme,
    participation_ratio,
    covariance_spectrum,
    correlation_offdiagonal,
    uniformity,
]
each_measure = pytest.mark.parametrize("measure", MEASURES, ids=lambda f: f.__name__)


def eye(n: int) -> Tensor:
    return torch.eye(n, dtype=torch.float64)


def line(d: int, n: int = 6) -> Tensor:
    """Half the embeddings at (1, ..., 1)/sqrt D, half at its opposite: a perfect dimensional collapse."""
    signs = torch.tensor([1.0, -1.0], dtype=torch.float64).repeat(n // 2)
    return signs[:, None] * torch.ones(d, dtype=torch.float64) / math.sqrt(d)


def axis(d: int, n: int = 6) -> Tensor:
    """Half the embeddings at e1, half at -e1."""
    signs = torch.tensor([1.0, -1.0], dtype=torch.float64).repeat(n // 2)
    return signs[:, None] * eye(d)[0]


# --- values ----------------------------------------------------------------------------------------------------


@given(z=batches(min_samples=3))
def test_measures_equal_the_written_out_sums(z: Tensor) -> None:
    for measure in (normalized_std, rankme, participation_ratio):
        expected = getattr(oracles, measure.__name__)(z)
        assert_close(measure(z).item(), expected, rtol=1e-7, atol=1e-9)
    spectrum = torch.tensor(oracles.covariance_spectrum(z), dtype=torch.float64)
    assert_close(covariance_spectrum(z), spectrum, rtol=1e-8, atol=1e-12 * spectrum[0].item())


@given(z=batches(min_samples=3, min_dims=2))
def test_correlation_equals_the_written_out_sums(z: Tensor) -> None:
    assert_close(correlation_offdiagonal(z).item(), oracles.correlation_offdiagonal(z), rtol=1e-8, atol=1e-10)


@given(z=batches(), t=st.sampled_from([0.5, 2.0, 5.0]))
def test_uniformity_equals_the_written_out_sums(z: Tensor, t: float) -> None:
    assert_close(uniformity(z, t).item(), oracles.uniformity(z, t), rtol=1e-9, atol=1e-11)


@given(pair=views(), alpha=st.sampled_from([1.0, 2.0, 3.5]))
def test_alignment_equals_the_written_out_sums(pair: Views, alpha: float) -> None:
    # |u - v| of nearly equal unit vectors has few digits left: an absolute tolerance
    assert_close(alignment(*pair, alpha).item(), oracles.alignment(*pair, alpha), rtol=1e-9, atol=1e-9)


def test_ranks_of_diag_3_1_have_their_golden_values() -> None:
    z = torch.diag(torch.tensor([3.0, 1.0], dtype=torch.float64))
    assert_close(rankme(z).item(), 1.7547652933937916, rtol=1e-12, atol=0)
    assert_close(participation_ratio(z).item(), 1.2195121951219512, rtol=1e-12, atol=0)


def test_uniformity_has_its_golden_values() -> None:
    simplex = eye(3) - 1 / 3
    antipodal = torch.tensor([[1.0, 0.0], [-2.0, 0.0]], dtype=torch.float64)
    constant = torch.tensor([[0.6, 0.8]], dtype=torch.float64).repeat(4, 1)
    for z, value in ((simplex, -6.0), (eye(5), -4.0), (antipodal, -8.0), (constant, 0.0)):
        assert_close(uniformity(z).item(), value, rtol=1e-12, atol=1e-15)
    assert_close(uniformity(eye(6) - 1 / 6).item(), -4 * 6 / 5, rtol=1e-12, atol=0)


def test_uniformity_of_the_sphere_approaches_its_integral() -> None:
    # log( e^-4 0F1(; D/2; 4) ): -1.5750 at D = 2, -3.5130 at D = 16
    for d, value in ((2, -1.5750), (16, -3.5130)):
        assert_close(uniformity(normal(0, 3000, d)).item(), value, rtol=0, atol=0.02)


def test_rankme_of_orthogonal_columns_is_their_number() -> None:
    assert_close(rankme(rotation(0, 8)).item(), 8.0, rtol=2e-6, atol=0)
    assert_close(rankme(normal(0, 64, 1) @ normal(1, 1, 2048)).item(), 1.0, rtol=0, atol=2e-4)


def test_the_centred_rankme_is_rankme_of_what_is_left_without_the_mean_and_ignores_an_offset() -> None:
    z = normal(0, 2000, 8) @ torch.diag(torch.tensor([1.0, 0.5, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1], dtype=torch.float64))
    assert_close(centered_rankme(z), rankme(z - z.mean(dim=0)), rtol=1e-10, atol=0)
    assert_close(centered_rankme(z + 5), centered_rankme(z), rtol=1e-9, atol=0)
    assert rankme(z + 5) < 0.7 * centered_rankme(z)


def test_the_centred_rankme_takes_noise_around_a_constant_for_full_rank() -> None:
    noisy = 0.5 + 1e-3 * normal(0, 400, 16)
    assert centered_rankme(noisy) > 15
    assert rankme(noisy) < 1.1
    assert directional_spread(noisy) < 1e-4


def test_rankme_is_not_centred_and_a_common_offset_lowers_it() -> None:
    z = normal(0, 5000, 8)
    assert rankme(z) > 7.9
    assert_close(rankme(z + 5).item(), 3.56, rtol=0, atol=0.05)


def test_alignment_of_opposite_views_is_two_to_the_alpha() -> None:
    z = normal(0, 5, 3)
    for alpha in (1, 2, 3):
        assert_close(alignment(z, -2 * z, alpha).item(), 2.0**alpha, rtol=1e-12, atol=0)
    assert alignment(z, z) == 0


def test_covariance_spectrum_is_unbiased_centred_descending_and_padded() -> None:
    z = torch.tensor([[1.0, 5.0, 7.0], [-1.0, 5.0, 7.0]], dtype=torch.float64)
    assert_close(covariance_spectrum(z), torch.tensor([2.0, 0.0, 0.0], dtype=torch.float64), rtol=1e-12, atol=1e-12)
    values = covariance_spectrum(normal(0, 9, 5))
    assert torch.equal(values, values.sort(descending=True).values)
    assert_close(values, torch.linalg.eigvalsh(torch.cov(normal(0, 9, 5).T)).flip(0), rtol=1e-9, atol=0)


def test_correlation_is_one_for_copies_and_leaves_out_constant_dimensions() -> None:
    z = normal(0, 6, 1)
    assert_close(correlation_offdiagonal(torch.cat([z, -2 * z, z + 1], 1)).item(), 1.0, rtol=1e-12, atol=0)
    varied = normal(1, 6, 3)
    # 0.1: the mean of equal numbers is rounded, so the variance is not exactly 0
    with_constant = torch.cat([varied, torch.full((6, 2), 0.1, dtype=torch.float64)], 1)
    assert_close(correlation_offdiagonal(with_constant), correlation_offdiagonal(varied), rtol=1e-12, atol=0)
    assert correlation_offdiagonal(z) == 0
    assert correlation_offdiagonal(torch.ones(4, 3)) == 0


# --- ranges and chains -----------------------------------------------------------------------------------------


@given(z=batches(), seed=seeds, rank=st.integers(1, 4))
def test_the_ranks_are_ordered(z: Tensor, seed: int, rank: int) -> None:
    z = z @ normal(seed, z.shape[1], rank) @ normal(seed + 1, rank, 5)
    most = min(rank, *z.shape)
    # 1 <= PR <= exp(H(lambda)) <= RankMe <= rank
    chain = [1.0, participation_ratio(z).item(), oracles.entropy_rank(z), rankme(z).item(), float(most)]
    for smaller, larger in pairwise(chain):
        assert smaller <= larger * (1 + 1e-4)


@given(z=batches())
def test_normalized_std_and_spread_stay_in_range_and_bound_each_other(z: Tensor) -> None:
    std, spread = normalized_std(z), directional_spread(z)
    assert 0 <= std <= 1 + 1e-12
    assert std.square() <= spread + 1e-12
    # sum_j std_j^2 = 1 - |mean u|^2, exactly
    mean = oracles.column_means([oracles.unit(row) for row in oracles.rows(z)])
    assert_close(spread.item(), 1 - oracles.dot(mean, mean), rtol=0, atol=1e-12)


@given(pair=views())
def test_alignment_uniformity_and_correlation_stay_in_range(pair: Views) -> None:
    assert 0 <= alignment(*pair) <= 4 + 1e-12
    assert -8 - 1e-12 <= uniformity(pair[0]) <= 1e-12
    assert 0 <= correlation_offdiagonal(pair[0]) <= 1 + 1e-12


def test_isotropic_embeddings_score_one() -> None:
    z = torch.cat([eye(4), -eye(4)])
    assert_close(normalized_std(z).item(), 1.0, rtol=1e-12, atol=0)
    assert_close(directional_spread(z).item(), 1.0, rtol=1e-12, atol=0)
    assert_close(rankme(z).item(), 4.0, rtol=2e-6, atol=0)


# --- invariances -----------------------------------------------------------------------------------------------


@each_measure
@given(z=batches(min_samples=3), seed=seeds)
def test_measures_ignore_the_order_of_the_samples(measure: Measure, z: Tensor, seed: int) -> None:
    value = measure(z)
    assert_close(measure(z[permutation(seed, len(z))]), value, rtol=1e-7, atol=1e-9 * (1 + value.abs().max().item()))


@given(z=batches(min_samples=3), seed=seeds)
def test_ranks_spread_and_uniformity_ignore_rotation(z: Tensor, seed: int) -> None:
    turned = z @ rotation(seed, z.shape[1])
    for measure in (rankme, centered_rankme, participation_ratio, directional_spread, uniformity):
        assert_close(measure(turned), measure(z), rtol=1e-7, atol=1e-9)
    spectrum = covariance_spectrum(z)
    assert_close(covariance_spectrum(turned), spectrum, rtol=1e-7, atol=1e-12 * spectrum[0].item())


def test_normalized_std_and_correlation_see_rotation() -> None:
    turn = torch.tensor([[1.0, 1.0], [-1.0, 1.0]], dtype=torch.float64) / math.sqrt(2)
    assert abs(normalized_std(axis(2) @ turn) - normalized_std(axis(2))) > 0.2
    assert abs(correlation_offdiagonal(axis(2) @ turn) - correlation_offdiagonal(axis(2))) > 0.9


@pytest.mark.parametrize("scale", [1e-30, 1e-3, 1e30])
def test_all_but_the_spectrum_ignore_scale(scale: float) -> None:
    z = normal(0, 6, 4)
    for measure in MEASURES:
        factor = scale**2 if measure is covariance_spectrum else 1.0
        # F.normalize treats rows shorter than 1e-12 as zero, so the cosine measures stop there.
        cosines = measure in (normalized_std, directional_spread, uniformity)
        if scale > 1e-12 or not cosines:
            assert_close(measure(scale * z), factor * measure(z), rtol=1e-9, atol=0)


@given(z=batches(min_samples=3), seed=seeds)
def test_spectrum_and_correlation_ignore_a_shift(z: Tensor, seed: int) -> None:
    moved = z + z.abs().max() * normal(seed, z.shape[1])
    spectrum = covariance_spectrum(z)
    assert_close(covariance_spectrum(moved), spectrum, rtol=1e-7, atol=1e-11 * spectrum[0].item())
    assert_close(correlation_offdiagonal(moved), correlation_offdiagonal(z), rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("entries", [1, 7, 20, 10**6])
def test_uniformity_does_not_depend_on_the_block_size(entries: int, monkeypatch: pytest.MonkeyPatch) -> None:
    z = normal(0, 7, 3)
    monkeypatch.setattr(module, "_UNIFORMITY_ENTRIES", entries)
    assert_close(uniformity(z).item(), oracles.uniformity(z, 2.0), rtol=1e-12, atol=0)


# --- what each cannot see --------------------------------------------------------------------------------------


@pytest.mark.parametrize("d", [2, 16, 128])
def test_normalized_std_cannot_see_a_line_through_the_diagonal(d: int) -> None:
    assert_close(normalized_std(line(d)).item(), 1.0, rtol=1e-12, atol=0)
    assert_close(rankme(line(d)).item(), 1.0, rtol=2e-5, atol=0)
    assert_close(participation_ratio(line(d)).item(), 1.0, rtol=1e-9, atol=0)


@pytest.mark.parametrize("d", [2, 16, 128])
def test_normalized_std_takes_a_line_along_an_axis_for_a_smaller_one(d: int) -> None:
    assert_close(normalized_std(axis(d)).item(), 1 / math.sqrt(d), rtol=1e-12, atol=0)
    assert_close(directional_spread(axis(d)).item(), 1.0, rtol=1e-12, atol=0)


def test_alignment_cannot_see_collapse() -> None:
    assert alignment(torch.ones(4, 3), torch.ones(4, 3)) == 0


# --- collapse --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [0.0, 0.1, 3.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_constant_output_is_the_worst_on_every_scale(value: float, dtype: torch.dtype) -> None:
    z = torch.full((6, 4), value, dtype=dtype)
    expected = {normalized_std: 0.0, directional_spread: 0.0, rankme: 1.0, participation_ratio: 1.0, uniformity: 0.0}
    expected[centered_rankme] = 1.0
    for measure, worst in expected.items():
        assert_close(measure(z).item(), worst, rtol=1e-5, atol=2e-6)
    assert_close(covariance_spectrum(z), torch.zeros(4, dtype=dtype), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("n", "d", "t", "length"), [(4, 3, 2.0, 1.0), (3, 4, 1.0, 2.0)])
def test_uniformity_at_collapse_curves_down_by_four_t_over_n_minus_one(n: int, d: int, t: float, length: float) -> None:
    constant = torch.zeros(n, d, dtype=torch.float64)
    constant[:, 0] = length
    hessian = torch.autograd.functional.hessian(lambda x: uniformity(constant + x, t), torch.zeros_like(constant))
    # -4t / ((N-1) |c|^2) for (N-1)(D-1) directions. Through torch.pdist it would be wrong.
    expected = torch.zeros(n * d, dtype=torch.float64)
    expected[: (n - 1) * (d - 1)] = -4 * t / ((n - 1) * length**2)
    assert_close(torch.linalg.eigvalsh(hessian.reshape(n * d, n * d)), expected, rtol=1e-9, atol=1e-9)


def test_uniformity_passes_gradcheck_and_has_its_closed_form_gradient() -> None:
    z = normal(0, 5, 3).requires_grad_()
    assert torch.autograd.gradcheck(uniformity, (z,))
    (grad,) = torch.autograd.grad(uniformity(z), z)
    # dL/du_i = -2t sum_j w_ij (u_i - u_j), then the tangent projection of u = z/|z|
    z_rows = oracles.rows(z.detach())
    u = [oracles.unit(row) for row in z_rows]
    kernel = [[math.exp(-2 * math.dist(x, y) ** 2) for y in u] for x in u]
    total = sum(kernel[i][j] for i in range(5) for j in range(i + 1, 5))
    expected = []
    for i in range(5):
        g = [-4 * sum(kernel[i][j] / total * (u[i][k] - u[j][k]) for j in range(5) if j != i) for k in range(3)]
        expected.append(oracles.tangent(g, z_rows[i]))
    assert_close(grad, torch.tensor(expected, dtype=torch.float64), rtol=1e-10, atol=1e-13)


# --- assignment entropy ----------------------------------------------------------------------------------------


def test_assignment_entropy_tells_both_collapses_from_health() -> None:
    n, k = 12, 4
    one_cluster = eye(k)[[0] * n]
    flat = torch.full((n, k), 1 / k, dtype=torch.float64)
    healthy = eye(k).repeat(n // k, 1)
    for p, usage, per_sample in ((one_cluster, 0, 0), (flat, math.log(k), math.log(k)), (healthy, math.log(k), 0)):
        result = assignment_entropy(p)
        assert_close([x.item() for x in result], [float(usage), float(per_sample)], rtol=1e-12, atol=1e-15)


@given(z=batches(min_dims=2))
def test_assignment_entropy_equals_the_written_out_sums(z: Tensor) -> None:
    p = torch.softmax(z, dim=1)
    usage = -sum(q * math.log(q) for q in oracles.column_means(oracles.rows(p)))
    per_sample = -sum(q * math.log(q) for row in oracles.rows(p) for q in row if q > 0) / len(p)
    result = assignment_entropy(p)
    assert_close([result.usage.item(), result.per_sample.item()], [usage, per_sample], rtol=1e-10, atol=1e-12)
    assert -1e-12 <= result.usage - result.per_sample <= math.log(z.shape[1]) + 1e-12


def test_assignment_entropy_rejects_logits_and_accepts_16_bits() -> None:
    with pytest.raises(ValueError, match=r"^probabilities must have .* rows that sum to 1 .* smallest entry of -1 "):
        assignment_entropy(torch.tensor([[-1.0, 2.0]]))
    with pytest.raises(ValueError, match="row sums from 2 to 2"):
        assignment_entropy(torch.ones(3, 2))
    p = torch.softmax(normal(0, 4, 300), dim=1)
    assert_close(assignment_entropy(p.bfloat16()).usage.item(), assignment_entropy(p).usage.item(), rtol=1e-2, atol=0)


# --- diagnose --------------------------------------------------------------------------------------------------


def test_diagnose_holds_what_the_functions_measure() -> None:
    z_a, z_b = normal(0, 20, 5), normal(1, 20, 5)
    result = diagnose(z_a, z_b)
    assert result[:2] == (20, 5)
    measured = (normalized_std, directional_spread, rankme, participation_ratio, correlation_offdiagonal, uniformity)
    for value, measure in zip(result[2:8], measured):
        assert type(value) is float
        assert value == measure(z_a).item()
    assert result.alignment == alignment(z_a, z_b).item()
    assert diagnose(z_a).alignment is None


VERDICTS = [
    ("healthy", normal(0, 64, 16), r"^no collapse seen: normalised std 0\.\d+, .*RankMe 15\.\d of 16 \(not < 2\.5\)"),
    ("constant", torch.ones(8, 16), r"^complete collapse: normalised std .* < 0\.1 and directional spread .* < 0\.1"),
    ("zero", torch.zeros(8, 16), r"^complete collapse: normalised std 0 < 0\.1"),
    ("nearly constant", 1 + 0.01 * normal(0, 64, 16), r"^complete collapse: normalised std 0\.0"),
    ("diagonal line", line(128, 64), r"^dimensional collapse: RankMe 1\.0 of 64 < 7\.3"),
    ("axis of 128", axis(128, 256), r"^dimensional collapse: RankMe 1\.0 of 128 < 13\.7"),
    ("line in 2", line(2), r"^dimensional collapse: RankMe 1\.0 of 2 < 1\.1"),
    ("rank 3", normal(0, 256, 3) @ normal(1, 3, 128), r"^dimensional collapse: RankMe (3\.0|2\.\d) of 128 < 13\.7"),
    ("one dimension", normal(0, 64, 1), r"^no collapse seen"),
]


@pytest.mark.parametrize(("z", "verdict"), [v[1:] for v in VERDICTS], ids=[v[0] for v in VERDICTS])
def test_the_verdict_says_what_is_seen_with_numbers_and_thresholds(z: Tensor, verdict: str) -> None:
    text = diagnose(z).verdict
    assert re.search(verdict, text), text
    assert text.endswith("the thresholds are conventions.")


def test_a_diagnosis_prints_as_a_table_that_ends_with_the_verdict() -> None:
    with_pair, alone = diagnose(normal(0, 20, 5), normal(1, 20, 5)), diagnose(normal(0, 20, 5))
    lines = str(with_pair).splitlines()
    assert lines[0] == "20 embeddings of 5 dimensions"
    assert lines[-1] == with_pair.verdict
    assert f"{with_pair.rankme:.3f}" in str(with_pair)
    assert "alignment" in str(with_pair)
    assert "alignment" not in str(alone)
    assert max(len(line) for line in lines[:-1]) <= 88


# --- input -----------------------------------------------------------------------------------------------------

BAD: list[tuple[Any, type[Exception], str]] = [
    ([[1.0, 2.0]], TypeError, r"must be a torch.Tensor of shape \(N, D\); got list"),
    (torch.ones(4), ValueError, r"must have shape \(N, D\).* got shape \(4,\)"),
    (torch.ones(4, 2).long(), TypeError, "must be floating point; got a int64 tensor"),
    (torch.ones(1, 2), ValueError, r"needs at least 2 samples .* got shape \(1, 2\)"),
    (torch.tensor([[1.0, math.nan], [0.0, 1.0]]), ValueError, r"must be finite; got 1 NaN .* at index \(0, 1\)"),
]


@pytest.mark.parametrize("measure", [*MEASURES, diagnose], ids=lambda f: f.__name__)
@pytest.mark.parametrize(("bad", "error", "message"), BAD, ids=["list", "vector", "integers", "one sample", "NaN"])
def test_measures_say_what_is_wrong_with_their_input(
    measure: Callable[..., Any], bad: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=f"^z {message}"):
        measure(bad)


def test_settings_and_second_views_are_named() -> None:
    z = torch.ones(4, 2)
    for call, name in ((rankme, "eps"), (centered_rankme, "eps"), (uniformity, "t")):
        for value in (0, -1, math.nan):
            with pytest.raises(ValueError, match=rf"^{name} must be a finite number > 0; got {value}"):
                call(z, value)
    with pytest.raises(ValueError, match=r"^alpha must be a finite number > 0; got 0"):
        alignment(z, z, alpha=0)
    with pytest.raises(ValueError, match=r"^z_a and z_b must have the same shape .* \(4, 2\) and \(3, 2\)"):
        alignment(z, z[:3])
    with pytest.raises(ValueError, match=r"^z and z_b must have the same shape .* \(4, 2\) and \(3, 2\)"):
        diagnose(z, z[:3])


@each_measure
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_sixteen_bit_embeddings_are_measured_in_float32(measure: Measure, dtype: torch.dtype) -> None:
    z = normal(0, 32, 8, dtype=dtype)
    assert measure(z).dtype == torch.float32
    assert_close(measure(z), measure(z.float()), rtol=1e-6, atol=1e-7)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert_close(measure(z), measure(z.float()), rtol=1e-6, atol=1e-7)


def test_inference_tensors_and_graphs_are_diagnosed_alike() -> None:
    with torch.inference_mode():
        z = normal(0, 16, 4)
    assert z.is_inference()
    plain = normal(0, 16, 4)
    assert diagnose(z, z) == diagnose(plain, plain) == diagnose(plain.requires_grad_(), plain)
    with torch.inference_mode():
        assert isinstance(diagnose(z), Diagnosis)


@pytest.mark.cuda
def test_diagnose_agrees_between_cpu_and_gpu() -> None:
    z_a, z_b = normal(0, 64, 16, dtype=torch.float32), normal(1, 64, 16, dtype=torch.float32)
    with torch.autocast("cuda", dtype=torch.bfloat16):
        on_gpu = diagnose(z_a.cuda(), z_b.cuda())
    for x, y in zip(on_gpu[2:-1], diagnose(z_a, z_b)[2:-1]):
        assert x == pytest.approx(y, rel=1e-4, abs=1e-5)
    p = torch.softmax(z_a, 1)
    assert_close(assignment_entropy(p.cuda()).usage.cpu(), assignment_entropy(p).usage, rtol=1e-5, atol=1e-6)
