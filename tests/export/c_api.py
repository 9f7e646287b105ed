"""Runs a SavedModel by TensorFlow's C API, without TensorFlow in Python.

    python c_api.py LIBRARY_FOLDER CALLS.pickle RESULTS.pickle

`TF_LoadSessionFromSavedModel` is the loader of TensorFlow Serving. CALLS is a
list of triples: the directory of a SavedModel, {name of a tensor in its graph:
array} to feed, and the names of the tensors to fetch. RESULTS becomes a list
of lists of arrays.
"""

import ctypes
import pathlib
import pickle
import sys
import types

import numpy as np

DTYPES = {1: np.dtype("float32"), 2: np.dtype("float64")}
STRING = 7
# sizeof(TF_TString)
STRING_SIZE = 24


class Output(ctypes.Structure):
    """TF_Output: an operation and the index of one of its outputs."""

    _fields_ = [("operation", ctypes.c_void_p), ("index", ctypes.c_int)]


def load_library(folder):
    """Return the C functions, with the types of what they return and take."""
    address, size, text = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p
    integer, long = ctypes.c_int, ctypes.c_int64
    shape = ctypes.POINTER(long)
    outputs, addresses = ctypes.POINTER(Output), ctypes.POINTER(address)
    session_run = [address, address]
    session_run += [outputs, addresses, integer] * 2
    session_run += [addresses, integer, address, address]
    declared = {
        "TF_NewStatus": (address, []),
        "TF_GetCode": (integer, [address]),
        "TF_Message": (text, [address]),
        "TF_NewGraph": (address, []),
        "TF_NewSessionOptions": (address, []),
        "TF_LoadSessionFromSavedModel": (
            address,
            [address, address, text, ctypes.POINTER(text), integer]
            + [address] * 3,
        ),
        "TF_GraphOperationByName": (address, [address, text]),
        "TF_SessionRun": (None, session_run),
        "TF_AllocateTensor": (address, [integer, shape, integer, size]),
        "TF_TensorType": (integer, [address]),
        "TF_NumDims": (integer, [address]),
        "TF_Dim": (long, [address, integer]),
        "TF_TensorData": (address, [address]),
        "TF_TensorByteSize": (size, [address]),
        "TF_StringInit": (None, [address]),
        "TF_StringCopy": (None, [address, text, size]),
        "TF_StringGetDataPointer": (address, [address]),
        "TF_StringGetSize": (size, [address]),
    }
    names = ("libtensorflow_framework.so.2", "libtensorflow_cc.so.2")
    libraries = [
        ctypes.CDLL(pathlib.Path(folder, name), mode=ctypes.RTLD_GLOBAL)
        for name in names
    ]
    functions = types.SimpleNamespace()
    for name, (returned, taken) in declared.items():
        library = next(lib for lib in libraries if hasattr(lib, name))
        function = getattr(library, name)
        function.restype, function.argtypes = returned, taken
        setattr(functions, name, function)
    return functions


def main(folder, calls, results):
    c = load_library(folder)
    sessions, found = {}, []
    for version, *arguments in pickle.loads(pathlib.Path(calls).read_bytes()):
        if version not in sessions:
            sessions[version] = load_session(c, version)
        found.append(run(c, *sessions[version], *arguments))
    unwanted = {"tensorflow", "keras", "irevnet_tf"} & set(sys.modules)
    assert not unwanted, unwanted
    pathlib.Path(results).write_bytes(pickle.dumps(found))


def load_session(c, version):
    """Return the session and the graph of a SavedModel."""
    status, graph = c.TF_NewStatus(), c.TF_NewGraph()
    tags = (ctypes.c_char_p * 1)(b"serve")
    session = c.TF_LoadSessionFromSavedModel(
        c.TF_NewSessionOptions(),
        None,
        version.encode(),
        tags,
        len(tags),
        graph,
        None,
        status,
    )
    check(c, status)
    return session, graph


def run(c, session, graph, feeds, fetches):
    """Return the arrays of the fetched tensors."""

    def outputs(names):
        found = []
        for name in names:
            operation, index = name.rsplit(":", 1)
            address = c.TF_GraphOperationByName(graph, operation.encode())
            assert address, f"no operation {operation}"
            found.append(Output(address, int(index)))
        return (Output * len(found))(*found)

    status = c.TF_NewStatus()
    values = [make_tensor(c, array) for array in feeds.values()]
    fetched = (ctypes.c_void_p * len(fetches))()
    c.TF_SessionRun(
        session,
        None,
        outputs(feeds),
        (ctypes.c_void_p * len(values))(*values),
        len(values),
        outputs(fetches),
        fetched,
        len(fetched),
        None,
        0,
        None,
        status,
    )
    check(c, status)
    return [read_tensor(c, tensor) for tensor in fetched]


def check(c, status):
    if c.TF_GetCode(status):
        sys.exit(c.TF_Message(status).decode())


def make_tensor(c, array):
    shape = (ctypes.c_int64 * array.ndim)(*array.shape)
    if array.dtype != object:
        code = {dtype: code for code, dtype in DTYPES.items()}[array.dtype]
        data = np.ascontiguousarray(array).tobytes()
        tensor = c.TF_AllocateTensor(code, shape, array.ndim, len(data))
        ctypes.memmove(c.TF_TensorData(tensor), data, len(data))
        return tensor
    tensor = c.TF_AllocateTensor(
        STRING, shape, array.ndim, array.size * STRING_SIZE
    )
    start = c.TF_TensorData(tensor)
    for index, value in enumerate(array.ravel()):
        place = start + index * STRING_SIZE
        c.TF_StringInit(place)
        c.TF_StringCopy(place, value, len(value))
    return tensor


def read_tensor(c, tensor):
    code = c.TF_TensorType(tensor)
    shape = [c.TF_Dim(tensor, axis) for axis in range(c.TF_NumDims(tensor))]
    data = c.TF_TensorData(tensor)
    if code != STRING:
        size = c.TF_TensorByteSize(tensor)
        values = np.frombuffer(ctypes.string_at(data, size), DTYPES[code])
        return values.reshape(shape)
    places = range(data, data + int(np.prod(shape)) * STRING_SIZE, STRING_SIZE)
    values = [
        ctypes.string_at(
            c.TF_StringGetDataPointer(place), c.TF_StringGetSize(place)
        )
        for place in places
    ]
    return np.array(values, object).reshape(shape)


if __name__ == "__main__":
    main(*sys.argv[1:])
