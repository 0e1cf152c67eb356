"""Configuration: config.toml, then NOTIFIER_* variables, then $CREDENTIALS_DIRECTORY -> one checked `Config`.

Later sources win, key by key. Everything wrong is found at once and named by its key, never with a secret's value; a
key, variable or credential that does not exist is an error, because a misspelt one would be ignored for years.
`config.example.toml` says what each option means; a test holds its defaults to the ones here.
"""

from __future__ import annotations

from notifier.config.load import STATE, load
from notifier.config.tables import TABLES, WEEKDAYS, Config
from notifier.config.values import sender_parts

__all__ = ["STATE", "TABLES", "WEEKDAYS", "Config", "load", "sender_parts"]
