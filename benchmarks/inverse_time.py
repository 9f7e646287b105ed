"""Time of the inverse against the forward pass, in inference.

    python benchmarks/inverse_time.py

Both as tf.functions over one batch, taking turns; the best run of each counts.
"""

import measure
import numpy as np
import tensorflow as tf

import irevnet_tf

ROUNDS = 10
NETWORKS = {
    "IRevNet28": (32, 64),
    "IRevNet163": (32, 64),
    "IRevNet300": (224, 2),
    "IRevNet301": (224, 2),
}


def main():
    rows = []
    for name, (size, batch) in NETWORKS.items():
        model = getattr(irevnet_tf, name)(input_shape=(size, size, 3))
        encoder = irevnet_tf.encoder(model)
        decoder = irevnet_tf.invert(model)
        images = tf.constant(np.random.rand(batch, size, size, 3), "float32")
        representation = encoder(images)
        forward = tf.function(encoder)
        inverse = tf.function(decoder)
        times = measure.alternate(
            [
                lambda f=forward, x=images: f(x),
                lambda f=inverse, z=representation: f(z),
            ],
            ROUNDS,
        )
        rows.append(
            [
                f"{name}, {size}x{size}, batch {batch}",
                *(f"{1000 * seconds:.0f}" for seconds in times),
                f"{times[1] / times[0]:.2f}",
            ]
        )
    measure.print_table(
        ["network", "forward, ms", "inverse, ms", "ratio (bar: 1.10)"], rows
    )


if __name__ == "__main__":
    main()
