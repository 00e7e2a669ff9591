# %% [markdown]
# # 03 · The information bottleneck: where the loss of Barlow Twins comes from
#
# Lesson 02 asked a matrix to become the identity. Why just that matrix, and why squares? The paper's appendix answers
# with an older idea: know the image, forget the distortion. You derive the loss from that idea, first with exact bits
# in a world of four views, then with Gaussians. Four steps of the way are not algebra. You name each, and what it loses.

# %% [markdown]
# ## What you will learn
#
# After this lesson you can
#
# 1. compute entropies and informations of small tables by hand and by code (exercises 3.1, 3.2 and 3.3);
# 2. write the information bottleneck of a chain image, view, embedding (exercise 3.4);
# 3. prove that its trade-off is useless for $\beta \le 1$, and say what is best for $\beta > 1$;
# 4. go to entropies and divide by $\beta$ without any approximation (exercise 3.5);
# 5. put Gaussians in (exercises 3.6, 3.7 and 3.8), and find the term that got lost on the way;
# 6. list the four surrogate steps from there to Barlow Twins, each with an example in which it fails;
# 7. read a sweep of $\lambda$ as a trade-off, and say what the sweep does not show.

# %% [markdown]
# ## Before you start
#
# You need linear algebra (determinants, eigenvalues), some PyTorch, and a little probability (a joint table, a
# conditional distribution). From lesson 02 you need one object, the cross-correlation matrix $C$ of two views; it is
# repeated where it is used. The lesson runs on a laptop without a GPU and without a network.
#
# An exercise is a function for you to write. The cell below it checks it and tells you one of three things:
# *correct*; *incorrect*, with the mistake by name; *not attempted yet*.
# What you leave open is replaced by jemlib's own function, so the rest of the notebook runs in any case.
# Stuck? `hint(entropy)` gives one hint at a time, and `solution(entropy)` shows the answer.

# %%
import math

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
# | $X$ | rows of `joint_xy` | a variable | the image |
# | $Y$ | columns of `joint_xy` | a variable | a view: the image after a random distortion |
# | $Z$ | columns of `encoder` | a variable | the embedding, computed from the view |
# | $p(x,y)$ | `joint_xy` | (images, views) | probabilities that sum to 1 |
# | $p(z \mid y)$ | `encoder` | (views, symbols) | each row sums to 1; one-hot rows are a deterministic encoder |
# | $H(Z)$ | `entropy`, `h_z` | number | entropy: how uncertain $Z$ is |
# | $H(Z \mid X)$ | `conditional_entropy`, `h_z_given_x` | number | what remains uncertain once $X$ is known |
# | $I(Z;X)$ | `mutual_information`, `i_zx` | number | what $Z$ tells about $X$ |
# | $\beta$ | `beta` | number, > 0 | how much knowing the image counts |
# | $N$, $D$, $V$ | `n`, `d`, `views` | numbers | samples, dimensions, views of each image |
# | $\Sigma_Z$ | `gaussian_entropy` | $(D, D)$ | covariance of the embeddings, inside that function |
# | $\Sigma_{Z \mid X}$ | `conditional_covariance` | $(D, D)$ | covariance of the embeddings of one image, mean over images |
# | $\det \Sigma$ | `log_determinant_term` | number | determinant; the code returns its logarithm |
# | $S$ | `conditional_covariance` | $(D, D)$ | $\Sigma_{Z \mid X}$ of standardised views |
# | $R$ | `auto_correlation` | $(D, D)$ | $\Sigma_Z$ of standardised views: dimension $i$ with dimension $j$ of the same view |
# | $C$ | `cross_correlation` | $(D, D)$ | correlation of dimension $i$ of view A with dimension $j$ of view B |
# | $\lambda$ | `lambd` | number | weight of the second term |
#
# Entropies of tables are in bits here (`base=2`), those of Gaussians in nats (natural logarithm).

# %% [markdown]
# ## Ladder: bits in a world of four views
#
# Two images, equally likely. Each has two views, equally likely. So there are four views, and each shows its image.
# This world is small enough for exact numbers, and it has what matters: something to know, and something to forget.

# %%
world = torch.tensor([[0.25, 0.25, 0.0, 0.0], [0.0, 0.0, 0.25, 0.25]], dtype=torch.float64)
print("rows are images, columns are views:")
print(world)

# %% [markdown]
# ### Entropy
#
# An event of probability $p$ surprises by $-\log p$. The entropy is the expected surprise:
#
# $$H = -\sum_k p_k \log p_k , \qquad 0 \log 0 = 0 .$$
#
# With base 2 it counts fair yes-or-no questions. The image costs one question, the view two.
#
# {{exercise:entropy}}
#
# Write `entropy(p, base)` for a tensor of probabilities of any shape. `base` is that of the logarithm.


# %% exercise="entropy"
def entropy(p, base=math.e):
    """-sum p log p of one distribution; p may have any shape."""
    ### BEGIN SOLUTION
    p = p[p > 0]
    return -(p * p.log()).sum() / math.log(base)
    ### END SOLUTION


# %% check="entropy"
entropy = check(entropy)

# %% tags=["nbval-check-output"]
generator = torch.Generator().manual_seed(0)
biased = torch.tensor([0.75, 0.25], dtype=torch.float64)
dice = torch.rand(6, generator=generator, dtype=torch.float64)
dice = dice / dice.sum()
verify("the image has 1 bit", entropy(world.sum(dim=1), 2), 1)
verify("the view has 2 bits", entropy(world.sum(dim=0), 2), 2)
verify("a certain event has none", entropy(torch.tensor([1.0, 0.0], dtype=torch.float64)), 0)
verify("independent events add up", entropy(torch.outer(biased, dice), 2), entropy(biased, 2) + entropy(dice, 2))

# %% [markdown]
# ### Mutual information, as a loop
#
# How much does $U$ tell about $V$? Compare the joint table with the one it would be if they were independent:
#
# $$I(U;V) = \sum_{u,v} p(u,v) \log \frac{p(u,v)}{p(u)\, p(v)} .$$
#
# It is zero for independent variables, and never negative. The logarithm is concave, so by Jensen
#
# $$-I(U;V) = \sum_{u,v} p(u,v) \log \frac{p(u)\,p(v)}{p(u,v)} \ \le\ \log \sum_{u,v} p(u)\,p(v)\ \le\ 0 ,$$
#
# where $u, v$ run over the pairs with $p(u,v) > 0$.
#
# {{exercise:mutual_information_loop}}
#
# Write the sum as you read it. `joint` has shape $(|U|, |V|)$, and some entries may be 0.


# %% exercise="mutual_information_loop"
def mutual_information_loop(joint, base=math.e):
    """I(U;V) of a joint table, by loops over u and v."""
    ### BEGIN SOLUTION
    p_u, p_v = joint.sum(dim=1), joint.sum(dim=0)
    total = joint.new_zeros(())
    for u in range(joint.shape[0]):
        for v in range(joint.shape[1]):
            if joint[u, v] > 0:
                total = total + joint[u, v] * torch.log(joint[u, v] / (p_u[u] * p_v[v]))
    return total / math.log(base)
    ### END SOLUTION


# %% check="mutual_information_loop"
mutual_information_loop = check(mutual_information_loop)

# %% tags=["nbval-check-output"]
table = torch.rand(3, 4, generator=generator, dtype=torch.float64)
table = table / table.sum()
verify("a view tells its image: 1 bit", mutual_information_loop(world, 2), 1)
verify("independent variables tell nothing", mutual_information_loop(torch.outer(biased, dice)), 0)
verify("it is symmetric", mutual_information_loop(table), mutual_information_loop(table.T))
verify("jemlib's sum over the whole table agrees", losses.mutual_information(table), mutual_information_loop(table))

# %% [markdown]
# ### What remains unknown
#
# Tell me $U$. The entropy of $V$ that is then left, on average over $U$, is $H(V \mid U) = \sum_u p(u) H(V \mid U = u)$.
# The *chain rule* gets it without that sum: to learn both, learn $U$, then the rest of $V$:
#
# $$H(U,V) = H(U) + H(V \mid U) .$$
#
# {{exercise:conditional_entropy}}
#
# The row is known, the column is not. Use `entropy`.


# %% exercise="conditional_entropy"
def conditional_entropy(joint, base=math.e):
    """H(V|U) of a joint table (|U|, |V|)."""
    ### BEGIN SOLUTION
    return entropy(joint, base) - entropy(joint.sum(dim=1), base)
    ### END SOLUTION


# %% check="conditional_entropy"
conditional_entropy = check(conditional_entropy)

# %% [markdown]
# Verify against the sum over rows, and verify the identity that the whole lesson rests on:
# information is entropy minus what remains, $I(U;V) = H(V) - H(V \mid U)$. One line proves it. Since
# $p(u,v) = p(u)\,p(v \mid u)$,
#
# $$\log \frac{p(u,v)}{p(u)\,p(v)} = \log p(v \mid u) - \log p(v) ,$$
#
# and the mean of the right side is $-H(V \mid U) + H(V)$.

# %% tags=["nbval-check-output"]
by_rows = sum(row.sum() * entropy(row / row.sum(), 2) for row in table)
verify("the chain rule gives the sum over rows", conditional_entropy(table, 2), by_rows)
verify("the view leaves nothing of the image", conditional_entropy(world.T, 2), 0)
verify("the image leaves 1 bit of the view", conditional_entropy(world, 2), 1)
remaining = entropy(table.sum(dim=0)) - conditional_entropy(table)
verify("I(U;V) = H(V) - H(V|U)", mutual_information_loop(table), remaining)
drawn = torch.rand(100, 3, 4, generator=generator, dtype=torch.float64) ** 3
drawn = drawn / drawn.sum(dim=(1, 2), keepdim=True)
verify("100 random tables: I is never negative", all(mutual_information_loop(joint) >= -1e-12 for joint in drawn))

# %% [markdown]
# ## Derivation: what an embedding should know
#
# The image $X$ is distorted to a view $Y$, and the encoder computes $Z = f_\theta(Y)$. The encoder sees the view only, so
# $X \to Y \to Z$ is a chain. The hand-written notes and the paper (eq. 5) state the wish as a number to minimise:
#
# $$\mathrm{IB}_\theta = I(Z_\theta; Y) - \beta\, I(Z_\theta; X) .$$
#
# The notes say beside it what the two terms are for. First term small: "invariant to Y (transform)". Whatever $Z$ knows
# of the view beyond the image is distortion. Second term large: "as related to X as possible". And "(can be negative)
# the smaller the better": it is a difference, and 0 is nothing special. Two remarks are hard to read. "Close means"
# was probably *loss*, and "A controllable" probably *beta controllable*: $\beta$ is ours to choose.
#
# {{exercise:information_bottleneck}}
#
# Two tables hold everything: $p(y,z) = p(y)\, p(z \mid y)$, and $p(x,z) = \sum_y p(x,y)\, p(z \mid y)$.
# Return six scalars in this order: the total, $I(Z;Y)$, $I(Z;X)$, $H(Z)$, $H(Z \mid X)$, $H(Z \mid Y)$.


# %% exercise="information_bottleneck"
def information_bottleneck(joint_xy, encoder, beta, base=math.e):
    """(total, i_zy, i_zx, h_z, h_z_given_x, h_z_given_y) of the chain X -> Y -> Z."""
    ### BEGIN SOLUTION
    joint_yz = joint_xy.sum(dim=0)[:, None] * encoder
    joint_xz = joint_xy @ encoder
    i_zy = mutual_information_loop(joint_yz, base)
    i_zx = mutual_information_loop(joint_xz, base)
    h_z = entropy(joint_xz.sum(dim=0), base)
    h_z_given_x, h_z_given_y = conditional_entropy(joint_xz, base), conditional_entropy(joint_yz, base)
    return i_zy - beta * i_zx, i_zy, i_zx, h_z, h_z_given_x, h_z_given_y
    ### END SOLUTION


# %% check="information_bottleneck"
information_bottleneck = check(information_bottleneck)

# %% [markdown]
# Three encoders that you can do by hand. `Z = Y` keeps everything: it knows 2 bits of the view and 1 of the image.
# `Z = X` keeps the image only: 1 and 1. A constant knows 0 and 0.

# %% tags=["nbval-check-output"]
eye = torch.eye(4, dtype=torch.float64)
encoders = {"Z = Y": eye, "Z = X": eye[[0, 0, 1, 1]], "constant": eye[[0, 0, 0, 0]]}
by_hand = {"Z = Y": (2, 1), "Z = X": (1, 1), "constant": (0, 0)}
for name, encoder in encoders.items():
    _, i_zy, i_zx, *_ = information_bottleneck(world, encoder, 1.0, 2)
    of_view, of_image = by_hand[name]
    verify(f"{name} knows {of_view} of the view and {of_image} of the image", torch.stack([i_zy, i_zx]), by_hand[name])

# %% [markdown]
# ## Predict, then run: who wins?
#
# The winner is the encoder with the smallest total.
#
# **Question.** Which of the three wins at $\beta = \frac12$? At $\beta = 1$, where both wishes count alike? At
# $\beta = 2$ and $3$? Write down four names, then run the cell.

# %% tags=["nbval-check-output"]
print("            beta:   0.5    1.0    2.0    3.0")
totals = {}
for name, encoder in encoders.items():
    totals[name] = [float(information_bottleneck(world, encoder, beta, 2)[0]) for beta in (0.5, 1.0, 2.0, 3.0)]
    print(f"{name:17s}", "".join(f"{round(value, 6) + 0.0:7.1f}" for value in totals[name]))
verify("Z = Y scores 2 - beta", totals["Z = Y"], [1.5, 1, 0, -1])
verify("Z = X scores 1 - beta", totals["Z = X"], [0.5, 0, -1, -2])
verify("a constant scores 0", totals["constant"], [0, 0, 0, 0])

# %% [markdown]
# <details><summary>Why</summary>
#
# At $\beta = \frac12$ the embedding that knows *nothing* wins. At $\beta = 1$ it shares the first place with the one
# that knows the image. Only for $\beta > 1$ is it worth knowing anything. To know a bit of the image, $Z$ must know at
# least one bit of the view, because it sees the image only through the view. That bit costs 1 and earns $\beta$.
#
# </details>

# %% [markdown]
# ## Derivation: why beta at most 1 is useless
#
# The paper states it without a proof. Here is one. *Data processing*: along a chain $X \to Y \to Z$ nothing is gained,
# $I(Z;X) \le I(Z;Y)$. Put it into the first term:
#
# $$I(Z;Y) - \beta I(Z;X) \ \ge\ (1 - \beta)\, I(Z;X) \ \ge\ 0 \quad\text{for } \beta \le 1 .$$
#
# A constant $Z$ reaches 0, so it is optimal, and the trade-off is none.
#
# The proof of data processing needs three more words. $I(X,Y;Z)$ is the information between the *pair* $(X,Y)$, taken as
# one variable, and $Z$. $I(Z;X \mid Y) = \sum_y p(y)\, I(Z;X \mid Y = y)$ is what $X$ still tells about $Z$ once $Y$ is
# known, on average; as a mean of informations it is never negative. And the *chain rule* takes a pair apart: what the
# pair tells is what one of them tells, plus what the other adds,
#
# $$I(X,Y;Z) = I(Y;Z) + I(X;Z \mid Y) .$$
#
# It is $I = H - H$ three times: $H(Z) - H(Z \mid X,Y)$ equals $[H(Z) - H(Z \mid Y)] + [H(Z \mid Y) - H(Z \mid X,Y)]$.
#
# Now the proof, in one line. Take the pair apart both ways: $I(Z;Y) + I(Z;X \mid Y) = I(Z;X) + I(Z;Y \mid X)$.
# The encoder does not see $X$, so $I(Z;X \mid Y) = 0$; the last term is never negative.
#
# The cell tries 300 random worlds with random encoders, deterministic ones among them.


# %% tags=["nbval-check-output"]
def random_chain(generator):
    """A random joint table and a random encoder, about half of them deterministic."""
    joint = torch.rand(3, 5, generator=generator, dtype=torch.float64) ** 3
    rows = torch.rand(5, 4, generator=generator, dtype=torch.float64)
    soft = rows / rows.sum(dim=1, keepdim=True)
    hard = torch.eye(4, dtype=torch.float64)[rows.argmax(dim=1)]
    return joint / joint.sum(), hard if torch.rand((), generator=generator) < 0.5 else soft


never_gained, never_negative, chain_rule, pair_rule = [], [], [], []
for _ in range(300):
    joint_xy, encoder = random_chain(generator)
    total, i_zy, i_zx, *_ = information_bottleneck(joint_xy, encoder, 0.8)
    never_gained.append(i_zx <= i_zy + 1e-12)
    never_negative.append(total >= 0.2 * i_zx - 1e-12 and total >= -1e-12)
    # I(Z;Y) - I(Z;X) = I(Z;Y|X): the information within each image, weighted by the image's probability
    within = sum(row.sum() * losses.mutual_information((row / row.sum())[:, None] * encoder) for row in joint_xy)
    chain_rule.append(i_zy - i_zx - within)
    # the pair as one variable of 15 values: Z depends on its view alone
    of_pair = losses.mutual_information((joint_xy[:, :, None] * encoder).flatten(0, 1))
    pair_rule.append(torch.stack([of_pair - i_zy, of_pair - (i_zx + within)]))
verify("the pair tells what the view tells, and I(Z;X) + I(Z;Y|X)", torch.stack(pair_rule), 0)
verify("I(Z;Y) - I(Z;X) = I(Z;Y|X), in 300 random chains", torch.stack(chain_rule), 0)
verify("so I(Z;X) <= I(Z;Y) in all of them", all(never_gained))
verify("the bottleneck at beta = 0.8 is never negative", all(never_negative))

# %% [markdown]
# For $\beta > 1$ the same inequality gives the best value. $I(Z;Y) - \beta I(Z;X) \ge (1-\beta) I(Z;X)$, where the factor
# is now negative, and $I(Z;X) \le H(X)$. So nothing is below $(1-\beta) H(X)$. Where the view shows its image, as here,
# $Z = X$ reaches it: all of the image, nothing of the distortion. The cell looks at all 15 deterministic codes of the
# four views.

# %% tags=["nbval-check-output"]
from itertools import product

import torch.nn.functional as F

# A code gives each view a symbol. Counted in the order of appearance, codes that differ only in names are one.
codes = sorted({tuple(list(dict.fromkeys(code)).index(s) for s in code) for code in product(range(4), repeat=4)})
print(len(codes), "codes, for example", codes[0], codes[3], codes[-1])


def best_codes(beta):
    scores = [information_bottleneck(world, F.one_hot(torch.tensor(c), 4).double(), beta, 2)[0] for c in codes]
    least = min(scores)
    return least, [code for code, score in zip(codes, scores) if score < least + 1e-9]


constant, image = (0, 0, 0, 0), (0, 0, 1, 1)
verify("at beta = 0.9 the constant is the only winner", best_codes(0.9)[1] == [constant])
verify("at beta = 1 the constant and Z = X share the place", best_codes(1.0)[1] == [constant, image])
verify("at beta = 1.1 Z = X is the only winner", best_codes(1.1)[1] == [image])
verify("and it scores (1 - beta) H(X)", best_codes(3.0)[0], (1 - 3.0) * 1)

# %% [markdown]
# ## Derivation: from informations to entropies
#
# Write both informations with entropies (eq. 6):
#
# $$\mathrm{IB} = [H(Z) - H(Z \mid Y)] - \beta\,[H(Z) - H(Z \mid X)] .$$
#
# The encoder is deterministic, so the view leaves no doubt about the embedding: $H(Z \mid Y) = 0$. What remains is
#
# $$\mathrm{IB} = \beta\, H(Z \mid X) + (1 - \beta)\, H(Z) .$$

# %% tags=["nbval-check-output"]
deterministic, expanded, random_rest = [], [], []
for _ in range(100):
    joint_xy, encoder = random_chain(generator)
    total, _, _, h_z, h_z_given_x, h_z_given_y = information_bottleneck(joint_xy, encoder, 1.7)
    expanded.append(total - ((h_z - h_z_given_y) - 1.7 * (h_z - h_z_given_x)))
    if encoder.max() == 1:
        deterministic.append(torch.stack([h_z_given_y, total - (1.7 * h_z_given_x - 0.7 * h_z)]))
    else:
        random_rest.append(h_z_given_y)
verify("eq. 6 holds for every encoder", torch.stack(expanded), 0)
verify("H(Z|Y) = 0 for deterministic ones, and the short form holds", torch.stack(deterministic), 0)
verify("H(Z|Y) > 0 for random ones: there the step would be wrong", min(random_rest) > 0.1)

# %% [markdown]
# Divide by $\beta > 0$. That changes no minimiser, so nothing is approximated (eq. 7):
#
# $$\frac{\mathrm{IB}}{\beta} = H(Z \mid X) + \frac{1-\beta}{\beta}\, H(Z) .$$
#
# {{exercise:bottleneck_over_beta}}
#
# The two entropies are scalars (tensors), `beta` is a number.


# %% exercise="bottleneck_over_beta"
def bottleneck_over_beta(h_z_given_x, h_z, beta):
    """H(Z|X) + ((1 - beta) / beta) H(Z)."""
    ### BEGIN SOLUTION
    return h_z_given_x + (1 - beta) / beta * h_z
    ### END SOLUTION


# %% check="bottleneck_over_beta"
bottleneck_over_beta = check(bottleneck_over_beta)

# %% tags=["nbval-check-output"]
for beta in (0.5, 1.0, 2.0):
    ratios = []
    for code in codes:
        total, _, _, h_z, h_z_given_x, _ = information_bottleneck(
            world, F.one_hot(torch.tensor(code), 4).double(), beta
        )
        ratios.append(beta * bottleneck_over_beta(h_z_given_x, h_z, beta) - total)
    verify(f"beta = {beta}: times beta it is the bottleneck, for all 15 codes", torch.stack(ratios), 0)

# %% [markdown]
# Now read the sign. For $\beta < 1$ the coefficient of $H(Z)$ is positive: entropy is punished, so be constant. At
# $\beta = 1$ it is zero: only $H(Z \mid X) \ge 0$ is left, and a constant is among the best. For $\beta > 1$ it is
# negative, between $-1$ and 0: *entropy is rewarded*. Views of one image should agree, and the embeddings of different
# images should be as varied as possible. The two wishes of Barlow Twins are in sight.

# %% [markdown]
# ## Derivation: Gaussian embeddings
#
# Real embeddings are vectors of real numbers, and the entropy of their unknown distribution cannot be computed. The
# paper assumes a Gaussian ("gaussian constraints" in the notes). Its *differential* entropy, with the density in place
# of the probability, needs the covariance $\Sigma$ only:
#
# $$h(Z) = \tfrac12 \log \det \Sigma + \tfrac{D}{2} \log (2 \pi e) \quad\text{nats}.$$
#
# To see it, take the mean of the surprise $-\log p(z) = \frac12 \log \det (2 \pi \Sigma) +
# \frac12 (z - \mu)^\top \Sigma^{-1} (z - \mu)$. The mean of the last product is
# $\operatorname{tr}(\Sigma^{-1} \Sigma) = D$, and $\frac{D}{2} = \frac{D}{2} \log e$.
#
# First the determinant. It is the product of the eigenvalues, so its logarithm is a sum of logarithms.
#
# {{exercise:log_determinant_term}}
#
# `c` is symmetric with positive eigenvalues. Mind that in 300 dimensions the determinant itself is too small for a
# float.


# %% exercise="log_determinant_term"
def log_determinant_term(c):
    """log det of a symmetric positive definite (D, D)."""
    ### BEGIN SOLUTION
    return torch.linalg.slogdet(c).logabsdet
    ### END SOLUTION


# %% check="log_determinant_term"
log_determinant_term = check(log_determinant_term)

# %% tags=["nbval-check-output"]
two = torch.tensor([[1.0, 0.6], [0.6, 1.0]], dtype=torch.float64)
verify("two dimensions: 1 - r^2", log_determinant_term(two), math.log(1 - 0.6**2))
verify("eigenvalues 1 + r and 1 - r", log_determinant_term(two), math.log(1.6) + math.log(0.4))
verify(
    "stretching by 10 adds D log 100", log_determinant_term(100 * two), log_determinant_term(two) + 2 * math.log(100)
)

# %% [markdown]
# {{exercise:gaussian_entropy}}
#
# `z` has shape $(N, D)$. The covariance is that of the batch, centred and divided by $N$; `eps` is added to its
# diagonal.


# %% exercise="gaussian_entropy"
def gaussian_entropy(z, eps=0.0):
    """Entropy in nats of the Gaussian with the covariance of z, (N, D)."""
    ### BEGIN SOLUTION
    n, d = z.shape
    centred = z - z.mean(dim=0)
    covariance = centred.T @ centred / n + eps * torch.eye(d, dtype=z.dtype)
    return 0.5 * log_determinant_term(covariance) + d / 2 * math.log(2 * math.pi * math.e)
    ### END SOLUTION


# %% check="gaussian_entropy"
gaussian_entropy = check(gaussian_entropy)

# %% [markdown]
# Verify by three other routes. The expected surprise of a batch under its own Gaussian is exactly
# this entropy. In one dimension the integral $-\int p \log p$ can be summed on a grid. And a Gaussian that is rounded to
# cells of width $\delta$ is discrete: its entropy is $h - \log \delta$, up to terms that vanish with $\delta$.
# Keep that last fact in mind. A differential entropy is a discrete one *up to a constant that depends on the resolution*.

# %% tags=["nbval-check-output"]
z = torch.randn(40, 3, generator=generator, dtype=torch.float64) @ torch.tensor(
    [[2.0, 0.3, 0.0], [0.0, 0.5, -0.4], [0.0, 0.0, 1.0]], dtype=torch.float64
)
gaussian = torch.distributions.MultivariateNormal(z.mean(dim=0), torch.cov(z.T, correction=0))
verify("the mean of -log p over the batch", gaussian_entropy(z), -gaussian.log_prob(z).mean())

one = z[:, :1] / z[:, :1].std(dim=0, correction=0)
grid = torch.arange(-12, 12, 1e-3, dtype=torch.float64)
density = torch.exp(-(grid**2) / 2) / math.sqrt(2 * math.pi)
verify("the integral of -p log p", gaussian_entropy(one), -torch.special.xlogy(density, density).sum() * 1e-3)

cells = torch.special.ndtr(grid[::10] + 0.005) - torch.special.ndtr(grid[::10] - 0.005)
rounded = entropy(cells / cells.sum())
verify("rounded to cells of 0.01: h - log 0.01", rounded, gaussian_entropy(one) - math.log(0.01), tolerance=1e-5)

# %% [markdown]
# ### Given the image
#
# $H(Z \mid X)$ needs the covariance of the embeddings of *one* image: how much its views differ. There are $V$ views of
# each of $N$ images. Around the mean $\bar z_n$ of the views of image $n$,
#
# $$\Sigma_{Z \mid x_n} = \frac{1}{V-1} \sum_v (z_{vn} - \bar z_n)(z_{vn} - \bar z_n)^\top ,$$
#
# and the *pooled* matrix $\Sigma_{Z \mid X}$ is its mean over images. With two views it is half of $(a - b)(a - b)^\top$.
#
# {{exercise:conditional_covariance}}
#
# `views` has shape $(V, N, D)$. Return $(D, D)$ when `pooled`, and otherwise one matrix an image, $(N, D, D)$.


# %% exercise="conditional_covariance"
def conditional_covariance(views, pooled=True):
    """Covariance of the embeddings given the image; views is (V, N, D)."""
    ### BEGIN SOLUTION
    around = views - views.mean(dim=0)
    each = torch.einsum("vni,vnj->nij", around, around) / (len(views) - 1)
    return each.mean(dim=0) if pooled else each
    ### END SOLUTION


# %% check="conditional_covariance"
conditional_covariance = check(conditional_covariance)

# %% [markdown]
# One identity carries us to Barlow Twins. Standardise both views over the batch, so that every dimension has mean 0 and
# variance 1. Then the diagonal of $\Sigma_{Z \mid X}$ is $1 - C_{ii}$, where $C$ is the cross-correlation of lesson 02,
# $C_{ij} = \frac1N \sum_b \hat z^A_{bi} \hat z^B_{bj}$. Multiply out $\frac12 (\hat a - \hat b)^2$ to see it.

# %% tags=["nbval-check-output"]
z_a = torch.randn(9, 3, generator=generator, dtype=torch.float64)
z_b = z_a + 0.4 * torch.randn(9, 3, generator=generator, dtype=torch.float64)
views = torch.stack([z_a, z_b])
half = sum(torch.outer(a - b, a - b) for a, b in zip(z_a, z_b)) / (2 * len(z_a))
verify("two views: half the outer product of the difference", conditional_covariance(views), half)
hat = torch.stack([losses.standardize(view, 0.0) for view in views])
cross = losses.cross_correlation(z_a, z_b, 0.0)
verify("standardised, its diagonal is 1 - C_ii", conditional_covariance(hat).diagonal(), 1 - cross.diagonal())

# %% [markdown]
# Put both Gaussian entropies into eq. 7. The paper's eq. 8 is the bracket:
#
# $$\frac{\mathrm{IB}}{\beta} \to \frac12 \Big[ E_x \log \det \Sigma_{Z \mid x}
# + \frac{1-\beta}{\beta} \log \det \Sigma_Z \Big]
# + \frac{D}{2\beta} \log(2 \pi e) .$$
#
# Here $E_x$ is the mean over images. The code pools the matrices instead, because two views of an image are too few for
# a determinant of their own. The logarithm of a determinant is concave, so the pooled value is never the smaller one.
#
# `losses.gaussian_bottleneck` computes all of it. The cell compares it with the bracket, and checks the concavity.

# %% tags=["nbval-check-output"]
for beta in (0.5, 1.0, 2.0):
    pooled = torch.cov(views.flatten(0, 1).T, correction=0)
    bracket = log_determinant_term(half) + (1 - beta) / beta * log_determinant_term(pooled)
    constant_part = 3 / (2 * beta) * math.log(2 * math.pi * math.e)
    total = losses.gaussian_bottleneck(views, beta).total
    verify(f"beta = {beta}: half the bracket and the constant", total, bracket / 2 + constant_part)
many = z_a + 0.4 * torch.randn(6, 9, 3, generator=generator, dtype=torch.float64)
each = torch.stack([log_determinant_term(c) for c in conditional_covariance(many, pooled=False)])
verify("pooling never lowers the first term", each.mean() <= log_determinant_term(conditional_covariance(many)))

# %% [markdown]
# ## Predict, then run: a thousand times smaller
#
# Take the embeddings of a batch and multiply all of them by $1/1000$. Nothing is learned and nothing forgotten by that:
# you can undo it.
#
# **Question.** What does the Gaussian bottleneck (eq. 8) say: better, worse or the same? And does the answer depend on
# whether $\beta$ is below or above 1?

# %% tags=["nbval-check-output"]
for beta in (0.5, 1.0, 2.0, 10.0):
    before, after = (losses.gaussian_bottleneck(v, beta).total for v in (views, views / 1000))
    print(f"beta = {beta:4.1f}: {'better' if after < before else 'not better'} by {float(before - after):.2f} nats")

# %% [markdown]
# <details><summary>Why</summary>
#
# Better, at every $\beta$. Scaling by $w$ adds $D \log w$ to *both* entropies, so the sum moves by
# $\big(1 + \frac{1-\beta}{\beta}\big) D \log w = \frac{D}{\beta} \log w$. It is lowest at $w = 0$: the objective whose
# reward for entropy we liked so much asks for collapse. The next section finds out where that comes from.
#
# </details>

# %% [markdown]
# ## Derivation: the entropy that was thrown away
#
# Measure the slope over $\log w$. Here $D = 3$, so theory says $3/\beta$: 1.5 at $\beta = 2$, and 6 at
# $\beta = \frac12$.

# %% tags=["nbval-check-output"]
for beta in (2.0, 0.5):
    w = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(losses.gaussian_bottleneck(w * views, beta).total, w)
    verify(f"beta = {beta}: the slope over log w is {3 / beta}", slope * w.detach(), 3 / beta)

# %% [markdown]
# The true bottleneck has no such slope: it is made of informations, and information does not change when $Z$ is scaled,
# nor when its dimensions are mixed by any invertible matrix. What went wrong is the step $H(Z \mid Y) = 0$. It is right
# for discrete $Z$. For real numbers without noise the differential entropy $h(Z \mid Y)$ is $-\infty$, not 0.
#
# One model from here on: a fine noise $n$ is part of $Z$. Image, distortion and noise are independent Gaussians that add
# up, $Z = x + a + n$, with covariances $\Sigma_x$, $\Sigma_a$ and $\Sigma_n$. So
#
# | entropy | covariance | coefficient in the bottleneck |
# | --- | --- | --- |
# | $h(Z)$ | $\Sigma_x + \Sigma_a + \Sigma_n$ | $1 - \beta$ |
# | $h(Z \mid X)$ | $\Sigma_a + \Sigma_n$ | $\beta$ |
# | $h(Z \mid Y)$ | $\Sigma_n$ | $-1$ |
#
# Replace $Z$ by $Z M$ with an invertible matrix $M$; scaling is $M = w I$. Each covariance becomes
# $M^\top \Sigma M$, and each entropy moves by $\log|\det M|$. The three coefficients sum to 0, so nothing happens. The
# paper drops the third as a constant that belongs to an assumed resolution. For one $Z$ it is a constant. But between $Z$
# and $Z M$ it is not. Without it the coefficients sum to 1, and $\log|\det M|$ is left over.


# %% tags=["nbval-check-output"]
def spread(rows):
    return rows.T @ rows / len(rows)


sigma_x, sigma_a = (spread(torch.randn(20, 3, generator=generator, dtype=torch.float64)) for _ in range(2))
sigma_n = 0.01 * torch.eye(3, dtype=torch.float64)
unchanged = torch.eye(3, dtype=torch.float64)
matrices = {"a thousandth": unchanged / 1000, "a mix": torch.randn(3, 3, generator=generator, dtype=torch.float64)}


def true_bottleneck(m, beta, keep_h_z_given_y=True):
    """[h(Z) - h(Z|Y)] - beta [h(Z) - h(Z|X)] of Z M; the constants of the four entropies cancel."""
    sums = sigma_x + sigma_a + sigma_n, sigma_a + sigma_n, sigma_n
    h_z, h_z_given_x, h_z_given_y = (0.5 * log_determinant_term(m.T @ sigma @ m) for sigma in sums)
    return (h_z - h_z_given_y * keep_h_z_given_y) - beta * (h_z - h_z_given_x)


for beta, (name, m) in product((0.5, 2.0), matrices.items()):
    kept = true_bottleneck(m, beta) - true_bottleneck(unchanged, beta)
    dropped = true_bottleneck(m, beta, False) - true_bottleneck(unchanged, beta, False)
    verify(f"beta = {beta}, {name}: with h(Z|Y) nothing changes", kept, 0)
    verify(f"beta = {beta}, {name}: without it, log|det M| is left", dropped, torch.linalg.slogdet(m).logabsdet)

# %% [markdown]
# ## Predict, then run: standardise, then copy
#
# Barlow Twins standardises every dimension over the batch. After that the scale $w$ has no effect on eq. 8:

# %% tags=["nbval-check-output"]


def standardised_bottleneck(views, beta):
    both = torch.stack([losses.standardize(view, 0.0) for view in views])
    return losses.gaussian_bottleneck(both, beta).total


for beta in (0.5, 2.0):
    verify(
        f"beta = {beta}: standardised, the scale has no effect",
        standardised_bottleneck(views / 1000, beta),
        standardised_bottleneck(views, beta),
    )

# %% [markdown]
# Is eq. 8 put right by that? Take the standardised views, and replace dimension 2 by *dimension 1 plus $\epsilon$ times
# dimension 2*, in both views. Standardise again. For every $\epsilon > 0$ you can undo it, so nothing is learned and
# nothing forgotten.
#
# **Question.** As $\epsilon$ goes to 0, dimension 2 becomes a copy of dimension 1. Entropy is rewarded, and copies have
# little of it. What does the standardised eq. 8 say at $\beta = 2$: better, worse, or the same?

# %% tags=["nbval-check-output"]


def with_copy(views, epsilon):
    """Dimension 2 becomes dimension 1 plus epsilon times itself; both views are standardised before."""
    m = torch.eye(views.shape[-1], dtype=views.dtype)
    m[0, 1], m[1, 1] = 1.0, epsilon
    return torch.stack([losses.standardize(view, 0.0) @ m for view in views])


for beta in (0.5, 2.0, 10.0):
    values = torch.stack([standardised_bottleneck(with_copy(views, 10.0**-k), beta) for k in range(6)])
    print(f"beta = {beta:4.1f}:", "".join(f"{float(value):8.2f}" for value in values))
    slope = (values[5] - values[4]) / math.log(0.1)
    verify(f"beta = {beta}: the slope over log epsilon is 1 / beta", slope, 1 / beta, tolerance=1e-3)

# %% [markdown]
# <details><summary>Why</summary>
#
# Better, without end, at every $\beta$. Making a copy is an $M$ with $\det M = \epsilon$. It moves $\log\det \Sigma_Z$
# *and* $\log\det \Sigma_{Z \mid X}$ by $2 \log \epsilon$. The second falls because copies also agree where the views
# differ. In the bracket of eq. 8 the coefficients are $1$ and $\frac{1-\beta}{\beta}$. They sum to $\frac1\beta > 0$,
# so the bracket falls by $\frac2\beta$ for each unit of $\log \epsilon$, and half the bracket by $\frac1\beta$.
# Standardising again multiplies columns by numbers near a fixed one; it cannot stop this.
#
# </details>

# %% [markdown]
# ## Derivation: what standardising restores, and what it does not
#
# Standardising undoes every *diagonal* $M$, that is, the unit of each dimension. The true bottleneck ignores *every*
# invertible $M$. The rest is still missing: shears and mixes, and with them the road to copies. Two things restore it.
#
# - *Keep $h(Z \mid Y)$*, as the cell with $Z M$ did.
# - *Whiten* in place of standardising: multiply by $\Sigma_Z^{-1/2}$, so that the covariance becomes $I$. That undoes
#   $M$ up to a rotation, and a rotation has determinant $\pm 1$. Then $\log \det \Sigma_Z = 0$, and the other term
#   becomes $\log \det \Sigma_{Z \mid X} - \log \det \Sigma_Z$: twice $h(Z \mid X) - h(Z)$, minus the information
#   about the image. The coefficients are $1$ and $-1$, and their sum is 0.

# %% tags=["nbval-check-output"]


def whiten(views):
    """Both views times one matrix, after which their common covariance is the identity."""
    rows = views.flatten(0, 1)
    factor = torch.linalg.cholesky(torch.cov(rows.T, correction=0))
    return (views - rows.mean(dim=0)) @ torch.linalg.inv(factor).T


changed = {"a mix": views @ matrices["a mix"], "almost a copy": with_copy(views, 1e-3)}
before = {"a mix": views, "almost a copy": with_copy(views, 1.0)}
for name, other in changed.items():
    white = [log_determinant_term(conditional_covariance(whiten(some))) for some in (before[name], other)]
    verify(f"{name}: whitened, nothing changes", white[1], white[0], tolerance=1e-6)
pooled = torch.cov(views.flatten(0, 1).T, correction=0)
information = log_determinant_term(conditional_covariance(views)) - log_determinant_term(pooled)
white = log_determinant_term(conditional_covariance(whiten(views)))
verify("whitened, it is log det of the first minus log det of the second", white, information)
gained = standardised_bottleneck(before["almost a copy"], 2.0) - standardised_bottleneck(changed["almost a copy"], 2.0)
verify("standardised only, almost a copy gains more than a nat", gained > 1)

# %% [markdown]
# Barlow Twins does neither. It standardises and stops there. Copies must be forbidden in another way, and the next
# section looks for the step that does it. (Whitening as a loss exists, too: W-MSE.)

# %% [markdown]
# ## Derivation: four steps to Barlow Twins
#
# The notes end with "connected to IB with some modification". These are the modifications. From here on all embeddings
# are standardised. $S$ is $\Sigma_{Z \mid X}$. $R$ is $\Sigma_Z$, now the auto-correlation: each dimension of a view
# against each other of the same view, averaged over both views. $C$ is the cross-correlation of the two views.
#
# | step | before | after | what changes | reward for copies |
# | --- | --- | --- | --- | --- |
# | 1 | $\frac{1-\beta}{\beta} \log\det R$ | $-\lambda \log\det R$ | nothing, for $\beta > 1$ | yes |
# | 2 | $-\lambda \log\det R$ | $\lambda \sum_{i \ne j} R_{ij}^2$ | a factor 2 in $\lambda$; the cost of a copy is finite | yes |
# | 3 | $\sum_{i \ne j} R_{ij}^2$ | $\sum_{i \ne j} C_{ij}^2$ | copies that the views do not share are free | yes |
# | 4a | $\log\det S$ | $\sum_i \log (1 - C_{ii})$ | $S$ counts by its diagonal only | no |
# | 4b | $\log (1 - C_{ii})$ | $(1 - C_{ii})^2$ | one invariant dimension was enough; now all must agree | no |
#
# ### Step 1: the sign goes into lambda
#
# Set $\lambda = -\frac{1-\beta}{\beta} = \frac{\beta - 1}{\beta}$. For $\beta > 1$ it lies between 0 and 1, and
# $\beta = \frac{1}{1-\lambda}$ leads back.

# %% tags=["nbval-check-output"]
betas = [1.001, 1.5, 2.0, 10.0, 1e6]
weights = [losses.weight_of_beta(beta) for beta in betas]
verify("beta = 2 is lambda = 1/2", weights[2], 0.5)
verify("the way back", [losses.beta_of_weight(weight) for weight in weights], betas)
verify("for beta > 1 lambda lies between 0 and 1", all(0 < weight < 1 for weight in weights))
logs = [log_determinant_term(c) for c in (half, two)]
verify("same objective", logs[0] - weights[1] * logs[1], bottleneck_over_beta(logs[0], logs[1], 1.5))
verify(
    "the two coefficients of the bracket sum to 1 - lambda = 1 / beta", [1 - x for x in weights], [1 / x for x in betas]
)

# %% [markdown]
# ### Step 2: squares for the determinant
#
# This is the term that the notes mark "[proxy entropy]" on their second page. Write $R = I + E$; the diagonal of $E$ is
# zero, because $R$ is a correlation matrix. With $\log\det R = \operatorname{tr} \log (I + E)$ and the series of the
# logarithm,
#
# $$-\log \det R = \tfrac12 \sum_{i \ne j} E_{ij}^2 - \tfrac13 \operatorname{tr} E^3 + \dots$$
#
# *Hadamard*: $\det R \le \prod_i R_{ii} = 1$, with equality for $R = I$ only. So both sides are least at the same place.
#
# Mind the $\frac12$. What stands for $-\lambda \log\det R$ is $\frac{\lambda}{2} \sum R_{ij}^2$. Notes and paper write
# $\lambda \sum R_{ij}^2$, so from here on the letter $\lambda$ has doubled without a word.

# %% tags=["nbval-check-output"]
e = torch.randn(5, 5, generator=generator, dtype=torch.float64)
e = (e + e.T) / 8
e = e - torch.diag(e.diagonal())
identity = torch.eye(5, dtype=torch.float64)


def after_two_terms(t):
    """What the first two terms of the series miss at E times t."""
    c = identity + t * e
    return -log_determinant_term(c) - (losses.frobenius_term(c) / 2 - torch.trace(torch.matrix_power(t * e, 3)) / 3)


ratio = after_two_terms(2e-2) / after_two_terms(1e-2)
verify("what is missed is of fourth order: twice E, 16 times as much", round(float(ratio)), 16)
near = identity + 1e-4 * e
doubled = losses.frobenius_term(near) / -log_determinant_term(near)
verify("near the identity the squares are twice minus the logarithm", doubled, 2, tolerance=1e-3)
correlations = [
    losses.auto_correlation(torch.randn(12, 5, generator=generator, dtype=torch.float64), 0.0) for _ in range(200)
]
verify("Hadamard: 200 random correlation matrices", all(log_determinant_term(c) < 0 for c in correlations))
verify("the identity has log-determinant 0", log_determinant_term(identity), 0)

# %% [markdown]
# Why does $-\log\det R$ measure anything one would want? For Gaussians it is twice the difference between the sum of the
# entropies of the dimensions and their joint entropy. That difference is what the dimensions say in common. The lecture
# notes put it so: variables that covary carry redundant information, and the extreme of it is *information collapse*.

# %% tags=["nbval-check-output"]
separate = sum(gaussian_entropy(z[:, i : i + 1]) for i in range(3))
common = -0.5 * log_determinant_term(losses.auto_correlation(z, 0.0))
verify("sum of entropies - joint entropy = -(1/2) log det R", separate - gaussian_entropy(z), common)

# %% [markdown]
# What is lost: as two dimensions become copies, $-\log\det R$ grows without bound, and so does its slope. The
# squares stop at 1 for each entry, and their slope stays finite.

# %%
from jemlib.course.lessons.lesson03_information_bottleneck import figures

figures.barrier()

# %% tags=["nbval-check-output"]
for d in (2, 6):
    copies = torch.ones(d, d, dtype=torch.float64)
    verify(f"{d} copies of one dimension cost D(D-1) in squares", losses.frobenius_term(copies), d * (d - 1))
    verify("and without end in the log-determinant", losses.log_determinant_term(copies), -math.inf)

# %% [markdown]
# That looks like a barrier given away. But it never held: the objective has $\log\det S$ beside it. On the way to a copy
# $-\lambda \log\det R$ rises by $2 \lambda$ for each unit of $-\log \epsilon$, and $\log\det S$ falls by $2$. Before step
# 2 the sum falls with slope $2 (1 - \lambda)$, after it with slope $2$. Step 4 settles the matter.

# %% [markdown]
# ### Step 3: the other view in place of one's own
#
# $R$ correlates a view with itself, $C$ with the other view. If the views agree, the two are the same. If they do not,
# $C_{ij}$ can vanish although the dimensions of each view are copies. Here the views have nothing in common at all.

# %% tags=["nbval-check-output"]
signs = torch.tensor(list(product([1.0, -1.0], repeat=3)), dtype=torch.float64)
h1, h2, h3 = signs.T
copies_a, copies_b = torch.stack([h1, h1], dim=1), torch.stack([h2, h2], dim=1)
auto = losses.auto_correlation(copies_a, 0.0)
cross = losses.cross_correlation(copies_a, copies_b, 0.0)
verify("in the auto-correlation the copies cost 2", losses.frobenius_term(auto), 2)
verify("in the cross-correlation they are free", losses.frobenius_term(cross), 0)
same = losses.cross_correlation(copies_a, copies_a, 0.0)
verify("for equal views both are the same", same, auto)

# %% [markdown]
# The invariance term forbids such views, so that near a good solution little is lost. The paper reports that it made no
# strong difference.
#
# ### Step 4: each dimension in place of the determinant
#
# First move, *4a*. Hadamard again, for $S$: its determinant is at most the product of its diagonal $S_{ii} = 1 - C_{ii}$,
#
# $$\log\det S \ \le\ \sum_i \log S_{ii} = \sum_i \log (1 - C_{ii}) ,$$
#
# with equality where $S$ is diagonal. The right side knows each dimension by itself. It cannot see that two dimensions
# are copies, so it cannot reward it. *This* is the move that ends the road to copies: what remains of them is the cost
# $\sum_{i \ne j} C_{ij}^2$.
#
# Second move, *4b*: from $\log (1 - C_{ii})$ to $(1 - C_{ii})^2$. Both grow with $1 - C_{ii}$, so both ask for
# $C_{ii} = 1$. The reason is where they pull. The slope of the logarithm is $1 / (1 - C_{ii})$: it pulls hardest at the
# dimension that agrees already, and the value is $-\infty$ as soon as one of them agrees perfectly, whatever the others
# do. The slope of the square is $2 (1 - C_{ii})$: it pulls hardest at the dimension that agrees least, and the sum is
# 0 only when *all* agree. It also makes the loss one object: the squares of $C - I$, with two weights.
#
# The cell sends dimension 2 to a copy of dimension 1 again, and prints the objective after each step.

# %% tags=["nbval-check-output"]
lambd = 0.3
print("epsilon:        ", "".join(f"{10.0**-k:10.0e}" for k in range(5)))
ladder = [losses.bottleneck_surrogates(*with_copy(views, 10.0**-k), lambd, eps=0.0) for k in range(5)]
for i, name in enumerate(ladder[0]._fields):
    print(f"{name:16s}", "".join(f"{float(values[i]):10.2f}" for values in ladder))
fall = torch.stack([(before - after) / math.log(10) for before, after in zip(ladder[3], ladder[4])])
expected = [2 * (1 - lambd), 2, 2, 0]
verify("slopes over log epsilon: 2 (1 - lambda), then 2, 2, and 0 after step 4", fall, expected, tolerance=1e-3)
verify("after step 4 copies cost more than what they replaced", ladder[4][3] > losses.barlow_twins(*views, lambd).total)

noisy_pairs = torch.randn(200, 2, 12, 4, generator=generator, dtype=torch.float64)
bounded = []
for pair in noisy_pairs:
    s = conditional_covariance(torch.stack([losses.standardize(view, 0.0) for view in pair]))
    bounded.append(log_determinant_term(s) <= s.diagonal().log().sum())
verify("4a: 200 random pairs are below the sum over the diagonal", all(bounded))
agreement = torch.tensor([0.99, 0.2], dtype=torch.float64, requires_grad=True)
pulls = [torch.autograd.grad(f(1 - agreement).sum(), agreement)[0].abs() for f in (torch.log, torch.square)]
verify("4b: the logarithm pulls hardest at the dimension that agrees already", pulls[0].argmax(), 0)
verify("4b: the square pulls hardest at the one that agrees least", pulls[1].argmax(), 1)

# %% [markdown]
# What 4a and 4b change about the optima: below, the first dimension agrees, and the second is pure noise.

# %% tags=["nbval-check-output"]
view_a, view_b = torch.stack([h1, h2], dim=1), torch.stack([h1, h3], dim=1)
steps = losses.bottleneck_surrogates(view_a, view_b, 0.5, eps=0.0)
for name, value in zip(steps._fields, steps):
    print(f"{name:16s} {value:6.1f}")
verify("with the determinant nothing could be better", steps.cross_frobenius, -math.inf)
verify("Barlow Twins charges 1 for the noisy dimension", steps.barlow_twins, 1)
perfect = losses.bottleneck_surrogates(view_a, view_a, 0.5, eps=0.0)
verify("perfect views are optimal for both", perfect.cross_frobenius == -math.inf and perfect.barlow_twins == 0)

# %% [markdown]
# So every minimiser of the last line is one of the line before, but not the other way round. The sets of minimisers
# differ, and here the surrogate is the stricter, more useful one. The last line is lesson 02:

# %% tags=["nbval-check-output"]
surrogates = losses.bottleneck_surrogates(z_a, z_b, 0.3)
verify("step 4 is the loss of Barlow Twins", surrogates.barlow_twins, losses.barlow_twins(z_a, z_b, 0.3).total)

# %% [markdown]
# ## Experiment: lambda as the trade-off
#
# If $\lambda$ rewards entropy, a larger $\lambda$ should make embeddings keep more and agree less. `motifs` are
# generated images whose factors are known: pattern (the class), hues, brightness, position and more. So both sides of
# the trade-off can be measured. Several variants are compared, so they are scored on *validation* images; the test images
# are kept for reported figures.
#
# - *Agreement*: the mean $C_{ii}$ between two random views. 1 is perfect invariance.
# - *Entropy*: what the first derivation asked for. The Gaussian entropy of the standardised embeddings, for each
#   dimension, in nats, with a noise of a tenth of a deviation as resolution. 0 is that of uncorrelated dimensions; copies
#   lie near $\log 0.1$.
# - *Directions in use*: RankMe of the embeddings, the exponential of the entropy of their normalised singular values.
# - *What remains*: a linear probe for each factor. 1 is perfect, 0 is knowing nothing.
#
# Four runs differ in $\lambda$ alone. Each has a third of the usual steps. The control is the same network untrained.

# %%
from jemlib.course.lessons.lesson03_information_bottleneck.claims import agreement_of_views, entropy_per_dimension
from jemlib.data import load
from jemlib.diagnose import rankme
from jemlib.evaluate import embeddings, factor_probe
from jemlib.methods import build
from jemlib.train import fit

images = load("motifs", "train", limit=scale.limit)
held_out = load("motifs", "validation", limit=None if scale.name != "smoke" else 200)
probed = images.subset(slice(0, 6000))


def factors_in(method, noise=0.0):
    """Score of each factor, read off the embeddings by a linear map; `noise` blurs every standardised dimension."""
    train_z, held_out_z = embeddings(method, probed), embeddings(method, held_out)
    mean, std = train_z.mean(dim=0), train_z.std(dim=0).clamp(min=1e-12)
    draw = torch.Generator().manual_seed(0)
    train_z, held_out_z = ((z - mean) / std for z in (train_z, held_out_z))
    train_z, held_out_z = (z + noise * torch.randn(z.shape, generator=draw) for z in (train_z, held_out_z))
    return factor_probe(train_z, probed.factors, held_out_z, held_out.factors)


# %%
total_steps = scale.total_steps(len(images))
methods = {"untrained": build("barlow_twins", scale=scale)}
for lambd in (0.0, 0.001, 0.01, 0.1):
    method = build("barlow_twins", scale=scale, lambd=lambd)
    fit(method, images, scale=scale, steps=max(1, total_steps // 3), log_every=max(1, total_steps // 30))
    methods[f"lambda {lambd:g}"] = method

sweep = {}
for name, method in methods.items():
    z = embeddings(method, held_out)
    agreement, entropy_of_z = agreement_of_views(method, held_out), entropy_per_dimension(z)
    sweep[name] = {"agreement": agreement, "entropy": entropy_of_z, "rankme": float(rankme(z))}
for name, row in sweep.items():
    print(f"{name:13s} agreement {row['agreement']:.3f}   entropy {row['entropy']:.2f}   RankMe {row['rankme']:6.1f}")

# %%
figures.trade_off(sweep)

# %% [markdown]
# ## Predict, then run: which factors fade?
#
# A view is a random crop, perhaps mirrored, perhaps grey, with other brightness, contrast, saturation and hue. It keeps
# the pattern.
#
# **Question.** Which rows of the next table fade from the untrained column to the column $\lambda = 0.01$, and which
# darken? Name three of each. `occlusion angle` is a factor that nothing in these images shows: its row says what nothing
# looks like.

# %%
remaining_factors = {name: factors_in(method) for name, method in methods.items()}
plots.factor_table(remaining_factors, title="factors in the embeddings")

# %% [markdown]
# <details><summary>Why</summary>
#
# The pattern darkens: it is in every view. Brightness fades: every view has its own. It is tempting to go on and expect
# hue and position to fade as well. Look at their rows before you believe it. The jitter of hue is a small turn of the
# colour wheel, and crops usually overlap, so two views still agree on much of both. What agrees is worth keeping: the
# redundancy term asks for *many* uncorrelated dimensions, and patterns alone do not fill them. An embedding is not
# invariant to everything that the views touch, only to what they scramble.
#
# </details>

# %% [markdown]
# **Claims**, tested here and over three seeds by `jem claims`:

# %%
zero, default, large = (sweep[f"lambda {lambd}"] for lambd in ("0", "0.01", "0.1"))
claim("bottleneck.lambda-pays-for-entropy", zero=zero["entropy"], default=default["entropy"])
claim("bottleneck.entropy-costs-invariance", default=default["agreement"], large=large["agreement"])
in_zero, in_default, in_none = (remaining_factors[name] for name in ("lambda 0", "lambda 0.01", "untrained"))
claim("bottleneck.lambda-keeps-the-pattern", zero=in_zero["pattern"], default=in_default["pattern"])
claim(
    "bottleneck.training-sorts-factors",
    pattern=in_default["pattern"],
    pattern_untrained=in_none["pattern"],
    brightness=in_default["brightness"],
    brightness_untrained=in_none["brightness"],
)

# %% [markdown]
# ### Entropy needs a resolution
#
# One column should puzzle you. At $\lambda = 0$ RankMe says that hardly more than one direction is in use, and still
# some factors can be read. The probe stretches every direction, however faint, and 32-bit numbers keep faint traces. An
# information without a resolution is no useful number: that is the $h(Z \mid Y) = -\infty$ from above, met in practice.
# So blur: add noise of 0.3 deviations to every dimension, and probe again.

# %%
blurred = {}
for name in ("lambda 0", "lambda 0.01"):
    blurred[name] = remaining_factors[name]
    blurred[f"{name}\nblurred"] = factors_in(methods[name], noise=0.3)
plots.factor_table(blurred, title="with and without a resolution")

# %% [markdown]
# ### What the sweep does not show
#
# - It does not show $\beta$. Formally $\lambda = 0.01$ is $\beta = 1/0.99$. But step 1 is the only one of the four that
#   keeps the units. Step 2 alone doubles $\lambda$, and steps 2 to 4 replace logarithms by squares, so the number cannot
#   be carried back.
# - It does not show an optimum for each $\lambda$. The runs are short, and the points are where training got to. If
#   $\lambda = 0$ does not reach the highest agreement although it asks for nothing else, that is the optimiser's doing.
# - Linear probes and RankMe are not $I(Z;X)$. A factor that no linear map finds may still be there.
# - A factor that fades is not forgotten because of $\lambda$: the views decide what is worth keeping.
#
# ### On photographs, and on a GPU
#
# Photographs have no known factors, so the table stays with motifs. kNN, probe and RankMe can be compared anywhere:
#
# ```
# jem train barlow_twins --set lambd=0.1 --data cifar10 --scale cpu      # downloads CIFAR-10 once
# jem train barlow_twins --set lambd=0.1 --data folder:PATH --scale cpu  # your own train/<class>/*.jpg and test/...
# jem train barlow_twins --set lambd=0.01 --scale gpu                    # ResNet-18, 200 epochs, one GPU
# ```

# %% [markdown]
# ## Widget: the information plane
#
# The world of four views again, with all its 15 deterministic codes. The dashed line joins everything that scores as
# well as the winner. Its slope is $\beta$. Codes of one kind lie on one point.
#
# 1. Leave `confusion` at 0 and move $\beta$ across 1. The winner jumps from the constant to the image. No code in
#    between ever wins.
# 2. Set $\beta$ to 5. Does any code that keeps some of the distortion win?
# 3. Now let some views look like the other image's (`confusion`). The same bit of the view buys less of the image. The
#    jump comes later, at $\beta = 1/I(X;Y)$. At 0.5 a view says nothing about its image: no $\beta$ helps. (Among
#    deterministic codes. A random encoder can leave the constant earlier; the cell below has one.)

# %%
figures.information_plane_widget()

# %% [markdown]
# The same picture for readers on paper, at one setting: $\beta = 2$, no confusion.

# %%
figures.information_plane(beta=2.0, confusion=0.0)

# %% [markdown]
# Verify point 3 for a confusion of a tenth: a view tells 1 bit less the entropy of the confusion. The last line is an
# encoder that whispers: two symbols, one a little likelier for each image.

# %% tags=["nbval-check-output"]
noisy = figures.world(0.1)
known = mutual_information_loop(noisy, 2)
verify("I(X;Y) = 1 - H(0.1)", known, 1 - entropy(torch.tensor([0.1, 0.9], dtype=torch.float64), 2))
for shift, wins in ((-0.01, "constant"), (0.01, "the image")):
    best = figures.winners(figures.points(0.1), float(1 / known) + shift)
    verify(f"just {'below' if shift < 0 else 'above'} 1/I(X;Y) the winner is: {wins}", [p.kind for p in best] == [wins])
whisper = 0.5 + 0.1 * torch.tensor([[1, -1], [1, -1], [-1, 1], [-1, 1]], dtype=torch.float64)
verify("below it a random encoder beats the constant", information_bottleneck(noisy, whisper, 1.7)[0] < -1e-3)

# %% [markdown]
# ## What the sources got wrong
#
# The numbers are those of the course's list of errata. Both belong to the hand-written notes.
#
# **E3 (a): a step is missing.** The notes go from the four entropies straight to two. In between stands
# $H(Z \mid Y) = 0$, which needs a deterministic encoder. With a random one the short form is wrong:

# %% tags=["nbval-check-output"]
soft = torch.tensor([[0.9, 0.1], [0.9, 0.1], [0.1, 0.9], [0.1, 0.9]], dtype=torch.float64)
total, _, _, h_z, h_z_given_x, h_z_given_y = information_bottleneck(world, soft, 2.0, 2)
verify("the short form is off by exactly H(Z|Y)", 2.0 * h_z_given_x + (1 - 2.0) * h_z - total, h_z_given_y)
verify("and that is not 0", h_z_given_y > 0.4)

# %% [markdown]
# **E3 (b): "approximately" should be "proportional".** The notes write $\approx$ before eq. 7. Nothing is approximated:
# it is the line before, divided by $\beta$. The value changes by that factor, the order of the codes does not.

# %% tags=["nbval-check-output"]
every = [information_bottleneck(world, F.one_hot(torch.tensor(code), 4).double(), 3.0, 2) for code in codes]
values = torch.stack([row[0] for row in every])
divided = torch.stack([bottleneck_over_beta(row[4], row[3], 3.0) for row in every])
verify("exactly a third, for all 15 codes", divided, values / 3)
verify("about the same it is not", (divided - values).abs().max() > 1)

# %% [markdown]
# **E3 (c): "if beta = 1, always positive" is cut short.** At $\beta = 1$ what remains is $H(Z \mid X)$. It is never
# negative, but it can be zero, and it is zero for a constant. The point is another one: for every $\beta \le 1$ a
# constant is optimal, and for $\beta > 1$ the total can be negative. And for Gaussian entropies not even the sign holds.

# %% tags=["nbval-check-output"]
verify("beta = 1: zero for a constant", information_bottleneck(world, encoders["constant"], 1.0)[0], 0)
verify("beta = 1: zero for Z = X as well", information_bottleneck(world, encoders["Z = X"], 1.0)[0], 0)
verify("beta = 2: negative for Z = X", information_bottleneck(world, encoders["Z = X"], 2.0, 2)[0], -1)
verify("beta = 1, Gaussian: negative for small embeddings", losses.gaussian_bottleneck(views / 100, 1.0).total < 0)

# %% [markdown]
# **E4: what the Gaussian line drops.** The notes' last formula (and the paper's eq. 8) leaves out a factor $\frac12$ and
# the constant $\frac{D}{2\beta}\log(2\pi e)$. That is harmless: no minimiser moves. It also has lost the invariance to
# an invertible $M$, with $h(Z \mid Y)$, and that is not harmless: the formula as it stands is minimised by embeddings that
# shrink, and once they are standardised by dimensions that copy each other.

# %% tags=["nbval-check-output"]


def eq_8(views, beta):
    pooled = torch.cov(views.flatten(0, 1).T, correction=0)
    return log_determinant_term(conditional_covariance(views)) + (1 - beta) / beta * log_determinant_term(pooled)


other = torch.stack([z_a, z_b + 0.3 * z_b.flip(1)])
gap = eq_8(views, 2.0) - eq_8(other, 2.0)
full_gap = losses.gaussian_bottleneck(views, 2.0).total - losses.gaussian_bottleneck(other, 2.0).total
verify("harmless: differences between embeddings are halved and no more", full_gap, gap / 2)
shrunk = torch.stack([eq_8(views / 10**k, 2.0) for k in range(4)])
verify("not harmless: each tenth of the size gains (2 D / beta) log 10", shrunk.diff(), -3 * math.log(10))

# %% [markdown]
# "Connected to IB with some modification" is four steps, and three of them change the set of minimisers or the cost of a
# copy: steps 2, 3 and 4 above, each with its cell. On the way the $\frac12$ of step 2 disappears. On the notes' second page
# the mark "[proxy entropy]" stands for steps 2 and 3 together. (The square that is missing there is E1, lesson 02.)

# %% [markdown]
# ## Take-away
#
# - Know the image, forget the distortion: $I(Z;Y) - \beta I(Z;X)$, to be minimised.
# - For $\beta \le 1$ a constant is optimal, by data processing. For $\beta > 1$, where a view shows its image, it is
#   $Z = X$: all of the image, none of the distortion.
# - With a deterministic encoder it is, up to a factor, $H(Z \mid X) + \frac{1-\beta}{\beta} H(Z)$: views agree, and
#   embeddings are varied.
# - With real numbers the dropped term carries the units. Standardising over the batch restores one unit per dimension.
#   Shears stay free, and with them copies are still rewarded. Keeping $h(Z \mid Y)$, or whitening, restores the rest.
# - Barlow Twins is four steps away: a sign, squares for a determinant, the other view, each dimension on its own. The
#   last one removes the reward for copies.
# - $\lambda$ trades agreement for variety. It is not the $\beta$ of the formula.
#
# ### What was recorded
#
# The claims of this lesson, each measured with three seeds (`jem claims --seeds 3`):

# %%
recorded_claims("03_information_bottleneck")

# %% [markdown]
# The table of objectives so far; this lesson adds a reason, not a row.

# %%
objectives_so_far("simclr", "barlow_twins")

# %% [markdown]
# Next: lesson 04 takes the squares apart into variance and covariance (VICReg), where the scale is held by a term of its
# own; lesson 05 is the laboratory of collapses.

# %% [markdown]
# ## Quiz
#
# **1.** A colleague sets $\beta = 0.99$ "so that invariance counts a little more". What is the best encoder?
#
# <details><summary>Answer</summary>
#
# A constant. For every $\beta \le 1$ the total is at least $(1-\beta) I(Z;X) \ge 0$, and a constant has 0. There is no
# "a little more": the trade-off starts above 1.
#
# </details>
#
# **2.** An encoder adds noise to its output. Which step of the derivation fails, and in which direction is the short
# form wrong?
#
# <details><summary>Answer</summary>
#
# $H(Z \mid Y) = 0$ fails. The bottleneck has $-H(Z \mid Y)$, which the short form leaves out, so the short form is too
# large by $H(Z \mid Y)$: it takes the noise for something that is known of the view.
#
# </details>
#
# **3.** Somebody optimises eq. 8 directly, without standardising. The loss falls without end. What do you expect to see?
# And after they have added the standardisation?
#
# <details><summary>Answer</summary>
#
# Embeddings that shrink: the bracket of eq. 8 has slope $2D/\beta$ over the logarithm of their size. Or one direction
# becomes perfectly invariant, and $\log\det \Sigma_{Z \mid X}$ goes to $-\infty$ through it. Both are answers to the
# formula, and neither is a representation. With the standardisation the sizes stay, and dimensions become copies of each
# other: the two coefficients sum to $\frac1\beta > 0$, so each lost factor of the determinant is a gain.
#
# </details>
#
# **4.** Two dimensions correlate by 0.1. By how much do $-\log\det R$ and half of the Frobenius term differ? And at 0.99?
#
# <details><summary>Answer</summary>
#
# $-\log(1 - r^2)$ against $r^2$. At 0.1 they differ by $r^4/2$ and smaller terms, about half a percent of the value. At
# 0.99 the first is about four times the second, and the gap grows without bound from there.
#
# </details>
#
# **5.** Does $\lambda = 0.0051$ in a run mean $\beta = 1.005$?
#
# <details><summary>Answer</summary>
#
# Only if the run minimised step 1. It minimises step 4, where squares stand for logarithms: the two terms have other
# units, and with them another balance. It also depends on $D$, since there are $D$ entries on the diagonal and $D(D-1)$
# beside it.
#
# </details>
#
# **6.** Why can the embeddings at $\lambda = 0$ tell more factors than "one direction in use" suggests?
#
# <details><summary>Answer</summary>
#
# RankMe weighs directions by their size; a linear probe on standardised features does not. Faint differences between the
# copies survive in 32-bit numbers. With a resolution, that is with noise of a fixed size, the faint directions sink into
# it, and only then do the words "how much information" have an answer.
#
# </details>

# %% [markdown]
# ## References
#
# - J. Zbontar, L. Jing, I. Misra, Y. LeCun, S. Deny: *Barlow Twins: Self-Supervised Learning via Redundancy Reduction*,
#   ICML 2021, arXiv:2103.03230. The derivation: appendix A, eq. 5 (bottleneck), 6 (entropies), 7 (divided), 8
#   (Gaussian), and the text after it (the surrogates).
# - N. Tishby, F. Pereira, W. Bialek: *The information bottleneck method*, 1999, arXiv:physics/0004057.
# - T. Cover, J. Thomas: *Elements of Information Theory*. Chain rule and data processing: chapter 2; differential entropy
#   and rounding: chapter 8 of the second edition.
# - Q. Garrido, R. Balestriero, L. Najman, Y. LeCun: *RankMe*, arXiv:2210.02885. The directions in use.
# - The lecture notes of the course's sources: *Joint Embedding Methods, Regularised* (A. Canziani, J. Zhu; NYU, 2022).
