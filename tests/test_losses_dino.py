"""DINO: values, pairs, gradients, the centre, invariances, both collapses, bad input."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from oracles import log_sum_exp, normal, permutation, rows, seeds
from torch import Tensor
from torch.testing import assert_close

from jemlib.losses import balanced_center, dino, sinkhorn, update_center

Batch = tuple[list[Tensor], list[Tensor], Tensor]
F64 = torch.float64


def batch(seed: int = 0, views: int = 3, teachers: int = 2, n: int = 5, k: int = 4, scale: float = 0.2) -> Batch:
    student = [scale * normal(seed + i, n, k) for i in range(views)]
    teacher = [scale * normal(seed + 100 + i, n, k) for i in range(teachers)]
    return student, teacher, 0.1 * normal(seed + 200, k)


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    views = draw(st.integers(2, 4))
    shape = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    return batch(draw(seeds), views, draw(st.integers(1, views)), *shape, draw(st.sampled_from([0.01, 0.2, 3.0])))


def log_softmax(values: list[float]) -> list[float]:
    normaliser = log_sum_exp(values)
    return [v - normaliser for v in values]


def oracle(student: list[Tensor], teacher: list[Tensor], c: Tensor, tau_s: float, tau_t: float) -> tuple[float, ...]:
    """Total, entropy and divergence, pair by pair and sample by sample."""
    totals, entropies, divergences = [], [], []
    for t, g_t in enumerate(teacher):
        for s, g_s in enumerate(student):
            if s == t:
                continue
            for row_t, row_s in zip(rows(g_t), rows(g_s)):
                log_t = log_softmax([(g - shift) / tau_t for g, shift in zip(row_t, c.tolist())])
                log_s = log_softmax([g / tau_s for g in row_s])
                totals.append(-sum(math.exp(a) * b for a, b in zip(log_t, log_s)))
                entropies.append(-sum(math.exp(a) * a for a in log_t))
                divergences.append(sum(math.exp(a) * (a - b) for a, b in zip(log_t, log_s)))
    return tuple(sum(x) / len(x) for x in (totals, entropies, divergences))


# --- values ----------------------------------------------------------------------------------------------------


@given(x=batches(), tau_s=st.sampled_from([0.1, 1.0]), tau_t=st.sampled_from([0.04, 0.5]))
def test_dino_equals_the_written_out_cross_entropies(x: Batch, tau_s: float, tau_t: float) -> None:
    for term, expected in zip(dino(*x, tau_s, tau_t), oracle(*x, tau_s, tau_t)):
        assert_close(term.item(), expected, rtol=1e-9, atol=1e-10)


@given(x=batches())
def test_total_is_teacher_entropy_plus_a_divergence_that_is_never_negative(x: Batch) -> None:
    total, entropy, kl = dino(*x)
    assert_close(total, entropy + kl, rtol=1e-12, atol=1e-13)
    assert -1e-12 <= entropy <= math.log(len(x[2])) + 1e-12
    assert kl >= -1e-12


def test_golden_dino1_zero_logits_cost_log_k() -> None:
    zeros = [torch.zeros(3, 5, dtype=F64)] * 2
    total, entropy, kl = dino(zeros, zeros, torch.zeros(5, dtype=F64))
    assert_close([total.item(), entropy.item()], [1.6094379124341003] * 2, rtol=1e-12, atol=0)
    assert abs(kl) < 1e-15


def test_golden_k2_teacher_with_odds_three_to_one() -> None:
    # g_t = (tau_t ln 3, 0): P_t = (3/4, 1/4); the student is uniform
    teacher = [torch.tensor([[0.04 * math.log(3), 0.0]], dtype=F64)]
    student = [torch.zeros(1, 2, dtype=F64)] * 2
    total, entropy, kl = dino(student, teacher, torch.zeros(2, dtype=F64))
    assert_close(total.item(), math.log(2), rtol=1e-12, atol=0)
    assert_close(entropy.item(), 0.5623351446188083, rtol=1e-12, atol=0)
    assert_close(kl.item(), math.log(2) - 0.5623351446188083, rtol=1e-12, atol=0)


def test_erratum_e23_default_teacher_is_sharper_than_the_student() -> None:
    logits = [0.2 * normal(0, 6, 5)] * 2
    centre = torch.zeros(5, dtype=F64)
    as_sharp = dino(logits, logits, centre, 0.1, 0.1)
    assert_close(as_sharp.kl.item(), 0.0, rtol=0, atol=1e-12)
    assert dino(logits, logits, centre).teacher_entropy < as_sharp.teacher_entropy
    assert dino(logits, logits, centre).kl > 0.01


@pytest.mark.parametrize(("views", "teachers"), [(2, 2), (6, 2), (2, 1), (3, 3)])
def test_pairs_of_the_same_view_are_skipped_and_the_rest_averaged(views: int, teachers: int) -> None:
    student, teacher, centre = batch(0, views, teachers)
    single = [
        dino([student[s], student[s]], [teacher[t]], centre).total
        for t in range(teachers)
        for s in range(views)
        if s != t
    ]
    assert len(single) == teachers * (views - 1)  # two global and V local views: 2 (V + 1)
    assert_close(dino(student, teacher, centre).total, torch.stack(single).mean(), rtol=1e-12, atol=0)


def test_a_students_view_never_meets_its_own_teacher() -> None:
    student, teacher, centre = batch(views=2, teachers=1)
    free = [view.requires_grad_() for view in student]
    dino(free, teacher, centre).total.backward()
    assert free[0].grad is None  # the only teacher saw view 0
    assert free[1].grad is not None
    assert free[1].grad.abs().max() > 0


def test_local_views_are_for_the_student_only_and_count() -> None:
    student, teacher, centre = batch(views=3)
    changed = [*student[:2], student[2] + normal(9, 5, 4)]
    assert abs(dino(changed, teacher, centre).total - dino(student, teacher, centre).total) > 1e-3


# --- gradients -------------------------------------------------------------------------------------------------


def test_dino_passes_gradcheck_to_second_order() -> None:
    student, teacher, centre = batch(n=3)

    def total(*views: Tensor) -> Tensor:
        return dino(list(views), teacher, centre).total

    variables = tuple(view.requires_grad_() for view in student)
    assert torch.autograd.gradcheck(total, variables)
    assert torch.autograd.gradgradcheck(total, variables)


@given(x=batches(), tau_s=st.sampled_from([0.1, 0.7]))
def test_gradient_is_the_difference_of_probabilities_and_its_rows_sum_to_zero(x: Batch, tau_s: float) -> None:
    student, teacher, centre = x
    free = [view.clone().requires_grad_() for view in student]
    gradients = torch.autograd.grad(dino(free, teacher, centre, tau_s).total, free, allow_unused=True)
    p_t = [((view - centre) / 0.04).softmax(dim=1) for view in teacher]
    pairs = len(teacher) * (len(student) - 1)
    for s, view in enumerate(student):
        # dL/dg_s = (1 / pairs) sum_{t != s} (P_s - P_t) / (tau_s N)
        p_s = (view / tau_s).softmax(dim=1)
        terms = [(p_s - p) / (tau_s * len(view) * pairs) for t, p in enumerate(p_t) if t != s]
        expected = torch.stack(terms).sum(dim=0) if terms else torch.zeros_like(view)
        actual = torch.zeros_like(view) if gradients[s] is None else gradients[s]
        assert_close(actual, expected, rtol=1e-9, atol=1e-11)
        assert actual.sum(dim=1).abs().max() < 1e-10


def test_neither_teacher_nor_centre_gets_a_gradient() -> None:
    student, teacher, centre = batch()
    free = [view.requires_grad_() for view in [*student, *teacher]] + [centre.requires_grad_()]
    result = dino(free[:3], free[3:5], free[5])
    result.total.backward()
    assert all(view.grad is not None and view.grad.abs().max() > 0 for view in free[:3])
    assert all(view.grad is None for view in free[3:])
    assert not result.teacher_entropy.requires_grad
    assert not update_center(centre, teacher).requires_grad


# --- the centre ------------------------------------------------------------------------------------------------


@given(x=batches(), momentum=st.sampled_from([0.0, 0.5, 0.9, 1.0]))
def test_centre_moves_towards_the_mean_of_the_raw_logits_of_all_global_views(x: Batch, momentum: float) -> None:
    _, teacher, centre = x
    samples = [row for view in teacher for row in rows(view)]
    mean = [sum(column) / len(samples) for column in zip(*samples)]
    expected = [momentum * c + (1 - momentum) * m for c, m in zip(centre.tolist(), mean)]
    before = centre.clone()
    assert_close(update_center(centre, teacher, momentum).tolist(), expected, rtol=1e-10, atol=1e-13)
    assert torch.equal(centre, before)


def test_default_momentum_is_nine_tenths_and_zeros_take_a_tenth_of_the_first_mean() -> None:
    teacher = [torch.ones(3, 2, dtype=F64), 3 * torch.ones(3, 2, dtype=F64)]
    assert_close(update_center(torch.zeros(2, dtype=F64), teacher).tolist(), [0.2, 0.2], rtol=1e-12, atol=0)


def test_after_k_steps_nine_tenths_to_the_k_of_a_constant_bias_is_left() -> None:
    student, teacher, _ = batch()
    teacher = [view - view.mean(dim=0) for view in teacher]
    bias, centre = normal(7, 4), torch.zeros(4, dtype=F64)
    for k in range(1, 60):
        centre = update_center(centre, [view + bias for view in teacher])
        assert_close(bias - centre, 0.9**k * bias, rtol=1e-9, atol=1e-12)
        if k in (1, 10, 59):
            # What the loss sees of the bias is the residual.
            biased = dino(student, [view + bias for view in teacher], centre).total
            residual = dino(student, [view + 0.9**k * bias for view in teacher], torch.zeros(4, dtype=F64)).total
            assert_close(biased, residual, rtol=1e-9, atol=1e-11)
    assert abs(biased - dino(student, teacher, torch.zeros(4, dtype=F64)).total) < 0.1


@given(x=batches(), seed=seeds)
def test_caveat_p5_the_centre_is_subtracted(x: Batch, seed: int) -> None:
    student, teacher, centre = x
    bias, before = normal(seed, len(centre)), dino(*x)
    for moved, term in zip(dino(student, [view + bias for view in teacher], centre + bias), before):
        assert_close(moved, term, rtol=1e-8, atol=1e-9)


# --- invariances -----------------------------------------------------------------------------------------------


@given(x=batches(), seed=seeds)
def test_dino_ignores_a_constant_per_sample(x: Batch, seed: int) -> None:
    student, teacher, centre = x
    shifts = [5 * normal(seed + i, len(student[0]), 1) for i in range(len(student) + len(teacher))]
    moved_s = [view + shift for view, shift in zip(student, shifts)]
    moved_t = [view + shift for view, shift in zip(teacher, shifts[len(student) :])]
    assert_close(dino(moved_s, moved_t, centre + 2).total, dino(*x).total, rtol=1e-9, atol=1e-9)


@given(x=batches(), seed=seeds)
def test_dino_ignores_order_of_samples_and_prototypes_and_of_the_local_views(x: Batch, seed: int) -> None:
    (student, teacher, centre), before = x, dino(*x).total
    order, dims = permutation(seed, len(student[0])), permutation(seed + 1, len(centre))
    samples = [v[order] for v in student], [v[order] for v in teacher], centre
    prototypes = [v[:, dims] for v in student], [v[:, dims] for v in teacher], centre[dims]
    t = len(teacher)
    views = student[:t][::-1] + student[t:][::-1], teacher[::-1], centre
    for moved in (samples, prototypes, views):
        assert_close(dino(*moved).total, before, rtol=1e-9, atol=1e-11)


@given(x=batches(), scale=st.sampled_from([0.5, 4.0]))
def test_scaling_logits_centre_and_temperatures_together_changes_nothing(x: Batch, scale: float) -> None:
    student, teacher, centre = x
    moved = dino([scale * v for v in student], [scale * v for v in teacher], scale * centre, 0.1 * scale, 0.04 * scale)
    assert_close(moved.total, dino(*x).total, rtol=1e-9, atol=1e-11)


# --- both collapses --------------------------------------------------------------------------------------------


def test_uniform_collapse_is_stationary_at_log_k_once_the_centre_has_converged() -> None:
    k, constant = 6, normal(0, 6)
    teacher = [constant.expand(4, k)] * 2
    uniform = torch.zeros(4, k, dtype=F64, requires_grad=True)
    result = dino([uniform, uniform], teacher, constant)
    assert_close([result.total.item(), result.teacher_entropy.item()], [math.log(k)] * 2, rtol=1e-12, atol=0)
    (gradient,) = torch.autograd.grad(result.total, uniform)
    assert gradient.abs().max() < 1e-15
    # No other constant student is stationary, and none costs less.
    other = (0.1 * normal(1, k)).expand(4, k).clone().requires_grad_()
    total = dino([other, other], teacher, constant).total
    assert total > math.log(k)
    assert torch.autograd.grad(total, other)[0].abs().max() > 1e-3


def test_one_hot_collapse_reaches_zero_without_centre_as_the_teacher_sharpens() -> None:
    constant = torch.tensor([1.0, 0.0, 0.0], dtype=F64).expand(4, 3)
    teacher, student, no_centre = [constant] * 2, [5 * constant] * 2, torch.zeros(3, dtype=F64)
    totals = [dino(student, teacher, no_centre, 0.1, tau).total.item() for tau in (1.0, 0.3, 0.1, 0.04, 0.01)]
    assert totals == sorted(totals, reverse=True)
    assert totals[0] > 1
    assert totals[-1] < 1e-15
    # The converged centre takes that minimum away: the same student now pays more than log K.
    assert dino(student, teacher, constant[0], 0.1, 0.01).total > math.log(3)


def test_equal_embeddings_of_all_samples_leave_only_the_teacher_entropy_to_lower() -> None:
    logits = [0.1 * normal(0, 1, 5).expand(4, 5)] * 2
    matched = [view * 0.1 / 0.04 for view in logits]  # the student that reproduces the teacher's probabilities
    total, entropy, kl = dino(matched, logits, torch.zeros(5, dtype=F64))
    assert_close(total, entropy, rtol=1e-12, atol=0)
    assert abs(kl) < 1e-12


# --- input -----------------------------------------------------------------------------------------------------


def holding_nan() -> Tensor:
    view = torch.ones(5, 4)
    view[2, 3] = math.nan
    return view


BAD_VIEWS = [
    (torch.ones(2, 5, 4), TypeError, r"{} must be a list of \(N, K\) tensors.* got a float32 tensor of shape"),
    (None, TypeError, r"{} must be a list .* got None"),
    ([], ValueError, r"{} must hold at least one view"),
    ([torch.ones(5, 4), None], TypeError, r"{}\[1\] must be a torch.Tensor .* got NoneType"),
    ([torch.ones(5), torch.ones(5)], ValueError, r"{}\[0\] must have shape \(N, D\).* got shape \(5,\)"),
    ([torch.ones(5, 4), torch.ones(5, 4).long()], TypeError, r"{}\[1\] must be floating point"),
    ([torch.ones(5, 4), torch.ones(0, 4)], ValueError, r"{}\[1\] needs at least 1 samples"),
    ([torch.ones(5, 4), torch.ones(5, 3)], ValueError, r".*{}\[1\] must have the same shape.* \(5, 4\) and \(5, 3\)"),
    ([torch.ones(5, 4), holding_nan()], ValueError, r"{}\[1\] must be finite; got 1 NaN .* at index \(2, 3\)"),
    ([torch.ones(5, 4), torch.ones(5, 4, device="meta")], ValueError, r".*{}\[1\] must be on one device; .*meta"),
]


@pytest.mark.parametrize(("bad", "error", "message"), BAD_VIEWS, ids=range(len(BAD_VIEWS)))
def test_bad_views_are_named_with_their_index(bad: Any, error: type[Exception], message: str) -> None:
    good, centre = [torch.ones(5, 4)] * 2, torch.zeros(4)
    with pytest.raises(error, match="^" + message.format("student_logits")):
        dino(bad, good, centre)
    with pytest.raises(error, match="^" + message.format("teacher_logits")):
        dino(good, bad, centre)
    with pytest.raises(error, match="^" + message.format("teacher_logits")):
        update_center(centre, bad)


@pytest.mark.parametrize(("views", "teachers"), [(1, 1), (2, 3)])
def test_too_few_student_views_are_counted(views: int, teachers: int) -> None:
    ones = torch.ones(5, 4)
    with pytest.raises(ValueError, match=rf"^student_logits must hold at least two .* got {views} .* and {teachers} "):
        dino([ones] * views, [ones] * teachers, torch.zeros(4))


@pytest.mark.parametrize(
    ("centre", "error", "message"),
    [
        (None, TypeError, r"must be a torch.Tensor of shape \(K,\); got None"),
        (0.0, TypeError, r"must be a torch.Tensor .* got float"),
        (torch.zeros(4).long(), TypeError, r"must be floating point; got a int64"),
        (torch.zeros(1, 4), ValueError, r"must have shape \(K,\), K = 4; got shape \(1, 4\)"),
        (torch.zeros(3), ValueError, r"must have shape \(K,\), K = 4; got shape \(3,\)"),
        (torch.full((4,), math.nan), ValueError, r"must be finite; got 4 NaN"),
    ],
)
def test_a_bad_centre_is_named(centre: Any, error: type[Exception], message: str) -> None:
    views = [torch.ones(5, 4)] * 2
    for call in (lambda: dino(views, views, centre), lambda: update_center(centre, views)):
        with pytest.raises(error, match="^center " + message):
            call()


def test_a_centre_on_another_device_is_named() -> None:
    views = [torch.ones(5, 4, device="meta")] * 2
    with pytest.raises(ValueError, match=r"^center and the logits must be on one device; got cpu and meta"):
        dino(views, views, torch.zeros(4))


@pytest.mark.parametrize("name", ["student_temperature", "teacher_temperature"])
def test_bad_temperatures_and_momenta_are_named(name: str) -> None:
    views, centre = [torch.ones(5, 4)] * 2, torch.zeros(4)
    for bad in (0, -0.1, math.nan, math.inf):
        with pytest.raises(ValueError, match=rf"^{name} must be a finite number > 0; got {bad}"):
            dino(views, views, centre, **{name: bad})
    with pytest.raises(TypeError, match=rf"^{name} must be a finite number > 0; got '0.1'"):
        dino(views, views, centre, **{name: "0.1"})
    for bad in (-0.1, 1.1, math.nan):
        with pytest.raises(ValueError, match=r"^momentum must be a finite number >= 0 and <= 1; got "):
            update_center(centre, views, bad)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_sixteen_bit_logits_and_autocast_get_float32_values(dtype: torch.dtype) -> None:
    student, teacher, centre = batch(n=32, k=64)
    low = [v.to(dtype).requires_grad_() for v in student], [v.to(dtype) for v in teacher], centre.to(dtype)
    full = dino([v.detach().float() for v in low[0]], [v.float() for v in low[1]], low[2].float())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        result, centre = dino(*low), update_center(low[2], low[1])
    assert all(term.dtype == torch.float32 for term in result)
    assert all(torch.equal(a, b) for a, b in zip(result, full))
    assert centre.dtype == torch.float32
    result.total.backward()
    assert low[0][0].grad is not None
    assert low[0][0].grad.dtype == dtype
    assert low[0][0].grad.abs().max() > 0


def test_mixed_dtypes_are_promoted_and_the_centre_keeps_its_own() -> None:
    student, teacher, centre = batch()
    single = [view.float() for view in teacher]
    assert dino(student, single, centre.float()).total.dtype == F64
    assert dino([view.float() for view in student], single, centre).total.dtype == torch.float32
    assert update_center(centre, single).dtype == F64
    assert update_center(centre.float(), teacher).dtype == torch.float32


def test_large_logits_do_not_overflow() -> None:
    student, teacher, centre = ([1e3 * v.float() for v in views] for views in (*batch()[:2], [batch()[2]]))
    assert all(math.isfinite(term) for term in dino(student, teacher, centre[0]))


def scattered(n: int = 12, k: int = 5) -> Tensor:
    return torch.randn(n, k, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


def test_the_balanced_centre_gives_every_dimension_the_same_mean_probability() -> None:
    logits = [scattered(), scattered() + 0.3]
    center = balanced_center(torch.zeros(5).double(), logits, 1.0, iterations=1000)
    mean = (torch.cat(logits) - center).softmax(dim=1).mean(dim=0)
    torch.testing.assert_close(mean, torch.full((5,), 0.2, dtype=torch.float64), rtol=1e-9, atol=1e-9)


def test_the_mean_centre_does_not() -> None:
    logits = scattered()
    mean = ((logits - update_center(torch.zeros(5).double(), [logits], 0.0)) / 0.5).softmax(dim=1).mean(dim=0)
    assert (mean - 0.2).abs().max() > 0.02


def test_the_balanced_centre_gives_the_codes_of_sinkhorn() -> None:
    logits = scattered()
    center = balanced_center(torch.zeros(5).double(), [logits], 1.0, iterations=1000)
    torch.testing.assert_close((logits - center).softmax(dim=1), sinkhorn(logits, 1.0, 1000), rtol=1e-8, atol=1e-8)


def test_one_iteration_equals_the_loop_over_dimensions() -> None:
    logits, temperature = scattered(4, 3), 0.7
    start = torch.tensor([0.1, -0.2, 0.0], dtype=torch.float64)
    expected = []
    for k in range(3):
        total = 0.0
        for row in (logits - start).tolist():
            weights = [math.exp(x / temperature) for x in row]
            total += weights[k] / sum(weights)
        expected.append(float(start[k]) + temperature * math.log(3 * total / 4))
    found = balanced_center(start, [logits], temperature, iterations=1)
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64), rtol=1e-12, atol=1e-12)


def test_the_balanced_centre_keeps_its_start_and_has_no_gradient() -> None:
    start, logits = torch.zeros(5, dtype=torch.float64), scattered().requires_grad_()
    found = balanced_center(start, [logits])
    assert start.abs().sum() == 0
    assert not found.requires_grad


@pytest.mark.parametrize(("argument", "value"), [("temperature", 0.0), ("iterations", 0)])
def test_the_balanced_centre_refuses_settings_out_of_range(argument: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{argument} must be"):
        balanced_center(torch.zeros(5), [torch.randn(4, 5)], **{argument: value})
