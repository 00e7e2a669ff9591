"""`jem check-env`: is everything here that the course needs, and what to do where it is not."""

from __future__ import annotations

import platform
import sys
from dataclasses import dataclass
from importlib import import_module, metadata

import torch
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

REPAIR = "run `make lab`, or `pip install -e .` in the course folder"


@dataclass(frozen=True)
class Line:
    """One line of the report; `ok` is None where it only tells."""

    ok: bool | None
    text: str

    def __str__(self) -> str:
        mark = {True: "[ OK ]", False: "[FAIL]", None: "[info]"}[self.ok]
        return f"{mark} {self.text}"


def check_requirement(text: str) -> Line:
    """Is a package installed, in a version that will do? `text` as in pyproject.toml: `torch>=2.4`."""
    requirement = Requirement(text)
    try:
        found = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        return Line(False, f"{requirement} is not installed: {REPAIR}")
    if not requirement.specifier.contains(found, prereleases=True):
        return Line(False, f"{requirement.name} {found} does not fit {requirement.specifier}: {REPAIR}")
    return Line(True, f"{requirement.name} {found} ({requirement.specifier})")


def check_python() -> Line:
    wanted = SpecifierSet(metadata.metadata("jemlib")["Requires-Python"])
    found = platform.python_version()
    if wanted.contains(found):
        return Line(True, f"Python {found} ({wanted})")
    return Line(False, f"Python {found} does not fit {wanted}: install one that does, delete .venv, {REPAIR}")


def check_torchvision_operators() -> Line:
    """torch and torchvision must be built for each other; the compiled operators tell."""
    try:
        ops = import_module("torchvision.ops")
        ops.nms(torch.tensor([[0.0, 0.0, 1.0, 1.0]]), torch.tensor([1.0]), 0.5)
    except (ImportError, RuntimeError, AttributeError) as error:
        return Line(False, f"torchvision's operators do not load ({error}): install torch and torchvision together")
    return Line(True, "torchvision's compiled operators load")


def speed(seconds: float = 1.0) -> float:
    """Training images a second of the small backbone alone, forward and backward, on the default device."""
    from jemlib.experiments.bench import bare_step, rates  # here, because it imports the whole library

    return rates({"backbone": bare_step()}, seconds, rounds=1)["backbone"]


def report(seconds: float = 1.0) -> list[Line]:
    """All lines: Python, each requirement, the compiled operators, device, threads, speed."""
    required = [r for r in metadata.requires("jemlib") or [] if "extra ==" not in r]
    lines = [check_python(), *(check_requirement(r) for r in required), check_torchvision_operators()]
    if torch.cuda.is_available():
        lines.append(Line(None, f"device: cuda, {torch.cuda.get_device_name()}; scale `gpu` by default"))
    else:
        lines.append(Line(None, "device: cpu; scale `cpu` by default, and nothing in the course needs more"))
    lines.append(Line(None, f"threads: {torch.get_num_threads()}; interpreter: {sys.executable}"))
    if all(line.ok is not False for line in lines):
        lines.append(Line(None, f"speed: {speed(seconds):,.0f} images/s through the small backbone and back"))
    return lines
