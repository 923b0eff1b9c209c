"""An HTTP server of one file that cuts connections, serves wrong bytes, crawls or stands still, as a test demands."""

import re
import threading
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager

from tests.servers.server import Handler, HttpServer, started

SLICE = 64  # bytes that a crawl sends at a time


class FileServer(HttpServer):
    """Serves ``content`` at ``url``. Each request is answered by the next of ``moods``, and well when there is none.

    Moods: ``cut`` sends a third of what is left and hangs up; ``wrong`` sends other bytes; ``crawl`` sends all, slowly;
    ``silent`` sends nothing; ``whole`` sends the file from its first byte, whatever was asked for; a number is sent as
    the status of a refusal.
    """

    def __init__(self, content: bytes, moods: Sequence[str | int]) -> None:
        left = list(moods)
        asked = self.asked = list[int]()  # the first byte that each request wanted
        stopped = self.stopped = threading.Event()

        class Moody(Handler):
            def do_GET(self) -> None:
                wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
                start = int(wanted[1]) if wanted else 0
                asked.append(start)
                mood = left.pop(0) if left else "well"
                if mood == "whole":
                    start = 0
                if isinstance(mood, int) or start >= len(content):
                    self.send_error(mood if isinstance(mood, int) else 416)
                    return
                part = content[start:] if mood != "wrong" else bytes(len(content) - start)
                self.send_response(206 if start else 200)
                if start:
                    self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
                self.send_header("Content-Length", str(len(part)))
                self.end_headers()
                if mood == "silent":
                    stopped.wait(30)
                elif mood == "crawl":
                    for first in range(0, len(part), SLICE):
                        self.wfile.write(part[first : first + SLICE])
                        time.sleep(0.025)
                else:
                    self.wfile.write(part[: len(part) // 3] if mood == "cut" else part)

        super().__init__(Moody)
        self.url += "/archive.tar.gz"

    def stop(self) -> None:
        self.stopped.set()
        super().stop()


def running(content: bytes, *moods: str | int) -> AbstractContextManager[FileServer]:
    return started(FileServer(content, moods))
