"""Streams as moving sources, from a real ffmpeg on loopback; and cameras, of which there are none here."""

from __future__ import annotations

import signal
import socket
import subprocess
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import pytest

from tests import laptop
from tests.clips import needs_ffmpeg, number_in, numbered, write_clip
from tests.rtsp import Rtsp
from tuivis.engine import streams
from tuivis.engine.feeds import Feed, Moment
from tuivis.engine.sources import open_pictures, without_secrets
from tuivis.engine.streams import Camera, Live, Stream
from tuivis.errors import UserError

PATIENCE = 60.0
"""Seconds that anything may take on a busy machine."""
FRAMES = 200

SERVERS = {
    "http": "-c:v mjpeg -pix_fmt yuvj420p -f mpjpeg -listen 1 http://127.0.0.1:{port}/",
    "tcp": "-c:v mpeg2video -g 10 -f mpegts tcp://127.0.0.1:{port}?listen=1",
}


@pytest.fixture(autouse=True)
def busy_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try often, and give up late."""
    monkeypatch.setattr(streams, "PAUSES", (0.05, 0.1, 0.2))
    monkeypatch.setattr(streams, "TIMEOUT", PATIENCE)


class Server:
    """A real ffmpeg that plays a real video to whoever connects."""

    def __init__(self, clip: Path, output: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._clip, self._output = clip, output.format(port=self.port)
        self.url = self._output.split()[-1].removesuffix("?listen=1")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        source = ["-re", "-stream_loop", "-1", "-i", str(self._clip)]
        command = ["ffmpeg", "-nostdin", "-v", "error", *source, *self._output.split()]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def send(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(PATIENCE)


Serve = Callable[[str], Server]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    servers: list[Server] = []
    clip = write_clip(tmp_path / "clip.mp4", range(FRAMES), rate=25, size=(320, 240))

    def serve(output: str) -> Server:
        servers.append(Server(clip, output))
        return servers[-1]

    yield serve
    for server in servers:
        server.stop()


class Heard:
    """A live source that writes down what it says."""

    def __init__(self, feed: Live) -> None:
        self.feed = feed
        self.said: list[str] = []
        say = feed.say

        def note(message: str) -> None:
            if not self.said or self.said[-1] != message:
                self.said.append(message)
            say(message)

        feed.say = note  # type: ignore[method-assign]


Listen = Callable[[Live], Heard]


@pytest.fixture
def listen() -> Iterator[Listen]:
    """Open sources, and end their threads: one that decodes while Python ends would abort it."""
    feeds: list[Feed] = []

    def listen(feed: Live) -> Heard:
        feeds.append(feed)
        return Heard(feed)

    yield listen
    for feed in feeds:
        feed.close()
    for feed in feeds:
        if feed.thread.ident:
            feed.thread.join(PATIENCE)
            assert not feed.thread.is_alive()


def stream(url: str) -> Stream:
    return Stream(url, lambda pixels: None)  # type: ignore[arg-type, return-value]


def take(feed: Feed) -> Moment:
    moment = feed.newest(PATIENCE, lambda: False)
    assert moment is not None, feed.message
    return moment


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def assert_plays(feed: Feed) -> None:
    """Take frames, and find them to be those of the video."""
    numbers = {number_in(take(feed).pixels) for _ in range(15)}
    assert len(numbers) >= 10
    assert max(numbers) < FRAMES


@needs_ffmpeg
@pytest.mark.parametrize(("kind", "reason"), [("http", "nobody listens there: "), ("tcp", "")])
def test_a_stream_is_waited_for_plays_and_comes_back(kind: str, reason: str, serve: Serve, listen: Listen) -> None:
    server = serve(SERVERS[kind])
    heard = listen(stream(server.url))
    feed = heard.feed
    assert feed.newest(0.1, lambda: False) is None
    until(lambda: len(heard.said) >= 4)
    pauses = [f"waiting for {server.url}: {reason}trying again every {pause} s" for pause in ("0.05", "0.1", "0.2")]
    assert heard.said[:4] == [f"waiting for {server.url}", *pauses]

    for _ in range(2):
        server.start()
        until(lambda: not feed._message)
        moment = take(feed)
        assert moment.pixels.shape == (240, 320, 3)
        assert moment.seconds is None
        assert_plays(feed)

        heard.said.clear()
        server.stop()
        until(lambda: len(list(filter(None, heard.said))) >= 2)
        lost = list(filter(None, heard.said))
        assert lost[0] == f"{server.url} is lost: trying again every 0.05 s"
        assert lost[1] == f"{server.url} is lost: {reason}trying again every 0.1 s"


@needs_ffmpeg
@pytest.mark.parametrize("kind", SERVERS)
def test_a_stream_that_stalls_is_said_and_goes_on(
    kind: str, serve: Serve, listen: Listen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "SILENCE", 0.5)
    server = serve(SERVERS[kind])
    feed = listen(stream(server.url)).feed
    server.start()
    assert_plays(feed)
    server.send(signal.SIGSTOP)
    until(lambda: "stalls" in feed.message)
    assert feed.message.startswith(f"{server.url} stalls: its last frame came ")
    server.send(signal.SIGCONT)
    until(lambda: not feed.message)
    assert_plays(feed)


@needs_ffmpeg
@pytest.mark.parametrize("kind", ["http", "tcp"])
def test_what_the_readme_has_the_laptop_send_survives_stalls_and_reconnections(
    kind: str, serve: Serve, listen: Listen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "TIMEOUT", 2.0)
    server = serve(laptop.output(kind))
    server.start()
    for _ in range(2):
        feed = listen(stream(server.url)).feed
        assert_plays(feed)
        feed.close()
    feed = listen(stream(server.url)).feed
    assert_plays(feed)
    server.send(signal.SIGSTOP)
    until(lambda: "is lost" in feed.message)
    server.send(signal.SIGCONT)
    until(lambda: not feed.message)
    assert_plays(feed)


@needs_ffmpeg
def test_a_stream_of_packets_plays_is_lost_and_comes_back(
    serve: Serve, listen: Listen, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nobody tells that packets end: it is when none come.
    monkeypatch.setattr(streams, "TIMEOUT", 2.0)
    server = serve("-c:v mpeg2video -g 10 -f mpegts udp://127.0.0.1:{port}")
    feed = listen(stream(server.url)).feed
    assert feed.newest(0.1, lambda: False) is None
    for _ in range(2):
        server.start()
        until(lambda: not feed.message)
        assert_plays(feed)
        server.stop()
        until(lambda: "is lost" in feed.message)


def test_an_rtsp_stream_plays_is_lost_and_comes_back(listen: Listen) -> None:
    frames = [numbered(number, (320, 240)) for number in range(FRAMES)]
    server = Rtsp(frames)
    url = f"rtsp://someone:secret@127.0.0.1:{server.port}/live"
    feed = listen(stream(url)).feed
    for _ in range(2):
        assert take(feed).pixels.shape == (240, 320, 3)
        assert_plays(feed)
        server.stop()
        until(lambda: "is lost: trying again" in feed.message)
        assert feed.message.startswith(f"rtsp://127.0.0.1:{server.port}/live is lost")
        server = Rtsp(frames, server.port)
        until(lambda: not feed.message)
    server.stop()


class Refusing(BaseHTTPRequestHandler):
    """Answers no request with a stream: a web page to whom it knows, else a status that the path names."""

    def do_GET(self) -> None:
        known = self.headers["Authorization"] == "Basic " + b64encode(b"someone:sec ret").decode()
        status = int(self.path[1:4])
        self.send_response(200 if known else status)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        return


@pytest.mark.parametrize(
    ("user", "path", "reason", "final"),
    [
        ("", "404", "it answers 404 Not Found", True),
        ("someone:wrong@", "401?secret", "it answers 401 Unauthorized", True),
        ("someone:sec%20ret@", "401", "it answers with a web page", True),
        ("", "200/index.html", "it answers with a web page", True),
        ("", "503", "it answers 503 Service Unavailable", False),
    ],
)
def test_what_a_web_server_answers_in_place_of_a_stream_is_said(
    listen: Listen, user: str, path: str, reason: str, final: bool
) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://{user}127.0.0.1:{server.server_port}/{path}"
        heard = listen(stream(url))
        assert heard.feed.newest(0.1, lambda: False) is None
        until(lambda: "trying again" in heard.feed.message)
        assert heard.feed.message.startswith(f"waiting for {without_secrets(url)}: {reason}: trying again every ")
        assert "secret" not in heard.feed.message
        assert (heard.feed.reason, heard.feed.final) == (reason, final)
        with pytest.raises(UserError) as caught:
            open_pictures([url]).read(0)
        assert str(caught.value) == f"no frame comes from {without_secrets(url)}: {reason}"
        server.shutdown()


@pytest.mark.parametrize("url", ["http://nohost.invalid:8090/", "rtsp://nohost.invalid/live", "tcp://nohost.invalid:1"])
@pytest.mark.parametrize(
    ("number", "reason", "final"),
    [
        (socket.EAI_NONAME, "no host has that name", True),
        (socket.EAI_AGAIN, "its host is not found", False),
    ],
)
def test_a_host_that_is_not_found_is_said(
    listen: Listen, monkeypatch: pytest.MonkeyPatch, url: str, number: int, reason: str, final: bool
) -> None:
    def look_up(*names: object, **more: object) -> None:
        raise socket.gaierror(number, "not found")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    feed = listen(stream(url)).feed
    assert feed.newest(0.1, lambda: False) is None
    until(lambda: "trying again" in feed.message)
    assert feed.message.startswith(f"waiting for {url}: {reason}: trying again every ")
    assert (feed.reason, feed.final) == (reason, final)


def test_the_password_of_a_stream_is_never_said(listen: Listen) -> None:
    url = "http://someone:secret@127.0.0.1:1/live?token=secret"
    heard = listen(stream(url))
    assert heard.feed.newest(0.1, lambda: False) is None
    until(lambda: len(heard.said) >= 3)
    assert "127.0.0.1:1/live" in heard.feed.message
    assert not any("secret" in each or "someone" in each for each in heard.said)
    assert "secret" not in "".join(open_pictures([url]).names)
    with pytest.raises(UserError, match=r"no frame comes from http://127.0.0.1:1/live") as caught:
        open_pictures([url]).read(0)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://host:8090/", "http://host:8090/"),
        ("rtsp://user:secret@host/path", "rtsp://host/path"),
        ("rtsp://user:sec/ret@host/path", "rtsp://host/path"),
        ("rtsp://user:sec@ret@host/path", "rtsp://host/path"),
        ("http://host/live?password=secret", "http://host/live?…"),
        ("tcp://user:secret@host:1?listen=1", "tcp://host:1?…"),
    ],
)
def test_secrets_are_taken_out_of_urls(url: str, expected: str) -> None:
    assert without_secrets(url) == expected


def test_the_names_of_streams_are_printable() -> None:
    assert "\x1b" not in without_secrets("http://host/\x1b[31m")


def test_a_camera_that_is_not_there_is_said_and_tried_again(listen: Listen) -> None:
    heard = listen(Camera(63, lambda pixels: None))  # type: ignore[arg-type, return-value]
    assert heard.feed.newest(0.1, lambda: False) is None
    until(lambda: len(heard.said) >= 4)
    pauses = [f"waiting for camera 63: trying again every {pause} s" for pause in ("0.05", "0.1", "0.2")]
    assert heard.said[:4] == ["waiting for camera 63", *pauses]
    with pytest.raises(UserError, match="no frame comes from camera 63"):
        open_pictures(["cam:63"]).read(0)


def test_a_camera_that_is_pulled_out_is_lost_and_comes_back(
    tmp_path: Path, listen: Listen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no camera here: a video that ends takes its place."""
    clip, plugged = write_clip(tmp_path / "clip.avi", range(20), codec="MJPG"), threading.Event()
    camera = Camera(0, lambda pixels: None)  # type: ignore[arg-type, return-value]
    monkeypatch.setattr(camera, "open", lambda: cv2.VideoCapture(*([str(clip)] if plugged.is_set() else [])))
    heard = listen(camera)
    assert camera.newest(0.1, lambda: False) is None
    for before in ("waiting for camera 0", "camera 0 is lost"):
        until(lambda before=before: camera.message.startswith(f"{before}: trying again"))  # type: ignore[misc]
        heard.said.clear()
        plugged.set()
        until(lambda: "" in heard.said)
        plugged.clear()
        until(lambda: "is lost" in camera.message)
    assert number_in(take(camera).pixels) == 19
