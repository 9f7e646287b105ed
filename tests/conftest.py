"""Settings of all tests, and networks that several of them use."""

import gc
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import cases  # noqa: E402  (TensorFlow reads its log level on import)
import keras  # noqa: E402
import pytest  # noqa: E402
import tensorflow as tf  # noqa: E402

# Otherwise, collecting garbage looks at all that TensorFlow and Keras made on
# import, again and again while graphs are traced.
gc.collect()
gc.freeze()

# These need two devices, which a process has to ask for at its start.
# distribution/test_two_devices.py runs them.
collect_ignore = ["distribution/two_devices"]


@pytest.fixture(autouse=True)
def _clean_keras_state():
    keras.utils.set_random_seed(0)
    keras.config.set_dtype_policy("float32")
    yield
    keras.config.set_dtype_policy("float32")
    assert not tf.distribute.has_strategy(), "a scope was left open"


@pytest.fixture(scope="session")
def trained_weights():
    """Return a function from a family of networks to its trained weights."""
    cache = {}

    def get(family):
        if family not in cache:
            cache[family] = cases.train(family).get_weights()
        return cache[family]

    return get
