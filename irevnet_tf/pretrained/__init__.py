"""Weights from files: our own, and the authors' PyTorch checkpoints."""
