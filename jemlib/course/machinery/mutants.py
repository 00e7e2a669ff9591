"""A function with one place changed, as mutation testing makes them, and what was changed.

Two uses. A wrong answer that becomes right by one change has its mistake in that place. Where its text is not known, it
is compared with changed right answers: one that gives the same on every input explains it, in whatever style it is
written. The likely changes come first.
"""

from __future__ import annotations

import ast
import textwrap
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

Function = Callable[..., Any]

SHORT = 30  # characters up to which what is around a number is quoted with it
MOST = 1500  # mutants of one function; more would only cost time

# What stands for what, by name of the function or method.
CONFUSED: dict[str, tuple[str, ...]] = {}
for _one, *_others in (
    ("sum", "mean", "prod", "amax", "cumsum"),
    ("mean", "median", "sum"),
    ("max", "min"),
    ("amax", "amin"),
    ("argmax", "argmin"),
    ("softmax", "log_softmax", "sigmoid"),
    ("logsumexp", "sum", "mean", "amax"),
    ("log", "log2", "log10", "log1p", "exp"),
    ("exp", "expm1"),
    ("sqrt", "square", "abs"),
    ("square", "abs"),
    ("std", "var"),
    ("triu", "tril"),
    ("zeros", "ones"),
    ("floor", "ceil", "round"),
    ("cos", "sin"),
    ("eigvalsh", "svdvals"),
    ("logdet", "det"),
    ("trace", "det"),
):
    for _other in _others:
        CONFUSED[_one] = (*CONFUSED.get(_one, ()), _other)
        CONFUSED[_other] = (*CONFUSED.get(_other, ()), _one)
WORDS = {
    "mean": "the mean",
    "sum": "the sum",
    "sqrt": "the square root",
    "square": "the square",
    "abs": "the absolute value",
    "log": "the logarithm",
    "exp": "the exponential",
    "T": "the transpose",
    "mT": "the transpose",
    "t": "the transpose",
    "clamp": "the lower or upper bound",
    "relu": "the cut at 0",
    "normalize": "the scaling to length 1",
    "norm": "the length",
    "eye": "the identity",
    "logsumexp": "the log of the sum of exponentials",
    "softmax": "the softmax",
    "diagonal": "the diagonal",
    "fill_diagonal_": "the diagonal",
    "inverse": "the inverse",
}
SWAPPED: dict[type[ast.operator], tuple[type[ast.operator], ...]] = {
    ast.Add: (ast.Sub, ast.Mult),
    ast.Sub: (ast.Add,),
    ast.Mult: (ast.Div, ast.Add),
    ast.Div: (ast.Mult,),
    ast.MatMult: (ast.Mult,),
}
COMPARED: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.Gt),
    ast.LtE: (ast.Lt, ast.GtE),
    ast.Gt: (ast.GtE, ast.Lt),
    ast.GtE: (ast.Gt, ast.LtE),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
}


class Mutant(NamedTuple):
    """A function with one place changed: `old`, in the statement `place` of line `line`, became `new`."""

    function: Function
    line: int  # 1 is the `def`
    place: str
    old: str
    new: str  # empty: the statement was left out
    why: str
    number: bool  # whether one number only stands for another


class _Change(NamedTuple):
    rank: int  # 0 what people often do, 2 what they rarely do
    new: ast.AST | None  # None: the statement is left out
    why: str = ""


class _Place(NamedTuple):
    """Where a node hangs in the tree: a field of its parent, or an entry of a field that is a list."""

    parent: ast.AST
    field: str
    at: int | None
    statement: ast.stmt

    def quoted(self, old: ast.AST, new: ast.AST) -> tuple[str, str]:
        """The text of two nodes that hang here, with what is around where alone one would say little: `dim=0`."""
        texts = _quoted(old), _quoted(new)
        if not any(isinstance(node, (ast.Constant, ast.Name)) for node in (old, new)):
            return texts
        if not isinstance(self.parent, (ast.expr, ast.keyword)):
            return texts
        wide = []
        for node in (new, old):  # the old one last, so that it stays
            self.put(node)
            wide.append(_quoted(self.parent))
        return (wide[1], wide[0]) if max(map(len, wide)) <= SHORT else texts

    def put(self, node: ast.AST) -> None:
        if self.at is None:
            setattr(self.parent, self.field, node)
        else:
            getattr(self.parent, self.field)[self.at] = node


def mutants(source: str, name: str, namespace: Mapping[str, Any], *, unlikely: bool = True) -> Iterator[Mutant]:
    """The mutants of the function `name` that `source` defines where `namespace` is known, the likely ones first.

    None of a source that cannot be read, or that has a `while`, which might never end.
    """
    try:
        tree = ast.parse(textwrap.dedent(source))
    except SyntaxError:
        return
    define = next((n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == name), None)
    if define is None or any(isinstance(n, ast.While) for n in ast.walk(define)):
        return
    define.decorator_list = []
    names, found = _names(define), []
    for node, place in _places(define):
        found += [(change, node, place) for change in _changes(node, names) if unlikely or change.rank < 2]
    found.sort(key=lambda entry: entry[0].rank)
    for change, node, place in found[:MOST]:
        line, statement = place.statement.lineno - define.lineno + 1, _quoted(place.statement)
        new = ast.Pass() if change.new is None else ast.copy_location(change.new, node)
        old, put = (_quoted(node), "") if change.new is None else place.quoted(node, new)
        if old == put:
            continue
        place.put(new)
        function = _compiled(define, namespace)
        place.put(node)
        if function is not None:
            number = isinstance(node, ast.Constant) and isinstance(new, ast.Constant)
            yield Mutant(function, line, statement, old, put, change.why, number)


def _names(define: ast.FunctionDef) -> list[str]:
    """Arguments and variables of the function, in order."""
    arguments = [a.arg for a in (*define.args.args, *define.args.kwonlyargs)]
    stored = [n.id for n in ast.walk(define) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]
    return list(dict.fromkeys(arguments + stored))


def _places(define: ast.FunctionDef) -> Iterator[tuple[ast.AST, _Place]]:
    """Every node of the function's body, with its place."""
    open_: list[tuple[ast.AST, ast.stmt | None]] = [(define, None)]
    while open_:
        parent, statement = open_.pop()
        for field, value in ast.iter_fields(parent):
            if parent is define and field != "body":
                continue
            for index, node in enumerate(value) if isinstance(value, list) else [(None, value)]:
                if isinstance(node, ast.AST):
                    inside = node if isinstance(node, ast.stmt) else statement
                    assert inside is not None
                    yield node, _Place(parent, field, index, inside)
                    open_.append((node, inside))


def _compiled(define: ast.FunctionDef, namespace: Mapping[str, Any]) -> Function | None:
    known = dict(namespace)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.fix_missing_locations(ast.Module([define], []))
            exec(compile(tree, f"<{define.name}: changed>", "exec", dont_inherit=True), known)
    except Exception:
        return None
    return known[define.name]


def _quoted(node: ast.AST) -> str:
    return ast.unparse(node).split("\n")[0]


# --- What can be changed about a node ---------------------------------------------------------------------------------


def _changes(node: ast.AST, names: list[str]) -> Iterator[_Change]:
    for kind, make in _MAKERS.items():
        if isinstance(node, kind):
            yield from make(node, names)
    if isinstance(node, (ast.BinOp, ast.Call, ast.Name, ast.Subscript, ast.Attribute)):
        yield from _wrapped(node)


def _constant(node: ast.Constant, names: list[str]) -> Iterator[_Change]:
    value = node.value
    if isinstance(value, bool):
        yield _Change(0, ast.Constant(not value))
    elif isinstance(value, (int, float)):
        others = [
            0,
            1,
            -1,
            2,
            value + 1,
            value - 1,
            -value,
            2 * value,
            value / 2 if value % 2 else value // 2,
            3,
            4,
            0.25,
        ]
        for other in dict.fromkeys(others):
            if other != value:
                yield _Change(0 if other in (0, 1, -1, 2) else 1, ast.Constant(other))
        for name in names:
            yield _Change(1, ast.Name(name, ast.Load()))


def _name(node: ast.Name, names: list[str]) -> Iterator[_Change]:
    if isinstance(node.ctx, ast.Load) and node.id in names:
        for other in names:
            if other != node.id:
                yield _Change(0, ast.Name(other, ast.Load()))


def _binary(node: ast.BinOp, names: list[str]) -> Iterator[_Change]:
    for kind in SWAPPED.get(type(node.op), ()):
        yield _Change(1, ast.BinOp(node.left, kind(), node.right))
    what = {ast.Add: "term", ast.Sub: "term", ast.Mult: "factor", ast.Div: "division", ast.Pow: "power"}
    noun = what.get(type(node.op), "factor")
    yield _Change(0, node.left, f"the {noun} {_short(node.right, 'on the right')} is missing")
    if not isinstance(node.op, ast.Pow):
        yield _Change(0, node.right, f"the {noun} {_short(node.left, 'on the left')} is missing")
    if isinstance(node.op, (ast.Sub, ast.Div, ast.MatMult)):
        yield _Change(0, ast.BinOp(node.right, node.op, node.left), "the two sides are swapped")


def _short(node: ast.AST, instead: str) -> str:
    text = _quoted(node)
    return f"`{text}`" if len(text) <= 20 else instead


def _unary(node: ast.UnaryOp, names: list[str]) -> Iterator[_Change]:
    if isinstance(node.op, ast.USub) and not isinstance(node.operand, ast.Constant):
        yield _Change(0, node.operand, "the sign, a minus, is missing")
    elif isinstance(node.op, (ast.Invert, ast.Not)):
        yield _Change(0, node.operand, "the negation is missing")


def _called(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def _call(node: ast.Call, names: list[str]) -> Iterator[_Change]:
    name = _called(node)
    noun = WORDS.get(name, f"`{name}`")
    module = isinstance(node.func, ast.Attribute) and _quoted(node.func.value) in ("torch", "F", "math", "torch.linalg")
    if isinstance(node.func, ast.Attribute) and not module:
        yield _Change(0, node.func.value, f"{noun} is missing")
    elif node.args and name not in ("range", "len"):
        yield _Change(0, node.args[0], f"{noun} is missing")
    if isinstance(node.func, ast.Attribute):
        for other in CONFUSED.get(name, ()):
            function = ast.Attribute(node.func.value, other, ast.Load())
            why = f"{WORDS.get(other, other)} instead of {WORDS.get(name, name)}"
            yield _Change(0, ast.Call(function, node.args, node.keywords), why)
    for i, keyword in enumerate(node.keywords):
        kept = node.keywords[:i] + node.keywords[i + 1 :]
        why = "over all entries at once" if keyword.arg == "dim" else f"{keyword.arg} is not given"
        yield _Change(0, ast.Call(node.func, node.args, kept), why)
    if len(node.args) > 1:
        yield _Change(1, ast.Call(node.func, node.args[:-1], node.keywords))
        swapped = [node.args[1], node.args[0], *node.args[2:]]
        yield _Change(1, ast.Call(node.func, swapped, node.keywords), "the two are swapped")
    if name == "range":
        yield from _ranges(node)


def _ranges(node: ast.Call) -> Iterator[_Change]:
    start, stop = ([ast.Constant(0), *node.args] if len(node.args) == 1 else node.args)[:2]
    one = ast.Constant(1)

    def made(a: ast.expr, b: ast.expr) -> ast.expr:
        plain = isinstance(a, ast.Constant) and a.value == 0
        return ast.Call(node.func, [b] if plain else [a, b], [])

    yield _Change(0, made(start, ast.BinOp(stop, ast.Sub(), one)), "the last one is left out of the loop")
    later = one if _quoted(start) == "0" else ast.BinOp(start, ast.Add(), one)
    yield _Change(0, made(later, stop), "the first one is left out of the loop")
    yield _Change(1, made(start, ast.BinOp(stop, ast.Add(), one)), "the loop runs once more")
    if len(node.args) == 2:
        yield _Change(0, made(ast.Constant(0), stop), "the loop begins at 0")


def _attribute(node: ast.Attribute, names: list[str]) -> Iterator[_Change]:
    if node.attr in ("T", "mT"):
        yield _Change(0, node.value, "the transpose is missing")


def _compare(node: ast.Compare, names: list[str]) -> Iterator[_Change]:
    for kind in COMPARED.get(type(node.ops[0]), ()):
        yield _Change(0, ast.Compare(node.left, [kind()], node.comparators))


def _if(node: ast.If | ast.IfExp, names: list[str]) -> Iterator[_Change]:
    kind: Any = type(node)
    for value, why in ((True, "the condition is not asked"), (False, "what stands under the `if` is left out")):
        yield _Change(0, kind(ast.Constant(value), node.body, node.orelse), why)


def _boolean(node: ast.BoolOp, names: list[str]) -> Iterator[_Change]:
    yield _Change(0, ast.BoolOp(ast.And() if isinstance(node.op, ast.Or) else ast.Or(), node.values))
    for i in range(len(node.values)):
        kept = node.values[:i] + node.values[i + 1 :]
        rest = kept[0] if len(kept) == 1 else ast.BoolOp(node.op, kept)
        yield _Change(0, rest, f"`{_quoted(node.values[i])}` is not asked")


def _statement(node: ast.Assign | ast.Expr | ast.AugAssign, names: list[str]) -> Iterator[_Change]:
    if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
        yield _Change(0, None)
    if isinstance(node, ast.AugAssign):
        yield _Change(0, ast.Assign([node.target], node.value), "each round replaces the one before")
        for kind in SWAPPED.get(type(node.op), ()):
            yield _Change(0, ast.AugAssign(node.target, kind(), node.value))


def _slice(node: ast.Slice, names: list[str]) -> Iterator[_Change]:
    if node.lower is not None:
        yield _Change(0, ast.Slice(None, node.upper, node.step))
    if node.upper is not None:
        yield _Change(0, ast.Slice(node.lower, None, node.step))


def _tuple(node: ast.Tuple, names: list[str]) -> Iterator[_Change]:
    if isinstance(node.ctx, ast.Load) and len(node.elts) == 2:
        yield _Change(0, ast.Tuple([node.elts[1], node.elts[0]], ast.Load()), "the two are swapped")


_MAKERS: Mapping[Any, Callable[[Any, list[str]], Iterator[_Change]]] = {
    ast.Constant: _constant,
    ast.Name: _name,
    ast.BinOp: _binary,
    ast.UnaryOp: _unary,
    ast.Call: _call,
    ast.Attribute: _attribute,
    ast.Compare: _compare,
    (ast.If, ast.IfExp): _if,
    ast.BoolOp: _boolean,
    (ast.Assign, ast.Expr, ast.AugAssign): _statement,
    ast.Slice: _slice,
    ast.Tuple: _tuple,
}

# What is put around an expression that should stand alone.
_AROUND = {
    "{}.T": "transposed",
    "2 * {}": "twice too large",
    "{} / 2": "half of it",
    "{} ** 2": "squared where it should not be",
    "{}.abs()": "the absolute value is taken",
    "{}.sqrt()": "a square root is taken",
    "-{}": "the sign",
    "1 - {}": "",
    "{}.clamp(min=0)": "cut at 0",
    "({} - {}.mean(dim=0))": "centred over the batch",
    "torch.nn.functional.normalize({}, dim=1)": "scaled to length 1",
    "{} / len({})": "divided by its length",
    "{} * len({})": "multiplied by its length",
    "{}.log()": "the logarithm is taken",
    "{}.exp()": "the exponential is taken",
    "{}.mean()": "its mean",
    "{}.sum()": "its sum",
}


def _wrapped(node: ast.expr) -> Iterator[_Change]:
    if not isinstance(getattr(node, "ctx", ast.Load()), ast.Load):
        return
    text = ast.unparse(node)
    inner = text if isinstance(node, (ast.Name, ast.Call, ast.Attribute, ast.Subscript)) else f"({text})"
    for template, why in _AROUND.items():
        yield _Change(2, ast.parse(template.replace("{}", inner), mode="eval").body, why)
