#!/usr/bin/env bash
# Publishes testdata/hello as v1.2.3 for four platforms: built by a throw-away buildkitd, pushed to the embedded registry.
# Nothing outlives the demo.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
unset BUILDKIT_HOST
regkit=(setpriv --pdeathsig TERM .venv/bin/regkit)
log=.tools/demo-registry.log

run() {
    printf '\n$ regkit %s\n' "$*" >&2
    "${regkit[@]}" "$@"
}

echo "Starting the embedded registry, in memory; its access log goes to $log." >&2
exec {output}< <(exec "${regkit[@]}" registry serve --addr 127.0.0.1:0 --dir memory 2>"$log")
registry=$!
stop() {
    kill "$registry" 2>/dev/null && wait "$registry"
    echo "Stopped the embedded registry." >&2
}
trap 'stop || true' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

if ! read -r -t 20 -u "$output" line || [[ $line != "listening on http://"* ]]; then
    cat "$log" >&2
    echo "demo: the embedded registry didn't start within 20 seconds." >&2
    exit 1
fi
image=${line#listening on http://}/demo/hello
commit=$(git rev-parse HEAD 2>/dev/null) || commit=12be34c0de12be34c0de12be34c0de12be34c0de

run publish testdata/hello --image "$image" --version v1.2.3 --commit "$commit" \
    --platform linux/amd64,linux/arm64/v8,linux/arm/v7,linux/arm/v6
run inspect "$image:1.2.3"
