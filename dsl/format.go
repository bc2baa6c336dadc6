package dsl

import (
	"github.com/hashicorp/hcl/v2/hclwrite"
)

// Format returns src, which is HCL in native syntax, in the one layout that every
// workflow should have: indented by two, equals signs of neighbours aligned. What does
// not parse is laid out as well as it can be; formatting twice changes nothing more.
func Format(src []byte) []byte { return hclwrite.Format(src) }
