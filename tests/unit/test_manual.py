"""The manual page and the help say what the parser takes."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from routenotify._cli._args import parser

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "routenotify.1"

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="the page is made with Linux's options"
)


def commands() -> dict[str, argparse.ArgumentParser]:
    """The commands by name."""
    action = parser()._actions[-1]
    assert isinstance(action, argparse._SubParsersAction)
    return dict(action.choices)


def test_the_page_is_what_the_parser_makes():
    """If not: .ci/manual.py > docs/routenotify.1."""
    made = subprocess.run(
        [sys.executable, str(ROOT / ".ci" / "manual.py")],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )

    assert PAGE.read_text() == made.stdout


@pytest.mark.parametrize("name", commands())
def test_every_command_has_examples_that_its_parser_takes(name):
    """An example that is no longer true is worse than none."""
    epilog = commands()[name].epilog or ""
    assert epilog.startswith("examples:\n")
    taken = 0
    for line in epilog.splitlines():
        words = line.partition("|")[0].partition(">")[0].partition("     ")[0].split()
        if words[:1] == ["routenotify"]:
            parser().parse_args(words[1:])
            taken += 1
    assert taken


def rendered(*command: str) -> str:
    """The page as plain text, by a program; nothing may be wrong with it."""
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    done = subprocess.run(
        [*command, str(PAGE)], capture_output=True, text=True, timeout=60
    )

    assert (0, "") == (done.returncode, done.stderr)
    return done.stdout


def test_the_usage_says_what_has_to_be_given():
    """One of plot's -o and --json; a filter may be left out, or have many words."""
    page = PAGE.read_text()

    assert r"{\fB\-o\fR \fIPICTURE\fR | \fB\-\-json\fR}" in page
    assert 4 == page.count("\n[\\fIFILTER\\fR ...]\n")
    assert "\n\\fIFILTER\\fR\n" not in page


def test_mandoc_finds_nothing_wrong_with_the_page():
    """No warning, and every command has a section."""
    rendered("mandoc", "-Tlint", "-Wwarning")
    text = rendered("mandoc", "-Tascii", "-O", "width=78")
    plain = "".join(
        char
        for i, char in enumerate(text)
        if char != "\b" and text[i + 1 : i + 2] != "\b"
    )
    for name in commands():
        assert f"\n   {name}\n       routenotify {name}" in plain
