"""Which tests show each verb beside real peers: what a peer makes regkit takes, and what regkit makes a peer takes.

The verbs that only look make nothing: there the second is that a peer sees the same in what regkit has written.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator
from types import ModuleType

import pytest
import typer

from regkit.cli.app import app
from tests.interop.test_json import leaves

PEERS = frozenset({"crane", "regctl", "oras", "skopeo", "cosign"})

VERBS = {
    "inspect": ("test_inspect.test_one_platform", "test_peers.test_every_client_reads_the_same_bytes"),
    "verify": ("test_verify.test_a_whole_release", "test_what_peers_get_wrong.test_a_subset_of_the_platforms"),
    "diff": ("test_diff.test_what_crane_made_of_an_image", "test_diff.test_what_regkit_made_of_an_index"),
    "copy": (
        "test_copy.test_what_a_peer_pushed_is_copied_with_its_digest",
        "test_copy.test_peers_read_what_was_copied",
    ),
    "index create": (
        "test_index.test_a_manifest_list_of_dockers_images",
        "test_index.test_a_peer_extends_what_regkit_made",
    ),
    "index append": (
        "test_index.test_an_index_that_a_peer_made_is_extended",
        "test_what_peers_get_wrong.test_peers_list_a_platform_twice",
    ),
    "index remove": (
        "test_index.test_an_index_that_a_peer_made_is_extended",
        "test_index.test_crane_filters_attestations_away_where_regkit_keeps_them",
    ),
    "index annotate": (
        "test_index.test_an_index_that_a_peer_made_is_extended",
        "test_what_peers_get_wrong.test_crane_makes_one_platform_of_a_release",
    ),
    "tag ls": ("test_tags.test_every_client_lists_the_same_tags", "test_tags.test_every_client_lists_the_same_tags"),
    "tag set": ("test_tags.test_a_tag_that_a_peer_set", "test_tags.test_tags_that_regkit_set"),
    "manifest get": ("test_content.test_what_is_read", "test_content.test_manifests_in_both_directions"),
    "manifest head": ("test_content.test_what_is_read", "test_content.test_referrers_in_both_directions"),
    "manifest put": (
        "test_content.test_manifests_in_both_directions",
        "test_content.test_manifests_in_both_directions",
    ),
    "manifest rm": ("test_content.test_manifests_are_deleted", "test_content.test_manifests_are_deleted"),
    "blob get": ("test_content.test_blobs_in_both_directions", "test_oras.test_what_oras_py_pushes_others_pull"),
    "blob head": ("test_content.test_what_is_read", "test_content.test_what_is_read"),
    "blob put": ("test_content.test_blobs_in_both_directions", "test_oras.test_what_regkit_pushes_others_pull"),
    "resolve": ("test_content.test_resolve_and_crane_digest", "test_oras.test_what_the_oras_command_pushes_we_pull"),
    "referrers": (
        "test_referrers.test_what_peers_attach_regkit_lists",
        "test_referrers.test_what_regkit_attaches_peers_copy_on",
    ),
    "login": ("test_login.test_regkit_uses_what_a_peer_keeps", "test_login.test_a_peer_uses_what_regkit_keeps"),
    "logout": ("test_login.test_regkit_uses_what_a_peer_keeps", "test_login.test_a_peer_uses_what_regkit_keeps"),
    "whoami": ("test_login.test_regkit_uses_what_a_peer_keeps", "test_login.test_a_peer_uses_what_regkit_keeps"),
    "caps": ("test_content.test_caps_only_read", "test_referrers.test_caps_say_how_referrers_are_kept"),
    "publish": (
        "test_inspect.test_a_layout_that_a_peer_wrote_is_published",
        "test_peers.test_every_client_reads_the_same_bytes",
    ),
}
"""For each verb a test in which regkit takes what a peer made, and one in which a peer takes what regkit made."""

ELSEWHERE = {
    "plan": "writes nothing",
    "build": "test_build, with buildctl",
    "merge": "test_merge: what it takes are regkit's own records; what it makes is what publish makes",
    "init": "writes a file of regkit's own",
    "tag rm": "test_tags and test_deletion_peers: on each registry what it can do, beside crane, regctl, oras, skopeo",
    "tag explain": "tells regkit's own rules",
    "cleanup plan": "test_cleanup_registries; no peer decides",
    "cleanup apply": "test_cleanup_registries; no peer decides",
    "readme push": "no peer here; test_hubs, test_readme",
    "readme diff": "no peer here; test_hubs, test_readme",
    "registry serve": "tests/devregistry/test_peers.py",
    "registry gc": "tests/devregistry",
    "registry quirks": "prints a list",
    "builder up": "test_builder",
    "builder status": "test_builder",
    "builder down": "test_builder",
    "doctor": "test_doctor; looks at this machine",
    "completion": "tests/cli/test_completion.py, with the shells",
}
"""Verbs without such a pair, and where they are shown, or why there is nothing to show."""

CASES = [(verb, test) for verb, tests in VERBS.items() for test in dict.fromkeys(tests)]


def test_every_verb_is_listed() -> None:
    """A new verb needs its tests with peers, or a reason."""
    assert sorted({**VERBS, **ELSEWHERE}) == sorted(name for name, _ in leaves(typer.main.get_command(app)))
    assert not VERBS.keys() & ELSEWHERE.keys()


@pytest.mark.parametrize(("verb", "test"), CASES)
def test_each_test_runs_a_peer_on_both_registries(verb: str, test: str) -> None:
    """It is there, it names a peer, and runs on distribution v3 and 2.8; for referrers on go-containerregistry's."""
    del verb
    name, _, function = test.partition(".")
    module = importlib.import_module(f"tests.interop.{name}")
    text = "\n".join(_sources(module, function, set()))

    assert PEERS & set(re.findall(r"[a-z]+", text))
    kinds = {"distribution", "debian"} & set(re.findall(r"[a-z]+", text))
    assert "KINDS" in text or kinds == {"distribution", "debian"}
    narrowed = re.findall(
        r'@pytest\.mark\.parametrize\("registry", (\[.*\]), indirect', "".join(_own(module, function))
    )
    assert all("distribution" in each and "debian" in each for each in narrowed)
    assert name != "test_referrers" or "ggcr" in text


def _own(module: ModuleType, function: str) -> Iterator[str]:
    yield inspect.getsource(getattr(module, function))


def _sources(module: ModuleType, name: str, seen: set[str]) -> Iterator[str]:
    """Give the text of a test, and of all that it names in its module or takes from a conftest."""
    places = (module, *map(importlib.import_module, ("tests.interop.conftest", "tests.conftest")))
    found = next((getattr(place, name) for place in places if hasattr(place, name)), None)
    wrapped = getattr(found, "__wrapped__", None) or getattr(found, "_fixture_function", None) or found
    if name in seen or not (inspect.isfunction(wrapped) or inspect.isclass(wrapped)):
        return
    if wrapped.__module__ not in {place.__name__ for place in places}:
        return
    seen.add(name)
    text = inspect.getsource(wrapped)
    yield text
    for word in dict.fromkeys(re.findall(r"[A-Za-z_]\w*", text)):
        yield from _sources(module, word, seen)
