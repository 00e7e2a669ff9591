"""The symbols of the course: one table, from which a lesson's notation table is taken.

A row: key, symbol, code names, shape, meaning, lessons. In a lesson's `## Notation`,

    {{symbols}}             gives the rows of this lesson, in the order of the table
    {{symbols: N D Z_A}}    gives these rows, in this order; words before and after the mark stay

One symbol has one meaning. Where lessons use a letter differently, the table has a row for each meaning, and the rows
name different lessons. A letter with an index (`z_b`, `C_{ij}`) is an entry of what the letter alone stands for, so the
two are one symbol. A hat, a prime, a view (`Z^A`) or a capital index (`C_Z`) makes another symbol.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

MARK = re.compile(r"^\{\{symbols(?::([^}]*))?\}\}$", re.MULTILINE)
HEAD = "| symbol | in code | shape | meaning |\n| --- | --- | --- | --- |"

TABLE = r"""
N       | $N$             | `n`                  | number        | samples in the batch | 00 01 02 03 04 05 06 07 08 09
D       | $D$             | `d`                  | number        | dimensions of an embedding | 00 01 02 03 04 05 06 07 08 09
V_views | $V$             | `views`              | number        | views of each image | 03
x       | $x$             | `x`                  | $(N, 3, 32, 32)$ | images: three channels, 32 x 32 pixels | 00
f       | $f$             | `backbone`           |               | encoder: a view to features $h$, $(N, D)$ | 00
g       | $g$             | `projector`          |               | features to embeddings | 00
Z       | $Z$             | `z`                  | $(N, D)$      | embeddings of one view; one row for each image | 05 06
Z_A     | $Z^A$           | `z_a`                | $(N, D)$      | embeddings of view A; one row for each image | 00 01 02 04 08
Z_B     | $Z^B$           | `z_b`                | $(N, D)$      | embeddings of view B of the same images, in the same order | 00 01 02 04 08
Z_hat   | $\hat Z$        | `standardize`        | $(N, D)$      | the embeddings, each dimension centred and scaled over the batch | 02
z_bar   | $\bar z$        | `z.mean`             | $(D,)$        | mean of the rows of a branch | 04
E       | $E$             | `energy`             | number        | how badly the pairs fit together | 00
u       | $u$             | `u`                  | $(N, D)$      | embeddings with each row divided by its length | 00 01 05
v_unit  | $v$             | `v`                  | $(N, D)$      | the other view's embeddings with each row divided by its length | 01
s_cos   | $s_{ij}$        | `similarity`         | $(M, N)$      | cosine of query $i$ and bank row $j$, for $M$ queries | 00
labels  | $\ell_j$        | `labels`             | $(N,)$        | class of bank row $j$, a whole number from 0 | 00
votes   | $V_{ic}$        | `votes`              | $(M, \text{classes})$ | votes that query $i$ gets for class $c$ | 00
k       | $k$             | `k`                  | number        | neighbours that vote | 00
tau     | $\tau$          | `temperature`        | number        | temperature: the smaller, the more the nearest count | 00 01 02 05 06 07
kappa   | $\kappa$        | `kappa`              | number        | $1/\tau$ | 01
sigma_r | $\sigma_r$      | `sigma`, `svdvals`   | $\min(N, D)$  | singular values of a batch of embeddings, not centred | 00 05
p_r     | $p_r$           | `p`                  | $\min(N, D)$  | share of each singular value in their sum | 00
eps     | $\epsilon$      | `eps`                | number        | added to a share or a variance, so that nothing is divided by zero | 00 02 04 05
eps_ot  | $\epsilon$      | `epsilon`            | number        | how soft the codes are | 06
S_cos   | $S$             | `scores`             | $(N, N)$      | $s_{ij} = \langle u_i, v_j\rangle / \tau$, cosines over the temperature | 01
P_soft  | $P$             | `p`                  | $(N, N)$      | softmax of each row of $S$ | 01
I       | $I$             | `eye`                | $(N, N)$      | the identity matrix | 01
L_nce   | $L$             | `info_nce`           | number        | the loss, in nats | 01
alpha   | $\alpha$        | `alpha`              | number        | power of the distance in the alignment | 01
t       | $t$             | `t`                  | number        | inverse width of the kernel in the uniformity | 01
R       | $R$             | `queue`              | number        | keys of earlier batches in the queue, an $(R, D)$ matrix | 01
m       | $m$             | `momentum`           | number        | share of the old weights that a momentum encoder keeps in a step | 01 08 09
C       | $C$             | `cross_correlation`  | $(D, D)$      | correlation of dimension $i$ of view A with dimension $j$ of view B | 02 03
mu_eig  | $\mu_k$         | `mu`                 | $(D,)$        | eigenvalues of $C$ where it is symmetric, that is for identical views | 02
G       | $G$             | `g_c`                | $(D, D)$      | the gradient with respect to $C$, $\partial L / \partial C$ | 02
lambda  | $\lambda$       | `lambd`              | number        | weight of the redundancy term (`lambda` is a reserved word in Python) | 02 03
L_bt    | $L$             | `barlow_twins`       | number        | the loss | 02
X_image | $X$             | rows of `joint_xy`   | a variable    | the image | 03
Y       | $Y$             | columns of `joint_xy` | a variable   | a view: the image after a random distortion | 03
Z_var   | $Z$             | columns of `encoder` | a variable    | the embedding, computed from the view | 03
p_xy    | $p(x,y)$        | `joint_xy`           | (images, views) | probabilities that sum to 1 | 03
p_zy    | $p(z \mid y)$   | `encoder`            | (views, symbols) | each row sums to 1; one-hot rows are a deterministic encoder | 03
H_Z     | $H(Z)$          | `entropy`, `h_z`     | number        | entropy: how uncertain $Z$ is | 03
H_ZX    | $H(Z \mid X)$   | `conditional_entropy`, `h_z_given_x` | number | what remains uncertain once $X$ is known | 03
I_ZX    | $I(Z;X)$        | `mutual_information`, `i_zx` | number | what $Z$ tells about $X$ | 03
beta    | $\beta$         | `beta`               | number, > 0   | how much knowing the image counts | 03
C_Z     | $C_Z$           | `gaussian_entropy`   | $(D, D)$      | covariance of the embeddings, inside that function | 03
C_ZX    | $C_{Z \mid X}$  | `conditional_covariance` | $(D, D)$  | covariance of the embeddings of one image, mean over images | 03
C_cov   | $C$             | `covariance_matrix`, `cov` | $(D, D)$ | covariance of the dimensions of *one* branch, over the batch | 04
S_std   | $S_j$           | `spread`             | $(D,)$        | standard deviation of dimension $j$, with $\epsilon$: $\sqrt{C_{jj} + \epsilon}$ | 04
sigma_j | $\sigma_j$      | `sigma`              | number        | standard deviation without $\epsilon$: $\sqrt{C_{jj}}$ | 04
gamma   | $\gamma$        | `gamma`              | number        | the spread that is wide enough | 04
s_inv   | $s$             | `invariance`         | number        | squared distance of the two views | 04
v_var   | $v$             | `variance_hinge`     | number        | variance term of one branch | 04
c_cov   | $c$             | `covariance_penalty` | number        | covariance term of one branch | 04
lam_inv | $\lambda$       | `invariance`         | number        | weight of the invariance term | 04
mu_var  | $\mu$           | `variance`           | number        | weight of the variance term | 04 05
nu      | $\nu$           | `covariance`         | number        | weight of the covariance term | 04
L_vic   | $L$             | `vicreg`             | number        | the loss | 04
eta     | $\eta$          | `noise`              | number        | variance of the augmentation over that of the signal | 04
rho     | $\rho$          | `rho`                | number        | size of embeddings that shrink towards a constant | 04
lam_eig | $\lambda_k$     | `squared`            | $\min(N, D)$  | squares of the singular values | 05
c_const | $c$             | `c`                  | $(D,)$        | the constant embedding of a complete collapse | 05
v_pert  | $v$             | `v`                  | $(N, D)$      | a perturbation of it, one row for each sample | 05
h       | $h_b$           | `h`                  | $(N, D_{in})$ | what the last layer gets, row by row | 05
W_lin   | $W$             | `w`                  | $(D, D_{in})$ | weights of a linear model $z = W x$ | 05 08
x_lin   | $x_i$           | `x`                  | $(N, D_{in})$ | inputs of the linear model | 05
x_prime | $x_i'$          | `x_prime`            | $(N, D_{in})$ | their other views | 05
X_grad  | $X$             | `contrastive_gradient_matrix` | $(D_{in}, D_{in})$ | what drives the linear model, $dL/dW = -W X$ | 05
s_size  | $s$             | `s`                  | number        | size of a cloud of embeddings around the constant | 05
K       | $K$             | `k`                  | number        | prototypes, that is clusters | 06 07
W_proto | $W$             | `prototypes`         | $(K, D)$      | one direction per row, learned together with the network | 06
S_proto | $S$             | `scores`             | $(N, K)$      | cosine of sample $i$ with prototype $k$ | 06
S_A     | $S^A$           | `scores_a`           | $(N, K)$      | scores of view A | 06
S_B     | $S^B$           | `scores_b`           | $(N, K)$      | scores of view B of the same images | 06
Q       | $Q$             | `codes`              | $(N, K)$      | the code of sample $i$ in row $i$: its shares, which sum to 1 | 06
P_pred  | $P$             | `p`                  | $(N, K)$      | predicted shares: softargmax of the scores | 06
n_it    | $n_{it}$        | `iterations`         | number        | rounds of Sinkhorn's algorithm | 06
f_row   | $f_i$           | `row_potential`      | $(N,)$        | logarithm of the factor of a row | 06
g_col   | $g_k$           | `column_potential`   | $(K,)$        | logarithm of the factor of a column | 06
H_q     | $H(q)$          | `code_entropy`       | number        | $-\sum_k q_k \log q_k$, in nats; in the code its mean over the samples | 06
v_pcl   | $v$             | `v`                  | $(N, D)$      | embeddings of the trained encoder, one row for each sample | 07
v_key   | $v'$            | `key`                | $(N, D)$      | embeddings of its slow copy, the momentum encoder | 07
c_pcl   | $c_j$           | `centres`, `prototypes` | $(K, D)$   | the prototypes, one row each: centres of the clusters | 07
s_own   | $s(i)$          | `assignments`        | $(N,)$        | cluster of sample $i$, a whole number from 0 | 07
log_pxc | $\log p(x_i, c_j)$ | `log_joint`       | $(N, K)$      | logarithm of the joint probability of a sample and a prototype | 07
Q_pcl   | $Q$             | `q`                  | $(N, K)$      | any distribution over the prototypes, for each sample: rows sum to 1 | 07
sigma_pcl | $\sigma_j$    | `sigma`              | $(K,)$        | standard deviation of the Gaussian around prototype $j$ | 07
phi     | $\phi_j$        | `phi`                | $(K,)$        | concentration of cluster $j$: the temperature of its column | 07
Z_size  | $Z_j$           | `sizes`              | number        | members of cluster $j$ | 07
alpha_phi | $\alpha$      | `alpha`              | number        | keeps small clusters from a large $\phi$ | 07
M       | $M$             | `num_clusters`       | number        | clusterings, each with its own $K$ (the setting lists them) | 07
L_proto | $L$             | `proto_nce`          | number        | the loss of one clustering, in nats | 07
K_dino  | $K$             | `k`                  | number        | outputs of the head: classes that nobody has named | 09
g_S     | $g_S$           | `student_logits`     | $(N, K)$      | the student's logits of one view | 09
g_T     | $g_T$           | `teacher_logits`     | $(N, K)$      | the teacher's logits of one view | 09
tau_S   | $\tau_S$        | `student_temperature` | number       | the student's temperature | 09
tau_T   | $\tau_T$        | `teacher_temperature` | number       | the teacher's temperature, the smaller of the two | 09
V_local | $V$             | `local`              | number        | local crops of each image, beside the two global ones | 09
c_dino  | $c$             | `center`             | $(K,)$        | the centre: what is subtracted from the teacher's logits | 09
rho_c   | $\rho$          | `momentum`           | number        | share of the old centre that is kept in a step | 09
P_S     | $P_S$           | `predicted`          | $(N, K)$      | the student's distribution over the outputs: rows sum to 1 | 09
P_T     | $P_T$           | `p`                  | $(N, K)$      | the teacher's distribution, which is the target | 09
L_dino  | $L$             | `dino`               | number        | the loss of DINO, in nats | 09
theta_S | $\theta$        | `student`            |               | weights of the student, which is trained | 09
xi_T    | $\xi$           | `teacher`            |               | weights of the teacher, which follows | 09
U_dino  | $U$             | `u`                  | $(N, D)$      | embeddings of one view, each row divided by its length | 09
R_rate  | $R$             | `coding_rate`        | number        | how much room the rows of a batch take up, in nats | 09
gamma_R | $\gamma$        | `expansion`          | number        | weight of the coding rate | 09
eps_d   | $\epsilon$      | `eps`                | number        | in the coding rate, the error up to which rows are coded; in KoLeo, what keeps duplicates finite | 09
T_pos   | $T$             | `patch_mask`         | number        | positions of an image: its patches | 09
a_block | $a_l$           | `layers`             | $(N, T, D)$   | what block $l$ of the teacher puts out | 09
y_d2v   | $y$             | `data2vec_targets`   | $(N, T, D)$   | data2vec's target | 09
beta_s  | $\beta$         | `beta`               | number        | from this error on, smooth L1 grows linearly | 09
L_swav  | $L$             | `swav`               | number        | the loss | 06
P_A     | $P^A$           | `p_a`                | $(N, D)$      | predictions: the embeddings of view A after the predictor | 08
P_B     | $P^B$           | `p_b`                | $(N, D)$      | predictions from view B | 08
theta   | $\theta$        | `online`             |               | weights of the online network, which is trained | 08
xi      | $\xi$           | `target`             |               | weights of the target network, which follows | 08
W_p     | $W_P$           | `w_p`                | $(D, D)$      | weights of a linear predictor | 08
F_corr  | $F$             | `correlation`        | $(D, D)$      | mean of $z z^\top$, not centred | 08
sigma2  | $\sigma^2$      | `sigma2`             | number        | variance that augmentation adds in every direction | 08
p_mode  | $p$             | `p`                  | number        | eigenvalue of the predictor for one mode | 08
s_mode  | $s$             | `s`                  | number        | eigenvalue of $F$ for the same mode | 08
tau_mode | $\tau$         | `tau`                | number        | scale of the target network beside the online one | 08
eta_wd  | $\eta$          | `eta`                | number        | weight decay | 08
alpha_p | $\alpha_p$      | `alpha_p`            | number        | learning rate of the predictor over that of the encoder | 08
beta_rate | $\beta$       | `beta`               | number        | rate at which the target follows, in continuous time | 08
tau_map | $\tau$          | `motif_trajectories` | image to image | a transformation of images | 10
M_img   | $M$             | `m`                  | number        | images | 10
U_units | $U$             | `units`              | number        | units, that is entries of a feature vector | 10
h_feat  | $h$             | `h`                  | $(M, U)$      | features of the images, one row for each | 10
s_sign  | $s$             | `signs`              | $(U,)$        | sign of a unit: whether it fires for large or for small values | 10
t_fire  | $t$             | `firing_threshold`   | $(U,)$        | threshold of a unit | 10
f_fire  | $f$             | `fire`               | $(M, U)$      | 1 where a unit fires for an image, else 0 | 10
G_rate  | $G$             | `overall`            | $(U,)$        | global firing rate: share of all images on which a unit fires | 10
T_traj  | $T(z)$          | `trajectories`       | $(M,)$        | trajectory of image $z$: all its transformed versions; in code its number, for each image | 10
y_class | $y$             | `classes`            | $(M,)$        | class of an image, the same along a trajectory | 10
L_local | $L$             | `local_firing_rate`  | (classes, $U$) | local firing rate: how often a unit fires on the trajectories of a class | 10
I_inv   | $I$             | `target_conditioned_invariance` | (classes, $U$) | $L_y(i)/G(i)$ | 10
K_top   | $K$             | `k`                  | number        | units chosen for each class | 10
RIS     | $\mathrm{RIS}$  | `ris_score`          | number        | representation invariance score | 10
latent  | $\ell$          | `draw_latents`       | (images, 6)   | what an image is drawn from: six numbers of mean 0 and variance 1 | 10
g_fun   | $g$             | `slowest`            | number to number | a function of one latent | 10
R2      | $R^2$           | `recovered`          | one for each factor | share of a factor's variance that a linear map explains on new images | 10
rho_lat | $\rho$          | `rho`                | number        | how near the latents of a pair are | 10
"""


class Symbol(NamedTuple):
    """One meaning of one symbol; `lessons` are the numbers of the lessons in which it has that meaning."""

    key: str
    symbol: str
    code: str
    shape: str
    meaning: str
    lessons: tuple[str, ...]

    @property
    def row(self) -> str:
        """The line of a notation table."""
        return f"| {self.symbol} | {self.code} | {self.shape} | {self.meaning} |"


def table(text: str = TABLE) -> list[Symbol]:
    """The rows of the course's table.

    Raises:
        ValueError: a row is not complete, a key stands twice, or a symbol has two meanings in one lesson.
    """
    rows = []
    for line in text.strip().splitlines():
        columns = [column.strip() for column in line.split("|")]
        if len(columns) != 6 or not all(columns[i] for i in (0, 1, 2, 4, 5)):
            raise ValueError(f"a row of the table of symbols has six columns, key to lessons; got {line!r}.")
        key, symbol, code, shape, meaning, lessons = columns
        rows.append(Symbol(key, symbol, code, shape, meaning, tuple(lessons.split())))
    keys = [row.key for row in rows]
    if twice := {key for key in keys if keys.count(key) > 1}:
        raise ValueError(f"the table of symbols has the key {min(twice)!r} twice.")
    for lesson in sorted({lesson for row in rows for lesson in row.lessons}):
        if found := clash((row.symbol, row.meaning) for row in rows if lesson in row.lessons):
            raise ValueError(f"the table of symbols, lesson {lesson}: {found}")
    return rows


def rendered(markdown: str, lesson: str, text: str = TABLE) -> str:
    """Markdown with its `{{symbols}}` marks replaced by tables.

    Raises:
        ValueError: a key is unknown, or its row is not for this lesson.
    """
    if "{{symbols" not in markdown:
        return markdown
    rows = {row.key: row for row in table(text)}

    def replaced(match: re.Match[str]) -> str:
        own = [row for row in rows.values() if lesson[:2] in row.lessons]
        keys = match[1].split() if match[1] is not None else [row.key for row in own]
        for key in keys:
            if key not in rows:
                raise ValueError(f"the table of symbols has no key {key!r}; it has {', '.join(rows)}.")
            if rows[key] not in own:
                raise ValueError(f"symbol {key!r} is for lessons {', '.join(rows[key].lessons)}, not for this one.")
        return "\n".join([HEAD, *(rows[key].row for key in keys)])

    return MARK.sub(replaced, markdown)


def clash(rows: Iterable[Sequence[str]]) -> str | None:
    """What is wrong when two rows, (symbols, ..., meaning), give one symbol two meanings."""
    meanings: dict[str, str] = {}
    for row in rows:
        for written in re.findall(r"\$([^$]+)\$", row[0]):
            for one in re.split(r",(?![^{(]*[})])", written):
                symbol, meaning = plain(one), row[-1]
                if symbol in meanings:
                    return f"${symbol}$ has two meanings: {meanings[symbol]!r} and {meaning!r}."
                meanings[symbol] = meaning
    return None


def plain(symbol: str) -> str:
    """A symbol without what only says which entry is meant: `C_{ij}` is `C`, `h_b` is `h`; `C_Z` stays."""
    return re.sub(r"_(?:\{[a-z]{1,3}\}|[a-z])(?![a-z])", "", symbol).replace(" ", "")
