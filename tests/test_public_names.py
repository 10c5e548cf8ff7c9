"""The names that other people's code rests on: adding one is a decision, removing one breaks them."""

from __future__ import annotations

import subprocess
import sys

import pytest

import regkit

PUBLIC = [
    "AccessDenied",
    "Annotation",
    "Archive",
    "BuildFailed",
    "BuildRequest",
    "BuildResult",
    "Bytes",
    "Capabilities",
    "Cleaned",
    "Cleaning",
    "CleanupConfig",
    "CleanupPlan",
    "ContentMismatch",
    "CopyResult",
    "CopySpec",
    "Credentials",
    "Delivery",
    "Descriptor",
    "DevRegistry",
    "Diff",
    "Digest",
    "DockerArchive",
    "Event",
    "Finding",
    "IndexResult",
    "IndexSource",
    "IndexSpec",
    "Inspection",
    "Interrupted",
    "Layout",
    "Location",
    "Manifest",
    "Memory",
    "NotFound",
    "PartlyDone",
    "Plan",
    "Platform",
    "ProtocolError",
    "PublishResult",
    "PublishSpec",
    "Push",
    "Reference",
    "Refused",
    "RegkitError",
    "Reporter",
    "Repository",
    "Session",
    "Tree",
    "Unavailable",
    "UnexpectedStatus",
    "UsageError",
    "Verification",
    "VerificationFailed",
    "__version__",
    "annotate_index",
    "append_to_index",
    "build_images",
    "caps",
    "cleanup",
    "copy",
    "create_index",
    "delete_manifests",
    "diagnose",
    "diff",
    "inspect",
    "inspect_tree",
    "list_referrers",
    "list_tags",
    "plan",
    "plan_deletion",
    "plan_removal",
    "publish",
    "publish_spec",
    "push_blob",
    "put_manifest",
    "read_attestations",
    "read_configs",
    "read_manifest",
    "read_parts",
    "remove_from_index",
    "remove_tags",
    "resolve",
    "running",
    "save_blob",
    "set_tags",
    "verify",
    "wanted_build",
]
HEAVY = {"cheroot", "cryptography", "httpx", "oras", "pydantic", "rich", "semver", "tenacity", "typer"}


def test_all_is_pinned() -> None:
    """Exactly these names are public."""
    assert sorted(regkit.__all__) == PUBLIC
    assert dir(regkit) == PUBLIC


@pytest.mark.parametrize("name", PUBLIC)
def test_each_name_resolves(name: str) -> None:
    """Each public name is there, the same each time, and says what it is."""
    found = getattr(regkit, name)

    assert found is getattr(regkit, name)
    if callable(found) and hasattr(found, "__module__") and found.__module__.startswith("regkit."):
        assert found.__name__ == name
        assert found.__doc__


def test_a_name_that_is_not_public() -> None:
    """Any other name is an AttributeError, as of every module."""
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = regkit.nothing


def loaded_by(statement: str) -> set[str]:
    """Run a statement in a fresh interpreter; give the modules that it loads."""
    report = "print(*sorted(set(sys.modules) - before))"
    program = f"import sys; before = set(sys.modules); {statement}; {report}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_the_package_costs_nothing() -> None:
    """`import regkit` loads the package itself, none of its modules, and nothing of the standard library."""
    assert loaded_by("import regkit") - {"__future__"} == {"regkit"}


def test_a_value_costs_no_http() -> None:
    """Who only parses a reference waits neither for httpx nor for anything else that is large."""
    loaded = loaded_by("import regkit; regkit.Reference.parse('a/b')")

    assert "regkit.oci.reference" in loaded
    assert not {name.partition(".")[0] for name in loaded} & HEAVY
