"""Prints how many digits a lossless network loses between sizes of batches.

    TF_ENABLE_ONEDNN_OPTS=0 python tests/lossless_batches.py THREADS IMAGES

As JSON: [size in forward, size in inverse, how many images of the test set are
not the same to the last bit]. TensorFlow reads the variable, and the number of
threads of an operation, once in a process.
"""

import json
import sys

import tensorflow as tf

import irevnet_tf
from irevnet_tf.data import load_dataset
from irevnet_tf.layers import FixedPointRounding

SIZES = (1, 5, 32)

threads, count = map(int, sys.argv[1:])
tf.config.threading.set_intra_op_parallelism_threads(threads)
images = load_dataset("digits").arrays("test", count)[0]
images = FixedPointRounding(14)(images).numpy()
model = irevnet_tf.IRevNet28(weights="digits", lossless=True)
encoder, decoder = irevnet_tf.encoder(model), irevnet_tf.invert(model)
found = []
for forward in SIZES:
    z = encoder.predict(images, batch_size=forward, verbose=0)
    for inverse in SIZES:
        restored = decoder.predict(z, batch_size=inverse, verbose=0)
        lost = (restored != images).any(axis=(1, 2, 3)).sum()
        found.append((forward, inverse, int(lost)))
print(json.dumps(found))
