"""What a model must begin and end with to be exported with its inverse."""

import keras

from irevnet_tf.layers import PatchEmbedding


def check_ends(model: keras.Model) -> None:
    """Refuse a model that is not from images to one output.

    Args:
        model: Keras model. Any model.

    Raises:
        ValueError: if it is not.
    """
    try:
        ends = {"inputs": model.inputs, "outputs": model.outputs}
    except (AttributeError, ValueError) as error:
        raise ValueError(
            "`model` must be a built Functional or Sequential model. "
            f"Received: model={model.name} of {type(model)}"
        ) from error
    for kind, tensors in ends.items():
        if len(tensors) != 1:
            raise ValueError(
                "`model` must have one input and one output. "
                f"Received: model={model.name} with {kind}="
                f"{[tensor.name for tensor in tensors]}"
            )
    if len(model.inputs[0].shape) != 4:
        raise ValueError(
            "`model` must take images (batch, height, width, channels). "
            f"Received: model={model.name} with input shape="
            f"{model.inputs[0].shape}"
        )


def entrance_message(layer: keras.layers.Layer) -> str:
    """Return why a layer in front of the invertible ones is refused."""
    if isinstance(layer, PatchEmbedding):
        return (
            "`model` must have an inverse that leads back to its images, and "
            "that of a vision transformer leads to its tokens; from there, "
            "`images_from` of its PatchEmbedding may go on. "
            f"Received: the first layer {layer.name} of {type(layer)}"
        )
    return (
        "The first layer of `model` that changes an image must be invertible: "
        "what stands before it could not be undone in the exported inverse. "
        f"Give it as `preprocessing`. Received: the first layer {layer.name}"
    )
