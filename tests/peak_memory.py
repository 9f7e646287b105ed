"""Prints the peak memory, in MB, of one process that trains a few steps.

python peak_memory.py DEPTH MEMORY_SAVING
"""

import pathlib
import re
import sys

import numpy as np

import irevnet_tf

depth, memory_saving = int(sys.argv[1]), bool(int(sys.argv[2]))
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
for _ in range(3):
    model.train_on_batch(images, np.zeros(128))
# Not ru_maxrss, which starts at the size of the process that started this one.
status = pathlib.Path("/proc/self/status").read_text()
print(int(re.search(r"VmHWM:\s*(\d+) kB", status)[1]) / 1024)
