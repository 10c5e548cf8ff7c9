"""Logins that a build turns out to need: lent to the builder once it was refused, and none of others."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.test_access import SECRET, assert_has_no_secret, htpasswd, log_in
from tests.support.command import output_of, peer, regkit
from tests.support.layouts import make_layout
from tests.support.registries import RunningRegistry, distribution

OPEN = pytest.mark.parametrize("registry", ["distribution"], indirect=True)


@pytest.fixture
def closed(tmp_path: Path, home: Path) -> Iterator[RunningRegistry]:
    """Give a registry with an image that one user may read, who isn't known by his login yet."""
    with distribution(tmp_path / "closed", extra_config=htpasswd(tmp_path)) as registry:
        make_layout(home / "layout")
        place = log_in(home, registry.host)
        output_of(regkit("copy", f"ocidir://{home}/layout", f"{registry.host}/files:1", home=home))
        place.unlink()
        yield registry


def base_with(trigger: str, home: Path, registry: RunningRegistry, builder: str) -> list[str | Path]:
    """Publish a base image with a trigger; give the command that builds on it."""
    for name, text in (
        ("base", f"FROM scratch\nCOPY Dockerfile /\nONBUILD {trigger}\n"),
        ("own", f"FROM {registry.host}/base:1.0.0\n"),
    ):
        (home / name).mkdir()
        (home / name / "Dockerfile").write_text(text)
    words = ("--version", "1.0.0")
    base = regkit("publish", home / "base", "--image", f"{registry.host}/base", *words, env={"BUILDKIT_HOST": builder})
    output_of(base)
    return ["-v", "publish", home / "own", "--image", f"{registry.host}/app", *words]


@OPEN
def test_what_a_base_images_trigger_reads(
    closed: RunningRegistry, registry: RunningRegistry, home: Path, builder: str
) -> None:
    """`ONBUILD COPY --from` an image behind a login: it's lent when the registry refuses, it is said, and it builds."""
    command = base_with(f"COPY --from={closed.host}/files:1 /content /taken", home, registry, builder)
    log_in(home, closed.host)
    log_in(home, "other.test", password=f"{SECRET}-of-another")

    done = regkit(*command, home=home, env={"BUILDKIT_HOST": builder})

    name = output_of(done).strip()
    assert f"reads {closed.host}/files:1, which nothing named: the builder gets the login for {closed.host}\n" in (
        done.stderr
    )
    assert done.stderr.count("which nothing named") == 1
    assert_has_no_secret(done.stderr, "what regkit said")
    image = json.loads(output_of(peer("crane", "config", name)))
    assert any("COPY /content /taken" in step.get("created_by", "") for step in image["history"])
    assert list((home / ".cache/regkit/run").iterdir()) == []


@OPEN
@pytest.mark.parametrize("password", [None, "wrong"])
def test_without_a_login_that_is_right(
    closed: RunningRegistry, registry: RunningRegistry, home: Path, builder: str, password: str | None
) -> None:
    """None, or a wrong one, is no reason to ask without end: 6, the image is named, and nothing is pushed."""
    command = base_with(f"COPY --from={closed.host}/files:1 /content /taken", home, registry, builder)
    if password:
        log_in(home, closed.host, password=password)
    mark = registry.mark()

    done = regkit(*command, home=home, env={"BUILDKIT_HOST": builder})

    assert (done.returncode, done.stdout) == (6, ""), done.stderr
    assert f"the base image {closed.host}/files:1 can't be used for linux/amd64: " in done.stderr
    assert "  hint: are the credentials for its registry in Docker's configuration?\n" in done.stderr
    assert done.stderr.count("which nothing named") == (1 if password else 0)
    assert registry.writes(mark) == []


@OPEN
def test_a_name_that_only_buildkit_reads(
    closed: RunningRegistry, registry: RunningRegistry, home: Path, builder: str
) -> None:
    """An image that the Dockerfile names in a form which isn't understood here gets its login so, too."""
    (home / "own").mkdir()
    (home / "own" / "Dockerfile").write_text(f"ARG HOST={closed.host}\nFROM ${{HOST#x}}/files:1\n")
    log_in(home, closed.host)
    image = f"{registry.host}/app"

    done = regkit(
        *("publish", home / "own", "--image", image, "--version", "1.0.0"), home=home, env={"BUILDKIT_HOST": builder}
    )

    assert output_of(done).startswith(f"{image}@sha256:")
    assert f"reads {closed.host}/files:1, which nothing named" in done.stderr
