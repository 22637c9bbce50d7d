"""Data sets: reading, snapshots, schema, preprocessing, splits."""
