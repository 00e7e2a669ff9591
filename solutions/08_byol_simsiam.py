# %% [markdown] edition="2"
# # 08 · BYOL and SimSiam: learn from yourself, without negatives
#
# One view predicts the other. The target is the network's own output. Nothing in the loss pushes samples apart, and its
# lowest value is reached when all embeddings coincide. It should collapse. It does not. You build it, take it apart
# piece by piece, and compute in a linear model why it stands, and when it falls.

# %% [markdown]
# ## What you will learn
#
# After this lesson you can
#
# 1. *write* the loss of BYOL, and SimSiam's as the same formula in another unit (exercises 8.1, 8.2 and 8.3);
# 2. *derive* its gradient, and say why it cannot change a length (exercise 8.4);
# 3. *move* the target by an average (exercise 8.5);
# 4. *read* SimSiam as alternating minimisation (exercise 8.6);
# 5. *derive* the linear dynamics of one mode, and its thresholds (exercises 8.7 and 8.8);
# 6. *compare* the squared distance with the cosine under weight decay;
# 7. *prove* that the training step is the gradient of nothing (exercise 8.9);
# 8. *set* a predictor from the spectrum instead of training it (exercise 8.10);
# 9. *repair* a step whose stop-gradient stands on the wrong side (exercise 8.11), and *measure* which parts are needed.

# %% [markdown]
# ## Before you start
#
# You need derivatives, eigenvalues, some PyTorch (`backward`, `detach`), and the picture of lesson 00: an image, two
# views, an encoder, embeddings. Lesson 05 is useful: it defines collapse, and it shows that without a predictor these
# losses are flat or a valley at the constant. This lesson puts the predictor in. If you skipped that one: the
# *directional spread* is the variance of the embeddings once each is divided by its length, summed over the dimensions
# (0 when all point one way, at most 1), and *RankMe* counts how many directions the embeddings use.
#
# **Time.** Two and a half to three hours, with reading and runs: the losses 35 minutes, target and EM 20, linear
# dynamics 50, the field 20, DirectPred 15, the experiments 40 (the runs take a few minutes of it). Stop after any
# section; `jem progress` in a terminal shows what is done.
#
# An exercise is a function for you to write. The cell below it says *correct*; *incorrect*, with the mistake by name; or
# *not attempted yet*. What you leave open is replaced by jemlib's own function. `hint(byol)` gives one hint at a time,
# and `solution(byol)` shows the answer.

# %%
import torch
import torch.nn.functional as F

from jemlib import losses, plots
from jemlib.course import check, claim, hint, objectives_so_far, recorded, recorded_claims, solution, verify
from jemlib.train import current_scale

scale = current_scale()
print(f"Scale {scale.name}. Set the environment variable JEMLIB_SCALE to smoke, cpu or gpu to change it.")

# %% [markdown]
# ## Notation
#
# {{symbols: N D Z_A Z_B P_A P_B theta xi m W_lin W_p F_corr sigma2 p_mode s_mode tau_mode eta_wd alpha_p beta_rate}}
#
# $\mathrm{sg}(\cdot)$ is the *stop-gradient*: the same numbers, but a constant for the derivative. In code it is
# `detach()`. A dash is a derivative in time: $p' = dp/dt$. In code `F` is `torch.nn.functional`, not the matrix $F$.

# %% [markdown]
# ## Ladder: from hand numbers to the loss
#
# Two views of an image give two *projections*, $z^A$ and $z^B$. A small network, the *predictor*, maps $z^A$ to
# $p^A$. The prediction $p^A$ shall point where $z^B$ points. Lengths do not count: both are divided by theirs. For one
# sample, with the angle between the two,
#
# $$\Big|\frac{p}{|p|} - \frac{z}{|z|}\Big|^2 = 2 - 2\cos(p, z) \in [0, 4] .$$
#
# Numbers by hand: two vectors at a right angle give 2, opposite ones give 4, whatever their lengths. The mean over the
# batch is the loss of one direction. The target is held still: $\mathrm{sg}(z)$.
#
# {{exercise:directed_distance}}
#
# `p` and `target` are $(N, D)$, the result is a number. With `stop_gradient=False` the gradient may enter the target.


# %% exercise="directed_distance"
def directed_distance(p, target, stop_gradient=True):
    """Mean squared distance of unit rows: predictions (N, D) to targets (N, D)."""
    ### BEGIN SOLUTION
    if stop_gradient:
        target = target.detach()
    unit_p, unit_t = F.normalize(p, dim=1), F.normalize(target, dim=1)
    return (unit_p - unit_t).square().sum(dim=1).mean()
    ### END SOLUTION


# %% check="directed_distance"
directed_distance = check(directed_distance)

# %% tags=["nbval-check-output"]
e1, e2 = torch.eye(2, dtype=torch.float64)[:, None]
verify("at a right angle: 2", directed_distance(e1, e2), 2)
verify("opposite, and three times as long: 4", directed_distance(e1, -3 * e1), 4)
leaf = e2.clone().requires_grad_()
verify("no gradient enters the target", not directed_distance(e1, leaf).requires_grad)

# %% [markdown]
# ### Both directions
#
# View A predicts view B, and view B predicts view A. BYOL adds the two:
#
# $$L_{\text{BYOL}} = d\big(p^A, \mathrm{sg}(t^B)\big) + d\big(p^B, \mathrm{sg}(t^A)\big) \in [0, 8] ,$$
#
# where $d$ is your function. The targets $t$ are projections of the other view: by a slow copy of the network in BYOL,
# by the network itself in SimSiam. Mind the crossing: $p^A$ meets the target of view **B**.
#
# {{exercise:byol}}
#
# All four inputs are $(N, D)$. Return three scalars: the total, A to B, B to A. A tuple will do.


# %% exercise="byol"
def byol(p_a, p_b, target_a, target_b, *, stop_gradient=True):
    """(total, a_to_b, b_to_a) from predictions and targets, each (N, D)."""
    ### BEGIN SOLUTION
    a_to_b = directed_distance(p_a, target_b, stop_gradient)
    b_to_a = directed_distance(p_b, target_a, stop_gradient)
    return a_to_b + b_to_a, a_to_b, b_to_a
    ### END SOLUTION


# %% check="byol"
byol = check(byol)

# %% [markdown]
# ### One formula, two names
#
# SimSiam writes $-\cos$ instead of $2 - 2\cos$, and takes the mean of the directions instead of their sum. That is a
# change of unit, not of method.
#
# {{exercise:simsiam}}
#
# Write `simsiam` with the help of `byol`. Total in $[-1, 1]$, and each direction in $[-1, 1]$.


# %% exercise="simsiam"
def simsiam(p_a, p_b, z_a, z_b, *, stop_gradient=True):
    """(total, a_to_b, b_to_a): the mean of two negative cosines, and each of them."""
    ### BEGIN SOLUTION
    total, a_to_b, b_to_a = byol(p_a, p_b, z_a, z_b, stop_gradient=stop_gradient)
    return (total - 4) / 4, (a_to_b - 2) / 2, (b_to_a - 2) / 2
    ### END SOLUTION


# %% check="simsiam"
simsiam = check(simsiam)

# %% tags=["nbval-check-output"]
generator = torch.Generator().manual_seed(0)


def normal(*shape):
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


p_a, p_b, z_a, z_b = (normal(6, 3) for _ in range(4))
verify("BYOL = 4 + 4 SimSiam", byol(p_a, p_b, z_a, z_b)[0], 4 + 4 * simsiam(p_a, p_b, z_a, z_b)[0])
verify(
    "all vectors alike: 0 and -1, the lowest there is", byol(p_a, p_a, p_a, p_a)[0] - simsiam(p_a, p_a, p_a, p_a)[0], 1
)
same = torch.ones(6, 3, dtype=torch.float64)
verify("and a constant network reaches that", byol(same, same, same, same)[0], 0)

# %% [markdown]
# The gradients differ by the factor 4. A learning rate of SGD does not carry over from one to the other. Adam hardly
# notices. And the last line is the puzzle of this lesson: *collapse is a global minimum*.
#
# ## Derivation: the gradient for the prediction
#
# Only $u = p/|p|$ depends on $p$. A unit vector moves at right angles to itself:
# $\partial u/\partial p = (I - u u^\top)/|p|$. With the unit target $t$, the gradient of $2 - 2\langle u, t\rangle$ for
# one sample is
#
# $$-\frac{2}{|p|}\big(t - \langle u, t\rangle\, u\big) .$$
#
# {{exercise:prediction_gradient}}
#
# Write the gradient of `directed_distance` for all rows of `p`, shape $(N, D)$, without automatic differentiation. The
# loss is a mean over the batch.


# %% exercise="prediction_gradient"
def prediction_gradient(p, target):
    """The gradient of the mean of 2 - 2 cos with respect to p, (N, D)."""
    ### BEGIN SOLUTION
    length = p.norm(dim=1, keepdim=True)
    unit_p, unit_t = p / length, F.normalize(target, dim=1)
    cosine = (unit_p * unit_t).sum(dim=1, keepdim=True)
    return -2 * (unit_t - cosine * unit_p) / length / len(p)
    ### END SOLUTION


# %% check="prediction_gradient"
prediction_gradient = check(prediction_gradient)

# %% tags=["nbval-check-output"]
leaf = p_a.clone().requires_grad_()
losses.byol(leaf, p_b, z_a, z_b).a_to_b.backward()
slope = prediction_gradient(p_a, z_b)
verify("it is what backward computes", slope, leaf.grad)
verify("it is at right angles to each prediction", (slope * p_a).sum(dim=1), 0)
verify("twice as long, half the gradient", prediction_gradient(2 * p_a, z_b), slope / 2)

# %% [markdown]
# So a small step along it leaves the length of each prediction as it is, to first order. You will see the same of the
# weights of a linear network. Keep that in mind: it decides what weight decay can do, below.
#
# ### The moving target
#
# BYOL regresses onto a target that moves. It comes from a second network with weights $\xi$. No gradient trains them.
# After each step they follow the *online* weights $\theta$ as an average, with momentum $m$:
#
# $$\xi \leftarrow m\,\xi + (1 - m)\,\theta .$$
#
# {{exercise:follow}}
#
# `target` and `online` are two weight tensors of one shape. Return the target's new weights; change neither input.


# %% exercise="follow"
def follow(target, online, momentum=0.99):
    """One step of the average: m target + (1 - m) online."""
    ### BEGIN SOLUTION
    return momentum * target + (1 - momentum) * online
    ### END SOLUTION


# %% check="follow"
follow = check(follow)

# %% tags=["nbval-check-output"]
import math

old, theta = normal(4, 4), normal(4, 4)
xi = old
for _ in range(69):
    xi = follow(xi, theta, 0.99)
verify("after k steps the gap has shrunk by m^k", xi - theta, 0.99**69 * (old - theta))
print(
    f"half of the gap is gone after {math.log(2) / (1 - 0.99):.0f} steps at m = 0.99, {math.log(2) / 0.004:.0f} at 0.996"
)
verify("m = 0 copies: then BYOL's target is SimSiam's", follow(old, theta, 0.0), theta)

# %% [markdown]
# At m = 0 the target is a copy, made before the step. So SimSiam is BYOL without the average. The stop-gradient stays.
#
# ## Derivation: SimSiam as alternating minimisation
#
# Why should a stop-gradient make sense? The authors of SimSiam offer a hypothesis (we know that part of the paper from
# slides). Give each image $i$ a target $y_i$ of its own, a free vector. Let $f_t(i)$ be the features of view $t$ of
# image $i$. Minimise over both the network and the targets:
#
# $$\min_{\theta, y}\ \sum_i \sum_t \big|f_t(i) - y_i\big|^2 .$$
#
# Alternate, as in EM or $k$-means: first the best targets for the fixed network, then a step of the network for the
# fixed targets. In that second step the targets are constants. *There is the stop-gradient.*
#
# {{exercise:best_targets}}
#
# `features` is $(T, N, D)$: T views of N images. Return the best targets, $(N, D)$.


# %% exercise="best_targets"
def best_targets(features):
    """The targets (N, D) with the least squared distance to all T views of each image."""
    ### BEGIN SOLUTION
    return features.mean(dim=0)
    ### END SOLUTION


# %% check="best_targets"
best_targets = check(best_targets)

# %% tags=["nbval-check-output"]
views_of = normal(5, 4, 3)
best = best_targets(views_of)


def cost(y):
    return (views_of - y).square().sum()


verify("no other target is better", all(cost(best + 0.1 * normal(4, 3)) > cost(best) for _ in range(200)))
one_view = views_of[1]
verify("one view alone costs more", cost(one_view) > cost(best))
gap = len(views_of) * (best - one_view).square().sum()
verify("by T times its squared distance from the mean", cost(one_view) - cost(best), gap)

# %% [markdown]
# SimSiam takes one view for the mean: $y_i \leftarrow f_{t'}(i)$. That is a noisy estimate. The hypothesis says that the
# predictor makes up for it: the best prediction of $z^B$ from $z^A$, in squared distance, *is* a conditional mean.
#
# Note what this does not explain. The alternation has the constant as its best solution too.
#
# ## Derivation: linear dynamics
#
# Now the model that can be solved (Tian, Chen and Ganguli). Encoder and predictor are linear: $z = W x$, $p = W_P z$.
# The target network is $W_a = \tau W$. Inputs have covariance $I$, and each view adds noise of variance $\sigma^2$ in
# every direction. So a view has covariance $(1 + \sigma^2) I$, and two views $x_1, x_2$ of one input have $I$ between
# them. The loss is the plain squared distance, without dividing by lengths:
# $J = \frac12 E\,|W_P W x_1 - \mathrm{sg}(W_a x_2)|^2$.
#
# Let $W_P$ be symmetric, and let it share its eigenvectors with $F = W W^\top$ (they come to share them; Theorem 3 of
# the paper, under a condition). This $F$ leaves the noise out; with it there is a factor $1 + \sigma^2$ more. Then each
# direction, or *mode*, goes its own way. It has two numbers: $p$, the eigenvalue of the predictor, and $s = w^2$, that
# of $F$. Its share of the loss is
#
# $$\tfrac12 (1 + \sigma^2)\, p^2 w^2 - p\,w\cdot\mathrm{sg}(\tau w) + \text{const} .$$
#
# Descend: $w' = -\partial J/\partial w - \eta w$, and $p' = -\alpha_p\,\partial J/\partial p - \eta p$. With
# $s' = 2 w w'$,
#
# $$p' = \alpha_p\, s\,[\tau - (1+\sigma^2)\,p] - \eta\, p, \qquad s' = 2\, p\, s\,[\tau - (1+\sigma^2)\,p] - 2\eta\, s .$$
#
# {{exercise:mode_slopes}}
#
# `p` and `s` are $(K,)$, one entry for each mode. Return both slopes, each $(K,)$.


# %% exercise="mode_slopes"
def mode_slopes(p, s, tau=1.0, sigma2=0.5, eta=0.1, alpha_p=1.0):
    """(p', s') of each mode."""
    ### BEGIN SOLUTION
    gain = tau - (1 + sigma2) * p
    return alpha_p * s * gain - eta * p, 2 * p * s * gain - 2 * eta * s
    ### END SOLUTION


# %% check="mode_slopes"
mode_slopes = check(mode_slopes)

# %% tags=["nbval-check-output"]
from jemlib.theory import mode_dynamics

# By automatic differentiation: the second w is behind the stop-gradient.
w, p = torch.tensor(0.7, dtype=torch.float64).requires_grad_(), torch.tensor(0.3, dtype=torch.float64).requires_grad_()
tau, sigma2, eta, alpha_p = 0.9, 0.5, 0.1, 2.0
j = 0.5 * (1 + sigma2) * p**2 * w**2 - p * w * (tau * w).detach()
g_w, g_p = torch.autograd.grad(j, (w, p))
w, p = w.detach(), p.detach()
p_slope, s_slope = mode_slopes(p[None], w[None] ** 2, tau, sigma2, eta, alpha_p)
verify("p' is descent on p", p_slope, -alpha_p * g_p - eta * p)
verify("s' is 2 w times descent on w", s_slope, 2 * w * (-g_w - eta * w))

# A law for every trajectory: s - p^2 / alpha_p is forgotten at the rate 2 eta, whatever tau does.
beta, correlation = 0.4, torch.tensor([0.5, 0.8], dtype=torch.float64)
run = mode_dynamics(
    torch.tensor([0.3, 0.1]).double(), correlation, 0.6, sigma2=0.5, eta=0.1, alpha_p=2.0, beta=beta, steps=200
)
distance = run.s - run.p**2 / 2
verify(
    "s - p^2/alpha_p decays as exp(-2 eta t)",
    distance,
    distance[0] * torch.exp(-0.2 * run.time)[:, None],
    tolerance=1e-6,
)

# %% [markdown]
# So after a while $s = p^2/\alpha_p$, and one equation is left: $p' = p^2[\tau - (1+\sigma^2)p] - \eta p$. Where does it
# rest? At $p = 0$, which is collapse of this mode; and where the rest of it is zero, a quadratic equation.
#
# {{exercise:resting_points}}
#
# All three arguments are $(K,)$, and such that both roots are real. Return $p_-$ and $p_+$, the smaller root first.


# %% exercise="resting_points"
def resting_points(tau, sigma2, eta):
    """(p_minus, p_plus): the roots of (1 + sigma2) p^2 - tau p + eta."""
    ### BEGIN SOLUTION
    a = 1 + sigma2
    root = torch.sqrt(tau**2 - 4 * eta * a)
    return (tau - root) / (2 * a), (tau + root) / (2 * a)
    ### END SOLUTION


# %% check="resting_points"
resting_points = check(resting_points)

# %% [markdown]
# The roots are real up to the *critical weight decay* $\eta_c = \tau^2/(4(1+\sigma^2))$. Above it only collapse is left.
# Below it $p_-$ is unstable: it is the edge of the basin of collapse. $p_+$ is stable: there training ends.

# %%
from jemlib.theory import critical_weight_decay

one = torch.ones(1, dtype=torch.float64)
low, high = (float(x) for x in resting_points(one, 0.5 * one, 0.1 * one))
print(
    f"sigma^2 = 0.5, eta = 0.1: p- = {low:.4f}, p+ = {high:.4f}; critical weight decay {critical_weight_decay(1.0, 0.5):.4f}"
)


def ends(start, eta):
    start = torch.tensor(start, dtype=torch.float64)
    return mode_dynamics(start, start**2, sigma2=0.5, eta=eta, steps=300, dt=0.4).p[-1]


verify(
    "a hair below p- dies, a hair above arrives at p+",
    ends([low - 0.01, low + 0.01], 0.1),
    torch.tensor([0, high]).double(),
    tolerance=0.02,
)
verify("above the critical decay all die", ends([0.2, 0.6, 0.9], 0.2), 0, tolerance=1e-3)
verify("without weight decay all arrive at 1/(1 + sigma^2)", ends([0.1, 0.6], 0.0), 1 / 1.5, tolerance=0.02)
claim("byol_simsiam.critical-weight-decay")

# %% [markdown]
# The claim trains a linear network by stochastic gradient descent on samples: eight modes, two views with noise. It ends
# at the $p_+$ that you computed, or dies. Why does a mode not die at $p = 0$ without weight decay? Because there its
# slope is $\alpha_p s \tau$: the predictor learns first, and then it pulls the encoder. Without the predictor ($p = 1$,
# held, and $\tau = 1$) the bracket is $1 - (1 + \sigma^2) < 0$, and every mode shrinks. That is lesson 05's valley.
#
# ## Widget: steer the phase portrait
#
# The plane of one mode: $p$ to the right, $s$ upwards. Four starts, the flow, and in grey the starts that die.
#
# 1. *Weight decay.* Raise it: $p_-$ and $p_+$ approach each other, and the grey grows. At the critical one they meet.
# 2. *The predictor's rate.* A faster predictor shrinks the grey: it arrives before decay has eaten the encoder.
# 3. *Momentum.* The rate at which the target follows; `none` is a target that is the network itself, SimSiam. While $s$
#    grows, a slow target lags behind. The arrows are those of `none`.
# 4. *Noise.* It lowers $p_+$, and the critical decay with it.
#
# Below the widget is the same picture for readers on paper, at a weight decay of 0.1 with a slower predictor.

# %%
from jemlib.course.lessons.lesson08_byol_simsiam import figures

figures.portrait_widget()

# %% alt="Left: the plane of p and s with arrows to a star at p+; a grey strip along the bottom and lower left, where modes die. Right: p over time for four starts; three reach p+, one falls to 0."
figures.portrait(eta=0.1, alpha_p=0.5)

# %% [markdown]
# ## Derivation: the cosine is another matter
#
# Real BYOL divides by lengths. What does that change? Put $\cos$ into the same linear model, and replace both lengths by
# their root mean squares over the data (our simplification; lengths concentrate in many dimensions). All modes then share
# two numbers, $P^2 = \sum_k p_k^2 s_k$ and $Z^2 = \sum_k s_k$, and
#
# $$p_j' = \alpha_p\, s_j\, g_j - \eta\, p_j, \qquad s_j' = 2\,p_j\, s_j\, g_j - 2\eta\, s_j, \qquad
# g_j = \frac{1}{(1+\sigma^2)\,P Z}\Big[1 - p_j\,\frac{\sum_k p_k s_k}{\sum_k p_k^2 s_k}\Big] .$$
#
# Compare the brackets. There each mode has a fixed goal, $\tau/(1+\sigma^2)$. Here the goal is a mean over all modes: a
# mode below it grows, one above it shrinks. So modes *level out*. And the lengths stand still: $\sum p^2$ and $\sum s$
# change by weight decay alone, because the gradient is at right angles to them.

# %% alt="p of four modes over time on a log scale. Squared distance: three rise to one level, the weakest, below p-, keeps falling. Cosine: all four meet, and then decay together."
from jemlib.theory import cosine_mode_dynamics

start = torch.tensor([0.6, 0.3, 0.1, 0.03], dtype=torch.float64)
shared = {"sigma2": 0.5, "eta": 0.05}
by_distance = mode_dynamics(start, start**2, **shared, steps=300, dt=0.1)
by_cosine = cosine_mode_dynamics(start, start**2, **shared, steps=600, dt=0.05)
fade = torch.exp(-0.1 * by_cosine.time)
verify(
    "cosine: sum p^2 decays by weight decay alone",
    by_cosine.p.square().sum(1),
    fade * start.square().sum(),
    tolerance=1e-5,
)
# The same on samples, without the simplification: a linear network and a drawn batch.
w, w_p = normal(4, 6).requires_grad_(), normal(4, 4).requires_grad_()
x_1, x_2 = normal(20, 6), normal(20, 6)
slopes = torch.autograd.grad(directed_distance(x_1 @ w.T @ w_p.T, x_2 @ w.T), (w, w_p))
verify("on samples: the gradient is at right angles to W", (slopes[0] * w).sum(), 0)
verify("and to W_p", (slopes[1] * w_p).sum(), 0)
claim("byol_simsiam.cosine-keeps-weak-directions")
figures.two_losses({"squared distance": by_distance, "cosine": by_cosine})

# %% [markdown]
# Under the squared distance the mode that starts below $p_-$ is lost, and the others live: dimensional collapse. Under
# the cosine it catches up, and weight decay only shrinks all of them together. Shrinking is no collapse here: the loss
# does not see lengths. A paper on this question, Bao (arXiv:2309.16109), announces in its abstract a stable equilibrium
# of the cosine's dynamics where those of the squared distance collapse. We have not checked its proof; what stands here is our own derivation.
#
# ## Derivation: the gradient of nothing
#
# A gradient field has a symmetric Jacobian: it is a matrix of second derivatives. Take the smallest SimSiam, with numbers
# $w$ and $w_p$ instead of matrices, no weight decay, and $a = 1 + \sigma^2$. Its slopes are
#
# $$w' = w\,w_p - a\,w\,w_p^2, \qquad w_p' = w^2 - a\,w^2\,w_p .$$
#
# {{exercise:field_jacobian}}
#
# Return the $(2, 2)$ matrix of their derivatives: a row for each slope, the columns $w$ and $w_p$. The stop-gradient has
# done its work once the slopes are written: derive them as they stand. `w` and `w_p` are tensors without axes. No
# automatic differentiation.


# %% exercise="field_jacobian"
def field_jacobian(w, w_p, sigma2=0.5):
    """(2, 2): derivatives of the slopes (w', w_p') by (w, w_p)."""
    ### BEGIN SOLUTION
    a = 1 + sigma2
    first = torch.stack([w_p - a * w_p**2, w - 2 * a * w * w_p])
    second = torch.stack([2 * w - 2 * a * w * w_p, -a * w**2])
    return torch.stack([first, second])
    ### END SOLUTION


# %% check="field_jacobian"
field_jacobian = check(field_jacobian)

# %% tags=["nbval-check-output"]
from torch.func import grad, jacrev, vmap


def loss_1d(w, w_p, target):
    return 0.5 * 1.5 * (w_p * w) ** 2 - w_p * w * target + 0.5 * 1.5 * target**2


def descent(point, stop_gradient):
    """Minus the gradient at (w, w_p), by automatic differentiation; the target w is a constant in it, or is not."""
    w, w_p = point
    if stop_gradient:
        slopes = grad(loss_1d, argnums=(0, 1))(w, w_p, w)
    else:
        slopes = grad(lambda w, w_p: loss_1d(w, w_p, w), argnums=(0, 1))(w, w_p)
    return -torch.stack(slopes)


at = torch.tensor([0.7, 0.3], dtype=torch.float64)
found = field_jacobian(at[0], at[1])
verify("your matrix is that of the field", found, jacrev(lambda x: descent(x, True))(at))
verify("what is missing to symmetry is w itself", found[1, 0] - found[0, 1], at[0])
full = jacrev(lambda x: descent(x, False))(at)
verify("without the stop-gradient it is symmetric", full, full.T)

# Walk once around a circle: a gradient field gives back what it took.
angle = torch.linspace(0, 2 * math.pi, 401, dtype=torch.float64)[:-1]
circle = torch.stack([0.7 + 0.2 * angle.cos(), 0.3 + 0.2 * angle.sin()], dim=1)
tangent = 0.2 * torch.stack([-angle.sin(), angle.cos()], dim=1) * (2 * math.pi / 400)
work = {stop: (vmap(lambda x, stop=stop: descent(x, stop))(circle) * tangent).sum() for stop in (True, False)}
verify("without the stop-gradient the work around the circle is 0", work[False], 0)
verify("with it: the integral of w over the disc", work[True], 0.7 * math.pi * 0.2**2, tolerance=1e-3)

# %% [markdown]
# So no function exists whose gradient the training follows. The loss that you plot is not what is minimised; it may rise
# while training goes well. (arXiv:2507.01028 states this in general, by its abstract.) And it must be so: what *is* a
# gradient here, the step without stop-gradient, goes downhill to the global minimum, and that is collapse.
#
# ## Derivation: DirectPred
#
# On the resting points $s = p^2/\alpha_p$: the trained predictor has the eigenvalues $p = \sqrt{\alpha_p s}$ and shares
# the eigenvectors of $F$. Then why train it? *DirectPred* sets it. Keep a running mean $\hat F$ of $z z^\top$ (not
# centred), take its eigenvalues $s_j$ and eigenvectors, the columns of $U$, and put
# $W_P = U\,\mathrm{diag}(p)\,U^\top$ with
#
# $$\text{paper: } p_j = \sqrt{s_j} + \epsilon \max_k s_k, \qquad
# \text{code: } p_j = \max\Big(\sqrt{s_j/\max_k s_k} + \epsilon,\ 10^{-4}\Big) .$$
#
# {{exercise:direct_predictors}}
#
# `correlation` is $\hat F$, $(D, D)$. Return both matrices, the paper's first. An eigenvalue that is 0 may come out a
# hair below it, and its root is no number: raise such ones to 0 before you take roots.


# %% exercise="direct_predictors"
def direct_predictors(correlation, eps=0.1):
    """(paper, code): the predictor in both forms, each (D, D)."""
    ### BEGIN SOLUTION
    s, u = torch.linalg.eigh(correlation)
    s = s.clamp(min=0)
    paper = s.sqrt() + eps * s.max()
    code = ((s / s.max()).sqrt() + eps).clamp(min=1e-4)
    return (u * paper) @ u.T, (u * code) @ u.T
    ### END SOLUTION


# %% check="direct_predictors"
direct_predictors = check(direct_predictors)

# %% tags=["nbval-check-output"]
z = normal(50, 4) @ torch.diag(torch.tensor([1.0, 0.5, 0.2, 0.1], dtype=torch.float64))
unit = F.normalize(z, dim=1)
f = unit.T @ unit / len(unit)
paper, code = direct_predictors(f)
verify("both commute with F", paper @ f - f @ paper + code @ f - f @ code, 0)
paper_1, code_1 = direct_predictors(f / torch.linalg.eigvalsh(f).max())
verify("they agree when the largest eigenvalue is 1", paper_1, code_1)
p_unit, t_unit = normal(50, 4), normal(50, 4)
verify(
    "a common factor of the predictor changes no loss",
    directed_distance(z @ code, t_unit),
    directed_distance(z @ (3 * code), t_unit),
)
top = torch.linalg.eigvalsh(f).max()
print(f"largest eigenvalue {top:.2f}: eps counts as {0.1 * top.sqrt():.3f} in the paper's form, as 0.100 in the code's")

# %% [markdown]
# ## Experiment: your loss trains a network
#
# BYOL with the function that you wrote, on `motifs`: generated images of ten patterns. No label is used in training. We
# score on images of the *validation split*. The control is the same backbone untrained.
#
# **Predict.** Will the loss fall to 0, its lowest value? Will kNN rise?

# %% alt="Three panels over the steps, BYOL's loss and its two directions: each falls steeply, then slowly, and levels off above 0; the two directions look alike."
from jemlib.course.lessons.lesson08_byol_simsiam.claims import brief, few, knn_on_few
from jemlib.data import load
from jemlib.methods import build
from jemlib.train import fit

images = load("motifs", "train", limit=scale.limit)
held_out = load("motifs", "validation", limit=None if scale.name != "smoke" else 200)
method = build("byol", scale=scale, loss=byol)
untrained = knn_on_few(method, scale)
history = fit(method, images, scale=scale, log_every=10)
trained = knn_on_few(method, scale)
print(f"trained by {method.whose_loss}: kNN {trained:.3f}; the same backbone untrained {untrained:.3f}")
plots.curves(history)

# %% [markdown]
# ### What you should see
#
# At scale `cpu` kNN rises far above the untrained backbone, although nothing pushes samples apart. How far is in the
# table near the end, from three recorded runs of this length on the test split (here it is the validation split, and a
# smaller bank). The loss does not reach 0: the views differ, and the target moves. A loss at 0, or SimSiam's at $-1$,
# within a few steps is a reason to look at the spread.
#
# **A failed claim.** We wanted a shorter run here: 300 steps of 128 images, kNN at least `0.10` above untrained. With two
# of three seeds it was not. With one of them we tried half the learning rate, with momentum and without, and it fell
# below untrained. Not to collapse is one thing, to learn is another. So this run has full length.
#
# ## Experiment: break it
#
# First a small break. A linear network on pixels that are averaged over blocks, a linear predictor, SimSiam. Samples
# are rows here, so the weights stand on the right: $z = xW$.
# Somebody wrote its step like this. It runs, and its loss falls at once. Look at its symptom.

# %%
from jemlib.diagnose import directional_spread
from jemlib.views import make_views


def broken_step(x_a, x_b, w, w_p):
    z_a, z_b = x_a @ w, x_b @ w
    p_a, p_b = (z_a @ w_p).detach(), (z_b @ w_p).detach()
    return -(F.cosine_similarity(p_a, z_b).mean() + F.cosine_similarity(p_b, z_a).mean()) / 2


def train_linear(step, steps=150, dimensions=16):
    """150 full batches of 512 pairs: the loss, how far W_p has moved, and the spread of z, before and after."""
    pair = make_views(images.pixels[:512], "vicreg", generator=torch.Generator().manual_seed(2))
    x_a, x_b = (F.avg_pool2d(view, 4).flatten(1).double() for view in pair)
    source = torch.Generator().manual_seed(3)
    w = torch.randn(x_a.shape[1], dimensions, generator=source, dtype=torch.float64) / x_a.shape[1] ** 0.5
    w_p = torch.randn(dimensions, dimensions, generator=source, dtype=torch.float64) / dimensions**0.5
    first = w_p.clone()
    weights = [w.requires_grad_(), w_p.requires_grad_()]
    optimizer = torch.optim.Adam(weights, lr=0.01)
    for k in range(steps + 1):
        loss = step(x_a, x_b, w, w_p)
        if k in (0, steps):
            spread = float(directional_spread((x_a @ w).detach()))
            moved = float((w_p - first).detach().norm())
            print(
                f"step {k:3d}: loss {float(loss.detach()):6.3f}   W_p moved by {moved:5.2f}   spread of z {spread:.3f}"
            )
        for weight, slope in zip(weights, torch.autograd.grad(loss, weights, allow_unused=True)):
            weight.grad = slope
        optimizer.step()


print("the broken step")
train_linear(broken_step)

# %% [markdown]
# The middle column gives it away: the predictor has not moved at all. Something keeps the gradient from it. (The spread
# tells nothing here: a linear network this small takes longer to fall. The large one below does not.)
#
# {{exercise:siamese_step}}
#
# `x_a`, `x_b` are $(N, P)$, `w` is $(P, D)$, `w_p` is $(D, D)$. Write the step that `broken_step` should have been, with
# your `simsiam`. Return its total.


# %% exercise="siamese_step"
def siamese_step(x_a, x_b, w, w_p):
    """SimSiam's total for a linear network with a linear predictor."""
    ### BEGIN SOLUTION
    z_a, z_b = x_a @ w, x_b @ w
    return simsiam(z_a @ w_p, z_b @ w_p, z_a, z_b)[0]
    ### END SOLUTION


# %% check="siamese_step"
siamese_step = check(siamese_step)

# %% [markdown]
# Now the real network, and all parts: predictor, stop-gradient, momentum, each there or removed. That makes eight cells.
# A ninth run has the stop-gradient on the wrong side, as in the broken step. All runs start from the same weights, and
# have no batch norm at the output, which would hide a collapse. They are brief: 40 steps of 64 images show it.
#
# Removing the stop-gradient from a *momentum* target needs a thought. Its weights are $m\,\xi + (1-m)\,\theta$. Removed
# means: the gradient flows into this $\theta$ as well.
#
# **Predict.** Which of the eight stand? Write them down. Lesson 05's rule: a directional spread of at most 0.1 is a
# collapse.

# %% alt="Nine bars of directional spread on a log scale. The two with predictor and stop-gradient are long, right of both thresholds; the other six and the wrong side are left of the lower threshold."
from jemlib.course.lessons.lesson08_byol_simsiam.claims import cell_name
from jemlib.evaluate import embeddings
from jemlib.experiments.parts import CELLS, PARTS, TrainedTarget, misplaced, remade, with_parts


def spread_after(method):
    fit(method, images, scale=brief(scale), log_every=brief(scale).steps)
    return float(directional_spread(embeddings(method, few(held_out, 500))))


print("the repaired step")
train_linear(siamese_step)
spreads = {parts: spread_after(with_parts(parts, scale=scale, loss=byol)) for parts in CELLS}
wrong = spread_after(with_parts({"predictor", "stop_gradient"}, scale=scale, loss=misplaced(byol)))
claim("byol_simsiam.two-parts-hold", **{cell_name(parts): value for parts, value in spreads.items()})
claim("byol_simsiam.wrong-side-collapses", wrong=wrong, right=spreads[frozenset({"predictor", "stop_gradient"})])
names = {parts: ", ".join(part.replace("_", "-") for part in PARTS if part in parts) or "none" for parts in CELLS}
figures.bars({**{names[parts]: value for parts, value in spreads.items()}, "stop-gradient on the wrong side": wrong})

# %% [markdown]
# Three more questions. Does a momentum target fall when the gradient trains *it* too? Does a predictor hold that is set
# by DirectPred, and never trained? And is a net that is too small for its data worse off? A paper says so of SimSiam
# (arXiv:2209.15007, by its abstract: partial collapse). The last takes two runs to the end, with two widths of the
# backbone and the same projector. They are recorded.

# %%
trained_target = spread_after(remade(TrainedTarget, with_parts(PARTS, scale=scale), byol))
direct = spread_after(build("simsiam", scale=scale, predictor="direct", normalize_output=False, loss=simsiam))
print(f"spread: target trained too {trained_target:.2f}; predictor set by DirectPred {direct:.2f}")
claim("byol_simsiam.a-trained-target-holds", trained_target=trained_target)
claim("byol_simsiam.a-set-predictor-holds", direct=direct)

# %% [markdown]
# ### What you should see
#
# **Which stand?** Two: those with predictor *and* stop-gradient. Momentum alone saves nothing, and nothing falls for the
# lack of it. In this run, that is: 40 steps tell collapse from no collapse, not good from better.
#
# **Two bars are the same**, *stop-gradient* alone and *none*. Without a predictor and without momentum $p = z$, and the
# loss is symmetric: with the stop-gradient each side gets exactly half of the gradient that it gets without. Adam does
# not notice a factor, so the two runs are one. A stop-gradient without a predictor is only a slower learning rate.
#
# **The wrong side** collapses as well, though not as far as the others in these 40 steps. The linear network of the
# repair keeps its spread with either step, in 150 of them: there $W_P$, and a loss that stays higher, are the signs.
#
# **A failed claim.** We first took "no stop-gradient" beside momentum to mean: train the target network by the gradient
# too. Claimed was a collapse; it did not come, with any of three seeds. The reason is instructive. Whatever moves the
# target, nothing flows back from it to the student: the average goes one way. *A momentum encoder is a stop-gradient.*
# So that cell is now the gradient through the average, and what we found is a claim of its own, turned round.
#
# **One more that we changed.** The linear network's weak modes first started at $p = 0.05$, a hair below $p_-$; too
# few seeds lost them by half in the time given. They start at $0.03$ now, the criterion is as it was.
#
# **A net too small** was expected to have a lower rank by a third. We asked it of runs to the end, at widths 4 and 16.
# It failed with all three seeds: the narrow net ended with a rank as high as the wide one's, or higher. So we did not
# see that partial collapse. Our images are simple, and perhaps even the narrow net is not too small for them. That is a
# guess. Of a hundred steps we say nothing. With one seed the ratio of the two ranks was `0.85` there on one thread and
# `0.67` on two: another order of the same sums.

# %%
recorded(
    "Directional spread: all three parts {byol_simsiam.two-parts-hold: PSM}, no momentum "
    "{byol_simsiam.two-parts-hold: PS}; no stop-gradient but the others {byol_simsiam.two-parts-hold: PM}, no predictor "
    "but the others {byol_simsiam.two-parts-hold: SM}; wrong side {byol_simsiam.wrong-side-collapses: wrong}; target "
    "trained too {byol_simsiam.a-trained-target-holds: trained_target}; DirectPred "
    "{byol_simsiam.a-set-predictor-holds: direct}.\n\n"
    "RankMe of SimSiam trained to the end: narrow {byol_simsiam.a-narrow-net-keeps-its-directions: narrow}, wide {byol_simsiam.a-narrow-net-keeps-its-directions: "
    "wide}.\n\n"
    "Linear network, weakest over strongest direction: at the start "
    "{byol_simsiam.cosine-keeps-weak-directions: start}, squared distance "
    "{byol_simsiam.cosine-keeps-weak-directions: l2}, cosine {byol_simsiam.cosine-keeps-weak-directions: cosine}."
)

# %% [markdown]
# ## Predict, then run: three flows of matrices
#
# No network now, and no mode by mode: the matrix equations, integrated. Encoder $4 \times 4$, noise $\sigma^2 = 0.3$, no
# weight decay. Three flows from one start: as it is, without stop-gradient, without predictor.
#
# **Question.** How many of the four singular values of $W$ survive in each?
#
# <details><summary>Why</summary>
#
# All four in the first: without weight decay no direction has to die, though one that starts tiny stays tiny for long.
# None in the others. Without the stop-gradient the flow is $\mathrm{vec}(W)' = -H\,\mathrm{vec}(W)$ with a matrix $H$ that
# is positive definite (Theorem 2). Without the predictor it is $W' = -\sigma^2 W$.
#
# </details>

# %% tags=["nbval-check-output"]
from jemlib.theory import matrix_dynamics

start_w, start_p = normal(4, 4), normal(4, 4)
eye = torch.eye(4, dtype=torch.float64)
start_p = 0.3 * start_p @ start_p.T / 4 + 0.2 * eye
flows = {
    "as it is": {"w_p": start_p},
    "without stop-gradient": {"w_p": start_p, "stop_gradient": False},
    "without predictor": {"w_p": None, "predictor": False},
}
for name, changes in flows.items():
    flow = matrix_dynamics(start_w, x_cov=eye, x_aug_cov=0.3 * eye, steps=300, dt=0.1, **changes)
    print(f"{name:22s} singular values above 0.01: {int((flow.singular_values[-1] > 0.01).sum())} of 4")

# %% [markdown]
# ## Take-away
#
# - BYOL and SimSiam are one formula: regression of directions onto a moving target. $L_{\text{BYOL}} = 4 + 4\,L_{\text{SimSiam}}$.
# - Collapse is a global minimum of the loss. Training can avoid it because it does not minimise the loss: with a
#   stop-gradient its step is the gradient of nothing.
# - Predictor and stop-gradient hold it up together. In these runs neither did alone. Momentum was not needed; it is a
#   stop-gradient itself.
# - In the linear model weight decay has two faces: it forgets the start, and it widens the basin of collapse. Above
#   $\tau^2/(4(1+\sigma^2))$ all dies.
# - The cosine takes weight decay's grip from the weak directions: its gradient is at right angles to the weights.
# - A loss near its best value is no sign of health here. Look at the spread.
#
# ### "Not yet available"
#
# The lecture notes say that these methods perform well, "but an understanding of why they don't collapse is not yet
# available", and suspect "some implicit regularization". They also say that an *asymmetrical* architecture is thought to
# make it work. What can be said today, honestly:
#
# - In the linear model it is understood: you computed the basin, its edge and the critical decay. That paper appeared
#   in 2021, before the lecture. Later work reads the eigenvalues as learning rates of their modes, an implicit
#   regularisation of the variance (arXiv:2212.04858, by its abstract).
# - Asymmetry alone is not the reason. The wrong side is asymmetric too, and collapses. What held in our runs was a
#   predictor that learns, with the stop-gradient on the target, or one that is set to what it would learn.
# - For real networks there is no theorem that we know to cover what you just ran: batch norm, Adam, a predictor with a
#   hidden layer. The linear story fits, and it is a story about another network.
# - "The loss functions are *local*", say the notes: a sum over samples. True of the loss. Batch norm in backbone and heads
#   still couples the batch.
#
# ### On photographs, and on a GPU
#
# ```
# jem train byol --data cifar10 --scale cpu            # downloads CIFAR-10 once
# jem train simsiam --data folder:PATH --scale cpu     # your own train/<class>/*.jpg and test/<class>/*.jpg
# jem train byol --scale gpu                           # ResNet-18, 200 epochs, one GPU
# jem collapse byol.predictor                          # the removals, longer runs
# ```
#
# ### What was recorded
#
# The claims of this lesson, each measured with three seeds (`jem claims --seeds 3`):

# %%
recorded_claims("08_byol_simsiam")

# %% [markdown]
# The table of objectives so far.

# %%
objectives_so_far("simclr", "barlow_twins", "vicreg", "swav", "byol", "simsiam")

# %% [markdown]
# ## Quiz
#
# **1.** SimSiam's loss is $-0.999$ after 40 steps. Good?
#
# <details><summary>Answer</summary>
#
# Probably collapsed. The views differ, so a healthy network is not that sure after 40 steps. Look at the directional
# spread of the embeddings.
#
# </details>
#
# **2.** Somebody replaces SimSiam's loss by BYOL's in a run with SGD and keeps the learning rate. What changes?
#
# <details><summary>Answer</summary>
#
# The gradients are four times as large, so the rate is in effect four times as high.
#
# </details>
#
# **3.** Why may the momentum encoder be removed, but not the predictor?
#
# <details><summary>Answer</summary>
#
# Without the predictor the bracket is $1 - (1+\sigma^2) < 0$ for every mode: all shrink. A target equal to the network
# is $\tau = 1$, and the linear model lives on with it.
#
# </details>
#
# **4.** The loss rises for a while in the middle of a run. Is something wrong?
#
# <details><summary>Answer</summary>
#
# Not necessarily. The step is no gradient of this loss, and the target moves.
#
# </details>
#
# **5.** With the cosine, weight decay shrinks all weights of encoder and predictor. Is that a collapse?
#
# <details><summary>Answer</summary>
#
# No: directions stay. But the gradient grows as lengths shrink, so the effective learning rate rises. With real steps
# this cannot go on for ever.
#
# </details>

# %% [markdown]
# ## References
#
# - J.-B. Grill et al.: *Bootstrap Your Own Latent*, arXiv:2006.07733. Loss: eq. 2; momentum: section 3.3.
# - X. Chen, K. He: *Exploring Simple Siamese Representation Learning*, arXiv:2011.10566. Loss: eq. 1 to 4; the
#   hypothesis on EM: section 5.
# - Y. Tian, X. Chen, S. Ganguli: *Understanding self-supervised learning dynamics without contrastive pairs*,
#   arXiv:2102.06810. Dynamics: lemma 1, theorems 1 to 3, eq. 14; DirectPred: eq. 18.
# - Known to us by their abstracts: H. Bao, arXiv:2309.16109 (cosine); arXiv:2507.01028 (no smooth function);
#   arXiv:2212.04858 (implicit variance regularisation, and the wrong side); arXiv:2209.15007 (small networks).

# %% [markdown]
# ## What the sources got wrong
#
# Optional: for readers who have the papers or the course's source notes beside them. The page [errata](errata.md) says
# what these notes are, and lists the corrections of all lessons. The cells below verify each.
#
# <details><summary>E21, E22, P6, P7</summary>
#
# **E21 (lecture notes): BYOL's energy and its target.** They write BOYL, and call the energy a cosine *similarity*. It
# is a distance, $2 - 2\cos$: it falls when the two agree. They leave out that the target comes from the momentum network
# behind a stop-gradient, and that the predictor stands on the online branch only.
#
# **E22 (lecture notes): what SimSiam kept.** They say that it uses a regular backbone instead of the momentum backbone.
# True; but they never mention the stop-gradient, and that is what cannot be left out.
#
# **P6 (Tian et al., after eq. 14): a sign.** The constant of $s(t) = p(t)^2/\alpha_p + e^{-2\eta t} c$ is printed as
# $p(0)^2/\alpha_p - s(0)$. At $t = 0$ one sees that it must be $s(0) - p(0)^2/\alpha_p$.
#
# **P7 (DirectPred): two forms.** The paper adds $\epsilon\max s$ to $\sqrt{s}$; the code divides by $\max s$ first and
# adds $\epsilon$. They differ unless the largest eigenvalue is 1. The loss ignores the common factor, so what is left is
# another weight of $\epsilon$.
#
# </details>

# %% tags=["optional", "nbval-check-output"]
# E21
agree, disagree = (float(directed_distance(e1, other)) for other in (e1, -e1))
verify("the energy is low where the cosine is high", agree < disagree)
leaf = [normal(4, 3).requires_grad_() for _ in range(4)]
byol(*leaf)[0].backward()
verify(
    "the predictions get a gradient, the targets none", [x.grad is not None for x in leaf] == [True, True, False, False]
)

# %% tags=["optional"]
# E22: the run with predictor and without stop-gradient, beside the one with both
for parts in ({"predictor", "stop_gradient"}, {"predictor"}):
    print(f"{names[frozenset(parts)]:26s} directional spread {spreads[frozenset(parts)]:.4f}")

# %% tags=["optional", "nbval-check-output"]
# P6
printed = run.p[0] ** 2 / 2 - run.s[0]
verify("the constant at t = 0", run.s[0] - run.p[0] ** 2 / 2, distance[0])
verify("the printed one is its negative", printed, -distance[0])

# %% tags=["optional", "nbval-check-output"]
# P7
paper_9, code_9 = direct_predictors(9 * f)
verify("nine times the correlation: the code's form stays", code_9, code)
verify(
    "the paper's form changes by more than a factor", (paper_9 / paper_9.norm() - paper / paper.norm()).norm() > 0.01
)
