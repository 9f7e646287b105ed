"""What a certificate says is so, and nothing else is certified."""

import functools
import io
import itertools
import json
import zipfile

import h5py
import keras
import numpy as np
import portable_networks
import pytest
import tensorflow as tf
from portable_networks import bits

import irevnet_tf
from irevnet_tf import layers
from irevnet_tf.layers.pixel_range import PixelRange
from irevnet_tf.quantization.certificate import Certificate
from irevnet_tf.quantization.sums import Sums
from irevnet_tf.quantization.sums import convolution_sums
from irevnet_tf.quantization.sums import range_of


def residual(inputs, outputs=1, **kwargs):
    """Return a residual of 1x1 kernels, all of them 0."""
    layer = layers.IntegerResidual(
        outputs, bottleneck_ratio=1, kernel_sizes=(1, 1, 1), **kwargs
    )
    layer.build((None, 1, 1, inputs))
    for shift in layer.shifts:
        shift.assign(np.full(outputs, 0.5))
    return layer


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("preactivation", [True, False])
@pytest.mark.parametrize("groups", [1, 2])
def test_no_partial_sum_is_larger(seed, preactivation, groups):
    """Of all extreme inputs, in all orders: those are all subsets."""
    rng = np.random.default_rng(seed)
    layer = residual(
        6,
        activation_bits=4,
        preactivation=preactivation,
        groups=(groups, 1, 1),
    )
    weights = rng.integers(-127, 128, 6)
    layer.kernels[0].assign(weights[None, None, :, None] / 4)
    layer.set_unit(0, [0.25])
    shift = (rng.integers(-999, 999) + 0.5) * layer.sum_unit(0).numpy()[0] * 4
    layer.shifts[0].assign([shift / 4])
    found = {x.name: 2.0**x.bits for x in convolution_sums("block", layer)}
    largest, rounded = 0.0, []
    subsets = np.array(list(itertools.product([0, 1], repeat=6 // groups)))
    for part in np.split(np.arange(6), groups):
        inputs = np.array(
            list(itertools.product(layer.first_range, repeat=len(part)))
        )
        sums = (inputs * weights[part]) @ subsets.T
        largest = max(largest, np.abs(sums).max())
        rounded.append(np.floor(sums[:, -1] / 64))
    if groups == 1:
        largest += abs(shift)
    bound = found.pop("block/conv1")
    assert largest * (1 - 1e-5) <= bound <= largest * (1 + 1e-5)
    assert found.pop("block/conv2") < 256
    assert found.pop("block/conv3") < 256
    if groups == 1:
        assert not found
        return
    # All of what may be added up, in larger units.
    parts = np.meshgrid(*[np.append(x, 0) for x in rounded], [0, shift / 64])
    sums = functools.reduce(np.add, parts)
    bound = found.pop("block/conv1 (groups)")
    assert np.abs(sums).max() <= bound * (1 + 1e-5)
    assert bound < abs(shift) / 64 + 2 * (largest / 64 + 1) + 1e-3
    assert not found


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_range_of_output_is_reached(seed, groups):
    """Also by channels without weights, of which F is their shift."""
    rng = np.random.default_rng(seed)
    layer = residual(8, 8, activation_bits=3, groups=(1, 1, groups))
    weights = rng.integers(-127, 128, (8, 8))
    weights[:, 2] = 0
    unit = 2.0 ** rng.integers(-9, 1, 8)
    layer.kernels[2].assign((weights * unit)[None, None])
    layer.set_unit(2, unit)
    shift = (rng.integers(-9, 9, 8) + 0.5) * layer.sum_unit(2).numpy()
    layer.shifts[2].assign(shift)
    step = 2.0**-layer.fraction_bits
    a = np.array(list(itertools.product([0, 7], repeat=8)), "float32")
    pair = layer.valid_weights()[2]
    sums = layer.convolve(a[:, None, None], 2, *pair).numpy()
    found = np.floor(sums)[:, 0, 0] * step
    least, largest = range_of(layer)
    np.testing.assert_array_equal(found.min(axis=0), least)
    np.testing.assert_array_equal(found.max(axis=0), largest)
    assert least[2] == largest[2] == np.floor(shift[2]) * step


def orders(products, rng):
    """Yield sums of float32 products along the last axis, in many orders."""
    for _ in range(8):
        shuffled = products[..., rng.permutation(products.shape[-1])]
        yield functools.reduce(np.add, np.moveaxis(shuffled, -1, 0))
    yield np.sum(products, axis=-1)
    for stride in (2, 8):
        lanes = [products[..., i::stride].cumsum(-1) for i in range(stride)]
        yield functools.reduce(np.add, [x[..., -1] for x in lanes])
    while products.shape[-1] > 1:
        half = products.shape[-1] // 2
        rest = products[..., 2 * half :]
        pairs = products[..., :half] + products[..., half : 2 * half]
        products = np.concatenate([pairs, rest], axis=-1)
    yield products[..., 0]


@pytest.mark.parametrize(("inputs", "exact"), [(257, True), (2056, False)])
def test_every_order_gives_the_same_bits_at_the_bound(inputs, exact):
    """Far beyond the bound, orders differ: so this would be noticed."""
    rng = np.random.default_rng(0)
    layer = residual(inputs)
    kernel = rng.choice([127, 127, 126], inputs) / 128
    layer.kernels[0].assign(kernel[None, None, :, None])
    layer.set_unit(0, [1 / 128])
    layer.shifts[0].assign([-0.5 / 128])
    first = convolution_sums("block", layer)[0]
    a = rng.integers(200, 256, (64, inputs)).astype("float32")
    a[0] = 255
    products = a * kernel.astype("float32")
    found = {bits(sums).tobytes() for sums in orders(products, rng)}
    if exact:
        assert 22.97 < first.bits < 23
        assert len(found) == 1
        expected = tf.nn.relu(products.astype("float64").sum(-1) - 0.5 / 128)
        convolved = layer.convolve(
            a[:, None, None], 0, *layer.valid_weights()[0]
        )
        np.testing.assert_array_equal(convolved[:, 0, 0, 0], expected)
        first.check()
    else:
        assert len(found) > 1
        with pytest.raises(ValueError, match="block/conv1, channel 0"):
            first.check()


def test_a_network_at_the_bound():
    """Its convolutions sum in other orders, by other algorithms, under XLA."""
    model = portable_networks.portable("kernels_of_1", weight_bits=16)
    found = irevnet_tf.certify(model)
    assert max(x.bits for x in found.sums) > 22.5
    images = portable_networks.images(model.input_shape[1:], 4)
    expected = model(images)
    rng = np.random.default_rng(0)
    for one in portable_networks.residuals(model).values():
        # Inputs of the second convolution change places.
        order = rng.permutation(one.shifts[0].shape[0])
        one.kernels[0].assign(one.kernels[0].numpy()[..., order])
        one.shifts[0].assign(one.shifts[0].numpy()[order])
        one.kernels[1].assign(one.kernels[1].numpy()[:, :, order])
    np.testing.assert_array_equal(bits(model(images)), bits(expected))


@pytest.mark.parametrize("size", [1e-3, 1e-6, 1e-38])
@pytest.mark.parametrize(
    "options", [{}, {"sum_bits": 14}, {"sum_bits": 14, "overflow": "split"}]
)
def test_channels_that_have_almost_died(size, options):
    """As weight decay leaves them: shifts are large in their units."""
    model = portable_networks.network("gray")
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.Conv2D | keras.layers.Dense):
            kernel = layer.kernel.numpy()
            kernel[..., ::2] *= size
            layer.kernel.assign(kernel)
    images = portable_networks.images(model.input_shape[1:])
    made = irevnet_tf.portable(model, images, verbose=0, **options)
    found = irevnet_tf.certify(made)
    inner = [x.bits for x in found.sums if not x.name.endswith("conv3")]
    assert max(inner) <= options.get("sum_bits", 23)
    tuned = irevnet_tf.fine_tunable(made)
    settled = irevnet_tf.portable(tuned)
    assert irevnet_tf.certify(settled).weights == found.weights
    np.testing.assert_array_equal(bits(tuned(images)), bits(made(images)))


def test_certificate_of_a_network():
    model = portable_networks.portable("injective", fraction_bits=12)
    found = irevnet_tf.certify(model)
    assert found.to_dict() == model.layers[1].certificate
    assert Certificate.from_dict(json.loads(json.dumps(found.to_dict()))) == (
        found
    )
    assert found.fraction_bits == 12
    assert found.pixel_range[0] <= 0.0 < 0.9 < found.pixel_range[1]
    assert len(found.sums) == 9
    assert found.stream_limit == 4096
    assert found.streams.keys() == {"stage1", "stage2"}
    text = str(found)
    for part in ("in steps of 2^-12", "below 4096", "stage2", found.weights):
        assert part in text


def test_streams_are_below_what_the_certificate_says():
    model = portable_networks.portable("bijective")
    found = irevnet_tf.certify(model)
    low, high = found.pixel_range
    rng = np.random.default_rng(0)
    x = rng.choice([low, high], (64, *model.input_shape[1:]))
    for stage in (1, 2):
        z = irevnet_tf.encoder(model, stage)(x.astype("float32"))
        assert np.abs(z).max() < found.streams[f"stage{stage}"]


def first(model):
    return portable_networks.residuals(model)["stage1/block2"]


def live(model):
    """Return the channel of the second convolution's largest weight."""
    kernel = np.abs(first(model).kernels[1].numpy())
    return int(kernel.max(axis=(0, 1, 2)).argmax())


def assign(variable, index, value):
    values = variable.numpy()
    values[index] = value
    variable.assign(values)


def kernel_to(value):
    def edit(model):
        assign(first(model).kernels[1], (1, 1, 0, live(model)), value)

    return edit


def shift_to(value):
    def edit(model):
        assign(first(model).shifts[1], live(model), value)

    return edit


def unit_to(value):
    return lambda model: assign(first(model).units[1], live(model), value)


def per_unit_to(value):
    return lambda model: assign(first(model).per_unit[1], live(model), value)


def both_units_to(value):
    def edit(model):
        units = first(model).units[1].numpy()
        units[live(model)] = value
        first(model).set_unit(1, units)

    return edit


def last_shift_to(value):
    return lambda model: assign(first(model).shifts[2], 2, value)


def own_channel(name, value):
    return lambda model: assign(getattr(first(model), name), 3, value)


def reach_to(value):
    return lambda model: first(model).reach.assign(value)


def bounds_to(*values):
    return lambda model: model.layers[1].bounds.assign(values)


def classifier_to(value):
    return lambda model: assign(model.layers[-1].kernel, (3, 2), value)


def pool_to(name, value):
    return lambda model: assign(getattr(model.layers[-2], name), 3, value)


def offset_to(value):
    return lambda model: model.layers[1].offset.assign([0, value, 0])


def clear_more(model):
    model.get_layer("stage2").blocks[0].zero_channels = 1


HALF = "The shifts before F must be no multiples.* such a shift "
INVERSE = "`per_unit` must be the inverse of.*Received: .*stage1/block2/conv2"
FINITE = "All weights must be finite. Received: NaN or infinity in "
SUMS = r"All partial sums must stay below 2\*\*23 units .* Received: 2\*\*"
CHANGED = [
    (shift_to(0.3), SUMS + ".* in stage1/block2/conv2, channel {live}"),
    (shift_to(2.0**21), SUMS + ".* in stage1/block2/conv2, channel {live}"),
    (shift_to(np.nan), FINITE + "stage1/block2/conv2, channel {live}"),
    (
        kernel_to(0.3),
        "The weights of stage1/block2/conv2 must be integers of 8 bits times "
        "a power of two. Received: .* units in channel {live}",
    ),
    (kernel_to(np.inf), FINITE + "stage1/block2/conv2, channel {live}"),
    (own_channel("shift0", np.nan), FINITE + "stage1/block2, channel 3"),
    (
        own_channel("scale0", 0.75),
        "`scale0` of integers must be powers of two. "
        "Received: scale0=0.75 in stage1/block2, channel 3",
    ),
    *(
        (unit_to(value), "`unit` of integers must be .* above 0.*ck2/conv2, ch")
        for value in (np.inf, 0.0, -0.5, 0.75)
    ),
    (unit_to(2.0**-40), INVERSE),
    (per_unit_to(2.0**40), INVERSE),
    (per_unit_to(np.nan), INVERSE),
    (both_units_to(2.0**-40), "The weights of stage1/block2/conv2 must be int"),
    (last_shift_to(0.0), HALF + "in stage1/block2/conv3, channel 2"),
    (last_shift_to(4.0), HALF + "in stage1/block2/conv3, channel 2"),
    (last_shift_to(np.inf), FINITE + "stage1/block2/conv3, channel 2"),
    (reach_to(2.0**-10), "`reach` of an integer .* in stage1/block2"),
    (reach_to(np.nan), "`reach` of an integer .* in stage1/block2"),
    (
        reach_to(1024.0),
        "The streams in stage1 must stay below 1024, .*"
        "Received: values up to .* with fraction_bits=14",
    ),
    (bounds_to(-1023.0, 1023.0), "The streams in stage1 must stay below"),
    (bounds_to(0.0, np.nan), "The bounds of pixels must be finite.*Received"),
    (bounds_to(1.0, 0.0), "The bounds of pixels must be finite.*Received"),
    (offset_to(0.5), "The offsets of pixels must be below half.*Received"),
    (clear_more, "`zero_channels` of a block must be zero .*=1 in stage2/blo"),
    (classifier_to(0.3), SUMS + ".* in predictions, channel 2"),
    (classifier_to(np.nan), FINITE + "predictions, channel 2"),
    (pool_to("scale", 3.0), "`scale` of integers .* scale=3 in head_pool, ch"),
    (pool_to("scale", np.nan), "`scale` of integers .* scale=nan in head_poo"),
    (pool_to("shift", np.nan), FINITE + "head_pool, channel 3"),
]


@pytest.mark.parametrize("row", range(len(CHANGED)))
def test_other_weights_are_refused(row):
    edit, message = CHANGED[row]
    model = portable_networks.portable("injective")
    edit(model)
    message = message.replace("{live}", str(live(model)))
    for certificate in (model.layers[1].certificate, None):
        model.layers[1].certificate = certificate
        with pytest.raises(ValueError, match=message):
            irevnet_tf.certify(model)


def test_changes_that_nobody_proved():
    model = portable_networks.portable("injective")
    own = model.layers[1].certificate
    changed = "The certificate in `model` must be that of its weights.*Receiv"
    for values, name in (
        ({**own, "stream_limit": 2048.0}, "other stream_limit"),
        ({**own, "weights": "0" * 64}, "other weights"),
        ({}, "other pixel_range"),
        ("none", "other pixel_range"),
    ):
        model.layers[1].certificate = values
        with pytest.raises(ValueError, match=f"{changed}.*{name}"):
            irevnet_tf.certify(model)
    model.layers[1].certificate = own
    one = first(model)
    # It is as good as before, but another one.
    one.kernels[0].assign(-one.kernels[0].numpy())
    with pytest.raises(ValueError, match=f"{changed}ed: other .*weights"):
        irevnet_tf.certify(model)
    model.layers[1].certificate = None
    irevnet_tf.certify(model)


def rewritten(path, config=None, weights=None):
    """Change a .keras file by a function of its JSON or of its HDF5 file."""
    with zipfile.ZipFile(path) as file:
        parts = {name: file.read(name) for name in file.namelist()}
    if config is not None:
        values = json.loads(parts["config.json"])
        config(values)
        parts["config.json"] = json.dumps(values).encode()
    if weights is not None:
        memory = io.BytesIO(parts["model.weights.h5"])
        with h5py.File(memory, "r+") as file:
            weights(file)
        parts["model.weights.h5"] = memory.getvalue()
    with zipfile.ZipFile(path, "w") as file:
        for name, content in parts.items():
            file.writestr(name, content)


def other_pixels(values):
    entrance = values["config"]["layers"][1]["config"]
    entrance["certificate"]["pixel_range"] = [-2.0, 2.0]


def other_kernel(file):
    found = []
    file.visit(lambda name: found.append(name))
    name = next(x for x in found if x.endswith("/vars/kernel2"))
    assert file[name].dtype == "int8"
    values = file[name][()]
    values[0, 0, 0] ^= 1
    file[name][...] = values


@pytest.mark.parametrize("part", [{"config": other_pixels}, {}])
def test_edited_keras_file(part, tmp_path):
    path = tmp_path / "model.keras"
    portable_networks.portable("gray").save(path)
    rewritten(path)
    irevnet_tf.certify(keras.models.load_model(path))
    rewritten(path, **(part or {"weights": other_kernel}))
    with pytest.raises(ValueError, match="The certificate in `model` must be"):
        irevnet_tf.certify(keras.models.load_model(path))


def test_edited_weights_file(tmp_path):
    path = tmp_path / "model.weights.h5"
    portable_networks.portable("gray").save_weights(path)
    with h5py.File(path, "r+") as file:
        found = []
        file.visit(lambda name: found.append(name))
        names = [x for x in found if x.endswith("/vars/kernel2")]
        name = next(x for x in names if np.any(file[x][()]))
        channel = int(np.abs(file[name][()]).max((0, 1, 2)).argmax())
        name = name.replace("kernel", "shift")
        values = file[name][()]
        values[channel] = np.float32(0.3)
        file[name][...] = values
    model = irevnet_tf.IRevNet(
        **portable_networks.NETWORKS["gray"],
        classes=portable_networks.CLASSES,
        portable=True,
        weights=path,
    )
    message = f"in stage1/block2/conv2, channel {channel}"
    with pytest.raises(ValueError, match=message):
        irevnet_tf.certify(model)


def test_models_around_a_portable_network():
    model = portable_networks.portable("gray")
    own = irevnet_tf.certify(model)
    assert own.logits.name == "predictions"
    dense = keras.layers.Dense(3)
    pooled = portable_networks.portable(
        "gray", {"include_top": False, "pooling": "avg"}
    )
    for other in (
        irevnet_tf.encoder(model),
        keras.Model(model.input, dense(model.output)),
        keras.Sequential([model, keras.layers.Dense(3)]),
    ):
        found = irevnet_tf.certify(other)
        assert found.weights == own.weights
        assert found.sums == own.sums
    extended = keras.Model(pooled.input, keras.layers.Dense(3)(pooled.output))
    assert irevnet_tf.certify(extended).logits is None


class Twice(layers.AdditiveCoupling):
    def couple(self, inputs, fx2):
        return super().couple(inputs, 2 * fx2)

    def uncouple(self, outputs, x2, fx2):
        return super().uncouple(outputs, x2, 2 * fx2)


class OwnResidual(layers.IntegerResidual):
    def call(self, inputs, training=None):
        return 2 * super().call(inputs)


class Mirror(layers.InvertibleLayer):
    keeps_grid = True

    def call(self, inputs):
        return -inputs

    def inverse(self, outputs):
        return -outputs


@pytest.mark.parametrize(
    ("coupling", "kind", "own"),
    [
        (Twice, layers.IntegerResidual, []),
        (layers.AdditiveCoupling, OwnResidual, []),
        (layers.AdditiveCoupling, layers.IntegerResidual, [Mirror]),
    ],
)
def test_parts_of_which_nothing_is_known(coupling, kind, own):
    image = keras.Input((4, 4, 2))
    x = PixelRange(14)(image)
    for layer in own:
        x = layer()(x)
    blocks = [coupling(kind(1, bottleneck_ratio=1), fraction_bits=14)]
    streams = layers.ReversibleSequence(blocks)(layers.ChannelSplit()(x))
    model = keras.Model(image, layers.ChannelMerge()(streams))
    with pytest.raises(ValueError, match="must be a portable network.*Rec"):
        irevnet_tf.certify(model)


def test_what_is_no_portable_network():
    message = "`model` must be a portable network.*Received: model=irevnet"
    for lossless in (False, True):
        ordinary = portable_networks.network("gray", lossless=lossless)
        with pytest.raises(ValueError, match=message):
            irevnet_tf.certify(ordinary)
    with pytest.raises(ValueError, match="must be an i-RevNet.*Received"):
        irevnet_tf.certify(keras.Sequential([keras.Input((2,))]))
    with pytest.raises(ValueError, match="must be a Keras model. Received"):
        irevnet_tf.certify("irevnet")
    tuned = irevnet_tf.fine_tunable(portable_networks.portable("gray"))
    with pytest.raises(ValueError, match="must not be in fine-tuning.*Receiv"):
        irevnet_tf.certify(tuned)


def test_bits_just_below_the_bound():
    assert Sums("conv", 22.999999, 0).check() is None
    layer = residual(1)
    layer.shifts[0].assign([2.0**23 - 0.5])
    layer.kernels[0].assign([[[[1.0]]]])
    found = convolution_sums("block", layer)[0]
    assert found.bits > 23
    layer.shifts[0].assign([2.0**23 - 256.5])
    convolution_sums("block", layer)[0].check()
