"""`routenotify completion SHELL`: a script that completes the command line."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator

from routenotify._cli import _options
from routenotify._cli._describe import Argument, Command, Program, describe

_NAMESPACES = "/run/netns"

_EXAMPLES = """\
examples:
  source <(routenotify completion bash)         in this bash; or for good:
  routenotify completion bash > ~/.local/share/bash-completion/completions/routenotify
  routenotify completion zsh > ~/.zfunc/_routenotify    a folder of $fpath
  routenotify completion fish > ~/.config/fish/completions/routenotify.fish
"""


def add_completion(commands: _options.Commands) -> None:
    """Add `completion` to the program's commands."""
    parser = _options.command(
        commands,
        "completion",
        "print a shell's completion script",
        _EXAMPLES,
    )
    parser.description = (
        "Print a script that makes SHELL complete routenotify's command line."
    )
    parser.set_defaults(run=completion)
    parser.add_argument(
        "shell", choices=("bash", "zsh", "fish"), metavar="{bash,zsh,fish}"
    )


def completion(arguments: argparse.Namespace) -> int:
    """Print the script for a shell."""
    # Late: that module knows every command, this one too.
    from routenotify._cli._args import parser

    print(SCRIPTS[arguments.shell](describe(parser())), end="")
    return 0


def _is_namespace(argument: Argument) -> bool:
    return "--netns" in argument.flags


def _flags(command: Command) -> list[str]:
    return [flag for option in command.options for flag in option.flags]


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


# ---- bash ----

_BASH_HEAD = """\
# Completes routenotify in bash.  Made by `routenotify completion bash`.
_routenotify() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
    local command='' i
    # --option=value comes as three words.
    if [[ $cur == = ]]; then
        cur=''
    elif [[ $prev == = ]]; then
        prev=${COMP_WORDS[COMP_CWORD - 2]}
    fi
    COMPREPLY=()
"""
_BASH_TAIL = """\
}
complete -F _routenotify routenotify
"""


def bash(program: Program) -> str:
    """Return a script for bash 4 and newer."""
    names = "|".join(command.name for command in program.commands)
    lines = [
        "    for ((i = 1; i < COMP_CWORD; i++)); do",
        "        case ${COMP_WORDS[i]} in",
        f"            {names}) command=${{COMP_WORDS[i]}}; break ;;",
        "        esac",
        "    done",
        "    case $command:$prev in",
        *_bash_values(program),
        "    esac",
        "    if [[ $cur == -* ]]; then",
        "        case $command in",
        *(
            f"            {_quoted(name)}) {_bash_reply(' '.join(_flags(command)))} ;;"
            for name, command in _named(program)
        ),
        "        esac",
        "        return",
        "    fi",
        "    case $command in",
        f"        '') {_bash_reply(names.replace('|', ' '))} ;;",
        *_bash_positionals(program),
        "    esac",
    ]
    return _BASH_HEAD + "\n".join(lines) + "\n" + _BASH_TAIL


def _named(program: Program) -> Iterator[tuple[str, Command]]:
    """Each with what the scripts call it: the program itself is ''."""
    yield "", program.own
    for command in program.commands:
        yield command.name, command


def _bash_reply(words: str) -> str:
    # mapfile: a word of the reply may have blanks.
    return f'mapfile -t COMPREPLY < <(compgen -W {_quoted(words)} -- "$cur")'


def _bash_offer(argument: Argument) -> str:
    if argument.choices:
        return _bash_reply(" ".join(argument.choices))
    if _is_namespace(argument):
        names = f'"$(ls {_NAMESPACES} 2>/dev/null)"'
        return f'mapfile -t COMPREPLY < <(compgen -W {names} -- "$cur")'
    if argument.names_a_file:
        words = _quoted(" ".join(argument.words))
        found = f'compgen -W {words} -- "$cur"; compgen -f -- "$cur"'
        reply = f"mapfile -t COMPREPLY < <({found})"
        return f"compopt -o filenames 2>/dev/null; {reply}"
    if argument.words:
        return _bash_reply(" ".join(argument.words))
    return ""  # a number, say: nothing to offer, but no option either


def _bash_values(program: Program) -> Iterator[str]:
    for name, command in _named(program):
        for option in command.options:
            if option.value:
                pattern = "|".join(f"{name}:{flag}" for flag in option.flags)
                offer = _bash_offer(option)
                yield f"        {pattern}) {offer + '; ' if offer else ''}return ;;"


def _bash_positionals(program: Program) -> Iterator[str]:
    for command in program.commands:
        offers = [_bash_offer(argument) for argument in command.positionals]
        if any(offers):
            yield f"        {command.name}) {'; '.join(filter(None, offers))} ;;"


# ---- zsh ----


def zsh(program: Program) -> str:
    """Return a script for zsh: a file _routenotify in a folder of $fpath."""
    commands = [
        f"        {_quoted(f'{command.name}:{command.summary}')}"
        for command in program.commands
    ]
    lines = [
        "#compdef routenotify",
        "# Completes routenotify in zsh.  Made by `routenotify completion zsh`.",
        "_routenotify() {",
        "    local curcontext=$curcontext state line",
        "    local -a commands=(",
        *commands,
        "    )",
        "    _arguments -C \\",
        *(f"        {spec} \\" for spec in _zsh_specs(program.own)),
        "        '1:command:->command' '*::argument:->arguments'",
        "    case $state in",
        "        command) _describe command commands ;;",
        "        arguments)",
        "            case $line[1] in",
        *(line for command in program.commands for line in _zsh_case(command)),
        "            esac ;;",
        "    esac",
        "}",
        'if [[ $funcstack[1] == _routenotify ]]; then _routenotify "$@"',
        "else compdef _routenotify routenotify; fi",
    ]
    return "\n".join(lines) + "\n"


def _zsh_case(command: Command) -> Iterator[str]:
    specs = " ".join(_zsh_specs(command))
    yield f"                {command.name}) _arguments {specs} ;;"


def _zsh_specs(command: Command) -> Iterator[str]:
    for option in command.options:
        for flag in option.flags:
            value = f":{_zsh_text(option.value)}:{_zsh_offer(option)}"
            spec = f"{flag}[{_zsh_text(option.help)}]"
            yield _quoted(spec + (value if option.value else ""))
    for argument in command.positionals:
        count = "*" if argument.many else ""
        yield _quoted(f"{count}:{_zsh_text(argument.value)}:{_zsh_offer(argument)}")


def _zsh_text(text: str) -> str:
    return "".join(f"\\{char}" if char in "[]:\\" else char for char in text)


def _zsh_offer(argument: Argument) -> str:
    if argument.choices:
        return f"({' '.join(argument.choices)})"
    if _is_namespace(argument):
        return f"_files -W {_NAMESPACES}"
    words = " ".join(argument.words)
    if argument.names_a_file:
        return f"{{compadd {words}; _files}}" if words else "_files"
    return f"({words})" if words else " "


# ---- fish ----


def fish(program: Program) -> str:
    """Return a script for fish."""
    start = "__fish_use_subcommand"
    lines = [
        "# Completes routenotify in fish.  Made by `routenotify completion fish`.",
        "complete -c routenotify -f",
        *(
            f"complete -c routenotify -n {start} -a {command.name} "
            f"-d {_fish_quoted(command.summary)}"
            for command in program.commands
        ),
        *(_fish_option(start, option) for option in program.own.options),
    ]
    for command in program.commands:
        seen = _fish_quoted(f"__fish_seen_subcommand_from {command.name}")
        lines += [_fish_option(seen, option) for option in command.options]
        for argument in command.positionals:
            offer = _fish_offer(argument)
            if offer:
                lines.append(f"complete -c routenotify -n {seen} {offer}")
    return "\n".join(lines) + "\n"


def _fish_option(when: str, option: Argument) -> str:
    words = [f"complete -c routenotify -n {when}"]
    words += [
        f"-l {flag[2:]}" if flag.startswith("--") else f"-s {flag[1:]}"
        for flag in option.flags
    ]
    if option.value:
        words += ["-r" if option.names_a_file else "-x", _fish_offer(option)]
    words.append(f"-d {_fish_quoted(option.help)}")
    return " ".join(filter(None, words))


def _fish_offer(argument: Argument) -> str:
    if argument.choices:
        return f"-a {_fish_quoted(' '.join(argument.choices))}"
    if _is_namespace(argument):
        return f"-a {_fish_quoted(f'(ls {_NAMESPACES} 2>/dev/null)')}"
    offers = ["-F"] if argument.names_a_file else []
    if argument.words:
        offers.append(f"-a {_fish_quoted(' '.join(argument.words))}")
    return " ".join(offers)


def _fish_quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


SCRIPTS: dict[str, Callable[[Program], str]] = {"bash": bash, "zsh": zsh, "fish": fish}
