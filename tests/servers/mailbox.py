"""A real mail system on loopback: Postfix takes mail (STARTTLS offered) and Dovecot keeps it, to be read over IMAP.

Debian's packages as they are, with a configuration, queue and mailboxes of their own in a folder that is thrown away:
the Postfix and Dovecot of the machine are not touched. Needs root, because both change their user. Nothing leaves
loopback: marie, irene and ada of @mailbox.test have mailboxes, every other address is refused.
"""

from __future__ import annotations

import imaplib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

NEEDED = (Path("/usr/lib/postfix/sbin/master"), Path("/usr/lib/dovecot/lmtp"), Path("/usr/lib/dovecot/imap"))
PASSWORD = "secret"
PATIENCE = 30.0  # seconds for programs to start and for a message to arrive

POSTFIX = """\
compatibility_level = 3.6
queue_directory = {home}/queue
data_directory = {home}/postfix-data
maillog_file = {home}/log/postfix.log
maillog_file_prefixes = {home}
multi_instance_name = postfix-of-a-test
myhostname = mailbox.test
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
local_recipient_maps =
disable_dns_lookups = yes
default_transport = error:5.4.4 nothing leaves this test
virtual_mailbox_domains = mailbox.test
virtual_mailbox_maps = inline:{{ {{marie@mailbox.test=ok}}, {{irene@mailbox.test=ok}}, {{ada@mailbox.test=ok}} }}
virtual_transport = lmtp:unix:private/dovecot-lmtp
lmtp_destination_recipient_limit = 1
smtpd_relay_restrictions = permit_mynetworks, reject
"""

SERVICES = """\
127.0.0.1:{port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
error unix - - n - - error
retry unix - - n - - error
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
"""

DOVECOT = """\
base_dir = {home}/dovecot
state_dir = {home}/dovecot-state
log_path = {home}/log/dovecot.log
protocols = imap lmtp
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
first_valid_uid = 1
first_valid_gid = 1
mail_location = maildir:{home}/mail/%Ln
default_login_user = nobody
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid=mail gid=mail home={home}/mail/%Ln allow_all_users=yes
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {imap}
  }}
}}
service lmtp {{
  unix_listener {home}/queue/private/dovecot-lmtp {{
    mode = 0600
    user = postfix
  }}
}}
"""


@dataclass(frozen=True, slots=True)
class Mailboxes:
    """Where mail is handed in (`port`) and where it is read (`imap`)."""

    home: Path
    port: int
    imap: int

    def read(self, user: str, count: int = 1) -> list[bytes]:
        """Return the messages of a user as they are over IMAP, once there are `count`."""
        until = time.monotonic() + PATIENCE
        while True:
            with imaplib.IMAP4("127.0.0.1", self.imap) as client:
                client.login(user, PASSWORD)
                client.select("INBOX", readonly=True)
                numbers = client.search(None, "ALL")[1][0].split()
                if len(numbers) >= count:
                    return [client.fetch(number, "(BODY.PEEK[])")[1][0][1] for number in numbers]  # type: ignore[index, misc]
                assert time.monotonic() < until, f"{len(numbers)} messages for {user}\n{self._logs()}"
                client.noop()
            time.sleep(0.05)

    def _logs(self) -> str:
        return "\n".join(file.read_text(errors="replace") for file in sorted((self.home / "log").iterdir()))


@contextmanager
def mailboxes() -> Iterator[Mailboxes]:
    """Run both programs; everything of them is gone at the end."""
    with tempfile.TemporaryDirectory(prefix="mailboxes.", ignore_cleanup_errors=True) as folder:
        home = Path(folder)
        home.chmod(0o755)  # both change their user
        here = Mailboxes(home, _free_port(), _free_port())
        _configure(here)
        dovecot = ["dovecot", "-c", str(home / "dovecot.conf")]
        postfix = ["postfix", "-c", str(home / "etc")]
        try:
            _run(home, dovecot)
            _run(home, [*postfix, "start"])
            for port in (here.port, here.imap):
                _until_open(port)
            yield here
        finally:
            for command in ([*postfix, "stop"], [*dovecot, "stop"]):
                subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _configure(here: Mailboxes) -> None:
    home = here.home
    for part in ("etc", "queue", "postfix-data", "mail", "log"):
        (home / part).mkdir()
    shutil.chown(home / "postfix-data", "postfix")
    os.chown(home / "mail", pwd.getpwnam("mail").pw_uid, pwd.getpwnam("mail").pw_gid)
    (home / "etc/main.cf").write_text(POSTFIX.format(home=home))
    (home / "etc/master.cf").write_text(SERVICES.format(port=here.port))
    (home / "dovecot.conf").write_text(DOVECOT.format(home=home, imap=here.imap, password=PASSWORD))
    # Postfix makes the folders of its queue when it starts; Dovecot wants the one of its socket before.
    (home / "queue/private").mkdir(mode=0o700)
    shutil.chown(home / "queue/private", "postfix")


def _run(home: Path, command: list[str]) -> None:
    """Start a program that goes into the background; it keeps what it writes to, so that is a file."""
    said = home / f"log/{command[0]}.start"
    with said.open("w") as file:
        code = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file).returncode
    assert code == 0, f"{' '.join(command)}: {said.read_text()}"


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def _until_open(port: int) -> None:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", port)).close()
            return
        time.sleep(0.05)
    raise AssertionError(f"nothing listens on port {port}")
