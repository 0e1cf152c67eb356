"""SQLAlchemy without its ORM, which its asyncio extension imports for sessions. The store writes SQL."""

from __future__ import annotations

from notifier.slim import import_slim

import_slim("sqlalchemy.ext.asyncio", "sqlalchemy.ext.asyncio.scoping", "sqlalchemy.ext.asyncio.session")
