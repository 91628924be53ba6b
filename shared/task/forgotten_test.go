package task

import (
	"errors"
	"fmt"
	"testing"
)

// The list of forgotten owners is bounded: a full one refuses another owner, not one that
// it has, and takes new ones when the time of the first is over.
func TestForgottenIsBounded(t *testing.T) {
	f := Forgotten{Salt: NewSalt()}
	for n := range MaxForgotten {
		if _, _, err := f.Add(fmt.Sprint("owner ", n), start); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := f.Add("one more", start); !errors.Is(err, ErrFull) || f.Has("one more", start) {
		t.Errorf("one more: %v", err)
	}
	if _, _, err := f.Add("owner 7", start.Add(1)); err != nil || len(f.Until) != MaxForgotten {
		t.Errorf("one of them again: %v, %d", err, len(f.Until))
	}
	later := start.Add(ForgottenFor)
	hash, over, err := f.Add("one more", later)
	if err != nil || !f.Has("one more", later) || len(over) != MaxForgotten || len(f.Until) != 1 || f.Until[hash] != later.Add(ForgottenFor) {
		t.Errorf("later: %v, %d are over, %d are left", err, len(over), len(f.Until))
	}
}

// Nobody without the salt can tell who was forgotten, and no two lists share a hash.
func TestForgottenOwnersAreHashedWithASalt(t *testing.T) {
	seen := map[string]bool{}
	for range 3 {
		f := Forgotten{Salt: NewSalt()}
		hash, _, err := f.Add("ada", start)
		if err != nil || seen[hash] || len(hash) != 16 || (Forgotten{Until: f.Until}).Has("ada", start) {
			t.Errorf("%q, %v", hash, err)
		}
		seen[hash] = true
	}
}
