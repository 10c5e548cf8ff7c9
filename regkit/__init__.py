"""regkit: a registry-native manifest toolkit.

The public names are resolved when first used, so that importing the package costs nothing.
"""

from __future__ import annotations

TYPE_CHECKING = False  # importing typing for it takes as long as bare Python takes to start

__version__ = "0.1.0"

if TYPE_CHECKING:
    from regkit.build.doctor import diagnose as diagnose
    from regkit.build.findings import Finding as Finding
    from regkit.config.spec import CleanupConfig as CleanupConfig
    from regkit.devregistry.app import DevRegistry as DevRegistry
    from regkit.devregistry.server import running as running
    from regkit.errors import AccessDenied as AccessDenied
    from regkit.errors import BuildFailed as BuildFailed
    from regkit.errors import ContentMismatch as ContentMismatch
    from regkit.errors import Interrupted as Interrupted
    from regkit.errors import NotFound as NotFound
    from regkit.errors import PartlyDone as PartlyDone
    from regkit.errors import ProtocolError as ProtocolError
    from regkit.errors import Refused as Refused
    from regkit.errors import RegkitError as RegkitError
    from regkit.errors import Unavailable as Unavailable
    from regkit.errors import UnexpectedStatus as UnexpectedStatus
    from regkit.errors import UsageError as UsageError
    from regkit.errors import VerificationFailed as VerificationFailed
    from regkit.events import Event as Event
    from regkit.events import Reporter as Reporter
    from regkit.oci.annotation import Annotation as Annotation
    from regkit.oci.descriptor import Descriptor as Descriptor
    from regkit.oci.digest import Digest as Digest
    from regkit.oci.manifest import Manifest as Manifest
    from regkit.oci.platform import Platform as Platform
    from regkit.oci.reference import Reference as Reference
    from regkit.ops.attestations import read_attestations as read_attestations
    from regkit.ops.build import BuildRequest as BuildRequest
    from regkit.ops.build import BuildResult as BuildResult
    from regkit.ops.build import Delivery as Delivery
    from regkit.ops.build import Push as Push
    from regkit.ops.build import build_images as build_images
    from regkit.ops.caps import Capabilities as Capabilities
    from regkit.ops.caps import caps as caps
    from regkit.ops.cleaning import Cleaning as Cleaning
    from regkit.ops.cleanup import Cleaned as Cleaned
    from regkit.ops.cleanup import cleanup as cleanup
    from regkit.ops.cleanup_plan import CleanupPlan as CleanupPlan
    from regkit.ops.content import delete_manifests as delete_manifests
    from regkit.ops.content import plan_deletion as plan_deletion
    from regkit.ops.content import push_blob as push_blob
    from regkit.ops.content import put_manifest as put_manifest
    from regkit.ops.content import save_blob as save_blob
    from regkit.ops.copy import CopyResult as CopyResult
    from regkit.ops.copy import CopySpec as CopySpec
    from regkit.ops.copy import copy as copy
    from regkit.ops.diff import Diff as Diff
    from regkit.ops.diff import diff as diff
    from regkit.ops.index import IndexResult as IndexResult
    from regkit.ops.index import IndexSpec as IndexSpec
    from regkit.ops.index import annotate_index as annotate_index
    from regkit.ops.index import append_to_index as append_to_index
    from regkit.ops.index import create_index as create_index
    from regkit.ops.index import remove_from_index as remove_from_index
    from regkit.ops.index_source import IndexSource as IndexSource
    from regkit.ops.inspect import Inspection as Inspection
    from regkit.ops.inspect import Tree as Tree
    from regkit.ops.inspect import inspect as inspect
    from regkit.ops.inspect import inspect_tree as inspect_tree
    from regkit.ops.inspect import list_referrers as list_referrers
    from regkit.ops.inspect import read_configs as read_configs
    from regkit.ops.inspect import read_manifest as read_manifest
    from regkit.ops.merge import read_parts as read_parts
    from regkit.ops.plan import Plan as Plan
    from regkit.ops.publish import plan as plan
    from regkit.ops.publish import publish as publish
    from regkit.ops.request import publish_spec as publish_spec
    from regkit.ops.request import wanted_build as wanted_build
    from regkit.ops.resolve import resolve as resolve
    from regkit.ops.result import PublishResult as PublishResult
    from regkit.ops.spec import PublishSpec as PublishSpec
    from regkit.ops.tags import list_tags as list_tags
    from regkit.ops.tags import plan_removal as plan_removal
    from regkit.ops.tags import remove_tags as remove_tags
    from regkit.ops.tags import set_tags as set_tags
    from regkit.ops.verify import Verification as Verification
    from regkit.ops.verify import verify as verify
    from regkit.protocol.flow import Bytes as Bytes
    from regkit.targets.archive import Archive as Archive
    from regkit.targets.docker_archive import DockerArchive as DockerArchive
    from regkit.targets.layout import Layout as Layout
    from regkit.targets.location import Location as Location
    from regkit.targets.memory import Memory as Memory
    from regkit.targets.repository import Repository as Repository
    from regkit.transport.credentials import Credentials as Credentials
    from regkit.transport.session import Session as Session

_HOMES = {
    "regkit.build.doctor": ("diagnose",),
    "regkit.build.findings": ("Finding",),
    "regkit.config.spec": ("CleanupConfig",),
    "regkit.devregistry.app": ("DevRegistry",),
    "regkit.devregistry.server": ("running",),
    "regkit.errors": (
        "AccessDenied",
        "BuildFailed",
        "ContentMismatch",
        "Interrupted",
        "NotFound",
        "PartlyDone",
        "ProtocolError",
        "Refused",
        "RegkitError",
        "Unavailable",
        "UnexpectedStatus",
        "UsageError",
        "VerificationFailed",
    ),
    "regkit.events": ("Event", "Reporter"),
    "regkit.oci.annotation": ("Annotation",),
    "regkit.oci.descriptor": ("Descriptor",),
    "regkit.oci.digest": ("Digest",),
    "regkit.oci.manifest": ("Manifest",),
    "regkit.oci.platform": ("Platform",),
    "regkit.oci.reference": ("Reference",),
    "regkit.ops.attestations": ("read_attestations",),
    "regkit.ops.build": ("BuildRequest", "BuildResult", "Delivery", "Push", "build_images"),
    "regkit.ops.caps": ("Capabilities", "caps"),
    "regkit.ops.cleaning": ("Cleaning",),
    "regkit.ops.cleanup": ("Cleaned", "cleanup"),
    "regkit.ops.cleanup_plan": ("CleanupPlan",),
    "regkit.ops.content": ("delete_manifests", "plan_deletion", "push_blob", "put_manifest", "save_blob"),
    "regkit.ops.copy": ("CopyResult", "CopySpec", "copy"),
    "regkit.ops.diff": ("Diff", "diff"),
    "regkit.ops.index": (
        "IndexResult",
        "IndexSpec",
        "annotate_index",
        "append_to_index",
        "create_index",
        "remove_from_index",
    ),
    "regkit.ops.index_source": ("IndexSource",),
    "regkit.ops.inspect": (
        "Inspection",
        "Tree",
        "inspect",
        "inspect_tree",
        "list_referrers",
        "read_configs",
        "read_manifest",
    ),
    "regkit.ops.merge": ("read_parts",),
    "regkit.ops.plan": ("Plan",),
    "regkit.ops.publish": ("plan", "publish"),
    "regkit.ops.request": ("publish_spec", "wanted_build"),
    "regkit.ops.resolve": ("resolve",),
    "regkit.ops.result": ("PublishResult",),
    "regkit.ops.spec": ("PublishSpec",),
    "regkit.ops.tags": ("list_tags", "plan_removal", "remove_tags", "set_tags"),
    "regkit.ops.verify": ("Verification", "verify"),
    "regkit.protocol.flow": ("Bytes",),
    "regkit.targets.archive": ("Archive",),
    "regkit.targets.docker_archive": ("DockerArchive",),
    "regkit.targets.layout": ("Layout",),
    "regkit.targets.location": ("Location",),
    "regkit.targets.memory": ("Memory",),
    "regkit.targets.repository": ("Repository",),
    "regkit.transport.credentials": ("Credentials",),
    "regkit.transport.session": ("Session",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [  # noqa: PLE0604 - strings all, in the order of their homes
    "__version__",
    *_HOME_OF,
]


def __getattr__(name: str) -> object:
    """Import a public name from its home when it is first used."""
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    value: object = getattr(importlib.import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Name what is public."""
    return sorted(__all__)
