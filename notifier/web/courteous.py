"""Courteous: programs that ask for a feed wait for their turn while mail is being sent; people and monitors do not.

A feed that is ready never comes here (`quick`). One that is not costs a look into the database at least, and at the
full hour thousands ask for one. Who would have to wait too long is answered 503, and told when to ask again. So is who
shuts its side of the connection while it waits: mostly it has hung up, and the feed would be made for nobody.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from notifier.courtesy import ADVANCE, Courtesy
from notifier.errors import Busy
from notifier.web.patience import LEFT

ASK_AGAIN = 30  # seconds


@dataclass(frozen=True, slots=True)
class Courteous:
    """Lets requests of programs for feeds in one after the other while mail is being sent."""

    app: ASGIApp
    courtesy: Courtesy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not _is_program(scope):
            await self.app(scope, receive, send)
            return
        if not await self._turn_came(scope):
            full = PlainTextResponse("Mail is being sent.\n", 503, headers={"retry-after": str(ASK_AGAIN)})
            await full(scope, receive, send)
            return

        async def answered() -> None:
            await self.app(scope, receive, send)

        await self.courtesy.counted(answered(), ADVANCE)

    async def _turn_came(self, scope: Scope) -> bool:
        """Wait for a turn; tell whether it came, and the client still waits for it."""
        if not self.courtesy.wanted:
            return True
        turn = asyncio.create_task(self.courtesy.turn())
        scope[LEFT] = turn.cancel
        try:
            await asyncio.wait([turn])
            if turn.cancelled():
                return False
            turn.result()
            return True
        except Busy:
            return False
        finally:
            del scope[LEFT]
            turn.cancel()


def _is_program(scope: Scope) -> bool:
    """Tell whether this asks for a feed, and not from a browser that is about to show it."""
    return scope.get("path", "").startswith("/feeds/") and (b"sec-fetch-dest", b"document") not in scope["headers"]
