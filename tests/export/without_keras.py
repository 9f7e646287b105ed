"""Runs a SavedModel where neither Keras nor this package can be imported.

    python without_keras.py CALLS.pickle RESULTS.pickle

CALLS is a list of triples: the directory of a SavedModel, the name of a
signature and {input: array}. RESULTS becomes a list of dicts of arrays.
"""

import pathlib
import pickle
import sys

# An import of one of these raises ImportError from now on.
sys.modules.update(dict.fromkeys(("keras", "tf_keras", "irevnet_tf")))

import tensorflow as tf  # noqa: E402


def main(calls, results):
    models, found = {}, []
    for version, name, inputs in pickle.loads(pathlib.Path(calls).read_bytes()):
        if version not in models:
            models[version] = tf.saved_model.load(version)
        signature = models[version].signatures[name]
        inputs = {name: tf.constant(array) for name, array in inputs.items()}
        outputs = signature(**inputs)
        found.append({name: t.numpy() for name, t in outputs.items()})
    pathlib.Path(results).write_bytes(pickle.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
