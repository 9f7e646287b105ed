"""Command line applications.

| command                         | what it does                               |
|---------------------------------|--------------------------------------------|
| `irevnet-train`                 | trains a network                           |
| `irevnet-evaluate`              | measures its accuracy and inversion error  |
| `irevnet-invert`                | draws what its inverse rebuilds            |
| `irevnet-analyze`               | studies what it has learned                |
| `irevnet-export`                | exports it as SavedModel, ONNX and LiteRT  |
| `irevnet-serve`                 | serves an export on this machine           |
| `irevnet-convert`               | converts a PyTorch checkpoint              |
| `make demo` (`demo`)            | all but analysis and conversion, in turn   |
"""
