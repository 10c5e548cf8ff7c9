#!/usr/bin/env bash
# Cross-compiles hello for the demo's platforms into bin/hello-<arch><variant>, where that isn't done yet.
# Clones that use the same Go get the same bytes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

# Whatever the caller builds for, these programs have the platforms named here.
unset GOOS GOARCH GOARM GOFLAGS GOEXPERIMENT
export CGO_ENABLED=0 GOWORK=off GOAMD64=v1 GOARM64=v8.0

stamp="$(go version) $(cat main.go go.mod attributes/main.go build.sh | sha256sum)"
if ls bin/hello-{amd64,arm64,armv7,armv6} &>/dev/null && [ "$(cat .built 2>/dev/null)" = "$stamp" ]; then exit; fi

fresh=$(mktemp -d ./.fresh.XXXXXX)
trap 'rm -rf "$fresh"' EXIT
go build -o "$fresh/attributes" ./attributes

# hello ARCH[VARIANT] GO-SETTING...
hello() {
    echo "Compiling hello for linux/$1."
    env GOOS=linux "${@:2}" go build -trimpath -buildvcs=false -ldflags='-s -w' -o "$fresh/hello-$1" .
    case $1 in arm*v*) "$fresh/attributes" "$fresh/hello-$1" ;; esac
    chmod 755 "$fresh/hello-$1"
    mkdir -p bin
    mv "$fresh/hello-$1" bin/
}
hello amd64 GOARCH=amd64
hello arm64 GOARCH=arm64
hello armv7 GOARCH=arm GOARM=7
hello armv6 GOARCH=arm GOARM=6
echo "$stamp" >.built
