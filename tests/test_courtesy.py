"""Mail goes first: what readers ask for waits while it is being sent, and nobody waits without it. Counts, no times."""

from __future__ import annotations

import asyncio
import itertools
import socket
import struct
from collections import Counter
from datetime import timedelta

import httpx
import pytest

from notifier.courtesy import ADVANCE, HURRY, HUSH, LOOK_AGAIN, MOST_DEBT, MOST_WAITING, SHARE, Courtesy
from notifier.daemon.door import ADMITTED, BESIDE_MAIL, IN_HURRY, Door
from notifier.daemon.steps import poll_listing, steps
from notifier.errors import Busy
from notifier.model import FeedFormat
from notifier.publish.gather import Address, Kind
from notifier.publish.shelf import QUEUE, RENDERING, Shelf
from notifier.web.courteous import Courteous
from tests.visit import FORMATS, LATER, NEW, OLD, OTHER, READER, Visit, titles
from tests.world import text_page

RESET = struct.pack("ii", 1, 0)  # SO_LINGER: what is sent when the socket is closed is a RST


def port(told: Visit) -> int:
    return int(told.site.url.rpartition(":")[2])


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

    def govern(self, courtesy: Courtesy) -> None:
        """Let nobody wait for real."""
        courtesy.clock, courtesy.sleep = self, self.sleep

    def courtesy(self) -> Courtesy:
        """A courtesy for which all time goes by in what is done here."""
        return Courtesy(clock=self, sleep=self.sleep, spent=self)

    def take(self, seconds: float) -> str:
        self.now += seconds
        return "taken"

    async def work(self, seconds: float) -> None:
        """Take some time of the processor, in two steps."""
        self.now += seconds / 2
        await asyncio.sleep(0)
        self.now += seconds / 2

    async def wait_for(self, gate: asyncio.Event) -> str:
        await gate.wait()
        return "came"


async def test_without_mail_nobody_waits() -> None:
    hours = Hours()
    courtesy = hours.courtesy()
    for _ in range(10):
        await courtesy.turn()
        await courtesy.counted(hours.work(1.0))
    assert hours.waited == []


@pytest.mark.parametrize("seconds", [ADVANCE / 2, ADVANCE, 0.01])
async def test_beside_mail_one_follows_the_other_and_takes_its_share_of_the_time(seconds: float) -> None:
    hours = Hours()
    courtesy = hours.courtesy()

    async def answer() -> None:
        await courtesy.turn()
        await courtesy.counted(hours.work(seconds), ADVANCE)

    with courtesy.first():
        await asyncio.gather(*(answer() for _ in range(21)))
    assert pytest.approx(hours.now, rel=0.1) == HUSH + 20 * max(seconds, ADVANCE) / SHARE


async def test_nothing_dear_begins_in_the_first_seconds_of_a_mail_run() -> None:
    hours = Hours()
    courtesy = hours.courtesy()
    hours.now = 1000.0
    with courtesy.first():
        await courtesy.turn()
    assert hours.now >= 1000.0 + HUSH


async def test_a_mail_run_of_several_rounds_has_one_beginning() -> None:
    hours = Hours()
    courtesy = hours.courtesy()
    with courtesy.first():
        hours.now += HUSH
        with courtesy.first():
            await courtesy.turn()
    assert hours.waited == []


async def test_what_a_thread_takes_is_charged_too() -> None:
    hours = Hours()
    courtesy = hours.courtesy()
    with courtesy.first():
        hours.now += HUSH
        assert await courtesy.aside(hours.take, 0.05) == "taken"
        before = hours.now
        await courtesy.turn()
    assert pytest.approx(hours.now - before) == 0.05 / SHARE


async def test_only_the_processor_is_charged_not_the_wait_for_a_slow_reader() -> None:
    hours, gate = Hours(), asyncio.Event()
    courtesy = hours.courtesy()
    with courtesy.first():
        slow = asyncio.create_task(courtesy.counted(hours.wait_for(gate)))
        await asyncio.sleep(0)
        hours.now += 600.0
        gate.set()
        assert await slow == "came"
        before = hours.now
        await courtesy.turn()
    assert hours.now == before


async def test_what_one_answer_took_is_not_held_against_the_others_for_ever() -> None:
    hours = Hours()
    courtesy = hours.courtesy()
    with courtesy.first():
        await courtesy.counted(hours.work(60.0))
        before = hours.now
        await courtesy.turn()
    assert hours.now - before <= MOST_DEBT


async def test_who_is_one_too_many_to_wait_is_told_so() -> None:
    hours = Hours()
    courtesy = hours.courtesy()
    with courtesy.first():
        hours.now += HUSH
        await courtesy.turn()
        answers = await asyncio.gather(*(courtesy.turn() for _ in range(MOST_WAITING + 3)), return_exceptions=True)
    assert Counter(map(type, answers)) == {type(None): MOST_WAITING, Busy: 3}


async def test_who_waits_goes_on_when_the_mail_is_gone() -> None:
    hours = Hours()
    courtesy = hours.courtesy()
    with courtesy.first():
        await courtesy.counted(hours.work(1.0))
        waiting = asyncio.create_task(courtesy.turn())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not waiting.done()
    before = hours.now
    await waiting
    assert hours.now - before <= LOOK_AGAIN


async def test_a_request_that_is_cut_off_while_it_waits_leaves_the_line() -> None:
    courtesy = Courtesy(clock=lambda: 0.0)
    scope = {"type": "http", "path": "/feeds/search.atom", "headers": []}

    async def unused(*_: object) -> None:
        raise AssertionError("its turn never came")

    with courtesy.first():
        request = asyncio.ensure_future(Courteous(unused, courtesy)(scope, unused, unused))  # type: ignore[arg-type]
        while not courtesy._waiting:  # noqa: ASYNC110
            await asyncio.sleep(0)
        request.cancel()
        await asyncio.wait([request])
        for _ in range(10):
            await asyncio.sleep(0)
        assert not courtesy._waiting


async def test_a_task_that_is_cancelled_ends_while_it_is_counted() -> None:
    hours = Hours()
    slow = asyncio.create_task(hours.courtesy().counted(hours.wait_for(asyncio.Event())))
    await asyncio.sleep(0)
    slow.cancel()
    with pytest.raises(asyncio.CancelledError):
        await slow
    assert slow.cancelled()


@pytest.mark.parametrize(
    ("mail_since", "most"),
    [(None, ADMITTED), (0.0, IN_HURRY), (HURRY, BESIDE_MAIL)],
    ids=["no mail", "mail just now", "mail for long"],
)
async def test_a_crowd_comes_in_a_few_at_a_time_and_everybody_comes_in(mail_since: float | None, most: int) -> None:
    hours = Hours()
    turn, came, courtesy = 0, Counter[int](), hours.courtesy()
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
    if mail_since is not None:
        with courtesy.first():
            hours.now += mail_since
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
    Hours().govern(told.site.running.courtesy)
    with told.site.running.courtesy.first():
        answers = await asyncio.gather(*(told.client.get(path) for path in paths))
    assert [answer.status_code for answer in answers] == [200] * len(paths)
    assert all(titles(answer) for answer in answers)


async def test_a_program_waits_for_its_turn_once(told: Visit, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [f"/feeds/search.atom?q=harbour{place}" for place in range(5)]
    paths += [told.path(feed) for feed in await told.private(READER)]
    turns, turn = 0, Courtesy.turn

    async def counted(courtesy: Courtesy) -> None:
        nonlocal turns
        turns += 1
        await turn(courtesy)

    monkeypatch.setattr(Courtesy, "turn", counted)
    Hours().govern(told.site.running.courtesy)
    with told.site.running.courtesy.first():
        answers = await asyncio.gather(*(told.client.get(path) for path in paths))
    assert [answer.status_code for answer in answers] == [200] * len(paths)
    assert turns == len(paths)


async def test_people_have_a_line_of_their_own_for_what_is_not_ready(told: Visit) -> None:
    shelf = told.site.running.shelf
    limits = httpx.Limits(max_connections=2 * QUEUE)
    async with httpx.AsyncClient(base_url=told.site.url, limits=limits, timeout=60) as programs:
        async with shelf._loading:  # so that no search is found
            paths = [f"/feeds/search.atom?q=harbour{place}" for place in range(QUEUE + 3)]
            asked = [asyncio.create_task(programs.get(path)) for path in paths]
            refused = [await each for each in itertools.islice(asyncio.as_completed(asked), 3)]
            page = {"sec-fetch-dest": "document"}
            pages = [await told.client.get(path, headers=page) for path in ("/feeds/all.atom", "/feeds/trending.rss")]
        answers = await asyncio.gather(*asked)
    assert [answer.status_code for answer in refused] == [503] * 3
    assert [answer.status_code for answer in pages] == [200] * 2
    assert Counter(answer.status_code for answer in answers) == {200: QUEUE, 503: 3}


async def test_people_and_monitors_do_not_wait_for_the_mail_to_be_sent(told: Visit) -> None:
    courtesy = told.site.running.courtesy
    page = {"sec-fetch-dest": "document"}
    courtesy.clock = lambda: 0.0  # so that nobody's turn comes before the mail is gone
    with courtesy.first():
        waiting = [asyncio.create_task(courtesy.turn()) for _ in range(MOST_WAITING)]
        await asyncio.sleep(0)
        answers = [await told.client.get(path, headers=page) for path in ("/", "/healthz", "/feeds/trending.atom")]
        late = await told.client.get("/feeds/search.atom?q=harbour")
    await asyncio.gather(*waiting)
    assert [answer.status_code for answer in answers] == [200] * 3
    assert late.status_code == 503
    assert late.headers["retry-after"] == "30"
    assert late.headers["x-content-type-options"] == "nosniff"


async def test_who_stood_in_line_for_a_place_when_mail_began_waits_for_a_turn(told: Visit) -> None:
    shelf, late = told.site.running.shelf, 3
    courtesy = shelf.courtesy
    courtesy.clock = lambda: 0.0
    searches = [Address(Kind.SEARCH, f"harbour{place}") for place in range(RENDERING + late)]
    async with shelf._loading:  # so that no search is found
        making = [asyncio.create_task(shelf.copy(each, FeedFormat.ATOM)) for each in searches]
        while shelf._programs._waiting < len(searches):  # noqa: ASYNC110
            await asyncio.sleep(0)
        begun = courtesy.first()
        begun.__enter__()
    while courtesy._waiting < late or sum(each.done() for each in making) < RENDERING:  # noqa: ASYNC110
        await asyncio.sleep(0)
    assert shelf._programs._waiting == 0, "nobody keeps a place while waiting"
    begun.__exit__(None, None, None)
    assert len(await asyncio.gather(*making)) == len(searches)


async def test_who_was_looked_up_when_mail_began_waits_for_a_turn(told: Visit) -> None:
    shelf = told.site.running.shelf
    shelf.courtesy.clock = lambda: 0.0
    (feed, *_) = await told.private(READER)
    link = told.site.running.store.link("feed", feed.seed)
    making = asyncio.create_task(shelf.copy(Address(Kind.PRIVATE, link), FeedFormat.ATOM))
    await asyncio.sleep(0)  # it asks the database whose it is
    with shelf.courtesy.first():
        while not shelf.courtesy._waiting:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        assert not making.done()
    await making


async def test_the_feeds_are_published_before_readers_have_their_turn(
    told: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, refresh = list[bool](), Shelf.refresh

    async def refreshed(shelf: Shelf) -> object:
        found.append(shelf.courtesy.wanted)
        return await refresh(shelf)

    monkeypatch.setattr(Shelf, "refresh", refreshed)
    (send,) = (step for step in steps(told.site.running, asyncio.Event()) if step.name == "send")
    await send.work()
    assert found == [True]


async def test_for_a_crowd_at_the_full_hour_no_feed_is_made_before_the_digests_are_sent(told: Visit) -> None:
    running, readers = told.site.running, 20
    running.courtesy.clock = lambda: 0.0  # the first seconds of the mail run, however slow this machine
    paths = [told.path(feed, form) for feed in await told.private(READER) for form in FORMATS]
    told.world.pages.put("/daily", text_page(LATER, *NEW, *OLD))
    told.world.now += timedelta(minutes=31)
    await poll_listing(running, running.config.listings[0])
    made, mails = list[int](), len(told.world.mails(OTHER))
    (send,) = (step for step in steps(running, asyncio.Event()) if step.name == "send")
    sending = asyncio.ensure_future(send.work())
    sending.add_done_callback(lambda _: made.append(len(running.shelf._copies)))
    await asyncio.sleep(0)  # it has begun
    async with httpx.AsyncClient(base_url=told.site.url, timeout=60) as crowd:
        answers = await asyncio.gather(*(crowd.get(paths[number % len(paths)]) for number in range(readers)))
    assert sending.done()
    assert made == [0]
    assert len(told.world.mails(OTHER)) == mails + 1
    assert [answer.status_code for answer in answers] == [200] * readers
    assert all(titles(answer) for answer in answers)


@pytest.mark.parametrize("linger", [struct.pack("ii", 0, 0), RESET], ids=["FIN", "RST"])
async def test_who_hangs_up_while_waiting_leaves_the_line(told: Visit, linger: bytes) -> None:
    running = told.site.running
    courtesy, loop = running.courtesy, asyncio.get_running_loop()
    courtesy.clock = lambda: 0.0
    with courtesy.first():
        async with asyncio.timeout(30):
            reader = socket.create_connection(("127.0.0.1", port(told)))
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            reader.setblocking(False)
            await loop.sock_sendall(reader, b"GET /feeds/search.atom?q=harbour HTTP/1.1\r\nHost: x\r\n\r\n")
            while not courtesy._waiting:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
            reader.close()
            while courtesy._waiting:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
    assert not running.shelf._making
    assert not running.shelf._copies


async def test_who_says_no_more_while_waiting_is_told_to_ask_again(told: Visit) -> None:
    courtesy = told.site.running.courtesy
    courtesy.clock = lambda: 0.0
    with courtesy.first():
        reader, writer = await asyncio.open_connection("127.0.0.1", port(told))
        writer.write(b"GET /feeds/search.atom?q=harbour HTTP/1.1\r\nHost: x\r\n\r\n")
        while not courtesy._waiting:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        writer.write_eof()
        answer = await asyncio.wait_for(reader.read(), 30)
        writer.close()
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"\r\nretry-after: 30\r\n" in answer
