package config

import (
	"fmt"
	"io"
)

// Hidden is text that must not reach a log or an answer: printed by any verb or
// encoded it is "[hidden]". string(h) is the text.
type Hidden string

const redacted = "[hidden]"

// Format prints "[hidden]" for every verb.
func (Hidden) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// MarshalText encodes "[hidden]", so that a logged struct gives nothing away either.
func (Hidden) MarshalText() ([]byte, error) { return []byte(redacted), nil }
