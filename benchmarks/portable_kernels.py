"""Portable networks by convolution algorithms that no certificate covers.

    python benchmarks/portable_kernels.py
    python benchmarks/portable_kernels.py --networks=digits --output=table.md

Each 3x3 convolution with stride 1 of a portable network is replaced by one in
NumPy: in another order of summation, by Winograd's algorithms, by FFT; with
factors of float32, TF32 and bfloat16. The others stay direct, with the same
factors. Images, noise and extremes are encoded so, and decoded by TensorFlow.

Errors are the largest of all sums, in units of the weights of their channel,
given the same activations: below half a unit nothing changes. "Worst" is that
of activations made for it, at random and with the signs of the weights, all as
small or as large as can be. The second table has what is proven of
F(2x2, 3x3) by the weights, for all images: its sums are exact where none
reaches 2**24 quarters of a unit.
"""

import contextlib
import dataclasses
import io
import pathlib
from collections.abc import Callable

import convolutions
import measure
import numpy as np
from absl import app
from absl import flags
from runtimes import build

import irevnet_tf
from irevnet_tf.data import load_dataset
from irevnet_tf.layers import ReversibleSequence

_NETWORKS = flags.DEFINE_list(
    "networks", ["fashion_mnist", "digits", "IRevNet163"], "Which networks."
)
_IMAGES = flags.DEFINE_integer(
    "images", 4, "Test images, and as much noise and extremes.", lower_bound=4
)
_OUTPUT = flags.DEFINE_string("output", None, "A file for the tables.")

# Bits of the activations, and of the sums.
SETTINGS = ((8, 23), (8, 21), (10, 23))
# Bits of the mantissas of the factors.
FACTORS = {"float32": 23, "TF32": 10, "bfloat16": 7}
CALIBRATION = 512
# Of images of extreme activations: two tiles of the largest, and 3 divides it.
SIDE = 12


@dataclasses.dataclass
class Kernels:
    """Convolutions of a residual by one algorithm, and how wrong they are.

    Attributes:
        algorithm: function. One of `convolutions.ALGORITHMS`.
        bits: int. Bits of the mantissas of the factors.
        error: float. The largest error of a sum so far, in units.
    """

    algorithm: Callable
    bits: int
    error: float = 0.0

    def residual(self, layer, x):
        """Return F of an `IntegerResidual`, as an array."""
        a = layer.first_activation(x).numpy()
        for index in range(3):
            sums = self.sums(layer, index, a)
            if index < 2:
                a = np.floor(np.clip(sums, 0, layer.largest_activation))
        return np.floor(sums) * 2.0**-layer.fraction_bits

    def sums(self, layer, index, a):
        kernel, shift = (x.numpy() for x in layer.valid_weights()[index])
        stride = layer.stride if index == 0 else 1
        if is_replaced(layer, index):
            found = self.algorithm(a, kernel, self.bits)
        else:
            found = convolutions.direct(a, kernel, self.bits, stride)
        found = found + shift
        exact = [x.astype("float64") for x in (a, kernel)]
        exact = convolutions.direct(*exact, stride=stride) + shift
        error = np.abs(found - exact) / layer.units[index].numpy()
        self.error = max(self.error, float(error.max()))
        return found

    def encode(self, model, x):
        """Return the representation of images, as `irevnet_tf.encoder` does."""
        layers = irevnet_tf.encoder(model).layers[1:]
        for layer in layers:
            if not isinstance(layer, ReversibleSequence):
                x = layer(x)
                continue
            for block in layer.blocks:
                fx2 = self.residual(block.residual, x[1])
                x = block.couple(x, fx2.astype("float32"))
        return x.numpy()


def is_replaced(layer, index) -> bool:
    stride = layer.stride if index == 0 else 1
    return layer.kernel_sizes[index] == 3 and stride == 1


def worst_error(model, algorithm, bits):
    """Return the largest error of a sum of activations that are extreme."""
    kernels = Kernels(algorithm, bits)
    for residual, index, low, high in replaced(model):
        kernel = residual.kernels[index].numpy()
        rng = np.random.default_rng(0)
        noise = rng.integers(0, 2, (4, SIDE, SIDE, kernel.shape[2]))
        # Of some output channels, at every third pixel.
        chosen = np.moveaxis(kernel[..., :4], -1, 0) > 0
        signs = np.tile(chosen, (1, SIDE // 3, SIDE // 3, 1))
        a = np.where(np.concatenate([noise, signs]), high, low)
        kernels.sums(residual, index, a.astype("float32"))
    return kernels.error


def replaced(model):
    """Yield residuals, places of a convolution, and bounds of activations."""
    for layer in model.layers:
        for block in getattr(layer, "blocks", ()):
            for index in range(3):
                residual = block.residual
                if is_replaced(residual, index):
                    bounds = residual.first_range
                    if index > 0:
                        bounds = 0, residual.largest_activation
                    yield residual, index, *bounds


def source(name):
    """Return an ordinary network, and images to calibrate it and to test."""
    if name == "IRevNet163":
        model = build(name, False)
        noise = np.random.default_rng(1).random((64, 32, 32, 3), "float32")
        return model, noise, noise[-_IMAGES.value :] * 0.9
    dataset = load_dataset(name)
    model = irevnet_tf.IRevNet28(weights=name, lossless=True)
    tests, _ = dataset.arrays("test", _IMAGES.value)
    return model, dataset.arrays("train", CALIBRATION)[0], tests


def all_images(model, tests):
    """Return test images, noise, and images of extremes only."""
    low, high = model.layers[1].bounds.numpy()
    rng = np.random.default_rng(0)
    shape = tests.shape
    noise = rng.uniform(low, high, shape).clip(low, high)
    extremes = rng.integers(0, 2, shape)
    extremes[0], extremes[1] = 0, 1
    extremes[2] = np.indices(shape[1:]).sum(axis=0) % 2
    extremes[3] = np.indices(shape[1:])[0] % 2
    extremes = np.where(extremes, high, low)
    return np.concatenate([tests, noise, extremes]).astype("float32")


def differing(a, b):
    """Return where float32 arrays have other bits."""
    return a.view("int32") != b.view("int32")


def rows_of(name, model, images, settings):
    """Yield a row for each algorithm and precision."""
    features = irevnet_tf.encoder(model)(images).numpy()
    decode = irevnet_tf.invert(model)
    expected = decode(features).numpy()
    for factor, mantissa in FACTORS.items():
        if factor == "float32" and settings[0] > 8:
            continue
        for title, algorithm in convolutions.ALGORITHMS.items():
            kernels = Kernels(algorithm, mantissa)
            found = kernels.encode(model, images)
            lost = differing(decode(found).numpy(), expected)
            yield [
                name,
                *settings,
                title,
                factor,
                f"{kernels.error:.3g}",
                f"{worst_error(model, algorithm, mantissa):.3g}",
                f"{differing(found, features).sum():,} of {found.size:,}",
                f"{lost.any(axis=(1, 2, 3)).sum()} of {len(images)}",
            ]


def proof_of(name, model, settings):
    """Return a row of what is proven of F(2x2, 3x3)."""
    bounds = []
    for residual, index, low, high in replaced(model):
        kernel, shift = (x.numpy() for x in residual.valid_weights()[index])
        bound = convolutions.winograd_bound(kernel, low, high) + np.abs(shift)
        bounds.append(np.max(bound / residual.units[index].numpy()))
    largest = max(x.bits for x in irevnet_tf.certify(model).sums)
    return [
        name,
        *settings,
        f"2^{largest:.2f}",
        f"2^{np.log2(max(bounds)):.2f}",
        f"{sum(4 * x < 2.0**24 for x in bounds)} of {len(bounds)}",
    ]


def main(argv):
    del argv
    rows, proofs = [], []
    for name in _NETWORKS.value:
        ordinary, calibration, tests = source(name)
        for settings in SETTINGS:
            model = irevnet_tf.portable(
                ordinary,
                calibration,
                activation_bits=settings[0],
                sum_bits=settings[1],
                verbose=0,
            )
            images = all_images(model, tests)
            rows += rows_of(name, model, images, settings)
            proofs.append(proof_of(name, model, settings))
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        settings = ["network", "activation bits", "sum bits"]
        measure.print_table(
            [*settings, "algorithm", "factors", "error, units", "worst, units"]
            + ["features that differ", "images lost"],
            rows,
        )
        print()
        measure.print_table(
            [*settings, "largest sum, units", "F(2x2), units"]
            + ["F(2x2) exact, convolutions"],
            proofs,
        )
    print(text.getvalue(), end="")
    if _OUTPUT.value:
        pathlib.Path(_OUTPUT.value).write_text(text.getvalue(), "utf-8")


if __name__ == "__main__":
    app.run(main)
