"""The usual check of an exercise: does a function agree with the reference, and if not, which mistake is it?

The check looks at behaviour only: values, shapes, types, gradients, and whether the inputs were left alone. A mistake
is named by comparing the learner's results with those of the exercise's named mistakes on the same inputs, then with
the mistakes that can be made in every exercise (`families`); what neither explains gets a clue (`clues`).
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from jemlib import validate
from jemlib.course.machinery import clues, comparison, operations, reading, repair, values
from jemlib.course.machinery.cases import Case, Seen, Symptom, misfit
from jemlib.course.machinery.closeness import agree, close, distance, first_entry, not_finite
from jemlib.course.machinery.explain import (
    Function,
    Mistake,
    NotAttempted,
    explain,
    innermost,
    is_empty,
    not_a_tensor,
    shown,
)
from jemlib.course.machinery.families import Wrong, families, names_of, parameters

__all__ = ["Agreement", "Case", "Function", "Mistake", "NotAttempted", "Symptom", "Wrong", "explain", "innermost"]

SLOPE = 1e-6  # relative step of a finite difference
CLUES = 3  # at most so many about one mistake without a name
CUT = "look for .detach(), .item(), float(), torch.tensor(...) or torch.no_grad(), and leave it out."


Observe = Callable[[Callable[..., Any], Case], "tuple[Tensor, ...] | None"]


@dataclass(frozen=True)
class Agreement:
    """A check: the function agrees with `reference` on every case, in value, form and gradient.

    Args:
        reference: the function to agree with.
        cases: makes the inputs; called anew for each check.
        wrong: the named wrong answers of the exercise.
        right: right ways of writing it by name, to tell what is unusual in a wrong one.
        fields: names of the results when there are several; empty for a single tensor.
        gradients: whether automatic differentiation through the function is checked too; "flow" asks only that it is
            the slope of the function's own values, where right ways differ in it (probabilities that sum to 1).
        symptom: given a case, the learner's results and the right ones, may add a sentence of help.
        closed_form: whether automatic differentiation inside the function is refused: a formula is asked.
        lists: positions of arguments that the learner's function gets as a list, one tensor per view, as a method gives
            them. The cases hold them stacked, and everything of the exercise's own goes through them with `for`.
        constants: positions of arguments that never need a gradient (a buffer): right ways may detach them or not.
    """

    reference: Function
    cases: Callable[[], Sequence[Case]]
    wrong: Mapping[str, Wrong]
    right: Mapping[str, Function] = field(default_factory=dict)
    fields: tuple[str, ...] = ()
    gradients: bool | Literal["flow"] = True
    symptom: Symptom | None = None
    closed_form: bool = False
    lists: tuple[int, ...] = ()
    constants: tuple[int, ...] = ()

    def __call__(self, f: Function) -> None:
        """Raise `Mistake` or `NotAttempted` unless `f` is right."""
        f = _with_lists(f, self.lists) if self.lists else f
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # the inputs are tiny: on a busy machine threads would only wait for each other
        try:
            self._compare(f)
        finally:
            torch.set_num_threads(threads)

    @functools.cached_property
    def families(self) -> Mapping[str, Wrong]:
        """The mistakes that can be made in every exercise, for this one."""
        return families(self.reference, self.fields, len(self.cases()[0].args))

    # --- Form ---------------------------------------------------------------------------------------------------

    def _compare(self, f: Function) -> None:
        cases, answers, trouble, plain = self.cases(), [], None, ""
        for case in cases:
            try:
                results, number = self._answer(f, case)
                answers.append(results)
                plain = plain or number
            except Mistake as mistake:
                trouble = mistake
                break
        # A wrong value on an earlier, plainer input tells more than an exception on a later one.
        self._compare_values(f, cases[: len(answers)], answers)
        if trouble is not None:
            raise trouble
        if plain:
            raise Mistake(plain)
        if self.gradients:
            self._compare_gradients(f, [case for case in cases if case.args[0].dtype == torch.float64])

    def _call(self, f: Function, case: Case, args: Sequence[Tensor]) -> Any:
        with _watched_backward() as used:
            try:
                value = f(*args, **case.kwargs)
            except BaseException as error:
                if not (self.closed_form and used):
                    raise explain(error, f, case.describe()) from None
        if self.closed_form and used:
            raise Mistake(
                "automatic differentiation (autograd) was used, but a closed form is asked: write the gradient as a "
                "formula of the inputs. Autograd is a good way to test it afterwards."
            )
        return value

    def _answer(self, f: Function, case: Case) -> tuple[tuple[Tensor, ...], str]:
        """The learner's results on one case, once their form is right, and what is to say about Python numbers."""
        args = [arg.clone() for arg in case.args]
        with torch.no_grad():
            value = self._call(f, case, args)
        if value is None:
            raise (
                NotAttempted("the function is still open.")
                if is_empty(f)
                else Mistake("it returned None. Is the `return` missing?")
            )
        for given, kept in zip(args, case.args):
            if given.shape != kept.shape or not torch.equal(given.nan_to_num(), kept.nan_to_num()):
                raise Mistake(
                    "it changed its input in place (-=, fill_diagonal_, or an assignment to entries). "
                    "The caller still needs that tensor: make a new one."
                )
        value, number = self._numbers_as_tensors(case, value)
        results = self._results(value)
        for name, result in zip(self.fields or ("",), results):
            if result.dtype != case.args[0].dtype:
                positions = not result.is_floating_point() and reading.finds_positions(f)
                raise Mistake(
                    f"it returned {shown(result)}{f' as {name}' if name else ''} for {case.describe()}. "
                    "Results keep the type of the input (its dtype): "
                    + (
                        "what `indices` and arg-functions give are positions, not the values there."
                        if positions
                        else "make new tensors with z.new_zeros(...)."
                    )
                )
        return results, number

    def _numbers_as_tensors(self, case: Case, value: Any) -> tuple[Any, str]:
        """Python numbers in place of scalar results: right where a loop over a single entry added nothing.

        Elsewhere they are compared as well, so that a wrong value is named first, and told afterwards.
        """
        entries = list(value) if self.fields and isinstance(value, (tuple, list)) else [value]
        if not any(type(entry) in (int, float) for entry in entries):
            return value, ""
        with torch.no_grad():
            truth = self._results(self.reference(*case.args, **case.kwargs))
        told = ""
        alone = any(1 in arg.shape for arg in case.args)
        for i, (entry, right) in enumerate(zip(entries, truth)):
            if type(entry) in (int, float) and right.ndim == 0:
                entries[i] = right.new_tensor(entry)
                if not (alone and entry == 0):
                    role = f" as {self.fields[i]}" if self.fields else ""
                    told = told or f"for {case.describe()} {not_a_tensor(role, entry)}"
        return (tuple(entries) if self.fields and isinstance(value, (tuple, list)) else entries[0]), told

    def _results(self, value: Any) -> tuple[Tensor, ...]:
        """The results as a tuple of tensors, or a `Mistake` about their form."""
        if not self.fields:
            if isinstance(value, (tuple, list)) and any(isinstance(entry, Tensor) for entry in value):
                raise Mistake(f"it returned {len(value)} values in a {type(value).__name__}; return one tensor.")
            if not isinstance(value, Tensor):
                raise Mistake(not_a_tensor("", value))
            return (value,)
        wanted = ", ".join(self.fields)
        if isinstance(value, Tensor) or not isinstance(value, (tuple, list)):
            raise Mistake(f"it returned {shown(value)} alone; return the {len(self.fields)} values ({wanted}).")
        if len(value) != len(self.fields):
            raise Mistake(f"it returned {len(value)} values; return {len(self.fields)}: ({wanted}).")
        for name, entry in zip(self.fields, value):
            if not isinstance(entry, Tensor):
                raise Mistake(not_a_tensor(f" as {name}", entry))
        return tuple(value)

    # --- Values -------------------------------------------------------------------------------------------------

    def _compare_values(self, f: Function, cases: Sequence[Case], answers: Sequence[tuple[Tensor, ...]]) -> None:
        with torch.no_grad():
            truth = [self._results(self.reference(*case.args, **case.kwargs)) for case in cases]
            seen: list[Seen] = list(zip(cases, answers, truth))
            failing = [s for s in seen if not close(s[1], s[2], s[0].tolerance())]
            if not failing:
                return
            named, exactly = self._diagnose(seen, self._values_of, telling=self._telling(f, seen))
            place = "" if exactly else self._one_place(f, seen)
            if named and not place:
                slip = next(reading.slips(innermost(f), self.reference), "")
                raise Mistake(f"{named} {self._size(*failing[0], entry=False)} {slip}".rstrip())
            size = self._size(*failing[0], entry=True)
            help_ = " ".join(itertools.islice((clue for clue in self._clues(f, seen, failing, place) if clue), CLUES))
        raise Mistake(f"{size}{f' {help_}' if help_ else ''}")

    def _telling(self, f: Function, seen: Sequence[Seen]) -> list[Case]:
        """Cases whose settings the function uses: they tell mistakes apart that look alike by default.

        One that ignores a setting makes that mistake besides, and may be named by its larger one.
        """
        told = [(case, ours) for case, ours, _ in seen if case.kwargs and not not_finite(ours)]
        return [
            case
            for case, ours in told
            if (plain := self._quietly(f, case.args, {})) is not None
            and len(plain) == len(ours)
            and not close(plain, ours, case.tolerance())
        ]

    def _clues(self, f: Function, seen: Sequence[Seen], failing: Sequence[Seen], place: str) -> Iterator[str]:
        """What can be said about a mistake without a name, the most telling first."""
        said = self.symptom(*failing[0]) if self.symptom and not not_finite(failing[0][1]) else None
        related = self._relation(seen, failing) or self._sum_of_terms(seen, failing) or ""
        if place:
            yield related
            yield place
            yield from reading.slips(innermost(f), self.reference)
            yield said or ""
            return
        broken = next((s for s in failing if not_finite(s[1]) and not not_finite(s[2])), None)
        if broken is not None and not not_finite(failing[0][1]):
            yield f"For {broken[0].describe()} it is NaN or infinite."
        if broken is not None:
            yield self._origin(f, broken[0])
        yield from reading.slips(innermost(f), self.reference)
        yield comparison.departure(innermost(f), self.right.values()) or ""
        yield related
        if said:
            yield said
        yield from self._operations(f, failing[0][0])
        if not related:
            yield self._first_unknown(f, failing[0][0])
            yield from self._reactions(f, seen)
            yield _samples(*failing[0])
        yield from reading.unused(innermost(f))

    def _one_place(self, f: Function, seen: Sequence[Seen]) -> str:
        """The only place that is wrong, found by trying changes of the learner's function, then of the right ways."""
        seen = sorted(seen, key=lambda s: s[0].args[0].numel())  # the quick ones tell most candidates apart
        rich = len({float(x) for s in seen for result in s[1] for x in result.flatten()}) > len(seen)

        def gives(results: Sequence[Sequence[Tensor]]) -> Callable[[Function], bool]:
            return lambda g: all(
                agree(self._quietly(g, case.args, case.kwargs), wanted, case.tolerance())
                for (case, _, _), wanted in zip(seen, results)
            )

        def search() -> str:
            right, same = gives([s[2] for s in seen]), gives([s[1] for s in seen])
            return repair.one_place(innermost(f), self.right.values(), right, same, rich)

        try:
            return getattr(f, "guard", lambda g: g)(search)()
        except BaseException:  # out of time
            return ""

    def _first_unknown(self, f: Function, case: Case) -> str:
        def call(way: Function) -> Callable[[], object]:
            return lambda: way(*(arg.clone() for arg in case.args), **case.kwargs)

        ways = [call(way) for way in (self.reference, *self.right.values())]
        return values.first_unknown(innermost(f), call(f), ways, 10 * case.tolerance())

    def _operations(self, f: Function, case: Case) -> Iterator[str]:
        def kinds(way: Function) -> set[str] | None:
            return operations.kinds_of(lambda: way(*(arg.clone() for arg in case.args), **case.kwargs))

        yield from operations.unusual(kinds(f), [kinds(way) for way in (self.reference, *self.right.values())])

    def _off(self, failing: Sequence[Seen]) -> list[int]:
        """The results that are wrong somewhere; a total, which holds the errors of its terms, comes last."""
        off = [
            i
            for i in range(len(self.fields or ("",)))
            if not all(close([s[1][i]], [s[2][i]], s[0].tolerance()) for s in failing)
        ]
        return off[1:] + off[:1] if len(off) > 1 and self.fields[off[0]] == "total" else off

    def _sum_of_terms(self, seen: Sequence[Seen], failing: Sequence[Seen]) -> str | None:
        """A total whose terms are right: with which weights were they added?"""
        if not self.fields or [self.fields[i] for i in self._off(failing)] != ["total"]:
            return None
        plain = [s for s in seen if not s[0].kwargs and s[0].args[0].dtype == torch.float64 and not not_finite(s[1])]
        ours, wanted = clues.weights([s[1] for s in plain]), clues.weights([s[2] for s in plain])
        if ours is None or wanted is None:
            return "All its terms are right: look at how they are put together."
        yours, asked = (
            " + ".join(f"{w:.4g} {name}" for w, name in zip(weights, self.fields[1:])) for weights in (ours, wanted)
        )
        return f"All its terms are right. Yours is {yours}; asked is {asked}.".replace("+ -", "- ")

    def _relation(self, seen: Sequence[Seen], failing: Sequence[Seen]) -> str | None:
        """A relation to the right result, for the first field that is off and has one."""
        for i in self._off(failing):
            name = self.fields[i] if self.fields else ""
            default = {
                k: p.default for k, p in parameters(self.reference).items() if isinstance(p.default, (int, float))
            }
            pairs = [
                clues.Pair(
                    case.args,
                    {**default, **case.kwargs},
                    ours[i].double(),
                    truth[i].double(),
                    clues.EXACT if case.args[0].dtype == torch.float64 else 1e-3,
                )
                for case, ours, truth in seen
            ]
            found = clues.relation(pairs)
            if found:
                return f"Of {name}: {found[0].lower()}{found[1:]}" if name else found
        return None

    def _reactions(self, f: Function, seen: Sequence[Seen]) -> Iterator[str]:
        """How the function reacts to changed inputs, on the plainest case in double precision."""
        plain = [s[0] for s in seen if s[0].args[0].dtype == torch.float64 and not s[0].note]
        rich = [c for c in plain if c.kwargs] or plain
        if not rich:
            return
        case = max(rich, key=lambda c: min(c.args[0].shape, default=0))
        default = {k: p.default for k, p in parameters(self.reference).items() if type(p.default) is float}
        taken = {**{k: v for k, v in default.items() if k in parameters(innermost(f))}, **case.kwargs}
        yield from clues.behaviour(
            functools.partial(self._quietly, f),
            functools.partial(self._quietly, self.reference),
            case.args,
            taken,
            names_of(self.reference, len(case.args)),
        )

    def _quietly(self, f: Function, args: Sequence[Tensor], kwargs: Mapping[str, float]) -> tuple[Tensor, ...] | None:
        """The results; None where there are none, or an input was changed on the way."""
        given = [arg.clone() for arg in args]
        try:
            # A changed input may be none that is allowed (probabilities), and still shows what counts.
            with torch.no_grad(), validate.blind():
                results = self._results(f(*given, **kwargs))
        except BaseException:
            return None
        return results if all(torch.equal(a.nan_to_num(), b.nan_to_num()) for a, b in zip(given, args)) else None

    def _values_of(self, f: Function, case: Case) -> tuple[Tensor, ...] | None:
        """The results of a named wrong answer; None where it has none."""
        return self._quietly(f, case.args, case.kwargs)

    def _origin(self, f: Function, case: Case) -> str:
        tracer = clues.Tracer()
        try:
            with tracer:
                f(*(arg.clone() for arg in case.args), **case.kwargs)
        except BaseException:
            return ""
        return tracer.sentence().strip()

    def _size(self, case: Case, ours: Sequence[Tensor], truth: Sequence[Tensor], *, entry: bool) -> str:
        """How large the error is and where it starts, for the first result that is off; and which ones are right."""
        fields = self.fields or ("",)
        right = [n for n, a, b in zip(fields, ours, truth) if a.shape == b.shape and close([a], [b], case.tolerance())]
        good = f" Right here: {', '.join(right)}." if right else ""
        order = self._off([(case, ours, truth)]) if all(a.shape == b.shape for a, b in zip(ours, truth)) else []
        for i in order or range(len(fields)):
            name, a, b = fields[i], ours[i], truth[i]
            what = f"`{name}`" if name else "the result"
            if a.shape != b.shape:
                return f"For {case.describe()} {what} has shape {tuple(a.shape)} instead of {tuple(b.shape)}.{good}"
            if (name in right and name) or close([a], [b], case.tolerance()):
                continue
            if not a.isfinite().all():
                bad = int((~a.isfinite()).sum())
                return f"For {case.describe()} {what} has {bad} NaN or infinite entries of {a.numel()}.{good}"
            text = f"The largest absolute difference of {what} is {distance([a], [b]):.3g}, for {case.describe()}."
            return text + (first_entry(a, b, case.tolerance()) if entry else "") + good
        raise AssertionError("called for results that agree")

    # --- Gradients ----------------------------------------------------------------------------------------------

    def _compare_gradients(self, f: Function, cases: Sequence[Case]) -> None:
        seen: list[Seen] = []
        for case in cases:
            ours, truth = self._gradients_of(f, case), self._gradients_of(self.reference, case)
            # In a symmetric matrix entry (i, j) is entry (j, i): only the sum of the two gradients has a meaning.
            pairs = [_folded(arg, a, b) for arg, a, b in zip(case.args, ours, truth)]
            seen.append((case, tuple(a for a, _ in pairs), tuple(b for _, b in pairs)))
        if self.gradients == "flow":
            if cut := self._cut(seen) or self._partly_cut(f, seen):
                raise Mistake(cut)
            return
        failing = [s for s in seen if not close(s[1], s[2], 10 * s[0].tolerance())]
        if not failing:
            return
        named, _ = self._diagnose(seen, self._quiet_gradients_of, gradients=True)
        raise Mistake(named or self._broken_gradient(f, seen, failing))

    def _gradients_of(self, f: Function, case: Case) -> tuple[Tensor, ...]:
        """Gradients of a fixed random mixture of all results, one per input; zeros where nothing flows."""
        # Cluster ids and other whole numbers have no gradient.
        args = [
            arg.clone().requires_grad_(arg.is_floating_point() and i not in self.constants)
            for i, arg in enumerate(case.args)
        ]
        generator = torch.Generator().manual_seed(11)
        with torch.enable_grad():
            value = self._call(f, case, args)
            results = self._results(self._numbers_as_tensors(case, value)[0])
            mixture = sum((r * torch.randn(r.shape, generator=generator, dtype=r.dtype)).sum() for r in results)
            assert isinstance(mixture, Tensor)
            if not mixture.requires_grad:
                return tuple(_zeros(arg) for arg in case.args)
            try:
                given = iter(torch.autograd.grad(mixture, [a for a in args if a.requires_grad], allow_unused=True))
                found = [next(given) if arg.requires_grad else None for arg in args]
            except RuntimeError as error:
                raise explain(error, f, f"the backward pass for {case.describe()}") from None
        return tuple(_zeros(arg) if g is None else g for g, arg in zip(found, case.args))

    def _quiet_gradients_of(self, f: Function, case: Case) -> tuple[Tensor, ...] | None:
        try:
            found = self._gradients_of(f, case)
        except BaseException:
            return None
        return tuple(_folded(arg, g, g)[0] for arg, g in zip(case.args, found))

    def _cut(self, seen: Sequence[Seen]) -> str | None:
        """Where nothing at all arrives, although it should, in every case."""
        cut = [
            name
            for i, name in enumerate(names_of(self.reference, len(seen[0][0].args)))
            if any(s[2][i].any() for s in seen) and not any(s[1][i].any() for s in seen)
        ]
        return f"the value is right, but no gradient reaches {' or '.join(cut)}: {CUT}" if cut else None

    def _partly_cut(self, f: Function, seen: Sequence[Seen]) -> str | None:
        """Where the gradient is not the slope of the function's own values, along a direction that keeps zeros."""
        for case, _, _ in seen:
            generator = torch.Generator().manual_seed(12)
            along = [a * torch.randn(a.shape, generator=generator, dtype=a.dtype) for a in case.args]
            up, down = (self._mixed(f, [a + h * d for a, d in zip(case.args, along)], case) for h in (SLOPE, -SLOPE))
            if up is None or down is None:
                continue  # such an input is none that it allows
            slope = (up - down) / (2 * SLOPE)
            moved = zip(self._gradients_of(f, case), along)
            flows = float(sum((g[d != 0] * d[d != 0]).sum() for g, d in moved))  # at 0 a slope may be infinite
            if math.isfinite(flows) and not math.isclose(slope, flows, rel_tol=1e-3, abs_tol=1e-6):
                return f"the value is right, but a part of the gradient is cut off from the graph: {CUT}"
        return None

    def _mixed(self, f: Function, args: Sequence[Tensor], case: Case) -> float | None:
        """The fixed random mixture of all results whose gradient `_gradients_of` takes."""
        results = self._quietly(f, args, case.kwargs)
        if results is None or not_finite(results):
            return None
        generator = torch.Generator().manual_seed(11)
        return float(sum((r * torch.randn(r.shape, generator=generator, dtype=r.dtype)).sum() for r in results))

    def _broken_gradient(self, f: Function, seen: Sequence[Seen], failing: Sequence[Seen]) -> str:
        names = names_of(self.reference, len(failing[0][0].args))
        if cut := self._cut(seen):
            return cut
        case, ours, truth = failing[0]
        for name, a, b in zip(names, ours, truth):
            if close([a], [b], 10 * case.tolerance()):
                continue
            start = f"the values are right, but the gradient with respect to {name} is not"
            if not a.isfinite().all():
                return f"{start}: it is NaN or infinite for {case.describe()}. A root of exactly 0 has no finite slope."
            gap, departure = distance([a], [b]), comparison.departure(innermost(f), self.right.values()) or ""
            return (
                f"{start}: the largest absolute difference is {gap:.3g}, for {case.describe()}. A part of it is "
                f"cut off from the graph: {CUT} {departure}".rstrip()
            )
        raise AssertionError("called for gradients that agree")

    # --- Names --------------------------------------------------------------------------------------------------

    @functools.cached_property
    def _memory(self) -> dict[Any, tuple[Tensor, ...] | None]:
        return {}

    def _remembered(self, observe: Observe, f: Function, case: Case) -> tuple[Tensor, ...] | None:
        """What a mistake gives on a case is worked out once: every wrong answer is compared with every mistake."""
        inputs = tuple((str(arg.dtype), tuple(arg.shape), arg.numpy().tobytes()) for arg in case.args)
        key = (observe.__name__, f, inputs, tuple(sorted(case.kwargs.items())))
        if key not in self._memory:
            self._memory[key] = observe(f, case)
        return self._memory[key]

    def _diagnose(
        self,
        seen: Sequence[Seen],
        observe: Observe,
        *,
        gradients: bool = False,
        telling: Sequence[Case] = (),
    ) -> tuple[str, bool]:
        """The phrase of the mistake that was made, and True: it agrees with the learner everywhere.

        Failing that, of the one that comes very close in at least half of the failing cases, and is right where he is:
        a second, much smaller mistake may have been made too.
        """
        cases = [s[0] for s in seen]
        values_of = functools.partial(self._remembered, self._values_of)
        values = [values_of(self.reference, case) for case in cases] if gradients else []
        nearly: tuple[float, str] | None = None
        for group in (self.wrong, self.families):
            for wrong in group.values():
                if gradients and not all(
                    agree(values_of(wrong.function, case), right, case.tolerance())
                    for case, right in zip(cases, values)
                ):
                    continue
                observed = functools.partial(self._remembered, observe, wrong.function)
                fit = misfit(seen, observed, 10 if gradients else 1, telling)
                if fit == 0:
                    return wrong.phrase, True
                if fit < (nearly[0] if nearly else math.inf):
                    nearly = fit, wrong.phrase
        return (nearly[1] if nearly else ""), False


@contextmanager
def _watched_backward() -> Iterator[list[bool]]:
    """Notes whether automatic differentiation runs meanwhile; all of torch's ways go through this one."""
    used: list[bool] = []
    engine = getattr(torch.autograd, "_engine_run_backward", None)
    if engine is None:
        yield used
        return

    def run(*args: Any, **kwargs: Any) -> Any:
        used.append(True)
        return engine(*args, **kwargs)

    torch.autograd._engine_run_backward = run
    try:
        yield used
    finally:
        torch.autograd._engine_run_backward = engine


def _folded(arg: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    if arg.ndim == 2 and arg.shape[0] == arg.shape[1] > 1 and torch.allclose(arg, arg.T, rtol=1e-12, atol=0):
        return a + a.T, b + b.T
    return a, b


def _samples(case: Case, ours: Sequence[Tensor], truth: Sequence[Tensor]) -> str:
    """Which samples are right, where some are."""
    for a, b in zip(ours, truth):
        if a.ndim < 2 or a.shape != b.shape or a.shape[:1] != case.args[0].shape[:1] or not bool(a.isfinite().all()):
            continue
        off = (a - b).abs().flatten(1).amax(dim=1) > case.tolerance() * (1 + float(b.abs().max()))
        right, wrong = ((~off).nonzero().flatten().tolist(), off.nonzero().flatten().tolist())
        if right and wrong:
            return f"Right for the samples (first axis) {right}, wrong for {wrong}."
    return ""


def _zeros(arg: Tensor) -> Tensor:
    """No gradient; of a mask it is a number as well, so that gradients can be compared."""
    return torch.zeros_like(arg, dtype=torch.float64 if arg.dtype == torch.bool else arg.dtype)


def _with_lists(f: Function, positions: Sequence[int]) -> Function:
    """`f`, given the entries of some arguments as a list."""

    def called(*args: Tensor, **kwargs: Any) -> Any:
        return f(*(list(arg) if i in positions else arg for i, arg in enumerate(args)), **kwargs)

    try:
        return functools.update_wrapper(called, f)
    except Exception:  # an object whose attributes cannot be read
        called.__wrapped__ = f  # type: ignore[attr-defined]
        return called
