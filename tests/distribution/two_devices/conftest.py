"""Splits the CPU into two devices, before anything uses it."""

import pathlib
import sys

import pytest
import tensorflow as tf

sys.path.insert(0, str(pathlib.Path(__file__).parents[2]))

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0],
    [tf.config.LogicalDeviceConfiguration()] * 2,
)


@pytest.fixture(scope="session")
def strategy():
    # One for all tests: a second one would reuse the collectives' keys.
    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
