"""`routenotify exporter`, scraped by a real Prometheus beside real changes."""

from __future__ import annotations

import json
import re
import shutil
import signal
import socket
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
import rncli
import rnlab

pytest.importorskip("prometheus_client")

DASHBOARD = Path(__file__).parents[2] / "docs" / "grafana-dashboard.json"
CONFIG = """\
global: {{scrape_interval: 500ms, scrape_timeout: 400ms}}
scrape_configs:
  - job_name: routenotify
    static_configs: [{{targets: ["{target}"]}}]
"""
_fetch = urllib.request.build_opener(urllib.request.ProxyHandler({})).open


@pytest.fixture
def linked(netns):
    """A namespace with the device v0 and the next hop 10.0.0.2."""
    netns.veth("v0", "10.0.0.1/24")
    return netns


class Exporter:
    """A running exporter."""

    def __init__(self, netns: rnlab.Namespace, *options: str) -> None:
        self.running = rncli.Running(netns, "exporter", *options)
        line = self.running.line()
        found = re.fullmatch(r"serving (http://(\S+)/metrics)", line)
        assert found, line
        self.url, self.target = found.groups()

    def scrape(self) -> dict[str, float]:
        """The samples by name and labels, as they are written; each once."""
        with _fetch(self.url, timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        pairs = [line.rpartition(" ") for line in lines if not line.startswith("#")]
        samples = {name: float(value) for name, _, value in pairs}
        assert len(samples) == len(pairs), sorted(name for name, _, _ in pairs)
        return samples

    def stop(self, number: int) -> tuple[int, str, str]:
        """End it by a signal."""
        self.running.process.send_signal(number)
        return self.running.finish()


@pytest.fixture
def exporter(linked) -> Iterator[Exporter]:
    """An exporter in the namespace, on a free port of 127.0.0.1."""
    return Exporter(linked, "--listen", "127.0.0.1:0")


def changes(samples: dict[str, float], **labels: str) -> float:
    """The sum of routenotify_changes_total over samples with these labels."""
    wanted = [f'{name}="{value}"' for name, value in labels.items()]
    return sum(
        value
        for name, value in samples.items()
        if name.startswith("routenotify_changes_total{")
        and all(label in name for label in wanted)
    )


def test_exporter_counts_each_change_under_its_labels(linked, exporter):
    """By type, family, table, protocol and interface; the rest is the monitor's."""
    before = exporter.scrape()
    for _ in range(3):
        linked.ip("route add 192.0.2.0/24 via 10.0.0.2 proto bgp table 77")
        linked.ip("route change 192.0.2.0/24 via 10.0.0.2 proto bgp table 77 mtu 1400")
        linked.ip("route del 192.0.2.0/24 table 77")
    labels = {"table": "77", "protocol": "bgp", "interface": "v0", "family": "inet"}
    samples = rnlab.wait_for(
        lambda: (
            (found := exporter.scrape())
            and changes(found, type="delete", **labels) == 3
            and found
        ),
        what="three deletes",
    )

    assert 3 == changes(samples, type="add", **labels)
    assert 3 == changes(samples, type="parameter", **labels)
    assert 0 == changes(before, table="77")
    counted = samples["routenotify_delay_seconds_count"]
    assert changes(samples) == counted == samples["routenotify_received_total"]
    assert counted == samples['routenotify_delay_seconds_bucket{le="+Inf"}']
    assert 0 < samples["routenotify_delay_seconds_sum"] < 60
    assert 0 == samples["routenotify_conflated_total"]
    assert 0 == samples["routenotify_overruns_total"]
    assert samples["routenotify_table_rows"] == len(
        json.loads(
            "["
            + ",".join(rncli.run(linked, "routes", "--json").stdout.split("\n")[:-1])
            + "]"
        )
    )


def test_exporter_when_an_interface_is_made_again_then_its_series_goes_on(
    linked, exporter
):
    """Another number of the same name was a second series with the same labels.

    Of such Prometheus takes one, so that the counter stood still.
    """
    labels = {"type": "add", "interface": "v0", "protocol": "static"}
    for made in range(1, 4):
        linked.ip("route add 192.0.2.0/24 via 10.0.0.2 proto static")
        rnlab.wait_for(
            lambda made=made: changes(exporter.scrape(), **labels) == made,
            what=f"add number {made}",
        )
        linked.ip("link del v0")
        linked.veth("v0", "10.0.0.1/24")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_exporter_when_signalled_then_it_ends_at_once(exporter, number):
    """Status 0: that is how it is ended."""
    exporter.scrape()

    assert (0, "", "") == exporter.stop(number)


def test_exporter_when_the_port_is_taken_then_it_is_named(linked):
    """One line, status 1."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        done = rncli.run(linked, "exporter", "--listen", listen)

    assert (1, "") == (done.returncode, done.stdout)
    assert f"routenotify: --listen {listen}: Address already in use\n" == done.stderr


def test_exporter_counts_what_the_words_of_a_filter_let_through(linked):
    """And says how many changes these kept back."""
    words = ["table", "77", "proto", "bgp"]
    running = Exporter(linked, "--listen", "127.0.0.1:0", *words)
    linked.ip("route add 192.0.2.0/24 via 10.0.0.2 table 77 proto static")
    linked.ip("route add 198.51.100.0/24 via 10.0.0.2 table 77 proto bgp")
    samples = rnlab.wait_for(
        lambda: changes(found := running.scrape()) and found, what="the change"
    )

    assert 1 == changes(samples) == changes(samples, protocol="bgp", table="77")
    assert 1 == samples["routenotify_filtered_total"]
    assert 2 == samples["routenotify_received_total"]


def test_exporter_without_an_address_listens_on_all(linked):
    """`:PORT` is how Prometheus' own exporters are told so."""
    running = Exporter(linked, "--listen", ":0")
    port = running.target.rpartition(":")[2]
    for host in ("127.0.0.1", "[::1]", "10.0.0.1"):
        running.url = f"http://{host}:{port}/metrics"
        assert "routenotify_table_rows" in running.scrape()


def test_exporter_when_the_name_is_unknown_then_it_is_named(linked):
    """One line, status 1."""
    done = rncli.run(linked, "exporter", "--listen", "nobody.invalid:0")

    assert (1, "") == (done.returncode, done.stdout)
    assert done.stderr.startswith("routenotify: --listen nobody.invalid:0: ")
    assert 1 == done.stderr.count("\n")


def test_exporter_listens_on_ipv6(linked):
    """[::1]:0 is an address and a port."""
    running = Exporter(linked, "--listen", "[::1]:0")

    assert running.target.startswith("[::1]:")
    assert "routenotify_table_rows" in running.scrape()


def test_exporter_without_prometheus_client_names_what_is_missing(linked, tmp_path):
    """And how to get it; status 1."""
    package = tmp_path / "prometheus_client"
    package.mkdir()
    (package / "__init__.py").write_text("raise ModuleNotFoundError('it')")
    path = f"{tmp_path}:{rncli.PACKAGE.parent}"
    done = rncli.run(linked, "exporter", "--listen", "127.0.0.1:0", PYTHONPATH=path)

    assert 1 == done.returncode
    assert "pip install 'routenotify[cli]'" in done.stderr


class Prometheus:
    """A real server that scrapes one target."""

    def __init__(self, netns: rnlab.Namespace, folder: Path, target: str) -> None:
        config = folder / "prometheus.yml"
        config.write_text(CONFIG.format(target=target))
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._address = f"127.0.0.1:{free.getsockname()[1]}"
        netns.popen(
            [
                *("prometheus", f"--config.file={config}"),
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address={self._address}",
                "--log.level=error",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def query(self, expression: str) -> list[Any]:
        """What it answers; nothing while it starts."""
        words = urllib.parse.urlencode({"query": expression})
        try:
            with _fetch(f"http://{self._address}/api/v1/query?{words}") as answer:
                told = json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code == HTTPStatus.SERVICE_UNAVAILABLE:
                return []
            raise AssertionError(f"{expression}: {error.read().decode()}") from None
        except OSError:
            return []
        assert told["status"] == "success"
        result: list[Any] = told["data"]["result"]
        return result


def expressions() -> dict[str, str]:
    """The dashboard's queries by panel, as Grafana sends them."""
    found = {}
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        for target in panel.get("targets", []):
            text = target["expr"].replace("$__rate_interval", "1m")
            found[f"{panel['title']} {target['refId']}"] = text.replace(
                "$instance", ".*"
            )
    return found


def test_prometheus_scrapes_it_and_every_query_of_the_dashboard_has_an_answer(
    linked, exporter, tmp_path
):
    """Metrics and labels that the dashboard names are really there."""
    if shutil.which("prometheus") is None:
        pytest.skip("prometheus is not installed")
    prometheus = Prometheus(linked, tmp_path, exporter.target)
    rnlab.wait_for(lambda: prometheus.query("up == 1"), 30, "the first scrape")
    for _ in range(5):
        linked.ip("route add 192.0.2.0/24 via 10.0.0.2 proto bgp")
        linked.ip("route del 192.0.2.0/24")

    def counted() -> bool:
        found = prometheus.query(
            'routenotify_changes_total{protocol="bgp", type="delete"}'
        )
        return bool(found) and found[0]["value"][1] == "5"

    rnlab.wait_for(counted, 30, "five deletes")
    queries = expressions()
    assert len(queries) >= 10
    for name, expression in queries.items():
        rnlab.wait_for(
            lambda expression=expression: prometheus.query(expression),
            20,
            f"an answer for {name}: {expression}",
        )
    named = set(re.findall(r"routenotify_\w+", " ".join(queries.values())))
    there = {name.partition("{")[0] for name in exporter.scrape()}

    assert set() == named - there
