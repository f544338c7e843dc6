#!/usr/bin/env python3
"""Write docs/routenotify.1 from the parser of the command line.

.ci/manual.py > docs/routenotify.1

A test compares the page with what this prints.  What the parser does not know
(exit status, environment) is here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from routenotify._cli._args import parser
from routenotify._cli._describe import Argument, Command, Program, describe

HEAD = r""".\" Made by .ci/manual.py from the command line's parser.
.TH ROUTENOTIFY 1 "2026-11-22" "routenotify" "User Commands"
.SH NAME
routenotify \- every change of an IP route on this computer, as it happens
"""
TAIL = r""".SH EXIT STATUS
.TP
.B 0
Done as asked, also when the reader of the output went away, or when Ctrl-C,
SIGTERM or SIGHUP ended a command that goes on until then.
.TP
.B 1
It failed: one line on standard error says what.
.BR get :
there is no route.
.BR demo :
the tables differ.
.BR doctor :
something is not well.
.TP
.B 2
A word of the command line cannot be right, whatever the system has.
.BR demo :
this system gives no namespace.
.TP
.B 130
Ctrl-C ended another command.
.SH ENVIRONMENT
.TP
.B NO_COLOR
If set, nothing is coloured.
.SH NOTES
No privilege is needed to read or follow routes.
With CAP_NET_ADMIN the kernel grants a larger receive buffer; root with all its
rights, on Linux 5.12 or newer, gets changes in a BPF ring buffer, which takes a
fraction of the CPU.
.SH SEE ALSO
.BR ip\-monitor (8),
.BR ip\-route (8),
.BR rtnetlink (7)
"""


def main() -> None:
    """Print the page."""
    print("".join(page(describe(parser()))), end="")


def page(program: Program) -> Iterator[str]:
    """Yield the parts of the page."""
    own = program.own
    yield HEAD
    yield ".SH SYNOPSIS\n"
    yield f".B {own.name}\n" + _usage(own) + ".I COMMAND\n.RI [ options ]\n"
    yield ".SH DESCRIPTION\n" + _text(own.description)
    yield from _arguments(own.options)
    yield ".SH COMMANDS\n"
    for command in program.commands:
        yield f".SS {_bold(command.name)}\n"
        yield f"{_bold(f'{own.name} {command.name}')}\n" + _usage(command)
        yield ".PP\n" + _text(command.description)
        yield from _arguments(
            [
                *command.positionals,
                *(o for o in command.options if "--help" not in o.flags),
            ]
        )
        yield _examples(command.examples)
    yield ".SH EXAMPLES\n" + _examples(own.examples).removeprefix(".PP\n")
    yield TAIL


def _escaped(text: str) -> str:
    return text.replace("\\", "\\e").replace("-", "\\-")


def _text(text: str) -> str:
    """Return running text; no line of it may look like a macro."""
    lines = (_escaped(line) for line in text.splitlines())
    return "".join(
        f"\\&{line}\n" if line[:1] in ".'" else f"{line}\n" for line in lines
    )


def _bold(text: str) -> str:
    return f"\\fB{_escaped(text)}\\fR"


def _italic(text: str) -> str:
    return f"\\fI{_escaped(text)}\\fR"


def _value(argument: Argument) -> str:
    if argument.choices:
        return "|".join(map(_bold, argument.choices))
    return _italic(argument.value) if argument.value else ""


def _usage(command: Command) -> str:
    exclusive = [option for group in command.one_of for option in group]
    words = [
        f"[{_option(option)}]"
        for option in command.options
        if option not in exclusive and "--help" not in option.flags
    ]
    words += [f"{{{' | '.join(map(_option, group))}}}" for group in command.one_of]
    words += [
        f"[{_value(a)} ...]" if a.many else _value(a) for a in command.positionals
    ]
    return "".join(f"{word}\n" for word in words)


def _option(option: Argument) -> str:
    return _named(_bold(option.flags[0]), option)


def _named(names: str, argument: Argument) -> str:
    return " ".join(filter(None, (names, _value(argument))))


def _arguments(arguments: Iterable[Argument]) -> Iterator[str]:
    for argument in arguments:
        if argument.help:
            names = ", ".join(map(_bold, argument.flags))
            more = " ..." if argument.many else ""
            yield f".TP\n{_named(names, argument)}{more}\n"
            yield _text(argument.help)


def _examples(epilog: str) -> str:
    """Return the epilog as it is on a terminal."""
    lines = (f"\\&{_escaped(line)}\n" for line in epilog.strip().splitlines())
    return ".PP\n.nf\n" + "".join(lines) + ".fi\n"


if __name__ == "__main__":
    main()
