"""Why no stream comes from a URL: what a web server answers instead of one, or that there is no server."""

from __future__ import annotations

import http.client
import socket
from base64 import b64encode
from typing import NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit

from tuivis.errors import printable

TIMEOUT = 2.0
"""Seconds that a server may take."""
_LONGEST = 60
"""Characters of a reason."""


class Refusal(NamedTuple):
    """Why no stream comes, empty if that is not known, and whether none will as long as the URL is this one."""

    reason: str = ""
    final: bool = False


def refusal(url: str) -> Refusal:
    """Ask the server of an http or https `url`, or look for the host of another, and return why no stream comes."""
    try:
        parts = urlsplit(url)
        if parts.hostname is None:
            return Refusal()
        if parts.scheme not in ("http", "https"):
            # Who serves one stream to one client must not be asked for it.
            socket.getaddrinfo(parts.hostname, None)
            return Refusal()
        status, reason, kind = _ask(parts, parts.hostname)
    except socket.gaierror as error:
        unknown = error.errno == socket.EAI_NONAME
        return Refusal("no host has that name" if unknown else "its host is not found", unknown)
    except ConnectionRefusedError:
        return Refusal("nobody listens there")
    except (OSError, ValueError, http.client.HTTPException):
        return Refusal()
    if status >= 400:
        return Refusal(f"it answers {status} {printable(reason)[:_LONGEST]}".rstrip(), status < 500)
    page = status == 200 and kind == "text/html"
    return Refusal("it answers with a web page", final=True) if page else Refusal()


def _ask(parts: SplitResult, host: str) -> tuple[int, str, str]:
    """Return the status, the reason and the kind of content that the server answers; none of the content is read."""
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(host, parts.port, timeout=TIMEOUT)
    # As the decoder does, which knows nothing but the URL.
    user = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}".encode()
    headers = {"Authorization": f"Basic {b64encode(user).decode()}"} if parts.username else {}
    try:
        path = parts.path or "/"
        connection.request("GET", f"{path}?{parts.query}" if parts.query else path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.reason, answer.headers.get_content_type()
    finally:
        connection.close()
