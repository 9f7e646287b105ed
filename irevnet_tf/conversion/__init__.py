"""Conversion of PyTorch checkpoints, and comparison with the originals."""
