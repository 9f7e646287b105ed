"""WeightsRecord: origin, use and accuracy of a weights file."""

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class WeightsRecord:
    """One entry of the registry of pretrained weights.

    Attributes:
        model: str. The constructor, such as "IRevNet28".
        name: str. What its argument `weights` takes, such as "fashion_mnist".
        description: str. One sentence: what the weights are.
        file: str. Name of the `.weights.h5` file.
        sha256: None or str. Its SHA-256, 64 hexadecimal digits; None where the
            user makes the file, whose own record then has it.
        source: str. Where the weights come from: "trained by this package", or
            the address of the publication.
        licence: str. The licence under which they may be used.
        dataset: str. What they were trained on.
        parameters: int. How many numbers were learned.
        input_shape: tuple of ints. Height, width and channels of the images
            in training.
        preprocessing: str. The `mode` of `irevnet_tf.preprocess_input`.
        classes: int. Number of classes.
        class_names: str. The `mode` of `irevnet_tf.decode_predictions`.
        lossless: bool. Whether they were trained in lossless mode. They fit
            both.
        fraction_bits: None or int. Those of the lossless mode.
        command: str. What makes the file, from data or from a publication.
        seed: None or int. The seed of the training, None if it is not known.
        hardware: None or str. The hardware that trained them.
        hours: None or float. How long the training took.
        accuracy: None or float. Fraction of `dataset`'s test images that are
            classified correctly with the weights after the last epoch.
        accuracy_by: None or str. Who measured `accuracy`.
        inversion_error: None or float. Mean relative inversion error over the
            test images in the mode of the training, None if it was not
            measured.
        inversion_error_ordinary: None or float. The same in ordinary mode,
            float32.
        packages: dict from str to str. Versions of the packages with which
            `accuracy` was measured.
        portable: bool. Whether these are the weights of a network of integers,
            for the constructor's `portable=True`.
        certificate: None or dict. What `irevnet_tf.certify` proved of it, as
            `Certificate.to_dict` returns it.
    """

    model: str
    name: str
    description: str
    file: str
    sha256: str | None
    source: str
    licence: str
    dataset: str
    parameters: int
    input_shape: tuple
    preprocessing: str
    classes: int
    class_names: str
    lossless: bool
    fraction_bits: int | None
    command: str
    seed: int | None
    hardware: str | None
    hours: float | int | None
    accuracy: float | int | None
    accuracy_by: str | None
    inversion_error: float | int | None
    inversion_error_ordinary: float | int | None
    packages: dict
    portable: bool = False
    certificate: dict | None = None

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            # A bool is an int to `isinstance`.
            is_bool, wants_bool = isinstance(value, bool), field.type is bool
            if not isinstance(value, field.type) or is_bool != wants_bool:
                raise ValueError(
                    f"`{field.name}` of weights must be {field.type}. "
                    f"Received: {field.name}={value!r}"
                )
        if list(map(type, self.input_shape)) != [int] * 3:
            raise ValueError(
                "`input_shape` of weights must be three integers. "
                f"Received: input_shape={self.input_shape!r}"
            )

    def __repr__(self):
        portable = ", portable=True" if self.portable else ""
        return (
            f"WeightsRecord(model={self.model!r}, name={self.name!r}{portable})"
        )

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "WeightsRecord":
        """Make the record that `to_dict` was called on.

        Raises:
            ValueError: if an attribute is missing, unknown or of the wrong
                type.
        """
        fields = dataclasses.fields(cls)
        names = {field.name for field in fields}
        # Records that earlier versions wrote have no later attributes.
        needed = {x.name for x in fields if x.default is dataclasses.MISSING}
        if not isinstance(values, dict) or not (
            needed <= values.keys() <= names
        ):
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
