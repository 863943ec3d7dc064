"""`python -m gemvec` is the `gemvec` command."""

from gemvec.cli import main

main()
