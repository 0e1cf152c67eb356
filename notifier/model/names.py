"""The numbers of rows, each a type of its own."""

from __future__ import annotations

from typing import NewType

PaperId = NewType("PaperId", int)
QueryId = NewType("QueryId", int)
SubscriberId = NewType("SubscriberId", int)
SubscriptionId = NewType("SubscriptionId", int)
WishId = NewType("WishId", int)
AskingId = NewType("AskingId", int)
PollId = NewType("PollId", int)
OutboxId = NewType("OutboxId", int)
