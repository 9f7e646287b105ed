"""Every model with an i-RevNet in it, as users build them, is exported."""

import cases
import keras
import numpy as np
import processes
import pytest
import sklearn.datasets
import tensorflow as tf

import irevnet_tf
from irevnet_tf import layers
from irevnet_tf.export import export_saved_model

IMAGE = (8, 8, 4)
NAMES = ("a", "b", "c")


def network(**arguments):
    arguments = {
        **cases.FAMILIES["injective"],
        "blocks": (2, 1),
        "input_shape": IMAGE,
        "classes": 3,
        **arguments,
    }
    return cases.stir(irevnet_tf.IRevNet(**arguments))


def base():
    return network(include_top=False, pooling="avg")


def behind_base(*rest):
    return keras.Sequential([base(), *rest])


def dense(activation=None):
    return keras.layers.Dense(3, activation)


def nested_twice():
    image = keras.Input(IMAGE)
    inner = keras.Sequential([base(), keras.layers.Dropout(0.1)])
    return keras.Model(
        image, dense("softmax")(keras.Sequential([inner])(image))
    )


def before_base(*first):
    return keras.Sequential(
        [keras.Input(IMAGE), *first, base(), dense("softmax")]
    )


def functional(augmentation):
    image = keras.Input(IMAGE)
    return keras.Model(image, dense("softmax")(base()(augmentation(image))))


def with_norm(**arguments):
    norm = keras.layers.BatchNormalization(**arguments)
    pool = keras.layers.GlobalAveragePooling2D()
    model = keras.Sequential(
        [network(include_top=False), norm, pool, dense("softmax")]
    )
    return cases.stir(model)


def divided():
    model = base()
    return keras.Model(model.input, dense()(model.output) / 2.0)


def softmax_operation():
    model = base()
    return keras.Model(model.input, keras.ops.softmax(dense()(model.output)))


def second_output():
    model = base()
    vector = keras.Input(model.output.shape[1:])
    heads = keras.Model(vector, [dense()(vector), dense("softmax")(vector)])
    return keras.Model(model.input, heads(model.output)[1])


class Head(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = dense()

    def call(self, inputs):
        return self.dense(inputs)


def subclassed_head():
    model = base()
    return keras.Model(model.input, Head()(model.output))


def in_lists():
    model = network()
    return keras.Model([model.input], [model.output])


def in_dicts():
    model = network()
    return keras.Model({"image": model.input}, {"y": model.output})


def nested_in_lists():
    image = keras.Input(IMAGE)
    return keras.Model([image], [dense("softmax")(base()(image))])


def own(sequence):
    image = keras.Input(IMAGE)
    streams = layers.ChannelSplit()(image)
    streams = sequence(streams)
    return cases.stir(keras.Model(image, layers.ChannelMerge()(streams)))


def own_residual():
    return keras.Sequential(
        [
            keras.layers.BatchNormalization(),
            keras.layers.Conv2D(2, 3, padding="same", activation="silu"),
            keras.layers.Dropout(0.2),
        ]
    )


def own_coupling():
    return own(layers.AdditiveCoupling(own_residual()))


@keras.saving.register_keras_serializable(package="tests")
class Shift(layers.InvertibleLayer):
    """A layer of a user's: adds a weight."""

    def build(self, input_shape):
        self.shift = self.add_weight(initializer="ones")

    def call(self, inputs):
        return inputs + self.shift

    def inverse(self, outputs):
        return outputs - self.shift


def behind_each_other(*parts):
    """Parts in the graph of one model, as they come, nested or not."""
    x = image = keras.Input(IMAGE)
    for part in parts:
        x = part(x)
    return keras.Model(image, x)


def random_flip():
    return keras.layers.RandomFlip()


# name: (model, arguments, what its output is called)
MODELS = {
    "softmax": (lambda: behind_base(dense("softmax")), {}, "probabilities"),
    "softmax layer": (
        lambda: behind_base(dense(), keras.layers.Softmax()),
        {},
        "probabilities",
    ),
    "nested twice": (nested_twice, {}, "probabilities"),
    "regression": (lambda: behind_base(dense()), {}, "outputs"),
    "told to be probabilities": (
        lambda: behind_base(
            dense("softmax"), keras.layers.Activation("linear")
        ),
        {"from_logits": False, "class_names": np.array(NAMES)},
        "probabilities",
    ),
    "softmax operation": (softmax_operation, {}, "outputs"),
    "temperature": (divided, {}, "outputs"),
    "second of two outputs": (second_output, {}, "probabilities"),
    "subclassed head": (subclassed_head, {}, "outputs"),
    "lists": (in_lists, {}, "probabilities"),
    "dicts": (in_dicts, {}, "probabilities"),
    "nested, lists": (nested_in_lists, {}, "probabilities"),
    "augmentation": (
        lambda: before_base(random_flip(), keras.layers.Dropout(0.1)),
        {},
        "probabilities",
    ),
    "functional augmentation": (
        lambda: functional(random_flip()),
        {},
        "probabilities",
    ),
    "norm without scale": (
        lambda: with_norm(scale=False),
        {},
        "probabilities",
    ),
    "norm without centre": (
        lambda: with_norm(center=False),
        {},
        "probabilities",
    ),
    "norm of rows": (lambda: with_norm(axis=1), {}, "probabilities"),
    "own layer in front of a nested network": (
        lambda: behind_each_other(Shift(), network()),
        {},
        "probabilities",
    ),
    "nested networks in a row": (
        lambda: behind_each_other(own_coupling(), own_coupling()),
        {},
        None,
    ),
    "own layer behind nested networks": (
        lambda: behind_each_other(own_coupling(), own_coupling(), Shift()),
        {},
        None,
    ),
    "sequence of networks": (
        lambda: keras.Sequential(
            [keras.Input(IMAGE), own_coupling(), own_coupling()]
        ),
        {},
        None,
    ),
    "coupling alone": (
        lambda: own(layers.AdditiveCoupling(own_residual())),
        {},
        None,
    ),
    "own sequence": (
        lambda: own(
            layers.ReversibleSequence(
                [layers.AdditiveCoupling(own_residual()) for _ in range(2)]
            )
        ),
        {},
        None,
    ),
}


def raw_images():
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (2, *IMAGE)).astype("float32")


@pytest.mark.parametrize("case", MODELS)
def test_a_model_and_its_export_compute_the_same(case, tmp_path):
    build, arguments, name = MODELS[case]
    model, raw = build(), raw_images()
    version = export_saved_model(model, tmp_path, warmup=False, **arguments)
    loaded = tf.saved_model.load(version)
    found = loaded.signatures["forward"](images=raw)
    extra = {"classes"} if "class_names" in arguments else set()
    assert found.keys() == {name, "features"} - {None} | extra
    encoder = irevnet_tf.encoder(model)
    features = keras.Model(encoder.inputs[0], encoder.outputs[0])(raw / 255)
    np.testing.assert_allclose(found["features"], features, atol=1e-5)
    if case == "nested twice":
        # The images pass the network once, not once for each output.
        found_operations = processes.operations(version, "forward")
        assert found_operations.count("Conv2D") == 3 * (2 + 1)
    if name is not None:
        whole = keras.Model(model.inputs[0], model.outputs[0])
        expected = whole(raw / 255, training=False)
        np.testing.assert_allclose(found[name], expected, atol=1e-5)
    back = loaded.signatures["inverse"](features=found["features"])["images"]
    np.testing.assert_array_equal(np.rint(back), raw)


def test_logits_with_names_become_probabilities(tmp_path):
    model, raw = behind_base(dense()), raw_images()
    version = export_saved_model(
        model, tmp_path, class_names=NAMES, warmup=False
    )
    loaded = tf.saved_model.load(version)
    found = loaded.signatures["forward"](images=raw)
    expected = tf.nn.softmax(model(raw / 255))
    np.testing.assert_allclose(found["probabilities"], expected, atol=1e-5)


def test_streams_in_double_precision_are_kept(tmp_path):
    keras.config.set_dtype_policy("float64")
    model, raw = network(), raw_images()
    keras.config.set_dtype_policy("float32")
    loaded = tf.saved_model.load(
        export_saved_model(model, tmp_path, warmup=False)
    )
    found = loaded.signatures["forward"](images=raw)
    assert found["features"].dtype == tf.float64
    back = loaded.signatures["inverse"](features=found["features"])["images"]
    assert np.max(np.abs(back - raw)) < 1e-4


def test_an_export_of_a_trained_injective_network_is_inverted(tmp_path):
    """Its constant channels amplify what rounding leaves in the padding."""
    model = irevnet_tf.IRevNet28(weights="digits")
    version = export_saved_model(model, tmp_path, warmup=False)
    loaded = tf.saved_model.load(version)
    raw = sklearn.datasets.load_digits().images[:64, ..., None] * 255 / 16
    raw = raw.astype("float32")
    features = loaded.signatures["forward"](images=raw)["features"]
    back = loaded.signatures["inverse"](features=features)["images"]
    assert cases.relative_error(back, raw) < 5e-6


def test_a_dynamic_size_is_tried(tmp_path):
    flat = keras.Sequential(
        [network(include_top=False), keras.layers.Flatten(), dense("softmax")]
    )
    with pytest.raises(ValueError, match="images of every exported size"):
        export_saved_model(flat, tmp_path / "models", image_size="dynamic")
    assert not any((tmp_path / "models").iterdir())


def test_another_size_is_refused_by_a_fixed_export(tmp_path):
    version = export_saved_model(network(), tmp_path, warmup=False)
    signatures = tf.saved_model.load(version).signatures
    with pytest.raises(tf.errors.InvalidArgumentError, match="[Ss]hape"):
        signatures["forward"](images=tf.zeros((1, 16, 16, 4)))


def test_preprocessing_is_that_of_the_weights(tmp_path):
    model = irevnet_tf.IRevNet28(
        False, weights="digits", pooling="avg", input_shape=(8, 8, 1)
    )
    assert model.preprocessing == "digits"
    tuned = keras.Sequential([model, dense("softmax")])
    version = export_saved_model(tuned, tmp_path, warmup=False)
    assert '"name": "digits"' in (version / "model_card.json").read_text()


def test_wrong_features_are_noticed_before_anybody_sees_them(
    tmp_path, monkeypatch
):
    other = network()
    monkeypatch.setattr(
        "irevnet_tf.export.saved_model.inference_copy",
        lambda model, shape, proven: cases.stir(
            network(blocks=(2, 2), kernel_sizes=(1, 1, 1))
        ),
    )
    with pytest.raises(RuntimeError, match="features must be the model's"):
        export_saved_model(other, tmp_path)
    assert not any(tmp_path.iterdir())
