"""The words of mail servers: who is to blame, by enhanced status code (RFC 3463), by SMTP reply and by phrase.

The rule behind the tables: HARD only where it is known that the mailbox is not there, for it ends a person's mail.
What may be about us - our address, our reputation, what we wrote - is REFUSED and counts against nobody. A permanent
failure without a known reason is SOFT.
"""

from __future__ import annotations

import re

from notifier.model import BounceKind

HARD_STATUS = {  # with these no words are needed
    *("5.1.0", "5.1.1", "5.1.2", "5.1.3", "5.1.4", "5.1.6", "5.1.10", "5.1.351"),  # no such address or domain
    *("5.2.1", "5.4.4"),  # mailbox disabled; no route
    *("5.7.17", "5.7.18"),  # mailbox or domain changed its owner (RFC 7293)
    *("5.7.124", "5.7.129", "5.7.133", "5.7.134", "5.7.135", "5.7.136"),  # Exchange: closed to outside senders
}
REFUSED_STATUS = {"5.1.7", "5.1.8", "5.2.3", "5.3.4"}  # the sender's address; the message's length
REFUSED_SUBJECTS = ("5.6.", "5.7.")  # what we wrote; security and policy

ENHANCED = re.compile(r"(?<![\d.])([245]\.\d{1,3}\.\d{1,3})(?!\d|\.\d)")
ANSWERS = re.compile(r"(?<![\w.:\[/-])[45][0-5]\d[ -][^\n]{0,300}")  # an SMTP reply (RFC 5321 4.2), with what follows
_CODE = re.compile(r"(?<![\w.:\[/-])([45])[0-5]\d(?=[ -])")
_LINKS = re.compile(r"https?://\S+|[\w.+-]{1,64}@[\w.-]{1,255}")  # their words are not what the server says

# Each phrase is looked for in this order.
_ABOUT_OUR_NAME = re.compile(
    r"domain of sender|sender (?:address |domain )?(?:was |is )?(?:rejected|denied|blocked|unauth)|"
    r"my name was rejected|"
    r"dmarc|\bspf\b|\bdkim\b|unauthenticated|dns ?bl\b|\brbl\b|block(?:ed)? (?:using|by|list)|black-?list|"
    r"spamhaus|reputation|client host|blocked ip|authentication|relay(?:ing)? (?:access )?(?:is )?denied|"
    r"(?:too many|limit on) (?:recipients|messages|connections)|frequency limited|rate limit|throttl",
    re.IGNORECASE,
)
_NO_DOMAIN = re.compile(
    r"nxdomain|host (?:or domain name )?(?:not found|unknown)|unknown host|unrouteable|no such domain|null mx|"
    r"domain (?:name )?(?:does not exist|not found)|could not find a gateway|name or service not known",
    re.IGNORECASE,
)
_FULL = re.compile(
    r"(?:mailbox|mailfolder|folder|inbox|account)(?: is)?(?: too)? full|over ?-?quota|quota (?:is )?(?:exceed|full)|"
    r"exceed\w* (?:\w+ ){0,3}quota|insufficient (?:system )?(?:storage|disk)|out of (?:storage|space)|disk full|"
    r"not enough (?:storage|space)",
    re.IGNORECASE,
)
_WHO = r"(?:user|recipient|mailbox|account|address|addressee|person|local part)"
_GONE = re.compile(
    rf"unknown (?:or \w+ )?{_WHO}|no such {_WHO}|invalid {_WHO}|{_WHO}\W{{1,3}}(?:[^\s]{{1,80}} ){{0,6}}?"
    r"(?:unknown|not found|not known|not listed|not exist|doesn't exist|couldn't be found|(?:can|could )not be found|"
    r"disabled|discontinued|inactive|deactivated|closed|no longer|invalid|unavailable)|"
    r"doesn't have an? \S{1,80} account|recipnotfound|address rejected: access denied|inactive email|"
    r"(?:disabled|discontinued) (?:mailbox|account)|adresse destinataire invalide|no longer (?:valid|in use|employed)",
    re.IGNORECASE,
)
_ABOUT_US = re.compile(
    r"spam|\bblocked\b|polic(?:y|ies)|abuse|virus|malware|content (?:was )?rejected|"
    r"\b(?:e?-?mail|message) (?:was |has been )?(?:rejected|refused|rejete)|header error|not permitted to|"
    r"smtp server of your isp|message (?:size )?(?:is )?too (?:large|big)|size exceeds",
    re.IGNORECASE,
)

NOT_YET = re.compile(
    r"will (?:be (?:re)?tried|retry|(?:keep|continue) )|still (?:being|trying|attempting)|not yet been delivered|"
    r"has been delayed|delivery (?:status notification \(delay\)|(?:is |temporarily )?delayed)|delayed mail|"
    r"warning\W.{0,20}could not send|no action is required on your part|do not need to resend",
    re.IGNORECASE,
)
DAEMON = re.compile(r"mailer-?daemon|mail[ .-]?deliver|mail system", re.IGNORECASE)
PERHAPS_DAEMON = re.compile(r"postmaster|microsoft exchange|microsoft outlook|no-?reply|administrator", re.IGNORECASE)
DAEMON_SUBJECT = re.compile(
    r"undeliver|deliver\w* (?:status|fail|problem|error|report)|returned (?:mail|to sender)|failure notice|"
    r"(?:mail|message|delivery) (?:\w+ ){0,3}fail|error sending|could not (?:be )?(?:send|deliver)|unzustellbar|"
    r"non remis|non recapitabil|no entregado|onbestelbaar",
    re.IGNORECASE,
)
COPY_BEGINS = re.compile(  # of the message that came back
    r"^[ \t>]*(?:-{2,} ?(?:this is a copy|below this line|original message|the (?:header|body) of the original|"
    r"transcript of|undelivered message|forwarded message|message headers)|original message headers|"
    r"the original message (?:header|follows)|-{5,} ?(?:header|original))[^\n]*$",
    re.IGNORECASE | re.MULTILINE,
)


def blame(status: str, words: str) -> tuple[BounceKind, str]:
    """Return who is to blame for a message that was given up, and the most telling status code.

    `status` is an enhanced status code or "", `words` what the last server said. UNKNOWN when neither says anything.
    """
    said = _LINKS.sub(" ", words)
    if not status or status.endswith(".0.0"):
        status = next((code for code in ENHANCED.findall(said) if not code.endswith(".0.0")), status)
    code = _CODE.search(said)
    kind = status[:1] or (code[1] if code else "")
    if _ABOUT_OUR_NAME.search(said):
        return BounceKind.REFUSED, status
    if _NO_DOMAIN.search(said):
        return BounceKind.HARD, status
    if _FULL.search(said) or kind == "4":
        return BounceKind.SOFT, status
    if _GONE.search(said):
        return BounceKind.HARD, status
    if _ABOUT_US.search(said) or status in REFUSED_STATUS:
        return BounceKind.REFUSED, status
    if status in HARD_STATUS:
        return BounceKind.HARD, status
    if status.startswith(REFUSED_SUBJECTS):
        return BounceKind.REFUSED, status
    return (BounceKind.SOFT if kind else BounceKind.UNKNOWN), status


def enhanced(text: str) -> str:
    """Return the first enhanced status code in `text`, "" if there is none."""
    found = ENHANCED.search(text)
    return found[1] if found else ""
