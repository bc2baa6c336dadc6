//go:build race

package infra

// stride is every how many calls a plan is cut off at: the race detector, for which one cut
// is as good as another, makes each take several times as long.
const stride = 5
