"""Lesson 03: the exercises from the information bottleneck to its Gaussian form, with wrong and other right answers."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from jemlib import losses
from jemlib.course.machinery.agreement import Agreement, Case, Wrong
from jemlib.course.machinery.exercises import Exercise, register
from jemlib.course.machinery.inputs import views
from jemlib.course.machinery.lessons import lesson_of

LESSON = lesson_of(__name__)
E = math.e
Six = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]


# --- Inputs ----------------------------------------------------------------------------------------------------


def _table(*shape: int, seed: int, zeros: float = 0.0, dtype: torch.dtype = torch.float64) -> Tensor:
    """Random probabilities that sum to 1, about a share `zeros` of them exactly 0."""
    generator = torch.Generator().manual_seed(seed)
    p = torch.rand(shape, generator=generator, dtype=torch.float64) ** 2 + 0.01
    p = p * (torch.rand(shape, generator=generator) >= zeros)
    return (p / p.sum()).to(dtype)


def _distributions() -> list[Case]:
    """Nats and bits, both types, a table, zeros, a certain event and a fair choice of eight."""
    return [
        Case((_table(4, seed=1),)),
        Case((_table(7, seed=2),), {"base": 2.0}),
        Case((_table(3, 5, seed=3),), {"base": 3.0}),
        Case((_table(6, seed=4, dtype=torch.float32),)),
        Case((torch.full((8,), 1 / 8, dtype=torch.float64),), {"base": 2.0}, "eight equal chances"),
        Case((_table(9, seed=6, zeros=0.5),), note="some probabilities 0"),
        Case((torch.eye(1, 5, dtype=torch.float64)[0],), note="one certain event"),
    ]


def _joints() -> list[Case]:
    """Tables U x V: square and not, nats and bits, both types, zeros, independent, and U determined by V."""
    independent = torch.outer(_table(3, seed=7), _table(4, seed=8))
    return [
        Case((_table(4, 4, seed=1),)),
        Case((_table(3, 3, seed=2),), {"base": 2.0}),
        Case((_table(2, 5, seed=3),), {"base": 2.0}),
        Case((_table(5, 3, seed=4, dtype=torch.float32),)),
        Case((independent,), note="U and V independent"),
        Case((_table(5, 4, seed=6, zeros=0.4),), {"base": 3.0}, "some entries 0"),
        Case((torch.tensor([[0.25, 0.25, 0, 0], [0, 0, 0.5, 0], [0, 0, 0, 0]]).double(),), note="a row of zeros"),
    ]


def _encoder(n: int, k: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    p = _table(n, k, seed=seed)
    return (p / p.sum(dim=1, keepdim=True)).to(dtype)


def _chains() -> list[Case]:
    """X -> Y -> Z with random encoders of several sizes, and two codes of the world of four elements."""
    world = torch.tensor([[0.25, 0.25, 0, 0], [0, 0, 0.25, 0.25]], dtype=torch.float64)
    eye = torch.eye(4, dtype=torch.float64)
    return [
        Case((_table(3, 4, seed=1), _encoder(4, 3, 2)), {"beta": 2.0}),
        Case((_table(4, 4, seed=3), _encoder(4, 4, 4)), {"beta": 0.5, "base": 2.0}),
        Case((_table(2, 5, seed=5), _encoder(5, 3, 6)), {"beta": 3.0}),
        Case((_table(3, 3, seed=7, dtype=torch.float32), _encoder(3, 2, 8, torch.float32)), {"beta": 1.0}),
        Case((world, eye), {"beta": 3.0, "base": 2.0}, "Z = Y"),
        Case((world, eye[[0, 0, 1, 1]]), {"beta": 2.0, "base": 2.0}, "Z = X"),
    ]


def _entropy_pairs() -> list[Case]:
    """H(Z|X) and H(Z), with beta below, at and above 1; the last ones are differential, one of them negative."""
    rows = [(0.7, 1.3, 3.0), (1.1, 1.9, 0.5), (0.4, 2.0, 1.0), (0.0, 1.5, 4.0), (-2.3, 0.6, 2.0), (-0.9, -0.4, 0.25)]
    return [Case((torch.tensor(h_x).double(), torch.tensor(h).double()), {"beta": b}) for h_x, h, b in rows]


def _correlations() -> list[Case]:
    """Correlation and covariance matrices, and one of 300 dimensions whose determinant is below the smallest float."""
    cases = [Case((_covariance(views(n, d, seed, torch.float64, 1, 1)[0]),)) for n, d, seed in ((9, 3, 1), (20, 5, 2))]
    z = views(30, 4, 3, torch.float64, 1, 1)[1]
    large = torch.full((300, 300), 0.9) + 0.1 * torch.eye(300)
    return [
        *cases,
        Case((losses.auto_correlation(z, 0.0),), note="a correlation matrix"),
        Case((_covariance(z).float(),)),
        Case((losses.auto_correlation(views(40, 7, 4, torch.float64, 1, 1)[1], 0.0),), note="a correlation matrix"),
        Case((large,), note="300 dimensions, all correlated by 0.9"),
    ]


def _batches() -> list[Case]:
    """Shifted and scaled, both types, D = 1, tiny values, and two calls with eps; N > D everywhere."""
    constant = views(9, 3, 7, torch.float64, 1, 1)[1]
    constant[:, 1] = 2.0
    return [
        Case((views(9, 3, 1, torch.float64, 2, 1)[0],)),
        Case((views(12, 4, 2, torch.float64, 3, 5)[1],)),
        Case((views(15, 5, 3, torch.float32, 1, 1)[0],)),
        Case((views(8, 1, 4, torch.float64, 1, 1)[0],)),
        Case((views(11, 4, 5, torch.float64, 1, 2e-3)[1],), note="very small values"),
        Case((views(10, 3, 6, torch.float64, 1, 1)[1],), {"eps": 0.3}),
        Case((constant,), {"eps": 0.2}, "dimension 1 constant"),
    ]


def _several_views() -> list[Case]:
    """Two, three and four views of a few images, both types, pooled and one matrix an image."""

    def stack(number: int, n: int, d: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        image = 2 * torch.randn(n, d, generator=generator, dtype=torch.float64) + 1
        noise = torch.randn(number, n, d, generator=generator, dtype=torch.float64)
        return (image + noise * torch.linspace(0.3, 1.0, d).double()).to(dtype)

    return [
        Case((stack(2, 7, 3, 1),)),
        Case((stack(3, 5, 4, 2),)),
        Case((stack(2, 6, 2, 3, torch.float32),)),
        Case((stack(4, 4, 3, 4),)),
        Case((stack(2, 3, 4, 5),)),
        Case((stack(3, 4, 2, 6),), {"pooled": False}, "one matrix an image"),
    ]


# --- 3.1 entropy ------------------------------------------------------------------------------------------------


def _plogp(p: Tensor) -> Tensor:
    return torch.special.xlogy(p, p)


def _entropy_loop(p: Tensor, base: float = E) -> Tensor:
    total = p.new_zeros(())
    for q in p.flatten():
        if q > 0:
            total = total - q * torch.log(q) / math.log(base)
    return total


def _entropy_masked(p: Tensor, base: float = E) -> Tensor:
    q = p[p > 0]
    return -(q @ q.log()) / math.log(base)


NOT_A_NUMBER = "0 log 0 came out as NaN; it counts as 0: leave entries of probability 0 out of the sum."
BASE_MULTIPLIED = "multiplied by log(base); to change the base of a logarithm divide by it."
BASE_FIXED = "the argument base is ignored: e, for nats, is only its default."
ALWAYS_BITS = "always in bits: log2 was used, whatever base says; its default, e, gives nats."

ENTROPY_WRONG = {
    "no minus": Wrong(
        lambda p, base=E: _plogp(p).sum() / math.log(base), "the minus is missing: logarithms of chances are negative."
    ),
    "not weighted": Wrong(
        lambda p, base=E: -p[p > 0].log().sum() / math.log(base),
        "the surprises -log p were added without their weights p: an entropy is their expectation.",
    ),
    "mean": Wrong(
        lambda p, base=E: -_plogp(p).mean() / math.log(base),
        "a mean over the entries; p already weighs them, so it is a sum.",
    ),
    "nan": Wrong(lambda p, base=E: -(p * p.log()).sum() / math.log(base), NOT_A_NUMBER),
    "a little added": Wrong(
        lambda p, base=E: -(p * (p + 1e-8).log()).sum() / math.log(base),
        "a small number was added inside the logarithm; that changes every entropy a little. Treat p = 0 by itself.",
    ),
    "base ignored": Wrong(lambda p, base=E: -_plogp(p).sum(), BASE_FIXED),
    "always bits": Wrong(lambda p, base=E: -_plogp(p).sum() / math.log(2), ALWAYS_BITS),
    "base multiplied": Wrong(lambda p, base=E: -_plogp(p).sum() * math.log(base), BASE_MULTIPLIED),
    "rows": Wrong(
        lambda p, base=E: -_plogp(p).sum(dim=-1) / math.log(base),
        "the sum runs over the last axis only; a table is one distribution, and its entropy one number.",
    ),
    "perplexity": Wrong(
        lambda p, base=E: torch.exp(-_plogp(p).sum()),
        "that is the perplexity, exp of the entropy: leave out the exponential.",
    ),
}

register(
    Exercise(
        name="entropy",
        lesson=LESSON,
        number="3.1",
        title="the entropy of one distribution, in any unit",
        difficulty=1,
        importance=4,
        minutes=5,
        points=1,
        check=Agreement(losses.entropy, _distributions, ENTROPY_WRONG, gradients=False),
        hints=(
            "An entropy is the expected surprise: each -log p, weighted by its p, summed.",
            "Entries with p = 0 add nothing, but 0 * log(0) is NaN. Keep p[p > 0], or use torch.special.xlogy(p, p).",
            "A logarithm to another base is the natural one divided by math.log(base).",
        ),
        right={
            "loop": _entropy_loop,
            "mask": _entropy_masked,
            "entr": lambda p, base=E: torch.special.entr(p).sum() / math.log(base),
            "where": lambda p, base=E: -(p * torch.where(p > 0, p, 1.0).log()).sum() / math.log(base),
        },
    )
)


# --- 3.2 mutual_information_loop --------------------------------------------------------------------------------


def _information(
    weight: Callable[[Tensor, Tensor], Tensor] = lambda joint, product: joint,
    ratio: Callable[[Tensor, Tensor], Tensor] = lambda joint, product: joint / product,
    unit: Callable[[float], float] = math.log,
) -> Callable[..., Tensor]:
    """Some sum over the table of a weight times the logarithm of a ratio, where the entry is not 0."""

    def information(joint: Tensor, base: float = E) -> Tensor:
        product = joint.sum(dim=1, keepdim=True) * joint.sum(dim=0, keepdim=True)
        kept = joint > 0
        return (weight(joint, product)[kept] * ratio(joint, product)[kept].log()).sum() / unit(base)

    return information


def _marginals_exchanged(joint: Tensor, base: float = E) -> Tensor:
    product = joint.sum(dim=0)[:, None] * joint.sum(dim=1)[None, :]
    kept = joint > 0
    return (joint[kept] * (joint / product)[kept].log()).sum() / math.log(base)


def _information_with_nan(joint: Tensor, base: float = E) -> Tensor:
    product = joint.sum(dim=1, keepdim=True) * joint.sum(dim=0, keepdim=True)
    return (joint * (joint / product).log()).sum() / math.log(base)


def _information_diagonal(joint: Tensor, base: float = E) -> Tensor:
    product = torch.outer(joint.sum(dim=1), joint.sum(dim=0)).diagonal()
    p = joint.diagonal()
    return (p[p > 0] * (p / product)[p > 0].log()).sum() / math.log(base)


def _information_loop(joint: Tensor, base: float = E) -> Tensor:
    p_u, p_v, total = joint.sum(dim=1), joint.sum(dim=0), joint.new_zeros(())
    for u in range(joint.shape[0]):
        for v in range(joint.shape[1]):
            if joint[u, v] > 0:
                total = total + joint[u, v] * torch.log(joint[u, v] / (p_u[u] * p_v[v])) / math.log(base)
    return total


def _information_by_entropies(joint: Tensor, base: float = E) -> Tensor:
    u, v = losses.entropy(joint.sum(dim=1), base), losses.entropy(joint.sum(dim=0), base)
    return u + v - losses.entropy(joint, base)


def _information_kl(joint: Tensor, base: float = E) -> Tensor:
    log_u, log_v = joint.sum(1).clamp(min=1e-300).log(), joint.sum(0).clamp(min=1e-300).log()
    log_u, log_v = (torch.where(x.isfinite(), x, 0.0) for x in (log_u, log_v))
    cross = torch.einsum("uv,u->", joint, log_u) + torch.einsum("uv,v->", joint, log_v)
    return (_plogp(joint).sum() - cross) / math.log(base)


INFORMATION_WRONG = {
    "nan": Wrong(_information_with_nan, NOT_A_NUMBER),
    "upside down": Wrong(
        _information(ratio=lambda joint, product: product / joint),
        "the fraction is upside down: p(u,v) stands above p(u) p(v). Information is never negative.",
    ),
    "not weighted": Wrong(
        _information(weight=lambda joint, product: torch.ones_like(joint)),
        "the weight p(u,v) in front of the logarithm is missing.",
    ),
    "weighted by the product": Wrong(
        _information(weight=lambda joint, product: product),
        "weighted by p(u) p(v); the expectation is over the joint table, weights p(u,v).",
    ),
    "one marginal": Wrong(
        _information(ratio=lambda joint, product: joint / joint.sum(dim=1, keepdim=True)),
        "only p(u) stands below p(u,v): that gives minus a conditional entropy. Divide by p(v) as well.",
    ),
    "sum of the marginals": Wrong(
        _information(ratio=lambda joint, product: joint / (joint.sum(1, keepdim=True) + joint.sum(0, keepdim=True))),
        "p(u) and p(v) were added; independence is a product, p(u) p(v).",
    ),
    "marginals exchanged": Wrong(
        _marginals_exchanged, "the marginals are exchanged: p(u) sums over the columns of row u, that is dim=1."
    ),
    "joint entropy": Wrong(losses.entropy, "that is the joint entropy H(U,V): p(u) and p(v) do not occur in it."),
    "diagonal": Wrong(_information_diagonal, "only the entries with u = v were added; u and v are two separate loops."),
    "base ignored": Wrong(_information(unit=lambda base: 1.0), BASE_FIXED),
    "always bits": Wrong(_information(unit=lambda base: math.log(2)), ALWAYS_BITS),
    "base multiplied": Wrong(_information(unit=lambda base: 1 / math.log(base)), BASE_MULTIPLIED),
}

register(
    Exercise(
        name="mutual_information_loop",
        lesson=LESSON,
        number="3.2",
        title="the mutual information as a loop that mirrors the sum",
        difficulty=2,
        importance=4,
        minutes=8,
        points=2,
        check=Agreement(losses.mutual_information, _joints, INFORMATION_WRONG, gradients=False),
        hints=(
            "First the marginals: p(u) = joint.sum(dim=1) and p(v) = joint.sum(dim=0).",
            "Two loops, u over rows and v over columns. Skip an entry that is 0.",
            "Add joint[u, v] * torch.log(joint[u, v] / (p_u[u] * p_v[v])), and divide the sum by math.log(base).",
        ),
        right={
            "loop": _information_loop,
            "one sum over the table": _information(),
            "three entropies": _information_by_entropies,
            "einsum": _information_kl,
        },
    )
)


# --- 3.3 conditional_entropy ------------------------------------------------------------------------------------


def _row_entropies(joint: Tensor, weights: Callable[[Tensor], Tensor], base: float) -> Tensor:
    """Entropies of the rows, each made a distribution, under some weights; a row of zeros has entropy 0."""
    p_u = joint.sum(dim=1)
    rows = joint / torch.where(p_u > 0, p_u, 1.0)[:, None]
    return (weights(p_u) * -_plogp(rows).sum(dim=1)).sum() / math.log(base)


def _conditional_loop(joint: Tensor, base: float = E) -> Tensor:
    total = joint.new_zeros(())
    for row in joint:
        if row.sum() > 0:
            total = total + row.sum() * _entropy_loop(row / row.sum(), base)
    return total


def _conditional_nan(joint: Tensor, base: float = E) -> Tensor:
    p_u = joint.sum(dim=1, keepdim=True)
    return -torch.special.xlogy(joint, joint / p_u).sum() / math.log(base)


CONDITIONAL_WRONG = {
    "transposed": Wrong(
        lambda joint, base=E: losses.conditional_entropy(joint.T, base),
        "that is H(U|V): the row u is known here, the column v is not.",
    ),
    "joint entropy": Wrong(
        losses.entropy, "that is the joint entropy H(U,V): the entropy of the row, which is known, must be taken away."
    ),
    "marginal entropy": Wrong(
        lambda joint, base=E: losses.entropy(joint.sum(dim=0), base),
        "that is H(V): it makes no use of the row that is known.",
    ),
    "entropy of the row": Wrong(
        lambda joint, base=E: losses.entropy(joint.sum(dim=1), base),
        "that is H(U), the entropy of what is known already.",
    ),
    "plain mean of the rows": Wrong(
        lambda joint, base=E: _row_entropies(joint, lambda p_u: torch.full_like(p_u, 1 / len(p_u)), base),
        "a plain mean over the rows; row u counts with its probability p(u).",
    ),
    "sum of the rows": Wrong(
        lambda joint, base=E: _row_entropies(joint, torch.ones_like, base),
        "the entropies of the rows were added without the weights p(u).",
    ),
    "wrong sign": Wrong(
        lambda joint, base=E: -losses.conditional_entropy(joint, base),
        "the sign is wrong: H(U,V) - H(U), not the other way round.",
    ),
    "added": Wrong(
        lambda joint, base=E: losses.entropy(joint, base) + losses.entropy(joint.sum(dim=1), base),
        "H(U) was added to H(U,V); subtract it.",
    ),
    "mutual information": Wrong(
        losses.mutual_information, "that is I(U;V), what u tells about v; asked is what remains unknown, H(V) - I(U;V)."
    ),
    "nan": Wrong(
        _conditional_nan, "a row that never happens gave 0/0, and NaN: it counts with weight p(u) = 0, so leave it out."
    ),
    "base ignored": Wrong(lambda joint, base=E: losses.conditional_entropy(joint), BASE_FIXED),
    "always bits": Wrong(lambda joint, base=E: losses.conditional_entropy(joint, 2.0), ALWAYS_BITS),
}

register(
    Exercise(
        name="conditional_entropy",
        lesson=LESSON,
        number="3.3",
        title="what remains unknown of the column when the row is known",
        difficulty=2,
        importance=4,
        minutes=6,
        points=2,
        check=Agreement(losses.conditional_entropy, _joints, CONDITIONAL_WRONG, gradients=False),
        hints=(
            "The chain rule: H(U,V) = H(U) + H(V|U). You have entropy; it takes a table too.",
            "p(u) is joint.sum(dim=1): one number a row.",
            "entropy(joint, base) - entropy(joint.sum(dim=1), base).",
        ),
        right={
            "loop": _conditional_loop,
            "weighted rows": lambda joint, base=E: _row_entropies(joint, lambda p_u: p_u, base),
            "chain rule": lambda joint, base=E: losses.entropy(joint, base) - losses.entropy(joint.sum(1), base),
            "H(V) - I": lambda joint, base=E: (
                losses.entropy(joint.sum(0), base) - losses.mutual_information(joint, base)
            ),
        },
    )
)


# --- 3.4 information_bottleneck ---------------------------------------------------------------------------------


def _six(
    yz: Callable[[Tensor, Tensor], Tensor] = lambda joint, encoder: joint.sum(dim=0)[:, None] * encoder,
    xz: Callable[[Tensor, Tensor], Tensor] = lambda joint, encoder: joint @ encoder,
    total: Callable[[Six, float], Tensor] = lambda s, beta: s[1] - beta * s[2],
) -> Callable[..., Six]:
    """Some bottleneck: its two tables, and how the total is put together from the five others."""

    def bottleneck(joint_xy: Tensor, encoder: Tensor, beta: float, base: float = E) -> Six:
        a, b = yz(joint_xy, encoder), xz(joint_xy, encoder)
        i_zy, i_zx = _information()(a, base), _information()(b, base)
        h_z = losses.entropy(b.sum(dim=0) / b.sum(), base)
        left_x = _conditional_loop(b, base)
        left_y = _conditional_loop(a, base)
        six = (h_z, i_zy, i_zx, h_z, left_x, left_y)
        return (total(six, beta), *six[1:])

    return bottleneck


def _rearranged(*order: int) -> Callable[..., Six]:
    """The right six numbers in another order."""

    def bottleneck(joint_xy: Tensor, encoder: Tensor, beta: float, base: float = E) -> Six:
        right = losses.information_bottleneck(joint_xy, encoder, beta, base)
        a, b, c, d, e, f = (right[i] for i in order)
        return a, b, c, d, e, f

    return bottleneck


def _other_direction(joint_xy: Tensor, encoder: Tensor, beta: float, base: float = E) -> Six:
    right = losses.information_bottleneck(joint_xy, encoder, beta, base)
    xz, yz = joint_xy @ encoder, joint_xy.sum(dim=0)[:, None] * encoder
    return *right[:4], losses.conditional_entropy(xz.T, base), losses.conditional_entropy(yz.T, base)


def _bottleneck_loops(joint_xy: Tensor, encoder: Tensor, beta: float, base: float = E) -> Six:
    (nx, ny), nz = joint_xy.shape, encoder.shape[1]
    xz, yz = joint_xy.new_zeros(nx, nz), joint_xy.new_zeros(ny, nz)
    for x in range(nx):
        for y in range(ny):
            for z in range(nz):
                p = joint_xy[x, y] * encoder[y, z]
                xz[x, z] += p
                yz[y, z] += p
    i_zy, i_zx = _information_loop(yz, base), _information_loop(xz, base)
    rest = _entropy_loop(yz.sum(dim=0), base), _conditional_loop(xz, base), _conditional_loop(yz, base)
    return (i_zy - beta * i_zx, i_zy, i_zx, *rest)


def _bottleneck_entropies(joint_xy: Tensor, encoder: Tensor, beta: float, base: float = E) -> Six:
    xyz = torch.einsum("xy,yz->xyz", joint_xy, encoder)
    xz, yz = xyz.sum(dim=1), xyz.sum(dim=0)
    h_z = losses.entropy(xyz.sum(dim=(0, 1)), base)
    left_x = losses.entropy(xz, base) - losses.entropy(xz.sum(1), base)
    left_y = losses.entropy(yz, base) - losses.entropy(yz.sum(1), base)
    return (1 - beta) * h_z - left_y + beta * left_x, h_z - left_y, h_z - left_x, h_z, left_x, left_y


BOTTLENECK_WRONG = {
    "added": Wrong(
        _six(total=lambda s, beta: s[1] + beta * s[2]),
        "beta I(Z;X) is added; it is rewarded, so in what is minimised it has a minus.",
    ),
    "beta on the wrong term": Wrong(
        _six(total=lambda s, beta: beta * s[1] - s[2]), "beta stands on I(Z;Y); it weighs I(Z;X)."
    ),
    "beta forgotten": Wrong(_six(total=lambda s, beta: s[1] - s[2]), "beta is missing from the total."),
    "exchanged": Wrong(
        _six(total=lambda s, beta: s[2] - beta * s[1]),
        "the total has X and Y exchanged: the first term is I(Z;Y), what Z knows of the view.",
    ),
    "deterministic": Wrong(
        _six(total=lambda s, beta: beta * s[4] + (1 - beta) * s[3]),
        "H(Z|Y) was left out of the total: it is 0 for a deterministic encoder only, and here some are random.",
    ),
    "over beta": Wrong(
        _six(total=lambda s, beta: s[1] / beta - s[2]), "the total was divided by beta; that step comes later."
    ),
    "uniform views": Wrong(
        _six(yz=lambda joint, encoder: encoder / len(encoder)),
        "the table of Y and Z weighs all views alike; p(y,z) = p(y) p(z|y), with p(y) = joint_xy.sum(dim=0).",
    ),
    "X forgotten": Wrong(
        _six(xz=lambda joint, encoder: torch.outer(joint.sum(dim=1), joint.sum(dim=0) @ encoder)),
        "the table of X and Z is p(x) p(z), as if they were independent; p(x,z) = sum over y of p(x,y) p(z|y).",
    ),
    "fields of X and Y": Wrong(
        _rearranged(0, 2, 1, 3, 4, 5), "i_zy and i_zx come in the other order: first Y, then X."
    ),
    "conditional entropies": Wrong(
        _rearranged(0, 1, 2, 3, 5, 4), "H(Z|X) and H(Z|Y) come in the other order: first given X, then given Y."
    ),
    "the other conditional": Wrong(
        _other_direction,
        "you return H(X|Z) and H(Y|Z); asked are H(Z|X) and H(Z|Y): rows are what is known, columns are Z.",
    ),
    "base ignored": Wrong(
        lambda joint_xy, encoder, beta, base=E: losses.information_bottleneck(joint_xy, encoder, beta), BASE_FIXED
    ),
    "total alone": Wrong(
        lambda joint_xy, encoder, beta, base=E: losses.information_bottleneck(joint_xy, encoder, beta, base).total,
        "return the 6 values",
    ),
}

register(
    Exercise(
        name="information_bottleneck",
        lesson=LESSON,
        number="3.4",
        title="the information bottleneck of a discrete chain",
        difficulty=3,
        importance=5,
        minutes=15,
        points=3,
        check=Agreement(
            losses.information_bottleneck,
            _chains,
            BOTTLENECK_WRONG,
            fields=("total", "i_zy", "i_zx", "h_z", "h_z_given_x", "h_z_given_y"),
            gradients=False,
        ),
        hints=(
            "Two tables are enough: p(y,z) and p(x,z). Everything else is entropies and informations of them.",
            "p(y,z) = p(y) p(z|y): each row of the encoder times its p(y). p(x,z) = sum_y p(x,y) p(z|y): a product.",
            "joint_yz = joint_xy.sum(dim=0)[:, None] * encoder; joint_xz = joint_xy @ encoder; then "
            "i_zy - beta * i_zx, i_zy, i_zx, entropy(joint_xz.sum(dim=0)), and conditional_entropy of both tables.",
        ),
        right={
            "loops": _bottleneck_loops,
            "entropies of one big table": _bottleneck_entropies,
            "two tables": _six(),
        },
    )
)


# --- 3.5 bottleneck_over_beta -----------------------------------------------------------------------------------


def bottleneck_over_beta(h_z_given_x: Tensor, h_z: Tensor, beta: float) -> Tensor:
    """`H(Z|X) + ((1 - beta) / beta) H(Z)`: eq. 7, the bottleneck of a deterministic encoder divided by beta.

    Args:
        h_z_given_x, h_z: scalars in the same unit.
        beta: > 0.
    """
    return h_z_given_x + (1 - beta) / beta * h_z


OVER_BETA_WRONG = {
    "not divided": Wrong(
        lambda h_z_given_x, h_z, beta: beta * h_z_given_x + (1 - beta) * h_z,
        "not divided by beta yet: H(Z|X) stands alone at the end.",
    ),
    "sign": Wrong(
        lambda h_z_given_x, h_z, beta: h_z_given_x + (beta - 1) / beta * h_z,
        "the sign of the second term is turned: its coefficient is (1 - beta) / beta, negative when beta > 1.",
    ),
    "second term not divided": Wrong(
        lambda h_z_given_x, h_z, beta: h_z_given_x + (1 - beta) * h_z, "only the first term was divided by beta."
    ),
    "both divided": Wrong(
        lambda h_z_given_x, h_z, beta: h_z_given_x / beta + (1 - beta) / beta * h_z,
        "H(Z|X) had the factor beta before the division; over beta it has the factor 1.",
    ),
    "multiplied": Wrong(
        lambda h_z_given_x, h_z, beta: h_z_given_x + (1 - beta) * beta * h_z,
        "the second coefficient was multiplied by beta.",
    ),
    "brackets": Wrong(
        lambda h_z_given_x, h_z, beta: h_z_given_x + 1 - beta / beta * h_z,
        "brackets are missing around 1 - beta: Python divides before it subtracts.",
    ),
    "wrong term": Wrong(
        lambda h_z_given_x, h_z, beta: (1 - beta) / beta * h_z_given_x + h_z,
        "the coefficient stands on H(Z|X); it belongs to H(Z).",
    ),
    "upside down": Wrong(
        lambda h_z_given_x, h_z, beta: h_z_given_x + beta / (1 - beta) * h_z,
        "the fraction is upside down: (1 - beta) / beta; yours breaks at beta = 1.",
    ),
}

register(
    Exercise(
        name="bottleneck_over_beta",
        lesson=LESSON,
        number="3.5",
        title="divide by beta",
        difficulty=1,
        importance=4,
        minutes=4,
        points=1,
        check=Agreement(bottleneck_over_beta, _entropy_pairs, OVER_BETA_WRONG),
        hints=(
            "Start from beta H(Z|X) + (1 - beta) H(Z) and divide each of the two terms.",
            "The first term is then H(Z|X) alone, the second has the coefficient (1 - beta) / beta. Mind the brackets.",
        ),
        right={
            "the sum divided": lambda h_z_given_x, h_z, beta: (beta * h_z_given_x + (1 - beta) * h_z) / beta,
            "with lambda": lambda h_z_given_x, h_z, beta: h_z_given_x - losses.weight_of_beta(beta) * h_z,
            "as a difference": lambda h_z_given_x, h_z, beta: h_z / beta - (h_z - h_z_given_x),
        },
    )
)


# --- 3.6 log_determinant_term -----------------------------------------------------------------------------------


def _by_elimination(c: Tensor) -> Tensor:
    """Conditional variances, one dimension after the other: log|C| is the sum of their logarithms."""
    total, rest = c.new_zeros(()), c
    while len(rest):
        total = total + rest[0, 0].log()
        rest = rest[1:, 1:] - torch.outer(rest[1:, 0], rest[0, 1:]) / rest[0, 0]
    return total


def _eigenvalues(c: Tensor) -> Tensor:
    return torch.linalg.eigvalsh(c)


LOG_DETERMINANT_WRONG = {
    "half": Wrong(
        lambda c: torch.linalg.cholesky(c).diagonal().log().sum(),
        "the 2 is missing: |C| = |L|^2 when C = L L^T, so log|C| is twice the sum.",
    ),
    "determinant first": Wrong(
        lambda c: torch.linalg.det(c).log(),
        "the determinant was taken first: in many dimensions it is too small for a float and becomes 0. "
        "Add logarithms instead, for example with torch.linalg.slogdet.",
    ),
    "no logarithm": Wrong(torch.linalg.det, "that is the determinant itself: its logarithm is asked for."),
    "diagonal": Wrong(
        lambda c: c.diagonal().log().sum(),
        "only the diagonal was used. That is an upper bound (Hadamard); the correlations lower the determinant.",
    ),
    "trace": Wrong(lambda c: _eigenvalues(c).sum(), "the eigenvalues were added; add their logarithms."),
    "log of the sum": Wrong(
        lambda c: _eigenvalues(c).sum().log(), "the logarithm of the sum of the eigenvalues; take logarithms first."
    ),
    "mean": Wrong(lambda c: _eigenvalues(c).log().mean(), "a mean over the D eigenvalues; this is a sum."),
    "sign": Wrong(lambda c: -torch.linalg.slogdet(c)[1], "the sign is turned: a penalty comes later, here is log|C|."),
    "bits": Wrong(lambda c: _eigenvalues(c).log2().sum(), "in bits; this course takes natural logarithms here."),
    "sign of slogdet": Wrong(
        lambda c: torch.linalg.slogdet(c)[0], "slogdet returns two values; you took the sign, the logarithm is [1]."
    ),
}

register(
    Exercise(
        name="log_determinant_term",
        lesson=LESSON,
        number="3.6",
        title="the logarithm of a determinant, without the determinant",
        difficulty=2,
        importance=3,
        minutes=6,
        points=1,
        check=Agreement(losses.log_determinant_term, _correlations, LOG_DETERMINANT_WRONG),
        hints=(
            "A determinant is the product of the eigenvalues, so its logarithm is the sum of their logarithms.",
            "Products of hundreds of small numbers become 0 in a float, sums of logarithms do not.",
            "torch.linalg.slogdet(c) returns the sign and the logarithm; torch.linalg.eigvalsh(c) the eigenvalues.",
        ),
        right={
            "slogdet": lambda c: torch.linalg.slogdet(c).logabsdet,
            "eigenvalues": lambda c: _eigenvalues(c).log().sum(),
            "cholesky": lambda c: 2 * torch.linalg.cholesky(c).diagonal().log().sum(),
            "elimination": _by_elimination,
        },
    )
)


# --- 3.7 gaussian_entropy ---------------------------------------------------------------------------------------


def _covariance(z: Tensor) -> Tensor:
    centred = z - z.mean(dim=0)
    return centred.T @ centred / len(z)


def _unbiased_covariance(z: Tensor) -> Tensor:
    return _covariance(z) * (len(z) / (len(z) - 1))


def _gaussian(
    covariance: Callable[[Tensor], Tensor] = _covariance,
    *,
    half: float = 0.5,
    constant: Callable[[int], float] = lambda d: d / 2 * math.log(2 * math.pi * E),
    unit: float = 1.0,
) -> Callable[..., Tensor]:
    """Some Gaussian entropy: its covariance, the factor of the log-determinant, the constant, and the unit."""

    def entropy(z: Tensor, eps: float = 0.0) -> Tensor:
        c = covariance(z)
        c = c + eps * torch.eye(len(c), dtype=z.dtype)
        return (half * torch.linalg.slogdet(c)[1] + constant(z.shape[1])) / unit

    return entropy


def _gaussian_loop(z: Tensor, eps: float = 0.0) -> Tensor:
    """By the chain rule: the entropy of each dimension given those before it."""
    rest, total = _covariance(z) + eps * torch.eye(z.shape[1], dtype=z.dtype), z.new_zeros(())
    for _ in range(z.shape[1]):
        total = total + 0.5 * (2 * math.pi * E * rest[0, 0]).log()
        rest = rest[1:, 1:] - torch.outer(rest[1:, 0], rest[0, 1:]) / rest[0, 0]
    return total


def _gaussian_of_torch(z: Tensor, eps: float = 0.0) -> Tensor:
    c = torch.cov(z.T, correction=0).reshape(z.shape[1], z.shape[1]) + eps * torch.eye(z.shape[1], dtype=z.dtype)
    gaussian = torch.distributions.MultivariateNormal(z.new_zeros(z.shape[1]), c)
    entropy: Tensor = gaussian.entropy()
    return entropy


GAUSSIAN_WRONG = {
    "no half": Wrong(_gaussian(half=1.0), "the factor 1/2 in front of log|C| is missing."),
    "no constant": Wrong(_gaussian(constant=lambda d: 0.0), "the constant (D/2) log(2 pi e) is missing."),
    "constant of one dimension": Wrong(
        _gaussian(constant=lambda d: 0.5 * math.log(2 * math.pi * E)),
        "the constant is that of one dimension: it comes D times.",
    ),
    "no e": Wrong(
        _gaussian(constant=lambda d: d / 2 * math.log(2 * math.pi)),
        "the e in log(2 pi e) is missing: it is the mean of the exponent, D/2.",
    ),
    "half missing in the constant": Wrong(
        _gaussian(constant=lambda d: d * math.log(2 * math.pi * E)), "the constant lacks its factor 1/2."
    ),
    "unbiased": Wrong(
        _gaussian(_unbiased_covariance), "the covariance was divided by N - 1; the convention here divides by N."
    ),
    "not divided": Wrong(_gaussian(lambda z: len(z) * _covariance(z)), "the covariance was not divided by N."),
    "no centring": Wrong(_gaussian(lambda z: z.T @ z / len(z)), "the mean over the batch was not subtracted."),
    "independent": Wrong(
        _gaussian(lambda z: torch.diag(_covariance(z).diagonal())),
        "the dimensions were taken as independent: use the whole covariance, not its diagonal alone.",
    ),
    "correlation": Wrong(
        _gaussian(lambda z: losses.auto_correlation(z, 0.0)),
        "that is the correlation matrix: an entropy depends on the scale, so do not divide by the deviations.",
    ),
    "eps ignored": Wrong(
        lambda z, eps=0.0: _gaussian()(z), "the argument eps is ignored: it is added to the diagonal of C."
    ),
    "eps everywhere": Wrong(
        lambda z, eps=0.0: _gaussian(lambda z: _covariance(z) + eps)(z),
        "eps was added to every entry of C; only to the diagonal: eps * torch.eye(D).",
    ),
    "eye of another type": Wrong(
        lambda z, eps=0.0: _gaussian(lambda z: _covariance(z) + eps * torch.eye(z.shape[1]))(z),
        "torch.eye(D) is float32, so eps is rounded before it is added: give it dtype=z.dtype.",
    ),
    "bits": Wrong(_gaussian(unit=math.log(2)), "in bits; Gaussian entropies are in nats here."),
    "detached": Wrong(
        lambda z, eps=0.0: losses.gaussian_entropy(z.detach(), eps) + 0 * z.sum(), "none reaches argument 1"
    ),
}

register(
    Exercise(
        name="gaussian_entropy",
        lesson=LESSON,
        number="3.7",
        title="the entropy of a Gaussian with the batch's covariance",
        difficulty=2,
        importance=5,
        minutes=8,
        points=2,
        check=Agreement(losses.gaussian_entropy, _batches, GAUSSIAN_WRONG),
        hints=(
            "Three steps: centre over the batch, covariance divided by N, then the formula.",
            "Add eps to the diagonal only: c + eps * torch.eye(D, dtype=z.dtype).",
            "0.5 * log_determinant_term(c) + D / 2 * math.log(2 * math.pi * math.e).",
        ),
        right={
            "slogdet": _gaussian(),
            "chain rule, a loop": _gaussian_loop,
            "torch's distribution": _gaussian_of_torch,
            "einsum": _gaussian(lambda z: torch.einsum("bi,bj->ij", z - z.mean(0), z) / len(z)),
        },
    )
)


# --- 3.8 conditional_covariance ---------------------------------------------------------------------------------


def _within(
    around: Callable[[Tensor], Tensor] = lambda views: views - views.mean(dim=0),
    divide: Callable[[int], float] = lambda v: v - 1,
    pool: Callable[[Tensor], Tensor] = lambda c: c.mean(dim=0),
) -> Callable[..., Tensor]:
    """Some covariance given the image: what is subtracted, the divisor, and how images are put together."""

    def covariance(views: Tensor, pooled: bool = True) -> Tensor:
        centred = around(views)
        c = torch.einsum("vni,vnj->nij", centred, centred) / divide(len(views))
        return pool(c) if pooled else c

    return covariance


def _within_loop(views: Tensor, pooled: bool = True) -> Tensor:
    rows = []
    for n in range(views.shape[1]):
        mean = sum(views[v, n] for v in range(len(views))) / len(views)
        terms = [torch.outer(views[v, n] - mean, views[v, n] - mean) for v in range(len(views))]
        rows.append(torch.stack(terms).sum(dim=0) / (len(views) - 1))
    return torch.stack(rows).mean(dim=0) if pooled else torch.stack(rows)


def _all_pairs(views: Tensor, pooled: bool = True) -> Tensor:
    """Other algebra: half the mean over all ordered pairs of different views of (a - b)(a - b)^T."""
    v = len(views)
    gaps = views[:, None] - views[None, :]
    c = torch.einsum("vwni,vwnj->nij", gaps, gaps) / (2 * v * (v - 1))
    return c.mean(dim=0) if pooled else c


def _total_minus_between(views: Tensor, pooled: bool = True) -> Tensor:
    mean = views.mean(dim=0)
    c = (torch.einsum("vni,vnj->nij", views, views) - len(views) * torch.einsum("ni,nj->nij", mean, mean)) / (
        len(views) - 1
    )
    return c.mean(dim=0) if pooled else c


def _no_half(views: Tensor, pooled: bool = True) -> Tensor:
    gap = views[0] - views[1]
    c = torch.einsum("ni,nj->nij", gap, gap)
    return c.mean(dim=0) if pooled else c


def _first_two(views: Tensor, pooled: bool = True) -> Tensor:
    return losses.conditional_covariance(views[:2], pooled)


def _between(views: Tensor, pooled: bool = True) -> Tensor:
    return _covariance(views.mean(dim=0))


def _samples(views: Tensor, pooled: bool = True) -> Tensor:
    around = views - views.mean(dim=0)
    return torch.einsum("vni,vmi->nm", around, around) / (len(views) - 1)


WITHIN_WRONG = {
    "divided by V": Wrong(
        _within(divide=lambda v: v),
        "divided by the number of views V; with the mean of the views subtracted it is V - 1.",
    ),
    "not divided": Wrong(_within(divide=lambda v: 1), "the division by V - 1 is missing."),
    "centred over the batch": Wrong(
        _within(lambda views: views - views.mean(dim=1, keepdim=True)),
        "centred over the batch (dim=1): given the image, the mean runs over its views, dim=0.",
    ),
    "one mean": Wrong(
        _within(lambda views: views - views.mean(dim=(0, 1))),
        "one mean was taken over all views of all images; each image has its own, dim=0.",
    ),
    "no centring": Wrong(_within(lambda views: views), "nothing was subtracted: centre the views of an image first."),
    "sum over images": Wrong(
        _within(pool=lambda c: c.sum(dim=0)), "summed over the images; the pooled matrix is their mean."
    ),
    "divided by N - 1": Wrong(
        _within(pool=lambda c: c.sum(dim=0) / (len(c) - 1)),
        "divided by N - 1 images; each image has its own mean, so the mean over images divides by N.",
    ),
    "no half": Wrong(
        _no_half, "for two views that is (a - b)(a - b)^T without its 1/2, and a third view would not be looked at."
    ),
    "first two": Wrong(_first_two, "only the first two views were used; there may be more."),
    "between": Wrong(
        _between, "that is the covariance of the means, between images; asked is the spread within an image."
    ),
    "samples by samples": Wrong(
        _samples, "the product compares images (N x N); compare dimensions, which gives (D, D)."
    ),
    "pooled ignored": Wrong(
        lambda views, pooled=True: losses.conditional_covariance(views),
        "the argument pooled is ignored: with False there is one matrix an image, (N, D, D).",
    ),
    "never pooled": Wrong(
        lambda views, pooled=True: losses.conditional_covariance(views, False),
        "the mean over the images is missing: the pooled result is (D, D).",
    ),
    "variances": Wrong(
        lambda views, pooled=True: views.var(dim=0).mean(dim=0) if pooled else views.var(dim=0),
        "only the variances: asked is the whole matrix, products of every two dimensions.",
    ),
}

register(
    Exercise(
        name="conditional_covariance",
        lesson=LESSON,
        number="3.8",
        title="how much the views of one image differ",
        difficulty=3,
        importance=4,
        minutes=10,
        points=2,
        check=Agreement(losses.conditional_covariance, _several_views, WITHIN_WRONG),
        hints=(
            "The shape is (views, images, dimensions). Given the image means: centre over dim=0, the views.",
            "For each image a (D, D) matrix: products of every two dimensions, summed over its views, over V - 1.",
            'torch.einsum("vni,vnj->nij", around, around) / (V - 1) is (N, D, D); its mean over dim=0 is pooled.',
        ),
        right={
            "loop": _within_loop,
            "einsum": _within(),
            "all pairs of views": _all_pairs,
            "total minus between": _total_minus_between,
        },
    )
)
