"""Conversion of PyTorch checkpoints, and proof of what came of it."""
