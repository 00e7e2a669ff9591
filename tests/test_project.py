"""The project files agree with each other and with the rules of the project."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import jemlib

ROOT = Path(__file__).resolve().parents[1]
# conda-forge's names where they are not pip's
CONDA = {"torch": "pytorch", "matplotlib": "matplotlib-base"}
# From the bottom up, as in jemlib/__init__.py: a layer imports nothing that stands after it.
LAYERS = re.findall(r"^    (\w+)  ", jemlib.__doc__ or "", re.MULTILINE)


def pip_requirements() -> dict[str, str]:
    """`name -> specifier` of everything in pyproject.toml that conda installs too (not the bench extra)."""
    found = {}
    for text in metadata.requires("jemlib"):
        if 'extra == "bench"' not in text:
            requirement = Requirement(text)
            found[CONDA.get(requirement.name, requirement.name)] = str(requirement.specifier)
    return found


def conda_requirements() -> dict[str, str]:
    lines = re.findall(r"^  - ([\w-]+)(\S*)$", (ROOT / "environment.yml").read_text(), re.MULTILINE)
    return {name: specifier for name, specifier in lines if name not in ("python", "pip", "conda-forge", "nodefaults")}


def test_environment_yml_and_pyproject_name_the_same_packages_and_floors() -> None:
    assert conda_requirements() == pip_requirements()


def test_environment_yml_and_pyproject_want_the_same_python() -> None:
    wanted = re.search(r"^  - python(\S+)$", (ROOT / "environment.yml").read_text(), re.MULTILINE)
    assert wanted is not None
    assert set(wanted[1].split(",")) == set(metadata.metadata("jemlib")["Requires-Python"].split(","))


def test_no_requirement_is_pinned_or_capped() -> None:
    assert all(re.fullmatch(r">=[\d.]+", specifier) for specifier in pip_requirements().values())


def test_the_package_lists_every_module() -> None:
    parts = {p.stem for p in (ROOT / "jemlib").iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()}
    assert set(LAYERS) == parts - {"__init__"}


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted((ROOT / "jemlib").rglob("*.py"))}


def imported_by(name: str) -> set[str]:
    """The jemlib modules that a module imports: at its head, inside functions, and for type checking alone."""
    found = set()
    for node in ast.walk(ast.parse(MODULES[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} imports relatively"
            inside = {f"{node.module}.{alias.name}" for alias in node.names}
            # `from package import module` is an arrow to the module; any other name one to the package itself
            found |= {one if one in MODULES else str(node.module) for one in inside}
    return {one for one in found if one in MODULES and one not in ("jemlib", name)}


ARROWS = {name: imported_by(name) for name in MODULES}


@pytest.mark.parametrize("layer", LAYERS)
def test_imports_point_downwards(layer: str) -> None:
    above = set(LAYERS[LAYERS.index(layer) + 1 :])
    arrows = {
        (name, other)
        for name, others in ARROWS.items()
        for other in others
        if name.split(".")[1:2] == [layer] and other.split(".")[1] in above
    }
    assert arrows == set()


def test_no_module_imports_itself_by_way_of_others() -> None:
    done: set[str] = set()

    def follow(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " -> ".join([*path[path.index(name) :], name])
        if name not in done:
            for other in sorted(ARROWS[name]):
                follow(other, (*path, name))
            done.add(name)

    for name in MODULES:
        follow(name, ())


def test_no_file_of_the_library_is_too_long_to_read() -> None:
    """600 lines; the exercises are exempt, because each stands beside its long list of wrong answers."""
    files = [p for p in (ROOT / "jemlib").rglob("*.py") if p.name != "exercises.py"]
    assert {p.name: n for p in files if (n := len(p.read_text().splitlines())) > 600} == {}


def test_what_is_committed_names_no_machine() -> None:
    """No absolute home or work paths in anything that git tracks."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    words = re.compile("|".join(["/" + "root/", "/" + "home/\\w", "/" + "work/", "/" + "Users/\\w"]))
    for name in listed.stdout.splitlines():
        path = ROOT / name
        if path.suffix in (".py", ".md", ".toml", ".yml", ".json", ".ipynb", ".csv", "") and path.is_file():
            assert not words.search(path.read_text(errors="ignore")), name


def test_importing_the_library_is_quiet_and_leaves_plots_and_widgets_out() -> None:
    """`import jemlib` and the losses must not drag matplotlib and Jupyter in."""
    code = "import sys, jemlib, jemlib.losses; print([m for m in ('matplotlib', 'ipywidgets') if m in sys.modules])"
    result = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
    assert result.stderr == ""
