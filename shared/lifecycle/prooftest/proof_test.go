// Package prooftest checks the invariants of docs/invariants.md with random histories of
// the real lifecycle: crashes, lost answers, overtaking calls and false statements. It
// checks them after each step, and after a final phase in which the sweep alone must
// bring everything to its end.
//
// A history that breaks an invariant is shrunk, and printed with its trace and seed.
// `make proof` runs many. The invariants by their names:
//
//	I1  at most one POST per attempt, and none after one whose outcome is unknown
//	I2  a final status and its images do not change
//	I3  a success's pictures are in the bucket, each listed once
//	I4  the quota used is what tasks counted minus what they returned; attempts marked
//	    as charged were charged, those marked as not charged were not
//	I5  a picture comes from the task's own attempt, or its origin's if it was rescued;
//	    or from an order that the holder of its callback token named while no record
//	    contradicted; or from links that this holder named, if those of the record stay
//	    dead
//	I6  two reads of one record are 30 s apart
//	I7  without faults every task ends by the sweep alone
//	I8  nothing times out before its deadline
//	I9  a row with work left is in the index, due no later than its deadline
//	I10 Preset is notified of each end, under one id
//	I11 no log line contains a key or a token
//	I12 a replay never posts
//	P1  a task whose success callback was answered 200 succeeds; if an unusable record
//	    came, only if something proves that the order is the task's
//	P2  a deleted task leaves no object
//	P3  no POST after a callback said 400; at most MAX_GENERATIONS accepted attempts
//	P4  a consumer's write removes its own work
//	P5  the provider's answer to the POST is saved, however late
//	P6  the writer of a row recognizes its own write
//	P7  no refusal while the order's row exists
//	P8  a deleted task's erase and its notice do not wait for each other
//	P9  a deleted row keeps its owner for as long as its erase or its notice needs it
//	P10 no order of a forgotten owner is accepted, and each of their tasks ends deleted
//	P11 no POST during a hold that its process could know, and no end for time before 6 h
//	    of waiting besides the holds
//
// Some promises have names without a number: a stranger's record decides nothing, an
// unusable record is logged, every end is logged once, a task is rescued once, what its
// owner has deleted stays away, what is lost can be rescued. The log may miss a line if a
// write's answer is lost, or if the process dies between the write and the line; the
// counts say how often.
package prooftest

import (
	"flag"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"github.com/preset/nanobanana-functions/shared/task"
	"github.com/preset/nanobanana-functions/shared/task/tasktest"
	"github.com/preset/nanobanana-functions/shared/taskbolt"
)

// checks is how many histories TestProof runs without -rapid.checks.
const checks = 300

// part returns how many of n histories run: all, but with the race detector a fifth. It
// makes a history five times as slow and finds a race in any of them, while a broken
// invariant is rare. make test runs this package with and without it.
func part(n int) int {
	if raceDetector {
		return n / 5
	}
	return n
}

// scratch is the folder for downloads.
var scratch string

func TestMain(m *testing.M) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "rapid.checks" })
	if !given {
		_ = flag.Set("rapid.checks", strconv.Itoa(part(checks)))
	}
	_ = flag.Set("rapid.nofailfile", "true") // the seed suffices
	var err error
	if scratch, err = os.MkdirTemp("", "proof-*"); err != nil {
		panic(err)
	}
	code := m.Run()
	_ = os.RemoveAll(scratch)
	os.Exit(code)
}

func inMemory() task.Store { return tasktest.NewMemory() }

func TestProof(t *testing.T) {
	t.Parallel()
	counts := map[string]int{}
	all := histories()
	rapid.Check(t, func(r *rapid.T) {
		got := runHistory(t, all.Draw(r, "history"), mutant{}, inMemory)
		for what, n := range got.counts {
			counts[what] += n
		}
		if got.broken != nil {
			r.Logf("%s\n%s", got.broken, got)
			r.Fatalf("%s is broken", got.broken.invariant) // the same text for each such history, so that it can shrink
		}
	})
	t.Logf("what happened: %v", counts)
}

// onDisk is how many histories also run on the embedded store.
const onDisk = 25

func TestProofOnDisk(t *testing.T) {
	t.Parallel()
	all := histories()
	for n := range part(onDisk) {
		file := filepath.Join(t.TempDir(), "tasks.db")
		got := runHistory(t, all.Example(n), mutant{}, func() task.Store {
			bolt, err := taskbolt.Open(file)
			if err != nil {
				t.Fatal(err)
			}
			return bolt
		})
		if got.broken != nil {
			t.Fatalf("history %d: %s\n%s", n, got.broken, got)
		}
	}
}

// Links die twice: before a short record is read again, and while the pictures are being
// stored. This was the first fault that the proof found.
func TestLinksDieTwice(t *testing.T) {
	steps := []step{{normal, 1, 0}, {finish, 0, 0}, {record, 0, 6}, {due, 0, 0}, {run, 0, 0}, {record, 0, 11}, {due, 0, 0}, {run, 0, 0}, {record, 0, 11}}
	if got := runHistory(t, history{Steps: steps}, mutant{}, inMemory); got.broken != nil {
		t.Fatalf("%s\n%s", got.broken, got)
	}
}

// Of two callbacks at once, the one with the id is written first and the one with the links
// second, though it came first.
func TestCallbacksOvertake(t *testing.T) {
	steps := []step{{submit, 0, 0}, {liveLinks, 0, 0}, {callback, 1, 11}, {record, 1, 1}, {callback, 1, 8}, {goOn, 1, 0}, {unreadable, 0, 0}}
	if got := runHistory(t, history{Steps: steps}, mutant{}, inMemory); got.broken != nil {
		t.Fatalf("%s\n%s", got.broken, got)
	}
}

// The same history always has the same trace. Shrinking and seeds depend on it.
func TestDeterministic(t *testing.T) {
	t.Parallel()
	all := histories()
	for n := range part(20) {
		h := all.Example(n)
		once, again := runHistory(t, h, mutant{}, inMemory), runHistory(t, h, mutant{}, inMemory)
		if once.String() != again.String() {
			t.Fatalf("history %d:\n%s\n\nand the second time:\n%s", n, once, again)
		}
	}
}
