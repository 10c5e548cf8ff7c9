"""A registry that refuses a tag, or goes away, once tags are being written: what stands then, and what is said."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.support.command import output_of, peer, regkit, started
from tests.support.layouts import make_layout
from tests.support.proxy import proxy
from tests.support.registries import RunningRegistry, embedded
from tests.support.waiting import until

PLATFORMS = ("linux/amd64", "linux/arm64/v8")
TAGS = ["1", "1.2", "1.2.3", "latest"]
COMMIT = "8f3c2b1a9d7e6f5c4b3a29181716151413121110"
ON_THE_WAY = [f"8f3c2b1-{platform.replace('/', '-')}" for platform in PLATFORMS]
RULE = b'{"errors": [{"code": "PRECONDITION", "message": "configured as immutable, cannot be updated"}]}'
"""What Harbor answers, with 412."""


@pytest.fixture
def layouts(tmp_path: Path) -> dict[str, Path]:
    for seed, name in enumerate(("old", "new")):
        make_layout(tmp_path / name, PLATFORMS, seed=seed)
    return {name: tmp_path / name for name in ("old", "new")}


def command(layout: Path, host: str, version: str = "v1.2.3", *options: str) -> tuple[str | Path, ...]:
    return ("publish", "--from", layout, "--image", f"{host}/app", "--version", version, *options)


def standing(registry: RunningRegistry) -> dict[str, str]:
    """Tell where every tag stands, as crane sees it."""
    names = registry.tags("app")
    return {tag: output_of(peer("crane", "digest", f"{registry.host}/app:{tag}")).strip() for tag in names}


@pytest.mark.parametrize("registry", ["distribution", "debian", "embedded"], indirect=True)
def test_a_tag_is_refused_halfway(registry: RunningRegistry, layouts: dict[str, Path]) -> None:
    """`1` has moved when `1.2` is refused: it is put back, no tag has changed, and the command ends with 9.

    Without the rule the same command does it all, and sends no blob again.
    """
    output_of(regkit(*command(layouts["old"], registry.host, "v1.1.0")))
    before = standing(registry)
    with proxy(registry.host) as between:
        between.answer("PUT", "/manifests/1[.]2$", 412, body=RULE)
        done = regkit(*command(layouts["new"], between.host))

    assert (done.returncode, done.stdout) == (9, "")
    assert standing(registry) == before
    assert "configured as immutable" in done.stderr
    assert f"of the tags before it, put back: 1 ({before['1']})" in done.stderr
    assert "hint: --no-aliases" in done.stderr

    mark = registry.mark()
    output_of(regkit(*command(layouts["new"], registry.host)))
    assert registry.tags("app") == sorted({*before, *TAGS})
    assert not [logged for logged in registry.writes(mark) if "/blobs/" in logged.path]


@pytest.mark.parametrize(("registry", "can"), [("distribution", True), ("debian", False)], indirect=["registry"])
def test_a_new_tag_is_removed_again(registry: RunningRegistry, layouts: dict[str, Path], *, can: bool) -> None:
    """In a repository without tags `1` is removed, where the registry can remove a tag; else it is the result."""
    with proxy(registry.host) as between:
        between.answer("PUT", "/manifests/1[.]2$", 412, body=RULE)
        done = regkit(*command(layouts["new"], between.host))

    assert done.returncode == 9
    assert registry.tags("app") == ([] if can else ["1"])
    left = standing(registry)
    assert done.stdout == "".join(f"{between.host}/app@{digest}\n" for digest in left.values())
    said = "put back: 1 (removed again)" if can else "not put back: 1 (it can't remove"
    assert said in done.stderr


@pytest.mark.parametrize("quirk", ["immutable-tags", "immutable-tags-403"])
def test_the_last_alias_cannot_move(layouts: dict[str, Path], tmp_path: Path, quirk: str) -> None:
    """On a registry that never moves a tag 2.0.0 is up, with 8 and without `latest`; a patch is refused as a whole.

    Both say `--no-aliases`, and with it all is well.
    """
    with embedded(tmp_path / "registry", "--quirk", quirk) as registry:
        output_of(regkit(*command(layouts["old"], registry.host)))
        before = standing(registry)

        patch = regkit(*command(layouts["new"], registry.host, "v1.2.4"))
        assert (patch.returncode, patch.stdout) == (9, "")
        assert "immutable" in patch.stderr
        assert "hint: --no-aliases leaves 1 alone" in patch.stderr
        assert standing(registry) == before

        for _ in range(2):
            done = regkit(*command(layouts["new"], registry.host, "v2.0.0", "--format", "json"))
            document = json.loads(done.stdout)
            assert done.returncode == 8
            assert standing(registry) == {**before, **dict.fromkeys(("2", "2.0", "2.0.0"), document["digest"])}
            assert (document["tags"], document["kept"]) == (["2", "2.0", "2.0.0"], ["latest"])
            assert document["unfinished"] in done.stderr
            assert "the release is up, but" in done.stderr

        for version, digest in (("v1.2.4", None), ("v2.0.0", document["digest"])):
            done = regkit(*command(layouts["new"], registry.host, version, "--no-aliases"))
            assert output_of(done).strip().partition("@")[2] == digest or digest is None


@pytest.mark.parametrize("at", ["before the first", "before the second", "afterwards"])
@pytest.mark.parametrize("registry", ["distribution"], indirect=True)
def test_the_registry_goes_while_intermediate_tags_are_removed(
    registry: RunningRegistry, layouts: dict[str, Path], tmp_path: Path, at: str
) -> None:
    """The release is up: that is printed, and said; the command ends with 8, and run again it removes what is left."""
    with proxy(registry.host) as between:
        last = between.hold("DELETE", f"/manifests/{ON_THE_WAY[at != 'before the first']}$")
        options = ("v1.2.3", "--intermediate", "tag", "--commit", COMMIT)
        look = between.hold("HEAD", "/manifests/sha256:", passing=len(PLATFORMS), times=3)
        with started(*command(layouts["new"], between.host, *options), home=tmp_path) as process:
            until(last.held.is_set, "a tag is to be removed")
            if at == "afterwards":
                last.release()
                until(look.held.is_set, "it looks at what is left")
                registry.stop()
                look.release()
            else:
                look.release()
                registry.stop()
                last.release()
            out, err = (text.decode() for text in process.communicate(timeout=60))
    registry.start()
    release = standing(registry)["1.2.3"]
    assert process.returncode == 8, err
    assert out == f"{between.host}/app@{release}\n"
    assert re.search(r"^regkit: error: the release is up, but ", err, re.M)
    assert "the same command again" in err
    left = {"before the first": ON_THE_WAY, "before the second": ON_THE_WAY[1:], "afterwards": []}[at]
    assert [tag for tag in registry.tags("app") if tag not in TAGS] == left
    assert all(tag in err for tag in left)

    again = output_of(regkit(*command(layouts["new"], registry.host, *options)))
    assert again.partition("@")[2].strip() == release
    assert standing(registry) == dict.fromkeys(TAGS, release)
