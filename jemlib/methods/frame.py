"""What a method gives its loss, and what a loss of one's own must give back.

The frame of a method is the signature of jemlib's function: the arguments without default are tensors, and every loss
gets them by position; the others it gets by name, when it names them.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from jemlib import validate

# What else a row of the history holds; a term of that name would take its place.
COLUMNS = ("step", "images_seen", "seconds", "learning_rate")


class Total(NamedTuple):
    """The loss of a function that returns one number."""

    total: Tensor


class Frame:
    """The frame of a method.

    Attributes:
        method: its name.
        tensors: names of what every loss gets, by position.
        options: what it may name besides, and jemlib's default of each.
        result: the NamedTuple of jemlib's function.
    """

    def __init__(self, method: str, loss_function: Callable[..., Any]) -> None:
        self.method = method
        self.signature = inspect.signature(loss_function)
        parameters = self.signature.parameters.values()
        self.tensors = tuple(p.name for p in parameters if p.default is p.empty)
        self.options = {p.name: p.default for p in parameters if p.default is not p.empty}
        self.result: type = inspect.get_annotations(loss_function, eval_str=True)["return"]

    def __str__(self) -> str:
        by_name = f"; by name: {', '.join(self.options)}" if self.options else ""
        return f"{', '.join(self.tensors)}{by_name}"

    def wanted(self, loss: Callable[..., Any]) -> frozenset[str] | None:
        """Which options a loss names; None if it takes whatever it is given, or does not say.

        Raises:
            TypeError: it takes too few tensors, or cannot be called without something that the frame does not give.
        """
        try:
            parameters = list(inspect.signature(loss).parameters.values())
        except (TypeError, ValueError):  # written in C
            return None
        kinds = [p.kind for p in parameters]
        if inspect.Parameter.VAR_POSITIONAL in kinds:
            return None
        by_position = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        name, gives = getattr(loss, "__name__", type(loss).__name__), f"the frame of {self.method} gives"
        if len(by_position) < len(self.tensors):
            taken = ", ".join(p.name for p in by_position) or "none"
            raise TypeError(
                f"loss must take {len(self.tensors)} tensors by position: {gives} {', '.join(self.tensors)}; "
                f"{name} takes {taken}."
            )
        rest = [p for p in parameters if p not in by_position[: len(self.tensors)]]
        for p in rest:
            if p.default is p.empty and p.name not in self.options and p.kind != p.VAR_KEYWORD:
                raise TypeError(
                    f"loss must be callable with what {gives} ({self}); {name} also wants {p.name!r}. Give that a "
                    "default."
                )
        if inspect.Parameter.VAR_KEYWORD in kinds:
            return frozenset(self.options)
        return frozenset(p.name for p in rest if p.name in self.options and p.kind != p.POSITIONAL_ONLY)

    def arguments(self, loss: Callable[..., Any], args: Any, kwargs: Any) -> tuple[list[Any], dict[str, Any]]:
        """What a loss of one's own gets where jemlib's would get `args` and `kwargs`."""
        wanted = self.wanted(loss)
        if wanted is None:
            return list(args), _accepted(loss, kwargs)
        given = self.signature.bind(*args, **kwargs).arguments
        required = _required(loss)
        # What the step leaves to jemlib's default is left to the default of the loss, if it has one.
        named = {n: given.get(n, self.options[n]) for n in sorted(wanted) if n in given or n in required}
        return [given[n] for n in self.tensors], named

    def ignored(self, loss: Callable[..., Any], settings: Iterable[str]) -> list[str]:
        """Which of these settings go to jemlib's loss alone, and so change nothing for this one."""
        wanted = self.wanted(loss)
        return [] if wanted is None else [name for name in settings if name in self.options and name not in wanted]

    def named(self, found: Any, whose: str) -> Any:
        """A loss's result as a NamedTuple of scalar tensors whose field `total` is to be minimised.

        Raises:
            TypeError, ValueError: it is neither a scalar tensor, nor a NamedTuple with `total`, nor as jemlib's own.
        """
        if isinstance(found, Tensor):
            return Total(_scalar(found, f"{whose} must return"))
        if isinstance(found, (bool, int, float)):
            raise TypeError(
                f"{whose} must return a scalar tensor; got {found!r}, a {type(found).__name__}, which has no gradient. "
                "Return the tensor itself, without .item() or float()."
            )
        if isinstance(found, tuple) and not hasattr(found, "_asdict"):
            found = self._with_names(found, whose)
        if not hasattr(found, "_asdict"):
            missing = " Is a `return` missing?" if found is None else ""
            raise TypeError(
                f"{whose} must return a scalar tensor, or a NamedTuple with a field `total`; got "
                f"{validate.describe(found)}.{missing}"
            )
        fields = found._asdict()
        if "total" not in fields:
            raise ValueError(
                f"{whose} must return a NamedTuple with a field `total`; its fields are {', '.join(fields)}."
            )
        for name in fields:
            if name in COLUMNS:
                raise ValueError(f"{whose} must not call a term {name!r}: a column of the history has that name.")
        total = _scalar(found.total, f"the total of {whose} must be")
        return found._replace(**{name: _term(name, value, total, whose) for name, value in fields.items()})

    def _with_names(self, found: tuple[Any, ...], whose: str) -> Any:
        names = getattr(self.result, "_fields", ())
        if len(found) != len(names):
            raise ValueError(
                f"{whose} returned a tuple of {len(found)}; {self.method}'s own is ({', '.join(names)}). Return the "
                "total alone, or a NamedTuple with names of your own."
            )
        return self.result(*found)


def _accepted(loss: Callable[..., Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Of these keyword arguments those that a loss with `*args` takes."""
    try:
        parameters = inspect.signature(loss).parameters
    except (TypeError, ValueError):
        return dict(kwargs)
    if any(p.kind == p.VAR_KEYWORD for p in parameters.values()):
        return dict(kwargs)
    return {name: value for name, value in kwargs.items() if name in parameters}


def _required(loss: Callable[..., Any]) -> list[str]:
    return [p.name for p in inspect.signature(loss).parameters.values() if p.default is p.empty]


def _scalar(value: Any, must: str) -> Tensor:
    if not isinstance(value, Tensor) or not value.is_floating_point():
        raise TypeError(f"{must} a floating-point scalar tensor; got {validate.describe(value)}.")
    if value.ndim:
        raise ValueError(f"{must} one number; got {validate.describe(value)}. Take its .mean() or .sum().")
    return value


def _term(name: str, value: Any, total: Tensor, whose: str) -> Tensor:
    """A term of the log; a plain number becomes a tensor."""
    if isinstance(value, (int, float)):
        return total.new_tensor(float(value))
    if not isinstance(value, Tensor) or value.ndim:
        raise TypeError(f"the term {name!r} of {whose} must be a scalar; got {validate.describe(value)}.")
    return value


def tensors_in(values: Iterable[Any]) -> list[Tensor]:
    """The tensors among arguments, also in lists of views."""
    found = []
    for value in values:
        found += [v for v in (value if isinstance(value, (list, tuple)) else [value]) if isinstance(v, Tensor)]
    return found


def check_total(total: Tensor, whose: str) -> None:
    """Raise if the loss is NaN or infinite, in a step that may look."""
    if validate.may_look(total) and not math.isfinite(float(total.detach())):
        raise ValueError(f"the total of {whose} must be finite; got {float(total.detach())}.")


def check_first(total: Tensor, args: Iterable[Any], whose: str) -> None:
    """The checks of a run's first call: the loss is finite, and its gradient reaches the embeddings and is finite.

    Raises:
        ValueError: one of them fails; the message says what may be the reason.
    """
    given = [z for z in tensors_in(args) if z.requires_grad]
    if not given:  # nothing below is trained
        return
    if not math.isfinite(float(total.detach())):
        raise ValueError(
            f"{whose} returned {float(total.detach())} in its first call, on finite embeddings: look for a logarithm "
            "of 0, a division by 0, or an exponential that overflows."
        )
    if not total.requires_grad:
        raise ValueError(
            f"{whose} returned a tensor without gradient: .detach(), .item(), .numpy(), torch.no_grad() or a "
            "comparison cut it off from the embeddings."
        )
    try:
        slopes = [g for g in torch.autograd.grad(total, given, retain_graph=True, allow_unused=True) if g is not None]
    except RuntimeError as error:
        raise ValueError(
            f"{whose} cannot be differentiated: {str(error).partition('. ')[0].rstrip('.')}. A tensor that is "
            "changed in place (+=, x[...] = ..., a name that ends in _) is the usual reason."
        ) from error
    if not slopes or not any(bool(g.any()) for g in slopes):
        raise ValueError(
            f"{whose} has a gradient of exactly 0 with respect to every embedding in its first call, so nothing would "
            "be learned. Does it depend on them, and not through argmax, round, sign or a comparison alone?"
        )
    if not all(bool(torch.isfinite(g).all()) for g in slopes):
        raise ValueError(
            f"{whose} is finite, but its gradient is not: a square root or a norm at 0 has none. Add a small number "
            "inside the root."
        )
