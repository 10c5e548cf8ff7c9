"""`regkit completion`: real shells, in which a line is typed and completed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from regkit.cli.app import COMMANDS
from regkit.cli.completing import Shell
from regkit.cli.inspect import app as inspecting
from regkit.cli.registry import app as serving
from regkit.cli.request import Intermediate
from tests.support.command import LIMIT, clean_environment, fails, output_of, regkit

RC = {
    "bash": "bind '\"\\C-xa\": insert-completions'\n",
    "zsh": """
autoload -Uz compinit && compinit -u -D
bindkey -e
zle -C all-matches complete-word _generic
bindkey '^Xa' all-matches
zstyle ':completion:all-matches::::' completer _all_matches _complete
zstyle ':completion:all-matches:*' insert true
""",
}
"""What makes Ctrl-X a put all that may stand there into the line."""
ALL, START, END = "\x18a", "\x01", "\x05"


def completed(shell: str, line: str, home: Path, key: str = ALL) -> list[str]:
    """Type a line into a shell, and a key; give the words that stand there then."""
    script = output_of(regkit("completion", shell))
    if shell == "fish":
        return _by_fish(script, line, home)
    (home / ".zshrc").write_text(RC[shell] + script)
    argv = {"bash": ["bash", "--noprofile", "--rcfile", str(home / ".zshrc"), "-i"], "zsh": ["zsh", "-d", "-i"]}[shell]
    keys = f"{line}{key}{END} >words{START}printf '%s\\n' \nexit\n"
    ours, theirs = os.openpty()
    os.write(ours, keys.encode())
    env = clean_environment(home, {"TERM": "dumb", "ZDOTDIR": str(home)})
    with subprocess.Popen(
        argv, stdin=theirs, stdout=theirs, stderr=theirs, env=env, cwd=home, start_new_session=True
    ) as process:
        os.close(theirs)
        try:
            said = b"".join(iter(lambda: _read(ours), b""))
            process.wait(LIMIT)
        finally:
            process.kill()
            os.close(ours)
    assert (home / "words").is_file(), said.decode()
    return (home / "words").read_text().split()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 1 << 16)
    except OSError:  # the shell has ended
        return b""


def _by_fish(script: str, line: str, home: Path) -> list[str]:
    """Fish tells what it would offer; give it as it would stand there."""
    (home / "regkit.fish").write_text(script)
    argv = ["fish", "--no-config", "-c", 'source regkit.fish; complete -C "$argv[1]"', line]
    done = subprocess.run(
        argv, env=clean_environment(home), cwd=home, capture_output=True, text=True, timeout=LIMIT, check=True
    )
    offered = [each.partition("\t")[0] for each in done.stdout.splitlines()]
    return [*line.split(" ")[:-1], *(offered or line.split(" ")[-1:])]


def options_of(command: Any, start: str) -> list[str]:
    """Give a command's options that begin so."""
    context = command.context_class(command)
    return [name for each in command.get_params(context) for name in each.opts if name.startswith(start)]


def formats() -> list[str]:
    """Give what `inspect --format` takes."""
    (found,) = (each for each in typer.main.get_command(inspecting).params if "--format" in each.opts)
    return list(found.type.choices)  # type: ignore[attr-defined] # it is an enumeration's


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("regkit ", list(COMMANDS)),
        ("regkit pu", [name for name in COMMANDS if name.startswith("pu")]),
        ("regkit copy --no", ["--no-clobber"]),
        ("regkit index ", ["create", "append", "remove", "annotate"]),
        ("regkit registry serve --tls-", options_of(typer.main.get_command(serving).commands["serve"], "--tls-")),  # type: ignore[attr-defined] # a group
        ("regkit inspect --format ", formats()),
        ("regkit completion ", [each.value for each in Shell]),
        ("regkit --version pu", ["publish"]),
        ("regkit --plain-http localhost:5000 copy --no", ["--no-clobber"]),
        ("regkit publish --intermediate ", [each.value for each in Intermediate]),
        ("regkit plan --intermediate tag --immu", ["--immutable"]),
        ("regkit copy localhost:5000/a:1 localhost:5000/b:1 --no", ["--no-clobber"]),
        ("regkit inspect localhost:5000/a:1 --for", ["--format"]),
        ("regkit copy 'a b' --no", ["--no-clobber"]),
    ],
)
def test_what_may_stand_there_is_offered(shell: str, line: str, found: list[str], tmp_path: Path) -> None:
    """Commands, subcommands, options and values, beside a reference with colons and a configuration that is wrong."""
    (tmp_path / "regkit.toml").write_text("schema = none")
    before = line.rpartition(" ")[0].replace("'", "").split()

    words = " ".join(completed(shell, line, tmp_path)).replace("'", "").split()

    assert words[: len(before)] == before
    assert sorted(words[len(before) :]) == sorted(found)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_value_behind_an_equals_sign(shell: str, tmp_path: Path) -> None:
    """It is completed where it stands."""
    (only,) = [each for each in formats() if each.startswith("man")]

    assert completed(shell, "regkit inspect --format=man", tmp_path, "\t")[-1] == f"--format={only}"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
@pytest.mark.parametrize("before", ["copy ", "--ca-file ", "publish --file ", "inspect localhost:5000/a:1 "])
def test_where_one_makes_something_up_files_are_offered(shell: str, before: str, tmp_path: Path) -> None:
    """A path, a layout that lies there: what else stands in such a place nobody can know without asking a registry."""
    (tmp_path / "some-layout").write_text("")

    assert completed(shell, f"regkit {before}some-l", tmp_path, "\t")[-1] == "some-layout"


def test_powershells_answer() -> None:
    """Its script reads a word, a tab and what it means from each line; where there is nothing, there is no line."""
    env = {"_REGKIT_COMPLETE": "complete_powershell", "_REGKIT_LINE": "regkit copy --no"}
    ((word, means),) = [line.split("\t") for line in output_of(regkit(env=env)).splitlines()]

    assert word == "--no-clobber"
    assert means in output_of(regkit("copy", "--help"))
    assert output_of(regkit(env={**env, "_REGKIT_LINE": "regkit copy some"})) == ""
    script = output_of(regkit("completion", "powershell"))
    assert all(name in script for name in env)


def test_a_shell_that_is_not_known() -> None:
    """It is told which are."""
    said = fails("completion", "tcsh", code=2)

    assert all(repr(shell.value) in said for shell in Shell)


@pytest.mark.parametrize(
    ("line", "loaded"),
    [("regkit ", {"completing"}), ("regkit --", {"completing"}), ("regkit tag ls --", {"completing", "tag"})],
)
def test_nothing_is_loaded_but_the_command(line: str, loaded: set[str], tmp_path: Path) -> None:
    """Pressing TAB loads the named command's module and no other's, nothing that goes out, and nothing slow."""
    program = (
        "import atexit, json, sys\n"
        "atexit.register(lambda: print(json.dumps(sorted(sys.modules)), file=sys.stderr))\n"
        "sys.argv = ['regkit']\n"
        "from regkit.__main__ import main\n"
        "sys.exit(main())\n"
    )
    env = clean_environment(tmp_path, {"_REGKIT_COMPLETE": "complete_zsh", "_REGKIT_LINE": line})
    done = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, check=True)
    modules = set(json.loads(done.stderr))

    assert done.stdout
    verbs = {f"regkit.cli.{name}" for name in (*COMMANDS, "completing")}
    assert modules & verbs == {f"regkit.cli.{name}" for name in loaded}
    assert not modules & {"http.client", "httpx", "rich", "regkit.transport", "regkit.ops"}


def test_a_normal_start_loads_nothing_of_it(tmp_path: Path) -> None:
    """Only where a shell asks is it there."""
    program = (
        "import sys\nfrom regkit.cli.app import run\nrun(['tag', '--help'])\nprint(*sys.modules, file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=clean_environment(tmp_path), capture_output=True, text=True, check=True
    )

    assert "regkit.cli.tag" in done.stderr.split()
    assert not [name for name in done.stderr.split() if name.startswith("regkit.cli.complet")]
