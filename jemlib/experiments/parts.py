"""The three parts of BYOL, each there or removed: predictor, stop-gradient, momentum. And the stop-gradient misplaced."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import product
from typing import Any

from jemlib import validate
from jemlib.losses import BYOLLoss, byol
from jemlib.methods import BYOL, Batch, Method, build
from jemlib.scales import Scale, adjusted_scale

PARTS = ("predictor", "stop_gradient", "momentum")
# All eight choices, the whole method first.
CELLS: tuple[frozenset[str], ...] = tuple(
    frozenset(part for part, there in zip(PARTS, kept) if there) for kept in product((True, False), repeat=len(PARTS))
)
# Without the batch norm at the output, which holds the variance of each dimension up and so hides what goes on.
BARE = {"normalize_output": False}


class BothTrained(BYOL):
    """BYOL without the stop-gradient of a momentum encoder: the gradient trains the target network too.

    After each step the target follows the student as well, by the same average.
    """

    def __init__(self, loss: Callable[..., Any] | None = None, **settings: Any) -> None:
        super().__init__(loss, **settings)
        if self.target is None:
            raise ValueError("momentum_encoder must be True: without one, stop_gradient = False is all there is to set.")
        self.target.network.requires_grad_(True)

    def step(self, batch: Batch) -> BYOLLoss:
        assert self.target is not None
        z_a, z_b = self.embed_views(batch)
        target_a, target_b = map(self.target.network, batch.views)
        loss: BYOLLoss = self.loss(self.predictor(z_a), self.predictor(z_b), target_a, target_b, stop_gradient=False)
        return loss


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
            own target. Without "stop_gradient" the loss trains the target too; see `BothTrained` for a momentum target.
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
    if "stop_gradient" in kept:
        return method
    both = BothTrained(loss, **vars(method.config))
    both.load_state_dict(method.state_dict())  # the same start, drawn from the seed
    return both


def misplaced(loss: Callable[..., Any] = byol) -> Callable[..., Any]:
    """BYOL's loss with the stop-gradient on the predictor's side: projections approach predictions that stand still.

    The predictor gets no gradient then and stays as it was drawn. For a target that is the student itself.
    """

    def wrong_side(p_a: Any, p_b: Any, target_a: Any, target_b: Any, *, stop_gradient: bool = True) -> Any:
        # byol pairs its first argument with its fourth, and its second with its third
        return loss(target_b, target_a, p_b, p_a, stop_gradient=stop_gradient)

    return wrong_side


def brief(scale: Scale, steps: int = 40, batch_size: int = 64) -> Scale:
    """A run just long enough to see a collapse; scale `smoke` is left as it is."""
    if scale.name == "smoke":
        return scale
    return adjusted_scale(scale, steps=steps, warmup=steps // 5, batch_size=batch_size)
