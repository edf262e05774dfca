"""A pane that shows one picture, whatever the terminal's protocol."""

from __future__ import annotations

import asyncio

from rich.color import Color
from rich.console import COLOR_SYSTEMS
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.content import Content
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from tuivis.render.damage import difference
from tuivis.render.picture import Box, Encoder, Picture, Rect
from tuivis.widgets.display import Display
from tuivis.widgets.turns import FOCUSED, Send


class PicturePane(Widget):
    """Shows the newest `picture`; Textual draws blank cells (or Kitty's placeholders), the encoder the pixels.

    Encoding runs in a thread. Of several new pictures only the newest is sent, when the link has room. Whenever
    Textual has drawn over the pane, the App calls `repaint` after the cells are written.
    """

    def __init__(self, display: Display, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._pictures = display
        self._encoder: Encoder = display.encoder()
        self._wanted: Picture | None = None
        self._shown: tuple[Picture, Box] | None = None
        self._overdrawn = False
        self._covered = False
        self._stale = asyncio.Event()
        self._titles = "", ""
        self.captured: float | None = None
        """When what the picture shows was captured; only where frames are judged by how soon they are on screen."""

    @property
    def canvas(self) -> tuple[int, int]:
        """(width, height): the pixels that the pane offers."""
        return self._encoder.canvas(self.content_size.width, self.content_size.height)

    @property
    def weight(self) -> float:
        """The pane's share of a link that is too slow for all."""
        return FOCUSED if self.has_focus else 1.0

    @property
    def picture(self) -> Picture | None:
        """The picture to show; None leaves the pane blank."""
        return self._wanted

    @picture.setter
    def picture(self, picture: Picture | None) -> None:
        self._wanted = picture
        self._paint()

    def cover(self, covered: bool) -> None:
        """Hide the picture while another screen lies over the pane; only cells can lie over cells."""
        if covered == self._covered:
            return
        self._covered = covered
        if covered and not self._in_cells:
            self._erase()
        self.refresh()
        self._paint()

    def forget(self) -> None:
        """Send everything anew: the terminal lost what it held, or its font has another size."""
        self._encoder.forget()
        self._encoder = self._pictures.encoder()
        self._shown = None
        self.refresh()
        self._paint()

    def repaint(self) -> None:
        """Draw again what Textual's own output has covered."""
        self._overdrawn = True
        self._paint()

    def report(self, size: int) -> None:
        """Take note of a new picture that was sent in `size` bytes."""

    def on_resize(self, event: events.Resize) -> None:
        """Show the picture in its new place."""
        self._paint()

    def on_hide(self, event: events.Hide) -> None:
        """Take the picture off the screen."""
        self._erase()

    def on_unmount(self) -> None:
        """Take the picture off the screen, wherever it is."""
        self._pictures.write(self._encoder.erase())

    def render_line(self, y: int) -> Strip:
        """Return row `y` of the cells under the picture."""
        width, style = self.size.width, self.visual_style.rich_style
        blank = Strip.blank(width, style)
        if self._covered or self._shown is None:
            return blank
        box, corner = self._shown[1], self.content_region.offset
        row = y - (box.row - corner.y)
        cells = self._encoder.cells(row) if 0 <= row < box.rows else None
        if cells is None:
            return blank
        text, colour = cells
        ink = Style(color=Color.from_rgb(colour >> 16, colour >> 8 & 255, colour & 255))
        left = box.column - corner.x
        right = width - left - box.columns
        return Strip([Segment(" " * left, style), Segment(text, style + ink), Segment(" " * right, style)], width)

    def title(self, title: str, subtitle: str = "") -> None:
        """Write into the border. Unlike Textual's own setters this repaints two lines, not the whole picture."""
        if (title, subtitle) != self._titles:
            self._titles = title, subtitle
            self._border_title, self._border_subtitle = Content(title), Content(subtitle)
            (left, top), (width, height) = self.content_offset, self.outer_size
            self.refresh(Region(-left, -top, width, 1), Region(-left, height - top - 1, width, 1))

    def _erase(self) -> None:
        self._shown = None
        self._pictures.write(self._encoder.erase(self._room))

    @property
    def _room(self) -> Box:
        """The pane's cells by now: what it had before the last layout shows other things, drawn before or after."""
        region = self.content_region if self.is_mounted and self.display else Region()
        return Box(region.x, region.y, region.width, region.height)

    def _box(self) -> Box | None:
        """Return where the picture lies on the screen, centred in the pane; None where it is not seen.

        A picture that was made for a larger pane is not seen either: one that fits is on its way.
        """
        region, picture = self.content_region, self._wanted
        if picture is None or self._covered or not self.is_mounted or not self.display or region.area == 0:
            return None
        width, height = self.canvas
        if picture.width * picture.scale > width or picture.height * picture.scale > height:
            return None
        columns = -(-picture.width * picture.scale * region.width // width)
        rows = -(-picture.height * picture.scale * region.height // height)
        left, top = (region.width - columns) // 2, (region.height - rows) // 2
        return Box(region.x + left, region.y + top, columns, rows)

    @property
    def _in_cells(self) -> bool:
        """Whether cells show the picture: then Textual repaints it, and the terminal keeps it while it is hidden."""
        return self._encoder.cells(0) is not None

    @property
    def _paper(self) -> bytes:
        """The SGR parameters with which Textual writes the pane's blank cells."""
        colour = self.visual_style.rich_style.bgcolor
        system = COLOR_SYSTEMS[self.app.console.color_system or "truecolor"]
        return b"" if colour is None else ";".join(colour.downgrade(system).get_ansi_codes(False)).encode()

    def _paint(self) -> None:
        self._stale.set()

    def on_mount(self) -> None:
        """Start painting."""
        self.run_worker(self._keep_painting())

    async def _keep_painting(self) -> None:
        while True:
            await self._stale.wait()
            self._stale.clear()
            if not self._covered:
                await self._paint_newest()

    async def _paint_newest(self) -> None:
        """Bring the terminal up to the newest picture and place."""
        while not self._is_current():
            if self._wanted is None or self._box() is None:
                self._erase()
                self.refresh()
                return
            async with self._pictures.turn(self, self.weight) as send:
                await self._send_newest(send)

    async def _send_newest(self, send: Send) -> None:
        """Encode and send the picture that is wanted by now."""
        picture, box, encoder, captured = self._wanted, self._box(), self._encoder, self.captured
        if picture is None or box is None:
            return
        overdrawn, self._overdrawn = self._overdrawn, False
        encoder.paper = self._paper
        data, moved, whole = await asyncio.to_thread(self._encode, encoder, picture, box, self._room, overdrawn)
        if encoder is not self._encoder or self._box() != box:
            encoder.forget()
            self._shown = None
            return
        self._shown = picture, box
        send(data, captured if whole else None)
        if whole:
            self.report(len(data))
        if moved and self._in_cells:
            self.refresh()

    def _is_current(self) -> bool:
        wanted, box = self._wanted, self._box()
        if wanted is None or box is None:
            return self._shown is None
        covered = self._overdrawn and not self._in_cells
        return self._shown is not None and self._shown[0] is wanted and self._shown[1] == box and not covered

    def _encode(
        self, encoder: Encoder, picture: Picture, box: Box, room: Box, overdrawn: bool
    ) -> tuple[bytes, bool, bool]:
        """Return the bytes that show `picture`, whether it is in a new place, and whether it is another throughout."""
        moved = self._shown is None or self._shown[1] != box
        damage = None if self._shown is None or moved else difference(self._shown[0], picture)
        if damage is not None and not (overdrawn and not self._in_cells):
            whole = damage == [Rect(0, 0, picture.width, picture.height)]
            return encoder.update(picture, box, damage) if damage else b"", False, whole
        leftover = encoder.erase(room) if moved and not self._in_cells else b""
        return leftover + encoder.draw(picture, box), moved, True
