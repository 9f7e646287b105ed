"""Docstrings of public names are complete, alike, and their examples run.

Examples know `irevnet_tf`, `keras`, `np` and `tf`, and import all else.
"""

import dataclasses
import doctest
import inspect
import pathlib
import re
import shutil

import docstrings
import keras
import numpy as np
import pytest
import tensorflow as tf

import irevnet_tf
from irevnet_tf.models.constructors import CONSTRUCTORS

PUBLIC = docstrings.public_names()
FUNCTIONS = [name for name in PUBLIC if not inspect.isclass(PUBLIC[name])]
CLASSES = [name for name in PUBLIC if inspect.isclass(PUBLIC[name])]
LAYERS = [
    name for name in CLASSES if issubclass(PUBLIC[name], keras.layers.Layer)
]
RECORDS = [name for name in CLASSES if dataclasses.is_dataclass(PUBLIC[name])]
PLAIN_CLASSES = [
    name
    for name in CLASSES
    if name not in RECORDS and not issubclass(PUBLIC[name], BaseException)
]
METHODS = {
    f"{name}.{method}": function
    for name in CLASSES
    for method, function in docstrings.methods(PUBLIC[name]).items()
}
DOCUMENTED = {**PUBLIC, **METHODS}
# Optional libraries of examples.
NEEDS = {
    "irevnet_tf.convert_state_dict": ["torch"],
    "irevnet_tf.export.export_onnx": ["onnx", "tf2onnx"],
    "irevnet_tf.load_pytorch_checkpoint": ["torch"],
}
# Files that examples read.
FIXTURES = pathlib.Path(__file__).parents[1] / "fixtures"
CHECKPOINT = {"irevnet.pth.tar": "parity/bijective_checkpoint.pth.tar"}
FILES = {
    "irevnet_tf.convert_state_dict": CHECKPOINT,
    "irevnet_tf.load_pytorch_checkpoint": CHECKPOINT,
}
# One network of each template; building the large ones takes too long.
NETWORKS = [x for x in PUBLIC if x.rpartition(".")[2] in CONSTRUCTORS]
SMALL_NETWORKS = [
    "irevnet_tf.IRevNet19",
    "irevnet_tf.RevNet38",
    "irevnet_tf.RevViTMini",
    "irevnet_tf.baselines.ResNet32",
    "irevnet_tf.baselines.ViTMini",
]
WITH_EXAMPLES = [
    name
    for name, value in DOCUMENTED.items()
    if docstrings.section(value, "Example")
    and (name not in NETWORKS or name in SMALL_NETWORKS)
]
NO_VERB = re.compile(r"(A|An|Of|The|What|When|Where|Whether|\w*[^s]s)\b")
DTYPE = re.compile(r"\b(bool|dtype|float|int)(s|\d+)?\b")


def _parameters(value):
    """Return {name: parameter} of a function or constructor, without self."""
    if inspect.isclass(value):
        value = vars(value).get("__init__", lambda self: None)
    parameters = inspect.signature(value).parameters
    return {
        {
            inspect.Parameter.VAR_POSITIONAL: "*",
            inspect.Parameter.VAR_KEYWORD: "**",
        }.get(parameter.kind, "")
        + name: parameter
        for name, parameter in parameters.items()
        if name not in ("self", "cls")
    }


@pytest.mark.parametrize("name", DOCUMENTED)
def test_the_first_line_is_a_sentence(name):
    line = docstrings.first_line(DOCUMENTED[name])
    assert line[0].isupper() and line.endswith("."), line
    if name in FUNCTIONS:
        assert not NO_VERB.match(line), line


@pytest.mark.parametrize("name", DOCUMENTED)
def test_sections_have_known_titles_in_one_order(name):
    titles = docstrings.titles(DOCUMENTED[name])
    assert set(titles) <= set(docstrings.SECTIONS)
    assert titles == sorted(titles, key=docstrings.SECTIONS.index)


@pytest.mark.parametrize("name", [*FUNCTIONS, *PLAIN_CLASSES, *METHODS])
def test_args_are_those_of_the_signature(name):
    parameters = _parameters(DOCUMENTED[name])
    found = docstrings.entries(DOCUMENTED[name], "Args")
    if name in METHODS and not found:
        return
    # Layers pass `name`, `dtype` and `trainable` on to Keras.
    more = {"dtype"} if "**kwargs" in parameters else set()
    assert {*parameters} - {"**kwargs"} <= {*found} <= {*parameters} | more
    assert [x for x in found if x in parameters] == [
        x for x in parameters if x in found
    ]


@pytest.mark.parametrize("name", DOCUMENTED)
def test_entries_give_a_type_and_a_meaning(name):
    for title in ("Args", "Attributes", "Call arguments"):
        for entry, text in docstrings.entries(DOCUMENTED[name], title).items():
            assert re.fullmatch(r"[^ ].*[^. ]\. .+\.", text), (entry, text)


@pytest.mark.parametrize("name", RECORDS)
def test_fields_of_records_are_described(name):
    fields = vars(PUBLIC[name]).get("__annotations__", {})
    found = docstrings.entries(PUBLIC[name], "Attributes")
    assert list(found) == [x for x in fields if not x.startswith("_")]


@pytest.mark.parametrize("name", LAYERS)
def test_layers_describe_their_call(name):
    call = _parameters(PUBLIC[name].call)
    found = docstrings.entries(PUBLIC[name], "Call arguments")
    assert found
    assert {*found} == {*call} or {"*args", "**kwargs"} <= {*call}
    for title in ("Input shape", "Output shape"):
        text = docstrings.section(PUBLIC[name], title)
        assert text, title
        assert DTYPE.search(text), (title, text)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_say_what_they_return(name):
    returned = inspect.signature(PUBLIC[name]).return_annotation
    titles = docstrings.titles(PUBLIC[name])
    assert (returned is not None) == bool({"Returns", "Yields"} & {*titles})


@pytest.mark.parametrize("name", [*FUNCTIONS, *PLAIN_CLASSES, *METHODS])
def test_signatures_are_annotated(name):
    value = DOCUMENTED[name]
    for parameter in _parameters(value).values():
        if parameter.name != "kwargs":
            assert parameter.annotation is not parameter.empty, parameter
    if name not in CLASSES:
        signature = inspect.signature(value)
        assert signature.return_annotation is not signature.empty


@pytest.mark.parametrize("name", [*FUNCTIONS, *PLAIN_CLASSES])
def test_there_is_an_example(name):
    assert docstrings.section(PUBLIC[name], "Example")


def _template(name):
    text = docstrings.section(PUBLIC[name], "Example")
    return re.sub(r"\d+", "0", text.replace(name, "network"))


@pytest.mark.parametrize("name", NETWORKS)
def test_examples_of_networks_are_alike(name):
    assert _template(name) in map(_template, SMALL_NETWORKS)


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_examples_run(name, tmp_path, monkeypatch):
    for module in NEEDS.get(name, ()):
        pytest.importorskip(module)
    for file, fixture in FILES.get(name, {}).items():
        shutil.copy(FIXTURES / fixture, tmp_path / file)
    monkeypatch.chdir(tmp_path)
    text = docstrings.section(DOCUMENTED[name], "Example")
    names = {"irevnet_tf": irevnet_tf, "keras": keras, "np": np, "tf": tf}
    fenced = re.findall(r"^```python\n(.*?)^```$", text + "\n", re.M | re.S)
    for code in fenced:
        exec(compile(code, name, "exec"), names)
    test = doctest.DocTestParser().get_doctest(text, names, name, None, None)
    assert fenced or test.examples
    told = []
    doctest.DocTestRunner(
        optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    ).run(test, out=told.append)
    assert not told, "".join(told)
