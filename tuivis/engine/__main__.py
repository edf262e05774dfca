"""`python -m tuivis.engine`: the engine as a program."""

from tuivis.engine.server import main

if __name__ == "__main__":
    main()
