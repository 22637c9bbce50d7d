"""The stages of an update; siblings never meet."""
