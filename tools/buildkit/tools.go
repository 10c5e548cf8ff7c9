//go:build tools

// Package tools pins the BuildKit that tools/setup.sh builds where the machine has none.
package tools

import (
	_ "github.com/moby/buildkit/cmd/buildctl"
	_ "github.com/moby/buildkit/cmd/buildkitd"
)
