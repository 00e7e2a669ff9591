"""An objective of one's own, by `FILE.py:function`: the function, and the name and hash by which a record knows it."""

from __future__ import annotations

import functools
import hashlib
import re
import sys
import traceback
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from jemlib import validate

FORM = "FILE.py:function, such as my_loss.py:mine"


class LossFile:
    """A function out of a file; called, it is that function, and an error in it names the line of the file.

    Attributes:
        path: the file, as it was given.
        sha256: of the file's bytes as they were when they were run, in hexadecimal.
    """

    def __init__(self, function: Callable[..., Any], path: Path, sha256: str) -> None:
        functools.update_wrapper(self, function)
        self.function, self.path, self.sha256 = function, path, sha256

    @property
    def record(self) -> dict[str, str]:
        """What a record says of it. The folder stays out: where a file lies says nothing about what is in it."""
        return {"function": self.function.__name__, "file": self.path.name, "sha256": self.sha256}

    @property
    def label(self) -> str:
        """For the names of run folders: a changed file gets another."""
        return f"{self.function.__name__}-{self.sha256[:8]}"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return self.function(*args, **kwargs)
        except (Exception, SystemExit) as error:
            raise ValueError(told(error, self.path)) from error


def load_loss(source: str) -> LossFile:
    """The function that `FILE.py:function` names.

    The file is run once, as an import would, and it stands alone: its folder is not added to what is searched for
    modules, because a change in one of them would not show in the hash.

    Raises:
        TypeError: the name is not that of a function.
        ValueError: the form is another; there is no such file or function; the file raises when it is run.
    """
    path, name = parts(source)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ValueError(f"loss must name a file that can be read; got {str(path)!r} ({error.strerror}).") from error
    sha256 = hashlib.sha256(content).hexdigest()
    return LossFile(function_of(run_file(path, content, sha256), path, name), path, sha256)


def parts(source: str) -> tuple[Path, str]:
    """`FILE.py:function` -> the file and the name; a colon in the path, as on Windows, stays in the path."""
    if not isinstance(source, str):
        raise TypeError(f"loss must be {FORM}; got {validate.describe(source)}.")
    file, _, name = source.rpartition(":")
    if file.endswith(".py") and name.isidentifier():
        return Path(file), name
    message = f"loss must be {FORM}; got {source!r}."
    if source.endswith(".py") and Path(source).is_file():
        found = re.findall(r"^def (\w+)", Path(source).read_text(encoding="utf-8", errors="replace"), re.MULTILINE)
        message += f" Functions in {source}: {', '.join(found) or 'none'}."
    raise ValueError(message)


def run_file(path: Path, content: bytes, sha256: str) -> ModuleType:
    """The module that these bytes make: those that were hashed, whatever happens to the file meanwhile."""
    module = ModuleType(f"loss_file_{sha256[:8]}")
    module.__file__ = str(path.resolve())
    sys.modules[module.__name__] = module  # dataclasses look their own module up
    try:
        exec(compile(content, module.__file__, "exec", dont_inherit=True), vars(module))
    except (Exception, SystemExit) as error:
        message = told(error, path)
        if isinstance(error, ImportError):
            message += (
                " A file with a loss stands alone, because a record holds the hash of this one file: beside it only "
                "installed packages can be imported."
            )
        raise ValueError(message) from error
    return module


def function_of(module: ModuleType, path: Path, name: str) -> Callable[..., Any]:
    """The function of that name in the module; else an error that names the functions there are."""
    inside = vars(module)
    own = [
        key
        for key, value in inside.items()
        if callable(value) and not isinstance(value, type) and getattr(value, "__module__", "") == module.__name__
    ]
    if name not in inside:
        near = get_close_matches(name, own, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"{path} has no function {name!r}; its functions: {', '.join(own) or 'none'}.{hint}")
    found = inside[name]
    if isinstance(found, type):
        raise TypeError(f"{path}:{name} must be a function; it is a class. Write its step as `def`.")
    if not callable(found):
        raise TypeError(f"{path}:{name} must be a function; got {validate.describe(found)}.")
    if isinstance(found, nn.Module):
        raise TypeError(
            f"{path}:{name} must be a function; got the module {type(found).__name__}, whose weights nothing here "
            "would train, move to the GPU or keep in a checkpoint."
        )
    if getattr(found, "__name__", "") != name:  # a lambda or a partial, say: it goes by the name it has here
        found = named_like(found, name, module)
    return found


def named_like(function: Callable[..., Any], name: str, module: ModuleType) -> Callable[..., Any]:
    """The same callable as a function of this name in the module; its signature stays that of the callable."""

    def call(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    call.__name__, call.__module__ = name, module.__name__
    call.__wrapped__ = function  # type: ignore[attr-defined]  # what `inspect.signature` follows
    return call


def told(error: BaseException, path: Path) -> str:
    """An error in the file, with the line of the file in which it arose: the deepest one of the file itself."""
    if isinstance(error, SyntaxError) and error.filename == str(path.resolve()):
        line, text, reason = error.lineno, error.text or "", error.msg
    else:
        frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path.resolve())]
        line, text = (frames[-1].lineno, frames[-1].line or "") if frames else (None, "")
        reason = str(error)
    place = f"{path}, line {line}: `{text.strip()}`" if line else str(path)
    return f"{place} raised {type(error).__name__}{': ' if reason else ''}{reason.rstrip('.')}."
