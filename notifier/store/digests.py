"""Digests: who is due, what they are owed, and the second commit point.

`queue_digests` stores in one transaction the message and which papers it carries. If power fails before its commit the
hits are still owed; after it the key of `delivery` keeps these papers out of every other message to this subscriber.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, and_, bindparam, exists, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from notifier import cadence
from notifier.model import (
    Cadence,
    DigestClock,
    OutboxId,
    OutboxState,
    PaperId,
    QueryId,
    QueuedMessage,
    Quiet,
    SubscriberId,
    SubscriberState,
    Versions,
)
from notifier.store import schema
from notifier.store.contents import by_paper, coverage, papers, subscriptions
from notifier.store.engine import Database, again, chunks, execute_rows
from notifier.store.jobs import Jobs, senders
from notifier.store.rows import domain_of, to_clock
from notifier.store.shards import settled_poll
from notifier.store.stroke import move_all

Owed = dict[tuple[PaperId, int], list[QueryId]]  # (paper, edition) -> the queries that hit it
Group = Sequence[Row[Any]]  # the subscriptions of one subscriber and one cadence
WANTED = {  # which hits a subscription's policy wants
    Versions.NEW: ("new",),
    Versions.CROSS: ("new", "cross"),
    Versions.REVISED: ("new", "cross", "revised"),
}


FIRST = SubscriberId(0)  # before the first
AT_ONCE = 500  # subscribers queued for in one transaction
MOST_OWED = 50_000  # hits looked at in one go
PUT_OFF = timedelta(hours=1)  # of a subscriber whose digest cannot be queued
SILENCE = timedelta(days=7, hours=-1)  # before a heartbeat; a clock that is changed must not make it eight days
RETURN_PAUSE = timedelta(hours=20)  # between messages to an immediate reader whose papers came back


@dataclass(frozen=True, slots=True, kw_only=True)
class Queued:
    """What a round of queueing did: groups looked at, the last subscriber (None: nobody is due), who had trouble."""

    groups: int
    last: SubscriberId | None
    troubles: tuple[tuple[str, str], ...]


class Digests:
    """The verbs of deciding what to send."""

    _jobs: Jobs

    def __init__(self, database: Database, secret: bytes) -> None:
        self._database = database
        self._secret = secret

    @again
    async def queue_digests(
        self,
        now: datetime,
        domain: str,
        after: SubscriberId = FIRST,
        limit: int = AT_ONCE,
        *,
        latest: timedelta = cadence.DAY,
    ) -> Queued:
        """Queue messages for up to `limit` subscribers who are due; of immediate readers, those numbered above `after`.

        One transaction. A subscriber's subscriptions of one cadence share one message; each paper is in it once and in
        no other. Nothing to say queues nothing. `domain` is the right side of the Message-IDs. A subscriber whose
        digest cannot be queued is put off by an hour and named; it stops nobody else. A daily digest that would come
        later than `latest` is not queued: what it is owed joins the next one.
        """
        troubles: list[tuple[str, str]] = []
        async with self._database.write() as connection:
            newest = await connection.scalar(select(settled_poll())) or 0
            chosen, last = await _chosen(connection, now, after, limit, newest)
            due = await _due(connection, now, chosen, newest)
            for group in [each for each in due if _too_late(each, now, latest)]:
                await _skip(connection, group, now)
            for wave in _waves([group for group in due if not _too_late(group, now, latest)]):
                troubles += await self._queue_apart(connection, wave, newest, now, domain)
        return Queued(groups=len(due), last=last, troubles=tuple(troubles))

    async def preview(self, email: str, now: datetime, *, again: bool) -> QueuedMessage | None:
        """Return the message that an address would be sent now, without queueing it; None for a stranger.

        With `again` it holds what its queries hit at any time, sent or not.
        """
        async with self._database.read() as connection:
            person = (await connection.execute(select(schema.subscriber).filter_by(email=email))).first()
            if person is None:
                return None
            active = [row for row in await subscriptions(connection, person.id) if row.active]
            mine = [row for row in active if again or row.cadence in cadence.MAILED]
            newest = await connection.scalar(select(settled_poll())) or 0
            owed = await (_hits(connection, mine) if again else _owed_to(connection, mine, newest)) if mine else {}
            first = min((row.cursor for row in mine), default=newest)
            return QueuedMessage(
                outbox_id=OutboxId(0),
                message_id="<preview@localhost>",
                kind="digest",
                recipient=email,
                token=person.token,
                feed=person.feed,
                period="preview",
                cadence=Cadence(mine[0].cadence) if mine else Cadence.DAILY,
                timezone=mine[0].timezone if mine else "UTC",
                queued_at=now,
                attempts=0,
                doubts=0,
                papers=await papers(connection, by_paper(owed)),
                queries={QueryId(s.query_id): (s.label, s.canonical) for s in mine},
                coverage=await coverage(connection, 0 if again else first, newest),
                content=None,
            )

    async def _queue_apart(
        self, connection: AsyncConnection, wave: Sequence[Group], newest: int, now: datetime, domain: str
    ) -> list[tuple[str, str]]:
        """Queue for groups of different subscribers at once; one by one if that fails. Return who had trouble and why.

        What they are owed together is bounded: too much is done in halves.
        """
        try:
            async with connection.begin_nested():
                owed = await _owed(connection, wave, newest, most=MOST_OWED if len(wave) > 1 else None)
                if owed is not None:
                    await self._queue(connection, wave, owed, newest, now, domain)
                    return []
        except Exception as fault:
            if len(wave) == 1:
                [group] = wave
                await _put_off(connection, group, now + PUT_OFF)
                return [(group[0].email, f"{type(fault).__name__}: {fault}")]
        half = len(wave) // 2
        troubles: list[tuple[str, str]] = []
        for part in (wave[:half], wave[half:]):
            troubles += await self._queue_apart(connection, part, newest, now, domain)
        return troubles

    async def _queue(
        self,
        connection: AsyncConnection,
        wave: Sequence[Group],
        owed: Mapping[int, Owed],
        newest: int,
        now: datetime,
        domain: str,
    ) -> None:
        """Queue one message for each group that is owed anything, or wants to hear that it is not; move the cursors."""
        told = await _told(connection, [group for group in wave if not owed.get(group[0].subscriber_id)], now)
        numbers = await self._add_messages(
            connection, [group for group in wave if owed.get(group[0].subscriber_id)] + told, owed, newest, now, domain
        )
        await self._carry(connection, {number: (who, owed[who]) for who, number in numbers.items() if who in owed})
        due: dict[DigestClock, datetime | None] = {}
        moved: list[tuple[datetime | None, int, int]] = []
        for group in wave:
            who = group[0].subscriber_id
            # Owed, but no message: this period had its digest (the hour was changed, or a clock). The next carries it.
            kept = bool(owed.get(who)) and who not in numbers
            for row in group:
                clock = to_clock(row)
                if clock not in due:
                    due[clock] = cadence.next_due(clock, now)
                moved.append((due[clock], row.cursor if kept else max(row.cursor, newest), row.id))
        if not self._database.is_sqlite:
            await move_all(connection, moved)
            return
        await connection.execute(
            update(schema.subscription)
            .where(schema.subscription.c.id == bindparam("row"))
            .values(next_due_at=bindparam("due"), cursor=bindparam("to")),
            [{"due": at, "to": to, "row": number} for at, to, number in moved],
        )

    async def _add_messages(
        self,
        connection: AsyncConnection,
        groups: Sequence[Group],
        owed: Mapping[int, Owed],
        newest: int,
        now: datetime,
        domain: str,
    ) -> dict[int, int]:
        """Add queued messages; return their numbers by subscriber, without those who have one for this period."""
        rows = []
        for group in groups:
            first = group[0]
            papers = [paper for paper, _ in owed.get(first.subscriber_id, ())]
            period = _period(first, newest, min(papers, default=PaperId(0)), now)
            name = hmac.new(self._secret, f"{first.email}\n{period}".encode(), hashlib.sha256).hexdigest()[:32]
            rows.append(
                {
                    "message_id": f"<{name}@{domain}>",
                    "subscriber_id": first.subscriber_id,
                    "period": period,
                    "cadence": first.cadence,
                    "state": OutboxState.QUEUED,
                    "recipient": first.email,
                    "domain": domain_of(first.email),
                    "poll_from": min(row.cursor for row in group),
                    "poll_to": newest,
                    "queued_at": now,
                    "next_attempt_at": now,
                    "attempts": 0,
                    "doubts": 0,
                    "reply": "",
                }
            )
        if not rows:
            return {}
        table = schema.message
        added = self._database.insert(table).on_conflict_do_nothing().returning(table.c.subscriber_id, table.c.id)
        numbers = {row.subscriber_id: row.id for row in await connection.execute(added, rows)}
        await self._jobs.call(connection, senders(len(numbers)))
        return numbers

    async def _carry(self, connection: AsyncConnection, carried: Mapping[int, tuple[int, Owed]]) -> None:
        """Record which message carries what: message -> (subscriber, owed)."""
        spelt: dict[tuple[QueryId, ...], str] = {}
        rows: list[tuple[object, ...]] = []
        for number, (who, owed) in carried.items():
            for (paper, edition), queries in owed.items():
                key = tuple(queries)
                if key not in spelt:
                    spelt[key] = json.dumps(queries)
                rows.append((who, paper, edition, number, spelt[key]))
        if not rows:
            return
        table = schema.delivery
        added = self._database.insert(table)
        upsert = added.on_conflict_do_update(
            index_elements=list(table.primary_key.columns),
            set_={"message_id": added.excluded.message_id, "query_ids": added.excluded.query_ids},
            where=table.c.message_id.is_(None),
        )
        columns = ("subscriber_id", "paper_id", "edition", "message_id", "query_ids")
        await execute_rows(connection, upsert, columns, rows)


async def _chosen(
    connection: AsyncConnection, now: datetime, after: SubscriberId, limit: int, newest: int
) -> tuple[list[int], SubscriberId | None]:
    """Return up to `limit` subscribers who are due, and where to go on: None when nobody is.

    First those by a clock, cadence by cadence, longest overdue first: queueing moves their due time, so the next call
    finds the next ones. Then immediate readers in the order of their numbers: whatever becomes of one, the next call
    goes on behind it.
    """
    for asked in _by_clock(now):
        rows = await connection.execute(asked.limit(limit))
        chosen = list(dict.fromkeys(rows.scalars()))
        if chosen:
            return chosen, after
    rows = await connection.execute(_at_once(now, after, newest).limit(limit))
    chosen = list(rows.scalars())
    return chosen, SubscriberId(chosen[-1]) if chosen else None


def _by_clock(now: datetime) -> list[Select[int]]:
    """Return who is due by a clock; each statement walks along an index, however many are due at the full hour."""
    table = schema.subscription
    overdue = [and_(table.c.cadence == each, table.c.next_due_at <= now) for each in cadence.LONGEST_WAIT]
    return [_confirmed(when).order_by(table.c.next_due_at) for when in overdue + _impossible(now)]


def _at_once(now: datetime, after: SubscriberId, newest: int) -> Select[int]:
    """Return the immediate readers behind `after` who are due; it walks along an index too."""
    table = schema.subscription
    return (
        _confirmed(and_(table.c.subscriber_id > after, _immediate(now, newest)))
        .distinct()
        .order_by(table.c.subscriber_id)
    )


def _confirmed(when: ColumnElement[bool]) -> Select[int]:
    table, subscriber = schema.subscription, schema.subscriber
    confirmed = and_(table.c.active, subscriber.c.state == SubscriberState.CONFIRMED)
    return select(table.c.subscriber_id).join(subscriber).where(confirmed, when)


async def _due(connection: AsyncConnection, now: datetime, chosen: Sequence[int], newest: int) -> list[Group]:
    """Return what these subscribers are due: their subscriptions by cadence, those first that are due themselves.

    When one subscription of a cadence is due, all of that cadence are looked at: there is one message a day, whatever
    hour each of them names, and it must not be the same one that always comes first.
    """
    table, subscriber = schema.subscription, schema.subscriber
    columns = [each for each in table.c if each.name not in ("label", "began", "origin")]
    groups: dict[tuple[int, str], list[Any]] = {}
    for some in chunks(chosen):
        rows = await connection.execute(
            select(*columns, subscriber.c.email, _is_due(now, newest).label("due"))
            .join(subscriber)
            .where(table.c.subscriber_id.in_(some), table.c.active)
            .order_by(table.c.subscriber_id, table.c.id)
        )
        for row in rows:
            groups.setdefault((row.subscriber_id, row.cadence), []).append(row)
    return [sorted(group, key=lambda row: not row.due) for group in groups.values() if any(row.due for row in group)]


async def _told(connection: AsyncConnection, silent: Sequence[Group], now: datetime) -> list[Group]:
    """Return, of the groups that are owed nothing, those that are told so now."""
    wishes = {group[0].subscriber_id: {row.quiet for row in group if row.due} for group in silent}
    beating = [who for who, quiet in wishes.items() if Quiet.HEARTBEAT in quiet]
    subscriber, message = schema.subscriber, schema.message
    limit = now - SILENCE
    heard = exists().where(message.c.subscriber_id == subscriber.c.id, message.c.queued_at > limit)
    long_silent: set[int] = set()
    for some in chunks(beating):
        asked = select(subscriber.c.id).where(subscriber.c.id.in_(some), subscriber.c.since <= limit, ~heard)
        long_silent |= set((await connection.execute(asked)).scalars())
    return [
        group
        for group in silent
        if group[0].cadence in cadence.LONGEST_WAIT
        and (Quiet.NOTE in wishes[group[0].subscriber_id] or group[0].subscriber_id in long_silent)
    ]


def _waves(groups: Sequence[Group]) -> Iterator[list[Group]]:
    """Cut groups into runs in which each subscriber is once: what one message carries, the next must not."""
    left = list(groups)
    while left:
        wave: list[Group] = []
        later: list[Group] = []
        seen: set[int] = set()
        for group in left:
            who = group[0].subscriber_id
            (later if who in seen else wave).append(group)
            seen.add(who)
        yield wave
        left = later


def _is_due(now: datetime, newest: int) -> ColumnElement[bool]:
    return or_(_immediate(now, newest), schema.subscription.c.next_due_at <= now, *_impossible(now))


def _immediate(now: datetime, newest: int) -> ColumnElement[bool]:
    """Whether a subscription that goes by no clock has something to send."""
    table, delivery, message = schema.subscription, schema.delivery, schema.message
    polls = schema.hit.c.poll_id > table.c.cursor, schema.hit.c.poll_id <= newest
    hit = exists().where(schema.hit.c.query_id == table.c.query_id, *polls)
    returned = exists().where(delivery.c.subscriber_id == table.c.subscriber_id, delivery.c.message_id.is_(None))
    recent = exists().where(message.c.subscriber_id == table.c.subscriber_id, message.c.queued_at > now - RETURN_PAUSE)
    return and_(table.c.cadence == Cadence.IMMEDIATE, or_(hit, and_(returned, ~recent)))


def _impossible(now: datetime) -> list[ColumnElement[bool]]:
    """A due time further away than its clock allows was computed while the system clock was wrong."""
    table = schema.subscription
    return [
        and_(table.c.cadence == each, table.c.next_due_at > now + wait) for each, wait in cadence.LONGEST_WAIT.items()
    ]


def _too_late(group: Group, now: datetime, latest: timedelta) -> bool:
    """Tell whether a daily digest is due only because it could not be sent long ago."""
    if latest >= cadence.DAY or group[0].cadence != Cadence.DAILY:
        return False
    return all(cadence.lateness(to_clock(row), now) > latest for row in group if row.due)


async def _skip(connection: AsyncConnection, group: Group, now: datetime) -> None:
    """Leave out one digest: the subscriptions are due next when they would be anyhow, and are owed what they were."""
    table = schema.subscription
    for row in group:
        due = cadence.next_due(to_clock(row), now)
        await connection.execute(update(table).where(table.c.id == row.id).values(next_due_at=due))


async def _put_off(connection: AsyncConnection, group: Group, until: datetime) -> None:
    """Look at subscriptions again later; immediate ones have no time to be put off to."""
    table = schema.subscription
    scheduled = table.c.id.in_([row.id for row in group]), table.c.cadence != Cadence.IMMEDIATE
    await connection.execute(update(table).where(*scheduled).values(next_due_at=until))


async def _owed(
    connection: AsyncConnection, groups: Sequence[Group], newest: int, most: int | None = None
) -> dict[int, Owed] | None:
    """What these subscriptions hit and no message carried yet, by subscriber, each paper with the queries that hit it.

    None when that is more than `most` hits.
    """
    found: dict[int, Owed] = {}
    people = sorted({group[0].subscriber_id for group in groups})
    back, table = schema.delivery, schema.subscription
    for some in chunks(people):
        asked = select(back).where(back.c.subscriber_id.in_(some), back.c.message_id.is_(None))
        for row in await connection.execute(asked):
            owed = found.setdefault(row.subscriber_id, {})
            owed[PaperId(row.paper_id), row.edition] = [QueryId(query) for query in row.query_ids]
    total = 0
    for some in chunks([row.id for group in groups for row in group]):
        left = None if most is None else most - total + 1
        rows = (await connection.execute(_hit_by(newest).where(table.c.id.in_(some)).limit(left))).all()
        total += len(rows)
        if most is not None and total > most:
            return None
        for row in rows:
            queries = found.setdefault(row.subscriber_id, {}).setdefault((row.paper_id, row.edition), [])
            if row.query_id not in queries:
                queries.append(row.query_id)
    return found


def _hit_by(newest: int) -> Select[tuple[int, QueryId, PaperId, int]]:
    """The hits that subscriptions want, up to poll `newest`, and that no message carried to their subscriber."""
    table, hit, delivery = schema.subscription, schema.hit, schema.delivery
    carried = exists().where(
        delivery.c.subscriber_id == table.c.subscriber_id,
        delivery.c.paper_id == hit.c.paper_id,
        delivery.c.edition == hit.c.edition,
        delivery.c.message_id.is_not(None),
    )
    wanted = [and_(table.c.versions == versions, hit.c.kind.in_(kinds)) for versions, kinds in WANTED.items()]
    return (
        select(table.c.subscriber_id, table.c.query_id, hit.c.paper_id, hit.c.edition)
        .join(hit, hit.c.query_id == table.c.query_id)
        .where(hit.c.poll_id > table.c.cursor, hit.c.poll_id <= newest, or_(*wanted), ~carried)
        .order_by(table.c.subscriber_id, table.c.id, hit.c.paper_id)
    )


async def _owed_to(connection: AsyncConnection, group: Group, newest: int) -> Owed:
    """What one subscriber is owed."""
    return (await _owed(connection, [group], newest) or {}).get(group[0].subscriber_id, {})


async def _hits(connection: AsyncConnection, group: Group) -> Owed:
    """Everything that these subscriptions' queries ever hit, newest last."""
    hit = schema.hit
    found: Owed = {}
    for row in group:
        asked = select(hit).where(hit.c.query_id == row.query_id, hit.c.kind.in_(WANTED[row.versions]))
        for each in await connection.execute(asked.order_by(hit.c.paper_id)):
            found.setdefault((PaperId(each.paper_id), each.edition), []).append(QueryId(each.query_id))
    return found


def _period(row: Row[Any], newest: int, first_paper: PaperId, now: datetime) -> str:
    """Name what there is one message of: for an immediate one the poll, and the papers by their first."""
    if row.cadence == Cadence.IMMEDIATE:
        return f"immediate {newest} {first_paper}"
    return cadence.period(to_clock(row), now)
