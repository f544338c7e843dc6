"""`routenotify plot`'s picture and the bar that rich draws."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import subprocess
import sys
import xml.etree.ElementTree as ET

import pytest
import rows

import routenotify
from routenotify._recording._open import writer

pytest.importorskip("matplotlib")
pytest.importorskip("rich")

PACKAGE = routenotify.__path__[0].removesuffix("routenotify")


@pytest.fixture
def recording(tmp_path):
    """Half a minute in which 10.7.0.0/16 flaps and others come."""
    path = tmp_path / "storm.rtmon"
    with open(path, "wb") as file:
        out = writer(file, "rtmon")
        for second in range(30):
            time_ns = (1_700_000_000 + second) * 10**9
            for n in range(20):
                out.write(rows.change(f"10.{second}.{n}.0/24", time_ns=time_ns))
            kind = 2 if second % 2 else 1
            out.write(rows.change("10.7.0.0/16", type=kind, time_ns=time_ns))
    return path


def plot(*arguments):
    """Run the command."""
    return subprocess.run(
        [sys.executable, "-P", "-m", "routenotify", "plot", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=100,
        env=os.environ | {"PYTHONPATH": PACKAGE, "MPLCONFIGDIR": "/nonexistent"},
    )


def test_the_picture_says_everything_in_words(recording, tmp_path):
    """Title, axes with units, legends with numbers, names: read from the SVG."""
    done = plot(recording, "-o", tmp_path / "storm.svg", "--top", "3")
    words = (tmp_path / "storm.svg").read_text()
    told = re.findall(r"<!-- (.*?) -->", words)

    assert (0, f"{tmp_path}/storm.svg: 630 changes in 29.0 s\n") == (
        done.returncode,
        done.stdout,
    )
    ET.fromstring(words)
    for expected in (
        f"Route changes of {recording}",
        "630 changes in 29 s",
        "changes in 500 ms",
        "added: 615",
        "changed: 0",
        "deleted: 15",
        "routes",
        "Size of the table",
        "time (UTC), from 2023-11-14 22:13:20",
        "Destinations that flap most",
        "came back after it had gone",
        "10.7.0.0/16",
        "14 of 30",
    ):
        assert expected in told, (expected, told)


def test_the_picture_is_a_png_of_a_readable_size(recording, tmp_path):
    """By the suffix; 1100 by 990 pixels."""
    plot(recording, "-o", tmp_path / "storm.PNG")
    head = (tmp_path / "storm.PNG").read_bytes()[:24]

    assert b"\x89PNG\r\n\x1a\n" == head[:8]
    assert (1100, 990) == tuple(
        int.from_bytes(head[at : at + 4], "big") for at in (16, 20)
    )


def test_no_two_labels_of_a_picture_lie_on_each_other(recording):
    """Text that overlaps cannot be read."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    from routenotify._cli._picture import picture
    from routenotify._cli._story import Story

    story = Story()
    with routenotify.replay(recording) as monitor:
        for change in monitor:
            story.add(change)
    figure = picture(story, "title", 12)
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    texts = [
        (text.get_text(), text.get_window_extent(renderer).padded(-1))
        for axes in figure.axes
        for text in [
            *axes.get_yticklabels(),
            *(axes.get_legend().get_texts() if axes.get_legend() else []),
            axes.title,
            axes._left_title,
            axes.xaxis.label,
            axes.yaxis.label,
            *axes.texts,
        ]
        if text.get_text() and text.get_visible()
    ]
    overlaps = [
        (one, other)
        for number, (one, box) in enumerate(texts)
        for other, its in texts[number + 1 :]
        if box.overlaps(its)
    ]

    assert len(texts) > 20
    assert [] == overlaps
    for _, box in texts:
        assert box.x0 >= 0
        assert box.x1 <= figure.bbox.width


def test_a_picture_grows_with_what_it_shows(recording):
    """Of 200 destinations: the charts of churn and size were 5 % of a fixed height."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    from routenotify._cli._picture import picture
    from routenotify._cli._story import Story

    story = Story()
    with routenotify.replay(recording) as monitor:
        for change in monitor:
            story.add(change)
    heights = []
    for most in (12, 200):
        figure = picture(story, "title", most)
        figure.draw(FigureCanvasAgg(figure).get_renderer())
        heights.append([axes.bbox.height for axes in figure.axes])
    few, many = heights

    assert 200 == len(figure.axes[2].get_yticklabels())
    assert many[:2] == pytest.approx(few[:2], rel=0.1)
    assert many[2] > 10 * few[2]


def test_a_file_may_be_named_like_a_formula(recording, tmp_path):
    """A `$` began mathematics in the title, and a second one drew or failed."""
    path = tmp_path / "$x^{$.rtmon"
    recording.rename(path)
    done = plot(path, "-o", tmp_path / "storm.svg")

    assert (0, "") == (done.returncode, done.stderr)
    assert f"<!-- Route changes of {path} -->" in (tmp_path / "storm.svg").read_text()


@pytest.mark.parametrize("place", ["missing/storm.svg", "storm.rtmon/storm.svg"])
def test_a_place_for_no_picture_is_refused_before_anything(recording, tmp_path, place):
    """Not after a minute of following."""
    done = plot("live", "--seconds", "3600", "-o", tmp_path / place)

    assert (1, "") == (done.returncode, done.stdout)
    assert f"No such file or directory: '{tmp_path / place}'" in done.stderr


def test_a_picture_may_not_replace_what_may_not_be_written(tmp_path, monkeypatch):
    """Nor be put into a folder that may not; root may, so access() is asked here."""
    from routenotify._cli import _plot

    (tmp_path / "old.svg").touch()
    asked = []
    monkeypatch.setattr(os, "access", lambda path, _: asked.append(path))
    for name in ("old.svg", "new.svg"):
        with pytest.raises(PermissionError):
            _plot._check_place(str(tmp_path / name))

    assert [str(tmp_path / "old.svg"), str(tmp_path)] == asked


def test_an_empty_recording_makes_a_picture_that_says_so(tmp_path):
    """Instead of an error from a library."""
    (tmp_path / "nothing").write_bytes(b"")
    done = plot(tmp_path / "nothing", "-o", tmp_path / "nothing.svg")

    assert (0, "") == (done.returncode, done.stderr)
    assert "<!-- nothing changed -->" in (tmp_path / "nothing.svg").read_text()


@pytest.mark.parametrize("suffix", ["gifx", "pgf"])
def test_an_unknown_suffix_is_refused_with_the_known_ones(recording, tmp_path, suffix):
    """Before anything is read or followed; pgf without TeX ended in a traceback."""
    done = plot("live", "-o", tmp_path / f"storm.{suffix}")

    assert (2, "") == (done.returncode, done.stdout)
    assert "a picture's name ends in" in done.stderr
    assert ".png" in done.stderr
    assert ".pgf," not in done.stderr


def test_rich_draws_the_bar(recording, tmp_path):
    """On a terminal, and takes it away at the end."""
    master, terminal = pty.openpty()
    words = ["replay", "--speed", "12", "--json", str(recording)]
    with open(tmp_path / "lines", "wb") as lines:
        replay = subprocess.Popen(
            [sys.executable, "-P", "-m", "routenotify", *words],
            stdout=lines,
            stderr=terminal,
            env=os.environ | {"PYTHONPATH": PACKAGE, "TERM": "xterm"},
        )
    os.close(terminal)
    drawn = b""
    with contextlib.suppress(OSError):  # EIO: the other end is closed
        while more := os.read(master, 65536):
            drawn += more
    os.close(master)

    assert 0 == replay.wait(60)
    assert 630 == (tmp_path / "lines").read_bytes().count(b"\n")
    assert "━" in drawn.decode()
    assert b"replaying" in drawn
    assert b"\x1b[2K" in drawn
