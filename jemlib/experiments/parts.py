"""The parts of BYOL, each there or removed: predictor, stop-gradient, momentum. And the stop-gradient misplaced."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import product
from typing import Any

import torch
from torch.func import functional_call

from jemlib import validate
from jemlib.losses import BYOLLoss, byol
from jemlib.methods import BYOL, Batch, Method, build
from jemlib.nets import cosine_momentum
from jemlib.scales import Scale, adjusted_scale

PARTS = ("predictor", "stop_gradient", "momentum")
# All eight choices, the whole method first.
CELLS: tuple[frozenset[str], ...] = tuple(
    frozenset(part for part, there in zip(PARTS, kept) if there) for kept in product((True, False), repeat=len(PARTS))
)
# Without the batch norm at the output, which holds the variance of each dimension up and so hides what goes on.
BARE = {"normalize_output": False}


class ThroughTheAverage(BYOL):
    """BYOL with a momentum target and no stop-gradient: the gradient flows through the average into the student.

    The target's weights are `m xi + (1 - m) theta`, averaged before the step instead of after it, and the second part
    is not cut off. At m = 0 that is the student as its own target, without stop-gradient.
    """

    def step(self, batch: Batch) -> BYOLLoss:
        assert self.target is not None
        z_a, z_b = self.embed_views(batch)
        network = self.target.network
        m = cosine_momentum(batch.progress, self.config.momentum)
        theta = dict(self.student().named_parameters())
        # xi <- m xi + (1 - m) theta
        xi = {name: m * old.detach() + (1 - m) * theta[name] for name, old in network.named_parameters()}
        target_a, target_b = (functional_call(network, xi, (view,)) for view in batch.views)
        with torch.no_grad():
            for name, old in network.named_parameters():
                old.copy_(xi[name])
        loss: BYOLLoss = self.loss(self.predictor(z_a), self.predictor(z_b), target_a, target_b, stop_gradient=False)
        return loss

    def after_step(self, progress: float) -> None:
        """Nothing: the target has moved already."""


class TrainedTarget(BYOL):
    """BYOL whose target network is trained by the loss as well, and then follows the student as ever.

    This does *not* remove the stop-gradient from the student: nothing comes back from the target to it.
    """

    def __init__(self, loss: Callable[..., Any] | None = None, **settings: Any) -> None:
        super().__init__(loss, **settings)
        if self.target is None:
            raise ValueError("momentum_encoder must be True: there is no target network of its own to be trained.")
        self.target.network.requires_grad_(True)

    def step(self, batch: Batch) -> BYOLLoss:
        assert self.target is not None
        z_a, z_b = self.embed_views(batch)
        target_a, target_b = map(self.target.network, batch.views)
        loss: BYOLLoss = self.loss(self.predictor(z_a), self.predictor(z_b), target_a, target_b, stop_gradient=False)
        return loss


def remade(kind: type[BYOL], method: Method, loss: Callable[..., Any] | None = None) -> Method:
    """A method of another class with the settings and the weights of this one, so that both start alike."""
    other = kind(loss, **vars(method.config))
    other.load_state_dict(method.state_dict())
    return other


def with_parts(
    parts: Iterable[str],
    *,
    scale: str | Scale | None = None,
    seed: int = 0,
    loss: Callable[..., Any] | None = None,
    **settings: Any,
) -> Method:
    """BYOL with some of its three parts: with all it is BYOL, without momentum it is SimSiam up to a factor.

    Args:
        parts: of `PARTS`. Without "predictor" predictions are the projections. Without "momentum" the student is its
            own target. Without "stop_gradient" the gradient reaches the student through the target too; for a momentum
            target see `ThroughTheAverage`.
        scale, seed, loss, settings: as `jemlib.methods.build`.

    Raises:
        TypeError, ValueError: a part is unknown, or as `build`.
    """
    if isinstance(parts, str):
        raise TypeError(f"parts must be a list of names; got {validate.describe(parts)}.")
    kept = {validate.choice("part", part, PARTS) for part in parts}
    chosen = {**BARE, **settings} | ({} if "predictor" in kept else {"predictor": "none"})
    if "momentum" not in kept:
        own = {"momentum_encoder": False, "stop_gradient": "stop_gradient" in kept}
        return build("byol", scale=scale, seed=seed, loss=loss, **chosen, **own)
    method = build("byol", scale=scale, seed=seed, loss=loss, **chosen)
    return method if "stop_gradient" in kept else remade(ThroughTheAverage, method, loss)


def misplaced(loss: Callable[..., Any] = byol) -> Callable[..., Any]:
    """BYOL's loss with the stop-gradient on the predictor's side: projections approach predictions that stand still.

    The predictor gets no gradient then and stays as it was drawn. For a target that is the student itself.
    """

    def wrong_side(p_a: Any, p_b: Any, target_a: Any, target_b: Any, *, stop_gradient: bool = True) -> Any:
        # byol pairs its first argument with its fourth, and its second with its third
        return loss(target_b, target_a, p_b, p_a, stop_gradient=stop_gradient)

    return wrong_side


def brief(scale: Scale, steps: int = 40, batch_size: int = 64) -> Scale:
    """A run just long enough to see a collapse; at scale `smoke`, which shows nothing, two steps of 16 images."""
    if scale.name == "smoke":
        steps, batch_size = 2, 16
    return adjusted_scale(scale, steps=steps, warmup=steps // 5, batch_size=batch_size)
