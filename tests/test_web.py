"""The site over a socket: what each page answers, and what nobody can make it do."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from email.message import EmailMessage
from html import unescape

import httpx
import pytest

from notifier.model import Subscriber, SubscriberState
from notifier.web.limits import HEADERS
from tests.world import Served, World, text_page

READER, OTHER = "reader@example.org", "other@example.org"
OLD = ["An Old Fictional Paper on Lighthouses"]
NEW = ["A New Fictional Paper on Harbours", "Another New Fictional Paper on Ferries"]
ONE_CLICK = {"List-Unsubscribe": "One-Click"}  # RFC 8058 3.1
PATHS = ("/", "/style.css", "/favicon.ico", "/healthz", "/feeds/all.rss", "/nothing")


@dataclass(frozen=True)
class Visit:
    """A visitor of a served site, and the mail that two readers got from it."""

    world: World
    site: Served
    client: httpx.AsyncClient

    def mail(self, to: str = READER) -> EmailMessage:
        (mail,) = self.world.mails(to)
        return mail

    def leave_url(self, to: str = READER) -> str:
        """The link of a mail's List-Unsubscribe, as a mail program takes it."""
        found = re.match(r"<(http[^>]+)>", self.mail(to)["List-Unsubscribe"])
        assert found
        return self.site.here(found[1])

    def copy_url(self, to: str = READER) -> str:
        (url,) = {link for link in links(self.mail(to)) if "/digests/" in link}
        return self.site.here(url)

    async def reader(self, email: str = READER) -> Subscriber:
        found = await self.site.running.store.subscriber(email)
        assert found
        return found

    def dump(self) -> list[str]:
        """Everything the database holds."""
        with closing(sqlite3.connect(self.site.running.store.place)) as database:
            return list(database.iterdump())


def links(mail: EmailMessage) -> set[str]:
    """Return every web link of a mail, in its headers and in both of its parts."""
    texts = [str(part.get_content()) for part in mail.walk() if part.get_content_maintype() == "text"]
    texts += [str(value) for value in mail.values()]
    return {unescape(url) for text in texts for url in re.findall(r"https?://[^\s\"'<>]+", text)}


def words(html: str) -> str:
    """Return the text of a page without its marks."""
    return " ".join(unescape(re.sub(r"<[^>]*>", "", html)).split())


@asynccontextmanager
async def visit(world: World) -> AsyncIterator[Visit]:
    async with world.served() as site, httpx.AsyncClient(base_url=site.url, follow_redirects=False) as client:
        yield Visit(world, site, client)


@pytest.fixture
async def fresh(installation: World) -> AsyncIterator[Visit]:
    """A site on its first day: one listing, nothing read."""
    installation.listing("daily")
    async with visit(installation) as visitor:
        yield visitor


@pytest.fixture
async def told(installation: World) -> AsyncIterator[Visit]:
    """A site that has sent two readers a digest."""
    installation.listing("daily")
    installation.pages.put("/daily", text_page(*OLD))
    await installation.subscribe(READER, "*")
    await installation.subscribe(OTHER, "ferries")
    await installation.run()
    installation.pages.put("/daily", text_page(*NEW, *OLD))
    await installation.run()
    async with visit(installation) as visitor:
        yield visitor


async def raw(site: Served, *octets: bytes) -> bytes:
    """Send these bytes and nothing more; return all that the server says until it hangs up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(site.url.rpartition(":")[2]))
    try:
        writer.writelines(octets)
        await writer.drain()
        return await asyncio.wait_for(reader.read(), 20)
    finally:
        writer.close()


async def status(site: Served, target: str, *headers: str, method: str = "GET") -> tuple[int, bytes]:
    """Ask for exactly this target, which a client library might tidy up; return the status and the whole answer."""
    lines = [f"{method} {target} HTTP/1.1", "Connection: close", *(headers or ("Host: 127.0.0.1",))]
    answer = await raw(site, "\r\n".join([*lines, "", ""]).encode("latin-1"))
    return int(answer.split(b" ", 2)[1]), answer


# --- pages ------------------------------------------------------------------------------------------------------------


async def test_the_first_page_says_how_each_listing_is_and_what_is_new(told: Visit) -> None:
    answer = await told.client.get("/")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "<strong>daily</strong>" in answer.text
    assert all(title in answer.text for title in NEW)
    assert OLD[0] not in answer.text
    assert '<link rel="alternate" type="application/atom+xml"' in answer.text


async def test_the_first_page_of_a_new_site_says_that_nothing_was_read_yet(fresh: Visit) -> None:
    answer = await fresh.client.get("/")
    assert answer.status_code == 200
    assert "Not read yet: daily." in answer.text


async def test_the_web_copy_holds_every_paper_of_the_mail_and_is_for_its_reader_only(told: Visit) -> None:
    answer = await told.client.get(told.copy_url())
    assert answer.status_code == 200
    assert all(title in answer.text for title in NEW)
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-robots-tag"] == "noindex"
    theirs = words((await told.client.get(told.copy_url(OTHER))).text)
    assert (NEW[0] in theirs, NEW[1] in theirs) == (False, True)


async def test_f117_a_link_opens_one_thing_of_one_reader(told: Visit) -> None:
    mine, _, my_number = told.copy_url().rpartition("-")
    theirs, _, their_number = told.copy_url(OTHER).rpartition("-")
    unsubscribe = told.leave_url().rpartition("/")[2]
    for link in (
        f"{mine}-{their_number}",
        f"{theirs}-{my_number}",
        f"{mine}-9999",
        f"{mine}-{10**30}",
        mine,
        f"{mine}-{my_number}"[:-3],
        f"{told.site.url}/digests/{unsubscribe}-{my_number}",
        f"{told.site.url}/digests/-{my_number}",
    ):
        assert (await told.client.get(link)).status_code == 404, link
    copy = mine.rpartition("/")[2]
    assert (await told.client.get(f"/unsubscribe/{copy}")).status_code == 404


async def test_no_page_names_an_address(told: Visit) -> None:
    left = await told.client.post(told.leave_url(OTHER))
    pages = [await told.client.get(url) for url in ("/", "/feeds/all.rss", told.copy_url(), told.leave_url(), "/no")]
    for answer in [left, *pages]:
        assert not re.search(r"(?:reader|other)\W{0,5}@", answer.text)
        assert "@example.org" not in answer.text
        assert "@" not in str(answer.headers)


async def test_a_fault_of_ours_is_a_plain_answer_without_its_inside_and_the_site_lives(told: Visit) -> None:
    with closing(sqlite3.connect(told.site.running.store.place)) as database:
        database.execute("ALTER TABLE poll RENAME TO elsewhere")
    answer = await told.client.get("/")
    assert answer.status_code == 500
    assert "Please try again later" in answer.text
    assert "poll" not in answer.text
    assert "Traceback" not in answer.text
    assert answer.headers["content-security-policy"] == HEADERS["content-security-policy"]
    assert (await told.client.get("/healthz")).text == "ok\n"


async def test_an_operator_may_replace_a_page_and_the_style_sheet(installation: World) -> None:
    folder = installation.folder / "templates/web"
    folder.mkdir(parents=True)
    (folder / "style.css").write_text("h1 { color: teal }\n")
    (folder / "message.html").write_text("<h1>Ours: {{ title }}</h1>\n")
    installation.extra = 'templates = "templates"\n'
    async with visit(installation) as visitor:
        style = await visitor.client.get("/style.css")
        assert (style.text, style.headers["content-type"]) == ("h1 { color: teal }\n", "text/css; charset=utf-8")
        assert (await visitor.client.get("/nothing")).text == "<h1>Ours: Nothing here</h1>\n"


# --- leaving ----------------------------------------------------------------------------------------------------------


async def test_g7_f105_a_scanner_that_follows_every_link_of_a_mail_changes_nothing(told: Visit) -> None:
    before, seen, todo = (
        told.dump(),
        set(),
        {told.site.here(link) for link in links(told.mail()) if "127.0.0.1" in link},
    )
    assert {url.split("/")[3] for url in todo} >= {"unsubscribe", "digests", "feeds"}
    while todo:
        url = todo.pop()
        seen.add(url)
        for method in ("GET", "HEAD", "GET", "OPTIONS"):
            answer = await told.client.request(method, url)
            assert answer.status_code in (200, 405), (method, url)
            found = re.findall(r'(?:href|action)="(/[^"]*)"', answer.text)
            todo |= {told.site.url + unescape(path) for path in found} - seen
    assert any("/digests/" in url for url in seen)
    assert told.dump() == before
    assert (await told.reader()).state is SubscriberState.CONFIRMED


async def test_g7_a_click_on_the_button_unsubscribes_at_once_and_a_second_one_is_friendly(told: Visit) -> None:
    url = told.leave_url()
    asked = (await told.client.get(url)).text
    (action, _) = re.findall(r'<form method="post" action="([^"]+)"', asked)
    assert "Unsubscribe?" in asked
    for _ in range(2):
        answer = await told.client.post(action)
        assert answer.status_code == 200
        assert "You are unsubscribed" in answer.text
        assert (await told.reader()).state is SubscriberState.UNSUBSCRIBED
    assert "You are unsubscribed" in (await told.client.get(url)).text
    assert (await told.reader(OTHER)).state is SubscriberState.CONFIRMED


@pytest.mark.parametrize("form", ["urlencoded", "multipart", "chunked"])
async def test_g7_one_click_by_a_mail_program_acts_at_once_without_cookie_or_redirect(told: Visit, form: str) -> None:
    """RFC 8058 3.1-3.2; programs send either form, and some do not say how long it is."""
    mail, url = told.mail(), told.leave_url()
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"

    async def pieces() -> AsyncIterator[bytes]:
        yield b"List-Unsubscribe="
        yield b"One-Click"

    if form == "urlencoded":
        answer = await told.client.post(url, data=ONE_CLICK)
    elif form == "multipart":
        answer = await told.client.post(url, files={name: (None, value) for name, value in ONE_CLICK.items()})
    else:
        answer = await told.client.post(url, content=pieces())
    assert answer.status_code == 200
    assert "set-cookie" not in answer.headers
    assert "location" not in answer.headers
    assert (await told.reader()).state is SubscriberState.UNSUBSCRIBED


async def test_who_left_gets_no_mail_and_who_undoes_it_gets_what_was_found_meanwhile(installation: World) -> None:
    late, latest = "A Late Fictional Paper on Tides", "The Latest Fictional Paper on Buoys"
    installation.listing("daily")
    installation.pages.put("/daily", text_page(*OLD))
    await installation.subscribe(READER, "*")
    await installation.run()
    installation.pages.put("/daily", text_page(*NEW))
    await installation.run()
    async with visit(installation) as visitor:
        left = await visitor.client.post(visitor.leave_url())
    installation.pages.put("/daily", text_page(late))
    await installation.run()
    assert installation.titles(READER, [*NEW, late]) == [NEW]
    (undo,) = re.findall(r'<form method="post" action="([^"]+)"', left.text)
    async with visit(installation) as visitor:
        assert (await visitor.client.get(undo)).status_code == 405
        for _ in range(2):
            answer = await visitor.client.post(undo)
            assert answer.status_code == 200
            assert "You are subscribed again" in answer.text
    installation.pages.put("/daily", text_page(latest))
    await installation.run()
    assert installation.titles(READER, [*NEW, late, latest]) == [NEW, [late, latest]]


async def test_f106_forged_cut_and_foreign_links_all_get_the_same_page_and_do_nothing(told: Visit) -> None:
    before, link = told.dump(), told.leave_url().rpartition("/")[2]
    theirs = told.leave_url(OTHER).rpartition("/")[2]
    wrong = [
        *(link[:end] for end in (1, 10, 40, len(link) - 1)),
        link + "0",
        link.upper(),
        link[:40] + theirs[40:],
        "0" * len(link),
        "%F0%9F%93%AC",
        "%00",
        "-",
    ]
    pages = set()
    for each in wrong:
        for path in (f"/unsubscribe/{each}", f"/resubscribe/{each}"):
            answer = await told.client.post(path, data=ONE_CLICK)
            assert answer.status_code == 404, path
            pages.add((answer.text, *sorted(set(answer.headers.items()) - {("date", answer.headers["date"])})))
        answer = await told.client.get(f"/unsubscribe/{each}")
        pages.add((answer.text, *sorted(set(answer.headers.items()) - {("date", answer.headers["date"])})))
    assert len(pages) == 1
    assert told.dump() == before


# --- what nobody can make it do ---------------------------------------------------------------------------------------


async def test_every_answer_carries_the_security_headers(told: Visit) -> None:
    answers = [
        await told.client.request(method, url)
        for url in (*PATHS, told.leave_url(), told.copy_url())
        for method in ("GET", "HEAD", "POST", "DELETE")
    ]
    answers.append(await told.client.get("/feeds/all.rss", headers={"If-None-Match": "*"}))
    assert {answer.status_code for answer in answers} == {200, 304, 404, 405}
    for answer in answers:
        assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS
        assert "server" not in answer.headers
        assert "set-cookie" not in answer.headers
        assert answer.headers["cache-control"]


async def test_head_says_what_get_says_without_the_body(told: Visit) -> None:
    paths = (*PATHS, told.leave_url(), told.copy_url())
    for url in paths:
        plain = {"Accept-Encoding": "identity"}
        full, head = await told.client.get(url, headers=plain), await told.client.head(url, headers=plain)
        assert (head.status_code, head.content) == (full.status_code, b""), url
        assert head.headers["content-length"] == str(len(full.content))
        assert head.headers["content-type"] == full.headers["content-type"]


CROOKED = [
    "/feeds/../../../../etc/passwd",
    "/feeds/%2e%2e/%2e%2e/config.toml",
    "/feeds/..%2fnotifier.db",
    "/feeds/all.rss%00.html",
    "/feeds/%00",
    "/style.css/../../notifier.db",
    "/digests/%2e%2e%2f1",
    "/unsubscribe/%00",
    "/%ff%fe",
    "/" + "a" * 8_000,
    "/" + "a/" * 4_000,
    "//evil.example/",
    "//evil.example/%2f..",
    "/\\evil.example",
    "/healthz/",
    "/unsubscribe/x/",
    "/resubscribe/x?next=//evil.example",
]


async def test_f113_f114_a_crooked_path_is_not_there_and_leads_nowhere_else(fresh: Visit) -> None:
    for target in CROOKED:
        for method in ("GET", "POST"):
            code, answer = await status(fresh.site, target, "Host: evil.example", method=method)
            there = "next=" in target if method == "GET" else target.startswith("/feeds/")
            assert code == (405 if there else 404), target
            assert b"location:" not in answer.lower()
            assert b"evil" not in answer
    code, answer = await status(fresh.site, "/?next=//evil.example/../x&x=/healthz/")
    assert code == 200
    assert b"evil" not in answer


FORGED = [
    ("Host: evil.example",),
    ("Host: evil.example:99999",),
    ("Host: 127.0.0.1", "X-Forwarded-Host: evil.example", "X-Forwarded-Proto: https", "X-Forwarded-For: evil"),
    ("Host: 127.0.0.1", "Forwarded: host=evil.example;proto=https"),
    ('Host: "><script>evil',),
]


async def test_f112_forged_host_headers_reach_no_link(told: Visit) -> None:
    for headers in FORGED:
        for url in ("/", told.leave_url(), told.copy_url(), "/feeds/all.rss", "/healthz/"):
            code, answer = await status(told.site, url.removeprefix(told.site.url), *headers)
            assert code in (200, 400, 404)
            assert b"evil" not in answer


async def test_f111_a_body_that_states_a_gigabyte_is_refused_before_it_is_read(told: Visit) -> None:
    path = told.leave_url().removeprefix(told.site.url)
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {2**30}\r\n\r\n"
    answer = await raw(told.site, head.encode(), b"List-Unsubscribe=One-Click")
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" in answer
    assert b"content-security-policy: default-src 'none'" in answer
    assert (await told.reader()).state is SubscriberState.CONFIRMED


async def test_f111_a_body_without_end_ends_with_its_connection(told: Visit) -> None:
    """The server hangs up long before it has taken what one connection would send."""
    path = told.leave_url().removeprefix(told.site.url)
    _, writer = await asyncio.open_connection("127.0.0.1", int(told.site.url.rpartition(":")[2]))
    writer.write(f"POST {path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
    piece, sent = b"10000\r\n" + b"x" * 0x10000 + b"\r\n", 0
    with pytest.raises(ConnectionError):
        while sent < 2**27:
            writer.write(piece)
            await writer.drain()
            sent += len(piece)
    assert sent < 2**25  # what the kernel's buffers hold
    writer.close()
    assert (await told.client.get("/healthz")).text == "ok\n"


async def test_f111_ten_thousand_form_fields_change_nothing_about_the_answer(told: Visit) -> None:
    answer = await told.client.post(told.leave_url(), data={f"f{n}": "" for n in range(10_000)})
    assert answer.status_code in (200, 413)
    assert (await told.client.get("/healthz")).text == "ok\n"


async def test_f111_idle_connections_keep_nobody_else_waiting(told: Visit) -> None:
    port = int(told.site.url.rpartition(":")[2])
    idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(200)]
    for n, (_, writer) in enumerate(idle):
        writer.write(b"GET / HTTP/1.1\r\nHos" if n % 2 else b"")
    assert (await told.client.get("/")).status_code == 200
    for _, writer in idle:
        writer.close()


async def test_the_web_copy_of_a_long_digest_has_light_pages_that_hold_every_paper(installation: World) -> None:
    long = [f"Paper {n} of a Long Day: " + "Fictional Knots, Ropes and Flags " * 7 for n in range(90)]
    installation.listing("daily", first="owe")
    installation.pages.put("/daily", text_page(*long))
    await installation.subscribe(READER, "*")
    await installation.run()
    async with visit(installation) as visitor:
        url, seen = visitor.copy_url(), ""
        pages = [await visitor.client.get(url)]
        while more := re.search(r'rel="next" href="([^"]+)"', pages[-1].text):
            pages.append(await visitor.client.get(unescape(more[1])))
        seen = "".join(page.text for page in pages)
        assert len(pages) == 5
        assert all(f"Paper {n} of a Long Day" in words(seen) for n in range(90))
        assert max(len(page.content) for page in [*pages, await visitor.client.get("/papers")]) < 60_000
        assert [(await visitor.client.get(f"{url}?page={n}")).status_code for n in ("0", "6", "x", "1")] == [
            404,
            404,
            404,
            200,
        ]
