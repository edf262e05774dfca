"""What all tests of the screens need."""

from tests.ui.explorer import private_log

__all__ = ["private_log"]
