"""Contract suites and fakes, shipped to users."""
