# %% [markdown]
# # 04 · VICReg: three forces on a cloud of points
#
# A batch of embeddings is a cloud of points. VICReg pushes it around with three forces.
# One pulls the two views of an image together. One keeps every dimension of the cloud wide. One keeps the dimensions
# from moving together. Each force has a term of its own, and each term has a gradient that you can write down.
# You derive the terms and the gradients, drag the points yourself, train, and then take the forces away one at a time.

# %% [markdown]
# ## What you will learn
#
# After this lesson you can
#
# 1. compute the covariance of a batch, and say why it is centred and divided by $N - 1$ (exercises 4.1 and 4.2);
# 2. write the variance term and the covariance term, and say which collapse each one prevents (exercises 4.3 and 4.4);
# 3. put the loss together in the scale of the official code (exercise 4.5);
# 4. convert weights between the paper's scale and the code's (exercise 4.6);
# 5. derive the gradient of the variance term, and say what the root in it is for (exercise 4.7);
# 6. say for which strength of augmentation collapse becomes a resting place;
# 7. set VICReg beside Barlow Twins: what each normalises, and what each is blind to;
# 8. remove each term and measure what goes wrong.

# %% [markdown]
# ## Before you start
#
# You need linear algebra (matrix products, covariance), some PyTorch (tensors, `backward`), and the picture of
# lesson 00: an image, two random views of it, an encoder that maps each view to an embedding.
# Lesson 02 (Barlow Twins) helps with the comparison, but nothing else from the course is required.
# The lesson runs on a laptop without a GPU and without a network.
#
# An exercise is a function for you to write. The cell below it checks it and tells you one of three things:
# *correct*; *incorrect*, with the mistake by name; *not attempted yet*.
# What you leave open is replaced by jemlib's own function, so the rest of the notebook runs in any case.
# Stuck? `hint(covariance_matrix)` gives one hint at a time, and `solution(covariance_matrix)` shows the answer.

# %%
import torch

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
# | $Z^A, Z^B$ | `z_a`, `z_b` | $(N, D)$ | embeddings of the two views; row $b$ of both belongs to image $b$ |
# | $\bar z$ | `z.mean` | $(D,)$ | mean of the rows of a branch |
# | $C$ | `covariance_matrix`, `cov` | $(D, D)$ | covariance of the dimensions of *one* branch, over the batch |
# | $S_j$ | `spread` | $(D,)$ | standard deviation of dimension $j$, with $\epsilon$: $\sqrt{C_{jj} + \epsilon}$ |
# | $\sigma_j$ | `sigma` | number | standard deviation without $\epsilon$: $\sqrt{C_{jj}}$ |
# | $\gamma$ | `gamma` | number | the spread that is wide enough |
# | $\epsilon$ | `eps` | number | added to the variance under the root |
# | $s$ | `invariance` | number | squared distance of the two views |
# | $v$ | `variance_hinge` | number | variance term of one branch |
# | $c$ | `covariance_penalty` | number | covariance term of one branch |
# | $\lambda, \mu, \nu$ | `invariance`, `variance`, `covariance` | numbers | weights of the three terms |
# | $L$ | `vicreg` | number | the loss |
# | $\eta$ | `noise` | number | variance of the augmentation over that of the signal |
# | $\rho$ | `rho` | number | size of embeddings that shrink towards a constant |
#
# Indices: $b$ counts samples, $i$ and $j$ count dimensions. In the code, `invariance` is a weight where it is an
# argument, and a term where it is a field of the result.

# %% [markdown]
# ## Where the method stands
#
# The lecture notes file Barlow Twins under *redundancy reduction* and VICReg under *information maximisation*, as the
# two methods that come from information theory. Both avoid negatives. The notes say that such methods need no special
# architecture. That is so: no predictor, no stop-gradient, no momentum copy, no memory bank. The two branches need not
# even share weights, because each branch is kept from collapse by terms of its own.
#
# They also say that the method gets along with a comparatively small batch. What can be shown here is how the size of
# the batch enters. No sum runs over pairs of samples. The batch only estimates a $D \times D$ covariance, and a small
# batch makes that estimate noisy. For independent dimensions of variance 1, an off-diagonal entry that should be 0 has
# a mean square of $1/(N-1)$. So chance alone gives a covariance term of about $(D-1)/(N-1)$ a branch.

# %% tags=["nbval-check-output"]
generator = torch.Generator().manual_seed(0)
n, d, draws = 9, 4, 40_000
noise_batches = torch.randn(draws, n, d, generator=generator, dtype=torch.float64)
centred = noise_batches - noise_batches.mean(dim=1, keepdim=True)
covs = centred.transpose(1, 2) @ centred / (n - 1)
by_chance = (covs.square().sum(dim=(1, 2)) - covs.diagonal(dim1=1, dim2=2).square().sum(dim=1)) / d
verify("chance alone gives (D-1)/(N-1)", by_chance.mean(), (d - 1) / (n - 1), tolerance=0.01)

# %% [markdown]
# Two collapses have to be prevented. The lecture's names for them:
#
# - **Type 1.** Every image gets the same embedding. The cloud is a point.
# - **Type 2.** Embeddings differ, but they carry little information: the dimensions are correlated and repeat each other
#   (*informational collapse*). The cloud is a line, or some other flat thing.
#
# Lesson 05 is about them. Here you need only the pictures: a point and a line.

# %% [markdown]
# ## Ladder: from hand numbers to the library
#
# Small numbers first, $N = 4$ samples and $D = 2$ dimensions. Then a loop that mirrors the sum, then one line of tensor
# algebra, then the library.

# %%
h = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]], dtype=torch.float64)
print(h)
print("mean over the batch:", h.mean(dim=0).tolist())
print("sum of squares of each column:", h.square().sum(dim=0).tolist())
print("inner product of the two columns:", float(h[:, 0] @ h[:, 1]))

# %% [markdown]
# Divided by $N - 1 = 3$: both dimensions have variance $4/3$ and covariance $0$. The cloud is the four corners of a
# square.

# %% [markdown]
# ### The covariance, as a loop
#
# $$C_{ij} = \frac{1}{N-1}\sum_b (z_{bi} - \bar z_i)(z_{bj} - \bar z_j), \qquad \bar z_j = \frac1N\sum_b z_{bj} .$$
#
# The diagonal holds variances. Off the diagonal stands how much two dimensions move together. Unlike a correlation it
# keeps its units: stretch a dimension by 2 and its variance grows by 4. That is wanted here, because the variances are
# about to get a term of their own.
#
# {{exercise:covariance_matrix_loop}}
#
# Write the sum as you read it. Input $(N, D)$, output $(D, D)$.


# %% exercise="covariance_matrix_loop"
def covariance_matrix_loop(z):
    """The (D, D) covariance of the dimensions over the batch, by loops over i, j and b."""
    ### BEGIN SOLUTION
    n, d = z.shape
    centred = z - z.mean(dim=0)
    cov = z.new_zeros(d, d)
    for i in range(d):
        for j in range(d):
            for b in range(n):
                cov[i, j] = cov[i, j] + centred[b, i] * centred[b, j] / (n - 1)
    return cov
    ### END SOLUTION


# %% check="covariance_matrix_loop"
covariance_matrix_loop = check(covariance_matrix_loop)

# %% tags=["nbval-check-output"]
copies = h[:, :1].expand(-1, 2)
verify("the square: variances 4/3, covariance 0", covariance_matrix_loop(h), [[4 / 3, 0], [0, 4 / 3]])
verify("two copies of a column: every entry is 4/3", covariance_matrix_loop(copies), 4 / 3)

# %% [markdown]
# ### The same matrix in one line
#
# The sum over $b$ is a matrix product of the centred batch $Z_c$ with itself: $C = Z_c^\top Z_c / (N - 1)$.
#
# {{exercise:covariance_matrix}}


# %% exercise="covariance_matrix"
def covariance_matrix(z):
    """The (D, D) covariance of the dimensions over the batch, as one matrix product."""
    ### BEGIN SOLUTION
    centred = z - z.mean(dim=0)
    return centred.T @ centred / (len(z) - 1)
    ### END SOLUTION


# %% check="covariance_matrix"
covariance_matrix = check(covariance_matrix)

# %% tags=["nbval-check-output"]
z_a = torch.randn(7, 3, generator=generator, dtype=torch.float64)
z_b = z_a + 0.5 * torch.randn(7, 3, generator=generator, dtype=torch.float64)
verify("loop and product agree", covariance_matrix_loop(z_a), covariance_matrix(z_a))
verify("so does torch.cov", covariance_matrix(z_a), torch.cov(z_a.T))
verify("the diagonal holds the unbiased variances", covariance_matrix(z_a).diagonal(), z_a.var(dim=0))
verify("a shift changes nothing", covariance_matrix(z_a + 5), covariance_matrix(z_a))
verify("twice as large, four times the covariance", covariance_matrix(2 * z_a), 4 * covariance_matrix(z_a))

# %% [markdown]
# ## Derivation: three pushes, three terms
#
# The lecture lists what the loss pushes. Each push becomes a term.
#
# 1. **Positive pairs closer**, so that embeddings do not depend on the augmentation: the squared distance $s$.
# 2. **Variance up**, against a collapse of type 1: every diagonal entry of $C$ should be large enough.
# 3. **Covariance down**, against a collapse of type 2: every other entry of $C$ should be 0.
#
# ### Variance up, but only so far
#
# $$v(Z) = \frac1D\sum_j \max\big(0,\ \gamma - S_j\big), \qquad S_j = \sqrt{C_{jj} + \epsilon} .$$
#
# This is a *hinge*: a dimension with $S_j \ge \gamma$ pays nothing, and nothing pushes it further. Every dimension has
# its own hinge. A wide one cannot pay for a narrow one. The usual numbers are $\gamma = 1$ and $\epsilon = 10^{-4}$.
#
# {{exercise:variance_hinge}}
#
# The function gets the covariance matrix, because the other term needs it too.


# %% exercise="variance_hinge"
def variance_hinge(cov, gamma, eps):
    """(1/D) sum_j max(0, gamma - sqrt(Cov_jj + eps)) for a (D, D) covariance."""
    ### BEGIN SOLUTION
    spread = torch.sqrt(cov.diagonal() + eps)
    return torch.relu(gamma - spread).mean()
    ### END SOLUTION


# %% check="variance_hinge"
variance_hinge = check(variance_hinge)

# %% [markdown]
# ### Covariance down
#
# $$c(Z) = \frac1D\sum_i\sum_{j\neq i} C_{ij}^2 .$$
#
# A sum over $D(D-1)$ entries, divided by $D$. It grows with $D$, and with the *fourth* power of the size of the
# embeddings.
#
# {{exercise:covariance_penalty}}


# %% exercise="covariance_penalty"
def covariance_penalty(cov):
    """(1/D) sum_{i != j} Cov_ij^2 for a (D, D) covariance."""
    ### BEGIN SOLUTION
    return (cov.square().sum() - cov.diagonal().square().sum()) / len(cov)
    ### END SOLUTION


# %% check="covariance_penalty"
covariance_penalty = check(covariance_penalty)

# %% [markdown]
# Verify on clouds whose terms you can work out in your head.

# %% tags=["nbval-check-output"]
square, line = covariance_matrix(h), covariance_matrix(copies)
verify("the square is wide enough: v = 0", variance_hinge(square, 1.0, 1e-4), 0)
verify("and its dimensions do not covary: c = 0", covariance_penalty(square), 0)
verify("the line is wide enough in both dimensions: v = 0", variance_hinge(line, 1.0, 1e-4), 0)
verify("but they move together: c = (4/3)^2 = 16/9", covariance_penalty(line), 16 / 9)
point = covariance_matrix(torch.full((4, 2), 3.0, dtype=torch.float64))
verify("a point pays v = gamma - sqrt(eps) = 0.99", variance_hinge(point, 1.0, 1e-4), 0.99)
verify("and is perfect in the eyes of c", covariance_penalty(point), 0)

# %% [markdown]
# Each regulariser sees one collapse and is blind to the other. The line satisfies $v$; the point satisfies $c$ and,
# with both views in it, $s$ too. That is why there are two of them.
#
# ### The loss
#
# In the scale of the official code, with weights $\lambda = \mu = 25$ and $\nu = 1$:
#
# $$L = \lambda\, \underbrace{\frac{1}{ND}\sum_{b,j} (z^A_{bj} - z^B_{bj})^2}_{\text{invariance}}
# + \mu\, \underbrace{\frac{v(Z^A) + v(Z^B)}{2}}_{\text{variance}}
# + \nu\, \underbrace{\big(c(Z^A) + c(Z^B)\big)}_{\text{covariance}} .$$
#
# Only the first term brings the two branches together. The other two look at each branch by itself.
#
# {{exercise:vicreg}}
#
# Return four scalars: the total and the three terms, the terms without weights. A tuple will do.


# %% exercise="vicreg"
def vicreg(z_a, z_b, invariance=25.0, variance=25.0, covariance=1.0, gamma=1.0, eps=1e-4):
    """(total, invariance, variance, covariance) of two views, each (N, D), in the scale of the official code."""
    ### BEGIN SOLUTION
    s = (z_a - z_b).square().mean()
    cov_a, cov_b = covariance_matrix(z_a), covariance_matrix(z_b)
    v = (variance_hinge(cov_a, gamma, eps) + variance_hinge(cov_b, gamma, eps)) / 2
    c = covariance_penalty(cov_a) + covariance_penalty(cov_b)
    return invariance * s + variance * v + covariance * c, s, v, c
    ### END SOLUTION


# %% check="vicreg"
vicreg = check(vicreg)

# %% [markdown]
# Five pairs of clouds whose loss you can say before you run the cell. Cover the right side, and guess.

# %% tags=["nbval-check-output"]
constant = torch.full((4, 2), 3.0, dtype=torch.float64)
to_the_right = torch.tensor([1.0, 0.0], dtype=torch.float64)
clouds = {
    "the square, twice": (h, h),
    "the square, and moved by (1, 0)": (h, h + to_the_right),
    "the line, twice": (copies, copies),
    "the line at half size, twice": (copies / 2, copies / 2),
    "one point": (constant, constant),
}
for name, (view_a, view_b) in clouds.items():
    total, *terms = vicreg(view_a, view_b)
    listed = ", ".join(f"{float(term):.4f}" for term in terms)
    print(f"{name:32s} {float(total):8.4f}   invariance, variance, covariance: {listed}")
verify("a point: 25 x 0.99 = 24.75", vicreg(constant, constant)[0], 24.75)
verify("the square and its shift: 25 x 1/2 = 12.5", vicreg(h, h + to_the_right)[0], 12.5)
verify("the line at half size", vicreg(copies / 2, copies / 2)[0], 25 * (1 - (1 / 3 + 1e-4) ** 0.5) + 2 / 9)

# %% [markdown]
# ## Derivation: the paper's scale and the code's
#
# The paper writes the loss with other normalisations. It sums the invariance over the dimensions, and it adds the
# variance terms of the branches instead of averaging them:
#
# $$L_{\text{paper}} = \lambda\, \frac1N\sum_b \lVert z^A_b - z^B_b\rVert^2 + \mu\,\big(v(Z^A) + v(Z^B)\big)
# + \nu\,\big(c(Z^A) + c(Z^B)\big) .$$
#
# Both are published with "25, 25, 1". They are not the same objective. Compare term by term, and find with which
# weights the code's loss becomes the paper's.
#
# {{exercise:vicreg_paper}}
#
# Return the paper's total, a scalar, by calling `vicreg` with other weights.


# %% exercise="vicreg_paper"
def vicreg_paper(z_a, z_b, invariance=25.0, variance=25.0, covariance=1.0, gamma=1.0, eps=1e-4):
    """VICReg's total in the paper's scale; the weights are the paper's lambda, mu and nu."""
    ### BEGIN SOLUTION
    return vicreg(z_a, z_b, invariance * z_a.shape[1], 2 * variance, covariance, gamma, eps)[0]
    ### END SOLUTION


# %% check="vicreg_paper"
vicreg_paper = check(vicreg_paper)

# %% tags=["nbval-check-output"]
line_at_half = 50 * (1 - (1 / 3 + 1e-4) ** 0.5) + 2 / 9
verify("a point: 49.5 instead of 24.75", vicreg_paper(constant, constant), 49.5)
verify("the line at half size: 21.35 instead of 10.79", vicreg_paper(copies / 2, copies / 2), line_at_half)
verify("the square and its shift: 25 instead of 12.5", vicreg_paper(h, h + to_the_right), 25)
squared_distance = (z_a - z_b).square().sum(dim=1).mean()
hinges = sum((1 - (z.var(dim=0) + 1e-4).sqrt()).clamp(min=0).mean() for z in (z_a, z_b))
written_out = 25 * squared_distance + 25 * hinges + vicreg(z_a, z_b)[3]
verify("the formula of the paper, written out", vicreg_paper(z_a, z_b), written_out)

# %% [markdown]
# Read the other way: the code's 25, 25, 1 are the paper's $\lambda = 25/D$, $\mu = 12.5$, $\nu = 1$. At the published
# $D = 8192$ that is a $\lambda$ of about $0.003$. Whoever copies "25, 25, 1" from the paper into a library that takes
# sums pulls the views together $D$ times harder. Further down you see what that does.

# %% [markdown]
# ## Derivation: what the loss cannot see
#
# A common shift of both views changes nothing. Separate shifts leave the two regularisers alone and cost only
# invariance. A rotation keeps distances, so $s$ stays. And $v$ and $c$? Both are read off $C$ in the given axes.
# A rotation $Q$ turns $C$ into $Q^\top C\, Q$, whose sum of squared entries (the Frobenius norm) is the same. Split that sum
# into the diagonal and the rest:
#
# $$\frac1D\lVert C\rVert_F^2 = c(Z) + \frac1D\sum_j C_{jj}^2 .$$
#
# So the rotation can only move cost between the covariances and the variances.

# %% tags=["nbval-check-output"]
shift_a, shift_b = torch.randn(2, 3, generator=generator, dtype=torch.float64)
before = torch.stack(list(vicreg(z_a, z_b)))
together = torch.stack(list(vicreg(z_a + shift_a, z_b + shift_a)))
apart = torch.stack(list(vicreg(z_a + shift_a, z_b + shift_b)))
verify("a common shift changes no term", together, before)
verify("separate shifts leave variance and covariance alone", apart[2:], before[2:])
gap = (z_a - z_b).mean(dim=0)
cost = ((gap + shift_a - shift_b).square() - gap.square()).mean()
verify("they change the invariance by the distance of the means", apart[1] - before[1], cost)
rotation, _ = torch.linalg.qr(torch.randn(3, 3, generator=generator, dtype=torch.float64))
turned = z_a @ rotation
frobenius = [covariance_matrix(z).square().sum() / 3 for z in (z_a, turned)]
split = [covariance_penalty(covariance_matrix(z)) + z.var(dim=0).square().sum() / 3 for z in (z_a, turned)]
verify("c plus the squared variances is |C|^2 / D, before and after", split, frobenius)
verify("and a rotation keeps it", frobenius[1], frobenius[0])

# %% [markdown]
# ## Predict, then run: a rotation
#
# The cloud below has two independent dimensions, one wide and one narrow. Both views are the same, so $s = 0$.
#
# **Question.** The cloud is turned by 45 degrees. Does $v$ go up, down, or stay? And $c$? Which of the two would the
# loss rather have?

# %% tags=["nbval-check-output"]
ellipse = h * torch.tensor([1.2, 0.3], dtype=torch.float64)
eighth = torch.tensor([[1.0, 1.0], [-1.0, 1.0]], dtype=torch.float64) / 2**0.5
for name, z in {"as it is": ellipse, "turned": ellipse @ eighth}.items():
    total, s, v, c = vicreg(z, z)
    print(f"{name:9s} total {float(total):7.4f}   variance {float(v):.4f}, covariance {float(c):.4f}")

# %% [markdown]
# <details><summary>Why</summary>
#
# Turned, both dimensions have the same, middling spread. Here that is wide enough for the hinge, so $v$ goes down to 0.
# But the two now move together, so $c$ goes up. With weights 25 and 1 the turned cloud is the cheaper one: VICReg may
# *prefer* dimensions that covary a little to a dimension that is narrow. The axes mean something to this loss, as they
# do to Barlow Twins, and unlike for InfoNCE.
#
# </details>

# %% [markdown]
# ## Predict, then run: who pulls harder?
#
# The lecture's notes put the hinge on the variance itself, $\max(0, \gamma - C_{jj})$. The paper puts it on the
# standard deviation, and calls that crucial: near collapse, it says, the gradient of the variance goes to zero.
#
# **Question.** A dimension has shrunk to $\sigma = 0.001$, and $\epsilon = 10^{-4}$. By what factor does the hinge on
# the standard deviation pull harder? Is it about 2, 50, 500, or without bound? And which one pulls harder at
# $\sigma = 0.8$?

# %% tags=["nbval-check-output"]
sample = torch.randn(8, 1, generator=generator, dtype=torch.float64)
unit = (sample - sample.mean()) / sample.std()


def pull_of(hinge, sigma):
    leaf = (sigma * unit).requires_grad_()
    hinge(leaf.var()).backward()
    return float(leaf.grad.norm())


for sigma in (0.8, 0.5, 0.1, 0.001, 0.00001):
    on_std = pull_of(lambda variance: 1 - torch.sqrt(variance + 1e-4), sigma)
    on_variance = pull_of(lambda variance: 1 - variance, sigma)
    print(f"sigma = {sigma:7.5f}: std {on_std:.2e}, variance {on_variance:.2e}, ratio {on_std / on_variance:6.2f}")

# %% [markdown]
# <details><summary>Why</summary>
#
# The factor is $1/(2S)$, because $dS = dC_{jj} / (2S)$. With $\epsilon > 0$ the root cannot fall below
# $\sqrt\epsilon = 0.01$, so the factor stops at $1/(2\sqrt\epsilon) = 50$. Below $\sigma = 0.01$ *both* pulls die out, at
# the same rate. Above $\sigma = 1/2$ the hinge on the variance is the stronger one. The next section derives this.
#
# </details>

# %% [markdown]
# ## Derivation: the gradient of the variance term
#
# Three steps of the chain rule. From the term to the standard deviation, to the variance, to a sample:
#
# $$\frac{\partial v}{\partial S_j} = -\frac1D\,[S_j < \gamma], \qquad \frac{\partial S_j}{\partial C_{jj}} = \frac{1}{2 S_j},
# \qquad \frac{\partial C_{jj}}{\partial z_{bj}} = \frac{2\,(z_{bj} - \bar z_j)}{N-1} .$$
#
# The bracket is 1 where the condition holds and 0 elsewhere. The mean depends on $z_{bj}$ too, but its part vanishes:
# deviations from the mean sum to zero. Together
#
# $$\frac{\partial v}{\partial z_{bj}} = -\frac{[S_j < \gamma]}{D\,(N-1)}\,\frac{z_{bj} - \bar z_j}{S_j} .$$
#
# Every sample is pushed away from the mean of its dimension, in proportion to its distance.
#
# {{exercise:variance_gradient}}
#
# Return $\partial v/\partial Z$ of one branch, shape $(N, D)$, without automatic differentiation.


# %% exercise="variance_gradient"
def variance_gradient(z, gamma=1.0, eps=1e-4):
    """dv/dz of one branch in closed form, (N, D)."""
    ### BEGIN SOLUTION
    n, d = z.shape
    spread = torch.sqrt(z.var(dim=0) + eps)
    return (spread < gamma) * (z.mean(dim=0) - z) / (d * (n - 1) * spread)
    ### END SOLUTION


# %% check="variance_gradient"
variance_gradient = check(variance_gradient)

# %% [markdown]
# The other two terms are quicker. The invariance is a plain square. For the covariance write $C^{\text{off}}$ for $C$
# with zeros on the diagonal, and $Z_c$ for the centred batch:
#
# $$\frac{\partial s}{\partial z^A_{bj}} = \frac{2\,(z^A_{bj} - z^B_{bj})}{ND}, \qquad
# \frac{\partial c}{\partial Z} = \frac{4}{D\,(N-1)}\, Z_c\, C^{\text{off}} .$$

# %% tags=["nbval-check-output"]
small = 0.7 * z_a
leaf_a, leaf_b = small.clone().requires_grad_(), z_b.clone().requires_grad_()
total, s, v, c = losses.vicreg(leaf_a, leaf_b)
by_torch = [torch.autograd.grad(term, leaf_a, retain_graph=True)[0] for term in (s, v, c)]
cov = covariance_matrix(small)
off = cov - torch.diag(cov.diagonal())
n, d = small.shape
verify("invariance: 2 (a - b) / (N D)", 2 * (small - z_b) / (n * d), by_torch[0])
# The loss averages the two branches, so one of them carries a half.
verify("variance: the exercise's closed form", variance_gradient(small) / 2, by_torch[1])
verify("covariance: 4 Zc C_off / (D (N-1))", 4 / (d * (n - 1)) * (small - small.mean(dim=0)) @ off, by_torch[2])
verify("a wide enough cloud feels no variance force at all", variance_gradient(10 * small), 0)

# %% [markdown]
# ### Standard deviation against variance
#
# Take one dimension with standard deviation $\sigma$. The deviations have length $\sqrt{N-1}\,\sigma$, so
#
# $$\lVert\nabla S\rVert = \frac{1}{\sqrt{N-1}}\,\frac{\sigma}{\sqrt{\sigma^2+\epsilon}}, \qquad
# \lVert\nabla C_{jj}\rVert = \frac{2\,\sigma}{\sqrt{N-1}} .$$
#
# The first is constant as long as $\sigma \gg \sqrt\epsilon$. The second shrinks with $\sigma$ from the start.

# %% tags=["nbval-check-output"]
n = len(unit)
for sigma in (0.7, 0.07, 0.007, 0.0007):
    std_formula, variance_formula = sigma / (sigma**2 + 1e-4) ** 0.5 / (n - 1) ** 0.5, 2 * sigma / (n - 1) ** 0.5
    verify(f"|dS| at {sigma}", pull_of(lambda variance: torch.sqrt(variance + 1e-4), sigma), std_formula)
    verify(f"|dVar| at {sigma}", pull_of(lambda variance: variance, sigma), variance_formula)

# %%
from jemlib.course.lessons.lesson04_vicreg import figures

figures.pull()

# %% [markdown]
# What of the exact constant, $\sigma = 0$? With $\epsilon > 0$ the gradient there is exactly zero: a perfectly collapsed
# batch stays where it is. With $\epsilon = 0$ automatic differentiation meets $0 \cdot \infty$ and returns NaN.

# %% tags=["nbval-check-output"]


def gradient_of_the_constant(eps):
    leaf = torch.ones(4, 2, dtype=torch.float64, requires_grad=True)
    losses.variance_hinge(losses.covariance_matrix(leaf), 1.0, eps).backward()
    return leaf.grad


verify("with eps the gradient of the constant is exactly 0", gradient_of_the_constant(1e-4), 0)
verify("without eps it is NaN", gradient_of_the_constant(0.0).isnan().any())

# %% [markdown]
# ## Derivation: when is collapse a resting place?
#
# A pull that goes to zero matters only if something pulls the other way. The invariance term does: it wants small
# embeddings, because small embeddings of two views are close. Who wins near the constant?
#
# Let the embeddings be $z = \text{const} + \rho\,(u + e)$. The signal $u$ is common to both views and has variance 1 in
# each dimension. The augmentation adds $e$, drawn anew for each view, of variance $\eta$. Let the scale $\rho$ go to zero,
# and collect what is proportional to $\rho^2$. In the code's scale:
#
# - invariance: $\lambda \cdot 2\eta\,\rho^2$, because the difference of two independent draws has variance $2\eta$;
# - hinge on the variance: $-\mu\,(1+\eta)\,\rho^2$;
# - hinge on the standard deviation: $-\mu\,(1+\eta)\,\rho^2 / (2\sqrt\epsilon)$, from
#   $\sqrt{x + \epsilon} \approx \sqrt\epsilon + x/(2\sqrt\epsilon)$;
# - covariance: nothing, it starts with $\rho^4$.
#
# If the sum is positive, shrinking lowers the loss: collapse is locally stable. If it is negative, the constant is left.
# In the paper's scale the first line has $D$ times the weight and the other two have twice the weight.
# `scale_coefficient` holds the sum. The cell compares it with jemlib's losses, measured at a small $\rho$.

# %% tags=["nbval-check-output"]
from jemlib.course.lessons.lesson04_vicreg.figures import signal_and_noise
from jemlib.theory import critical_noise, scale_coefficient, vicreg_variance_hinge


def measured_coefficient(form, hinge, noise, n=4096, d=4, rho=1e-4):
    """(L(rho) - L(0)) / rho^2 from the losses themselves."""
    view_a, view_b = signal_and_noise(n, d, noise)
    loss = {"std": losses.vicreg, "variance": vicreg_variance_hinge}[hinge]
    weights = {"code": (25.0, 25.0, 1.0), "paper": (25.0 * d, 50.0, 1.0)}[form]
    return (loss(rho * view_a, rho * view_b, *weights).total - loss(0 * view_a, 0 * view_b, *weights).total) / rho**2


for form in ("code", "paper"):
    for hinge in ("std", "variance"):
        measured = [measured_coefficient(form, hinge, noise) for noise in (0.1, 2.0)]
        expected = [scale_coefficient(noise, 4, form=form, hinge=hinge) for noise in (0.1, 2.0)]
        verify(f"{form} scale, hinge on {hinge}", measured, expected, tolerance=2e-3)

# %% [markdown]
# Set the sum to zero and solve for $\eta$: the *critical noise*. Above it, collapse is a resting place. With
# $\lambda = \mu$:
#
# | | hinge on the variance | hinge on the standard deviation, $\epsilon = 10^{-4}$ |
# | --- | --- | --- |
# | code's scale | $\eta > 1$ | never |
# | paper's scale | $\eta > 1/(D-1)$ | $\eta > 100/(2D - 100)$, never for $D \le 50$ |
#
# The table explains two things at once. The root makes the push 50 times stronger near collapse. And the paper's scale
# makes the pull $D$ times stronger, so at $D = 8192$ a very small noise is enough.
# The cell compares the formulas with jemlib's. The wording "stable" is about shrinking along all dimensions at once,
# for embeddings that move freely. A network has more ways to go, so read it as a direction, not as a prediction.

# %% tags=["nbval-check-output"]
inf = float("inf")
verify("code, variance: 1", critical_noise(8192, hinge="variance"), 1)
verify("code, std: never", critical_noise(8192), inf)
paper_variance = [critical_noise(d, form="paper", hinge="variance") for d in (2, 64, 8192)]
verify("paper, variance: 1/(D-1)", paper_variance, [1 / (d - 1) for d in (2, 64, 8192)])
paper_std = [critical_noise(d, form="paper") for d in (50, 51, 64, 8192)]
verify("paper, std: 100/(2D-100), never up to 50", paper_std, [inf] + [100 / (2 * d - 100) for d in (51, 64, 8192)])
verify("with eps = 0: never, for any weights", critical_noise(8192, form="paper", eps=0.0), inf)
signs = [measured_coefficient("code", "variance", noise) > 0 for noise in (0.95, 1.05)]
verify("measured: the sign changes between 0.95 and 1.05", signs, [False, True])

# %% [markdown]
# The same as a picture, in the code's scale, for $\eta$ below and above 1. Look at the left end of each curve: does it
# leave $\rho = 0$ downwards or upwards?

# %%
figures.valleys(noises=(0.5, 2.0))

# %% [markdown]
# The left curves leave with a slope: the standard deviation has a *kink* at collapse (rounded off by $\epsilon$), and a
# straight line beats any parabola near zero. The right ones leave as parabolas, one up, one down. Strong augmentation
# then decides against the signal.

# %% [markdown]
# ## Derivation: beside Barlow Twins
#
# | | Barlow Twins | VICReg |
# | --- | --- | --- |
# | matrix | cross-*correlation*, view A with view B | *covariance*, each branch by itself |
# | normalises | each dimension, over the batch | nothing |
# | views together | $\sum_i (1 - C_{ii})^2$ | mean squared distance |
# | against type 1 | standardising: a constant gets $C_{ii} = 0$ | hinge on the standard deviation |
# | against type 2 | $C_{ij} \to 0$ across the branches | $C_{ij} \to 0$ within each branch |
# | blind to | shift and scale of each dimension, in each view by itself | a common shift; any spread above $\gamma$ (but $c$ and $s$ feel it) |
# | branches | regularised together, by one $D \times D$ matrix across them | each regularised by itself |
# | dimensions | $j$ of view A is matched with $j$ of view B | the same, by the mean squared distance |
# | rotation of both views | changes the loss | changes the loss |
#
# Once columns are standardised the two say much the same. Write $\hat Z$ for standardised columns, then
#
# $$1 - C_{ii} = \frac{1}{2N}\sum_b (\hat z^A_{bi} - \hat z^B_{bi})^2 .$$
#
# The diagonal of Barlow Twins is a squared distance between views. And for two identical views, standardised, its
# redundancy is $D\,c$ up to $N$ against $N-1$.

# %% tags=["nbval-check-output"]
hat_a, hat_b = losses.standardize(z_a, 0.0), losses.standardize(z_b, 0.0)
n, d = z_a.shape
diagonal = losses.cross_correlation(z_a, z_b, 0.0).diagonal()
verify("1 - C_ii is half the mean squared distance", 1 - diagonal, (hat_a - hat_b).square().mean(dim=0) / 2)
redundancy = losses.barlow_twins(z_a, z_a, eps=0.0).redundancy
penalty = covariance_penalty(covariance_matrix(hat_a))
verify("redundancy = D c ((N-1)/N)^2", redundancy, d * penalty * ((n - 1) / n) ** 2)

# %% [markdown]
# What each is blind to, as a check. The last line is a case in which the matrices disagree: each branch repeats itself,
# but the branches have nothing in common. The *cross*-correlation off the diagonal is zero and sees no redundancy. The
# covariance of each branch does.

# %% tags=["nbval-check-output"]
stretch = torch.tensor([3.0, 0.2, 5.0], dtype=torch.float64)


def barlow(view_a, view_b):
    return losses.barlow_twins(view_a, view_b, eps=0.0)


verify(
    "Barlow Twins: a stretch and a shift of view A only", barlow(z_a * stretch + 1, z_b).total, barlow(z_a, z_b).total
)
verify("VICReg: that costs", vicreg(z_a * stretch + 1, z_b)[0] > vicreg(z_a, z_b)[0])
verify("VICReg's hinge: no difference above gamma", vicreg(3 * h, 3 * h)[2], vicreg(h, h)[2])
repeating, others = h[:, [0, 0]], h[:, [1, 1]]
verify("Barlow Twins' redundancy of two unrelated, repeating branches", barlow(repeating, others).redundancy, 0)
verify("VICReg's covariance term of the same", vicreg(repeating, others)[3], 2 * 16 / 9)

# %% [markdown]
# And what is matched with what? Renumber the dimensions of view B. Both losses rise, because both match dimension $j$
# with dimension $j$. But two of VICReg's three terms do not notice: each branch is regularised by itself, whatever the
# other one does. So the branches may have their own networks, even their own kind of data. (Barlow Twins' branches may
# as well. Its matrix ties the two together in *both* terms.)

# %% tags=["nbval-check-output"]
renumbered = z_b[:, [2, 0, 1]]
verify("Barlow Twins matches j with j", barlow(z_a, renumbered).total > barlow(z_a, z_b).total)
verify("so does VICReg", vicreg(z_a, renumbered)[0] > vicreg(z_a, z_b)[0])
verify("by its invariance alone: the variance term stays", vicreg(z_a, renumbered)[2], vicreg(z_a, z_b)[2])
verify("and the covariance term stays", vicreg(z_a, renumbered)[3], vicreg(z_a, z_b)[3])
verify(
    "both terms of Barlow Twins change", (barlow(z_a, renumbered).redundancy - barlow(z_a, z_b).redundancy).abs() > 0.1
)

# %% [markdown]
# ## Experiment: train, then take the forces away
#
# The data are `motifs`: generated images of ten patterns whose other factors (hues, position, rotation, noise and more)
# are drawn at random. The class is the pattern, and no label is used in training. First all three terms, for the full
# number of steps.
#
# All figures below are on the *validation* split, and so are the claims. This lesson compares variants, and whoever
# compares variants on the test split chooses by it.

# %%
from jemlib.data import load
from jemlib.methods import build
from jemlib.train import fit

images = load("motifs", "train", limit=scale.limit)
held_out = load("motifs", "validation", limit=None if scale.name != "smoke" else 200)
steps = scale.steps or 2000
log_every = max(1, steps // 70)
method = build("vicreg", scale=scale)
history = fit(method, images, scale=scale, log_every=log_every, steps=steps)
plots.curves(history)

# %% [markdown]
# Read the three terms together. The network starts with a small cloud: variance high, the other two low. The variance
# force opens the cloud. Covariance, which grows with the fourth power of the size, comes up as it opens, and pushes back.

# %% [markdown]
# ### What was learned, and the control
#
# Beside the trained backbone stand the raw pixels and the *same backbone untrained*: the control of equal size. kNN
# asks whether images of one pattern lie close together in the features.

# %%
from jemlib.evaluate import knn
from jemlib.nets import features
from jemlib.views import normalize


def knn_of(module):
    scored = features(module, held_out)
    return knn(features(module, images), images.labels, scored, held_out.labels, k=min(20, len(images)))


raw = knn(normalize(images.pixels).flatten(1), images.labels, normalize(held_out.pixels).flatten(1), held_out.labels)
untrained = build("vicreg", scale=scale).backbone
accuracy = {"raw pixels": raw, "untrained backbone": knn_of(untrained), "VICReg": knn_of(method.backbone)}
for name, value in accuracy.items():
    print(f"{name:20s} kNN {value:.3f}")

# %% [markdown]
# **Claim**, tested here and over three seeds by `jem claims`:

# %%
claim("vicreg.learns", trained=accuracy["VICReg"], untrained=accuracy["untrained backbone"])

# %%
from torch import nn

embed = nn.Sequential(method.backbone, method.projector)
plots.diagnose(features(embed, held_out), title="VICReg, embeddings of validation images")

# %% [markdown]
# ### Break it: remove each force
#
# Four short runs that differ in one thing only, and Barlow Twins beside them. They share backbone, data, seed and number
# of steps (a third of the above).
#
# One care is needed. A batch norm behind the projector would hold every variance at 1, whatever the loss does, and hide
# a shrinking cloud. VICReg has none, so the *spread* (mean standard deviation of the dimensions) can be read off the
# embeddings as they are. For Barlow Twins the spread means nothing: its loss does not see it.
# Beside it stands the *view gap*: the mean squared distance of two views of one image, divided by that of views of two
# images. It is 0 for perfect invariance, and 1 if an image means nothing.
#
# **Predict.** Which removal leaves the smallest cloud? Which one the lowest RankMe? Which one hurts kNN least?

# %%
from jemlib.course.lessons.lesson04_vicreg.claims import view_gap
from jemlib.diagnose import correlation_offdiagonal, normalized_std, rankme

variants = {
    "VICReg, all terms": ("vicreg", {}),
    "no invariance": ("vicreg", {"invariance": 0.0}),
    "no variance": ("vicreg", {"variance": 0.0}),
    "no covariance": ("vicreg", {"covariance": 0.0}),
    "Barlow Twins": ("barlow_twins", {}),
}
ablation = {}
for name, (kind, settings) in variants.items():
    short = build(kind, scale=scale, **settings)
    fit(short, images, scale=scale, steps=max(1, steps // 3), log_every=log_every)
    z = features(nn.Sequential(short.backbone, short.projector), held_out)
    ablation[name] = {
        "knn": knn_of(short.backbone),
        "spread": float(z.std(dim=0).mean()),
        "normalized": float(normalized_std(z)),
        "rankme": float(rankme(z)),
        "correlation": float(correlation_offdiagonal(z)),
        "gap": view_gap(short, held_out),
    }
heads = f"{'kNN':>6s} {'view gap':>9s} {'spread':>9s} {'normalised std':>15s} {'RankMe':>7s} {'rms correlation':>16s}"
print(f"{'':18s} {heads}")
for name, row in ablation.items():
    print(
        f"{name:18s} {row['knn']:6.3f} {row['gap']:9.3f} {row['spread']:9.4f} {row['normalized']:15.3f} "
        f"{row['rankme']:7.1f} {row['correlation']:16.3f}"
    )

# %%
full, no_invariance, no_variance, no_covariance, _ = ablation.values()
claim("vicreg.no-variance-shrinks", all=full["spread"], removed=no_variance["spread"])
claim("vicreg.no-covariance-copies", all=full["correlation"], removed=no_covariance["correlation"])
claim("vicreg.covariance-keeps-rank", all=full["rankme"], removed=no_covariance["rankme"])
claim("vicreg.invariance-brings-views-together", all=full["gap"], removed=no_invariance["gap"])
claim("vicreg.invariance-helps-the-features", all=full["knn"], removed=no_invariance["knn"])

# %% [markdown]
# Without the variance term the cloud shrinks to a point: type 1. RankMe does not notice, because it does not depend on
# the size. Without the covariance term the cloud is wide in every dimension, but it is a line: type 2. The spread does
# not notice. Without the invariance term the cloud is wide and has many directions, but two views of an image lie far
# apart. That this removal hurts kNN least may surprise: spreading out over many uncorrelated dimensions already makes
# better features than none, of whatever the network finds easy to tell apart. What these are, nobody asked.
# No single number sees all three failures.
#
# ### On photographs, and on a GPU
#
# The same code trains on CIFAR-10. From a terminal in the course folder:
#
# ```
# jem train vicreg --data cifar10 --scale cpu                  # downloads CIFAR-10 once
# jem train vicreg --data folder:PATH --scale cpu              # your own train/<class>/*.jpg and test/<class>/*.jpg
# jem train vicreg --scale gpu                                 # ResNet-18, 200 epochs, one GPU
# ```

# %% [markdown]
# ## Widget: drag the points
#
# Six images in two dimensions. A disc is view A, a square is view B, and a thin line joins the two views of one image.
# Every arrow is minus the gradient of one weighted term, computed by `losses.vicreg` itself: solid for invariance, dashed
# for variance, dotted for covariance. The weights are 25, 25 and 3: with the usual 1 the dotted arrows would be too
# short to be seen in two dimensions. Drag a point with the mouse, or choose it with the sliders. Then try this.
#
# 1. Drag one point far out. Its dimension becomes wide enough, and the dashed arrows along that dimension vanish *for all
#    points*: the hinge belongs to a dimension, not to a sample.
# 2. Begin with *nearly one point*. The dashed arrows are as long as those of a wide cloud: that is the root at work.
#    Then begin with *exactly one point*: no arrow at all. Move one point a little, and follow the forces.
# 3. Begin with *a line*. Only dotted arrows: they draw the ends inwards, and the line shrinks before it opens.
#    Follow the forces. Which force turns the line back into a cloud?
# 4. Switch off two of the three terms and follow the one that is left. Each has its own idea of a perfect cloud.

# %%
figures.forces_widget()

# %% [markdown]
# The same arrows for readers on paper, for three of the clouds.

# %%
figures.forces_picture()

# %% [markdown]
# ## What the sources got wrong
#
# The numbers are those of the course's list of errata. The source here are lecture notes, which print
#
# $$C = \tfrac1N H^\top H, \qquad L = \lVert h_x - h_y\rVert^2
# + \tfrac1d\sum_i\big[(\gamma - {}_xC_{ii})^+ + (\gamma - {}_yC_{ii})^+\big]
# + \tfrac1d\sum_i\sum_{j\ne i}\big[{}_xC_{ij}^2 + {}_yC_{ij}^2\big] .$$
#
# Here $H$ is a batch of embeddings, $(N, d)$, and $(x)^+ = \max(0, x)$. **E16: this is a slide's simplification, not the
# method.** It differs in five ways. First the formula as printed, so that it can be tested:


# %%
def lecture(h_x, h_y, gamma=1.0):
    """(invariance of each pair, variance, covariance), as the notes print them."""
    n, d = h_x.shape
    c_x, c_y = h_x.T @ h_x / n, h_y.T @ h_y / n
    variance = sum(torch.relu(gamma - c.diagonal()).sum() for c in (c_x, c_y)) / d
    covariance = sum((c - torch.diag(c.diagonal())).square().sum() for c in (c_x, c_y)) / d
    return (h_x - h_y).square().sum(dim=1), variance, covariance


# %% [markdown]
# **E16 (a): the hinge stands on the variance.** It must stand on $\sqrt{\mathrm{Var} + \epsilon}$. You saw what the
# root does: near collapse the push is $1/(2\sqrt\epsilon) = 50$ times stronger.

# %% tags=["nbval-check-output"]
from jemlib.theory import curvature

collapsed = torch.zeros(5, 2, dtype=torch.float64)
with_root = curvature(lambda z: losses.vicreg(z, z).total, collapsed)[0]
without = curvature(lambda z: vicreg_variance_hinge(z, z).total, collapsed)[0]
verify("at collapse the loss curves down, -25 / (D sqrt(eps) (N-1))", with_root, -25 / (2 * 0.01 * 4))
verify("without the root 50 times less", without, with_root / 50)

# %% [markdown]
# **E16 (b): the matrix is not centred, and divided by $N$.** Dividing by $N$ or $N - 1$ is a matter of a factor. Not
# centring is a bug.
#
# **Predict, then run.** All images get the embedding $(1, 1, 1)$: complete collapse. Does the lecture's variance term
# complain?

# %% tags=["nbval-check-output"]
for name, row in {"(0, 0, 0)": [0.0, 0, 0], "(1, 0, 0)": [1.0, 0, 0], "(1, 1, 1)": [1.0, 1, 1]}.items():
    same = torch.tensor(row, dtype=torch.float64).expand(6, 3)
    _, v, c = lecture(same, same)
    print(f"every embedding {name}: lecture's variance term {float(v):.4f}, covariance term {float(c):.4f}")
ones = torch.ones(6, 3, dtype=torch.float64)
verify("the lecture's variance term is content with a constant", lecture(ones, ones)[1], 0)
verify("the centred one is not: 0.99", losses.vicreg(ones, ones).variance, 0.99)

# %% [markdown]
# A network can satisfy that variance term with its bias alone. The covariance term notices $(1, 1, 1)$, but it takes a
# constant for a correlation: at $(1, 0, 0)$ it is silent, and one dimension of three is already content.
#
# **E16 (c): the weights are missing.** The method has $\lambda = \mu = 25$, $\nu = 1$. They are not decoration: the
# covariance term grows with the fourth power of the size, so the cheapest way to lower it is to *shrink*. Take copies of
# one dimension, of size $t$ (here $D = 64$). With $\epsilon = 0$ the loss is $\mu(1-t) + 2\nu(D-1)t^4$, and the best size is
# $t = \sqrt[3]{\mu / (8\nu(D-1))}$. With all weights 1 it is smaller by $\sqrt[3]{25}$, almost a factor of three.

# %% tags=["nbval-check-output"]
column = losses.standardize(torch.randn(9, 1, generator=generator, dtype=torch.float64), 0.0) * (8 / 9) ** 0.5
best = []
for variance in (25.0, 1.0):
    t = torch.tensor((variance / (8 * 63)) ** (1 / 3), dtype=torch.float64, requires_grad=True)
    repeated = t * column.expand(-1, 64)
    losses.vicreg(repeated, repeated, variance=variance, eps=0.0).total.backward()
    verify(f"with mu = {variance:g} the slope is zero at that size", t.grad, 0)
    best.append(float(t.detach()))
verify("without weights the embeddings are 25^(1/3) times smaller", best[0] / best[1], 25 ** (1 / 3))

# %% [markdown]
# **E16 (d): the invariance is that of one pair.** The other two terms belong to a batch, so the first must be averaged
# over the batch. Summed over the pairs, its weight would grow with the batch size.

# %% tags=["nbval-check-output"]
pairs = lecture(z_a, z_b)[0]
twice_a, twice_b = torch.cat([z_a, z_a]), torch.cat([z_b, z_b])
verify("every image twice: the sum doubles", lecture(twice_a, twice_b)[0].sum(), 2 * pairs.sum())
verify("the mean stays", vicreg(twice_a, twice_b)[1], vicreg(z_a, z_b)[1])
verify("and over D as well it is the code's term", pairs.mean() / 3, vicreg(z_a, z_b)[1])

# %% [markdown]
# **E16 (e): $H$ must be one matrix per branch.** The notes define one $C$ from one $H$, and then use an index $x$ or $y$
# on it. Whoever reads $H$ as all embeddings of both views gets this: branch A says $+1$ to every image, branch B says
# $-1$. Stacked, that looks wide. Each branch has collapsed.

# %% tags=["nbval-check-output"]
plus, minus = torch.ones(4, 2, dtype=torch.float64), -torch.ones(4, 2, dtype=torch.float64)
stacked = covariance_matrix(torch.cat([plus, minus]))
verify("stacked: no complaint", variance_hinge(stacked, 1.0, 1e-4), 0)
verify("branch by branch: 0.99", losses.vicreg(plus, minus).variance, 0.99)

# %% [markdown]
# **E26: a title and a verb were lost.** The list of methods in the notes breaks off after "... and Information". It
# should read *redundancy reduction (Barlow Twins) and information maximisation (VICReg)*, and the paragraph after it has
# lost its heading, *VICReg*. In it variables "covariate" together; they *covary* (a covariate is a variable).
# What the paragraph means can be checked. Two Gaussian variables of variance 1 and correlation $r$ hold
# $\frac12\log\frac{1}{1-r^2}$ less information (in nats) together than apart: the more they covary, the less they say.

# %% tags=["nbval-check-output"]
exact = h * (3 / 4) ** 0.5  # two columns of variance 1, uncorrelated


def entropy_of(cov):
    return 0.5 * torch.logdet(2 * torch.pi * torch.e * cov)


for r in (0.5, 0.9):
    mixed = torch.stack([exact[:, 0], r * exact[:, 0] + (1 - r**2) ** 0.5 * exact[:, 1]], dim=1)
    lost = entropy_of(covariance_matrix(exact)) - entropy_of(covariance_matrix(mixed))
    expected = -0.5 * torch.log(torch.tensor(1 - r**2, dtype=torch.float64))
    verify(f"r = {r}: both variances are still 1", covariance_matrix(mixed).diagonal(), 1)
    verify(f"r = {r}: that much information is lost", lost, expected)

# %% [markdown]
# **P3: one set of weights, two scales.** The paper's formula and the official code share the weights 25, 25, 1 and not
# the normalisation. The code's loss is the paper's with $\lambda = 25/D$, $\mu = 12.5$, $\nu = 1$.

# %% tags=["nbval-check-output"]
verify("the code's weights in the paper's scale", vicreg_paper(z_a, z_b, 25 / 3, 12.5, 1.0), vicreg(z_a, z_b)[0])
point_in_both = [vicreg_paper(constant, constant), vicreg(constant, constant)[0]]
verify("the price of a collapse: 49.5 in the paper's, 24.75 in the code's", point_in_both, [49.5, 24.75])

# %% [markdown]
# ## Take-away
#
# - Three forces: views together, every dimension wide, no two dimensions together. Each term is blind to what another
#   one sees.
# - Nothing is normalised. The size of the embeddings is held up by the hinge and held down by the other two terms.
# - The variance force is constant in strength until $\sigma \approx \sqrt\epsilon$; without the root it fades with the
#   spread, and strong augmentation can then make collapse a resting place.
# - At the exact constant there is no force at all.
# - Weights belong to a scale. "25, 25, 1" means two different losses in the paper and in the code.
# - Barlow Twins looks across the branches and normalises; VICReg looks within each branch and does not.
# - Look at spread *and* rank *and* accuracy: each removal hides from one of them.
#
# ### What was recorded
#
# The claims of this lesson, each measured with three seeds (`jem claims --seeds 3`):

# %%
recorded_claims("04_vicreg")

# %% [markdown]
# The table of objectives so far. Each lesson adds its rows.

# %%
objectives_so_far("simclr", "barlow_twins", "vicreg")

# %% [markdown]
# Next: lesson 05 is the laboratory of collapses, where both types are caused on purpose and each detector is tried on
# each of them.

# %% [markdown]
# ## Quiz
#
# **1.** All embeddings of both views are multiplied by 10, starting from a cloud whose spreads are all above 1. What
# happens to each term?
#
# <details><summary>Answer</summary>
#
# Invariance grows by 100, variance stays 0, covariance grows by 10,000. So although the hinge does not mind a large
# cloud, the loss does. Barlow Twins would not notice at all.
#
# </details>
#
# **2.** Somebody writes `torch.sqrt(z.var(dim=0))` without $\epsilon$. When does it matter?
#
# <details><summary>Answer</summary>
#
# When a dimension is exactly constant over the batch: the root has an infinite slope there and the gradient becomes NaN.
# A dead unit behind a ReLU is enough. Away from that, $\epsilon = 0$ would even be the stronger push.
#
# </details>
#
# **3.** You take the paper's weights 25, 25, 1 and implement the paper's sums, with $D = 8192$ and a hinge on the
# variance. The embeddings collapse. Name two repairs.
#
# <details><summary>Answer</summary>
#
# Take the mean over $D$ in the invariance (the code's scale), which makes the pull $D$ times weaker. Put the hinge on the
# standard deviation, which makes the push 50 times stronger near collapse. With sums and the variance, collapse is
# locally stable as soon as the augmentation noise exceeds $1/(D-1)$ of the signal.
#
# </details>
#
# **4.** The batch has $N = 64$ samples and $D = 256$ dimensions, all with variance 1. Can the covariance term be zero?
#
# <details><summary>Answer</summary>
#
# No. $C$ has rank at most $N - 1 = 63$ and trace $D$, so $\lVert C\rVert_F^2 \ge D^2/63$, and $c \ge D/63 - 1 > 0$. It is
# the same floor as for Barlow Twins in lesson 02.
#
# </details>
#
# **5.** One branch sees images, the other sees sentences that describe them, with different networks. Which terms can
# stay as they are?
#
# <details><summary>Answer</summary>
#
# All of them, as long as both embeddings have $D$ dimensions. Variance and covariance belong to each branch. The
# invariance compares row with row and dimension $j$ with dimension $j$: the networks must learn to use the dimensions
# alike. Nothing asks for shared weights.
#
# </details>
#
# **6.** Removing the variance term makes the loss tiny, and RankMe stays high. Why is that no good news?
#
# <details><summary>Answer</summary>
#
# A cloud that shrinks to a point has no invariance and no covariance left to pay for. RankMe does not depend on size: it
# measures the shape of what little spread remains. Look at the spread itself.
#
# </details>

# %% [markdown]
# ## References
#
# - A. Bardes, J. Ponce, Y. LeCun: *VICReg: Variance-Invariance-Covariance Regularization for Self-Supervised Learning*,
#   ICLR 2022, arXiv:2105.04906. Variance term: eq. 1 and 2; covariance: eq. 3 and 4; invariance: eq. 5; loss: eq. 6.
#   Official code: facebookresearch/vicreg.
# - J. Zbontar, L. Jing, I. Misra, Y. LeCun, S. Deny: *Barlow Twins: Self-Supervised Learning via Redundancy Reduction*,
#   ICML 2021, arXiv:2103.03230.
# - Q. Garrido, Y. Chen, A. Bardes, L. Najman, Y. LeCun: *On the duality between contrastive and non-contrastive self-supervised
#   learning*, arXiv:2206.02574. VICReg and contrastive losses as two sides of one matrix.
# - A. Canziani, J. Zhu (scribe: S. C. Akula): *Joint Embedding Methods: Regularised*, lecture notes, 12 May 2022.
