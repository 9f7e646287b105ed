"""The trainings on two mirrored replicas, then on one device.

Usage: one_machine.py FOLDER
"""

import pathlib
import sys

import numpy as np
import scenarios
import tensorflow as tf

from irevnet_tf import distribution

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0],
    [tf.config.LogicalDeviceConfiguration()] * 2,
)
folder = pathlib.Path(sys.argv[1])
for name in ("mirrored", "none"):
    strategy = distribution.make_strategy(name)
    np.savez(folder / f"{name}.npz", **scenarios.all_of(strategy))
