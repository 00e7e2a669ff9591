"""SwAV: balanced soft codes from Sinkhorn's algorithm, and the swapped prediction of one view's codes from another."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from jemlib import validate
from jemlib.losses.precision import full_precision


class SwAVLoss(NamedTuple):
    """`total = code_entropy + kl`; all three are scalars, in nats.

    The codes are constants, so the gradient of `total` is that of `kl`, and `total >= code_entropy` always.
    """

    total: Tensor
    code_entropy: Tensor
    kl: Tensor


# --- codes ------------------------------------------------------------------------------------------------------


@full_precision
@torch.no_grad()
def sinkhorn(scores: Tensor, epsilon: float = 0.05, iterations: int = 3) -> Tensor:
    """Balanced soft assignments: rows that are distributions, columns that share the samples equally.

    The limit of many iterations maximises `sum_ik Q_ik S_ik + epsilon H(Q)` over all Q whose rows sum to 1 and whose
    columns sum to N/K. Each iteration normalises the columns, then the rows. After any number of them >= 1 the rows
    therefore sum to 1 to rounding; the columns do only in the limit, which is far away for small epsilon.

    Convention: samples in rows (the official code keeps prototypes in rows until its last line);
    `iterations=0` is `softmax(scores / epsilon)`, where the official code returns rows that do not sum to 1.
    No gradient: the result is detached.

    Args:
        scores: `(N, K)` similarity of each sample to each prototype, N >= 1. Not divided by a temperature.
        epsilon: weight of the entropy, > 0. Towards 0: an assignment with exactly N/K samples a prototype, one-hot
            if K divides N (not k-means, whose clusters have any size). Towards infinity: 1/K everywhere.
        iterations: >= 0.

    Returns:
        `(N, K)` codes in [0, 1], float32 or float64. At collapse (all rows of `scores` equal): 1/K everywhere.

    Raises:
        TypeError, ValueError: an argument has the wrong type, shape or range, holds NaN, or scores / epsilon overflows.

    Source: Caron et al., 2006.09882, eq. 3 to 5; Cuturi, 1306.0895.
    """
    scores = validate.embeddings("scores", scores, min_samples=1, check_finite=False)
    validate.number("epsilon", epsilon, above=0)
    validate.integer("iterations", iterations, at_least=0)
    epsilon = float(epsilon)
    if not validate.may_look(scores):
        return _balance_blindly(scores, epsilon, iterations)
    smallest, largest = scores.aminmax()  # both are NaN if any entry is
    validate.finite_result(smallest + largest, scores=scores)
    low, high = float(smallest) / epsilon, float(largest) / epsilon
    if max(-low, high) > torch.finfo(scores.dtype).max or 1 / epsilon > torch.finfo(scores.dtype).max:
        raise ValueError(f"epsilon is too small: scores / epsilon overflows; got epsilon = {epsilon!r}.")
    if iterations == 0:
        return torch.softmax(scores / epsilon, dim=1)
    return _balance(scores, epsilon, iterations, low, high)


def _balance(scores: Tensor, epsilon: float, iterations: int, low: float, high: float) -> Tensor:
    """Sinkhorn's algorithm on scores whose quotients by epsilon lie in [low, high]; iterations >= 1.

    Q = diag(u) M diag(v) with M = exp(S/eps + g). The exponential is the expensive part, so it is taken once or twice,
    and the iterations touch the vectors u and v only. g holds the part of log v that is too large for v.
    """
    (n, k), ratio = scores.shape, scores.shape[0] / scores.shape[1]
    u, v = scores.new_ones(n), scores.new_ones(k)
    if high - low < -_floor(scores):
        g = torch.zeros_like(v)
        kernel = torch.add(scores.new_tensor(-high), scores, alpha=1 / epsilon).exp_()
    else:  # part of the exponentials would underflow: the first iteration is done on logarithms
        g = -_column_logsumexp(scores, epsilon)
        kernel, u = _row_kernel(scores, g, epsilon)
        iterations -= 1
    for _ in range(iterations):
        # columns sum to N/K: v_k = (N/K) / sum_i u_i M_ik; rows sum to 1: u_i = 1 / sum_k M_ik v_k
        v = ratio / (u @ kernel)
        u = 1 / (kernel @ v)
        # An entry that was clamped may grow by at most max(u) max(v). Before that matters, v moves into g.
        if float(u.max() * v.max()) > math.exp(-_floor(scores) / 3):
            g, v = g + v.log(), torch.ones_like(v)
            kernel, u = _row_kernel(scores, g, epsilon)
    return kernel.mul_(v).mul_(u[:, None])


def _balance_blindly(scores: Tensor, epsilon: float, iterations: int) -> Tensor:
    """The same for any scores, by logarithms throughout: more exponentials, but no branch that looks at a value."""
    logits = scores / epsilon
    for _ in range(iterations):
        logits = logits - logits.logsumexp(dim=0)
        logits = logits.log_softmax(dim=1)
    return logits.softmax(dim=1)


def _floor(scores: Tensor) -> float:
    """Exponents below this count as this: e^-61 in float32. Smaller numbers are slow (denormal) or become 0."""
    return 0.7 * math.log(torch.finfo(scores.dtype).tiny)


def _column_logsumexp(scores: Tensor, epsilon: float) -> Tensor:
    """`log sum_i exp(S_ik / eps)`, `(K,)`."""
    top = scores.amax(dim=0) / epsilon
    shifted = torch.add(-top, scores, alpha=1 / epsilon).clamp_(min=_floor(scores)).exp_()
    return shifted.sum(dim=0).log_() + top


def _row_kernel(scores: Tensor, g: Tensor, epsilon: float) -> tuple[Tensor, Tensor]:
    """`exp(S_ik / eps + g_k)` with each row scaled to a maximum of 1, and the `(N,)` factors that make rows sum to 1.

    Once the columns have been normalised, every column of the result, times the factors, sums to at least 1/K:
    a column normalisation turns an entry into at most 1 and a row's sum into at most K. Hence no column vanishes.
    """
    logits = torch.add(g, scores, alpha=1 / epsilon)
    kernel = logits.sub_(logits.amax(dim=1, keepdim=True)).clamp_(min=_floor(scores)).exp_()
    return kernel, 1 / kernel.sum(dim=1)


@full_precision
def swav_codes(
    scores: Tensor, queue_scores: Tensor | None = None, epsilon: float = 0.05, iterations: int = 3
) -> Tensor:
    """Codes of one batch, balanced over the batch and a queue of earlier samples.

    A batch with N < K cannot use every prototype once, so its codes cannot be sharp; a queue helps. The rows of other
    processes can be given in the same way.

    Args:
        scores: `(N, K)` scores of the batch.
        queue_scores: `(R, K)` scores of stored embeddings with the *current* prototypes, or None.
        epsilon, iterations: as in `sinkhorn`.

    Returns:
        `(N, K)` codes of the batch alone; rows sum to 1. No gradient.

    Source: Caron et al., 2006.09882, section 3.
    """
    if queue_scores is None:
        return sinkhorn(scores, epsilon, iterations)
    scores = validate.embeddings("scores", scores, min_samples=1)
    queue_scores = validate.embeddings("queue_scores", queue_scores, min_samples=1)
    if scores.shape[1] != queue_scores.shape[1] or scores.device != queue_scores.device:
        raise ValueError(
            "scores and queue_scores must have the same number of columns (prototypes) and be on one device; got "
            f"{tuple(scores.shape)} on {scores.device} and {tuple(queue_scores.shape)} on {queue_scores.device}."
        )
    return sinkhorn(torch.cat([scores, queue_scores]), epsilon, iterations)[: len(scores)]


# --- losses -----------------------------------------------------------------------------------------------------


@full_precision
def swapped_prediction(scores: Tensor, codes: Tensor, temperature: float = 0.1) -> SwAVLoss:
    """Cross-entropy between the codes of one view and the softmax of another view's scores; mean over N.

    Args:
        scores: `(N, K)` scores of the predicting view, N >= 2, not divided by the temperature.
        codes: `(N, K)` distributions over the prototypes, from another view; row i is the same image. Detached inside.
        temperature: tau > 0.

    Returns:
        SwAVLoss. The gradient in `scores` is `(p - q) / (tau N)` with p = softmax(scores / tau).

    Raises:
        TypeError, ValueError: an argument has the wrong type, shape or range, holds NaN, or rows of `codes` are not
            distributions.

    Source: Caron et al., 2006.09882, eq. 2.
    """
    scores, codes = validate.paired("scores", scores, "codes", codes)
    validate.distributions("codes", codes)
    validate.number("temperature", temperature, above=0)
    codes = codes.detach()
    return _decompose(_cross_entropy(scores, codes, temperature), [codes])


@full_precision
def _cross_entropy(scores: Tensor, codes: Tensor, temperature: float) -> Tensor:
    # l = -(1/N) sum_i sum_k q_ik log p_ik,  p_i = softmax(S_i / tau)
    log_p = (scores / temperature).log_softmax(dim=1)
    return -torch.dot(codes.flatten(), log_p.flatten()) / len(scores)  # a dot product stores no N x K term


def _decompose(total: Tensor, codes: Sequence[Tensor]) -> SwAVLoss:
    # H(q) = -(1/N) sum_i sum_k q_ik log q_ik,  and  l = H(q) + KL(q || p)
    code_entropy = torch.stack([_entropy(q) for q in codes]).mean()
    return SwAVLoss(total, code_entropy, total - code_entropy)


def _entropy(q: Tensor) -> Tensor:
    """Mean entropy of the rows; 0 log 0 = 0. The vectorised logarithm is four times quicker than torch.special.entr."""
    log_q = q.clamp(min=torch.finfo(q.dtype).tiny).log_()
    return -torch.dot(q.flatten(), log_q.flatten()) / len(q)


def _predict_the_others(views: Sequence[Tensor], codes: Sequence[Tensor], temperature: float) -> SwAVLoss:
    """The mean over all pairs (codes of view i, scores of view j), i != j."""
    pairs = [(scores, q) for i, q in enumerate(codes) for j, scores in enumerate(views) if i != j]
    return _decompose(torch.stack([_cross_entropy(*pair, temperature) for pair in pairs]).mean(), codes)


@full_precision
def swav(
    scores_a: Tensor, scores_b: Tensor, temperature: float = 0.1, epsilon: float = 0.05, iterations: int = 3
) -> SwAVLoss:
    """SwAV with two views: each view predicts the other one's codes.

    Convention: Sinkhorn runs on each view separately (some libraries run it once on both); codes are soft and carry
    no gradient; mean over samples and over the two directions, as in the official code. The paper's eq. 1 is a sum
    of the two directions, which is twice this value.

    Args:
        scores_a: `(N, K)` cosines of view A's embeddings with the K prototypes, N >= 2: both unit-norm, not divided.
        scores_b: `(N, K)` the same of view B; row i is the same image as row i of `scores_a`.
        temperature: tau of the predictions, > 0.
        epsilon: of the codes, > 0; see `sinkhorn`.
        iterations: of the codes, >= 0.

    Returns:
        SwAVLoss. When all embeddings coincide, the codes are 1/K and total is log K + KL(uniform || p) >= log K:
        equal use of the prototypes excludes a collapse of low loss, not collapse.

    Source: Caron et al., 2006.09882, eq. 1 to 5; facebookresearch/swav, main_swav.py.
    """
    scores_a, scores_b = validate.paired("scores_a", scores_a, "scores_b", scores_b)
    validate.number("temperature", temperature, above=0)
    views = (scores_a, scores_b)
    # L = ( l(S_a, q_b) + l(S_b, q_a) ) / 2
    return _predict_the_others(views, [sinkhorn(s, epsilon, iterations) for s in views], temperature)


def swav_multicrop(
    scores: Sequence[Tensor],
    num_code_crops: int = 2,
    temperature: float = 0.1,
    epsilon: float = 0.05,
    iterations: int = 3,
    queue_scores: Sequence[Tensor] | None = None,
) -> SwAVLoss:
    """SwAV with several crops: all crops predict, only the first (large) ones give codes.

    Convention: for each crop with codes the mean over the other crops, then the mean over the crops with codes, as in
    the official code; the paper's eq. 6 is a sum. With two crops this is `swav`.

    Args:
        scores: one `(N, K)` tensor of cosines per crop, at least 2 crops; row i of each is the same image.
        num_code_crops: how many of them, from the front, give codes; from 1 to the number of crops.
        temperature, epsilon, iterations: as in `swav`.
        queue_scores: for each crop with codes, `(R, K)` scores of stored embeddings (see `swav_codes`), or None.

    Returns:
        SwAVLoss; the value at collapse is that of `swav`.

    Source: Caron et al., 2006.09882, eq. 6; facebookresearch/swav, main_swav.py.
    """
    if isinstance(scores, Tensor) or not isinstance(scores, Sequence):
        raise TypeError(f"scores must be a list of (N, K) tensors, one per crop; got {validate.describe(scores)}.")
    if len(scores) < 2:
        raise ValueError(f"scores needs at least 2 crops: one predicts another one's codes; got {len(scores)}.")
    views = [scores[0], *scores[1:]]
    for i in range(1, len(views)):
        views[0], views[i] = validate.paired("scores[0]", views[0], f"scores[{i}]", views[i])
    validate.integer("num_code_crops", num_code_crops, at_least=1)
    if num_code_crops > len(views):
        raise ValueError(f"num_code_crops must be at most the number of crops, {len(views)}; got {num_code_crops}.")
    validate.number("temperature", temperature, above=0)
    queues = [None] * num_code_crops if queue_scores is None else list(queue_scores)
    if len(queues) != num_code_crops:
        raise ValueError(f"queue_scores needs one tensor per crop with codes, {num_code_crops}; got {len(queues)}.")
    codes = [swav_codes(s, queue, epsilon, iterations) for s, queue in zip(views, queues)]
    return _predict_the_others(views, codes, temperature)
