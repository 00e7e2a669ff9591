"""A step by hand: every method against its step written out from the paper, from the same weights, pixels and seed.

Which network sees which view, what is detached, what is remembered afterwards. The references below call no step, loss
or momentum encoder of jemlib: they have copies of the plain networks and write the rest with torch. After each of four
complete steps (views, loss, backward, optimiser, after_step) loss, gradients and the whole state must agree.
"""

from __future__ import annotations

import copy
import math
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans
from sklearn.metrics import normalized_mutual_info_score
from torch import Tensor, nn

from jemlib.data import Images, load
from jemlib.methods import SELF_SUPERVISED, Batch, Method, build
from jemlib.nets import BACKBONES
from jemlib.nets.backbones import conv_small
from jemlib.views import Recipe, make_views

STEPS, BATCH, RATE = 4, 6, 0.02
NETWORKS = ("backbone", "projector", "predictor", "prototypes")

# The recipes are spelled out: what every method sees by default, and the small crops of multi-crop.
COLOURS = (0.4, 0.4, 0.2, 0.1)
DEFAULT = Recipe(crop_scale=(0.2, 1.0), jitter=COLOURS, solarize=0.1)
SMALL_CROP = Recipe(crop_scale=(0.08, 0.4), jitter=COLOURS)
# The preset `byol`: the second view alone is solarised.
ASYMMETRIC = (Recipe(jitter=COLOURS), Recipe(jitter=COLOURS, solarize=0.2))


# --- what the references are written with -----------------------------------------------------------------------


def cosine(x: Tensor, y: Tensor) -> Tensor:
    """Of each row of x with the same row of y."""
    return (x * y).sum(dim=1) / (x.norm(dim=1) * y.norm(dim=1))


def cross_entropy(target: Tensor, logits: Tensor) -> Tensor:
    return -(target * logits.log_softmax(dim=1)).sum(dim=1).mean()


def rising(progress: float, base: float) -> float:
    """The momentum: from `base` to 1 by a half cosine."""
    return 1 - (1 - base) * (1 + math.cos(math.pi * progress)) / 2


def unit(x: Tensor) -> Tensor:
    return x / x.norm(dim=1, keepdim=True)


class ByHand:
    """Copies of a method's plain networks. Subclasses write down the step, and what is remembered after it."""

    recipes = (DEFAULT, DEFAULT)

    def __init__(self, method: Method, settings: dict[str, Any]) -> None:
        parts = {name: copy.deepcopy(part) for name, part in method.named_children() if name in NETWORKS}
        self.networks = nn.ModuleDict(parts)
        self.settings = settings
        self.progress = 0.0

    def views(self, pixels: Tensor, generator: torch.Generator) -> list[Tensor]:
        """Two views and then the small crops, one after the other from one generator."""
        self.generator = generator
        wanted = [(recipe, 32) for recipe in self.recipes]
        wanted += [(SMALL_CROP, self.settings.get("local_size"))] * self.settings.get("local_crops", 0)
        return [make_views(pixels, recipe, num_views=1, size=size, generator=generator)[0] for recipe, size in wanted]

    def embed(self, view: Tensor) -> Tensor:
        return self.networks["projector"](self.networks["backbone"](self.masked(view)))

    def masked(self, view: Tensor) -> Tensor:
        """Of the 16 patches of 8 x 8 pixels, `mask_ratio` become zeros; nothing is drawn without masks."""
        if not self.settings.get("mask_ratio"):
            return view
        order = torch.rand(len(view), 16, generator=self.generator).argsort(dim=1)
        keep = torch.zeros(len(view), 16)
        for sample in range(len(view)):
            keep[sample, order[sample, : int(16 * (1 - self.settings["mask_ratio"]))]] = 1
        return view * keep.view(-1, 1, 4, 4).repeat_interleave(8, dim=2).repeat_interleave(8, dim=3)

    def scores(self, z: Tensor) -> Tensor:
        """Cosines with the prototypes."""
        return unit(z) @ unit(self.networks["prototypes"].weight).T

    def before(self, images: Images, index: Tensor, step: int) -> None:
        self.progress = step / STEPS

    def step(self, views: list[Tensor]) -> dict[str, Tensor]:
        """`total` and, where it is short, the named terms."""
        raise NotImplementedError

    def after(self, progress: float) -> None:
        pass

    def memory(self) -> dict[str, Any]:
        """What the method's state dict holds besides its trained networks."""
        return {}

    def momentum_copy(self, *names: str) -> nn.Module:
        return copy.deepcopy(nn.Sequential(*(self.networks[name] for name in names)))

    @torch.no_grad()
    def follow(self, slow: nn.Module, names: tuple[str, ...], momentum: float) -> None:
        """Parameters are averaged; the running statistics of the copy are its own."""
        fast = [p for name in names for p in self.networks[name].parameters()]
        for theirs, ours in zip(fast, slow.parameters(), strict=True):
            ours.copy_(momentum * ours + (1 - momentum) * theirs)


def named(prefix: str, module: nn.Module) -> dict[str, Tensor]:
    return {f"{prefix}.network.{key}": value for key, value in module.state_dict().items()}


# --- two views, one network -------------------------------------------------------------------------------------


class SimCLR(ByHand):
    def step(self, views: list[Tensor]) -> dict[str, Tensor]:
        u, n, tau = unit(torch.cat([self.embed(view) for view in views])), len(views[0]), self.settings["temperature"]
        positive, others = [], []
        for i in range(2 * n):
            positive.append(-u[i] @ u[(i + n) % (2 * n)] / tau)
            others.append(torch.stack([u[i] @ u[k] / tau for k in range(2 * n) if k != i]).logsumexp(dim=0))
        alignment, contrast = torch.stack(positive).mean(), torch.stack(others).mean()
        total = alignment + contrast if self.settings.get("negatives", True) else alignment
        return {"total": total, "alignment": alignment, "contrast": contrast}


class BarlowTwins(ByHand):
    def step(self, views: list[Tensor]) -> dict[str, Tensor]:
        a, b = (self.embed(view) for view in views)
        a, b = ((z - z.mean(dim=0)) / (z.var(dim=0, correction=0) + 1e-5).sqrt() for z in (a, b))
        c, on = a.T @ b / len(a), torch.eye(a.shape[1], dtype=torch.bool)
        invariance, redundancy = (1 - c[on]).square().sum(), c[~on].square().sum()
        total = self.settings["invariance"] * invariance + self.settings["lambd"] * redundancy
        return {"total": total, "invariance": invariance, "redundancy": redundancy}


class VICReg(ByHand):
    weights = (25.0, 25.0, 1.0)

    def step(self, views: list[Tensor]) -> dict[str, Tensor]:
        z = [self.embed(view) for view in views]
        cov = [torch.cov(one.T) for one in z]
        off = ~torch.eye(len(cov[0]), dtype=torch.bool)
        invariance = (z[0] - z[1]).square().mean()
        variance = torch.stack([(1 - (c.diagonal() + 1e-4).sqrt()).clamp(min=0).mean() for c in cov]).mean()
        covariance = sum(c[off].square().sum() / len(c) for c in cov)
        names = ("invariance", "variance", "covariance")
        terms = dict(zip(names, (invariance, variance, covariance)))
        weights = [self.settings.get(name, usual) for name, usual in zip(names, self.weights)]
        return {"total": sum(w * term for w, term in zip(weights, terms.values())), **terms}


class SIGReg(ByHand):
    def step(self, views: list[Tensor]) -> dict[str, Tensor]:
        a, b = (self.embed(view) for view in views)
        # The slices come from the generator of the views, after them; both views get the same ones.
        slices = torch.randn(a.shape[1], self.settings["slices"], generator=self.generator).double()
        slices = slices / slices.norm(dim=0)
        misfit = (self.misfit(a @ slices) + self.misfit(b @ slices)) / 2
        middle, lambd = (a + b) / 2, self.settings["lambd"]
        invariance = ((a - middle).square().mean() + (b - middle).square().mean()) / 2
        return {"total": (1 - lambd) * invariance + lambd * misfit, "invariance": invariance, "sigreg": misfit}

    @staticmethod
    def misfit(x: Tensor) -> Tensor:
        """N times the weighted distance of the characteristic functions, 17 knots on [0, 3] doubled; mean of slices."""
        t = torch.linspace(0, 3, 17, dtype=torch.float64)
        found = torch.exp(1j * t[:, None, None] * x).mean(dim=1)
        normal = torch.exp(-t.square() / 2)
        return 2 * len(x) * torch.trapezoid((found - normal[:, None]).abs().square() * normal[:, None], t, dim=0).mean()


class SimSiam(ByHand):
    def predict(self, z: Tensor) -> Tensor:
        if self.settings.get("predictor") != "direct":
            return self.networks["predictor"](z)
        # DirectPred: each call moves the correlation, F <- 0.3 F + 0.7 mean f f^T; W_p has sqrt(s) + 0.1 max s.
        memory, f = self.networks["predictor"].correlation, unit(z.detach())
        memory.copy_(0.3 * memory + 0.7 * sum(torch.outer(row, row) for row in f) / len(f))
        s, u = torch.linalg.eigh(memory.double())
        return z @ (u @ torch.diag(s.clamp(min=0).sqrt() + 0.1 * s.max()) @ u.T)

    def step(self, views: list[Tensor]) -> dict[str, Tensor]:
        z_a, z_b = self.embed(views[0]), self.embed(views[1])
        p_a, p_b = self.predict(z_a), self.predict(z_b)
        if self.settings.get("stop_gradient", True):
            z_a, z_b = z_a.detach(), z_b.detach()
        a_to_b, b_to_a = -cosine(p_a, z_b).mean(), -cosine(p_b, z_a).mean()
        return {"total": (a_to_b + b_to_a) / 2, "a_to_b": a_to_b, "b_to_a": b_to_a}


# --- a momentum encoder -----------------------------------------------------------------------------------------


class BYOL(SimSiam):
    def __init__(self, method: Method, settings: dict[str, Any]) -> None:
        super().__init__(method, settings)
        self.moves = settings.get("momentum_encoder", True)
        self.target = self.momentum_copy("backbone", "projector")

    def step(self, views: list[Tensor]) -> dict[str, Tensor]:
        z_a, z_b = self.embed(views[0]), self.embed(views[1])
        # The target sees whole views, without masks.
        t_a, t_b = (self.target(views[0]), self.target(views[1])) if self.moves else (z_a, z_b)
        p_a, p_b = self.predict(z_a), self.predict(z_b)
        if self.settings.get("stop_gradient", True):
            t_a, t_b = t_a.detach(), t_b.detach()
        a_to_b, b_to_a = ((unit(p) - unit(t)).square().sum(dim=1).mean() for p, t in ((p_a, t_b), (p_b, t_a)))
        return {"total": a_to_b + b_to_a, "a_to_b": a_to_b, "b_to_a": b_to_a}

    def after(self, progress: float) -> None:
        if self.moves:
            self.follow(self.target, ("backbone", "projector"), rising(progress, self.settings["momentum"]))

    def memory(self) -> dict[str, Any]:
        return named("target", self.target) if self.moves else {}


class ByolRecipe(BYOL):
    recipes = ASYMMETRIC


class DINO(ByHand):
    parts = ("backbone", "projector", "prototypes")

    def __init__(self, method: Method, settings: dict[str, Any]) -> None:
        super().__init__(method, settings)
        self.teacher = self.momentum_copy(*self.parts)
        self.center = torch.zeros(settings["prototypes"])

    def temperature(self) -> float:
        """Linear from its start to its end over the warm-up."""
        if not self.settings.get("sharpening", True):
            return float(self.settings["student_temperature"])
        start, end = self.settings["teacher_temperature_start"], self.settings["teacher_temperature"]
        return float(start + (end - start) * min(1.0, self.progress / self.settings["temperature_warmup"]))

    def step(self, views: list[Tensor]) -> dict[str, Tensor]:
        tau_s, tau_t = self.settings["student_temperature"], self.temperature()
        student = [self.scores(self.embed(view)) for view in views]
        with torch.no_grad():
            teacher = [self.teacher(view) for view in views[:2]]  # the large views only
        raw = torch.cat(teacher)
        if self.settings["centering"] == "balanced":  # that of this batch, from the one before
            for _ in range(3):
                used = ((raw - self.center) / tau_t).softmax(dim=1).mean(dim=0)
                self.center = self.center + tau_t * torch.log(len(used) * used)
        target = [((one - self.center) / tau_t).softmax(dim=1) for one in teacher]
        pairs = [(t, s) for t in range(2) for s in range(len(views)) if s != t]
        total = torch.stack([cross_entropy(target[t], student[s] / tau_s) for t, s in pairs]).mean()
        if self.settings["centering"] == "mean":  # after its use
            kept = self.settings["center_momentum"]
            self.center = kept * self.center + (1 - kept) * raw.mean(dim=0)
        return {"total": total}

    def after(self, progress: float) -> None:
        self.follow(self.teacher, self.parts, rising(progress, self.settings["momentum"]))

    def memory(self) -> dict[str, Any]:
        return {**named("teacher", self.teacher), "center": self.center}


class SimDINO(ByHand):
    parts = ("backbone", "projector")

    def __init__(self, method: Method, settings: dict[str, Any]) -> None:
        super().__init__(method, settings)
        self.teacher = self.momentum_copy(*self.parts)

    def step(self, views: list[Tensor]) -> dict[str, Tensor]:
        student = [unit(self.embed(view)) for view in views]
        with torch.no_grad():
            teacher = [unit(self.teacher(view)) for view in views[:2]]  # the large views only
        pairs = [(t, s) for t in range(2) for s in range(len(views)) if s != t]
        alignment = -torch.stack([(teacher[t] * student[s]).sum(dim=1).mean() for t, s in pairs]).mean()
        (n, d), eps = student[0].shape, self.settings["eps"]
        inside = [torch.eye(d, dtype=z.dtype) + d / (n * eps) * z.T @ z for z in student[:2]]
        rate = sum(torch.logdet(m) for m in inside) / 4  # half of each, and the mean of two
        balance = self.settings["expansion"] * (d + n) / (d * n)
        return {"total": alignment - balance * rate, "alignment": alignment, "coding_rate": rate}

    def after(self, progress: float) -> None:
        self.follow(self.teacher, self.parts, rising(progress, self.settings["momentum"]))

    def memory(self) -> dict[str, Any]:
        return named("teacher", self.teacher)


# --- queues, prototypes, clusterings ----------------------------------------------------------------------------


class SwAV(ByHand):
    def __init__(self, method: Method, settings: dict[str, Any]) -> None:
        super().__init__(method, settings)
        self.queues = [torch.zeros(settings.get("queue", 0), method.dim) for _ in range(2)]
        self.queued = 0

    def step(self, views: list[Tensor]) -> dict[str, Tensor]:
        z = [self.embed(view) for view in views]
        scores, size = [self.scores(one) for one in z], len(self.queues[0])
        # The queue takes part once it is full, with what was in it before this batch; each large view has its own.
        full = size > 0 and self.queued >= size
        codes = [self.codes(scores[v], self.scores(self.queues[v]) if full else None) for v in range(2)]
        self.queues = [torch.cat([z[v].detach(), self.queues[v]])[:size] for v in range(2)]
        self.queued = min(size, self.queued + len(z[0]))
        pairs = [(v, w) for v in range(2) for w in range(len(views)) if w != v]
        tau = self.settings["temperature"]
        return {"total": torch.stack([cross_entropy(codes[v], scores[w] / tau) for v, w in pairs]).mean()}

    def codes(self, scores: Tensor, past: Tensor | None) -> Tensor:
        """Sinkhorn: columns share alike, then rows sum to 1; the rows of the queue only help."""
        q = torch.exp((scores if past is None else torch.cat([scores, past])).detach() / self.settings["epsilon"])
        for _ in range(self.settings["iterations"]):
            q = q / q.sum(dim=0)
            q = q / q.sum(dim=1, keepdim=True)
        return (q / q.sum(dim=1, keepdim=True))[: len(scores)]

    def memory(self) -> dict[str, Any]:
        return {"queue": torch.stack(self.queues), "queued": torch.tensor(self.queued)}


class PCL(ByHand):
    due = (1, 3)  # of four steps: warmup 0.25, then two E-steps evenly over the rest, 0.25 and 0.625

    def __init__(self, method: Method, settings: dict[str, Any]) -> None:
        super().__init__(method, settings)
        self.key = self.momentum_copy("backbone", "projector")
        self.queue = method.state_dict()["queue"].clone()
        self.clusterings: list[dict[str, Tensor]] = []
        self.e_steps, self.nmi = 0, 0.0

    def before(self, images: Images, index: Tensor, step: int) -> None:
        super().before(images, index, step)
        self.index = index
        if step in self.due and self.settings["num_clusters"]:
            self.e_step(images)

    @torch.no_grad()
    def e_step(self, images: Images) -> None:
        """k-means on the key encoder's features of all images as they are, by the key encoder in evaluation mode."""
        mean, std = torch.tensor([[0.4914, 0.4822, 0.4465], [0.2470, 0.2435, 0.2616]]).view(2, 3, 1, 1)
        self.key.eval()
        features = unit(self.key((images.pixels / 255 - mean) / std)).float()
        self.key.train()
        self.clusterings = []
        for k in self.settings["num_clusters"]:
            found = KMeans(k, init="random", n_init=1, max_iter=20, random_state=self.e_steps).fit(features.numpy())
            own, centres = torch.from_numpy(found.labels_).long(), torch.from_numpy(found.cluster_centers_)
            # To the centroid as it is, not normalised.
            away = [(features[own == j] - centres[j]).norm(dim=1).numpy() for j in range(k)]
            phi = np.array([d.mean() / math.log(len(d) + 10) if len(d) > 1 else np.nan for d in away])
            phi = np.where(np.isnan(phi), np.nanmax(phi), phi)
            phi = phi.clip(*np.percentile(phi, [10, 90]))
            phi = torch.from_numpy(phi * self.settings["temperature"] / phi.mean()).float()
            self.clusterings.append({"assignments": own, "prototypes": unit(centres), "phi": phi})
        self.nmi = normalized_mutual_info_score(images.labels, self.clusterings[-1]["assignments"])
        self.e_steps += 1

    def step(self, views: list[Tensor]) -> dict[str, Tensor]:
        q = [self.embed(view) for view in views]
        with torch.no_grad():
            k = [self.key(view) for view in views]
        instance = (self.instance(q[0], k[1]) + self.instance(q[1], k[0])) / 2  # the positive is the other view
        self.queue = torch.cat([unit(k[1]), self.queue])[: len(self.queue)]  # after its use
        terms = [self.prototype(u, c) for c in self.clusterings for u in q]
        prototype = torch.stack(terms).mean() if terms else torch.zeros(())
        nmi = torch.tensor(self.nmi, dtype=torch.float32)
        return {"total": instance + prototype, "instance": instance, "prototype": prototype, "nmi": nmi}

    def instance(self, q: Tensor, k: Tensor) -> Tensor:
        """One positive, and all of the queue as negatives."""
        logits = torch.cat([cosine(q, k)[:, None], unit(q) @ self.queue.T], dim=1) / self.settings["temperature"]
        return -logits.log_softmax(dim=1)[:, 0].mean()

    def prototype(self, q: Tensor, clustering: dict[str, Tensor]) -> Tensor:
        logits = unit(q) @ clustering["prototypes"].T.double() / clustering["phi"]
        own = [int(clustering["assignments"][image]) for image in self.index]
        return torch.stack([-logits[row].log_softmax(dim=0)[cluster] for row, cluster in enumerate(own)]).mean()

    def after(self, progress: float) -> None:
        self.follow(self.key, ("backbone", "projector"), rising(progress, self.settings["momentum"]))

    def memory(self) -> dict[str, Any]:
        state = {"clusterings": self.clusterings, "done_e_steps": self.e_steps, "nmi": self.nmi}
        return {**named("key", self.key), "queue": self.queue, "_extra_state": state}


# --- the cases --------------------------------------------------------------------------------------------------


class Case(NamedTuple):
    """No setting has its default, so that one which is not passed on is seen."""

    label: str
    name: str
    by_hand: type[ByHand]
    settings: dict[str, Any]
    rounding: float = 1e-6  # queues and cluster centres are kept in float32; everything else agrees to 1e-9


CROPS = {"local_crops": 2, "local_size": 16}
SHARP = {"student_temperature": 0.3, "teacher_temperature_start": 0.04, "teacher_temperature": 0.1}
DINO_BASE = {**SHARP, "prototypes": 7, "temperature_warmup": 0.6, "momentum": 0.6}
SWAV_BASE = {"prototypes": 7, "temperature": 0.3, "epsilon": 0.1, "iterations": 2}
PCL_BASE = {"temperature": 0.3, "momentum": 0.6, "queue": 16, "warmup": 0.25, "e_steps": 2}
BYOL_BASE = {"momentum": 0.6, "hidden": 12}
SIMDINO_BASE = {"eps": 0.1, "expansion": 1.5, "momentum": 0.6}

CASES = [
    Case("simclr", "simclr", SimCLR, {"temperature": 0.4}),
    Case("simclr without negatives", "simclr", SimCLR, {"temperature": 0.4, "negatives": False}),
    Case("barlow twins", "barlow_twins", BarlowTwins, {"lambd": 0.03, "invariance": 0.5}),
    Case("barlow twins without invariance", "barlow_twins", BarlowTwins, {"lambd": 0.03, "invariance": 0.0}),
    Case("vicreg", "vicreg", VICReg, {"invariance": 3.0, "variance": 5.0, "covariance": 2.0}),
    Case("vicreg as it is by default", "vicreg", VICReg, {}),
    Case("vicreg with masks", "vicreg", VICReg, {"variance": 5.0, "mask_ratio": 0.4}),
    Case("sigreg", "sigreg", SIGReg, {"lambd": 0.3, "slices": 5}),
    Case("simsiam", "simsiam", SimSiam, {"hidden": 12}),
    Case("simsiam without stop-gradient", "simsiam", SimSiam, {"hidden": 12, "stop_gradient": False}),
    Case("simsiam without predictor", "simsiam", SimSiam, {"predictor": "none"}),
    Case("simsiam with direct predictor", "simsiam", SimSiam, {"predictor": "direct"}, 1e-5),
    Case("byol", "byol", BYOL, BYOL_BASE),
    Case("byol with its own recipe", "byol", ByolRecipe, {**BYOL_BASE, "views": "byol"}),
    Case("byol with masks", "byol", BYOL, {**BYOL_BASE, "mask_ratio": 0.4}),
    Case("byol with direct predictor", "byol", BYOL, {**BYOL_BASE, "predictor": "direct"}, 1e-5),
    Case("byol without momentum encoder", "byol", BYOL, {**BYOL_BASE, "momentum_encoder": False}),
    Case(
        "byol without stop-gradient",
        "byol",
        BYOL,
        {**BYOL_BASE, "momentum_encoder": False, "stop_gradient": False},
    ),
    Case("dino balanced", "dino", DINO, {**DINO_BASE, **CROPS, "centering": "balanced", "freeze": 0.4}),
    Case("dino with a mean centre", "dino", DINO, {**DINO_BASE, **CROPS, "centering": "mean", "center_momentum": 0.7}),
    Case("dino bare", "dino", DINO, {**DINO_BASE, "centering": "none", "sharpening": False}),
    Case("simdino", "simdino", SimDINO, {**SIMDINO_BASE, **CROPS}),
    Case("simdino without expansion", "simdino", SimDINO, {**SIMDINO_BASE, "expansion": 0.0}),
    Case("swav with queue", "swav", SwAV, {**SWAV_BASE, **CROPS, "queue": 8, "freeze": 0.4}),
    Case("swav without queue", "swav", SwAV, SWAV_BASE),
    Case("swav without sinkhorn", "swav", SwAV, {**SWAV_BASE, "iterations": 0}),
    Case("pcl", "pcl", PCL, {**PCL_BASE, "num_clusters": (3, 5)}),
    Case("pcl without clusters", "pcl", PCL, {**PCL_BASE, "num_clusters": ()}),
]


@pytest.fixture(scope="module")
def images() -> Images:
    return load("motifs", "train", limit=24)


def in_double(method: Method) -> Method:
    """Four steps multiply the rounding of float32 until it looks like a fault, so both sides run in float64."""
    for part in method.double().modules():
        if isinstance(part, nn.Conv2d) and part.in_channels == 3:
            part.register_forward_pre_hook(lambda module, inputs: (inputs[0].double(),))
    if method.settings.get("predictor") == "direct":
        method.predictor.float()  # it computes in float32 whatever comes in
    return method


def alike(found: Any, expected: Any, what: str, rounding: float = 1e-6) -> None:
    torch.testing.assert_close(
        found, expected, rtol=1e-4, atol=rounding, check_dtype=False, msg=lambda message: f"{what}: {message}"
    )


def compare(method: Method, reference: ByHand, when: str, rounding: float) -> None:
    """The whole state, trained networks and memory; and the gradients of everything that is trained."""
    found, expected = method.state_dict(), {**reference.networks.state_dict(), **reference.memory()}
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        alike(found[key], value, f"{key} {when}", rounding)
    trained = dict(reference.networks.named_parameters())
    for name, parameter in method.named_parameters():
        gradient = trained[name].grad if name in trained else None  # momentum encoders get none
        assert (parameter.grad is None) == (gradient is None), f"gradient of {name} {when}"
        if gradient is not None:
            alike(parameter.grad, gradient, f"gradient of {name} {when}", rounding)


def by_hand_step(reference: ByHand, images: Images, index: Tensor, step: int) -> tuple[list[Tensor], dict[str, Tensor]]:
    """One complete step of the reference, the update w <- w - RATE g included."""
    views = reference.views(images.pixels[index], torch.Generator().manual_seed(100 + step))
    reference.before(images, index, step)
    terms = reference.step(views)
    reference.networks.zero_grad()
    terms["total"].backward()
    if reference.progress < reference.settings.get("freeze", 0.0):
        reference.networks["prototypes"].zero_grad()
    for parameter in reference.networks.parameters():
        if parameter.grad is not None:
            parameter.data -= RATE * parameter.grad
    reference.after((step + 1) / STEPS)
    return views, terms


@pytest.mark.parametrize("case", CASES, ids=[case.label for case in CASES])
def test_four_steps_are_those_written_by_hand(case: Case, images: Images, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BACKBONES, "narrow", lambda: conv_small(4))  # a sixteenth of the time
    method = build(case.name, seed=3, backbone="narrow", widths=(16, 8), **case.settings)
    method = in_double(method).train()
    reference = case.by_hand(method, case.settings)
    optimizer = torch.optim.SGD([p for p in method.parameters() if p.requires_grad], lr=RATE)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(9))
    for step, index in enumerate(order.split(BATCH)):
        views, terms = by_hand_step(reference, images, index, step)
        # The same step by the method, called as `train_step` calls it.
        generator = torch.Generator().manual_seed(100 + step)
        ours = method.make_views(images.pixels[index], generator)
        batch = Batch(ours, index, images, step / STEPS, generator)
        method.before_step(batch)
        loss = method.step(batch)
        optimizer.zero_grad()
        loss.total.backward()
        optimizer.step()
        method.after_step((step + 1) / STEPS)

        assert len(ours) == len(views)
        for v, (found, expected) in enumerate(zip(ours, views)):
            alike(found, expected, f"view {v} of step {step}")
        for name, value in terms.items():
            alike(getattr(loss, name).detach(), value.detach(), f"{name} of step {step}", case.rounding)
        compare(method, reference, f"after step {step}", case.rounding)


@pytest.mark.parametrize("name", SELF_SUPERVISED)
def test_the_views_of_a_batch_are_different_for_every_image(name: str, images: Images) -> None:
    """So a method that got one view twice would be seen even if both sides above made the same mistake."""
    views = build(name, widths=(16, 8)).make_views(images.pixels, torch.Generator().manual_seed(0))
    assert len(views) == 2
    assert all(not torch.allclose(a, b, atol=0.05) for a, b in zip(*views))


@pytest.mark.parametrize("name", ["swav", "dino"])
def test_the_small_crops_of_a_batch_are_different(name: str, images: Images) -> None:
    method = build(name, widths=(16, 8), **CROPS)
    *_, first, second = method.make_views(images.pixels, torch.Generator().manual_seed(0))
    assert all(not torch.allclose(a, b, atol=0.05) for a, b in zip(first, second))


def test_every_method_has_a_step_by_hand() -> None:
    assert {case.name for case in CASES} == set(SELF_SUPERVISED)
