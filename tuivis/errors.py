"""The error that the user caused, or can mend."""


class UserError(Exception):
    """One clear line for the user: what, which value, what to do instead."""
