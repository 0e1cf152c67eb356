"""The metrics: what a monitor reads, who may read it, and that the shipped rules name what exists."""

from __future__ import annotations

import asyncio
import json
import re
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from notifier import log
from notifier.daemon import site as serving
from notifier.daemon.metrics import Metrics
from notifier.web.site import Monitor
from tests.world import World, text_page

MONITORING = Path(__file__).resolve().parent.parent / "docs/monitoring"


async def asked(
    installation: World, path: str, *, token: str = "", troubles: Sequence[str] = (), **headers: str
) -> tuple[int, str]:
    """Serve the site with its monitor, ask it once, and return status and text."""

    def get(port: int) -> tuple[int, str]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers=named)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as answer:
            return answer.code, ""

    async with installation.opened() as running:
        metrics = Metrics()

        async def text() -> bytes:
            return await metrics.text(
                running.store, running.config.listings, installation.now, lag=0.25, troubles=troubles
            )

        listening = serving.listener("127.0.0.1:0")
        server = serving.server(running, Monitor(metrics=text, troubles=lambda: troubles, token=token))
        task = asyncio.create_task(server.serve(sockets=[listening.dup()]))
        with listening:
            await server.up.wait()
            found = await asyncio.to_thread(get, listening.getsockname()[1])
            server.should_exit = True
            await task
    return found


async def test_a_monitor_sees_listings_messages_and_subscribers(installation: World) -> None:
    installation.listing("daily")
    installation.listing("gone")
    installation.pages.put("/daily", text_page("A Fictional Paper of the First Poll"))
    await installation.subscribe("reader@example.org", "*")
    await installation.run()
    installation.pages.put("/daily", text_page("A Fictional Paper to be Counted"))
    await installation.run(minutes=60)
    status, text = await asked(installation, "/metrics")
    assert status == 200
    for line in (
        'notifier_messages{state="sent"} 1.0',
        'notifier_messages{state="held"} 0.0',
        'notifier_subscribers{state="confirmed"} 1.0',
        'notifier_listing_outcome{listing="daily",outcome="fresh"} 1.0',
        'notifier_listing_outcome{listing="gone",outcome="failed"} 1.0',
        "notifier_oldest_due_digest_seconds 0.0",
        "notifier_event_loop_lag_seconds 0.25",
        "notifier_well 1.0",
        "notifier_held 0.0",
    ):
        assert line in text.splitlines()
    fresh = re.search(r'^notifier_listing_fresh_timestamp_seconds\{listing="daily"\} (\S+)$', text, re.M)
    assert fresh
    assert float(fresh[1]) == installation.now.timestamp()
    assert re.search(r"^notifier_process_resident_memory_bytes \d", text, re.M)
    assert "reader@example.org" not in text


async def test_events_are_counted() -> None:
    metrics = Metrics()
    log.heard.append(metrics.hear)
    try:
        log.step_failed("poll daily", OSError("no space left"))
        log.parser_killed("daily", "time", 1)
    finally:
        log.heard.remove(metrics.hear)
    assert metrics.registry.get_sample_value("notifier_step_failures_total", {"step": "poll"}) == 1
    assert metrics.registry.get_sample_value("notifier_parser_kills_total", {"listing": "daily"}) == 1


async def test_metrics_are_for_this_machine_or_who_has_the_token(installation: World) -> None:
    assert (await asked(installation, "/metrics"))[0] == 200
    assert (await asked(installation, "/metrics", X_Forwarded_For="203.0.113.9"))[0] == 404, "through a proxy"
    assert (await asked(installation, "/metrics", token="s3cret"))[0] == 404
    assert (await asked(installation, "/metrics", token="s3cret", Authorization="Bearer wrong"))[0] == 404
    assert (await asked(installation, "/metrics", token="s3cret", Authorization="Bearer s3cret"))[0] == 200


async def test_readyz_says_503_while_the_daemon_does_not_do_its_work(installation: World) -> None:
    assert await asked(installation, "/readyz") == (200, "ready\n")
    assert (await asked(installation, "/readyz", troubles=["send has not moved"]))[0] == 503


def test_every_metric_of_the_rules_and_the_dashboard_exists() -> None:
    known = set()
    for family in Metrics().registry.collect():
        known |= {family.name, f"{family.name}_total"} if family.type == "counter" else {family.name}
    rules, dashboard = (MONITORING / "alerts.yml").read_text(), (MONITORING / "dashboard.json").read_text()
    assert json.loads(dashboard)["panels"]
    for text in (rules, dashboard):
        named = set(re.findall(r"\bnotifier_\w+", text))
        assert named
        assert named <= known


NAMED = {  # what a monitor must be able to see, and the metric that shows it
    "age of the oldest due digest": "notifier_oldest_due_digest_seconds",
    "last good batch of each listing": "notifier_listing_fresh_timestamp_seconds",
    "outcomes of polls": "notifier_polls_total",
    "what became of messages": "notifier_settled_total",
    "deferrals by class": "notifier_deferred",
    "bounces and complaints": "notifier_bounces",
    "queue depth": "notifier_messages",
    "loop lag": "notifier_event_loop_lag_seconds",
    "memory": "notifier_process_resident_memory_bytes",
    "a full disk": "notifier_unwritable",
}


async def test_a_full_disk_is_seen_and_so_is_all_that_a_monitor_must_see(installation: World) -> None:
    status, text = await asked(installation, "/metrics")
    assert status == 200
    assert [what for what, name in NAMED.items() if f"# TYPE {name} " not in text] == []
    assert "notifier_unwritable 0.0" in text.splitlines()
    assert "notifier_troubles 0.0" in text.splitlines()


def test_each_rule_says_what_it_means_and_each_panel_what_it_shows() -> None:
    rules = (MONITORING / "alerts.yml").read_text()
    names = re.findall(r"- alert: (\w+)", rules)
    assert len(names) == len(set(names)) == rules.count("expr: ") == rules.count("annotations: {summary: ")
    panels = json.loads((MONITORING / "dashboard.json").read_text())["panels"]
    assert all(panel["title"] and panel["targets"] for panel in panels)
