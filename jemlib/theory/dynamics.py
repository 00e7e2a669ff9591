"""Linear models of joint embedding, small enough to solve and plot.

They show why a predictor with stop-gradient does not collapse (Tian et al.), and why contrastive learning loses
dimensions all the same (Jing et al.).

Everything runs in float64 and integrates its differential equation with the classical Runge-Kutta scheme.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from jemlib import validate

State = tuple[Tensor, ...]


class ModeDynamics(NamedTuple):
    """Float64. `time` is `(T,)`; p, s and tau are `(T, ...)`, one column for every initial value."""

    time: Tensor
    p: Tensor
    s: Tensor
    tau: Tensor


class FixedPoints(NamedTuple):
    """`p_minus` is unstable: it bounds the basin of collapse, `p < p_minus`. `p_plus` is stable."""

    p_minus: float
    p_plus: float


def mode_dynamics(
    p0: float | Tensor,
    s0: float | Tensor,
    tau0: float | Tensor = 1.0,
    *,
    sigma2: float,
    eta: float,
    alpha_p: float = 1.0,
    beta: float | None = None,
    steps: int = 2000,
    dt: float = 0.05,
) -> ModeDynamics:
    """Follow one eigenmode of BYOL or SimSiam with a linear encoder W, a symmetric linear predictor and X = I.

    p is the predictor's eigenvalue, s that of the correlation `F = W X W^T`, and the target network is `tau W`.
    Along every trajectory `s - p^2 / alpha_p` decays as `e^(-2 eta t)`, whatever tau does: weight decay makes the
    predictor and the correlation forget how they started, and then share one fate. The paper prints the constant of
    this law, `c = s(0) - p(0)^2 / alpha_p`, with the opposite sign.

    Args:
        p0: initial eigenvalue of the predictor, a number or a tensor of many.
        s0: initial eigenvalue of the correlation, >= 0; a number or a tensor that broadcasts with `p0`.
        tau0: initial scale of the target network. 1 is a target equal to the online network.
        sigma2: variance that augmentation adds in every direction, in units of the data's variance, >= 0.
        eta: weight decay of encoder and predictor, per unit of time, >= 0.
        alpha_p: learning rate of the predictor over that of the encoder, > 0.
        beta: rate, per unit of time, at which the target follows the online network, >= 0. None holds tau at `tau0`:
            with `tau0 = 1` that is SimSiam, where the target is the online network.
        steps: number of integration steps, >= 1.
        dt: length of a step, > 0. Time is in units of the encoder's gradient flow.

    Returns:
        ModeDynamics with `steps + 1` times; the first is 0.

    Raises:
        TypeError, ValueError: an argument has the wrong type or range, or the integration diverges (`dt` too long).

    Source: Tian, Chen and Ganguli, 2102.06810, the decoupled dynamics and eq. 14; the sign of c is corrected.
    """
    for name, number in (("sigma2", sigma2), ("eta", eta), *([] if beta is None else [("beta", beta)])):
        validate.number(name, number, at_least=0)
    validate.number("alpha_p", alpha_p, above=0)
    p, s, tau = torch.broadcast_tensors(_values("p0", p0), _values("s0", s0, at_least=0), _values("tau0", tau0))

    def field(state: State) -> State:
        p, s, tau = state
        gain = tau - (1 + sigma2) * p
        # s' = 2 p s [tau - (1 + sigma^2) p] - 2 eta s, as a relative rate, so that tau' below needs no division by s
        s_rate = 2 * p * gain - 2 * eta
        # p' = alpha_p s [tau - (1 + sigma^2) p] - eta p
        p_slope = alpha_p * s * gain - eta * p
        # s tau' = beta (1 - tau) s - tau s' / 2
        tau_slope = torch.zeros_like(tau) if beta is None else beta * (1 - tau) - tau * s_rate / 2
        return p_slope, s * s_rate, tau_slope

    trajectory = list(_integrate(field, (p, s, tau), steps, dt))
    return ModeDynamics(_times(steps, dt), *(torch.stack(values) for values in zip(*trajectory)))


def cosine_mode_dynamics(
    p0: Tensor, s0: Tensor, *, sigma2: float, eta: float, alpha_p: float = 1.0, steps: int = 2000, dt: float = 0.05
) -> ModeDynamics:
    """Follow all eigenmodes of a linear SimSiam that is trained with the cosine instead of the squared distance.

    As `mode_dynamics`, for the loss `-E<p, sg z> / (|p| |z|)` where both lengths are replaced by their root mean
    squares over the data: `|p|^2 -> (1 + sigma^2) sum_k p_k^2 s_k`, `|z|^2 -> (1 + sigma^2) sum_k s_k`. That is a
    simplification; lengths concentrate when there are many dimensions. Through them the modes hang together.

    Without weight decay `sum_k p_k^2` and `sum_k s_k` stand still, because the loss is blind to lengths; with it they
    decay as `e^(-2 eta t)`, and so does `s - p^2 / alpha_p`. What moves is the share of each mode.

    Args:
        p0: `(K,)` initial eigenvalues of the predictor, K modes.
        s0: `(K,)` initial eigenvalues of the correlation, >= 0.
        sigma2, eta, alpha_p, steps, dt: as `mode_dynamics`.

    Returns:
        ModeDynamics with p and s `(T, K)`; tau is 1 throughout.

    Raises:
        TypeError, ValueError: an argument has the wrong type, shape or range, or the integration diverges: the smaller
            the lengths, the larger the gradient, so a long run with weight decay needs a short step.

    Source: our derivation; the question is that of Bao, 2309.16109.
    """
    for name, number in (("sigma2", sigma2), ("eta", eta)):
        validate.number(name, number, at_least=0)
    validate.number("alpha_p", alpha_p, above=0)
    validate.tensor("p0", p0, "modes")
    validate.tensor("s0", s0, "modes", modes=len(p0))
    p, s = _values("p0", p0), _values("s0", s0, at_least=0)

    def field(state: State) -> State:
        p, s = state
        predicted, agreed = (p * p * s).sum(), (p * s).sum()
        # [1 - p_j sum_k p_k s_k / sum_k p_k^2 s_k] / ((1 + sigma^2) sqrt(sum_k p_k^2 s_k) sqrt(sum_k s_k))
        gain = (1 - p * agreed / predicted) / ((1 + sigma2) * (predicted * s.sum()).sqrt())
        return alpha_p * s * gain - eta * p, 2 * p * s * gain - 2 * eta * s

    trajectory = [torch.stack(state) for state in _integrate(field, (p, s), steps, dt)]
    p_all, s_all = torch.stack(trajectory, dim=1)
    return ModeDynamics(_times(steps, dt), p_all, s_all, torch.ones_like(p_all))


def fixed_points(tau: float, sigma2: float, eta: float) -> FixedPoints | None:
    """Where a mode can rest besides 0, once `s = p^2 / alpha_p`: `p' = p^2 [tau - (1 + sigma^2) p] - eta p`.

    Args:
        tau: scale of the target network, > 0.
        sigma2: variance added by augmentation, >= 0.
        eta: weight decay, >= 0. With 0 the basin of collapse is empty: `p_minus` is 0.

    Returns:
        FixedPoints, which coincide at the critical weight decay; None above it, where every mode dies.

    Raises:
        TypeError, ValueError: an argument has the wrong type or range.

    Source: Tian, Chen and Ganguli, 2102.06810, section 3; checked against the flow in the tests.
    """
    validate.number("eta", eta, at_least=0)
    critical = critical_weight_decay(tau, sigma2)
    if eta > critical:
        return None
    # sqrt(tau^2 - 4 eta (1 + sigma^2))  =  tau sqrt(1 - eta / critical)
    root = tau * math.sqrt(1 - eta / critical)
    # p+- = (tau +- root) / (2 (1 + sigma^2)); p- as eta / ((1 + sigma^2) p+), because tau - root would cancel
    p_plus = (tau + root) / (2 * (1 + sigma2))
    return FixedPoints(eta / ((1 + sigma2) * p_plus), p_plus)


def critical_weight_decay(tau: float, sigma2: float) -> float:
    """`tau^2 / (4 (1 + sigma^2))`: above this weight decay the only resting point is collapse.

    Args, Raises: as `fixed_points`.
    """
    validate.number("tau", tau, above=0)
    validate.number("sigma2", sigma2, at_least=0)
    return tau**2 / (4 * (1 + sigma2))


class MatrixDynamics(NamedTuple):
    """Float64. `time` `(T,)`; `singular_values` of the encoder `(T, min(D, D_in))`, descending; the final matrices."""

    time: Tensor
    singular_values: Tensor
    w: Tensor
    w_p: Tensor


def matrix_dynamics(
    w: Tensor,
    w_p: Tensor | None,
    x_cov: Tensor,
    x_aug_cov: Tensor,
    *,
    eta: float = 0.0,
    alpha_p: float = 1.0,
    beta: float | None = None,
    stop_gradient: bool = True,
    predictor: bool = True,
    steps: int = 1000,
    dt: float = 0.05,
) -> MatrixDynamics:
    """Gradient flow of `J = 1/2 E |W_p W x_1 - W_a x_2|^2` for two views x_1, x_2 of one input; both networks linear.

    With the stop-gradient and a trained predictor the encoder keeps its rank. Without either one W goes to 0: the
    flow without stop-gradient is `vec(W)' = -H vec(W)` with a positive definite H (theorem 2), and the one without a
    predictor is `W' = -W (X' + eta I)`.

    Args:
        w: `(D, D_in)` initial encoder W.
        w_p: `(D, D)` initial predictor W_p, or None without a predictor.
        x_cov: `(D_in, D_in)` X, correlation of the inputs averaged over augmentation; symmetric.
        x_aug_cov: `(D_in, D_in)` X', mean covariance of the views of one input; symmetric.
        eta: weight decay, >= 0.
        alpha_p: learning rate of the predictor over that of the encoder, > 0.
        beta: rate at which a momentum target follows W, >= 0; it starts at `w`. None: the target is W itself.
        stop_gradient: whether the target counts as a constant. False needs `beta=None`.
        predictor: whether W_p is there and trained. False is W_p = I, held fixed.
        steps: number of integration steps, >= 1.
        dt: length of a step, > 0.

    Returns:
        MatrixDynamics. `W W^T - W_p^T W_p / alpha_p` decays as `e^(-2 eta t)` with the stop-gradient (theorem 1).

    Raises:
        TypeError, ValueError: an argument has the wrong type, shape or range, or the integration diverges.

    Source: Tian, Chen and Ganguli, 2102.06810, lemma 1, theorems 1 and 2.
    """
    start = _encoder_and_predictor(w, w_p, predictor)
    d_in = w.shape[1]
    x, noise = validate.symmetric("x_cov", x_cov, d_in), validate.symmetric("x_aug_cov", x_aug_cov, d_in)
    validate.number("eta", eta, at_least=0)
    validate.number("alpha_p", alpha_p, above=0)
    if beta is not None:
        validate.number("beta", beta, at_least=0)
        if not stop_gradient:
            raise ValueError("beta must be None when stop_gradient=False: a momentum target receives no gradient.")

    def field(state: State) -> State:
        w, w_p, target = state
        target = w if beta is None else target
        # -dJ/d(W_p W) = -W_p W (X + X') + W_a X
        pull = target @ x - w_p @ w @ (x + noise)
        # W' = W_p^T pull - eta W
        w_slope = w_p.T @ pull - eta * w
        if not stop_gradient:
            # -dJ/dW_a = W_p W X - W_a (X + X'), which W receives too
            w_slope = w_slope + w_p @ w @ x - w @ (x + noise)
        # W_p' = alpha_p pull W^T - eta W_p
        w_p_slope = alpha_p * pull @ w.T - eta * w_p if predictor else torch.zeros_like(w_p)
        # W_a' = beta (W - W_a)
        target_slope = torch.zeros_like(target) if beta is None else beta * (w - target)
        return w_slope, w_p_slope, target_slope

    spectra = []
    for state in _integrate(field, (*start, start[0]), steps, dt):
        spectra.append(torch.linalg.svdvals(state[0]))
    return MatrixDynamics(_times(steps, dt), torch.stack(spectra), state[0], state[1])


def _encoder_and_predictor(w: Tensor, w_p: Tensor | None, predictor: bool) -> tuple[Tensor, Tensor]:
    w = validate.matrix("w", w)
    identity = torch.eye(len(w), dtype=torch.float64, device=w.device)
    if not predictor:
        if w_p is not None:
            raise ValueError(f"w_p must be None when predictor=False; got {validate.describe(w_p)}.")
        return w, identity
    if w_p is None:
        raise ValueError("w_p must be a (D, D) tensor when predictor=True; got None.")
    return w, validate.matrix("w_p", w_p, f"{len(w)} {len(w)}")


class ContrastiveDynamics(NamedTuple):
    """Float64. `time` `(T,)`; `singular_values` of the product of layers `(T, R)`, descending; `loss` `(T,)`; the
    final layers."""

    time: Tensor
    singular_values: Tensor
    loss: Tensor
    layers: tuple[Tensor, ...]


def linear_contrastive_loss(x: Tensor, x_prime: Tensor, w: Tensor) -> Tensor:
    """InfoNCE on squared distances of a linear model `z = W x`: a sum over the samples, in nats, >= 0.

    `L = -sum_i log( k(z_i, z_i') / (k(z_i, z_i') + sum_{j != i} k(z_i, z_j)) )` with `k(a, b) = e^(-|a - b|^2 / 2)`.
    Negatives are the other anchors, `z_j`, not their views.

    Args, Raises: as `contrastive_gradient_matrix`.

    Returns:
        Scalar; N log N when W = 0.
    """
    x, x_prime, w = _data(x, x_prime, w)
    return _linear_loss(_kernel_logits(x, x_prime, w))


def contrastive_gradient_matrix(x: Tensor, x_prime: Tensor, w: Tensor) -> Tensor:
    """X in `dL/dW = -W X`, for L = `linear_contrastive_loss`: spread of the negatives minus spread of augmentation.

    Along a direction in which augmentation moves the input more than the inputs differ, X is negative: gradient
    descent shrinks W there (mechanism 1 of dimensional collapse).

    Args:
        x: `(N, D_in)` anchors, N >= 2.
        x_prime: `(N, D_in)` the positives; row i is another view of row i of `x`.
        w: `(D, D_in)` the linear model.

    Returns:
        `(D_in, D_in)` symmetric, float64. It depends on W through the softmax weights.

    Source: Jing et al., 2110.09348; re-derived, and checked against automatic differentiation.
    """
    x, x_prime, w = _data(x, x_prime, w)
    return _gradient_matrix(x, x_prime, _kernel_logits(x, x_prime, w))


def linear_contrastive_dynamics(
    x: Tensor, x_prime: Tensor, layers: Sequence[Tensor], *, steps: int = 300, dt: float = 0.05
) -> ContrastiveDynamics:
    """Gradient flow of `linear_contrastive_loss / N` for a linear network of one layer or of several.

    One layer shows mechanism 1 (strong augmentation kills singular values). Two show mechanism 2: their product moves
    along singular direction k at a rate that contains its own singular value, so that small ones grow last, and the
    network ends with a lower effective rank than one layer that started from the same product. No augmentation needed.

    Args:
        x: `(N, D_in)` anchors, N >= 2.
        x_prime: `(N, D_in)` the positives.
        layers: initial weights, first layer first: `(D_1, D_in)`, `(D_2, D_1)`, ...
        steps: number of integration steps, >= 1.
        dt: length of a step, > 0.

    Returns:
        ContrastiveDynamics; `loss` is the mean over N.

    Raises:
        TypeError, ValueError: an argument has the wrong type, shape or range, or the integration diverges.

    Source: Jing et al., 2110.09348.
    """
    if isinstance(layers, Tensor) or not len(layers):
        raise TypeError("layers must be a list of one or more weight matrices, first layer first.")
    x, x_prime, first = _data(x, x_prime, layers[0], name="layers[0]")
    state: State = (first,)
    for index, layer in enumerate(layers[1:], start=1):
        state = (*state, validate.matrix(f"layers[{index}]", layer, f"outputs {len(state[-1])}"))

    def field(state: State) -> State:
        w = _product(state)
        # -dL/dW = W X, of the mean over N
        pull = w @ _gradient_matrix(x, x_prime, _kernel_logits(x, x_prime, w)) / len(x)
        # W_l' = (W_L ... W_(l+1))^T pull (W_(l-1) ... W_1)^T
        return tuple(
            _product(state[k + 1 :], len(w)).T @ pull @ _product(state[:k], x.shape[1]).T for k in range(len(state))
        )

    spectra, losses = [], []
    for now in _integrate(field, state, steps, dt):
        w = _product(now)
        spectra.append(torch.linalg.svdvals(w))
        losses.append(_linear_loss(_kernel_logits(x, x_prime, w)) / len(x))
    return ContrastiveDynamics(_times(steps, dt), torch.stack(spectra), torch.stack(losses), now)


def _product(layers: Sequence[Tensor], size: int = 0) -> Tensor:
    """`W_L ... W_1`; the identity of the given size when there are none."""
    if not layers:
        return torch.eye(size, dtype=torch.float64)
    product = layers[0]
    for layer in layers[1:]:
        product = layer @ product
    return product


def _kernel_logits(x: Tensor, x_prime: Tensor, w: Tensor) -> Tensor:
    """`(N, N)`: -|z_i - z_j|^2 / 2, and on the diagonal -|z_i - z_i'|^2 / 2."""
    z, z_prime = x @ w.T, x_prime @ w.T
    squares = z.square().sum(dim=1)
    # |z_i - z_j|^2 = |z_i|^2 + |z_j|^2 - 2 z_i.z_j
    between = squares[:, None] + squares - 2 * z @ z.T
    positive = torch.diag((z - z_prime).square().sum(dim=1))
    return -(between - torch.diag(between.diagonal()) + positive) / 2


def _linear_loss(logits: Tensor) -> Tensor:
    return (logits.logsumexp(dim=1) - logits.diagonal()).sum()


def _gradient_matrix(x: Tensor, x_prime: Tensor, logits: Tensor) -> Tensor:
    alpha = logits.softmax(dim=1)
    others = alpha - torch.diag(alpha.diagonal())
    # Sigma_0 = sum_{i != j} alpha_ij (x_i - x_j)(x_i - x_j)^T, with the square multiplied out
    both = others + others.T
    sigma_0 = x.T @ (both.sum(dim=1)[:, None] * x) - x.T @ both @ x
    # Sigma_1 = sum_i (1 - alpha_ii) (x_i' - x_i)(x_i' - x_i)^T
    moved = x_prime - x
    sigma_1 = moved.T @ (others.sum(dim=1)[:, None] * moved)
    return sigma_0 - sigma_1


def _integrate(field: Callable[[State], State], state: State, steps: int, dt: float) -> Iterator[State]:
    """Classical fourth-order Runge-Kutta: yields the initial state and the state after each step."""
    validate.integer("steps", steps, at_least=1)
    validate.number("dt", dt, above=0)
    yield state
    for _ in range(steps):
        k1 = field(state)
        k2 = field(_moved(state, k1, dt / 2))
        k3 = field(_moved(state, k2, dt / 2))
        k4 = field(_moved(state, k3, dt))
        mean = tuple((a + 2 * b + 2 * c + d) / 6 for a, b, c, d in zip(k1, k2, k3, k4))
        previous, state = state, _moved(state, mean, dt)
        # A step that is too long for the slopes gives a midpoint estimate far from the mean of all four.
        unsure = [float(dt * (a - b).abs().max()) for a, b in zip(mean, k2)]
        size = [float(value.abs().max()) for value in previous]
        if not all(math.isfinite(e) and e <= 0.5 * (1 + s) for e, s in zip(unsure, size)):
            raise ValueError(f"the integration diverged: dt must be shorter for these values; got {dt:g}.")
        yield state


def _moved(state: State, slope: State, dt: float) -> State:
    return tuple(value + dt * k for value, k in zip(state, slope))


def _times(steps: int, dt: float) -> Tensor:
    return dt * torch.arange(steps + 1, dtype=torch.float64)


def _values(name: str, value: float | Tensor, at_least: float | None = None) -> Tensor:
    """A number, or a tensor of numbers, as float64."""
    if not isinstance(value, Tensor):
        validate.number(name, value, at_least=at_least)
        return torch.tensor(float(value), dtype=torch.float64)
    validate.finite(name, value)
    if at_least is not None and value.numel() and value.min() < at_least:
        raise ValueError(f"{name} must be >= {at_least:g} everywhere; the smallest entry is {value.min().item():g}.")
    return value.detach().to(torch.float64)


def _data(x: Tensor, x_prime: Tensor, w: Tensor, name: str = "w") -> tuple[Tensor, Tensor, Tensor]:
    """Check two views of the inputs and a weight matrix that fits them; return all three in float64."""
    x, x_prime = validate.paired("x", x, "x_prime", x_prime)
    return x.double(), x_prime.double(), validate.matrix(name, w, f"outputs {x.shape[1]}")
