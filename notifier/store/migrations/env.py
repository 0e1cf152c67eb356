"""Alembic's entry: runs the migrations on the connection it is handed. Run them with `notifier migrate`."""

from alembic import context

from notifier.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transaction_per_migration=False,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
