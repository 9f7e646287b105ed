"""Inversion error of every variant, fresh weights, at its native size.

    python benchmarks/inversion_error.py

Uniform noise images; relative error |x - x'| / |x| per image.
"""

import keras
import measure
import numpy as np

import irevnet_tf
from irevnet_tf.evaluation import relative_errors
from irevnet_tf.models.variants import VARIANTS

BATCH = 4


def main():
    rows = []
    for name, facts in VARIANTS.items():
        keras.utils.set_random_seed(0)
        size = facts["input_size"]
        model = getattr(irevnet_tf, name)()
        images = np.random.rand(BATCH, size, size, 3).astype("float32")
        z = irevnet_tf.encoder(model).predict(images, verbose=0)
        restored = irevnet_tf.invert(model).predict(z, verbose=0)
        errors = relative_errors(images, restored)
        rows.append(
            [
                f"{name}, {size}x{size}",
                f"{errors.mean():.1e}",
                f"{errors.max():.1e}",
                f"{np.abs(images - restored).max():.1e}",
            ]
        )
    measure.print_table(
        ["network", "mean (bar: 5e-6)", "largest image", "largest pixel"], rows
    )


if __name__ == "__main__":
    main()
