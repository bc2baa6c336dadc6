//go:build !race

package infra

// stride is every how many calls a plan is cut off at.
const stride = 1
