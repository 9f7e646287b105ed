"""Prints the peak memory, in MB, of a process that trains a few steps.

First that of a network with few blocks, then that of one with many, and last
that of one with many that does not save memory; the peak is that of all so far.
"""

import numpy as np

import irevnet_tf
from irevnet_tf.memory import peak_memory


def train(depth, memory_saving):
    model = irevnet_tf.IRevNet(
        (depth,),
        (1,),
        (32,),
        initial_downsampling=1,
        input_shape=(32, 32, 3),
        classes=10,
        memory_saving=memory_saving,
    )
    model.compile("sgd", "sparse_categorical_crossentropy")
    images = np.zeros((128, 32, 32, 3), "float32")
    for _ in range(2):
        model.train_on_batch(images, np.zeros(128))


for depth, memory_saving in ((2, True), (10, True), (10, False)):
    train(depth, memory_saving)
    print(peak_memory() / 2**20)
