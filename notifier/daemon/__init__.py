"""The daemon: the composition root. Opens the edges, rings the bell, ends in order.

`opened` builds everything that the pipeline needs from a `Config`, and nothing else does. APScheduler only rings a
bell: the database says what is due, so a tick that is late, missed or doubled changes nothing. A stop (SIGTERM,
SIGINT) lets the message under way finish, for at most STOP_GRACE seconds; whatever it cuts off is done again at the
next start. Its rooms: `opening` (what is open), `steps` (what is done again and again), `trouble` (what the operator
is told), `site` (the web server), `door` (who comes in while mail is sent), `watch` (whether all of it moves),
`metrics` (what Prometheus reads), `notify` (what systemd is told), `owner` (what a process is called in rows), `limits`
and `thrift` (open files, memory), `run` (the frame).
"""

from __future__ import annotations

from notifier.daemon.opening import Clock, Running, letterhead, opened, relay_of, signing, utc_now
from notifier.daemon.run import on_signals, run
from notifier.daemon.steps import once

__all__ = ["Clock", "Running", "letterhead", "on_signals", "once", "opened", "relay_of", "run", "signing", "utc_now"]
