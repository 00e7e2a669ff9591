"""The project files agree with each other and with the rules of the project."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest
import yaml  # jupytext needs it too
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from typer.testing import CliRunner

import jemlib
from jemlib.cli import app

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # comes with pytest there

ROOT = Path(__file__).resolve().parents[1]
# conda-forge's names where they are not pip's
CONDA = {"torch": "pytorch", "matplotlib": "matplotlib-base"}
# From the bottom up, as in jemlib/__init__.py: a layer imports nothing that stands after it.
LAYERS = re.findall(r"^    (\w+)  ", jemlib.__doc__ or "", re.MULTILINE)


# The file itself, not what was installed from it: an installed copy may be older.
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]


def pip_requirements() -> dict[str, str]:
    """`name -> specifier` of everything in pyproject.toml that conda installs too (not the bench extra)."""
    found = {}
    extras = PROJECT["optional-dependencies"]
    for requirement in map(Requirement, PROJECT["dependencies"] + extras["dev"] + extras["teaching"]):
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
    assert set(wanted[1].split(",")) == set(PROJECT["requires-python"].split(","))


def pythons() -> list[str]:
    """The versions that the classifiers name, oldest first."""
    versions = [re.fullmatch(r"Programming Language :: Python :: (3\.\d+)", text) for text in PROJECT["classifiers"]]
    return [version[1] for version in versions if version]


def test_classifiers_readme_and_workflow_name_the_pythons_that_are_wanted() -> None:
    wanted = SpecifierSet(PROJECT["requires-python"])
    assert pythons() == [f"3.{minor}" for minor in range(100) if f"3.{minor}.9" in wanted]
    first, last = pythons()[0], pythons()[-1]
    assert f"You need Python {first} to {last} and make." in (ROOT / "README.md").read_text(encoding="utf-8")
    assert workflow()["jobs"]["test"]["strategy"]["matrix"]["python"] == [first, last]
    assert PYPROJECT["tool"]["mypy"]["python_version"] == first
    assert PYPROJECT["tool"]["ruff"]["target-version"] == f"py{first.replace('.', '')}"


def workflow() -> dict:
    return yaml.safe_load((ROOT / ".github" / "workflows" / "test.yml").read_text(encoding="utf-8"))


def test_the_workflow_calls_make_test_on_three_systems() -> None:
    job = workflow()["jobs"]["test"]
    assert {name.split("-")[0] for name in job["strategy"]["matrix"]["os"]} == {"ubuntu", "macos", "windows"}
    assert "make test PYTHON=python" in [step.get("run") for step in job["steps"]]
    assert job["defaults"]["run"]["shell"] == "bash"  # the recipes of the Makefile need it on Windows


@pytest.mark.parametrize(("system", "python"), [("Windows_NT", "Scripts/python.exe"), ("", "bin/python")])
def test_make_finds_the_commands_of_the_environment_on_every_system(system: str, python: str) -> None:
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    command = ["make", "-n", "unit", f"OS={system}", "VENV=somewhere"]
    lines = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert f"somewhere/{python} -m pytest" in lines


def test_make_help_names_every_target_that_a_person_calls() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    phony = set(re.search(r"^\.PHONY: (.+)$", text, re.MULTILINE)[1].split())
    parts = {"help", "install", "install-dev", "lint", "types", "drift", "notebooks"}  # the first, and steps of `test`
    assert set(re.findall(r'@echo "make ([\w-]+) ', text)) == phony - parts


def test_make_test_runs_every_test_and_unit_fast_leaves_out_only_the_slow_ones() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.search(r"^test: lint types unit drift notebooks$", text, re.MULTILINE)
    unit, fast = (re.search(rf"^{name}: install-dev\n\t(.+)$", text, re.MULTILINE)[1] for name in ("unit", "unit-fast"))
    assert "-m pytest -q" in unit
    assert not re.search(r" -(k|m) (?!pytest)", unit)
    assert "--ignore" not in unit
    assert fast.replace('-m "not slow" ', "") == unit


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """What pip would install, built from a copy: setuptools leaves its folders where it builds."""
    copy, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    shutil.copytree(ROOT / "jemlib", copy / "jemlib", ignore=shutil.ignore_patterns("__pycache__"))
    build = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"
    subprocess.run([sys.executable, "-W", "error", "-c", build, out], cwd=copy, check=True, capture_output=True)
    return zipfile.ZipFile(next(out.glob("*.whl")))


def test_the_wheel_holds_every_module_and_the_mark_of_its_types(wheel: zipfile.ZipFile) -> None:
    names = set(wheel.namelist())
    assert {p.relative_to(ROOT).as_posix() for p in (ROOT / "jemlib").rglob("*.py")} <= names
    assert "jemlib/py.typed" in names


def test_the_wheel_says_its_licences_as_an_spdx_expression_and_holds_their_text(wheel: zipfile.ZipFile) -> None:
    folder = next(name.split("/")[0] for name in wheel.namelist() if ".dist-info/" in name)
    told = message_from_bytes(wheel.read(f"{folder}/METADATA"))
    assert told["License-Expression"] == "MIT AND CC-BY-4.0"
    assert told["License-File"] == "LICENSE"
    text = wheel.read(f"{folder}/licenses/LICENSE").decode()
    assert "MIT License" in text
    assert "CC BY 4.0" in text


def test_the_citation_and_the_changelog_have_the_version_of_the_package() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= set(citation)  # what the format requires
    assert citation["version"] == PROJECT["version"]
    assert citation["authors"] == PROJECT["authors"]
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(r"^## (\S+)", changes, re.MULTILINE)[1] == PROJECT["version"]


@pytest.mark.slow
def test_python_m_jemlib_is_the_jem_command() -> None:
    command = [sys.executable, "-m", "jemlib", "evaluate", "no-such-run"]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert (result.returncode, result.stderr[:5]) == (2, "jem: ")
    assert "no-such-run" in result.stderr


@pytest.mark.parametrize(
    ("typed", "offered"), [("jem tr", "train"), ("jem train --sc", "--scale"), ("jem train --lo", "--loss")]
)
def test_a_shell_completes_commands_and_options(typed: str, offered: str) -> None:
    asked = {"_JEM_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": str(len(typed.split()) - 1)}
    assert CliRunner().invoke(app, [], prog_name="jem", env=asked).output.split() == [offered]


def test_no_requirement_is_pinned_or_capped() -> None:
    assert all(re.fullmatch(r">=[\d.]+", specifier) for specifier in pip_requirements().values())


def test_the_package_lists_every_module() -> None:
    parts = {p.stem for p in (ROOT / "jemlib").iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()}
    assert set(LAYERS) == parts - {"__init__", "__main__"}


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


@pytest.mark.slow
def test_importing_the_library_is_quiet_and_leaves_plots_and_widgets_out() -> None:
    """`import jemlib` and the losses must not drag matplotlib and Jupyter in."""
    code = "import sys, jemlib, jemlib.losses; print([m for m in ('matplotlib', 'ipywidgets') if m in sys.modules])"
    result = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
    assert result.stderr == ""
