"""The demo: four acts on real flights, through the same service that a team would use."""
