"""SIGReg: test along random directions whether embeddings are a standard normal sample, and penalise the misfit."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from jemlib import validate
from jemlib.losses.precision import full_precision


class SIGRegLoss(NamedTuple):
    """`total`: the Epps-Pulley statistic, mean over slices; a scalar without unit, proportional to N under misfit."""

    total: Tensor


class LeJEPALoss(NamedTuple):
    """`total = (1 - lambd) * invariance + lambd * sigreg`; both terms are unweighted scalars."""

    total: Tensor
    invariance: Tensor
    sigreg: Tensor


# --- the statistic of one-dimensional samples -------------------------------------------------------------------


class _Quadrature(torch.autograd.Function):
    """The statistic of each column of `(N, S)`, with its gradient in closed form.

    Both passes need cos(t_k x) and sin(t_k x) only as powers of e^{i dt x}, because the knots are equally spaced.
    So there is one cosine and one sine per sample instead of one per knot, and no array per knot to keep.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, knots: int, t_max: float) -> Tensor:
        cos_1, sin_1, r, q = _moments(x, knots, t_max)
        ctx.save_for_backward(x, cos_1, sin_1, r, q)
        ctx.grid = knots, t_max
        # T = N sum_k w_k (r_k^2 + q_k^2)
        return x.shape[0] * (_grid(x, knots, t_max)[1] @ (r.square() + q.square()))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        x, cos_1, sin_1, r, q = ctx.saved_tensors
        if torch.is_grad_enabled():  # a second derivative is wanted: the moments must depend on x
            cos_1, sin_1, r, q = _moments(x, *ctx.grid)
        t, weights, _ = _grid(x, *ctx.grid)
        # dT/dx = sum_k 2 w_k t_k [ q_k cos(t_k x) - r_k sin(t_k x) ] = Re sum_k 2 w_k t_k (q_k + i r_k) e^{i k a},
        # a polynomial in e^{i a}: evaluated from the highest power down
        slope = (2 * weights * t)[:, None]
        q, r = slope * q, slope * r
        u, v = q[-1].expand_as(x), r[-1].expand_as(x)
        for k in range(len(q) - 2, -1, -1):
            u, v = (
                torch.addcmul(torch.addcmul(q[k], u, cos_1), v, sin_1, value=-1),
                torch.addcmul(torch.addcmul(r[k], u, sin_1), v, cos_1),
            )
        return gradient * torch.addcmul(u * cos_1, v, sin_1, value=-1), None, None


def _moments(x: Tensor, knots: int, t_max: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """cos and sin of a = dt x, and for each knot r_k = mean cos(t_k x) - e^{-t_k^2/2} and q_k = mean sin(t_k x)."""
    angle = x * (t_max / (knots - 1))
    cos_1, sin_1 = angle.cos(), angle.sin()
    cos, sin = cos_1, sin_1
    real, imaginary = [cos.mean(dim=0)], [sin.mean(dim=0)]
    for _ in range(knots - 2):
        # e^{i (k+1) a} = e^{i k a} e^{i a}
        cos, sin = torch.addcmul(cos * cos_1, sin, sin_1, value=-1), torch.addcmul(sin * cos_1, cos, sin_1)
        real.append(cos.mean(dim=0))
        imaginary.append(sin.mean(dim=0))
    return cos_1, sin_1, torch.stack(real) - _grid(x, knots, t_max)[2][:, None], torch.stack(imaginary)


def _grid(x: Tensor, knots: int, t_max: float) -> tuple[Tensor, Tensor, Tensor]:
    """Knots t_k > 0, their weights, and e^{-t_k^2/2}. At t = 0 the integrand is 0, so that knot is left out."""
    t = torch.linspace(0, t_max, knots, dtype=x.dtype, device=x.device)[1:]
    normal = torch.exp(-t.square() / 2)
    # The integrand is even: the trapezoid rule on [0, t_max], doubled; w_k = 2 dt e^{-t_k^2/2}, half at the end
    weights = 2 * t_max / (knots - 1) * normal
    return t, torch.cat([weights[:-1], weights[-1:] / 2]), normal


def _columns(x: Tensor) -> Tensor:
    """Check `(N,)` or `(N, S)`; return `(N, S)`."""
    if isinstance(x, Tensor) and x.ndim == 1:
        x = x[:, None]
    return validate.embeddings("x", x, min_samples=1)


@full_precision
def epps_pulley(x: Tensor, knots: int = 17, t_max: float = 3.0) -> Tensor:
    """How far samples are from N(0, 1): the distance of their characteristic functions, by quadrature.

    `T = N int |phi_hat(t) - e^{-t^2/2}|^2 e^{-t^2/2} dt`, phi_hat(t) = mean_j e^{i t x_j}. Samples are not
    standardised first, so mean 0 and variance 1 are part of what is tested. Convention: the official code's
    trapezoid rule of 17 knots on [0, 3], doubled; it leaves out the tails, 2 to 6 % of T for samples near 0. Equally
    spaced knots see each sample modulo 2 pi / dt only, which is 33.5 by default: one at 33.5 passes for one at 0.

    Args:
        x: `(N,)` samples, or `(N, S)` with one sample per column; N >= 1.
        knots: equally spaced knots on [0, t_max], >= 2. Rounding grows with their number.
        t_max: end of the integral, > 0. With knots=401, t_max=8 it agrees with `epps_pulley_exact` in float64.

    Returns:
        Scalar for `(N,)`, `(S,)` for columns; >= 0, and at most 4N times the integral of the weight. For samples of
        N(0, 1) the expectation is 1.0525 for every N; when all samples are 0 it is 0.40205 N, with gradient 0.

    Source: Epps and Pulley, 1983; Balestriero and LeCun, 2511.08544, official code.
    """
    columns = _columns(x)
    validate.integer("knots", knots, at_least=2)
    validate.number("t_max", t_max, above=0)
    statistic: Tensor = _Quadrature.apply(columns, knots, t_max)
    return statistic[0] if x.ndim == 1 else statistic


@full_precision
def epps_pulley_exact(x: Tensor) -> Tensor:
    """`epps_pulley` with the whole integral in closed form, O(N^2) in time and memory.

    Args:
        x: `(N,)` samples, or `(N, S)` with one sample per column; N >= 1.

    Returns:
        Scalar for `(N,)`, `(S,)` for columns; >= 0. The expectation is sqrt(2 pi) (1 - 1/sqrt 3) = 1.0594 for samples
        of N(0, 1) of every N; when all samples are 0 it is 0.40892 N. No entry of the gradient exceeds 4.561.

    Source: the Gaussian integrals of `epps_pulley`; our own derivation.
    """
    columns = _columns(x)
    n = columns.shape[0]
    # T = N [ sqrt(2 pi) mean_jk e^{-(x_j - x_k)^2/2} - 2 sqrt(pi) mean_j e^{-x_j^2/4} + sqrt(2 pi / 3) ]
    pairs = torch.exp(-(columns[:, None] - columns).square() / 2).mean(dim=(0, 1))
    singles = torch.exp(-columns.square() / 4).mean(dim=0)
    integral = math.sqrt(2 * math.pi) * pairs - 2 * math.sqrt(math.pi) * singles + math.sqrt(2 * math.pi / 3)
    return n * (integral[0] if x.ndim == 1 else integral)


# --- the losses -------------------------------------------------------------------------------------------------


def _directions(z: Tensor, num_slices: int, generator: torch.Generator | None) -> Tensor:
    """Random unit vectors, one per column: `(D, S)` of z's dtype, the same numbers for float32 and float64."""
    validate.integer("num_slices", num_slices, at_least=1)
    if generator is not None and not isinstance(generator, torch.Generator):
        raise TypeError(f"generator must be a torch.Generator or None; got {validate.describe(generator)}.")
    device = z.device if generator is None else generator.device
    gaussian = torch.randn(z.shape[1], num_slices, generator=generator, device=device).to(z)
    return gaussian / gaussian.norm(dim=0)


def _sliced(z: Tensor, directions: Tensor) -> Tensor:
    # (1/S) sum_s T(z a_s), by 17 knots on [0, 3]
    statistic: Tensor = _Quadrature.apply(z @ directions, 17, 3.0)
    return statistic.mean()


@full_precision
def sigreg(z: Tensor, num_slices: int = 256, generator: torch.Generator | None = None) -> SIGRegLoss:
    """Push the distribution of embeddings towards N(0, I), seen through random one-dimensional slices.

    Convention: fresh random directions in each call; the 17-knot statistic multiplied by N; mean over slices; slices
    are not standardised. With several processes N is the local batch unless the embeddings are gathered first.
    Rotating `z` changes nothing in expectation over the slices; for given slices it does.

    Args:
        z: `(N, D)` embeddings, N >= 2. They are not normalised: mean 0 and covariance I are what is asked for.
        num_slices: S >= 1 random directions; cost is proportional to it.
        generator: source of the directions, for slices that can be repeated; None takes torch's global one.

    Returns:
        SIGRegLoss; `total` >= 0, about 1.0525 for embeddings from N(0, I), and 0.40205 N when all are 0. There the
        gradient is 0; another constant near 0 is pulled to 0, all samples alike. The gradient is bounded, however
        far out an embedding lies.

    Source: Balestriero and LeCun, 2511.08544, official code.
    """
    z = validate.embeddings("z", z)
    return SIGRegLoss(_sliced(z, _directions(z, num_slices, generator)))


@full_precision
def lejepa(
    z_a: Tensor,
    z_b: Tensor,
    lambd: float = 0.02,
    num_slices: int = 256,
    generator: torch.Generator | None = None,
) -> LeJEPALoss:
    """LeJEPA: pull the views together and make each of them look like N(0, I).

    Convention: invariance is the squared distance of each view to the mean of the views, mean over views, samples
    and dimensions: a quarter of the mean squared difference of two views. SIGReg is the mean over the views, with
    the same slices for both; some libraries stack the views as samples, which multiplies it by the number of views.

    Args:
        z_a: `(N, D)` embeddings of view A, N >= 2. They are not normalised.
        z_b: `(N, D)` embeddings of view B; row i is the same image as row i of `z_a`.
        lambd: weight of `sigreg` in [0, 1]; the invariance has 1 - lambd.
        num_slices, generator: as in `sigreg`.

    Returns:
        LeJEPALoss. When all embeddings are 0, total is `lambd * 0.40205 N`.

    Source: Balestriero and LeCun, 2511.08544, official code (its minimal example).
    """
    z_a, z_b = validate.paired("z_a", z_a, "z_b", z_b)
    validate.number("lambd", lambd, at_least=0, at_most=1)
    directions = _directions(z_a, num_slices, generator)
    # (1/VND) sum_v |z_v - mean_v z|^2 = (1/4ND) sum (a - b)^2 for V = 2
    invariance = (z_a - z_b).square().mean() / 4
    misfit = (_sliced(z_a, directions) + _sliced(z_b, directions)) / 2
    return LeJEPALoss((1 - lambd) * invariance + lambd * misfit, invariance, misfit)
