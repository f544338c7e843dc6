"""Completion in real shells: Tab in bash and zsh, fish's own engine."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import rncli
import rnterm


def need(program: str) -> None:
    """Skip without a program that the CI leg installs."""
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A PATH on which `routenotify` is the package under test."""
    program = tmp_path / "bin" / "routenotify"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -P -m routenotify "$@"\n')
    program.chmod(0o755)
    return f"{program.parent}:/usr/sbin:/usr/bin:/sbin:/bin"


def test_bash_completes_commands_options_values_and_files(netns, tmp_path, path):
    """As typed, key by key."""
    need("tmux")
    (tmp_path / "a recording").touch()
    words = ["bash", "--norc", "--noprofile", "-i"]
    with rnterm.Terminal(netns, tmp_path, words, PATH=path) as shell:
        shell.write("PS1='$ '; source <(routenotify completion bash); clear; echo ok")
        shell.type("Enter")
        shell.until(lambda screen: screen.startswith("ok\n$"), "the prompt")
        for typed, completed in (
            ("routenotify wat", "routenotify watch "),
            ("--fam", "routenotify watch --family "),
            ("inet6", "routenotify watch --family inet6 "),
            ("--js", "routenotify watch --family inet6 --json"),
        ):
            shell.write(typed)
            shell.type("Tab")
            shell.until(
                lambda screen, end=completed: screen.rstrip("\n").endswith(
                    end.rstrip()
                ),
                completed,
            )
        shell.type("C-u")
        shell.write("routenotify get --he")
        shell.type("Tab", "Enter")
        shell.until(lambda screen: "usage: routenotify get" in screen, "the help")


TYPED = [
    ("routenotify plot li", "routenotify plot live"),
    ("routenotify plot sto", "routenotify plot storm.rtmon"),
    ("routenotify plot live -o chu", "routenotify plot live -o churn.png"),
    ("routenotify plot live --output chu", "routenotify plot live --output churn.png"),
    ("routenotify watch pr", "routenotify watch proto"),
    ("routenotify routes dev eth0 ta", "routenotify routes dev eth0 table"),
]


@pytest.fixture
def files(tmp_path) -> Path:
    """A folder with a recording and a picture."""
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "storm.rtmon").touch()
    (folder / "churn.png").touch()
    return folder


@pytest.mark.parametrize(("typed", "completed"), TYPED)
@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_tab_offers_files_and_words_where_they_belong(
    netns, tmp_path, path, files, shell, typed, completed
):
    """`plot -o` offered no files, `plot` not `live`, a filter nothing."""
    need("tmux")
    need(shell)
    words, first = {
        "bash": (["bash", "--norc", "--noprofile", "-i"], ""),
        "zsh": (["zsh", "-f", "-i"], "autoload -U compinit; compinit -u -D; "),
    }[shell]
    with rnterm.Terminal(netns, tmp_path, words, PATH=path) as terminal:
        terminal.write(f"PS1='$ '; cd {files}; {first}clear; ")
        terminal.write(f"source <(routenotify completion {shell}); echo ok")
        terminal.type("Enter")
        terminal.until(lambda screen: "ok\n$" in screen, "the prompt")
        terminal.write(typed)
        terminal.type("Tab")
        terminal.until(lambda screen: screen.rstrip().endswith(completed), completed)


def test_bash_when_an_option_has_a_value_after_equals_then_that_is_completed(
    netns, tmp_path, path
):
    """--family=in is three words to bash."""
    need("tmux")
    words = ["bash", "--norc", "--noprofile", "-i"]
    with rnterm.Terminal(netns, tmp_path, words, PATH=path) as shell:
        shell.write("PS1='$ '; source <(routenotify completion bash); clear; echo ok")
        shell.type("Enter")
        shell.until(lambda screen: screen.startswith("ok\n$"), "the prompt")
        shell.write("routenotify top --sort=fl")
        shell.type("Tab")
        shell.until(lambda screen: "top --sort=flaps" in screen, "--sort=flaps")


def test_zsh_completes_commands_and_options(netns, tmp_path, path):
    """As typed, key by key."""
    need("tmux")
    need("zsh")
    with rnterm.Terminal(netns, tmp_path, ["zsh", "-f", "-i"], PATH=path) as shell:
        shell.write("PS1='$ '; autoload -U compinit; compinit -u -D; clear; ")
        shell.write("source <(routenotify completion zsh); echo ok")
        shell.type("Enter")
        shell.until(lambda screen: "ok\n$" in screen, "the prompt")
        for typed, completed in (
            ("routenotify wat", "routenotify watch"),
            ("--fam", "routenotify watch --family"),
            ("inet6", "routenotify watch --family inet6"),
        ):
            shell.write(typed)
            shell.type("Tab")
            shell.until(
                lambda screen, end=completed: screen.rstrip().endswith(end), completed
            )


def test_fish_completes_commands_options_and_files(tmp_path, path, files):
    """By `complete -C`, which prints what Tab would offer."""
    need("fish")
    script = tmp_path / "routenotify.fish"
    environment = rncli.environment(PATH=path, HOME=str(tmp_path))
    script.write_bytes(
        subprocess.run(
            rncli.words("completion", "fish"),
            capture_output=True,
            check=True,
            timeout=60,
            env=environment,
        ).stdout
    )

    def offered(line: str) -> list[str]:
        done = subprocess.run(
            ["fish", "--no-config", "-c", f"source {script}; complete -C {line!r}"],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
            env=environment,
            cwd=files,
        )
        return [found.partition("\t")[0] for found in done.stdout.splitlines()]

    assert ["watch"] == offered("routenotify wat")
    assert ["--family"] == offered("routenotify watch --fam")
    assert ["any", "inet", "inet6"] == sorted(offered("routenotify top --family "))
    assert "fish" in offered("routenotify completion ")
    for line, completed in TYPED:
        assert completed.split()[-1] in offered(line), line
