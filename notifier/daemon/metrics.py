"""Metrics: what a monitor reads, in the format of Prometheus. The home of its client library.

Two sources: what is in the database now (it survives a restart, and is the same for every process on it), and what
this process counted since its start, which it hears from the log. `docs/monitoring` holds alert rules and a dashboard;
a test compares their names with the ones here. Names are an interface: none is renamed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from shutil import disk_usage

from prometheus_client import CollectorRegistry, Counter, Gauge, PlatformCollector, ProcessCollector, generate_latest

from notifier.model import Listing, OutboxState, Outcome, SubscriberState
from notifier.store import Store


class Metrics:
    """The counters of this process, and the gauges that are set from the store when somebody asks."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(namespace="notifier", registry=self.registry)
        PlatformCollector(registry=self.registry)
        gauge, counter = self._gauge, self._counter
        # since the start of this process
        self.polls = counter("polls", "Polls by what became of them", "listing", "outcome")
        self.papers = counter("new_papers", "Papers that were news", "listing")
        self.settled = counter("settled", "Messages offered, by what became of them and the class of the reply",
                               "state", "code_class")  # fmt: skip
        self.relay_troubles = counter("relay_troubles", "Times that the relay would not talk to us")
        self.failures = counter("step_failures", "Steps of the daemon that failed", "step")
        self.parser_kills = counter("parser_kills", "Pages that killed the parser", "listing")
        self.lag = gauge("event_loop_lag_seconds", "How late a short sleep ended")
        self.well = gauge("well", "1 while the daemon does its work, as the watchdog sees it")
        # in the database
        self.due = gauge("oldest_due_digest_seconds", "How long the oldest digest that is due has been")
        self.oldest = gauge("oldest_message_seconds", "How long the oldest message that was not sent has waited")
        self.messages = gauge("messages", "Messages by state", "state")
        self.deferred = gauge("deferred", "Messages that wait for another attempt, by the class of the last reply",
                              "code_class")  # fmt: skip
        self.bounces = gauge("bounces", "Mails that came back and were kept, by what they were taken for", "kind")
        self.subscribers = gauge("subscribers", "Subscribers by state", "state")
        self.fresh = gauge("listing_fresh_timestamp_seconds", "When a listing last brought a good batch", "listing")
        self.polled = gauge("listing_polled_timestamp_seconds", "When a listing was last polled", "listing")
        self.outcome = gauge("listing_outcome", "1 for what the last poll was", "listing", "outcome")
        self.held = gauge("held", "1 while no mail leaves until `notifier release`")
        self.unwritable = gauge("unwritable", "1 while nothing can be stored: the disk is full or fails")
        self.troubles = gauge("troubles", "Troubles that the operator is told of by mail")
        self.free = gauge("disk_free_bytes", "Space left where the database is")
        self.size = gauge("database_bytes", "Size of the SQLite database and its log")

    def hear(self, event: str, values: Mapping[str, object]) -> None:
        """Count an event of the log."""
        if event == "polled":
            self.polls.labels(str(values["listing"]), str(values["outcome"])).inc()
            self.papers.labels(str(values["listing"])).inc(int(str(values["new"])))
        elif event == "settled":
            self.settled.labels(str(values["state"]), code_class(values.get("code"))).inc()
        elif event == "relay_trouble":
            self.relay_troubles.inc()
        elif event == "step_failed":
            self.failures.labels(str(values["step"]).partition(" ")[0]).inc()
        elif event == "parser_killed":
            self.parser_kills.labels(str(values["listing"])).inc()

    async def text(
        self, store: Store, listings: Sequence[Listing], now: datetime, *, lag: float, troubles: Sequence[str]
    ) -> bytes:
        """Look into the store, and write everything down."""
        self.lag.set(lag)
        self.well.set(not troubles)
        self.held.set(await store.mail_held() is not None)
        self.unwritable.set(bool(store.unwritable))
        self.troubles.set(sum(alarm.mailed_at is not None for alarm in await store.alarms()))
        figures = await store.figures(now)
        self.due.set(_age(figures.oldest_due, now))
        self.oldest.set(_age(figures.oldest_message, now))
        depth, counts = await store.depth(), await store.subscriber_counts()
        for state in OutboxState:
            self.messages.labels(state).set(depth.get(state, 0))
        for person in SubscriberState:
            self.subscribers.labels(person).set(counts.get(person, 0))
        self.deferred.clear()
        for code, count in figures.deferred.items():
            self.deferred.labels(code_class(code)).inc(count)
        self.bounces.clear()
        for kind, count in figures.bounces.items():
            self.bounces.labels(kind).set(count)
        await self._listings(store, listings)
        self._disk(Path(store.place))
        return generate_latest(self.registry)

    async def _listings(self, store: Store, listings: Sequence[Listing]) -> None:
        for each in (self.fresh, self.polled, self.outcome):
            each.clear()
        states = {state.name: state for state in await store.listing_states()}
        for listing in listings:
            state = states.get(listing.name)
            if state is None:
                continue
            self.polled.labels(listing.name).set(state.polled_at.timestamp())
            if state.fresh_at is not None:
                self.fresh.labels(listing.name).set(state.fresh_at.timestamp())
            for outcome in Outcome:
                self.outcome.labels(listing.name, outcome).set(state.outcome is outcome)

    def _disk(self, database: Path) -> None:
        if not database.exists():  # PostgreSQL
            return
        self.free.set(disk_usage(database.parent).free)
        files = (database.with_name(database.name + ending) for ending in ("", "-wal"))
        self.size.set(sum(file.stat().st_size for file in files if file.exists()))

    def _gauge(self, name: str, meaning: str, *labels: str) -> Gauge:
        return Gauge(f"notifier_{name}", meaning, labels, registry=self.registry)

    def _counter(self, name: str, meaning: str, *labels: str) -> Counter:
        return Counter(f"notifier_{name}", meaning, labels, registry=self.registry)


def code_class(code: object) -> str:
    """Return the class of a reply code (RFC 5321 4.2.1), `none` where the relay said nothing."""
    return f"{str(code)[0]}xx" if code else "none"


def _age(moment: datetime | None, now: datetime) -> float:
    return max(0.0, (now - moment).total_seconds()) if moment else 0.0
