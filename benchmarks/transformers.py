"""What contestants with a chain of reversible transformer blocks share.

The network of minREV, the minimal code of the authors of Reversible Vision
Transformers: patches of 2x2 pixels, positions, blocks

    y1 = x1 + attention(norm(x2))       y2 = x2 + mlp(norm(y1)),

and mean, norm and classifier of both streams side by side. All contestants get
the same weights and images.
"""

from collections.abc import Iterator

import numpy as np

CLASSES = 10
IMAGE = (32, 32, 3)
PATCH = 2
TOKENS = (IMAGE[0] // PATCH) * (IMAGE[1] // PATCH)
MLP_RATIO = 4
# Those of minREV: of the norm before attention, and of the others.
ATTENTION_EPSILON, EPSILON = 1e-6, 1e-5


def blocks(depth, width) -> Iterator[dict[str, np.ndarray]]:
    """Yield the kernels (in, out) of each block, one block at a time.

    All of a deep network at once would show in its peak memory. Biases are
    zero, scales one.
    """
    rng = np.random.default_rng(0)
    shapes = {
        "query": (width, width),
        "key": (width, width),
        "value": (width, width),
        "output": (width, width),
        "expand": (width, MLP_RATIO * width),
        "reduce": (MLP_RATIO * width, width),
    }
    for _ in range(depth):
        yield {name: _draw(rng, shape) for name, shape in shapes.items()}


def ends(width) -> dict[str, np.ndarray]:
    """Return the weights in front of the blocks, and behind them."""
    rng = np.random.default_rng(1)
    shapes = {
        "patches": (PATCH, PATCH, IMAGE[-1], width),
        "positions": (1, TOKENS, width),
        "classifier": (2 * width, CLASSES),
    }
    return {name: _draw(rng, shape, 0.2) for name, shape in shapes.items()}


def batch(size):
    """Return images (batch, height, width, channels) and their labels."""
    rng = np.random.default_rng(2)
    images = rng.random((size, *IMAGE)) - 0.5
    return images.astype("float32"), rng.integers(0, CLASSES, size)


def operations(depth, width, size) -> int:
    """Return the operations of all matrix products of one forward pass."""
    of_token = 2 * (4 + 2 * MLP_RATIO) * width**2 + 4 * TOKENS * width
    return depth * of_token * TOKENS * size


def contestants(given, minrev) -> dict:
    """Return {name: (module, arguments)}, as `contest.compete` takes them.

    Args:
        given: dict, arguments that all get.
        minrev: None or directory of minREV, which is left out without.
    """
    keras, torch = (
        f"transformers_{name}" for name in ("tensorflow", "pytorch")
    )
    found = {}
    for mode in ("minREV", "minREV plain"):
        if minrev is None:
            print(f"{mode} is left out: see --minrev", flush=True)
        else:
            found[mode] = torch, {"mode": mode, "minrev": minrev, **given}
    lossless = {"mode": "memory saving", "fraction_bits": 14}
    for name, module, arguments in (
        ("PyTorch, plain", torch, {"mode": "plain"}),
        ("MemCNN", torch, {"mode": "memcnn"}),
        ("`keras.remat` for each residual", keras, {"mode": "remat"}),
        ("ours, plain", keras, {"mode": "plain"}),
        ("ours, memory saving", keras, {"mode": "memory saving"}),
        ("ours, memory saving, lossless", keras, lossless),
    ):
        found[name] = module, {**arguments, **given}
    return found


def _draw(rng, shape, scale=0.05):
    return rng.normal(0, scale, shape).astype("float32")
