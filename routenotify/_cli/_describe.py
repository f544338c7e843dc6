"""What the parser takes, as plain data: for completion and the manual page."""

from __future__ import annotations

import argparse
from typing import NamedTuple


class Argument(NamedTuple):
    """One option, or one positional argument.

    Attributes:
        flags: "--json" and the like; none for a positional argument.
        value: what stands for its value in the help, "" if it takes none.
        choices: every value it takes; none: any.
        help: one line.
    """

    flags: tuple[str, ...]
    value: str
    choices: tuple[str, ...]
    help: str

    @property
    def names_a_file(self) -> bool:
        """Whether its value is the name of a file."""
        return "FILE" in self.value and not self.choices


class Command(NamedTuple):
    """One command, or the program itself."""

    name: str
    summary: str
    description: str
    examples: str
    options: tuple[Argument, ...]
    positionals: tuple[Argument, ...]


class Program(NamedTuple):
    """All of it."""

    own: Command
    commands: tuple[Command, ...]


def describe(parser: argparse.ArgumentParser) -> Program:
    """Return what parser, which has commands, takes."""
    found = [
        action
        for action in parser._actions
        if isinstance(action, argparse._SubParsersAction)
    ]
    commands: list[Command] = []
    for action in found:
        summaries = {entry.dest: entry.help or "" for entry in action._choices_actions}
        commands += [
            _command(name, summaries[name], command)
            for name, command in action.choices.items()
            if name in summaries
        ]
    return Program(_command(parser.prog, "", parser), tuple(commands))


def _command(name: str, summary: str, parser: argparse.ArgumentParser) -> Command:
    arguments = [
        _argument(action)
        for action in parser._actions
        if action.help != argparse.SUPPRESS
        and not isinstance(action, argparse._SubParsersAction)
    ]
    return Command(
        name,
        summary,
        parser.description or "",
        parser.epilog or "",
        tuple(argument for argument in arguments if argument.flags),
        tuple(argument for argument in arguments if not argument.flags),
    )


def _argument(action: argparse.Action) -> Argument:
    value = "" if action.nargs == 0 else _value(action)
    # argparse itself fills in %(default)s and makes %% one %.
    text = (action.help or "") % {**vars(action)}
    return Argument(tuple(action.option_strings), value, _choices(action, value), text)


def _value(action: argparse.Action) -> str:
    if isinstance(action.metavar, str):
        return action.metavar
    return (action.dest if not action.option_strings else action.dest.upper()) or ""


def _choices(action: argparse.Action, value: str) -> tuple[str, ...]:
    """From choices=, or from a metavar such as {inet,inet6}."""
    if action.choices is not None:
        return tuple(map(str, action.choices))
    if value.startswith("{") and value.endswith("}"):
        return tuple(value[1:-1].split(","))
    return ()
