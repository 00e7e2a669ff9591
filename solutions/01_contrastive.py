# %% [markdown]
# # 01 · Contrastive learning: find the other view among many
#
# Two views of one image go through one network. The embeddings that come out should be close. That alone is easy:
# give every image the same embedding. Contrastive learning adds the missing request. The embedding of a view should
# be *closer* to its other view than to all other images. Close and far are compared in one softmax.
# You derive that loss, take it apart, train with it, and then remove the part that keeps it from collapsing.

# %% [markdown]
# ## What you will learn
#
# After this lesson you can
#
# 1. read InfoNCE as a classification whose labels are row numbers, and write it by loops and in three lines
#    (exercises 1.1 and 1.2);
# 2. say what changes when the positive leaves the sum, or when both views give anchors (exercises 1.3 and 1.4);
# 3. derive the gradient $P - I$ and read off which negatives push, and how hard (exercise 1.5);
# 4. say between which values the loss lies, and what it is at collapse;
# 5. split the loss into alignment and uniformity, and measure both (exercises 1.6 and 1.7);
# 6. read the contrast term as an estimate of entropy, and say what a larger batch buys;
# 7. take negatives from a queue, and say why it needs a momentum encoder (exercise 1.8);
# 8. remove the negatives, turn the temperature, and measure what happens.

# %% [markdown]
# ## Before you start
#
# You need linear algebra (inner products, lengths), some PyTorch (tensors, `backward`), and the picture of
# lesson 00: an image, two random views of it, an encoder that maps each view to an embedding.
# Nothing else from the course is required. The lesson runs on a laptop without a GPU and without a network.
#
# An exercise is a function for you to write. The cell below it checks it and tells you one of three things:
# *correct*; *incorrect*, with the mistake by name; *not attempted yet*.
# What you leave open is replaced by jemlib's own function, so the rest of the notebook runs in any case.
# Stuck? `hint(info_nce)` gives one hint at a time, and `solution(info_nce)` shows the answer.

# %%
import math

import torch
import torch.nn.functional as F

from jemlib import losses, plots
from jemlib.course import check, claim, hint, objectives_so_far, recorded_claims, solution, verify
from jemlib.train import current_scale

scale = current_scale()
print(f"Scale {scale.name}. Set the environment variable JEMLIB_SCALE to smoke, cpu or gpu to change it.")

# %% [markdown]
# ## Notation
#
# | symbol | in code | shape | meaning |
# | --- | --- | --- | --- |
# | $N$ | `n` | number | samples in the batch |
# | $D$ | `d` | number | dimensions of an embedding |
# | $Z^A$ | `z_a` | $(N, D)$ | embeddings of view A; row $i$ belongs to image $i$ |
# | $Z^B$ | `z_b` | $(N, D)$ | embeddings of view B of the same images, in the same order |
# | $u_i$, $v_j$ | `u`, `v` | $(N, D)$ | the rows of $Z^A$ and $Z^B$ divided by their lengths: points on the unit sphere |
# | $\tau$ | `temperature` | number | temperature, larger than 0 |
# | $\kappa$ | `kappa` | number | $1/\tau$ |
# | $S$ | `scores` | $(N, N)$ | $s_{ij} = \langle u_i, v_j\rangle / \tau$, cosines over the temperature |
# | $P$ | `p` | $(N, N)$ | softmax of each row of $S$ |
# | $I$ | `eye` | $(N, N)$ | the identity matrix |
# | $L$ | `info_nce` | number | the loss, in nats |
# | $\alpha$ | `alpha` | number | power of the distance in the alignment |
# | $t$ | `t` | number | inverse width of the kernel in the uniformity |
# | $R$ | `queue` | $(R, D)$ | keys of earlier batches, $R$ of them |
# | $m$ | `momentum` | number | share of the old weights that a momentum encoder keeps in a step |
#
# Indices: $i$ counts anchors, $j$ counts candidates. An *anchor* looks for its partner; a *candidate* may be it.
# The *positive* of anchor $i$ is candidate $i$, the other view of its image. All other candidates are *negatives*.
# The logarithm is the natural one.

# %% [markdown]
# ## Ladder: from hand numbers to the library
#
# Each step goes the same way: small numbers that you can check by hand, then a loop that mirrors the sum, then a few
# lines of tensor algebra, then the library. Here are the small numbers: $N = 2$ images, $D = 2$ dimensions, both views
# alike, $\tau = 1$.

# %%
h = torch.eye(2, dtype=torch.float64)
scores = h @ h.T / 1.0
print("scores:", scores.tolist())
print("probabilities of the candidates, row by row:")
print(scores.softmax(dim=1))

# %% [markdown]
# ### From classification to InfoNCE
#
# Think of a quiz. The question is an anchor $u_i$. There are $N$ answers, the candidates $v_1, \dots, v_N$, and exactly
# one is right: number $i$. A classifier gives each answer a score, and a softmax turns scores into probabilities:
#
# $$p_{ij} = \frac{e^{s_{ij}}}{\sum_{j'} e^{s_{ij'}}}, \qquad
# s_{ij} = \frac{\langle u_i, v_j\rangle}{\tau}, \qquad u_i = \frac{z^A_i}{|z^A_i|}, \quad v_j = \frac{z^B_j}{|z^B_j|} .$$
#
# The loss is the cross-entropy, minus the log of the probability of the right answer. The *label of row $i$ is $i$*.
# No person has to write it down, and that is the whole trick:
#
# $$L = -\frac1N \sum_i \log p_{ii}
# = \underbrace{-\frac1N\sum_i s_{ii}}_{\text{alignment}} + \underbrace{\frac1N\sum_i \log\sum_j e^{s_{ij}}}_{\text{contrast}} .$$
#
# This is InfoNCE. The first term pulls the positive closer. The second pushes all candidates away, the positive among
# them. By hand, for the two orthogonal images above: $p_{ii} = e / (e + 1)$, so $L = \log(1 + e^{-1})$.
#
# {{exercise:info_nce_loop}}
#
# Write the sums as you read them: a loop over $i$ and one over $j$. Return three scalars, `(total, alignment,
# contrast)`, with `total = alignment + contrast`. A tuple will do.


# %% exercise="info_nce_loop"
def info_nce_loop(z_a, z_b, temperature=0.2):
    """(total, alignment, contrast) of InfoNCE, by loops over anchors i and candidates j."""
    ### BEGIN SOLUTION
    n = len(z_a)
    alignment, contrast = z_a.new_zeros(()), z_a.new_zeros(())
    for i in range(n):
        exponentials = z_a.new_zeros(())
        for j in range(n):
            s_ij = z_a[i] @ z_b[j] / (z_a[i].norm() * z_b[j].norm()) / temperature
            exponentials = exponentials + torch.exp(s_ij)
            if i == j:
                alignment = alignment - s_ij / n
        contrast = contrast + torch.log(exponentials) / n
    return alignment + contrast, alignment, contrast
    ### END SOLUTION


# %% check="info_nce_loop"
info_nce_loop = check(info_nce_loop)

# %% tags=["nbval-check-output"]
verify("two orthogonal images pay log(1 + 1/e) at tau = 1", info_nce_loop(h, h, 1.0)[0], math.log(1 + math.exp(-1)))
three = torch.eye(3, dtype=torch.float64)
verify("three pay log(1 + 2 / e^2) at tau = 1/2", info_nce_loop(three, three, 0.5)[0], math.log(1 + 2 * math.exp(-2)))

# %% [markdown]
# ### The same loss in three lines
#
# All $N \times N$ cosines are one matrix product. The positives stand on the diagonal. `logsumexp` is the log of the
# sum of exponentials, computed so that nothing overflows: with $\tau = 0.001$ a single $e^{s}$ would already be
# infinite.
#
# {{exercise:info_nce}}


# %% exercise="info_nce"
def info_nce(z_a, z_b, temperature=0.2):
    """(total, alignment, contrast) of InfoNCE, as matrix algebra."""
    ### BEGIN SOLUTION
    scores = F.normalize(z_a, dim=1) @ F.normalize(z_b, dim=1).T / temperature
    alignment = -scores.diagonal().mean()
    contrast = scores.logsumexp(dim=1).mean()
    return alignment + contrast, alignment, contrast
    ### END SOLUTION


# %% check="info_nce"
info_nce = check(info_nce)

# %% tags=["nbval-check-output"]
generator = torch.Generator().manual_seed(0)
n, d = 7, 3
z_a = torch.randn(n, d, generator=generator, dtype=torch.float64)
z_b = z_a + 0.5 * torch.randn(n, d, generator=generator, dtype=torch.float64)
u, v = F.normalize(z_a, dim=1), F.normalize(z_b, dim=1)
scores = u @ v.T / 0.3
verify("loop and matrix agree", torch.stack(info_nce_loop(z_a, z_b, 0.3)), torch.stack(info_nce(z_a, z_b, 0.3)))
verify(
    "it is torch's cross-entropy with the row numbers as labels",
    info_nce(z_a, z_b, 0.3)[0],
    F.cross_entropy(scores, torch.arange(n)),
)

# %% [markdown]
# ### The loss of *Demystifying Contrastive Learning*
#
# The hand-written notes write the loss for any set of images $D$ and any set $D^+$ of positive pairs, with unit vectors
# $f(x)$. Completed, with its log and with the subscript put right (both are errata, shown near the end), it reads
#
# $$\mathcal L(D, D^+) = -\sum_{(x, x^+) \in D^+} \log
# \frac{e^{f(x)^\top f(x^+)/\tau}}{e^{f(x)^\top f(x^+)/\tau} + \sum_{\tilde x \in D:\ (x, \tilde x) \notin D^+} e^{f(x)^\top f(\tilde x)/\tau}} .$$
#
# The anchor $x$ runs over the first entries of the pairs, $\tilde x$ over its negatives. It is InfoNCE again: a sum
# over pairs in place of a mean. The cell takes $D$ as the batch of view B, and the pairs $(i, i)$ as $D^+$.


# %% tags=["nbval-check-output"]
def demystifying(f_x, f_candidates, positives, temperature):
    """The sum over positive pairs, as the formula has it; `positives` is a set of pairs of row numbers."""
    total = 0.0
    for i, positive in sorted(positives):
        similarity = torch.exp(f_candidates @ f_x[i] / temperature)
        negatives = sum(similarity[j] for j in range(len(f_candidates)) if (i, j) not in positives)
        total = total - torch.log(similarity[positive] / (similarity[positive] + negatives))
    return total


matching = {(i, i) for i in range(n)}
verify("it is N times InfoNCE", demystifying(u, v, matching, 0.3), n * info_nce(z_a, z_b, 0.3)[0])

# %% [markdown]
# ## Derivation: the positive, in the sum or out of it
#
# The notes have a second contrastive loss, in their comparison with Barlow Twins. They call it $d_{infoNCE}$, and name
# its two parts the *similarity term* and the *contrastive term*:
#
# $$L_{\text{decoupled}} = \underbrace{-\sum_b \frac{\langle z_b^A, z_b^B\rangle_i}{\tau\,|z_b^A|\,|z_b^B|}}_{\text{similarity term}}
# + \underbrace{\sum_b \log\Big(\sum_{b' \ne b} \exp\frac{\langle z_b^A, z_{b'}^B\rangle_i}{\tau\,|z_b^A|\,|z_{b'}^B|}\Big)}_{\text{contrastive term}} .$$
#
# Here $b$ counts samples and $\langle\cdot,\cdot\rangle_i$ is the inner product over the dimensions. One thing differs:
# the inner sum leaves out $b' = b$. The positive is *not* under the logarithm. We call this form *decoupled*. jemlib
# takes the mean over the batch, where the formula has a sum.
#
# {{exercise:decoupled_info_nce}}


# %% exercise="decoupled_info_nce"
def decoupled_info_nce(z_a, z_b, temperature):
    """(total, alignment, contrast) without the positive in the sum; means over N."""
    ### BEGIN SOLUTION
    scores = F.normalize(z_a, dim=1) @ F.normalize(z_b, dim=1).T / temperature
    alignment = -scores.diagonal().mean()
    positive = torch.eye(len(z_a), dtype=torch.bool)
    contrast = scores.masked_fill(positive, float("-inf")).logsumexp(dim=1).mean()
    return alignment + contrast, alignment, contrast
    ### END SOLUTION


# %% check="decoupled_info_nce"
decoupled_info_nce = check(decoupled_info_nce)

# %% [markdown]
# The two forms are linked, sample by sample. Let $x_i = -s_{ii} + \log\sum_{j\ne i} e^{s_{ij}}$ be the decoupled loss
# of anchor $i$. Then
#
# $$-\log p_{ii} = \log\frac{e^{s_{ii}} + \sum_{j\neq i} e^{s_{ij}}}{e^{s_{ii}}} = \log\big(1 + e^{x_i}\big) ,$$
#
# the *softplus* of $x_i$. Three things follow. InfoNCE is never negative. An anchor that is well placed ($x_i \ll 0$)
# pays almost nothing in InfoNCE, but goes on to earn in the decoupled form. And the decoupled form has no lower
# bound: divide by a smaller $\tau$, and it falls without end.

# %% tags=["nbval-check-output"]
eye = torch.eye(n, dtype=torch.float64)
per_anchor = scores.masked_fill(eye.bool(), float("-inf")).logsumexp(dim=1) - scores.diagonal()
verify("the mean of x is the decoupled form", per_anchor.mean(), decoupled_info_nce(z_a, z_b, 0.3)[0])
verify("the mean of softplus(x) is InfoNCE", F.softplus(per_anchor).mean(), info_nce(z_a, z_b, 0.3)[0])
verify("by hand, for two orthogonal images: -1 at tau = 1", decoupled_info_nce(h, h, 1.0)[0], -1)
verify("and -100 at tau = 1/100", decoupled_info_nce(h, h, 0.01)[0], -100)

# %% [markdown]
# ## Derivation: both views give anchors
#
# InfoNCE above looks from A to B only. SimCLR uses every embedding twice. Stack both views to $2N$ rows. Each row is an
# anchor. Its positive is the other view of its image, and the remaining $2N - 2$ rows are negatives, of *both* views.
# Only the anchor itself must not be found: it is masked. With $p(i)$ the row of the other view,
#
# $$L_{\text{NT-Xent}} = \frac{1}{2N} \sum_{i=1}^{2N}\Big[ -s_{i\,p(i)} + \log\sum_{j\ne i} e^{s_{ij}} \Big] .$$
#
# The name says *normalised temperature-scaled cross-entropy*.
#
# {{exercise:nt_xent}}


# %% exercise="nt_xent"
def nt_xent(z_a, z_b, temperature=0.5):
    """(total, alignment, contrast) of SimCLR's loss; means over the 2N anchors."""
    ### BEGIN SOLUTION
    n = len(z_a)
    both = F.normalize(torch.cat([z_a, z_b]), dim=1)
    scores = both @ both.T / temperature
    alignment = -scores.diagonal(n).mean()
    itself = torch.eye(2 * n, dtype=torch.bool)
    contrast = scores.masked_fill(itself, float("-inf")).logsumexp(dim=1).mean()
    return alignment + contrast, alignment, contrast
    ### END SOLUTION


# %% check="nt_xent"
nt_xent = check(nt_xent)

# %% [markdown]
# By hand, for the two orthogonal images at $\tau = 1$: every anchor has one other row at cosine 1 (its positive) and
# two at cosine 0. So $L = \log(e + 2) - 1$. And the views may be exchanged, because every row is an anchor anyway. For
# InfoNCE, which has a direction, that is not so.

# %% tags=["nbval-check-output"]
verify("by hand: log(e + 2) - 1", nt_xent(h, h, 1.0)[0], math.log(math.e + 2) - 1)
verify("the views may be exchanged in NT-Xent", nt_xent(z_b, z_a, 0.3)[0], nt_xent(z_a, z_b, 0.3)[0])
difference = info_nce(z_b, z_a, 0.3)[0] - info_nce(z_a, z_b, 0.3)[0]
verify("but not in InfoNCE", difference.abs() > 1e-3)

# %% [markdown]
# ## Predict, then run: halve the temperature
#
# **Question.** A batch of 256 embeddings that know nothing: both views are independent noise. You halve the
# temperature, from 0.2 to 0.1. Does the loss go up or down? And for a batch whose views agree well? Write down two
# words, then run the cell.

# %% tags=["nbval-check-output"]
clueless = [torch.randn(256, 16, generator=generator, dtype=torch.float64) for _ in range(2)]
good = clueless[0], clueless[0] + 0.3 * clueless[1]
for name, views in {"independent": clueless, "in agreement": good}.items():
    before, after = (float(info_nce(*views, temperature)[0]) for temperature in (0.2, 0.1))
    print(f"{name:13s} the loss goes {'up' if after > before else 'down'}")
verify("independent views at tau = 0.1 pay more than log N", info_nce(*clueless, 0.1)[0] > math.log(256))

# %% [markdown]
# <details><summary>Why</summary>
#
# The temperature does not change who is close to whom. It says how sure the softmax is of it. With a small temperature
# the nearest candidate gets almost all the probability. If that is the positive, the loss falls. If the embeddings know
# nothing, the nearest candidate is almost always the wrong one, and being sure of it costs more than saying "I do not
# know", which is worth $\log N$. So losses at two temperatures cannot be compared, and a temperature cannot be chosen
# by the loss.
#
# </details>

# %% [markdown]
# ## Derivation: the gradient
#
# The derivative of a cross-entropy with respect to its scores is *softmax minus label*:
#
# $$\frac{\partial L}{\partial s_{ij}} = \frac{1}{N}\big(p_{ij} - \delta_{ij}\big),
# \qquad\text{as a matrix } \frac1N (P - I) .$$
#
# ($\delta_{ij}$ is 1 for $i = j$ and 0 otherwise.) Each row sums to zero: what the negatives push is what the positive
# lacks. Begin with plain inner products, $s_{ij} = \langle z^A_i, z^B_j\rangle/\tau$. These are linear in $Z^A$, so
#
# $$\frac{\partial L}{\partial Z^A} = \frac{1}{N\tau}(P - I)\,Z^B, \qquad
# \frac{\partial L}{\partial Z^B} = \frac{1}{N\tau}(P - I)^\top Z^A .$$
#
# One more thing follows for the candidates. Their gradients sum to zero over the batch, because the columns of
# $(P-I)^\top$ sum to zero. That is the other side of an invariance: add one vector to all candidates, and each row of
# scores moves by a constant, which no softmax notices.


# %% tags=["nbval-check-output"]
def dot_product_loss(a, b, temperature):
    return F.cross_entropy(a @ b.T / temperature, torch.arange(len(a)))


a, b = z_a.clone().requires_grad_(), z_b.clone().requires_grad_()
dot_product_loss(a, b, 0.3).backward()
p = (z_a @ z_b.T / 0.3).softmax(dim=1)
verify("the rows of P - I sum to 0", (p - eye).sum(dim=1), 0)
verify("anchors: (P - I) z_b / (N tau) is what backward computes", a.grad, (p - eye) @ z_b / (n * 0.3))
verify("candidates: (P - I)^T z_a / (N tau)", b.grad, (p - eye).T @ z_a / (n * 0.3))
verify("the candidates' gradients sum to 0", b.grad.sum(dim=0), 0)
verify("the anchors' do not", a.grad.sum(dim=0).abs().max() > 1e-3)
shift = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
moved = dot_product_loss(z_a, z_b + shift, 0.3)
verify("one vector added to all candidates changes nothing", moved, dot_product_loss(z_a, z_b, 0.3))

# %% [markdown]
# Now the cosine. Let $g_i$ be the gradient for the unit vector $u_i$: the same formula with $v$ in place of $z^B$.
# The last step goes back through $u = z/|z|$. It takes away the part of $g_i$ along $u_i$, because the length of $z_i$
# does not matter:
#
# $$g = \frac{1}{N\tau}(P - I)\,V, \qquad
# \frac{\partial L}{\partial z_i} = \frac{1}{|z_i|}\big[g_i - \langle g_i, u_i\rangle\, u_i\big] .$$
#
# $V$ is the $(N, D)$ matrix whose rows are the $v_j$.
#
# {{exercise:info_nce_gradient}}
#
# Return the gradient of `info_nce` with respect to `z_a`, shape $(N, D)$, without automatic differentiation.


# %% exercise="info_nce_gradient"
def info_nce_gradient(z_a, z_b, temperature=0.2):
    """dL/dz_a of InfoNCE with cosines, in closed form, (N, D)."""
    ### BEGIN SOLUTION
    n = len(z_a)
    u, v = F.normalize(z_a, dim=1), F.normalize(z_b, dim=1)
    p = (u @ v.T / temperature).softmax(dim=1)
    g = (p - torch.eye(n, dtype=z_a.dtype)) @ v / (n * temperature)
    tangent = g - (g * u).sum(dim=1, keepdim=True) * u
    return tangent / z_a.norm(dim=1, keepdim=True)
    ### END SOLUTION


# %% check="info_nce_gradient"
info_nce_gradient = check(info_nce_gradient)

# %% [markdown]
# Two identities. The gradient of a row is orthogonal to that row. And one rotation of all embeddings of both views
# changes nothing, because cosines do not change. But the candidates' gradients do not sum to zero any more: a common
# shift changes directions, and so it changes cosines.

# %% tags=["nbval-check-output"]
gradient = info_nce_gradient(z_a, z_b, 0.3)
a, b = z_a.clone().requires_grad_(), z_b.clone().requires_grad_()
losses.info_nce(a, b, 0.3).total.backward()
rotation, _ = torch.linalg.qr(torch.randn(d, d, generator=generator, dtype=torch.float64))
verify("the closed form is what backward computes", gradient, a.grad)
verify("each row is orthogonal to its embedding", (gradient * z_a).sum(dim=1), 0)
verify("ten times shorter, ten times larger", info_nce_gradient(z_a / 10, z_b, 0.3), 10 * gradient)
verify(
    "a rotation of both views keeps the loss",
    info_nce(z_a @ rotation, z_b @ rotation, 0.3)[0],
    info_nce(z_a, z_b, 0.3)[0],
)
verify("with cosines the candidates' gradients do not sum to 0", b.grad.sum(dim=0).abs().max() > 1e-3)

# %% [markdown]
# ## Predict, then run: who pushes?
#
# In the gradient, negative $j$ has the weight $p_{ij}$. The *share* of a negative is its part of the sum of these
# weights over all negatives. An anchor has three negatives, at cosines 0.9, 0.7 and 0.
#
# **Question.** At $\tau = 1$ the nearest one has a little less than half of the push. How much has it at $\tau = 0.05$:
# about two thirds, about four fifths, or nearly everything?

# %% tags=["nbval-check-output"]
cosines = torch.tensor([0.9, 0.7, 0.0], dtype=torch.float64)
for temperature in (1.0, 0.2, 0.05):
    shares = (cosines / temperature).softmax(dim=0)
    print(f"tau = {temperature:4.2f}: shares in percent", [round(100 * float(share)) for share in shares])
verify("two negatives 0.2 apart: the ratio of their shares is e^4", shares[0] / shares[1], math.exp(0.2 / 0.05))

# %% [markdown]
# <details><summary>Why</summary>
#
# The ratio of two shares is $e^{(c_1 - c_2)/\tau}$. A difference of 0.2 between cosines, over $\tau = 0.05$, is $e^4$,
# more than fifty. A small temperature makes the loss look at the *hardest* negatives only. That sharpens fine
# differences. It also means that the hardest negative, which may well be another picture of the same thing, gets
# nearly all the push. The widget below lets you turn this knob.
#
# </details>

# %% [markdown]
# ## Predict, then run: four points on a circle
#
# **Question.** $N = 4$ images, $D = 2$ dimensions, $\tau = 0.5$, and both views always agree. You may place the four
# points on the circle as you like. Can the loss be zero? If not, why not, and would a third dimension help?
#
# The cell tries all placements on a grid of 24 angles, with the first point fixed.

# %% tags=["nbval-check-output"]
angle = 2 * torch.pi * torch.arange(24, dtype=torch.float64) / 24
steps_of = torch.cartesian_prod(torch.zeros(1, dtype=torch.long), *[torch.arange(24)] * 3)
places = angle[steps_of]
cosine = torch.cos(places[:, :, None] - places[:, None, :])
all_losses = ((cosine / 0.5).logsumexp(dim=2) - 1 / 0.5).mean(dim=1)
best = sorted(round(math.degrees(x)) for x in places[all_losses.argmin()].tolist())
print("the best of", len(places), "placements, in degrees:", best)
square = torch.tensor([[1.0, 0], [0, 1], [-1, 0], [0, -1]], dtype=torch.float64)
verify("it is a square", all_losses.min(), info_nce(square, square, 0.5)[0])
verify("and its loss is not zero", info_nce(square, square, 0.5)[0] > 0.2)

# A regular simplex: n points with all angles equal. Centred unit vectors; they span n - 1 dimensions.
simplex = torch.eye(4, dtype=torch.float64) - 1 / 4
verify("a tetrahedron, in three dimensions, is better", info_nce(simplex, simplex, 0.5)[0] < all_losses.min())

# %% [markdown]
# <details><summary>Why</summary>
#
# A cosine is never below $-1$, so no negative can be pushed infinitely far away, and $\log\sum_j e^{s_{ij}}$ always
# keeps a rest from the negatives. Only $\tau \to 0$ makes that rest vanish. And four points on a circle cannot all be
# far from each other. Neighbours on a square are at cosine 0, while the corners of a tetrahedron are at $-1/3$. More
# dimensions give more room. From $D = N - 1$ on there is no more to gain, as the next section shows.
#
# </details>

# %% [markdown]
# ## Derivation: how low, how high, and what collapse costs
#
# **Below.** Write the loss of an anchor as $\log\big(1 + \sum_{j\ne i} e^{s_{ij} - s_{ii}}\big)$. Let $\bar x$ be the
# mean of $s_{ij} - s_{ii}$ over all anchors and negatives. The function $\log(1 + (N-1)e^x)$ is increasing and convex,
# and so is $e^x$. Jensen's inequality, used for both, gives $L \ge \log\big(1 + (N-1)e^{\bar x}\big)$. How small can
# $\bar x$ be? Take identical views, so that $s_{ii} = 1/\tau$. The sum of all vectors has a length:
#
# $$0 \le \Big|\sum_i u_i\Big|^2 = N + \sum_{i}\sum_{j\ne i}\langle u_i, u_j\rangle , \qquad\text{so the mean cosine of
# two different samples is at least } -\frac{1}{N-1} .$$
#
# Together (different views cannot do better; the algebra is longer and ends at the same number):
#
# $$L \ \ge\ \log\Big(1 + (N-1)\, e^{-\left(1 + \frac{1}{N-1}\right)/\tau}\Big) .$$
#
# Equality needs all cosines equal: the regular simplex, which fits into $D \ge N - 1$ dimensions.
#
# **Above.** The worst that can happen to an anchor is $-1$ for its positive and $+1$ for all negatives, so
# $L \le \log\big(1 + (N-1)e^{2/\tau}\big)$.
#
# **Collapse.** If all embeddings coincide, all scores are equal, and every candidate has probability $1/N$:
# $L = \log N$. For NT-Xent there are $2N - 1$ candidates: $\log(2N - 1)$. Decoupled: $\log(N - 1)$. It is what *knowing
# nothing* costs, and neither $D$ nor $\tau$ changes it.


# %% tags=["nbval-check-output"]
def lower_bound(n, temperature):
    return math.log1p((n - 1) * math.exp(-(1 + 1 / (n - 1)) / temperature))


five = torch.eye(5, dtype=torch.float64) - 1 / 5
verify(
    "five points as a simplex attain the bound, tau = 0.1",
    info_nce(five, five, 0.1)[0],
    lower_bound(5, 0.1),
    tolerance=1e-12,
)
tries = [[torch.randn(6, 4, generator=generator, dtype=torch.float64) for _ in range(2)] for _ in range(200)]
inside = [lower_bound(6, 0.3) <= info_nce(a, b, 0.3)[0] <= math.log(1 + 5 * math.exp(2 / 0.3)) for a, b in tries]
verify("200 random pairs of views stay between the bounds", all(inside))
opposite = torch.tensor([[1.0, 0], [-1, 0]], dtype=torch.float64)
worst = info_nce(opposite, -opposite, 0.3)[0]
verify("two images, each at the place of the other, attain the upper one", worst, math.log(1 + math.exp(2 / 0.3)))
constant = torch.full((5, 3), 3.0, dtype=torch.float64)
verify("collapse costs log N", info_nce(constant, constant, 0.1)[0], math.log(5))
verify("and log(2N - 1) in NT-Xent, at any temperature", nt_xent(constant, constant, 0.7)[0], math.log(9))
verify("and log(N - 1) decoupled", decoupled_info_nce(constant, constant, 0.1)[0], math.log(4))

# %% [markdown]
# ## Derivation: just beside collapse
#
# Let all embeddings be nearly equal: $u_i = c + \text{something small}$, and $v_j$ alike. For unit vectors
# $\langle u, v\rangle = 1 - |u - v|^2/2$. Put that in, and expand
# $\log\sum_j e^{x_j} \approx \log N + \frac1N\sum_j x_j$ for small $x_j$:
#
# $$L = \log N + \frac{1}{2\tau}\Big(\underbrace{\frac1N\sum_i |u_i - v_i|^2}_{\text{views apart}} -
# \underbrace{\frac1{N^2}\sum_{i,j} |u_i - v_j|^2}_{\text{images apart}}\Big) + \dots$$
#
# The rest is of fourth order in the small deviations. So near collapse the loss is *alignment minus spread*, and
# spreading pays as soon as images differ more than views do. The gradient at the exact constant is zero, as for
# nearly every loss of this course. But the constant is a ridge and not a valley. Lesson 05 makes that precise.


# %% tags=["nbval-check-output"]
def beside_collapse(size):
    """InfoNCE and its expansion at embeddings that differ from a constant by `size`."""
    centre = torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64)
    a, b = F.normalize(centre + size * z_a, dim=1), F.normalize(centre + size * z_b, dim=1)
    apart = (a[:, None] - b[None]).square().sum(dim=2)
    expansion = math.log(n) + (apart.diagonal().mean() - apart.mean()) / (2 * 0.3)
    return losses.info_nce(a, b, 0.3).total, expansion


errors = [abs(float(loss - expansion)) for loss, expansion in map(beside_collapse, (0.02, 0.01))]
verify("expansion and loss agree to 1e-4 at deviations of 0.02", errors[0] < 1e-4)
verify(
    "half the deviation, a sixteenth of the error: fourth order", math.log2(errors[0] / errors[1]), 4, tolerance=0.05
)
leaf = torch.ones(5, 3, dtype=torch.float64, requires_grad=True)
losses.info_nce(leaf, leaf, 0.3).total.backward()
verify("at the constant the gradient is 0", leaf.grad, 0)

# %% [markdown]
# ## Derivation: the two limits of the temperature
#
# Let $c_{ij} = \langle u_i, v_j \rangle$ be the plain cosines.
#
# **Cold.** For $\tau \to 0$, a log-sum-exp becomes a maximum:
# $\tau L \to \frac1N\sum_i \max\big(0,\ \max_{j \ne i} c_{ij} - c_{ii}\big)$. Only the hardest negative counts, and
# only where it beats the positive. This is a triplet loss with the hardest negative and no margin.
#
# **Hot.** For $\tau \to \infty$, all candidates count alike:
# $\tau (L - \log N) \to \frac{1}{N^2}\sum_{i,j} c_{ij} - \frac1N \sum_i c_{ii}$. The push of a batch is then nothing
# but its mean: any embeddings whose mean is zero are content, whether they spread out or sit in two opposite heaps.

# %% tags=["nbval-check-output"]
c = u @ v.T
hardest = c.masked_fill(eye.bool(), float("-inf")).amax(dim=1)
cold, hot = 1e-5, 1e5
verify(
    "cold: the hardest negative",
    cold * info_nce(z_a, z_b, cold)[0],
    torch.relu(hardest - c.diagonal()).mean(),
    tolerance=1e-4,
)
pushed = hot * (info_nce(z_a, z_b, hot)[0] - math.log(n))
verify("hot: the mean", pushed, c.mean() - c.diagonal().mean(), tolerance=1e-4)
heaps = torch.tensor([[1.0, 0]] * 4 + [[-1.0, 0]] * 4, dtype=torch.float64)
octagon = torch.stack([angle[::3].cos(), angle[::3].sin()], dim=1)
difference = [tau * (info_nce(heaps, heaps, tau)[0] - info_nce(octagon, octagon, tau)[0]) for tau in (hot, 0.2)]
verify("hot: two heaps are as good as eight even points", difference[0], 0, tolerance=1e-4)
verify("at tau = 0.2 they are not", difference[1] > 0.1)

# %% [markdown]
# ## Derivation: alignment and uniformity
#
# The loss asks for two things. Give each its own number.
#
# **Alignment** is the mean distance between the two views of an image, to the power $\alpha$ (2 unless we say
# otherwise):
#
# $$\frac1N \sum_i |u_i - v_i|^\alpha .$$
#
# It is 0 when the views agree, and at most $2^\alpha$. The first term of InfoNCE carries the same name, and for $\alpha = 2$
# it is the same thing up to a factor and a constant: $-\frac1N\sum_i s_{ii} = \frac1\tau\big(\frac12\,\text{alignment} - 1\big)$.
#
# {{exercise:alignment}}


# %% exercise="alignment"
def alignment(z_a, z_b, alpha=2):
    """mean_i |u_i - v_i|^alpha, rows normalised."""
    ### BEGIN SOLUTION
    u, v = F.normalize(z_a, dim=1), F.normalize(z_b, dim=1)
    return (u - v).norm(dim=1).pow(alpha).mean()
    ### END SOLUTION


# %% check="alignment"
alignment = check(alignment)

# %% tags=["nbval-check-output"]
verify("the alignment term of InfoNCE", info_nce(z_a, z_b, 0.3)[1], (alignment(z_a, z_b) / 2 - 1) / 0.3)
flipped = z_a.clone()
flipped[0] = -flipped[0]
verify("one of seven views turned around: 2^alpha / 7", alignment(z_a, flipped, 3), 2**3 / 7)

# %% [markdown]
# **Uniformity** asks how evenly the samples of *one* view cover the sphere. Put a Gaussian bump on each, and average
# the overlap of all pairs:
#
# $$\log\Big[\frac{2}{N(N-1)}\sum_{i<j} e^{-t\,|u_i - u_j|^2}\Big], \qquad t = 2 \text{ unless we say otherwise.}$$
#
# It is 0 at collapse, and the lower the more even. It lies in $[-4t, 0]$.
#
# {{exercise:uniformity}}


# %% exercise="uniformity"
def uniformity(z, t=2):
    """log mean_{i<j} exp(-t |u_i - u_j|^2), rows normalised."""
    ### BEGIN SOLUTION
    u = F.normalize(z, dim=1)
    squared = 2 - 2 * u @ u.T
    pairs = torch.ones_like(squared).triu(diagonal=1).bool()
    return torch.exp(-t * squared[pairs]).mean().log()
    ### END SOLUTION


# %% check="uniformity"
uniformity = check(uniformity)

# %% [markdown]
# Sets of points whose uniformity you can say in your head: all pairs have one squared distance, so the value is
# $-t$ times it.

# %% tags=["nbval-check-output"]
triangle = torch.eye(3, dtype=torch.float64) - 1 / 3
verify("two opposite points: squared distance 4, so -8", uniformity(opposite), -8)
verify("a regular triangle: squared distance 3, so -6", uniformity(triangle), -6)
verify("three orthogonal vectors: squared distance 2, so -4", uniformity(three), -4)
verify("all in one place: 0", uniformity(constant), 0)

# %% [markdown]
# Now the loss. Put $\langle u, v\rangle = 1 - |u - v|^2/2$ into InfoNCE, and set $t = 1/(2\tau)$:
#
# $$L - \log N = t \cdot \frac1N\sum_i |u_i - v_i|^2 + \frac1N\sum_i \log\Big[\frac1N \sum_j e^{-t|u_i - v_j|^2}\Big] .$$
#
# This is exact for every $N$. The first term is $t$ times the alignment. The second is uniformity's cousin. It differs
# in three ways: it counts $j = i$ too, it compares A with B, and its logarithm stands *inside* the mean over $i$. For
# $N\to\infty$ the first difference vanishes, and the second if both views have one distribution. The third stays.
# A mean of logarithms is never above the logarithm of the mean (Jensen), and equal when every $i$ sees the same
# average, as for points spread evenly over the sphere. So the limit of InfoNCE is at most $t\,\cdot$ alignment $+$
# uniformity.

# %% tags=["nbval-check-output"]
t = 1 / (2 * 0.3)
overlap = torch.exp(-t * torch.cdist(u, v).square()).mean(dim=1)
verify(
    "InfoNCE - log N = t alignment + cousin of uniformity",
    info_nce(z_a, z_b, 0.3)[0] - math.log(n),
    t * alignment(z_a, z_b) + overlap.log().mean(),
)
verify("the cousin is never above log of the mean over all pairs", overlap.log().mean() <= overlap.mean().log())

# %% [markdown]
# The limit can be computed for points spread evenly over the sphere in $D$ dimensions. The mean of $e^{\kappa\langle
# u, v\rangle}$ over $v$ is then the same for every $u$. It is a power series, known as a hypergeometric function:
#
# $$E_v\, e^{\kappa\langle u, v\rangle} = \sum_{k\ge0} \frac{(\kappa^2/4)^k}{k!\ (D/2)(D/2+1)\cdots(D/2+k-1)} ,
# \qquad \text{for } D = 3: \quad \frac{\sinh\kappa}{\kappa} .$$
#
# With $\kappa = 2t$, the uniformity of the even distribution is its logarithm minus $2t$.
# In many dimensions it tends to $-2t$, that is $-4$ for $t = 2$: most points are then almost orthogonal to each other.


# %% tags=["nbval-check-output"]
def log_mean_exp_on_sphere(kappa, d):
    """log E exp(kappa <u, v>) for v spread evenly over the unit sphere in d dimensions, by its series."""
    k = torch.arange(2000, dtype=torch.float64)
    terms = 2 * k * math.log(kappa / 2) - torch.lgamma(k + 1) - torch.lgamma(k + d / 2) + math.lgamma(d / 2)
    return float(terms.logsumexp(dim=0))


verify("the series in 3 dimensions is sinh(kappa) / kappa", log_mean_exp_on_sphere(4.0, 3), math.log(math.sinh(4) / 4))
even_circle = torch.stack([angle.cos(), angle.sin()], dim=1)
on_circle = torch.exp(-2 * torch.cdist(even_circle, even_circle).square()).mean().log()
verify(
    "24 even points on a circle already have the limit for D = 2",
    on_circle,
    log_mean_exp_on_sphere(4.0, 2) - 4,
    tolerance=1e-6,
)
sample = torch.randn(3000, 16, generator=generator, dtype=torch.float64)
verify(
    "3000 random points in 16 dimensions are near theirs",
    uniformity(sample),
    log_mean_exp_on_sphere(4.0, 16) - 4,
    tolerance=0.005,
)
verify("in 10000 dimensions the limit is -4, to 1e-3", log_mean_exp_on_sphere(4.0, 10000) - 4, -4, tolerance=1e-3)

# %% [markdown]
# With many negatives it does not matter either whether the positive is in the sum: it is one of $N$ terms. The gap
# between InfoNCE and the decoupled form is $-\log(1 - p_{ii})$ per anchor, and it shrinks as $1/N$.

# %% tags=["nbval-check-output"]
gaps = []
for size in (16, 128, 1024):
    a, noise = (torch.randn(size, 3, generator=generator, dtype=torch.float64) for _ in range(2))
    pair = a, a + 0.3 * noise
    gaps.append(float(info_nce(*pair, 0.5)[0] - decoupled_info_nce(*pair, 0.5)[0]))
verify("the gap is positive and shrinks with N", gaps[0] > gaps[1] > gaps[2] > 0)
verify("8 times as many candidates, about an eighth of the gap", 6 < gaps[1] / gaps[2] < 10)

# %% [markdown]
# ## Derivation: the contrast term estimates an entropy
#
# The notes write beside the contrastive term: *non-parametric estimation of entropy of reps*. Here is what that means.
#
# Suppose you have $N$ points $v_j$ and want the density they come from, without a formula for it. Put a bump on each
# point and average: a *kernel density estimate*. On the sphere the natural bump is the von Mises-Fisher density
# $C_D(\kappa)\,e^{\kappa\langle u, v_j\rangle}$ with concentration $\kappa = 1/\tau$, and $C_D$ is the constant that
# makes it integrate to 1. The estimate of the density at $u$, and of the entropy $H = -E\log p(u)$, are
#
# $$\hat p(u) = \frac{C_D(\kappa)}{N}\sum_j e^{\kappa\langle u, v_j\rangle}, \qquad
# \hat H = -\frac1N\sum_i \log \hat p(u_i) = -\,\text{contrast} + \log N - \log C_D(\kappa) .$$
#
# (In a batch of views, point $j = i$ is the anchor's own other view: one bump sits almost on top of it.)
#
# So the contrast term is *minus an entropy estimate, up to constants*. To minimise it is to maximise the entropy of the
# embeddings. Nothing is assumed about the form of the distribution; that is what *non-parametric* says. Barlow Twins,
# in the next lesson, also holds up an entropy. It assumes a Gaussian and needs fewer samples; its paper calls that a
# *proxy*.
#
# Check it where the entropy is known. Points spread evenly over the sphere have $H = \log(\text{area})$, in three
# dimensions $\log 4\pi$, and $C_3(\kappa) = \kappa / (4\pi \sinh\kappa)$.


# %% tags=["nbval-check-output"]
def entropy_estimate(points, others, temperature):
    """The kernel estimate of the entropy of points on the sphere in 3 dimensions, from InfoNCE's contrast term."""
    kappa = 1 / temperature
    log_c = math.log(kappa / (4 * math.pi * math.sinh(kappa)))
    return -losses.info_nce(points, others, temperature).contrast + math.log(len(points)) - log_c


even = [torch.randn(2000, 3, generator=generator, dtype=torch.float64) for _ in range(2)]
heap = [points + 2 * torch.tensor([1.0, 0, 0], dtype=torch.float64) for points in even]
direct = torch.exp(F.normalize(even[0], dim=1) @ F.normalize(even[1], dim=1).T / 0.2) * 5 / (4 * math.pi * math.sinh(5))
verify("it is the kernel estimate", entropy_estimate(*even, 0.2), -direct.mean(dim=1).log().mean())
verify(
    "even points: the entropy is log(4 pi), to 0.02",
    entropy_estimate(*even, 0.2),
    math.log(4 * math.pi),
    tolerance=0.005,
)
verify("points in a heap have less", entropy_estimate(*heap, 0.2) < entropy_estimate(*even, 0.2) - 0.2)

# %% [markdown]
# How many samples does it take? The true answer is known for even points in any dimension, so the error can be printed:
# estimate minus truth, in nats. Look along a row, from $N = 32$ to $N = 2048$, and then down.

# %%
print(f"{'':14s}" + "".join(f"{f'N = {size}':>10s}" for size in (32, 256, 2048)))
for d_sphere in (3, 16, 64):
    for temperature in (0.5, 0.1, 0.02):
        row = []
        for size in (32, 256, 2048):
            a, b = (torch.randn(size, d_sphere, generator=generator) for _ in range(2))
            contrast = float(losses.info_nce(a, b, temperature).contrast)
            row.append(math.log(size) + log_mean_exp_on_sphere(1 / temperature, d_sphere) - contrast)
        print(f"D = {d_sphere:2d} tau = {temperature:4.2f}" + "".join(f"{error:10.3f}" for error in row))

# %% [markdown]
# Here the estimate is too high when samples are few: the bumps do not overlap, every point looks alone, and the
# estimate takes that for spread. A cold temperature means narrow bumps, and in many dimensions narrow bumps need a
# number of samples that no batch has.
# With wide bumps the error is small even in 64 dimensions, but for a poor reason: random points there have cosines near
# 0, a wide bump hardly tells one place from another, and such an estimate would miss most structure.
#
# ### The sign of the error
#
# In that table the points $v_j$ know nothing of the anchors. Then the estimate is too high on average, and one line
# says why. The logarithm is concave, so $E \log \hat p(u) \le \log E\,\hat p(u)$ (Jensen). For even points
# $E\,\hat p(u)$ is the true density: bumps that are averaged over the whole sphere are flat. Hence $E \hat H \ge H$.
#
# A batch of views is another case, because the sum includes $j = i$. If the two views agree, one bump sits exactly on
# the anchor. It alone is worth $e^{1/\tau}$, so the contrast is at least $1/\tau$, and
#
# $$\hat H \le \log N - \log C_D(1/\tau) - \frac1\tau , \qquad\text{wherever the other points are.}$$
#
# **Predict.** Narrow bumps, $\tau = 0.02$, in $D = 64$ dimensions. The views agree. Is the estimate still too high? And
# when $j = i$ is left out of the sum?

# %% tags=["nbval-check-output"]
size, d_sphere, temperature = 256, 64, 0.02
anchors, strangers = (torch.randn(size, d_sphere, generator=generator, dtype=torch.float64) for _ in range(2))
log_bump = log_mean_exp_on_sphere(1 / temperature, d_sphere)
independent = math.log(size) + log_bump - losses.info_nce(anchors, strangers, temperature).contrast
agreeing = math.log(size) + log_bump - losses.info_nce(anchors, anchors, temperature).contrast
left_out = math.log(size - 1) + log_bump - losses.decoupled_info_nce(anchors, anchors, temperature).contrast
verify("independent points: the estimate is too high", independent > 1)
verify("views that agree: it is too low", agreeing < -1)
verify("it is below the bound of the own bump", agreeing <= math.log(size) + log_bump - 1 / temperature)
verify("without the own bump it is too high again", left_out > 1)

# %%
for name, error in {"independent": independent, "agreeing": agreeing, "agreeing, j = i left out": left_out}.items():
    print(f"{name:26s} estimate - truth: {float(error):+7.2f} nats")

# %% [markdown]
# So the sign of the error depends on whether the views agree, that is, on what training changes. The contrast term
# still says *apart*. Its value is not to be read as an entropy.

# %% [markdown]
# ## Derivation: what a larger batch buys
#
# Let $x$ and $y$ be two related random variables: here, two views. Their *mutual information* $I(x; y)$ says how many
# nats one tells about the other. For any scores, the mean of InfoNCE over random batches obeys
#
# $$I(x; y)\ \ge\ \log N - E[L] .$$
#
# Two lines prove it. Take one anchor $x$ with its positive $y_1$; $y_2, \dots, y_N$ belong to other anchors and are
# independent of $x$. Let $f = e^{\text{score}}$ and $r = f(x, y_1) \big/ \frac1N \sum_j f(x, y_j)$, so that
# $\log N - E[L] = E[\log r]$. Then, by Jensen,
#
# $$E[\log r] - I = E\Big[\log r\,\frac{p(y_1)}{p(y_1 \mid x)}\Big]
# \le \log E\Big[r\,\frac{p(y_1)}{p(y_1 \mid x)}\Big] = \log \tilde E[r] = 0 .$$
#
# In $\tilde E$ the positive is drawn like the negatives: the fraction turned $p(y_1 \mid x)$ into $p(y_1)$. There all $N$
# candidates are alike, so each has the same mean share of their sum, and $\tilde E[r] = 1$. (The proof follows Poole and
# others, arXiv:1905.06922; the bound itself is commonly cited from the CPC paper, arXiv:1807.03748.)
#
# The last step needs the positive *in* the sum. In the decoupled form it is not: $r$ is then a candidate over the mean of
# *other* candidates, whose mean is at least 1, and the bound is gone. The cell enumerates every case of a world with
# three values of $x$ and three of $y$, at $N = 3$, for 50 random tables of scores and for the best one.

# %% tags=["nbval-check-output"]
from itertools import product

joint = torch.rand(3, 3, generator=generator, dtype=torch.float64) ** 3
joint = joint / joint.sum()
p_x, p_y = joint.sum(dim=1), joint.sum(dim=0)
shared = losses.mutual_information(joint)
cases = torch.tensor(list(product(range(3), repeat=4)))  # x, its positive, two negatives
chance = joint[cases[:, 0], cases[:, 1]] * p_y[cases[:, 2]] * p_y[cases[:, 3]]


def enumerated(table, positive_in_the_sum):
    """log of the number of candidates in the sum, minus the exact mean of the loss."""
    picked = table[cases[:, :1], cases[:, 1:]]
    candidates = picked if positive_in_the_sum else picked[:, 1:]
    return math.log(candidates.shape[1]) - (chance * (candidates.logsumexp(dim=1) - picked[:, 0])).sum()


best = (joint / torch.outer(p_x, p_y)).log()
tables = [best, *(3 * torch.randn(3, 3, generator=generator, dtype=torch.float64) for _ in range(50))]
included, excluded = (torch.stack([enumerated(table, flag) for table in tables]) for flag in (True, False))
verify("all cases together are certain", chance.sum(), 1)
verify("positive in the sum: no table of scores certifies more than I", (included <= shared).all())
verify("positive left out: the best scores promise more than there is", excluded[0] > shared)

# %% [markdown]
# The bound has a ceiling, too: $L \ge 0$, so the right side never exceeds $\log N$. A batch of 256 cannot certify more
# than $\log 256 \approx 5.5$ nats, however much the views share.
#
# The cell measures it where everything is known. $x$ and $y$ have $k = 10$ Gaussian entries, with correlation
# $\rho = 0.9$ each, so $I = -\frac{k}{2}\log(1 - \rho^2)$. The scores are the best possible ones, $\log p(y|x)/p(y)$.


# %% tags=["nbval-check-output"]
def certified(size, k=10, rho=0.9):
    """log N - InfoNCE with the best scores, averaged over batches of correlated Gaussian pairs."""
    values = []
    for _ in range(2048 // size):
        x, e = (torch.randn(size, k, generator=generator, dtype=torch.float64) for _ in range(2))
        y = rho * x + math.sqrt(1 - rho**2) * e
        # log p(y|x) - log p(y), for all pairs: both are Gaussians, of variance 1 - rho^2 and 1
        distances = torch.cdist(rho * x, y).square()
        scores = y.square().sum(dim=1) / 2 - distances / (2 * (1 - rho**2)) - k / 2 * math.log(1 - rho**2)
        values.append(math.log(size) - F.cross_entropy(scores, torch.arange(size)))
    return float(torch.stack(values).mean())


information = -10 / 2 * math.log(1 - 0.9**2)
bounds = {size: certified(size) for size in (8, 64, 512)}
print(f"the views share {information:.1f} nats")
for size, value in bounds.items():
    print(f"N = {size:3d} certifies {value:.1f} of at most log N = {math.log(size):.1f}")
verify("no batch certifies more than log N", all(value <= math.log(size) for size, value in bounds.items()))
verify("none certifies more than there is", all(value <= information for value in bounds.values()))
verify("a larger batch certifies more", bounds[8] < bounds[64] < bounds[512])

# %% [markdown]
# That is a statement about certificates, not about features. A larger batch raises the ceiling of a bound; whether it
# makes *better features* is a question for measurement, and the answer depends on data, temperature and time. What is
# sure: losses at different $N$ cannot be compared, because $\log N$ is in them.

# %% [markdown]
# ## Derivation: a queue in place of a large batch
#
# The lecture notes remark that contrastive methods need *a batch or pool of negative samples*, and that this makes
# distributed training awkward: every process must see the others' embeddings. A large batch costs memory, because every
# negative is embedded with its graph. MoCo's idea: negatives need no gradient. Keep the embeddings of past batches, the
# *keys*, in a queue of length $R$: first in, first out. A batch of $N$ queries then has $R$ negatives, and $R$ does
# not depend on $N$. For query $q_i$ with its key $k_i$ and the queue $w_1, \dots, w_R$, all normalised,
#
# $$L = \frac1N\sum_i\Big[-\frac{\langle q_i, k_i\rangle}{\tau} +
# \log\Big(e^{\langle q_i, k_i\rangle/\tau} + \sum_r e^{\langle q_i, w_r\rangle/\tau}\Big)\Big] .$$
#
# {{exercise:info_nce_queue}}
#
# `q` and `k` have shape $(N, D)$, `queue` has shape $(R, D)$. No gradient flows into `k` and `queue`.


# %% exercise="info_nce_queue"
def info_nce_queue(q, k, queue, temperature=0.2):
    """(total, alignment, contrast) with the key as positive and the queue as negatives."""
    ### BEGIN SOLUTION
    u = F.normalize(q, dim=1)
    positive = (u * F.normalize(k.detach(), dim=1)).sum(dim=1) / temperature
    negative = u @ F.normalize(queue.detach(), dim=1).T / temperature
    alignment = -positive.mean()
    contrast = torch.cat([positive[:, None], negative], dim=1).logsumexp(dim=1).mean()
    return alignment + contrast, alignment, contrast
    ### END SOLUTION


# %% check="info_nce_queue"
info_nce_queue = check(info_nce_queue)

# %% tags=["nbval-check-output"]
singles = []
for i in range(n):
    others = torch.cat([z_b[:i], z_b[i + 1 :]])
    singles.append(info_nce_queue(z_a[i : i + 1], z_b[i : i + 1], others, 0.3)[0])
verify("with the other rows as queue it is InfoNCE", torch.stack(singles).mean(), info_nce(z_a, z_b, 0.3)[0])
q, k = z_a.clone().requires_grad_(), z_b.clone().requires_grad_()
queue = torch.randn(20, d, generator=generator, dtype=torch.float64, requires_grad=True)
info_nce_queue(q, k, queue, 0.3)[0].backward()
verify("only the queries are trained", [q.grad is not None, k.grad is None, queue.grad is None], [True, True, True])
same = torch.ones(4, d, dtype=torch.float64)
verify("collapse costs log(1 + R)", info_nce_queue(same, same, same[:1].expand(20, d), 0.3)[0], math.log(21))

# %% [markdown]
# ### Why the keys need a slow encoder
#
# The keys in the queue are *stale*. Those at its end were made $R/N$ steps ago, by other weights. If the encoder moves
# fast, old keys can be told from new ones by their age alone. Then negatives are easy for the wrong reason. MoCo makes
# the keys with a *momentum encoder*, a copy $\xi$ of the trained weights $\theta$ that follows slowly:
#
# $$\xi \leftarrow m\,\xi + (1 - m)\,\theta, \qquad m \text{ close to } 1 .$$
#
# With $\theta$ held still the gap shrinks by $m$ in each step, so half of it is gone after about $\ln 2/(1-m)$ steps.
# In jemlib this is `MomentumEncoder`. The cell lets a linear encoder jitter about at random, and compares keys of the
# same inputs, made 16 steps apart.

# %% tags=["nbval-check-output"]
from torch import nn

from jemlib.nets import MomentumEncoder

student = nn.Linear(8, 4, bias=False).double()
with torch.no_grad():
    student.weight.copy_(torch.randn(4, 8, generator=generator, dtype=torch.float64))
momentum = 0.99
teacher = MomentumEncoder(student)
with torch.no_grad():
    student.weight.add_(1.0)
for _ in range(69):
    teacher.follow(student, momentum)
gap = student.weight - teacher.network.weight
verify("after k steps the gap is m^k of what it was", gap, torch.full((4, 8), momentum**69, dtype=torch.float64))
verify("69 steps are about the half-life ln 2 / (1 - m)", momentum**69, 0.5, tolerance=0.01)

inputs = torch.randn(100, 8, generator=generator, dtype=torch.float64)
keys = {"trained encoder": [], "momentum encoder": []}
for _ in range(200):
    with torch.no_grad():
        student.weight.add_(0.2 * torch.randn(4, 8, generator=generator, dtype=torch.float64))
        teacher.follow(student, momentum)
        keys["trained encoder"].append(student(inputs))
        keys["momentum encoder"].append(teacher(inputs))
drift = {name: 1 - F.cosine_similarity(made[-1], made[-17], dim=1).mean() for name, made in keys.items()}
verify("keys of the momentum encoder drift less", drift["momentum encoder"] < 0.2 * drift["trained encoder"])

# %% [markdown]
# The price is a second copy of the network, and keys that lag behind. In jemlib, the method `pcl` trains with `info_nce_queue`
# and a momentum encoder; without its clusters, `build("pcl", num_clusters=())`, it is MoCo in small. The rest of this
# lesson uses SimCLR, which needs neither queue nor momentum.

# %% [markdown]
# ## Experiment: between the value of collapse and the least value
#
# Now train. The data are `motifs`: generated images of ten patterns whose other factors (hues, position, rotation,
# noise and more) are drawn at random. The class is the pattern, and no label is used in training. This lesson compares
# many variants, so all of them are scored on *validation* images. The test images are kept for reported figures.

# %%
from jemlib.data import load
from jemlib.views import denormalize, make_views

images = load("motifs", "train", limit=scale.limit)
held_out = load("motifs", "validation", limit=None if scale.name != "smoke" else 200)
shown = images.pixels[:10]
pair = make_views(shown, "vicreg", generator=torch.Generator().manual_seed(0))
plots.image_grid([shown, denormalize(pair[0]), denormalize(pair[1])], ["image", "view A", "view B"])

# %% [markdown]
# The loop calls `record` every few steps. It measures loss, alignment and uniformity on the same batch of pairs each
# time, with your functions. Row 0 is the untrained network.

# %%
from jemlib.methods import build
from jemlib.nets import evaluating
from jemlib.train import fit

batch_size, temperature = scale.batch_size, 0.2
probe = make_views(images.pixels[:batch_size], "vicreg", generator=torch.Generator().manual_seed(1))
steps = scale.total_steps(len(images))
log_every = max(1, steps // 70)
measured = []


def record(method, row):
    with evaluating(method):
        device = next(method.parameters()).device
        z_a, z_b = (method.embed(view.to(device)).float().cpu() for view in probe)
    numbers = {
        "loss": nt_xent(z_a, z_b, temperature)[0],
        "alignment": alignment(z_a, z_b),
        "uniformity": uniformity(z_a),
    }
    measured.append({"step": row["step"], **{name: float(value) for name, value in numbers.items()}})


method = build("simclr", temperature=temperature, scale=scale)
record(method, {"step": 0})
history = fit(method, images, scale=scale, log_every=log_every, on_log=record, steps=steps)

# %%
from jemlib.course.lessons.lesson01_contrastive import figures

figures.between_bounds(measured, batch_size, temperature, title="SimCLR, measured on one batch of views")

# %% [markdown]
# The first point looks almost collapsed: all cosines are close to 1, and the loss is near $\log(2N-1)$. That is no
# property of the weights alone. `record` measures in *evaluation mode*, where batch norm subtracts running statistics.
# Before the first step these are still a mean of 0 and a variance of 1, so nothing is subtracted, and a large common
# part stays in the features. In *training mode* batch norm subtracts the mean of the batch, and the common part with it.
# The cell compares the two, with the same untrained weights and the same images.

# %%
from jemlib.diagnose import directional_spread

fresh = build("simclr", temperature=temperature, scale=scale)
with evaluating(fresh):
    in_evaluation = directional_spread(fresh.embed(probe[0]).float())
fresh.train()
with torch.no_grad():
    in_training = directional_spread(fresh.embed(probe[0]).float())
print(f"directional spread, untrained: {in_evaluation:.3f} in evaluation mode, {in_training:.3f} in training mode")
verify("in training mode the untrained network spreads at least twice as far", in_training > 2 * in_evaluation)

# %% [markdown]
# *Directional spread* is $1 - |\text{mean of the unit vectors}|^2$: 0 when all embeddings point one way.
#
# In the picture training buys uniformity. Alignment starts low because in evaluation mode everything is close to
# everything, and rises as images are pushed apart: compare it only between embeddings that are equally
# uniform. It stays above 0, since a random crop may show a part that tells little about the whole.
# The lower line is the simplex bound; it would take $N - 1$ dimensions and perfect views.

# %% [markdown]
# The training log holds the loss itself and its two terms, both divided by the temperature, batch after batch:

# %%
plots.curves(history)

# %% [markdown]
# ### What was learned, and the control
#
# A number means little alone. Beside the trained backbone stand the raw pixels and the *same backbone untrained*: the
# control of equal size. kNN asks whether images of one pattern lie close together in the features.

# %%
from jemlib.evaluate import knn
from jemlib.nets import features
from jemlib.views import normalize


def knn_of(module):
    return knn(
        features(module, images), images.labels, features(module, held_out), held_out.labels, k=min(20, len(images))
    )


raw_train, raw_held_out = (normalize(some.pixels).flatten(1) for some in (images, held_out))
raw = knn(raw_train, images.labels, raw_held_out, held_out.labels)
untrained = build("simclr", scale=scale).backbone
accuracy = {"raw pixels": raw, "untrained backbone": knn_of(untrained), "SimCLR": knn_of(method.backbone)}
for name, value in accuracy.items():
    print(f"{name:20s} kNN {value:.3f}")

# %% [markdown]
# **Claim**, tested here. `jem claims` tests it over three seeds with a third of the steps, which is the harder test:

# %%
claim("contrastive.learns", trained=accuracy["SimCLR"], untrained=accuracy["untrained backbone"])

# %% [markdown]
# The diagnosis panel says how many directions the embeddings use and how evenly they lie.

# %%
embed = nn.Sequential(method.backbone, method.projector)
plots.diagnose(features(embed, held_out), title="SimCLR, embeddings of held-out images")

# %% [markdown]
# ### Break it: no negatives, too hot, too cold, a small batch
#
# Five short runs that share backbone, data and seed, and see equally many images. The first is SimCLR as above. The
# next three differ from it in one setting. The last takes batches of an eighth of the size, with eight times as many
# steps.
#
# **Predict.** Which run collapses? Which one is the most uniform: hot, cold, or in between? And does the small batch
# hurt?

# %%
from jemlib.train import adjusted_scale

third = max(1, steps // 3)
small = adjusted_scale(scale, batch_size=max(2, batch_size // 8), warmup=8 * scale.warmup)
variants = {
    "tau = 0.2": ({"temperature": 0.2}, scale, third),
    "no negatives": ({"negatives": False}, scale, third),
    "hot, tau = 1": ({"temperature": 1.0}, scale, third),
    "cold, tau = 0.05": ({"temperature": 0.05}, scale, third),
    f"batch of {small.batch_size}": ({"temperature": 0.2}, small, 8 * third),
}
held_out_views = make_views(held_out.pixels, "vicreg", generator=torch.Generator().manual_seed(1))
ablation = {}
for name, (settings, size, length) in variants.items():
    short = build("simclr", scale=scale, **settings)
    fit(short, images, scale=size, steps=length, log_every=length)
    z = features(nn.Sequential(short.backbone, short.projector), held_out)
    with evaluating(short):
        device = next(short.parameters()).device
        pair = [short.embed(view.to(device)).float().cpu() for view in held_out_views]
    ablation[name] = {
        "knn": knn_of(short.backbone),
        "spread": float(directional_spread(z)),
        "alignment": float(alignment(*pair)),
        "uniformity": float(uniformity(z)),
    }
print(f"{'':18s} {'kNN':>6s} {'spread':>7s} {'alignment':>10s} {'uniformity':>11s}")
for name, row in ablation.items():
    print(f"{name:18s} {row['knn']:6.3f} {row['spread']:7.3f} {row['alignment']:10.3f} {row['uniformity']:11.3f}")

# %% [markdown]
# *Spread* is the directional spread again: 0 when all embeddings point one way.

# %%
intact, no_negatives, hot_run, *_ = ablation.values()
claim("contrastive.negatives-prevent-collapse", intact=intact["spread"], removed=no_negatives["spread"])
claim("contrastive.hot-is-less-uniform", intact=intact["uniformity"], hot=hot_run["uniformity"])
claim("contrastive.hot-learns-less", intact=intact["knn"], hot=hot_run["knn"])

# %%
figures.trade_off(ablation)

# %% [markdown]
# Without negatives the best answer is a constant: perfect alignment, no uniformity, and features that say nothing.
#
# What to expect of the temperatures follows from the derivations. Uniformity with $t = 2$ is what InfoNCE lowers at
# $\tau = 1/(2t) = 1/4$, so a run at 0.2 works on this very number. A hot run pushes against the mean of the batch. That
# mean goes away soon (spread near 1), and then hardly anything pushes. A cold run pushes only the nearest pairs apart,
# and what *all* embeddings have in common is nobody's concern in particular. So cold need not mean uniform; look whether
# the spread column agrees. Neither number alone says which features are better. kNN asks that directly.
#
# The small batch is one run, with settings that were chosen for the large one. It says how this loss lives with few
# negatives here, and nothing in general.
#
# ### On photographs, and on a GPU
#
# The same code trains on CIFAR-10. From a terminal in the course folder:
#
# ```
# jem train simclr --data cifar10 --scale cpu                  # downloads CIFAR-10 once
# jem train simclr --data folder:PATH --scale cpu              # your own train/<class>/*.jpg and test/<class>/*.jpg
# jem train simclr --scale gpu --set temperature=0.5           # ResNet-18, 200 epochs, one GPU
# ```

# %% [markdown]
# ## Widget: who pushes the anchor
#
# One anchor on the circle (star), its positive (disc), and negatives (triangles; the more ink, the larger the softmax
# weight). Arrows outside of the circle show the pull of the positive, the push of all negatives, and both together,
# along the circle and times $\tau$. The bars show how the push is shared. Look for three things.
#
# 1. Lower the temperature. The bars shrink to one: only the nearest negative pushes. The title counts how many push.
# 2. Put the positive at 0 degrees and the nearest negative at 60, at $\tau = 0.05$. The push is gone: the question is
#    answered, and nothing is left to learn from it.
# 3. Put the positive at 180 degrees. It has hardly any pull along the circle: the sine of 180 degrees is 0. The
#    negatives have to do the work.

# %%
figures.forces_widget()

# %% [markdown]
# The same picture for readers on paper, at two temperatures.

# %%
figures.forces(temperature=0.5, batch_size=12, nearest=30, positive=20)

# %%
figures.forces(temperature=0.05, batch_size=12, nearest=30, positive=20)

# %% [markdown]
# ## What the sources got wrong
#
# The numbers are those of the course's list of errata.
#
# **E5 (hand-written notes): the log is missing.** The notes print the loss of *Demystifying* as $-\sum p$, the
# probability itself, where $-\sum \log p$ belongs. For the two orthogonal images at $\tau = 1$ that gives
# $-2e/(e+1) = -1.46212$ in place of $2\log(1 + e^{-1}) = 2 \times 0.31326$. Worse than the value is the gradient. For
# the score of the positive,
#
# $$\frac{\partial(-\log p)}{\partial s_{ii}} = -(1 - p), \qquad \frac{\partial(-p)}{\partial s_{ii}} = -p\,(1 - p) .$$
#
# The extra factor $p$ is small exactly where help is needed: the worse a positive is ranked, the less it is pulled.

# %% tags=["nbval-check-output"]
without_log = -torch.softmax(h @ h.T, dim=1).diagonal().sum()
verify("the notes' form: -1.46212", without_log, -1.46212, tolerance=1e-5)
verify("with the log: 2 x 0.31326", demystifying(h, h, {(0, 0), (1, 1)}, 1.0), 2 * 0.31326, tolerance=1e-5)
ranks = torch.tensor([4.0, 0.0, -4.0, -8.0], dtype=torch.float64)  # score of the positive; four negatives have 0
slopes = {}
for name, loss in {"with log": lambda p: -p.log(), "without": lambda p: -p}.items():
    row = torch.cat([ranks[:, None], torch.zeros(4, 4, dtype=torch.float64)], dim=1).requires_grad_()
    loss(row.softmax(dim=1)[:, 0]).sum().backward()
    slopes[name] = row.grad[:, 0]
probability = ranks.exp() / (ranks.exp() + 4)
verify("the ratio of the two gradients is p", slopes["without"] / slopes["with log"], probability)
verify("the worst positive gets the largest pull with the log", slopes["with log"].argmin(), 3)
verify("and the smallest without it", slopes["without"].argmax(), 3)

# %% [markdown]
# **E5, second part: the pair in the subscript.** The notes' inner sum runs over $\tilde x$ with
# "$x, \tilde x \notin D^+$". But $D^+$ holds pairs. If it is read as "images that are in no positive pair", nothing is
# left: every image of a batch is in one. The denominator is then the numerator, and the loss is 0 for any embeddings.
# It must read $(x, \tilde x) \notin D^+$.

# %% tags=["nbval-check-output"]
in_a_pair = {j for pair in matching for j in pair}
left_over = [j for j in range(n) if j not in in_a_pair]
verify("images that are in no positive pair: none", len(left_over), 0)
numerator = torch.exp(scores.diagonal())
read_literally = -torch.log(numerator / (numerator + torch.exp(scores[:, left_over]).sum(dim=1))).sum()
verify("the loss is then 0 for any embeddings", read_literally, 0)

# %% [markdown]
# **E2 (hand-written notes): the temperature is missing, and the positive is not in the sum.** The notes' $d_{infoNCE}$
# has no $\tau$, that is $\tau = 1$. Cosines end at $\pm1$, so without a temperature the softmax cannot become sure. For
# $N = 256$ even the best embeddings that exist, a simplex, leave the positive a probability of about one percent, and
# pay not much less than collapse does. And with the positive excluded, the formula is not the usual InfoNCE, but the
# decoupled form. Keep both, and call them by their names.

# %% tags=["nbval-check-output"]
best_of_256 = torch.eye(256, dtype=torch.float64) - 1 / 256
verify(
    "the simplex attains the bound without temperature",
    info_nce(best_of_256, best_of_256, 1.0)[0],
    lower_bound(256, 1.0),
)
verify("the best probability is about one percent", math.exp(-lower_bound(256, 1.0)), 0.01, tolerance=0.001)
verify("the best loss is more than 80 % of that of collapse", lower_bound(256, 1.0) > 0.8 * math.log(256))
verify("with tau = 0.1 it is almost nothing", lower_bound(256, 0.1) < 0.02)
notes_form = -(h * h).sum() + torch.log(torch.exp(torch.tensor([h[0] @ h[1], h[1] @ h[0]]))).sum()
verify("the notes' form at two orthogonal images: -2", notes_form, -2)
verify("it is the decoupled form, summed, at tau = 1", notes_form, 2 * decoupled_info_nce(h, h, 1.0)[0])

# %% [markdown]
# **P13 (a trap in code): `torch.pdist` at coincident points.** Uniformity is often written with `torch.pdist`, which
# takes a root. Where two points coincide the root has no slope, and torch returns 0 by convention. The first derivative
# of the *squared* distance is 0 there as well, so training is fine. The second derivative is not 0, but torch says so.
# Whoever asks whether collapse is a ridge or a valley gets *flat* for an answer. Squared distances from inner products
# do not have the problem. The cell uses jemlib's uniformity, which is written that way; yours may be right by `pdist`.

# %% tags=["nbval-check-output"]
from jemlib import diagnose
from jemlib.theory import curvature

together = torch.ones(4, 3, dtype=torch.float64) / math.sqrt(3)
with_pdist = curvature(lambda z: torch.pdist(F.normalize(z, dim=1)).square().mul(-2).exp().mean().log(), together)
with_products = curvature(diagnose.uniformity, together)
verify("pdist: no curvature at collapse", with_pdist, 0)
verify("the true curvature is -4t / (N - 1)", with_products.min(), -4 * 2 / 3)

# %% [markdown]
# One sentence of the lecture notes is too wide, too: that *all* methods before a certain point need a batch or pool of
# negative samples (E20). It is true of the methods of this lesson. Barlow Twins and VICReg, of the next ones, have no
# negatives; they couple the samples of a batch by its statistics.

# %% [markdown]
# ## Take-away
#
# - InfoNCE is a classification with the row number as label. Cross-entropy does the rest.
# - Two terms: alignment pulls the positive, contrast pushes everything apart. Without contrast all collapses.
# - The gradient for the scores is $(P - I)/N$. A negative pushes in proportion to its softmax probability.
# - The temperature says how much the nearest negatives count. Cold: only the hardest. Hot: only the mean of the batch.
# - Collapse costs $\log N$ (NT-Xent: $\log(2N-1)$), whatever the temperature. The least value needs a simplex.
# - The loss is alignment plus a cousin of uniformity, exactly. The contrast term is minus a kernel estimate of entropy.
# - Losses at different $N$ or $\tau$ cannot be compared.
# - A queue gives many negatives to a small batch. Its keys are stale, so a slow encoder makes them.
#
# ### What was recorded
#
# The claims of this lesson, each measured with three seeds (`jem claims --seeds 3`):

# %%
recorded_claims("01_contrastive")

# %% [markdown]
# The table of objectives so far. Each lesson adds its rows.

# %%
objectives_so_far("simclr")

# %% [markdown]
# Next: lesson 02 compares dimensions with dimensions where this one compared samples with samples (Barlow Twins).

# %% [markdown]
# ## Quiz
#
# **1.** A run with batch 256 and NT-Xent shows a loss of 6.24 from the first step to the last. What happened?
#
# <details><summary>Answer</summary>
#
# $\log(2 \cdot 256 - 1) = \log 511 \approx 6.24$: all candidates look alike, so the embeddings are collapsed. Look at
# the directional spread and at the learning rate: the first steps may have been too large. With batch norm in training
# mode a network does not start there. If only the *evaluated* loss has this value at the start, it is the running
# statistics of batch norm, which still are 0 and 1.
#
# </details>
#
# **2.** Somebody changes $\tau$ from 0.5 to 0.1, and the training loss falls. Are the features better?
#
# <details><summary>Answer</summary>
#
# One cannot say. For embeddings that rank their positives well, a smaller $\tau$ lowers the loss without any change of
# the embeddings. Compare kNN or a linear probe.
#
# </details>
#
# **3.** All embeddings of both views are multiplied by 100. What happens to the loss, and to its gradient?
#
# <details><summary>Answer</summary>
#
# With cosines the loss stays the same. The gradient becomes 100 times smaller, because it has the factor $1/|z_i|$.
# With plain inner products the scores would grow ten thousand times: the same as a much smaller temperature.
#
# </details>
#
# **4.** In a batch, two images happen to show the same thing. What does InfoNCE do with them?
#
# <details><summary>Answer</summary>
#
# It treats them as negatives of each other, and since they are close they are *hard* negatives: they get a large weight
# $p_{ij}$. The smaller $\tau$, the larger their share of the push. The loss cannot know.
#
# </details>
#
# **5.** The decoupled loss of a run with $\tau = 0.05$ and $N = 256$ is $-12$ and still falling, while its kNN stands
# still. Is that possible?
#
# <details><summary>Answer</summary>
#
# Yes. At a fixed $\tau$ the only floor is that of the simplex, $\log(N-1) - \frac{N}{(N-1)\tau} \approx -14.5$ here.
# Anchors that are right already go on to earn. InfoNCE is the softplus of it, so there they would earn nothing more.
#
# </details>
#
# **6.** Why not fill MoCo's queue with keys of the trained encoder itself, and save the second network?
#
# <details><summary>Answer</summary>
#
# The trained encoder moves at every step. Keys of different age would come from different encoders, and be told apart
# by age rather than by content. The momentum encoder moves slowly, so that its keys stay comparable over the length of
# the queue.
#
# </details>

# %% [markdown]
# ## References
#
# - A. van den Oord, Y. Li, O. Vinyals: *Representation Learning with Contrastive Predictive Coding*, arXiv:1807.03748.
#   InfoNCE: eq. 4. The bound on mutual information is commonly cited from here.
# - B. Poole, S. Ozair, A. van den Oord, A. Alemi, G. Tucker: *On Variational Bounds of Mutual Information*, ICML 2019,
#   arXiv:1905.06922. The proof of that bound for any scores, with the positive among the candidates.
# - T. Chen, S. Kornblith, M. Norouzi, G. Hinton: *A Simple Framework for Contrastive Learning of Visual Representations*
#   (SimCLR), arXiv:2002.05709. NT-Xent: eq. 1. Official code: google-research/simclr (there the sum of both directions,
#   twice the value here).
# - K. He, H. Fan, Y. Wu, S. Xie, R. Girshick: *Momentum Contrast for Unsupervised Visual Representation Learning* (MoCo),
#   arXiv:1911.05722. The loss with a queue: eq. 1. In-batch form: MoCo v3, arXiv:2104.02057, eq. 1. The factor $2\tau$
#   is not in that equation. It is in the official code, facebookresearch/moco-v3, `ctr_loss`, which sums both
#   directions; in the paper it stands, as far as we remember, in Algorithm 1.
# - T. Wang, P. Isola: *Understanding Contrastive Representation Learning through Alignment and Uniformity on the
#   Hypersphere*, arXiv:2005.10242. The limit of InfoNCE: theorem 1. Official code: SsnL/align_uniform.
# - J. Zbontar, L. Jing, I. Misra, Y. LeCun, S. Deny: *Barlow Twins*, arXiv:2103.03230. Comparison with InfoNCE, and the
#   reading of its terms as entropy estimates: section 5.1.
# - S. Purushwalkam, A. Gupta: *Demystifying Contrastive Self-Supervised Learning*, arXiv:2007.13916. The loss as above
#   follows the notes and the abstract; the paper's own typesetting was not available to us.
# - Q. Garrido and others: *On the Duality between Contrastive and Non-Contrastive Self-Supervised Learning*,
#   arXiv:2206.02574, section 3: penalising the Gram matrix of samples or that of dimensions is the same up to norms.
