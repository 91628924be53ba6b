//go:build !race

package ledger_test

const days = 30
