"""The order in which a release comes into a registry, by that registry's own access log; and which tags move."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from regkit.oci.manifest import Manifest
from regkit.targets.layout import Layout
from tests.support.command import output_of, peer
from tests.support.layouts import make_layout
from tests.support.registries import Logged, RunningRegistry
from tests.support.releases import PLATFORMS, REPOSITORY, publish_layout, tags_of, tags_put

UPLOADS = f"/v2/{REPOSITORY}/blobs/uploads/"
MANIFESTS = f"/v2/{REPOSITORY}/manifests/"
ALIASES_FIRST = ["1", "1.2", "1.2.3", "latest"]

Publish = Callable[..., CompletedProcess[str]]


@pytest.fixture
def released(registry: RunningRegistry, tmp_path: Path) -> Publish:
    """Publish a version whose content no other version has."""

    def publish(version: str, *options: str) -> CompletedProcess[str]:
        layout = tmp_path / f"layout-{len(list(tmp_path.glob('layout-*')))}"
        make_layout(layout, seed=int(layout.name.rpartition("-")[2]))
        return publish_layout(registry, layout, "--version", version, *options)

    return publish


def test_names_come_last_and_in_order(registry: RunningRegistry, tmp_path: Path) -> None:
    """Blobs are sent first, then the images, then the index by digest, then `1`, `1.2`, `1.2.3` and `latest`.

    So whoever pulls by tag at any moment finds a whole release.
    """
    make_layout(tmp_path / "layout", PLATFORMS, layers=2)

    digest = output_of(publish_layout(registry, tmp_path / "layout", "--version", "v1.2.3")).strip().partition("@")[2]

    children = [child.digest for child in Layout(tmp_path / "layout").manifest(index_of(tmp_path)).manifests]
    log = registry.requests()
    kinds = [kind for logged in log if (kind := kind_of(logged, digest))]
    assert kinds == sorted(kinds, key="uciT".index)
    assert {logged.path for logged in log if kind_of(logged, digest) == "c"} == {MANIFESTS + c for c in children}
    assert kinds.count("i") == 1
    assert tags_put(log) == ALIASES_FIRST


def test_the_registry_is_asked_for_all_that_it_took_before_a_tag_moves(
    registry: RunningRegistry, tmp_path: Path
) -> None:
    """No tag is written before the registry has shown every image, and each tag is read back after it was written."""
    make_layout(tmp_path / "layout", PLATFORMS)

    output_of(publish_layout(registry, tmp_path / "layout", "--version", "v1.2.3"))

    children = [child.digest for child in Layout(tmp_path / "layout").manifest(index_of(tmp_path)).manifests]
    log = registry.requests()
    first_tag = log.index(Logged("PUT", MANIFESTS + ALIASES_FIRST[0], 201))
    for child in children:
        shown = Logged("HEAD", MANIFESTS + child, 200)
        assert shown in log[log.index(Logged("PUT", MANIFESTS + child, 201)) : first_tag]
    for tag in ALIASES_FIRST:
        assert Logged("HEAD", MANIFESTS + tag, 200) in log[log.index(Logged("PUT", MANIFESTS + tag, 201)) :]


def test_blobs_are_sent_side_by_side(registry: RunningRegistry, tmp_path: Path) -> None:
    """At least four uploads are open at once: one is from the answer that opens it to the one that closes it."""
    make_layout(tmp_path / "layout", PLATFORMS, layers=8, layer_size=200_000)

    output_of(publish_layout(registry, tmp_path / "layout", "--version", "v1.2.3"))

    count, most = 0, 0
    for logged in registry.requests():
        if logged.path.startswith(UPLOADS):
            count += {("POST", 202): 1, ("PUT", 201): -1}[logged.method, logged.status]
            most = max(most, count)
    assert count == 0
    assert most >= 4


def test_a_backport_moves_only_its_own_line(registry: RunningRegistry, released: Publish) -> None:
    """`1.2.4` after `1.3.0`: who follows `1.2` gets it, who follows `1` or `latest` doesn't go back."""
    for version in ("v1.2.3", "v1.3.0"):
        output_of(released(version))
    before, mark = tags_of(registry), registry.mark()

    digest = output_of(released("v1.2.4")).strip().partition("@")[2]

    assert tags_put(registry.since(mark)) == ["1.2", "1.2.4"]
    assert tags_of(registry) == {**before, "1.2": digest, "1.2.4": digest}
    assert before["latest"] == before["1"] == before["1.3"] == before["1.3.0"]


@pytest.mark.parametrize("registry", ["distribution"], indirect=True)
def test_a_downgrade_can_be_asked_for(registry: RunningRegistry, released: Publish) -> None:
    """With `--allow-downgrade` an older version takes all aliases of its line, in the usual order."""
    output_of(released("v1.3.0"))
    before, mark = tags_of(registry), registry.mark()

    digest = output_of(released("v1.2.3", "--allow-downgrade")).strip().partition("@")[2]

    assert tags_put(registry.since(mark)) == ALIASES_FIRST
    assert tags_of(registry) == {**before, **dict.fromkeys(ALIASES_FIRST, digest)}


@pytest.mark.parametrize("registry", ["distribution"], indirect=True)
def test_a_prerelease_moves_nothing_else(registry: RunningRegistry, released: Publish) -> None:
    """A release candidate is there for those who name it, and for nobody else; nor does it hold an alias back."""
    output_of(released("v1.2.3"))
    before = tags_of(registry)

    digest = output_of(released("v2.0.0-rc.1")).strip().partition("@")[2]
    assert tags_of(registry) == {**before, "2.0.0-rc.1": digest}

    output_of(released("v1.2.4"))
    assert tags_of(registry)["latest"] == tags_of(registry)["1.2.4"]


@pytest.mark.parametrize("registry", ["distribution"], indirect=True)
def test_one_platform_gets_an_index_too(registry: RunningRegistry, released: Publish) -> None:
    """A release has the same shape for one platform as for many: an index, which can grow later."""
    name = output_of(released("v1.2.3")).strip()

    index = Manifest.parse(output_of(peer("crane", "manifest", name)).encode())
    assert index.is_index
    assert [str(child.platform) for child in index.manifests] == ["linux/amd64"]
    assert registry.tags(REPOSITORY) == ALIASES_FIRST


@pytest.mark.parametrize(("ref", "tag"), [("main", "main"), ("refs/heads/fix/Größe", "fix-Gr-e")])
@pytest.mark.parametrize("registry", ["distribution"], indirect=True)
def test_a_branch_publishes_its_own_tag(registry: RunningRegistry, released: Publish, ref: str, tag: str) -> None:
    """A branch's image goes by the branch's name, and a later one replaces it; no alias moves."""
    first = output_of(released(ref)).strip().partition("@")[2]
    second = output_of(released(ref)).strip().partition("@")[2]

    assert tags_of(registry) == {tag: second}
    assert first != second


@pytest.mark.parametrize("registry", ["distribution"], indirect=True)
def test_own_tags_are_written_in_the_order_given(registry: RunningRegistry, released: Publish) -> None:
    """With `-t` those tags are written and no others, in the order of the command line."""
    wanted = ["zebra", "1.2.3", "alpha", "latest"]

    output_of(released("v7.0.0", *(word for tag in wanted for word in ("-t", tag))))

    assert tags_put(registry.requests())[-len(wanted) :] == wanted
    assert sorted(tags_of(registry)) == sorted(wanted)


@pytest.mark.parametrize("registry", ["distribution"], indirect=True)
def test_an_exact_version_is_replaced_only_when_asked(registry: RunningRegistry, released: Publish) -> None:
    """Other content under a published version is refused before anything is written; `--no-immutable` replaces it."""
    output_of(released("v1.2.3"))
    before, mark = tags_of(registry), registry.mark()

    refused = released("v1.2.3")
    assert refused.returncode == 9
    assert refused.stdout == ""
    assert re.search(r":1\.2\.3 .*--no-immutable", refused.stderr, re.DOTALL)
    assert registry.writes(mark) == []
    assert tags_of(registry) == before

    digest = output_of(released("v1.2.3", "--no-immutable")).strip().partition("@")[2]
    assert tags_of(registry) == dict.fromkeys(ALIASES_FIRST, digest)
    assert digest not in before.values()


def index_of(tmp_path: Path) -> str:
    """Name the index that `make_layout` wrote."""
    (root,) = Layout(tmp_path / "layout").roots
    return root.digest


def kind_of(logged: Logged, index: str) -> str:
    """Tell what a request writes: an upload, a child, the index by digest, or a Tag; "" where it writes nothing."""
    if logged.method in {"POST", "PATCH", "PUT"} and logged.path.startswith(UPLOADS):
        return "u"
    if logged.method != "PUT":
        return ""
    name = logged.path.removeprefix(MANIFESTS)
    return "i" if name == index else "c" if ":" in name else "T"
