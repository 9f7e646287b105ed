"""Certificate: the proof that a portable network is the same everywhere."""

import dataclasses
import math

import keras
import numpy as np

from irevnet_tf.layers import IntegerPooling
from irevnet_tf.layers import PixelRange
from irevnet_tf.layers import ReversibleSequence
from irevnet_tf.layers.fixed_point import exact_limit
from irevnet_tf.models.chain import Chain
from irevnet_tf.models.chains import find_chain
from irevnet_tf.quantization.source import MOVING
from irevnet_tf.quantization.source import own_layers
from irevnet_tf.quantization.source import weights_hash
from irevnet_tf.quantization.sums import Sums
from irevnet_tf.quantization.sums import check_entrance
from irevnet_tf.quantization.sums import check_pool
from irevnet_tf.quantization.sums import convolution_sums
from irevnet_tf.quantization.sums import dense_sums
from irevnet_tf.quantization.sums import range_of
from irevnet_tf.zoo.files import PREDICTIONS


@dataclasses.dataclass(frozen=True, kw_only=True)
class Certificate:
    """What is proven of a portable network, from its weights alone.

    Attributes:
        pixel_range: pair of floats. The range of the images' values, as the
            network takes them, normalised.
        fraction_bits: int. Streams are multiples of 2**-fraction_bits.
        weight_bits: int. Bits of the residuals' weights.
        activation_bits: int. Bits of their activations.
        sums: tuple of `Sums`. The largest partial sums, three of every block.
        logits: None or `Sums`. That of the logits, None without a classifier
            of integers: such a model's classes are not covered.
        streams: dict from str to float. For every stage, what the magnitude of
            no value in it exceeds, for all images in the range, and on the way
            back from their representations.
        stream_limit: float. What must not be reached by `streams`.
        weights: str. The SHA-256 of the weights, but for the head's.
        head: None or str. The SHA-256 of the weights of the network's own
            pooling and classifier.
    """

    pixel_range: tuple[float, float]
    fraction_bits: int
    weight_bits: int
    activation_bits: int
    sums: tuple[Sums, ...]
    logits: Sums | None
    streams: dict[str, float]
    stream_limit: float
    weights: str
    head: str | None

    def to_dict(self) -> dict:
        """Return the attributes as JSON can hold them."""
        return dataclasses.asdict(self) | {
            "pixel_range": list(self.pixel_range),
            "sums": [dataclasses.asdict(x) for x in self.sums],
        }

    @classmethod
    def from_dict(cls, values: dict) -> "Certificate":
        """Make the certificate that `to_dict` was called on."""
        return cls(
            **{
                **values,
                "pixel_range": tuple(values["pixel_range"]),
                "sums": tuple(Sums(**x) for x in values["sums"]),
                "logits": values["logits"] and Sums(**values["logits"]),
            }
        )

    def __str__(self):
        low, high = self.pixel_range
        largest = max(self.sums, key=lambda x: x.bits)
        lines = [
            f"images           {low:g} to {high:g}, in steps of "
            f"2^-{self.fraction_bits}",
            f"weights          {self.weight_bits} bits",
            f"activations      {self.activation_bits} bits",
            f"largest sum      2^{_up(largest.bits, 2)} in {largest.name}, "
            f"channel {largest.channel}; below 2^23 all orders give the same "
            "bits",
        ]
        stages = {}
        for one in self.sums:
            stage = one.name.split("/")[0]
            stages[stage] = max(stages.get(stage, 0.0), one.bits)
        lines += [
            f"  {name:<14} 2^{_up(bits, 2)}" for name, bits in stages.items()
        ]
        lines.append(f"streams          below {self.stream_limit:g}")
        lines += [
            f"  {name:<14} at most {_up(value, 1)}"
            for name, value in self.streams.items()
        ]
        logits = "none of integers"
        if self.logits is not None:
            logits = f"sums below 2^{_up(self.logits.bits, 2)}"
        lines.append(f"logits           {logits}")
        return "\n".join([*lines, f"SHA-256          {self.weights}"])


def certify(model: keras.Model) -> Certificate:
    """Prove that a portable network has the same bits in every runtime.

    It computes bounds from the weights: how large any partial sum of any
    convolution can get, in any order, for any image in the pixel range, and
    how large the streams can get. If the model has a certificate already, it
    must be that of these weights.

    Example:

    >>> model = irevnet_tf.IRevNet28(weights="digits", portable=True)
    >>> certificate = irevnet_tf.certify(model)
    >>> certificate.weight_bits
    8
    >>> table = str(certificate)  # the largest sums, layer by layer

    Args:
        model: Keras model. What `irevnet_tf.portable` returned, a model that
            holds or extends it, or its `encoder`.

    Returns:
        The `Certificate`.

    Raises:
        ValueError: if `model` is no portable network, or one that is being
            fine-tuned; if a sum or a stream could leave the range in which it
            is exact, with the layer and the channel; if the model's own
            certificate is of other weights.
    """
    chain = find_chain(model)
    layers = own_layers(chain)
    entrance = layers[0]
    sequences = [x for x in layers if isinstance(x, ReversibleSequence)]
    if not is_portable(chain):
        raise ValueError(
            "`model` must be a portable network, as `irevnet_tf.portable` or "
            "`portable=True` of the constructors return it. "
            f"Received: model={model.name}"
        )
    if any(b.residual.fine_tuning for x in sequences for b in x.blocks):
        raise ValueError(
            "`model` must not be in fine-tuning: `irevnet_tf.portable` takes "
            f"it and returns what can be certified. Received: "
            f"model={model.name}"
        )
    check_entrance(entrance)
    residuals = [
        (f"{sequence.name}/{block.name}", block.residual)
        for sequence in sequences
        for block in sequence.blocks
    ]
    sums = [s for name, x in residuals for s in convolution_sums(name, x)]
    head = _head(model, chain)
    for layer in head[:1]:
        check_pool(layer)
    logits = dense_sums(*head) if len(head) == 2 else None
    for one in [*sums, logits] if logits else sums:
        one.check()
    first = residuals[0][1]
    found = Certificate(
        pixel_range=tuple(map(float, entrance.bounds.numpy())),
        fraction_bits=entrance.fraction_bits,
        weight_bits=max(x.weight_bits for _, x in residuals),
        activation_bits=first.activation_bits,
        sums=tuple(sums),
        logits=logits,
        streams=_streams(layers),
        stream_limit=exact_limit("float32", entrance.fraction_bits),
        weights=weights_hash(layers),
        head=weights_hash(head) if head else None,
    )
    known, values = entrance.certificate, found.to_dict()
    if known is None:
        return found
    known = known if isinstance(known, dict) else {}
    keys = [key for key in values if values[key] != known.get(key)]
    if None in (values["head"], known.get("head")):
        # The model has another head by now, or none.
        keys = [key for key in keys if key not in ("logits", "head")]
    if len(found.sums) < len(known.get("sums", ())):
        # A part of the network, whose parts may have other names.
        pairs = zip(found.sums, known["sums"], strict=False)
        same = all(
            (a.bits, a.channel) == (b["bits"], b["channel"]) for a, b in pairs
        )
        keys = [] if same else ["sums"]
    if keys:
        raise ValueError(
            "The certificate in `model` must be that of its weights: one of "
            f"the two was changed. Received: other {', '.join(keys)}"
        )
    return found


def _up(value, places):
    """Return a bound as text, rounded upwards."""
    scale = 10**places
    return f"{math.ceil(value * scale) / scale:.{places}f}"


def is_portable(chain: Chain) -> bool:
    """Return whether all of a chain of layers is that of a portable network."""
    entrance, *layers = own_layers(chain)
    sequences = [x for x in layers if isinstance(x, ReversibleSequence)]
    return (
        type(entrance) is PixelRange
        and bool(sequences)
        and all(type(x) in (*MOVING, ReversibleSequence) for x in layers)
        and all(x.is_portable for x in sequences)
    )


def _head(model, chain):
    """Return the pooling and the classifier that are the model's own, if any.

    Those of a model with anything else behind the representation are not.
    """
    layers = [
        layer
        for layer in model.layers
        if not isinstance(layer, keras.layers.InputLayer)
        and not any(layer is x for x in chain.layers)
    ]
    kinds = [type(layer) for layer in layers]
    if kinds == [IntegerPooling]:
        return layers
    is_own = kinds == [IntegerPooling, keras.layers.Dense] and (
        layers[1].name == PREDICTIONS and not layers[0].scaled
    )
    return layers if is_own else []


def _streams(layers):
    """Return the largest magnitude in every stage.

    The network runs on an image of the least size, of the least value of every
    channel and of the largest, with the bounds of F instead of F: both bounds
    only move and add up.

    Raises:
        ValueError: if a value could leave the exact range.
    """
    entrance = layers[0]
    limit = exact_limit("float32", entrance.fraction_bits)
    low, high = entrance.bounds.numpy()
    side = math.lcm(*(getattr(x, "divisor", 1) for x in layers))
    shape = (1, side, side, len(entrance.offset.numpy()))
    bounds = [np.full(shape, low), np.full(shape, high)]
    found = {}
    for layer in layers[1:]:
        if not isinstance(layer, ReversibleSequence):
            bounds = [layer(x) for x in bounds]
            continue
        incoming = max(_largest(x) for x in bounds)
        for block in layer.blocks:
            _check_zeros(f"{layer.name}/{block.name}", block, bounds)
            bounds = [
                block.couple(x, fx2.astype("float32"))
                for x, fx2 in zip(bounds, range_of(block.residual), strict=True)
            ]
        reach = [float(b.residual.reach.numpy()) for b in layer.blocks]
        reach = max(sum(reach[::2]), sum(reach[1::2]))
        outgoing = max(_largest(x) for x in bounds)
        # What the layer itself looks at: its input, and all that may be added
        # or, on the way back, subtracted.
        found[layer.name] = max(incoming, outgoing) + reach
        if not found[layer.name] < limit:
            raise ValueError(
                f"The streams in {layer.name} must stay below {limit:g}, for "
                "floats to hold every step; use fewer `fraction_bits`. "
                f"Received: values up to {found[layer.name]:.0f} with "
                f"fraction_bits={entrance.fraction_bits}"
            )
    return found


def _check_zeros(place, block, bounds):
    """Raise ValueError if the inverse would clear what is not zero."""
    count = block.zero_channels
    if count and any(np.any(x2[..., -count:]) for _, x2 in bounds):
        raise ValueError(
            "`zero_channels` of a block must be zero for every image. "
            f"Received: zero_channels={count} in {place}"
        )


def _largest(streams):
    return max(float(np.max(np.abs(x))) for x in keras.tree.flatten(streams))
