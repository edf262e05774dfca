"""The picture that a unit wants to see: optimisation of pixels, many units at once."""
