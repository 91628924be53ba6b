package token

import (
	"fmt"
	"io"
)

// Hidden is text that must not reach a log or an answer: printed by any verb or
// encoded, it is [Redacted]. string(h) is the text.
type Hidden string

// Redacted is printed in place of what is hidden.
const Redacted = "[hidden]"

// Format prints Redacted for every verb.
func (Hidden) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, Redacted) }

// MarshalText encodes Redacted, so that a logged struct stays hidden too.
func (Hidden) MarshalText() ([]byte, error) { return []byte(Redacted), nil }
