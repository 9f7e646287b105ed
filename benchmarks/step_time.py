"""Time of a training step, memory saving on against off.

    python benchmarks/step_time.py

The two networks take turns in one process and the best step of each counts.
The extra work is one more forward pass. If that is a third of a plain step,
the ratio should be 4/3; so the share of the forward pass is measured, too.
"""

import keras
import measure
import numpy as np
import tensorflow as tf

import irevnet_tf

ROUNDS = 8
# name: blocks, strides, channels, initial downsampling, image size, batch
NETWORKS = {
    "44 blocks, 24 channels, 32x32": ((44,), (1,), (24,), 1, 32, 128),
    "44 blocks, 48 channels, 32x32": ((44,), (1,), (48,), 1, 32, 64),
    "6-16-8-6, 3x3, 96x96": ((6, 16, 8, 6), (2,) * 4, (24, 96, 384, 1536), 2)
    + (96, 8),
}


def steps(blocks, strides, channels, initial, size, batch):
    images = np.random.rand(batch, size, size, 3).astype("float32")
    labels = np.random.randint(0, 10, batch)
    for memory_saving in (False, True):
        model = irevnet_tf.IRevNet(
            blocks,
            strides,
            channels,
            initial_downsampling=initial,
            input_shape=(size, size, 3),
            classes=10,
            memory_saving=memory_saving,
        )
        model.compile(
            keras.optimizers.SGD(0.01, momentum=0.9),
            "sparse_categorical_crossentropy",
        )
        model.optimizer.build(model.trainable_variables)
        yield lambda model=model: model.train_on_batch(images, labels)
        if not memory_saving:
            forward = tf.function(
                lambda x, model=model: model(x, training=True)
            )
            batch_tensor = tf.constant(images)
            yield lambda f=forward, x=batch_tensor: f(x)


def main():
    rows = []
    for name, network in NETWORKS.items():
        off, forward, on = measure.alternate(list(steps(*network)), ROUNDS)
        times = [f"{seconds:.2f}" for seconds in (off, on, forward)]
        expected = 1 + forward / off
        rows.append([name, *times, f"{expected:.2f}", f"{on / off:.2f}"])
    measure.print_table(
        [
            "network",
            "off, s",
            "on, s",
            "forward, s",
            "expected ratio",
            "ratio (bar: 1.33)",
        ],
        rows,
    )


if __name__ == "__main__":
    main()
