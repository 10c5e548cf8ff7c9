"""Completion in a shell: the scripts that ask, and what they are answered. Nobody is asked over a network.

Each script hands over the line up to the cursor, and gets a line for each word that may stand there: the word, in
other shells than bash with a tab and what it means. Where nothing may stand there but what one makes up, it is none,
and the shell offers files. typer's own scripts hand over words, which bash has parted at each `:` and `=`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from enum import StrEnum

from typer._click.shell_completion import CompletionItem, ShellComplete, add_completion_class, split_arg_string


class Shell(StrEnum):
    """A shell that completes."""

    bash = "bash"
    zsh = "zsh"
    fish = "fish"
    powershell = "powershell"


_LINE = "_REGKIT_LINE"

_SCRIPTS = {
    Shell.bash: r"""
_regkit() {
    mapfile -t COMPREPLY < <(
        _REGKIT_LINE="${COMP_LINE:0:COMP_POINT}" _REGKIT_COMPLETE=complete_bash "${1/#~\//$HOME/}" 2>/dev/null
    )
}
complete -o default -o nosort -F _regkit regkit
""",
    Shell.zsh: r"""
#compdef regkit
_regkit() {
    local line word means
    local -a found
    while IFS=$'\t' read -r word means; do
        found+=("${word//:/\\:}${means:+:$means}")
    done < <(
        _REGKIT_LINE="${(j: :)words[1,CURRENT-1]} $PREFIX" _REGKIT_COMPLETE=complete_zsh ${~words[1]} 2>/dev/null
    )
    [[ $PREFIX != --*=* ]] || compset -P '*='
    if (( $#found )); then
        _describe -V regkit found
    else
        _files
    fi
}
if [[ $funcstack[1] == _regkit ]]; then
    _regkit "$@"
else
    compdef _regkit regkit
fi
""",
    Shell.fish: r"""
function __regkit_complete
    set -l word (commandline -ct)
    set -l option (string match -r -- '^--[^=]+=' $word)
    set -lx _REGKIT_LINE (commandline -cp | string collect)
    set -lx _REGKIT_COMPLETE complete_fish
    set -l command (string replace -r '^~/' "$HOME/" -- (commandline -opc)[1])
    set -l found ($command 2>/dev/null)
    if test (count $found) -gt 0
        printf "%s\n" "$option"$found
    else
        __fish_complete_path $word
    end
end
complete --command regkit --no-files --keep-order --arguments '(__regkit_complete)'
""",
    Shell.powershell: r"""
Register-ArgumentCompleter -Native -CommandName regkit -ScriptBlock {
    param($word, $ast, $cursor)
    $line = $ast.ToString()
    $env:_REGKIT_LINE = $line.PadRight($cursor).Substring(0, $cursor)
    $env:_REGKIT_COMPLETE = 'complete_powershell'
    try {
        & $ast.CommandElements[0].ToString() 2>$null | ForEach-Object {
            $value, $means = $_ -split "`t", 2
            if (-not $means) { $means = $value }
            [System.Management.Automation.CompletionResult]::new($value, $value, 'ParameterValue', $means)
        }
    } finally {
        Remove-Item Env:_REGKIT_LINE, Env:_REGKIT_COMPLETE
    }
}
""",
}


def script(shell: Shell) -> str:
    """Give what a shell has to run so that it completes."""
    return _SCRIPTS[shell].lstrip("\n")


def offer(words: Mapping[str, str], start: str) -> list[CompletionItem]:
    """Offer the words that begin so, with what each means."""
    return [CompletionItem(word, help=means) for word, means in words.items() if word.startswith(start)]


def enable() -> None:
    """Let typer answer the scripts."""
    for shell in Shell:
        add_completion_class(_Answer, shell.value)
    add_completion_class(_Bash, Shell.bash.value)


class _Answer(ShellComplete):
    """What is answered: words, and what they mean."""

    def get_completion_args(self) -> tuple[list[str], str]:
        """Give the words before the one at the cursor, and that one as far as it is written."""
        line = os.environ.get(_LINE, "")
        words = split_arg_string(line)[1:]
        return (words, "") if not words or line[-1:].isspace() else (words[:-1], words[-1])

    def complete(self) -> str:
        """Give all lines; end the process where there is none, or else typer would write an empty one."""
        return super().complete() or sys.exit(0)

    def format_completion(self, item: CompletionItem) -> str:
        """Write a word and what it means."""
        return "\t".join([item.value, *([" ".join(item.help.split())] if item.help else [])])

    def source_vars(self) -> dict[str, object]:
        """Nothing is to be filled in."""
        return {}


class _Bash(_Answer):
    """bash shows words alone."""

    def format_completion(self, item: CompletionItem) -> str:
        """Write a word."""
        return str(item.value)
