"""`regkit index` as users run it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from regkit.oci.digest import Digest
from tests.ops.support import Served, attested_layout
from tests.support.command import fails, output_of, regkit


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Give a layout for each platform, as a matrix of jobs leaves them."""
    roots = {platform: tmp_path_factory.mktemp(platform) for platform in ("amd64", "arm64", "s390x")}
    return {name: f"ocidir://{attested_layout(root, f'linux/{name}')}" for name, root in roots.items()}


def raw(name: str) -> bytes:
    return output_of(regkit("inspect", "--format", "raw", name)).encode()


def test_create_append_annotate_remove(parts: dict[str, str], served: Served) -> None:
    """Each prints the name to pull by, which is what the tag stands on from then on."""
    name = f"{served.host}/a:1"
    steps = (
        ("create", name, parts["amd64"], parts["arm64"], "-t", "latest", "--annotation", "a=b"),
        ("append", name, parts["s390x"]),
        ("annotate", name, "--annotation", "manifest-descriptor[linux/arm64]:c=d=e"),
        ("remove", name, "--platform", "linux/s390x,linux/amd64", "-t", "small"),
    )

    shown = []
    for step in steps:
        shown.append(output_of(regkit("index", *step)))
        assert shown[-1] == f"{served.host}/a@{Digest.of(raw(name))}\n"

    assert len(set(shown)) == 4
    index = json.loads(raw(name))
    assert index["annotations"] == {"a": "b"}
    assert index["manifests"][0]["annotations"] == {"c": "d=e"}
    assert len(index["manifests"]) == 2
    assert served.tags("a")["1"] == served.tags("a")["small"] != served.tags("a")["latest"]


def test_dry_run_prints_the_exact_bytes(parts: dict[str, str], served: Served) -> None:
    """What is printed has the digest that is pushed: not a byte more, no line end."""
    arguments = ("index", "create", f"{served.host}/a:1", parts["amd64"], parts["arm64"])

    shown = output_of(regkit(*arguments, "--dry-run"))
    assert served.writes == []
    pushed = output_of(regkit(*arguments))

    assert pushed == f"{served.host}/a@{Digest.of(shown.encode())}\n"
    assert raw(f"{served.host}/a:1") == shown.encode()


def test_json_tells_what_the_index_is_made_of(parts: dict[str, str], served: Served) -> None:
    """One document: digest, type, tags, entries, and what was copied for it."""
    shown = json.loads(
        output_of(regkit("index", "create", f"{served.host}/a", parts["amd64"], "-t", "1", "--format", "json"))
    )

    assert (shown["schema"], shown["tags"], shown["dryRun"]) == (1, ["1"], False)
    assert shown["mediaType"] == "application/vnd.oci.image.index.v1+json"
    assert [entry["platform"]["architecture"] for entry in shown["manifests"]] == ["amd64", "unknown"]
    assert shown["copied"] == shown["manifests"]


def test_sources_with_overrides_and_the_media_type(parts: dict[str, str], served: Served) -> None:
    """REF,platform=… says what the index says; --no-inherit and --replace are taken."""
    name = f"{served.host}/a:1"
    output_of(regkit("index", "create", name, f"{parts['arm64']},platform=linux/arm64/v8", "--no-inherit"))
    output_of(regkit("index", "append", "--replace", name, parts["arm64"], "--media-type", "oci"))

    entry = json.loads(raw(name))["manifests"][0]
    assert entry["platform"] == {"architecture": "arm64", "os": "linux", "variant": "v8"}


def test_exit_codes(parts: dict[str, str], served: Served) -> None:
    """What can't be meant is 2, what isn't there 5, what would leave nothing 9; nothing is written."""
    name = f"{served.host}/a:1"
    assert "two images" in fails("index", "create", name, parts["arm64"], f"{parts['amd64']},platform=arm64", code=2)
    assert "would be lost" in fails(
        "index", "create", name, parts["amd64"], "--annotation", "index-descriptor:a=b", code=2
    )
    assert "own bytes" in fails("index", "create", name, parts["amd64"], "--annotation", "manifest:a=b", code=2)
    assert "Invalid value for '--media-type'" in fails("index", "annotate", name, "--media-type", "x", code=2)
    assert "nothing is named" in fails("index", "remove", name, code=2)
    assert "can't read 1 in a" in fails("index", "append", name, parts["amd64"], code=5)
    assert served.writes == []
    output_of(regkit("index", "create", name, parts["amd64"]))
    assert "nothing would be left" in fails("index", "remove", name, "--platform", "linux/amd64", code=9)
    assert "has no entry" in fails("index", "remove", name, "--digest", f"sha256:{'0' * 64}", code=5)


def test_annotations_come_from_the_environment_too(parts: dict[str, str], served: Served, tmp_path: Path) -> None:
    """REGKIT_ANNOTATION holds one a line."""
    env = {"REGKIT_ANNOTATION": "a=b c\nindex:d=e"}

    output_of(regkit("index", "create", f"{served.host}/a:1", parts["amd64"], env=env, home=tmp_path))

    assert json.loads(raw(f"{served.host}/a:1"))["annotations"] == {"a": "b c", "d": "e"}
