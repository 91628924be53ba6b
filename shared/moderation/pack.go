package moderation

import (
	"compress/flate"
	_ "embed"
	"io"
	"strings"
	"sync"
)

// packedRuns is what go generate makes of Unicode's tables and lookalikes.txt,
// deflated: 4 KB of a function instead of 13.
//
//go:generate go test -run TestPacked -update .
//go:embed fold.deflate
var packedRuns string

// foldRuns are the runs that appendFold reads; only a prompt beyond ASCII needs them.
var foldRuns = sync.OnceValue(func() string {
	b, err := io.ReadAll(flate.NewReader(strings.NewReader(packedRuns)))
	if err != nil {
		panic("moderation: " + err.Error())
	}
	return string(b)
})
