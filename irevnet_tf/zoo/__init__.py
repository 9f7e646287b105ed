"""Pretrained weights: their registry, records and files."""
