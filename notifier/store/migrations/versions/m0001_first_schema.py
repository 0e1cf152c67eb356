"""The first schema: everything that `schema.py` held in version 0.1.0."""

import sqlalchemy as sa
from alembic import op

revision = "0001"

down_revision = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "alarm",
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("remedy", sa.Text(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("mailed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("once", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_alarm")),
    )
    op.create_table(
        "bounce",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("content_hash", sa.String(length=64), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("subscriber_id", ID, nullable=True),
        sa.Column("outbox_id", ID, nullable=True),
        sa.Column("recipient", sa.Text(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("diagnostic", sa.Text(), nullable=False),
        sa.Column("counted", sa.Boolean(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bounce")),
        sa.UniqueConstraint("content_hash", name=op.f("uq_bounce_content_hash")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_bounce_received_at", "bounce", ["received_at"])
    op.create_table(
        "gap",
        sa.Column("listing", sa.String(length=100), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("given_up", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("listing", "day", name=op.f("pk_gap")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "listing",
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("etag", sa.Text(), nullable=True),
        sa.Column("last_modified", sa.Text(), nullable=True),
        sa.Column("primed", sa.Boolean(), nullable=False),
        sa.Column("polled_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("fresh_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("next_poll_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("outcome", sa.String(length=10), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_listing")),
    )
    op.create_table(
        "host",
        sa.Column("host", sa.String(length=300), nullable=False),
        sa.Column("next_request_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("blocked_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("robots", sa.Text(), nullable=False),
        sa.Column("crawl_delay", sa.Integer(), nullable=False),
        sa.Column("robots_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("busy_by", sa.Text(), nullable=True),
        sa.Column("busy_until", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("host", name=op.f("pk_host")),
    )
    op.create_table(
        "poll",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("listing", sa.String(length=100), nullable=False),
        sa.Column("polled_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("outcome", sa.String(length=10), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("listed_on", sa.Date(), nullable=True),
        sa.Column("day_text", sa.Text(), nullable=False),
        sa.Column("read", sa.Integer(), nullable=False),
        sa.Column("stated", sa.Integer(), nullable=True),
        sa.Column("new", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_poll")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_poll_listing_id", "poll", ["listing", "id"], unique=False)
    op.create_table(
        "kill",
        sa.Column("listing", sa.String(length=100), nullable=False),
        sa.Column("content_hash", sa.String(length=64), nullable=False),
        sa.Column("times", sa.Integer(), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("listing", "content_hash", name=op.f("pk_kill")),
        sqlite_with_rowid=False,
    )

    op.create_table(
        "query",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("canonical", sa.Text(), nullable=False),
        sa.Column("turned", ID, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_query")),
        sa.UniqueConstraint("canonical", name=op.f("uq_query_canonical")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_query_turned", "query", ["turned"])
    op.create_table(
        "setting",
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_setting")),
    )
    op.create_table(
        "subscriber",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("email", sa.String(length=320), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("token", sa.String(length=64), nullable=False),
        sa.Column("bounce_score", sa.Float(), nullable=False),
        sa.Column("bounced_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("health", sa.Text(), nullable=False),
        sa.Column("feed", sa.String(length=40), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_subscriber")),
        sa.UniqueConstraint("feed", name=op.f("uq_subscriber_feed")),
        sa.UniqueConstraint("token", name=op.f("uq_subscriber_token")),
        sa.UniqueConstraint("email", name=op.f("uq_subscriber_email")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "message",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False, server_default="digest"),
        sa.Column("subscriber_id", ID, nullable=True),
        sa.Column("period", sa.String(length=80), nullable=False),
        sa.Column("cadence", sa.String(length=10), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("recipient", sa.String(length=320), nullable=False),
        sa.Column("domain", sa.String(length=255), nullable=False, server_default=""),
        sa.Column("poll_from", ID, nullable=False),
        sa.Column("poll_to", ID, nullable=False),
        sa.Column("queued_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("doubts", sa.Integer(), nullable=False),
        sa.Column("crashes", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("code", sa.Integer(), nullable=True),
        sa.Column("reply", sa.Text(), nullable=False),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["subscriber_id"], ["subscriber.id"], name=op.f("fk_message_subscriber_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_message")),
        sa.UniqueConstraint("message_id", name=op.f("uq_message_message_id")),
        sa.UniqueConstraint("subscriber_id", "period", name=op.f("uq_message_subscriber_id_period")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_message_state_next_attempt_at", "message", ["state", "next_attempt_at"], unique=False)
    letter, waiting = "kind <> 'digest'", "state IN ('queued', 'deferred')"
    for name, columns, unique, where in (
        ("uq_message_letter", ["recipient", "period"], True, letter),
        ("ix_message_waiting", ["domain", "next_attempt_at", "id"], False, waiting),
        ("ix_message_letters", ["next_attempt_at"], False, f"{letter} AND {waiting}"),
    ):
        op.create_index(
            name, "message", columns, unique=unique, sqlite_where=sa.text(where), postgresql_where=sa.text(where)
        )
    op.create_table(
        "domain",
        sa.Column("domain", sa.String(length=255), nullable=False),
        sa.Column("free_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("domain", name=op.f("pk_domain")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "relay",
        sa.Column("relay", sa.String(length=300), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("rests_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("permanent", sa.Boolean(), nullable=False),
        sa.Column("code", sa.Integer(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("relay", name=op.f("pk_relay")),
    )

    op.create_table(
        "paper",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("guid", sa.String(length=64), nullable=False),
        sa.Column("poll_id", ID, nullable=False),
        sa.Column("news_poll_id", ID, nullable=True),
        sa.Column("told_poll_id", ID, nullable=True),
        sa.Column("counted", sa.Boolean(), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("source", sa.String(length=40), nullable=False),
        sa.Column("source_key", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("title_tex", sa.Text(), nullable=False),
        sa.Column("abstract", sa.Text(), nullable=False),
        sa.Column("abstract_tex", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("arxiv_id", sa.String(length=40), nullable=True),
        sa.Column("version", sa.Integer(), nullable=True),
        sa.Column("doi", sa.Text(), nullable=True),
        sa.Column("authors", sa.JSON(), nullable=False),
        sa.Column("categories", sa.JSON(), nullable=False),
        sa.Column("primary_category", sa.String(length=40), nullable=True),
        sa.Column("announce_type", sa.String(length=20), nullable=True),
        sa.Column("announced_on", sa.Date(), nullable=True),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("pdf_url", sa.Text(), nullable=True),
        sa.Column("thumbnail", sa.Text(), nullable=True),
        sa.Column("upvotes", sa.Integer(), nullable=True),
        sa.Column("comments_count", sa.Integer(), nullable=True),
        sa.Column("code_url", sa.Text(), nullable=True),
        sa.Column("project_url", sa.Text(), nullable=True),
        sa.Column("org", sa.Text(), nullable=True),
        sa.Column("submitter", sa.Text(), nullable=True),
        sa.Column("journal_ref", sa.Text(), nullable=True),
        sa.Column("comments", sa.Text(), nullable=True),
        sa.Column("withdrawn", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["poll_id"], ["poll.id"], name=op.f("fk_paper_poll_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_paper")),
        sa.UniqueConstraint("guid", name=op.f("uq_paper_guid")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_paper_news_poll_id_id", "paper", ["news_poll_id", "id"], unique=False)
    op.create_index("ix_paper_told_poll_id", "paper", ["told_poll_id"], unique=False)
    op.create_index("ix_paper_counted", "paper", ["counted"], unique=False)
    op.create_index("ix_paper_seen_at", "paper", ["seen_at"], unique=False)

    op.create_table(
        "subscription",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("subscriber_id", ID, nullable=False),
        sa.Column("query_id", ID, nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("cadence", sa.String(length=10), nullable=False),
        sa.Column("at", sa.Time(), nullable=False),
        sa.Column("weekday", sa.Integer(), nullable=False),
        sa.Column("timezone", sa.String(length=64), nullable=False),
        sa.Column("versions", sa.String(length=8), nullable=False),
        sa.Column("quiet", sa.String(length=10), nullable=False),
        sa.Column("began", ID, nullable=False),
        sa.Column("cursor", ID, nullable=False),
        sa.Column("next_due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("origin", sa.String(length=10), nullable=False),
        sa.Column("feed", sa.String(length=40), nullable=False),
        sa.Column("feed_name", sa.String(length=40), nullable=False),
        sa.ForeignKeyConstraint(["query_id"], ["query.id"], name=op.f("fk_subscription_query_id")),
        sa.ForeignKeyConstraint(["subscriber_id"], ["subscriber.id"], name=op.f("fk_subscription_subscriber_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_subscription")),
        sa.UniqueConstraint("subscriber_id", "query_id", name=op.f("uq_subscription_subscriber_id_query_id")),
        sa.UniqueConstraint("feed", name=op.f("uq_subscription_feed")),
        sa.UniqueConstraint("feed_name", name=op.f("uq_subscription_feed_name")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_subscription_due", "subscription", ["cadence", "active", "next_due_at"], unique=False)
    op.create_index("ix_subscription_reader", "subscription", ["cadence", "active", "subscriber_id"], unique=False)
    op.create_index("ix_subscription_query_id", "subscription", ["query_id"], unique=False)

    op.create_table(
        "earlier",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("subscription_id", ID, nullable=False),
        sa.Column("subscriber_id", ID, nullable=False),
        sa.Column("query_id", ID, nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("versions", sa.String(length=8), nullable=False),
        sa.Column("began", ID, nullable=False),
        sa.Column("until", ID, nullable=False),
        sa.ForeignKeyConstraint(["query_id"], ["query.id"], name=op.f("fk_earlier_query_id")),
        sa.ForeignKeyConstraint(["subscriber_id"], ["subscriber.id"], name=op.f("fk_earlier_subscriber_id")),
        sa.ForeignKeyConstraint(["subscription_id"], ["subscription.id"], name=op.f("fk_earlier_subscription_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_earlier")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_earlier_subscriber_id", "earlier", ["subscriber_id"], unique=False)
    op.create_index("ix_earlier_subscription_id", "earlier", ["subscription_id"], unique=False)
    op.create_index("ix_earlier_until", "earlier", ["until"], unique=False)

    op.create_table(
        "wish",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("subscriber_id", ID, nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("canonical", sa.Text(), nullable=False),
        sa.Column("cadence", sa.String(length=10), nullable=False),
        sa.Column("at", sa.Time(), nullable=False),
        sa.Column("weekday", sa.Integer(), nullable=False),
        sa.Column("timezone", sa.String(length=64), nullable=False),
        sa.Column("versions", sa.String(length=8), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["subscriber_id"], ["subscriber.id"], name=op.f("fk_wish_subscriber_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_wish")),
        sa.UniqueConstraint("subscriber_id", "canonical", name=op.f("uq_wish_subscriber_id_canonical")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_wish_asked_at", "wish", ["asked_at"], unique=False)

    op.create_table(
        "asking",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), nullable=True),
        sa.Column("canonical", sa.Text(), nullable=True),
        sa.Column("cadence", sa.String(length=10), nullable=True),
        sa.Column("at", sa.Time(), nullable=True),
        sa.Column("weekday", sa.Integer(), nullable=True),
        sa.Column("timezone", sa.String(length=64), nullable=True),
        sa.Column("versions", sa.String(length=8), nullable=True),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_asking")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "content",
        sa.Column("message_id", ID, autoincrement=False, nullable=False),
        sa.Column("octets", sa.LargeBinary(), nullable=False),
        sa.Column("packed_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["message_id"], ["message.id"], name=op.f("fk_content_message_id")),
        sa.PrimaryKeyConstraint("message_id", name=op.f("pk_content")),
    )
    op.create_table(
        "lines",
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("octets", sa.LargeBinary(), nullable=False),
        sa.Column("kept_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_lines")),
    )
    op.create_index("ix_lines_kept_at", "lines", ["kept_at"], unique=False)
    op.create_table(
        "delivery",
        sa.Column("subscriber_id", ID, nullable=False),
        sa.Column("paper_id", ID, nullable=False),
        sa.Column("edition", sa.Integer(), nullable=False),
        sa.Column("message_id", ID, nullable=True),
        sa.Column("query_ids", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["message_id"], ["message.id"], name=op.f("fk_delivery_message_id")),
        sa.ForeignKeyConstraint(["paper_id"], ["paper.id"], name=op.f("fk_delivery_paper_id")),
        sa.ForeignKeyConstraint(["subscriber_id"], ["subscriber.id"], name=op.f("fk_delivery_subscriber_id")),
        sa.PrimaryKeyConstraint("subscriber_id", "paper_id", "edition", name=op.f("pk_delivery")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_delivery_message_id", "delivery", ["message_id"], unique=False)
    op.create_index(
        "ix_delivery_owed_again",
        "delivery",
        ["subscriber_id"],
        unique=False,
        sqlite_where=sa.text("message_id IS NULL"),
        postgresql_where=sa.text("message_id IS NULL"),
    )

    op.create_table(
        "hit",
        sa.Column("query_id", ID, nullable=False),
        sa.Column("paper_id", ID, nullable=False),
        sa.Column("edition", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("poll_id", ID, nullable=False),
        sa.Column("cross_poll_id", ID),
        sa.ForeignKeyConstraint(["paper_id"], ["paper.id"], name=op.f("fk_hit_paper_id")),
        sa.ForeignKeyConstraint(["query_id"], ["query.id"], name=op.f("fk_hit_query_id")),
        sa.PrimaryKeyConstraint("query_id", "paper_id", "edition", name=op.f("pk_hit")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_hit_query_id_poll_id", "hit", ["query_id", "poll_id"], unique=False)

    op.create_table(
        "paper_key",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("paper_id", ID, nullable=False),
        sa.ForeignKeyConstraint(["paper_id"], ["paper.id"], name=op.f("fk_paper_key_paper_id")),
        sa.PrimaryKeyConstraint("key", "paper_id", name=op.f("pk_paper_key")),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "uq_paper_key_strong",
        "paper_key",
        ["key"],
        unique=True,
        sqlite_where=sa.text("key NOT LIKE 'title:%'"),
        postgresql_where=sa.text("key NOT LIKE 'title:%'"),
    )

    op.create_table(
        "sighting",
        sa.Column("paper_id", ID, nullable=False),
        sa.Column("listing", sa.String(length=100), nullable=False),
        sa.Column("poll_id", ID, nullable=False),
        sa.ForeignKeyConstraint(["paper_id"], ["paper.id"], name=op.f("fk_sighting_paper_id")),
        sa.ForeignKeyConstraint(["poll_id"], ["poll.id"], name=op.f("fk_sighting_poll_id")),
        sa.PrimaryKeyConstraint("paper_id", "listing", name=op.f("pk_sighting")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "batch",
        sa.Column("poll_id", ID, autoincrement=False, nullable=False),
        sa.Column("changes", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["poll_id"], ["poll.id"], name=op.f("fk_batch_poll_id")),
        sa.PrimaryKeyConstraint("poll_id", name=op.f("pk_batch")),
    )
    op.create_table(
        "shard",
        sa.Column("poll_id", ID, nullable=False),
        sa.Column("first_query", ID, nullable=False),
        sa.Column("last_query", ID, nullable=False),
        sa.ForeignKeyConstraint(["poll_id"], ["poll.id"], name=op.f("fk_shard_poll_id")),
        sa.PrimaryKeyConstraint("poll_id", "first_query", name=op.f("pk_shard")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "worker",
        sa.Column("owner", sa.String(length=200), nullable=False),
        sa.Column("roles", sa.Text(), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("relay", sa.String(length=300), nullable=False),
        sa.Column("places", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("owner", name=op.f("pk_worker")),
        sqlite_with_rowid=False,
    )
    connection = op.get_bind()
    if connection.dialect.name == "sqlite":
        statements: tuple[str, ...] = SEARCH_SQLITE
    else:  # in the locale C only ASCII has letters: the words are cut and made small by the rules of another
        known = set(connection.scalars(sa.text("SELECT collname FROM pg_collation WHERE collencoding IN (-1, 6)")))
        rules = next((f'COLLATE "{each}" ' for each in LETTERS if each in known), "")
        statements = tuple(statement.replace("{rules}", rules) for statement in SEARCH_POSTGRESQL)
    for statement in statements:
        op.execute(sa.text(statement))


# The words of every paper, for the search of the archive (`store/archive.py`): kept by the database itself. SQLite has
# them in an index without the texts, whose rows are removed by saying what stood in them.
_WORDS = (
    "{row}.title || ' ' || {row}.abstract || ' ' || "
    "coalesce((SELECT group_concat(value, ' ') FROM json_each({row}.authors)), '')"
)
_FORGET = f"INSERT INTO paper_text (paper_text, rowid, words) VALUES ('delete', old.id, {_WORDS.format(row='old')})"  # noqa: S608
_NOTE = f"INSERT INTO paper_text (rowid, words) VALUES (new.id, {_WORDS.format(row='new')})"  # noqa: S608
SEARCH_SQLITE = (
    "CREATE VIRTUAL TABLE paper_text USING fts5("
    "words, content='', detail=none, tokenize='unicode61 remove_diacritics 2')",
    f"CREATE TRIGGER paper_text_insert AFTER INSERT ON paper BEGIN {_NOTE}; END",
    f"CREATE TRIGGER paper_text_delete AFTER DELETE ON paper BEGIN {_FORGET}; END",
    "CREATE TRIGGER paper_text_update AFTER UPDATE OF title, abstract, authors ON paper "
    "WHEN old.title <> new.title OR old.abstract <> new.abstract OR old.authors <> new.authors "
    f"BEGIN {_FORGET}; {_NOTE}; END",
)
LETTERS = ("und-x-icu", "pg_c_utf8", "C.utf8", "C.UTF-8")  # collations that know every letter, the first that is there
SEARCH_POSTGRESQL = (
    "CREATE FUNCTION paper_words(title text, abstract text, authors json) RETURNS tsvector "
    "LANGUAGE sql IMMUTABLE COST 10000 AS $$ SELECT to_tsvector('simple'\\:\\:regconfig, lower(regexp_replace("
    "normalize(regexp_replace(normalize("  # marks go from Latin letters, as SQLite's tokenizer has it
    "title || ' ' || abstract || ' ' || "
    "coalesce((SELECT string_agg(value, ' ') FROM json_array_elements_text(authors)), ''), "
    "NFD), '([A-Za-z])[\\u0300-\\u036f]+', '\\1', 'g'), NFC) {rules}, "
    "'[^[\\:alnum\\:]]+', ' ', 'g'))) $$",
    "CREATE INDEX ix_paper_words ON paper USING gin (paper_words(title, abstract, authors))",
)
