"""What tuivis finds: the terminal, the link, the devices, the packages; and what to do about each weakness."""

from __future__ import annotations

import os
import sys

import msgspec

from tuivis import config
from tuivis.config import Settings
from tuivis.conversation import Conversation, converse
from tuivis.engine.commands import ListDevices
from tuivis.engine.events import Devices
from tuivis.engine.values import DeviceInfo
from tuivis.errors import UserError, printable
from tuivis.render import protocols
from tuivis.render.probe import Terminal, probe

NO_TERMINAL = "This is no terminal: run tuivis doctor in one to learn how it shows pictures."
NO_GPU = "torch sees no GPU, so the CPU computes: if there is one, install the driver and the torch that fits it."


class TerminalReport(msgspec.Struct, frozen=True):
    """The terminal and the link.

    `cell` is (width, height) in pixels, `round_trip_ms` None if nothing answered, `colours` "true colour", "256" or
    "none".
    """

    name: str
    protocol: str
    why: str
    pacing: str
    cell: tuple[int, int] | None
    round_trip_ms: float | None
    true_colour: bool
    colours: str
    tmux: bool
    ssh: bool


class Report(msgspec.Struct, frozen=True):
    """Everything found. `terminal` is None without one; `engine` says why there are no devices, or is empty."""

    terminal: TerminalReport | None
    devices: tuple[DeviceInfo, ...]
    packages: dict[str, str]
    engine: str
    config: str
    log: str
    advice: tuple[str, ...]


def examine(settings: Settings) -> Report:
    """Ask the terminal and an engine.

    Raises
    ------
    UserError
        If the settings name a protocol that is none.
    """
    terminal, advice = _terminal(settings)
    devices, packages, engine = _devices()
    if engine:
        advice.append(f"The engine does not work: see {config.log_path()}, and install torch anew if it says so.")
    elif all(device.name == "cpu" for device in devices):
        advice.append(NO_GPU)
    return Report(terminal, devices, packages, engine, str(config.config_path()), str(config.log_path()), tuple(advice))


def _terminal(settings: Settings) -> tuple[TerminalReport | None, list[str]]:
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return None, [NO_TERMINAL]
    terminal, _ = probe(sys.stdin.fileno(), sys.stdout.fileno(), os.environ)
    choice = protocols.choose(terminal, os.environ, settings.protocol)
    return _describe(terminal, choice), protocols.advice(terminal, choice)


def _describe(terminal: Terminal, choice: protocols.Choice) -> TerminalReport:
    return TerminalReport(
        name=terminal.name or f"does not say (TERM is {os.environ.get('TERM', 'not set')})",
        protocol=choice.protocol,
        why=choice.why,
        pacing=protocols.pacing(terminal, choice),
        cell=terminal.cell,
        round_trip_ms=None if terminal.round_trip is None else terminal.round_trip * 1000,
        true_colour=terminal.true_colour,
        colours=_colours(terminal, os.environ.get("TERM", "")),
        tmux=terminal.tmux,
        ssh=terminal.ssh,
    )


def _colours(terminal: Terminal, term: str) -> str:
    if terminal.true_colour:
        return "true colour"
    return "none" if term in ("", "dumb") else "256"


def _devices() -> tuple[tuple[DeviceInfo, ...], dict[str, str], str]:
    async def talk(engine: Conversation) -> Devices:
        return await engine.ask(ListDevices(), Devices)

    try:
        answer = converse(talk)
    except UserError as error:
        return (), {}, str(error)
    return answer.devices, answer.packages, ""


def lines(report: Report) -> list[tuple[str, str]]:
    """Return the report for people: pairs of what and which, safe on a terminal."""
    pairs = [
        *_terminal_lines(report.terminal),
        *(("device", _device(device)) for device in report.devices),
        *([("engine", report.engine)] if report.engine else []),
        ("packages", ", ".join(f"{name} {version}" for name, version in report.packages.items())),
        ("config", report.config),
        ("log", report.log),
        *(("advice", line) for line in report.advice),
    ]
    return [(name, printable(text)) for name, text in pairs]


def _terminal_lines(terminal: TerminalReport | None) -> list[tuple[str, str]]:
    if terminal is None:
        return [("terminal", "none")]
    link = [name for name, there in (("SSH", terminal.ssh), ("tmux", terminal.tmux)) if there]
    trip = "no answer" if terminal.round_trip_ms is None else f"{terminal.round_trip_ms:.1f} ms round trip"
    cell = "does not tell its size" if terminal.cell is None else f"{terminal.cell[0]} x {terminal.cell[1]} pixels"
    return [
        ("terminal", terminal.name),
        ("pictures", f"{terminal.protocol}: {terminal.why}"),
        ("cell", cell),
        ("colours", terminal.colours),
        ("link", ", ".join([*(link or ["local"]), trip])),
        ("pacing", terminal.pacing),
    ]


def _device(device: DeviceInfo) -> str:
    used, total = device.memory_used / 2**30, device.memory_total / 2**30
    of = "free of" if device.name != "cpu" else "GiB of memory"
    memory = f"{total - used:.1f} {of} {total:.1f} GiB" if device.name != "cpu" else f"{total:.1f} {of}"
    return f"{device.name}, {device.title}, {memory}"
