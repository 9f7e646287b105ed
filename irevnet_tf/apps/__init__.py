"""Command line applications.

| command                         | what it does                               |
|---------------------------------|--------------------------------------------|
| `irevnet-train`                 | trains a network                           |
| `irevnet-evaluate`              | measures its accuracy and inversion error  |
| `irevnet-invert`                | draws what its inverse rebuilds            |
| `irevnet-analyze`               | studies what it has learned                |
| `irevnet-export`                | makes a SavedModel of it, ONNX, LiteRT     |
| `irevnet-serve`                 | serves an export on this machine           |
| `irevnet-convert`               | converts a PyTorch checkpoint              |
| `make demo` (`demo`)            | all of it, in turn                         |
"""
