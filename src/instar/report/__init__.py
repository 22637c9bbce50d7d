"""One self-contained page per update."""
