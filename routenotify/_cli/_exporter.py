"""`routenotify exporter`: counts of changes, for Prometheus to scrape."""

from __future__ import annotations

import argparse
import contextlib
import re
import socket
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from routenotify import RouteMonitor
from routenotify._cli._meter import CAPACITY, Meter
from routenotify._cli._options import (
    Commands,
    add_family,
    add_filter,
    add_netns,
    address,
    command,
    netns_of,
)
from routenotify._cli._signals import terminating_as_ctrl_c
from routenotify._cli._version import version
from routenotify._cli._words import filter_of
from routenotify._errors import ERROR_NOT_SUPPORTED, make_error
from routenotify._netns import opened_netns

if TYPE_CHECKING:
    from prometheus_client.core import Metric

_WAIT = 3600.0  # seconds of one wait for changes

# Names of MonitorStats, and what they are; metrics are called routenotify_<name>.
_COUNTERS = {
    "received": "Changes offered to the monitor.",
    "filtered": "Changes that the filter refused; the kernel may drop more.",
    "conflated": "Changes merged into others because the queue was full.",
    "overruns": "Times the kernel's buffer overflowed.",
    "kernel_drops": "Messages the kernel dropped, by its own count.",
    "resyncs": "Comparisons of the mirrored table with the system's.",
    "synthesised": "Changes delivered that no message announced.",
    "malformed": "Messages that did not parse.",
}
_GAUGES = {
    "queued": ("queue_length", "Changes waiting now."),
    "high_water": ("queue_high_water", "Most changes that ever waited."),
    "capacity": ("queue_capacity", "Changes the queue holds before it merges."),
    "rows": ("table_rows", "Rows of the mirrored table; 0 where there is none."),
    "rcvbuf": ("receive_buffer_bytes", "Effective receive buffer; 0: none."),
    "ringbuf": ("ring_buffer_bytes", "BPF ring buffer in place of it; 0: none."),
}
_NAME = re.compile(r"[\w.-]*", re.ASCII)  # of a host, an IPv4 address too, or none
_LABELS = ("type", "family", "table", "protocol", "interface")

_EXAMPLES = """\
examples:
  routenotify exporter
  routenotify exporter table main table 77      counts no other tables
  routenotify exporter --listen :9957           for every address of this computer
  curl -s http://127.0.0.1:9957/metrics | grep overruns
"""


def add_exporter(commands: Commands) -> None:
    """Add `exporter` to the program's commands."""
    parser = command(commands, "exporter", "serve metrics to Prometheus", _EXAMPLES)
    parser.description = (
        "Count changes and serve the counts to Prometheus, until Ctrl-C or SIGTERM.\n"
        "Needs prometheus_client: pip install 'routenotify[cli]'."
    )
    parser.set_defaults(run=exporter)
    add_filter(parser)
    parser.add_argument(
        "--listen",
        type=_listen,
        metavar="ADDR:PORT",
        default="127.0.0.1:9957",
        help="where to answer (default: 127.0.0.1:9957); without ADDR: everywhere; "
        "port 0: any free one",
    )
    add_family(parser)
    add_netns(parser)


def _listen(text: str) -> tuple[str, int]:
    """Return host and port of 192.0.2.1:80, [2001:db8::1]:80, name:80 or :80."""
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        known = _is_address(host)
    else:
        known = _NAME.fullmatch(host) is not None and _is_encodable(host)
    number = int(port) if port.isascii() and port.isdigit() else 65536
    if not (known and colon and number < 65536):
        raise argparse.ArgumentTypeError(
            "an address and a port, such as 127.0.0.1:9957, [::]:9957 or :9957, "
            f"not {text!r}"
        )
    return host or _everywhere(), number


def _everywhere() -> str:
    """Return an address that stands for all of this computer's."""
    if socket.has_dualstack_ipv6() and sys.platform != "win32":
        return "::"
    return "0.0.0.0"  # noqa: S104 - asked for; Windows' sockets are of one family


def _is_encodable(host: str) -> bool:
    """Can it be asked for? Not with an empty label or one of 64 characters."""
    try:
        host.encode("idna")
    except UnicodeError:
        return False
    return True


def _is_address(text: str) -> bool:
    try:
        address(text)
    except argparse.ArgumentTypeError:
        return False
    return True


def exporter(arguments: argparse.Namespace) -> int:
    """Serve metrics until Ctrl-C, SIGTERM or SIGHUP.

    Raises:
        OSError: the address cannot be listened on.
        RouteNotifyError: prometheus_client is not installed, or the monitor
            ended: its namespace is gone.
    """
    netns = netns_of(arguments)
    with (
        contextlib.suppress(KeyboardInterrupt),
        terminating_as_ctrl_c(),
        opened_netns(netns.get("netns"), "exporter") as space,
        RouteMonitor(
            arguments.family,
            capacity=CAPACITY,
            filter=filter_of(arguments.filter),
            **netns,
        ) as monitor,
    ):
        meter = Meter(space.fd)
        url = _serve(Collector(monitor, meter), *arguments.listen)
        print(f"serving {url}", flush=True)
        while True:
            meter.take(monitor, _WAIT)
    return 0


def _serve(collector: Collector, address: str, port: int) -> str:
    """Answer scrapes on other threads; return where."""
    try:
        from prometheus_client import CollectorRegistry, start_http_server
    except ModuleNotFoundError:
        raise make_error(
            ERROR_NOT_SUPPORTED,
            "exporter",
            "it needs prometheus_client: pip install 'routenotify[cli]'",
        ) from None
    registry = CollectorRegistry()
    registry.register(collector)
    try:
        server, _ = start_http_server(port, address, registry)
    except OSError as error:
        reason = error.strerror or str(error)
        raise OSError(f"--listen {_host(address)}:{port}: {reason}") from None
    return f"http://{_host(address)}:{server.server_port}/metrics"


def _host(address: str) -> str:
    return f"[{address}]" if ":" in address else address


class Collector:
    """What a scrape finds."""

    def __init__(self, monitor: RouteMonitor, meter: Meter) -> None:
        """meter: counts what monitor delivers, on another thread."""
        self._monitor = monitor
        self._meter = meter

    def collect(self) -> Iterator[Metric]:
        """Yield each metric once."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        info = GaugeMetricFamily(
            "routenotify_info", "The exporter itself; 1.", labels=["version"]
        )
        info.add_metric([version()], 1)
        yield info
        yield self._changes()
        stats = self._monitor.stats
        for name, text in _COUNTERS.items():
            value = getattr(stats, name)
            yield CounterMetricFamily(f"routenotify_{name}", text, value)
        for name, (called, text) in _GAUGES.items():
            value = getattr(stats, name)
            yield GaugeMetricFamily(f"routenotify_{called}", text, value)
        yield self._delays()

    def _changes(self) -> Metric:
        from prometheus_client.core import CounterMetricFamily

        family = CounterMetricFamily(
            "routenotify_changes", "Changes of routes.", labels=_LABELS
        )
        for kind, counts in self._meter.kinds().items():
            for name, count in (
                ("add", counts.adds),
                ("delete", counts.deletes),
                ("parameter", counts.changes),
            ):
                family.add_metric([name, *kind], count)
        return family

    def _delays(self) -> Metric:
        """The histogram, whose buckets are cumulative there."""
        from prometheus_client.core import HistogramMetricFamily

        buckets = []
        below = 0
        for bound, count in self._meter.tally.delays:
            below += count
            buckets.append(("+Inf" if bound is None else repr(bound / 1e9), below))
        family = HistogramMetricFamily(
            "routenotify_delay_seconds",
            "From the system's notification to its being counted here.",
        )
        family.add_metric([], buckets, self._meter.tally.delay_sum_ns / 1e9)
        return family
