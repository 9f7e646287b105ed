"""Private names of Keras, TensorFlow and TFDS: those in the table, no others.

The table is in CONTRIBUTING.md. Where one of these tests fails, it is the table
that is to be changed, or the code.

What counts as private: modules that are no part of an API; attributes with an
underscore that no class of this package has; those that a class of this
package has in place of a library's; and strings that look like such a name.
"""

import ast
import collections
import importlib
import pathlib
import re

import pytest

import irevnet_tf

PACKAGE = pathlib.Path(irevnet_tf.__file__).parent
TABLE = pathlib.Path(__file__).parents[1] / "CONTRIBUTING.md"
HEADING = "## Where private parts of Keras are used"

LIBRARIES = ("keras", "tensorflow", "tensorflow_datasets")
PRIVATE_MODULES = (
    "keras.src",
    "tensorflow.__internal__",
    "tensorflow.compiler",
    "tensorflow.core",
    "tensorflow.python",
    "tensorflow_datasets.core.registered",
)
SHORT = {"tf": "tensorflow", "tfds": "tensorflow_datasets"}
PRIVATE_NAME = re.compile(r"_[a-zA-Z]\w*(?<!__)")
# The functions whose string is a part of a name.
OF_PARTS = {"endswith", "removeprefix", "removesuffix", "startswith"}


def in_private_module(name):
    return f"{name}.".startswith(tuple(f"{m}." for m in PRIVATE_MODULES))


def root(name):
    return name.split(".")[0]


class Module:
    """A module of the package.

    Attributes:
        tree: its syntax.
        imports: {name in the module: dotted name of what it is}.
        imported: dotted names of all modules and parts of them.
        classes: {name: definition}.
        parents: {node: the node that it is a part of}.
    """

    def __init__(self, source):
        self.tree = ast.parse(source)
        self.imports, self.imported, self.classes = {}, set(), {}
        self.parents = {
            child: node
            for node in ast.walk(self.tree)
            for child in ast.iter_child_nodes(node)
        }
        for node in ast.walk(self.tree):
            if isinstance(node, ast.ClassDef):
                self.classes[node.name] = node
            elif isinstance(node, ast.Import):
                for alias in node.names:
                    self.imported.add(alias.name)
                    name = alias.asname or root(alias.name)
                    whole = alias.name if alias.asname else name
                    self.imports[name] = whole
            elif isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    whole = f"{node.module}.{alias.name}"
                    self.imported.add(whole)
                    self.imports[alias.asname or alias.name] = whole

    def dotted(self, node):
        """Return the dotted name of what is imported, or None."""
        if isinstance(node, ast.Name):
            return self.imports.get(node.id)
        if isinstance(node, ast.Attribute):
            value = self.dotted(node.value)
            return value and f"{value}.{node.attr}"
        return None

    def class_of(self, node):
        """Return the definition of the class that a node is in, or None."""
        while node is not None and not isinstance(node, ast.ClassDef):
            node = self.parents.get(node)
        return node


def is_self(node):
    return isinstance(node, ast.Name) and node.id in ("self", "cls")


def is_super(node):
    return isinstance(node, ast.Call) and ast.unparse(node.func) == "super"


def members(definition):
    """Return the names that a class gives to its attributes."""
    names = set()
    for node in definition.body:
        if isinstance(
            node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
        ):
            names.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = getattr(node, "targets", None) or [node.target]
            names.update(ast.unparse(target) for target in targets)
    for node in ast.walk(definition):
        if isinstance(node, ast.Attribute) and is_self(node.value):
            if isinstance(node.ctx, ast.Store):
                names.add(node.attr)
    return names


def imported_object(name):
    """Return what a dotted name of a library stands for."""
    module, *rest = name.split(".")
    found = importlib.import_module(module)
    for part in rest:
        module = f"{module}.{part}"
        if not hasattr(found, part):
            importlib.import_module(module)
        found = getattr(found, part)
    return found


class Scan:
    """The private names in the modules of a package.

    Args:
        sources: {path: source}.
    """

    def __init__(self, sources):
        self.modules = {path: Module(s) for path, s in sources.items()}
        # Classes of the package are told apart by their name alone.
        self.classes = {
            name: (module, definition)
            for module in self.modules.values()
            for name, definition in module.classes.items()
        }
        self.own = set().union(
            *(members(definition) for _, definition in self.classes.values())
        )

    def uses(self):
        """Return {private name: paths}, the name dotted where it is known."""
        found = collections.defaultdict(set)
        for path, module in self.modules.items():
            for name in self._of_module(module):
                found[name].add(path)
        # Where a name that is private is used like one of this package.
        for path, module in self.modules.items():
            for node in ast.walk(module.tree):
                name = getattr(node, "attr", getattr(node, "name", None))
                if name in found:
                    found[name].add(path)
        return dict(found)

    def _of_module(self, module):
        for definition in module.classes.values():
            yield from self._overridden(module, definition)
        dotted = set()
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Attribute):
                name = module.dotted(node)
                if self._is_private(module, node, name):
                    known = name and root(name) in LIBRARIES
                    dotted.add(name if known else node.attr)
            elif isinstance(node, ast.Constant):
                if self._names_something(module, node):
                    yield node.value
        yield from dotted
        for name in filter(in_private_module, module.imported):
            if not any(other.startswith(f"{name}.") for other in dotted):
                yield name

    def _overridden(self, module, definition):
        libraries = [
            imported_object(name)
            for name in self._bases(module, definition, of_libraries=True)
        ]
        for name in members(definition):
            if PRIVATE_NAME.fullmatch(name) and any(
                hasattr(library, name) for library in libraries
            ):
                yield name

    def _bases(self, module, definition, *, of_libraries):
        """Return dotted names in libraries, or definitions in the package."""
        found = []
        for base in definition.bases:
            name = module.dotted(base) or ast.unparse(base)
            own = self.classes.get(name.split(".")[-1])
            if root(name) in LIBRARIES:
                found += [name] if of_libraries else []
            elif own and own[1] is not definition:
                found += [] if of_libraries else [own[1]]
                found += self._bases(*own, of_libraries=of_libraries)
        return found

    def _is_private(self, module, node, name):
        parent = module.parents[node]
        if name and root(name) in LIBRARIES:
            is_whole = not isinstance(parent, ast.Attribute)
            return (is_whole and in_private_module(name)) or (
                PRIVATE_NAME.fullmatch(node.attr) is not None
            )
        if name or not PRIVATE_NAME.fullmatch(node.attr):
            return False  # Of this package, or of another library.
        if is_super(node.value):
            bases = self._bases(
                module, module.class_of(node), of_libraries=False
            )
            return not any(node.attr in members(base) for base in bases)
        return node.attr not in self.own

    def _names_something(self, module, node):
        """Return whether a string is a private name, as for `getattr`."""
        if not isinstance(node.value, str) or "irevnet" in node.value:
            return False
        if in_private_module(node.value) and " " not in node.value:
            return True
        parent = module.parents[node]
        function = getattr(parent, "func", None)
        is_part = (
            isinstance(parent, ast.JoinedStr | ast.BinOp)
            or getattr(function, "attr", None) in OF_PARTS
        )
        return (
            PRIVATE_NAME.fullmatch(node.value) is not None
            and node.value not in self.own
            and not is_part
        )


def is_same(name, other):
    """Return whether one is the other, or the end of it."""
    name, other = (
        ".".join([SHORT.get(root(n), root(n)), *n.split(".")[1:]])
        for n in (name, other)
    )
    return f".{name}".endswith(f".{other}") or f".{other}".endswith(f".{name}")


def code(cell):
    return re.findall(r"`([^`]+)`", cell)


def table():
    """Return the table's rows: names, and paths."""
    section = TABLE.read_text(encoding="utf-8").split(HEADING)[1]
    lines = section.split("\n## ")[0].splitlines()
    rows = [line.split("|")[1:-1] for line in lines if line.startswith("| `")]
    return [(code(what), set(code(where))) for what, _, where in rows]


@pytest.fixture(scope="module")
def uses():
    return Scan(
        {
            path.relative_to(PACKAGE).as_posix(): path.read_text("utf-8")
            for path in sorted(PACKAGE.rglob("*.py"))
        }
    ).uses()


def test_every_private_name_is_in_the_table(uses):
    names = [name for names, _ in table() for name in names]
    missing = {
        name: sorted(paths)
        for name, paths in uses.items()
        if not any(is_same(name, other) for other in names)
    }
    assert not missing, "These names are missing in CONTRIBUTING.md's table."


def test_every_name_in_the_table_is_used(uses):
    unused = [
        name
        for names, _ in table()
        for name in names
        if not any(is_same(name, other) for other in uses)
    ]
    assert not unused, "These rows of CONTRIBUTING.md's table can be deleted."


def test_the_table_says_where(uses):
    for names, paths in table():
        found = {
            path
            for name, its_paths in uses.items()
            if any(is_same(name, other) for other in names)
            for path in its_paths
        }
        cell = ", ".join(f"`{path}`" for path in sorted(found))
        assert paths == found, f"{names} in CONTRIBUTING.md: write | {cell} |"


def test_no_name_is_in_the_table_twice():
    names = [name for names, _ in table() for name in names]
    assert len(set(names)) == len(names)


FOUND = {
    "from keras.src import backend": {"keras.src.backend"},
    "import keras.src.backend": {"keras.src.backend"},
    "import tensorflow.python.eager.record as r\nr.stop_recording()": {
        "tensorflow.python.eager.record.stop_recording"
    },
    "def f():\n    from tensorflow.core.protobuf import config_pb2": {
        "tensorflow.core.protobuf.config_pb2"
    },
    "import tensorflow as tf\ntf.__internal__.tracking.Trackable": {
        "tensorflow.__internal__.tracking.Trackable"
    },
    "import tensorflow as tf\ntf.Graph._x": {"tensorflow.Graph._x"},
    "model._flatten_layers()": {"_flatten_layers"},
    "model.optimizer._iterations.value": {"_iterations"},
    "del layer._metrics": {"_metrics"},
    "layer._losses = []": {"_losses"},
    "class A:\n    def f(self):\n        return self._x": {"_x"},
    "import keras\nclass A(keras.layers.BatchNormalization):\n"
    "    def _moments(self, x, mask):\n        pass": {"_moments"},
    "import keras\nclass A(keras.Layer):\n    pass\n"
    "class B(A):\n    _flatten_layers = None": {"_flatten_layers"},
    "class Mixin:\n    def _children(self):\n"
    "        return super()._children()": {"_children"},
    "getattr(x, '_x')": {"_x"},
    "for name in ('_x', '_y'):\n    setattr(x, name, 1)": {"_x", "_y"},
    "importlib.import_module('keras.src.backend')": {"keras.src.backend"},
}
NOT_FOUND = [
    "import os\nos._exit(1)",
    "from irevnet_tf import data\ndata._helper()",
    "class A:\n    def __init__(self):\n        self._x = 1\n"
    "    def f(self, other):\n        return self._x + other._x",
    "class A:\n    def _f(self):\n        pass\n"
    "class B(A):\n    def _f(self):\n        super()._f()",
    "import keras\nclass A(keras.Layer):\n    def _own_name(self):\n"
    "        pass",
    "x.__class__, x.__dict__",
    "f'{name}_axis', name + '_axis', name.removesuffix('_axis')",
    "for _ in '_':\n    pass",
    "import keras\nkeras.layers.Dense(1)",
]


@pytest.mark.parametrize("source", FOUND)
def test_what_is_private(source):
    assert Scan({"a.py": source}).uses() == {
        name: {"a.py"} for name in FOUND[source]
    }


@pytest.mark.parametrize("source", NOT_FOUND)
def test_what_is_not(source):
    assert Scan({"a.py": source}).uses() == {}


def test_names_are_found_across_modules():
    sources = {
        "a.py": "import keras\nclass A(keras.Layer):\n"
        "    def _flatten_layers(self):\n        pass",
        "b.py": "def f(layer):\n    return layer._flatten_layers()",
        "c.py": "from package.a import A\nclass C(A):\n"
        "    def get(self):\n        return self._flatten_layers",
    }
    assert Scan(sources).uses() == {"_flatten_layers": set(sources)}
