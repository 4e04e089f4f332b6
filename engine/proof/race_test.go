//go:build race

package proof_test

// raced says that the race detector is on, under which everything takes many
// times as long.
const raced = true
