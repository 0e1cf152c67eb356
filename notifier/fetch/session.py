"""What fetches share: the transport, the name we go by, the limits, the gates, and how we stand with each host."""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol
from weakref import WeakValueDictionary

import httpx

from notifier.fetch.addresses import Refusal, Resolve, refusal, resolve
from notifier.model import HostState

DEADLINE = 60.0  # seconds for one fetch with all its redirects; waiting for our own turn at a host does not count
MOST_BYTES = 16 * 1024 * 1024  # of one body, on the wire and decoded

LOOK_AGAIN = 0.5  # seconds between two looks at a host that another process talks to


class Hosts(Protocol):
    """Where it is remembered how we stand with each host; the store does so over restarts."""

    async def host_state(self, host: str) -> HostState | None:
        """Return what was kept of `host`, None when nothing was."""

    async def keep_host(self, state: HostState) -> None:
        """Remember `state` instead of what was known of its host."""

    async def enter_host(self, host: str, who: str) -> bool:
        """Take the right to ask `host`, which one of all processes has at a time; False while another has it."""

    async def leave_host(self, host: str, who: str) -> None:
        """Give the right back."""


class HostMemory:
    """Hosts as long as the process lives."""

    def __init__(self) -> None:
        self._states: dict[str, HostState] = {}

    async def host_state(self, host: str) -> HostState | None:
        return self._states.get(host)

    async def keep_host(self, state: HostState) -> None:
        self._states[state.host] = state

    async def enter_host(self, host: str, who: str) -> bool:  # noqa: ARG002
        return True  # nobody else knows of this memory

    async def leave_host(self, host: str, who: str) -> None:
        pass


@dataclass(slots=True, kw_only=True)
class Client:
    """What fetches share. `sleep` waits for a turn (seconds), `clock` says when the turn is."""

    transport: httpx.AsyncBaseTransport
    user_agent: str
    deadline: float
    most_bytes: int
    hosts: Hosts
    resolve: Resolve
    refusal: Refusal
    clock: Callable[[], datetime]
    sleep: Callable[[float], Awaitable[None]]
    name: str = field(default_factory=lambda: secrets.token_hex(8))  # among the clients that share `hosts`
    _gates: WeakValueDictionary[str, asyncio.Lock] = field(default_factory=WeakValueDictionary)

    @asynccontextmanager
    async def turn(self, host: str) -> AsyncIterator[None]:
        """Hold the right to ask `host`, which nobody else has meanwhile, here or in another process."""
        async with self.gate(host):
            while not await self.hosts.enter_host(host, self.name):  # noqa: ASYNC110  it is another process
                await asyncio.sleep(LOOK_AGAIN)
            try:
                yield
            finally:
                with contextlib.suppress(Exception):  # the right lapses by itself; what ended the fetch says more
                    await self.hosts.leave_host(host, self.name)

    def gate(self, host: str) -> asyncio.Lock:
        """Return the lock that whoever talks to `host` in this process holds: one request at a time."""
        lock = self._gates.get(host)
        if lock is None:
            lock = self._gates[host] = asyncio.Lock()
        return lock


@asynccontextmanager
async def client(
    contact: str,
    version: str,
    *,
    hosts: Hosts | None = None,
    deadline: float = DEADLINE,
    most_bytes: int = MOST_BYTES,
    ca_file: Path | None = None,
    resolve: Resolve = resolve,
    refusal: Refusal = refusal,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> AsyncIterator[Client]:
    """Open a client for many fetches; `contact` is the mail address or URL that every server is told.

    `hosts` remembers gaps and pauses (None: until the process ends). `ca_file` (PEM) is trusted besides the public
    authorities. `deadline` is in seconds, `most_bytes` counts decoded bytes. Raises ValueError if `contact` or
    `version` cannot stand in a header.
    """
    user_agent = f"notifier/{version} (+{contact})"
    if not contact.strip() or not re.fullmatch(r"[ -~]+", user_agent):
        raise ValueError("the contact must be a mail address or URL in plain ASCII: sites want to know whom to ask")
    context = httpx.create_ssl_context(trust_env=False)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca_file is not None:
        context.load_verify_locations(cafile=ca_file)
    # A bare transport, not httpx.AsyncClient: nothing that stores cookies, follows redirects or reads the environment.
    transport = httpx.AsyncHTTPTransport(
        verify=context, trust_env=False, limits=httpx.Limits(max_connections=None, max_keepalive_connections=0)
    )
    async with transport:
        yield Client(
            transport=transport,
            user_agent=user_agent,
            deadline=deadline,
            most_bytes=most_bytes,
            hosts=hosts or HostMemory(),
            resolve=resolve,
            refusal=refusal,
            clock=clock,
            sleep=sleep,
        )
