"""Checks of a layer among others: in a sequence, and in a model."""

import keras

from irevnet_tf.layers import AdditiveCoupling
from irevnet_tf.layers import ReversibleSequence
from irevnet_tf.layers.downsampling import psi
from irevnet_tf.layers.downsampling import psi_inverse
from irevnet_tf.models.features import features
from irevnet_tf.models.inversion import encoder
from irevnet_tf.models.inversion import invert
from irevnet_tf.testing.finding import DoesNotApply
from irevnet_tf.testing.finding import relative_error
from irevnet_tf.testing.finding import worst
from irevnet_tf.testing.models import Surrounded
from irevnet_tf.testing.steps import Steps
from irevnet_tf.testing.subject import batch_shapes

# With a larger error, an encoder ends at another layer.
_FOUND = 1e-3


class SubtractiveCoupling(AdditiveCoupling):
    """Subtracts F(x2): another block with an `AdditiveCoupling`'s config."""

    def couple(self, inputs, fx2):
        x1, x2 = inputs
        shifted = psi(x1, self.stride) - self.on_grid(fx2)
        return psi(x2, self.stride), shifted

    def uncouple(self, outputs, x2, fx2):
        x1 = psi_inverse(outputs[1] + self.on_grid(fx2), self.stride)
        return x1, x2


def company(subject):
    """Behind an AdditiveCoupling around the same F, a block is itself."""
    if subject.chain is None:
        raise DoesNotApply("it is no residual, coupling or sequence")
    if not subject.can_follow_itself:
        raise DoesNotApply("it does not return streams like those it takes")
    blocks = _two_kinds(subject)
    sequence = ReversibleSequence(blocks, on_drift="ignore")
    sequence(subject.inputs)
    steps = Steps(sequence, subject.inputs)
    streams = subject.inputs
    for block in blocks:
        streams = block(streams, training=True)
    steps.reset()
    saving, plain = (
        steps.step(memory_saving=x, traced=x) for x in (True, False)
    )
    back = sequence.inverse(sequence(subject.inputs))
    return worst(
        {
            "outputs": relative_error(saving.outputs, list(streams)),
            "gradients": relative_error(saving.gradients, plain.gradients),
            "state": relative_error(saving.state, plain.state),
            "inverse": relative_error(back, subject.inputs),
        },
        " and ".join(type(block).__name__ for block in blocks),
    )


def _two_kinds(subject):
    """Return an AdditiveCoupling and another block, of one configuration."""
    block, x = subject.chain.blocks[0], subject.inputs
    options = {"fraction_bits": block.fraction_bits, "dtype": block.dtype}
    other = subject.copy_of(block, x)
    if type(block) is AdditiveCoupling:
        other = SubtractiveCoupling(other.residual, **options)
    if batch_shapes(block.residual(x[1])) == batch_shapes(x[0]):
        residual = subject.copy_of(block.residual, x[1])
    else:
        residual = keras.layers.Dense(x[0].shape[-1])
    subject.reset()
    return [AdditiveCoupling(residual, **options), other]


def chain(subject):
    """In a model, behind a ChannelMerge, it is found and inverted."""
    layers = [subject.whole]
    if subject.chain is not None:
        # A residual is a block only in these checks.
        layers = [subject.chain, *layers][: 1 if subject.is_residual else 2]
    errors = {}
    for layer in {id(layer): layer for layer in layers}.values():
        surrounded = Surrounded(layer, subject.inputs)
        errors.update(_found(surrounded, subject.reset))
        if isinstance(layer, ReversibleSequence):
            point = f"{layer.name}_block1"
            errors.update(_found(surrounded, subject.reset, point))
    return worst(errors)


def _found(surrounded, reset, point=None):
    """Return errors of encoder, features and inverse at a point of a model.

    Args:
        surrounded: `Surrounded`. The model around the layer.
        reset: function. Gives all layers their values back.
        point: None or str. A block's name, None for all of the model.
    """

    def run(model, x):
        reset()
        return model(x)

    model, x = surrounded.model, surrounded.inputs
    name = point or surrounded.point
    z = run(encoder(model, point), x)
    if point is None:
        error = relative_error(z, run(model, x))
        if not error < _FOUND:
            return {"the encoder's output": error}
    found = run(features(model, [name]), x)[name]
    back = run(invert(model, point), z)
    return {
        f"invert at {name}": relative_error(back, x),
        f"features at {name}": relative_error(found, z),
    }
