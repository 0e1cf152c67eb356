"""The digest clock (G10): exactly one daily digest per local calendar day, in every zone."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest

from notifier.cadence import next_due, period
from notifier.model import Cadence, DigestClock

BERLIN = DigestClock(Cadence.DAILY, "Europe/Berlin", time(2, 30))


def dues(clock: DigestClock, start: datetime, end: datetime) -> list[datetime]:
    found, moment = [], start
    while (moment := next_due(clock, moment)) and moment < end:
        found.append(moment)
    return found


def local_days(clock: DigestClock, start: datetime, end: datetime) -> list[date]:
    return [due.astimezone(ZoneInfo(clock.timezone)).date() for due in dues(clock, start, end)]


def test_f084_the_25_hour_day_has_one_digest() -> None:
    days = local_days(BERLIN, datetime(2026, 10, 24, tzinfo=UTC), datetime(2026, 10, 27, tzinfo=UTC))
    assert days == [date(2026, 10, 24), date(2026, 10, 25), date(2026, 10, 26)]


def test_f084_an_hour_that_comes_twice_means_the_first() -> None:
    first = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)  # 02:30 in summer time; winter time has it an hour later
    night = first - timedelta(hours=2), first + timedelta(hours=2)
    assert dues(BERLIN, *night) == [first]
    assert period(BERLIN, first) == "daily 2026-10-25"


def test_f085_the_23_hour_day_has_one_digest() -> None:
    days = local_days(BERLIN, datetime(2026, 3, 28, tzinfo=UTC), datetime(2026, 3, 31, tzinfo=UTC))
    assert days == [date(2026, 3, 28), date(2026, 3, 29), date(2026, 3, 30)]


TEN_YEARS = datetime(2026, 1, 1, tzinfo=UTC), datetime(2036, 1, 1, tzinfo=UTC)
Change = tuple[datetime, timedelta]


def changes(name: str) -> tuple[Change, ...]:
    """Return what the clocks of a zone do in these ten years: the first offset, then each new one, to the minute."""
    zone, (start, end) = ZoneInfo(name), TEN_YEARS

    def offset(at: datetime) -> timedelta:
        return at.astimezone(zone).utcoffset() or timedelta()

    found, moment = [(start, offset(start))], start
    while moment < end:
        following = moment + timedelta(days=1)
        if offset(following) != offset(moment):
            before, after = moment, following
            while after - before > timedelta(minutes=1):
                middle = before + (after - before) / 2
                before, after = (middle, after) if offset(middle) == offset(moment) else (before, middle)
            found.append((after.replace(second=0, microsecond=0), offset(following)))
        moment = following
    return tuple(found)


@pytest.mark.slow
def test_g10_every_zone_has_exactly_one_digest_per_local_day_over_ten_years() -> None:
    """Zones whose clocks do the same for ten years are tried as one, at three hours that changes fall on."""
    alike: dict[tuple[Change, ...], str] = {}
    for name in sorted(available_timezones()):
        alike.setdefault(changes(name), name)
    assert len(alike) > 40
    start, end = TEN_YEARS
    for name in alike.values():
        for at in (time(0, 0), time(2, 30), time(23, 45)):
            days = local_days(DigestClock(Cadence.DAILY, name, at), start, end)
            assert days == [days[0] + timedelta(days=n) for n in range(len(days))], (name, at)
            assert len(days) >= (end - start).days - 1, (name, at)


def test_a_day_that_the_zone_skipped_has_no_digest() -> None:
    samoa = DigestClock(Cadence.DAILY, "Pacific/Apia", time(8, 0))
    days = local_days(samoa, datetime(2011, 12, 28, tzinfo=UTC), datetime(2012, 1, 2, tzinfo=UTC))
    assert date(2011, 12, 30) not in days
    assert date(2011, 12, 29) in days
    assert date(2011, 12, 31) in days


def test_a_weekly_digest_is_due_on_its_weekday_only() -> None:
    weekly = DigestClock(Cadence.WEEKLY, "Asia/Tokyo", time(9, 0), weekday=4)
    due = next_due(weekly, datetime(2026, 3, 2, tzinfo=UTC))
    assert due == datetime(2026, 3, 6, 0, 0, tzinfo=UTC)
    assert next_due(weekly, due) == due + timedelta(days=7)


def test_an_outage_of_days_belongs_to_one_period() -> None:
    assert period(BERLIN, datetime(2026, 3, 10, 12, 0, tzinfo=UTC)) == "daily 2026-03-10"
    assert period(BERLIN, datetime(2026, 3, 10, 0, 30, tzinfo=UTC)) == "daily 2026-03-09"


@pytest.mark.parametrize("cadence", [Cadence.FEED, Cadence.PAUSED])
def test_a_cadence_without_mail_is_never_due(cadence: Cadence) -> None:
    assert next_due(DigestClock(cadence, "UTC"), datetime(2026, 3, 2, tzinfo=UTC)) is None


def test_an_immediate_digest_waits_for_no_time() -> None:
    immediate = DigestClock(Cadence.IMMEDIATE, "UTC")
    assert next_due(immediate, datetime(2026, 3, 2, tzinfo=UTC)) is None
    with pytest.raises(ValueError, match="belongs to no period"):
        period(immediate, datetime(2026, 3, 2, tzinfo=UTC))
