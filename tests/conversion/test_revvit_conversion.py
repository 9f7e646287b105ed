"""State dicts of the published RevViT networks, under each project's names."""

import re

import keras
import numpy as np
import published_revvit
import pytest
from state_dicts import assert_refused

import irevnet_tf
from irevnet_tf.models.vit import ViT


@pytest.fixture(scope="module")
def slowfast():
    return published_revvit.Published("slowfast")


@pytest.fixture(scope="module")
def minrev():
    return published_revvit.Published("minrev")


@pytest.fixture
def state(slowfast):
    return slowfast.group("state/")


def fused(state):
    """Return what SlowFast has without `SEPARATE_QKV`."""
    result = dict(state)
    for name in state:
        if ".attn.q." in name:
            parts = [result.pop(name.replace(".q.", f".{x}.")) for x in "qkv"]
            result[name.replace(".q.", ".qkv.")] = np.concatenate(parts)
    return result


def renamed(state, pairs):
    result = {}
    for name, value in state.items():
        for old, new in pairs:
            name = re.sub(f"^{old}", new, name)
        result[name] = value
    return result


def mmpretrain(state):
    """Return what mmpretrain's tool makes of SlowFast's state dict."""
    layer = r"(backbone\.layers\.\d+)"
    return renamed(
        fused(state),
        [
            (r"patch_embed\.proj", "backbone.patch_embed.projection"),
            ("pos_embed", "backbone.pos_embed"),
            (r"rev_backbone\.layers", "backbone.layers"),
            (rf"{layer}\.F\.norm", r"\1.ln1"),
            (rf"{layer}\.G\.norm", r"\1.ln2"),
            (rf"{layer}\.F\.attn", r"\1.attn"),
            (rf"{layer}\.G\.mlp\.fc1", r"\1.ffn.layers.0.0"),
            (rf"{layer}\.G\.mlp\.fc2", r"\1.ffn.layers.1"),
            ("norm", "backbone.ln1"),
            (r"head\.projection", "head.fc"),
        ],
    )


def parallel(state):
    return {f"module.{name}": value for name, value in state.items()}


@pytest.mark.parametrize("scheme", [fused, mmpretrain, parallel])
def test_names_of_other_projects(scheme, slowfast, state):
    expected = slowfast.load().get_weights()
    assert scheme(state).keys() != state.keys()
    arrays = irevnet_tf.convert_state_dict(scheme(state), slowfast.build())
    for array, weights in zip(arrays, expected, strict=True):
        np.testing.assert_array_equal(array, weights)


@pytest.mark.parametrize("name", published_revvit.NAMES)
def test_every_entry_goes_to_one_variable(name):
    published = published_revvit.Published(name)
    model = published.build()
    state = {
        name: np.full(value.shape, number, np.float32)
        for number, (name, value) in enumerate(
            published.group("state/").items()
        )
    }
    arrays = irevnet_tf.convert_state_dict(state, model)
    assert sum(map(np.size, arrays)) == sum(map(np.size, state.values()))
    found = {array.flat[0] for array in arrays}
    assert all(np.all(array == array.flat[0]) for array in arrays)
    assert found == set(range(len(state)))


def test_networks_without_classifier_take_the_rest(slowfast, state):
    whole = slowfast.load()
    base = slowfast.load(include_top=False)
    expected = irevnet_tf.encoder(whole)(slowfast.images)
    np.testing.assert_array_equal(base(slowfast.images), expected)
    pooled = slowfast.load(include_top=False, pooling="avg")
    expected = keras.Model(whole.input, whole.get_layer("avg_pool").output)
    np.testing.assert_array_equal(
        pooled(slowfast.images), expected(slowfast.images)
    )


@pytest.mark.parametrize("key", ["model_state", "state_dict"])
def test_files(key, slowfast, state, tmp_path):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    tensors = {name: torch.tensor(value) for name, value in state.items()}
    content = {"epoch": 3, key: tensors, "optimizer_state": {}, "cfg": "text"}
    torch.save(content, tmp_path / "checkpoint.pyth")
    model = slowfast.build()
    irevnet_tf.load_pytorch_checkpoint(model, tmp_path / "checkpoint.pyth")
    np.testing.assert_allclose(
        model(slowfast.images), slowfast.data["logits"], atol=1e-5
    )
    with pytest.raises(ValueError, match=f"pass checkpoint.'{key}'.*Received"):
        irevnet_tf.convert_state_dict({key: state}, model)


QUERY = "rev_backbone.layers.1.F.attn.q.weight"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop(QUERY), rf"1 missing \['{QUERY}'\], 0 left over"),
        (lambda s: s.update(extra=np.zeros(3)), r"1 left over \['extra'\]"),
        (
            lambda s: s.update({QUERY: s[QUERY][:8]}),
            rf"needs \(16, 16\). Received: {QUERY} with shape \(8, 16\)",
        ),
        (
            lambda s: s.update(pos_embed=np.zeros((1, 16, 16))),
            r"needs \(1, 9, 16\). Received: pos_embed with.*\(1, 16, 16\)",
        ),
        (
            lambda s: s.update(pos_embed=s["pos_embed"] * np.nan),
            "finite in float32. Received: pos_embed with 144 of 144",
        ),
        (
            lambda s: s.update(
                {QUERY.replace(".q.", ".qkv."): np.zeros((48, 16))}
            ),
            "under one name. Received: twice .*attn.q.weight",
        ),
        (
            lambda s: s.update(
                {QUERY.replace(".q.", ".qkv."): np.zeros((47, 16))}
            ),
            "1 left over .*attn.qkv.weight",
        ),
    ],
    ids=["missing", "left", "short", "size", "nan", "twice", "indivisible"],
)
def test_state_dicts_that_do_not_fit(change, message, slowfast, state):
    change(state)
    assert_refused(state, slowfast.build(), message)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"depth": 2}, "0 missing.*left over .*rev_backbone.layers.2"),
        ({"depth": 4}, "missing .*rev_backbone.layers.3.*0 left over"),
        ({"mlp_ratio": 2.0}, r"needs \(32, 16\).*fc1.weight.*\(48, 16\)"),
        ({"classes": 3}, r"needs \(3, 32\).*head.projection.weight"),
        ({"image_size": (12, 16)}, r"needs \(1, 12, 16\).*pos_embed"),
    ],
    ids=str,
)
def test_networks_of_another_size(options, message, slowfast, state):
    other = published_revvit.Published("slowfast")
    other.config.update(options)
    assert_refused(state, other.build(), message)


def test_networks_with_other_norms(slowfast, minrev):
    assert_refused(
        minrev.group("state/"),
        minrev.build(pool_first=False, norm_epsilons=(1e-6,) * 3),
        r"of minREV must be built with `norm_epsilons=\(1e-06, 1e-05, 1e-05\)`"
        r" and `pool_first=True`.*Received: .*\(1e-06, 1e-06, 1e-06\), "
        "pool_first=False",
    )
    assert_refused(
        slowfast.group("state/"),
        slowfast.build(norm_epsilons=(1e-6, 1e-5, 1e-5)),
        r"of SlowFast must be built with `norm_epsilons=\(1e-06, 1e-06, 1e-06",
    )
    pool_first = slowfast.build(pool_first=True)
    assert_refused(
        mmpretrain(slowfast.group("state/")),
        pool_first,
        "of mmpretrain must be built with.*`pool_first=False`",
    )
    # As SlowFast's `USE_MEAN_POOLING` has it.
    irevnet_tf.convert_state_dict(slowfast.group("state/"), pool_first)
    # Without a head, it is the blocks alone that count.
    state = minrev.group("state/")
    minrev.build(include_top=False)
    with pytest.raises(ValueError, match="of minREV must be built with"):
        irevnet_tf.convert_state_dict(
            state,
            minrev.build(include_top=False, norm_epsilons=(1e-6,) * 3),
        )


def test_the_number_of_heads_does_not_show(slowfast):
    other = published_revvit.Published("slowfast")
    other.config["heads"] *= 2
    expected, found = slowfast.load(), other.load()
    for ours, theirs in zip(expected.weights, found.weights, strict=True):
        assert np.size(ours) == np.size(theirs)
    images = slowfast.images
    assert np.max(np.abs(found(images) - expected(images))) > 1e-3


def test_networks_that_are_no_revvit(slowfast, state):
    model = ViT(1, 16, 2, 4, input_shape=(12, 12, 3), classes=5)
    assert_refused(state, model, "`model` must be an i-RevNet.*or a RevViT")
    base = slowfast.build(include_top=False, pooling="avg")
    extended = keras.Model(base.input, keras.layers.Dense(3)(base.output))
    assert_refused(state, extended, "before extending it. Received")


def test_state_dicts_of_other_networks(slowfast):
    state = {"stack.0.bottleneck_block.0.weight": np.zeros((4, 4, 3, 3))}
    assert_refused(state, slowfast.build(), "1 left over .'stack.0")
