"""Skeletons: the files of a new lesson and of a new exercise, with a mark where somebody has to write.

The builder refuses a lesson in which a mark is left, so that no skeleton is taken for a lesson.
"""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path

from jemlib.course.build.notebooks import REQUIRED_SECTIONS, WRITE
from jemlib.files import write_text

HOUSE = {
    "__init__.py": '"""Lesson {number}: {name}."""\n',
    "exercises.py": '''"""Lesson {number}: the exercises; `jemlib.course.machinery.answers` says how."""

from __future__ import annotations

from jemlib import losses
from jemlib.course.machinery.answers import declare
from jemlib.course.machinery.inputs import pairs_with, single_views
''',
    "figures.py": '''"""Lesson {number}: its pictures and its widget, plain functions of plain numbers."""
''',
    "claims.py": '''"""What lesson {number} claims, measured."""

from __future__ import annotations

from jemlib.course.machinery.lessons import lesson_of

LESSON = lesson_of(__name__)
''',
}


def new_lesson(name: str, root: Path, houses: Path | None = None) -> list[Path]:
    """Write the source, the house and the test file of a lesson.

    Args:
        name: such as "07_pcl_em".
        root: the repository.
        houses: where the house goes; None: `jemlib/course/lessons`.

    Returns:
        the new files.

    Raises:
        ValueError: the name is no lesson's name, or a file is there already.
    """
    if not re.fullmatch(r"\d\d_[a-z0-9_]+", name):
        raise ValueError(f"name must be two digits, _ and lower-case words, such as 07_pcl_em; got {name!r}.")
    number = name[:2]
    house = (houses or root / "jemlib" / "course" / "lessons") / f"lesson{name}"
    files = {house / file: text.format(number=number, name=name) for file, text in HOUSE.items()}
    files[root / "solutions" / f"{name}.py"] = lesson_source(name)
    files[root / "tests" / f"test_lesson_{number}.py"] = (
        f'"""Lesson {number}: its pictures, and the functions behind them."""\n\nfrom __future__ import annotations\n'
    )
    taken = [path for path in files if path.exists()]
    if taken:
        raise ValueError(f"{taken[0]} is there already; nothing was written.")
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, text)
    return list(files)


def lesson_source(name: str) -> str:
    """A source with every section that the builder wants, each with a mark."""
    cells = [f"# %% [markdown]\n# # {name[:2]} · {WRITE} title: what is derived\n#\n# {WRITE} two or three sentences."]
    cells.append("# %%\nfrom jemlib.course import check, hint, recorded_claims, solution, verify")
    cells += [f"# %% [markdown]\n# ## {section}\n#\n# {WRITE} this section." for section in REQUIRED_SECTIONS]
    return "\n\n".join(cells) + "\n"


def new_exercise(lesson: str, function: str, root: Path, houses: Path | None = None) -> tuple[Path, str]:
    """Append the declaration of an exercise to its house.

    Args:
        lesson: such as "07_pcl_em".
        function: the function of the library that it derives, such as "jemlib.losses.concentration".
        root: the repository.
        houses: as `new_lesson`.

    Returns:
        the file, and the three cells for `solutions/NN_name.py`.

    Raises:
        ValueError: there is no such lesson or function, or the lesson has that exercise already.
    """
    module, _, name = function.rpartition(".")
    try:
        reference = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"function must be a name such as jemlib.losses.vicreg; got {function!r}.") from error
    path = (houses or root / "jemlib" / "course" / "lessons") / f"lesson{lesson}" / "exercises.py"
    if not path.is_file():
        raise ValueError(
            f"lesson must be one that exists: there is no {path}. Write it with `jem new-lesson {lesson}`."
        )
    text = path.read_text(encoding="utf-8")
    if re.search(rf"^ +def {name}\(", text, re.MULTILINE):
        raise ValueError(f"lesson {lesson} has an exercise {name} already.")
    signature = re.sub(r": [^,=)]+(?= =|,|\))", "", str(inspect.signature(reference)).partition(" ->")[0])
    signature = signature.replace(" = ", "=")
    arguments = ", ".join(inspect.signature(reference).parameters)
    number = f"{int(lesson[:2])}.{len(re.findall(r'^declare[(]', text, re.MULTILINE)) + 1}"
    body = f"return {module.removeprefix('jemlib.')}.{name}({arguments})"
    declaration = f'''

declare(
    __name__,
    {module.removeprefix("jemlib.")}.{name},
    number="{number}",
    title="{WRITE} what is asked",
    difficulty=2,
    importance=3,
    minutes=10,
    points=1,
    hints=("{WRITE} a first hint", "{WRITE} a second one"),
    cases=single_views(),
    answer="""
        def {name}{signature}:
            {body}
    """,
    mistakes={{}},
    right={{}},
)
'''
    write_text(path, text.rstrip() + "\n" + declaration)
    return path, exercise_cells(name, signature, body)


def exercise_cells(name: str, signature: str, body: str) -> str:
    """The cells of an exercise in a lesson's source: its header, the function, its check."""
    return f'''# %% [markdown]
# {{{{exercise:{name}}}}}
#
# {WRITE} what to write, with the shapes.


# %% exercise="{name}"
def {name}{signature}:
    """{WRITE} one line."""
    ### BEGIN SOLUTION
    {body}
    ### END SOLUTION


# %% check="{name}"
{name} = check({name})
'''
