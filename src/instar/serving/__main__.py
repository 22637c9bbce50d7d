"""`python -m instar.serving`."""

from instar.serving.gateway import main

main()
