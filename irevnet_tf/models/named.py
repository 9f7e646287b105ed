"""What the constructors of named networks have in common."""

import inspect
from collections.abc import Callable

import keras

from irevnet_tf.models.checks import DEFAULT_FRACTION_BITS
from irevnet_tf.zoo.files import check_weights_path
from irevnet_tf.zoo.registry import expected_weights
from irevnet_tf.zoo.registry import find_record

# Options of reversible networks, with their defaults.
REVERSIBLE = {
    "memory_saving": True,
    "lossless": False,
    "fraction_bits": DEFAULT_FRACTION_BITS,
}


def named(
    name: str,
    build: Callable[..., keras.Model],
    *,
    builder: Callable[..., keras.Model],
    classes: int,
    options: dict,
    docstring: str,
    module: str,
) -> Callable[..., keras.Model]:
    """Return the constructor of a named network.

    It has the arguments of `keras.applications` and, by keyword only, options.

    Args:
        name: str. The name of the network. In small letters, it is the default
            name of its models.
        build: callable. Takes all arguments by keyword, and returns the model.
        builder: callable. The function that builds networks of its kind. Its
            annotations are the types of the arguments.
        classes: int. The default number of classes.
        options: dict {name: default}. The options.
        docstring: str. The constructor's docstring.
        module: str. The module that has the constructor under its name.
    """
    arguments = {
        "include_top": True,
        "weights": None,
        "input_tensor": None,
        "input_shape": None,
        "pooling": None,
        "classes": classes,
        "classifier_activation": "softmax",
        "name": name.lower(),
    }
    types = inspect.get_annotations(builder)
    signature = inspect.Signature(
        [
            inspect.Parameter(key, kind, default=default, annotation=types[key])
            for kind, defaults in (
                (inspect.Parameter.POSITIONAL_OR_KEYWORD, arguments),
                (inspect.Parameter.KEYWORD_ONLY, options),
            )
            for key, default in defaults.items()
        ],
        return_annotation=keras.Model,
    )

    def constructor(*args, **kwargs):
        try:
            given = signature.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{name}(): {error}") from None
        given.apply_defaults()
        return build(**given.arguments)

    constructor.__name__ = constructor.__qualname__ = name
    constructor.__doc__ = docstring
    constructor.__signature__ = signature
    constructor.__annotations__ = {
        key: types[key] for key in (*signature.parameters, "return")
    }
    # Where pickles look for it.
    constructor.__module__ = module
    return constructor


def build_unpretrained(
    name: str,
    builder: Callable[..., keras.Model],
    arguments: dict,
    default_shape: tuple,
) -> keras.Model:
    """Build a network of a name with no weights, or those of a file.

    Args:
        name: str. Name of the constructor.
        builder: callable. The function that builds networks of its kind.
        arguments: dict. Those of the builder, as the user gave them, and what
            makes the network this one.
        default_shape: tuple (height, width, channels). Of the images, unless
            the user says otherwise.

    Raises:
        ValueError: if the `weights` are no such file, or the name of those of
            another network; and as the builder.
    """
    weights = arguments["weights"]
    # Raises if it is the name of weights for another network.
    find_record(name, weights)
    if weights is not None:
        check_weights_path(weights, expected_weights(name))
    if arguments["input_shape"] is None and arguments["input_tensor"] is None:
        arguments = {**arguments, "input_shape": default_shape}
    return builder(**arguments)
