"""Announce: tell a WebSub hub which feeds have changed, so that it fetches them for its subscribers.

How a publisher tells its hub is not in WebSub (https://www.w3.org/TR/websub/ 7: "in any way they choose"); what public
hubs take is a form with `hub.mode=publish` and a `hub.url` for each feed. The operator named the hub, so it may be at a
private address; nothing of its answer is read but the status. Raises FetchError.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from urllib.parse import urlencode

import httpx

from notifier.errors import FetchError
from notifier.fetch.session import Client
from notifier.fetch.trouble import line, words

DEADLINE = 30.0  # seconds


async def announce(client: Client, hub: str, feeds: Sequence[str]) -> None:
    """Tell a hub that these feeds, which it knows by their URLs, have changed."""
    fields = [("hub.mode", "publish"), *(("hub.url", feed) for feed in feeds)]
    asked = httpx.Request(
        "POST",
        hub,
        content=urlencode(fields).encode(),
        headers={
            "Content-Type": "application/x-www-form-urlencoded",
            "User-Agent": client.user_agent,
            "Connection": "close",
        },
    )
    try:
        async with asyncio.timeout(DEADLINE):
            answer = await client.transport.handle_async_request(asked)
            await answer.aclose()
    except TimeoutError:
        raise FetchError(hub, f"no answer within {DEADLINE:g} s") from None
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        raise FetchError(hub, words(error)) from error
    if not answer.is_success:
        raise FetchError(hub, line(f"the hub answered {answer.status_code}"), status=answer.status_code)
