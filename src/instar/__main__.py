"""`python -m instar`."""

from instar.cli import main

main()
