package task

import (
	"strings"
	"testing"
)

func TestOneOwnerAndKeyMakeOneID(t *testing.T) {
	equal(t, "id of a replay", NewID("owner", "key"), NewID("owner", "key"))
	// The way to make ids must never change: rows are found by them.
	equal(t, "id", NewID("owner", "key"), "d50qqh3tejca390ekjnh31vpgs")
}

func TestOtherOwnersAndKeysMakeOtherIDs(t *testing.T) {
	pairs := [][2]string{
		{"owner", "key"}, {"owner", "other"}, {"other", "key"}, {"Owner", "key"}, {"owner", "key "},
		// Pairs that are the same when joined.
		{"ab", "c"}, {"a", "bc"}, {"a|b", "c"}, {"a", "b|c"}, {"", "a|b|c"}, {"a|", "c"}, {"a", "|c"},
		{"1|a", "b"}, {"1", "a|b"},
		{"owner", "../../QUOTA#bob"}, {"owner/..", "/QUOTA#bob"},
		{strings.Repeat("x", 10_000), "k"}, {strings.Repeat("x", 10_001), "k"},
	}
	seen := map[string][2]string{}
	for _, p := range pairs {
		id := NewID(p[0], p[1])
		if other, ok := seen[id]; ok {
			t.Errorf("%q and %q have the same id", p, other)
		}
		if !ValidID(id) {
			t.Errorf("id %q of %q is not valid", id, p)
		}
		seen[id] = p
	}
}

func TestEachIDWithoutAKeyIsNew(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		id := NewID("owner", "")
		if seen[id] {
			t.Fatalf("the id %q came twice", id)
		}
		if !ValidID(id) {
			t.Fatalf("id %q is not valid", id)
		}
		seen[id] = true
	}
}

func TestValidIDRefuses(t *testing.T) {
	valid := NewID("owner", "key")
	for _, s := range []string{
		"", valid[:25], valid + "0", strings.ToUpper(valid), " " + valid[1:], valid[:25] + "\n", valid[:25] + "w",
		valid[:12] + "/" + valid[13:], valid[:12] + "\x00" + valid[13:], valid[:12] + "%" + valid[13:],
		"../../QUOTA#bob", "%00", strings.Repeat("%00", 8) + "00", strings.Repeat("a", 10<<10),
		strings.Repeat("é", 13), strings.Repeat("０", 26), "QUOTA#" + valid[6:],
	} {
		if ValidID(s) {
			t.Errorf("ValidID(%.40q) = true", s)
		}
	}
}
