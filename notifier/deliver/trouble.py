"""The words for trouble with a relay: every RelayTrouble of the SMTP side is made here.

Pure. What a server said becomes one printable line; what aiosmtplib or the system raised names what we were doing.
"""

from __future__ import annotations

from aiosmtplib import SMTPResponseException

from notifier.deliver.reply import one_line
from notifier.deliver.route import SmtpRoute
from notifier.errors import RelayTrouble


def trouble(route: SmtpRoute, reason: str, *, code: int | None = None, permanent: bool = False) -> RelayTrouble:
    """Return trouble with the relay at `route`."""
    return RelayTrouble(str(route), reason, code=code, permanent=permanent)


def refusal(route: SmtpRoute, stage: str, code: int, text: str) -> RelayTrouble:
    """Return an answer that concerns us, not the message, as trouble; `text` is the server's."""
    return trouble(route, f"refuses {stage}: {code} {one_line(text)}", code=code, permanent=code // 100 == 5)


def trouble_of(route: SmtpRoute, stage: str, error: Exception) -> RelayTrouble:
    """Return an exception of aiosmtplib or of the system as trouble that names what we were doing."""
    if isinstance(error, SMTPResponseException) and 200 <= error.code < 600:
        return refusal(route, stage, error.code, error.message)
    return trouble(route, f"fails at {stage}: {words(error)}")


def silence(route: SmtpRoute, stage: str, seconds: float) -> RelayTrouble:
    """Return an answer that did not come as trouble."""
    return trouble(route, f"is silent at {stage}: no answer within {seconds:g} s")


def words(error: BaseException) -> str:
    """Return what an exception says, on one line."""
    return one_line(error.message if isinstance(error, SMTPResponseException) else str(error))
