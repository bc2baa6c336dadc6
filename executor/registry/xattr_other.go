//go:build !linux

package registry

import "os"

// capabilityOf returns "": only Linux has capabilities of files.
func capabilityOf(*os.File) string { return "" }
