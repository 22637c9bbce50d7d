"""Append and read: journal and artifacts."""
