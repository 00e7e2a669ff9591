"""SimDINO: values, the coding rate from both sides, gradients, invariances, collapse, bad input."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from oracles import normal, permutation, rows, seeds
from torch import Tensor
from torch.testing import assert_close

from jemlib.losses import coding_rate, simdino

Batch = tuple[list[Tensor], list[Tensor]]
F64 = torch.float64


def batch(seed: int = 0, views: int = 3, teachers: int = 2, n: int = 5, d: int = 4) -> Batch:
    return [normal(seed + i, n, d) for i in range(views)], [normal(seed + 100 + i, n, d) for i in range(teachers)]


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    views = draw(st.integers(2, 4))
    shape = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    return batch(draw(seeds), views, draw(st.integers(1, views)), *shape)


def determinant(matrix: list[list[float]]) -> float:
    """By elimination with row exchanges."""
    m, result = [row[:] for row in matrix], 1.0
    for i in range(len(m)):
        pivot = max(range(i, len(m)), key=lambda r: abs(m[r][i]))
        if pivot != i:
            m[i], m[pivot], result = m[pivot], m[i], -result
        result *= m[i][i]
        for r in range(i + 1, len(m)):
            factor = m[r][i] / m[i][i]
            m[r] = [a - factor * b for a, b in zip(m[r], m[i])]
    return result


def unit(row: list[float]) -> list[float]:
    length = math.sqrt(sum(x * x for x in row))
    return [x / length for x in row]


def rate_by_hand(z: list[list[float]], eps: float) -> float:
    n, d = len(z), len(z[0])
    matrix = [[float(i == j) + d / (n * eps) * sum(row[i] * row[j] for row in z) for j in range(d)] for i in range(d)]
    return 0.5 * math.log(determinant(matrix))


def oracle(student: list[Tensor], teacher: list[Tensor], eps: float, expansion: float) -> tuple[float, float, float]:
    """Total, alignment and coding rate, pair by pair and sample by sample."""
    n, d = student[0].shape
    cosines = [
        sum(a * b for a, b in zip(unit(row_s), unit(row_t)))
        for t, z_t in enumerate(teacher)
        for s, z_s in enumerate(student)
        if s != t
        for row_s, row_t in zip(rows(z_s), rows(z_t))
    ]
    alignment = -sum(cosines) / len(cosines)
    rates = [rate_by_hand([unit(row) for row in rows(z)], eps) for z in student[: len(teacher)]]
    rate = sum(rates) / len(rates)
    return alignment - expansion * (d + n) / (d * n) * rate, alignment, rate


# --- values -----------------------------------------------------------------------------------------------------


@given(x=batches(), eps=st.sampled_from([0.05, 0.5]), expansion=st.sampled_from([0.0, 1.0, 2.5]))
def test_simdino_equals_the_written_out_cosines_and_determinants(x: Batch, eps: float, expansion: float) -> None:
    for term, expected in zip(simdino(*x, eps, expansion), oracle(*x, eps, expansion)):
        assert_close(term.item(), expected, rtol=1e-9, atol=1e-10)


@given(seed=seeds, n=st.integers(1, 6), d=st.integers(1, 6), eps=st.sampled_from([0.05, 0.5]))
def test_the_coding_rate_is_half_the_log_determinant_whether_rows_or_columns_are_more(
    seed: int, n: int, d: int, eps: float
) -> None:
    z = normal(seed, n, d)
    by_columns = torch.logdet(torch.eye(d, dtype=F64) + d / (n * eps) * z.T @ z) / 2
    by_rows = torch.logdet(torch.eye(n, dtype=F64) + d / (n * eps) * z @ z.T) / 2
    assert_close(coding_rate(z, eps), by_columns, rtol=1e-10, atol=1e-12)
    assert_close(coding_rate(z, eps), by_rows, rtol=1e-10, atol=1e-12)


def test_golden_two_orthogonal_samples_that_agree() -> None:
    eye = torch.eye(2, dtype=F64)
    # I + 2/(2 0.05) I = 21 I, so R = log 21; the balance is (2 + 2)/4 = 1
    total, alignment, rate = simdino([eye, eye], [eye, eye])
    assert_close(
        [total.item(), alignment.item(), rate.item()], [-1 - math.log(21), -1.0, math.log(21)], rtol=1e-12, atol=0
    )


@given(seed=seeds, n=st.integers(1, 6), d=st.integers(1, 6), eps=st.sampled_from([0.05, 0.5]))
def test_the_coding_rate_of_unit_rows_lies_between_that_of_one_point_and_that_of_a_tight_frame(
    seed: int, n: int, d: int, eps: float
) -> None:
    rate = coding_rate(torch.nn.functional.normalize(normal(seed, n, d), dim=1), eps).item()
    assert rate >= 0.5 * math.log(1 + d / eps) - 1e-10
    assert rate <= d / 2 * math.log(1 + 1 / eps) + 1e-10


def test_the_tight_frame_of_twice_the_axes_reaches_the_upper_end() -> None:
    frame = torch.cat([torch.eye(3, dtype=F64)] * 2)
    assert_close(coding_rate(frame, 0.5).item(), 1.5 * math.log(3), rtol=1e-12, atol=0)


# --- gradients --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "d"), [(5, 3), (3, 5)])
def test_the_gradient_of_the_coding_rate_is_the_closed_form(n: int, d: int) -> None:
    z = normal(3, n, d).requires_grad_()
    (found,) = torch.autograd.grad(coding_rate(z, 0.05), z)
    a = d / (n * 0.05)
    closed = a * z @ torch.linalg.inv(torch.eye(d, dtype=F64) + a * z.T @ z)
    assert_close(found, closed.detach(), rtol=1e-9, atol=1e-12)


def test_simdino_passes_gradcheck_to_second_order() -> None:
    student, teacher = batch(n=3, d=4)

    def total(*views: Tensor) -> Tensor:
        return simdino(list(views), teacher, 0.5).total

    free = [view.requires_grad_() for view in student]
    assert torch.autograd.gradcheck(total, free)
    assert torch.autograd.gradgradcheck(total, free)


def test_the_teacher_gets_no_gradient_and_a_local_view_only_that_of_the_alignment() -> None:
    student, teacher = batch()
    free = [view.requires_grad_() for view in (*student, *teacher)]
    result = simdino(free[:3], free[3:])
    gradients = torch.autograd.grad(result.total, free, allow_unused=True, retain_graph=True)
    assert all(g is None for g in gradients[3:])
    of_rate = torch.autograd.grad(result.coding_rate, free[:3], allow_unused=True)
    assert of_rate[2] is None
    assert gradients[2].abs().max() > 1e-3


# --- what it does not see ---------------------------------------------------------------------------------------


@given(x=batches(), seed=seeds)
def test_simdino_ignores_lengths_the_order_of_samples_and_a_common_rotation(x: Batch, seed: int) -> None:
    (student, teacher), before = x, simdino(*x)
    n, d = student[0].shape
    order, rotation = permutation(seed, n), torch.linalg.qr(normal(seed, d, d))[0]
    lengths = normal(seed + 1, n, 1).abs() + 0.1
    for change in (lambda v: v[order], lambda v: v @ rotation, lambda v: lengths * v):
        after = simdino([change(v) for v in student], [change(v) for v in teacher])
        for a, b in zip(after, before):
            assert_close(a, b, rtol=1e-9, atol=1e-10)


def test_a_global_view_is_not_compared_with_itself() -> None:
    student, teacher = batch(views=2, teachers=2)
    crossed = torch.nn.functional.cosine_similarity
    expected = -(crossed(student[0], teacher[1]).mean() + crossed(student[1], teacher[0]).mean()) / 2
    assert_close(simdino(student, teacher).alignment, expected, rtol=1e-12, atol=0)


# --- collapse ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "d", "eps"), [(6, 4, 0.05), (3, 8, 0.5)])
def test_at_collapse_alignment_is_best_the_rate_least_and_the_gradient_zero(n: int, d: int, eps: float) -> None:
    point = normal(5, 1, d).expand(n, d).clone().requires_grad_()
    total, alignment, rate = simdino([point, point], [point, point], eps)
    assert_close(alignment.item(), -1.0, rtol=1e-12, atol=0)
    assert_close(rate.item(), 0.5 * math.log(1 + d / eps), rtol=1e-12, atol=0)
    total.backward()
    assert point.grad is not None
    assert point.grad.abs().max() < 1e-12


def test_without_expansion_a_point_is_the_minimum_and_with_it_spreading_out_is_better() -> None:
    point = normal(5, 1, 4).expand(8, 4)
    spread = normal(6, 8, 4)
    assert (
        simdino([point] * 2, [point] * 2, expansion=0.0).total
        <= simdino([spread] * 2, [spread] * 2, expansion=0.0).total
    )
    assert simdino([spread] * 2, [spread] * 2).total < simdino([point] * 2, [point] * 2).total - 0.5


# --- input ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ([torch.ones(5, 4)], "at least two views"),
        ([], "at least one view"),
        (torch.ones(2, 5, 4), "must be a list"),
        ([torch.ones(5, 4), torch.ones(5, 3)], "same shape"),
        ([torch.ones(5), torch.ones(5)], "student"),
        ([torch.full((5, 4), math.nan)] * 2, "student"),
        ([torch.ones(5, 4, dtype=torch.int64)] * 2, "student"),
    ],
)
def test_a_bad_student_is_an_error_that_names_it(bad: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        simdino(bad, [torch.ones(5, 4)])


@pytest.mark.parametrize(
    ("settings", "message"), [({"eps": 0.0}, "eps"), ({"eps": math.nan}, "eps"), ({"expansion": -1.0}, "expansion")]
)
def test_a_bad_setting_is_an_error_that_names_it(settings: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        simdino(*batch(), **settings)


def test_the_coding_rate_names_what_is_wrong() -> None:
    for bad, message in ((torch.ones(4), "z must"), (torch.full((3, 2), math.inf), "z"), ([[1.0]], "z must")):
        with pytest.raises((TypeError, ValueError), match=message):
            coding_rate(bad)


def test_sixteen_bits_are_computed_in_single_precision() -> None:
    student, teacher = batch(n=64, d=16)
    low = [[v.to(torch.bfloat16) for v in views] for views in (student, teacher)]
    full = simdino([v.float() for v in low[0]], [v.float() for v in low[1]])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for a, b in zip(simdino(*low), full):
            assert a.dtype == torch.float32
            assert_close(a, b, rtol=1e-5, atol=1e-6)
