"""The houses of the lessons, found from the folders of `jemlib/course/lessons`: nothing lists them."""

from __future__ import annotations

import importlib
import pkgutil

from jemlib.course import lessons


def houses() -> dict[str, str]:
    """Lessons, such as "02_barlow_twins", and the package of each: "jemlib.course.lessons.lesson02_barlow_twins"."""
    packages = (f"{lessons.__name__}.{found.name}" for found in pkgutil.iter_modules(lessons.__path__) if found.ispkg)
    return {lesson_of(package): package for package in sorted(packages)}


def lesson_of(module: str) -> str:
    """The lesson that a module of a house belongs to; a house's modules call it with their `__name__`.

    Raises:
        ValueError: the module stands in no house.
    """
    inside = module.removeprefix(f"{lessons.__name__}.lesson")
    if inside == module:
        raise ValueError(f"module must lie in {lessons.__name__}.lessonNN_name; got {module!r}.")
    return inside.split(".")[0]


def load(part: str) -> None:
    """Import one module of every house, `exercises` or `claims`; each registers what it declares."""
    for package in houses().values():
        importlib.import_module(f"{package}.{part}")
