"""A check that no trace or cache outlives a change made in Python."""

import functools
from unittest import mock

import keras
import tensorflow as tf

from irevnet_tf.layers import Inverse
from irevnet_tf.testing.copies import copy_values
from irevnet_tf.testing.copies import fresh_copy
from irevnet_tf.testing.finding import DoesNotApply
from irevnet_tf.testing.finding import relative_error
from irevnet_tf.testing.finding import worst
from irevnet_tf.testing.snapshot import layers_of
from irevnet_tf.testing.subject import symbolic

# The factor of changed methods and attributes.
_FACTOR = 0.5


def python(subject):
    """Changes in Python take effect, in eager calls and once compiled."""
    errors = _of_methods(subject) if subject.residuals else _of_layer(subject)
    try:
        copies = [fresh_copy(subject.whole) for _ in range(2)]
    except Exception:
        return worst(errors, "attributes not tried, for it has no copies")
    errors["attributes"] = _of_attributes(subject, *copies)
    return worst(errors)


def _of_methods(subject):
    """Return the errors after the first residual's `call` has changed."""
    chain, residual = subject.chain, subject.residuals[0]
    factor = [1.0]
    ways = {
        "an eager call": lambda: chain(subject.inputs),
        "an eager step": lambda: _recorded(chain, subject.inputs),
        "a new graph": lambda: tf.function(
            lambda x: chain(x, training=True), autograph=False
        )(subject.inputs),
        "predict": lambda: _predict(subject.model, subject.inputs),
    }
    call = _scaled(residual.call, factor)
    with mock.patch.object(residual, "call", call):
        before = _run_all(subject, ways)
        factor[0] = _FACTOR
        found = _run_all(subject, ways)
        expected = {}
        for name in ways:
            subject.reset()
            x = subject.inputs
            for block in chain.blocks:
                training = name in ("an eager step", "a new graph")
                x = block(x, training=training)
            expected[name] = x
        subject.reset()
    if not relative_error(before["predict"], expected["predict"]):
        raise DoesNotApply("it does not use its residual's `call`")
    return {x: relative_error(found[x], expected[x]) for x in ways}


def _of_layer(subject):
    """Return the errors after one of the layer's two methods has changed."""
    layer, backwards = subject.whole, _backwards(subject)
    ways = {
        "call": {
            "an eager call": lambda: layer(subject.inputs),
            "predict": lambda: _predict(subject.model, subject.inputs),
        },
        "inverse": {
            "the inverse": lambda: subject.inverse(subject.output),
            "the inverse's predict": lambda: _predict(
                backwards, subject.output
            ),
        },
    }
    errors = {}
    for name, ways_of_method in ways.items():
        factor = [1.0]
        method = _scaled(getattr(layer, name), factor)
        with mock.patch.object(layer, name, method):
            before = _run_all(subject, ways_of_method)
            factor[0] = _FACTOR
            found = _run_all(subject, ways_of_method)
        for way in ways_of_method:
            expected = keras.tree.map_structure(
                lambda y: _FACTOR * y, before[way]
            )
            errors[way] = relative_error(found[way], expected)
    subject.reset()
    return errors


def _backwards(subject):
    """Return a model of the layer's inverse."""
    outputs = symbolic(subject.output)
    return keras.Model(outputs, Inverse(subject.whole)(outputs))


def _of_attributes(subject, late, early):
    """Return the difference between early and late changes of float attributes.

    Args:
        subject: `Subject`. The layer that is checked.
        late: Keras layer. A copy of it, to be changed after it was called.
        early: Keras layer. A copy of it, to be changed before.
    """
    outputs = []
    for copy in (late, early):
        if copy is late:
            copy(subject.inputs)
        for layer in layers_of(copy):
            for name, value in list(vars(layer).items()):
                if type(value) is float and not name.startswith("_"):
                    setattr(layer, name, _FACTOR * value)
        copy(subject.inputs)
        copy_values(subject.whole, copy, seeds=True)
        outputs.append(
            [copy(subject.inputs, training=x) for x in (False, True)]
        )
    return relative_error(*outputs)


def _scaled(method, factor):
    """Return a method whose result is multiplied by `factor[0]`."""

    @functools.wraps(method)
    def scaled(*args, **kwargs):
        outputs = method(*args, **kwargs)
        return keras.tree.map_structure(lambda y: factor[0] * y, outputs)

    return scaled


def _run_all(subject, ways):
    found = {}
    for name, run in ways.items():
        subject.reset()
        found[name] = run()
    return found


def _recorded(layer, inputs):
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        return layer(inputs, training=True)


def _predict(model, inputs):
    model.compile()
    return model.predict_on_batch(inputs)
