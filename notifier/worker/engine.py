"""The engine: which jobs there are, which queue each waits in, and who serves which queue.

    role    queue    jobs
    poll    poll     find-due (tick: which listings), poll (one listing; one at a time of a host)
    match   match    find-shards (tick), match (one batch against one run of queries)
    send    keep     queue (tick: who is due), bounces, trouble, prune (ticks)
            send     send (some hundred messages)
    web              none: it serves the site, and keeps its feeds in memory

Nobody hears of a job that fails but the log: what it should have done is still due.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection
from dataclasses import replace
from datetime import timedelta
from typing import Any

from procrastinate import App, PsycopgConnector

from notifier import log, pipeline
from notifier.daemon import steps as daemon
from notifier.daemon.opening import Running
from notifier.daemon.run import Part
from notifier.daemon.site import STOP_GRACE
from notifier.daemon.steps import Step
from notifier.daemon.trouble import look_for_trouble
from notifier.drain import leave
from notifier.errors import StoreError
from notifier.fetch import host_of
from notifier.intake import Queries, match_shard
from notifier.model import QueryId
from notifier.store.jobs import BATCH, QUEUE, Call
from notifier.store.postgresql import CONNECT
from notifier.store.workers import BEAT, LAPSE
from notifier.worker.tables import prepare

ROLES = ("poll", "match", "send", "web")
QUEUES = {"poll": {"poll": daemon.POLLS_AT_ONCE}, "match": {"match": 1}, "send": {"keep": 1, "send": 1}}
ABORT = 2.0  # seconds before the end of the grace at which a job under way is cut off, so that it can say how it stands
ASK = 5.0  # seconds between two looks for jobs by who is not woken
CONNECTIONS = 4  # of the engine to the database
KEPT_SHARDS = 20  # runs of queries that one process keeps ready
LONGEST = timedelta(minutes=25)  # that a job may take, as any step
SENDING = timedelta(minutes=5)  # after which a job begins no other batch: its worker is seen to be alive, and to end
EVERY_5_S, DAILY = "* * * * * */5", "17 3 * * *"
# Spans at which a tick can come, by the pattern for it.
SPANS = {
    **{timedelta(seconds=n): f"* * * * * */{n}" for n in (5, 10, 15, 20, 30)},
    **{timedelta(minutes=n): f"*/{n} * * * *" for n in (1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30)},
    **{timedelta(hours=n): f"0 */{n} * * *" for n in (1, 2, 3, 4, 6, 8, 12)},
    timedelta(days=1): DAILY,
}

Job = Callable[..., Awaitable[object]]


def part(roles: Collection[str]) -> Part:
    """Return what a process of these roles does."""

    def steps(running: Running, stop: asyncio.Event) -> list[Step]:
        running = replace(running, intake=replace(running.intake, apart=True))
        engine = Engine(running, roles, stop)
        return [Step(name="jobs", every=daemon.TICK, work=engine.run, lasts=True), *_own_steps(running, roles)]

    return Part(roles=",".join(each for each in ROLES if each in roles), steps=steps, site="web" in roles)


def _own_steps(running: Running, roles: Collection[str]) -> list[Step]:
    """Return what each process does for itself."""
    folder = running.config.path(running.config.feeds.files)
    mend = Step(name="mend", every=BEAT, work=lambda: _mend(running))
    publish = Step(name="publish", every=daemon.TICK, work=lambda: pipeline.publish(running.shelf, folder, running.hub))
    tell = [Step(name="hub", every=daemon.TICK, work=running.hub.tell)] if running.hub else []
    return [mend, publish, daemon.sign_ups(running), *tell] if "web" in roles else [mend]


async def _mend(running: Running) -> None:
    """Free what dead workers left, jobs and messages: whoever lives does it."""
    for name in await running.store.end_stalled_jobs():
        log.job_stalled(name)
    await running.store.free_lapsed(running.clock(), resend=running.desk.resend)


class Engine:
    """Serves the queues of some roles until told to stop."""

    def __init__(self, running: Running, roles: Collection[str], stop: asyncio.Event) -> None:
        self._running = running
        self._queues = {
            name: places for role in ROLES if role in roles for name, places in QUEUES.get(role, {}).items()
        }
        self._stop = stop
        self._listen = running.config.worker.listen
        self._matchers: dict[int, Queries] = {}  # by the first query of their run

    async def run(self) -> None:
        """Serve; raises what ended it when that was not the stop: a database that went away, say."""
        await prepare(self._running.store)
        if not self._queues:
            await self._stop.wait()
            return
        logging.getLogger("procrastinate").setLevel(logging.ERROR)  # what is worth telling is told by our steps
        connector = PsycopgConnector(
            conninfo=self._running.store.address if self._listen in ("", "off") else self._listen,
            min_size=1, max_size=CONNECTIONS, kwargs=dict(CONNECT),
        )  # fmt: skip
        app = self._app(connector)
        async with app.open_async():
            serving = [
                asyncio.create_task(self._serve(app, name, places), name=f"jobs of {name}")
                for name, places in self._queues.items()
            ]
            told = asyncio.create_task(self._stop.wait())
            await asyncio.wait([*serving, told], return_when=asyncio.FIRST_COMPLETED)
            for task in (*serving, told):
                task.cancel()
            ended = await asyncio.gather(*serving, return_exceptions=True)
        if not self._stop.is_set():
            raise next((fault for fault in ended if isinstance(fault, Exception)), StoreError("the job engine ended"))

    async def _serve(self, app: App, queue: str, places: int) -> None:
        await app.run_worker_async(
            queues=[queue], name=queue, concurrency=places, wait=True, delete_jobs="always",
            listen_notify=self._listen != "off", fetch_job_polling_interval=ASK,
            abort_job_polling_interval=LONGEST.total_seconds(),
            shutdown_graceful_timeout=STOP_GRACE - ABORT, install_signal_handlers=False,
            update_heartbeat_interval=BEAT.total_seconds(), stalled_worker_timeout=LAPSE.total_seconds(),
        )  # fmt: skip

    # --- the jobs -----------------------------------------------------------------------------------------------------

    def _app(self, connector: PsycopgConnector) -> App:
        app = App(connector=connector)
        config = self._running.config

        def job(queue: str, name: str, work: Job, *, lock: str | None = None, tick: str = "") -> None:
            """Declare a job; with `tick` it comes at that pattern too, once over all workers."""

            async def do(timestamp: int = 0, **args: Any) -> None:  # noqa: ARG001  a tick says which one it is
                try:
                    async with asyncio.timeout(LONGEST.total_seconds()):
                        await work(**args)
                except Exception as fault:
                    log.step_failed(name, fault)

            task = app.task(
                queue=queue, name=name, lock=lock, queueing_lock=name if tick else None, priority=int(bool(tick))
            )(do)
            if tick:
                app.periodic(cron=tick, periodic_id=name)(task)

        job("poll", "find-due", self._find_due, tick=EVERY_5_S)
        job("poll", "poll", self._poll)
        job("match", "find-shards", self._running.store.call_matchers, tick=EVERY_5_S)
        job("match", "match", self._match)
        job(QUEUE.queue, QUEUE.task, self._queue, lock=QUEUE.lock, tick=EVERY_5_S)
        job("send", "send", self._send)
        if self._running.mailbox is not None:
            job("keep", "bounces", self._bounces, tick=_pattern(config.bounces.poll))
        job("keep", "trouble", self._trouble, tick=_pattern(daemon.LOOK))
        job("keep", "prune", self._prune, tick=DAILY)
        return app

    async def _find_due(self) -> None:
        """Call for a poll of each listing whose time has come."""
        calls = [
            Call(
                queue="poll",
                task="poll",
                key=f"poll {each.name}",
                lock=f"host {host_of(each)}",
                args={"name": each.name},
            )
            for listings in (await daemon.due(self._running)).values()
            for each in listings
        ]
        await self._running.store.call_workers(calls)

    async def _poll(self, name: str) -> None:
        """Poll a listing, if it is still due and still in the configuration."""
        listing = next((each for each in self._running.config.listings if each.name == name), None)
        if listing is None:
            return
        if daemon.is_due(await self._running.store.listing_state(name), self._running.clock()):
            await daemon.until_told(self._stop, daemon.poll_listing(self._running, listing))

    async def _match(self, poll: int, first: int) -> None:
        """Match a poll's changes against a run of queries; those are kept, for the next poll."""
        shard = await self._running.store.shard(poll, first)
        if shard is None:
            return
        if first not in self._matchers and len(self._matchers) >= KEPT_SHARDS:
            self._matchers.pop(next(iter(self._matchers)))
        queries = self._matchers.setdefault(first, Queries(QueryId(first - 1)))
        await match_shard(shard, queries, self._running.store)

    async def _queue(self) -> None:
        """Queue what is due, and call for what waits."""
        running = self._running
        latest = running.config.mail.latest
        await pipeline.queue_digests(running.store, running.desk.head, running.clock(), latest)
        if await running.store.mail_held() is None:
            await running.store.call_senders(running.clock())

    async def _send(self) -> None:
        """Send some messages, whichever are next, and then some more while there are, for as long as a job may take."""
        running = self._running
        if await running.store.mail_held() is not None:  # a person looks first: see `notifier release`
            return
        ends_at = asyncio.get_running_loop().time() + SENDING.total_seconds()
        try:
            while True:
                drained = await pipeline.drain_outbox(running.desk, self._stop, BATCH)
                if not (drained.more and drained.states) or self._stop.is_set():
                    return
                if await running.store.mail_held() is not None:
                    return
                if asyncio.get_running_loop().time() > ends_at:
                    again = Call(queue="send", task="send", key=f"send {running.desk.owner}")
                    await running.store.call_workers([again])
                    return
        finally:
            await leave(running.desk)

    async def _bounces(self) -> None:
        await daemon.until_told(self._stop, daemon.take_in(self._running))

    async def _trouble(self) -> None:
        await look_for_trouble(self._running)

    async def _prune(self) -> None:
        running = self._running
        await daemon.prune(running.store, running.config.retention.polls, running.clock())


def _pattern(every: timedelta) -> str:
    """Return the pattern of the longest span at which a tick can come that is not longer than `every`."""
    return SPANS[max(span for span in SPANS if span <= max(every, min(SPANS)))]
