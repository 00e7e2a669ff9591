"""The settings of a method: name, default, range and meaning of each, said once.

A method's class holds a dataclass `Settings`, whose fields are made by `setting`. From them come the checks and their
error messages, the list in the method's docstring, `known_settings` and `jem methods NAME`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from jemlib import validate


def setting(default: Any, help: str, **range: Any) -> Any:
    """A field of a `Settings` dataclass.

    Args:
        default: its type is the type of the setting: a truth value, a whole number, a number, one of some words, or a
            tuple of whole numbers.
        help: what it means, in a line.
        range: `above`, `at_least`, `at_most` for numbers and for each entry of a tuple; `choices` for words; `check`, a
            function that raises on a bad value, for anything else.
    """
    return field(default=default, metadata={"help": help, **range})


def another(base: type, name: str, default: Any) -> Any:
    """A setting of a base class with another default."""
    return field(default=default, metadata=next(f for f in fields(base) if f.name == name).metadata)


def checked(name: str, value: Any, default: Any, range: Mapping[str, Any]) -> Any:
    """The value of a setting, once it has the type and lies in the range; a single width stands for a tuple of one.

    Raises:
        TypeError, ValueError: the message names the setting, what was given and what is expected.
    """
    bounds = {key: range[key] for key in ("above", "at_least", "at_most") if key in range}
    if "check" in range:
        range["check"](value)
    elif isinstance(default, bool):
        if not isinstance(value, bool):
            raise TypeError(f"{name} must be True or False; got {value!r}.")
    elif isinstance(default, int):
        validate.integer(name, value, **bounds)
    elif isinstance(default, float):
        validate.number(name, value, **bounds)
    elif isinstance(default, tuple):
        entries = (value,) if isinstance(value, int) else value
        if isinstance(entries, str) or not isinstance(entries, Sequence):
            raise TypeError(f"{name} must be a whole number or a sequence of them; got {value!r}.")
        for position, entry in enumerate(entries):
            validate.integer(f"{name}[{position}]", entry, **bounds)
        return tuple(entries)
    else:
        validate.choice(name, value, range["choices"])
    return value


@dataclass(frozen=True, kw_only=True)
class BaseSettings:
    """Checks each setting when it is made."""

    def __post_init__(self) -> None:
        for one in fields(self):
            value = checked(one.name, getattr(self, one.name), one.default, one.metadata)
            object.__setattr__(self, one.name, value)


def in_order(settings: type[BaseSettings]) -> list[Any]:
    """The fields of a `Settings` class, its own before those of its ancestors."""
    known = {one.name: one for one in fields(settings)}
    introduced: list[str] = []
    for ancestor in reversed(settings.__mro__):
        new = [name for name in vars(ancestor).get("__annotations__", {}) if name not in introduced]
        introduced = new + introduced
    return [known[name] for name in introduced if name in known]


def range_of(one: Any) -> str:
    """The values that a setting takes, in words."""
    said = {"above": "> {}", "at_least": ">= {}", "at_most": "<= {}"}
    bounds = " and ".join(text.format(one.metadata[key]) for key, text in said.items() if key in one.metadata)
    return bounds or ", ".join(_words(one.metadata.get("choices", ())))


def _words(choices: Iterable[str]) -> list[str]:
    return [repr(choice) for choice in choices]


def described(settings: type[BaseSettings]) -> str:
    """One line a setting: name, default, range, meaning."""
    lines = []
    for one in in_order(settings):
        range = range_of(one)
        lines.append(f"{one.name} = {one.default!r}{f' ({range})' if range else ''}: {one.metadata['help']}")
    return "\n".join(lines)
