"""Command line applications.

| command                         | what it does                             |
|---------------------------------|------------------------------------------|
| `irevnet-train`                 | trains a network                         |
| `irevnet-evaluate`              | measures it                              |
| `irevnet-invert`                | draws what its inverse rebuilds          |
| `irevnet-prepare-fashion-mnist` | makes a data set from local files        |
| `make demo` (`demo`)            | the first three, in turn                 |
"""
