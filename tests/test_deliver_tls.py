"""Encryption and passwords: verified, required, and never shown to somebody else."""

from __future__ import annotations

from pathlib import Path

import pytest

from notifier.deliver import relay
from notifier.model import Verdict
from tests.offers import offer, trouble
from tests.servers.smtp import Post, post
from tests.servers.tls import certificate


async def test_starttls_and_smtps_verify_the_name_and_then_send(tmp_path: Path) -> None:
    shown = certificate(tmp_path, "localhost")
    async with post(tls=shown.server) as server:
        mail = relay(f"smtp://localhost:{server.port}", starttls=True, ca_file=shown.file)
        assert (await offer(mail))[0].verdict is Verdict.SENT
        assert server.accepted[0].tls
        assert server.count("EHLO") == 2
        await mail.close()
    async with post(tls=shown.server, implicit=True) as server:
        mail = relay(f"smtps://localhost:{server.port}", ca_file=shown.file)
        assert (await offer(mail))[0].verdict is Verdict.SENT
        await mail.close()


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
@pytest.mark.parametrize(("name", "expired"), [("localhost", True), ("other.example", False)])
async def test_f059_a_certificate_that_is_expired_or_names_another_is_refused(
    tmp_path: Path, scheme: str, name: str, expired: bool
) -> None:
    shown = certificate(tmp_path, name, expired=expired)
    async with post(tls=shown.server, implicit=scheme == "smtps", login=("u", "p")) as server:
        starttls = True if scheme == "smtp" else None
        mail = relay(
            f"{scheme}://localhost:{server.port}", starttls=starttls, ca_file=shown.file, user="u", password="p"
        )
        found = await trouble(mail)
        assert "expired" in found.reason if expired else "Hostname mismatch" in found.reason
        assert not found.permanent
        assert server.count("AUTH") == server.count("MAIL") == 0


async def test_f059_a_certificate_of_an_unknown_authority_is_refused(tmp_path: Path) -> None:
    async with post(tls=certificate(tmp_path, "localhost").server) as server:
        assert "self-signed" in (await trouble(relay(f"smtp://localhost:{server.port}", starttls=True))).reason


async def test_f060_without_starttls_the_password_stays_here(server: Post) -> None:
    mail = relay(f"smtp://localhost:{server.port}", starttls=True, user="u", password="p")
    found = await trouble(mail)
    assert "STARTTLS" in found.reason
    assert found.permanent
    assert server.count("AUTH") == server.count("MAIL") == 0


@pytest.mark.parametrize("methods", ["PLAIN", "LOGIN", "LOGIN PLAIN"])
async def test_a_user_is_known_by_plain_or_login(methods: str) -> None:
    async with post(login=("marie", "pässword"), methods=methods) as server:
        mail = relay(f"smtp://127.0.0.1:{server.port}", user="marie", password="pässword")
        assert (await offer(mail))[0].verdict is Verdict.SENT
        assert server.accepted[0].user == "marie"
        await mail.close()


async def test_f057_a_wrong_password_is_tried_once_and_then_not_for_a_while() -> None:
    async with post(login=("marie", "right"), methods="PLAIN LOGIN CRAM-MD5") as server:
        mail = relay(f"smtp://127.0.0.1:{server.port}", user="marie", password="wrong-password")
        for _ in range(3):
            found = await trouble(mail)
            assert (found.code, found.permanent) == (535, True)
            assert "wrong-password" not in str(found)
        assert server.count("AUTH") == 1
        assert server.connections == 1


async def test_f058_an_auth_backend_that_is_down_is_trouble_that_passes() -> None:
    async with post(login=("marie", "right")) as server:
        server.fault("auth", "454 4.7.0 temporary authentication failure", "ok")
        mail = relay(f"smtp://127.0.0.1:{server.port}", user="marie", password="right")
        found = await trouble(mail)
        assert (found.code, found.permanent) == (454, False)
        assert (await offer(mail))[0].verdict is Verdict.SENT
        await mail.close()


async def test_an_auth_method_that_we_do_not_know_is_trouble_with_us() -> None:
    async with post(login=("marie", "right"), methods="GSSAPI") as server:
        found = await trouble(relay(f"smtp://127.0.0.1:{server.port}", user="marie", password="right"))
        assert "gssapi" in found.reason
        assert found.permanent
