"""The themes of the program, and which chrome of the mosaic goes with each."""

from __future__ import annotations

from textual.theme import Theme

DARK = Theme(
    name="tuivis-dark",
    primary="#7aa2c8",
    secondary="#9d8fc0",
    accent="#e8a24a",
    foreground="#d6d6d2",
    background="#101216",
    surface="#181b21",
    panel="#20242c",
    success="#7fb685",
    warning="#e0b252",
    error="#a83b3b",
    dark=True,
    variables={"gutter": "#1e1e22"},
)
LIGHT = Theme(
    name="tuivis-light",
    primary="#2f5f8a",
    secondary="#5b4a8a",
    accent="#b0560a",
    foreground="#22252a",
    background="#fafaf7",
    surface="#f0f0ec",
    panel="#e4e4df",
    success="#2f7a3d",
    warning="#8a6200",
    error="#c24343",
    dark=False,
    variables={"gutter": "#dedee2"},
)
HIGH_CONTRAST = Theme(
    name="tuivis-high-contrast",
    primary="#6fd3ff",
    secondary="#ffffff",
    accent="#ffd400",
    foreground="#ffffff",
    background="#000000",
    surface="#000000",
    panel="#1a1a1a",
    success="#00ff7f",
    warning="#ffd400",
    error="#d00000",
    dark=True,
    variables={"gutter": "#000000"},
)
THEMES = (DARK, LIGHT, HIGH_CONTRAST)


def chrome_of(theme: Theme) -> str:
    """Return the name, in `tuivis.render.colormap.CHROMES`, of the chrome that goes with `theme`."""
    if theme.name == HIGH_CONTRAST.name:
        return "high-contrast"
    return "dark" if theme.dark else "light"
