"""Every verb against every quirk: it does its work, or says that the registry can't, and then nothing has changed.

What is to come out is computed: from what the quirk says that it refuses, what the verb needs, and what was there.
"""

from __future__ import annotations

import io
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from regkit.cli.app import app, run
from regkit.devregistry.quirks.catalogue import QUIRKS
from regkit.devregistry.server import running
from tests.support.command import clean_environment
from tests.support.place import Place
from tests.support.verbs import VERBS, Verb, unchanged

ASK_NOBODY = {
    *("doctor", "init", "completion", "readme push", "readme diff"),
    *("registry serve", "registry quirks", "registry gc"),
}
"""The commands for which there is no registry to be odd: some ask another service."""

WANT_A_BUILDER = {"build", "builder up", "builder status", "builder down"}
"""What `build` sends goes the way of `publish --from`."""

SOON = {"rate-limit-seconds": 0, "rate-limit-date": 0, "rate-limit-unix": 0}
"""Numbers that make a quirk ask for no wait: that one is obeyed is tested elsewhere."""


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    place = Place(tmp_path_factory.mktemp("matrix"))
    with running(place) as server:
        place.host = server.host
        yield place


@pytest.fixture
def place(filled: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """Give the place with its registry as it was, in an empty home; signals are as they were afterwards."""
    filled.fill()
    shutil.rmtree(filled.root / "out", ignore_errors=True)
    environment = clean_environment(tmp_path)
    for name in set(os.environ) - set(environment):
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield filled
    for number, handler in handlers.items():
        signal.signal(number, handler)


def commands(group: typer.core.TyperGroup, prefix: str = "") -> Iterator[str]:
    """Name every command there is."""
    context = typer.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, typer.core.TyperGroup):
            yield from commands(command, f"{prefix}{name} ")
        else:
            yield f"{prefix}{name}"


def test_no_verb_is_left_out() -> None:
    """Every command that asks a registry has a row."""
    root = typer.main.get_command(app)
    assert isinstance(root, typer.core.TyperGroup)

    assert {verb.name for verb in VERBS} == set(commands(root)) - ASK_NOBODY - WANT_A_BUILDER


@pytest.mark.parametrize("quirk", ["none", *QUIRKS])
@pytest.mark.parametrize("verb", VERBS, ids=str)
def test_verb(
    verb: Verb, quirk: str, place: Place, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Right content and output, or 9 and all as it was, or 8 and the release up with what couldn't be cleaned."""
    text = f"{quirk}={SOON[quirk]}" if quirk in SOON else quirk
    if quirk != "none":
        place.front.switch_on(text)
    refused = QUIRKS[quirk].refuses if quirk != "none" else frozenset()
    before = place.tags
    expected = 9 if verb.is_refused(refused) else 8 if verb.last & refused else 0
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"secret\n")))

    code = run(verb.command(place))

    out, err = capfd.readouterr()
    assert (code, "Traceback" in err) == (expected, False), err
    stopped = next((after for ability, after in verb.refused.items() if ability in refused), unchanged)
    after = {0: verb.after, 8: verb.left}.get(code, stopped)
    assert place.tags == after(place, before, out), err
    assert place.holes() == []
    if code == 0:
        assert verb.right(place, out), out
    else:
        assert "regkit: error: " in err
