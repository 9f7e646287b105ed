"""What the machine can do: a product of two matrices of 2048 x 2048."""

import numpy as np

SIZE = 2048
OPERATIONS = 2 * SIZE**3


def start(library, dtype):
    """Return what multiplies once.

    Args:
        library: "tensorflow" or "torch".
        dtype: name of a dtype of both.
    """
    a = np.random.default_rng(0).normal(size=(SIZE, SIZE))
    if library == "torch":
        import torch

        x = torch.from_numpy(a).to(getattr(torch, dtype))
        return lambda: [float((x @ x)[0, 0])]
    import tensorflow as tf

    x = tf.constant(a, dtype)
    return lambda: [float(tf.matmul(x, x)[0, 0])]


def warm_up():
    """Do nothing: there is nothing to start."""
