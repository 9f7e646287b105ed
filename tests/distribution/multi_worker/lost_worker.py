"""Trains until the last worker kills itself: `lost_worker.py STEP`."""

import os
import signal
import sys

import keras
import numpy as np
import scenarios

from irevnet_tf import distribution

strategy = distribution.make_strategy("multi_worker")
is_last = not distribution.is_chief(strategy)


class Killed(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if is_last and batch == int(sys.argv[1]):
            print("killed", flush=True)
            os.kill(os.getpid(), signal.SIGKILL)


with strategy.scope():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
ones = np.ones((64, 3), "float32")
data = scenarios.distributed(strategy, ones, ones[:, :1])
with distribution.PeerWatch(strategy):
    model.fit(
        data,
        steps_per_epoch=10**9,
        callbacks=[Killed()],
        shuffle=False,
        verbose=0,
    )
