"""``python -m vecsearch``: the command line."""

from vecsearch.cli import main

if __name__ == "__main__":
    main()
