"""Command line applications.

| command                         | what it does                               |
|---------------------------------|--------------------------------------------|
| `irevnet-train`                 | trains a network                           |
| `irevnet-evaluate`              | measures its accuracy and inversion error  |
| `irevnet-invert`                | draws what its inverse rebuilds            |
| `irevnet-analyze`               | studies what it has learned                |
| `irevnet-portable`              | gives it the same bits in every runtime    |
| `irevnet-certify`               | proves that it has them                    |
| `irevnet-export`                | exports it as SavedModel, ONNX and LiteRT  |
| `irevnet-serve`                 | serves an export on this machine           |
| `irevnet-demo` (`serve_page`)   | shows it on a page in the browser          |
| `irevnet-convert`               | converts a PyTorch checkpoint              |
| `make demo` (`demo`)            | trains, measures, exports and serves       |
"""
