"""What went wrong with a fetch, in one printable line that can be shown and logged."""

from __future__ import annotations

from notifier.errors import FetchError
from notifier.model import Listing


def trouble(listing: Listing, reason: str, *, status: int | None = None) -> FetchError:
    """Return the error that ends a fetch of `listing`."""
    return FetchError(listing.url, line(reason), status=status)


def words(error: BaseException | None) -> str:
    """Return what an exception says, or its name when it says nothing."""
    return line(str(error)) or type(error).__name__


def line(text: str) -> str:
    """Return `text` on one line: white space collapsed, what does not print escaped."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in " ".join(text.split()))
