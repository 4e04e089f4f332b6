//go:build !race

package engine_test

// raced says that the race detector is on, under which everything takes many
// times as long.
const raced = false
