"""Argument checks: every error names the argument, what was given, and what is expected."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from difflib import get_close_matches
from numbers import Integral, Real

import torch
from torch import Tensor

_blind = ContextVar("_blind", default=False)


@contextmanager
def blind(yes: bool = True) -> Iterator[None]:
    """Inside, no check looks at the values of a tensor; types and shapes are still checked.

    On a GPU to look at a value is to wait for it: the processor then stops handing out work until all of it is done.
    """
    before = _blind.set(yes)
    try:
        yield
    finally:
        _blind.reset(before)


def may_look(values: Tensor) -> bool:
    """Whether a check may look at these values: not inside `blind`, while torch.compile traces, or on `meta`."""
    return not (_blind.get() or torch.compiler.is_compiling() or values.is_meta)


def describe(value: object) -> str:
    """A short description of a value for an error message: its shape and type rather than its contents."""
    if isinstance(value, Tensor):
        return f"a {str(value.dtype).removeprefix('torch.')} tensor of shape {tuple(value.shape)}"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}... ({type(value).__name__})"


def choice(name: str, value: object, known: Iterable[str]) -> str:
    """Return `value` when it is one of `known`; otherwise say which names are known and which is nearest."""
    known = list(known)
    if value in known:
        return str(value)
    near = get_close_matches(str(value), known, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise ValueError(f"{name} must be one of {', '.join(map(repr, known))}; got {value!r}.{hint}")


def number(
    name: str,
    value: float,
    *,
    above: float | None = None,
    at_least: float | None = None,
    at_most: float | None = None,
) -> None:
    """Check that a number is finite and inside its range."""
    bounds = [(above, ">"), (at_least, ">="), (at_most, "<=")]
    wanted = " and ".join(f"{sign} {bound:g}" for bound, sign in bounds if bound is not None)
    message = f"{name} must be a finite number{' ' if wanted else ''}{wanted}; got {value!r}."
    if isinstance(value, bool) or not isinstance(value, Real):  # Real: NumPy's scalars are numbers too
        raise TypeError(message)
    inside = math.isfinite(value) and (above is None or value > above)
    inside = inside and (at_least is None or value >= at_least) and (at_most is None or value <= at_most)
    if not inside:
        raise ValueError(message)


def integer(name: str, value: int, *, at_least: int, at_most: int | None = None) -> None:
    """Check that a count is a whole number inside its range."""
    wanted = f">= {at_least}" + ("" if at_most is None else f" and <= {at_most}")
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name} must be a whole number {wanted}; got {value!r}.")
    if value < at_least or (at_most is not None and value > at_most):
        raise ValueError(f"{name} must be {wanted}; got {value}.")


LARGEST_SEED = 2**31 - 1  # random streams are numbered from the seed in 63 bits


def seed(value: int) -> None:
    """Check that a seed is a whole number that every random generator here takes."""
    integer("seed", value, at_least=0, at_most=LARGEST_SEED)


# What a tensor may hold, and how a message calls it.
KINDS: dict[str, tuple[str, Callable[[Tensor], bool]]] = {
    "float": ("floating point", Tensor.is_floating_point),
    "integer": ("whole numbers", lambda x: not x.is_floating_point() and KINDS["number"][1](x)),
    "number": ("numbers", lambda x: not x.is_complex() and x.dtype != torch.bool),
    "bool": ("bool", lambda x: x.dtype == torch.bool),
    "int64": ("int64", lambda x: x.dtype == torch.int64),
    "uint8": ("uint8", lambda x: x.dtype == torch.uint8),
}


def tensor(
    name: str,
    values: object,
    axes: str,
    *,
    kind: str = "float",
    meaning: str = "",
    empty: bool = False,
    **sizes: int | None,
) -> Tensor:
    """Check that `values` is a tensor of this kind and shape; return it as it is.

    Args:
        name: of the argument, for the message.
        values: what was given.
        axes: such as "N 3 H W": a number is that size, a name any size from 1 on, and the same wherever it stands.
        kind: one of KINDS.
        meaning: what the tensor is, for the message.
        empty: whether the first axis may have no entry.
        sizes: of named axes, where they are known already.

    Raises:
        TypeError: no tensor, or one of another kind.
        ValueError: another shape.
    """
    wanted, is_kind = KINDS[kind]
    names = axes.split()
    shape = "(" + ", ".join(names) + ("," if len(names) == 1 else "") + ")"
    if not isinstance(values, Tensor):
        raise TypeError(f"{name} must be a torch.Tensor of shape {shape}; got {type(values).__name__}.")
    if not is_kind(values):
        raise TypeError(f"{name} must be {wanted}; got {describe(values)}.")
    found = {axis: size for axis, size in sizes.items() if size is not None}
    known = "".join(f", {axis} = {size}" for axis, size in found.items())
    fits = values.ndim == len(names) and all(
        size == (int(axis) if axis.isdigit() else found.setdefault(axis, size))
        for axis, size in zip(names, values.shape)
    )
    if not fits or 0 in values.shape[1 if empty else 0 :]:
        note = f": {meaning}" if meaning else ""
        raise ValueError(f"{name} must have shape {shape}{known}{note}; got shape {tuple(values.shape)}.")
    return values


def embeddings(name: str, z: Tensor, *, min_samples: int = 2, check_finite: bool = True) -> Tensor:
    """Check that `z` is a finite floating-point `(N, D)` tensor with enough samples; return it in float32 or float64.

    bf16 and fp16 come back as float32, because batch statistics and log-sum-exps lose too much in 16 bits.
    The finiteness check is one reduction; it is left out where `may_look` says so. With check_finite = False the
    caller does it, by `finite_result`.
    """
    z = as_float(tensor(name, z, "N D", meaning="N samples, D >= 1 dimensions", empty=True))
    if z.shape[0] < min_samples:
        raise ValueError(
            f"{name} needs at least {min_samples} samples (N >= {min_samples}); got shape {tuple(z.shape)}."
        )
    if check_finite:
        finite(name, z)
    return z


def as_float(x: Tensor) -> Tensor:
    """float64 stays; everything else becomes float32."""
    return x if x.dtype == torch.float64 else x.float()


def finite_float(name: str, x: Tensor) -> Tensor:
    """Check that a tensor is finite; return it in float32 or float64."""
    x = as_float(x)
    finite(name, x)
    return x


def paired(
    name_a: str, z_a: Tensor, name_b: str, z_b: Tensor, *, min_samples: int = 2, check_finite: bool = True
) -> tuple[Tensor, Tensor]:
    """Check two views of one batch: each as `embeddings` does, with one shape, one dtype, one device."""
    z_a = embeddings(name_a, z_a, min_samples=min_samples, check_finite=check_finite)
    z_b = embeddings(name_b, z_b, min_samples=min_samples, check_finite=check_finite)
    if z_a.shape != z_b.shape:
        raise ValueError(
            f"{name_a} and {name_b} must have the same shape (row i of both is the same image); "
            f"got {tuple(z_a.shape)} and {tuple(z_b.shape)}."
        )
    if z_a.device != z_b.device:
        raise ValueError(f"{name_a} and {name_b} must be on one device; got {z_a.device} and {z_b.device}.")
    dtype = torch.promote_types(z_a.dtype, z_b.dtype)
    return z_a.to(dtype), z_b.to(dtype)


def finite(name: str, values: Tensor) -> None:
    """Raise if a tensor holds NaN or infinity, saying how many and where the first one is."""
    if not may_look(values):
        return
    with torch.no_grad():
        # A sum is the cheapest test: NaN and infinity survive it. Only when it fails are the entries looked at.
        if torch.isfinite(values.sum()):
            return
        bad = ~torch.isfinite(values)
        count = int(bad.sum())
        if count == 0:  # finite entries whose sum overflows
            return
        first = tuple(int(i) for i in bad.nonzero()[0])
    raise ValueError(
        f"{name} must be finite; got {count} NaN or infinite entries of {values.numel()}, the first at index {first}."
    )


def finite_result(result: Tensor, **inputs: Tensor) -> None:
    """For a loss that is NaN or infinite whenever an input is: look at the inputs only when that has happened.

    It costs one scalar instead of a pass over each input. A result that overflowed on finite inputs is no error here.
    """
    if not may_look(result) or torch.isfinite(result.detach()):
        return
    for name, values in inputs.items():
        finite(name, values)


def distributions(name: str, p: Tensor, *, tolerance: float = 1e-2, advice: str = "") -> None:
    """Check that the rows are distributions. The default tolerance is for probabilities that were 16 bit."""
    if not may_look(p):
        return
    sums = p.detach().sum(dim=1)
    if p.min() < 0 or (sums - 1).abs().max() > tolerance:
        raise ValueError(
            f"{name} must have entries >= 0 and rows that sum to 1{advice}; got a smallest entry of "
            f"{p.min().item():.3g} and row sums from {sums.min().item():.3g} to {sums.max().item():.3g}."
        )


def matrix(name: str, values: Tensor, axes: str = "rows columns") -> Tensor:
    """Check a finite matrix, of these sizes where `axes` gives them, as in `tensor`; return it in float64."""
    finite(name, tensor(name, values, axes))
    return values.to(torch.float64)


def symmetric(name: str, values: Tensor, size: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """Check that a matrix is symmetric up to rounding."""
    values = matrix(name, values, f"{size} {size}").to(dtype)
    if may_look(values):
        error = (values - values.T).abs().max()
        if error > 1e-4 * values.abs().max():
            raise ValueError(f"{name} must be symmetric; it differs from its transpose by up to {error.item():.3g}.")
    return values
