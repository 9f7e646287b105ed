"""The trainings on several workers: `worker.py FOLDER`."""

import pathlib
import sys

import keras
import numpy as np
import scenarios
import tensorflow as tf

from irevnet_tf import distribution

folder = pathlib.Path(sys.argv[1])

# By hand what make_strategy does, so that Keras can first be seen to fail.
strategy = tf.distribute.MultiWorkerMirroredStrategy()
index = strategy.cluster_resolver.task_id
assert distribution.worker_count(strategy) == 2
assert distribution.is_chief(strategy) == (index == 0)

with strategy.scope():
    plain = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    plain.compile("sgd", "mse")
ones = np.ones((64, 3), "float32")
data = scenarios.distributed(strategy, ones, ones[:, :1])
try:
    plain.fit(data, steps_per_epoch=1, shuffle=False, verbose=0)
    failure = ""
except ValueError as error:
    failure = str(error)

distribution.enable_multi_worker_fit()
distribution.enable_multi_worker_fit()
results = scenarios.all_of(strategy)

assert distribution.any_worker(strategy, index == 1)
assert not distribution.any_worker(strategy, False)
assert distribution.same_on_all_workers(strategy, 2**40)
assert not distribution.same_on_all_workers(strategy, 2**40 + index)
np.savez(folder / f"worker{index}.npz", failure=failure, **results)
