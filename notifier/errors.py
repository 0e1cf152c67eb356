"""The error tree: one root, few leaves, each carrying what the code that catches it needs.

Trouble with *us* (configuration, database, relay, network) is raised. News about one page or one message - a page
that cannot be read, a refused recipient - is raised only as far as the stage that turns it into an outcome
(`FetchError`, `PageError`) or returned as a value (`model.Reply`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta


class NotifierError(Exception):
    """Root of every error this program raises on purpose."""


class ConfigError(NotifierError):
    """The configuration cannot be used; `problems` lists every fault found, each naming its key and the remedy."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class FetchError(NotifierError):
    """A page could not be had; `reason` is for people, `retry_after` is the server's wish, already clamped."""

    def __init__(
        self, url: str, reason: str, *, status: int | None = None, retry_after: timedelta | None = None
    ) -> None:
        self.url = url
        self.reason = reason
        self.status = status
        self.retry_after = retry_after
        super().__init__(f"{url}: {reason}")


class PageError(NotifierError):
    """The bytes are not the page the format describes; `reason` says which landmark was missing or what was found."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class ParserKilled(PageError):
    """The page cost more than a page may, or crashed the parser: the process that read it is gone."""

    def __init__(self, cause: str) -> None:
        super().__init__(f"the parser was killed: {cause}")


class ParserFailed(PageError):
    """The parser raised what no parser should; `traceback` is for the log."""

    def __init__(self, reason: str, traceback: str) -> None:
        self.traceback = traceback
        super().__init__(reason)


class QueryError(NotifierError):
    """A query cannot be understood; `column` is 1-based in `text`, `suggestion` is the nearest valid query, if any."""

    def __init__(self, text: str, column: int, reason: str, suggestion: str | None = None) -> None:
        self.text = text
        self.column = column
        self.reason = reason
        self.suggestion = suggestion
        hint = f"; did you mean `{suggestion}`?" if suggestion else ""
        super().__init__(f"column {column}: {reason}{hint}")


class CostlyQuery(NotifierError):
    """A query would have to read `papers` papers closely to be answered, and may read `most`."""

    def __init__(self, papers: int, most: int) -> None:
        self.papers = papers
        self.most = most
        super().__init__(f"the query would read {papers} papers closely; the limit is {most}")


class ExchangeError(NotifierError):
    """A file of subscribers cannot be read; `problems` lists every mistake, each naming its place."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class AddressError(NotifierError):
    """A mail address cannot be used as an envelope or header address."""


class StoreError(NotifierError):
    """The database cannot be used; the message names the file and the remedy."""


class DatabaseInUse(StoreError):
    """Another process runs the pipeline on this database; `holder` says which."""

    def __init__(self, path: str, holder: str) -> None:
        self.path = path
        self.holder = holder
        super().__init__(f"{path} is in use by {holder}: stop that process first, or use another database")


class SchemaUnfit(StoreError):
    """The database has another schema than this program: starting again mends nothing, a person must do something."""


class Unwritable(StoreError):
    """Nothing can be stored now: the disk is full, failing or read-only. What was asked for was not done."""


class CannotListen(NotifierError):
    """The site cannot be served at the address that the configuration names; the message says why."""


class NoSuchFeed(NotifierError):
    """An address that never opened a private feed; only its first letters are kept, for the log."""


class RevokedFeed(NotifierError):
    """An address of a private feed that opened it once, until its owner changed or ended it."""


class Busy(NotifierError):
    """Too much of this is being done already: ask again in a moment."""


class SeenMeanwhile(StoreError):
    """A paper of this batch was recorded by another poll after we looked: look again. Nothing was stored."""


class TemplateError(NotifierError):
    """A template cannot be rendered; `template` is its name, `line` is 1-based when known."""

    def __init__(self, template: str, reason: str, line: int | None = None) -> None:
        self.template = template
        self.reason = reason
        self.line = line
        where = f"{template}:{line}" if line else template
        super().__init__(f"{where}: {reason}")


class RelayTrouble(NotifierError):
    """The relay will not talk to *us* (greeting, TLS, AUTH, MAIL FROM, 5.7.x, connection): no recipient is to blame.

    `code` is the reply code (RFC 5321 4.2) or None when there was no reply; `permanent` when waiting cannot help.
    """

    def __init__(self, relay: str, reason: str, *, code: int | None = None, permanent: bool = False) -> None:
        self.relay = relay
        self.reason = reason
        self.code = code
        self.permanent = permanent
        super().__init__(f"{relay}: {reason}")


class MailboxTrouble(NotifierError):
    """The mailbox that mail comes back to cannot be read; the message names it and what was said."""
