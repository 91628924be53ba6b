package task

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"strings"
)

// idAlphabet is base32hex in lower case, so that ids sort as their bytes do.
var idAlphabet = base32.NewEncoding("0123456789abcdefghijklmnopqrstuv").WithPadding(base32.NoPadding)

const idLength = 26 // 128 bits in base32

// NewID returns the id of a task, 26 characters of [0-9a-v]. It is made of owner and
// key, so that a replay finds the same row, or random if key is empty.
func NewID(owner, key string) string {
	if key == "" {
		return randomID()
	}
	// The length separates two pairs that join to the same text.
	sum := sha256.Sum256(fmt.Appendf(nil, "task|%d|%s|%s", len(owner), owner, key))
	return idAlphabet.EncodeToString(sum[:16])
}

func randomID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails: crypto/rand ends the program instead
	return idAlphabet.EncodeToString(b[:])
}

// ValidID reports whether s has the form of an id.
func ValidID(s string) bool {
	return len(s) == idLength && strings.Trim(s, "0123456789abcdefghijklmnopqrstuv") == ""
}
