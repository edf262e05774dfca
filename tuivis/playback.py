"""What plays: which sources move, what of them is held, and how they are looked at. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import singledispatch
from typing import Any, Literal

from tuivis.engine.events import Opened, Shown, SourceState
from tuivis.engine.values import SourceKind
from tuivis.errors import printable

Turn = Literal["paused", "frozen", "flipped", "whole", "slides"]


@dataclass(frozen=True)
class Turned:
    """Turn one thing on or off: pause, freeze, mirror, the whole picture, the slide show."""

    what: Turn


@dataclass(frozen=True)
class FrameStepped:
    """Pause, and go so many frames on, or back."""

    by: int


@dataclass(frozen=True)
class Sought:
    """Go so many seconds on, or back."""

    by: float


@dataclass(frozen=True)
class Ticked:
    """There is room for another frame."""


@dataclass(frozen=True)
class Parted:
    """The link carries so many times fewer units at once, while frames follow each other."""

    parts: int


@dataclass(frozen=True)
class Playback:
    """The sources, and what the user does with those that move.

    Attributes
    ----------
    kinds
        What each of the sources is.
    picture
        The one on screen.
    paused
        The source stands still.
    frozen
        The source goes on, unseen.
    slides
        Still pictures follow each other by themselves.
    flipped
        Left and right are not as usual: usually cameras are mirrored, and nothing else is.
    whole
        All of the picture is seen.
    moment
        The number of the frame that is asked for.
    sought
        A frame is wanted though nothing plays: the source was moved after the frame of this number was asked for.
    message
        What is wrong with the source.
    still
        What was on screen before the camera.
    parts
        On how many pages the link has the units that would fit on one, while frames follow each other.
    """

    kinds: tuple[SourceKind, ...] = ()
    picture: int = 0
    paused: bool = False
    frozen: bool = False
    slides: bool = False
    flipped: bool = False
    whole: bool = False
    moment: int = 0
    sought: int | None = None
    message: str = ""
    still: int = 0
    parts: int = 1

    @property
    def has_pictures(self) -> bool:
        """Whether any of the inputs is a picture, as far as is known."""
        return not self.kinds or "picture" in self.kinds

    @property
    def kind(self) -> SourceKind:
        """What is on screen."""
        return self.kinds[self.picture] if self.picture < len(self.kinds) else "picture"

    @property
    def moves(self) -> bool:
        """Whether a moving source is on screen."""
        return self.kind != "picture"

    @property
    def live(self) -> bool:
        """Whether frames follow each other on screen."""
        return self.moves and not self.paused and not self.frozen

    @property
    def wants_frame(self) -> bool:
        """Whether the next frame is to be asked for."""
        return self.live or (self.moves and self.sought is not None)

    @property
    def mirror(self) -> bool:
        """Whether left and right are swapped."""
        return (self.kind == "camera") != self.flipped

    @property
    def camera(self) -> int | None:
        """The first camera, or the first stream if there is none."""
        for kind in ("camera", "stream"):
            if kind in self.kinds:
                return self.kinds.index(kind)
        return None

    @property
    def away(self) -> int:
        """What is on screen instead of the camera: what was before it, or the first other source."""
        others = (index for index in range(len(self.kinds)) if index != self.camera)
        return self.still if self.still != self.camera else next(others, self.still)

    def showing(self, picture: int) -> Playback:
        """Return the playback with another source on screen, which plays."""
        if picture == self.picture:
            return self
        still = self.still if self.picture == self.camera else self.picture
        fresh = replace(self, picture=picture, paused=False, frozen=False, sought=None, message="")
        return replace(fresh, still=still)

    def describe(self) -> str:
        """Say in a word how the source plays; nothing of a picture that stands by itself."""
        if not self.moves:
            return "slide show" if self.slides else ""
        return "paused" if self.paused else "frozen" if self.frozen else "" if self.kind == "video" else "live"


def played(event: object, playback: Playback) -> Playback:
    """Return the playback after an intent or an event of the engine. Pure."""
    return _apply(event, playback)


def refused(event: object, playback: Playback) -> str:
    """Say in a line why an intent does nothing to what is on screen; nothing if it does, or nothing is there yet."""
    if not isinstance(event, FrameStepped | Sought) and event != Turned("frozen"):
        return ""
    if playback.kinds and not playback.moves:
        return "this picture does not move: the key is for videos, streams and cameras"
    if isinstance(event, Sought) and playback.moves and playback.kind != "video":
        return f"a {playback.kind} is shown as it comes: only videos have other places"
    return ""


@singledispatch
def _apply(event: object, playback: Playback) -> Playback:
    return playback


@_apply.register
def _(event: Opened, playback: Playback) -> Playback:
    return replace(playback, kinds=event.kinds)


@_apply.register
def _(event: Turned, playback: Playback) -> Playback:
    what = "slides" if event.what == "paused" and (playback.slides or not playback.moves) else event.what
    if what == "frozen" and not playback.moves:
        return playback
    changes: dict[str, Any] = {what: not getattr(playback, what)}
    return replace(playback, **changes)


@_apply.register
def _(event: FrameStepped, playback: Playback) -> Playback:
    return replace(playback, paused=True, frozen=False, sought=playback.moment) if playback.moves else playback


@_apply.register
def _(event: Sought, playback: Playback) -> Playback:
    return replace(playback, frozen=False, sought=playback.moment) if playback.kind == "video" else playback


@_apply.register
def _(event: Ticked, playback: Playback) -> Playback:
    return replace(playback, moment=playback.moment + 1)


@_apply.register
def _(event: Parted, playback: Playback) -> Playback:
    return replace(playback, parts=event.parts)


@_apply.register
def _(event: Shown, playback: Playback) -> Playback:
    is_older = playback.sought is None or playback.moment == playback.sought
    return playback if is_older or not event.fresh else replace(playback, sought=None)


@_apply.register
def _(event: SourceState, playback: Playback) -> Playback:
    return replace(playback, message=printable(event.message)) if event.picture == playback.picture else playback
