"""Coupling, the base class of the blocks of a reversible network."""

import keras
import tensorflow as tf

from irevnet_tf.layers.base import InvertibleLayer
from irevnet_tf.layers.base import Shape
from irevnet_tf.layers.base import Streams
from irevnet_tf.layers.base import build_by_call
from irevnet_tf.layers.base import check_pair
from irevnet_tf.layers.fixed_point import check_fraction_bits
from irevnet_tf.layers.fixed_point import round_to_grid
from irevnet_tf.layers.gradients import add_up_gradient
from irevnet_tf.layers.gradients import is_recording
from irevnet_tf.layers.masks import without_mask
from irevnet_tf.layers.parts import freeze_by_flags
from irevnet_tf.layers.parts import trainable_flags
from irevnet_tf.layers.residual_output import check_output
from irevnet_tf.layers.residual_output import check_output_dtype


class Coupling(InvertibleLayer):
    """A block of two streams around a residual F, which is never inverted.

        forward:  (y1, y2) = couple((x1, x2), F(x2))
        inverse:  x2 = residual_input((y1, y2))
                  (x1, x2) = uncouple((y1, y2), x2, F(x2))

    `ReversibleSequence` needs these methods of a block. To write another
    coupling, an affine one for example, define them in a subclass, as
    functions of their arguments and of the subclass's weights, if any:

    - `couple(inputs, fx2)` returns (y1, y2), given (x1, x2) and F(x2);
    - `residual_input(outputs)` returns x2, which (y1, y2) must hold as it is;
    - `uncouple(outputs, x2, fx2)` returns (x1, x2);
    - `residual_shape(input_shape)` returns the shape that F(x2) must have, or
      None for any;
    - `compute_output_shape` and `compute_inverse_shape`, unless the streams
      change places and no more: (shape 1, shape 2) to (shape 2, shape 1).

    F(x2) comes in the streams' dtype. Gradients need no further method.
    Forward and inverse must run F in the same mode: if F contains BatchNorm,
    the inverse of a pass with `training=True` needs `training=True` and the
    same batch. With dropout there is no inverse, since each pass draws a new
    mask.

    Example:

    >>> class AffineCoupling(irevnet_tf.layers.Coupling):
    ...     def couple(self, inputs, fx2):
    ...         x1, x2 = inputs
    ...         log_scale, shift = tf.split(fx2, 2, axis=-1)
    ...         return x2, x1 * tf.exp(tf.tanh(log_scale)) + shift
    ...
    ...     def residual_input(self, outputs):
    ...         return outputs[0]
    ...
    ...     def uncouple(self, outputs, x2, fx2):
    ...         log_scale, shift = tf.split(fx2, 2, axis=-1)
    ...         return (outputs[1] - shift) * tf.exp(-tf.tanh(log_scale)), x2
    ...
    ...     def residual_shape(self, input_shape):
    ...         *rest, channels = input_shape[0]
    ...         return (*rest, 2 * channels)
    >>> coupling = AffineCoupling(keras.layers.Dense(8))
    >>> y1, y2 = coupling((tf.ones((2, 4)), tf.ones((2, 4))))

    Args:
        residual: Keras layer. F; it may have its own dtype policy.
        fraction_bits: None or int. An int only for a coupling that can be
            lossless, as `AdditiveCoupling` can; see there.
        **kwargs: keyword arguments. `name`, `dtype` and `trainable`, as for
            every Keras layer.

    Call arguments:
        inputs: pair (x1, x2) of float tensors. The two streams.
        training: bool. The mode of F.

    Input shape:
        A pair (x1, x2) of `(batch, ..., channels)`, cast to the layer's dtype:
        float32 (float64 under a float64 policy).

    Output shape:
        A pair (y1, y2), see `compute_output_shape`; in the layer's dtype.

    Raises:
        ValueError: if `residual` is no Keras layer, or the coupling cannot be
            lossless; at build, if F(x2) has another shape or dtype than it
            must have.
        NotImplementedError: at build, without one of the first three methods.
    """

    # Whether `couple` and `uncouple` are exact on the grid of `fraction_bits`:
    # they only move, add and subtract values, with F(x2) as `on_grid`.
    can_be_lossless = False

    def __init__(
        self,
        residual: keras.layers.Layer,
        *,
        fraction_bits: int | None = None,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        if not isinstance(residual, keras.layers.Layer):
            raise ValueError(
                "`residual` must be a Keras layer. "
                f"Received: residual={residual!r}"
            )
        if self.activity_regularizer is not None:
            raise ValueError(
                "A coupling has no `activity_regularizer`, which would not be "
                "seen in a ReversibleSequence: give it to that. Received: "
                f"activity_regularizer={self.activity_regularizer!r}"
            )
        if fraction_bits is not None:
            self._require_lossless(fraction_bits)
            fraction_bits = check_fraction_bits(
                fraction_bits, self.compute_dtype
            )
        self.residual = residual
        self.fraction_bits = fraction_bits
        self._recorded_flags = None

    def _require_lossless(self, fraction_bits):
        if not self.can_be_lossless:
            raise ValueError(
                "Only a coupling whose sums are exact can be lossless, such "
                f"as AdditiveCoupling, and {type(self).__name__} is none. "
                f"Received: fraction_bits={fraction_bits}"
            )

    def build(self, input_shape):
        check_pair(input_shape, self)
        for method in ("call", "inverse"):
            if getattr(type(self), method) is not getattr(Coupling, method):
                raise ValueError(
                    "A Coupling must be defined by `couple`, "
                    "`residual_input` and `uncouple`, since a "
                    f"ReversibleSequence does not use its `{method}`. "
                    f"Received: layer={self.name} of {type(self)}"
                )
        for method in ("couple", "residual_input", "uncouple"):
            if getattr(type(self), method) is getattr(Coupling, method):
                raise NotImplementedError(
                    f"A Coupling must define `{method}`. "
                    f"Received: layer={self.name} of {type(self)}"
                )
        x2_shape = tuple(input_shape[1])
        output = build_by_call(self.residual, x2_shape)
        expected = self.residual_shape(input_shape)
        check_output(self.residual, output, expected, self.compute_dtype)
        if self._recorded_flags is not None:
            freeze_by_flags(self, self._recorded_flags)

    def residual_shape(self, input_shape: tuple[Shape, Shape]) -> Shape | None:
        """Return the shape that F(x2) must have, None for any."""
        return None

    def compute_output_shape(self, input_shape):
        shape1, shape2 = input_shape
        return tuple(shape2), tuple(shape1)

    def compute_inverse_shape(self, output_shape):
        shape1, shape2 = output_shape
        return tuple(shape2), tuple(shape1)

    def call(self, inputs, training=None):
        x1, x2 = map(without_mask, inputs)
        # Only if a gradient may follow: inference keeps plain operations.
        read = add_up_gradient(x2) if training or is_recording() else x2
        return self.couple((x1, x2), self.run_residual(read, training))

    def inverse(
        self, outputs: Streams, training: bool | None = None
    ) -> Streams:
        """Return the pair (x1, x2) from which `call` makes `outputs`.

        Args:
            outputs: pair (y1, y2) of float tensors. What `call` returned.
            training: bool. The mode of F. BatchNorm's moving statistics and the
                state of random generators are left as they are.
        """
        outputs = tuple(outputs)
        x2 = self.residual_input(outputs)
        # The scope discards what F writes (statistics, seeds).
        with keras.StatelessScope():
            fx2 = self.run_residual(x2, training)
        return self.uncouple(outputs, x2, fx2)

    def run_residual(self, x2: tf.Tensor, training: bool | None) -> tf.Tensor:
        """Return F(x2) in the streams' dtype."""
        fx2 = self.residual(x2, training=training)
        # Keras assumes what a Lambda returns.
        check_output_dtype(self.residual, fx2.dtype, self.compute_dtype)
        return tf.cast(fx2, self.compute_dtype)

    def on_grid(self, fx2: tf.Tensor) -> tf.Tensor:
        """Return F(x2) on the grid of a lossless coupling, or as it is."""
        own = getattr(self.residual, "fraction_bits", None)
        if self.fraction_bits in (None, own):
            return fx2
        return round_to_grid(fx2, self.fraction_bits)

    def couple(self, inputs: Streams, fx2: tf.Tensor) -> Streams:
        """Return (y1, y2), given (x1, x2) and F(x2)."""
        raise NotImplementedError

    def residual_input(self, outputs: Streams) -> tf.Tensor:
        """Return x2 from (y1, y2)."""
        raise NotImplementedError

    def uncouple(
        self, outputs: Streams, x2: tf.Tensor, fx2: tf.Tensor
    ) -> Streams:
        """Return (x1, x2), given (y1, y2), x2 and F(x2)."""
        raise NotImplementedError

    def pull_back(
        self,
        inputs: Streams,
        fx2: tf.Tensor,
        output_gradients: Streams,
        weights: list[tf.Tensor],
    ) -> tuple[Streams, tf.Tensor, list[tf.Tensor | None]]:
        """Return the gradients of what `couple` depends on.

        Args:
            inputs: pair (x1, x2) of tensors. The block's inputs.
            fx2: tensor. F(x2), in the streams' dtype.
            output_gradients: pair of tensors. The gradients of y1 and y2.
            weights: list of tensors. They stand for the block's trainable
                variables.

        Returns:
            The pair of gradients of x1 and x2, the latter without F's share;
            that of fx2; and a list of those of the weights, None where
            `couple` does not use one.
        """
        sources = [*inputs, fx2, *weights]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(sources)
            outputs = self.couple(tuple(inputs), fx2)
        dx1, dx2, dfx2, *weight_gradients = tape.gradient(
            outputs, sources, output_gradients
        )
        dx1, dx2, dfx2 = (
            tf.zeros_like(x) if dx is None else dx
            for x, dx in ((inputs[0], dx1), (inputs[1], dx2), (fx2, dfx2))
        )
        return (dx1, dx2), dfx2, weight_gradients

    def _trackable_children(self, save_type="checkpoint", **kwargs):
        children = super()._trackable_children(save_type, **kwargs)
        # Residuals from elsewhere may keep layers in lists, see TrackedParts.
        view = tf.train.TrackableView(self.residual)
        found = set(map(id, view.descendants()))
        for index, variable in enumerate(self.residual.variables):
            if id(variable) not in found:
                children[f"variable-{index}"] = variable
        return children

    def get_config(self):
        return {
            **super().get_config(),
            "residual": keras.saving.serialize_keras_object(self.residual),
            "fraction_bits": self.fraction_bits,
            # Frozen parts of the residual: the configuration of a layer from
            # elsewhere may not contain them.
            "trainable_flags": (
                trainable_flags(self) if self.built else self._recorded_flags
            ),
        }

    @classmethod
    def from_config(cls, config):
        residual = keras.saving.deserialize_keras_object(config["residual"])
        config = {**config, "residual": residual}
        flags = config.pop("trainable_flags", None)
        coupling = cls(**config)
        coupling._recorded_flags = flags
        return coupling
