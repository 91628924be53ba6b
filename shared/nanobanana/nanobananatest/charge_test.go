package nanobananatest_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
)

// When a task is charged, and what, is the knobs' at its acceptance.
func TestChargeAt(t *testing.T) {
	p := serve(t, func(k *nanobananatest.Knobs) {
		k.ChargeAt, k.ChargeDelay = "late", nanobananatest.Duration(50*time.Millisecond)
	})
	p.SetBalance(100)
	expect := func(what string, want float64) {
		t.Helper()
		await(t, what, func() bool { return p.Balance() == want })
	}
	late := p.done(p.mustSubmit("generate"))
	expect("the late charge", 96)
	p.SetKnobs(func(k *nanobananatest.Knobs) {
		k.ChargeAt, k.PriceFactor, k.Delay = "end", 1.5, nanobananatest.Duration(time.Hour)
	})
	running := p.mustSubmit("generate")
	if x := p.task(running); x.Charged || x.Charge != 6 || p.Balance() != 96 || p.Charged()[running] != 0 || p.Charged()[late.ID] != 4 {
		t.Errorf("before its end: %+v, the balance is %v", x, p.Balance())
	}
	p.SetKnobs(func(k *nanobananatest.Knobs) { k.PriceFactor, k.Delay, k.DoubleCharge = 0, 0, 1 })
	p.done(p.mustSubmit("generate"))
	expect("the double charge", 88)
	p.done(p.mustSubmit("generate"))
	expect("the next charge", 84)
	p.SetKnobs(func(k *nanobananatest.Knobs) { k.RefundFailures, k.Outcome.ErrorCode = true, 501 })
	if x := p.done(p.mustSubmit("generate")); x.Charged || !x.Refunded || p.Balance() != 84 {
		t.Errorf("a failure that is not billed: %+v, the balance is %v", x, p.Balance())
	}
	p.TopUp(10)
	p.TopUp(-1)
	expect("the balance after a top-up", 93)
}

// A provider opened again has charged what it had charged, and charges what it had not.
func TestJournalKeepsCharges(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	p := reopen(t, path, func(k *nanobananatest.Knobs) { k.ChargeAt = "late" })
	p.SetBalance(100)
	p.over(p.mustSubmit("generate"))
	await(t, "the charge", func() bool { return p.Balance() == 96 })
	p.TopUp(4)
	p.SetKnobs(func(k *nanobananatest.Knobs) { k.ChargeDelay = nanobananatest.Duration(time.Hour) })
	waiting := p.over(p.mustSubmit("generate")).ID
	p.SetKnobs(func(k *nanobananatest.Knobs) { k.ChargeDelay = nanobananatest.Duration(time.Second) })
	soon := p.over(p.mustSubmit("generate")).ID

	again := reopen(t, killed(t, path))
	again.Resume()
	await(t, "the charge after the restart", func() bool { return again.Balance() == 96 && again.Charged()[soon] == 4 })
	if again.Charged()[waiting] != 0 {
		t.Error("a task is charged before its time")
	}
}
