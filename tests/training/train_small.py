"""irevnet-train, with a small network under the name of the default one."""

import small_network

from irevnet_tf.apps import train
from irevnet_tf.models.constructors import CONSTRUCTORS

CONSTRUCTORS["IRevNet28"] = small_network.small

if __name__ == "__main__":
    train.run()
