"""One message, one recipient, one SMTP transaction (RFC 5321 3.3; SIZE 1870, PIPELINING 2920).

Where the server offers PIPELINING, [RSET,] MAIL, RCPT and DATA leave in one write and their replies are read in
order; elsewhere each waits for the reply to the one before. The content follows, and the final dot once `in_doubt`
returned: until the dot is written no server may accept the message, after it only a reply tells. After a reply to the
dot the server's buffers are clear (RFC 5321 4.1.1.4), so the next MAIL needs no RSET; after a refusal before it does.

The dot may begin a group of its own (RFC 2920 3.1): MAIL, RCPT and DATA of the message that follows go with it, and
are answered after it. What becomes of a message is its own answers alone: those to what was said ahead are read when
its turn comes, and where they are not what they should be, they count for nothing and it is offered elsewhere. After a
dot that was not accepted they are not read at all: some servers keep the recipients of a message that they refused.

Fails with RelayTrouble, and with `Stale` when a connection that was used before turns out to be of no use any more:
nothing of this message was said yet that counts, so another connection may be tried.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiosmtplib import SMTPException, SMTPResponse

from notifier.deliver.connection import Connection
from notifier.deliver.reply import Stage, enhanced, one_line, verdict
from notifier.deliver.trouble import refusal, trouble, trouble_of, words
from notifier.errors import RelayTrouble
from notifier.model import Content, Reply, Verdict, Written, stuffed

SHORTEST_IDLE = 5.0  # seconds; a connection unused for longer is asked by RSET whether it is still there
BEFORE_THE_DOT = "the message, before its final dot"


class Stale(Exception):
    """A connection that was good before does not answer, or not as it should; `strange`: it said no good-bye."""

    def __init__(self, *, strange: bool = False) -> None:
        super().__init__()
        self.strange = strange


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What is to be said: checked addresses, the content as it was stored, and its octets."""

    message_id: str
    sender: str
    recipient: str
    content: Content
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How it is said. `following` gives the offer that will come next over this connection, None if it is not known.

    Times in seconds: `content_timeout` for the content to leave us, `final_timeout` for the reply to the dot.
    """

    in_doubt: Callable[[], Awaitable[None]]
    following: Callable[[], Offer | None]
    content_timeout: float
    final_timeout: float


@dataclass(frozen=True, slots=True)
class End:
    """How a transaction ended: the reply, whether the connection can be used again, and what was said ahead over it.

    `strange`: something was said ahead, and that may be why the message was not accepted.
    """

    reply: Reply
    clean: bool
    ahead: Offer | None = None
    strange: bool = False


async def transact(connection: Connection, offer: Offer, terms: Terms, *, said: bool = False) -> End:
    """Return how it ended; `said` tells that the envelope was said ahead, with the dot of the message before."""
    if not said and too_large(connection, offer):
        why = f"the message has {offer.size} octets, and the relay takes {connection.largest}"
        return End(Reply(Verdict.REFUSED_MESSAGE, None, why), True)
    refused = await _envelope(connection, offer, said=said)
    return refused if refused is not None else await _content(connection, offer, terms)


def too_large(connection: Connection, offer: Offer) -> bool:
    """Tell whether the server said that it takes no message of this size (RFC 1870)."""
    return 0 < connection.largest < offer.size


# --- before the content -----------------------------------------------------------------------------------------------

Answers = list[tuple[Stage, SMTPResponse]]


async def _envelope(connection: Connection, offer: Offer, *, said: bool) -> End | None:
    """Say who it is from and for; return None when the content is awaited, else as `transact`."""
    steps = _steps(connection, offer)
    used = connection.messages > 0
    idle = asyncio.get_running_loop().time() - connection.used
    if not said and (connection.begun or (used and idle > SHORTEST_IDLE)):
        steps.insert(0, (Stage.RSET, "RSET"))
    connection.messages += 1
    connection.begun = True
    answers, lost = await _answers(connection, steps, said=said)
    refused = next(((stage, answer) for stage, answer in answers if not _good(stage, answer)), None)
    if said and _unheard(refused, lost):
        raise Stale(strange=refused is None or refused[1].code != 421)
    if used and _stale(answers, refused, lost):
        raise Stale
    if refused is not None:
        return End(_judged(connection, *refused), lost is None and await _ended(connection, answers))
    if lost is not None:
        raise lost
    return None


def _steps(connection: Connection, offer: Offer) -> list[tuple[Stage, str]]:
    size = f" SIZE={offer.size}" if connection.sized else ""
    return [
        (Stage.MAIL, f"MAIL FROM:<{offer.sender}>{size}"),
        (Stage.RCPT, f"RCPT TO:<{offer.recipient}>"),
        (Stage.DATA, "DATA"),
    ]


async def _answers(
    connection: Connection, steps: list[tuple[Stage, str]], *, said: bool
) -> tuple[Answers, RelayTrouble | None]:
    """Say the steps, together or in turn; return the answers that came, and why no more came if one is missing."""
    answers: Answers = []
    try:
        for group in [steps] if connection.pipelining else [[step] for step in steps]:
            if not said:
                connection.say(group[0][0].value, *(line for _, line in group))
            for stage, _ in group:
                answer = await connection.reply(stage.value)
                answers.append((stage, answer))
                if answer.code == 421:  # it closes, whatever else it says
                    return answers, None
            if not _good(*answers[-1]):
                break
    except RelayTrouble as trouble:
        return answers, trouble
    return answers, None


def _good(stage: Stage, answer: SMTPResponse) -> bool:
    return answer.code == 354 if stage is Stage.DATA else answer.code // 100 == 2


def _stale(answers: Answers, refused: tuple[Stage, SMTPResponse] | None, lost: RelayTrouble | None) -> bool:
    """Tell whether a connection that was used before was over before this message: its MAIL was never considered."""
    if refused is None:
        return lost is not None and all(stage is Stage.RSET for stage, _ in answers)
    return refused[0] is Stage.RSET or (refused[0] is Stage.MAIL and refused[1].code == 421)


def _unheard(refused: tuple[Stage, SMTPResponse] | None, lost: RelayTrouble | None) -> bool:
    """Tell whether what was said ahead got no answer that counts: another connection is asked the same alone.

    What a server says of the recipient or the size counts. What turns all of us away for good may mean no more than
    that it cannot do with what came after the dot; if it is meant, it is said again.
    """
    if refused is None:
        return lost is not None
    stage, answer = refused
    if answer.code // 100 != 5:
        return answer.code == 421 or answer.code // 100 != 4
    return stage is Stage.DATA or verdict(stage, answer.code, answer.message) is None or _astray(answer)


def _astray(answer: SMTPResponse) -> bool:
    """Tell whether an answer may be about the order of commands: X.5.z (RFC 3463), or a code that stands for it."""
    detail = enhanced(answer.message)
    return detail[1:].startswith(".5.") if detail else 500 <= answer.code <= 504


async def _ended(connection: Connection, answers: Answers) -> bool:
    """End a refused transaction; return whether the connection can be used again.

    A server may await content although nobody is to get it (RFC 2920 3.1): a lone dot ends that. If it took the
    recipient though it refused the sender, an empty message could come of the dot: then the connection is closed.
    """
    stage, last = answers[-1]
    if last.code == 421:
        return False
    if not (stage is Stage.DATA and _good(stage, last)):
        return True
    if any(_good(stage, answer) for stage, answer in answers if stage is Stage.RCPT):
        return False
    try:
        connection.say(Stage.DOT.value, ".")
        return (await connection.reply(Stage.DOT.value)).code // 100 in (4, 5)
    except RelayTrouble:
        return False


# --- the content and after --------------------------------------------------------------------------------------------


async def _content(connection: Connection, offer: Offer, terms: Terms) -> End:
    """Write the content, and the final dot once `in_doubt` returned; then wait for what only the relay knows."""
    dialogue, route = connection.dialogue, connection.route
    ahead: Offer | None = None
    try:
        if dialogue.silent:
            content = offer.content
            dialogue.write(content.wire() if isinstance(content, Written) else stuffed(content))
    except SMTPException as error:
        raise trouble_of(route, BEFORE_THE_DOT, error) from error
    await terms.in_doubt()
    try:
        await dialogue.flushed(terms.content_timeout)
        early = not dialogue.silent  # some answer before the dot; then none is written
        if not early:
            ahead = terms.following() if connection.pipelining else None
            dialogue.say(".", *(line for _, line in (_steps(connection, ahead) if ahead else ())))
    except TimeoutError:
        raise trouble(route, f"does not take the message: not read within {terms.content_timeout:g} s") from None
    except SMTPException as error:
        raise trouble_of(route, BEFORE_THE_DOT, error) from error
    try:
        answer = await dialogue.reply(terms.final_timeout)
    except (SMTPException, TimeoutError) as error:
        if early:
            raise trouble_of(route, BEFORE_THE_DOT, error) from error
        why = words(error) or f"no reply within {terms.final_timeout:g} s"
        return End(Reply(Verdict.IN_DOUBT, None, f"after the final dot: {why}"), False, strange=ahead is not None)
    kind = answer.code // 100
    if kind == 2 and not early:
        connection.begun = False
        return End(Reply(Verdict.SENT, answer.code, one_line(answer.message)), True, ahead)
    if kind not in (4, 5) and not early:
        why = f"no reply to a message: {one_line(answer.message)}"
        return End(Reply(Verdict.IN_DOUBT, answer.code, why), False, strange=ahead is not None)
    if ahead is not None:
        return _refused_with_more(connection, answer)
    return End(_judged(connection, Stage.DOT, answer), not early and answer.code != 421)


def _refused_with_more(connection: Connection, answer: SMTPResponse) -> End:
    """Return how a message ended whose dot, with more after it, was refused; raises as `_judged`.

    Where that may be for what came after the dot, the message is not to blame: it is offered again, alone.
    """
    strange = answer.code == 421 or _astray(answer) or not enhanced(answer.message)
    if strange:
        return End(Reply(Verdict.DEFERRED, answer.code, one_line(answer.message)), False, strange=True)
    return End(_judged(connection, Stage.DOT, answer), False)


def _judged(connection: Connection, stage: Stage, answer: SMTPResponse) -> Reply:
    """Return what an answer that does not accept says of the message; raises RelayTrouble when it is about us."""
    meaning = verdict(stage, answer.code, answer.message)
    if meaning is None:
        raise refusal(connection.route, stage.value, answer.code, answer.message)
    return Reply(meaning, answer.code, one_line(answer.message))
