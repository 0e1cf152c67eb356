"""The bells of the daemon: each step has one task, rings in between are one ring, and what fails is done again."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta

from notifier import log
from notifier.daemon.run import ring_forever
from notifier.daemon.steps import Step
from notifier.daemon.watch import Pulse


@dataclass
class Rung:
    """A step that is rung by hand, and what it did."""

    bell: asyncio.Event = field(default_factory=asyncio.Event)
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    go_on: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))
    began: asyncio.Queue[int] = field(default_factory=asyncio.Queue)
    times: int = 0
    at_once: int = 0
    fails: bool = False
    unwritable: str = ""

    async def work(self) -> None:
        self.times += 1
        self.at_once += 1
        assert self.at_once == 1
        self.began.put_nowait(self.times)
        await self.go_on.acquire()
        self.at_once -= 1
        if self.fails:
            raise ValueError("a step that fails")

    def start(self) -> asyncio.Task[None]:
        step = Step(name="send", every=timedelta(seconds=5), work=self.work)
        return asyncio.create_task(ring_forever(step, self.bell, Pulse("send", 5), self.stop, lambda: self.unwritable))

    async def end(self, task: asyncio.Task[None]) -> None:
        self.stop.set()
        self.bell.set()
        await task


async def test_f087_rings_during_a_step_are_one_ring_after_it() -> None:
    rung = Rung()
    task = rung.start()
    rung.bell.set()
    assert await rung.began.get() == 1
    for _ in range(3):
        rung.bell.set()
    rung.go_on.release()
    assert await rung.began.get() == 2
    assert not rung.bell.is_set(), "there would be a third"
    rung.go_on.release()
    await rung.end(task)
    assert rung.times == 2


async def test_f092_a_step_that_raises_is_logged_and_done_again_at_the_next_ring() -> None:
    heard: list[str] = []
    rung, ear = Rung(fails=True), lambda event, values: heard.append(f"{event} {values['step']} {values['fault']}")
    log.heard.append(ear)
    try:
        task = rung.start()
        for number in (1, 2):
            rung.bell.set()
            assert await rung.began.get() == number
            rung.go_on.release()
        await rung.end(task)
    finally:
        log.heard.remove(ear)
    assert heard == ["step_failed send ValueError: a step that fails"] * 2


async def test_f071_no_step_begins_while_nothing_can_be_stored() -> None:
    rung = Rung(unwritable="the disk is full")
    task = rung.start()
    rung.bell.set()
    await asyncio.sleep(0)  # its task has its turn
    assert not rung.bell.is_set()
    rung.unwritable = ""
    rung.bell.set()
    assert await rung.began.get() == 1
    rung.go_on.release()
    await rung.end(task)
