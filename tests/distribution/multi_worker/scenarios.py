"""Trainings that must come out alike however they are distributed."""

import functools

import cases
import keras
import numpy as np
import tensorflow as tf

from irevnet_tf import data
from irevnet_tf import distribution
from irevnet_tf.data.examples import ArrayExamples
from irevnet_tf.evaluation import Evaluator

GLOBAL_BATCH = 16
NETWORK = {
    "input_shape": cases.IMAGE_SHAPE,
    "blocks": (2, 1),
    "strides": (1, 2),
    "channels": (8, 32),
    "initial_downsampling": 1,
}


# Not on import: a strategy must come before anything uses TensorFlow.
digits = functools.cache(cases.digits)


def distributed(strategy, *arrays):
    """Return the arrays in batches of which each replica gets its part.

    Without end: where data end, Keras' counts under MirroredStrategy take in a
    step that has no data.
    """

    def pipeline(context):
        size = context.get_per_replica_batch_size(GLOBAL_BATCH)
        data = tf.data.Dataset.from_tensor_slices(arrays)
        data = data.batch(size, drop_remainder=True).repeat()
        return data.shard(
            context.num_input_pipelines, context.input_pipeline_id
        )

    return strategy.distribute_datasets_from_function(pipeline)


def build(strategy, synchronized=False, **network):
    keras.utils.set_random_seed(0)
    with strategy.scope():
        model = cases.build("injective", **{**NETWORK, **network})
        if synchronized:
            distribution.synchronize_batch_norm(model)
        return cases.compile(model)


def fit(strategy, model):
    """Train for a few steps; return what was measured on the way."""
    history = model.fit(
        distributed(strategy, *digits(64)),
        epochs=2,
        steps_per_epoch=2,
        validation_data=distributed(strategy, *digits(32)),
        validation_steps=2,
        shuffle=False,
        verbose=0,
    ).history
    return {name: np.array(values) for name, values in history.items()}


def measure(model):
    """Return what an `Evaluator` finds on images that fill no last batch."""
    images = np.random.default_rng(0).integers(0, 256, (50, *cases.IMAGE_SHAPE))
    examples = ArrayExamples(images.astype("uint8"), np.arange(50) % 10)
    dataset = data.Dataset(
        name="noise",
        class_names=tuple("0123456789"),
        image_shape=cases.IMAGE_SHAPE,
        normalization=data.NORMALIZATIONS["unit"],
        train=examples,
        test=examples,
    )
    found = Evaluator(model).on(dataset, examples, GLOBAL_BATCH)
    assert found.images == 50
    return np.array(
        [
            found.correct,
            found.top_5_correct,
            # Sums of workers are added up in another order.
            round(found.cross_entropy, 6),
            found.inversion_error_max,
            found.absolute_error_max,
        ]
    )


def all_of(strategy):
    """Return the results of all trainings as arrays by name."""
    results = {}
    for name, (policy, arguments) in {
        "own": ("float32", {"lossless": True, "dropout_rate": 0.3}),
        # In double precision, where rounding cannot hide a mistake.
        "synchronized": ("float64", {"synchronized": True}),
    }.items():
        keras.config.set_dtype_policy(policy)
        model = build(strategy, **arguments)
        start = np.concatenate([np.ravel(w) for w in model.get_weights()])
        history = fit(strategy, model)
        statistics = [np.ravel(v) for v in model.non_trainable_variables]
        distribution.average_statistics(model)
        evaluated = model.evaluate(
            distributed(strategy, *digits(64)), steps=4, verbose=0
        )
        images, _ = digits(32)
        predicted = model.predict(
            distributed(strategy, images), steps=2, verbose=0
        )
        results |= {
            f"{name}/start": start,
            f"{name}/statistics": np.concatenate(statistics),
            f"{name}/weights": np.concatenate(
                [np.ravel(w) for w in model.get_weights()]
            ),
            f"{name}/evaluated": np.array(evaluated),
            f"{name}/predicted": predicted,
            f"{name}/measured": measure(model),
        }
        results |= {f"{name}/{key}": value for key, value in history.items()}
    return results
