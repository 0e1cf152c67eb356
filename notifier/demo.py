"""The demo: the main job on sample pages, with real parts - an HTTP server, SQLite, a Maildir, a feed file.

Four days of three listings pass in seconds: the pages are served on loopback and replaced day by day, and the clock is
an argument everywhere, so the days are real to the program. The papers are fictional.
"""

from __future__ import annotations

import hashlib
import mailbox
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from email.header import decode_header, make_header
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from notifier.compose.preview import part
from notifier.config import load
from notifier.daemon import once, opened
from notifier.errors import NotifierError
from notifier.model import Outcome, Poll

SAMPLES = Path(__file__).parent / "samples"
DAYS = sorted(path.name for path in SAMPLES.iterdir() if path.is_dir() and path.name[:2] == "20")
POLLED_AT = time(18, 30, tzinfo=UTC)
MARKER = ".made-by-notifier-demo"  # a folder without it is not ours to empty

CONFIG = """\
# Written by `notifier demo`. Its listings were served by the demo itself and are gone when it ends.
contact = "demo@example.org"
database = "sqlite:///notifier.db"

[mail]
from = "Paper notifier <notifier@example.org>"
relay = "maildir:mail"

[[listing]]
name = "Daily papers"
url = "{base}/daily.txt"
format = "daily-papers-text"
allow_private = true

[[listing]]
name = "Trending"
url = "{base}/hf.json"
format = "hf-daily"
allow_private = true

[[listing]]
name = "arXiv cs"
url = "{base}/arxiv.html"
format = "arxiv-list"
allow_private = true

[[subscription]]
email = "ada@example.org"
query = "recommendation AND (graph OR survey)"
cadence = "immediate"

[[subscription]]
email = "ben@example.org"
query = '"language model" AND NOT vision'
cadence = "daily"
at = "18:00"

[[subscription]]
email = "chi@example.org"
query = 'author:"Okafor" OR title:quantum'
cadence = "immediate"

[[subscription]]
email = "dee@example.org"
query = "*"
cadence = "weekly"
weekday = "monday"
at = "18:00"
"""


async def demo(folder: Path, out: Console) -> int:
    """Run the demo in `folder`, which is emptied if an earlier demo made it; return the exit code.

    Raises NotifierError for a folder that holds something else.
    """
    _prepare(folder)
    with _served() as (base, today):
        (folder / "config.toml").write_text(CONFIG.format(base=base), encoding="utf-8")
        config = load(folder / "config.toml", environment={})
        async with opened(config, clock=lambda: datetime.combine(today.day, POLLED_AT)) as running:
            well = True
            for name in DAYS:
                today.day = date.fromisoformat(name)
                out.rule(f"[bold]{today.day:%A, %-d %B %Y}")
                with out.status("reading three pages") if out.is_terminal else _quietly():
                    polls, drained = await once(running)
                    _, again = await once(running)
                for poll in polls:
                    out.print(f"  {poll.listing:<13} {poll.outcome:<8} {escape(poll.reason)}")
                sent = sum(drained.states.values())
                out.print(
                    f"  [bold]{sent} digest{'s' * (sent != 1)} sent[/bold], {sum(again.states.values())} when run again"
                )
                well = well and _as_expected(polls) and not again.states
    pages = _save_pages(folder)
    _show(folder, pages, out)
    return 0 if well else 1


def _prepare(folder: Path) -> None:
    if folder.exists():
        if not (folder / MARKER).exists() and any(folder.iterdir()):
            raise NotifierError(f"{folder} is not empty and no demo made it: choose another --folder")
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    (folder / MARKER).touch()


def _as_expected(polls: list[Poll]) -> bool:
    return all(poll.outcome is not Outcome.FAILED for poll in polls)


@contextmanager
def _quietly() -> Iterator[None]:
    yield


# --- the listings -----------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Today:
    """The day whose pages are served."""

    day: date = field(default_factory=lambda: date.fromisoformat(DAYS[0]))


@contextmanager
def _served() -> Iterator[tuple[str, _Today]]:
    """Serve the sample pages of a day on a free port of loopback; yield the base URL and the day, which may change."""
    today = _Today()

    class Listings(BaseHTTPRequestHandler):
        """Answers GET with the page of the day, or 304 to who has it."""

        def do_GET(self) -> None:
            file = SAMPLES / today.day.isoformat() / Path(self.path).name
            if not file.is_file():
                self.send_error(404)
                return
            content = file.read_bytes()
            etag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
            if self.headers.get("If-None-Match") == etag:
                self.send_response(304)
                self.end_headers()
                return
            kind = {".json": "application/json", ".html": "text/html"}.get(file.suffix, "text/plain")
            self.send_response(200)
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
            self.send_header("Content-Length", str(len(content)))
            self.send_header("ETag", etag)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing: the demo shows what was read."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Listings)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", today
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


# --- the result -------------------------------------------------------------------------------------------------------


def _save_pages(folder: Path) -> dict[str, list[tuple[Message, Path]]]:
    """Write the HTML part of every mail beside the Maildir, to open in a browser; return the mails of each reader."""
    mails: dict[str, list[tuple[Message, Path]]] = {}
    (folder / "digests").mkdir()
    for _, message in sorted(mailbox.Maildir(folder / "mail").iteritems(), key=lambda item: item[1]["Date"]):
        reader = str(message["Delivered-To"] or message["To"])
        mine = mails.setdefault(reader, [])
        page = folder / "digests" / f"{reader.split('@')[0]}-{len(mine) + 1}.html"
        page.write_text(part(message.as_bytes(), "html"), encoding="utf-8")
        mine.append((message, page))
    return mails


def _show(folder: Path, mails: dict[str, list[tuple[Message, Path]]], out: Console) -> None:
    table = Table("reader", "subject", "as a web page", title="What each subscriber got", title_justify="left")
    for reader, mine in sorted(mails.items()):
        for message, page in mine:
            table.add_row(reader, escape(_subject(message)), page.name)
    out.print(table)
    places = {
        "mail": f"{folder / 'mail'} (a Maildir: mutt -f {folder / 'mail'})",
        "feed": str(folder / "feeds" / "all.rss"),
        "web pages": f"{folder / 'digests'} (open one in a browser)",
        "pages read": str(SAMPLES),
        "configuration": str(folder / "config.toml"),
    }
    for name, place in places.items():
        out.print(f"{name + ':':<15}{place}")


def _subject(message: Message) -> str:
    return str(make_header(decode_header(message["Subject"])))
