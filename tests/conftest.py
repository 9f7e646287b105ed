"""Settings of all tests, and networks that several of them use."""

import gc
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Matrices are small: threads of BLAS would only wait for each other.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import cases  # noqa: E402  (TensorFlow reads its log level on import)
import keras  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402
import tensorflow as tf  # noqa: E402

# Otherwise, collecting garbage looks at all that TensorFlow and Keras made on
# import, and at all graphs, again and again while more of them are traced.
gc.collect()
gc.freeze()
gc.set_threshold(50_000)

# These need two devices, which a process has to ask for at its start.
# distribution/test_two_devices.py runs them.
collect_ignore = ["distribution/two_devices"]


@pytest.fixture(autouse=True)
def _clean_keras_state():
    keras.utils.set_random_seed(0)
    keras.config.set_dtype_policy("float32")
    yield
    keras.config.set_dtype_policy("float32")
    # Eager `tf.map_fn` sets this, and leaves it if its function raises; no
    # strategy's scope can be entered then, and none of those behind it left.
    tf.compat.v1.get_variable_scope()._caching_device = None
    assert not tf.distribute.has_strategy(), "a scope was left open"


@pytest.fixture
def no_arithmetic_optimization():
    """Graphs compute in the order in which they are written."""
    option = "arithmetic_optimization"
    before = tf.config.optimizer.get_experimental_options().get(option, True)
    tf.config.optimizer.set_experimental_options({option: False})
    yield
    tf.config.optimizer.set_experimental_options({option: before})


@pytest.fixture(scope="session")
def trained_weights(tmp_path_factory):
    """Return a function from a family of networks to its trained weights.

    Processes that run at once share them.
    """
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    cache = {}

    def get(family):
        path = folder / f"trained_{family}.npz"
        if family not in cache and path.exists():
            with np.load(path) as file:
                cache[family] = [file[name] for name in file.files]
        if family not in cache:
            # Plain training is traced more quickly.
            model = cases.train(family, memory_saving=False)
            cache[family] = model.get_weights()
            unfinished = path.with_suffix(f".{os.getpid()}.npz")
            np.savez(unfinished, *cache[family])
            unfinished.rename(path)
        return cache[family]

    return get


# What takes longest starts first, or else one process works on it alone in the
# end.
LONGEST = (
    "test_faults.py",
    "test_memory_saving.py",
    "test_check_invertible.py",
    "test_fine_tuning.py",
    "test_two_devices.py",
    "test_two_functions.py",
    "test_distribution.py",
    "test_document_code.py",
    "test_conformance_models.py",
    "test_export.py",
    "test_inference_graphs.py",
    "test_serialization_frozen.py",
    "test_public_reports.py",
    "test_lossless.py",
    "test_features.py",
    "test_conformance_studies.py",
    "test_networks_and_images.py",
    "test_apps.py",
    "test_residuals.py",
    "test_revvit.py",
    "test_reversible_from_keras.py",
    "test_models.py",
    "test_memory_report.py",
    "test_check_networks.py",
    "test_loop.py",
    "test_compare_app.py",
    "test_analyze_app.py",
    "test_portable_bits.py",
    "test_portable_apps.py",
    "test_local_server.py",
    "test_metamers.py",
    "test_network.py",
    "test_commands.py",
    "test_notebook.py",
)


def pytest_collection_modifyitems(items):
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.name, len(LONGEST)))
