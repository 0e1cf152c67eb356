"""The doctor: a name server, a relay and a page on loopback, each well or ill, and what is said of it."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dns.message
import dns.rrset
import pytest

from notifier.doctor import Finding, Level, host, resolver
from notifier.doctor.names import names
from notifier.doctor.post import post as examine_relay
from notifier.store import backup
from tests.servers.smtp import post
from tests.servers.tls import certificate
from tests.world import START, World, text_page

KEY = "v=DKIM1; k=rsa; p=MIIBIjANBgkqhkiG9w0BAQEFAAOC"
WELL = {
    "example.org TXT": ['"v=spf1 mx include:relay.example.net -all"'],
    "papers._domainkey.example.org TXT": [f'"{KEY[:20]}" "{KEY[20:]}"'],
    "_dmarc.example.org TXT": ['"v=DMARC1; p=quarantine; rua=mailto:dmarc@example.org"'],
    "example.org MX": ["10 mx.example.org."],
    "mail.example.net A": ["192.0.2.25"],
    "25.2.0.192.in-addr.arpa PTR": ["mail.example.net."],
}


class Zone(asyncio.DatagramProtocol):
    """A name server that knows a few records."""

    def __init__(self, records: Mapping[str, list[str]]) -> None:
        self.records = records

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self.transport = transport

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        asked = dns.message.from_wire(data)
        (question,) = asked.question
        kind = dns.rdatatype.to_text(question.rdtype)
        answer = dns.message.make_response(asked)
        values = self.records.get(f"{question.name.to_text(omit_final_dot=True)} {kind}", [])
        if values:
            answer.answer.append(dns.rrset.from_text(question.name, 60, "IN", kind, *values))
        self.transport.sendto(answer.to_wire(), address)


@asynccontextmanager
async def zone(records: Mapping[str, list[str]]) -> AsyncIterator[int]:
    """Serve these records on loopback; yields the port."""
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: Zone(records), local_addr=("127.0.0.1", 0)
    )
    try:
        yield transport.get_extra_info("sockname")[1]
    finally:
        transport.close()


async def looked_up(records: Mapping[str, list[str]]) -> dict[str, Finding]:
    async with zone(records) as port:
        found = await names(resolver(["127.0.0.1"], port), "example.org", ["papers"], "mail.example.net")
    return {each.subject: each for each in found}


async def test_a_domain_with_all_its_records_is_green() -> None:
    found = await looked_up(WELL)
    assert {subject: each.level for subject, each in found.items()} == dict.fromkeys(
        ["spf", "dkim", "dmarc", "ptr", "sender"], Level.GREEN
    )


@pytest.mark.parametrize(
    ("name", "values", "subject", "level", "words"),
    [
        ("example.org TXT", [], "spf", Level.RED, "has no SPF record"),
        ("example.org TXT", ['"v=spf1 -all"', '"v=spf1 mx -all"'], "spf", Level.RED, "has 2 SPF records"),
        ("example.org TXT", ['"v=spf1 +all"'], "spf", Level.RED, "lets everybody send"),
        ("example.org TXT", ['"v=spf1 mx"'], "spf", Level.YELLOW, "does not say what is forbidden"),
        ("example.org TXT", [f'"v=spf1 {" ".join(f"include:{n}.example.net" for n in range(11))} -all"'],
         "spf", Level.RED, "11 lookups"),
        ("papers._domainkey.example.org TXT", [], "dkim", Level.RED, "is not there"),
        ("papers._domainkey.example.org TXT", ['"v=DKIM1; p="'], "dkim", Level.RED, "revoked"),
        ("papers._domainkey.example.org TXT", [f'"{KEY}; t=y"'], "dkim", Level.YELLOW, "test mode"),
        ("_dmarc.example.org TXT", [], "dmarc", Level.RED, "is not there"),
        ("25.2.0.192.in-addr.arpa PTR", ["elsewhere.example.com."], "ptr", Level.YELLOW, "no name that leads back"),
        ("mail.example.net A", [], "ptr", Level.RED, "has no address"),
        ("example.org MX", [], "sender", Level.RED, "takes no mail, or is not there"),
        ("example.org MX", ["0 ."], "sender", Level.RED, "takes no mail, or is not there"),
    ],
)  # fmt: skip
async def test_f129_a_record_that_is_wrong_is_named(
    name: str, values: list[str], subject: str, level: Level, words: str
) -> None:
    found = await looked_up({**WELL, name: values})
    assert found[subject].level is level
    assert words in found[subject].words
    assert [each.subject for each in found.values() if each.level is not Level.GREEN] == [subject]


async def test_a_relay_tells_what_it_can_and_one_without_encryption_elsewhere_is_red() -> None:
    async with post() as server:
        found = await asyncio.to_thread(examine_relay, f"smtp://127.0.0.1:{server.port}", "", "", None, START)
        assert found[0].level is Level.GREEN
        assert "PIPELINING" in found[0].words or "SIZE" in found[0].words or "no extensions" in found[0].words
        assert not server.accepted
        found = await asyncio.to_thread(examine_relay, f"smtp://127.0.0.1:{server.port}", "", "", True, START)
        assert [each.subject for each in found if each.level is Level.RED] == ["relay tls"]


async def examined(url: str, password: str = "right", encryption: bool | None = True) -> dict[str, Finding]:
    found = await asyncio.to_thread(examine_relay, url, "marie", password, encryption, datetime.now(UTC))
    return {each.subject: each for each in found}


async def test_tls_and_login_of_a_relay_are_tried_and_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = certificate(tmp_path, "localhost")
    for implicit in (False, True):
        scheme = "smtps" if implicit else "smtp"
        async with post(tls=shown.server, implicit=implicit, login=("marie", "right")) as server:
            url = f"{scheme}://localhost:{server.port}"
            found = await examined(url)
            assert found["relay tls"].level is Level.RED, "a certificate that nobody signed"
            assert server.count("AUTH") == 0
            with monkeypatch.context() as trusting:
                trusting.setenv("SSL_CERT_FILE", str(shown.file))
                found = await examined(url)
                assert {name: each.level for name, each in found.items()} == {
                    "relay": Level.GREEN, "relay tls": Level.YELLOW, "relay login": Level.GREEN,
                }  # fmt: skip
                assert "TLSv1.3, certificate until" in found["relay tls"].words, "yellow: it ends within two weeks"
                found = await examined(url, "guess4me")
            assert found["relay login"].level is Level.RED
            assert "localhost refuses marie: 535" in found["relay login"].words
            assert "guess4me" not in found["relay login"].words


async def test_f060_no_password_leaves_in_clear_text_for_a_look() -> None:
    async with post(login=("marie", "right")) as server:
        found = await examined(f"smtp://localhost:{server.port}")
        assert found["relay tls"].level is found["relay login"].level is Level.RED
        assert server.count("AUTH") == 0


async def test_a_relay_that_does_not_answer_is_red() -> None:
    (found,) = await asyncio.to_thread(examine_relay, "smtp://127.0.0.1:1", "", "", None, START)
    assert (found.level, found.subject) == (Level.RED, "relay")


async def test_f075_a_damaged_database_is_red_and_a_whole_one_green(installation: World) -> None:
    await installation.subscribe("reader@example.org", "*")
    place = installation.folder / "notifier.db"
    assert host.database(place, backup.check(place)).level is Level.GREEN
    assert host.database(place, "another").level is Level.YELLOW
    content = bytearray(place.read_bytes())
    content[4096 : 3 * 4096] = b"\xff" * (2 * 4096)
    place.write_bytes(content)
    found = host.database(place, "another")
    assert found.level is Level.RED
    assert "notifier restore" in found.words


def test_f076_a_database_on_a_network_disk_is_red(tmp_path: Path) -> None:
    mounts = tmp_path / "mountinfo"
    here = "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
    mounts.write_text(here)
    found = host.filesystem(tmp_path, mounts)
    assert found is not None
    assert (found.level, "(ext4)" in found.words) == (Level.GREEN, True)
    mounts.write_text(f"{here}40 22 0:44 / {tmp_path} rw - nfs4 files.example:/home rw\n")
    found = host.filesystem(tmp_path, mounts)
    assert found is not None
    assert (found.level, "nfs4" in found.words) == (Level.RED, True)
    assert host.filesystem(tmp_path, tmp_path / "none") is None


def test_f091_old_zones_are_yellow() -> None:
    assert host.zones("Europe/Berlin", START).level is Level.GREEN
    assert host.zones("Europe/Berlin", START + timedelta(days=4000)).level is Level.YELLOW


async def test_nothing_is_red_for_a_domain_from_which_no_mail_leaves() -> None:
    async with zone({}) as port:
        found = await names(resolver(["127.0.0.1"], port), "example.org", ["papers"], None)
    assert {each.level for each in found} == {Level.YELLOW}
    assert found[0].words.startswith("before mail leaves this machine: example.org has no SPF record")


async def test_the_command_shows_everything_and_its_exit_code_is_that_of_the_worst(
    installation: World, tmp_path: Path
) -> None:
    installation.listing("daily")
    installation.listing("gone")
    installation.pages.put("/daily", text_page("A Fictional Paper on Health"))
    assert installation.config
    async with zone(WELL) as port:
        started = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "notifier", "doctor", "--json", "--dns", f"127.0.0.1:{port}",
            "--config", str(installation.folder / "config.toml"),
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        output, errors = await started.communicate()
    found = {each["subject"]: each for each in json.loads(output)}
    assert errors == b""
    assert started.returncode == 1
    assert found["listing daily"] == {"level": "green", "subject": "listing daily", "words": "1 papers are read"}
    assert found["listing gone"]["level"] == "red"
    assert "404" in found["listing gone"]["words"]
    assert found["relay"]["level"] == "yellow"
    assert found["spf"]["level"] == found["dmarc"]["level"] == "green"
    assert not (installation.folder / "notifier.db").exists(), "a look makes no database"
