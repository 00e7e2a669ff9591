"""What can be said about a wrong result that no named mistake explains.

Two kinds of clue. Numbers: a relation between the learner's results and the right ones that holds in every case (a
factor, a power, a transpose, a forgotten sum). Behaviour: the learner's function is called on changed inputs (a
dimension shifted or stretched, samples in another order, a setting changed), and reacts where the right one does not.
A relation that one number could fulfil by chance is not reported.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

EXACT = 1e-6  # relative; a relation must hold as closely as this in double precision, and 1e-3 in single


class Pair(NamedTuple):
    """One field of one case: the inputs, the learner's result and the right one, both in double precision."""

    inputs: tuple[Tensor, ...]
    settings: Mapping[str, float]
    ours: Tensor
    truth: Tensor
    exact: float

    def same(self, a: Tensor, b: Tensor) -> bool:
        return (
            a.shape == b.shape
            and bool(b.isfinite().all())
            and float((a - b).abs().max() if a.numel() else 0.0)
            <= self.exact * float(b.abs().max() if b.numel() else 0)
        )


def relation(pairs: Sequence[Pair]) -> str | None:
    """A relation that holds in all cases; there must be enough of them to tell it from chance."""
    size = max((float(p.truth.abs().max()) for p in pairs if p.truth.numel()), default=0.0)
    nothing = [p for p in pairs if p.ours.shape == p.truth.shape and not _counts(p.truth, size)]
    if any(_counts(p.ours, size) for p in nothing):
        # Nothing that one multiplies or bends makes a number of 0.
        plain = all(p.ours.shape == p.truth.shape and bool(p.ours.isfinite().all()) for p in pairs)
        return _tiny(pairs) or _small(pairs) if plain and size else None
    pairs = [p for p in pairs if p.truth.numel() and _counts(p.truth, size)]
    if not pairs:
        return None
    if any(p.ours.shape != p.truth.shape for p in pairs):
        return _forms(pairs)
    if not all(bool(p.ours.isfinite().all()) for p in pairs):
        return None
    entries, sizes = sum(p.truth.numel() for p in pairs), {tuple(p.inputs[0].shape) for p in pairs}
    if len(pairs) < 2 or (entries < 3 * len(pairs) and (len(sizes) < 3 or len(pairs) < 3)):
        return None
    return _tiny(pairs) or _factor(pairs) or _transform(pairs) or _per_line(pairs) or _small(pairs)


def _counts(result: Tensor, size: float) -> bool:
    """Whether a result is more than the rounding of results of that size: 1e-17 is a 0 that was computed."""
    return bool(result.numel()) and not float(result.abs().max()) <= 1e-12 * size


def _worst(pairs: Sequence[Pair]) -> float:
    """The largest error as a share of the right result; where that is 0, of the largest one."""
    pairs = [p for p in pairs if p.truth.numel()]
    size = max(float(p.truth.abs().max()) for p in pairs)
    return max(
        float((p.ours - p.truth).abs().max()) / (float(p.truth.abs().max()) if _counts(p.truth, size) else size)
        for p in pairs
    )


def _tiny(pairs: Sequence[Pair]) -> str | None:
    if _worst(pairs) < 3e-6:
        return "The difference is tiny: a float32 constant somewhere, or a small eps."
    return None


def _small(pairs: Sequence[Pair]) -> str | None:
    worst = _worst(pairs)
    if worst < 5e-3:
        return (
            f"The difference is small everywhere, at most {100 * worst:.2g}%: is an eps added where none is asked, or "
            "has it another value or another place (inside the root, outside of it)?"
        )
    return None


def weights(results: Sequence[Sequence[Tensor]]) -> list[float] | None:
    """Weights with which the first of several scalar results is the sum of the others; None when it is not."""
    if len(results) < len(results[0]) + 1 if results else True:
        return None
    if any(x.ndim for result in results for x in result):
        return None
    totals = torch.stack([result[0].double() for result in results])
    terms = torch.stack([torch.stack([x.double() for x in result[1:]]) for result in results])
    found = torch.linalg.lstsq(terms, totals).solution
    fits = bool((terms @ found - totals).abs().max() <= EXACT * (1 + totals.abs().max()))
    return [float(f"{w:.6g}") for w in found] if fits else None


def _sizes(p: Pair) -> Iterator[tuple[str, float]]:
    """Numbers that a result is often divided by, or multiplied by, by mistake."""
    shape = p.inputs[0].shape
    n, d = (shape[0], shape[1]) if len(shape) > 1 else (shape[0] if shape else 1, 1)
    named = {"N": n, "D": d, "N D": n * d, "N^2": n * n, "D^2": d * d, "N - 1": n - 1, "D - 1": d - 1}
    if len(p.inputs) > 1 and p.inputs[1].ndim == 2 and p.inputs[1].shape[0] != n:
        named["K"] = p.inputs[1].shape[0]
    named |= {"N (N - 1)": n * (n - 1), "D (D - 1)": d * (d - 1), "2N": 2 * n, "2N - 1": 2 * n - 1}
    for name, value in named.items():
        yield name, value
        yield f"1 / ({name})", 1 / value if value else math.nan
    for name, value in {"N": n, "D": d}.items():
        yield f"({name} - 1) / {name}", (value - 1) / value
        yield f"{name} / ({name} - 1)", value / (value - 1) if value > 1 else math.nan
        yield f"the root of {name}", math.sqrt(value)
        yield f"1 / the root of {name}", 1 / math.sqrt(value)
        yield f"the root of ({name} - 1) / {name}", math.sqrt((value - 1) / value)
    for name, setting in p.settings.items():
        yield name, setting
        yield f"1 / {name}", 1 / setting if setting else math.nan
        yield f"{name} squared", setting * setting


def _factor(pairs: Sequence[Pair]) -> str | None:
    factors = []
    for p in pairs:
        factor = float((p.ours * p.truth).sum() / p.truth.square().sum())
        if not math.isfinite(factor) or abs(factor) < 1e-12 or not p.same(p.ours, factor * p.truth):
            return None
        factors.append(factor)

    def constant(values: Sequence[float]) -> bool:
        return all(math.isfinite(v) for v in values) and max(values) - min(values) <= 1e-5 * abs(values[0])

    if constant(factors):
        if abs(factors[0] - 1) < 1e-5:
            return None
        if abs(factors[0] + 1) < 1e-5:
            return "Your result is the right one with its sign turned around, in every case."
        known = next((text for value, text in _CONSTANTS.items() if abs(factors[0] / value - 1) < 1e-4), "")
        return (
            f"Your result is {factors[0]:.4g} times the right one in every case: {known or 'a constant factor is off.'}"
        )
    for candidates in zip(*(list(_sizes(p)) for p in pairs)):
        name, values = candidates[0][0], [value for _, value in candidates]
        if len(set(values)) < 2 or any(c[0] != name for c in candidates) or 0 in values:
            continue
        rest = [f / v for f, v in zip(factors, values)]
        for more, number in (("", 1.0), ("2 * ", 2.0), ("1/2 * ", 0.5), ("minus ", -1.0)):
            if constant([number, *rest]):
                reason = _REASONS.get(name, "look at what is divided or multiplied.")
                return f"Your result is {more}{name} times the right one in every case: {reason}"
    return None


_CONSTANTS = {
    1 / math.log(2): "1 / log 2, so the log is that of base 2 where the natural one is asked.",
    1 / math.log(10): "1 / log 10, so the log is that of base 10 where the natural one is asked.",
    math.log(2): "log 2, so a log is the natural one where base 2 is asked.",
    2.0: "a factor 1/2 is missing, or something is counted twice.",
    0.5: "a factor 2 is missing, or only half of it is counted.",
}
_MISSING, _TOO_MUCH = (
    "a sum stands where a mean is asked, so a division",
    "a mean stands where a sum is asked: do not divide by",
)
_REASONS = {
    name: f"{_MISSING} by {name} is missing." for name in ("N", "D", "N D", "N^2", "D^2", "K", "2N", "D (D - 1)")
}
_REASONS |= {
    f"1 / ({name})": f"{_TOO_MUCH} {name}." for name in ("N", "D", "N D", "N^2", "D^2", "K", "2N", "D (D - 1)")
}
for _n in ("N", "D"):
    _REASONS[f"({_n} - 1) / {_n}"] = _REASONS[f"{_n} / ({_n} - 1)"] = f"{_n} and {_n} - 1 are mixed up in a division."


def _transform(pairs: Sequence[Pair]) -> str | None:
    return next((text for f, text in _TRANSFORMS if all(p.same(p.ours, f(p.truth)) for p in pairs)), None)


_TRANSFORMS: tuple[tuple[Callable[[Tensor], Tensor], str], ...] = (
    (lambda t: t.T if t.ndim == 2 else t * torch.nan, "Your matrix is the transpose of the right one."),
    (lambda t: t.square(), "Your result is the square of the right one: a root is missing, or one square is too many."),
    (lambda t: t.clamp(min=0).sqrt(), "Your result is the root of the right one: a square is missing."),
    (lambda t: t.abs(), "Your result is the absolute value of the right one."),
    (lambda t: t.exp(), "Your result is exp of the right one: the log is missing."),
    (lambda t: t.log(), "Your result is the log of the right one: there is a log too many."),
    (lambda t: (-t).exp(), "Your result is exp of minus the right one: the log is missing, and the sign."),
    (lambda t: 1 - t, "Your result is 1 minus the right one."),
    (lambda t: t - 1, "Your result is the right one minus 1."),
    (lambda t: t + 1, "Your result is the right one plus 1."),
    (lambda t: 1 / t, "Your result is 1 divided by the right one."),
    (lambda t: t.clamp(min=0), "Your result is the right one with 0 in place of all that is negative."),
    (lambda t: t.acos(), "Your result is the arc cosine of the right one: an angle where its cosine is asked."),
    (lambda t: 2 - 2 * t, "Your result is 2 - 2 times the right one: a squared distance where a cosine is asked."),
    (
        lambda t: (2 - 2 * t).clamp(min=0).sqrt(),
        "Your result is the root of 2 - 2 times the right one: a distance where a cosine is asked.",
    ),
    (lambda t: t.softmax(-1) if t.ndim else t * torch.nan, "Your result is the softmax of the right one over dim=1."),
    (lambda t: t.softmax(0) if t.ndim else t * torch.nan, "Your result is the softmax of the right one over dim=0."),
    (lambda t: t.sigmoid(), "Your result is the sigmoid of the right one."),
    (lambda t: t.tanh(), "Your result is the tanh of the right one."),
    (lambda t: t.flip(0) if t.ndim else t * torch.nan, "Your result is the right one in reverse order."),
)


def _per_line(pairs: Sequence[Pair]) -> str | None:
    """Matrices: right up to a constant, or a factor, for each row or each column."""
    pairs = [p for p in pairs if p.truth.ndim == 2 and min(p.truth.shape) > 2]
    if len(pairs) < 2:
        return None
    for place, mask in _PLACES:
        off = [(p.ours - p.truth).abs() > p.exact * p.truth.abs().max() for p in pairs]
        if not any(bool(wrong.any()) for wrong in off):
            return None  # what is off is no matrix of this size, and a right one tells nothing
        if all(not bool((wrong & ~mask(p.truth)).any()) for wrong, p in zip(off, pairs)):
            zero = all(not bool(p.ours[wrong].any()) for wrong, p in zip(off, pairs))
            empty = " It is 0 there: is it filled at all?" if zero else ""
            return f"Only {place} is off; all other entries are right in every case.{empty}"
    for dim, line in ((1, "row"), (0, "column")):
        if all(p.same(p.ours - (p.ours - p.truth).mean(dim, keepdim=True), p.truth) for p in pairs):
            return (
                f"Each {line} is right up to a constant that is added: look at what is subtracted (its dim, its mean)."
            )
        factors = [(p.ours * p.truth).sum(dim, keepdim=True) / p.truth.square().sum(dim, keepdim=True) for p in pairs]
        if all(p.same(p.ours, f * p.truth) for p, f in zip(pairs, factors)):
            return f"Each {line} is right up to a factor of its own: look at what each {line} is divided by."
    for property_, wanted in _PROPERTIES:
        if all(property_(p.truth) for p in pairs) and not any(property_(p.ours) for p in pairs):
            return f"In the right result {wanted}; in yours not."
    if all(_symmetric(p.ours) for p in pairs) and not any(_symmetric(p.truth) for p in pairs):
        return "Your matrix is symmetric, the right one is not: are both factors from the same input?"
    if all(p.same(p.ours.flatten().sort().values, p.truth.flatten().sort().values) for p in pairs):
        return "The numbers are right, but stand in other places."
    return None


def _constant(t: Tensor) -> bool:
    return float(t.max() - t.min()) <= 1e-4 * float(t.abs().max()) and float(t.abs().max()) > 1e-6


def _symmetric(t: Tensor) -> bool:
    return t.shape[0] == t.shape[1] and torch.allclose(t, t.T, rtol=1e-5, atol=1e-8)


_PROPERTIES: tuple[tuple[Callable[[Tensor], bool], str], ...] = (
    (lambda t: _constant(t.sum(1)), "all rows have the same sum (each row is normalised)"),
    (lambda t: _constant(t.sum(0)), "all columns have the same sum (each column is normalised)"),
    (lambda t: _constant(t.square().sum(1)), "all rows have the same length (each row is normalised)"),
    (lambda t: _constant(t.square().sum(0)), "all columns have the same length (each column is standardised)"),
    (
        lambda t: float(t.sum(1).abs().max()) <= 1e-6 * float(t.abs().max()),
        "every row sums to 0 (a mean over dim=1 is subtracted)",
    ),
    (
        lambda t: float(t.sum(0).abs().max()) <= 1e-6 * float(t.abs().max()),
        "every column sums to 0 (a mean over dim=0 is subtracted)",
    ),
    (_symmetric, "the matrix is symmetric"),
    (lambda t: t.shape[0] == t.shape[1] and not t.diagonal().any(), "the diagonal is 0"),
    (lambda t: bool((t >= 0).all()), "no entry is negative"),
)


def _forms(pairs: Sequence[Pair]) -> str | None:
    """The right result, hidden in a result of another shape."""
    for f, text in _FORMS:
        if all(_safely(p, f) for p in pairs):
            return text
    return None


def _safely(p: Pair, f: Callable[[Tensor, Tensor], Tensor]) -> bool:
    try:
        return p.same(f(p.ours, p.truth), p.truth)
    except (RuntimeError, IndexError):
        return False


_FORMS: tuple[tuple[Callable[[Tensor, Tensor], Tensor], str], ...] = (
    (lambda a, t: a.T if a.ndim == 2 else a, "Your matrix is the transpose of the right one."),
    (lambda a, t: a.reshape(t.shape), "The numbers are right, the shape is not: leave out keepdim, or use squeeze()."),
    (lambda a, t: a.sum(), "Its sum over all entries is the right result: the last .sum() is missing."),
    (lambda a, t: a.mean(), "Its mean over all entries is the right result: the last .mean() is missing."),
    (lambda a, t: a.sum(0), "Its sum over dim=0 is the right result: that sum is missing."),
    (lambda a, t: a.sum(1), "Its sum over dim=1 is the right result: that sum is missing."),
    (lambda a, t: a.mean(0), "Its mean over dim=0 is the right result: that mean is missing."),
    (lambda a, t: a.mean(1), "Its mean over dim=1 is the right result: that mean is missing."),
    (lambda a, t: a.diagonal(), "Its diagonal is the right result."),
    (
        lambda a, t: t if torch.allclose(a, t.sum().expand_as(a)) else a,
        "It is summed once too often: keep the entries.",
    ),
    (
        lambda a, t: t if torch.allclose(a, t.mean().expand_as(a)) else a,
        "It is averaged once too often: keep the entries.",
    ),
)

# --- Behaviour --------------------------------------------------------------------------------------------------

Call = Callable[[Sequence[Tensor], Mapping[str, float]], "Sequence[Tensor] | None"]


def _moved(before: Sequence[Tensor], after: Sequence[Tensor]) -> float:
    """The largest relative change of a result."""
    if any(a.shape != b.shape for a, b in zip(before, after)):
        return math.nan
    changes = [float((a - b).abs().max() / (b.abs().max() + 1e-12)) for a, b in zip(after, before) if b.numel()]
    return max(changes, default=math.nan)


class _Change(NamedTuple):
    what: str
    make: Callable[[Tensor], Tensor]
    too_much: str  # the learner's result changes, the right one does not
    too_little: str


def _ramp(count: int) -> Tensor:
    return torch.linspace(1.0, 2.0, count, dtype=torch.float64) + 0.3 * (torch.arange(count) % 3)


_CHANGES = (
    _Change(
        "a constant is added to a dimension of {}",
        lambda z: z + _ramp(z.shape[1]).to(z.dtype),
        "the mean over the batch must be subtracted from each dimension first (centring).",
        "it is centred, and should not be.",
    ),
    _Change(
        "a dimension of {} is stretched",
        lambda z: z * _ramp(z.shape[1]).to(z.dtype),
        "does each dimension (column) get a scale of its own?",
        "each dimension is normalised over the batch, and should not be.",
    ),
    _Change(
        "a sample (row) of {} is made longer",
        lambda z: z * _ramp(z.shape[0]).to(z.dtype)[:, None],
        "each row must be normalised by itself (dim=1).",
        "each row is normalised, and should not be.",
    ),
    _Change(
        "a constant is added to a row of {}",
        lambda z: z + _ramp(z.shape[0]).to(z.dtype)[:, None],
        "a row's own mean, or its softmax over dim=1, takes such a constant away.",
        "a mean or a softmax over each row (dim=1) takes such a constant away; is it asked for?",
    ),
    _Change(
        "all of {} is multiplied by 3",
        lambda z: 3 * z,
        "something must be normalised first.",
        "something is normalised that should not be.",
    ),
    _Change(
        "the diagonal of {} is changed",
        lambda z: z + 0.5 * torch.eye(*z.shape, dtype=z.dtype) if z.shape[0] == z.shape[1] else z,
        "the diagonal must be left out.",
        "the diagonal counts too.",
    ),
)


def _places(z: Tensor) -> tuple[Tensor, Tensor]:
    rows, columns = torch.meshgrid(torch.arange(z.shape[0]), torch.arange(z.shape[1]), indexing="ij")
    return rows, columns


def _bent(z: Tensor) -> Tensor:
    """Other entries; not by a shift or a factor, which centring and normalising would take away again."""
    return z + 0.4 * torch.sin(3 * z + torch.arange(z.numel()).view(z.shape).to(z.dtype))


def _others(z: Tensor) -> Tensor:
    """Other entries; of whole numbers the same ones in another order, so that labels and orders stay what they are."""
    return _bent(z) if z.is_floating_point() else z.roll(1, dims=0) if z.ndim else z


# Parts of a matrix, and where two results may differ or an input may not count.
_PLACES: tuple[tuple[str, Callable[[Tensor], Tensor]], ...] = (
    ("the diagonal", lambda z: _places(z)[0] == _places(z)[1]),
    ("the part above the diagonal", lambda z: _places(z)[0] < _places(z)[1]),
    ("the part below the diagonal", lambda z: _places(z)[0] > _places(z)[1]),
    ("the first row", lambda z: _places(z)[0] == 0),
    ("the last row", lambda z: _places(z)[0] == z.shape[0] - 1),
    ("the first column", lambda z: _places(z)[1] == 0),
    ("the last column", lambda z: _places(z)[1] == z.shape[1] - 1),
)


_ENTRIES: tuple[tuple[str, Callable[[Tensor], Tensor]], ...] = (
    ("the first entry", lambda z: torch.arange(len(z)) == 0),
    ("the last entry", lambda z: torch.arange(len(z)) == len(z) - 1),
)


def behaviour(
    f: Call, reference: Call, inputs: Sequence[Tensor], settings: Mapping[str, float], names: Sequence[str]
) -> Iterator[str]:
    """How the learner's function reacts to changed inputs where the right one does not, or the other way round."""
    start, right = f(inputs, settings), reference(inputs, settings)
    if start is None or right is None or not all(bool(r.isfinite().all()) for r in (*start, *right)):
        return
    for name, value in settings.items():
        changed = {**settings, name: 1.7 * value}
        a, b = f(inputs, changed), reference(inputs, changed)
        if a is not None and b is not None and _moved(start, a) < 1e-9 and _moved(right, b) > 1e-6:
            yield f"Your result does not depend on {name}."
    matrices = [i for i, z in enumerate(inputs) if z.ndim == 2 and z.is_floating_point()]
    unused = []
    for i in range(len(inputs)):
        other = [z if j != i else _others(z) for j, z in enumerate(inputs)]
        a, b = f(other, settings), reference(other, settings)
        if a is not None and b is not None and _moved(start, a) < 1e-9 and _moved(right, b) > 1e-6:
            unused.append(i)
            yield f"Your result does not depend on {names[i]}: it comes out the same when the entries are others."
    matrices = [i for i in matrices if i not in unused]  # what does not count as a whole does not count in its parts
    vectors = [i for i, z in enumerate(inputs) if z.ndim == 1 and len(z) > 2 and z.is_floating_point()]
    parts = [(*part, matrices) for part in _PLACES] + [(*part, vectors) for part in _ENTRIES]
    seen: dict[int, list[tuple[str, bool, bool]]] = {}  # of an input: which parts move the right result, and yours
    for place, mask, among in parts:
        for i in among:
            other = [z if j != i else torch.where(mask(z), _bent(z), z) for j, z in enumerate(inputs)]
            a, b = f(other, settings), reference(other, settings)
            if a is not None and b is not None:
                seen.setdefault(i, []).append((place, _moved(right, b) > 1e-6, _moved(start, a) < 1e-9))
    for i, found in seen.items():
        if sum(not counts for _, counts, _ in found) > 1:
            continue  # a largest entry, say: which parts count is chance, in both
        for place, counts, idle in found:
            if counts and idle:
                yield f"Your result does not depend on {place} of {names[i]}: does a loop, or an index, leave it out?"
    for change in _CHANGES:
        for i in matrices:
            other = [z if j != i else change.make(z) for j, z in enumerate(inputs)]
            if torch.equal(other[i], inputs[i]):
                continue
            a, b = f(other, settings), reference(other, settings)
            if a is None or b is None:
                continue
            ours, truth = _moved(start, a), _moved(right, b)
            what = change.what.format(names[i])
            if ours > 2e-2 and truth < 1e-3:
                yield f"Your result changes when {what}, and the right one does not: {change.too_much}"
            elif ours < 1e-3 and truth > 2e-2:
                yield f"Your result does not change when {what}, but the right one does: {change.too_little}"


# --- NaN --------------------------------------------------------------------------------------------------------

_ORIGINS = (
    (("div", "truediv"), "a division by 0 (a standard deviation, a length or a count that is exactly 0)"),
    (("log",), "the log of 0 or of a negative number"),
    (("logsumexp", "log_softmax", "softmax"), "a row that holds nothing but infinities"),
    (
        ("exp", "expm1", "cosh", "sinh"),
        "exp of a large number, which overflows: use torch.logsumexp, or subtract the maximum",
    ),
    (("sqrt", "rsqrt"), "the root of a negative number, or 1 divided by the root of 0"),
    (("var", "std", "cov", "corrcoef"), "a variance over a single sample (N - 1 = 0)"),
    (("mean",), "the mean of nothing"),
    (("pow",), "a power of 0 or of a negative number, or one that overflows"),
    (
        ("mul", "matmul", "mm", "sub", "add", "sum", "prod"),
        "numbers that overflow, or infinity times 0 or minus infinity",
    ),
    (("slogdet", "logdet", "inverse", "inv", "solve"), "a matrix that has no inverse"),
)


class Tracer(TorchFunctionMode):
    """Notes the first operation that makes NaN or infinity out of finite numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.origin = ""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if not self.origin and isinstance(result, Tensor) and result.is_floating_point():
            given = [a for a in args if isinstance(a, Tensor) and a.is_floating_point()]
            with torch._C.DisableTorchFunction():
                if given and not result.isfinite().all() and all(bool(a.isfinite().all()) for a in given):
                    self.origin = getattr(func, "__name__", "").strip("_")
        return result

    def sentence(self) -> str:
        name = self.origin.removeprefix("r") if self.origin.startswith("rdiv") else self.origin.rstrip("_")
        origin = next((text for names, text in _ORIGINS if name in names or name.removeprefix("i") in names), "")
        return f" It comes from {origin}." if origin else ""
