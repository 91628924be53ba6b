// Package prooftest proves the promises: random histories of the real lifecycle
// against a real store, with every crash, lost answer, overtaking and lie that we
// could think of, held against the invariants after each step, and followed by a
// time in which the sweep alone has to bring everything to its end.
//
// A history that breaks an invariant is shrunk, and printed with what happened
// in it and with its seed. `make proof` runs many. The invariants, by their names:
//
//	I1  at most one POST per attempt, and none after one whose outcome is unknown
//	I2  a final status and its images do not change
//	I3  a success's pictures are in the bucket, each recorded once
//	I4  the quota is what tasks raised less what they gave back; what is marked as
//	    charged was, what is marked as not was not
//	I5  a picture comes from the task's own attempt, or from one that the holder of
//	    its callback token named while no record could say otherwise, or whose links
//	    he named where those of the record stay dead
//	I6  two reads of one record are 30 s apart
//	I7  without faults every task ends by the sweep alone
//	I8  nothing times out before its deadline
//	I9  what has anything left to do is in the index, due no later than its deadline
//	I10 Preset is told of each end, under one id
//	I11 no log line holds a key or a token
//	I12 a replay never posts
//	P1  what was called back as made, and answered 200, succeeds; if a record of no
//	    use came, only where something proves that the order is the task's
//	P2  a deleted task leaves no object
//	P3  no POST after a callback said 400; no more accepted than MAX_GENERATIONS
//	P4  a consumer's write does not carry its own work on
//	P5  the provider's own answer is kept, however late
//	P6  who wrote a row knows that
//	P7  no refusal while the order's row stands
//
// Some promises have no number, and stand there in words: what a stranger's record
// decides (nothing), that what nobody can read is in the log, and that every end is.
// The log may miss one of these where a write's answer is lost, or its process dies
// between the write and the line: how often, the counts say.
package prooftest

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"pgregory.net/rapid"

	"github.com/preset/nanobanana-functions/shared/task"
	"github.com/preset/nanobanana-functions/shared/task/tasktest"
	"github.com/preset/nanobanana-functions/shared/taskbolt"
)

// checks is how many histories `make test` runs; -rapid.checks says otherwise.
const checks = "200"

// scratch is where pictures are on their way.
var scratch string

func TestMain(m *testing.M) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "rapid.checks" })
	if !given {
		_ = flag.Set("rapid.checks", checks)
	}
	_ = flag.Set("rapid.nofailfile", "true") // the seed says all
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
	counts := map[string]int{}
	all := histories()
	rapid.Check(t, func(r *rapid.T) {
		got := runHistory(t, all.Draw(r, "history"), mutant{}, inMemory)
		for what, n := range got.counts {
			counts[what] += n
		}
		if got.broken != nil {
			r.Logf("%s\n%s", got.broken, got)
			r.Fatalf("%s is broken", got.broken.invariant) // alike for each such history, so that it can shrink
		}
	})
	t.Logf("what happened: %v", counts)
}

// onDisk is how many histories happen to the embedded store, too.
const onDisk = 25

func TestProofOnDisk(t *testing.T) {
	all := histories()
	for n := range onDisk {
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

// Links that die twice: before a short record is read again, and while the pictures
// are being stored. It was the first that this proof found.
func TestLinksDieTwice(t *testing.T) {
	steps := []step{{normal, 1, 0}, {finish, 0, 0}, {record, 0, 6}, {due, 0, 0}, {run, 0, 0}, {record, 0, 11}, {due, 0, 0}, {run, 0, 0}, {record, 0, 11}}
	if got := runHistory(t, history{Steps: steps}, mutant{}, inMemory); got.broken != nil {
		t.Fatalf("%s\n%s", got.broken, got)
	}
}

// A history that is had again does the same again: without that nothing shrinks,
// and no seed is worth anything.
func TestSameAgain(t *testing.T) {
	all := histories()
	for n := range 20 {
		h := all.Example(n)
		once, again := runHistory(t, h, mutant{}, inMemory), runHistory(t, h, mutant{}, inMemory)
		if once.String() != again.String() {
			t.Fatalf("history %d:\n%s\n\nand again:\n%s", n, once, again)
		}
	}
}
