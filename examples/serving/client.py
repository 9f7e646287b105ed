"""Classify digits on a server, fetch their features, and decode them again.

    python client.py --address=grpc://localhost:8500
    python client.py --address=http://localhost:8501

With --local=exported/digits it starts a temporary local server, in Python.
The images have to come back exactly, or it fails.
"""

import contextlib

import numpy as np
from absl import app
from absl import flags
from sklearn.datasets import load_digits

from irevnet_tf.serving import Client
from irevnet_tf.serving import LocalServer

ADDRESS = flags.DEFINE_string(
    "address", "grpc://localhost:8500", "Of the server, grpc or http."
)
LOCAL = flags.DEFINE_string(
    "local", None, "Serve this export over REST, instead of --address."
)
MODEL = flags.DEFINE_string("model", "digits", "The model's name there.")
COUNT = flags.DEFINE_integer("count", 8, "Digits to send.", lower_bound=1)


def show(client: Client, count: int) -> None:
    """Send digits back and forth and print what the server says."""
    images = np.rint(load_digits().images[:count, ..., None] * (255 / 16))
    found = client.classify(images)
    for name, row in zip(found.classes, found.probabilities, strict=True):
        print(f"{name}: {row.max():.3f}")
    features = client.encode(images)
    again = np.rint(client.decode(features))
    if not np.array_equal(again, images):
        worst = np.abs(again - images).max()
        raise RuntimeError(f"The images came back changed by up to {worst}.")
    print(
        f"{count} images {images.shape[1:]} -> features {features.shape[1:]} "
        "-> the same images"
    )


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError("Too many command-line arguments.")
    with contextlib.ExitStack() as stack:
        address = ADDRESS.value
        if LOCAL.value is not None:
            server = LocalServer(LOCAL.value, MODEL.value)
            address = stack.enter_context(server).rest_address
        client = stack.enter_context(Client(address, MODEL.value))
        show(client, COUNT.value)


if __name__ == "__main__":
    app.run(main)
