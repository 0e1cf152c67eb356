"""Preview: take one part out of a composed message, as a mail client would show it."""

from __future__ import annotations

from email import message_from_bytes, policy


def part(content: bytes, form: str) -> str:
    """Return the `text` or `html` part of a message, decoded."""
    message = message_from_bytes(content, policy=policy.default)
    body = message.get_body(preferencelist=("html" if form == "html" else "plain",))
    assert body is not None, "compose makes both parts"
    text: str = body.get_content()
    return text
