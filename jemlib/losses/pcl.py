"""PCL: contrast with prototypes (ProtoNCE), the concentration of each cluster, and the EM view behind both."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from jemlib import validate
from jemlib.losses.info_nce import ContrastiveLoss
from jemlib.losses.precision import full_precision

# --- losses -----------------------------------------------------------------------------------------------------


@full_precision
def proto_nce(v: Tensor, prototypes: Tensor, assignments: Tensor, phi: Tensor) -> ContrastiveLoss:
    """The prototype term of PCL for one clustering: find the cluster of each sample among all K prototypes.

    Convention: `v` and `prototypes` are l2-normalised inside; the concentration divides its own *column*, `v.c_j /
    phi_j`; mean over N; full softmax. The official code samples prototypes and lets batch-mates of one cluster count
    as negatives of each other, which puts a floor of log(N/K) under the loss when K < N; here the floor is 0.
    The method averages this term over its clusterings and adds `info_nce_queue`.

    Args:
        v: `(N, D)` embeddings of the trained encoder, N >= 1.
        prototypes: `(K, D)` cluster centres. They and `phi` come from the clustering, which gives them no gradient.
        assignments: `(N,)` whole numbers in [0, K): the cluster of each sample.
        phi: `(K,)` concentrations > 0, from `concentration`. Small means tight: a colder softmax, a stronger pull.

    Returns:
        ContrastiveLoss; total >= 0. With K = 1 it is 0. When v and the prototypes all coincide and the phi are equal,
        it is log K.

    Source: Li et al., 2005.04966, the prototype term of ProtoNCE; salesforce/PCL, builder.py.
    """
    v, prototypes = _same_width("v", v, "prototypes", prototypes)
    k = prototypes.shape[0]
    _check_assignments(assignments, v.shape[0], k)
    phi = validate.finite_float("phi", validate.tensor("phi", phi, "K", K=k)).to(v)
    if validate.may_look(phi) and phi.min() <= 0:
        raise ValueError(f"phi must be > 0; got a smallest entry of {phi.min().item():.3g}.")
    # logits_ij = v_i . c_j / phi_j
    logits = F.normalize(v, dim=1) @ F.normalize(prototypes, dim=1).T / phi
    # L = mean_i [ -logits_{i, s(i)} + log sum_j exp logits_ij ],  s(i) the cluster of sample i
    alignment = -logits.gather(1, assignments.long()[:, None]).mean()
    contrast = logits.logsumexp(dim=1).mean()
    return ContrastiveLoss(alignment + contrast, alignment, contrast)


@full_precision
def info_nce_queue(q: Tensor, k: Tensor, queue: Tensor, temperature: float = 0.2) -> ContrastiveLoss:
    """InfoNCE with negatives from a queue, as in MoCo: row i of `k` is the positive, the queue the negatives.

    Convention: cosine similarity, all three normalised inside; the positive is part of the sum; mean over N.
    No gradient flows into `k` and `queue`, which come from the momentum encoder. The queue must not hold `k` itself.

    Args:
        q: `(N, D)` queries of the trained encoder, N >= 1.
        k: `(N, D)` keys; row i is another view of the image of row i of `q`.
        queue: `(R, D)` keys of earlier batches, R >= 1.
        temperature: tau > 0.

    Returns:
        ContrastiveLoss; `total` lies in [0, log(1 + R e^(2/tau))] and is log(1 + R) when all embeddings coincide.

    Source: He et al., 1911.05722, eq. 1; the first term of ProtoNCE in Li et al., 2005.04966.
    """
    q, k = validate.paired("q", q, "k", k, min_samples=1)
    q, queue = _same_width("q", q, "queue", queue)
    validate.number("temperature", temperature, above=0)
    u = F.normalize(q, dim=1)
    positive = (u * F.normalize(k.detach(), dim=1)).sum(dim=1) / temperature
    negative = u @ F.normalize(queue.detach(), dim=1).T / temperature
    # L = mean_i [ -p_i + log( exp p_i + sum_r exp n_ir ) ]
    alignment = -positive.mean()
    contrast = torch.logaddexp(positive, negative.logsumexp(dim=1)).mean()
    return ContrastiveLoss(alignment + contrast, alignment, contrast)


# --- concentration ----------------------------------------------------------------------------------------------


@full_precision
@torch.no_grad()
def raw_concentration(distances: Tensor, assignments: Tensor, num_clusters: int, alpha: float = 10.0) -> Tensor:
    """`phi_j = (mean distance of cluster j to its centre) / log(Z_j + alpha)`, Z_j its number of samples.

    Args:
        distances: `(N,)` Euclidean distances >= 0 (not squared) of the momentum features to the centre of their
            cluster as k-means gives it, *before* that centre is l2-normalised.
        assignments: `(N,)` whole numbers in [0, num_clusters).
        num_clusters: K >= 1.
        alpha: > 0; keeps small clusters from a large phi: log(Z + alpha) is steep at small Z.

    Returns:
        `(K,)`, >= 0, and NaN for clusters of fewer than two samples, whose spread is unknown. No gradient.

    Source: Li et al., 2005.04966, concentration estimation.
    """
    distances = validate.finite_float("distances", validate.tensor("distances", distances, "N"))
    validate.integer("num_clusters", num_clusters, at_least=1)
    _check_assignments(assignments, distances.shape[0], num_clusters)
    validate.number("alpha", alpha, above=0)
    if validate.may_look(distances) and distances.min() < 0:
        raise ValueError(f"distances must be >= 0; got a smallest entry of {distances.min().item():.3g}.")
    zeros, index = distances.new_zeros(num_clusters), assignments.long()
    sizes = zeros.index_add(0, index, torch.ones_like(distances))
    sums = zeros.index_add(0, index, distances)
    # phi_j = sum_{z in j} d_z / (Z_j log(Z_j + alpha))
    phi = sums / (sizes * torch.log(sizes + alpha))
    return phi.masked_fill(sizes < 2, math.nan)


@full_precision
@torch.no_grad()
def concentration(
    distances: Tensor, assignments: Tensor, num_clusters: int, temperature: float, alpha: float = 10.0
) -> Tensor:
    """The concentration phi of each cluster, made fit to be a temperature: no outliers, mean `temperature`.

    As in the official code: `raw_concentration`; clusters of fewer than two samples get the largest value; clip to
    the 10th and 90th percentile (linear interpolation); rescale to a mean of `temperature`. It differs where that code
    gives 0 or NaN: clusters without spread get the smallest positive value, and if no cluster has any
    (constant features, or all clusters singletons) every phi is `temperature`.

    Args:
        distances: `(N,)` Euclidean distances >= 0, not squared, to the centre before it is normalised.
        assignments: `(N,)` whole numbers in [0, num_clusters).
        num_clusters: K >= 1.
        temperature: the mean of the result, > 0.
        alpha: > 0; see `raw_concentration`.

    Returns:
        `(K,)`, > 0. No gradient. At collapse (all distances 0): `temperature` everywhere.

    Source: Li et al., 2005.04966, concentration estimation; salesforce/PCL, main_pcl.py for clip and rescaling.
    """
    validate.number("temperature", temperature, above=0)
    phi = raw_concentration(distances, assignments, num_clusters, alpha)
    phi = phi.nan_to_num(nan=phi.nan_to_num(nan=0.0).max().item())
    low, high = torch.quantile(phi, phi.new_tensor([0.1, 0.9]))
    phi = phi.clamp(low, high)
    if phi.max() <= 0:
        return torch.full_like(phi, temperature)
    phi = phi.clamp(min=phi[phi > 0].min())
    # phi_j <- tau phi_j / mean(phi)
    return phi * (temperature / phi.mean())


# --- expectation maximisation -----------------------------------------------------------------------------------


@full_precision
def mixture_log_joint(v: Tensor, centres: Tensor, sigma: Tensor | float, normalizer: bool = True) -> Tensor:
    """`log p(v_i, c_j)` of K isotropic Gaussians with a uniform prior.

    With unit vectors, |v - c|^2 = 2 - 2 v.c: without the normaliser the posterior's logits are `(v.c_j - 1) / phi_j`,
    phi = sigma^2. PCL's logits `v.c_j / phi_j` drop the factor e^(-1/phi_j) as well, which cancels in the softmax only
    if all phi are equal: a modelling choice, not algebra.

    Args:
        v: `(N, D)` samples, N >= 1; not normalised inside.
        centres: `(K, D)`; not normalised inside.
        sigma: standard deviation > 0: one number, or `(K,)`.
        normalizer: whether to include `-D/2 log(2 pi sigma_j^2)`. Without it this is no density, and PCL's form.

    Returns:
        `(N, K)`, in nats.
    """
    v, centres = _same_width("v", v, "centres", centres)
    k, d = centres.shape
    if not isinstance(sigma, Tensor):
        validate.number("sigma", sigma, above=0)
        sigma = v.new_full((k,), sigma)
    sigma = validate.finite_float("sigma", validate.tensor("sigma", sigma, "K", K=k)).to(v)
    if sigma.min() <= 0:
        raise ValueError(f"sigma must be > 0; got a smallest entry of {sigma.min().item():.3g}.")
    squares = (v[:, None, :] - centres).square().sum(dim=2)
    # log p(v_i, c_j) = -log K - |v_i - c_j|^2 / (2 sigma_j^2) - (D/2) log(2 pi sigma_j^2)
    log_joint = -math.log(k) - squares / (2 * sigma.square())
    return log_joint - d / 2 * torch.log(2 * math.pi * sigma.square()) if normalizer else log_joint


@full_precision
def log_evidence(log_joint: Tensor) -> Tensor:
    """`log p(x_i) = log sum_c p(x_i, c)`, `(N,)` in nats, from `(N, K)` finite logarithms."""
    return validate.embeddings("log_joint", log_joint, min_samples=1).logsumexp(dim=1)


@full_precision
def posterior(log_joint: Tensor) -> Tensor:
    """`p(c | x_i)` by Bayes' rule, `(N, K)`, rows sum to 1: the E-step, and the Q at which the ELBO is tight."""
    return torch.softmax(validate.embeddings("log_joint", log_joint, min_samples=1), dim=1)


@full_precision
def elbo(log_joint: Tensor, q: Tensor) -> Tensor:
    """The evidence lower bound of each sample, `sum_c Q(c) log[ p(x, c) / Q(c) ]`, by Jensen's inequality.

    Identity: `elbo + kl_to_posterior = log_evidence` for every Q. For a one-hot Q it is log p(x, c*).

    Args:
        log_joint: `(N, K)` log p(x_i, c_j), finite, N >= 1.
        q: `(N, K)`, rows are distributions.

    Returns:
        `(N,)` in nats, at most `log_evidence(log_joint)`.

    Raises:
        TypeError, ValueError: an argument has the wrong type or shape, holds NaN, or rows of `q` do not sum to 1.

    Source: Li et al., 2005.04966, the lower bound of its EM derivation.
    """
    log_joint, q = _joint_and_q(log_joint, q)
    # sum_c Q log p(x, c) - sum_c Q log Q, with 0 log 0 = 0
    return (q * log_joint + torch.special.entr(q)).sum(dim=1)


@full_precision
def kl_to_posterior(log_joint: Tensor, q: Tensor) -> Tensor:
    """`KL(Q || p(c | x_i))`, the gap of the ELBO: `(N,)` in nats, >= 0, and 0 only for Q = posterior.

    Arguments and errors as in `elbo`.
    """
    log_joint, q = _joint_and_q(log_joint, q)
    # sum_c Q log Q - sum_c Q log p(c | x)
    return -(q * torch.log_softmax(log_joint, dim=1) + torch.special.entr(q)).sum(dim=1)


class MixtureFit(NamedTuple):
    """The parameters of K isotropic Gaussians: `centres` `(K, D)` and standard deviations `sigma` `(K,)`."""

    centres: Tensor
    sigma: Tensor


@full_precision
def mixture_m_step(v: Tensor, q: Tensor) -> MixtureFit:
    """The M-step of K isotropic Gaussians with a uniform prior: the maximum of `sum_i elbo_i` for a fixed `q`.

    Convention: a standard deviation for each component, shared by its D dimensions. It is 0 where all the mass of a
    component lies on one point: the likelihood has no maximum there, and `mixture_log_joint` refuses such a sigma.

    Args:
        v: `(N, D)` samples, N >= 1; not normalised inside.
        q: `(N, K)`, rows are distributions; `posterior` in EM, one-hot rows in k-means.

    Returns:
        MixtureFit; centres are weighted means, so they lie among the samples.

    Raises:
        TypeError, ValueError: an argument has the wrong type or shape, holds NaN, rows of `q` do not sum to 1, or a
            component has no mass at all.

    Source: the gradient of the bound set to zero; derived in lesson 07.
    """
    v = validate.embeddings("v", v, min_samples=1)
    q = validate.finite_float("q", validate.tensor("q", q, "N K", N=v.shape[0])).to(v)
    validate.distributions("q", q)
    mass = q.sum(dim=0)
    if mass.min() <= 0:
        raise ValueError(f"q must give every component some mass; component {int(mass.argmin())} has none.")
    # c_j = sum_i q_ij v_i / sum_i q_ij
    centres = q.T @ v / mass[:, None]
    squares = (v[:, None, :] - centres).square().sum(dim=2)
    # sigma_j^2 = sum_i q_ij |v_i - c_j|^2 / (D sum_i q_ij)
    return MixtureFit(centres, ((q * squares).sum(dim=0) / (v.shape[1] * mass)).sqrt())


# --- checks -----------------------------------------------------------------------------------------------------


def _joint_and_q(log_joint: Tensor, q: Tensor) -> tuple[Tensor, Tensor]:
    log_joint, q = validate.paired("log_joint", log_joint, "q", q, min_samples=1)
    validate.distributions("q", q)
    return log_joint, q


def _same_width(name_a: str, a: Tensor, name_b: str, b: Tensor) -> tuple[Tensor, Tensor]:
    """Two sets of vectors of one dimension, on one device, in one dtype."""
    a = validate.embeddings(name_a, a, min_samples=1)
    b = validate.embeddings(name_b, b, min_samples=1)
    if a.shape[1] != b.shape[1] or a.device != b.device:
        raise ValueError(
            f"{name_a} and {name_b} must have the same number of dimensions and be on one device; got "
            f"{tuple(a.shape)} on {a.device} and {tuple(b.shape)} on {b.device}."
        )
    dtype = torch.promote_types(a.dtype, b.dtype)
    return a.to(dtype), b.to(dtype)


def _check_assignments(assignments: Tensor, n: int, k: int) -> None:
    validate.tensor("assignments", assignments, "N", kind="integer", meaning="a cluster id per sample", N=n)
    if not validate.may_look(assignments):
        return
    low, high = assignments.aminmax()
    if low < 0 or high >= k:
        raise ValueError(f"assignments must lie in [0, {k}), the K = {k} clusters; got {int(low)} to {int(high)}.")
