"""Copying a model for inference, the first step of an export."""

import contextlib
from collections.abc import Iterator

import keras
import numpy as np
import tensorflow as tf

from irevnet_tf.export.ends import check_ends
from irevnet_tf.export.ends import entrance_message
from irevnet_tf.export.inference_layers import for_inference
from irevnet_tf.layers import AdditiveCoupling
from irevnet_tf.layers import BottleneckResidual
from irevnet_tf.layers import ReversibleSequence
from irevnet_tf.layers import Shared
from irevnet_tf.layers.base import is_invertible
from irevnet_tf.layers.inverse import share_layer
from irevnet_tf.models.chain import Chain
from irevnet_tf.models.chains import find_chain
from irevnet_tf.models.graph import calls
from irevnet_tf.models.graph import find_runs
from irevnet_tf.models.graph import has_graph


def inference_copy(
    model: keras.Model, image_shape: tuple, proven: bool = False
) -> keras.Model:
    """Return a flat Functional model that computes what `model` infers.

    It shares the kernels. Each BatchNorm of an i-RevNet is folded into a factor
    and a shift per channel, which are less to load and to compute; BatchNorms
    inside other residuals stay. Kernels that are rounded to half precision
    before each use are copied in half precision. Nothing is reordered beyond
    that, so results are equal to the last bit. Blocks are plain operations
    instead of traced functions, which other runtimes' and Grappler's
    optimizations do not see through. `irevnet_tf.encoder` and
    `irevnet_tf.invert` take the copy as they take the model.

    Args:
        model: Keras model. An i-RevNet, or a Functional or Sequential model
            that extends or holds one, with one input and one output.
        image_shape: tuple. Height, width and channels of the copy's input,
            where height and width may be None.
        proven: bool. Whether `certify` has proven that images in the pixel
            range cannot leave the exact range: only the first blocks look at
            what they take then.

    Returns:
        A model with an input `(batch, *image_shape)`.

    Raises:
        ValueError: if `model` is no such model, changes images before its
            invertible part, uses that twice, or cannot take images of this
            shape.
    """
    check_model(model)
    image = keras.Input(image_shape, dtype=model.inputs[0].dtype, name="images")
    try:
        output = _Replay(model, image, proven).run(model, image)
    except ValueError as error:
        if image.shape == model.inputs[0].shape:
            raise
        raise ValueError(
            "`model` must take images of the shape to be exported. Received: "
            f"model={model.name}, image shape={tuple(image_shape)}: {error}"
        ) from error
    return keras.Model(image, output, name=model.name)


@contextlib.contextmanager
def without_traces(model) -> Iterator[None]:
    """Remove the nodes that a model's layers gain inside the block.

    Each use of a layer in another model adds a node to it, which holds on to
    that model: with an export after every epoch, they would pile up. Keras has
    no public way to remove nodes, and copying all layers would not work: not
    every layer can be rebuilt from its configuration.

    Args:
        model: Keras model. The owner of the layers, nested ones included.
    """
    layers = list(model._flatten_layers())
    nodes = [n for x in layers for n in (x._inbound_nodes, x._outbound_nodes)]
    counts = list(map(len, nodes))
    try:
        yield
    finally:
        for list_of_nodes, count in zip(nodes, counts, strict=True):
            del list_of_nodes[count:]


def check_model(model) -> Chain:
    """Return the chain of invertible layers in `model`.

    Layers in front of the inner model that holds them are not checked: see
    `refuse_layers_in_front`.

    Args:
        model: Keras model. The model to export.

    Raises:
        ValueError: as `inference_copy`, except for these layers.
    """
    chain = find_chain(model)
    check_ends(model)
    if chain.steps[0].inputs[0] is not chain.model.inputs[0]:
        raise ValueError(entrance_message(chain.model.layers[1]))
    return chain


def refuse_layers_in_front(model, chain: Chain) -> None:
    """Refuse a model that changes images before its inner model.

    The inner model holds the invertible layers, and its images are those of the
    encoder.

    Args:
        model: Keras model. The model to export.
        chain: `Chain`. Its invertible layers, as `check_model` returned them.

    Raises:
        ValueError: if the model changes images.
    """
    if not has_graph(model):
        return
    layer = chain.steps[0].layer
    layer = layer.layer if isinstance(layer, Shared) else layer
    reads = {
        x for call in calls(model) if call.layer is layer for x in call.reads
    }
    if chain.model is model or reads <= set(map(id, model.inputs)):
        return
    try:
        # Which takes what does nothing in inference, such as augmentation.
        with without_traces(model):
            inference_copy(model, model.inputs[0].shape[1:])
    except ValueError as error:
        raise ValueError(
            "`model` must give images to the model in it that holds the "
            "invertible layers as they are; or give that model alone. "
            f"Received: model={model.name}, whose layers before it change them"
        ) from error


class _Replay:
    """Applies a model's layers, or their copies, to another input.

    Args:
        model: Keras model. The model whose layers are applied.
        image: Keras tensor. The other input.
        proven: bool. As for `inference_copy`.
    """

    def __init__(self, model, image, proven):
        (run,) = find_runs(model)
        self._steps = {id(step.layer) for step in run.steps}
        self._models = {id(step.model) for step in run.steps}
        self._image = image
        # What holds the whole image: it, and what the steps make of it.
        self._followed = {id(image)}
        # The layers that made other tensors.
        self._makers = {}
        self._used = set()
        self._proven = proven
        self._sequences = 0

    def run(self, model, x):
        """Return the Keras tensor that `model` computes from `x`."""
        if id(model) in self._models:
            if id(model) in self._used:
                raise ValueError(
                    "`model` must use its i-RevNet once. "
                    f"Received: a second use of {model.name}"
                )
            self._used.add(id(model))
        if isinstance(model, keras.Sequential):
            for layer in model.layers:
                x = self._call(self._copy(layer), x)
            return x
        # Without the structure of inputs and outputs. `clone_model` would make
        # a model of what this makes, which there is none of behind others.
        bare = keras.Model(model.inputs[0], model.outputs[0])
        return bare._run_through_graph(
            x, operation_fn=self._copy, call_fn=self._call
        )

    def _copy(self, layer):
        if id(layer) not in self._steps:
            return for_inference(layer)
        if type(layer) is ReversibleSequence:
            copy = _plain_sequence(layer)
            # The first one makes NaN of images out of range.
            copy.is_proven = self._proven and self._sequences > 0
            self._sequences += 1
        elif type(layer) is AdditiveCoupling:
            copy = _plain_coupling(layer)
        else:
            copy = share_layer(layer)
        self._steps.add(id(copy))
        return copy

    def _call(self, layer, *args, **kwargs):
        if self._holds(layer):
            self._require_followed(args)
            return self.run(layer, *args)
        if id(layer) in self._steps:
            self._require_followed(args)
            outputs = layer(*args, **kwargs)
            self._followed.update(map(id, keras.tree.flatten(outputs)))
            return outputs
        if args and args[0] is self._image and _is_identity(layer, self._image):
            return self._image  # Such as an augmentation, in inference.
        outputs = layer(*args, **kwargs)
        for x in keras.tree.flatten(outputs):
            self._makers[id(x)] = layer
        return outputs

    def _holds(self, layer):
        return id(layer) in self._models or (
            isinstance(layer, keras.Model)
            and any(map(self._holds, layer.layers))
        )

    def _require_followed(self, tensors):
        for x in keras.tree.flatten(tensors):
            if id(x) not in self._followed:
                raise ValueError(entrance_message(self._makers[id(x)]))


def _is_identity(layer, image):
    """Return whether a layer leaves images as they are, in inference."""
    if is_invertible(layer):
        return False
    shape = [2, *(side or 32 for side in image.shape[1:])]
    x = np.random.default_rng(0).random(shape).astype(image.dtype)
    try:
        return np.array_equal(layer(x, training=False), x)
    except (TypeError, ValueError, tf.errors.OpError):
        return False  # The model does not take a single image.


def _plain_sequence(sequence):
    return ReversibleSequence(
        [_plain_coupling(block) for block in sequence.blocks],
        memory_saving=False,
        name=sequence.name,
        dtype=sequence.dtype_policy,
    )


def _plain_coupling(block):
    if type(block) is not AdditiveCoupling:
        return block  # No graph has it: it is part of a sequence.
    residual = block.residual
    if type(residual) is BottleneckResidual:
        residual = keras.Sequential(
            [for_inference(layer) for layer in residual.layers],
            name=residual.name,
        )
    return block.with_residual(residual)
