"""Trouble: look for it, and post the operator a mail about what `notifier.alarm` decides to tell.

If power fails after a mail was posted and before that is remembered, the mail is not posted twice: it is named after
its day and what it tells.
"""

from __future__ import annotations

import asyncio
import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from notifier import log, pipeline
from notifier.alarm import Alarm, Signals, judge, troubles, words
from notifier.daemon.opening import Running
from notifier.model import Letter, LetterKind
from notifier.status import signals

STILL_BROKEN = timedelta(hours=25)  # a template that failed when it was used; later it may have been mended


async def look_for_trouble(running: Running) -> None:
    """Look once."""
    store, now = running.store, running.clock()
    seen = await _with_ours(await signals(store, running.config.listings, now), running, now)
    verdict = judge(await store.alarms(), troubles(seen), now, running.config.alarm.grace)
    for alarm in verdict.begun:
        log.trouble(alarm.key, alarm.text)
    for alarm in verdict.over:
        log.trouble_over(alarm.key, alarm.text)
    await _tell(running, "alarm", verdict.begun, now)
    await _tell(running, "over", verdict.over, now)
    await store.keep_alarms(verdict.kept, verdict.forgotten)


async def _with_ours(seen: Signals, running: Running, now: datetime) -> Signals:
    """Add what only this process knows."""
    disk = shutil.disk_usage(running.config.path(Path()))
    faults = await asyncio.to_thread(running.desk.templates.check)  # reads and compiles every replaced one
    used = {name: reason for name, (reason, at) in running.broken.items() if now - at < STILL_BROKEN}
    broken = used | {fault.template: fault.reason for fault in faults}
    return replace(
        seen,
        disk=(disk.free, disk.total),
        templates=sorted(broken.items()),
    )


async def _tell(running: Running, what: str, alarms: Sequence[Alarm], now: datetime) -> None:
    recipient = running.config.alarm_to
    if not alarms or recipient is None:
        return
    about = hashlib.sha256("\n".join(alarm.key for alarm in alarms).encode()).hexdigest()[:16]
    letter = Letter(
        kind=LetterKind.ALARM, recipient=recipient, key=f"{what} {now:%Y-%m-%d} {about}",
        values=words(alarms, over=what == "over"),
    )  # fmt: skip
    await pipeline.post(running.desk, letter, now)
