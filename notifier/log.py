"""Log: one function per event, one line per event, `event key=value ..`, nothing that a page wrote can break a line.

Addresses are shortened and links never appear. Under systemd an event goes to the journal in its own protocol
(systemd.journal-fields(7)), with its priority and each value as a field: `journalctl NOTIFIER_LISTING=cs.CL`. Where the
journal has no socket, lines carry the priority prefix of sd-daemon(3); elsewhere the time and level. A journal that
takes nothing loses lines and never holds up the program. Whoever counts events listens in `heard`.
"""

from __future__ import annotations

import codecs
import contextlib
import logging
import os
import re
import socket
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping
from datetime import date, timedelta
from pathlib import Path

from notifier.address import display
from notifier.errors import FetchError, MailboxTrouble, RelayTrouble, TemplateError
from notifier.model import Bounce, BounceKind, OutboxState, Poll

_log = logging.getLogger("notifier")
_PRIORITIES = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}
_ADDRESS = re.compile(r"[^\s@<>()\[\]:;,\"'=]+@[^\s@<>()\[\]:;,\"'=]+\.[\w-]+")
MOST_CHARACTERS = 500  # of one value
JOURNAL = Path("/run/systemd/journal/socket")

# Called for every event, with its name and values, before it is written.
heard: list[Callable[[str, Mapping[str, object]], None]] = []


class _Prefixed(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        lines = super().format(record).splitlines() or [""]
        return "\n".join(f"<{_PRIORITIES.get(record.levelno, 6)}>{line}" for line in lines)


class _Journal(logging.Handler):
    """Writes to the journal's socket; what it does not take at once is dropped."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        self._path = str(path)

    def emit(self, record: logging.LogRecord) -> None:
        """Send one entry."""
        fields = {"MESSAGE": self.format(record), "PRIORITY": str(_PRIORITIES.get(record.levelno, 6))}
        fields |= {"SYSLOG_IDENTIFIER": "notifier", **getattr(record, "fields", {})}
        with contextlib.suppress(OSError):
            self._socket.sendto(b"".join(_field(name, value) for name, value in fields.items()), self._path)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
        super().close()


def _field(name: str, value: str) -> bytes:
    encoded = value.encode("utf-8", "backslashreplace")
    if b"\n" not in encoded:
        return name.encode() + b"=" + encoded + b"\n"
    return name.encode() + b"\n" + len(encoded).to_bytes(8, "little") + encoded + b"\n"


codecs.lookup("unicode_escape")  # loaded now: later there may be no file descriptor for it


def setup(level: int = logging.INFO) -> None:
    """Send every event to where its reader looks: the journal or standard error."""
    stream: logging.Handler = logging.StreamHandler(sys.stderr)
    if not _to_the_journal():
        stream.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S"))
    elif JOURNAL.is_socket():
        stream = _Journal(JOURNAL)
    else:
        stream.setFormatter(_Prefixed("%(message)s"))
    root = logging.getLogger()
    root.handlers[:] = [stream]
    root.setLevel(logging.WARNING)
    _log.setLevel(level)


def _to_the_journal() -> bool:
    """Tell whether standard error is the stream that systemd connected to the journal (systemd.exec(5))."""
    with contextlib.suppress(OSError, ValueError):
        file = os.fstat(sys.stderr.fileno())
        return os.environ.get("JOURNAL_STREAM") == f"{file.st_dev}:{file.st_ino}"
    return False


def started(version: str, database: str, listings: int, site: str) -> None:
    _event(logging.INFO, "started", version=version, database=database, listings=listings, site=site)


def stopping(signal: str) -> None:
    _event(logging.INFO, "stopping", signal=signal)


def polled(poll: Poll) -> None:
    """A poll ended; what needs a person is a warning."""
    level = logging.WARNING if poll.outcome in ("failed", "stale") else logging.INFO
    _event(level, "polled", listing=poll.listing, outcome=poll.outcome, new=poll.new, reason=poll.reason)


def gap_failed(listing: str, day: date, reason: str) -> None:
    _event(logging.WARNING, "past_day_failed", listing=listing, day=day, reason=reason)


def differ(listing: str, other: str, only_listing: int, only_other: int) -> None:
    """Two listings of one source show different papers; `notifier status --json` names them."""
    _event(
        logging.WARNING, "listings_differ", listing=listing, other=other, only_listing=only_listing,
        only_other=only_other,
    )  # fmt: skip


def parser_crashed(listing: str, reason: str, trace: str) -> None:
    """A parser raised what it should not; its traceback follows indented, for a page may have a part in it."""
    _event(logging.ERROR, "parser_crashed", below=trace, listing=listing, reason=reason)


def parser_killed(listing: str, reason: str, kills: int) -> None:
    _event(logging.WARNING, "parser_killed", listing=listing, reason=reason, kills=kills)


def parser_unlimited(refused: str) -> None:
    _event(logging.WARNING, "parser_unlimited", refused=refused, effect="hostile pages may cost more than they should")


def queued(groups: int) -> None:
    _event(logging.INFO, "digests_queued", due=groups)


def not_queued(email: str, reason: str) -> None:
    _event(logging.ERROR, "digest_not_queued", to=display(email), reason=reason)


def settled(recipient: str, message_id: str, state: OutboxState, code: int | None, text: str) -> None:
    level = logging.INFO if state is OutboxState.SENT else logging.WARNING
    _event(level, "settled", to=display(recipient), id=message_id, state=state, code=code, reply=text)


def came_back(bounce: Bounce) -> None:
    """A mail came back; what ends somebody's mail is a warning."""
    level = logging.WARNING if bounce.suppressed or bounce.kind is BounceKind.COMPLAINT else logging.INFO
    _event(
        level, "came_back", number=bounce.number, kind=bounce.kind, to=display(bounce.email) if bounce.email else None,
        status=bounce.status or None, counted=bounce.counted, suppressed=bounce.suppressed or None,
    )  # fmt: skip


def mailbox_trouble(fault: MailboxTrouble) -> None:
    """The mailbox that mail comes back to cannot be read: nothing is lost, but nobody is told of bounces."""
    _event(logging.ERROR, "mailbox_trouble", reason=str(fault))


def clock_differs(ahead: timedelta) -> None:
    """The database's clock is not ours; all instants are taken from it."""
    _event(logging.WARNING, "clock_differs", database_ahead=f"{ahead.total_seconds():.0f} s")


def withdrawn(recipient: str, message_id: str) -> None:
    _event(logging.INFO, "withdrawn", to=display(recipient), id=message_id)


def compose_failed(recipient: str, message_id: str, fault: BaseException) -> None:
    _event(
        logging.ERROR, "compose_failed", to=display(recipient), id=message_id, fault=f"{type(fault).__name__}: {fault}"
    )


def content_unreadable(number: int, fault: BaseException) -> None:
    _event(logging.ERROR, "content_unreadable", message=number, fault=str(fault))


def relay_trouble(trouble: RelayTrouble) -> None:
    _event(logging.ERROR, "relay_trouble", relay=trouble.relay, code=trouble.code, reason=trouble.reason)


def trouble(key: str, text: str) -> None:
    """The operator is told of it by mail, if there is an address."""
    _event(logging.ERROR, "trouble", key=key, text=text)


def trouble_over(key: str, text: str) -> None:
    _event(logging.INFO, "trouble_over", key=key, text=text)


def template_broken(fault: TemplateError) -> None:
    _event(logging.ERROR, "template_broken", template=fault.template, line=fault.line, reason=fault.reason)


def query_unreadable(text: str, reason: str) -> None:
    _event(logging.ERROR, "query_unreadable", query=text, reason=reason)


def recovered(claimed: int, in_doubt: int) -> None:
    if claimed or in_doubt:
        _event(logging.WARNING, "recovered", claimed=claimed, in_doubt=in_doubt)


def still_unsubscribed(email: str) -> None:
    remedy = "they left: take them out of the configuration, or `notifier subscribe ADDRESS QUERY --confirmed`"
    _event(logging.WARNING, "still_unsubscribed", address=display(email), remedy=remedy)


def published(path: str, size: int) -> None:
    _event(logging.INFO, "feed_written", path=path, size=size)


def hub_told(feeds: int) -> None:
    _event(logging.INFO, "hub_told", feeds=feeds)


def hub_untold(fault: FetchError) -> None:
    """The hub could not be told that feeds have changed; it is tried again."""
    _event(logging.WARNING, "hub_untold", hub=fault.url, reason=fault.reason)


def step_failed(step: str, fault: BaseException) -> None:
    """A step raised what it should not; its traceback follows indented."""
    written = traceback.format_exception(fault)
    _event(
        logging.ERROR, "step_failed", below="".join(written), step=step,
        fault=f"{type(fault).__name__}: {fault}",
    )  # fmt: skip


def job_stalled(job: str) -> None:
    """A worker died over a job, or was cut off from the database; what is left of it is done by others."""
    _event(logging.WARNING, "job_stalled", job=job)


def pruned(polls: int) -> None:
    _event(logging.INFO, "pruned", polls=polls)


def unwell(troubles: Iterable[str]) -> None:
    """The daemon does not do its work; under systemd it is started again unless this ends soon."""
    _event(logging.ERROR, "unwell", troubles="; ".join(troubles))


def well_again() -> None:
    _event(logging.INFO, "well_again")


def loop_trouble(words: str, fault: BaseException) -> None:
    """The event loop met an error of the system, such as no descriptor for a new connection."""
    _event(logging.ERROR, "loop_trouble", reason=f"{words}: {fault}")


def unwritable(reason: str) -> None:
    """The disk is full, failing or read-only: what is there is served, and everything else waits."""
    _event(logging.ERROR, "unwritable", reason=reason, effect="nothing is polled or sent until it can be stored")


def writable_again() -> None:
    _event(logging.INFO, "writable_again")


def clock_set_back() -> None:
    """The bell had been set for a time that is far ahead now."""
    _event(logging.WARNING, "clock_set_back", effect="the steps are rung now")


def reloaded(listings: int) -> None:
    _event(logging.INFO, "reloaded", listings=listings)


def reload_refused(problem: str) -> None:
    """The new configuration cannot be used; the old one stays."""
    _event(logging.ERROR, "reload_refused", problem=problem, effect="the old configuration stays")


def _event(level: int, event: str, *, below: str = "", **values: object) -> None:
    """Write one event; `below` are further lines, indented."""
    there = {key: value for key, value in values.items() if value is not None}
    for listener in heard:
        listener(event, there)
    if not _log.isEnabledFor(level):
        return
    written = {key: _masked(key, value) for key, value in there.items()}
    line = " ".join([event, *(f"{key}={_value(value)}" for key, value in written.items())])
    line += "".join(f"\n    {_safe(_ADDRESS.sub(_shortened, each))}" for each in below.splitlines())
    fields = {"NOTIFIER_EVENT": event} | {f"NOTIFIER_{key.upper()}": _safe(value) for key, value in written.items()}
    _log.log(level, "%s", line, extra={"fields": fields})


def _masked(key: str, value: object) -> str:
    """A value as text of bounded length, the addresses in it shortened; a Message-ID only looks like one."""
    text = str(value)[:MOST_CHARACTERS]
    return text if key == "id" else _ADDRESS.sub(_shortened, text)


def _shortened(found: re.Match[str]) -> str:
    return display(found[0])


def _value(value: str) -> str:
    safe = _safe(value)
    return '"' + safe.replace('"', "'") + '"' if " " in safe or not safe else safe


def _safe(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in text)
