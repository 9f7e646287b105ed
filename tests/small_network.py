"""A small network for irevnet-train, where the network is not the subject."""

import functools

import irevnet_tf
from irevnet_tf.models.constructors import CONSTRUCTORS

small = functools.partial(
    irevnet_tf.IRevNet,
    blocks=(2, 2),
    strides=(1, 2),
    channels=(8, 32),
    initial_downsampling=1,
)


def instead_of_the_default(monkeypatch):
    """Let the command line's default mean the small network."""
    monkeypatch.setitem(CONSTRUCTORS, "IRevNet28", small)
