"""Which kinds of operation a function performs, to tell a wrong one from the right ones: a median, a log2, no exp.

Counted below torch's own functions, where softmax holds an exp and a norm holds a root, so that another right way of
writing does not stand out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode

from jemlib import validate

# Kind of operation -> the names below torch's functions that hold it.
HOLDS = {
    "exp": "exp exp2 expm1 _softmax _log_softmax logsumexp sigmoid log_sigmoid_forward logaddexp softplus",
    "log": "log log1p log2 log10 _log_softmax logsumexp log_sigmoid_forward logaddexp softplus xlogy linalg_slogdet",
    "log2 (base 2)": "log2 exp2",
    "log10 (base 10)": "log10",
    "root": "sqrt rsqrt linalg_vector_norm norm std _cdist_forward _euclidean_dist _linalg_svd",
    "absolute value": "abs l1_loss",
    "median": "median nanmedian",
    "minimum": "min amin minimum aminmax",
    "maximum": "max amax maximum aminmax max_pool2d",
    "product of entries": "prod cumprod",
    "running sum": "cumsum logcumsumexp",
    "softmax": "_softmax _log_softmax",
    "arc cosine": "acos",
    "cosine or sine": "cos sin",
    "tanh": "tanh",
    "sign": "sign sgn",
    "rounding": "round floor ceil trunc",
}
KINDS: dict[str, set[str]] = {}
for _kind, _names in HOLDS.items():
    for _name in _names.split():
        KINDS.setdefault(_name, set()).add(_kind)
NEEDED = ("exp", "log", "root", "absolute value")  # their absence is worth telling


class _Listener(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.kinds: set[str] = set()

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = operation.overloadpacket.__name__.rstrip("_") if hasattr(operation, "overloadpacket") else ""
        self.kinds |= KINDS.get(name, set())
        power = args[1] if name == "pow" and len(args) > 1 else None
        if power in (0.5, -0.5):
            self.kinds.add("root")
        return operation(*args, **(kwargs or {}))


def kinds_of(call: Callable[[], object]) -> set[str] | None:
    """The kinds of operation in one call; None where it fails."""
    listener = _Listener()
    try:
        with validate.blind(), listener:  # what a check of the arguments looks at is no part of the formula
            call()
    except BaseException:
        return None
    return listener.kinds


def unusual(ours: set[str] | None, right: Iterable[set[str] | None]) -> Iterator[str]:
    """What ours does that no right way does, and what all of them do that ours does not."""
    known = [kinds for kinds in right if kinds is not None]
    if ours is None or not known:
        return
    odd = [kind for kind in HOLDS if kind in ours and not any(kind in kinds for kinds in known)]
    lacking = [kind for kind in NEEDED if kind not in ours and all(kind in kinds for kinds in known)]
    if odd:
        listed = " and ".join(_named(kind) for kind in odd[:2])
        yield f"Yours takes {listed}, which the ways known to be right do not: does the formula ask for it?"
    if lacking:
        yield f"Yours takes no {lacking[0]} anywhere, and the right ways do."


def _named(kind: str) -> str:
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"
