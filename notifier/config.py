"""Configuration: config.toml, then NOTIFIER_* variables, then $CREDENTIALS_DIRECTORY -> one checked `Config`.

Later sources win, key by key. Everything wrong is found at once and named by its key, never with a secret's value; a
key, variable or credential that does not exist is an error, because a misspelt one would be ignored for years.
`config.example.toml` says what each option means; a test holds its defaults to the ones here.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from datetime import time, timedelta
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from notifier.address import check_envelope, mailbox
from notifier.deliver import check
from notifier.errors import AddressError, ConfigError, QueryError
from notifier.mailbox import place
from notifier.model import Cadence, DigestClock, First, Listing, Quiet, Versions, Wish
from notifier.parse import FORMATS, selector_problems
from notifier.query import canonical, parse
from notifier.verp import LONGEST_NAME

PREFIX = "NOTIFIER_"
OUTSIDE = {"NOTIFIER_CONFIG", "NOTIFIER_CAPTURES"}  # variables of the command line and of the tests, not options
MOST_BYTES = 1_000_000  # of a config.toml
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|h|d)")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


# --- what a value may be ----------------------------------------------------------------------------------------------


def _span(value: object) -> object:
    if isinstance(value, str):
        found = _SPAN.fullmatch(value.strip())
        if not found:
            raise ValueError('write a span of time as "90s", "30m", "6h" or "2d"')
        return timedelta(**{_UNITS[found[2]]: float(found[1])})
    if isinstance(value, timedelta):
        return value
    raise ValueError('write a span of time as "90s", "30m", "6h" or "2d"')


def _zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"{value!r} is no IANA time zone, such as Europe/Berlin or UTC") from None
    return value


def _http_url(value: str) -> str:
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError as fault:
        raise ValueError(f"not a URL: {fault}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("write a whole URL: http://host/path or https://host/path")
    if parts.username or parts.password or "\\" in value or re.search(r"\s", value):
        raise ValueError("a URL here has no user, password, backslash or white space")
    return value


def _base_url(value: str) -> str:
    value = _http_url(value).rstrip("/")
    if urlsplit(value).query or urlsplit(value).fragment:
        raise ValueError("the base URL has no ? or #")
    return value


def _clock_time(value: object) -> object:
    if isinstance(value, str) and re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", value):
        return time.fromisoformat(value)
    if isinstance(value, time):
        return value.replace(microsecond=0, tzinfo=None)
    raise ValueError('write a time of day as "08:00"')


def _address(value: str) -> str:
    try:
        return mailbox(value)
    except AddressError as fault:
        raise ValueError(str(fault)) from None


def _address_or_none(value: str) -> str:
    return _address(value) if value else ""


def _sender(value: str) -> str:
    try:
        check_envelope(sender_parts(value)[1])
    except AddressError as fault:
        raise ValueError(f"{fault}: write `Name <address>`") from None
    if re.search(r"[\x00-\x1f\x7f]", value):
        raise ValueError("a sender has no control characters")
    return value


def _return_path(value: str) -> str:
    if not value:
        return ""
    try:
        value = check_envelope(value)
    except AddressError as fault:
        raise ValueError(str(fault)) from None
    name = value.rpartition("@")[0]
    if "+" in name or len(name) > LONGEST_NAME:
        raise ValueError(f'before the @ there is no "+", and at most {LONGEST_NAME} characters: a tag is added')
    return value


def _imap(value: str) -> str:
    if not value:
        return ""
    try:
        place(value)
    except ValueError as fault:
        raise ValueError(str(fault)) from None
    return value


def _query(value: str) -> str:
    try:
        parse(value)
    except QueryError as fault:
        raise ValueError(str(fault)) from None
    return value


def _database(value: str) -> str:
    if not re.match(r"(sqlite:///|postgresql(\+psycopg)?://)", value):
        raise ValueError('write "sqlite:///path/to/notifier.db" or "postgresql://user@host/name"')
    return value


def _listen(value: str) -> str:
    host, _, port = value.rpartition(":")
    if not host or not port.isdigit() or not 0 <= int(port) < 65536:
        raise ValueError('write host:port, such as "127.0.0.1:8080" or "[::1]:8080"')
    return value


def _network(value: str) -> str:
    try:
        return str(ip_network(value))
    except ValueError:
        raise ValueError(f'{value!r} is no address or network: write "127.0.0.1" or "10.0.0.0/8"') from None


Span = Annotated[timedelta, BeforeValidator(_span)]
Zone = Annotated[str, AfterValidator(_zone)]
HttpUrl = Annotated[str, AfterValidator(_http_url)]
TimeOfDay = Annotated[time, BeforeValidator(_clock_time)]
Address = Annotated[str, AfterValidator(_address)]
_STRICT = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


def sender_parts(sender: str) -> tuple[str, str]:
    """Split `Name <address>` or a bare address into (name, address)."""
    found = re.fullmatch(r"\s*(.*?)\s*<([^<>]*)>\s*", sender)
    return (found[1].strip('"'), found[2]) if found else ("", sender.strip())


# --- the options ------------------------------------------------------------------------------------------------------


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
    sender: Annotated[str, AfterValidator(_sender), Field(alias="from")] = "Paper notifier <notifier@localhost>"
    relay: str = "maildir:mail"
    user: str = ""
    password: SecretStr = SecretStr("")
    starttls: Literal["auto", "required", "never"] = "auto"
    connections: Annotated[int, Field(ge=1, le=100)] = 4
    in_doubt: Literal["resend", "hold"] = "resend"
    per_domain: Annotated[int, Field(ge=1, le=100)] = 5
    per_minute: dict[str, Annotated[int, Field(ge=1)]] = {}
    dkim: DkimConfig = DkimConfig()

    @property
    def encryption(self) -> bool | None:
        """`starttls` as the relay takes it: None leaves it to where the relay is."""
        return {"auto": None, "required": True, "never": False}[self.starttls]

    @model_validator(mode="after")
    def _relay_is_usable(self) -> MailConfig:
        check(self.relay, user=self.user, password=self.password.get_secret_value(), starttls=self.encryption)
        return self


class BouncesConfig(BaseModel):
    """Where what comes back is read."""

    model_config = _STRICT
    address: Annotated[str, AfterValidator(_return_path)] = ""
    maildir: Path | None = None
    imap: Annotated[str, AfterValidator(_imap)] = ""
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
    to: Annotated[str, AfterValidator(_address_or_none)] = ""
    grace: Annotated[Span, Field(ge=timedelta(minutes=1), le=timedelta(days=2))] = timedelta(minutes=30)


class WebConfig(BaseModel):
    """The site."""

    model_config = _STRICT
    listen: Annotated[str, AfterValidator(_listen)] = "127.0.0.1:8080"
    metrics_token: SecretStr = SecretStr("")
    proxies: tuple[Annotated[str, AfterValidator(_network)], ...] = ()

    @property
    def networks(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """`proxies` as networks."""
        return tuple(ip_network(each) for each in self.proxies)


class RetentionConfig(BaseModel):
    """How long what grows for ever is kept. No paper is ever forgotten: it would be news again."""

    model_config = _STRICT
    polls: Annotated[Span, Field(ge=timedelta(days=7), le=timedelta(days=36500))] = timedelta(days=90)


class FeedsConfig(BaseModel):
    """Feeds as files."""

    model_config = _STRICT
    files: Path = Path("feeds")


class ListingConfig(BaseModel):
    """One page to watch."""

    model_config = _STRICT
    name: Annotated[str, Field(pattern=r"^[\w .:/+-]{1,100}$")]
    url: HttpUrl
    format: str
    poll: Annotated[Span, Field(ge=timedelta(seconds=1), le=timedelta(days=7))] = timedelta(minutes=30)
    stale_after: Annotated[Span, Field(ge=timedelta(hours=1), le=timedelta(days=365))] = timedelta(days=4)
    first: First = First.RECORD
    allow_private: bool = False
    robots: Literal["obey", "ignore"] = "obey"
    selectors: dict[str, str] = {}
    compare_with: str | None = None

    @model_validator(mode="after")
    def _format_exists(self) -> ListingConfig:
        if self.format not in FORMATS:
            near = difflib.get_close_matches(self.format, FORMATS, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"format {self.format!r} is unknown{hint} (there are {', '.join(sorted(FORMATS))})")
        if self.selectors and self.format != "html":
            raise ValueError('selectors are for the format "html" only')
        problems = selector_problems(self.selectors) if self.format == "html" else []
        if problems:
            raise ValueError("; ".join(problems))
        return self


class SubscriptionConfig(BaseModel):
    """One of the operator's own subscriptions: confirmed, because the operator wrote it."""

    model_config = _STRICT
    email: Address
    query: Annotated[str, AfterValidator(_query)]
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
    """Every option. Paths are relative to $STATE_DIRECTORY when systemd sets it, else to the folder of config.toml."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, env_prefix=PREFIX)
    contact: Annotated[str, Field(min_length=3, max_length=200, pattern=r"^[\x21-\x7e]+$")]
    base_url: Annotated[str, AfterValidator(_base_url)] = "http://127.0.0.1:8080"
    database: Annotated[str, AfterValidator(_database)] = "sqlite:///notifier.db"
    timezone: Zone = "UTC"
    templates: Path | None = None
    feeds: FeedsConfig = FeedsConfig()
    mail: MailConfig = MailConfig()
    bounces: BouncesConfig = BouncesConfig()
    alarm: AlarmConfig = AlarmConfig()
    web: WebConfig = WebConfig()
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
    def _names_are_unique(self) -> Config:
        names = [listing.name for listing in self.listing]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"listing names must differ: {', '.join(twice)} is there more than once")
        pairs = [(s.email, canonical(parse(s.query))) for s in self.subscription]
        for email, query in pairs:
            if pairs.count((email, query)) > 1:
                raise ValueError(f"{email} subscribes to {query} more than once: keep one")
        return self

    @model_validator(mode="after")
    def _comparisons_exist(self) -> Config:
        names = [listing.name for listing in self.listing]
        for listing in self.listing:
            other = listing.compare_with
            if other == listing.name:
                raise ValueError(f"listing {other!r}: compare_with names the listing itself: name another one")
            if other is not None and other not in names:
                hint = _near(other, names)
                raise ValueError(f"listing {listing.name!r}: compare_with: there is no listing {other!r}{hint}")
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


TABLES: dict[str, type[BaseModel]] = {
    "feeds": FeedsConfig,
    "mail": MailConfig,
    "dkim": DkimConfig,
    "bounces": BouncesConfig,
    "alarm": AlarmConfig,
    "web": WebConfig,
    "retention": RetentionConfig,
    "listing": ListingConfig,
    "subscription": SubscriptionConfig,
}


# --- loading ----------------------------------------------------------------------------------------------------------


def load(path: Path, environment: Mapping[str, str] = os.environ) -> Config:
    """Read and check the configuration; raises ConfigError with every problem found, each naming its key."""
    problems: list[str] = []
    values = _read_toml(path)
    for source, name, keys, value in [*_variables(environment, problems), *_credentials(environment, problems)]:
        if not _put(values, keys, value):
            problems.append(f"{source} {name}: {'.'.join(keys[:-1])} is not a table in {path}")
    values["folder"] = Path(environment.get("STATE_DIRECTORY", "").split(":")[0] or path.absolute().parent)
    try:
        config = Config(**values)
    except ValidationError as fault:
        problems += [_problem(error) for error in fault.errors(include_input=False, include_url=False)]
        raise ConfigError([f"{path}: {problem}" for problem in problems]) from None
    if problems:
        raise ConfigError([f"{path}: {problem}" for problem in problems])
    return config


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        raw = path.read_bytes()
    except OSError as fault:
        raise ConfigError([f"{path}: cannot be read: {fault.strerror}"]) from None
    if len(raw) > MOST_BYTES:
        raise ConfigError([f"{path}: {len(raw):,} bytes are no configuration; the limit is {MOST_BYTES:,}"])
    try:
        values = tomllib.loads(raw.decode("utf-8-sig").replace("\r\n", "\n"))
    except UnicodeDecodeError as fault:
        raise ConfigError([f"{path}: not UTF-8 at byte {fault.start}: save it as UTF-8"]) from None
    except tomllib.TOMLDecodeError as fault:
        raise ConfigError([f"{path}: not TOML: {fault}"]) from None
    values.pop("folder", None)
    return values


def _variables(environment: Mapping[str, str], problems: list[str]) -> Iterator[tuple[str, str, list[str], str]]:
    names = {PREFIX + "__".join(keys).upper(): keys for keys in _leaves(Config)}
    for name, value in environment.items():
        if not name.upper().startswith(PREFIX) or name in OUTSIDE:
            continue
        if name in names:
            yield "variable", name, names[name], value
        else:
            problems.append(f"variable {name}: there is no such option{_near(name, names)}")


def _credentials(environment: Mapping[str, str], problems: list[str]) -> Iterator[tuple[str, str, list[str], str]]:
    names = {".".join(keys): keys for keys in _leaves(Config)}
    folder = environment.get("CREDENTIALS_DIRECTORY")
    for file in sorted(Path(folder).iterdir()) if folder and Path(folder).is_dir() else []:
        if file.name not in names:
            problems.append(f"credential {file.name}: there is no such option{_near(file.name, names)}")
            continue
        try:
            value = file.read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError):
            problems.append(f"credential {file.name}: cannot be read as UTF-8 text")
            continue
        if not value:
            problems.append(f"credential {file.name}: is empty")
        yield "credential", file.name, names[file.name], value


def _leaves(model: type[BaseModel]) -> Iterator[list[str]]:
    """The keys of every option that holds one value, as paths."""
    for name, field in model.model_fields.items():
        if name in ("folder", "listing", "subscription"):
            continue
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from ([name, *rest] for rest in _leaves(kind))
        else:
            yield [field.alias or name]


def _put(values: dict[str, Any], keys: list[str], value: str) -> bool:
    table: Any = values
    for key in keys[:-1]:
        table = table.setdefault(key, {})
        if not isinstance(table, dict):
            return False
    table[keys[-1]] = value
    return True


def _problem(error: Any) -> str:
    where = "".join(f"[{part + 1}]" if isinstance(part, int) else f".{part}" for part in error["loc"]).lstrip(".")
    kind, text = error["type"], error["msg"].removeprefix("Value error, ")
    if kind == "extra_forbidden":
        table = [part for part in error["loc"][:-1] if not isinstance(part, int)]
        model = TABLES.get(str(table[-1]), Config) if table else Config
        known = [field.alias or name for name, field in model.model_fields.items() if name != "folder"]
        return f"{where}: there is no such option{_near(str(error['loc'][-1]), known)}"
    if kind == "missing":
        return f"{where}: is required"
    return f"{where}: {text}" if where else text


def _near(name: str, names: Any) -> str:
    near = difflib.get_close_matches(name, list(names), 1)
    return f"; did you mean {near[0]}?" if near else ""
