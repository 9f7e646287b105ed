"""Command line applications.

| command            | module                     |                        |
|--------------------|----------------------------|------------------------|
| `irevnet-train`    | `irevnet_tf.apps.train`    | trains a network       |
| `irevnet-evaluate` | `irevnet_tf.apps.evaluate` | measures a trained one |
| `irevnet-invert`   | `irevnet_tf.apps.invert`   | draws reconstructions  |
| `make demo`        | `irevnet_tf.apps.demo`     | the three, in turn     |
"""
