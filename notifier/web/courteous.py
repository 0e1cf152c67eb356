"""Courteous: programs that ask for a feed wait for their turn while mail is being sent; people and monitors do not.

A feed that is ready never comes here (`quick`). One that is not costs a look into the database at least, and at the
full hour thousands ask for one. Who would have to wait too long is answered 503, and told when to ask again.
"""

from __future__ import annotations

from dataclasses import dataclass

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from notifier.courtesy import ADVANCE, Courtesy
from notifier.errors import Busy

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
        try:
            await self.courtesy.turn()
        except Busy:
            full = PlainTextResponse("Mail is being sent.\n", 503, headers={"retry-after": str(ASK_AGAIN)})
            await full(scope, receive, send)
            return

        async def answered() -> None:
            await self.app(scope, receive, send)

        await self.courtesy.counted(answered(), ADVANCE)


def _is_program(scope: Scope) -> bool:
    """Tell whether this asks for a feed, and not from a browser that is about to show it."""
    return scope.get("path", "").startswith("/feeds/") and (b"sec-fetch-dest", b"document") not in scope["headers"]
