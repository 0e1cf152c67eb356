"""The tables of config.toml and `Config`, which holds them all; config.example.toml states the same defaults."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import time, timedelta
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from notifier.address import mailbox
from notifier.config.values import (
    Address,
    BaseUrl,
    DatabaseUrl,
    HttpUrl,
    ListenOn,
    Mailbox,
    Network,
    OptionalAddress,
    Query,
    ReturnPath,
    Sender,
    Span,
    TimeOfDay,
    Zone,
    near,
)
from notifier.deliver import check
from notifier.errors import AddressError, ConfigError
from notifier.model import Cadence, DigestClock, First, Listing, Quiet, Versions, Wish
from notifier.parse import FORMATS, selector_problems
from notifier.query import canonical, parse

PREFIX = "NOTIFIER_"
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")

_STRICT = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class DkimConfig(BaseModel):
    """Signing mail here, for a relay that does not; each key is the path of a PEM file, or its text."""

    model_config = _STRICT
    domain: Annotated[str, Field(pattern=r"^[A-Za-z0-9.-]*$")] = ""
    selector: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]*$")] = ""
    key: SecretStr = SecretStr("")
    ed25519_selector: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]*$")] = ""
    ed25519_key: SecretStr = SecretStr("")

    @property
    def keys(self) -> dict[str, str]:
        """The keys that are named, by selector."""
        pairs = [(self.selector, self.key), (self.ed25519_selector, self.ed25519_key)]
        return {selector: key.get_secret_value() for selector, key in pairs if selector}

    @model_validator(mode="after")
    def _is_whole(self) -> DkimConfig:
        for name, key in (("selector", self.key), ("ed25519_selector", self.ed25519_key)):
            if bool(getattr(self, name)) != bool(key.get_secret_value()):
                raise ValueError(f"{name} and its key come together: set both or none")
        if bool(self.domain) != bool(self.keys):
            raise ValueError("signing needs domain, selector and key: make a key with `notifier dkim-key FILE`")
        if self.selector and self.selector == self.ed25519_selector:
            raise ValueError("the two keys need selectors of their own")
        return self


class MailConfig(BaseModel):
    """How digests leave."""

    model_config = _STRICT
    sender: Annotated[Sender, Field(alias="from")] = "Paper notifier <notifier@localhost>"
    relay: str = "maildir:mail"
    user: str = ""
    password: SecretStr = SecretStr("")
    starttls: Literal["auto", "required", "never"] = "auto"
    connections: Annotated[int, Field(ge=1, le=100)] = 4
    in_doubt: Literal["resend", "hold"] = "resend"
    per_domain: Annotated[int, Field(ge=1, le=100)] = 5
    per_minute: dict[str, Annotated[int, Field(ge=1)]] = {}
    papers: Annotated[int, Field(ge=1, le=1000)] = 80
    thumbnails: bool = False
    latest: Annotated[Span, Field(ge=timedelta(minutes=10), le=timedelta(days=1))] = timedelta(days=1)
    dkim: DkimConfig = DkimConfig()

    @property
    def encryption(self) -> bool | None:
        """`starttls` as the relay takes it: None leaves it to where the relay is."""
        return {"auto": None, "required": True, "never": False}[self.starttls]

    @field_validator("relay")
    @classmethod
    def _relay_is_a_place(cls, relay: str) -> str:
        check(relay)
        return relay

    @model_validator(mode="after")
    def _relay_is_usable(self) -> MailConfig:
        check(self.relay, user=self.user, password=self.password.get_secret_value(), starttls=self.encryption)
        return self


class BouncesConfig(BaseModel):
    """Where what comes back is read."""

    model_config = _STRICT
    address: ReturnPath = ""
    maildir: Path | None = None
    imap: Mailbox = ""
    password: SecretStr = SecretStr("")
    poll: Annotated[Span, Field(ge=timedelta(seconds=10), le=timedelta(days=1))] = timedelta(minutes=5)

    @model_validator(mode="after")
    def _is_read(self) -> BouncesConfig:
        if self.maildir and self.imap:
            raise ValueError("bounces come from one mailbox: name maildir or imap, not both")
        if self.address and not (self.maildir or self.imap):
            raise ValueError("nobody would read what comes back to the address: name its maildir or imap too")
        return self


class AlarmConfig(BaseModel):
    """Whom to tell of trouble."""

    model_config = _STRICT
    to: OptionalAddress = ""
    grace: Annotated[Span, Field(ge=timedelta(minutes=1), le=timedelta(days=2))] = timedelta(minutes=30)


class WebConfig(BaseModel):
    """The site."""

    model_config = _STRICT
    listen: ListenOn = "127.0.0.1:8080"
    metrics_token: SecretStr = SecretStr("")
    proxies: tuple[Network, ...] = ()

    @property
    def networks(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """`proxies` as networks."""
        return tuple(ip_network(each) for each in self.proxies)


class WorkerConfig(BaseModel):
    """How workers hear of jobs."""

    model_config = _STRICT
    listen: Annotated[str, Field(pattern=r"^(|off|postgresql://.+)$")] = ""


class RetentionConfig(BaseModel):
    """How long what grows for ever is kept. No paper is ever forgotten: it would be news again."""

    model_config = _STRICT
    polls: Annotated[Span, Field(ge=timedelta(days=7), le=timedelta(days=36500))] = timedelta(days=90)


class FeedsConfig(BaseModel):
    """Feeds as files, and the hub that is told when they change."""

    model_config = _STRICT
    files: Path = Path("feeds")
    hub: HttpUrl | None = None


class ListingConfig(BaseModel):
    """One page to watch."""

    model_config = _STRICT
    # The length is not said in the pattern: `\w` a hundred times over is seven megabytes of compiled pattern.
    name: Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[\w .:/+-]+$")]
    url: HttpUrl
    format: str
    poll: Annotated[Span, Field(ge=timedelta(seconds=1), le=timedelta(days=7))] = timedelta(minutes=30)
    stale_after: Annotated[Span, Field(ge=timedelta(hours=1), le=timedelta(days=365))] = timedelta(days=4)
    most_new: Annotated[int, Field(ge=1)] | None = None
    first: First = First.RECORD
    allow_private: bool = False
    robots: Literal["obey", "ignore"] = "obey"
    selectors: Annotated[dict[str, str], Field(validate_default=True)] = {}
    compare_with: str | None = None

    @field_validator("format")
    @classmethod
    def _format_exists(cls, form: str) -> str:
        if form not in FORMATS:
            hint = near(form, FORMATS)
            raise ValueError(f"format {form!r} is unknown{hint} (there are {', '.join(sorted(FORMATS))})")
        return form

    @field_validator("selectors")
    @classmethod
    def _selectors_read(cls, selectors: dict[str, str], known: ValidationInfo) -> dict[str, str]:
        form = known.data.get("format")
        if selectors and form not in ("html", None):
            raise ValueError('selectors are for the format "html" only')
        problems = selector_problems(selectors) if form == "html" else []
        if problems:
            raise ValueError("; ".join(problems))
        return selectors


class SubscriptionConfig(BaseModel):
    """One of the operator's own subscriptions: confirmed, because the operator wrote it."""

    model_config = _STRICT
    email: Address
    query: Query
    cadence: Cadence = Cadence.DAILY
    at: TimeOfDay = time(8, 0)
    weekday: Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"] = "monday"
    timezone: Zone | None = None
    versions: Versions = Versions.NEW
    quiet: Quiet = Quiet.NOTHING

    @model_validator(mode="after")
    def _quiet_has_a_clock(self) -> SubscriptionConfig:
        if self.quiet is not Quiet.NOTHING and self.cadence not in (Cadence.DAILY, Cadence.WEEKLY):
            raise ValueError(f'quiet = "{self.quiet}" is for a daily or weekly cadence')
        return self


class Config(BaseSettings):
    """Every option. Relative paths are relative to `folder`: see `load`."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, env_prefix=PREFIX)
    contact: Annotated[str, Field(min_length=3, max_length=200, pattern=r"^[\x21-\x7e]+$")]
    base_url: BaseUrl = "http://127.0.0.1:8080"
    database: DatabaseUrl = "sqlite:///notifier.db"
    timezone: Zone = "UTC"
    templates: Path | None = None
    feeds: FeedsConfig = FeedsConfig()
    mail: MailConfig = MailConfig()
    bounces: BouncesConfig = BouncesConfig()
    alarm: AlarmConfig = AlarmConfig()
    web: WebConfig = WebConfig()
    worker: WorkerConfig = WorkerConfig()
    retention: RetentionConfig = RetentionConfig()
    listing: tuple[ListingConfig, ...] = ()
    subscription: tuple[SubscriptionConfig, ...] = ()
    folder: Annotated[Path, Field(exclude=True)] = Path()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take the merged values only: `load` read the sources, so that it can name what is wrong in each."""
        return (init_settings,)

    @model_validator(mode="after")
    def _listings_fit(self) -> Config:
        problems = misfits([(each.name, each.compare_with) for each in self.listing])
        if problems:
            raise ValueError("; ".join(problems))
        return self

    @model_validator(mode="after")
    def _subscriptions_differ(self) -> Config:
        pairs = [(s.email, canonical(parse(s.query))) for s in self.subscription]
        for email, query in pairs:
            if pairs.count((email, query)) > 1:
                raise ValueError(f"{email} subscribes to {query} more than once: keep one")
        return self

    @property
    def alarm_to(self) -> str | None:
        """Who is told of trouble: `alarm.to`, else the contact where that is an address."""
        if self.alarm.to:
            return self.alarm.to
        try:
            return mailbox(self.contact.removeprefix("mailto:"))
        except AddressError:
            return None

    @property
    def database_url(self) -> str:
        """The database, a file with an absolute path."""
        if not self.database.startswith("sqlite:///"):
            return self.database
        return f"sqlite:///{self.path(self.database.removeprefix('sqlite:///'))}"

    @property
    def relay_url(self) -> str:
        """The relay, a Maildir with an absolute path."""
        if self.mail.relay.startswith("maildir:"):
            return f"maildir:{self.path(self.mail.relay.removeprefix('maildir:'))}"
        return self.mail.relay

    @property
    def dkim_keys(self) -> dict[str, bytes]:
        """The private keys that sign mail, PEM, by selector; raises ConfigError for a file that cannot be read."""
        found: dict[str, bytes] = {}
        for selector, key in self.mail.dkim.keys.items():
            try:
                found[selector] = key.encode() if "-----BEGIN" in key else self.path(key).read_bytes()
            except OSError as fault:
                raise ConfigError([f"mail.dkim: the key of selector {selector} cannot be read: {fault}"]) from None
        return found

    def path(self, path: Path | str) -> Path:
        """Resolve a path of the configuration."""
        return (self.folder / path).absolute()

    @property
    def listings(self) -> tuple[Listing, ...]:
        """The listings as the stages take them."""
        return tuple(
            Listing(
                name=each.name, url=each.url, format=each.format, poll=each.poll, stale_after=each.stale_after,
                most_new=each.most_new,
                first=each.first, allow_private=each.allow_private, selectors=each.selectors,
                obey_robots=each.robots == "obey",
                compare_with=each.compare_with,
            )
            for each in self.listing
        )  # fmt: skip

    @property
    def subscriptions(self) -> list[Wish]:
        """The configured subscriptions as the store takes them."""
        return [
            Wish(
                email=each.email,
                label=each.query,
                canonical=canonical(parse(each.query)),
                clock=DigestClock(each.cadence, each.timezone or self.timezone, each.at, WEEKDAYS.index(each.weekday)),
                versions=each.versions,
                quiet=each.quiet,
            )
            for each in self.subscription
        ]


def misfits(listings: Sequence[tuple[str, str | None]]) -> list[str]:
    """Return what is wrong between listings, given as their names and what each is compared with."""
    names = [name for name, _ in listings]
    twice = sorted({name for name in names if names.count(name) > 1})
    problems = [f"listing names must differ: {', '.join(twice)} is there more than once"] if twice else []
    for name, other in listings:
        if other == name:
            problems.append(f"listing {name!r}: compare_with names the listing itself: name another one")
        elif other is not None and other not in names:
            problems.append(f"listing {name!r}: compare_with: there is no listing {other!r}{near(other, names)}")
    return problems


TABLES: dict[str, type[BaseModel]] = {
    "feeds": FeedsConfig,
    "mail": MailConfig,
    "dkim": DkimConfig,
    "bounces": BouncesConfig,
    "alarm": AlarmConfig,
    "web": WebConfig,
    "worker": WorkerConfig,
    "retention": RetentionConfig,
    "listing": ListingConfig,
    "subscription": SubscriptionConfig,
}
