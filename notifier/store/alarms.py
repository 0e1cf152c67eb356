"""Alarms: which troubles there are, since when, and when the operator was last told of each."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict

from sqlalchemy import delete, select

from notifier.alarm import Alarm
from notifier.store import schema
from notifier.store.engine import Database


class Alarms:
    """The verbs of what the operator is told."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def alarms(self) -> list[Alarm]:
        """Return the troubles that were there at the last look, or went away a short while ago, oldest first."""
        table = schema.alarm
        async with self._database.read() as connection:
            rows = await connection.execute(select(table).order_by(table.c.since, table.c.key))
            return [Alarm(**row) for row in rows.mappings()]

    async def keep_alarms(self, kept: Collection[Alarm], forgotten: Collection[str]) -> None:
        """Remember what there is, forget what is over."""
        table = schema.alarm
        async with self._database.write() as connection:
            for alarm in kept:
                values = asdict(alarm)
                change = self._database.insert(table).values(values)
                await connection.execute(change.on_conflict_do_update(index_elements=[table.c.key], set_=values))
            for key in forgotten:
                await connection.execute(delete(table).where(table.c.key == key))
