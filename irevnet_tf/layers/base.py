"""InvertibleLayer, the base class of layers that have an inverse."""

import functools
import inspect
import math
import numbers
from typing import Any

import keras
import tensorflow as tf

from irevnet_tf.layers.masks import without_mask
from irevnet_tf.layers.parts import TrackedParts

# Shapes and pairs of streams, for annotations.
Shape = tuple[int | None, ...]
Streams = tuple[tf.Tensor, tf.Tensor]


def stream_dtype() -> str:
    """Return the dtype of the streams under the global dtype policy.

    Under a mixed or half-precision policy the residual functions compute in
    half precision, but the streams that are added up and subtracted again stay
    float32: with bfloat16's 8 bits the sum itself would lose what the inverse
    has to return.
    """
    wide = keras.config.dtype_policy().variable_dtype == "float64"
    return "float64" if wide else "float32"


class InvertibleLayer(TrackedParts, keras.layers.Layer):
    """A layer with an inverse: for every input x, `inverse(call(x))` is x.

    Subclass it to use your own layers in invertible networks:
    `irevnet_tf.invert`, `encoder`, `features`, `export_saved_model` and
    `layers.Inverse` treat them like the layers of this package.

    Note to implementers. Write `call` and `inverse` side by side; the rest has
    defaults.

    - `call(inputs)`, or `call(inputs, training=None)`: as in any Keras layer.
    - `inverse(outputs)`, or `inverse(outputs, training=None)`: the inputs from
      which `call` makes `outputs`, in the mode that `training` names. It must
      not assign to variables. A layer without it fails when it is built. The
      layer is built before `inverse` runs, and float arrays reach it as
      tensors in the compute dtype, as in `call`.
    - `compute_inverse_shape(output_shape)`: the opposite of
      `compute_output_shape`. By default Keras finds it by running `inverse`
      symbolically, which needs a layer that is built.
    - `downsampling`: the factor by which the layer divides height and width.
    - `keeps_grid`: set it to True if the layer moves values and does not
      change them, as permutations do. Lossless networks hold no other layers
      beside their couplings.
    - `share()`: a layer that computes the same with the same weights and
      belongs to no graph. By default a `layers.Shared` around this one.

    Each of them must depend only on its arguments and the layer's weights,
    and on nothing that changes in between.

    Example:

    >>> class Scale(irevnet_tf.layers.InvertibleLayer):
    ...     def build(self, input_shape):
    ...         self.scale = self.add_weight(
    ...             shape=(input_shape[-1],), initializer="ones"
    ...         )
    ...
    ...     def call(self, inputs):
    ...         return inputs * self.scale
    ...
    ...     def inverse(self, outputs):
    ...         return outputs / self.scale

    Args:
        dtype: dtype policy or its name. Defaults to float32 (float64 under a
            float64 policy) whatever the global policy is, see `stream_dtype`.
        **kwargs: keyword arguments. `name` and `trainable`, as for every Keras
            layer.

    Call arguments:
        inputs: tensor or structure of tensors. What the subclass's `call`
            takes.
        training: bool. The mode, if `call` has this argument.

    Input shape:
        As the subclass takes it. Float tensors are cast to the layer's dtype.

    Output shape:
        As the subclass returns it, in the layer's dtype.

    Raises:
        NotImplementedError: when it is built, if it has no `inverse`.
    """

    keeps_grid = False

    def __new__(cls, *args, **kwargs):
        layer = super().__new__(cls, *args, **kwargs)
        # Wrapped here, as Keras wraps `build`, so that nothing depends on
        # what subclasses pass on to their base.
        layer.build = _requiring_inverse(layer, layer.build)
        layer.inverse = _building_first(layer, layer.inverse)
        return layer

    def __init__(
        self, *, dtype: str | keras.DTypePolicy | None = None, **kwargs
    ) -> None:
        super().__init__(dtype=dtype or stream_dtype(), **kwargs)

    @property
    def downsampling(self) -> float:
        """The factor that divides height and width; 1 if they stay."""
        return 1

    def inverse(self, outputs: Any, training: bool | None = None) -> Any:
        """Return the inputs from which `call` makes `outputs`."""
        raise NotImplementedError(_without_inverse(self))

    def compute_inverse_shape(self, output_shape: Any) -> Any:
        """Return the shape, or shapes, that `inverse` gives `output_shape`."""
        if not self.built:
            raise ValueError(
                "An invertible layer must be built, by a call, before it can "
                "tell the shape of its inverse, or define "
                f"`compute_inverse_shape`. Received: layer={self.name} of "
                f"{type(self)}"
            )
        inverse = functools.partial(type(self).inverse, self)
        return _traced_shape(inverse, output_shape, self.compute_dtype)

    def share(self) -> "InvertibleLayer":
        """Return a layer with the same weights that belongs to no graph."""
        # Imported here, since that module needs this one.
        from irevnet_tf.layers.inverse import Shared

        return Shared(self)


def is_invertible(layer) -> bool:
    """Return whether a Keras layer has an inverse.

    That is every `InvertibleLayer`, and any other layer with a method
    `inverse`.
    """
    return isinstance(layer, keras.layers.Layer) and callable(
        getattr(layer, "inverse", None)
    )


def run_inverse(layer, outputs, training=None):
    """Return `layer.inverse(outputs)`; pass `training` if it takes that."""
    if "training" in inspect.signature(layer.inverse).parameters:
        return layer.inverse(outputs, training=training)
    return layer.inverse(outputs)


def output_shape(layer, input_shape):
    """Return the shape, or shapes, of what a built layer returns."""
    spec = layer.compute_output_spec(
        _symbolic(input_shape, layer.compute_dtype)
    )
    return keras.tree.map_structure(lambda x: tuple(x.shape), spec)


def inverse_shape(layer, output_shape):
    """Return the shape of what a layer's `inverse` returns."""
    if hasattr(layer, "compute_inverse_shape"):
        return layer.compute_inverse_shape(output_shape)
    return _traced_shape(layer.inverse, output_shape, layer.compute_dtype)


def build_by_call(layer, shape):
    """Build a layer, whether it has a `build` or not; return its outputs.

    Args:
        layer: Keras layer. The layer to build.
        shape: shape, or sequence of shapes. The shape of its input.

    Returns:
        What a symbolic call returns, Keras tensors.
    """
    inputs = _symbolic(shape, layer.compute_dtype)
    # A call would add a node to a layer that another one shares.
    return layer.compute_output_spec(inputs) if layer.built else layer(inputs)


def _symbolic(shape, dtype):
    if is_shape(shape):
        return keras.KerasTensor(shape, dtype=dtype)
    return tuple(_symbolic(one, dtype) for one in shape)


def is_shape(shape) -> bool:
    """Return whether this is one shape, and not several."""
    return not any(isinstance(one, tuple | list) for one in shape)


def _traced_shape(function, shape, dtype):
    """Return the shapes of what `function` returns, found symbolically."""

    class Function(keras.layers.Layer):
        def call(self, inputs):
            return function(inputs)

    outputs = Function(dtype=dtype).compute_output_spec(_symbolic(shape, dtype))
    return keras.tree.map_structure(lambda x: tuple(x.shape), outputs)


def _requiring_inverse(layer, build):
    @functools.wraps(build)
    def wrapper(*args, **kwargs):
        if type(layer).inverse is InvertibleLayer.inverse:
            raise NotImplementedError(_without_inverse(layer))
        return build(*args, **kwargs)

    return wrapper


def _without_inverse(layer):
    return (
        "An InvertibleLayer must define `inverse` beside `call`. "
        f"Received: layer={layer.name} of {type(layer)}"
    )


def _building_first(layer, inverse):
    @functools.wraps(inverse)
    def wrapper(outputs, *args, **kwargs):
        outputs = keras.tree.map_structure(
            functools.partial(_as_tensor, layer.compute_dtype), outputs
        )
        if not layer.built:
            shapes = keras.tree.map_structure(lambda x: tuple(x.shape), outputs)
            build_by_call(layer, layer.compute_inverse_shape(shapes))
        return inverse(outputs, *args, **kwargs)

    return wrapper


def _as_tensor(dtype, x):
    if keras.utils.is_keras_tensor(x):
        return x
    x = without_mask(tf.convert_to_tensor(x))
    return tf.cast(x, dtype) if x.dtype.is_floating else x


def is_integer(value, least: float = -math.inf) -> bool:
    """Return whether `value` is an integer, no bool, and at least `least`."""
    is_integral = isinstance(value, numbers.Integral)
    return is_integral and not isinstance(value, bool) and value >= least


def check_positive_int(name: str, value) -> int:
    """Return `value` as an int if it is a positive integer, else raise."""
    if not is_integer(value, 1):
        raise ValueError(
            f"`{name}` must be a positive integer. Received: {name}={value!r}"
        )
    return int(value)


def check_pair(shapes, layer: keras.layers.Layer) -> None:
    """Raise ValueError unless `shapes` are those of two tensors."""
    if len(shapes) != 2 or not all(isinstance(s, tuple | list) for s in shapes):
        raise ValueError(
            f"{layer.name} takes a pair of tensors, the two streams. "
            f"Received: input_shape={shapes}"
        )


def check_dtype(layer: keras.layers.Layer, parts) -> None:
    """Raise ValueError unless parts compute in the dtype of their layer."""
    for part in parts:
        if part.compute_dtype != layer.compute_dtype:
            raise ValueError(
                f"`dtype` of {type(layer).__name__} must be that of the "
                f"layers it holds, {part.compute_dtype}. "
                f"Received: dtype={layer.compute_dtype}"
            )


class WeightlessLayer(InvertibleLayer):
    """A layer of this package that its configuration describes fully."""

    def share(self):
        # A subclass from elsewhere may have more than its configuration.
        if not type(self).__module__.startswith("irevnet_tf."):
            return super().share()
        return type(self).from_config(self.get_config())
