"""Contract suites: what every member of a family, and every store, must do.

Subclass a suite in a test file and give it the fixtures that it names. They need pytest.
"""
