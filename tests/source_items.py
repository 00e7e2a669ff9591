"""Which lesson takes up each item and each erratum of the two source notes.

S0 are the hand-written notes (Barlow Twins, the bottleneck, Demystifying, PCL), S4 the lecture notes on regularised
joint embedding. An item is found in its lesson by a phrase (a regular expression, any case, over line breaks).
Lessons that are not written yet stand in PLANNED; their items wait there, and move when the lesson comes.
"""

from __future__ import annotations

from typing import NamedTuple

START, CONTRASTIVE, BARLOW = "00_start_here", "01_contrastive", "02_barlow_twins"
INVARIANCE = "10_invariance"
BOTTLENECK, VICREG, COLLAPSE, SWAV = "03_information_bottleneck", "04_vicreg", "05_collapse", "06_swav_sinkhorn"
PCL, BYOL, DINO = "07_pcl_em", "08_byol_simsiam", "09_dino_data2vec"
LATER_MASKING = "later: masking"
PLANNED = {LATER_MASKING}


class Item(NamedTuple):
    source: str
    what: str
    lesson: str
    phrase: str = ""


ERRATA: dict[str, tuple[str, ...]] = {
    "E1": (BARLOW,),
    "E2": (CONTRASTIVE, BARLOW),
    "E3": (BOTTLENECK,),
    "E4": (BOTTLENECK,),
    "E5": (CONTRASTIVE,),
    **{f"E{n}": (INVARIANCE,) for n in (6, 7, 8)},
    **{f"E{n}": (PCL,) for n in range(9, 16)},
    "E16": (VICREG,),
    **{f"E{n}": (SWAV,) for n in (17, 18, 19, 20)},
    **{f"E{n}": (BYOL,) for n in (21, 22)},
    **{f"E{n}": (DINO,) for n in (23, 24)},
    "E25": (COLLAPSE,),
    "E26": (VICREG,),
    **{f"E{n}": (LATER_MASKING,) for n in (27, 28, 29)},
    "E30": (START,),
}

ITEMS = [
    # S0, page 1: Barlow Twins
    Item("S0", "a batch, two augmentations, embeddings", BARLOW, r"two (random )?views of (one|it)"),
    Item("S0", "mean-centred embeddings", BARLOW, r"remove the mean"),
    Item("S0", "the loss: invariance and redundancy terms", BARLOW, r"\\text\{invariance\}.*\\text\{redundancy\}"),
    Item("S0", "the cross-correlation matrix", BARLOW, r"C_\{ij\} = \\frac"),
    Item("S0", "comparison with InfoNCE, both terms", BARLOW, r"beside InfoNCE, term by term"),
    Item("S0", "similarity term and contrastive term", CONTRASTIVE, r"similarity term|alignment.{0,80}contrast"),
    Item("S0", "non-parametric estimation of entropy", CONTRASTIVE, r"non-?parametric"),
    # S0, page 4: the bottleneck
    Item("S0", "IB = I(Z,Y) - beta I(Z,X)", BOTTLENECK, r"I\(Z;\s*Y\)\s*-\s*\\beta\\?,?\s*I\(Z;\s*X\)"),
    Item("S0", "in entropies", BOTTLENECK, r"H\(Z\s*\\?(mid|\||,)\s*Y\)|H\(Z\|Y\)"),
    Item("S0", "invariant to the transform", BOTTLENECK, r"invariant to"),
    Item("S0", "as related to x as possible", BOTTLENECK, r"as related to"),
    Item("S0", "can be negative, the smaller the better", BOTTLENECK, r"negative"),
    Item("S0", "beta = 1", BOTTLENECK, r"\\beta ?= ?1"),
    Item("S0", "Gaussian constraint, log-determinants", BOTTLENECK, r"\\log\s*\|?\\?(det)?"),
    Item("S0", "connected to IB with some modification", BOTTLENECK, r"some modification"),
    Item("S0", "proxy entropy", BOTTLENECK, r"proxy"),
    # S0: Demystifying's loss
    Item("S0", "the loss L(D, D+)", CONTRASTIVE, r"Demystifying"),
    Item("S0", "transformation, invariant function", INVARIANCE, r"h\(\\tau\(x\)\) = h\(x\)"),
    Item("S0", "label of a transformed image", INVARIANCE, r"label-preserving\* if \$y\(\\tau\(x\)\) = y\(x\)"),
    Item("S0", "the ideal h*", INVARIANCE, r"\$h\^\*\$"),
    Item("S0", "definition of a firing unit, sign and threshold", INVARIANCE, r"s_i h_i\(x\) > t_i"),
    Item("S0", "global firing rate and its dependence on t", INVARIANCE, r"What \$t\$ does to \$G\$"),
    Item("S0", "G = 1/|Y|: one class, one section, equal parts", INVARIANCE, r"G\(i\) = 1/\|Y\|.{0,60}equal\s+part"),
    Item("S0", "local trajectory", INVARIANCE, r"\*trajectory\* \$T\(x\)\$"),
    Item(
        "S0",
        "local firing rate, both averages",
        INVARIANCE,
        r"\\frac\{1\}\{\|X_y\|\}\\sum.{0,60}\\frac\{1\}\{\|T\(z\)\|\}",
    ),
    Item("S0", "fraction of time a neuron fires", INVARIANCE, r"fraction of the time that \$i\$ fires"),
    Item("S0", "target-conditioned invariance", INVARIANCE, r"target-conditioned invariance"),
    Item("S0", "top-k neurons, RIS", INVARIANCE, r"representation invariance score"),
    # S0: PCL
    Item("S0", "InfoNCE with a momentum encoder", PCL, r"momentum encoder, a queue"),
    Item("S0", "maximise the log-likelihood", PCL, r"\\arg\\max_\\theta .{0,40}\\log p\(x_i"),
    Item("S0", "latent variable, law of total probability", PCL, r"\*latent\*.{0,60}law of total probability"),
    Item("S0", "how to optimise this?", PCL, r"How to optimise this\?"),
    Item("S0", "the ELBO", PCL, r"evidence lower bound"),
    Item("S0", "when the equality holds", PCL, r"When does equality hold"),
    Item("S0", "E-step: k-means on momentum features", PCL, r"E-step is k-means, on the features \$v'_i\$"),
    Item("S0", "sharper pdf", PCL, r"sharper pdf"),
    Item("S0", "M-step", PCL, r"Derivation: the M-step"),
    Item("S0", "uniformity assumption", PCL, r"p\(c_j\) = 1/K.{0,20}assumption"),
    Item("S0", "isotropic Gaussians", PCL, r"isotropic Gaussians"),
    Item("S0", "normalisation of v and c", PCL, r"2 - 2\\, v \\cdot c_j"),
    Item("S0", "ProtoNCE", PCL, r"Derivation: ProtoNCE"),
    Item("S0", "cluster m times; what if 1 is bad", PCL, r"what if 1 is bad"),
    Item("S0", "concentration: smaller means high concentration", PCL, r"small \$\\phi\$ means high concentration"),
    Item("S0", "should be smaller; smooth parameter", PCL, r"Why should it be small\?.*What does \$\\alpha\$ smooth"),
    # S4: non-contrastive methods and information
    Item("S4", "redundancy reduction, information maximisation", VICREG, r"information maximi[sz]ation"),
    Item("S4", "no special architecture", VICREG, r"special\s+architecture"),
    Item("S4", "decorrelated variables; redundant information", VICREG, r"redundan"),
    Item("S4", "a comparatively small batch", VICREG, r"small(er)? batch"),
    Item("S4", "collapse of type 1", COLLAPSE, r"type 1"),
    Item("S4", "collapse of type 2", COLLAPSE, r"type 2"),
    Item("S4", "positive pairs closer", VICREG, r"pairs? (closer|together)|pulls? .{0,40}(together|closer)"),
    Item("S4", "variances up", VICREG, r"variance"),
    Item("S4", "covariances down", VICREG, r"covariance"),
    Item("S4", "C = H^T H / N and the printed loss", VICREG, r"H\^\\top H"),
    # S4: clustering
    Item("S4", "quantising the embedding space", SWAV, r"quanti[sz]"),
    Item("S4", "stacking, Sinkhorn, codes", SWAV, r"sinkhorn"),
    Item("S4", "soft k-means, swapped prediction", SWAV, r"swapped prediction"),
    Item("S4", "softargmax of cosine similarities", SWAV, r"softargmax"),
    Item("S4", "degrees of uniform distribution, the two extremes", SWAV, r"extreme"),
    Item("S4", "clusters become classes by a few labels", SWAV, r"few labels"),
    Item("S4", "the same cluster instead of the same point", SWAV, r"same cluster"),
    Item("S4", "preventing the trivial solution", SWAV, r"trivial solution"),
    Item("S4", "a batch or a pool of negatives", SWAV, r"pool of negative"),
    # S4: other methods
    Item("S4", "why they do not collapse is not yet available", BYOL, r"not yet\s+available"),
    Item("S4", "implicit regularisation", BYOL, r"implicit\s+regulari[sz]ation"),
    Item("S4", "the loss functions are local", BYOL, r"local"),
    Item("S4", "BYOL: a predictor; the energy", BYOL, r"energy a cosine \*similarity\*"),
    Item("S4", "no enforcement on negative pairs", BYOL, r"without negatives"),
    Item("S4", "an asymmetrical architecture", BYOL, r"asymmetrical"),
    Item("S4", "SimSiam: a regular backbone", BYOL, r"regular backbone"),
    Item("S4", "DINO: two softargmax components of different temperature", DINO, r"softargmax\s+components"),
    Item("S4", "DINO: the energy is their cross-entropy", DINO, r"cross entropy between\s+these two"),
    Item("S4", "DINO: nothing is enforced on negatives", DINO, r"no\s+negatives"),
    Item("S4", "data2vec: a layer norm", DINO, r"What a layer norm can and cannot prevent"),
    Item("S4", "starting from a trivial solution", COLLAPSE, r"trivial solution"),
    Item("S4", "training dynamics keep away from collapse", COLLAPSE, r"dynamics"),
    # S4: improvements
    Item("S4", "random crop", START, r"crop"),
    Item("S4", "flip", START, r"flip"),
    Item("S4", "colour jitter", START, r"colou?r jitter"),
    Item("S4", "Gaussian blur", START, r"Gaussian blur"),
    Item("S4", "proposed by SimCLR, improved by BYOL", START, r"SimCLR.*BYOL"),
    Item("S4", "augmentation may matter more than the loss", START, r"than (changing )?the loss"),
    Item("S4", "masking; projector and expander; momentum encoder", LATER_MASKING),
]
