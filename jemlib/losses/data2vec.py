"""data2vec: regress the teacher's contextual features, averaged over its top blocks, at the masked positions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from jemlib import validate
from jemlib.losses.precision import full_precision


class Data2VecLoss(NamedTuple):
    """`total`: a scalar, in the unit of the normalised targets."""

    total: Tensor


@torch.no_grad()
def data2vec_targets(layers: Sequence[Tensor], top: int | None = None) -> Tensor:
    """The mean over the top blocks of the teacher's outputs, each normalised over its features.

    Convention: LayerNorm without parameters, over the features of each position, biased variance, eps 1e-5 inside
    the root (the paper's choice for vision and text; it takes instance norm for speech).

    The norm fixes the scale: targets neither fade nor explode, as long as the features' variance is well above
    eps. It does not exclude a constant: if every image gives the same features, every image has the same target.
    And features that are equal within a position, zeros among them, come out as zeros.

    Args:
        layers: outputs of the teacher's blocks, first to last, each `(N, T, D)` (T positions) or `(N, D)`, D >= 2.
        top: how many of the last blocks to average, >= 1; None takes all.

    Returns:
        Tensor of the shape of one block's output, without gradient; at most sqrt(D) long at each position.

    Source: Baevski et al., 2202.03555, section 3.3.
    """
    # No @full_precision: autocast has no 16-bit layer_norm, and the blocks come as a list, in float32 from here on.
    if not isinstance(layers, (list, tuple)):
        raise TypeError(f"layers must be a list of block outputs (N, T, D); got {validate.describe(layers)}.")
    if not layers:
        raise ValueError("layers must hold at least one block's output; got an empty list.")
    if top is None:
        top = len(layers)
    validate.integer("top", top, at_least=1)
    if top > len(layers):
        raise ValueError(f"top must be at most the number of layers, {len(layers)}; got {top}.")
    blocks = [_features(f"layers[{i}]", layer, min_dims=2) for i, layer in enumerate(layers)]
    for i, block in enumerate(blocks):
        if block.shape != blocks[0].shape:
            raise ValueError(
                "layers must have one shape; "
                f"got {tuple(blocks[0].shape)} at index 0 and {tuple(block.shape)} at index {i}."
            )
    # y = (1/K) sum_{l = L-K+1}^{L} LN(a_l)
    return torch.stack([F.layer_norm(block, block.shape[-1:]) for block in blocks[-top:]]).mean(dim=0)


@full_precision
def data2vec(predictions: Tensor, targets: Tensor, mask: Tensor | None = None, beta: float = 1.0) -> Data2VecLoss:
    """Smooth L1 between predictions and targets at the masked positions.

    Convention: mean over the masked positions and over D. The targets are detached here. I-JEPA's paper writes
    the squared error; its code uses this loss with beta = 1 and layer-normalised targets.

    Args:
        predictions: `(N, T, D)` or `(N, D)`, of the student that saw the masked input.
        targets: the same shape, from `data2vec_targets` of the teacher that saw the whole input.
        mask: boolean `(N, T)` (or `(N,)`), True where the student's input was hidden; at least one True. None
            takes every position.
        beta: > 0. Errors below beta cost error^2 / (2 beta), larger ones error - beta / 2.

    Returns:
        Data2VecLoss; `total` >= 0. A constant target costs 0 as soon as it is predicted: collapse is a minimum.

    Source: Baevski et al., 2202.03555, section 3.3.
    """
    predictions, targets = _features("predictions", predictions), _features("targets", targets).detach()
    if predictions.shape != targets.shape:
        raise ValueError(
            "predictions and targets must have the same shape; "
            f"got {tuple(predictions.shape)} and {tuple(targets.shape)}."
        )
    if predictions.device != targets.device:
        raise ValueError(
            f"predictions and targets must be on one device; got {predictions.device} and {targets.device}."
        )
    validate.number("beta", beta, above=0)
    dtype = torch.promote_types(predictions.dtype, targets.dtype)
    predictions, targets = predictions.to(dtype), targets.to(dtype)
    if mask is not None:
        _check_mask(mask, predictions.shape[:-1])
        predictions, targets = predictions[mask], targets[mask]
    # e = |p - y|;  L = mean of e^2 / (2 beta) where e < beta, of e - beta / 2 elsewhere
    return Data2VecLoss(F.smooth_l1_loss(predictions, targets, beta=float(beta)))


def _features(name: str, x: Tensor, min_dims: int = 1) -> Tensor:
    """Check a finite floating-point `(N, T, D)` or `(N, D)`; return it in float32 or float64."""
    if not isinstance(x, Tensor) or not x.is_floating_point():
        raise TypeError(
            f"{name} must be a floating-point tensor of shape (N, T, D) or (N, D); got {validate.describe(x)}."
        )
    if x.ndim not in (2, 3) or x.numel() == 0 or x.shape[-1] < min_dims:
        raise ValueError(
            f"{name} must have shape (N, T, D) or (N, D), none empty and D >= {min_dims}; got shape {tuple(x.shape)}."
        )
    return validate.finite_float(name, x)


def _check_mask(mask: Tensor, shape: torch.Size) -> None:
    if not isinstance(mask, Tensor) or mask.dtype != torch.bool:
        raise TypeError(f"mask must be a boolean tensor, True at masked positions; got {validate.describe(mask)}.")
    if mask.shape != shape:
        raise ValueError(f"mask must have the predictions' shape without D, {tuple(shape)}; got {tuple(mask.shape)}.")
    if not torch.compiler.is_compiling() and not mask.any():
        raise ValueError("mask must be True at one position or more; got a mask that is False everywhere.")
