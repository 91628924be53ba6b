//go:build race

package ledger_test

const days = 3 // the detector makes everything ten times as slow
