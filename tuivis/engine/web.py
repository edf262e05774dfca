"""Why a web server gives no stream: what it answers instead of one."""

from __future__ import annotations

import http.client
from base64 import b64encode
from urllib.parse import unquote, urlsplit

from tuivis.errors import printable

TIMEOUT = 2.0
"""Seconds that a server may take."""
_LONGEST = 60
"""Characters of a reason."""


def refusal(url: str) -> str:
    """Return what the server of an http or https `url` answers in place of a stream; nothing if that is not known."""
    try:
        status, reason, kind = _ask(url)
    except (OSError, ValueError, http.client.HTTPException):
        return ""
    if status >= 400:
        return f"it answers {status} {printable(reason)[:_LONGEST]}".rstrip()
    return "it answers with a web page" if status == 200 and kind == "text/html" else ""


def _ask(url: str) -> tuple[int, str, str]:
    """Return the status, the reason and the kind of content that the server answers; none of the content is read."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or parts.hostname is None:
        return 0, "", ""
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname, parts.port, timeout=TIMEOUT)
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
