"""The list of jobs: what is at work, what waits, what has become of the others."""

from __future__ import annotations

from typing import ClassVar

from rich.style import Style
from rich.text import Text
from textual.binding import Binding, BindingType
from textual.reactive import var
from textual.widget import Widget

from tuivis.errors import printable
from tuivis.jobstate import OPEN, Job, JobCommanded, JobSelected
from tuivis.state import State
from tuivis.widgets.intent import Intent
from tuivis.widgets.predictions import bar

SIGNS = {
    "starting": "·",
    "waiting": "·",
    "working": "▸",
    "paused": "‖",
    "done": "✓",
    "cancelled": "−",
    "failed": "!",
    "unfinished": "…",
}
SHOWN = 3
"""Jobs on screen: the selected one and its neighbours."""


class JobsPane(Widget, can_focus=True):
    """Draws `state.jobs`; posts `JobSelected` and `JobCommanded`. There only while the list is asked for."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "select(-1)", "previous job", show=False, id="job.previous"),
        Binding("down,j", "select(1)", "next job", show=False, id="job.next"),
        Binding("space", "order('pause')", "pause, or go on", show=False, id="job.pause"),
        Binding("c", "order('cancel')", "cancel; finished pictures stay", show=False, id="job.cancel"),
        Binding("r", "order('retry')", "try again, or finish what is unfinished", show=False, id="job.retry"),
    ]

    COMPONENT_CLASSES: ClassVar[set[str]] = {"jobs--bar"}

    state: var[State] = var(State(), init=False)

    def watch_state(self, old: State, new: State) -> None:
        """Come and go, and draw what reads differently."""
        if old.jobs.listed != new.jobs.listed:
            self.set_class(new.jobs.listed, "-shown")
            if new.jobs.listed:
                self.focus()
            elif self.has_focus:
                self.screen.focus_next("MosaicPane")
        if old.jobs.jobs is not new.jobs.jobs or old.jobs.selected != new.jobs.selected:
            open_jobs = sum(job.status in OPEN for job in new.jobs.jobs)
            self.border_title = f"jobs: {open_jobs} to do"
            self.refresh(layout=len(old.jobs.jobs) != len(new.jobs.jobs))

    def on_mount(self) -> None:
        """Name the pane and its keys."""
        self.border_title, self.border_subtitle = "jobs", "keys: ?"

    def render(self) -> Text:
        """Return two lines for each job: what, and how far."""
        jobs, selected = self.state.jobs.jobs, self.state.jobs.selected
        if not jobs:
            return Text("none yet: p makes a picture", "dim")
        first = max(0, min(selected - SHOWN // 2, len(jobs) - SHOWN))
        shown = list(enumerate(jobs))[first : first + SHOWN]
        width, ink = self.content_size.width, self.get_component_rich_style("jobs--bar")
        lines: list[Text] = []
        for number, job in shown:
            lines += _lines(job, number == selected, width, ink)
        return Text("\n").join(lines)

    def action_select(self, by: int) -> None:
        """Select another job."""
        self.post_message(Intent(JobSelected(by)))

    def action_order(self, what: str) -> None:
        """Pause, cancel or retry the selected job."""
        self.post_message(Intent(JobCommanded(what)))  # type: ignore[arg-type]


def _lines(job: Job, selected: bool, width: int, ink: Style) -> list[Text]:
    named = job.title if len(job.title) + 2 <= width else job.made
    title = Text(f"{SIGNS[job.status]} {named}", "reverse" if selected else "", no_wrap=True)
    title.truncate(width, overflow="ellipsis")
    if job.status in OPEN:
        left = f" {clock(job.seconds_left)}" if job.status == "working" and job.steps else f" {job.status}"
        tail = f" {job.share:.0%}{left}"
        room = max(1, width - 2 - len(tail))
        return [title, Text.assemble("  ", (f"{bar(job.share, room):<{room}}", ink), tail, no_wrap=True)]
    line = Text(f"  {printable(job.message) or job.status}", "dim", no_wrap=True)
    line.truncate(width, overflow="ellipsis")
    return [title, line]


def clock(seconds: float) -> str:
    """Return a duration as people read it."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
