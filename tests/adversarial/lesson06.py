"""Answers to the exercises of lesson 06: soft assignments, Sinkhorn's algorithm, the swapped prediction, votes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Generator, Tensor

from tests.adversarial.answers import (
    CUT,
    FACTOR,
    FLOAT32,
    IN_PLACE,
    OVERFLOW,
    RATIO,
    Right,
    Wrong,
    edited,
    function,
    right,
    wrong,
)

WRONG: list[Wrong] = []
RIGHT: list[Right] = []

LENGTH = ("length", "normal", "unit", "cosine")
AXIS = ("dim", "axis", "row", "column", "over the prototypes", "over the samples")
TEMPERATURE = ("temperature", "tau")
EPSILON = ("epsilon",)
ITERATIONS = ("iteration", "round", "loop", "repeat")
BALANCE = ("column", "N/K", "prototype", "balanc")
ROWS = ("row", "sum to 1", "order", "first", "before", "then")
MEAN = ("mean", "divi", "N", "sum")
ORDER = ("order", "swap", "position", "permut")
WHOLE = ("tuple", "three", "outputs", "(total", "one value")

# --- soft_assignments -----------------------------------------------------------------------------------------------


def soft(body: str) -> str:
    return function("soft_assignments(z, prototypes, temperature=0.1)", body)


SOFT = soft(
    """
    z = z / z.norm(dim=1, keepdim=True)
    w = prototypes / prototypes.norm(dim=1, keepdim=True)
    scores = z @ w.T
    return torch.softmax(scores / temperature, dim=1)
    """
)

WRONG += [
    wrong(edited(SOFT, ("    z = z / z.norm(dim=1, keepdim=True)\n", "")), *LENGTH, misleading=("softmax over", *RATIO)),
    wrong(edited(SOFT, ("prototypes / prototypes.norm(dim=1, keepdim=True)", "prototypes")), *LENGTH, misleading=("softmax over", *RATIO)),
    wrong(soft("return torch.softmax(z @ prototypes.T / temperature, dim=1)"), *LENGTH),
    wrong(edited(SOFT, ("z / z.norm(dim=1, keepdim=True)", "z / z.norm(dim=0)")), *LENGTH, "axis", "dim"),
    wrong(edited(SOFT, ("prototypes / prototypes.norm(dim=1, keepdim=True)", "prototypes / prototypes.norm(dim=0)")), *LENGTH, "axis", "dim"),
    wrong(edited(SOFT, ("z / z.norm(dim=1, keepdim=True)", "z / z.norm()")), *LENGTH),
    wrong(edited(SOFT, ("prototypes.norm(dim=1, keepdim=True)", "prototypes.norm()")), *LENGTH),
    wrong(edited(SOFT, ("z / z.norm(dim=1, keepdim=True)", "z / z.norm(dim=1, keepdim=True) ** 2")), *LENGTH, "square"),
    wrong(edited(SOFT, ("z / z.norm(dim=1, keepdim=True)", "z / z.abs().sum(dim=1, keepdim=True)")), *LENGTH, "norm"),
    wrong(edited(SOFT, ("z / z.norm(dim=1, keepdim=True)", "(z - z.mean(dim=0)) / z.norm(dim=1, keepdim=True)")), "centr", "mean", *LENGTH),
    wrong(edited(SOFT, ("temperature, dim=1)", "temperature, dim=0)")), *AXIS, misleading=("normal", *RATIO)),
    wrong(edited(SOFT, ("torch.softmax(scores / temperature, dim=1)", "torch.softmax((scores / temperature).flatten(), dim=0).view_as(scores)")), *AXIS, "sum to 1"),
    wrong(edited(SOFT, ("scores / temperature", "scores * temperature")), *TEMPERATURE),
    wrong(edited(SOFT, ("scores / temperature", "scores")), *TEMPERATURE),
    wrong(edited(SOFT, ("scores / temperature", "scores / 0.1")), *TEMPERATURE),
    wrong(edited(SOFT, ("scores / temperature", "scores / temperature ** 2")), *TEMPERATURE),
    wrong(edited(SOFT, ("torch.softmax(scores / temperature, dim=1)", "torch.softmax(scores, dim=1) / temperature")), *TEMPERATURE, "sum to 1"),
    wrong(edited(SOFT, ("scores / temperature", "-scores / temperature")), "sign", "minus", "negative", "similar", "opposite"),
    wrong(edited(SOFT, ("torch.softmax(", "torch.log_softmax(")), "log", "sum to 1", "exp", "shares"),
    wrong(edited(SOFT, ("torch.softmax(scores / temperature, dim=1)", "torch.sigmoid(scores / temperature)")), "sigmoid", "sum to 1", "softmax", "shares"),
    wrong(edited(SOFT, ("torch.softmax(scores / temperature, dim=1)", "torch.exp(scores / temperature)")), "sum to 1", "divi", "denominator", "softmax", "normal"),
    wrong(edited(SOFT, ("return torch.softmax(scores / temperature, dim=1)", "e = torch.exp(scores / temperature)\n    return e / e.sum(dim=1, keepdim=True)")), *OVERFLOW, "small temperature", "softmax"),
    wrong(edited(SOFT, ("return torch.softmax(scores / temperature, dim=1)", "e = torch.exp(scores / temperature)\n    return e / e.sum(dim=0)")), *AXIS),
    wrong(edited(SOFT, ("return torch.softmax(scores / temperature, dim=1)", "e = torch.exp(scores / temperature)\n    return e / e.amax(dim=1, keepdim=True)")), "max", "sum to 1", "sum", "overflow", "nan"),
    wrong(edited(SOFT, ("return torch.softmax(scores / temperature, dim=1)", "return scores / scores.sum(dim=1, keepdim=True)")), "exp", "softmax", "temperature", "negative"),
    wrong(edited(SOFT, ("return torch.softmax(scores / temperature, dim=1)", "return F.one_hot(scores.argmax(dim=1), len(w)).to(z.dtype)")), "soft", "one-hot", "argmax", "largest", "shares"),
    wrong(edited(SOFT, ("torch.softmax(scores / temperature, dim=1)", "torch.softmax(scores / temperature, dim=1).T")), "shape", "transpos", "(N, K)", ".T"),
    wrong(edited(SOFT, ("scores = z @ w.T", "scores = -torch.cdist(z, w)")), "distance", "cosine", "product", "square"),
    wrong(edited(SOFT, ("scores = z @ w.T", "scores = (z @ w.T).clamp(min=0)")), "negative", "clamp", "relu", "sign"),
    wrong(edited(SOFT, ("scores = z @ w.T", "scores = (z @ w.T).abs()")), "negative", "abs", "sign"),
    wrong(edited(SOFT, ("    z = z / z.norm", "    z, prototypes = z.float(), prototypes.float()\n    z = z / z.norm")), *FLOAT32),
    wrong(edited(SOFT, ("z = z / z.norm", "z /= z.norm")), *IN_PLACE),
    wrong(edited(SOFT, ("w = prototypes / prototypes.norm", "w = prototypes.div_(prototypes.norm"), ("keepdim=True)\n    scores", "keepdim=True))\n    scores")), *IN_PLACE),
    wrong(edited(SOFT, ("scores = z @ w.T", "scores = (z @ w.T).detach()")), *CUT, misleading=("normal", "axis", *RATIO)),
    wrong(edited(SOFT, ("scores = z @ w.T", "scores = z @ w.T.detach()")), *CUT, misleading=("axis", *RATIO)),
]

RIGHT += [
    right(SOFT),
    right(soft("s = F.normalize(z, dim=1) @ F.normalize(prototypes, dim=1).T\nreturn F.softmax(s / temperature, dim=-1)")),
    right(soft("s = F.cosine_similarity(z[:, None, :], prototypes[None, :, :], dim=2) / temperature\nreturn torch.exp(s - torch.logsumexp(s, dim=1, keepdim=True))")),
    right(
        soft(
            """
            rows = []
            for i in range(len(z)):
                row = []
                for k in range(len(prototypes)):
                    row.append(torch.dot(z[i], prototypes[k]) / z[i].norm() / prototypes[k].norm() / temperature)
                row = torch.stack(row)
                e = torch.exp(row - row.max())
                rows.append(e / e.sum())
            return torch.stack(rows)
            """
        )
    ),
    right(soft("s = torch.einsum('id,kd->ik', z, prototypes) / torch.outer(z.norm(dim=1), prototypes.norm(dim=1))\nreturn (s / temperature).log_softmax(1).exp()")),
]

# --- sinkhorn_loop --------------------------------------------------------------------------------------------------


def loop(body: str) -> str:
    return function("sinkhorn_loop(scores, epsilon=0.05, iterations=3)", body)


LOOP = loop(
    """
    n, k = scores.shape
    q = torch.exp(scores / epsilon)
    for _ in range(iterations):
        for j in range(k):
            q[:, j] = q[:, j] / q[:, j].sum() * n / k
        for i in range(n):
            q[i, :] = q[i, :] / q[i, :].sum()
    return q
    """
)
COLUMN_STEP = "        for j in range(k):\n            q[:, j] = q[:, j] / q[:, j].sum() * n / k\n"
ROW_STEP = "        for i in range(n):\n            q[i, :] = q[i, :] / q[i, :].sum()\n"

WRONG += [
    wrong(edited(LOOP, (COLUMN_STEP + ROW_STEP, ROW_STEP + COLUMN_STEP)), *ROWS),
    wrong(edited(LOOP, (COLUMN_STEP + ROW_STEP, ROW_STEP + COLUMN_STEP.replace(" * n / k", ""))), *ROWS, *BALANCE),
    wrong(edited(LOOP, (ROW_STEP, "")), "row", "sum to 1"),
    wrong(edited(LOOP, (COLUMN_STEP, "")), "column", "balanc", "N/K"),
    wrong(edited(LOOP, (COLUMN_STEP, COLUMN_STEP.replace(" * n / k", "")), (ROW_STEP, "")), "row", "sum to 1"),
    wrong(edited(LOOP, ("for _ in range(iterations)", "for _ in range(1)")), *ITERATIONS),
    wrong(edited(LOOP, ("for _ in range(iterations)", "for _ in range(3)")), *ITERATIONS),
    wrong(edited(LOOP, ("for _ in range(iterations)", "for _ in range(iterations + 1)")), *ITERATIONS),
    wrong(edited(LOOP, ("for _ in range(iterations)", "for _ in range(iterations - 1)")), *ITERATIONS),
    wrong(edited(LOOP, ("for _ in range(iterations)", "for _ in range(200)")), *ITERATIONS),
    wrong(
        loop(
            """
            n, k = scores.shape
            q = torch.exp(scores / epsilon)
            for _ in range(iterations):
                for j in range(k):
                    q[:, j] = q[:, j] / q[:, j].sum() * n / k
            for i in range(n):
                q[i] = q[i] / q[i].sum()
            return q
            """
        ),
        "row",
        "each iteration",
        "every iteration",
        "in turn",
        *ITERATIONS,
    ),
    wrong(edited(LOOP, ("scores / epsilon", "scores * epsilon")), *EPSILON),
    wrong(edited(LOOP, ("scores / epsilon", "scores")), *EPSILON),
    wrong(edited(LOOP, ("scores / epsilon", "scores / 0.05")), *EPSILON),
    wrong(edited(LOOP, ("scores / epsilon", "-scores / epsilon")), "sign", "minus", "negative", "largest"),
    wrong(edited(LOOP, ("torch.exp(scores / epsilon)", "scores / epsilon")), "exp", "negative"),
    wrong(edited(LOOP, ("torch.exp(scores / epsilon)", "torch.softmax(scores / epsilon, dim=1)")), "row", "softmax", "start", "first", "order"),
    wrong(edited(LOOP, ("torch.exp(scores / epsilon)", "torch.exp((scores - scores.max(dim=1, keepdim=True).values) / epsilon)")), "row", "max", "start", "first", "shift"),
    wrong(edited(LOOP, ("q[:, j].sum()", "q[:, j].max()")), "max", "sum"),
    wrong(edited(LOOP, ("q[i, :].sum()", "q[i, :].max()")), "max", "sum", "row"),
    wrong(edited(LOOP, ("q[:, j].sum()", "q[:, j].norm()")), "sum", "norm", "root"),
    wrong(edited(LOOP, ("q[i, :].sum()", "q[i, :].sum() / n")), "row", "sum to 1", "N"),
    wrong(edited(LOOP, ("q[i, :].sum()", "q[i, :].mean()")), "row", "sum to 1", "mean", "K"),
    wrong(edited(LOOP, ("for j in range(k)", "for j in range(k - 1)")), "last", "range", "column", "all", "every"),
    wrong(edited(LOOP, ("for i in range(n)", "for i in range(n - 1)")), "last", "range", "row", "all", "every"),
    wrong(edited(LOOP, ("for i in range(n)", "for i in range(k)")), "row", "range", "N", "sum to 1"),
    wrong(
        loop(
            """
            n, k = scores.shape
            q = torch.exp(scores / epsilon)
            for _ in range(iterations):
                columns, rows = q.sum(dim=0), q.sum(dim=1)
                for i in range(n):
                    for j in range(k):
                        q[i, j] = q[i, j] / columns[j] / rows[i]
            return q
            """
        ),
        "row",
        "again",
        "new",
        "same time",
        "at once",
        "in turn",
        "sum to 1",
    ),
    wrong(
        loop(
            """
            n, k = scores.shape
            q = torch.exp(scores / epsilon)
            for _ in range(iterations):
                for j in range(k):
                    for i in range(n):
                        q[i, j] = q[i, j] / q[:, j].sum() * n / k
                for i in range(n):
                    for j in range(k):
                        q[i, j] = q[i, j] / q[i].sum()
            return q
            """
        ),
        "sum",
        "while",
        "before",
        "whole column",
        "already changed",
        "row",
    ),
    wrong(
        loop(
            """
            n, k = scores.shape
            for _ in range(iterations):
                q = torch.exp(scores / epsilon)
                for j in range(k):
                    q[:, j] = q[:, j] / q[:, j].sum() * n / k
                for i in range(n):
                    q[i] = q[i] / q[i].sum()
            return q
            """
        ),
        *ITERATIONS,
        "start",
        "again",
    ),
    wrong(edited(LOOP, ("return q", "return q / n")), "N", "row", "sum to 1", "divi", misleading=()),
    wrong(edited(LOOP, ("return q", "return q.T")), "shape", "transpos", "(N, K)", ".T"),
    wrong(edited(LOOP, ("return q", "return torch.log(q)")), "log", "exp", "sum to 1", "negative"),
    wrong(edited(LOOP, ("return q", "return F.one_hot(q.argmax(dim=1), k).to(q.dtype)")), "soft", "one-hot", "argmax", "round"),
    wrong(edited(LOOP, ("torch.exp(scores / epsilon)", "torch.exp(scores.float() / epsilon)")), *FLOAT32),
    wrong(edited(LOOP, ("torch.exp(scores / epsilon)", "scores.div_(epsilon).exp_()")), *IN_PLACE),
]

RIGHT += [
    right(LOOP),
    # Any common factor of the columns is taken away by the rows.
    right(edited(LOOP, (" * n / k", ""))),
    right(edited(LOOP, ("torch.exp(scores / epsilon)", "torch.exp((scores - scores.max()) / epsilon)"))),
    right(
        loop(
            """
            n, k = scores.shape
            q = [[torch.exp(scores[i, j] / epsilon) for j in range(k)] for i in range(n)]
            for _ in range(iterations):
                for j in range(k):
                    total = sum(q[i][j] for i in range(n))
                    for i in range(n):
                        q[i][j] = q[i][j] * (n / k) / total
                for i in range(n):
                    total = sum(q[i])
                    q[i] = [x / total for x in q[i]]
            return torch.stack([torch.stack(row) for row in q])
            """
        )
    ),
    right(
        loop(
            """
            q = torch.exp(scores / epsilon)
            for t in range(iterations):
                q = q / q.sum(dim=0, keepdim=True) * scores.shape[0] / scores.shape[1]
                q = q / q.sum(dim=1, keepdim=True)
            return q
            """
        )
    ),
]

# --- sinkhorn -------------------------------------------------------------------------------------------------------


def logs(body: str) -> str:
    return function("sinkhorn(scores, epsilon=0.05, iterations=3)", body)


LOGS = logs(
    """
    n, k = scores.shape
    l = scores / epsilon
    for _ in range(iterations):
        l = l - torch.logsumexp(l, dim=0, keepdim=True) + math.log(n / k)
        l = l - torch.logsumexp(l, dim=1, keepdim=True)
    return torch.exp(l)
    """
)
COLUMNS = "        l = l - torch.logsumexp(l, dim=0, keepdim=True) + math.log(n / k)\n"
SHARES = "        l = l - torch.logsumexp(l, dim=1, keepdim=True)\n"

WRONG += [
    wrong(edited(LOGS, (COLUMNS + SHARES, SHARES + COLUMNS)), *ROWS),
    wrong(edited(LOGS, (COLUMNS + SHARES, SHARES + COLUMNS.replace(" + math.log(n / k)", ""))), *ROWS, *BALANCE),
    wrong(edited(LOGS, (SHARES, "")), "row", "sum to 1"),
    wrong(edited(LOGS, (COLUMNS, "")), "column", "balanc", "N/K"),
    wrong(edited(LOGS, (COLUMNS, COLUMNS.replace(" + math.log(n / k)", "")), (SHARES, "")), "row", "sum to 1"),
    wrong(edited(LOGS, ("range(iterations)", "range(1)")), *ITERATIONS),
    wrong(edited(LOGS, ("range(iterations)", "range(3)")), *ITERATIONS),
    wrong(edited(LOGS, ("range(iterations)", "range(iterations + 1)")), *ITERATIONS),
    wrong(edited(LOGS, ("range(iterations)", "range(1, iterations)")), *ITERATIONS),
    wrong(edited(LOGS, ("range(iterations)", "range(100)")), *ITERATIONS),
    wrong(logs("l = scores / epsilon\nl = l - torch.logsumexp(l, dim=0)\nl = l - torch.logsumexp(l, dim=1, keepdim=True)\nreturn l.exp()"), *ITERATIONS),
    wrong(logs("l = scores / epsilon\nfor _ in range(iterations):\n    l = l - torch.logsumexp(l, dim=0)\nreturn torch.softmax(l, dim=1)"), "row", "each iteration", "every iteration", *ITERATIONS),
    wrong(logs("l = scores / epsilon\nfor _ in range(iterations):\n    r = torch.logsumexp(l, dim=1, keepdim=True)\n    l = l - torch.logsumexp(l, dim=0) - r\nreturn l.exp()"), "row", "same time", "at once", "again", "new", "sum to 1"),
    wrong(logs("for _ in range(iterations):\n    l = scores / epsilon\n    l = l - torch.logsumexp(l, dim=0)\n    l = l - torch.logsumexp(l, dim=1, keepdim=True)\nreturn l.exp()"), *ITERATIONS, "start", "again"),
    wrong(edited(LOGS, ("scores / epsilon", "scores * epsilon")), *EPSILON),
    wrong(edited(LOGS, ("scores / epsilon", "scores")), *EPSILON),
    wrong(edited(LOGS, ("scores / epsilon", "scores / 0.05")), *EPSILON),
    wrong(edited(LOGS, ("scores / epsilon", "-scores / epsilon")), "sign", "minus", "negative", "largest"),
    wrong(edited(LOGS, ("scores / epsilon", "torch.log_softmax(scores / epsilon, dim=1)")), "row", "softmax", "start", "first"),
    wrong(edited(LOGS, ("return torch.exp(l)", "return l")), "exp", "log", "sum to 1", "negative"),
    wrong(edited(LOGS, ("return torch.exp(l)", "return torch.softmax(l, dim=0)")), *AXIS),
    wrong(edited(LOGS, ("return torch.exp(l)", "return torch.exp(l).T")), "shape", "transpos", "(N, K)", ".T"),
    wrong(edited(LOGS, ("return torch.exp(l)", "return torch.exp(l) / n")), "N", "row", "sum to 1", "divi", misleading=()),
    wrong(edited(LOGS, ("return torch.exp(l)", "return F.one_hot(l.argmax(dim=1), k).to(l.dtype)")), "soft", "one-hot", "argmax", "round"),
    wrong(edited(LOGS, ("torch.logsumexp(l, dim=0, keepdim=True)", "l.amax(dim=0, keepdim=True)")), "max", "logsumexp", "sum"),
    wrong(edited(LOGS, ("torch.logsumexp(l, dim=1, keepdim=True)", "l.amax(dim=1, keepdim=True)")), "max", "logsumexp", "sum", "row"),
    wrong(edited(LOGS, ("torch.logsumexp(l, dim=0, keepdim=True)", "l.sum(dim=0, keepdim=True)")), "logsumexp", "exp", "sum"),
    wrong(edited(LOGS, ("torch.logsumexp(l, dim=0, keepdim=True)", "l.mean(dim=0, keepdim=True)")), "logsumexp", "exp", "mean"),
    wrong(edited(LOGS, ("l - torch.logsumexp(l, dim=0", "l / torch.logsumexp(l, dim=0")), "subtract", "divi", "minus", "log", "logsumexp"),
    wrong(edited(LOGS, ("l - torch.logsumexp(l, dim=0", "l + torch.logsumexp(l, dim=0")), "subtract", "minus", "sign", "column"),
    wrong(logs("n, k = scores.shape\nq = torch.exp(scores / epsilon)\nfor _ in range(iterations):\n    q = q / q.sum(dim=0) * n / k\n    q = q / q.sum(dim=1, keepdim=True)\nreturn q"), *OVERFLOW, "log"),
    wrong(logs("n, k = scores.shape\nq = torch.exp((scores - scores.max()) / epsilon)\nfor _ in range(iterations):\n    q = q / q.sum(dim=0) * n / k\n    q = q / q.sum(dim=1, keepdim=True)\nreturn q"), *OVERFLOW, "log", "underflow", "small"),
    wrong(edited(LOGS, ("torch.logsumexp(l, dim=0, keepdim=True)", "l.exp().sum(dim=0, keepdim=True).log()")), *OVERFLOW),
    wrong(edited(LOGS, ("scores / epsilon", "(scores / epsilon).clamp(max=50)")), "clamp", "small epsilon", "large", "cap", *EPSILON),
    wrong(edited(LOGS, ("scores / epsilon", "scores.float() / epsilon")), *FLOAT32),
    wrong(edited(LOGS, ("    l = scores / epsilon", "    scores /= epsilon\n    l = scores")), *IN_PLACE),
]

RIGHT += [
    right(LOGS),
    right(logs("l = scores / epsilon\nfor _ in range(iterations):\n    l = l.log_softmax(dim=0)\n    l = l.log_softmax(dim=1)\nreturn l.exp()")),
    right(
        logs(
            """
            n, k = scores.shape
            f = scores.new_zeros(n)
            g = scores.new_zeros(k)
            for _ in range(iterations):
                g = math.log(n / k) - torch.logsumexp(scores / epsilon + f[:, None], dim=0)
                f = -torch.logsumexp(scores / epsilon + g[None, :], dim=1)
            return torch.exp(scores / epsilon + f[:, None] + g)
            """
        )
    ),
    right(
        logs(
            """
            with torch.no_grad():
                log_q = scores.T / epsilon
                for _ in range(iterations):
                    top = log_q.max(dim=1, keepdim=True).values
                    log_q = log_q - top - (log_q - top).exp().sum(dim=1, keepdim=True).log()
                    top = log_q.max(dim=0, keepdim=True).values
                    log_q = log_q - top - (log_q - top).exp().sum(dim=0, keepdim=True).log()
                return log_q.T.exp()
            """
        )
    ),
    right(logs("l = scores.detach().clone() / epsilon\nt = 0\nwhile t < iterations:\n    l = l - l.logsumexp(0)\n    l = l - l.logsumexp(1)[:, None]\n    t += 1\nreturn torch.exp(l)")),
]

# --- swapped_prediction ---------------------------------------------------------------------------------------------


def predict(body: str) -> str:
    return function("swapped_prediction(scores, codes, temperature=0.1)", body)


PREDICT = predict(
    """
    q = codes.detach()
    log_p = torch.log_softmax(scores / temperature, dim=1)
    total = -(q * log_p).sum(dim=1).mean()
    code_entropy = -torch.xlogy(q, q).sum(dim=1).mean()
    kl = total - code_entropy
    return total, code_entropy, kl
    """
)
ENTROPY = ("entropy", "code_entropy", "H(q)")

WRONG += [
    wrong(edited(PREDICT, ("temperature, dim=1", "temperature, dim=0")), *AXIS),
    wrong(edited(PREDICT, ("scores / temperature", "scores")), *TEMPERATURE),
    wrong(edited(PREDICT, ("scores / temperature", "scores * temperature")), *TEMPERATURE),
    wrong(edited(PREDICT, ("scores / temperature", "scores / 0.1")), *TEMPERATURE),
    wrong(edited(PREDICT, ("scores / temperature, dim=1)", "scores, dim=1) / temperature")), *TEMPERATURE),
    wrong(edited(PREDICT, ("q = codes.detach()", "q = codes")), "detach", "constant", "gradient", "codes"),
    wrong(edited(PREDICT, ("scores / temperature", "scores.detach() / temperature")), *CUT, misleading=("axis", "swap", *RATIO)),
    wrong(edited(PREDICT, ("    q = codes", "    scores = scores.detach()\n    q = codes"), ("codes.detach()", "codes")), *CUT, "codes"),
    wrong(edited(PREDICT, ("(q * log_p).sum(dim=1).mean()", "(q * log_p).sum()")), "mean", "divi", "sum", "N"),
    wrong(edited(PREDICT, ("(q * log_p).sum(dim=1).mean()", "(q * log_p).mean()")), "sum", "mean", "K", "prototypes"),
    wrong(edited(PREDICT, ("(q * log_p).sum(dim=1).mean()", "(q * log_p).sum(dim=0).mean()")), "dim", "axis", "K", "N", "mean"),
    wrong(edited(PREDICT, ("-(q * log_p)", "(q * log_p)")), "sign", "minus", "negative", "-1"),
    wrong(edited(PREDICT, ("-torch.xlogy(q, q)", "torch.xlogy(q, q)")), "sign", "minus", "negative", *ENTROPY),
    wrong(edited(PREDICT, ("-torch.xlogy(q, q).sum(dim=1).mean()", "-torch.xlogy(q, q).sum()")), *ENTROPY, "mean", "divi"),
    wrong(edited(PREDICT, ("-torch.xlogy(q, q).sum(dim=1).mean()", "-torch.xlogy(q, q).mean()")), *ENTROPY, "sum"),
    wrong(edited(PREDICT, ("-torch.xlogy(q, q).sum(dim=1).mean()", "-(q * q.log()).sum(dim=1).mean()")), "0 log 0", "one-hot", "nan", "finite", "log(0)", "zero"),
    wrong(edited(PREDICT, ("-torch.xlogy(q, q).sum(dim=1).mean()", "-(log_p.exp() * log_p).sum(dim=1).mean()")), *ENTROPY, "prediction"),
    wrong(edited(PREDICT, ("-torch.xlogy(q, q).sum(dim=1).mean()", "-torch.xlogy(q.mean(0), q.mean(0)).sum()")), *ENTROPY, "each", "mean"),
    wrong(edited(PREDICT, ("-torch.xlogy(q, q).sum(dim=1).mean()", "-(q * torch.log2(q.clamp(min=1e-300))).sum(dim=1).mean()")), *ENTROPY, "nats", "log2", "base", "natural"),
    wrong(edited(PREDICT, ("kl = total - code_entropy", "kl = total + code_entropy")), "kl", "minus", "sign", "rest", "diverg"),
    wrong(edited(PREDICT, ("kl = total - code_entropy", "kl = code_entropy - total")), "kl", "minus", "sign", "rest", "diverg"),
    wrong(edited(PREDICT, ("kl = total - code_entropy", "p = log_p.exp()\n    kl = (p * (log_p - q.clamp(min=1e-30).log())).sum(dim=1).mean()")), "kl", "diverg", "direction", "other way", "revers"),
    wrong(edited(PREDICT, ("return total, code_entropy, kl", "return kl, code_entropy, total")), *ORDER),
    wrong(edited(PREDICT, ("return total, code_entropy, kl", "return total, kl, code_entropy")), *ORDER),
    wrong(edited(PREDICT, ("return total, code_entropy, kl", "return code_entropy, kl, total")), *ORDER),
    wrong(edited(PREDICT, ("return total, code_entropy, kl", "return total")), *WHOLE),
    wrong(edited(PREDICT, ("return total, code_entropy, kl", "return total, code_entropy")), *WHOLE),
    wrong(edited(PREDICT, ("return total, code_entropy, kl", "return kl, code_entropy, kl")), "total", "kl", "entropy", "first"),
    wrong(edited(PREDICT, ("return total, code_entropy, kl", "return total, code_entropy, kl.detach()")), *CUT, misleading=("swap", *RATIO)),
    wrong(edited(PREDICT, ("total = -(q * log_p).sum(dim=1).mean()", "total = F.cross_entropy(scores, q)")), *TEMPERATURE),
    wrong(edited(PREDICT, ("total = -(q * log_p).sum(dim=1).mean()", "total = F.cross_entropy(scores / temperature, q.argmax(dim=1))")), "soft", "argmax", "one-hot", "codes", "largest"),
    wrong(edited(PREDICT, ("total = -(q * log_p).sum(dim=1).mean()", "total = ((q - log_p.exp()) ** 2).sum(dim=1).mean()")), "cross", "square", "log", "entropy"),
    wrong(edited(PREDICT, ("total = -(q * log_p).sum(dim=1).mean()", "total = -(q * log_p.exp()).sum(dim=1).mean()")), "log", "cross"),
    wrong(edited(PREDICT, ("total = -(q * log_p).sum(dim=1).mean()", "total = -(log_p.exp() * q.clamp(min=1e-30).log()).sum(dim=1).mean()")), "other way", "revers", "swap", "log p", "exchang", "codes"),
    wrong(edited(PREDICT, ("q = codes.detach()", "q = torch.softmax(codes.detach() / temperature, dim=1)")), "codes", "softmax", "already"),
    wrong(edited(PREDICT, ("torch.log_softmax(scores / temperature, dim=1)", "torch.softmax(scores / temperature, dim=1).log()")), "log_softmax", "underflow", "inf", "nan", "finite", "small temperature"),
    wrong(edited(PREDICT, ("torch.log_softmax(scores / temperature, dim=1)", "torch.log(torch.softmax(scores / temperature, dim=1) + 1e-6)")), "log_softmax", "eps", "1e-", "added", "small"),
    wrong(edited(PREDICT, ("torch.log_softmax(scores / temperature, dim=1)", "scores / temperature - torch.exp(scores / temperature).sum(dim=1, keepdim=True).log()")), *OVERFLOW),
    wrong(edited(PREDICT, ("    q = codes", "    scores, codes = scores.float(), codes.float()\n    q = codes")), *FLOAT32),
    wrong(edited(PREDICT, ("scores / temperature", "scores.div_(temperature)")), *IN_PLACE),
    wrong(edited(PREDICT, ("q = codes.detach()", "q = codes.detach().clamp_(min=1e-3)")), *IN_PLACE, "clamp", "small", "eps"),
]

RIGHT += [
    right(PREDICT),
    right(
        predict(
            """
            q = codes.detach()
            total = F.cross_entropy(scores / temperature, q)
            code_entropy = torch.special.entr(q).sum() / len(q)
            kl = F.kl_div(torch.log_softmax(scores / temperature, dim=1), q, reduction='batchmean')
            return total, code_entropy, kl
            """
        )
    ),
    right(
        predict(
            """
            n, k = scores.shape
            total, code_entropy = 0, 0
            for i in range(n):
                s = scores[i] / temperature
                log_z = torch.logsumexp(s, dim=0)
                for j in range(k):
                    q = codes[i, j].detach()
                    total = total - q * (s[j] - log_z) / n
                    if q > 0:
                        code_entropy = code_entropy - q * torch.log(q) / n
            if not isinstance(code_entropy, torch.Tensor):
                code_entropy = scores.new_zeros(())
            return total, code_entropy, total - code_entropy
            """
        )
    ),
    right(
        predict(
            """
            q = codes.clone().detach()
            s = scores / temperature
            total = (torch.logsumexp(s, dim=1) - torch.einsum('ik,ik->i', q, s)).mean()
            entropy = -(q * torch.where(q > 0, q, torch.ones_like(q)).log()).sum(1).mean()
            return [total, entropy, total - entropy]
            """
        )
    ),
    right(predict("return losses.swapped_prediction(scores, codes, temperature)")),
]

# --- swapped_prediction_gradient ------------------------------------------------------------------------------------


def slope(body: str) -> str:
    return function("swapped_prediction_gradient(scores, codes, temperature=0.1)", body)


SLOPE = slope("p = torch.softmax(scores / temperature, dim=1)\nn = len(scores)\nreturn (p - codes) / (temperature * n)")
CLOSED = "the closed form is asked"

WRONG += [
    wrong(edited(SLOPE, ("(p - codes)", "(codes - p)")), "sign", "minus", "-1", "opposite", "codes", misleading=()),
    wrong(edited(SLOPE, ("(p - codes)", "(p + codes)")), "sign", "minus", "plus", "sum to 0"),
    wrong(edited(SLOPE, ("(temperature * n)", "n")), *TEMPERATURE, misleading=("mean", "axis")),
    wrong(edited(SLOPE, ("/ (temperature * n)", "* temperature / n")), *TEMPERATURE, misleading=("mean", "axis")),
    wrong(edited(SLOPE, ("temperature * n", "temperature ** 2 * n")), *TEMPERATURE, misleading=("mean", "axis")),
    wrong(edited(SLOPE, ("temperature * n", "0.1 * n")), *TEMPERATURE, misleading=("mean", "axis")),
    wrong(edited(SLOPE, ("temperature * n", "temperature")), *MEAN, misleading=("axis",)),
    wrong(edited(SLOPE, ("temperature * n", "temperature * (n - 1)")), *MEAN, misleading=("axis",)),
    wrong(edited(SLOPE, ("temperature * n", "temperature * scores.numel()")), *MEAN, "K", misleading=("axis",)),
    wrong(edited(SLOPE, ("temperature * n", "temperature * scores.shape[1]")), *MEAN, "K", misleading=("axis",)),
    wrong(edited(SLOPE, ("temperature * n", "2 * temperature * n")), "2", "half", *FACTOR, misleading=("axis",)),
    wrong(edited(SLOPE, ("dim=1", "dim=0")), *AXIS),
    wrong(edited(SLOPE, ("scores / temperature", "scores")), *TEMPERATURE),
    wrong(edited(SLOPE, ("scores / temperature", "scores * temperature")), *TEMPERATURE),
    wrong(edited(SLOPE, ("scores / temperature", "scores / 0.1")), *TEMPERATURE),
    wrong(edited(SLOPE, ("scores / temperature", "codes / temperature"), ("p - codes", "p - scores")), "swap", "exchang", "codes", "scores"),
    wrong(edited(SLOPE, ("torch.softmax(", "torch.log_softmax(")), "log", "softmax", "sum to 0"),
    wrong(edited(SLOPE, ("p - codes", "p - torch.softmax(codes, dim=1)")), "codes", "softmax", "already"),
    wrong(edited(SLOPE, ("p - codes", "p - F.one_hot(codes.argmax(dim=1), codes.shape[1]).to(p.dtype)")), "soft", "argmax", "one-hot", "codes", "largest"),
    wrong(edited(SLOPE, ("(p - codes)", "p")), "codes", "q", "sum to 0"),
    wrong(edited(SLOPE, ("(p - codes)", "-codes")), "softmax", "p", "sum to 0", "log-sum"),
    wrong(edited(SLOPE, ("(p - codes)", "-codes / p")), "log", "chain", "p", "sum to 0", "softmax", "slope"),
    wrong(edited(SLOPE, ("(p - codes)", "(p - codes) * p * (1 - p)")), "square", "chain", "softmax", "p (1 - p)", "sum to 0", "slope"),
    wrong(edited(SLOPE, ("(p - codes)", "(p - codes) ** 2")), "square", "sum to 0"),
    wrong(edited(SLOPE, ("(p - codes)", "(p - codes).abs()")), "abs", "sign", "sum to 0"),
    wrong(edited(SLOPE, ("(p - codes) / (temperature * n)", "((p - codes) / temperature).mean(dim=0)")), "shape", "(N, K)", "mean"),
    wrong(edited(SLOPE, ("(p - codes) / (temperature * n)", "((p - codes) / temperature).mean()")), "shape", "(N, K)", "mean"),
    wrong(edited(SLOPE, ("(temperature * n)", "temperature * n")), "parenthes", "bracket", "N", "divi", "multipl", misleading=()),
    wrong(edited(SLOPE, ("return (p - codes) / (temperature * n)", "e = torch.exp(scores / temperature)\n    return (e / e.sum(dim=0) - codes) / (temperature * n)")), *AXIS),
    wrong(edited(SLOPE, ("    n = ", "    codes = codes / codes.sum(dim=0)\n    n = ")), "codes", "normal", "column", "sum to 0"),
    wrong(
        slope(
            """
            leaf = scores.detach().clone().requires_grad_()
            losses.swapped_prediction(leaf, codes, temperature).total.backward()
            return leaf.grad
            """
        ),
        "autograd",
        "automatic",
        "closed form",
        "backward",
        note=CLOSED,
    ),
    wrong(slope("return torch.func.grad(lambda s: losses.swapped_prediction(s, codes, temperature).total)(scores)"), "autograd", "automatic", "closed form", "backward", note=CLOSED),
    wrong(edited(SLOPE, ("scores / temperature", "scores.float() / temperature")), *FLOAT32),
    wrong(edited(SLOPE, ("return (p - codes) / (temperature * n)", "codes -= p\n    return -codes / (temperature * n)")), *IN_PLACE),
    wrong(edited(SLOPE, ("scores / temperature", "scores.div_(temperature)")), *IN_PLACE),
]

RIGHT += [
    right(SLOPE),
    right(slope("p = (scores / temperature).log_softmax(dim=1).exp()\nreturn p / temperature / p.shape[0] - codes.detach() / temperature / p.shape[0]")),
    right(
        slope(
            """
            n, k = scores.shape
            result = torch.zeros_like(scores)
            for i in range(n):
                e = torch.exp((scores[i] - scores[i].max()) / temperature)
                for j in range(k):
                    result[i, j] = (e[j] / e.sum() - codes[i, j]) / temperature / n
            return result
            """
        )
    ),
    right(slope("s = scores / temperature\nreturn (torch.exp(s - s.logsumexp(1, keepdim=True)) - codes).mul(1 / (temperature * scores.size(0)))")),
    # The chain rule with the Jacobian of the softmax, sample by sample.
    right(
        slope(
            """
            log_p = torch.log_softmax(scores / temperature, dim=1)
            p = log_p.exp()
            jacobian = torch.eye(p.shape[1], dtype=p.dtype) - p[:, None, :]
            return -torch.einsum('ik,ikl->il', codes, jacobian) / temperature / len(p)
            """
        )
    ),
]

# --- swav -----------------------------------------------------------------------------------------------------------


def swav(body: str) -> str:
    return function("swav(scores_a, scores_b, temperature=0.1, epsilon=0.05, iterations=3)", body)


SWAV = swav(
    """
    q_a = sinkhorn(scores_a, epsilon, iterations)
    q_b = sinkhorn(scores_b, epsilon, iterations)
    first = swapped_prediction(scores_a, q_b, temperature)
    second = swapped_prediction(scores_b, q_a, temperature)
    return tuple((x + y) / 2 for x, y in zip(first, second))
    """
)
RESULT = "return tuple((x + y) / 2 for x, y in zip(first, second))"
SWAP = ("swap", "own code", "other view", "each view", "direction", "predicts")
DIRECTIONS = ("direction", "both", "one view", "mean of", "half", "average")

WRONG += [
    wrong(edited(SWAV, ("scores_a, q_b, temp", "scores_a, q_a, temp"), ("scores_b, q_a, temp", "scores_b, q_b, temp")), *SWAP),
    wrong(edited(SWAV, ("scores_b, q_a, temp", "scores_b, q_b, temp")), *SWAP),
    wrong(edited(SWAV, ("scores_a, q_b, temp", "scores_a, q_a, temp")), *SWAP),
    wrong(edited(SWAV, (RESULT, "return first")), *DIRECTIONS),
    wrong(edited(SWAV, (RESULT, "return second")), *DIRECTIONS),
    wrong(edited(SWAV, ("(x + y) / 2", "x + y")), *DIRECTIONS, "sum", misleading=("own code",)),
    wrong(edited(SWAV, ("(x + y) / 2", "x - y")), *DIRECTIONS, "minus", "differ"),
    wrong(edited(SWAV, ("(x + y) / 2", "torch.maximum(x, y)")), *DIRECTIONS, "max"),
    wrong(edited(SWAV, ("(x + y) / 2", "x + y / 2")), *DIRECTIONS, "parenthes", "bracket"),
    wrong(edited(SWAV, ("second = swapped_prediction(scores_b, q_a", "second = swapped_prediction(scores_a, q_b")), *DIRECTIONS, "twice", "scores_b", "not depend", "same"),
    wrong(edited(SWAV, ("q_b = sinkhorn(scores_b", "q_b = sinkhorn(scores_a")), *SWAP, "codes", "scores_b"),
    wrong(edited(SWAV, ("q_a = sinkhorn(scores_a", "q_a = sinkhorn(scores_b")), *SWAP, "codes", "scores_a"),
    wrong(edited(SWAV, ("q_a = sinkhorn(scores_a, epsilon, iterations)\n    q_b = sinkhorn(scores_b, epsilon, iterations)", "q_a, q_b = sinkhorn(torch.cat([scores_a, scores_b]), epsilon, iterations).chunk(2)")), "separate", "each view", "own", "together", "joint", "cat"),
    wrong(edited(SWAV, ("    first", "    q_a = q_b = (q_a + q_b) / 2\n    first")), *SWAP, "own", "mean", "separate"),
    wrong(edited(SWAV, ("sinkhorn(scores_a, epsilon, iterations)", "torch.softmax(scores_a.detach() / epsilon, dim=1)"), ("sinkhorn(scores_b, epsilon, iterations)", "torch.softmax(scores_b.detach() / epsilon, dim=1)")), "sinkhorn", "softmax", "balanc", *ITERATIONS),
    wrong(edited(SWAV, ("    first", "    q_a = F.one_hot(q_a.argmax(1), q_a.shape[1]).to(q_a.dtype)\n    q_b = F.one_hot(q_b.argmax(1), q_b.shape[1]).to(q_b.dtype)\n    first")), "soft", "one-hot", "argmax", "round", "hard"),
    wrong(edited(SWAV, ("epsilon, iterations)", "temperature, iterations)")), "epsilon", "temperature"),
    wrong(edited(SWAV, (", temperature)", ", epsilon)")), "epsilon", "temperature"),
    wrong(edited(SWAV, ("epsilon, iterations)", "epsilon)")), *ITERATIONS),
    wrong(edited(SWAV, ("epsilon, iterations)", "epsilon, 3)")), *ITERATIONS),
    wrong(edited(SWAV, ("epsilon, iterations)", "epsilon, iterations + 1)")), *ITERATIONS),
    wrong(edited(SWAV, ("epsilon, iterations)", "iterations=iterations)")), *EPSILON),
    wrong(edited(SWAV, (", temperature)", ")")), *TEMPERATURE),
    wrong(edited(SWAV, (", temperature)", ", 2 * temperature)")), *TEMPERATURE),
    wrong(edited(SWAV, ("sinkhorn(scores_a,", "sinkhorn(scores_a / temperature,"), ("sinkhorn(scores_b,", "sinkhorn(scores_b / temperature,")), *TEMPERATURE, "epsilon", "sinkhorn"),
    wrong(edited(SWAV, (RESULT, "return (first[0] + second[0]) / 2")), *WHOLE),
    wrong(edited(SWAV, (RESULT, "return (first[0] + second[0]) / 2, first[1], first[2]")), *DIRECTIONS, *ENTROPY),
    wrong(edited(SWAV, (RESULT, "return (first[0] + second[0]) / 2, first[1] + second[1], first[2] + second[2]")), *DIRECTIONS, *ENTROPY),
    wrong(edited(SWAV, (RESULT, "t, h, k = ((x + y) / 2 for x, y in zip(first, second))\n    return t, k, h")), *ORDER),
    wrong(edited(SWAV, (RESULT, "t, h, k = ((x + y) / 2 for x, y in zip(first, second))\n    return k, h, t")), *ORDER),
    wrong(edited(SWAV, (RESULT, "return first, second")), *WHOLE, "pair", "nested"),
    wrong(edited(SWAV, (RESULT, "return (first[2] + second[2]) / 2, (first[1] + second[1]) / 2, (first[2] + second[2]) / 2")), "total", "kl", "entropy"),
    wrong(edited(SWAV, ("swapped_prediction(scores_a, q_b", "swapped_prediction(scores_a.detach(), q_b")), *CUT, misleading=("own code", *RATIO)),
    wrong(edited(SWAV, ("(x + y) / 2", "((x + y) / 2).detach()")), *CUT, misleading=("own code", *RATIO)),
    wrong(edited(SWAV, ("    q_a = sinkhorn", "    scores_b = scores_b.detach()\n    q_a = sinkhorn")), *CUT, misleading=("own code", *RATIO)),
    wrong(
        swav(
            """
            def codes(scores):
                logs = scores / epsilon
                for _ in range(iterations):
                    logs = logs - torch.logsumexp(logs, dim=0)
                    logs = logs - torch.logsumexp(logs, dim=1, keepdim=True)
                return logs.exp()
            def predict(scores, q):
                total = -(q * torch.log_softmax(scores / temperature, dim=1)).sum(dim=1).mean()
                entropy = torch.special.entr(q).sum(dim=1).mean()
                return total, entropy, total - entropy
            first, second = predict(scores_a, codes(scores_b)), predict(scores_b, codes(scores_a))
            return tuple((x + y) / 2 for x, y in zip(first, second))
            """
        ),
        "detach",
        "constant",
        "gradient",
        "codes",
    ),
    wrong(edited(SWAV, ("    q_a = sinkhorn", "    scores_a, scores_b = F.normalize(scores_a, dim=1), F.normalize(scores_b, dim=1)\n    q_a = sinkhorn")), "normal", "length", "unit", "already"),
    wrong(edited(SWAV, ("    q_a = sinkhorn", "    scores_a, scores_b = scores_a.float(), scores_b.float()\n    q_a = sinkhorn")), *FLOAT32),
    wrong(edited(SWAV, ("    q_a = sinkhorn", "    scores_a -= scores_a.mean(dim=1, keepdim=True)\n    q_a = sinkhorn")), *IN_PLACE, "row"),
]

RIGHT += [
    right(SWAV),
    right(swav("return losses.swav(scores_a, scores_b, temperature, epsilon, iterations)")),
    right(
        swav(
            """
            with torch.no_grad():
                codes = [sinkhorn(s, epsilon=epsilon, iterations=iterations) for s in (scores_a, scores_b)]
            total, entropy, kl = 0, 0, 0
            for scores, q in ((scores_a, codes[1]), (scores_b, codes[0])):
                result = swapped_prediction(scores, q, temperature)
                total, entropy, kl = total + result[0] / 2, entropy + result[1] / 2, kl + result[2] / 2
            return total, entropy, kl
            """
        )
    ),
    # The two directions as one batch of twice the size: the mean over it is the mean of both.
    right(
        swav(
            """
            codes = torch.cat([sinkhorn(scores_b, epsilon, iterations), sinkhorn(scores_a, epsilon, iterations)])
            return swapped_prediction(torch.cat([scores_a, scores_b]), codes, temperature)
            """
        )
    ),
    right(
        swav(
            """
            q_a = sinkhorn(scores_a.detach(), epsilon, iterations)
            q_b = sinkhorn(scores_b.detach(), epsilon, iterations)
            n = len(scores_a)
            log_a = F.log_softmax(scores_a / temperature, dim=1)
            log_b = F.log_softmax(scores_b / temperature, dim=1)
            total = -((q_b * log_a).sum() + torch.einsum('ik,ik->', q_a, log_b)) / (2 * n)
            entropy = (torch.special.entr(q_a).sum() + torch.special.entr(q_b).sum()) / (2 * n)
            return losses.swav(scores_a, scores_b)._replace(total=total, code_entropy=entropy, kl=total - entropy)
            """
        )
    ),
]

# --- label_votes ----------------------------------------------------------------------------------------------------


def votes(body: str) -> str:
    return function("label_votes(codes, labels, num_classes=3)", body)


VOTES = votes(
    """
    n, k = codes.shape
    result = torch.zeros(k, num_classes, dtype=codes.dtype)
    clusters = codes.argmax(dim=1)
    for i in range(n):
        if labels[i] != -1:
            result[clusters[i], labels[i]] += 1
    return result
    """
)
UNKNOWN = ("-1", "unknown", "unlabelled", "without a label", "not labelled")
COUNT = ("count", "more than one", "several", "+=", "add", "accumul", "twice", "same cluster")

WRONG += [
    wrong(edited(VOTES, ("        if labels[i] != -1:\n            result", "        result")), *UNKNOWN, misleading=("argmax", "transpos")),
    wrong(edited(VOTES, ("labels[i] != -1", "labels[i] > 0")), "class 0", "0", "first class", ">= 0"),
    wrong(edited(VOTES, ("labels[i] != -1", "labels[i]")), *UNKNOWN, "class 0", "0", "first class", ">= 0"),
    wrong(edited(VOTES, ("labels[i] != -1", "labels[i] == -1")), *UNKNOWN, "other way", "revers", "labelled"),
    wrong(edited(VOTES, ("if labels[i] != -1:\n            result", "if labels[i] == -1:\n            break\n        result")), *UNKNOWN, "break", "continue", "skip", "after"),
    wrong(edited(VOTES, ("+= 1", "= 1")), *COUNT),
    wrong(edited(VOTES, ("+= 1", "+= codes[i].max()")), "count", "share", "soft", "1 for each", "one vote", "largest"),
    wrong(edited(VOTES, ("result[clusters[i], labels[i]] += 1", "result[:, labels[i]] += codes[i]")), "count", "share", "soft", "argmax", "largest", "one vote", "whole"),
    wrong(edited(VOTES, ("argmax(dim=1)", "argmax(dim=0)"), ("for i in range(n)", "for i in range(min(n, k))")), "dim", "axis", "each sample", "row", "cluster"),
    wrong(edited(VOTES, ("argmax(dim=1)", "argmin(dim=1)")), "largest", "argmin", "argmax", "smallest"),
    wrong(edited(VOTES, ("return result", "return result.T")), "shape", "transpos", "(K", ".T"),
    wrong(edited(VOTES, ("torch.zeros(k, num_classes", "torch.zeros(num_classes, k"), ("[clusters[i], labels[i]]", "[labels[i], clusters[i]]")), "shape", "transpos", "(K"),
    wrong(edited(VOTES, ("return result", "return result / result.sum()")), "count", "divi", "normal", "fraction", "votes"),
    wrong(edited(VOTES, ("return result", "return result / result.sum(dim=1, keepdim=True).clamp(min=1)")), "count", "divi", "normal", "fraction", "votes"),
    wrong(edited(VOTES, ("return result", "return result / result.sum(dim=1, keepdim=True)")), "count", "divi", "normal", "fraction", "nan", "votes"),
    wrong(edited(VOTES, ("return result", "return result.argmax(dim=1).to(codes.dtype)")), "shape", "votes", "name", "argmax", "count"),
    wrong(edited(VOTES, ("return result", "return result.sum(dim=1)")), "shape", "class", "(K"),
    wrong(edited(VOTES, ("return result", "return result.cumsum(dim=1)")), "cum", "count", "class", "add"),
    wrong(edited(VOTES, ("return result", "return (result > 0).to(codes.dtype)")), *COUNT),
    wrong(edited(VOTES, ("num_classes, dtype", "3, dtype"), ("labels[i]] +=", "min(labels[i], 2)] +=")), "num_classes", "shape", "classes"),
    wrong(edited(VOTES, ("torch.zeros(k, num_classes", "torch.zeros(k, int(labels.max()) + 1")), "num_classes", "shape", "classes"),
    wrong(edited(VOTES, ("torch.zeros(k,", "torch.zeros(int(codes.argmax(dim=1).max()) + 1,")), "shape", "K", "empty", "without", "prototypes"),
    wrong(edited(VOTES, ("torch.zeros(k,", "torch.ones(k,")), "start", "zero", "one too many", "ones", "0"),
    wrong(edited(VOTES, ("for i in range(n)", "for i in range(n - 1)")), "last", "range", "every sample", "all samples"),
    wrong(edited(VOTES, ("for i in range(n)", "for i in range(1, n)")), "first", "range", "every sample", "all samples"),
    wrong(votes("known = labels >= 0\nresult = codes.new_zeros(codes.shape[1], num_classes)\nresult[codes.argmax(1)[known], labels[known]] += 1\nreturn result"), *COUNT, "repeat", "index", "duplic"),
    wrong(votes("onehot = F.one_hot(labels.clamp(min=0), num_classes).to(codes.dtype)\nmember = F.one_hot(codes.argmax(1), codes.shape[1]).to(codes.dtype)\nreturn member.T @ onehot"), *UNKNOWN, "class 0"),
    wrong(votes("onehot = F.one_hot(labels + 1, num_classes + 1).to(codes.dtype)\nmember = F.one_hot(codes.argmax(1), codes.shape[1]).to(codes.dtype)\nreturn member.T @ onehot"), *UNKNOWN, "shape", "num_classes"),
    wrong(votes("onehot = F.one_hot(labels + 1, num_classes + 1).to(codes.dtype)[:, 1:]\nreturn codes.T @ onehot"), "share", "soft", "argmax", "largest", "count", "one vote", "whole"),
    wrong(votes("onehot = F.one_hot(labels + 1, num_classes + 1).to(codes.dtype)[:, :-1]\nmember = F.one_hot(codes.argmax(1), codes.shape[1]).to(codes.dtype)\nreturn member.T @ onehot"), *UNKNOWN, "class", "shift", "off by one", "column"),
    wrong(votes("onehot = F.one_hot(labels + 1, num_classes + 1).to(codes.dtype)[:, 1:]\nmember = (codes == codes.max(dim=0).values).to(codes.dtype)\nreturn member.T @ onehot"), "dim", "axis", "each sample", "row", "cluster", "column"),
    wrong(votes("onehot = F.one_hot(labels + 1, num_classes + 1).to(codes.dtype)[:, 1:]\nmember = (codes > 0.5).to(codes.dtype)\nreturn member.T @ onehot"), "largest", "argmax", "0.5", "half", "each sample", "every"),
    wrong(edited(VOTES, ("dtype=codes.dtype", "dtype=torch.int64")), "dtype", "type of the codes", "int64", "type", note="the type of the codes is asked"),
    wrong(edited(VOTES, (", dtype=codes.dtype", "")), "dtype", "type of the codes", "float32", "type", note="the type of the codes is asked"),
    wrong(edited(VOTES, ("    clusters", "    labels[labels < 0] = 0\n    clusters")), *IN_PLACE, *UNKNOWN),
    wrong(edited(VOTES, ("return result", "return result, clusters")), "tuple", "outputs", "one", "two", "votes"),
    wrong(edited(VOTES, ("    clusters = codes.argmax(dim=1)", "    codes -= codes.mean(dim=0)\n    clusters = codes.argmax(dim=1)")), *IN_PLACE, "centr", "largest"),
]

RIGHT += [
    right(VOTES),
    right(
        votes(
            """
            result = codes.new_zeros(codes.shape[1], num_classes)
            known = labels >= 0
            where = (codes.argmax(dim=1)[known], labels[known])
            result.index_put_(where, torch.ones(int(known.sum()), dtype=codes.dtype), accumulate=True)
            return result
            """
        )
    ),
    right(votes("classes = F.one_hot(labels + 1, num_classes + 1)[:, 1:].to(codes.dtype)\nmember = F.one_hot(codes.argmax(dim=1), codes.shape[1]).to(codes.dtype)\nreturn torch.einsum('ik,ic->kc', member, classes)")),
    right(
        votes(
            """
            k = codes.shape[1]
            clusters = codes.argmax(1)
            rows = []
            for c in range(k):
                rows.append([int(((clusters == c) & (labels == y)).sum()) for y in range(num_classes)])
            return torch.tensor(rows, dtype=codes.dtype)
            """
        )
    ),
    right(votes("k = codes.shape[1]\nknown = labels > -1\nflat = codes.max(dim=1).indices[known] * num_classes + labels[known]\nreturn torch.bincount(flat, minlength=k * num_classes).view(k, num_classes).to(codes)")),
]

# --- inputs ---------------------------------------------------------------------------------------------------------


def normal(generator: Generator, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def leaf(tensor: Tensor) -> Tensor:
    return tensor.detach().clone().requires_grad_()


def of_soft(generator: Generator) -> list[tuple[Any, ...]]:
    """The last temperature is so small that exponentials overflow."""
    found = []
    for n, k, d, setting in ((7, 3, 4, ()), (3, 5, 2, (0.5,)), (4, 4, 4, (2.0,)), (5, 3, 3, (1e-3,))):
        z = normal(generator, n, d) * (1 + torch.rand(n, 1, generator=generator).double()) + 0.5
        found.append((leaf(z), leaf(2 * normal(generator, k, d)), *setting))
    return found


def of_loop(generator: Generator) -> list[tuple[Any, ...]]:
    shapes = ((7, 3, ()), (3, 5, (0.5, 1)), (4, 4, (0.2, 5)), (8, 2, (0.1, 2)))
    return [(normal(generator, n, k).tanh(), *setting) for n, k, setting in shapes]


def of_logs(generator: Generator) -> list[tuple[Any, ...]]:
    """The last epsilon is so small that exponentials overflow, and, with the maximum taken away, vanish."""
    return [*of_loop(generator), (normal(generator, 6, 4).tanh(), 5e-4, 3)]


def distributions(generator: Generator, n: int, k: int) -> Tensor:
    return torch.softmax(2 * normal(generator, n, k), dim=1)


def of_prediction(generator: Generator) -> list[tuple[Any, ...]]:
    """The third has one-hot codes, and the last a temperature at which exponentials overflow."""
    codes = [distributions(generator, 7, 3), distributions(generator, 3, 5), torch.eye(4, dtype=torch.float64)[[0, 2, 2, 3]]]
    found = [(normal(generator, *q.shape), q, *setting) for q, setting in zip(codes, ((), (0.5,), (1.0,)))]
    found.append((normal(generator, 5, 3), distributions(generator, 5, 3), 1e-3))
    return [(leaf(scores), leaf(q), *setting) for scores, q, *setting in found]


def of_slope(generator: Generator) -> list[tuple[Any, ...]]:
    shapes = ((7, 3, ()), (3, 5, (0.5,)), (4, 4, (1.0,)), (6, 2, (0.05,)))
    return [(normal(generator, n, k), distributions(generator, n, k), *setting) for n, k, setting in shapes]


def of_swav(generator: Generator) -> list[tuple[Any, ...]]:
    shapes = ((7, 3, ()), (3, 5, (0.5, 0.3, 1)), (4, 4, (0.2, 0.1, 5)), (8, 2, (0.3, 0.05, 2)))
    found = []
    for n, k, setting in shapes:
        a = normal(generator, n, k)
        found.append((leaf(a.tanh()), leaf((a + 0.7 * normal(generator, n, k)).tanh()), *setting))
    return found


def of_votes(generator: Generator) -> list[tuple[Any, ...]]:
    found = []
    for n, k, setting in ((20, 4, ()), (30, 3, (5,)), (9, 6, (2,)), (12, 12, (4,))):
        codes = distributions(generator, n, k)
        labels = torch.randint(-1, setting[0] if setting else 3, (n,), generator=generator)
        found.append((codes, labels, *setting))
    # Some clusters and the last class are empty, and the last sample counts.
    codes = torch.softmax(normal(generator, 10, 5) + torch.tensor([3.0, 3, 3, 0, -9]).double(), dim=1)
    found.append((codes, torch.tensor([1, -1, 0, 1, 0, -1, 0, 1, 1, 1]), 3))
    return found


INPUTS = {
    "soft_assignments": of_soft,
    "sinkhorn_loop": of_loop,
    "sinkhorn": of_logs,
    "swapped_prediction": of_prediction,
    "swapped_prediction_gradient": of_slope,
    "swav": of_swav,
    "label_votes": of_votes,
}
