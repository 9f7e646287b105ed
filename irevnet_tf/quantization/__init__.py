"""Portable networks: residuals in integers, certified, the same everywhere."""
