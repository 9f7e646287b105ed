"""Time of a training step, memory saving on against off.

    python benchmarks/step_time.py

The two networks take turns in one process and the best step of each counts.
In theory the ratio is 4/3: one more forward pass, to a forward pass and a
backward pass of twice its cost.
"""

import keras
import measure
import numpy as np

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


def main():
    rows = []
    for name, network in NETWORKS.items():
        off, on = measure.alternate(list(steps(*network)), ROUNDS)
        rows.append([name, f"{off:.2f}", f"{on:.2f}", f"{on / off:.2f}"])
    measure.print_table(
        ["network", "off, s", "on, s", "ratio (bar: 1.33)"], rows
    )


if __name__ == "__main__":
    main()
