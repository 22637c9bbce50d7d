"""The prediction gateway. No torch."""
