"""The official conformance suite, run against the embedded registry as users serve it, and the page about it.

`python -m tests.devregistry.conformance`, which `make docs` calls, runs it and writes the page.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

from tests.support.command import clean_environment
from tests.support.registries import embedded

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "conformance.md"
VERSIONS = ("1.1", "1.1+dev")
"""The suite's names of the released specification, and of what its main branch adds."""

PASSED, DISABLED = "Pass", "Disabled"


@dataclass(frozen=True)
class Result:
    """What one run of the suite wrote: a status for each of its topics, by chapter, and for each case."""

    suite: str
    """The suite's version."""
    specification: str
    topics: Mapping[str, Mapping[str, str]]
    cases: Sequence[tuple[str, str]]
    """Names and statuses, in order; a name may stand more than once."""

    def cases_that(self, status: str) -> set[str]:
        """Give the names of the cases with a status."""
        return {name for name, found in self.cases if found == status}

    def topics_that(self, status: str) -> set[str]:
        """Give the topics with a status."""
        return {name for chapter in self.topics.values() for name, found in chapter.items() if found == status}


def run(root: Path, version: str, *options: str, **access: str) -> Result:
    """Run the suite with its own defaults against `regkit registry serve`; whatever it finds is in the result.

    `access` are the suite's settings that say how it gets in: plain http without any.
    """
    with embedded(root, *options) as registry:
        settings = {"OCI_TLS": "disabled", **access, "OCI_REGISTRY": registry.host, "OCI_VERSION": version}
        done = subprocess.run(
            ["oci-conformance"],
            cwd=root,
            env=clean_environment(root, settings),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    results = root / "results"
    assert (results / "junit.xml").exists(), f"the suite wrote no report:\n{done.stderr}"
    cases = ET.parse(results / "junit.xml").iter("testcase")
    return _read(
        (results / "results.yaml").read_text(), [(case.attrib["name"], case.attrib["status"]) for case in cases]
    )


def page(results: Mapping[str, Result]) -> str:
    """Write the page: a row for each topic, a column for each version."""
    first = next(iter(results.values()))
    lines = [_INTRO.format(suite=first.suite), _row("", [result.specification for result in results.values()])]
    lines.append(_row("---", ["---"] * len(results)))
    for status in sorted({status for result in results.values() for _, status in result.cases}):
        counts = [Counter(found for _, found in result.cases)[status] for result in results.values()]
        lines.append(_row(f"cases {status}", [str(count) for count in counts]))
    for chapter, title in (("apis", "API"), ("data", "Data")):
        lines.append(_row(f"**{title}**", [""] * len(results)))
        lines += [
            _row(topic, [found.topics[chapter][topic] for found in results.values()]) for topic in first.topics[chapter]
        ]
    return "\n".join([*lines, ""])


def main() -> None:
    """Run all, and write the page."""
    with tempfile.TemporaryDirectory() as directory:
        results = {version: run(Path(directory) / version, version) for version in VERSIONS}
    PAGE.write_text(page(results), encoding="utf-8")
    print(f"wrote {PAGE.relative_to(Path.cwd())}")


def _read(text: str, cases: Sequence[tuple[str, str]]) -> Result:
    """Read the suite's YAML, of which only `config.version`, `config.commit`, `apis` and `data` are looked at."""
    found: dict[str, dict[str, str]] = {}
    section: dict[str, str] = {}
    for line in text.splitlines():
        if not line.startswith(" "):
            section = found.setdefault(line.removesuffix(":"), {})
        elif not line.startswith("    "):
            name, _, value = line.strip().partition(": ")
            section[name] = value
    config = found.pop("config")
    return Result(config["commit"], config["version"].strip('"'), found, cases)


def _row(name: str, cells: Sequence[str]) -> str:
    return f"| {name} | {' | '.join(cells)} |"


_INTRO = """# Conformance

The embedded registry, run as `regkit registry serve`, against distribution-spec's official suite
([`conformance`](https://github.com/opencontainers/distribution-spec/tree/main/conformance)
{suite}) with the suite's own defaults, for the released specification and for its
main branch. Written by `make docs`; the tests check it in memory and on disk. With logins over TLS all is the same, but
for the anonymous mount, which becomes an upload there. What the suite has off by itself is `Disabled`; a sparse
manifest, whose content isn't there, is one that this registry refuses.
"""


if __name__ == "__main__":
    main()
