"""See what a trained vision network computes, in the terminal, over SSH."""

__version__ = "0.1.0"
