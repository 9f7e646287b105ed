"""What `portable` refuses: one sentence, and what was received."""

import foreign
import keras
import numpy as np
import portable_networks
import pytest

import irevnet_tf
from irevnet_tf import layers
from irevnet_tf.models.model import Functional

SHAPE = portable_networks.NETWORKS["gray"]["input_shape"]


@pytest.fixture(scope="module")
def model():
    return portable_networks.network("gray")


@pytest.fixture(scope="module")
def images():
    return portable_networks.images(SHAPE)


def other_values(images, value):
    images = images.copy()
    images[3, 4, 5, 0] = value
    return images


FIT = r"`images` must be an array of images \(None, 12, 8, 1\).*Received: "
FINITE = "`images` must be finite. Received: images with NaN or infinity"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: None, "`images` must be training images.*Received: images="),
        (lambda x: x[:, :4], FIT + r".*shape=\(32, 4, 8, 1\)"),
        (lambda x: np.repeat(x, 3, -1), FIT + r".*shape=\(32, 12, 8, 3\)"),
        (lambda x: x[0], FIT),
        (lambda x: x > 0.5, FIT + "images of dtype=bool"),
        (lambda x: x.astype("complex64"), FIT),
        (lambda x: "images.npz", FIT),
        (lambda x: iter(x), FIT + "images of dtype=object"),
        (lambda x: [x[0], x[1, 1:]], "`images` must be one array.*Received: "),
        (lambda x: x[:31], "`images` must be at least 32.*Received: 31 images"),
        (lambda x: x[:0], "`images` must be at least 32.*Received: 0 images"),
        (
            lambda x: np.repeat(x[:1], 40, 0),
            "`images` must differ from each other.*Received: 40 times the same",
        ),
        (lambda x: other_values(x, np.nan), FINITE),
        (lambda x: other_values(x, np.inf), FINITE),
    ],
)
def test_images(change, message, model, images):
    with pytest.raises(ValueError, match=f"^{message}"):
        irevnet_tf.portable(model, change(images), verbose=0)


def test_images_out_of_the_range_that_is_known(images):
    model = portable_networks.network("gray")
    model.preprocessing = "unit"
    message = "`images` must be normalised as for the network, 0 to 1; .*from "
    for wrong in (images * 255, (images * 255).astype("uint8"), images - 0.5):
        with pytest.raises(ValueError, match=f"{message}.* to "):
            irevnet_tf.portable(model, wrong, verbose=0)
    with pytest.raises(ValueError, match="as for the network, 0.2 to 0.8"):
        irevnet_tf.portable(model, images, pixel_range=(0.2, 0.8), verbose=0)
    # Normalised with another rounding.
    images = np.where(images == images.max(), np.float32(1.00009), images)
    made = irevnet_tf.portable(model, images, verbose=0)
    assert irevnet_tf.certify(made).pixel_range[1] >= 1.00009
    made(images)


@pytest.mark.parametrize(
    "value", [(0,), (0, 0.5, 1), 0.5, "ab", (1, 0), (0, np.nan), (0, np.inf)]
)
def test_no_pixel_range(value, model, images):
    with pytest.raises(
        ValueError, match="^`pixel_range` must be the .*Received: pixel_range="
    ):
        irevnet_tf.portable(model, images, pixel_range=value, verbose=0)


def test_pixel_range_that_streams_cannot_hold(model, images):
    with pytest.raises(ValueError, match="^The streams in stage1 must.*Receiv"):
        irevnet_tf.portable(model, images, pixel_range=(0, 1e6), verbose=0)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("weight_bits", (1, 17, 8.0, True, None)),
        ("activation_bits", (1, 13, "8")),
        ("sum_bits", (24, 1, 10)),
        ("fraction_bits", (-1, 24, 14.0)),
        ("overflow", ("wrap", None)),
    ],
)
def test_bits_out_of_range(name, values, model, images):
    for value in values:
        with pytest.raises(
            ValueError, match=f"^`{name}` must .*Received: {name}={value!r}"
        ):
            irevnet_tf.portable(model, images, verbose=0, **{name: value})


AROUND = "^`model` must be an i-RevNet itself.*Received: model="
HEAD = "^`model` must end in its representation.*Received: a model that ends"


def behind(layer):
    return lambda model: keras.Model(model.input, layer(model.output))


def behind_representation(model):
    x = model.get_layer("stage2_merge").output
    return keras.Model(model.input, keras.layers.Flatten()(x))


def in_front(model):
    image = keras.Input(SHAPE)
    return irevnet_tf.IRevNet(
        **{**portable_networks.NETWORKS["gray"], "input_shape": None},
        input_tensor=keras.layers.Rescaling(0.5)(image),
    )


def two_outputs(model):
    x = model.get_layer("stage2_merge").output
    return keras.Model(model.input, [x, model.output])


def wide(model):
    keras.config.set_dtype_policy("float64")
    return portable_networks.network("gray")


def own_network(coupling, residual, *own):
    image = keras.Input((*SHAPE[:2], 8))
    streams = layers.ChannelSplit()(image)
    streams = layers.ReversibleSequence([coupling(residual)])(streams)
    x = layers.ChannelMerge()(streams)
    for layer in own:
        x = layer(x)
    return Functional(image, x)


def own_coupling(model):
    return own_network(foreign.AffineCoupling, keras.layers.Dense(8))


def own_residual(model):
    return own_network(layers.AdditiveCoupling, keras.layers.Dense(4))


class Mirror(layers.InvertibleLayer):
    def call(self, inputs):
        return -inputs

    def inverse(self, outputs):
        return -outputs


def own_layer(model):
    residual = layers.BottleneckResidual(4)
    return own_network(layers.AdditiveCoupling, residual, Mirror())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda model: "irevnet", "must be a Keras model. Received: model='ir"),
        (
            lambda model: keras.Sequential([keras.Input((2,))]),
            "must be an i-RevNet, or hold or extend one. Received: model=",
        ),
        (
            lambda model: irevnet_tf.encoder(model, "stem"),
            "^`model` must have residuals.*Received: model=",
        ),
        (
            lambda model: keras.Sequential([model, keras.layers.Dense(2)]),
            AROUND,
        ),
        (in_front, AROUND),
        (behind(keras.layers.Dense(2)), HEAD),
        (behind_representation, HEAD),
        (two_outputs, "^`model` must have one output.*Received: .* 2 outputs"),
        (irevnet_tf.features, "^`model` must have one output.*Received: "),
        (irevnet_tf.invert, "must be an i-RevNet, or hold or .*Received: mod"),
        (wide, "^`model` must take float32, .*Received: .* takes float64"),
        (own_coupling, "^The blocks of `model` must be .*Received: .*Affine"),
        (own_residual, "^The blocks of `model` must be .*Received: .*Dense"),
        (own_layer, "^The invertible layers of `model` must.*Received: mirror"),
        (
            lambda _: portable_networks.portable("gray"),
            "^`model` must not be portable already.*Received: model=irevnet",
        ),
    ],
)
def test_other_models(make, message, model, images):
    with pytest.raises(ValueError, match=message):
        irevnet_tf.portable(make(model), images, verbose=0)


@pytest.mark.parametrize("end", [1, "stage1_block1", "stage2_block1", None])
def test_parts_of_networks(end, model, images):
    part = irevnet_tf.encoder(model, end)
    made = irevnet_tf.portable(part, images, verbose=0)
    z = made(images)
    np.testing.assert_array_equal(
        irevnet_tf.invert(made)(z), made.layers[1](images)
    )
    whole = irevnet_tf.portable(model, images, verbose=0)
    np.testing.assert_array_equal(z, irevnet_tf.encoder(whole, end)(images))


def test_the_model_is_left_as_it_is(model, images):
    before, expected = model.get_weights(), model(images)
    irevnet_tf.portable(model, images, verbose=0)
    for a, b in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(model(images), expected)


def test_lossless_networks_keep_their_grid(images):
    model = portable_networks.network("gray", lossless=True, fraction_bits=12)
    made = irevnet_tf.portable(model, images, verbose=0)
    assert irevnet_tf.certify(made).fraction_bits == 12
    ordinary = portable_networks.network("gray")
    again = irevnet_tf.portable(ordinary, images, verbose=0, fraction_bits=12)
    np.testing.assert_array_equal(again(images), made(images))


def test_progress_is_shown_on_demand(model, images, capsys):
    irevnet_tf.portable(model, images, verbose=0)
    assert not capsys.readouterr().out
    irevnet_tf.portable(model, images)
    assert "3/3" in capsys.readouterr().out


@pytest.mark.parametrize("groups", [2, (1, 1), (1, 0, 1), (1, 1.0, 1)])
def test_no_groups(groups):
    with pytest.raises(ValueError, match="`groups` must be .*Received: groups"):
        layers.IntegerResidual(4, groups=groups)


def test_groups_that_do_not_divide():
    layer = layers.IntegerResidual(8, groups=(1, 4, 1))
    message = r"`groups` must divide .*\(3, 2, 2\). Received: groups=\(1, 4, 1"
    with pytest.raises(ValueError, match=message):
        layer.build((None, 4, 4, 3))
