"""NO_PROXY means to regkit what it means to a client written in Go."""

from __future__ import annotations

from pathlib import Path

from tests.support.command import output_of, peer, regkit
from tests.support.proxy import proxy
from tests.support.registries import distribution

FORMS = (
    "",
    ",",
    "*",
    "0.0.0.0",
    "0.0.0.0:{port}",
    "0.0.0.0:1",
    ":{port}",
    "0.0.0.0/8",
    "0.1.2.3/8",
    "10.0.0.0/8",
    "0.0.0.0/99",
    "::/0",
    "other.test, 0.0.0.0",
    "other.test:{port}",
    "10.0.0.0/8,0.0.0.0/31",
)


def test_which_requests_a_proxy_sees(tmp_path: Path) -> None:
    """With each form, a proxy between both and a registry sees either both or neither."""
    ours, theirs = {}, {}
    with distribution(tmp_path / "registry") as registry, proxy(registry.host) as between:
        port = registry.host.rpartition(":")[2]
        host = f"0.0.0.0:{port}"  # this machine too, by a name that isn't taken for it
        for form in FORMS:
            env = {"HTTP_PROXY": f"http://{between.host}", "NO_PROXY": form.format(port=port)}
            before = len(between.exchanges)
            output_of(regkit("--plain-http", host, "whoami", host, env=env))
            after = len(between.exchanges)
            output_of(peer("crane", "catalog", "--insecure", host, env=env))
            ours[form], theirs[form] = after > before, len(between.exchanges) > after

    assert ours == theirs
    assert set(ours.values()) == {True, False}
