"""What an answer is, and how the lists of answers are written."""

from __future__ import annotations

import re
from textwrap import dedent, indent
from typing import NamedTuple


class Wrong(NamedTuple):
    """A mistake that a learner makes, and how one sees that a message is about it."""

    exercise: str
    source: str
    words: tuple[str, ...]  # a message that names the mistake, or leads to it, has one of these; case is ignored
    misleading: tuple[str, ...] = ()  # a message with one of these names a mistake that was not made
    note: str = ""  # why it is wrong, where neither its values nor its gradients say so


class Right(NamedTuple):
    """Another right way to write the function."""

    exercise: str
    source: str


# The families of mistakes that can be made in every exercise, and what a message about one of them says.
RATIO = ("times the right", "right one times")
FACTOR = ("factor", "times the right", "right one times", "times too")
CUT = ("detach", "no_grad", "graph", ".item", "gradient", "backward", "differentiat")
FLOAT32 = ("float32", "single precision", "dtype", "float()")
IN_PLACE = ("in place", "in-place", "changes its", "changed its", "changes the input", "overwrit", "modif", "clone")
OVERFLOW = ("overflow", "too large", "infinit", "inf ", "nan", "logsumexp", "finite")


def name_of(source: str) -> str:
    """The function that a source defines: the last one, helpers come first."""
    return re.findall(r"^def (\w+)\(", source, re.MULTILINE)[-1]


def function(header: str, body: str) -> str:
    """The source of `def header:` with this body."""
    return f"def {header}:\n{indent(dedent(body).strip(), '    ')}\n"


def edited(source: str, *edits: tuple[str, str]) -> str:
    """`source` with each old text replaced by the new one, everywhere; the old text must occur."""
    for old, new in edits:
        if old not in source:
            raise ValueError(f"edited looks for {old!r}, which is not in\n{source}")
        source = source.replace(old, new)
    return source


def wrong(source: str, *words: str, misleading: tuple[str, ...] = RATIO, note: str = "") -> Wrong:
    """A wrong answer to the exercise that the source defines.

    Unless the mistake is a factor (`misleading=()`), a message about a ratio is misleading.
    """
    return Wrong(name_of(source), source, words, misleading, note)


def right(source: str) -> Right:
    """A right answer to the exercise that the source defines."""
    return Right(name_of(source), source)
