package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/preset/nanobanana-functions/local/signin"
)

// tokenTTL is how long a printed token is valid.
const tokenTTL = 30 * 24 * time.Hour

// printToken prints a token of owner that a server with this address and data folder
// accepts. A folder that no server has used yet is probably the wrong one: note says so.
func printToken(addr, data, owner string, out, note io.Writer) error {
	if _, err := os.Stat(data); errors.Is(err, fs.ErrNotExist) {
		fmt.Fprintf(note, "local: no local run has used the folder %s yet. A local run with another folder refuses this token; name its folder with -data.\n", data)
	}
	mint, err := signin.Open(data, signin.Origin(addr, ""))
	if err != nil {
		return err
	}
	t, err := mint.Token(owner, tokenTTL)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, t)
	return err
}
