"""The devices that a command works on."""

from __future__ import annotations

import msgspec

from tuivis.config import Settings
from tuivis.conversation import Conversation, converse
from tuivis.engine.commands import ListDevices
from tuivis.engine.events import Devices


def named(settings: Settings) -> Settings:
    """Return the settings with the names of all devices in place of "all": the GPUs, or the processor without one.

    Raises
    ------
    UserError
        If the engine cannot be asked.
    """
    if settings.device != "all":
        return settings

    async def talk(engine: Conversation) -> Devices:
        return await engine.ask(ListDevices(), Devices)

    names = [device.name for device in converse(talk).devices]
    return msgspec.structs.replace(settings, device=",".join([name for name in names if name != "cpu"] or ["cpu"]))
