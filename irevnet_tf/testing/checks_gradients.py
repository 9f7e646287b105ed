"""Checks of memory-saving training against plain training."""

import keras
import numpy as np
import tensorflow as tf

from irevnet_tf.layers import Inverse
from irevnet_tf.testing.finding import Broken
from irevnet_tf.testing.finding import DoesNotApply
from irevnet_tf.testing.finding import Finding
from irevnet_tf.testing.finding import largest_difference
from irevnet_tf.testing.finding import relative_error
from irevnet_tf.testing.finding import variable_errors
from irevnet_tf.testing.finding import worst
from irevnet_tf.testing.snapshot import values
from irevnet_tf.testing.steps import LEARNING_RATE
from irevnet_tf.testing.steps import gradients_of
from irevnet_tf.testing.steps import sequences_in
from irevnet_tf.testing.steps import set_memory_saving

_MODES = {"eager": False, "graph": True}

# Steps of training.
_STEPS = 3


def gradients(subject):
    """Memory-saving gradients are plain ones; others are finite."""
    if subject.steps is None:
        return _gradients_are_finite(subject)
    errors = {}
    for mode, traced in _MODES.items():
        saving, plain = _pair(subject.steps, traced)
        errors[f"{mode}, outputs"] = relative_error(
            saving.outputs, plain.outputs
        )
        errors[f"{mode}, gradients"] = relative_error(
            saving.gradients, plain.gradients
        )
    return worst(errors, _blocks(subject.body))


def _pair(steps, traced):
    return [steps.step(saving, traced) for saving in (True, False)]


def _blocks(layer):
    count = sum(len(sequence.blocks) for sequence in sequences_in(layer))
    return f"{count} block{'s' if count > 1 else ''}"


def _gradients_are_finite(subject):
    _, found = gradients_of(subject.whole, subject.inputs)
    names = [f"input {i}" for i in range(len(found))]
    weights = [x.path for x in subject.whole.trainable_variables]
    names[len(found) - len(weights) :] = weights
    for name, gradient in zip(names, found, strict=True):
        if gradient is None:
            raise Broken(f"{name} has no gradient")
        gradient = tf.convert_to_tensor(gradient)
        if not np.all(np.isfinite(np.array(gradient, "float64"))):
            raise Broken(f"the gradient of {name} is not finite")
    return Finding(None)


def state(subject):
    """Steps change variables as plain ones do, and an inverse changes none."""
    if isinstance(subject.whole, Inverse):
        raise DoesNotApply("its inverse is another layer's forward direction")
    errors = {"an inverse": _moved_by_inverse(subject)}
    if subject.steps is None:
        return worst(errors)
    steps = subject.steps
    for name, states in {
        "eager": [x.state for x in _pair(steps, False)],
        "graph": [x.state for x in _pair(steps, True)],
        f"{_STEPS} steps": [steps.train(x, _STEPS) for x in (True, False)],
    }.items():
        found = variable_errors(steps.layer.variables, *states)
        errors |= {f"{name}, {path}": error for path, error in found.items()}
    steps.reset()
    return worst(errors)


def _moved_by_inverse(subject):
    outputs = subject.whole(subject.inputs, training=True)
    before = values(subject.whole)
    for training in (False, True):
        subject.inverse(outputs, training)
    return largest_difference(values(subject.whole), before)


def training(subject):
    """Memory-saving training ends with the weights of plain training."""
    if not subject.whole.trainable_variables:
        raise DoesNotApply("it has nothing to train")
    if subject.steps is None:
        graph, eager = (
            _trained(subject, run_eagerly=run_eagerly)
            for run_eagerly in (False, True)
        )
        return Finding(relative_error(eager, graph), "eager against graph")
    saving, plain = (
        _trained(subject, memory_saving=memory_saving)
        for memory_saving in (True, False)
    )
    if getattr(subject.body, "fraction_bits", None) is not None:
        difference = largest_difference(saving, plain)
        if difference:
            raise Broken(
                f"in lossless mode, weights are off by {difference:.1e} after "
                f"{_STEPS} steps, and should be equal"
            )
    return Finding(relative_error(saving, plain), _blocks(subject.body))


def _trained(subject, memory_saving=None, **options):
    """Return the subject's weights after a few steps of SGD."""
    model = subject.model
    subject.reset()
    if memory_saving is not None:
        set_memory_saving(subject.body, memory_saving)
    model.compile(
        keras.optimizers.SGD(LEARNING_RATE, momentum=0.9), "mse", **options
    )
    inputs = keras.tree.map_structure(np.array, subject.inputs)
    targets = keras.tree.map_structure(
        lambda y: np.cos(np.arange(y.size)).reshape(y.shape),
        keras.tree.map_structure(np.array, subject.body_output),
    )
    for _ in range(_STEPS):
        model.train_on_batch(inputs, targets)
    return values(subject.body)


def lossless(subject):
    """In lossless mode, everything is equal to the last bit."""
    steps = subject.exact_steps
    saving, plain = _pair(steps, True)
    weights = [steps.train(x, _STEPS) for x in (False, True)]
    back = steps.layer.inverse(steps.layer(steps.inputs))
    steps.reset()
    return worst(
        {
            "gradients": largest_difference(saving.gradients, plain.gradients),
            "state": largest_difference(saving.state, plain.state),
            f"weights after {_STEPS} steps": largest_difference(*weights),
            "inverse": largest_difference(back, steps.inputs),
        },
        _blocks(steps.layer),
    )


def lossless_modes(subject):
    """In lossless mode, eager calls and graphs invert each other."""
    sequence, inputs = subject.exact_steps.layer, subject.exact_steps.inputs

    @tf.function(autograph=False)
    def forward(inputs):
        return sequence(inputs)

    @tf.function(autograph=False)
    def inverse(outputs):
        return sequence.inverse(outputs)

    outputs, graph_outputs = sequence(inputs), forward(inputs)
    return worst(
        {
            "an eager inverse of a graph's output": largest_difference(
                sequence.inverse(graph_outputs), inputs
            ),
            "a graph's inverse of an eager output": largest_difference(
                inverse(outputs), inputs
            ),
        }
    )
