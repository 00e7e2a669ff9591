"""Mistakes that can be made in every exercise, made from the reference and its signature.

Each is a function that makes the mistake, with a sentence that names the argument. One that does not differ from the
reference (swapped views of a symmetric loss) explains nothing and is harmless.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from itertools import permutations
from typing import Any, NamedTuple

import torch
from torch import Tensor

Function = Callable[..., Any]


class Wrong(NamedTuple):
    """A wrong answer with a name of its own. `phrase` is what the learner who gave it must read."""

    function: Function
    phrase: str


def parameters(reference: Function) -> dict[str, inspect.Parameter]:
    try:
        return dict(inspect.signature(reference).parameters)
    except (TypeError, ValueError):  # some of torch's own have none
        return {}


def names_of(reference: Function, count: int) -> list[str]:
    """The names of the first arguments, for sentences."""
    known = [name for name, p in parameters(reference).items() if p.kind is not inspect.Parameter.VAR_POSITIONAL]
    return [known[i] if i < len(known) else f"argument {i + 1}" for i in range(count)]


def families(reference: Function, fields: Sequence[str], tensors: int) -> dict[str, Wrong]:
    """The generated mistakes of an exercise whose cases have so many tensors as arguments."""
    names = names_of(reference, tensors)
    found: dict[str, Wrong] = {}
    for name, parameter in list(parameters(reference).items())[tensors:]:
        default = parameter.default
        if isinstance(default, (int, float)):
            found[f"{name} ignored"] = Wrong(
                _without(reference, name), f"the argument {name} is ignored: {default:g} is only its default."
            )
        if isinstance(default, float):
            for way, change in _SETTINGS.items():
                found[f"{name}: {way}"] = Wrong(
                    _changed(reference, name, default, change), f"{way.format(name)} stands where {name} is asked."
                )
        if isinstance(default, float) and 0 < default < 1e-2:
            found[f"{name} is 0"] = Wrong(
                _with(reference, name, 0.0), f"{name} is missing: its value is {default:g} here, and yours is 0."
            )
    if tensors >= 2:
        a, b = names[:2]
        found[f"{b} unused"] = Wrong(_picked(reference, 0, 0), f"{b} is not used: both views are {a}.")
        found[f"{a} unused"] = Wrong(_picked(reference, 1, 1), f"{a} is not used: both views are {b}.")
        found["swapped"] = Wrong(_picked(reference, 1, 0), f"{a} and {b} are swapped.")
    if 2 <= len(fields) <= 4:
        wanted = ", ".join(fields)
        for order in list(permutations(range(len(fields))))[1:]:
            found[f"order {order}"] = Wrong(
                _ordered(reference, order), f"the values come in another order: ({wanted})."
            )
    found["float32"] = Wrong(
        _single(reference),
        "something inside is computed in float32: keep the type of the input (no .float(), torch.tensor or torch.zeros "
        "without dtype=z.dtype).",
    )
    for position, name in enumerate(names):
        found[f"{name} detached"] = Wrong(
            _detached(reference, position),
            f"the value is right, but no gradient reaches {name}: leave out .detach() and no_grad() on its way.",
        )
    return found


def _without(reference: Function, name: str) -> Function:
    return lambda *args, **kwargs: reference(*args, **{key: v for key, v in kwargs.items() if key != name})


# What people write for a setting.
_SETTINGS: dict[str, Callable[[float], float]] = {
    "{} squared": lambda value: value**2,
    "the root of {}": lambda value: value**0.5,
    "1 / {}": lambda value: 1 / value,
    "twice {}": lambda value: 2 * value,
    "half of {}": lambda value: value / 2,
    "1 - {}": lambda value: 1 - value,
}


def _changed(reference: Function, name: str, default: float, change: Callable[[float], float]) -> Function:
    return lambda *args, **kwargs: reference(*args, **{**kwargs, name: change(kwargs.get(name, default))})


def _with(reference: Function, name: str, value: float) -> Function:
    return lambda *args, **kwargs: reference(*args, **{**kwargs, name: value})


def _picked(reference: Function, first: int, second: int) -> Function:
    return lambda *args, **kwargs: reference(args[first], args[second], *args[2:], **kwargs)


def _ordered(reference: Function, order: Sequence[int]) -> Function:
    def reordered(*args: Any, **kwargs: Any) -> tuple[Any, ...]:
        value = reference(*args, **kwargs)
        return tuple(value[i] for i in order)

    return reordered


def _single(reference: Function) -> Function:
    def single(*args: Any, **kwargs: Any) -> Any:
        value = reference(*(a.float() if a.is_floating_point() else a for a in args), **kwargs)
        kind = next((a.dtype for a in args if a.is_floating_point()), torch.get_default_dtype())
        return tuple(v.to(kind) for v in value) if isinstance(value, tuple) else value.to(kind)

    return single


def _detached(reference: Function, position: int) -> Function:
    def detached(*args: Tensor, **kwargs: Any) -> Any:
        return reference(*(a.detach() if i == position else a for i, a in enumerate(args)), **kwargs)

    return detached
