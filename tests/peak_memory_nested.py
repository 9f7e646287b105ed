"""Prints the peak memory, in MB, of a process that fine-tunes, as JSON.

python peak_memory_nested.py NESTING...

First that of a network with few blocks, then, one after the other, of deep
ones, each nested in another way, and last that of one that does not save
memory. The first peak to rise tells which one it is.
"""

import json
import sys

import keras
import nesting
import numpy as np

import irevnet_tf
from irevnet_tf.memory import peak_memory


def peak_after_training(depth, memory_saving, how):
    """Train the second stage of a network, the first one frozen."""
    base = irevnet_tf.IRevNet(
        (1, depth),
        (1, 1),
        (32, 32),
        initial_downsampling=1,
        input_shape=(32, 32, 3),
        include_top=False,
        pooling="avg",
        memory_saving=memory_saving,
    )
    base.get_layer("stage1").trainable = False
    model = nesting.nest(base, how)
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.optimizer.build(model.trainable_variables)
    for _ in range(2):
        model.train_on_batch(np.zeros((96, 32, 32, 3)), np.zeros(96))
    return peak_memory() / 2**20


ways = sys.argv[1:]
keras.utils.set_random_seed(0)
peaks = [peak_after_training(1, True, ways[0])]
peaks += [peak_after_training(9, True, how) for how in ways]
peaks += [peak_after_training(9, False, ways[0])]
print(json.dumps(peaks))
