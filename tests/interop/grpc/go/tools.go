//go:build tools

// Package interop pins grpc-go's own interop programs.
package interop

import (
	_ "google.golang.org/grpc/interop/client"
	_ "google.golang.org/grpc/interop/server"
)
