"""Sign-up: deal with what was asked for on the site: let a wish wait and write to its address, or write the lost link.

The site answers before anything is looked up, so that the answer tells nobody anything; what was asked for is stored
before the answer, and forgotten when it is dealt with. What a program that ended in between has left is dealt with by
the next (`deal_with_left`). An address is written to at most once a day for each of the two, by the key of the letter:
dealing with the same twice does nothing twice.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from notifier import log, pipeline, present
from notifier.drain import Desk
from notifier.errors import AddressError, NotifierError, Unwritable
from notifier.model import Asking, Letter, LetterKind, SubscriberState, Wish

TOO_LATE = timedelta(days=1)  # after which nobody waits for the mail any more, and nothing is done
LONGEST_LABEL = 300  # characters
LEFT = timedelta(minutes=1)  # after which what was asked for is no longer being dealt with by who answered


async def deal_with_left(desk: Desk, now: datetime) -> int:
    """Deal with what was answered by a program that ended before it was dealt with; return how much that was."""
    left = await desk.store.askings(now - LEFT)
    for asking in left:
        try:
            if now - asking.asked_at > TOO_LATE:
                await desk.store.dealt_with(asking)
            else:
                await deal_with(asking, desk, now)
        except Unwritable:
            raise
        except Exception as fault:  # it holds up nobody else
            log.step_failed("sign-up", fault)
    return len(left)


async def deal_with(asking: Asking, desk: Desk, now: datetime) -> None:
    """Deal with what was asked for; what fails stays, unless the address is at fault."""
    try:
        if asking.wish is not None:
            await _ask(asking, asking.wish, desk, now)
        else:
            await _remind(asking, desk, now)
    except NotifierError as fault:
        log.step_failed("sign-up" if asking.wish else "sending a link", fault)
        if not isinstance(fault, AddressError):
            return
    await desk.store.dealt_with(asking)


async def _ask(asking: Asking, wish: Wish, desk: Desk, now: datetime) -> None:
    """Let the wish wait, and write to its address if nothing was written to it today."""
    reader = await desk.store.ask(wish, now)
    waiting = await desk.store.waiting(reader.subscriber_id, now)
    labels = [present.clean(each.wish.label, LONGEST_LABEL) for each in waiting]
    values = {"labels": labels, "confirm_url": _url(desk, "confirm", reader.token)}
    key = f"confirm {asking.asked_at.astimezone(UTC).date()}"
    await pipeline.post(desk, Letter(kind=LetterKind.CONFIRM, recipient=wish.email, key=key, values=values), now)


async def _remind(asking: Asking, desk: Desk, now: datetime) -> None:
    """Write their link to an address that has confirmed one day, if that was not done today."""
    reader = await desk.store.subscriber(asking.email)
    if reader is None or reader.state is not SubscriberState.CONFIRMED:
        return
    values = {
        "heading": "Your link",
        "paragraphs": [
            "Somebody, hopefully you, asked for the link to change what this address is sent. "
            "If it was not you, do nothing: only who reads this mail has the link."
        ],
        "links": [
            {"text": "Change what is sent", "url": _url(desk, "manage", reader.token)},
            {"text": "Unsubscribe", "url": _url(desk, "unsubscribe", reader.token)},
        ],
    }
    key = f"link {asking.asked_at.astimezone(UTC).date()}"
    await pipeline.post(desk, Letter(kind=LetterKind.NOTE, recipient=asking.email, key=key, values=values), now)


def _url(desk: Desk, purpose: str, token: str) -> str:
    return f"{desk.head.base_url}/{purpose}/{desk.store.link(purpose, token)}"
