"""The worker: the steps of the daemon as jobs, shared by many processes on one PostgreSQL.

The engine is Procrastinate (`engine`), its tables live in the same database (`tables`). A job only says that there may
be something to do: it calls the very steps that the daemon calls, which look into the rows for what is due. So a job
that is run twice, or half, or never, does nothing twice and loses nothing: the next tick calls for what is left. Ticks
come once over all workers; LISTEN wakes, and who is not woken asks every few seconds.

Import this only where the database is PostgreSQL: on one machine with SQLite nothing of it is needed.
"""

from __future__ import annotations

from notifier.worker.engine import ROLES, part

__all__ = ["ROLES", "part"]
