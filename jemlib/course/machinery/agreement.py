"""The usual check of an exercise: does a function agree with the reference, and if not, which mistake is it?

The check looks at behaviour only: values, shapes, types, gradients, and whether the inputs were left alone. A mistake
is named by comparing the learner's results with those of the exercise's named wrong answers on the same inputs.
"""

from __future__ import annotations

import functools
import inspect
import linecache
import math
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from jemlib.validate import describe

Function = Callable[..., Any]


class Mistake(Exception):
    """What is wrong with a learner's function, in a sentence or two."""


class NotAttempted(Exception):
    """The learner has not written the function yet."""


class Wrong(NamedTuple):
    """A wrong answer with a name of its own. `phrase` is what the learner who gave it must read."""

    function: Function
    phrase: str


class Case(NamedTuple):
    """One call on which the learner's function is compared with the reference."""

    args: tuple[Tensor, ...]
    kwargs: Mapping[str, float] = {}  # never changed
    note: str = ""

    def describe(self) -> str:
        first = self.args[0]
        settings = "".join(f", {name} = {value:g}" for name, value in self.kwargs.items())
        note = f", {self.note}" if self.note else ""
        return f"a {str(first.dtype).removeprefix('torch.')} input of shape {tuple(first.shape)}{settings}{note}"

    def tolerance(self) -> float:
        """Far above rounding, far below any mistake."""
        return 1e-9 if self.args[0].dtype == torch.float64 else 1e-4


# Given a case, the learner's results and the right ones: a sentence of help, or None.
Symptom = Callable[[Case, Sequence[Tensor], Sequence[Tensor]], "str | None"]

# What the learner sees in an exception, and what usually is behind it.
SYMPTOMS = (
    ("shapes cannot be multiplied", "in a product A @ B the columns of A must match the rows of B; is a .T missing?"),
    (
        "must match the size of tensor",
        "print the shapes of both sides; is it the wrong dim, or a missing keepdim=True?",
    ),
    ("unexpected keyword argument", "keep the names of the arguments as they are in the first line of the exercise."),
    ("positional argument", "keep the arguments as they are in the first line of the exercise."),
    ("expected scalar type", "make new tensors with z.new_zeros(...), so that they have the type of the input."),
    ("to have the same dtype", "make new tensors with z.new_zeros(...), so that they have the type of the input."),
    ("inplace operation", "an operation such as -= or an indexed assignment changed a tensor that the gradient needs."),
    (
        "in-place operation",
        "an operation such as -= or an indexed assignment changed a tensor that the gradient needs.",
    ),
    ("numpy() on Tensor that requires grad", "stay in torch: numpy cannot carry gradients."),
    ("on a bool tensor", "a comparison gives truth values, which have no minus: put the minus before a number."),
    ("is not defined", "have the cells above been run? Is it an argument, or is an import missing?"),
)


def explain(error: BaseException, f: Function, call: str) -> Mistake | NotAttempted:
    """Turn what the learner's function raised into a calm sentence that names the line."""
    text = str(error).strip().split("\n")[0]
    # torch uses NotImplementedError as well, for an operation that lacks a kernel for some type
    from_torch = "not implemented for" in text or "is not supported" in text or text.startswith("Could not run")
    if isinstance(error, NotImplementedError) and not from_torch:
        return NotAttempted(_unwritten(error, f))
    said = f"{type(error).__name__}: {text}" if text else type(error).__name__
    help_ = next((f" Help: {advice}" for symptom, advice in SYMPTOMS if symptom in text), "")
    return Mistake(f"it raised {said.rstrip('.')}{_place(error, f)}. The call was {call}.{help_}")


def _unwritten(error: BaseException, f: Function) -> str:
    """Which function is still open: the exercise itself, or another one that it calls."""
    frames = traceback.extract_tb(error.__traceback__)
    inner = frames[-1].name if frames else ""
    own = getattr(innermost(f), "__name__", inner)
    if inner in ("", own, "<lambda>", "__call__"):
        return "the function is still open."
    return f"it calls {inner}, which is still open: write that one first and run its check."


def _place(error: BaseException, f: Function) -> str:
    """` in line 3 of name (the text of the line)`, for the innermost line that the learner wrote."""
    code = getattr(innermost(f), "__code__", None)
    place = ""
    for frame, line in traceback.walk_tb(error.__traceback__):
        if code is not None and frame.f_code.co_filename == code.co_filename:
            text = linecache.getline(code.co_filename, line).strip()
            number = line - frame.f_code.co_firstlineno + 1
            place = f", in line {number} of {frame.f_code.co_name}" + (f" (`{text}`)" if text else "")
    return place


def innermost(f: Function) -> Function:
    """The function under decorators and `functools.partial`."""
    while True:
        if isinstance(f, functools.partial):
            f = f.func
        elif hasattr(f, "__wrapped__"):
            f = inspect.unwrap(f)
        else:
            return f


@dataclass(frozen=True)
class Agreement:
    """A check: the function agrees with `reference` on every case, in value, form and gradient.

    Args:
        reference: the function to agree with.
        cases: makes the inputs; called anew for each check.
        wrong: the named wrong answers of the exercise.
        fields: names of the results when there are several; empty for a single tensor.
        gradients: whether automatic differentiation through the function is checked too.
        symptom: given a case, the learner's results and the right ones, may add a sentence of help.
    """

    reference: Function
    cases: Callable[[], Sequence[Case]]
    wrong: Mapping[str, Wrong]
    fields: tuple[str, ...] = ()
    gradients: bool = True
    symptom: Symptom | None = None

    def __call__(self, f: Function) -> None:
        """Raise `Mistake` or `NotAttempted` unless `f` is right."""
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # the inputs are tiny: on a busy machine threads would only wait for each other
        try:
            self._compare(f)
        finally:
            torch.set_num_threads(threads)

    def _compare(self, f: Function) -> None:
        cases, answers, trouble = self.cases(), [], None
        for case in cases:
            try:
                answers.append(self._answer(f, case))
            except Mistake as mistake:
                trouble = mistake
                break
        # A wrong value on an earlier, plainer input tells more than an exception on a later one.
        self._compare_values(cases[: len(answers)], answers)
        if trouble is not None:
            raise trouble
        if self.gradients:
            self._compare_gradients(f, [case for case in cases if case.args[0].dtype == torch.float64])

    def _call(self, f: Function, case: Case, args: Sequence[Tensor]) -> Any:
        try:
            return f(*args, **case.kwargs)
        except (Exception, SystemExit) as error:
            raise explain(error, f, case.describe()) from None

    def _answer(self, f: Function, case: Case) -> tuple[Tensor, ...]:
        """The learner's results on one case, once their form is right."""
        args = [arg.clone() for arg in case.args]
        with torch.no_grad():
            value = self._call(f, case, args)
        if value is None:
            raise (
                NotAttempted("the function is still open.")
                if _is_empty(f)
                else Mistake("it returned None. Is the `return` missing?")
            )
        for given, kept in zip(args, case.args):
            if not torch.equal(given.nan_to_num(), kept.nan_to_num()):
                raise Mistake(
                    "it changed its input in place (-=, fill_diagonal_, or an assignment to entries). "
                    "The caller still needs that tensor: make a new one."
                )
        results = self._results(value)
        for name, result in zip(self.fields or ("",), results):
            if result.dtype != case.args[0].dtype:
                raise Mistake(
                    f"it returned {describe(result)}{f' as {name}' if name else ''} for {case.describe()}. "
                    "Results keep the type of the input: make new tensors with z.new_zeros(...)."
                )
        return results

    def _results(self, value: Any) -> tuple[Tensor, ...]:
        """The results as a tuple of tensors, or a `Mistake` about their form."""
        if not self.fields:
            if not isinstance(value, Tensor):
                raise Mistake(_not_a_tensor("", value))
            return (value,)
        wanted = ", ".join(self.fields)
        if isinstance(value, Tensor) or not isinstance(value, (tuple, list)):
            raise Mistake(f"it returned {describe(value)} alone; return the {len(self.fields)} values ({wanted}).")
        if len(value) != len(self.fields):
            raise Mistake(f"it returned {len(value)} values; return {len(self.fields)}: ({wanted}).")
        for name, entry in zip(self.fields, value):
            if not isinstance(entry, Tensor):
                raise Mistake(_not_a_tensor(f" as {name}", entry))
        return tuple(value)

    def _compare_values(self, cases: Sequence[Case], answers: Sequence[tuple[Tensor, ...]]) -> None:
        with torch.no_grad():
            truth = [self._results(self.reference(*case.args, **case.kwargs)) for case in cases]
            failing = [i for i, case in enumerate(cases) if not _close(answers[i], truth[i], case.tolerance())]
            if not failing:
                return
            first = failing[0]
            named = self._diagnose([(cases[i], answers[i], truth[i]) for i in failing], self._values_of)
        if named is not None:
            raise Mistake(f"{named} {self._size(cases[first], answers[first], truth[first], entry=False)}")
        help_ = self.symptom(cases[first], answers[first], truth[first]) if self.symptom else None
        help_ = help_ or _ratio([(answers[i], truth[i]) for i in failing])
        size = self._size(cases[first], answers[first], truth[first], entry=True)
        raise Mistake(f"{size}{f' {help_}' if help_ else ''}")

    def _size(self, case: Case, ours: Sequence[Tensor], truth: Sequence[Tensor], *, entry: bool) -> str:
        """How large the error is and where it starts, for the first result that is off."""
        for name, a, b in zip(self.fields or ("",), ours, truth):
            what = f"`{name}`" if name else "the result"
            if a.shape != b.shape:
                return f"For {case.describe()} {what} has shape {tuple(a.shape)} instead of {tuple(b.shape)}."
            if _close([a], [b], case.tolerance()):
                continue
            if not a.isfinite().all():
                bad = int((~a.isfinite()).sum())
                return f"For {case.describe()} {what} has {bad} NaN or infinite entries of {a.numel()}."
            text = f"The largest absolute difference of {what} is {_distance([a], [b]):.3g}, for {case.describe()}."
            return text + (_first_entry(a, b, case.tolerance()) if entry else "")
        raise AssertionError("called for results that agree")

    def _compare_gradients(self, f: Function, cases: Sequence[Case]) -> None:
        failing = []
        for case in cases:
            ours, truth = self._gradients_of(f, case), self._gradients_of(self.reference, case)
            if not _close(ours, truth, 10 * case.tolerance()):
                failing.append((case, ours, truth))
        if not failing:
            return
        named = self._diagnose(failing, self._quiet_gradients_of)
        if named is not None:
            raise Mistake(named)
        case, ours, truth = failing[0]
        raise Mistake(_broken_gradient(case, ours, truth))

    def _values_of(self, f: Function, case: Case) -> tuple[Tensor, ...] | None:
        """The results of a named wrong answer; None where it has none."""
        try:
            return self._results(f(*(arg.clone() for arg in case.args), **case.kwargs))
        except (Exception, SystemExit):
            return None

    def _gradients_of(self, f: Function, case: Case) -> tuple[Tensor, ...]:
        """Gradients of a fixed random mixture of all results, one per input; zeros where nothing flows."""
        args = [arg.clone().requires_grad_() for arg in case.args]
        generator = torch.Generator().manual_seed(11)
        with torch.enable_grad():
            results = self._results(self._call(f, case, args))
            mixture = sum((r * torch.randn(r.shape, generator=generator, dtype=r.dtype)).sum() for r in results)
            assert isinstance(mixture, Tensor)
            if not mixture.requires_grad:
                return tuple(torch.zeros_like(arg) for arg in case.args)
            try:
                found = torch.autograd.grad(mixture, args, allow_unused=True)
            except RuntimeError as error:
                raise explain(error, f, f"the backward pass for {case.describe()}") from None
        return tuple(torch.zeros_like(arg) if g is None else g for g, arg in zip(found, case.args))

    def _quiet_gradients_of(self, f: Function, case: Case) -> tuple[Tensor, ...] | None:
        try:
            return self._gradients_of(f, case)
        except (Exception, SystemExit):
            return None

    def _diagnose(
        self,
        failing: Sequence[tuple[Case, Sequence[Tensor], Sequence[Tensor]]],
        observe: Callable[[Function, Case], Sequence[Tensor] | None],
    ) -> str | None:
        """The phrase of the wrong answer that explains most failing cases, and at least half of them."""
        best, most = None, ((len(failing) - 1) // 2, 0.0)  # (explained, -misfit)
        for wrong in self.wrong.values():
            explained, misfit = 0, 0.0
            for case, ours, truth in failing:
                theirs = observe(wrong.function, case)
                error = _distance(ours, truth)
                gap = math.inf if theirs is None else _distance(ours, theirs)
                # "The same mistake" leaves room for a second, much smaller one, such as another eps.
                if gap <= (0.01 * error if math.isfinite(error) else case.tolerance()):
                    explained, misfit = explained + 1, misfit + gap / error
            # Of two that explain equally many, the one that fits more closely.
            if (explained, -misfit) > most:
                best, most = wrong.phrase, (explained, -misfit)
        return best


def _is_empty(f: Function) -> bool:
    """Whether a function's body is nothing but a docstring, `...` or `pass`: it loads constants and returns."""
    import dis

    code = getattr(innermost(f), "__code__", None)
    idle = {"RESUME", "NOP", "LOAD_CONST", "RETURN_VALUE", "RETURN_CONST", "COPY_FREE_VARS", "CACHE"}
    return code is not None and all(step.opname in idle for step in dis.get_instructions(code))


def _not_a_tensor(role: str, value: object) -> str:
    kind = "NumPy array" if type(value).__module__ == "numpy" else type(value).__name__
    return (
        f"it returned a {kind}{role} instead of a tensor. Without .item(), float() and .numpy() "
        "the result stays a tensor, and gradients can flow."
    )


def _distance(ours: Sequence[Tensor], theirs: Sequence[Tensor]) -> float:
    """Largest absolute difference; infinite when shapes differ or only one side is NaN."""
    worst = 0.0
    for a, b in zip(ours, theirs):
        if a.shape != b.shape:
            return math.inf
        a, b = a.detach().double(), b.detach().double()
        same = (a == b) | (a.isnan() & b.isnan())
        gap = (a - b).abs().masked_fill(same, 0.0).nan_to_num(nan=math.inf, posinf=math.inf)
        worst = max(worst, float(gap.max()) if gap.numel() else 0.0)
    return worst


def _close(ours: Sequence[Tensor], truth: Sequence[Tensor], tolerance: float) -> bool:
    return all(
        _distance([a], [b]) <= tolerance * (1 + (float(b.detach().abs().max()) if b.numel() else 0.0))
        for a, b in zip(ours, truth)
    )


def _first_entry(a: Tensor, b: Tensor, tolerance: float) -> str:
    if a.ndim == 0:
        return f" Yours is {float(a):.4g}, it should be {float(b):.4g}."
    gap = (a - b).abs() > tolerance * (1 + b.abs().max())
    where = tuple(int(i) for i in gap.nonzero()[0])
    place = ", ".join(map(str, where))
    found, wanted = float(a[where]), float(b[where])
    return f" The first entry that differs is [{place}]: yours is {found:.4g}, it should be {wanted:.4g}."


def _ratio(pairs: Sequence[tuple[Sequence[Tensor], Sequence[Tensor]]]) -> str | None:
    """Help when the learner's result is the right one times a number that is the same in every case."""
    factors = []
    for ours, truth in pairs:
        a, b = ours[0].double(), truth[0].double()
        if a.shape != b.shape or float(b.abs().max()) == 0:
            return None
        factor = float((a * b).sum() / (b * b).sum())
        if _distance([a], [factor * b]) > 1e-3 * float(a.abs().max()):
            return None
        factors.append(factor)
    if max(factors) - min(factors) > 1e-3 * abs(factors[0]):
        return "In each case your result is the right one times a number that changes with the size of the input."
    return f"Your result is {factors[0]:.3g} times the right one in every case: a constant factor is off."


def _broken_gradient(case: Case, ours: Sequence[Tensor], truth: Sequence[Tensor]) -> str:
    start = "the values are right, but the gradient is not:"
    cut = "Something cuts the graph: .detach(), .item(), float(), torch.tensor(...) or torch.no_grad()."
    for position, (a, b) in enumerate(zip(ours, truth), start=1):
        if _close([a], [b], 10 * case.tolerance()):
            continue
        if not a.isfinite().all():
            return f"{start} it is NaN or infinite for {case.describe()}. A root of exactly 0 has no finite slope."
        if not a.any():
            return f"{start} none reaches argument {position}. {cut}"
        gap = _distance([a], [b])
        return f"{start} for argument {position} the largest absolute difference is {gap:.3g}. {cut}"
    raise AssertionError("called for gradients that agree")
