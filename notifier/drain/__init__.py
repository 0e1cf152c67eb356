"""Drain: offer every message of the outbox whose time has come, several at once; settle what the relay says.

    claim --compose--> line --places--> mark in doubt --final dot--> settle

One message goes first; once the relay has answered it, the other places open. A place at which the relay would not
talk to us closes; when the last one closes, the relay rests and is asked again with one message (the circuit breaker,
`store.relays`). Nothing is in memory but a few claimed batches, however many messages wait. A drain ends after a
while although messages wait, so that queueing and publishing have their turn: `Drained.more` says so.

When the database cannot be written, the answer to what was offered stays in memory (`Desk.left`), and is stored before
the next drain offers anything: what the relay took is not sent twice because a disk was full.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial

from notifier import log
from notifier.compose import ComposeError, write
from notifier.compose.fragments import Fragments
from notifier.deliver import Relay
from notifier.digest import Letterhead, digest, forget_marks
from notifier.drain.claims import LEASE, Claims
from notifier.drain.line import Item, Line
from notifier.errors import AddressError, NotifierError, RelayTrouble, StoreError, Unwritable
from notifier.model import Content, Envelope, OutboxId, OutboxState, QueuedMessage, Reply, Verdict, Written
from notifier.retry import PERMANENT_REST
from notifier.store import Store
from notifier.templates import Templates

CLAIM = 400  # messages claimed at once; as many again may stand in line
TURN = 5  # messages composed in one turn of the event loop: half a millisecond
ROUND = 30.0  # seconds after which no more is claimed: the rest of the program has its turn
LOST = "what it was offered with cannot be read any more, and other bytes could be a second mail; `outbox discard` it"
SIGNATURES = 2_500  # octets that two signatures may add to a message
MARKED_AGAIN = timedelta(minutes=1)  # after which a message is tried again that the database did not mark
PER_DOMAIN = 5  # messages under way to one recipient domain


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What sending needs: where mail goes, what it says, and who we are among the processes of this database.

    `relay_name` is what a relay's rests are remembered under. `per_domain` is how many messages may be under way to
    one recipient domain, `pace` how many a minute may go to some of them. `left` are messages of a drain that could not
    store what became of them: the relay's reply, or None for one that had no final dot.
    """

    store: Store
    relay: Relay
    templates: Templates
    fragments: Fragments
    head: Letterhead
    owner: str
    resend: bool
    clock: Callable[[], datetime]
    sign: Callable[[bytes, datetime], bytes] | None = None
    relay_name: str = "relay"
    per_domain: int = PER_DOMAIN
    pace: Mapping[str, int] = field(default_factory=dict)
    left: dict[OutboxId, Reply | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Drained:
    """What became of the messages that were offered; `paused_until` when the relay would not talk to us.

    `more` says that messages may still wait although their time has come.
    """

    states: Counter[OutboxState]
    paused_until: datetime | None = None
    more: bool = False


async def drain_outbox(desk: Desk, stop: asyncio.Event | None = None, most: int | None = None) -> Drained:
    """Offer messages whose time has come, once each, `most` at most; `stop` ends it when those under way are settled.

    The processes of one database share the places at the relay; a drain that gets none does nothing, and says `more`.
    One after which messages wait keeps its places for the next: whoever does not go on calls `leave`.
    """
    now = desk.clock()
    await store_what_was_left(desk, now)
    await desk.store.free_lapsed(now, resend=desk.resend)
    rest = await desk.store.resting(desk.relay_name)
    if rest is not None and now < rest.until <= now + PERMANENT_REST:
        return Drained(states=Counter(), paused_until=rest.until)
    places = await desk.store.take_places(desk.owner, desk.relay_name, desk.relay.places)
    await desk.relay.narrow(places)  # there may have been more; those are others' now
    if not places:
        return Drained(states=Counter(), more=True)
    drain = _Drain(desk, stop or asyncio.Event(), rests=rest is not None, places=places, most=most)
    try:
        await drain.run()
    except BaseException:
        await leave(desk)
        raise
    if not drain.more:  # what the next mails are made of is not in it, and it is a tenth of the program
        await leave(desk)
        desk.fragments.forget()
        forget_marks()
    return Drained(states=drain.states, paused_until=drain.paused_until, more=drain.more)


async def leave(desk: Desk) -> None:
    """Give the places at the relay back to the other processes of the database, and their connections up before."""
    if not desk.store.is_shared:
        return
    with contextlib.suppress(Exception):  # they lapse by themselves; what ended the drain says more
        await desk.relay.close()
        await desk.store.give_places(desk.owner)


async def store_what_was_left(desk: Desk, now: datetime) -> None:
    """Store what became of messages when that could not be stored. Raises Unwritable where it still cannot.

    What the database refuses for another reason is logged and kept for the next time: it holds up nothing else.
    """
    for number, reply in list(desk.left.items()):
        try:
            if reply is None:
                await desk.store.release([number], desk.owner, marked=True)
            else:
                await desk.store.settle(number, reply, now, resend=desk.resend)
        except Unwritable:
            raise
        except Exception as fault:
            log.step_failed(f"store what became of message {number}", fault)
        else:
            del desk.left[number]


class _WithdrawnError(NotifierError):
    """The message stopped being ours to send before its final dot."""


class _UnmarkedError(NotifierError):
    """Whether the message is marked nobody knows, for the database went away; no final dot follows."""


class _Drain:
    """One drain over `places`, of `most` messages. `rests`: the relay would not talk to us when last asked."""

    def __init__(self, desk: Desk, stop: asyncio.Event, *, rests: bool, places: int, most: int | None) -> None:
        self._desk = desk
        self._stop = stop
        self._rests = rests
        self._places = places
        self._claims = Claims(desk.store, desk.owner, desk.clock, pace=desk.pace, most=most)
        # Of what may be under way to one domain this process has its share, too.
        self._line = Line(max(1, desk.per_domain * places // desk.relay.places))
        self._open = 1  # places at which the relay talks to us
        self._fault: Exception | None = None
        self._ends_at = asyncio.get_running_loop().time() + ROUND
        self._settling: set[asyncio.Future[OutboxState]] = set()  # answers that are being stored
        self.states: Counter[OutboxState] = Counter()
        self.paused_until: datetime | None = None
        self.more = False

    async def run(self) -> None:
        """Raises what the database raised, once what is under way has ended.

        Cut off, it gives back what the relay was not yet free to end with a dot: a stop costs no such message a try,
        and leaves none of them in doubt, marked or not.
        """
        try:
            async with self._claims.renewing():
                await self._run()
        except asyncio.CancelledError:
            self._desk.left.update(self._claims.unfinished())
            with contextlib.suppress(NotifierError):
                await store_what_was_left(self._desk, self._desk.clock())
            raise
        except BaseException:
            self._desk.left.update(self._claims.unfinished())
            raise

    async def _run(self) -> None:
        if self._rests and not await self._desk.store.probe(self._desk.relay_name, self._desk.clock()):
            return
        ready = await self._composed(await self._claims.take(1 if self._rests else CLAIM))
        await self._knock(ready)
        self._line.put(ready)
        if not self._over():
            self._open = self._places
            async with asyncio.TaskGroup() as group:
                group.create_task(self._fill(), name="fill the line")
                for number in range(self._places):
                    group.create_task(self._place(), name=f"place {number}")
        await self._all_settled()
        await self._give_back(self._line.clear())
        if not self._over() and not self.more:
            await self._offer_suspects()
        if self._fault:
            raise self._fault

    def _over(self) -> bool:
        return self._stop.is_set() or self.paused_until is not None or self._fault is not None

    async def _knock(self, ready: list[Item]) -> None:
        """Offer the first message alone: a relay that is down, or refuses our login, is asked once and not by many."""
        if ready and not self._over():
            await self._offered(*ready.pop(0))
            await self._all_settled()

    async def _offer_suspects(self) -> None:
        """Offer the messages over which processes died, one at a time: if one of them is to blame, it is found."""
        while not self._over() and (messages := await self._claims.take(1, suspects=True)):
            for item in await self._composed(messages):
                await self._offered(*item)
            await self._all_settled()

    async def _give_back(self, left: Sequence[QueuedMessage]) -> None:
        """Give back what was not offered."""
        numbers = [message.outbox_id for message in left]
        if numbers and self.paused_until:
            await self._desk.store.postpone(numbers, self._desk.owner, self.paused_until, "the relay rests")
        elif numbers:
            await self._desk.store.release(numbers, self._desk.owner)
        for number in numbers:
            self._claims.ended(number)

    # --- one end of the line: claim and compose, a batch ahead of the places ---

    async def _fill(self) -> None:
        try:
            while True:
                await self._line.shorter(CLAIM)
                if asyncio.get_running_loop().time() >= self._ends_at or self._claims.exhausted:
                    self.more = True
                    return
                messages = [] if self._over() else await self._claims.take(CLAIM)
                if not messages:
                    return
                ready = await self._composed(messages)
                if self._over():  # the places may be gone: nobody would take it
                    await self._give_back([message for message, _ in ready])
                    return
                self._line.put(ready)
        except Exception as fault:
            self._fault = self._fault or fault
        finally:
            self._line.close()

    async def _composed(self, messages: Sequence[QueuedMessage]) -> list[Item]:
        """Compose what has no bytes yet and keep them, so that every attempt carries the same; a bad one is held."""
        desk, ready = self._desk, list[Item]()
        for number, message in enumerate(messages, 1):
            try:
                ready.append((message, self._envelope(message, message.content or self._written(message))))
            except Exception as fault:
                log.compose_failed(message.recipient, message.message_id, fault)
                await desk.store.hold(message.outbox_id, desk.owner, f"could not be composed: {fault}")
                self._claims.ended(message.outbox_id)
                self.states[OutboxState.HELD] += 1
            if number % TURN == 0:
                await asyncio.sleep(0)  # the places have their turn
        new = [(message.outbox_id, envelope.content) for message, envelope in ready if message.content is None]
        await desk.store.keep(new, desk.owner, desk.clock())
        return ready

    def _written(self, message: QueuedMessage) -> Written:
        """Return the bytes of a message, signed: every attempt will carry the signature of the first.

        Raises ComposeError for one that was offered with other bytes, which are lost: a person decides (G3).
        """
        desk = self._desk
        if message.lost and (message.attempts or message.doubts or message.kind != "digest"):
            raise ComposeError(message.message_id, LOST)
        most = max(1, desk.relay.largest - SIGNATURES * bool(desk.sign)) if desk.relay.largest else 0
        written = write(digest(message, desk.head), desk.fragments, most)
        if desk.sign is None:
            return written
        octets = bytes(written)
        return written.below(desk.sign(octets, desk.clock()).removesuffix(octets))

    def _envelope(self, message: QueuedMessage, content: Content) -> Envelope:
        sender = self._desk.head.return_path(message.outbox_id)
        return Envelope(message.message_id, sender, message.recipient, content)

    # --- the other end: offer and settle ---

    async def _place(self) -> None:
        """Offer one message after the other until the line is empty, or the relay will not talk to us here.

        The next is taken from the line as soon as the relay can be told of it.
        """
        ahead: list[Item] = []

        def following() -> Envelope | None:
            if not ahead and not self._over() and (item := self._line.take_at_once()):
                ahead.append(item)
            return ahead[0][1] if ahead else None

        try:
            while not self._over() and (item := ahead.pop() if ahead else await self._line.take()) is not None:
                try:
                    if not await self._offered(*item, following):
                        return
                finally:
                    self._line.done(item[0])
        except Exception as fault:  # the database: what the others have under way may still be settled
            self._fault = self._fault or fault
        finally:
            for message, envelope in ahead:  # another place's turn
                self._desk.relay.withdraw(envelope)
                self._line.done(message)
                self._line.put([(message, envelope)])
            if self._over():  # so that nobody waits for it
                await self._clear()

    async def _clear(self) -> None:
        """Give back what stands in line. A fault ends the drain, but not before the others have their answers."""
        try:
            await self._give_back(self._line.clear())
        except Exception as fault:
            self._fault = self._fault or fault

    async def _offered(
        self, message: QueuedMessage, envelope: Envelope, following: Callable[[], Envelope | None] = lambda: None
    ) -> bool:
        """Offer a message, whatever comes of it; return whether to go on at this place."""
        desk = self._desk
        try:
            await self._offer(message, envelope, following)
        except RelayTrouble as trouble:
            log.relay_trouble(trouble)
            now = desk.clock()
            self._open -= 1
            if (trouble.permanent or self._open <= 0) and self.paused_until is None:
                self.paused_until = now  # nobody else records it too
                self.paused_until = await desk.store.relay_failed(desk.relay_name, trouble, now)
            state = await desk.store.turned_away(message.outbox_id, self.paused_until or now, str(trouble), now)
            self._ended(message, None if state is OutboxState.DEFERRED else state)
            return False
        except Unwritable:
            raise
        except _UnmarkedError as fault:  # neither the message nor the relay is to blame
            log.step_failed(f"mark {message.message_id}", fault)
            until = desk.clock() + MARKED_AGAIN
            await desk.store.postpone([message.outbox_id], desk.owner, until, "it could not be marked", marked=True)
            self._ended(message, None)
        except Exception as fault:  # of no kind we know: this message waits, the others leave
            if self._claims.has_answer(message.outbox_id):  # answered: the answer is stored later, nothing sent anew
                raise
            log.step_failed(f"offer {message.message_id}", fault)
            now = desk.clock()
            self._ended(message, await desk.store.turned_away(message.outbox_id, now, repr(fault), now))
        return True

    def _ended(self, message: QueuedMessage, state: OutboxState | None) -> None:
        """Take note of what became of a message, which is stored; None: nothing that counts."""
        self._claims.ended(message.outbox_id)
        if state is not None:
            self.states[state] += 1

    async def _offer(
        self, message: QueuedMessage, envelope: Envelope, following: Callable[[], Envelope | None]
    ) -> None:
        """Offer one message and begin to settle the reply.

        The next message is marked after that, in the same transaction at the earliest: of each place there is never
        more than one message in doubt.
        """
        desk = self._desk

        async def in_doubt() -> None:
            if self._stop.is_set():  # before its final dot a message is safe to leave, after it nobody could tell
                await desk.store.release([message.outbox_id], desk.owner)
                raise _WithdrawnError(message.message_id)
            try:
                marked = await desk.store.mark_in_doubt(message.outbox_id, desk.owner, desk.clock() + LEASE)
            except Unwritable:
                raise
            except Exception as fault:
                raise _UnmarkedError(repr(fault)) from fault
            if not marked:
                raise _WithdrawnError(message.message_id)
            self._claims.marked(message.outbox_id)  # nothing is awaited after this: who was cut off before wrote no dot

        try:
            reply = await desk.relay.offer(envelope, in_doubt, following)
            if _too_large(message, envelope.content, reply, desk.relay) and (shorter := await self._shortened(message)):
                reply = await desk.relay.offer(replace(envelope, content=shorter), in_doubt)
            self._claims.answered(message.outbox_id, reply)
        except _WithdrawnError:
            log.withdrawn(message.recipient, message.message_id)
            self._ended(message, None)
            return
        except AddressError as fault:  # never sent, whoever put it into the database
            await desk.store.hold(message.outbox_id, desk.owner, str(fault))
            self._ended(message, OutboxState.HELD)
            return
        if self._rests:
            self._rests = False
            await desk.store.relay_works(desk.relay_name)
        settling = desk.store.settling(message.outbox_id, reply, desk.clock(), resend=desk.resend)
        self._settling.add(settling)
        settling.add_done_callback(partial(self._settled, message, reply))

    async def _shortened(self, message: QueuedMessage) -> Content | None:
        """Compose a message anew for a relay that takes no more octets than it has told us, and keep that."""
        whole = await self._desk.store.message(message.outbox_id)  # one that was composed before has no papers
        if whole is None:
            return None
        shorter = self._written(whole)
        if len(shorter) > self._desk.relay.largest:
            return None
        await self._desk.store.keep([(message.outbox_id, shorter)], self._desk.owner, self._desk.clock())
        return shorter

    def _settled(self, message: QueuedMessage, reply: Reply, settling: asyncio.Future[OutboxState]) -> None:
        """Go on once an answer is stored; one that could not be is kept, and ends the drain."""
        self._settling.discard(settling)
        if settling.cancelled():
            return
        if fault := settling.exception():
            self._fault = self._fault or (fault if isinstance(fault, Exception) else StoreError(repr(fault)))
            return
        self._ended(message, settling.result())
        log.settled(message.recipient, message.message_id, settling.result(), reply.code, reply.text)

    async def _all_settled(self) -> None:
        """Wait until what was answered is stored, or could not be."""
        while self._settling:
            await asyncio.wait(self._settling)


def _too_large(message: QueuedMessage, content: Content, reply: Reply, relay: Relay) -> bool:
    """Tell whether a digest was not even offered because of its size; nobody can have it, so it may be another."""
    unsaid = reply.verdict is Verdict.REFUSED_MESSAGE and reply.code is None
    return unsaid and 0 < relay.largest < len(content) and message.kind == "digest" and not message.doubts
