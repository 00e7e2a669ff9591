"""What a learner's function raised or returned, as a calm sentence."""

from __future__ import annotations

import dis
import functools
import linecache
import traceback
from collections.abc import Callable
from typing import Any

from torch import Tensor

from jemlib.course.machinery.calm import LIMIT, Left, Nested, TooSlow
from jemlib.validate import describe

Function = Callable[..., Any]


class Mistake(Exception):
    """What is wrong with a learner's function, in a sentence or two."""


class NotAttempted(Exception):
    """The learner has not written the function yet."""


# What the learner sees in an exception, and what usually is behind it.
SYMPTOMS = (
    ("shapes cannot be multiplied", "in a product A @ B the columns of A must match the rows of B; is a .T missing?"),
    (
        "must match the size of tensor",
        "print the shapes of both sides; is it the wrong dim, or a missing keepdim=True?",
    ),
    ("must match the existing size", "print the shapes of both sides; is it the wrong dim, or a missing keepdim=True?"),
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
    ("does not require grad", "a formula is asked here: the inputs carry no gradient, and none needs to be computed."),
    ("has no attribute", "a tensor's methods are listed by dir(torch.Tensor); a Python number has none of them."),
    ("selected index k out of range", "topk(k, dim=...) needs k entries along that dim: is it the right one?"),
    ("index out of range", "an index runs from 0 to the size - 1."),
    ("is out of bounds", "an index runs from 0 to the size - 1."),
    ("Dimension out of range", "a matrix has dim=0 and dim=1; a vector has dim=0 only."),
    ("more than one value", "an `if` needs one truth value; for a tensor use torch.where, a mask, or .any() / .all()."),
    ("maximum recursion depth", "the function calls itself without end."),
)


def text_of(value: object) -> str:
    """The text of an exception or another value; its type where that cannot be had."""
    try:
        return str(value).strip().split("\n")[0][:300]
    except BaseException:
        return f"a {type(value).__name__} that cannot be printed"


def explain(error: BaseException, f: Function, call: str) -> Mistake | NotAttempted:
    """Turn what the learner's function raised into a calm sentence that names the line."""
    if isinstance(error, TooSlow):
        return Mistake(
            f"it did not finish within {LIMIT:g} seconds, for {call}, so it was stopped. Does a `while` end, and does "
            "a loop run over a few samples only? The inputs are tiny."
        )
    if isinstance(error, Nested):
        return Mistake("it calls check while it is being checked. Call check(...) in a cell of its own.")
    if isinstance(error, (Left, SystemExit)):
        return Mistake(f"it tried to leave Python ({_type(error)}{_place(error, f)}). Return the result instead.")
    if isinstance(error, KeyboardInterrupt):
        return Mistake(f"it was interrupted (KeyboardInterrupt{_place(error, f)}), for {call}.")
    text = text_of(error)
    # torch uses NotImplementedError as well, for an operation that lacks a kernel for some type
    from_torch = "not implemented for" in text or "is not supported" in text or text.startswith("Could not run")
    if isinstance(error, NotImplementedError) and not from_torch:
        return NotAttempted(_unwritten(error, f))
    said = f"{_type(error)}: {text}" if text else _type(error)
    help_ = next((f" Help: {advice}" for symptom, advice in SYMPTOMS if symptom in text), "")
    return Mistake(f"it raised {said.rstrip('.')}{_place(error, f)}. The call was {call}.{help_}")


def _type(error: BaseException) -> str:
    return type(error).__name__[:60]


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
            place = ", " + line_of(frame.f_code, line)
    return place


def line_of(code: Any, line: int) -> str:
    text = linecache.getline(code.co_filename, line).strip()
    return f"in line {line - code.co_firstlineno + 1} of {code.co_name}" + (f" (`{text[:120]}`)" if text else "")


def innermost(f: Function) -> Function:
    """The function under decorators and `functools.partial`; a chain without end is given up."""
    for _ in range(100):
        try:
            inner = f.func if isinstance(f, functools.partial) else vars(f).get("__wrapped__")
        except Exception:  # an object whose attributes cannot be read
            return f
        if not callable(inner):
            return f
        f = inner
    return f


def is_empty(f: Function) -> bool:
    """Whether a function's body is nothing but a docstring, `...` or `pass`: it loads constants and returns."""
    code = getattr(innermost(f), "__code__", None)
    idle = {"RESUME", "NOP", "LOAD_CONST", "RETURN_VALUE", "RETURN_CONST", "COPY_FREE_VARS", "CACHE"}
    return code is not None and all(step.opname in idle for step in dis.get_instructions(code))


def with_article(kind: str) -> str:
    return f"{'an' if kind[:1].lower() in 'aeiou' else 'a'} {kind}"


def not_a_tensor(role: str, value: object) -> str:
    """It returned something else; the advice about numbers is for numbers only."""
    numpy = type(value).__module__ == "numpy"
    kind = with_article("NumPy array" if numpy else type(value).__name__[:60])
    if numpy or isinstance(value, (int, float, complex)):
        return (
            f"it returned {kind}{role} instead of a tensor. Without .item(), float() and .numpy() the result stays a "
            "tensor, and gradients can flow; a sum starts from z.new_zeros(()), and where max(x, 0) would return a "
            "number, torch.relu(x) or x.clamp(min=0) stays a tensor."
        )
    if type(value).__name__ == "coroutine":
        return f"it returned a coroutine{role}: write `def` without `async`."
    if type(value).__name__ == "generator":
        return f"it returned a generator{role}: write `return` for `yield`."
    return f"it returned {kind}{role} instead of a tensor."


def shown(value: object) -> str:
    """`describe`, for values that may refuse to be printed."""
    if isinstance(value, Tensor):
        return describe(value)
    try:
        return describe(value)
    except BaseException:
        return with_article(type(value).__name__)
