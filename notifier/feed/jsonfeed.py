"""JSON Feed 1.1 (https://www.jsonfeed.org/version/1.1/)."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from notifier import present
from notifier.feed import content
from notifier.model import Channel, FeedFormat, FeedItem

VERSION = "https://jsonfeed.org/version/1.1"


def json_feed(channel: Channel) -> bytes:
    """Return the channel as JSON Feed; older papers are at its `next_url`."""
    room = content.abstract_room(channel)
    made: dict[str, Any] = {
        "version": VERSION,
        "title": present.clean(channel.title) or "Papers",
        "description": present.clean(channel.description) or "New papers",
        "home_page_url": content.own(channel.link),
        "feed_url": content.own(channel.address(FeedFormat.JSON, channel.page)),
        "language": "en",
        "authors": [{"name": content.NAME}],
    }
    if channel.older is not None:
        made["next_url"] = content.own(channel.address(FeedFormat.JSON, channel.older))
    if channel.hub:
        made["hubs"] = [{"type": "WebSub", "url": content.own(channel.hub)}]
    items = ",\n".join(_written(_item(item, room)) for item in content.items(channel))
    return f'{_written(made)[:-1]}, "items": [\n{items}\n]}}\n'.encode()


def _written(value: dict[str, Any]) -> str:
    """Write JSON on one line: with line breaks in it, it would take ten times as long."""
    return json.dumps(value, ensure_ascii=False)


def _item(item: FeedItem, room: int) -> dict[str, Any]:
    made: dict[str, Any] = {
        "id": present.clean(item.guid),
        "title": content.title(item),
        "content_html": content.html(item, room),
        "date_published": _instant(item.published),
        "date_modified": _instant(item.updated),
    }
    optional = {
        "url": content.target(item),
        "summary": content.summary(item),
        "authors": [{"name": name} for name in content.authors(item)],
        "tags": content.categories(item),
    }
    return made | {name: value for name, value in optional.items() if value}


def _instant(moment: datetime) -> str:
    """Return an instant as RFC 3339 has it."""
    return moment.astimezone(UTC).isoformat()
