"""Tests of irevnet_tf.training: setup, schedule, optimizer, summary."""

import types

import keras
import numpy as np
import pytest
import tensorflow as tf

from irevnet_tf.data import load_dataset
from irevnet_tf.training import RunConfig
from irevnet_tf.training import build_model
from irevnet_tf.training import compile_model
from irevnet_tf.training import estimate_memory
from irevnet_tf.training import run_length
from irevnet_tf.training.optimizer import SGD
from irevnet_tf.training.optimizer import averaged_weights
from irevnet_tf.training.schedule import Length
from irevnet_tf.training.schedule import learning_rate_schedule
from irevnet_tf.training.summary import summarize


@pytest.fixture(scope="module")
def digits():
    return load_dataset("digits")


def small_model(classes=10):
    """A classifier of digits that is quick to train."""
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Conv2D(2, 3, bias_initializer="ones"),
            keras.layers.BatchNormalization(beta_initializer="ones"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(classes, bias_initializer="ones"),
        ]
    )


def rates(config, length, steps):
    schedule = learning_rate_schedule(config, length)
    return [float(schedule(tf.constant(step, "int64"))) for step in steps]


# Length

# Of the usual size, and a part of another.
TEN_BATCHES = types.SimpleNamespace(train=types.SimpleNamespace(count=650))


def test_length_follows_from_epochs_or_from_steps():
    config = RunConfig(epochs=5)
    assert run_length(config, TEN_BATCHES) == Length(10, 50, 1)
    length = run_length(RunConfig(steps=25, warmup_epochs=1), TEN_BATCHES)
    assert (length.epochs, length.steps_of(0), length.steps_of(2)) == (3, 10, 5)
    length = run_length(RunConfig(steps_per_epoch=4), TEN_BATCHES)
    assert length == Length(4, 240, 1)


def test_length_refuses_what_the_data_does_not_suffice_for():
    with pytest.raises(
        ValueError,
        match=r"\(=10\). Received: batch_size=64, steps_per_epoch=11",
    ):
        run_length(RunConfig(steps_per_epoch=11), TEN_BATCHES)
    few = types.SimpleNamespace(train=types.SimpleNamespace(count=63))
    with pytest.raises(ValueError, match=r"\(=63\). Received: batch_size=64"):
        run_length(RunConfig(), few)
    with pytest.raises(
        ValueError, match="after 20 steps. Received: warmup_epochs=3 of 10"
    ):
        run_length(RunConfig(steps=20, warmup_epochs=3), TEN_BATCHES)


# Learning rate


def test_learning_rate_warms_up_and_falls_along_a_cosine():
    config = RunConfig(epochs=5, warmup_epochs=1, learning_rate=0.4)
    values = rates(config, Length(10, 50, 1), (0, 5, 10, 30, 50))
    np.testing.assert_allclose(values, [0, 0.2, 0.4, 0.2, 0], atol=1e-7)


def test_learning_rate_without_warmup_starts_at_the_peak():
    config = RunConfig(epochs=2, warmup_epochs=0, learning_rate=0.4)
    values = rates(config, Length(10, 20, 1), (0, 10, 20))
    np.testing.assert_allclose(values, [0.4, 0.2, 0], atol=1e-7)


@pytest.mark.parametrize("warmup_epochs", [0, 1])
def test_learning_rate_falls_in_steps_at_the_start_of_epochs(warmup_epochs):
    config = RunConfig(
        schedule="step",
        decay_epochs=(2, 4),
        decay_factor=0.2,
        epochs=5,
        warmup_epochs=warmup_epochs,
        learning_rate=1.0,
    )
    steps = (0, 5, 10, 19, 20, 39, 40, 49)
    expected = [1, 1, 1, 1, 0.2, 0.2, 0.04, 0.04]
    if warmup_epochs:
        expected[:2] = [0, 0.5]
    values = rates(config, Length(10, 50, 1), steps)
    np.testing.assert_allclose(values, expected, rtol=1e-6)


def test_learning_rate_can_stay_constant():
    config = RunConfig(
        schedule="constant", epochs=2, warmup_epochs=1, learning_rate=0.3
    )
    values = rates(config, Length(10, 20, 1), (0, 5, 10, 19, 20))
    np.testing.assert_allclose(values, [0, 0.15, 0.3, 0.3, 0.3], rtol=1e-6)


@pytest.mark.parametrize("schedule", ["cosine", "step"])
def test_accumulation_stretches_the_schedule_over_its_batches(schedule):
    kwargs = dict(schedule=schedule, epochs=3, warmup_epochs=1)
    if schedule == "step":
        kwargs["decay_epochs"] = (2,)
    once = rates(RunConfig(**kwargs), Length(10, 30, 1), range(30))
    config = RunConfig(**kwargs, accumulation_steps=4)
    parts = rates(config, Length(10, 30, 4), range(0, 120, 4))
    np.testing.assert_allclose(parts, once, rtol=1e-5)


def test_schedules_survive_serialization():
    config = RunConfig(schedule="step", decay_epochs=(2,), warmup_epochs=1)
    schedule = learning_rate_schedule(config, Length(10, 50, 1))
    copy = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(schedule)
    )
    assert [float(copy(s)) for s in (5, 15, 25)] == [
        float(schedule(s)) for s in (5, 15, 25)
    ]


# Optimizer


def test_sgd_agrees_with_pytorchs_formula():
    """v <- 0.9 v - r (g + 0.1 w), w <- w + v, from v = 0."""
    variable = keras.Variable([1.0, -2.0], name="kernel")
    optimizer = SGD(0.5, l2=0.1, momentum=0.9)
    optimizer.build([variable])
    weight, velocity = np.array([1.0, -2.0]), np.zeros(2)
    for gradient in ([0.3, 0.1], [-0.2, 0.4], [0.0, 0.0]):
        optimizer.apply([tf.constant(gradient)])
        velocity = 0.9 * velocity - 0.5 * (np.array(gradient) + 0.1 * weight)
        weight = weight + velocity
    np.testing.assert_allclose(variable.numpy(), weight, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
@pytest.mark.parametrize(
    "options",
    [{}, {"momentum": 0.9}, {"momentum": 0.9, "nesterov": True}],
    ids=["plain", "momentum", "nesterov"],
)
def test_sgd_agrees_with_keras(options, dtype):
    results = []
    for cls in (SGD, keras.optimizers.SGD):
        variable = keras.Variable([1.0, -2.0], dtype=dtype)
        optimizer = cls(0.5, **options)
        optimizer.build([variable])
        step = tf.function(lambda g, o=optimizer: o.apply([g]))
        for gradient in ([0.3, 0.1], [-0.2, 0.4], [0.0, 0.0]):
            step(tf.constant(gradient, dtype))
        results.append(
            [
                x.numpy().astype("float64")
                for x in (variable, *optimizer.variables[2:])
            ]
        )
    tolerance = 2e-2 if dtype == "bfloat16" else 1e-6
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=tolerance)


def test_sgd_takes_sparse_gradients():
    results = []
    for cls in (SGD, keras.optimizers.SGD):
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.layers.Embedding(5, 2)])
        model.compile(cls(0.5), "mse", run_eagerly=True)
        model.fit(np.array([[1], [3]]), np.ones((2, 1, 2)), verbose=0)
        results.append(model.weights[0].numpy())
    np.testing.assert_allclose(*results, rtol=1e-6)


def test_sgd_is_one_operation_for_a_variable():
    variables = [keras.Variable([1.0, 2.0]) for _ in range(5)]
    optimizer = SGD(0.5, momentum=0.9)
    optimizer.build(variables)
    step = tf.function(lambda: optimizer.apply([tf.ones(2)] * 5))
    kinds = [
        op.type for op in step.get_concrete_function().graph.get_operations()
    ]
    assert kinds.count("ResourceApplyKerasMomentum") == 5
    # The learning rate, and the count of steps.
    assert kinds.count("ReadVariableOp") <= 2


def test_sgd_clips_the_norm_of_the_whole_gradient():
    variables = [keras.Variable([0.0]), keras.Variable([0.0])]
    optimizer = SGD(1.0, clip_norm=1.0)
    optimizer.build(variables)
    optimizer.apply([tf.constant([3.0]), tf.constant([4.0])])
    np.testing.assert_allclose([float(v[0]) for v in variables], [-0.6, -0.8])


def test_sgd_survives_serialization():
    optimizer = SGD(0.5, l2=0.1, clip_norm=2.0, momentum=0.9)
    copy = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(optimizer)
    )
    assert copy.get_config() == optimizer.get_config()


@pytest.mark.parametrize("everything", [False, True])
def test_weight_decay_spares_batch_norm_and_biases_unless_told(everything):
    model = small_model()
    config = RunConfig(
        warmup_epochs=0,
        learning_rate=0.5,
        weight_decay=0.1,
        momentum=0.0,
        nesterov=False,
        weight_decay_all=everything,
    )
    compile_model(model, config, Length(10, 600, 1))
    before = {v.path: v.numpy() for v in model.trainable_variables}
    model.optimizer.apply([0.0 * v for v in model.trainable_variables])
    for variable in model.trainable_variables:
        decays = everything or variable.name == "kernel"
        np.testing.assert_allclose(
            variable.numpy(),
            (0.95 if decays else 1.0) * before[variable.path],
            rtol=1e-6,
        )


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_accumulated_batches_equal_one_large_batch(policy):
    images = np.random.default_rng(0).normal(size=(8, 4)).astype("float32")
    labels = np.eye(3)[np.arange(8) % 3]
    weights = []
    for parts in (1, 4):
        keras.utils.set_random_seed(1)
        # No BatchNorm: its statistics would be those of the parts.
        model = keras.Sequential(
            [keras.Input((4,)), keras.layers.Dense(3, dtype=policy)]
        )
        config = RunConfig(
            batch_size=8,
            accumulation_steps=parts,
            warmup_epochs=0,
            ema_decay=0.5,
            clip_norm=0.1,
        )
        compile_model(model, config, Length(1, 60, parts))
        for part in range(0, 8, 8 // parts):
            rows = slice(part, part + 8 // parts)
            model.train_on_batch(images[rows], labels[rows])
        weights.append(model.get_weights())
    for one, many in zip(*weights, strict=True):
        np.testing.assert_allclose(
            many, one, rtol=1e-2 if "16" in policy else 1e-5, atol=1e-6
        )


def test_compiling_builds_the_optimizer():
    model = small_model()
    compile_model(model, RunConfig(), Length(1, 60, 1))
    assert model.optimizer.built


def test_many_classes_are_measured_by_the_top_five_too():
    for classes, expected in ((10, False), (100, True)):
        model = small_model(classes)
        compile_model(model, RunConfig(), Length(1, 60, 1))
        x, y = np.zeros((2, 8, 8, 1)), np.eye(classes)[:2]
        logs = model.evaluate(x, y, verbose=0, return_dict=True)
        assert ("top_5_accuracy" in logs) == expected


# Averages


def test_averaged_weights_are_in_place_inside_the_block_only():
    model = small_model()
    config = RunConfig(ema_decay=0.75, warmup_epochs=0, weight_decay=0.0)
    compile_model(model, config, Length(1, 60, 1))
    ones = [tf.ones(v.shape) for v in model.trainable_variables]
    # Keras' average begins with the weights after the first step.
    model.optimizer.apply(ones)
    start = [v.numpy() for v in model.trainable_variables]
    model.optimizer.apply(ones)
    stepped = [v.numpy() for v in model.trainable_variables]
    with averaged_weights(model):
        inside = [v.numpy() for v in model.trainable_variables]
    for s, a, i, v in zip(
        start, stepped, inside, model.trainable_variables, strict=True
    ):
        np.testing.assert_allclose(i, 0.75 * s + 0.25 * a, rtol=1e-5)
        np.testing.assert_array_equal(v.numpy(), a)


def test_fit_does_not_put_the_average_in_the_weights_place():
    model = small_model()
    compile_model(model, RunConfig(ema_decay=0.9), Length(2, 120, 1))
    x, y = np.ones((4, 8, 8, 1)), np.eye(10)[:4]
    model.fit(x, y, batch_size=2, verbose=0)
    weights = model.trainable_variables[0].numpy()
    with averaged_weights(model):
        assert not np.array_equal(model.trainable_variables[0], weights)


def test_without_an_average_the_weights_stay():
    model = small_model()
    compile_model(model, RunConfig(), Length(1, 60, 1))
    before = model.get_weights()
    with averaged_weights(model):
        for a, b in zip(before, model.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)


# Model


def test_model_follows_config_and_data(digits):
    config = RunConfig(seed=5, mixed_precision="mixed_bfloat16")
    model = build_model(config, digits)
    assert model.input_shape == (None, 8, 8, 1)
    assert model.output_shape == (None, 10)
    policies = {layer.dtype_policy.name for layer in model.layers}
    assert "mixed_bfloat16" in policies
    same, other = (build_model(RunConfig(seed=seed), digits) for seed in (5, 6))
    images, _ = digits.arrays("test", 8)
    np.testing.assert_array_equal(
        same(images), build_model(RunConfig(seed=5), digits)(images)
    )
    assert not np.allclose(same(images), other(images))


def test_building_leaves_the_global_policy_alone(digits):
    config = RunConfig(mixed_precision="mixed_bfloat16")
    model = build_model(config, digits)
    assert keras.config.dtype_policy().name == "float32"
    assert model.dtype_policy.name == "mixed_bfloat16"
    with pytest.raises(ValueError, match="divisible by"):
        build_model(RunConfig(model="IRevNet301"), digits)
    assert keras.config.dtype_policy().name == "float32"


def test_memory_estimate_grows_with_depth_without_memory_saving_only(digits):
    estimates = {}
    for saving in (True, False):
        for name in ("IRevNet28", "IRevNet163"):
            config = RunConfig(model=name, memory_saving=saving)
            model = build_model(config, digits)
            estimates[saving, name] = estimate_memory(model, config, 64)
    saved = [estimates[True, n] for n in ("IRevNet28", "IRevNet163")]
    plain = [estimates[False, n] for n in ("IRevNet28", "IRevNet163")]
    assert saved[1].activations < 1.1 * saved[0].activations
    assert plain[1].activations > 5 * plain[0].activations
    # Weights, momentum; and statistics.
    assert saved[0].variables > 2 * 4 * 952_586
    assert saved[0].gradients == 4 * 952_586
    assert saved[0].total == sum(
        (saved[0].variables, saved[0].gradients, saved[0].activations)
    )


def test_memory_of_other_networks_is_told_as_far_as_it_is_known(digits):
    config = RunConfig(model="RevViTMini", optimizer="adamw")
    model = build_model(config, digits)
    estimate = estimate_memory(model, config, 64)
    # Weights, and two averages of their gradients.
    assert estimate.variables == 3 * estimate.gradients
    assert estimate.gradients == 4 * model.count_params()
    assert estimate.activations is None and estimate.total is None
    directory = types.SimpleNamespace(config=config, path="runs/x")
    text = summarize(model, digits, directory, run_length(config, digits))
    assert (
        "memory      5 MB of variables and 2 MB of gradients on each device, "
        "and activations, which irevnet_tf.testing.memory_report counts\n"
    ) in text
