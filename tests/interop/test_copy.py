"""Copy beside its peers, between distribution v3 and docker-registry 2.8."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from regkit.oci import mediatype
from regkit.oci.digest import Digest
from tests.ops.support import attested_layout
from tests.support.command import output_of, peer, regkit
from tests.support.layouts import make_layout
from tests.support.memory import peak_memory
from tests.support.registries import RunningRegistry, debian, distribution
from tests.support.releases import validate

PLATFORMS = ("linux/amd64", "linux/arm64/v8")


@dataclass(frozen=True)
class Pair:
    new: RunningRegistry
    """distribution v3"""
    old: RunningRegistry
    """docker-registry 2.8"""
    layout: Path
    digest: str

    @property
    def regctl(self) -> tuple[str, ...]:
        """The command, told which hosts speak plain http."""
        hosts = (f"reg={registry.host},tls=disabled" for registry in (self.new, self.old))
        return ("regctl", *(word for host in hosts for word in ("--host", host)))


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    root = tmp_path_factory.mktemp("pair")
    index = make_layout(root / "layout", PLATFORMS, layers=2, layer_size=100_000)
    with distribution(root / "new") as new, debian(root / "old") as old:
        yield Pair(new, old, root / "layout", index.digest)


def digest_of(name: str) -> str:
    return output_of(peer("crane", "digest", name)).strip()


@pytest.mark.parametrize("producer", ["crane", "regctl", "oras", "skopeo"])
def test_what_a_peer_pushed_is_copied_with_its_digest(pair: Pair, producer: str) -> None:
    """An index that any of them pushed goes from one registry to the other unchanged, and whole, in both directions."""
    name, there = f"{pair.new.host}/{producer}:1", f"{pair.old.host}/{producer}:1"
    back = f"{pair.new.host}/{producer}/back:1"
    layout = f"{pair.layout}:built"
    commands = {
        "crane": ("crane", "push", "--index", pair.layout, name),
        "regctl": (*pair.regctl, "image", "copy", f"ocidir://{layout}", name),
        "oras": ("oras", "cp", "--from-oci-layout", layout, "--to-plain-http", name),
        "skopeo": ("skopeo", "copy", "--all", "--dest-tls-verify=false", f"oci:{layout}", f"docker://{name}"),
    }
    output_of(peer(*commands[producer]))
    pushed = digest_of(name)

    output_of(regkit("copy", name, there))
    output_of(regkit("copy", there, back))

    assert digest_of(there) == digest_of(back) == pushed
    assert producer == "crane" or pushed == pair.digest  # crane pushes the layout's own index.json
    for copied in (there, back):
        validate(f"{copied.rpartition(':')[0]}@{pair.digest}", PLATFORMS)


def test_peers_read_what_was_copied(pair: Pair, tmp_path: Path) -> None:
    """Crane, skopeo, regctl and oras take the copy on, each with the digest that the layout had."""
    name = f"{pair.old.host}/read:1"
    output_of(regkit("copy", f"ocidir://{pair.layout}:built", name))

    validate(name, PLATFORMS)
    skopeo, oras, regctl = (tmp_path / tool for tool in ("skopeo", "oras", "regctl"))
    output_of(peer("skopeo", "copy", "--all", "--src-tls-verify=false", f"docker://{name}", f"oci:{skopeo}:1"))
    output_of(peer("oras", "cp", "--from-plain-http", name, "--to-oci-layout", f"{oras}:1"))
    output_of(peer(*pair.regctl, "image", "copy", name, f"ocidir://{regctl}:1"))
    for copied in (skopeo, oras, regctl):
        again = f"{pair.new.host}/read/{copied.name}:1"
        assert output_of(regkit("copy", f"ocidir://{copied}:1", again)).endswith(f"@{pair.digest}\n")
        validate(again, PLATFORMS)


def test_docker_types_stay_docker_types(pair: Pair) -> None:
    """Skopeo makes a Docker manifest list of the layout; copied to v3 and into a layout it still is one."""
    source, there = f"{pair.old.host}/docker:1", f"{pair.new.host}/docker:1"
    options = ("--all", "--format", "v2s2", "--dest-tls-verify=false")
    output_of(peer("skopeo", "copy", *options, f"oci:{pair.layout}:built", f"docker://{source}"))

    output_of(regkit("copy", source, there))

    shown = json.loads(output_of(peer("crane", "manifest", there)))
    assert shown["mediaType"] == mediatype.DOCKER_INDEX
    assert digest_of(there) == digest_of(source)
    validate(there, PLATFORMS)


def test_within_a_registry_nothing_is_sent(pair: Pair) -> None:
    """Distribution mounts every blob: no upload is opened and no blob read."""
    source, there = f"{pair.new.host}/mount:1", f"{pair.new.host}/mounted:1"
    output_of(regkit("copy", f"ocidir://{pair.layout}:built", source))
    mark = pair.new.mark()

    output_of(regkit("copy", source, there))

    seen = pair.new.since(mark)
    posts = [logged for logged in seen if logged.method == "POST"]
    assert posts
    assert all(logged.status == 201 and "mount=" in logged.path for logged in posts)
    assert not [logged for logged in seen if "/blobs/" in logged.path and logged.method in ("GET", "PATCH", "PUT")]
    validate(there, PLATFORMS)


def test_a_new_repository_is_asked_for_nothing(pair: Pair) -> None:
    """Each blob takes the request that asks for it and opens its upload, and the one that brings it; no HEAD."""
    there = f"{pair.new.host}/blank:1"
    mark = pair.new.mark()

    output_of(regkit("copy", f"ocidir://{pair.layout}:built", there))

    seen = pair.new.since(mark)
    blobs = len(PLATFORMS) * 3
    assert Counter(logged.method for logged in seen if "/blobs/" in logged.path) == {"POST": blobs, "PUT": blobs}
    assert len(seen) == 2 * blobs + len(PLATFORMS) + 1 + 3  # the tag is looked up, listed and read back
    validate(there, PLATFORMS)


def test_a_new_tag_beside_others_is_asked_for(pair: Pair) -> None:
    """Where a repository has tags its content may be there, and is not sent again."""
    there = f"{pair.new.host}/beside"
    output_of(regkit("copy", f"ocidir://{pair.layout}:built", f"{there}:1"))
    mark = pair.new.mark()

    output_of(regkit("copy", f"ocidir://{pair.layout}:built", f"{there}:2"))

    assert [logged.path for logged in pair.new.writes(mark)] == ["/v2/beside/manifests/2"]


def test_an_artifact_and_what_oras_attached_to_it(pair: Pair, tmp_path: Path) -> None:
    """What oras pushed and attached, and attached to that, is copied with --referrers; oras discovers it there."""
    source, there = f"{pair.new.host}/artifact:1", f"{pair.old.host}/artifact:1"
    file = tmp_path / "file.txt"
    file.write_text("content")
    plain = ("--plain-http", "--disable-path-validation")
    output_of(peer("oras", "push", *plain, "--artifact-type", "application/vnd.example", source, file))
    digest = digest_of(source)
    first = peer("oras", "attach", *plain, "--artifact-type", "application/vnd.example.sig", source, file)
    assert first.returncode == 0, first.stderr
    signature = _discover(source)[0]["digest"]
    second = f"{pair.new.host}/artifact@{signature}"
    output_of(peer("oras", "attach", *plain, "--artifact-type", "application/vnd.example.sig2", second, file))

    output_of(regkit("copy", "--referrers", source, there))

    assert digest_of(there) == digest
    assert [each["digest"] for each in _discover(there)] == [signature]
    (counter,) = _discover(f"{pair.old.host}/artifact@{signature}")
    assert counter["artifactType"] == "application/vnd.example.sig2"
    file.unlink()
    output_of(peer("oras", "pull", "--plain-http", "--allow-path-traversal", there))
    assert file.read_text() == "content"


def _discover(name: str) -> list[dict[str, Any]]:
    shown = json.loads(output_of(peer("oras", "discover", "--plain-http", "--format", "json", name)))
    found: list[dict[str, Any]] = shown.get("referrers") or shown.get("manifests") or []
    return found


def test_regkit_attaches_nothing_that_oras_loses(pair: Pair, tmp_path: Path) -> None:
    """The other way round: what regkit copied with its referrers, oras copies on with -r."""
    source, there = f"{pair.old.host}/onward:1", f"{pair.new.host}/onward:1"
    file = tmp_path / "file.txt"
    file.write_text("content")
    plain = ("--plain-http", "--disable-path-validation")
    output_of(regkit("copy", f"ocidir://{pair.layout}:built", source))
    output_of(peer("oras", "attach", *plain, "--artifact-type", "application/vnd.example.sig", source, file))
    middle = f"{pair.new.host}/onward/middle:1"
    output_of(regkit("copy", "--referrers", source, middle))

    output_of(peer("oras", "cp", "-r", "--from-plain-http", "--to-plain-http", middle, there))

    assert _discover(there)[0]["digest"] == _discover(source)[0]["digest"]


def test_all_tags_as_crane_copies_them(pair: Pair) -> None:
    """The tags and digests are those of `crane copy --all-tags`."""
    source, by_crane, by_regkit = (f"{pair.new.host}/mirror/{name}" for name in ("source", "crane", "regkit"))
    for tag in ("1", "1.0", "latest"):
        output_of(regkit("copy", f"ocidir://{pair.layout}:built", f"{source}:{tag}"))
    output_of(peer("crane", "copy", "--all-tags", source, by_crane))

    output_of(regkit("copy", "--all-tags", source, by_regkit))

    assert pair.new.tags("mirror/regkit") == pair.new.tags("mirror/crane") == ["1", "1.0", "latest"]
    assert {digest_of(f"{by_regkit}:{tag}") for tag in ("1", "1.0", "latest")} == {pair.digest}


def test_match_copies_what_skopeos_tag_regex_does(pair: Pair, tmp_path: Path) -> None:
    """The tags are those of `skopeo sync` with `images-by-tag-regex`, whose expressions need the anchors."""
    source, there = f"{pair.new.host}/series", f"{pair.new.host}/matched/series"
    for tag in ("1", "1.0", "1.1", "v1.1", "1.1-rc.1", "latest"):
        output_of(regkit("copy", f"ocidir://{pair.layout}:built", f"{source}:{tag}"))
    wanted = tmp_path / "sync.yaml"
    wanted.write_text(
        f"{pair.new.host}:\n  tls-verify: false\n  images-by-tag-regex:\n    series: '^1[.][0-9]+$'\n", encoding="utf-8"
    )
    options = ("--all", "--src", "yaml", "--dest", "docker", "--dest-tls-verify=false")
    output_of(peer("skopeo", "sync", *options, wanted, f"{pair.old.host}/synced"))

    output_of(regkit("copy", "--all-tags", "--match", "1[.][0-9]+", source, there))

    assert pair.new.tags("matched/series") == pair.old.tags("synced/series") == ["1.0", "1.1"]


def test_one_platform_keeps_its_attestation_where_crane_loses_it(pair: Pair, tmp_path: Path) -> None:
    """Crane answers --platform with the bare image; regkit with an index over the image and what attests it."""
    layout = attested_layout(tmp_path / "attested", *PLATFORMS)
    source = f"{pair.new.host}/attested"
    output_of(regkit("copy", f"ocidir://{layout}", f"{source}:whole"))
    whole = json.loads(output_of(peer("crane", "manifest", f"{source}:whole")))

    output_of(peer("crane", "copy", "--platform", "linux/amd64", f"{source}:whole", f"{source}:crane"))
    output_of(regkit("copy", "--platform", "linux/amd64", f"{source}:whole", f"{source}:regkit"))

    by_crane, by_regkit = (
        json.loads(output_of(peer("crane", "manifest", f"{source}:{tag}"))) for tag in ("crane", "regkit")
    )
    assert "manifests" not in by_crane
    assert by_regkit["manifests"] == [whole["manifests"][0], whole["manifests"][2]]
    assert by_regkit["manifests"][1]["annotations"]["vnd.docker.reference.digest"] == whole["manifests"][0]["digest"]
    assert digest_of(f"{source}:crane") == whole["manifests"][0]["digest"]
    output_of(
        peer("skopeo", "copy", "--all", "--src-tls-verify=false", f"docker://{source}:regkit", f"dir:{tmp_path}/d")
    )


def test_nothing_touches_the_disk(pair: Pair) -> None:
    """Between registries the copy works where no file may be written at all."""
    source, there = f"{pair.new.host}/diskless:1", f"{pair.old.host}/diskless:1"
    output_of(regkit("copy", f"ocidir://{pair.layout}:built", source))
    script = 'ulimit -f 0 && exec "$0" -B -m regkit copy "$1" "$2"'

    done = peer("sh", "-c", script, sys.executable, source, there)

    assert output_of(done) == f"{there.removesuffix(':1')}@{pair.digest}\n"
    validate(there, PLATFORMS)


def test_memory_doesnt_grow_with_the_layers(pair: Pair, tmp_path: Path) -> None:
    """Layers of 48 MiB are streamed through less than 80 MiB, all of Python included."""
    make_layout(tmp_path / "large", PLATFORMS, layers=2, layer_size=48 << 20)
    source, there = f"{pair.new.host}/large:1", f"{pair.old.host}/large:1"
    output_of(regkit("copy", f"oci:{tmp_path / 'large'}", source))

    assert peak_memory("copy", source, there, home=tmp_path) < 80 << 20


def test_a_source_that_is_stopped_leaves_no_name(pair: Pair, tmp_path: Path) -> None:
    """A registry that isn't there any more is exit code 75, and the destination has no tag."""
    with distribution(tmp_path / "gone") as gone:
        source = f"{gone.host}/a:1"
        output_of(regkit("copy", f"ocidir://{pair.layout}:built", source))

    done = regkit("copy", source, f"{pair.new.host}/from-gone:1")

    assert done.returncode == 75, done.stderr
    assert pair.new.tags("from-gone") == []


def test_a_layout_that_skopeo_wrote_has_the_right_bytes(pair: Pair, tmp_path: Path) -> None:
    """A single image in a layout of skopeo's making is copied as it is, without an index around it."""
    copied = f"oci:{tmp_path / 'one'}:amd64"
    name = f"docker://{pair.new.host}/single:1"
    output_of(regkit("copy", f"ocidir://{pair.layout}:built", f"{pair.new.host}/single:1"))
    output_of(peer("skopeo", "copy", "--src-tls-verify=false", "--override-arch", "amd64", name, copied))
    raw = output_of(peer("skopeo", "inspect", "--raw", copied))

    there = f"{pair.old.host}/single:1"
    output_of(regkit("copy", copied, there))

    assert output_of(peer("crane", "manifest", there)) == raw
    assert digest_of(there) == Digest.of(raw.encode())


def test_docker_archives_in_both_directions(pair: Pair, tmp_path: Path) -> None:
    """What skopeo saved of an image on one registry regkit brings to the other, and the other way round.

    Skopeo saves plain layers, and regkit pushes them as what they are; crane takes every layer for gzip and calls the
    image broken, which others read.
    """
    source, theirs, ours = f"{pair.new.host}/saved:1", f"{pair.old.host}/saved:theirs", f"{pair.old.host}/saved:ours"
    output_of(regkit("copy", f"ocidir://{pair.layout}:built", source))
    by_skopeo, by_regkit = (f"docker-archive:{tmp_path / who}.tar:example.org/hello:1" for who in ("skopeo", "regkit"))
    options = ("--override-arch", "amd64", "copy", "--src-tls-verify=false")
    output_of(peer("skopeo", *options, f"docker://{source}", by_skopeo))
    output_of(regkit("copy", "--platform", "linux/amd64", source, by_regkit))

    output_of(regkit("copy", by_skopeo, theirs))
    output_of(peer("skopeo", "copy", "--dest-tls-verify=false", by_regkit, f"docker://{ours}"))

    config = output_of(peer("crane", "config", "--platform", "linux/amd64", source))
    for name in (theirs, ours):
        assert output_of(peer("crane", "config", name)) == config
        assert output_of(regkit("verify", name, "--blobs")).startswith("good: ")
        out = f"oci:{tmp_path / 'out'}:{name.rpartition(':')[2]}"
        output_of(peer("skopeo", "copy", "--src-tls-verify=false", f"docker://{name}", out))
    (layer, _) = json.loads(output_of(peer("crane", "manifest", theirs)))["layers"]
    assert layer["mediaType"] == "application/vnd.oci.image.layer.v1.tar"
    assert "gzip: invalid header" in peer("crane", "validate", "--remote", theirs).stderr


def test_oci_archives_in_both_directions(pair: Pair, tmp_path: Path) -> None:
    """Every platform, with the digest that the release has."""
    source, theirs, ours = f"{pair.old.host}/packed:1", f"{pair.new.host}/packed:theirs", f"{pair.new.host}/packed:ours"
    output_of(regkit("copy", f"ocidir://{pair.layout}:built", source))
    by_skopeo, by_regkit = (f"oci-archive:{tmp_path / who}.tar:1" for who in ("skopeo", "regkit"))
    output_of(peer("skopeo", "copy", "--all", "--src-tls-verify=false", f"docker://{source}", by_skopeo))
    output_of(regkit("copy", source, by_regkit))

    output_of(regkit("copy", by_skopeo, theirs))
    output_of(peer("skopeo", "copy", "--all", "--dest-tls-verify=false", by_regkit, f"docker://{ours}"))

    for name in (theirs, ours):
        assert digest_of(name) == pair.digest
        validate(name, PLATFORMS)
