"""The papers of the last days, kept ready so that a visitor sees at once what a query would have caught.

Owns the only large memory of the site, about 6 kB for each paper: at most MOST_PAPERS of them, the newest days. `warm`
reads them before anybody asks. A day is read anew when its papers changed, which is looked up at most every FRESH; its
preparation is another process's work. What takes time here runs in a thread, a few at a time; who would wait too long
is told so (`Busy`).
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import TypeVar

from anyio import CapacityLimiter, to_thread

from notifier.model import PaperId
from notifier.query import Query, canonical
from notifier.store import Store
from notifier.survey import Issue, Survey, catch, survey, usual
from notifier.survey.prepare import Day, prepare

DAYS = 30
MOST_PAPERS = 30_000
FRESH = timedelta(seconds=60)  # how old what is shown may be
PATIENCE = 8.0  # seconds that a visitor waits for the days to be read, which is long only after a start
MOMENT = 0.5  # seconds that a visitor waits for what is newer than what is there
AT_ONCE = 2  # threads
WAITING = 40  # visitors who wait for one
READ_CLOSELY = 250  # papers of a day that one query may cost
ANSWERS = 200  # kept

T = TypeVar("T")


class Busy(Exception):
    """There is no answer now; in a while there will be."""


@dataclass(slots=True)
class Recent:
    """The last DAYS days of a store."""

    store: Store
    _days: dict[date, tuple[tuple[int, ...], Issue]] = field(default_factory=dict)
    _usual: Counter[str] = field(default_factory=Counter)
    _looked_at: datetime | None = None
    _reading: asyncio.Task[None] | None = None
    _threads: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(AT_ONCE))
    _answers: OrderedDict[str, Survey] = field(default_factory=OrderedDict)

    async def warm(self, now: datetime) -> None:
        """Read the days, so that the first visitor does not wait for them."""
        try:
            await self._issues(now, None)
        finally:
            if self._reading:
                self._reading.cancel()

    async def survey(self, query: Query, now: datetime) -> Survey:
        """Return what a query would have caught. Raises Busy, or CostlyQuery for one that is too much to ask."""
        papers = await self._issues(now)
        key = f"{now.date()} {canonical(query)}"
        if key in self._answers:
            self._answers.move_to_end(key)
            return self._answers[key]
        answer = await self._in_thread(lambda: survey(query, papers, now, DAYS, READ_CLOSELY, self._usual))
        if [id(each) for each in papers] != [id(each) for each in self._now()]:  # days came while it was looked for
            return answer
        self._answers[key] = answer
        while len(self._answers) > ANSWERS:
            self._answers.popitem(last=False)
        return answer

    async def catch(self, query: Query, now: datetime, days: int) -> list[PaperId]:
        """Return the papers of the last days that a query matches, oldest first. Raises as `survey` does."""
        papers = await self._issues(now)
        since = now.astimezone(UTC).date() - timedelta(days=days)
        return await self._in_thread(lambda: catch(query, [each for each in papers if each.day > since], READ_CLOSELY))

    async def _issues(self, now: datetime, patience: float | None = PATIENCE) -> list[Issue]:
        if self._looked_at is None or not timedelta() <= now - self._looked_at < FRESH:
            if self._reading is None or self._reading.done():
                self._reading = asyncio.create_task(self._read(now))
            try:
                await asyncio.wait_for(asyncio.shield(self._reading), MOMENT if self._days else patience)
            except TimeoutError:
                if not self._days:
                    raise Busy from None
        return self._now()

    def _now(self) -> list[Issue]:
        return [found for _, (_, found) in sorted(self._days.items())]

    async def _read(self, now: datetime) -> None:
        """Read the days that changed, the newest first, and forget those that are too old or too much."""
        today = now.astimezone(UTC).date()
        there = await self.store.days_seen(today - timedelta(days=DAYS - 1), today)
        kept: dict[date, tuple[tuple[int, ...], Issue]] = {}
        changed: list[date] = []
        room = MOST_PAPERS
        for day in sorted(there, reverse=True):
            room -= there[day][0]
            if room < 0 and (kept or changed):
                break
            known = self._days.get(day)
            if known is not None and known[0] == there[day]:
                kept[day] = known
            else:
                changed.append(day)

        async def papers() -> AsyncIterator[Day]:
            for day in changed:
                yield day, await self.store.papers_seen(day)

        async for found in prepare(papers()):
            kept[found.day] = there[found.day], found
        others = changed or kept.keys() != self._days.keys()
        if others:
            self._usual = await to_thread.run_sync(usual, [found for _, found in kept.values()])
        self._days, self._looked_at = kept, now
        if others:  # in the same breath: an answer out of the days before is not kept
            self._answers.clear()

    async def _in_thread(self, work: Callable[[], T]) -> T:
        if self._threads.statistics().tasks_waiting >= WAITING:
            raise Busy
        return await to_thread.run_sync(work, limiter=self._threads)
