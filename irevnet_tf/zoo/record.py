"""WeightsRecord: origin, use and accuracy of a weights file."""

import dataclasses
import typing
from typing import Any


@dataclasses.dataclass(frozen=True, kw_only=True)
class WeightsRecord:
    """One entry of the registry of pretrained weights.

    Attributes:
        model: The constructor, such as "IRevNet28".
        name: What its argument `weights` takes, such as "fashion_mnist".
        description: One sentence: what the weights are.
        file: Name of the `.weights.h5` file.
        sha256: Its SHA-256, 64 hexadecimal digits; None where the user makes
            the file, whose own record then has it.
        source: Where the weights come from: "trained by this package", or the
            address of the publication.
        licence: Under which they may be used.
        dataset: What they were trained on.
        parameters: How many numbers were learned.
        input_shape: (height, width, channels) of the images in training.
        preprocessing: The `mode` of `irevnet_tf.preprocess_input`.
        classes: Number of classes.
        class_names: The `mode` of `irevnet_tf.decode_predictions`.
        lossless: Whether they were trained in lossless mode. They fit both.
        fraction_bits: The lossless mode's, or None.
        command: What makes the file, from data or from a publication.
        seed: Of the training, or None if it is not known.
        hardware: What trained them, or None.
        hours: How long that took, or None.
        accuracy: Fraction of `dataset`'s test images that are classified
            correctly with the weights after the last epoch, or None.
        accuracy_by: Who measured `accuracy`.
        inversion_error: Mean relative inversion error over the test images in
            the mode of the training, or None if it was not measured.
        inversion_error_ordinary: The same in ordinary mode, float32.
        packages: Versions with which `accuracy` was measured, {name:
            version}.
    """

    model: str
    name: str
    description: str = dataclasses.field(repr=False)
    file: str = dataclasses.field(repr=False)
    sha256: str | None = dataclasses.field(repr=False)
    source: str = dataclasses.field(repr=False)
    licence: str = dataclasses.field(repr=False)
    dataset: str = dataclasses.field(repr=False)
    parameters: int = dataclasses.field(repr=False)
    input_shape: tuple[int, int, int] = dataclasses.field(repr=False)
    preprocessing: str = dataclasses.field(repr=False)
    classes: int = dataclasses.field(repr=False)
    class_names: str = dataclasses.field(repr=False)
    lossless: bool = dataclasses.field(repr=False)
    fraction_bits: int | None = dataclasses.field(repr=False)
    command: str = dataclasses.field(repr=False)
    seed: int | None = dataclasses.field(repr=False)
    hardware: str | None = dataclasses.field(repr=False)
    hours: float | None = dataclasses.field(repr=False)
    accuracy: float | None = dataclasses.field(repr=False)
    accuracy_by: str | None = dataclasses.field(repr=False)
    inversion_error: float | None = dataclasses.field(repr=False)
    inversion_error_ordinary: float | None = dataclasses.field(repr=False)
    packages: dict[str, str] = dataclasses.field(repr=False)

    def __post_init__(self):
        for name, kind in typing.get_type_hints(type(self)).items():
            value = getattr(self, name)
            if not _is_a(value, kind):
                raise ValueError(
                    f"`{name}` of weights must be {kind}. "
                    f"Received: {name}={value!r}"
                )

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "WeightsRecord":
        """Make the record that `to_dict` was called on.

        Raises:
            ValueError: if an attribute is missing, unknown or of the wrong
                type.
        """
        names = {field.name for field in dataclasses.fields(cls)}
        if not isinstance(values, dict) or values.keys() != names:
            raise ValueError(
                "A record of weights must have exactly the keys "
                f"{', '.join(sorted(names))}. Received: {values!r}"
            )
        shape = values["input_shape"]  # JSON has no tuples.
        shape = tuple(shape) if isinstance(shape, list) else shape
        return cls(**{**values, "input_shape": shape})

    def to_dict(self) -> dict[str, Any]:
        """Return the attributes as JSON can hold them."""
        return dataclasses.asdict(self)


def _is_a(value, kind):
    """Return whether `value` is of the annotated type `kind`."""
    arguments = typing.get_args(kind)
    origin = typing.get_origin(kind)
    if origin is tuple:
        return (
            isinstance(value, tuple)
            and len(value) == len(arguments)
            and all(map(_is_a, value, arguments))
        )
    if origin is dict:
        return isinstance(value, dict)
    if arguments:
        return any(_is_a(value, one) for one in arguments)
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, kind)
