"""Numbers of the published RevViT networks, and the same networks here."""

import json
import pathlib

import numpy as np

import irevnet_tf
from irevnet_tf.models.revvit import RevViT

DATA = pathlib.Path(__file__).with_name("fixtures") / "revvit"
NAMES = ("slowfast", "minrev")
# What RevViT must be told to be the published network.
OPTIONS = {
    "slowfast": {},
    "minrev": {"pool_first": True, "norm_epsilons": (1e-6, 1e-5, 1e-5)},
}


class Published:
    """One of the published networks: weights, input, and what it answered."""

    def __init__(self, name):
        self.name = name
        self.data = dict(np.load(DATA / f"{name}.npz"))
        self.config = json.loads(bytes(self.data["config_json"]))
        self.images = self.data["images_nchw"].transpose(0, 2, 3, 1)

    def group(self, prefix):
        return {
            key.removeprefix(prefix): value
            for key, value in self.data.items()
            if key.startswith(prefix)
        }

    def build(self, **kwargs):
        sizes = ("depth", "width", "heads", "patch_size", "mlp_ratio")
        return RevViT(
            *(self.config[key] for key in sizes),
            **{
                "input_shape": (*self.config["image_size"], 3),
                "classes": self.config["classes"],
                "classifier_activation": None,
                **OPTIONS[self.name],
                **kwargs,
            },
        )

    def load(self, **kwargs):
        model = self.build(**kwargs)
        irevnet_tf.convert_state_dict(self.group("state/"), model)
        return model
