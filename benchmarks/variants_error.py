"""Inversion error of every variant, fresh weights, at its native size.

    python benchmarks/variants_error.py

Uniform noise images on the grid of lossless mode; relative error
|x - x'| / |x|, mean over the images. The last column is that of a batch that
went forward as a whole and came back image by image, in lossless mode: F then
runs by the kernels of another batch size.
"""

import keras
import measure
import numpy as np

import irevnet_tf
from irevnet_tf.models.variants import VARIANTS
from irevnet_tf.reconstruction import relative_errors

BATCH = 4
POLICIES = ("float32", "mixed_bfloat16", "mixed_float16")


def errors(name, images, lossless):
    """Return the mean error, and the one when images come back singly."""
    keras.utils.set_random_seed(0)
    model = getattr(irevnet_tf, name)(lossless=lossless)
    z = irevnet_tf.encoder(model).predict(images, batch_size=BATCH, verbose=0)
    decoder = irevnet_tf.invert(model)
    return [
        relative_errors(
            images, decoder.predict(z, batch_size=size, verbose=0)
        ).mean()
        for size in (BATCH, 1)
    ]


def main():
    rows = []
    for name, facts in VARIANTS.items():
        size = facts["input_size"]
        noise = np.random.default_rng(0).random((BATCH, size, size, 3))
        images = (np.round(noise * 2**14) / 2**14).astype("float32")
        for policy in POLICIES:
            keras.config.set_dtype_policy(policy)
            ordinary, _ = errors(name, images, lossless=False)
            lossless, singly = errors(name, images, lossless=True)
            row = [f"{error:.1e}" for error in (ordinary, lossless, singly)]
            rows.append([f"{name}, {size}x{size}", policy, *row])
            keras.backend.clear_session()
    measure.print_table(
        ["network", "policy", "ordinary", "lossless", "lossless, singly"], rows
    )


if __name__ == "__main__":
    main()
