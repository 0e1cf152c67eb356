"""The outbox: what is queued is offered, and what became of it.

The commit points after `queue_digests`, in the order a message meets them:

- `claim` / `keep`: a lease, and the bytes that every attempt will carry. Power fails: claimed again, same bytes.
- `mark_in_doubt`: just before the final dot. Power fails after it: offered once more, same Message-ID.
- `settle`: the reply. After `sent` nothing sends these papers to this subscriber again: the key of `delivery` forbids.

The marks and settlements of senders that work side by side share transactions (`together`). A claim takes letters
first, then some messages of each recipient domain in turn, oldest first, so that no domain waits behind another's
thousands; what waits is found by an index, never loaded or counted.
"""

from __future__ import annotations

import contextlib
from asyncio import Future
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import ColumnElement, and_, bindparam, func, or_, select, true, update
from sqlalchemy.ext.asyncio import AsyncConnection

from notifier.model import Content, OutboxId, OutboxState, QueuedMessage, Reply, Verdict, Written
from notifier.retry import IMPOSSIBLE_WAIT, MAX_CRASHES, MAX_DOUBTS, next_attempt
from notifier.store import schema
from notifier.store.contents import contents, forget_told
from notifier.store.engine import Database, again, chunks
from notifier.store.lines import keep_lines, packed
from notifier.store.score import went_well
from notifier.store.settle import LONGEST_REPLY, forget, return_papers, settle, spread
from notifier.store.shortcut import Uncommon, keep_rows, shortcut
from notifier.store.stroke import keep_all, stroke
from notifier.store.together import Together
from notifier.store.turns import NO_PACE, Turns
from notifier.store.workers import SILENT

UNDER_WAY = (OutboxState.CLAIMED, OutboxState.IN_DOUBT)
NEXT_IN_LINE = timedelta(minutes=1)  # how long after the others a message comes over which the relay turned us away
# What settling needs to know of a message; never its content.
FACTS = tuple(schema.message.c[name] for name in (
    "id", "state", "owner", "subscriber_id", "queued_at", "attempts", "doubts", "crashes", "kind",
))  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Mark:
    """The final dot of a message follows."""

    outbox_id: OutboxId
    owner: str
    lease_until: datetime | None


@dataclass(frozen=True, slots=True)
class _Answer:
    """What the relay said of a message."""

    outbox_id: OutboxId
    reply: Reply
    now: datetime
    resend: bool


class Outbox:
    """The verbs of sending."""

    _database: Database
    _together: Together[_Mark | _Answer, bool | OutboxState]
    _turns: Turns

    @again
    async def claim(
        self,
        owner: str,
        now: datetime,
        lease: timedelta,
        limit: int,
        *,
        pace: Mapping[str, int] = NO_PACE,
        suspects: bool = False,
    ) -> list[QueuedMessage]:
        """Lease up to `limit` messages whose time has come, with all that composing them needs; letters come first.

        `pace` is how many a minute may go to a domain. `suspects` asks for messages over which processes died:
        claim those one at a time, with nothing else under way.
        """

        async def lease_some(connection: AsyncConnection) -> list[int]:
            ids = await self._turns.chosen(connection, now, limit, pace=pace, suspects=suspects)
            if not ids:
                return []
            taken = await connection.execute(_CLAIMED, {"ids": ids, "mine": owner, "until": now + lease})
            got = set(taken.scalars())
            return [number for number in ids if number in got]

        ids = await self._database.transact(lease_some, alone=False)
        if not ids:
            forget_told()
            return []
        try:
            return await self._database.transact(lambda connection: contents(connection, ids), writes=False)
        except BaseException:  # nobody would know that they are ours until their lease lapses
            with contextlib.suppress(Exception):  # the first fault says more
                await self.release([OutboxId(number) for number in ids], owner)
            raise

    @again
    async def keep(self, contents: Sequence[tuple[OutboxId, Content]], owner: str, now: datetime) -> None:
        """Store the composed bytes of messages that are claimed by `owner`: every attempt will carry these."""
        if not contents:
            return
        stored, named = packed(each for _, each in contents)
        rows = [
            {"number": number, "bytes": octets, "at": now if isinstance(each, Written) else None}
            for (number, each), octets in zip(contents, stored, strict=True)
        ]

        async def store(connection: AsyncConnection) -> None:
            await keep_lines(self._database, connection, named, now)
            await _keep(self._database, connection, rows, owner)

        await self._database.transact(store, alone=False)

    async def mark_in_doubt(self, outbox_id: OutboxId, owner: str, lease_until: datetime | None = None) -> bool:
        """Record that the final dot follows; False when the message is no longer ours to send (its reader left)."""
        return bool(await self._together(_Mark(outbox_id, owner, lease_until)))

    async def settle(self, outbox_id: OutboxId, reply: Reply, now: datetime, *, resend: bool) -> OutboxState:
        """Record what the relay said of a message; return the state that it is in now.

        `resend` says whether a message without an answer after its final dot is offered again, or held for a person.
        """
        return await self.settling(outbox_id, reply, now, resend=resend)

    def settling(self, outbox_id: OutboxId, reply: Reply, now: datetime, *, resend: bool) -> Future[OutboxState]:
        """Begin to `settle`, without waiting: it is recorded before any mark that is asked for later."""
        return cast("Future[OutboxState]", self._together(_Answer(outbox_id, reply, now, resend)))

    @again
    async def _commit(self, requests: Sequence[_Mark | _Answer]) -> list[bool | OutboxState]:
        """Do marks and settlements in one transaction; answer each."""
        marks = [each for each in requests if isinstance(each, _Mark)]
        answers = [each for each in requests if isinstance(each, _Answer)]
        plain = all(each.reply.verdict is Verdict.SENT for each in answers)
        if plain and not self._database.is_sqlite:
            return await self._stroke(requests, marks, answers)

        async def apply(connection: AsyncConnection) -> tuple[set[int], dict[int, OutboxState]]:
            return await _mark(connection, marks), await _settle_all(connection, answers)

        if plain:
            dots = [(each.outbox_id, each.owner, each.lease_until) for each in marks]
            sent = [(each.outbox_id, each.reply.code, each.reply.text[:LONGEST_REPLY], each.now) for each in answers]
            with contextlib.suppress(Uncommon):
                await self._database.change(lambda database: shortcut(database, dots, sent))
                return [isinstance(each, _Mark) or OutboxState.SENT for each in requests]
        marked, settled = await self._database.transact(apply, alone=not plain)
        return [each.outbox_id in marked if isinstance(each, _Mark) else settled[each.outbox_id] for each in requests]

    async def _stroke(
        self, requests: Sequence[_Mark | _Answer], marks: Sequence[_Mark], answers: Sequence[_Answer]
    ) -> list[bool | OutboxState]:
        """Do marks and "sent" in one statement; answer each. What was not ours any more is what it is."""
        done = await stroke(
            self._database,
            {each.outbox_id: (each.owner, each.lease_until) for each in marks},
            {each.outbox_id: (each.reply.code, each.reply.text[:LONGEST_REPLY], each.now) for each in answers},
        )
        states: dict[int, OutboxState] = dict.fromkeys((each.outbox_id for each in answers), OutboxState.SENT)
        if lost := [number for number in states if number not in done]:
            states |= dict.fromkeys(lost, OutboxState.FAILED)  # erased meanwhile, its reader with it
            async with self._database.read() as connection:
                found = select(schema.message.c.id, schema.message.c.state).where(schema.message.c.id.in_(lost))
                states |= {row.id: OutboxState(row.state) for row in await connection.execute(found)}
        return [each.outbox_id in done if isinstance(each, _Mark) else states[each.outbox_id] for each in requests]

    async def release(self, outbox_ids: Sequence[OutboxId], owner: str, *, marked: bool = False) -> None:
        """Give claimed messages back unharmed: they were not offered.

        With `marked` those, too, that are in doubt; their owner knows that no final dot followed.
        """
        come_from = UNDER_WAY if marked else (OutboxState.CLAIMED,)
        await self._move(outbox_ids, owner, come_from, state=OutboxState.QUEUED)

    @again
    async def renew(self, outbox_ids: Sequence[OutboxId], owner: str, until: datetime) -> None:
        """Keep claimed messages that are still ours until then; one that is marked meanwhile has a lease of its own."""
        message = schema.message
        async with self._database.write(alone=False) as connection:
            for some in chunks(outbox_ids):
                ours = message.c.id.in_(some), message.c.owner == owner, message.c.state == OutboxState.CLAIMED
                free = select(message.c.id).where(*ours).with_for_update(skip_locked=True)  # it waits for nobody
                await connection.execute(update(message).where(message.c.id.in_(free)).values(lease_until=until))

    async def postpone(
        self, outbox_ids: Sequence[OutboxId], owner: str, until: datetime, reason: str, *, marked: bool = False
    ) -> None:
        """Give back claimed messages that were not offered, because the relay will not talk to us before `until`.

        With `marked` those, too, that are in doubt; their owner knows that no final dot followed.
        """
        values = {"state": OutboxState.DEFERRED, "next_attempt_at": until, "reply": reason[:LONGEST_REPLY]}
        await self._move(outbox_ids, owner, UNDER_WAY if marked else (OutboxState.CLAIMED,), **values)

    async def hold(self, outbox_id: OutboxId, owner: str, reason: str) -> None:
        """Set a claimed message aside for a person to look at; its papers stay with it."""
        await self._move([outbox_id], owner, state=OutboxState.HELD, reply=reason[:LONGEST_REPLY])

    @again
    async def turned_away(self, outbox_id: OutboxId, until: datetime, reason: str, now: datetime) -> OutboxState:
        """Record that the relay turned us away over this message: nobody is to blame, and others go before it.

        It waits longer each time, and is given up like any deferred message; its papers are owed again then.
        """
        message = schema.message
        async with self._database.write() as connection:
            row = (await connection.execute(select(*FACTS).where(message.c.id == outbox_id))).one_or_none()
            if row is None:  # erased meanwhile
                return OutboxState.FAILED
            if row.state not in UNDER_WAY:
                return OutboxState(row.state)
            again = next_attempt(row.attempts + 1, row.queued_at, now, spread=spread(row))
            values: dict[str, Any] = {
                "attempts": row.attempts + 1, "crashes": 0, "owner": None, "lease_until": None,
                "reply": reason[:LONGEST_REPLY],
            }  # fmt: skip
            if again is None and row.doubts:
                values |= {"state": OutboxState.HELD}  # it may have arrived: a person decides
            elif again is None:
                values |= {"state": OutboxState.FAILED, "settled_at": now}
                await return_papers(connection, outbox_id)
                await forget(connection, [outbox_id])
            else:
                values |= {"state": OutboxState.DEFERRED, "next_attempt_at": max(again, until + NEXT_IN_LINE)}
            await connection.execute(update(message).where(message.c.id == outbox_id).values(values))
        return OutboxState(values["state"])

    async def recover(
        self, now: datetime, *, resend: bool, gone: Callable[[str], bool] = lambda _owner: False
    ) -> tuple[int, int]:
        """After a crash: free the messages that dead processes had claimed, resend or hold those in doubt.

        Returns how many of each there were. A message in doubt too often, or over which too many processes died, is
        held, whatever `resend` says. On SQLite every other process is dead; on PostgreSQL those that `gone` says are,
        and those whose lease lapsed.
        """
        message = schema.message
        if self._database.is_sqlite:
            return await self._free(now, true(), resend)
        async with self._database.read() as connection:
            owners = select(message.c.owner).where(message.c.state.in_(UNDER_WAY)).distinct()
            dead = [owner for owner in (await connection.execute(owners)).scalars() if owner and gone(owner)]
        return await self._free(now, or_(message.c.lease_until <= now, message.c.owner.in_(dead)), resend)

    async def free_lapsed(self, now: datetime, *, resend: bool) -> tuple[int, int]:
        """Do the same for messages whose lease lapsed: whoever held them could not say what became of them.

        What a worker had claimed that fell silent is freed sooner; what it had under its final dot waits for the lease.

        What waits for a time further away than any that is given got it from a clock that was wrong: it is due now.
        """
        message = schema.message
        wrong = and_(schema.WAITING, message.c.next_attempt_at > now + IMPOSSIBLE_WAIT)
        async with self._database.read() as connection:
            found = (await connection.execute(select(message.c.id).where(wrong).limit(1))).first()
        if found:
            async with self._database.write() as connection:
                await connection.execute(update(message).where(wrong).values(next_attempt_at=now))
        lapsed = message.c.lease_until <= now
        if not self._database.is_sqlite:
            lapsed = or_(lapsed, and_(message.c.state == OutboxState.CLAIMED, message.c.owner.in_(SILENT)))
        return await self._free(now, lapsed, resend)

    @again
    async def _free(self, now: datetime, which: ColumnElement[bool], resend: bool) -> tuple[int, int]:
        message = schema.message
        under_way = message.c.state.in_(UNDER_WAY)
        async with self._database.read() as connection:
            if not (await connection.execute(select(message.c.id).where(under_way, which).limit(1))).first():
                return 0, 0
        async with self._database.write() as connection:
            rows = (
                await connection.execute(
                    select(*FACTS).where(under_way, which).order_by(message.c.id).with_for_update()
                )
            ).all()
            for row in rows:
                values: dict[str, Any] = {"owner": None, "lease_until": None, "next_attempt_at": now}
                if row.state == OutboxState.CLAIMED:
                    values |= {"state": OutboxState.QUEUED, "crashes": row.crashes + 1}
                    if row.crashes + 1 >= MAX_CRASHES:
                        values |= {"state": OutboxState.HELD, "reply": f"{MAX_CRASHES} processes died over it"}
                else:
                    again = resend and row.doubts + 1 < MAX_DOUBTS
                    values["state"] = OutboxState.DEFERRED if again else OutboxState.HELD
                    values |= {"doubts": row.doubts + 1, "reply": "no answer to the final dot was recorded"}
                await connection.execute(update(message).where(message.c.id == row.id).values(values))
        doubtful = sum(row.state == OutboxState.IN_DOUBT for row in rows)
        return len(rows) - doubtful, doubtful

    async def depth(self) -> dict[OutboxState, int]:
        """Count the messages in each state."""
        async with self._database.read() as connection:
            rows = await connection.execute(
                select(schema.message.c.state, func.count()).group_by(schema.message.c.state)
            )
            return {OutboxState(state): count for state, count in rows}

    async def message(self, outbox_id: OutboxId) -> QueuedMessage | None:
        """Return a message with its papers, whatever its state: for its web copy and for looking into the outbox."""
        async with self._database.read() as connection:
            found = await contents(connection, [outbox_id], always=True)
        return found[0] if found else None

    @again
    async def _move(
        self,
        outbox_ids: Sequence[OutboxId],
        mine: str,
        come_from: Sequence[OutboxState] = (OutboxState.CLAIMED,),
        **values: Any,
    ) -> None:
        """Give claimed messages back, in another state: they cost no process its life."""
        message = schema.message
        async with self._database.write(alone=False) as connection:
            for some in chunks(outbox_ids):
                ours = message.c.id.in_(some), message.c.owner == mine, message.c.state.in_(come_from)
                back = update(message).where(*ours).values(owner=None, lease_until=None, crashes=0, **values)
                await connection.execute(back)


# The statements of every message that is sent, made once: making them costs more than their execution.
_MINE = schema.message.c.id.in_(bindparam("ids", expanding=True))
_CLAIMED = (
    update(schema.message)
    .where(_MINE, schema.WAITING)
    .values(state=OutboxState.CLAIMED, owner=bindparam("mine"), lease_until=bindparam("until"))
    .returning(schema.message.c.id)
)
_MARKED = (
    update(schema.message)
    .where(_MINE, schema.message.c.owner == bindparam("mine"), schema.message.c.state == OutboxState.CLAIMED)
    .values(state=OutboxState.IN_DOUBT, lease_until=func.coalesce(bindparam("until", type_=schema.Instant()),
                                                                  schema.message.c.lease_until))
    .returning(schema.message.c.id)
)  # fmt: skip
_FACTS = select(*FACTS).where(_MINE).order_by(schema.message.c.id).with_for_update()
_SENT = (
    update(schema.message)
    .where(schema.message.c.id == bindparam("number"))
    .values(
        state=OutboxState.SENT, attempts=schema.message.c.attempts + 1, crashes=0, owner=None, lease_until=None,
        code=bindparam("said"), reply=bindparam("words"), settled_at=bindparam("at"),
    )
)  # fmt: skip


async def _keep(database: Database, connection: AsyncConnection, rows: Sequence[Mapping[str, Any]], owner: str) -> None:
    """Store the bytes of claimed messages, in as few statements as each database takes."""
    if not database.is_sqlite:
        await keep_all(connection, rows, owner)
        return
    await keep_rows(connection, rows, owner)


async def _mark(connection: AsyncConnection, marks: Sequence[_Mark]) -> set[int]:
    """Mark claimed messages in doubt; return which were still ours."""
    marked = set[int]()
    for owner in {mark.owner for mark in marks}:
        ids = [mark.outbox_id for mark in marks if mark.owner == owner]
        until = max((mark.lease_until for mark in marks if mark.owner == owner and mark.lease_until), default=None)
        moved = await connection.execute(_MARKED, {"ids": ids, "mine": owner, "until": until})
        marked |= set(moved.scalars())
    return marked


async def _settle_all(connection: AsyncConnection, answers: Sequence[_Answer]) -> dict[int, OutboxState]:
    """Settle messages; return their states. Those that were sent, nearly all, at once."""
    if not answers:
        return {}
    rows = {row.id: row for row in await connection.execute(_FACTS, {"ids": [each.outbox_id for each in answers]})}
    # What was called back meanwhile, because its reader left, stays so.
    states = {number: OutboxState(row.state) for number, row in rows.items()}
    # What was erased meanwhile, its reader with it, has nothing left to settle.
    states |= {each.outbox_id: OutboxState.FAILED for each in answers if each.outbox_id not in rows}
    open_ = [each for each in answers if states[each.outbox_id] in UNDER_WAY]
    sent = [each for each in open_ if each.reply.verdict is Verdict.SENT]
    if sent:
        await connection.execute(
            _SENT,
            [
                {"number": each.outbox_id, "said": each.reply.code, "words": each.reply.text[:LONGEST_REPLY],
                 "at": each.now}
                for each in sent
            ],
        )  # fmt: skip
        await forget(connection, [each.outbox_id for each in sent])
        people = {rows[each.outbox_id].subscriber_id for each in sent} - {None}
        await went_well(connection, sorted(people), max(each.now for each in sent))
    states |= {each.outbox_id: OutboxState.SENT for each in sent}
    for each in open_:
        if each.reply.verdict is not Verdict.SENT:
            states[each.outbox_id] = await settle(connection, rows[each.outbox_id], each.reply, each.now, each.resend)
    return states
