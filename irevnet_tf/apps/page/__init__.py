"""The parts of irevnet-demo: a page on which networks are tried out."""
