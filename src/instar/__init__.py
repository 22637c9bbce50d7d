"""Instar updates deep-learning models that already run in production."""

__version__ = "0.1.0"
