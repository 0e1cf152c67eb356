"""Take in what came back: each mail of the bounce mailbox is read, stored with what it does, then marked as seen.

A mail is stored before its mailbox hears of it, and does nothing twice; so a crash at any line costs a second look and
no more. A mail that makes trouble stops only itself; a mailbox that cannot be read is trouble of this step alone.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from notifier import log
from notifier.bounce import bounce
from notifier.mailbox import Mailbox
from notifier.model import BounceKind, OutboxId, Report
from notifier.store import Store
from notifier.verp import Purpose, number_in

# What a mail to the unsubscribe address may be: anything that is no report about a message.
ASKS_TO_LEAVE = (BounceKind.UNKNOWN, BounceKind.AUTOREPLY)


@dataclass(frozen=True, slots=True)
class Taken:
    """What was taken in: how many mails of each kind, and how many subscribers get no more mail because of them."""

    kinds: Counter[BounceKind]
    suppressed: int


async def intake_mail(mailbox: Mailbox, store: Store, clock: Callable[[], datetime]) -> Taken:
    """Take in every waiting mail. Raises MailboxTrouble; what was taken until then is done."""
    kinds: Counter[BounceKind] = Counter()
    suppressed = 0

    async def take(content: bytes) -> None:
        nonlocal suppressed
        report = await asyncio.to_thread(bounce, content)
        report, about = _addressed(report, store)
        done = await store.record_bounce(report, content, clock(), about=about)
        if done is None:
            return
        kinds[done.kind] += 1
        suppressed += done.suppressed
        log.came_back(done)

    await mailbox.read(take)
    return Taken(kinds, suppressed)


def _addressed(report: Report, store: Store) -> tuple[Report, OutboxId | None]:
    """Find the signed tag that names a message: where the mail was sent to, else in what it brings back."""
    leaves = number_in(report.came_to, Purpose.UNSUBSCRIBE, store.link)
    if leaves is not None and report.kind in ASKS_TO_LEAVE:
        return replace(report, kind=BounceKind.UNSUBSCRIBE), OutboxId(leaves)
    signed = report.came_to + " " + report.went_from
    number = number_in(signed, Purpose.BOUNCE, store.link)
    if number is None:
        number = number_in(signed, Purpose.UNSUBSCRIBE, store.link)
    return report, OutboxId(number) if number is not None else None
