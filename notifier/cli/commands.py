"""The commands by name: in which module each is, and what `notifier --help` says of it.

The module of a command is imported when it is called. To tell what there is, or the version, costs a tenth of that.
"""

from __future__ import annotations

import gc
from importlib import import_module
from typing import Any

from typer.core import TyperCommand, TyperGroup
from typer.main import get_group

COMMANDS = {
    "run": ("serve", "Serve: poll the listings, send the digests, serve the site. What systemd starts."),
    "once": ("serve", "Do everything once, now: read every listing, send what is due, write the feed."),
    "worker": (
        "serve",
        "Share the work with other workers, on this and other machines; wants `database` to be PostgreSQL.",
    ),
    "demo": (
        "serve",
        "Show the main job on sample pages: four days of fictional papers, four subscribers, a Maildir, a feed.",
    ),
    "check": (
        "look",
        "Find every mistake in the configuration, the templates and the database, without starting or sending.",
    ),
    "status": (
        "look",
        "Show how every listing fares and why, what is left alone for now, the outbox and the subscribers.",
    ),
    "check-listing": (
        "look",
        "Fetch a page once and show what a listing would read there, with the table for config.toml.",
    ),
    "preview": ("ask", "Print the digest that an address would get now. Nothing is sent, queued or changed."),
    "send-test": ("ask", "Send one digest to an address now, past the outbox, and tell what the relay said."),
    "search": (
        "ask",
        "Show what a query would have caught: hits per day, titles, and advice when it is too wide or too narrow.",
    ),
    "explain": ("ask", "Say why a query matches a paper or not; or what became of a paper for a subscriber."),
    "subscribe": ("people", "Subscribe an address to a query. What was found before is not sent."),
    "unsubscribe": ("people", "End all mail to an address, at once."),
    "install-service": (
        "operate",
        "Print or write the systemd units, with the paths of this installation and the address of the site.",
    ),
    "resume": ("operate", "Ask a host again that is left alone, because it refused us or was asked too often."),
    "migrate": (
        "operate",
        "Bring the database to this program's schema, after a backup beside it. `run` and `once` do so by themselves.",
    ),
    "backup": ("keep", "Copy the database while the program runs, and read the copy through."),
    "restore": ("keep", "Put a backup in the place of the database; its mail waits for `release`."),
    "release": ("keep", "Let the mail leave again that `restore` held."),
    "prune": ("keep", "Delete what `[retention]` keeps no longer. The daemon does so daily."),
    "doctor": (
        "keep",
        "Examine everything around the program: machine, listings, site, relay, DNS. Sends and changes nothing.",
    ),
    "dkim-key": ("dkim", "Make a private key for signing mail with DKIM."),
    "dkim-record": ("dkim", "Print the DNS records to publish for the keys of `[mail.dkim]`, as lines of a zone file."),
    "export": (
        "exchange",
        "Write down subscribers and subscriptions, without those of the configuration. "
        "Addresses are in it: keep it safe.",
    ),
    "import": (
        "exchange",
        "Let in subscribers and subscriptions of a file: all of it, or nothing where it has a mistake.",
    ),
    "bounces": ("bounces", "What came back to the bounce address."),
    "subscriber": ("subscriber", "Look after subscribers: list them, show one, send to a suppressed one again."),
    "outbox": ("outbox", "Look after the messages that wait, are held, or were sent."),
    "db": ("database", "Move the database."),
}

# How `notifier --help` divides them.
PANELS = {
    "Set up": ("demo", "check", "check-listing", "doctor", "install-service", "dkim-key", "dkim-record"),
    "Work": ("run", "once", "worker"),
    "Look": ("status", "search", "explain", "preview", "send-test"),
    "Subscribers": ("subscribe", "unsubscribe", "subscriber", "bounces", "export", "import"),
    "Mail and hosts that wait": ("outbox", "release", "resume"),
    "Database": ("backup", "restore", "migrate", "prune", "db"),
}


class Commands(TyperGroup):
    """A group that knows its commands by name before their modules are imported."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        known: dict[str, Any] = {}
        for panel, names in PANELS.items():
            for name in names:
                known[name] = self.commands.get(name) or _Uncalled(name, help=COMMANDS[name][1])
                known[name].rich_help_panel = panel
        self.commands = known

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read what stands before the command's name: whoever names the configuration there is told where it stands."""
        if args and args[0].partition("=")[0] in ("-c", "--config"):
            ctx.fail("--config stands after the command, as in: notifier check --config FILE")
        return super().parse_args(ctx, args)


class _Uncalled(TyperCommand):
    """A command's name and line of help; called, it becomes the command itself."""

    def make_context(self, info_name: Any, args: list[str], parent: Any = None, **extra: Any) -> Any:
        from notifier.cli.app import app

        gc.disable()  # what is imported stays: looking through it again and again is a tenth of the time to start
        import_module(f"notifier.cli.{COMMANDS[self.name or ''][0]}")
        gc.freeze()
        gc.enable()
        return get_group(app).commands[self.name or ""].make_context(info_name, args, parent, **extra)
