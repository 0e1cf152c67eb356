"""Commands that run the program: `run`, `once`, `demo`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from notifier import daemon, log
from notifier.cli.app import app
from notifier.cli.arguments import FAILED, OK, ConfigOption, load_config
from notifier.cli.screen import err, out, progress, show_polls, when
from notifier.daemon import on_signals, opened
from notifier.daemon import once as run_once
from notifier.errors import ConfigError
from notifier.model import (
    OutboxState,
    Outcome,
)

ROLES = ("poll", "match", "send", "web")


@app.command(epilog="Example: `notifier run --config /etc/notifier/config.toml`")
def run(config: ConfigOption = None) -> None:
    """Serve: poll the listings, send the digests, serve the site. What systemd starts."""
    log.setup()
    asyncio.run(daemon.run(load_config(config), reread=lambda: load_config(config)))


@app.command(epilog="Examples: `notifier worker`, `notifier worker --roles poll`, `notifier worker --roles match,send`")
def worker(
    config: ConfigOption = None,
    roles: Annotated[str, typer.Option(help="Which of poll, match, send and web; one or more.")] = ",".join(ROLES),
) -> None:
    """Share the work with other workers, on this and other machines; wants `database` to be PostgreSQL."""
    chosen = load_config(config)
    wanted = [each.strip() for each in roles.split(",")]
    if unknown := [each for each in wanted if each not in ROLES]:
        raise typer.BadParameter(f"{', '.join(unknown)!r}: there are {', '.join(ROLES)}", param_hint="--roles")
    if chosen.database_url.startswith("sqlite:"):
        raise ConfigError(["database: workers share a PostgreSQL; on one machine with SQLite there is `notifier run`"])
    log.setup()
    from notifier.worker import part  # needs the extra `postgres`

    asyncio.run(daemon.run(chosen, reread=lambda: load_config(config), part=part(wanted)))


@app.command(epilog="Example: `notifier once`")
def once(config: ConfigOption = None) -> None:
    """Do everything once, now: read every listing, send what is due, write the feed."""
    log.setup(level=30)
    chosen = load_config(config)

    async def work() -> int:
        async with opened(chosen) as running:
            stop = on_signals()
            with progress() as show:
                polls, drained = await run_once(running, stop, show)
        show_polls(polls)
        sent = ", ".join(f"{count} {state}" for state, count in sorted(drained.states.items())) or "nothing to send"
        paused = f"; relay asked again after {when(drained.paused_until)}" if drained.paused_until else ""
        out.print(f"mail: {sent}{paused}")
        if stop.is_set():
            err.print("stopped early: the next run does the rest")
        well = all(poll.outcome is not Outcome.FAILED for poll in polls) and not paused and not stop.is_set()
        return OK if well and set(drained.states) <= {OutboxState.SENT} else FAILED

    raise typer.Exit(asyncio.run(work()))


@app.command(epilog="Example: `notifier demo --folder /tmp/demo`")
def demo(
    folder: Annotated[
        Path, typer.Option(help="Where mail, feed and database go; an earlier demo there is replaced.")
    ] = Path("demo"),
) -> None:
    """Show the main job on sample pages: four days of fictional papers, four subscribers, a Maildir, a feed."""
    from notifier.demo import demo as show

    log.setup(level=30)
    raise typer.Exit(asyncio.run(show(folder, out)))
