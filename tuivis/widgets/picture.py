"""A pane that shows one picture, whatever the terminal's protocol."""

from __future__ import annotations

import asyncio

from rich.color import Color
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.strip import Strip
from textual.widget import Widget

from tuivis.render.damage import difference
from tuivis.render.picture import Box, Encoder, Picture
from tuivis.widgets.display import Display


class PicturePane(Widget):
    """Shows the newest `picture`; Textual draws blank cells (or Kitty's placeholders), the encoder the pixels.

    Encoding runs in a thread. Of several new pictures only the newest is sent. Whenever Textual has drawn over the
    pane, the App calls `repaint` after the cells are written.
    """

    def __init__(self, display: Display, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._display = display
        self._encoder: Encoder = display.encoder()
        self._wanted: Picture | None = None
        self._shown: tuple[Picture, Box] | None = None
        self._overdrawn = False
        self._covered = False
        self._painting: asyncio.Task[None] | None = None

    @property
    def canvas(self) -> tuple[int, int]:
        """(width, height): the pixels that the pane offers."""
        return self._encoder.canvas(self.content_size.width, self.content_size.height)

    @property
    def picture(self) -> Picture | None:
        """The picture to show; None leaves the pane blank."""
        return self._wanted

    @picture.setter
    def picture(self, picture: Picture | None) -> None:
        self._wanted = picture
        self._paint()

    def cover(self, covered: bool) -> None:
        """Hide the picture while another screen lies over the pane; nothing but cells can lie over cells."""
        if covered == self._covered:
            return
        self._covered = covered
        if covered:
            self._erase()
        self.refresh()
        self._paint()

    def forget(self) -> None:
        """Send everything anew: the terminal lost what it held, or its font has another size."""
        self._encoder.forget()
        self._encoder = self._display.encoder()
        self._shown = None
        self.refresh()
        self._paint()

    def repaint(self) -> None:
        """Draw again what Textual's own output has covered."""
        if self._overdrawn:
            self._paint()

    def on_resize(self, event: events.Resize) -> None:
        """Show the picture in its new place."""
        self._paint()

    def on_hide(self, event: events.Hide) -> None:
        """Take the picture off the screen."""
        self._erase()

    def on_unmount(self) -> None:
        """Take the picture off the screen."""
        self._erase()

    def render_line(self, y: int) -> Strip:
        """Return row `y` of the cells under the picture."""
        self._overdrawn = True
        width, style = self.size.width, self.visual_style.rich_style
        cells = None if self._covered or self._shown is None else self._encoder.cells(y)
        if cells is None:
            return Strip.blank(width, style)
        text, colour = cells
        columns = min(width, self._shown[1].columns if self._shown else width)
        fill = Segment(" " * (width - columns), style)
        ink = Style(color=Color.from_triplet((colour >> 16, colour >> 8 & 255, colour & 255)))  # type: ignore[arg-type]
        return Strip([Segment(text, style + ink), fill], width)

    def _erase(self) -> None:
        self._shown = None
        self._display.write(self._encoder.erase())

    def _box(self) -> Box | None:
        """Return where the pane lies on the screen, None where it is not seen."""
        region = self.content_region
        if self._covered or not self.is_mounted or not self.display or region.area == 0:
            return None
        return Box(region.x, region.y, region.width, region.height)

    def _paint(self) -> None:
        if self._painting is None or self._painting.done():
            self._painting = asyncio.create_task(self._paint_newest())

    async def _paint_newest(self) -> None:
        """Bring the terminal up to the newest picture and place."""
        while not self._is_current():
            picture, box, encoder = self._wanted, self._box(), self._encoder
            overdrawn, self._overdrawn = self._overdrawn, False
            if picture is None or box is None:
                self._erase()
                self.refresh()
                return
            data, moved = await asyncio.to_thread(self._encode, encoder, picture, box, overdrawn)
            if encoder is not self._encoder or self._box() != box:
                encoder.forget()
                self._shown = None
                continue
            self._shown = picture, box
            self._display.write(data)
            self._display.sent = len(data)
            if moved and encoder.cells(0) is not None:
                self.refresh()

    def _is_current(self) -> bool:
        wanted, box = self._wanted, self._box()
        if wanted is None or box is None:
            return self._shown is None
        covered = self._overdrawn and self._encoder.cells(0) is None
        return self._shown is not None and self._shown[0] is wanted and self._shown[1] == box and not covered

    def _encode(self, encoder: Encoder, picture: Picture, box: Box, overdrawn: bool) -> tuple[bytes, bool]:
        """Return the bytes that show `picture`, and whether it is in a new place."""
        if self._shown is None or self._shown[1] != box:
            return encoder.draw(picture, box), True
        damage = difference(self._shown[0], picture)
        if damage is None or (overdrawn and encoder.cells(0) is None):
            return encoder.draw(picture, box), False
        return encoder.update(picture, box, damage) if damage else b"", False
