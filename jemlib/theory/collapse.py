"""Complete collapse made precise: start there, measure the gradient and the curvature, compare with the prediction.

At the exact constant no objective of this course tells samples apart: its gradient is zero, for contrastive ones too.
(SIGReg away from the constant 0, and DINO and SwAV away from uniform codes, push all samples alike.) So a zero
gradient tells no method from another; curvature does. Where it is negative, the constant is an unstable point that
any perturbation leaves. Where it is zero or positive, collapse is a resting place.

A loss is here a function of one batch of embeddings, `(N, D)` -> scalar, both views being the same embeddings:
`lambda z: vicreg(z, z).total`.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from jemlib import validate
from jemlib.losses import VICRegLoss, vicreg
from jemlib.losses.precision import full_precision

Loss = Callable[[Tensor], Tensor]


# --- at the constant --------------------------------------------------------------------------------------------


def trivial_start(
    n: int,
    d: int,
    constant: float | Tensor = 1.0,
    noise: float = 0.0,
    generator: torch.Generator | None = None,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Collapsed embeddings: every row the same constant, plus normal noise of the given size.

    Args:
        n: number of rows N, >= 1.
        d: number of dimensions D, >= 1.
        constant: the value of every entry, or a `(D,)` tensor, the value of every row.
        noise: standard deviation of the noise, >= 0. With 0 the rows are exactly equal.
        generator: the source of the noise; None is torch's global one.
        dtype: a floating-point type.

    Returns:
        `(N, D)`, on the generator's device (the CPU without one).
    """
    validate.integer("n", n, at_least=1)
    validate.integer("d", d, at_least=1)
    validate.number("noise", noise, at_least=0)
    device = "cpu" if generator is None else generator.device
    if isinstance(constant, Tensor):
        if constant.shape != (d,):
            raise ValueError(f"constant must be a number or have shape ({d},); got shape {tuple(constant.shape)}.")
        validate.finite("constant", constant)
    else:
        validate.number("constant", constant)
    z = torch.zeros(n, d, dtype=dtype, device=device) + torch.as_tensor(constant, dtype=dtype, device=device)
    if noise == 0:
        return z
    return z + noise * torch.randn(n, d, generator=generator, dtype=dtype, device=device)


def gradient_norm(loss: Loss, z: Tensor) -> float:
    """`|dL/dz|`, the Frobenius norm, for a loss of one batch of embeddings that stand for both views.

    Args:
        loss: `(N, D)` -> scalar tensor.
        z: `(N, D)` embeddings, where to take the gradient.

    Raises:
        TypeError, ValueError: `z` has the wrong type or shape, or holds NaN; or `loss` returns no scalar that
            depends on its argument.
    """
    return float(_gradient(loss, validate.embeddings("z", z, min_samples=1).detach()).norm())


def curvature(loss: Loss, z: Tensor, *, zero_mean: bool = True, step: float | None = None) -> Tensor:
    """Eigenvalues of the Hessian of a loss of one batch of embeddings that stand for both views.

    By default along perturbations whose mean over the batch is zero: they tell samples apart, which is what leaving
    collapse means. Meant for small N and D: it takes N D backward passes, and memory (N D)^2. Use float64.

    With a stop-gradient inside, the second derivative of the loss's value is not what training feels, and automatic
    differentiation returns a third thing, in which the target stands still. Give a `step` then: the result is the
    derivative of the gradient itself, taken by central differences, target moving (its symmetric part).

    Args:
        loss: `(N, D)` -> scalar tensor, twice differentiable.
        z: `(N, D)` embeddings, where to take it, N >= 2.
        zero_mean: False takes all perturbations, N D eigenvalues.
        step: None for automatic differentiation; otherwise the length of a difference, > 0. Small against the
            scale on which the loss changes; 1e-5 in float64 is often right.

    Returns:
        `((N-1) D,)` eigenvalues, ascending, in units of the loss over z squared.

    Raises:
        TypeError, ValueError: as `gradient_norm`, and `step` out of range.
    """
    z = validate.embeddings("z", z).detach()
    n, d = z.shape
    if step is None:
        hessian = torch.autograd.functional.hessian(lambda x: _scalar(loss(x)), z)
        hessian = hessian.reshape(n * d, n * d)
    else:
        validate.number("step", step, above=0)
        units = step * torch.eye(n * d, dtype=z.dtype, device=z.device).reshape(n * d, n, d)
        rows = [(_gradient(loss, z + unit) - _gradient(loss, z - unit)).flatten() / (2 * step) for unit in units]
        hessian = torch.stack(rows)
    if zero_mean:
        # rows b of the batch -> coordinates of the deviations from the mean, each dimension by itself
        eye = torch.eye(d, dtype=z.dtype, device=z.device)
        basis = torch.kron(_deviations(n).to(z), eye)
        hessian = basis.T @ hessian @ basis
    return torch.linalg.eigvalsh((hessian + hessian.T) / 2)


def _gradient(loss: Loss, z: Tensor) -> Tensor:
    z = z.clone().requires_grad_()
    value = _scalar(loss(z))
    if not value.requires_grad:
        raise ValueError("loss must depend on its argument; its value has no gradient.")
    (gradient,) = torch.autograd.grad(value, z)
    return gradient


def _scalar(value: object) -> Tensor:
    if not isinstance(value, Tensor) or value.ndim:
        hint = " Take its .total." if hasattr(value, "total") else ""
        raise TypeError(f"loss must return a scalar tensor; got {validate.describe(value)}.{hint}")
    return value


def _deviations(n: int) -> Tensor:
    """`(N, N-1)`, an orthonormal basis of the vectors whose entries sum to zero."""
    spanning = torch.eye(n, dtype=torch.float64)
    spanning[:, 0] = 1
    return torch.linalg.qr(spanning)[0][:, 1:].contiguous()  # kron wants it so


# --- what the theory says ---------------------------------------------------------------------------------------


class PredictedCurvature(NamedTuple):
    """A loss at complete collapse: its value, and the spectrum that `curvature` finds there.

    Along the (N-1) D zero-mean perturbations of shared views, `multiplicity` eigenvalues are `eigenvalue`; the others
    are 0. Negative: the constant is left. Zero: to second order nothing happens.
    """

    value: float
    eigenvalue: float
    multiplicity: int


def predicted_curvature(name: str, n: int, d: int, **settings: float) -> PredictedCurvature:
    """Value and curvature of a loss at the constant embedding, in closed form.

    | name | settings and defaults | at which constant |
    | --- | --- | --- |
    | `info_nce` | temperature=0.2, norm=1 | any, of length `norm` |
    | `uniformity` | t=2, norm=1 | any, of length `norm` |
    | `vicreg` | variance=25, gamma=1, eps=1e-4 | any |
    | `vicreg_variance_hinge` | variance=25, gamma=1 | any |
    | `barlow_twins` | eps=1e-5 | any |
    | `sigreg` | constant=0; d must be 1; the exact integral | `constant` |
    | `simsiam`, `byol` | none; the predictor is the identity | any but 0 |
    | `dino` | student_temperature=0.1, teacher_temperature=0.04 | logits alike over the K = d outputs, centre as they |
    | `swav` | temperature=0.1, epsilon=0.05 | scores alike over the K = d prototypes |

    The last four have a stop-gradient: what is predicted is the derivative of the gradient that training follows
    (`curvature` with a `step`). For `dino` and `swav` it is negative exactly when the target is sharper than the
    prediction. That is a statement about logits; where a network maps everything to one point its weights must first
    find a perturbation to amplify, and uniform codes can last long.

    Args:
        name: one of the names above.
        n: number of samples N, >= 2.
        d: number of dimensions D, or of outputs or prototypes K, >= 1.
        settings: as in the table.

    Raises:
        TypeError, ValueError: unknown name or setting, or a number of the wrong type or range.
    """
    predict = _PREDICTIONS[validate.choice("name", name, _PREDICTIONS)]
    validate.integer("n", n, at_least=2)
    validate.integer("d", d, at_least=1)
    known = list(inspect.signature(predict).parameters)[2:]
    for setting, value in settings.items():
        validate.choice(f"a setting of {name}", setting, known or ["(none)"])
        if setting == "constant":
            validate.number(setting, value)
        else:
            validate.number(setting, value, above=0)
    return predict(n, d, **settings)


def _info_nce(n: int, d: int, temperature: float = 0.2, norm: float = 1.0) -> PredictedCurvature:
    # L = log N + (1 / 2 tau) (mean_i |u_i - v_i|^2 - mean_ij |u_i - v_j|^2) + O(4), and u = v: only spread is left
    # eigenvalue -2 / (tau N |c|^2), for directions orthogonal to c: length does not count
    return PredictedCurvature(math.log(n), -2 / (temperature * n * norm**2), (n - 1) * (d - 1))


def _uniformity(n: int, d: int, t: float = 2.0, norm: float = 1.0) -> PredictedCurvature:
    # L = -t mean_{i<j} |u_i - u_j|^2 + O(4)  ->  -4 t / ((N-1) |c|^2)
    return PredictedCurvature(0.0, -4 * t / ((n - 1) * norm**2), (n - 1) * (d - 1))


def _vicreg(n: int, d: int, variance: float = 25.0, gamma: float = 1.0, eps: float = 1e-4) -> PredictedCurvature:
    # S_j = sqrt(eps) + Var_j / (2 sqrt(eps)) + O(4)  ->  -mu / (D sqrt(eps) (N-1))
    eigenvalue = -variance / (d * math.sqrt(eps) * (n - 1))
    return PredictedCurvature(variance * (gamma - math.sqrt(eps)), eigenvalue, (n - 1) * d)


def _vicreg_variance_hinge(n: int, d: int, variance: float = 25.0, gamma: float = 1.0) -> PredictedCurvature:
    # mu (gamma - mean_j Var_j)  ->  -2 mu / (D (N-1)): 1 / (2 sqrt(eps)) = 50 times weaker than the hinge on the std
    return PredictedCurvature(variance * gamma, -2 * variance / (d * (n - 1)), (n - 1) * d)


def _barlow_twins(n: int, d: int, eps: float = 1e-5) -> PredictedCurvature:
    # C_jj = v_j / (v_j + eps), (1 - C_jj)^2 = 1 - 2 v_j / eps + O(4)  ->  -4 / (N eps)
    return PredictedCurvature(float(d), -4 / (n * eps), (n - 1) * d)


def _sigreg(n: int, d: int, constant: float = 0.0) -> PredictedCurvature:
    if d != 1:
        raise ValueError(f"d must be 1 for sigreg: the statistic of one slice is of numbers, (N, 1); got {d}.")
    # T/N = sqrt(2 pi) mean_jk e^(-(x_j - x_k)^2 / 2) - 2 sqrt(pi) mean_j e^(-x_j^2 / 4) + sqrt(2 pi / 3)
    attraction = math.sqrt(math.pi) * math.exp(-(constant**2) / 4)
    value = n * (math.sqrt(2 * math.pi) - 2 * attraction + math.sqrt(2 * math.pi / 3))
    # repulsion between samples, -2 sqrt(2 pi), against the attraction to 0, sqrt(pi) (1 - c^2/2) e^(-c^2/4)
    return PredictedCurvature(value, attraction * (1 - constant**2 / 2) - 2 * math.sqrt(2 * math.pi), n - 1)


def _simsiam(n: int, d: int) -> PredictedCurvature:
    # -cos(z, z) = -1 for any z: with equal views and no predictor nothing moves, collapsed or not
    return PredictedCurvature(-1.0, 0.0, (n - 1) * d)


def _byol(n: int, d: int) -> PredictedCurvature:
    # both directions of 2 - 2 cos(z, z)
    return PredictedCurvature(0.0, 0.0, (n - 1) * d)


def _dino(n: int, d: int, student_temperature: float = 0.1, teacher_temperature: float = 0.04) -> PredictedCurvature:
    return _distillation(n, d, student_temperature, teacher_temperature)


def _swav(n: int, d: int, temperature: float = 0.1, epsilon: float = 0.05) -> PredictedCurvature:
    # near uniform codes one Sinkhorn iteration already gives q = 1/K + delta / (K epsilon), delta centred both ways
    return _distillation(n, d, temperature, epsilon)


def _distillation(n: int, k: int, prediction: float, target: float) -> PredictedCurvature:
    # dL/ds = (p - q) / (tau N),  p = 1/K + delta / (K tau),  q = 1/K + delta / (K tau_target)
    # -> (1/tau - 1/tau_target) / (N K tau), for directions that sum to zero over the K outputs
    return PredictedCurvature(math.log(k), (1 / prediction - 1 / target) / (n * k * prediction), (n - 1) * (k - 1))


_PREDICTIONS: dict[str, Callable[..., PredictedCurvature]] = {
    "info_nce": _info_nce,
    "uniformity": _uniformity,
    "vicreg": _vicreg,
    "vicreg_variance_hinge": _vicreg_variance_hinge,
    "barlow_twins": _barlow_twins,
    "sigreg": _sigreg,
    "simsiam": _simsiam,
    "byol": _byol,
    "dino": _dino,
    "swav": _swav,
}


# --- VICReg with augmentation noise -----------------------------------------------------------------------------


@full_precision
def vicreg_variance_hinge(
    z_a: Tensor,
    z_b: Tensor,
    invariance: float = 25.0,
    variance: float = 25.0,
    covariance: float = 1.0,
    gamma: float = 1.0,
) -> VICRegLoss:
    """VICReg with the hinge on the variance, as lecture notes often write it; otherwise as `losses.vicreg`.

    Same scale, centred, unbiased, averaged over the branches: only the root is missing. It is here to be compared;
    its push away from collapse vanishes with the spread, where that of the standard deviation keeps its strength.

    Args:
        z_a, z_b, invariance, variance, covariance, gamma: as `losses.vicreg`.

    Returns:
        VICRegLoss; `variance` is in [0, gamma]. Total is `variance * gamma` when all embeddings coincide.
    """
    z_a, z_b = validate.paired("z_a", z_a, "z_b", z_b)
    validate.number("variance", variance, at_least=0)
    rest = vicreg(z_a, z_b, invariance, 0.0, covariance, gamma)
    # v = (1/D) sum_j max(0, gamma - Var_j), averaged over the branches
    v = torch.stack([torch.relu(gamma - z.var(dim=0)).mean() for z in (z_a, z_b)]).mean()
    return rest._replace(total=rest.total + variance * v, variance=v)


def scale_coefficient(
    noise: float,
    d: int,
    *,
    form: str = "code",
    hinge: str = "std",
    invariance: float = 25.0,
    variance: float = 25.0,
    eps: float = 1e-4,
) -> float:
    """The coefficient of s^2 in VICReg as the embeddings shrink to a constant: `z = c + s (u + e)`, s -> 0.

    u is the signal, common to both views, of variance 1 in each dimension; e is what augmentation adds, drawn anew for
    each view, of variance `noise`. Positive: shrinking lowers the loss, and collapse is locally stable. Negative: it is
    not. Correlated dimensions cost s^4 and do not count; nor does gamma.

    Args:
        noise: variance of augmentation over that of the signal, >= 0.
        d: number of dimensions D, >= 1.
        form: "code", the scale of `losses.vicreg`, or "paper", sums over D and both branches added.
        hinge: "std", on `sqrt(Var + eps)`, or "variance", on Var.
        invariance: weight lambda, in the units of `form`, >= 0.
        variance: weight mu, in the units of `form`, >= 0.
        eps: inside the root of the std, >= 0. With 0 the hinge has a kink at collapse, which falls as -s: the
            coefficient is -inf, and collapse unstable for any weights.

    Returns:
        The coefficient, in units of the loss.

    Raises:
        TypeError, ValueError: an argument has the wrong type or range, or an unknown name.

    Source: expansion of Bardes et al., 2105.04906, eq. 1 to 6, at collapse.
    """
    validate.number("noise", noise, at_least=0)
    pull, push = _pull_and_push(d, form, hinge, invariance, variance, eps)
    if math.isinf(push):
        return -math.inf
    # invariance  lambda E|e - e'|^2 s^2 = pull noise s^2;  hinge  -push (1 + noise) s^2
    return pull * noise - push * (1 + noise)


def critical_noise(
    d: int,
    *,
    form: str = "code",
    hinge: str = "std",
    invariance: float = 25.0,
    variance: float = 25.0,
    eps: float = 1e-4,
) -> float:
    """The augmentation noise above which collapse is locally stable; infinity when it never is.

    With equal weights: code scale, std hinge: never; code scale, variance hinge: 1; paper scale, variance hinge:
    `1 / (D - 1)`; paper scale, std hinge: `100 / (2 D - 100)`, never for D <= 50.

    Args, Raises: as `scale_coefficient`.
    """
    pull, push = _pull_and_push(d, form, hinge, invariance, variance, eps)
    # pull noise > push (1 + noise)
    return push / (pull - push) if pull > push else math.inf


def _pull_and_push(
    d: int, form: str, hinge: str, invariance: float, variance: float, eps: float
) -> tuple[float, float]:
    """Per s^2: what the invariance term costs per unit of noise, and what the hinge gains per unit of variance."""
    validate.integer("d", d, at_least=1)
    validate.choice("form", form, ("code", "paper"))
    validate.choice("hinge", hinge, ("std", "variance"))
    for name, value in (("invariance", invariance), ("variance", variance), ("eps", eps)):
        validate.number(name, value, at_least=0)
    # mean over D of (e - e')^2 is 2 noise; the paper sums over D
    pull = 2 * invariance * (d if form == "paper" else 1)
    # both branches, averaged in the code and added in the paper
    push = variance * (2 if form == "paper" else 1)
    if hinge == "std" and push:
        # gamma - sqrt(Var + eps) = gamma - sqrt(eps) - Var / (2 sqrt(eps)) + O(4)
        push = push / (2 * math.sqrt(eps)) if eps else math.inf
    return pull, push
