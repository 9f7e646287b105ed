"""Prints the peak memory, in MB, of a process that trains a few steps.

First that of a network with few blocks, then that of one with many, and last
that of one with many that does not save memory; the peak is that of all so far.
"""

import pathlib
import re

import numpy as np

import irevnet_tf


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


def peak():
    # Not ru_maxrss, which starts at the size of the process that started this.
    status = pathlib.Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s*(\d+) kB", status)[1]) / 1024


for depth, memory_saving in ((2, True), (10, True), (10, False)):
    train(depth, memory_saving)
    print(peak())
