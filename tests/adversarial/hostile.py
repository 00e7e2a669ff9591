"""Answers that no checker is prepared for: they never end, raise what is not an Exception, print, or change the world.

None of them does anything when it is defined, and none leaves more behind than an empty file in the working directory.
`run_hostile` gives each to `examine` and to `check`, in a process of its own.
"""

from __future__ import annotations

from typing import NamedTuple

from tests.adversarial.answers import function


class Hostile(NamedTuple):
    """A definition of the exercise's name (a function, or another object), and what makes it hostile.

    `afterwards` says what must hold when the verdict is there. The runner compares the whole state for each of them.
    """

    exercise: str
    source: str
    note: str
    afterwards: str = "the global state is as before"


SIGNATURES = {
    "covariance_matrix": "z",
    "covariance_matrix_loop": "z",
    "variance_hinge": "cov, gamma, eps",
    "covariance_penalty": "cov",
    "vicreg": "z_a, z_b, invariance=25.0, variance=25.0, covariance=1.0, gamma=1.0, eps=1e-4",
    "vicreg_paper": "z_a, z_b, invariance=25.0, variance=25.0, covariance=1.0, gamma=1.0, eps=1e-4",
    "variance_gradient": "z, gamma=1.0, eps=1e-4",
    "directional_spread": "z",
    "participation_ratio_loop": "z",
    "participation_ratio": "z",
    "covariance_spectrum": "z",
    "name_collapse": "z, threshold=0.1",
    "info_nce_bend": "v, c, temperature=0.2",
    "contrastive_gradient_matrix": "x, x_prime, w",
    "soft_assignments": "z, prototypes, temperature=0.1",
    "sinkhorn_loop": "scores, epsilon=0.05, iterations=3",
    "sinkhorn": "scores, epsilon=0.05, iterations=3",
    "swapped_prediction": "scores, codes, temperature=0.1",
    "swapped_prediction_gradient": "scores, codes, temperature=0.1",
    "swav": "scores_a, scores_b, temperature=0.1, epsilon=0.05, iterations=3",
    "label_votes": "codes, labels, num_classes=3",
}
COVARIANCE = "(z - z.mean(dim=0)).T @ (z - z.mean(dim=0)) / (len(z) - 1)"
HINGE = "torch.relu(gamma - torch.sqrt(cov.diagonal() + eps)).mean()"


def body(exercise: str, lines: str, note: str, afterwards: str = "the global state is as before") -> Hostile:
    """The exercise as a function with this body."""
    return Hostile(exercise, function(f"{exercise}({SIGNATURES[exercise]})", lines), note, afterwards)


def thing(exercise: str, lines: str, note: str, afterwards: str = "the global state is as before") -> Hostile:
    """The exercise as another object: the lines bind its name."""
    return Hostile(exercise, lines, note, afterwards)


HOSTILE: list[Hostile] = []

# --- that do not end ------------------------------------------------------------------------------------------------

HOSTILE += [
    body("covariance_matrix", "while True:\n    pass", "a loop without an end"),
    body(
        "sinkhorn_loop",
        "q = torch.exp(scores / epsilon)\nwhile (q.sum(dim=0) - 2).abs().max() > 0:\n    q = q / q.sum(dim=0)\nreturn q",
        "a loop that waits for an exact zero",
    ),
    body(
        "participation_ratio_loop",
        "b = 0\ntotal = 0\nwhile b < len(z):\n    total = total + (z[b] @ z[b]) ** 2\nreturn total",
        "a counter that is never raised",
    ),
    body("directional_spread", "import time\ntime.sleep(1000)", "it sleeps"),
    body(
        "label_votes",
        "import time\ntime.sleep(4)\nreturn codes.new_zeros(codes.shape[1], num_classes)",
        "a few seconds for each call",
    ),
    body("variance_hinge", "import threading\nthreading.Event().wait()", "it waits for an event that nobody sets"),
    body(
        "soft_assignments",
        "import threading\nlock = threading.Lock()\nlock.acquire()\nlock.acquire()",
        "it waits for its own lock",
    ),
    body(
        "participation_ratio",
        "import itertools\nreturn sum(1 for _ in itertools.count())",
        "an infinite sum, inside C code",
    ),
    body("swav", "return 10 ** 10 ** 9", "one operation of C code that takes hours"),
    body(
        "name_collapse",
        "import re\nre.match('(a+)+$', 'a' * 60 + 'b')",
        "a regular expression that never comes back, and holds the interpreter",
    ),
    body(
        "info_nce_bend",
        "while True:\n    try:\n        while True:\n            pass\n    except Exception:\n        pass",
        "a loop that swallows every Exception",
    ),
    body(
        "covariance_spectrum",
        "while True:\n    try:\n        while True:\n            pass\n    except BaseException:\n        pass",
        "a loop that swallows every BaseException",
    ),
    body(
        "vicreg",
        "try:\n    while True:\n        pass\nfinally:\n    while True:\n        pass",
        "a loop whose finally is another one",
    ),
    body("sinkhorn", "return sinkhorn(scores, epsilon, iterations)", "it calls itself without an end"),
    body(
        "swapped_prediction",
        "def deeper(n):\n    return deeper(n + 1) + 1\nreturn deeper(0)",
        "a helper that calls itself without an end",
    ),
    body(
        "covariance_matrix_loop",
        "import sys\nsys.setrecursionlimit(10 ** 6)\nreturn covariance_matrix_loop(z)",
        "a recursion whose limit it raises first",
        "the recursion limit is as before",
    ),
    body(
        "covariance_penalty",
        "from jemlib.course import check\nreturn check(covariance_penalty)(cov)",
        "it asks for its own check",
    ),
    body(
        "variance_gradient",
        "from jemlib.course import examine\nexamine(variance_gradient)\nreturn torch.zeros_like(z)",
        "it asks for its own verdict",
    ),
    body("swapped_prediction_gradient", "import signal\nsignal.pause()", "it waits for a signal"),
    body("contrastive_gradient_matrix", "return input('X? ')", "it asks the learner"),
]

# --- what it raises -------------------------------------------------------------------------------------------------

HOSTILE += [
    body("covariance_matrix", "class Mine(BaseException):\n    pass\nraise Mine('mine')", "its own BaseException"),
    body("covariance_matrix", "raise KeyboardInterrupt", "KeyboardInterrupt"),
    body("variance_hinge", "raise SystemExit(3)", "SystemExit"),
    body("variance_hinge", "import sys\nsys.exit('good bye')", "sys.exit with a text"),
    body("covariance_penalty", "raise GeneratorExit", "GeneratorExit"),
    body("covariance_penalty", "import asyncio\nraise asyncio.CancelledError()", "CancelledError, a BaseException"),
    body(
        "vicreg",
        "class Bad(Exception):\n    def __str__(self):\n        raise RuntimeError('no text')\nraise Bad",
        "an exception whose __str__ raises",
    ),
    body(
        "vicreg",
        "class Bad(Exception):\n    def __str__(self):\n        raise SystemExit(1)\n    __repr__ = __str__\nraise Bad",
        "an exception whose __str__ and __repr__ leave",
    ),
    body(
        "vicreg_paper",
        "class Bad(Exception):\n    def __str__(self):\n        return 3\nraise Bad",
        "an exception whose __str__ is no text",
    ),
    body("vicreg_paper", "raise ValueError('x' * 1_000_000)", "an exception with a message of a million characters"),
    body(
        "variance_gradient", "raise ValueError('line\\n' * 10_000)", "an exception with a message of ten thousand lines"
    ),
    body("variance_gradient", "raise ValueError", "an exception without a message"),
    body(
        "directional_spread",
        "raise ValueError('\\x1b[31m\\x00\\ud800')",
        "an exception with control characters and a lone surrogate",
    ),
    body(
        "directional_spread",
        "error = ValueError('a')\nerror.__cause__ = error\nraise error",
        "an exception that is its own cause",
    ),
    body("participation_ratio", "raise StopIteration", "StopIteration"),
    body(
        "participation_ratio", "raise NotImplementedError", "the error of the untouched exercise, without parentheses"
    ),
    body("participation_ratio_loop", "raise MemoryError", "MemoryError"),
    body("covariance_spectrum", "raise RecursionError('mine')", "RecursionError"),
    body("covariance_spectrum", "return torch.empty(10 ** 15)", "more memory than there is"),
    body(
        "name_collapse",
        "raise ExceptionGroup('two', [ValueError('a'), TypeError('b')]) if 'ExceptionGroup' in dir(__builtins__) else ValueError('old')",
        "a group of exceptions",
    ),
    body("name_collapse", "raise 3", "it raises a number"),
    body("info_nce_bend", "assert False", "an assertion"),
    body("info_nce_bend", "1 / 0", "a division by zero"),
    body("soft_assignments", "import os\nos._exit(1)", "it ends the process"),
    body(
        "soft_assignments",
        "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\nreturn z @ prototypes.T",
        "it interrupts the process",
    ),
    body(
        "sinkhorn",
        "import os, signal\nos.kill(os.getpid(), signal.SIGTERM)\nreturn scores",
        "it terminates the process",
    ),
    body("sinkhorn", "import ctypes\nreturn ctypes.string_at(0)", "it reads address 0, which ends the process"),
]

# --- what it returns ------------------------------------------------------------------------------------------------

HOSTILE += [
    body("covariance_matrix", "return 'a matrix'", "a text"),
    body("covariance_matrix", "return {'cov': z}", "a dict"),
    body("covariance_matrix", "return", "nothing"),
    body("covariance_matrix", "return z", "its input"),
    body("variance_hinge", "return ...", "an ellipsis"),
    body("variance_hinge", "return NotImplemented", "NotImplemented"),
    body("variance_hinge", "return variance_hinge", "itself"),
    body("variance_hinge", "return torch", "a module"),
    body("variance_hinge", "async def later():\n    return 0\nreturn later()", "a coroutine that nobody awaits"),
    body("variance_hinge", "yield 1.0", "a generator"),
    body(
        "covariance_penalty",
        "from collections import namedtuple\nreturn namedtuple('Two', 'a b')(cov.sum(), cov.sum())",
        "a named tuple of the wrong length",
    ),
    body("covariance_penalty", "result = []\nresult.append(result)\nreturn result", "a list that holds itself"),
    body(
        "covariance_penalty",
        "class Big:\n    def __repr__(self):\n        return 'x' * 1_000_000\nreturn Big()",
        "an object whose repr has a million characters",
    ),
    body(
        "covariance_penalty",
        "class Bad:\n    def __repr__(self):\n        raise RuntimeError('no repr')\nreturn Bad()",
        "an object whose repr raises",
    ),
    body(
        "covariance_penalty",
        "return type('x' * 1_000_000, (), {'__module__': 'mine'})()",
        "an object whose type has a name of a million characters",
    ),
    body(
        "vicreg",
        "class Bad:\n    def __getattr__(self, name):\n        raise RuntimeError(name)\nreturn Bad()",
        "an object all of whose attributes raise",
    ),
    body(
        "vicreg",
        "class Bad(tuple):\n    def __iter__(self):\n        raise RuntimeError('no items')\n    def __len__(self):\n        return 4\nreturn Bad()",
        "a tuple that cannot be read",
    ),
    body("vicreg", "import itertools\nreturn itertools.repeat(z_a.sum())", "an endless iterator"),
    body("vicreg", "return (z_a.sum(),) * 1_000_000", "a tuple of a million"),
    body("vicreg", "return z_a.sum(), 'a', None, 1j", "a tuple of four different things"),
    body(
        "vicreg_paper",
        "class Mine(torch.Tensor):\n    pass\nreturn z_a.sum().as_subclass(Mine)",
        "a subclass of Tensor",
    ),
    body(
        "vicreg_paper",
        "class Mine(torch.Tensor):\n    @classmethod\n    def __torch_function__(cls, function, types, args=(), kwargs=None):\n        raise RuntimeError('hands off')\nreturn z_a.sum().detach().as_subclass(Mine)",
        "a subclass of Tensor all of whose functions raise",
    ),
    body(
        "vicreg_paper",
        "class Mine(torch.Tensor):\n    def __eq__(self, other):\n        return True\n    __ne__ = __gt__ = __lt__ = __ge__ = __le__ = __eq__\nreturn z_a.sum().as_subclass(Mine)",
        "a subclass of Tensor that is equal to everything",
    ),
    body("covariance_matrix_loop", "return (z.T @ z).to_sparse()", "a sparse tensor"),
    body("covariance_matrix_loop", "return (z.T @ z).to('meta')", "a tensor without data"),
    body("covariance_matrix_loop", "return (z.T @ z).to(torch.complex128)", "a complex tensor"),
    body(
        "covariance_matrix_loop",
        "return torch.quantize_per_tensor((z.T @ z).detach().float(), 0.1, 0, torch.qint8)",
        "a quantised tensor",
    ),
    body("covariance_matrix_loop", "return (z.T @ z) > 0", "a tensor of booleans"),
    body("covariance_matrix_loop", "return torch.zeros(1).expand(10 ** 9)", "a billion entries"),
    body("covariance_matrix_loop", "return torch.zeros(1, 1).expand(10 ** 6, 10 ** 6)", "10^12 entries in a square"),
    body("covariance_matrix_loop", "return torch.zeros([1] * 60)", "a tensor of sixty axes"),
    body("covariance_matrix_loop", "return torch.zeros(0, 0)", "an empty tensor"),
    body(
        "covariance_matrix_loop",
        "return torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)])",
        "a nested tensor",
    ),
    body(
        "covariance_matrix_loop", f"return ({COVARIANCE}).detach().requires_grad_()", "the right values as a new leaf"
    ),
    body("covariance_matrix_loop", f"return ({COVARIANCE}).detach().numpy()", "the right values as an array"),
    body("covariance_matrix_loop", "return np.array([['a', None]], dtype=object)", "an array of objects"),
    body("variance_gradient", "return torch.full_like(z, float('nan'))", "nothing but NaN"),
    body("variance_gradient", "return torch.full_like(z, float('inf'))", "nothing but infinity"),
    body("variance_gradient", "return 10 ** 400", "a number that fits into no float"),
    body(
        "variance_gradient",
        "class Explode(torch.autograd.Function):\n    @staticmethod\n    def forward(ctx, x):\n        return x.clone()\n    @staticmethod\n    def backward(ctx, g):\n        raise RuntimeError('no way back')\nreturn Explode.apply(z.requires_grad_() if z.is_leaf else z)",
        "a result whose backward raises",
    ),
    body(
        "directional_spread",
        "result = z.sum()\nif result.requires_grad:\n    result.register_hook(lambda g: (_ for _ in ()).throw(KeyboardInterrupt()))\nreturn result",
        "a gradient hook that interrupts",
    ),
    body(
        "directional_spread",
        "import random\nreturn z.sum() * random.random()",
        "another result at each call",
        "the seeds are as before",
    ),
    body("directional_spread", "return directional_spread", "a function, where a number is asked"),
]

# --- what it is -----------------------------------------------------------------------------------------------------

HOSTILE += [
    thing("covariance_matrix", "async def covariance_matrix(z):\n    return z.T @ z\n", "async def"),
    thing("covariance_matrix", "async def covariance_matrix(z):\n    yield z\n", "an async generator"),
    thing(
        "covariance_matrix",
        "covariance_matrix = lambda z: z.T @ z\n",
        "a lambda: it has no name to find the exercise by",
    ),
    thing(
        "covariance_matrix",
        "covariance_matrix = lambda z: z.T @ z\ncovariance_matrix.__name__ = 'covariance_matrix'\n",
        "a lambda that was given the name",
    ),
    thing("covariance_matrix", "class covariance_matrix:\n    def __init__(self, z):\n        self.z = z\n", "a class"),
    thing(
        "covariance_matrix",
        "class Callable:\n    __name__ = 'covariance_matrix'\n    def __call__(self, z):\n        return z.T @ z\ncovariance_matrix = Callable()\n",
        "an object that can be called",
    ),
    thing(
        "covariance_matrix",
        "class Shy:\n    def __getattr__(self, name):\n        raise RuntimeError(name)\n    def __call__(self, z):\n        return z.T @ z\ncovariance_matrix = Shy()\n",
        "an object all of whose attributes raise",
    ),
    thing(
        "covariance_matrix",
        "class Shy:\n    def __getattribute__(self, name):\n        raise KeyboardInterrupt(name)\ncovariance_matrix = Shy()\n",
        "an object that interrupts whoever looks at it",
    ),
    thing(
        "covariance_matrix",
        "import functools\ndef covariance(z, power):\n    return z.T @ z\ncovariance_matrix = functools.partial(covariance, power=2)\n",
        "a partial",
    ),
    thing("covariance_matrix", "covariance_matrix = len\n", "a builtin function"),
    thing("covariance_matrix", "covariance_matrix = torch.cov\n", "a function of torch"),
    thing("covariance_matrix", "covariance_matrix = 'covariance_matrix'\n", "a text"),
    thing("covariance_matrix", "covariance_matrix = None\n", "None"),
    thing("covariance_matrix", "covariance_matrix = torch.eye(3)\n", "a tensor"),
    thing(
        "covariance_matrix",
        "import unittest.mock\ncovariance_matrix = unittest.mock.MagicMock(__name__='covariance_matrix')\n",
        "an object with every attribute",
    ),
    thing(
        "covariance_matrix",
        "def covariance_matrix(z):\n    return z.T @ z\ncovariance_matrix.__wrapped__ = covariance_matrix\n",
        "a function that is wrapped by itself",
    ),
    thing(
        "covariance_matrix",
        "def covariance_matrix(z):\n    return z.T @ z\ndef other(z):\n    return z\ncovariance_matrix.__wrapped__ = other\nother.__wrapped__ = covariance_matrix\n",
        "two functions that wrap one another",
    ),
    thing(
        "covariance_matrix",
        "def covariance_matrix(z):\n    return z.T @ z\ncovariance_matrix.__signature__ = 'z'\n",
        "a signature that is a text",
    ),
    thing(
        "covariance_matrix",
        "def covariance_matrix(z):\n    return z.T @ z\ncovariance_matrix.__doc__ = 'x' * 1_000_000\n",
        "a documentation of a million characters",
    ),
    thing(
        "covariance_matrix",
        "def covariance_matrix(z):\n    return z.T @ z\ncovariance_matrix.__name__ = 'c' * 1_000_000\n",
        "a name of a million characters",
    ),
    thing("covariance_matrix", "def covariance_matrix():\n    return 3\n", "no argument"),
    thing("covariance_matrix", "def covariance_matrix(z, extra):\n    return z.T @ z\n", "an argument too many"),
    thing("covariance_matrix", "def covariance_matrix(*, z):\n    return z.T @ z\n", "an argument by name only"),
    thing(
        "covariance_matrix",
        "def covariance_matrix(*args, **kwargs):\n    return args[0].T @ args[0]\n",
        "any arguments",
    ),
    thing(
        "vicreg",
        "def vicreg(z_a, z_b):\n    return (z_a - z_b).square().mean(), z_a.sum(), z_a.sum(), z_a.sum()\n",
        "the keywords left out of the signature",
    ),
    thing(
        "covariance_matrix",
        "class Holder:\n    def covariance_matrix(self, z):\n        return z.T @ z\ncovariance_matrix = Holder().covariance_matrix\n",
        "a method",
    ),
    thing(
        "covariance_matrix",
        "class Holder:\n    @property\n    def covariance_matrix(self):\n        return 3\ncovariance_matrix = Holder.covariance_matrix\n",
        "a property",
    ),
    thing(
        "covariance_matrix",
        "exec(compile('def covariance_matrix(z):\\n    return z.T @ z', '<nowhere>', 'exec'))\n",
        "a function without a source",
    ),
    thing("covariance_matrix", "covariance_matrix = torch.nn.Linear(3, 3)\n", "a module"),
    thing(
        "covariance_matrix",
        "import functools\n@functools.lru_cache\ndef covariance_matrix(z):\n    return z.T @ z\n",
        "a cached function",
    ),
]

# --- what it prints -------------------------------------------------------------------------------------------------

HOSTILE += [
    body("variance_hinge", f"for i in range(100_000):\n    print('line', i)\nreturn {HINGE}", "100,000 lines"),
    body("variance_hinge", f"print('x' * 10_000_000)\nreturn {HINGE}", "ten million characters in one line"),
    body(
        "variance_hinge",
        f"import sys\nsys.stderr.write('error\\n' * 100_000)\nreturn {HINGE}",
        "100,000 lines on stderr",
    ),
    body(
        "variance_hinge", f"import os\nos.write(1, b'raw\\n' * 20_000)\nreturn {HINGE}", "lines that go past sys.stdout"
    ),
    body(
        "variance_hinge",
        f"import warnings\nfor i in range(2_000):\n    warnings.warn('look out ' + str(i))\nreturn {HINGE}",
        "2,000 warnings",
    ),
    body(
        "variance_hinge",
        f"import logging\nfor i in range(2_000):\n    logging.error('line %d', i)\nreturn {HINGE}",
        "2,000 lines of a log",
        "the root logger has the handlers that it had",
    ),
    body(
        "variance_hinge", f"print('\\x1b[2J\\x1b]0;title\\x07')\nreturn {HINGE}", "control sequences for the terminal"
    ),
    body(
        "variance_hinge",
        f"import sys\nsys.stdout.close()\nreturn {HINGE}",
        "it closes sys.stdout",
        "sys.stdout is open",
    ),
    body(
        "variance_hinge",
        f"import traceback\ntry:\n    1 / 0\nexcept Exception:\n    traceback.print_exc()\nreturn {HINGE}",
        "a traceback for each call",
    ),
]

# --- what it changes ------------------------------------------------------------------------------------------------

CHANGES = [
    ("torch.manual_seed(0)", "it seeds torch", "torch's seed is as before"),
    ("import random\nrandom.seed(0)", "it seeds random", "the seed of random is as before"),
    ("np.random.seed(0)", "it seeds NumPy", "NumPy's seed is as before"),
    ("torch.randn(3)", "it draws from torch's generator", "torch's seed is as before"),
    ("torch.set_default_dtype(torch.float64)", "it changes the default dtype", "the default dtype is as before"),
    ("torch.set_default_device('meta')", "it changes the default device", "the default device is as before"),
    ("torch.set_num_threads(3)", "it changes the number of threads", "the number of threads is as before"),
    ("torch.set_grad_enabled(False)", "it turns gradients off", "gradients are recorded"),
    ("torch.autograd.set_detect_anomaly(True)", "it turns the search for anomalies on", "it is off"),
    ("torch.use_deterministic_algorithms(True)", "it asks for deterministic algorithms", "they are not asked for"),
    (
        "torch.set_printoptions(precision=1, sci_mode=True)",
        "it changes how tensors are printed",
        "they are printed as before",
    ),
    ("torch.set_flush_denormal(True)", "it flushes denormal numbers", "they are kept"),
    (
        "torch.set_float32_matmul_precision('medium')",
        "it lowers the precision of products",
        "the precision is as before",
    ),
    (
        "globals()['kept'] = torch.inference_mode()\nkept.__enter__()",
        "it enters inference mode and stays there",
        "inference mode is off",
    ),
    (
        "globals()['kept'] = torch.no_grad()\nkept.__enter__()",
        "it enters no_grad and stays there",
        "gradients are recorded",
    ),
    (
        "globals()['kept'] = torch.autocast('cpu')\nkept.__enter__()",
        "it enters autocast and stays there",
        "autocast is off",
    ),
    ("np.seterr(all='raise')", "it makes NumPy raise", "NumPy's error settings are as before"),
    ("import os\nos.chdir('/')", "it changes the directory", "the directory is as before"),
    (
        "import os\nos.environ['JEMLIB_SCALE'] = 'gpu'\nos.environ.pop('PATH', None)",
        "it changes the environment",
        "the environment is as before",
    ),
    (
        "import os\nos.environ['NBGRADER_EXECUTION'] = 'autograde'",
        "it says that nbgrader runs",
        "the environment is as before",
    ),
    ("import warnings\nwarnings.simplefilter('error')", "it makes warnings errors", "the filters are as before"),
    ("import sys, io\nsys.stdout = io.StringIO()", "it replaces sys.stdout", "sys.stdout is the one from before"),
    (
        "import sys\nsys.stdout = None\nsys.stderr = None",
        "it takes sys.stdout away",
        "sys.stdout is the one from before",
    ),
    ("import sys\nsys.setrecursionlimit(200)", "it lowers the recursion limit", "the recursion limit is as before"),
    ("import sys\nsys.path.clear()", "it empties sys.path", "sys.path is as before"),
    ("import sys\nsys.settrace(lambda *args: None)", "it sets a trace function", "no trace function is set"),
    ("import sys\nsys.excepthook = lambda *args: None", "it replaces the excepthook", "the excepthook is as before"),
    ("import gc\ngc.disable()", "it turns garbage collection off", "it is on"),
    ("import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)", "it ignores Ctrl-C", "Ctrl-C works as before"),
    (
        "import signal\nsignal.signal(signal.SIGALRM, signal.SIG_IGN)\nsignal.alarm(0)",
        "it turns the alarm off that a checker may have set",
        "the handlers are as before",
    ),
    ("torch.softmax = torch.sum", "it replaces torch.softmax", "torch.softmax is torch's"),
    (
        "torch.allclose = lambda *args, **kwargs: True\ntorch.equal = torch.allclose",
        "it replaces torch.allclose and torch.equal",
        "they are torch's",
    ),
    (
        "torch.Tensor.mean = lambda self, *args, **kwargs: self",
        "it replaces a method of every tensor",
        "the method is torch's",
    ),
    ("torch.Tensor.__eq__ = lambda self, other: True", "it makes all tensors equal", "the method is torch's"),
    ("import builtins\nbuiltins.print = lambda *args, **kwargs: None", "it replaces print", "print is Python's"),
    ("import builtins\nbuiltins.isinstance = lambda *args: True", "it replaces isinstance", "isinstance is Python's"),
    (
        "import math\nmath.isclose = lambda *args, **kwargs: True",
        "it replaces math.isclose",
        "math.isclose is Python's",
    ),
    (
        "import jemlib.losses\njemlib.losses.vicreg = None",
        "it replaces a function of jemlib",
        "jemlib.losses.vicreg is jemlib's",
    ),
    (
        "import time\ntime.sleep = time.monotonic = time.perf_counter = lambda *args: 0",
        "it stops the clocks",
        "the clocks are Python's",
    ),
    (
        "import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()",
        "it starts a thread",
        "the verdict does not wait for the thread",
    ),
    (
        "import threading, time\nthreading.Thread(target=time.sleep, args=(5,)).start()",
        "it starts a thread that is no daemon",
        "the verdict does not wait for the thread",
    ),
    (
        "import threading\nthreading.Thread(target=lambda: 1 / 0, daemon=True).start()",
        "it starts a thread that fails",
        "no traceback is printed",
    ),
    (
        "import atexit\natexit.register(print, 'bye')",
        "it registers something for the end",
        "the verdict is there before the end",
    ),
    ("open('left_behind.txt', 'w').write('x')", "it writes a file and leaves it open", "the file is the learner's"),
    (
        "files = [open('left_behind.txt', 'w') for _ in range(3000)]\nglobals()['kept'] = files",
        "it opens 3,000 files",
        "the checker needs no more of them",
    ),
    (
        "z.zero_()\ndel z\nz = torch.eye(3, dtype=torch.float64)",
        "it empties and deletes its argument",
        "the course's own inputs are as before",
    ),
    (
        "z.resize_(0) if z.is_leaf and not z.requires_grad else z.data.resize_(0)",
        "it shrinks its argument",
        "the course's own inputs are as before",
    ),
    (
        "z.requires_grad_(False) if z.is_leaf else z.detach_()",
        "it detaches its argument",
        "the course's own inputs are as before",
    ),
    (
        "z.__class__ = type('Mine', (torch.Tensor,), {})",
        "it changes the type of its argument",
        "the course's own inputs are as before",
    ),
    (
        "import inspect\nfor info in inspect.stack():\n    info.frame.f_locals.clear()",
        "it clears the variables of whoever called it",
        "the verdict is there",
    ),
]
HOSTILE += [
    body("covariance_matrix", f"{change}\nreturn {COVARIANCE}", note, afterwards)
    for change, note, afterwards in CHANGES
]
