"""What the commands do, done from Python by the public names alone, and held against what peers see."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from regkit import (
    BuildRequest,
    Bytes,
    Cleaning,
    CleanupConfig,
    Delivery,
    Descriptor,
    Location,
    Manifest,
    Platform,
    Push,
    Reference,
    Session,
    build_images,
    caps,
    cleanup,
    delete_manifests,
    diff,
    inspect_tree,
    list_referrers,
    list_tags,
    plan_deletion,
    publish,
    publish_spec,
    push_blob,
    put_manifest,
    read_configs,
    read_manifest,
    read_parts,
    save_blob,
    set_tags,
    wanted_build,
)
from tests.support.command import clean_environment, output_of, peer
from tests.support.layouts import make_layout
from tests.support.registries import RunningRegistry

PLATFORMS = ("linux/amd64", "linux/arm64")
embedded_only = pytest.mark.parametrize("registry", ["embedded"], indirect=True)


def crane_digest(name: str) -> str:
    return output_of(peer("crane", "digest", name)).strip()


@embedded_only
def test_jobs_build_and_one_merges(registry: RunningRegistry, hello: Path, builder: str, tmp_path: Path) -> None:
    """Each platform is built by a call of its own and recorded; the records make one release with its tags."""
    env = clean_environment(tmp_path, {"BUILDKIT_HOST": builder})
    image = Reference.parse_name(f"{registry.host}/team/hello")
    parsed = [Platform.parse(platform) for platform in PLATFORMS]
    with Session() as session:
        for platform in parsed:
            asked = wanted_build(hello, env=env, platforms=(platform,))
            delivery = Delivery((image,), Push.digest, digest_dir=tmp_path / "records")
            built = build_images(session, BuildRequest(asked, delivery), env=env)
            assert [record.platform for record in built.records] == [platform]

        content, commit = read_parts(session, [image], env={}, digest_dir=tmp_path / "records", expected=parsed)
        spec = publish_spec(image.name, env={}, session=session, content=content, commit=commit, version="1.2.3")
        result = publish(session, spec, env={})

    children = json.loads(output_of(peer("crane", "manifest", f"{image.name}:1.2.3")))["manifests"]
    assert ["/".join((c["platform"]["os"], c["platform"]["architecture"])) for c in children] == list(PLATFORMS)
    assert {crane_digest(f"{image.name}:{tag}") for tag in ("1", "1.2", "1.2.3", "latest")} == {result.index.digest}


def test_what_is_there_is_read_and_compared(registry: RunningRegistry, tmp_path: Path) -> None:
    """Two releases in a registry: what each is made of, what refers to it, and what differs."""
    name = f"{registry.host}/team/app"
    old, new = Location.parse(f"{name}:old"), Location.parse(f"{name}:new")
    make_layout(tmp_path / "old", PLATFORMS)
    make_layout(tmp_path / "new", PLATFORMS[:1], seed=1)
    for directory in ("old", "new"):
        output_of(
            peer(
                *("skopeo", "copy", "--all", "--dest-tls-verify=false"),
                *(f"oci:{tmp_path / directory}", f"docker://{name}:{directory}"),
            )
        )
    with Session() as session:
        index = read_manifest(session, old)
        configs = read_configs(session, old)
        tree = inspect_tree(session, old)
        subject, referrers = list_referrers(session, old)
        found = diff(session, old, new)
        known = caps(session, registry.host, Reference.parse_name(name))

    assert index.digest == subject == tree.entry.descriptor.digest == crane_digest(str(old))
    assert referrers == ()
    assert [str(config.platform) for config in configs] == list(PLATFORMS)
    assert [child.entry.descriptor for child in tree.children] == list(index.manifests)
    first, second = found.images
    assert [image.platform for image in found.images] == list(PLATFORMS)
    assert [image.before for image in found.images] == list(found.before.images.values())
    assert (first.equal, second.after) == (False, None)
    assert [image.digests[0] for image in found.images] == [child.digest for child in index.manifests]
    assert crane_digest(str(new)) == found.after.manifest.digest
    assert first.added != ()
    assert first.removed != ()
    assert known["manifest-head"] == "yes"


@embedded_only
def test_old_tags_go(registry: RunningRegistry, tmp_path: Path) -> None:
    """The plan says which, with reasons; carried out, the rest is there as it was."""
    image = Reference.parse_name(f"{registry.host}/team/app")
    tags = ("1.0.0", "1.1.0", "2.0.0")
    with Session() as session:
        for seed, tag in enumerate(tags):
            make_layout(tmp_path / tag, PLATFORMS, seed=seed)
            spec = publish_spec(image.name, env={}, sources=[tmp_path / tag], tags=[tag])
            publish(session, spec, env={})
        stays = crane_digest(f"{image.name}:2.0.0")

        cleaning = Cleaning(session, image)
        made = cleaning.plan([CleanupConfig("the highest", keep_semver=1)], datetime.now(UTC))
        assert sorted(registry.tags("team/app")) == sorted(tags)  # planning removes nothing
        done = cleanup(cleaning, made)

        assert sorted(made.going) == sorted(done.removed) == sorted(tags[:2])
        assert done.failed == {}
        assert list_tags(session, image) == [tags[2]]
    assert crane_digest(f"{image.name}:2.0.0") == stays


@embedded_only
def test_single_blobs_and_manifests(registry: RunningRegistry, tmp_path: Path) -> None:
    """An artifact is put together by hand, read back, and deleted with the tags on it."""
    place = Location.parse(f"{registry.host}/team/artifact")
    name = f"{registry.host}/team/artifact"
    with Session() as session:
        blob = push_blob(session, place, Bytes(b"{}"))
        empty = Descriptor("application/vnd.oci.empty.v1+json", blob, 2)
        document = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "artifactType": "application/x.example",
            "config": empty.to_json(),
            "layers": [empty.to_json()],
        }
        manifest = Manifest(str(document["mediaType"]), json.dumps(document).encode())
        digest = put_manifest(session, Location.parse(f"{name}:1"), manifest)
        set_tags(session, Reference.parse(f"{name}:1"), ["also"])
        save_blob(session, Location.parse(f"{name}@{blob}"), tmp_path / "blob")

        assert crane_digest(f"{name}:1") == crane_digest(f"{name}:also") == digest
        assert (tmp_path / "blob").read_bytes() == b"{}"

        going = plan_deletion(session, [Location.parse(f"{name}@{digest}")])
        assert [sorted(each.tags) for each in going] == [["1", "also"]]
        delete_manifests(session, going)
    assert registry.tags("team/artifact") == []
