"""What is told where a registry ends or refuses after the first write: stdout and files say what stands by then."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command import output_of, peer, regkit
from tests.support.layouts import make_layout
from tests.support.proxy import Proxy, proxy
from tests.support.registries import RunningRegistry

TAGS = ["1", "1.2", "1.2.3", "latest"]
ALWAYS = 1000

real = pytest.mark.parametrize("registry", ["distribution", "debian", "embedded"], indirect=True)
deleting = pytest.mark.parametrize("registry", ["distribution", "embedded"], indirect=True)


@pytest.fixture
def between(registry: RunningRegistry) -> Iterator[Proxy]:
    with proxy(registry.host) as running:
        yield running


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    make_layout(tmp_path / "layout")
    return tmp_path / "layout"


def away(between: Proxy, method: str, path: str) -> None:
    """From now on there is no answer but 503."""
    between.answer(method, path, 503, {"Retry-After": "0"}, times=ALWAYS)


def standing(registry: RunningRegistry, repository: str = "app") -> dict[str, str]:
    """Tell where every tag stands, as crane sees it."""
    names = registry.tags(repository)
    return {tag: output_of(peer("crane", "digest", f"{registry.host}/{repository}:{tag}")).strip() for tag in names}


@pytest.mark.parametrize("verb", ["publish", "merge"])
@pytest.mark.parametrize(
    ("method", "path", "code", "stand"),
    [
        pytest.param("PUT", "/manifests/1[.]2$", 75, TAGS[:1], id="before the version"),
        pytest.param("PUT", "/manifests/latest$", 8, TAGS[:3], id="after the version"),
        pytest.param("HEAD", "/manifests/1$", 8, TAGS, id="when all are written"),
    ],
)
@real
def test_a_release(
    registry: RunningRegistry,
    between: Proxy,
    layout: Path,
    tmp_path: Path,
    *,
    verb: str,
    method: str,
    path: str,
    code: int,
    stand: list[str],
) -> None:
    """The document, each file and the CI's outputs name what stands; the same command again does the rest."""
    image = f"{between.host}/app"
    if verb == "merge":
        output_of(regkit("copy", f"ocidir://{layout}", f"{registry.host}/app:part"))
    source = ("merge", f"{image}:part") if verb == "merge" else ("publish", "--from", layout)
    command = (*source, "--image", image, "--version", "v1.2.3")
    away(between, method, path)
    files = {name: tmp_path / name for name in ("refs", "digest", "dotenv", "outputs")}

    reports = ("--image-refs", files["refs"], "--digest-file", files["digest"], "--dotenv", files["dotenv"])
    done = regkit(*command, *reports, "--format", "json", env={"GITHUB_OUTPUT": str(files["outputs"])})

    there = {tag: digest for tag, digest in standing(registry).items() if tag != "part"}
    document = json.loads(done.stdout)
    assert done.returncode == code, done.stderr
    assert there == dict.fromkeys(stand, document["digest"])
    assert (document["tags"], document["up"]) == (stand, code == 8)
    assert document["unfinished"] in done.stderr
    assert "the same command again" in done.stderr
    name = f"{image}@{document['digest']}"
    assert files["refs"].read_text() == f"{name}\n"
    assert files["digest"].read_text() == document["digest"]
    assert f"PUBLISHED_TAGS={','.join(f'{image}:{tag}' for tag in stand)}\n" in files["dotenv"].read_text()
    assert f"image={name}\n" in files["outputs"].read_text()

    again = output_of(regkit(*(str(word).replace(between.host, registry.host) for word in command)))
    assert again == f"{registry.host}/app@{document['digest']}\n"
    assert {tag: digest for tag, digest in standing(registry).items() if tag != "part"} == dict.fromkeys(
        TAGS, document["digest"]
    )


@real
def test_tags_that_are_set(registry: RunningRegistry, between: Proxy, layout: Path) -> None:
    """`tag set` names those before the one that can't be written."""
    output_of(regkit("copy", f"ocidir://{layout}", f"{registry.host}/app:x"))
    away(between, "PUT", "/manifests/b$")

    done = regkit("tag", "set", f"{between.host}/app:x", "a", "b", "c", "--format", "json")

    document = json.loads(done.stdout)
    assert (done.returncode, document["tags"]) == (75, ["a"])
    assert standing(registry) == dict.fromkeys(("a", "x"), document["digest"])


@pytest.mark.parametrize("verb", ["rm", "cleanup"])
@pytest.mark.parametrize(
    ("method", "path", "stay"),
    [
        pytest.param("DELETE", "/manifests/b$", {"b"}, id="the second tag"),
        pytest.param("HEAD", "/manifests/sha256:", set(), id="what stays"),
    ],
)
@deleting
def test_tags_that_go(
    registry: RunningRegistry, between: Proxy, tmp_path: Path, *, verb: str, method: str, path: str, stay: set[str]
) -> None:
    """`tag rm` and `cleanup apply` end with 8 and name what went, though what comes after it fails."""
    for seed, tag in enumerate(("a", "b", "keep")):
        make_layout(tmp_path / tag, seed=seed)
        output_of(regkit("copy", f"ocidir://{tmp_path / tag}", f"{registry.host}/app:{tag}"))
    before = standing(registry)
    image = f"{between.host}/app"
    away(between, method, path)
    rest = (f"{image}:a", f"{image}:b") if verb == "rm" else (image, "--match", "a|b", "--keep", "0")

    done = regkit(*(("tag", "rm") if verb == "rm" else ("cleanup", "apply")), *rest, "--yes", "--format", "json")

    assert done.returncode == 8, done.stderr
    document, left = json.loads(done.stdout), standing(registry)
    gone = before.keys() - left.keys()
    if verb == "rm":
        assert document["removed"] == [{"name": f"{image}:{tag}", "digest": before[tag]} for tag in sorted(gone)]
    else:
        (cleaned,) = document["images"]
        assert sorted(cleaned["removed"]) == sorted(gone)
        assert stay <= {each["name"] for each in cleaned["failed"]}
        assert cleaned["failed"]
    assert stay | {"keep"} <= left.keys()
    assert "a" in gone


@real
def test_a_mirror(registry: RunningRegistry, between: Proxy, tmp_path: Path) -> None:
    """`copy --all-tags` names each tag that was written, with its digest, as text and as JSON."""
    for seed, tag in enumerate(("a", "b")):
        make_layout(tmp_path / tag, seed=seed)
        output_of(regkit("copy", f"ocidir://{tmp_path / tag}", f"{registry.host}/source:{tag}"))
    away(between, "PUT", "/manifests/b$")
    command = ("copy", "--all-tags", f"{registry.host}/source", f"{between.host}/app")
    done = regkit(*command, "--format", "json")
    text = regkit(*command)

    assert (done.returncode, text.returncode) == (75, 75), done.stderr
    there = standing(registry)
    assert {o["tag"]: o["digest"] for o in json.loads(done.stdout)["tags"]} == there
    assert there.keys() == {"a"}
    assert text.stdout == f"{between.host}/app:a@{there['a']}\n"


@real
def test_an_index(registry: RunningRegistry, between: Proxy, layout: Path) -> None:
    """`index create` under several tags names those that stand on it."""
    away(between, "PUT", "/manifests/b$")

    done = regkit(
        *("index", "create", f"{between.host}/app", f"ocidir://{layout}"),
        *("-t", "a", "-t", "b", "-t", "c", "--format", "json"),
    )

    document = json.loads(done.stdout)
    assert (done.returncode, document["tags"]) == (75, ["a"])
    assert standing(registry) == {"a": document["digest"]}
