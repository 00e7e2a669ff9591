"""PCL: ProtoNCE, InfoNCE with a queue, concentration, and the EM quantities."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from oracles import dot, log_sum_exp, normal, permutation, rotation, rows, seeds, tangent, temperatures, unit
from torch import Tensor
from torch.testing import assert_close

from jemlib.losses import (
    concentration,
    elbo,
    info_nce,
    info_nce_queue,
    kl_to_posterior,
    log_evidence,
    mixture_log_joint,
    mixture_m_step,
    posterior,
    proto_nce,
    raw_concentration,
)

sizes = st.integers(1, 7)


def ids(seed: int, n: int, k: int) -> Tensor:
    return torch.randint(k, (n,), generator=torch.Generator().manual_seed(seed))


def positive(seed: int, k: int) -> Tensor:
    return (0.5 * normal(seed, k)).exp()


def vector(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


# --- ProtoNCE --------------------------------------------------------------------------------------------------


def proto_logits(v: Tensor, prototypes: Tensor, phi: Tensor) -> list[list[float]]:
    centres = [unit(c) for c in rows(prototypes)]
    return [[dot(unit(x), c) / float(p) for c, p in zip(centres, phi)] for x in rows(v)]


@given(seed=seeds, n=sizes, k=sizes, d=sizes)
def test_proto_nce_equals_the_written_out_sums(seed: int, n: int, k: int, d: int) -> None:
    v, c, s, phi = normal(seed, n, d), normal(seed + 1, k, d), ids(seed, n, k), positive(seed, k)
    logits = proto_logits(v, c, phi)
    loss = proto_nce(v, c, s, phi)
    alignment = -sum(row[j] for row, j in zip(logits, s.tolist())) / n
    contrast = sum(log_sum_exp(row) for row in logits) / n
    assert_close(loss.alignment.item(), alignment, rtol=1e-11, atol=1e-12)
    assert_close(loss.contrast.item(), contrast, rtol=1e-11, atol=1e-12)
    assert_close(loss.total, loss.alignment + loss.contrast, rtol=0, atol=0)
    assert loss.total > -1e-12


@pytest.mark.parametrize(("phi", "value"), [((1.0, 1.0), 0.31326168751822286), ((0.5, 1.0), 0.1269280110429726)])
def test_proto_nce_is_golden_pcl2(phi: tuple[float, float], value: float) -> None:
    v, c = vector(1, 0)[None], torch.eye(2, dtype=torch.float64)
    assert_close(proto_nce(v, c, torch.tensor([0]), vector(*phi)).total.item(), value, rtol=1e-12, atol=0)


def test_the_concentration_divides_columns_not_rows() -> None:
    v, c, s = normal(0, 4, 3), normal(1, 4, 3), torch.arange(4)
    phi = vector(0.1, 0.2, 0.4, 0.8)
    by_row = torch.nn.functional.cross_entropy(torch.tensor(proto_logits(v, c, torch.ones(4))) / phi[:, None], s)
    assert abs(by_row.item() - proto_nce(v, c, s, phi).total.item()) > 0.1


@given(seed=seeds, n=st.integers(2, 7), d=sizes, tau=temperatures)
def test_one_prototype_per_sample_makes_proto_nce_info_nce(seed: int, n: int, d: int, tau: float) -> None:
    v, keys = normal(seed, n, d), normal(seed + 1, n, d)
    loss = proto_nce(v, keys, torch.arange(n), torch.full((n,), tau, dtype=torch.float64))
    for x, y in zip(loss, info_nce(v, keys, tau)):
        assert_close(x, y, rtol=1e-12, atol=1e-12)


@given(seed=seeds, n=sizes, k=sizes, d=st.integers(2, 6))
def test_proto_nce_ignores_rotation_scale_and_order(seed: int, n: int, k: int, d: int) -> None:
    v, c, s, phi = normal(seed, n, d), normal(seed + 1, k, d), ids(seed, n, k), positive(seed, k)
    value = proto_nce(v, c, s, phi).total
    q, samples, clusters = rotation(seed, d), permutation(seed, n), permutation(seed, k)
    for other in (
        (v @ q, c @ q, s, phi),
        (v * normal(seed, n, 1).exp(), c * normal(seed, k, 1).exp(), s, phi),
        (v[samples], c, s[samples], phi),
        (v, c[clusters], clusters.argsort()[s], phi[clusters]),
    ):
        assert_close(proto_nce(*other).total, value, rtol=1e-10, atol=1e-10)


@given(seed=seeds, n=sizes, k=sizes, d=st.integers(2, 6))
def test_proto_nce_gradient_has_its_closed_form(seed: int, n: int, k: int, d: int) -> None:
    v, c, s, phi = normal(seed, n, d).requires_grad_(), normal(seed + 1, k, d), ids(seed, n, k), positive(seed, k)
    (grad,) = torch.autograd.grad(proto_nce(v, c, s, phi).total, v)
    centres, expected = [unit(x) for x in rows(c)], []
    for x, row, own in zip(rows(v.detach()), proto_logits(v.detach(), c, phi), s.tolist()):
        p = [math.exp(logit - log_sum_exp(row)) for logit in row]
        # dL/du_i = (1/n) ( sum_j P_ij c_j / phi_j - c_s / phi_s )
        g = [sum((p[j] - (j == own)) * centres[j][m] / float(phi[j]) for j in range(k)) / n for m in range(d)]
        expected.append(tangent(g, x))
    assert_close(grad, torch.tensor(expected, dtype=torch.float64), rtol=1e-9, atol=1e-12)


def test_proto_nce_and_the_queue_loss_pass_gradcheck() -> None:
    v, c, s, phi = normal(0, 4, 3).requires_grad_(), normal(1, 3, 3), ids(0, 4, 3), positive(0, 3)
    assert torch.autograd.gradcheck(lambda x: proto_nce(x, c, s, phi).total, v)
    assert torch.autograd.gradgradcheck(lambda x: proto_nce(x, c, s, phi).total, v)
    k, queue = normal(2, 4, 3), normal(3, 5, 3)
    assert torch.autograd.gradcheck(lambda x: info_nce_queue(x, k, queue, 0.3).total, v)


def test_a_small_concentration_pulls_harder() -> None:
    v, c = vector(1, 1)[None].requires_grad_(), torch.eye(2, dtype=torch.float64)
    pulls = []
    for small in (1.0, 0.1):
        loss = proto_nce(v, c, torch.tensor([0]), vector(small, small))
        pulls.append(torch.autograd.grad(loss.alignment, v)[0].norm())
    assert_close(pulls[1], 10 * pulls[0])


# --- note P10 and degenerate clusterings -----------------------------------------------------------------------


def test_note_p10_the_in_batch_form_has_a_floor_of_log_n_over_k_and_ours_has_none() -> None:
    n, k = 8, 4
    s = torch.arange(n) % k
    c = torch.eye(k, dtype=torch.float64)
    v, phi = c[s], torch.full((k,), 0.01, dtype=torch.float64)
    # Each sample's own prototype is one column; batch-mates of one cluster are two equal columns.
    in_batch = torch.nn.functional.cross_entropy(v @ c[s].T / phi[s], torch.arange(n))
    assert_close(in_batch.item(), math.log(n / k), rtol=1e-12, atol=0)
    assert_close(proto_nce(v, c, s, phi).total.item(), 0.0, rtol=0, atol=1e-12)


@given(seed=seeds, n=sizes, d=sizes)
def test_a_single_cluster_gives_no_loss_and_no_gradient(seed: int, n: int, d: int) -> None:
    v = normal(seed, n, d).requires_grad_()
    loss = proto_nce(v, normal(seed + 1, 1, d), torch.zeros(n, dtype=torch.int64), vector(0.1)).total
    assert loss == 0
    assert_close(torch.autograd.grad(loss, v)[0], torch.zeros_like(v), rtol=0, atol=1e-12)


@pytest.mark.parametrize("phi", [0.01, 0.2])
def test_proto_nce_at_collapse_is_log_k(phi: float) -> None:
    v = torch.ones(6, 3, dtype=torch.float64).requires_grad_()
    c, s = torch.ones(4, 3, dtype=torch.float64), torch.arange(6) % 4
    loss = proto_nce(v, c, s, torch.full((4,), phi, dtype=torch.float64)).total
    assert_close(loss.item(), math.log(4), rtol=1e-12, atol=0)
    assert_close(torch.autograd.grad(loss, v)[0], torch.zeros_like(v), rtol=0, atol=1e-13)


def test_more_clusters_than_samples_and_empty_clusters_are_fine() -> None:
    v, c, s = normal(0, 3, 4), normal(1, 8, 4), torch.tensor([0, 5, 5])
    distances = (v - c[s]).norm(dim=1)
    phi = concentration(distances, s, 8, 0.2)
    assert_close(phi, torch.full((8,), 0.2, dtype=torch.float64))  # one known spread: it fills all the others
    assert proto_nce(v, c, s, phi).total.isfinite()


# --- InfoNCE with a queue --------------------------------------------------------------------------------------


@given(seed=seeds, n=sizes, r=sizes, d=sizes, tau=temperatures)
def test_info_nce_queue_equals_the_written_out_sums(seed: int, n: int, r: int, d: int, tau: float) -> None:
    q, k, queue = normal(seed, n, d), normal(seed + 1, n, d), normal(seed + 2, r, d)
    alignment = contrast = 0.0
    for x, own in zip(rows(q), rows(k)):
        logits = [dot(unit(x), unit(key)) / tau for key in [own, *rows(queue)]]
        alignment -= logits[0] / n
        contrast += log_sum_exp(logits) / n
    loss = info_nce_queue(q, k, queue, tau)
    assert_close(loss.alignment.item(), alignment, rtol=1e-11, atol=1e-12)
    assert_close(loss.contrast.item(), contrast, rtol=1e-11, atol=1e-12)
    assert -1e-12 <= loss.total <= math.log1p(r * math.exp(2 / tau)) + 1e-9


def test_info_nce_queue_of_the_other_keys_is_in_batch_info_nce() -> None:
    z, keys = normal(0, 5, 3), normal(1, 5, 3)
    others = [info_nce_queue(z[i : i + 1], keys[i : i + 1], keys[torch.arange(5) != i], 0.2) for i in range(5)]
    assert_close(torch.stack([loss.total for loss in others]).mean(), info_nce(z, keys, 0.2).total)


def test_info_nce_queue_trains_the_query_alone() -> None:
    q, k, queue = (normal(s, 4, 3).requires_grad_() for s in range(3))
    grads = torch.autograd.grad(info_nce_queue(q, k, queue).total, [q, k, queue], allow_unused=True)
    assert grads[0].abs().max() > 0
    assert grads[1] is None
    assert grads[2] is None


def test_info_nce_queue_at_collapse_is_log_of_one_plus_the_queue() -> None:
    q = torch.ones(4, 3, dtype=torch.float64).requires_grad_()
    loss = info_nce_queue(q, torch.ones(4, 3), torch.ones(9, 3)).total
    assert_close(loss.item(), math.log(10), rtol=1e-12, atol=0)
    assert_close(torch.autograd.grad(loss, q)[0], torch.zeros_like(q), rtol=0, atol=1e-14)


@given(seed=seeds, tau=temperatures)
def test_info_nce_queue_ignores_rotation_scale_and_the_order_of_the_queue(seed: int, tau: float) -> None:
    q, k, queue, turn = normal(seed, 4, 3), normal(seed + 1, 4, 3), normal(seed + 2, 6, 3), rotation(seed, 3)
    value = info_nce_queue(q, k, queue, tau).total
    for other in (
        (q @ turn, k @ turn, queue @ turn),
        (q * 3, k * normal(seed, 4, 1).exp(), queue * normal(seed, 6, 1).exp()),
        (q, k, queue[permutation(seed, 6)]),
    ):
        assert_close(info_nce_queue(*other, tau).total, value, rtol=1e-10, atol=1e-10)


# --- concentration ---------------------------------------------------------------------------------------------


def percentile(values: list[float], share: float) -> float:
    """Linear interpolation between the two nearest of the sorted values."""
    values, place = sorted(values), share * (len(values) - 1)
    i = int(place)
    return values[i] if i + 1 == len(values) else values[i] + (place - i) * (values[i + 1] - values[i])


def official_phi(distances: Tensor, assignments: Tensor, k: int, tau: float, alpha: float) -> list[float]:
    phi = []
    for j in range(k):
        own = [d for d, s in zip(distances.tolist(), assignments.tolist()) if s == j]
        phi.append(sum(own) / (len(own) * math.log(len(own) + alpha)) if len(own) > 1 else -1.0)
    phi = [max(phi) if p < 0 else p for p in phi]
    low, high = percentile(phi, 0.1), percentile(phi, 0.9)
    phi = [min(max(p, low), high) for p in phi]
    return [tau * p * len(phi) / sum(phi) for p in phi]


def test_raw_concentration_is_golden_pcl1() -> None:
    members, s = torch.eye(2, dtype=torch.float64), torch.zeros(2, dtype=torch.int64)
    raw, normalised = vector(0.5, 0.5), vector(0.5, 0.5).mul(2**0.5)
    # Distances to the centre as k-means gives it; with the normalised centre the value would be another.
    assert_close(raw_concentration((members - raw).norm(dim=1), s, 1).item(), 0.28456070220862195, rtol=1e-12, atol=0)
    other = raw_concentration((members - normalised).norm(dim=1), s, 1).item()
    assert_close(other, 0.3080062845803389, rtol=1e-12, atol=0)
    assert_close(math.sqrt(0.5) / math.log(12), 0.28456070220862195, rtol=1e-12, atol=0)


def test_concentration_clips_to_percentiles_and_rescales_as_the_golden_example() -> None:
    # Two samples a cluster, with distances that make the raw values (.1, .2, .3, .4, .9).
    raw = vector(0.1, 0.2, 0.3, 0.4, 0.9)
    s = torch.arange(5).repeat(2)
    distances = (raw * math.log(12)).repeat(2)
    assert_close(raw_concentration(distances, s, 5), raw, rtol=1e-12, atol=0)
    expected = vector(0.08045977, 0.11494253, 0.17241379, 0.22988506, 0.40229885)
    assert_close(concentration(distances, s, 5, 0.2), expected, rtol=0, atol=5e-9)
    exact = vector(0.14, 0.2, 0.3, 0.4, 0.7) * 0.2 / 0.348
    assert_close(concentration(distances, s, 5, 0.2), exact, rtol=1e-12, atol=0)


@given(seed=seeds, n=st.integers(2, 30), k=sizes, tau=temperatures, alpha=st.floats(1, 20))
def test_concentration_equals_the_written_out_rule(seed: int, n: int, k: int, tau: float, alpha: float) -> None:
    distances, s = positive(seed, n), torch.cat([torch.zeros(2, dtype=torch.int64), ids(seed, n - 2, k)])
    phi = concentration(distances, s, k, tau, alpha)
    assert_close(phi.tolist(), official_phi(distances, s, k, tau, alpha), rtol=1e-11, atol=0)
    assert_close(phi.mean().item(), tau, rtol=1e-12, atol=0)
    order, names = permutation(seed, n), permutation(seed, k)
    assert_close(concentration(distances[order], s[order], k, tau, alpha), phi, rtol=1e-11, atol=0)
    assert_close(concentration(distances, names.argsort()[s], k, tau, alpha), phi[names], rtol=1e-11, atol=0)
    assert_close(concentration(7 * distances, s, k, tau, alpha), phi, rtol=1e-11, atol=0)


def test_alpha_keeps_the_concentration_of_small_clusters_down() -> None:
    # The same mean distance in a cluster of 2 and one of 200: the small one has the larger phi, less with alpha.
    s = torch.tensor([0] * 2 + [1] * 200)
    ratios = []
    for alpha in (0.01, 10.0):
        small, large = raw_concentration(torch.ones(202, dtype=torch.float64), s, 2, alpha).tolist()
        ratios.append(small / large)
    assert_close(ratios, [math.log(200.01) / math.log(2.01), math.log(210) / math.log(12)], rtol=1e-12, atol=0)
    assert ratios[0] > 3 * ratios[1]


def test_singletons_and_empty_clusters_get_the_largest_value() -> None:
    s = torch.tensor([0, 0, 1, 1, 2])
    distances = vector(1, 1, 3, 3, 0)
    raw = raw_concentration(distances, s, 4)
    assert raw.isnan().tolist() == [False, False, True, True]
    phi = concentration(distances, s, 4, 0.2)
    assert phi[1] == phi[2] == phi[3]
    assert phi[0] < phi[1]


@pytest.mark.parametrize("tau", [0.1, 0.2])
def test_constant_features_get_the_temperature_where_the_official_code_gets_nan(tau: float) -> None:
    expected = torch.full((3,), tau)
    assert torch.equal(concentration(torch.zeros(9), torch.arange(9) % 3, 3, tau), expected)
    assert torch.equal(concentration(torch.zeros(3), torch.arange(3), 3, tau), expected)  # all singletons
    assert torch.equal(concentration(torch.zeros(1), torch.tensor([1]), 3, tau), expected)


def test_clusters_of_duplicates_get_a_concentration_above_zero() -> None:
    # Three of five clusters without spread: the 10th percentile is 0, and a phi of 0 would divide by 0.
    s, distances = torch.arange(5).repeat(2), vector(0, 0, 0, 1, 2).repeat(2)
    phi = concentration(distances, s, 5, 0.2)
    assert phi.min() > 0
    assert_close(phi.mean().item(), 0.2, rtol=1e-12, atol=0)
    # And one of twenty with spread: both percentiles are 0.
    lonely = concentration(torch.cat([torch.ones(2), torch.zeros(38)]), torch.arange(20).repeat_interleave(2), 20, 0.2)
    assert_close(lonely, torch.full((20,), 0.2))


def test_concentration_carries_no_gradient() -> None:
    distances = positive(0, 6).requires_grad_()
    assert not concentration(distances, torch.arange(6) % 2, 2, 0.2).requires_grad


# --- EM --------------------------------------------------------------------------------------------------------


def test_elbo_is_golden_elbo1() -> None:
    log_joint, q = vector(0.1, 0.3).log()[None], vector(0.5, 0.5)[None]
    assert_close(elbo(log_joint, q).item(), -1.0601317681000455, rtol=1e-12, atol=0)
    assert_close(kl_to_posterior(log_joint, q).item(), 0.14384103622589042, rtol=1e-12, atol=0)
    assert_close(log_evidence(log_joint).item(), -0.916290731874155, rtol=1e-12, atol=0)
    assert_close(posterior(log_joint), vector(0.25, 0.75)[None], rtol=1e-12, atol=0)


@given(seed=seeds, n=sizes, k=sizes, scale=st.sampled_from([0.1, 1.0, 30.0]))
def test_elbo_plus_divergence_is_the_evidence_for_every_q(seed: int, n: int, k: int, scale: float) -> None:
    log_joint, q = scale * normal(seed, n, k), torch.softmax(2 * normal(seed + 1, n, k), dim=1)
    bound, gap, evidence = elbo(log_joint, q), kl_to_posterior(log_joint, q), log_evidence(log_joint)
    for i, (x, weights) in enumerate(zip(rows(log_joint), rows(q))):
        assert_close(bound[i].item(), sum(w * (a - math.log(w)) for a, w in zip(x, weights)), rtol=1e-10, atol=1e-11)
        assert_close(evidence[i].item(), log_sum_exp(x), rtol=1e-12, atol=1e-12)
        p = [math.exp(a - log_sum_exp(x)) for a in x]
        assert_close(posterior(log_joint)[i].tolist(), p, rtol=1e-10, atol=1e-14)
    assert_close(bound + gap, evidence, rtol=1e-12, atol=1e-11)
    assert gap.min() > -1e-11


@given(seed=seeds, n=sizes, k=sizes)
def test_the_bound_is_tight_at_the_posterior_and_log_joint_at_a_hard_assignment(seed: int, n: int, k: int) -> None:
    log_joint, hard = normal(seed, n, k), ids(seed, n, k)
    p = posterior(log_joint)
    assert_close(elbo(log_joint, p), log_evidence(log_joint), rtol=1e-12, atol=1e-12)
    assert_close(kl_to_posterior(log_joint, p), torch.zeros(n, dtype=torch.float64), rtol=0, atol=1e-12)
    one_hot = torch.nn.functional.one_hot(hard, k).double()
    assert_close(elbo(log_joint, one_hot), log_joint[torch.arange(n), hard], rtol=0, atol=0)


@given(seed=seeds, n=sizes, k=sizes, d=sizes, each=st.booleans(), normalizer=st.booleans())
def test_mixture_log_joint_is_the_gaussian_density(
    seed: int, n: int, k: int, d: int, each: bool, normalizer: bool
) -> None:
    v, c = normal(seed, n, d), normal(seed + 1, k, d)
    sigma = positive(seed, k) if each else torch.full((k,), 0.7, dtype=torch.float64)
    actual = mixture_log_joint(v, c, sigma if each else 0.7, normalizer)
    for i, x in enumerate(rows(v)):
        for j, y in enumerate(rows(c)):
            s = float(sigma[j])
            density = math.exp(-(math.dist(x, y) ** 2) / (2 * s * s)) / k
            scale = (2 * math.pi * s * s) ** (-d / 2) if normalizer else 1.0
            assert_close(actual[i, j].item(), math.log(density) + math.log(scale), rtol=1e-9, atol=1e-9)


def test_mixture_density_integrates_to_one() -> None:
    x = torch.linspace(-12, 12, 2001, dtype=torch.float64)
    p = log_evidence(mixture_log_joint(x[:, None], vector(-1, 2)[:, None], vector(0.5, 1.5))).exp()
    assert_close(torch.trapezoid(p, x).item(), 1.0, rtol=1e-9, atol=0)


def test_em_never_lowers_the_likelihood_of_a_mixture() -> None:
    x = torch.cat([normal(0, 40, 1) - 2, 0.5 * normal(1, 40, 1) + 1.5, 0.3 * normal(2, 20, 1) + 4])
    centres, sigma = vector(-0.1, 0.0, 0.1)[:, None], vector(1, 1, 1)
    likelihood = []
    for _ in range(50):
        log_joint = mixture_log_joint(x, centres, sigma)
        likelihood.append(log_evidence(log_joint).mean().item())
        q = posterior(log_joint)
        centres, sigma = mixture_m_step(x, q)
        # log p_new >= ELBO(Q, new) >= ELBO(Q, old) = log p_old
        bound = elbo(mixture_log_joint(x, centres, sigma), q).mean().item()
        assert bound >= likelihood[-1] - 1e-12
    assert all(after >= before - 1e-12 for before, after in pairwise(likelihood))
    assert likelihood[-1] > likelihood[0] + 0.3


@given(seed=seeds, n=sizes, k=sizes, d=sizes)
def test_the_m_step_is_the_weighted_means_and_spreads(seed: int, n: int, k: int, d: int) -> None:
    v, q = normal(seed, n, d), torch.softmax(normal(seed + 1, n, k), dim=1)
    centres, sigma = mixture_m_step(v, q)
    for j in range(k):
        weights = [float(q[i, j]) for i in range(n)]
        mean = [sum(w * x[m] for w, x in zip(weights, rows(v))) / sum(weights) for m in range(d)]
        assert_close(centres[j].tolist(), mean, rtol=1e-10, atol=1e-12)
        spread = sum(w * math.dist(x, mean) ** 2 for w, x in zip(weights, rows(v))) / (d * sum(weights))
        assert_close(sigma[j].item(), math.sqrt(spread), rtol=1e-9, atol=1e-12)


@given(seed=seeds, n=st.integers(3, 9), k=st.integers(1, 4), d=st.integers(1, 4))
def test_the_m_step_maximises_the_bound(seed: int, n: int, k: int, d: int) -> None:
    v, q = normal(seed, n, d), torch.softmax(normal(seed + 1, n, k), dim=1)
    fit = mixture_m_step(v, q)

    def bound(centres: Tensor, sigma: Tensor) -> Tensor:
        return elbo(mixture_log_joint(v, centres, sigma), q).sum()

    leaves = [x.clone().requires_grad_() for x in fit]
    for slope in torch.autograd.grad(bound(*leaves), leaves):
        assert_close(slope, torch.zeros_like(slope), rtol=0, atol=1e-7)
    for trial in range(5):
        centres = fit.centres + 0.1 * normal(seed + trial, k, d)
        assert bound(centres, fit.sigma * positive(seed + trial, k)) <= bound(*fit) + 1e-9


def test_hard_assignments_make_the_m_step_that_of_k_means_and_it_passes_gradcheck() -> None:
    v, hard = normal(0, 9, 3), torch.arange(9) % 3
    one_hot = torch.nn.functional.one_hot(hard, 3).double()
    means = torch.stack([v[hard == j].mean(dim=0) for j in range(3)])
    assert_close(mixture_m_step(v, one_hot).centres, means, rtol=1e-12, atol=1e-14)
    soft = torch.softmax(normal(1, 9, 3), dim=1)
    assert torch.autograd.gradcheck(lambda x: tuple(mixture_m_step(x, soft)), v.requires_grad_())


def test_a_component_on_one_point_has_no_spread_and_the_mixture_refuses_it() -> None:
    v, q = normal(0, 4, 2), torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [0.0, 1.0]])
    fit = mixture_m_step(v, q)
    assert_close(fit.centres[0], v[0])
    assert fit.sigma[0] == 0
    with pytest.raises(ValueError, match=r"^sigma must be > 0"):
        mixture_log_joint(v, *fit)


def test_a_small_sigma_makes_the_posterior_the_hard_assignment_of_k_means() -> None:
    v, c = normal(0, 10, 3), normal(1, 4, 3)
    p = posterior(mixture_log_joint(v, c, 0.01))
    assert torch.equal(p.argmax(dim=1), torch.cdist(v, c).argmin(dim=1))
    assert p.max(dim=1).values.min() > 0.999


# --- errata E10 and E11 ----------------------------------------------------------------------------------------


def on_sphere(seed: int, n: int, d: int) -> Tensor:
    return torch.nn.functional.normalize(normal(seed, n, d), dim=1)


@given(seed=seeds, n=sizes, k=sizes, d=st.integers(2, 6))
def test_erratum_e10_the_exponent_of_unit_vectors_is_two_minus_twice_the_cosine(
    seed: int, n: int, k: int, d: int
) -> None:
    v, c, phi = on_sphere(seed, n, d), on_sphere(seed + 1, k, d), positive(seed, k)
    exact = posterior(mixture_log_joint(v, c, phi.sqrt(), normalizer=False))
    assert_close(exact, torch.softmax((v @ c.T - 1) / phi, dim=1), rtol=1e-9, atol=1e-12)


@given(seed=seeds, n=sizes, k=sizes, d=st.integers(2, 6), tau=temperatures)
def test_erratum_e11_the_dropped_factor_cancels_when_all_phi_are_equal(
    seed: int, n: int, k: int, d: int, tau: float
) -> None:
    v, c = on_sphere(seed, n, d), on_sphere(seed + 1, k, d)
    exact = posterior(mixture_log_joint(v, c, math.sqrt(tau), normalizer=False))
    assert_close(exact, torch.softmax(v @ c.T / tau, dim=1), rtol=1e-9, atol=1e-12)


def test_erratum_e11_the_dropped_factor_changes_probabilities_when_phi_differ() -> None:
    v, c = on_sphere(0, 200, 8), on_sphere(1, 5, 8)
    phi = vector(0.05, 0.1, 0.2, 0.3, 0.35)
    exact = posterior(mixture_log_joint(v, c, phi.sqrt(), normalizer=False))
    dropped = torch.softmax(v @ c.T / phi, dim=1)
    assert (exact - dropped).abs().max() > 0.25
    # A tight prototype then attracts samples from afar: v = c_2 at 60 degrees from c_1, phi = (.05, .35).
    v, c = vector(1, 0)[None], torch.stack([vector(0.5, math.sqrt(0.75)), vector(1, 0)])
    exact = posterior(mixture_log_joint(v, c, vector(0.05, 0.35).sqrt(), normalizer=False))
    assert exact[0, 0] < 1e-4
    assert torch.softmax(v @ c.T / vector(0.05, 0.35), dim=1)[0, 0] > 0.999


# --- precision -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_sixteen_bit_inputs_get_float32_losses_and_their_own_gradient(dtype: torch.dtype) -> None:
    v, c, queue = (normal(s, 16, 8).to(dtype) for s in range(3))
    s, phi = torch.arange(16), torch.full((16,), 0.1)
    v.requires_grad_()
    for function in (lambda x, y, z: proto_nce(x, y, s, phi), info_nce_queue):
        low, full = function(v, c, queue), function(v.float(), c.float(), queue.float())
        for x, y in zip(low, full):
            assert x.dtype == torch.float32
            assert_close(x, y)
        (grad,) = torch.autograd.grad(low.total, v)
        assert grad.dtype == dtype
        assert grad.abs().max() > 0
    assert concentration(torch.ones(16, dtype=dtype), s // 2, 8, 0.2).dtype == torch.float32


def test_autocast_changes_nothing() -> None:
    v, c, queue = (normal(s, 16, 8, dtype=torch.float32) for s in range(3))
    s, phi = torch.arange(16), torch.full((16,), 0.1)
    q = torch.softmax(c, dim=1)
    functions: list[Any] = [
        lambda: proto_nce(v, c, s, phi),
        lambda: info_nce_queue(v, c, queue),
        lambda: (mixture_log_joint(v, c, 0.5), elbo(v, q), kl_to_posterior(v, q), log_evidence(v), posterior(v)),
        lambda: mixture_m_step(v, q),
        lambda: (concentration(v.norm(dim=1), s // 2, 8, 0.2),),
    ]
    for function in functions:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert (v @ c.T).dtype == torch.bfloat16
            inside = function()
        for x, y in zip(inside, function()):
            assert torch.equal(x, y)


def test_low_temperatures_do_not_overflow() -> None:
    v, c = normal(0, 8, 4, dtype=torch.float32), normal(1, 8, 4, dtype=torch.float32)
    assert all(math.isfinite(term) for term in proto_nce(v, c, torch.arange(8), torch.full((8,), 0.002)))
    assert all(math.isfinite(term) for term in info_nce_queue(v, c, c.roll(1, 0), 0.002))


# --- bad input -------------------------------------------------------------------------------------------------

V, C, S, PHI = torch.ones(4, 3), torch.ones(2, 3), torch.tensor([0, 1, 1, 0]), torch.ones(2)
NAN = torch.tensor([1.0, math.nan])
J, Q = torch.zeros(4, 2), torch.full((4, 2), 0.5)
BAD: list[tuple[Any, type[Exception], str]] = [
    (lambda: proto_nce([1.0], C, S, PHI), TypeError, r"^v must be a torch.Tensor .* got list"),
    (lambda: proto_nce(V * math.nan, C, S, PHI), ValueError, r"^v must be finite"),
    (lambda: proto_nce(V, C[:, :2], S, PHI), ValueError, r"^v and prototypes must .* \(4, 3\) .* \(2, 2\)"),
    (lambda: proto_nce(V, C, S[:3], PHI), ValueError, r"^assignments must have shape \(N,\), N = 4.*\(3,\)"),
    (lambda: proto_nce(V, C, S.float(), PHI), TypeError, r"^assignments must be whole numbers; got a float32"),
    (lambda: proto_nce(V, C, [0, 1], PHI), TypeError, r"^assignments must be a torch.Tensor .* got list"),
    (lambda: proto_nce(V, C, S + 1, PHI), ValueError, r"^assignments must lie in \[0, 2\).* got 1 to 2"),
    (lambda: proto_nce(V, C, S - 1, PHI), ValueError, r"^assignments must lie in \[0, 2\).* got -1 to 0"),
    (lambda: proto_nce(V, C, S, 0.1), TypeError, r"^phi must be a torch.Tensor of shape \(K,\); got float"),
    (lambda: proto_nce(V, C, S, torch.ones(3)), ValueError, r"^phi must have shape \(K,\), K = 2; got shape \(3,\)"),
    (lambda: proto_nce(V, C, S, PHI * 0), ValueError, r"^phi must be > 0; got a smallest entry of 0"),
    (lambda: proto_nce(V, C, S, NAN), ValueError, r"^phi must be finite"),
    (lambda: proto_nce(V, C, S, PHI.long()), TypeError, r"^phi must be floating point; got a int64"),
    (lambda: info_nce_queue(V, C, V), ValueError, r"^q and k must have the same shape"),
    (lambda: info_nce_queue(V, V, torch.ones(5, 2)), ValueError, r"^q and queue must .* \(4, 3\) .* \(5, 2\)"),
    (lambda: info_nce_queue(V, V, torch.ones(0, 3)), ValueError, r"^queue needs at least 1 samples"),
    (lambda: info_nce_queue(V, V, V, 0), ValueError, r"^temperature must be a finite number > 0; got 0"),
    (lambda: concentration(V, S, 2, 0.2), ValueError, r"^distances must have shape \(N,\); got shape \(4, 3\)"),
    (lambda: concentration(-V[:, 0], S, 2, 0.2), ValueError, r"^distances must be >= 0; got a smallest entry of -1"),
    (lambda: concentration(NAN, S[:2], 2, 0.2), ValueError, r"^distances must be finite"),
    (lambda: concentration(V[:, 0], S, 1, 0.2), ValueError, r"^assignments must lie in \[0, 1\)"),
    (lambda: concentration(V[:, 0], S, 0, 0.2), ValueError, r"^num_clusters must be >= 1; got 0"),
    (lambda: concentration(V[:, 0], S, 2, -0.2), ValueError, r"^temperature must be a finite number > 0"),
    (lambda: concentration(V[:, 0], S, 2, 0.2, 0.0), ValueError, r"^alpha must be a finite number > 0"),
    (lambda: elbo(J, Q * 2), ValueError, r"^q must have .* rows that sum to 1; got .* row sums from 2"),
    (lambda: kl_to_posterior(J, Q[:3]), ValueError, r"^log_joint and q must have the same shape"),
    (lambda: log_evidence(J - math.inf), ValueError, r"^log_joint must be finite"),
    (lambda: posterior(J[0]), ValueError, r"^log_joint must have shape"),
    (lambda: mixture_m_step([1.0], Q), TypeError, r"^v must be a torch.Tensor .* got list"),
    (lambda: mixture_m_step(V, Q[:3]), ValueError, r"^q must have shape \(N, K\), N = 4.*\(3, 2\)"),
    (lambda: mixture_m_step(V, Q * 2), ValueError, r"^q must have .* rows that sum to 1"),
    (lambda: mixture_m_step(V, torch.eye(2)[[0, 0, 0, 0]]), ValueError, r"some mass; component 1 has none"),
    (lambda: mixture_log_joint(V, C, 0.0), ValueError, r"^sigma must be a finite number > 0"),
    (lambda: mixture_log_joint(V, C, -PHI), ValueError, r"^sigma must be > 0; got a smallest entry of -1"),
    (lambda: mixture_log_joint(V, C[:, :1], 1.0), ValueError, r"^v and centres must have the same number of dim"),
]


@pytest.mark.parametrize(("call", "error", "message"), BAD)
def test_bad_input_is_named(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
