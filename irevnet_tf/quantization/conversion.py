"""portable and fine_tunable: networks of integers from trained ones."""

import keras
import numpy as np

from irevnet_tf.layers import AdditiveCoupling
from irevnet_tf.layers import PixelRange
from irevnet_tf.layers import ReversibleSequence
from irevnet_tf.models.chain import Chain
from irevnet_tf.models.checks import DEFAULT_FRACTION_BITS
from irevnet_tf.models.model import find_preprocessing
from irevnet_tf.quantization.batches import in_batches
from irevnet_tf.quantization.bits import Bits
from irevnet_tf.quantization.certificate import certify
from irevnet_tf.quantization.head import check_head
from irevnet_tf.quantization.head import quantize_head
from irevnet_tf.quantization.pixels import check_images
from irevnet_tf.quantization.pixels import pixel_offset
from irevnet_tf.quantization.pixels import pixel_range_of
from irevnet_tf.quantization.residuals import quantize_residual
from irevnet_tf.quantization.source import assembled
from irevnet_tf.quantization.source import check_source
from irevnet_tf.quantization.source import is_fine_tuned
from irevnet_tf.quantization.source import own_layers
from irevnet_tf.quantization.tuning import settled


def portable(
    model: keras.Model,
    images: np.ndarray | None = None,
    *,
    weight_bits: int = 8,
    activation_bits: int = 8,
    sum_bits: int = 23,
    fraction_bits: int | None = None,
    overflow: str = "scale",
    pixel_range: tuple[float, float] | None = None,
    verbose: int = 1,
) -> keras.Model:
    """Make a network whose bits are the same in every runtime.

    The residuals of the new network compute with integers, which floats hold
    exactly. Every runtime adds them up to the same bits, in any order and in
    batches of any size: one runtime can decode without error what another
    encoded. The new network has about the accuracy of `model`, and other
    representations. It does what a lossless i-RevNet does: it can be saved,
    extended, exported and converted.

    Residuals are quantized after training, one by one, on what the new network
    makes of `images`. The weights bound every partial sum, see `certify`;
    where weights of `weight_bits` would exceed the bound, `overflow` says what
    gives way.

    Example:

    >>> model = irevnet_tf.IRevNet28(weights="digits")
    >>> from sklearn.datasets import load_digits
    >>> raw = load_digits().images[:512, ..., None]
    >>> x = irevnet_tf.preprocess_input(raw, "digits")
    >>> made = irevnet_tf.portable(model, x, verbose=0)
    >>> representation = irevnet_tf.encoder(made)(x)
    >>> x_again = irevnet_tf.invert(made)(representation)  # in any runtime
    >>> assert np.array_equal(x_again, x)

    Args:
        model: Keras model. A trained i-RevNet, ordinary or lossless, with its
            own classifier or pooling, or without. It is left as it is. Or what
            `fine_tunable` returned, trained: its weights become integers
            again, and it is the only argument.
        images: float array (images, height, width, channels). At least 32
            training images, normalised as for `model`; 512 are plenty.
        weight_bits: int from 2 to 16. Bits of a weight, with the sign.
        activation_bits: int from 2 to 12. Bits of an activation.
        sum_bits: int up to 23. Partial sums of convolutions stay below
            2**sum_bits units, and, in the last one of a block, below 2**23
            steps of F. 21 leaves room for Winograd's F(2x2, 3x3), see
            docs/portable.md.
        fraction_bits: None or int. Streams are multiples of 2**-fraction_bits.
            Defaults to those of a lossless `model`, and 14.
        overflow: str. "scale" to give the weights of a channel fewer bits where
            its sums would get too large, "split" to add up groups of its
            inputs, rounded, instead.
        pixel_range: None or pair of floats. The least and the largest value of
            a normalised image. Other images will be refused. Defaults to the
            range of `model.preprocessing`, which is to be set before, or to
            that of `images`.
        verbose: int. 1 for a bar of progress, 0 for none.

    Returns:
        A Functional model as `model`, whose first layer is a
        `layers.PixelRange` with the certificate. It is for inference: none of
        its weights are trainable.

    Raises:
        ValueError: if `model` is no i-RevNet, or has other layers in front or
            behind; if `images` do not fit it, are too few, all alike, not
            finite or out of range; if a number of bits is out of range; if a
            value could leave the range in which floats are exact.

    Reference:
        Ballé, Johnston, Minnen: Integer Networks for Data Compression with
        Latent-Variable Models, ICLR 2019.
    """
    chain, head = check_source(model)
    if is_fine_tuned(chain):
        given = (weight_bits, activation_bits, sum_bits, overflow)
        others = (images, fraction_bits, pixel_range)
        others = [x for x in others if x is not None]
        if given != (8, 8, 23, "scale") or others:
            raise ValueError(
                "A network in fine-tuning keeps its numbers of bits and its "
                "pixel range: give `model` alone. Received: other arguments "
                f"beside model={model.name}"
            )
        return _certified(settled(model, chain, head))
    check_head(head)
    if fraction_bits is None:
        fraction_bits = _fraction_bits(chain)
    bits = Bits(
        weight_bits=weight_bits,
        activation_bits=activation_bits,
        sum_bits=sum_bits,
        fraction_bits=fraction_bits,
        overflow=overflow,
    )
    preprocessing = find_preprocessing(chain)
    images = check_images(images, model.inputs[0].shape)
    pixel_range = pixel_range_of(pixel_range, preprocessing, images)

    entrance = PixelRange(bits.fraction_bits, name="fixed_point")
    entrance.build(images.shape)
    entrance.set_range(
        *pixel_range, pixel_offset(preprocessing, images.shape[-1], bits)
    )
    layers, x = [entrance], in_batches(entrance, images)
    progress = keras.utils.Progbar(
        sum(len(getattr(x, "blocks", ())) for x in own_layers(chain)),
        unit_name="block",
        verbose=verbose,
    )
    for layer in own_layers(chain):
        if isinstance(layer, ReversibleSequence):
            layer, x = _quantized_sequence(layer, x, bits, progress)
        elif hasattr(layer, "fraction_bits"):
            continue  # The entrance of a lossless network.
        else:
            layer = type(layer).from_config(layer.get_config())
            x = _run(layer, x)
        layers.append(layer)
    layers += quantize_head(head, x, bits)
    return _certified(assembled(model, layers, preprocessing))


def _fraction_bits(chain: Chain) -> int:
    known = (getattr(x, "fraction_bits", None) for x in own_layers(chain))
    return next((x for x in known if x is not None), DEFAULT_FRACTION_BITS)


def _run(layer, x):
    """Return what a layer makes of arrays, one or a pair of them."""
    if isinstance(x, tuple):
        return in_batches(lambda *x: layer(x), *x)
    y = layer(x)
    return tuple(map(np.asarray, y)) if isinstance(y, tuple) else np.asarray(y)


def _quantized_sequence(sequence, streams, bits, progress):
    """Return a sequence of integers, and the streams behind it."""
    blocks = []
    for block in sequence.blocks:
        residual = quantize_residual(block.residual, streams[1], bits)
        coupling = AdditiveCoupling(
            residual,
            stride=block.stride,
            zero_channels=block.zero_channels,
            fraction_bits=bits.fraction_bits,
            name=block.name,
            dtype="float32",
        )
        coupling.build(tuple((None, *x.shape[1:]) for x in streams))
        fx2 = in_batches(residual, streams[1])
        streams = tuple(map(np.asarray, coupling.couple(streams, fx2)))
        blocks.append(coupling)
        progress.add(1)
    made = ReversibleSequence(
        blocks, memory_saving=sequence.memory_saving, name=sequence.name
    )
    return made, streams


def _certified(model):
    """Return a model with its certificate, which its entrance keeps."""
    certificate = certify(model)
    model.layers[1].certificate = certificate.to_dict()
    return model
