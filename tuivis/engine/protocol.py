"""Commands and events: the only thing that the UI and the engine both import.

A message on the wire is a 4-byte little-endian length and that many bytes of msgpack. Arrays travel as raw
bytes inside the message. The first message in each direction is `Hello` and `Welcome`, which carry `VERSION`.
"""

from __future__ import annotations

from typing import cast

import msgspec

from tuivis.engine.commands import (
    Append,
    Cancel,
    EndRecording,
    Hello,
    Hold,
    ListDevices,
    Load,
    Open,
    Optimise,
    Pause,
    Rank,
    Read,
    Record,
    Seek,
    Show,
    Unpause,
)
from tuivis.engine.events import (
    Activations,
    Backward,
    Devices,
    Failed,
    Finished,
    Frame,
    JobEnded,
    JobPaused,
    JobStarted,
    Loaded,
    Mosaic,
    Opened,
    Preview,
    Progress,
    Ranked,
    Recorded,
    Relations,
    Shown,
    SourceState,
    Stepped,
    Unit,
    Welcome,
)
from tuivis.errors import no_utf8

VERSION = 6
"""Raised whenever a message changes: an engine and a UI of different versions refuse each other."""

OUT_OF_MEMORY = 77
"""The exit code of an engine whose memory ran out: only a new process gets all of it back."""

MAX_MESSAGE = 1 << 30
"""Bytes. A longer length prefix can only be garbage on the stream."""


RecordCommand = Record | Append | EndRecording
JobCommand = Optimise | Pause | Unpause | Cancel
Command = Hello | Load | Open | Show | Hold | Seek | Read | Rank | ListDevices | RecordCommand | JobCommand
JobEvent = JobStarted | Stepped | Preview | Finished | JobPaused | JobEnded
Event = (
    Welcome
    | Progress
    | Loaded
    | Opened
    | Frame
    | Mosaic
    | Unit
    | Backward
    | Relations
    | Shown
    | SourceState
    | Ranked
    | Activations
    | Recorded
    | Devices
    | Failed
    | JobEvent
)

_encoder = msgspec.msgpack.Encoder()
_commands = msgspec.msgpack.Decoder(Command)
_events = msgspec.msgpack.Decoder(Event)


def encode(message: Command | Event) -> bytes:
    """Return `message` with its length in front.

    Raises
    ------
    UserError
        If a name in it has bytes that are no UTF-8.
    """
    try:
        body = _encoder.encode(message)
    except UnicodeEncodeError as error:
        raise no_utf8(error) from error
    return len(body).to_bytes(4, "little") + body


def decode_command(body: bytes) -> Command:
    """Return the command in `body` (without its length).

    Raises
    ------
    msgspec.DecodeError
        If `body` is no command of this version.
    """
    return cast(Command, _commands.decode(body))


def decode_event(body: bytes) -> Event:
    """Return the event in `body` (without its length).

    Raises
    ------
    msgspec.DecodeError
        If `body` is no event of this version.
    """
    return cast(Event, _events.decode(body))
