"""Publishing what is built already, to a registry on a socket."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from regkit.build.spec import BuildSpec
from regkit.devregistry.app import DevRegistry
from regkit.errors import NotFound, PartlyDone, Refused, UsageError, VerificationFailed
from regkit.events import ManifestPushed, Note, TagKept, TagMoved, TagRemoved
from regkit.oci.digest import Digest
from regkit.oci.manifest import Manifest
from regkit.ops.copy import CopySpec, copy
from regkit.ops.publish import plan, publish
from regkit.ops.request import publish_spec
from regkit.protocol.flow import Request, Response
from regkit.targets.layout import Layout
from regkit.targets.location import Location
from regkit.targets.repository import Repository
from tests.ops.support import (
    COMMIT,
    ORDER,
    PLATFORMS,
    Cascading,
    Devouring,
    Lagging,
    Undeletable,
    attested_layout,
    manifest_name,
    release,
    serving,
    tags_put,
)


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    return attested_layout(tmp_path / "layout", *PLATFORMS)


def test_a_release(layout: Path) -> None:
    """Content first, then the tags in their order, all on one index with the variants asked for and attestations."""
    with serving() as served:
        result = release(served, layout, platforms=["linux/amd64,linux/arm64/v8"], annotations=["k=v"])

        assert served.tags() == dict.fromkeys(ORDER, result.index.digest)
        index = Repository(served.session, served.reference()).manifest("latest")
    assert tags_put(served) == ORDER
    assert served.writes[-4:] == [f"PUT /v2/team/hello/manifests/{tag}" for tag in ORDER]
    assert [str(child.platform) for child in index.manifests] == [
        "linux/amd64",
        "unknown/unknown",
        "linux/arm64/v8",
        "unknown/unknown",
    ]
    assert index.annotations["k"] == "v"
    assert index.annotations["org.opencontainers.image.version"] == "1.2.3"
    assert index.annotations["org.opencontainers.image.revision"] == COMMIT
    assert (result.tags, result.kept, result.reused, result.unfinished) == (tuple(ORDER), (), False, None)
    assert str(result) == f"{served.host}/team/hello@{index.digest}"
    assert [event.tag for event in served.events if isinstance(event, TagMoved)] == ORDER
    assert json.loads(json.dumps(result.to_json()))["digest"] == index.digest


@pytest.mark.parametrize("intermediate", ["digest", "tag"])
def test_a_rerun_writes_nothing(layout: Path, intermediate: str) -> None:
    """The same publish again sends no request that writes, and gives the same digest."""
    with serving() as served:
        first = release(served, layout, intermediate=intermediate)
        served.access.clear()
        served.events.clear()

        again = release(served, layout, intermediate=intermediate)

        assert again.index == first.index
        assert served.writes == []
        assert served.access
    assert [event.tag for event in served.events if isinstance(event, TagKept)] == ORDER
    assert not [event for event in served.events if isinstance(event, ManifestPushed)]


def test_a_rerun_finishes(layout: Path) -> None:
    """Where a tag is missing, as after a crash, only that is written."""
    with serving() as served:
        result = release(served, layout)
        Repository(served.session, served.reference()).untag("1.2")
        served.access.clear()

        assert release(served, layout).index == result.index
        assert served.writes == ["PUT /v2/team/hello/manifests/1.2"]


def test_intermediate_tags_come_and_go(layout: Path) -> None:
    """Platform tags name the images on the way; afterwards they are gone, and all of the release is there."""
    with serving() as served:
        result = release(served, layout, intermediate="tag")

        assert served.tags() == dict.fromkeys(ORDER, result.index.digest)
        target = Repository(served.session, served.reference())
        index = target.manifest(result.index.digest)
        assert all(target.exists(child) for child in index.manifests)
    names = [f"8f3c2b1-linux-{arch}" for arch in ("amd64", "arm64", "arm-v7")]
    assert sorted(tags_put(served)[:3]) == sorted(names)
    assert tags_put(served)[3:] == ORDER
    assert [event.tag for event in served.events if isinstance(event, TagRemoved)] == names
    assert served.writes[-3:] == [f"DELETE /v2/team/hello/manifests/{name}" for name in names]


def test_intermediate_tags_may_stay(layout: Path) -> None:
    """--keep-intermediate leaves them."""
    with serving() as served:
        release(served, layout, intermediate="tag", keep_intermediates=True)

        assert len(served.tags()) == 7
    assert not [line for line in served.writes if line.startswith("DELETE")]


def test_a_foreign_tag_with_an_intermediate_name_stays(layout: Path, tmp_path: Path) -> None:
    """What isn't ours isn't removed, even under our name."""
    other = attested_layout(tmp_path / "other", "linux/amd64", content="other")
    with serving() as served:
        release(served, layout)
        foreign = release(served, other, tags=["8f3c2b1-linux-amd64"])

        release(served, layout, intermediate="tag")

        assert served.tags()["8f3c2b1-linux-amd64"] == foreign.index.digest


def test_a_registry_that_cascades(layout: Path) -> None:
    """A registry that takes content along with a tag gets it back from memory, and the user is told."""
    with serving(Cascading()) as served:
        result = release(served, layout, intermediate="tag")

        assert served.tags() == dict.fromkeys(ORDER, result.index.digest)
        target = Repository(served.session, served.reference())
        for child in target.manifest("latest").manifests:
            assert target.manifest(child.digest).digest == child.digest
    warnings = [event.text for event in served.events if isinstance(event, Note) and event.warning]
    assert len(warnings) == len(PLATFORMS)
    assert all("it is pushed back" in text for text in warnings)


def test_a_registry_that_devours(layout: Path) -> None:
    """Even where the index and its tags went along, all of it is brought back, the tags in their order."""
    with serving(Devouring()) as served:
        result = release(served, layout, platforms=["linux/amd64"], intermediate="tag")

        assert served.tags() == dict.fromkeys(ORDER, result.index.digest)
        target = Repository(served.session, served.reference())
        assert all(target.exists(child) for child in target.manifest("latest").manifests)
    assert served.writes[-4:] == [f"PUT /v2/team/hello/manifests/{tag}" for tag in ORDER]


def test_a_registry_that_cannot_delete(layout: Path) -> None:
    """The release is up, the intermediate tags stay and are named; nothing is deleted by digest instead."""
    with serving(Undeletable()) as served:
        result = release(served, layout, intermediate="tag")

        assert {tag: served.tags()[tag] for tag in ORDER} == dict.fromkeys(ORDER, result.index.digest)
        assert len(served.tags()) == 7
    assert isinstance(result.unfinished, PartlyDone)
    assert result.unfinished.exit_code == 8
    assert "8f3c2b1-linux-arm-v7" in result.unfinished.message
    assert [line for line in served.writes if line.startswith("DELETE")] == [
        "DELETE /v2/team/hello/manifests/8f3c2b1-linux-amd64"
    ]


def test_an_immutable_version(layout: Path, tmp_path: Path) -> None:
    """Other content under a published version is refused before anything is written; unless that is asked for."""
    other = attested_layout(tmp_path / "other", *PLATFORMS, content="changed")
    with serving() as served:
        first = release(served, layout)
        served.access.clear()

        with pytest.raises(Refused, match=r"1\.2\.3 is published already with other content") as caught:
            release(served, other)

        assert caught.value.exit_code == 9
        assert served.writes == []
        assert served.tags() == dict.fromkeys(ORDER, first.index.digest)
        replaced = release(served, other, immutable=False)
        assert served.tags() == dict.fromkeys(ORDER, replaced.index.digest)


def test_an_older_release_moves_no_alias_back(layout: Path, tmp_path: Path) -> None:
    """A patch of an old line gets its own tags; what is higher keeps the others."""
    newer = attested_layout(tmp_path / "newer", *PLATFORMS, content="newer")
    with serving() as served:
        higher = release(served, newer, "v2.0.0")
        lower = release(served, layout)

        assert served.tags()["latest"] == higher.index.digest
        assert {served.tags()[tag] for tag in ("1", "1.2", "1.2.3")} == {str(lower.index.digest)}
    assert (lower.tags, lower.kept) == (("1", "1.2", "1.2.3"), ("latest",))
    assert TagKept("latest", "2.0.0 is higher") in served.events


def test_a_tag_that_shows_late(layout: Path) -> None:
    """A registry that lags behind its own answers is waited for."""
    with serving(Lagging(3)) as served:
        result = release(served, layout)

        assert served.tags() == dict.fromkeys(ORDER, result.index.digest)
    assert served.waits


def test_a_tag_that_never_shows(layout: Path) -> None:
    """A tag that was taken and doesn't show is an error after a bounded wait."""
    with (
        serving(Lagging(1_000_000)) as served,
        pytest.raises(VerificationFailed, match="was written, but shows nothing"),
    ):
        release(served, layout)

    assert 0 < sum(served.waits) < 4 * 30


class Forgetful(DevRegistry):
    """It takes manifests by digest, and then doesn't know them."""

    def handle(self, request: Request) -> Response:
        name = manifest_name(request)
        if request.method == "HEAD" and name.startswith("sha"):
            return Response(404)
        return super().handle(request)


def test_a_registry_that_forgets(layout: Path) -> None:
    """No tag moves when a child that was taken isn't there."""
    with serving(Forgetful()) as served:
        with pytest.raises(VerificationFailed, match="took everything, but doesn't have sha256:"):
            release(served, layout)

        assert served.tags() == {}


def test_what_is_published_is_not_built_again(layout: Path, tmp_path: Path) -> None:
    """Where this version stands there from this very source, no builder is asked; what lacks is written."""
    with serving() as served:
        first = release(served, layout)
        spec = publish_spec(f"{served.host}/team/hello", sources=[layout], version="v1.2.3", commit=COMMIT, env={})
        building = BuildSpec(tmp_path, tmp_path / "Dockerfile", spec.platforms)
        Repository(served.session, served.reference()).untag("1")
        served.access.clear()

        again = publish(served.session, replace(spec, content=None, build=building), env={"PATH": ""})

        assert (again.index, again.reused, len(again.images)) == (first.index, True, len(PLATFORMS))
        assert served.writes == ["PUT /v2/team/hello/manifests/1"]
        assert served.tags() == dict.fromkeys(ORDER, first.index.digest)


def test_a_dry_run(layout: Path) -> None:
    """Planning asks the registry and writes nothing."""
    with serving() as served:
        spec = publish_spec(f"{served.host}/team/hello", sources=[layout], version="v1.2.3", commit=COMMIT, env={})
        planned = plan(served.session, spec)

        assert [decision.tag for decision in planned.tags] == ORDER
        assert served.writes == []


def test_what_is_shared_is_sent_once(tmp_path: Path) -> None:
    """A blob that several images have goes over the wire once."""
    layout = attested_layout(tmp_path / "layout", *PLATFORMS)
    blobs = len(list((layout / "blobs" / "sha256").iterdir()))
    with serving() as served:
        release(served, layout)

    sent = [line for line in served.writes if line.startswith("PUT") and "/blobs/" in line]
    manifests = len({line for line in served.writes if "/manifests/sha256:" in line})
    assert len(sent) == blobs - manifests  # the layout's own index isn't pushed, ours is


def test_only_what_is_asked_for_is_sent(layout: Path) -> None:
    """Images of other platforms stay where they are."""
    with serving() as served:
        result = release(served, layout, platforms=["linux/arm/v7"])

        index = Repository(served.session, served.reference()).manifest("latest")
    assert [str(child.platform) for child in index.manifests] == ["linux/arm/v7", "unknown/unknown"]
    assert len(result.images) == 1


@pytest.mark.parametrize(
    ("options", "kind", "said"),
    [
        ({"platforms": ["linux/s390x"]}, NotFound, "no image for linux/s390x"),
        ({"platforms": ["linux/arm64,linux/arm64/v8"]}, UsageError, "the same"),
        ({"version": "1.2"}, UsageError, "not a semantic version"),
        ({"tags": ["-x"]}, UsageError, "not a tag"),
        ({"commit": "xyz", "intermediate": "tag"}, UsageError, "not a commit"),
        ({"intermediate": "name"}, UsageError, "'digest' or 'tag'"),
        ({"annotations": ["manifest:a=b"]}, UsageError, "an image's own bytes"),
        ({"sources": ["/nonexistent"]}, UsageError, "isn't an OCI image layout"),
    ],
)
def test_wrong_input_is_found_before_anything_is_asked(
    layout: Path, options: dict[str, Any], kind: type[Exception], said: str
) -> None:
    """What can't be meant is refused with a sentence, without a registry."""
    with pytest.raises(kind, match=said):
        publish_spec("registry.invalid/a", env={}, **{"sources": [layout], "version": "v1.2.3", **options})


@pytest.mark.parametrize("image", ["registry.invalid/a:1", f"registry.invalid/a@{Digest.of(b'')}", "A"])
def test_an_image_is_a_repository(layout: Path, image: str) -> None:
    """Tags come from the version, not from the image's name."""
    with pytest.raises(UsageError):
        publish_spec(image, sources=[layout], version="v1.2.3", env={})


def test_ci_and_git_complete_the_request(layout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Version, commit and platforms come from where the user didn't say them; without any version it's refused."""
    env = {"GITHUB_REF": "refs/tags/v3.0.0", "GITHUB_SHA": COMMIT, "DOCKER_PLATFORMS": "linux/arm64/v8,linux/amd64"}
    spec = publish_spec("registry.invalid/a", sources=[layout], env=env)

    assert (spec.wanted_tags[2], spec.commit) == ("3.0.0", COMMIT)
    assert [str(platform) for platform in spec.platforms] == ["linux/arm64/v8", "linux/amd64"]
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="no version is known"):
        publish_spec("registry.invalid/a", sources=[layout], env={})
    assert publish_spec("registry.invalid/a", sources=[layout], tags=["x", "x"], env={}).wanted_tags == ("x",)


def test_the_index_is_the_registrys_own_bytes(layout: Path) -> None:
    """The digest that is printed is that of the bytes that the registry has."""
    with serving() as served:
        result = release(served, layout)
        raw = served.registry.handle(Request("GET", "/v2/team/hello/manifests/1.2.3")).body.read()

    assert Manifest(result.index.media_type, raw).digest == result.index.digest


class NoMounts(DevRegistry):
    """It shares nothing: a mount opens an upload instead, as the specification allows."""

    def handle(self, request: Request) -> Response:
        return super().handle(replace(request, url=request.url.partition("?mount=")[0]))


def test_what_is_in_the_repository_already_is_not_sent_to_it(layout: Path) -> None:
    """Images that were pushed by digest, without a tag anywhere: nothing is uploaded, whether or not it can mount."""
    index = Layout(layout).roots[0].digest
    with serving(NoMounts()) as served:
        place = f"{served.host}/team/hello@{index}"
        copy(served.session, CopySpec(Location.parse(f"ocidir://{layout}:built"), Location.parse(place)))
        assert served.tags() == {}
        served.access.clear()

        spec = publish_spec(
            f"{served.host}/team/hello", sources=[place], session=served.session, version="v1.2.3", env={}
        )
        result = publish(served.session, spec, env={})

        assert served.tags() == dict.fromkeys(ORDER, result.index.digest)
        assert not [line for line in served.writes if "/blobs/" in line]


def test_a_reference_needs_a_session() -> None:
    """Without a session only local places can be read."""
    with pytest.raises(UsageError, match="a session is needed"):
        publish_spec("registry.invalid/a", sources=["registry.invalid/b:1"], version="v1.2.3", env={})
