"""The program under a real systemd, in its sandbox, with the units that ship: `make systemd-test`.

Stands alone: a machine made of this one's root (tests/servers/machine.py), the wheel installed under /opt, a page and a
mail server inside. Where such a machine cannot run, the tests are skipped and say why. CUTS=n cuts the power n times.
"""

from __future__ import annotations

import math
import os
import random
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from notifier.store.migrate import known
from tests.servers.machine import Machine, machine, why_not
from tests.servers.postgres import programs
from tests.servers.successor import successor
from tests.world import text_page

PROJECT = Path(__file__).resolve().parent.parent
PYTHON = Path("/usr/bin/python3")
CUTS = int(os.environ.get("CUTS", "1"))  # of power
pytestmark = [pytest.mark.slow, pytest.mark.systemd]

CONFIG = """
contact = "tests@example.org"
base_url = "https://papers.example.org"
[mail]
from = "Papers <papers@example.org>"
relay = "smtp://127.0.0.1:2525"
[[listing]]
name = "daily"
url = "http://127.0.0.1:8000/daily.txt"
format = "daily-papers-text"
allow_private = true
poll = "1s"
[[subscription]]
email = "reader@example.org"
query = "*"
cadence = "immediate"
"""
SERVERS = """
[Unit]
Description=A page and a mail server
Before=notifier.service
[Service]
Environment=PYTHONPATH=/opt/libraries:/opt/tests
ExecStart=/bin/sh -ec '/usr/bin/python3 -m http.server 8000 --bind 127.0.0.1 --directory /srv/pages & \
    exec /usr/bin/python3 -m aiosmtpd -n -l 127.0.0.1:2525 -c aiosmtpd.handlers.Mailbox /srv/mail'
[Install]
WantedBy=multi-user.target
"""
DATABASE = """
[Unit]
Description=A PostgreSQL for workers
[Service]
User=postgres
RuntimeDirectory=papers
StateDirectory=papers
ExecStartPre=/bin/sh -c '{programs}/initdb -D /var/lib/papers/cluster -U notifier -A trust --no-sync >/dev/null'
ExecStart={programs}/postgres -D /var/lib/papers/cluster -k /run/papers -c listen_addresses=
"""
RELAY_RESTS = 150.0  # seconds: a mail server that is up later than the program is asked again after a minute


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The wheel in an environment of the system's Python; the libraries are those of the tests."""
    missing = why_not()
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    if not missing and not PYTHON.exists():
        missing = f"{PYTHON} is not there"
    if not missing:
        theirs = subprocess.run(
            [PYTHON, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"], capture_output=True
        )
        if theirs.stdout.decode().strip() != version:
            missing = f"{PYTHON} is another version than this {version}"
    if missing:
        pytest.skip(f"NOT RUN UNDER A REAL SYSTEMD: {missing}")
    folder = tmp_path_factory.mktemp("opt")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder / "dist")]
    subprocess.run(build, cwd=PROJECT, check=True, capture_output=True)
    subprocess.run([PYTHON, "-m", "venv", "--without-pip", str(folder / "notifier")], check=True)
    packages = folder / f"notifier/lib/python{version}/site-packages"
    (wheel,) = (folder / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages)
    (packages / "libraries.pth").write_text("/opt/libraries\n")
    script = folder / "notifier/bin/notifier"
    script.write_text("#!/opt/notifier/bin/python3 -I\nfrom notifier.cli import main\nmain()\n")
    script.chmod(0o755)
    subprocess.run([PYTHON, "-m", "compileall", "-q", str(packages)], check=True)
    later = folder / "notifier/bin/notifier-later"
    later.write_text(
        "#!/opt/notifier/bin/python3 -I\nimport sys\nsys.path.insert(0, '/opt/later')\n"
        "from notifier.cli import main\nmain()\n"
    )
    later.chmod(0o755)
    import aiosmtpd

    libraries = Path(aiosmtpd.__file__).parent.parent
    return {
        "/opt/notifier": folder / "notifier",
        "/opt/libraries": libraries,
        "/opt/tests": PROJECT,
        "/opt/later": successor(folder / "later", work=30_000_000),
    }


@pytest.fixture(scope="module")
def host(installed: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine on which the program is installed and has polled once, with a page and a mail server."""
    with machine(tmp_path_factory.mktemp("machine"), installed) as made:
        made.do("mkdir", "-p", "/srv/pages", "/srv/mail/new", "/srv/mail/cur", "/srv/mail/tmp")
        made.write("/etc/systemd/system/servers.service", SERVERS)
        show(made, "A Fictional Paper that Was There Before")
        made.write("/etc/notifier/config.toml", CONFIG)
        made.do("/opt/notifier/bin/notifier", "install-service", "--write")
        made.do("systemctl", "daemon-reload")
        made.do("systemctl", "enable", "--now", "servers")
        made.do("systemctl", "enable", "--now", "notifier")
        # What the first poll shows is not news: a paper that a test shows before it would never be sent.
        made.until(lambda: "last poll daily" in made.property("StatusText"), "the first poll")
        yield made


def show(made: Machine, *titles: str) -> None:
    """Show these titles, newest first, on the page."""
    made.write("/srv/pages/daily.txt", text_page(*titles))


def mails(made: Machine) -> str:
    """Return all that the mail server accepted, one mail after another."""
    return made.ask("sh", "-c", "cat /srv/mail/new/* 2>/dev/null").stdout


def healthy(made: Machine) -> bool:
    return made.ask("curl", "-sf", "-m", "20", "http://127.0.0.1:8080/healthz").returncode == 0


def answer(made: Machine, path: str, *more: str) -> str:
    """Ask the site; return the status."""
    url = f"http://127.0.0.1:8080{path}"
    return made.ask("curl", "-s", "-m", "20", "-o", "/dev/null", "-w", "%{http_code}", *more, url).stdout


def started(made: Machine) -> int:
    return int(made.property("MainPID"))


@pytest.mark.parametrize("user", ["dynamic", "static"])
@pytest.mark.parametrize(
    ("database", "wanted"),
    [
        ("", ["notifier-backup.service", "notifier-backup.timer", "notifier.service", "notifier.socket"]),
        ("postgresql:///papers", ["notifier-worker@.service", "notifier.service", "notifier.socket"]),
    ],
)
def test_the_shipped_units_are_verified_in_silence_and_score_well(
    host: Machine, user: str, database: str, wanted: list[str]
) -> None:
    folder = f"/root/{user}{len(wanted)}"
    host.do("mkdir", folder)
    host.write(f"{folder}.toml", f'database = "{database}"\n{CONFIG}' if database else CONFIG)
    more = ["--static-user"] if user == "static" else []
    told = host.do(
        "/opt/notifier/bin/notifier",
        "install-service",
        "--write",
        "--into",
        folder,
        "--config",
        f"{folder}.toml",
        *more,
    )
    assert ("systemd-sysusers" in told) == (user == "static")
    assert host.do("ls", folder).split() == sorted(wanted)
    files = [f"{folder}/{name}" for name in wanted]
    verified = host.ask("systemd-analyze", "verify", *files)
    assert (verified.returncode, verified.stdout + verified.stderr) == (0, "")
    for file in files:
        if file.endswith(".service"):
            assert f"DynamicUser={'no' if more else 'yes'}" in host.do("cat", file)
            scored = host.do("systemd-analyze", "security", "--no-pager", "--offline=true", file).splitlines()[-1]
            assert float(scored.split(":")[1].split()[0]) <= 1.5, scored


def test_f102_the_sandboxed_daemon_is_ready_reads_a_page_and_sends_a_digest(host: Machine) -> None:
    assert host.property("ActiveState") == "active"
    assert healthy(host)
    host.until(lambda: "last poll daily" in host.property("StatusText"), "the first poll")
    show(host, "A Fictional Paper out of the Sandbox", "A Fictional Paper that Was There Before")
    host.until(lambda: "out of the Sandbox" in mails(host), "the digest")
    assert "that Was There Before" not in mails(host)
    entry = host.do("journalctl", "-u", "notifier", "NOTIFIER_EVENT=settled", "-o", "json", "--no-pager")
    assert '"PRIORITY":"6"' in entry
    assert '"NOTIFIER_STATE":"sent"' in entry
    assert "reader@example.org" not in host.journal()
    assert host.do("stat", "-c", "%a", "/var/lib/private/notifier").strip() == "700"
    assert host.do("stat", "-c", "%a", "/var/lib/private/notifier/notifier.db").strip() == "600"


def test_p17_f093_killed_it_serves_again_and_no_connection_is_refused(
    host: Machine, tell: Callable[[str], None]
) -> None:
    before, took = started(host), []
    for _ in range(3):
        killed = started(host)
        host.do("kill", "-9", str(killed))
        began = time.monotonic()
        assert healthy(host), "a connection was refused"
        took.append(time.monotonic() - began)
        host.until(lambda killed=killed: started(host) not in (0, killed), "the new process")
        host.until(lambda: host.property("ActiveState") == "active", "READY=1")
    assert started(host) != before
    tell(f"SIGKILL to an answer: {', '.join(f'{each:.2f} s' for each in took)}")


def test_p18_f095_a_daemon_that_is_stuck_is_started_again_and_leaves_its_stacks(host: Machine) -> None:
    host.write("/etc/systemd/system/notifier.service.d/fast.conf", "[Service]\nWatchdogSec=2\n")
    host.do("systemctl", "daemon-reload")
    host.do("systemctl", "restart", "notifier")
    stuck = started(host)
    host.do("kill", "-STOP", str(stuck))
    host.until(lambda: "Watchdog timeout" in host.journal(), "the watchdog", 20)
    host.do("rm", "-r", "/etc/systemd/system/notifier.service.d")
    host.do("systemctl", "daemon-reload")
    host.until(lambda: started(host) not in (0, stuck) and healthy(host), "the new process", 120)
    host.do("systemctl", "restart", "notifier")  # the new one may have been started with the short watchdog


def test_p25_f096_a_reload_takes_up_what_is_good_and_refuses_what_is_bad(host: Machine) -> None:
    host.until(lambda: healthy(host), "an answer")
    same = started(host)
    host.write("/etc/notifier/config.toml", CONFIG + '[web]\nlissten = "x"\n')
    host.do("systemctl", "reload", "notifier")
    host.until(lambda: "the old one stays" in host.property("StatusText"), "the refusal")
    assert "web.lissten: there is no such option" in host.journal()
    assert healthy(host)
    host.write("/etc/notifier/config.toml", CONFIG.replace('"daily"', '"renamed"'))
    host.do("systemctl", "reload", "notifier")
    host.until(lambda: "last poll renamed" in host.property("StatusText"), "the new listing")
    host.write("/etc/notifier/config.toml", CONFIG)
    host.do("systemctl", "reload", "notifier")
    host.until(lambda: "last poll daily" in host.property("StatusText"), "the old listing")
    assert started(host) == same


def test_f097_a_configuration_that_cannot_work_is_not_tried_again(host: Machine) -> None:
    host.write("/etc/notifier/config.toml", CONFIG + "nonsense")
    host.ask("systemctl", "restart", "notifier")
    host.until(lambda: host.property("ActiveState") == "failed", "the end")
    assert host.property("ExecMainStatus") == "78"
    assert host.property("NRestarts") == "0"
    host.write("/etc/notifier/config.toml", CONFIG)
    host.do("systemctl", "restart", "notifier")
    assert healthy(host)


def test_f100_without_its_credential_it_is_not_started_and_with_it_nobody_sees_it(host: Machine) -> None:
    unit = "/etc/systemd/system/notifier.service.d/credential.conf"
    host.write(unit, "[Service]\nLoadCredential=mail.password:/etc/notifier/mail.password\n")
    host.do("systemctl", "daemon-reload")
    host.ask("systemctl", "restart", "notifier")
    host.until(lambda: host.property("ActiveState") == "failed", "the end")
    assert host.property("ExecMainStatus") == "243", "CREDENTIALS of systemd.exec(5)"
    assert host.property("NRestarts") == "0"
    host.write("/etc/notifier/mail.password", "correct horse\n", mode="0600")
    host.write("/etc/notifier/config.toml", CONFIG.replace("[mail]", '[mail]\nuser = "me"\nstarttls = "required"'))
    host.ask("systemctl", "reset-failed", "notifier")
    host.do("systemctl", "restart", "notifier")
    assert healthy(host)
    assert "correct horse" not in host.journal()
    host.do("rm", "-r", "/etc/systemd/system/notifier.service.d", "/etc/notifier/mail.password")
    host.write("/etc/notifier/config.toml", CONFIG)
    host.do("systemctl", "daemon-reload")
    host.do("systemctl", "restart", "notifier")


def test_p21_f071_on_a_full_disk_it_reads_promises_nothing_and_goes_on_by_itself(host: Machine) -> None:
    host.do("systemctl", "stop", "notifier.service", "notifier.socket")
    host.do("mount", "-t", "tmpfs", "-o", "size=6m,mode=700", "tmpfs", "/var/lib/private/notifier")
    host.do("systemctl", "start", "notifier")
    host.until(lambda: "last poll daily" in host.property("StatusText"), "the first poll")
    same = started(host)
    host.ask("sh", "-c", "cat /dev/zero > /var/lib/private/notifier/filler")
    show(host, "A Fictional Paper for a Full Disk", "A Fictional Paper that Was There Before")
    host.until(lambda: "cannot be written: the disk is full" in host.property("StatusText"), "the full disk")
    for path in ("/", "/status", "/feeds/all.atom"):
        assert answer(host, path) == "200", path
    form = ["-d", "email=new@example.org&q=graph&cadence=daily&at=08:00&timezone=UTC"]
    assert answer(host, "/subscribe", *form) == "503"
    host.do("rm", "/var/lib/private/notifier/filler")
    host.until(lambda: answer(host, "/subscribe", *form) == "200", "space")
    host.until(lambda: "for a Full Disk" in " ".join(mails(host).split()), "the digest")
    assert started(host) == same
    host.do("systemctl", "stop", "notifier.service", "notifier.socket")
    host.do("umount", "/var/lib/private/notifier")
    host.do("systemctl", "start", "notifier")


def test_p23_f081_an_upgrade_takes_its_time_and_the_way_back_is_its_backup(host: Machine) -> None:
    began = time.monotonic()
    host.do("systemctl", "restart", "notifier")
    limit = math.ceil(2 * (time.monotonic() - began)) + 1
    host.write(
        "/etc/systemd/system/notifier.service.d/later.conf",
        f"[Service]\nTimeoutStartSec={limit}\nExecStart=\n"
        "ExecStart=/opt/notifier/bin/notifier-later run --config /etc/notifier/config.toml\n",
    )
    host.do("systemctl", "daemon-reload")
    began = time.monotonic()
    host.do("systemctl", "restart", "notifier")
    assert time.monotonic() - began > limit, "it took longer than a start may, and asked for that"
    assert healthy(host)
    host.do("rm", "-r", "/etc/systemd/system/notifier.service.d")
    host.do("systemctl", "daemon-reload")
    host.ask("systemctl", "restart", "notifier")
    host.until(lambda: host.property("ActiveState") == "failed", "the end")
    assert (host.property("ExecMainStatus"), host.property("NRestarts")) == ("78", "0")
    assert "it was written by a newer notifier" in host.journal()
    host.do("systemctl", "stop", "notifier.socket")
    program, copy = "/opt/notifier/bin/notifier", f"/var/lib/notifier/notifier.schema-{known()[-1]}.db"
    assert "the database that was here is kept" in host.do(program, "restore", copy)
    host.do(program, "release")
    host.ask("systemctl", "reset-failed", "notifier")
    host.do("systemctl", "start", "notifier")
    assert healthy(host)


def test_f093_sandboxed_workers_share_a_postgresql_and_one_that_is_killed_is_started_again(host: Machine) -> None:
    found = programs()
    assert found, "PostgreSQL is not installed: apt-get install postgresql"
    host.do("systemctl", "stop", "notifier.socket", "notifier")
    host.write("/etc/systemd/system/papers-db.service", DATABASE.format(programs=found))
    host.do("systemctl", "daemon-reload")
    host.do("systemctl", "start", "papers-db")
    there = ("createdb", "-h", "/run/papers", "-U", "notifier", "papers")
    host.until(lambda: host.ask(*there).returncode == 0, "the database")
    url = "postgresql://notifier@/papers?host=/run/papers"
    host.write("/etc/notifier/config.toml", f'database = "{url}"\n{CONFIG}')
    host.do("/opt/notifier/bin/notifier", "install-service", "--write")
    host.do("systemctl", "daemon-reload")
    names = ["notifier-worker@1", "notifier-worker@2"]
    try:
        host.do("systemctl", "start", *names)
        polls = ("psql", "-h", "/run/papers", "-U", "notifier", "-Atc", "SELECT count(*) FROM poll", "papers")
        host.until(lambda: host.do(*polls).strip() != "0", "the first poll")
        host.do("systemctl", "kill", "-s", "KILL", "--kill-whom=main", names[0])
        show(host, "A Fictional Paper for Two Workers", "A Fictional Paper that Was There Before")
        host.until(lambda: mails(host).count("for Two Workers") > 0, "the digest")
        host.until(lambda: host.property("NRestarts", names[0]) != "0", "the start of the one that was killed")
        for name in names:
            host.until(lambda name=name: host.property("ActiveState", name) == "active", f"{name} to be ready")
        host.do("systemctl", "stop", *names)
        assert [host.property("Result", name) for name in names] == ["success", "success"]
    finally:
        host.ask("systemctl", "stop", *names, "papers-db")
        host.write("/etc/notifier/config.toml", CONFIG)
        host.do("systemctl", "start", "notifier.socket", "notifier")


def test_p19_a_stop_is_in_order_before_systemd_loses_patience(host: Machine) -> None:
    host.do("systemctl", "stop", "notifier.service")
    assert host.property("Result") == "success"
    assert healthy(host), "the socket starts it again"


@pytest.mark.timeout(900)
def test_g1_g2_f070_power_fails_in_mid_run_and_all_arrives_once_after_the_reboot(host: Machine) -> None:
    titles, chance = ["A Fictional Paper that Was There Before"], random.Random(os.environ.get("SEED", "power"))
    for number in range(CUTS):
        titles.insert(0, f"A Fictional Paper before Power Cut {number}")
        show(host, *titles)
        time.sleep(chance.uniform(0, 4))
        host.cut_power()
        host.boot()
        host.do("systemctl", "start", "servers")
        host.until(lambda: healthy(host), "the site after the boot")
        newest = titles[0]
        host.until(lambda newest=newest: newest in " ".join(mails(host).split()), "the digest", RELAY_RESTS)
    messages = [line for line in mails(host).splitlines() if line.lower().startswith("message-id")]
    assert len(messages) - len(set(messages)) <= CUTS
