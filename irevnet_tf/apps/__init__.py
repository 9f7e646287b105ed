"""Command line applications.

| command                         | module                  |                   |
|---------------------------------|-------------------------|-------------------|
| `irevnet-train`                 | `train`                 | trains a network  |
| `irevnet-evaluate`              | `evaluate`              | measures it       |
| `irevnet-invert`                | `invert`                | draws what its    |
|                                 |                         | inverse rebuilds  |
| `irevnet-prepare-fashion-mnist` | `prepare_fashion_mnist` | makes a data set  |
|                                 |                         | from local files  |
| `make demo`                     | `demo`                  | the first three,  |
|                                 |                         | in turn           |
"""
