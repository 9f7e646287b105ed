"""Checks that nothing holds on to deleted models and layers."""

import contextlib
import gc
import weakref

import keras
import numpy as np
import tensorflow as tf

from irevnet_tf.layers import ReversibleSequence
from irevnet_tf.models.features import features
from irevnet_tf.models.inversion import encoder
from irevnet_tf.models.inversion import invert
from irevnet_tf.testing.copies import fresh_copy
from irevnet_tf.testing.finding import Broken
from irevnet_tf.testing.finding import Finding
from irevnet_tf.testing.models import Surrounded
from irevnet_tf.testing.snapshot import layers_of
from irevnet_tf.testing.subject import symbolic


def memory(subject):
    """Nothing holds on to a copy that was deleted."""
    references = _used(subject)
    gc.collect()
    if any(x() is not None for x in references.values()):
        keras.utils.clear_session()
        gc.collect()
    alive = [name for name, x in references.items() if x() is not None]
    if alive:
        raise Broken(
            f"{len(alive)} of {len(references)} variables are alive after "
            f"their model was deleted, such as {alive[0]}"
        )
    return Finding(None)


def _used(subject):
    """Train and run a copy, and return weak references to its variables."""
    copy = fresh_copy(subject.whole)
    if subject.is_coupling:
        copy = ReversibleSequence([copy])
    inputs = symbolic(subject.inputs)
    model = keras.Model(inputs, copy(inputs))
    x, y = (
        keras.tree.map_structure(np.array, tensors)
        for tensors in (subject.inputs, subject.output)
    )
    model.compile("sgd", "mse")
    model.fit(
        x,
        y,
        batch_size=len(keras.tree.flatten(x)[0]),
        shuffle=False,
        verbose=0,
    )
    model.predict(x, verbose=0)
    return {v.path: weakref.ref(v) for v in model.variables}


def traces(subject):
    """Models made from a model leave no nodes on the layer in it."""
    # Here, because it imports TFDS, which takes its time.
    from irevnet_tf.evaluation import Evaluator

    layer = subject.body
    surrounded = Surrounded(layer, subject.inputs)
    model, x = surrounded.model, surrounded.inputs
    head = keras.layers.Flatten()(model.output)
    classifier = keras.Model(model.input, head)
    batch = len(keras.tree.flatten(x)[0])
    labels, weights = np.eye(batch, head.shape[-1]), np.ones(batch)
    for function, run in {
        "encoder": lambda: encoder(model),
        "features": lambda: features(model, [surrounded.point]),
        "invert": lambda: invert(model),
        "evaluate": lambda: Evaluator(classifier).measure(
            [(x, labels, weights)]
        ),
    }.items():
        if function == "evaluate" and isinstance(x, tuple):
            continue
        counts = _nodes(layer)
        with _without_graphs():
            run()
        if _nodes(layer) != counts:
            raise Broken(f"{function} leaves nodes on the layer")
    return Finding(None)


@contextlib.contextmanager
def _without_graphs():
    """Run functions without tracing, which is quicker for one batch."""
    before = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(before)


def _nodes(layer):
    return [
        (len(x._inbound_nodes), len(x._outbound_nodes))
        for x in layers_of(layer)
    ]
