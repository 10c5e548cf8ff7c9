"""A registry, or the way to it, that fails: what it asks for is obeyed, and what can be survived is."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from email.utils import formatdate
from pathlib import Path

import pytest

from tests.support.command import output_of, peer, regkit
from tests.support.layouts import make_layout
from tests.support.proxy import Proxy, Rule, proxy
from tests.support.registries import RunningRegistry

pytestmark = pytest.mark.parametrize("registry", ["distribution"], indirect=True)

REQUESTS = {
    "the list of tags": ("GET", "/tags/list"),
    "the look for a blob": ("HEAD", "/blobs/"),
    "the begin of an upload": ("POST", "/blobs/uploads/"),
    "a blob": ("PUT", "/blobs/uploads/"),
    "the look for a manifest": ("HEAD", "/manifests/sha256:"),
    "a manifest": ("PUT", "/manifests/sha256:"),
    "a tag": ("PUT", "/manifests/1.2.3$"),
}
TAGS = ["1", "1.2", "1.2.3", "latest"]
ANOTHER = "another"

Wish = Callable[[], Mapping[str, str]]


def in_a_second() -> Mapping[str, str]:
    return {"Retry-After": "1"}


def at_the_next_full_second() -> Mapping[str, str]:
    return {"Retry-After": formatdate(int(time.time()) + 1, usegmt=True)}


def at_a_unix_time() -> Mapping[str, str]:
    return {"Retry-After": str(int(time.time()) + 1)}


@pytest.mark.parametrize(
    ("status", "wish"), [(503, in_a_second), (429, at_the_next_full_second), (429, at_a_unix_time)]
)
def test_retry_after_is_obeyed_and_survived(registry: RunningRegistry, tmp_path: Path, status: int, wish: Wish) -> None:
    """503 and 429 on any request: it comes again when the registry said so, not earlier, and the release is whole.

    `Retry-After` counts seconds, or is an HTTP date, or, as Docker Hub writes it, a Unix time. Each wait is shown.
    """
    make_layout(tmp_path / "layout")
    tag_another(registry, tmp_path)
    with proxy(registry.host) as between:
        refused = {name: between.answer(*request, status, wish) for name, request in REQUESTS.items()}

        done = regkit("--progress", "json", *publish(tmp_path, between))

        output_of(done)
        for name, rule in refused.items():
            assert_obeyed(between, rule, wish, name)
        check_whole(registry)
    shown = [event for event in map(json.loads, done.stderr.splitlines()) if event["event"] == "RetryScheduled"]
    assert [event["reason"] for event in shown] == [f"answered {status}"] * len(REQUESTS)
    assert {event["attempt"] for event in shown} == {2}
    assert all(0 <= event["delay"] <= 1 for event in shown)


def test_wait_is_shown_to_people(registry: RunningRegistry, tmp_path: Path) -> None:
    """A line on stderr names the request, the answer and the wait."""
    make_layout(tmp_path / "layout")
    with proxy(registry.host) as between:
        between.answer("GET", "/tags/list", 429, {"Retry-After": "0"})

        done = regkit(*publish(tmp_path, between))

    output_of(done)
    assert f"again in 0.0s (try 2): GET {between.host}/v2/app/tags/list: answered 429\n" in done.stderr


@pytest.mark.parametrize("value", ["3600", pytest.param(formatdate(4102444800, usegmt=True), id="in 2100")])
def test_wait_that_is_too_long_is_not_waited(registry: RunningRegistry, tmp_path: Path, value: str) -> None:
    """A registry that wants us back in an hour, or in a far year: 75 at once, with one request and its own word."""
    make_layout(tmp_path / "layout")
    with proxy(registry.host) as between:
        busy = between.answer("GET", "/tags/list", 429, {"Retry-After": value}, times=9)
        begin = time.monotonic()

        done = regkit(*publish(tmp_path, between))

        assert time.monotonic() - begin < 10
        assert len(busy.seen) == 1
    assert done.returncode == 75
    assert f"regkit: error: can't list the tags of app: {between.host} answered 429 Too Many Requests\n" in done.stderr
    assert f"  hint: try again later; it said Retry-After: {value}\n" in done.stderr
    assert "Traceback" not in done.stderr
    assert registry.writes() == []


def test_registry_that_stays_busy_is_left_alone(registry: RunningRegistry, tmp_path: Path) -> None:
    """After four tries it is 75 with a sentence; no tag has moved, and the same command later does the rest."""
    make_layout(tmp_path / "layout")
    with proxy(registry.host) as between:
        busy = between.answer("PUT", "/manifests/1$", 503, {"Retry-After": "0"}, times=4)

        done = regkit(*publish(tmp_path, between))

        assert (done.returncode, len(busy.seen)) == (75, 4)
        assert f"regkit: error: can't write 1 in app: {between.host} answered 503 Service Unavailable\n" in done.stderr
        assert registry.tags("app") == []
        output_of(regkit(*publish(tmp_path, between)))
        check_whole(registry)


@pytest.mark.parametrize("after", [0, 1_000_000, pytest.param(None, id="before the answer")])
def test_reset_during_an_upload_is_survived(registry: RunningRegistry, tmp_path: Path, after: int | None) -> None:
    """A connection that breaks in a blob, or when only the answer is missing: the blob is whole in the end.

    Where the registry has it already, it isn't sent again.
    """
    make_layout(tmp_path / "layout", layer_size=4_000_000)
    with proxy(registry.host) as between:
        broken = between.cut("PUT", "/blobs/uploads/", after)

        output_of(regkit(*publish(tmp_path, between)))

        assert len(broken.seen) == 1
        assert len(between.requests("PUT", "/blobs/uploads/")) == (2 if after is None else 3)
        check_whole(registry)


@pytest.mark.parametrize("request_kind", [kind for kind in REQUESTS if kind != "a blob"])
@pytest.mark.parametrize("after", [0, pytest.param(None, id="before the answer")])
def test_reset_of_any_request_is_survived(
    registry: RunningRegistry, tmp_path: Path, request_kind: str, after: int | None
) -> None:
    """A connection that breaks at any other request, or when only its answer is missing: the release is whole."""
    make_layout(tmp_path / "layout")
    tag_another(registry, tmp_path)
    with proxy(registry.host) as between:
        broken = between.cut(*REQUESTS[request_kind], after)

        output_of(regkit(*publish(tmp_path, between)))

        assert len(broken.seen) == 1
        check_whole(registry)


def publish(directory: Path, between: Proxy) -> tuple[str | Path, ...]:
    """Give the arguments that publish the layout below `directory`."""
    return ("publish", "--from", directory / "layout", "--image", f"{between.host}/app", "--version", "v1.2.3")


def tag_another(registry: RunningRegistry, directory: Path) -> None:
    """Publish something else: in a repository that has tags, content is asked for before it is sent."""
    make_layout(directory / ANOTHER, seed=1)
    image = f"{registry.host}/app"
    output_of(regkit("publish", "--from", directory / ANOTHER, "--image", image, "--tag", ANOTHER))


def assert_obeyed(between: Proxy, rule: Rule, wish: Wish, name: str) -> None:
    """Compare when a refused request came again with what its answer asked for."""
    first = rule.seen[0]
    again = [e for e in between.requests(first.method) if e.path == first.path and e.at > first.at]
    assert again, f"{name} never came again"
    # Uploads of two blobs begin with the same request: only the last one is the refused one's second try.
    waited = again[-1 if first.method == "POST" else 0].at - first.at
    if wish is in_a_second:
        assert waited >= 1, name
    else:
        wall = first.at + time.time() - time.monotonic()
        assert wall + waited >= int(wall) + 0.99, name


def check_whole(registry: RunningRegistry) -> None:
    """Let a peer read every blob and compare its digest."""
    assert [tag for tag in registry.tags("app") if tag != ANOTHER] == TAGS
    output_of(peer("crane", "validate", "--remote", f"{registry.host}/app:1.2.3"))
