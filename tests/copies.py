"""The ways in which Keras makes a model anew from what it is."""

import copy
import pickle

import keras


def file(model, folder):
    model.save(folder / "model.keras")
    return keras.models.load_model(folder / "model.keras")


def pickled(model, _):
    return pickle.loads(pickle.dumps(model))


def deep(model, _):
    return copy.deepcopy(model)


def clone(model, _):
    return keras.models.clone_model(model)


# A clone has weights of its own.
WITH_WEIGHTS = (file, pickled, deep)
COPIES = (*WITH_WEIGHTS, clone)
