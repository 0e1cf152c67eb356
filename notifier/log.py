"""Log: one function per event, one line per event, `event key=value ..`, nothing that a page wrote can break a line.

Addresses are shortened and links never appear. Under systemd lines carry the journal's priority prefix
(sd-daemon(3)), elsewhere the time and level.
"""

from __future__ import annotations

import logging
import os
import sys
from datetime import date

from notifier.address import display
from notifier.errors import RelayTrouble, TemplateError
from notifier.model import OutboxState, Poll

_log = logging.getLogger("notifier")
_PRIORITIES = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}
MOST_CHARACTERS = 500  # of one value


class _Journal(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        lines = super().format(record).splitlines() or [""]
        return "\n".join(f"<{_PRIORITIES.get(record.levelno, 6)}>{line}" for line in lines)


def setup(level: int = logging.INFO) -> None:
    """Send every event to standard error, in the form that its reader wants."""
    stream = logging.StreamHandler(sys.stderr)
    if os.environ.get("JOURNAL_STREAM"):
        stream.setFormatter(_Journal("%(message)s"))
    else:
        stream.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S"))
    root = logging.getLogger()
    root.handlers[:] = [stream]
    root.setLevel(logging.WARNING)
    _log.setLevel(level)


def started(version: str, database: str, listings: int) -> None:
    _event(logging.INFO, "started", version=version, database=database, listings=listings)


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


def parser_crashed(listing: str, reason: str, traceback: str) -> None:
    """A parser raised what it should not; its traceback follows indented, for a page may have a part in it."""
    lines = "".join(f"\n    {_safe(line)}" for line in traceback.splitlines())
    _log.error("parser_crashed listing=%s reason=%s%s", _value(listing), _value(reason), lines)


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


def withdrawn(recipient: str, message_id: str) -> None:
    _event(logging.INFO, "withdrawn", to=display(recipient), id=message_id)


def compose_failed(recipient: str, message_id: str, fault: BaseException) -> None:
    _event(
        logging.ERROR, "compose_failed", to=display(recipient), id=message_id, fault=f"{type(fault).__name__}: {fault}"
    )


def relay_trouble(trouble: RelayTrouble) -> None:
    _event(logging.ERROR, "relay_trouble", relay=trouble.relay, code=trouble.code, reason=trouble.reason)


def template_broken(fault: TemplateError) -> None:
    _event(logging.ERROR, "template_broken", template=fault.template, line=fault.line, reason=fault.reason)


def query_unreadable(text: str, reason: str) -> None:
    _event(logging.ERROR, "query_unreadable", query=text, reason=reason)


def recovered(claimed: int, in_doubt: int) -> None:
    if claimed or in_doubt:
        _event(logging.WARNING, "recovered", claimed=claimed, in_doubt=in_doubt)


def still_unsubscribed(email: str) -> None:
    remedy = "they left: take them out of the configuration, or `notifier subscribe ADDRESS QUERY --confirmed`"
    remedy = "they left: take them out of the configuration, or `notifier subscribe ADDRESS QUERY --confirmed`"
    _event(logging.WARNING, "still_unsubscribed", address=display(email), remedy=remedy)


def published(path: str, size: int) -> None:
    _event(logging.INFO, "feed_written", path=path, size=size)


def step_failed(step: str, fault: BaseException) -> None:
    _log.error("step_failed step=%s", _value(step), exc_info=fault)


def _event(level: int, event: str, **values: object) -> None:
    _log.log(
        level,
        "%s",
        " ".join([event, *(f"{key}={_value(value)}" for key, value in values.items() if value is not None)]),
    )


def _value(value: object) -> str:
    safe = _safe(str(value)[:MOST_CHARACTERS])
    return '"' + safe.replace('"', "'") + '"' if " " in safe or not safe else safe


def _safe(text: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in text)
