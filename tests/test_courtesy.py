"""Mail goes first: what readers ask for waits while it is being sent, and nobody waits without it. Counts, no times."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter

import pytest

from notifier.courtesy import SHARE, Courtesy
from notifier.daemon.door import ADMITTED, BESIDE_MAIL, Door
from tests.visit import FORMATS, READER, Visit, titles


class Hours:
    """A clock that goes on when somebody waits."""

    def __init__(self) -> None:
        self.now = 0.0
        self.waited: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.waited.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


async def test_without_mail_nobody_waits() -> None:
    hours = Hours()
    courtesy = Courtesy(clock=hours, sleep=hours.sleep)
    async with courtesy.after(), courtesy.after():
        hours.now += 1
    assert hours.waited == []


async def test_beside_mail_one_follows_the_other_and_takes_its_share_of_the_time() -> None:
    hours, inside, most = Hours(), 0, 0
    courtesy = Courtesy(clock=hours, sleep=hours.sleep)

    async def render() -> None:
        nonlocal inside, most
        async with courtesy.after():
            inside += 1
            most = max(most, inside)
            hours.now += 0.01
            await asyncio.sleep(0)
            inside -= 1

    with courtesy.first():
        await asyncio.gather(*(render() for _ in range(11)))
    assert most == 1
    assert pytest.approx(hours.now * SHARE, rel=0.1) == 11 * 0.01


async def test_who_waits_goes_on_when_the_mail_is_gone() -> None:
    hours = Hours()
    courtesy = Courtesy(clock=hours, sleep=hours.sleep)
    with courtesy.first():
        async with courtesy.after():
            hours.now += 60.0
        waiting = asyncio.create_task(_through(courtesy))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not waiting.done()
    await waiting
    assert hours.now < 62


async def _through(courtesy: Courtesy) -> None:
    async with courtesy.after():
        pass


@pytest.mark.parametrize(("mail", "most"), [(False, ADMITTED), (True, BESIDE_MAIL)])
async def test_a_crowd_comes_in_a_few_at_a_time_and_everybody_comes_in(mail: bool, most: int) -> None:
    turn, came, courtesy = 0, Counter[int](), Courtesy()
    loop, crowd = asyncio.get_running_loop(), 5 * ADMITTED
    everybody = asyncio.Event()

    def count() -> None:
        nonlocal turn
        turn += 1
        if not everybody.is_set():
            loop.call_soon(count)

    class Visitor(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            came[turn] += 1
            transport.close()
            if came.total() == crowd:
                everybody.set()

    listening = socket.create_server(("127.0.0.1", 0))
    visitors = [socket.socket() for _ in range(crowd)]
    for each in visitors:
        each.setblocking(False)
        each.connect_ex(listening.getsockname())
    count()
    if mail:
        with courtesy.first():
            door = Door(listening, Visitor, courtesy)
            await everybody.wait()
    else:
        door = Door(listening, Visitor, courtesy)
        await everybody.wait()
    door.close()
    await door.wait_closed()
    for each in visitors:
        each.close()
    assert came.total() == crowd
    assert max(came.values()) <= most


async def test_feeds_that_are_not_ready_are_made_while_mail_is_being_sent(told: Visit) -> None:
    paths = [told.path(feed, form) for feed in await told.private(READER) for form in FORMATS]
    with told.site.running.courtesy.first():
        answers = await asyncio.gather(*(told.client.get(path) for path in paths))
    assert [answer.status_code for answer in answers] == [200] * len(paths)
    assert all(titles(answer) for answer in answers)
