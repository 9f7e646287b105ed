"""Comparing a converted network with its PyTorch original."""

import dataclasses
import importlib.metadata

import keras
import numpy as np
import tensorflow as tf

from irevnet_tf.conversion.architecture import Architecture
from irevnet_tf.conversion.checkpoint import import_torch
from irevnet_tf.conversion.pytorch import authors_entries
from irevnet_tf.conversion.pytorchcv import unit_channels
from irevnet_tf.models.inversion import encoder
from irevnet_tf.models.inversion import invert
from irevnet_tf.models.variants import VARIANTS

IMAGES = 2
SMALLEST_SIZE = 32
# The side of the representation that pytorchcv's pooling is made for.
_PYTORCHCV_POOL = 7
_PYTORCHCV_DISTRIBUTION = "pytorchcv"


@dataclasses.dataclass(frozen=True)
class Outputs:
    """The outputs of one network for the images.

    Attributes:
        logits: float32 array (N, classes). Those of the classifier.
        features: float32 array (N, h, w, c). The representation.
        reconstruction: float32 array (N, height, width, channels). The
            inverse of `features`.
    """

    logits: np.ndarray
    features: np.ndarray
    reconstruction: np.ndarray


@dataclasses.dataclass(frozen=True)
class Comparison:
    """How far a converted network is from its PyTorch original.

    Attributes:
        reference: str. What ran in PyTorch.
        image_shape: tuple of ints. N, height, width and channels of the
            images, which are random, with mean 0 and standard deviation 1.
        logits, features, reconstruction: float. Largest absolute difference.
        largest_logit, largest_feature: float. Largest magnitude in PyTorch.
        pytorch_error, keras_error: float. Largest absolute difference between
            the images and each network's own reconstruction.
    """

    reference: str
    image_shape: tuple[int, ...]
    logits: float
    features: float
    reconstruction: float
    largest_logit: float
    largest_feature: float
    pytorch_error: float
    keras_error: float


def compare_networks(
    model: keras.Model,
    state_dict: dict[str, np.ndarray],
    architecture: Architecture,
    image_size: int,
    seed: int = 0,
) -> Comparison:
    """Run a state dict in PyTorch and a model in Keras on the same images.

    Args:
        model: Keras model. The converted network; its classifier returns
            logits.
        state_dict: dict from str to array. With the authors' names or
            pytorchcv's. For pytorchcv's names, that package's own network
            runs, if it is installed.
        architecture: `Architecture`. That of the state dict.
        image_size: int. Height and width, a multiple of
            `architecture.divisor`.
        seed: int. Seed of the random images.

    Returns:
        The differences; NaN where an output is not finite.

    Raises:
        ImportError: if PyTorch is not installed.
    """
    shape = (IMAGES, image_size, image_size, architecture.image_channels)
    images = np.random.default_rng(seed).standard_normal(shape, np.float32)
    network, reference = _reference(state_dict, architecture)
    theirs = _run_pytorch(network, images)
    ours = _run_keras(model, images)
    # Infinite outputs differ by NaN, which no comparison lets pass.
    with np.errstate(invalid="ignore"):
        return Comparison(
            reference=reference,
            image_shape=shape,
            logits=_largest(ours.logits - theirs.logits),
            features=_largest(ours.features - theirs.features),
            reconstruction=_largest(
                ours.reconstruction - theirs.reconstruction
            ),
            largest_logit=_largest(theirs.logits),
            largest_feature=_largest(theirs.features),
            pytorch_error=_largest(theirs.reconstruction - images),
            keras_error=_largest(ours.reconstruction - images),
        )


def comparison_image_size(architecture: Architecture, size: int | None) -> int:
    """Return the height and width of the images for a comparison.

    Args:
        architecture: `Architecture`. The network that takes the images.
        size: None or int. What was asked for. If None, the size of the named
            variant, or the smallest possible one from 32 on.

    Raises:
        ValueError: if `size` is no multiple of the network's divisor.
    """
    divisor = architecture.divisor
    if size is None and architecture.variant:
        return VARIANTS[architecture.variant]["input_size"]
    if size is None:
        return -(-SMALLEST_SIZE // divisor) * divisor
    if size < 1 or size % divisor:
        raise ValueError(
            f"The image size must be a multiple of {divisor}, by which this "
            f"network divides height and width. Received: image_size={size}"
        )
    return size


def _largest(values):
    # NumPy's maximum is NaN if any value is.
    return float(np.max(np.abs(values)))


def _run_keras(model, images):
    # A GPU may round its convolutions to fewer digits than are compared.
    with tf.device("CPU"):
        end = encoder(model).output
        logits, features = keras.Model(model.input, [model.output, end])(images)
        reconstruction = invert(model)(features)
    return Outputs(logits.numpy(), features.numpy(), reconstruction.numpy())


def _run_pytorch(network, images):
    torch = import_torch()
    with torch.inference_mode():
        nchw = torch.from_numpy(images.transpose(0, 3, 1, 2).copy())
        logits, features = network.forward(nchw)
        reconstruction = network.inverse(features)
    return Outputs(
        logits.numpy(),
        features.permute(0, 2, 3, 1).numpy(),
        reconstruction.permute(0, 2, 3, 1).numpy(),
    )


def _reference(state_dict, architecture):
    """Return the network to run in PyTorch, and what to call it."""
    import_torch()
    shapes = {name: array.shape for name, array in state_dict.items()}
    channels = unit_channels(shapes)
    if channels:
        try:
            return (
                _PytorchcvNetwork(state_dict, architecture, channels),
                "pytorchcv's own network, version "
                + importlib.metadata.version(_PYTORCHCV_DISTRIBUTION),
            )
        except (ImportError, RuntimeError):
            # It is optional, and holds no kernels but 3x3, for instance.
            pass
    from irevnet_tf.conversion.reference import PyTorchNetwork

    entries = authors_entries(state_dict)
    name = "irevnet_tf.conversion.reference"
    return PyTorchNetwork(entries, architecture), name


class _PytorchcvNetwork:
    """pytorchcv's network with the given weights."""

    def __init__(self, state_dict, architecture, channels):
        torch = import_torch()
        from pytorchcv.models.irevnet import IRevNet

        self.network = IRevNet(
            channels=channels,
            init_block_channels=4 * architecture.image_channels,
            final_block_channels=2 * channels[-1][-1],
            in_channels=architecture.image_channels,
            num_classes=architecture.classes,
        )
        self.network.load_state_dict(
            {
                name: torch.from_numpy(np.array(array))
                for name, array in state_dict.items()
            }
        )
        self.network.eval()

    def forward(self, images):
        torch = import_torch()
        side = images.shape[-1]
        # Its stages and psi halve the image once each.
        stages = sum(
            name.startswith("stage")
            for name, _ in self.network.features.named_children()
        )
        if side >> (stages + 1) != _PYTORCHCV_POOL:
            # The same average, for a size that its own pooling does not take.
            self.network.features.final_pool = torch.nn.AdaptiveAvgPool2d(1)
        return self.network(images, return_out_bij=True)

    def inverse(self, representation):
        return self.network.inverse(representation)
