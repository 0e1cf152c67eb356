"""The story of a paper: poll, queue_digests, drain_outbox, publish. Read this file first.

    page --fetch--> bytes --parse--> batch --diff--> changes --match--> hits      | record_poll    commit point 1
    hits of those who are due                                                     | queue_digests  commit point 2
    message --compose--> bytes --deliver--> the final dot                         | mark_in_doubt  commit point 3
    the relay's reply                                                             | settle         commit point 4

What is between two commit points may be lost to a power cut at any line: it is done again, and does nothing twice.
No network call happens inside a transaction. One page, one message or one template that fails stops nothing else.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from notifier import log
from notifier.cadence import DAY
from notifier.compose.letter import compose_letter
from notifier.digest import Letterhead
from notifier.drain import Desk, Drained, drain_outbox
from notifier.errors import FetchError, PageError, Unwritable
from notifier.intake import Intake, gather, read_past_day, record, record_failure, record_unchanged
from notifier.intake.backfill import MOST_TRIES
from notifier.model import (
    Letter,
    Listing,
    ListingState,
    Outcome,
    Poll,
    Validators,
)
from notifier.publish import Copy, Shelf, write
from notifier.publish.hub import Hub
from notifier.store import Store
from notifier.store.digests import FIRST

PAST_DAYS_AT_ONCE = 5  # read after one poll of a listing
__all__ = ["Desk", "Drained", "catch_up", "drain_outbox", "poll", "post", "publish", "queue_digests"]


# --- poll -------------------------------------------------------------------------------------------------------------


async def poll(listing: Listing, intake: Intake, now: datetime) -> Poll:
    """Read a listing once and record what became of it; every way it can end is an outcome, none is an exception."""
    state = await intake.store.listing_state(listing.name)
    try:
        gathered = await gather(listing, intake, _validators(listing, state), now)
        if gathered is None:
            return await record_unchanged(listing, intake, state, now)
        batch, validators = gathered
        return await record(listing, intake, batch, state, now, validators=validators)
    except (FetchError, PageError) as trouble:
        return await record_failure(listing, intake, state, trouble, now)
    except Unwritable:
        raise
    except Exception as fault:  # of no kind we know: this listing rests and says so, the others go on
        log.step_failed(f"poll {listing.name}", fault)
        return await record_failure(listing, intake, state, PageError(f"unexpected: {fault!r}"[:300]), now)


def _validators(listing: Listing, state: ListingState | None) -> Validators:
    """Return what to ask with: nothing of another URL's, and nothing once "not modified" was said for too long."""
    if state is None or state.url != listing.url or state.outcome is Outcome.STALE:
        return Validators()
    return state.validators


async def catch_up(listing: Listing, intake: Intake, now: datetime) -> list[Poll]:
    """Read some of the past days that a listing missed, oldest first; what they bring is owed late, but once.

    The rest waits for the next poll, so that a long outage of one listing does not keep the others waiting.
    """
    done: list[Poll] = []
    for day in (await intake.store.gaps(listing.name))[:PAST_DAYS_AT_ONCE]:
        try:
            done.append(await read_past_day(listing, intake, day, now))
        except FetchError as trouble:
            if trouble.status is not None:  # asked and refused; a host that rests was not asked at all
                await intake.store.gap_failed(listing.name, day, trouble.reason, MOST_TRIES)
            log.gap_failed(listing.name, day, trouble.reason)
            break  # the site is in trouble: the other days wait too
        except PageError as trouble:
            await intake.store.gap_failed(listing.name, day, trouble.reason, MOST_TRIES)
            log.gap_failed(listing.name, day, trouble.reason)
    return done


# --- queue, post -----------------------------------------------------------------------------------------------------


async def queue_digests(store: Store, head: Letterhead, now: datetime, latest: timedelta = DAY) -> int:
    """Queue a message for everybody who is due; return how many digests were looked at.

    A daily digest that would be later than `latest` joins the next one.
    """
    total, last = 0, FIRST
    while True:
        done = await store.queue_digests(now, head.domain, last, latest=latest)
        for email, reason in done.troubles:
            log.not_queued(email, reason)
        total += done.groups
        if done.last is None:
            break
        last = done.last
    if total:
        log.queued(total)
    return total


async def post(desk: Desk, letter: Letter, now: datetime) -> bool:
    """Compose and sign a letter and queue it; False when there is one for this recipient and key already.

    It leaves with the next drain, before any digest. Raises AddressError or TemplateError.
    """
    if await desk.store.has_letter(letter.recipient, letter.key):
        return False
    message_id = desk.store.letter_name(letter, desk.head.domain)
    content = compose_letter(letter, message_id, desk.head.sender, desk.head.base_url, desk.templates, now)
    if desk.sign:
        content = desk.sign(content, now)
    return await desk.store.add_letter(letter, message_id, content, now)


# --- publish ----------------------------------------------------------------------------------------------------------


async def publish(shelf: Shelf, folder: Path, hub: Hub | None = None) -> list[Copy]:
    """Bring the public feeds up to date, in memory and as files; return those that changed.

    A reader sees the old file or the new one, never a half. A feed that cannot be written is served all the same, and
    written when there is room again. Raises OSError.
    """
    changed = await shelf.refresh()
    if hub:
        hub.changed(changed)
    try:
        for copy in shelf.to_write():
            await write(folder, [copy])
            shelf.written([copy])
    except OSError:
        shelf.not_written()
        raise
    return changed
