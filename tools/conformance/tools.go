//go:build tools

// Package tools pins the official conformance suite of distribution-spec, which the tests run.
package tools

import _ "github.com/opencontainers/distribution-spec/conformance"
