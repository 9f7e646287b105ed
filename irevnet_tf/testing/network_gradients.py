"""The check of a network's gradients, memory-saving against plain."""

import keras
import tensorflow as tf

from irevnet_tf.testing.finding import DoesNotApply
from irevnet_tf.testing.finding import Finding
from irevnet_tf.testing.finding import relative_error
from irevnet_tf.testing.finding import variable_errors
from irevnet_tf.testing.finding import worst
from irevnet_tf.testing.network_checks import Tour
from irevnet_tf.testing.steps import Steps
from irevnet_tf.testing.steps import sequences_in


def gradients(tour: Tour) -> Finding:
    """A memory-saving training step is the plain one, in a graph."""
    tour.require_run()
    model = tour.network.model
    sequences = [x for x in sequences_in(model) if x.blocks]
    if not sequences:
        raise DoesNotApply("it has no ReversibleSequence")
    inputs = keras.tree.map_structure(tf.convert_to_tensor, tour.network.inputs)
    outputs = keras.tree.flatten(model(inputs, training=False))
    if not any(y.dtype.is_floating for y in outputs):
        raise DoesNotApply("its outputs are no floats, and have no gradients")
    steps = Steps(model, inputs)
    saving, plain = (steps.step(x, traced=True) for x in (True, False))
    errors = {
        "outputs": relative_error(saving.outputs, plain.outputs),
        "gradients": relative_error(saving.gradients, plain.gradients),
    }
    # Each by itself, since the seeds of dropout are larger than all others.
    errors |= variable_errors(model.variables, saving.state, plain.state)
    count = sum(len(sequence.blocks) for sequence in sequences)
    return worst(errors, f"{count} block{'s' if count > 1 else ''}")
