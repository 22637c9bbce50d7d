"""The nouns of an update. Standard library only."""
