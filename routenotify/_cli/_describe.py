"""What the parser takes, as plain data: for completion and the manual page."""

from __future__ import annotations

import argparse
from typing import NamedTuple

from routenotify._cli._words import KEYWORDS

_FILES = {"FILE", "PICTURE"}


class Argument(NamedTuple):
    """One option, or one positional argument.

    Attributes:
        flags: "--json" and the like; none for a positional argument.
        value: what stands for its value in the help, "" if it takes none.
        choices: every value it takes; none: any.
        help: one line.
        many: whether it is given as often as one likes, or not at all.
    """

    flags: tuple[str, ...]
    value: str
    choices: tuple[str, ...]
    help: str
    many: bool = False

    @property
    def names_a_file(self) -> bool:
        """Whether its value is, or may be, the name of a file."""
        return not _FILES.isdisjoint(self.value.split("|"))

    @property
    def words(self) -> tuple[str, ...]:
        """Values, among others, that are to be typed as they are."""
        if self.value == "FILTER":
            return tuple(KEYWORDS)
        return tuple(part for part in self.value.split("|") if part.islower())


class Command(NamedTuple):
    """One command, or the program itself.

    Attributes:
        name: what is typed.
        summary: a few words.
        description: a few lines.
        examples: the end of its help.
        options: arguments with flags.
        positionals: arguments without.
        one_of: options of which one has to be given, and one only.
    """

    name: str
    summary: str
    description: str
    examples: str
    options: tuple[Argument, ...]
    positionals: tuple[Argument, ...]
    one_of: tuple[tuple[Argument, ...], ...]


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
        tuple(
            tuple(map(_argument, group._group_actions))
            for group in parser._mutually_exclusive_groups
            if group.required
        ),
    )


def _argument(action: argparse.Action) -> Argument:
    value = "" if action.nargs == 0 else _value(action)
    # argparse itself fills in %(default)s and makes %% one %.
    text = (action.help or "") % {**vars(action)}
    flags, many = tuple(action.option_strings), action.nargs == "*"
    return Argument(flags, value, _choices(action, value), text, many)


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
