"""The operator is told of trouble: once it lasted, once a day, once when it is over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta

import pytest

from notifier import pipeline
from notifier.alarm import AGAIN, FAILED_FOR, KINDS, Alarm, Signals, Trouble, judge, troubles
from notifier.daemon import once
from notifier.daemon.trouble import look_for_trouble
from notifier.model import HostState, ListingState, Outcome, Validators
from notifier.status import lines, signals, status
from tests.world import World, text, text_page

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
GRACE = timedelta(minutes=30)
OPERATOR = "operator@example.org"


@pytest.fixture
def installation(installation: World) -> World:
    """An installation whose operator is told of trouble."""
    installation.contact = OPERATOR
    return installation


def trouble(key: str = "held", **more: object) -> Trouble:
    return Trouble(**{"key": key, "text": f"{key} is wrong", "remedy": "mend it", **more})  # type: ignore[arg-type]


@dataclass
class Memory:
    """What the store would remember from look to look."""

    alarms: list[Alarm] = field(default_factory=list)
    begun: list[str] = field(default_factory=list)
    over: list[str] = field(default_factory=list)

    def look(self, at: timedelta, *found: Trouble) -> None:
        verdict = judge(self.alarms, found, NOW + at, GRACE)
        self.alarms = list(verdict.kept)
        self.begun += [f"{each.key} {at}" for each in verdict.begun]
        self.over += [f"{each.key} {at}" for each in verdict.over]


# --- when it is told --------------------------------------------------------------------------------------------------


def test_a_trouble_is_told_once_it_has_lasted_the_grace_then_each_day() -> None:
    memory = Memory()
    for minutes in range(0, 60 * 49, 5):
        memory.look(timedelta(minutes=minutes), trouble())
    assert memory.begun == ["held 0:30:00", "held 1 day, 0:30:00", "held 2 days, 0:30:00"]
    assert memory.over == []


def test_what_comes_and_goes_is_told_of_neither_way() -> None:
    memory = Memory()
    for minutes in range(0, 600, 5):
        memory.look(timedelta(minutes=minutes), *[trouble()] * (minutes % 60 < 20))
    assert (memory.begun, memory.over) == ([], [])


def test_a_trouble_that_was_told_of_is_over_when_it_stayed_away_for_the_grace() -> None:
    memory = Memory()
    for minutes in range(0, 60, 5):
        memory.look(timedelta(minutes=minutes), trouble())
    for minutes in range(60, 75, 5):
        memory.look(timedelta(minutes=minutes))
    memory.look(timedelta(minutes=75), trouble())  # back again: it was not over
    for minutes in range(80, 180, 5):
        memory.look(timedelta(minutes=minutes))
    assert memory.begun == ["held 0:30:00"]
    assert memory.over == ["held 1:45:00"]
    assert memory.alarms == []


def test_each_trouble_has_its_own_patience_and_what_is_past_is_told_once() -> None:
    memory = Memory()
    found = trouble("disk", patience=timedelta()), trouble("listing a", patience=FAILED_FOR), trouble("lost", once=True)
    for minutes in range(0, 60 * 26, 30):
        memory.look(timedelta(minutes=minutes), *found)
    for minutes in range(60 * 26, 60 * 28, 30):
        memory.look(timedelta(minutes=minutes))
    assert memory.begun == [
        "disk 0:00:00", "lost 0:30:00", "listing a 6:00:00", "disk 1 day, 0:00:00",
    ]  # fmt: skip
    assert memory.over == ["disk 1 day, 2:00:00", "listing a 1 day, 2:00:00"]


def test_a_clock_that_was_ahead_silences_nothing() -> None:
    ahead = NOW + timedelta(days=400)
    told = Alarm(key="held", text="", remedy="", since=ahead, seen_at=ahead, mailed_at=ahead)
    verdict = judge([told], [trouble()], NOW, GRACE)
    assert verdict.kept[0].since == NOW
    assert judge(verdict.kept, [trouble()], NOW + GRACE, GRACE).begun
    assert judge([told], [], NOW, GRACE).kept  # away since now at the earliest


# --- what is trouble --------------------------------------------------------------------------------------------------


def keys(signals: Signals) -> list[str]:
    return [each.key for each in troubles(signals)]


def state(outcome: Outcome, name: str = "daily", reason: str = "because") -> ListingState:
    return ListingState(
        name=name, url="https://papers.example.org/", validators=Validators(), primed=True, polled_at=NOW, fresh_at=NOW,
        next_poll_at=NOW, failures=1, outcome=outcome, reason=reason,
    )  # fmt: skip


FORBIDDING = HostState(host="papers.example.org", blocked_until=NOW + timedelta(hours=20), reason="403 Forbidden")
GB = 1_000_000_000


@pytest.mark.parametrize(
    ("signals", "expected"),
    [
        pytest.param(Signals(), [], id="all is well"),
        pytest.param(Signals(listings=[(state(Outcome.QUIET), "h"), (state(Outcome.WAITING), "h")]), [], id="quiet"),
        pytest.param(Signals(listings=[(state(Outcome.STALE), "h")]), ["listing daily"], id="stale"),
        pytest.param(Signals(listings=[(state(Outcome.FAILED), "h")]), ["listing daily"], id="failed"),
        pytest.param(
            Signals(listings=[(state(Outcome.FAILED), "papers.example.org")], hosts=[FORBIDDING]),
            ["host papers.example.org"],
            id="403 explains the listing",
        ),
        pytest.param(
            Signals(hosts=[replace(FORBIDDING, reason="429 Too Many Requests")]), [], id="a pause is no trouble"
        ),
        pytest.param(
            Signals(listings=[(state(Outcome.FAILED), "h")], quarantined=[("daily", "killed")]),
            ["quarantine daily"],
            id="quarantine explains the listing",
        ),
        pytest.param(Signals(lost=[("daily", date(2026, 3, 1), "404")]), ["lost daily 2026-03-01"], id="lost"),
        pytest.param(Signals(held=1), ["held"], id="held"),
        pytest.param(
            Signals(relays=[("smtp://relay.example", "535 no", True)]), ["relay smtp://relay.example"], id="relay"
        ),
        pytest.param(Signals(templates=[("email/digest.txt", "line 3")]), ["template email/digest.txt"], id="template"),
        pytest.param(Signals(disk=(150_000_000, 1 * GB)), ["disk"], id="disk"),
        pytest.param(Signals(disk=(3 * GB, 4_000 * GB)), [], id="a big disk"),
        pytest.param(Signals(suppressed=4, subscribers=10), [], id="some suppressed"),
        pytest.param(Signals(suppressed=5, subscribers=10), ["suppressed"], id="a wave"),
        pytest.param(Signals(suppressed=40, subscribers=1_000), [], id="a usual day of a big list"),
    ],
)
def test_each_kind_of_trouble_is_seen(signals: Signals, expected: Sequence[str]) -> None:
    assert keys(signals) == expected


def test_every_kind_of_trouble_says_what_to_do_in_bounded_text() -> None:
    everything = Signals(
        listings=[(state(Outcome.STALE), "h"), (state(Outcome.FAILED, "other", "x" * 9_000), "h")], hosts=[FORBIDDING],
        quarantined=[("third", "killed")], lost=[("daily", date(2026, 3, 1), "404")], held=2, suppressed=9,
        subscribers=9, templates=[("email/digest.txt", "no")], relays=[("smtp://r.example", "no", False)], disk=(0, GB),
    )  # fmt: skip
    found = troubles(everything)
    assert len(found) == len(KINDS) + 1
    assert all(each.remedy and 0 < len(each.text) <= 500 for each in found)


# --- through the program ----------------------------------------------------------------------------------------------


async def test_a_listing_that_keeps_failing_is_told_of_once_a_day_and_when_it_is_over(installation: World) -> None:
    installation.listing("daily")
    installation.pages.put("/daily", b"gateway trouble", status=502)
    async with installation.opened() as running:
        for _ in range(62):  # thirty-one hours
            await once(running)
            installation.now += timedelta(minutes=30)
        installation.pages.put("/daily", text_page("A Fictional Paper"))
        for _ in range(4):
            await once(running)
            installation.now += timedelta(minutes=30)
    first, again, over = installation.mails(OPERATOR)
    assert first["Subject"] == "Something needs you"
    assert "daily cannot be read: 502 Whatever: gateway trouble" in text(first)
    assert "This is so since 2026-03-02 12:00 UTC." in text(first)
    assert "What to do: `notifier check-listing" in text(first)
    assert first["Date"].datetime - datetime(2026, 3, 2, 12, tzinfo=UTC) == FAILED_FOR
    assert again["Date"].datetime - first["Date"].datetime == AGAIN
    assert over["Subject"] == "It is over"


async def test_troubles_of_one_look_share_a_mail_and_hosts_that_forbid_are_told_at_once(installation: World) -> None:
    for name in ("one", "two"):
        installation.listing(name)
    installation.pages.put("/one", b"go away", status=403)
    installation.pages.put("/two", b"go away", status=403)
    installation.extra += 'templates = "mine"\n'
    (installation.folder / "mine/email").mkdir(parents=True)
    (installation.folder / "mine/email/digest.txt").write_text("{{ nobody_knows_this }}")
    async with installation.opened() as running:
        await once(running)
        await once(running)
        installation.now += timedelta(minutes=31)
        await look_for_trouble(running)
        await once(running)
    (at_once, later) = installation.mails(OPERATOR)
    assert at_once["Subject"] == "Something needs you"
    assert "does not want us: 403" in text(at_once)
    assert "Your template email/digest.txt cannot be used" in text(later)


async def test_what_the_operator_holds_by_hand_is_no_trouble(installation: World) -> None:
    installation.listing("daily", first="owe")
    installation.pages.put("/daily", text_page("A Fictional Paper"))
    for reader in ("one@example.org", "two@example.org"):
        await installation.subscribe(reader, "*")
    async with installation.opened() as running:
        await pipeline.poll(running.config.listings[0], running.intake, installation.now)
        await pipeline.queue_digests(running.store, running.desk.head, installation.now)
        first, second = [parcel.outbox_id for parcel in await running.store.parcels(limit=9)]
        assert await running.store.set_aside([first]) == [first]
        assert (await signals(running.store, (), installation.now)).held == 0
        (claimed,) = await running.store.claim("us:1", installation.now, timedelta(minutes=1), 9)
        await running.store.hold(claimed.outbox_id, "us:1", "could not be composed: no template")
        assert claimed.outbox_id == second
        assert (await signals(running.store, (), installation.now)).held == 1


async def test_whatever_is_told_is_in_status_and_its_exit_code(installation: World) -> None:
    installation.listing("daily")
    installation.pages.put("/daily", text_page("A Fictional Paper"))
    async with installation.opened() as running:
        await once(running)
        seen = await status(running.store, running.config.listings, installation.now)
        assert (seen.well, seen.troubles) == (True, ())
        running.broken["email/digest.txt"] = ("line 3", installation.now)
        await look_for_trouble(running)
    async with installation.opened() as running:  # as the command does, in another process
        seen = await status(running.store, running.config.listings, installation.now)
        assert not seen.well
        assert any("Your template email/digest.txt cannot be used" in line for line in lines(seen))
        later = await status(running.store, running.config.listings, installation.now + timedelta(hours=2))
        assert later.well  # nobody has seen it since


@pytest.mark.parametrize(
    ("contact", "extra", "told"),
    [
        ("me@example.org", "", "me@example.org"),
        ("mailto:me@example.org", "", "me@example.org"),
        ("https://papers.example.org/about", "", None),
        ("https://papers.example.org/about", '[alarm]\nto = "ops@example.org"\n', "ops@example.org"),
    ],
)
def test_the_contact_is_told_unless_another_address_is_named(
    installation: World, contact: str, extra: str, told: str | None
) -> None:
    installation.contact, installation.extra = contact, extra
    assert installation.config.alarm_to == told
