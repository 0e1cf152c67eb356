"""Configuration: everything wrong is found at once and named, and nothing secret is said."""

from __future__ import annotations

import re
import tomllib
from datetime import time, timedelta
from pathlib import Path

import pytest
from pydantic import BaseModel

from notifier.config import TABLES, Config, load
from notifier.errors import ConfigError
from notifier.model import Cadence, First
from notifier.parse import FORMATS

EXAMPLE = Path(__file__).resolve().parent.parent / "config.example.toml"
LEAST = 'contact = "me@example.org"\n'
LISTING = '[[listing]]\nname = "a"\nurl = "https://example.org/a"\nformat = "hf-daily"\n'


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "config.toml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def problems(tmp_path: Path, text: str, environment: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(write(tmp_path, text), environment or {})
    return list(caught.value.problems)


def test_the_least_configuration_is_a_contact(tmp_path: Path) -> None:
    config = load(write(tmp_path, LEAST), {})
    assert (config.contact, config.mail.relay, config.listing) == ("me@example.org", "maildir:mail", ())


def test_paths_are_relative_to_the_file_or_to_the_state_directory(tmp_path: Path) -> None:
    path = write(tmp_path, LEAST)
    assert load(path, {}).database_url == f"sqlite:///{tmp_path}/notifier.db"
    assert load(path, {}).relay_url == f"maildir:{tmp_path}/mail"
    assert (
        load(path, {"STATE_DIRECTORY": "/var/lib/notifier"}).database_url == "sqlite:////var/lib/notifier/notifier.db"
    )


def test_listings_and_subscriptions_become_what_the_stages_take(tmp_path: Path) -> None:
    subscription = '[[subscription]]\nemail = "Me@EXAMPLE.org"\nquery = "b AND a"\ncadence = "weekly"\n'
    more = 'poll = "2h"\nfirst = "owe"\n' + subscription + 'at = "07:30"\nweekday = "friday"\n'
    config = load(write(tmp_path, LEAST + LISTING + more), {})
    assert (config.listings[0].poll, config.listings[0].first) == (timedelta(hours=2), First.OWE)
    (wish,) = config.subscriptions
    clock = wish.clock
    assert (wish.email, wish.label, wish.canonical) == ("Me@example.org", "b AND a", "a b")
    assert (clock.cadence, clock.at, clock.weekday, clock.timezone) == (Cadence.WEEKLY, time(7, 30), 4, "UTC")


def test_a_variable_wins_over_the_file_and_a_credential_over_both(tmp_path: Path) -> None:
    folder = tmp_path / "credentials"
    folder.mkdir()
    (folder / "mail.password").write_text("from the credential\n")
    text = LEAST + '[mail]\nrelay = "smtps://mail.example.org"\nuser = "me"\npassword = "from the file"\n'
    environment = {
        "NOTIFIER_MAIL__PASSWORD": "from a variable",
        "NOTIFIER_BASE_URL": "https://papers.example.org/",
        "CREDENTIALS_DIRECTORY": str(folder),
    }
    config = load(write(tmp_path, text), environment)
    assert config.mail.password.get_secret_value() == "from the credential"
    assert config.base_url == "https://papers.example.org"


def test_every_problem_is_found_at_once(tmp_path: Path) -> None:
    text = (
        'base_url = "papers.example.org"\ndatbase = "x"\ntimezone = "Mars/Olympus"\n[mail]\nfrom = "no address"\n'
        '[[listing]]\nname = "a"\nurl = "ftp://example.org"\nformat = "hf-dayly"\npoll = "often"\n'
        '[[subscription]]\nemail = "me@@example.org"\nquery = "(a"\nat = "25:00"\n'
    )
    found = "\n".join(problems(tmp_path, text))
    for expected in (
        "contact: is required",
        "base_url: write a whole URL",
        "datbase: there is no such option; did you mean database?",
        "timezone: 'Mars/Olympus' is no IANA time zone",
        "mail.from:",
        "listing[1].url:",
        'listing[1].poll: write a span of time as "90s"',
        "subscription[1].email:",
        "subscription[1].query: column",
        "subscription[1].at:",
    ):
        assert expected in found


def test_a_mistake_hides_none_of_another_table_or_between_listings(tmp_path: Path) -> None:
    text = (
        'contact = ""\n[mail]\nrelay = "smtp:/localhost"\npapers = 0\n'
        '[[listing]]\nname = "a"\nurl = "ftp://x"\nformat = "arxiv"\n'
        '[[listing]]\nname = "a"\nurl = "x"\nformat = "html"\nselectors = { item = "div[" }\ncompare_with = "b"\n'
    )
    found = problems(tmp_path, text)
    for place, words in (
        ("contact", "is a mail address or a URL"),
        ("mail.relay", "smtp://HOST"),
        ("mail.papers", "greater than or equal to 1"),
        ("listing[1].url", "https://"),
        ("listing[1].format", "did you mean arxiv-"),
        ("listing[2].url", "https://"),
        ("listing[2].selectors", "'div['"),
        ("listing names must differ", "a is there more than once"),
        ("listing 'a'", "compare_with: there is no listing 'b'"),
    ):
        assert [problem for problem in found if f"config.toml: {place}" in problem and words in problem], (place, found)
    assert len(found) == 9
    whole = problems(tmp_path, LEAST + LISTING + LISTING + 'compare_with = "b"\n')
    assert len(whole) == 1
    assert "names must differ" in whole[0]
    assert "there is no listing 'b'" in whole[0]


def test_f127_a_misspelt_variable_or_credential_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "credentials").mkdir()
    (tmp_path / "credentials/mail.pasword").write_text("secret")
    environment = {"NOTIFIER_BASEURL": "https://x.example.org", "CREDENTIALS_DIRECTORY": str(tmp_path / "credentials")}
    found = problems(tmp_path, LEAST, environment)
    assert any("NOTIFIER_BASEURL: there is no such option; did you mean NOTIFIER_BASE_URL?" in each for each in found)
    assert any("mail.pasword: there is no such option; did you mean mail.password?" in each for each in found)


def test_f126_no_error_shows_a_secret(tmp_path: Path) -> None:
    text = 'contact = 5\n[mail]\nrelay = "smtp://mail.example.org"\npassword = "hunter2"\nstarttls = "perhaps"\n'
    assert "hunter2" not in "\n".join(problems(tmp_path, text, {"NOTIFIER_MAIL__IN_DOUBT": "shrug"}))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("contact = ", "not TOML"),
        (LEAST + LEAST, "not TOML"),
        ("\udcff", "not UTF-8"),
        (LEAST + "x" * 1_000_001, "no configuration"),
        (LEAST + LISTING + LISTING, "listing names must differ"),
        (LEAST + LISTING + 'poll = "0s"\n', "listing[1].poll"),
        (LEAST + LISTING + "poll = inf\n", "listing[1].poll"),
        (LEAST + 'database = "mysql://x"\n', "database: write"),
        (LEAST + '[web]\nlisten = "8080"\n', "web.listen: write host:port"),
        (LEAST + 'mail = "x"\n', "mail"),
        (LEAST + '[mail]\nrelay = "pigeon:post"\n', "mail"),
        (
            LEAST + '[mail]\nrelay = "smtp://mail.example.org"\nuser = "me"\npassword = "p"\nstarttls = "never"\n',
            "mail",
        ),
        ('contact = "two words"\n', "contact: is a mail address or a URL, without blanks"),
        (LEAST + LISTING.replace('name = "', 'name = "cs, math '), "listing[1].name: may hold letters, digits, blanks"),
        (
            LEAST + LISTING.replace('name = "', 'name = "' + 101 * "x"),
            "listing[1].name: may hold letters, digits, blanks",
        ),
        (LEAST + '[worker]\nlisten = "yes"\n', 'worker.listen: is "", "off" or'),
        (LEAST + '[mail.dkim]\nselector = "two words"\n', "mail.dkim.selector: may hold letters"),
    ],
)
def test_f128_what_cannot_be_used_is_one_clear_error(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ConfigError) as caught:
        load(path, {})
    assert says in str(caught.value)
    assert str(path) in str(caught.value)
    assert "String should match" not in str(caught.value)


def test_bom_and_crlf_are_no_trouble(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(b"\xef\xbb\xbf" + (LEAST + LISTING).replace("\n", "\r\n").encode())
    assert load(path, {}).listing[0].name == "a"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.toml: cannot be read"):
        load(tmp_path / "nowhere.toml", {})


# --- the example ------------------------------------------------------------------------------------------------------


NONE_BY_DEFAULT = {
    ("listing", "most_new"),
    ("", "templates"),
    ("feeds", "hub"),
    *(("dkim", name) for name in ("domain", "selector", "key", "ed25519_selector", "ed25519_key")),
    ("bounces", "address"),
    ("bounces", "maildir"),
    ("bounces", "imap"),
    ("subscription", "timezone"),
    ("listing", "selectors"),
    ("listing", "compare_with"),
}  # the example shows what a value looks like


def example_options() -> dict[str, dict[str, object]]:
    """Read every option of the example, those that are commented out too, by table."""
    tables: dict[str, dict[str, object]] = {}
    table = ""
    for line in EXAMPLE.read_text().splitlines():
        header = re.fullmatch(r"\[\[?(?:\w+\.)?(\w+)\]\]?", line)
        option = re.fullmatch(r"(?:# )?([a-z0-9_]+) = (.+)", line)
        if header:
            table = header[1]
        elif option:
            tables.setdefault(table, {})[option[1]] = tomllib.loads(f"x = {option[2]}")["x"]
    return tables


@pytest.mark.parametrize("table", ["", *TABLES])
def test_the_example_holds_every_option_with_its_true_default(table: str) -> None:
    model: type[BaseModel] = TABLES.get(table, Config)
    shown = example_options()[table]
    fields = {name: field for name, field in model.model_fields.items() if name not in {"folder", *TABLES}}
    assert set(shown) == {field.alias or name for name, field in fields.items()}
    required = {"name": "a", "url": "https://example.org", "format": "hf-daily", "email": "a@example.org", "query": "a"}
    least = {"contact": "me@example.org"} | {key: value for key, value in required.items() if key in fields}
    if table:
        del least["contact"]
    for name, field in fields.items():
        if not field.is_required() and (table, name) not in NONE_BY_DEFAULT:
            made = model(**least | {field.alias or name: shown[field.alias or name]})
            assert getattr(made, name) == field.get_default(call_default_factory=True), name


def test_the_example_explains_every_format() -> None:
    explained = re.findall(r"^#   ([a-z-]+)  +\S", EXAMPLE.read_text(), re.MULTILINE)
    assert sorted(explained) == sorted(FORMATS)


def test_the_example_is_a_configuration(tmp_path: Path) -> None:
    config = load(write(tmp_path, EXAMPLE.read_text()), {})
    assert len(config.listing) == 1
    assert len(config.subscription) == 1
