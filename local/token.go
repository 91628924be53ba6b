package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/preset/nanobanana-functions/local/signin"
	"github.com/preset/nanobanana-functions/shared/auth/token"
)

// tokenLife is how long a token of the mint is good for.
const tokenLife = 30 * 24 * time.Hour

// printToken prints a token that a server at this address, with this data, accepts.
func printToken(addr, data, owner string, out io.Writer) error {
	mint, err := signin.Open(data, signin.Origin(addr, ""))
	if err != nil {
		return err
	}
	t, err := mint.Token(owner, tokenLife)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, t)
	return err
}

// serviceToken prints a new service token and what a stack's secret is to keep
// of it. Nothing is kept here.
func serviceToken(args []string, out io.Writer) error {
	usage := errors.New("usage: local service-token [ID]")
	if len(args) == 0 {
		args = []string{"preset"}
	}
	if len(args) > 1 || slices.ContainsFunc(args, isFlag) {
		return usage
	}
	secret, kept := token.NewServiceToken(args[0])
	if err := (token.ServiceTokens{kept}).Check("serviceTokens"); err != nil {
		return errors.Join(usage, err)
	}
	return show(out, made{
		token: secret, to: "the server that is to use it", member: "serviceTokens", kept: []any{kept},
		then: "To replace a token, have both in the list for a while.",
	})
}

// personalToken prints a new personal token and what a stack's secret is to
// keep of it. Nothing is kept here.
func personalToken(args []string, out io.Writer) error {
	usage := errors.New("usage: local personal-token OWNER [ID]; OWNER is the user's id, ID what the secret calls the token, claude unless said")
	if len(args) == 1 {
		args = append(args, "claude")
	}
	if len(args) != 2 || slices.ContainsFunc(args, isFlag) {
		return usage
	}
	secret, kept := token.NewPersonalToken(args[0], args[1])
	if err := (token.PersonalTokens{kept}).Check("personalTokens"); err != nil {
		return errors.Join(usage, err)
	}
	return show(out, made{
		token: secret, to: "the user it stands for, for Claude Code or a script", member: "personalTokens", kept: []any{kept},
		then: `It is good for /mcp alone. To revoke it, take its entry out.
No two entries may have one id: where this is taken, make the token with another ID.
A local run knows no such tokens: bin/local token OWNER prints one that it accepts.`,
	})
}

// isFlag tells that somebody looks for a flag, where there is none.
func isFlag(arg string) bool { return strings.HasPrefix(arg, "-") }

// made is a token that was made, and what is said of it.
type made struct {
	token, to string
	member    string // of the secret
	kept      []any  // there
	then      string
}

func show(out io.Writer, m made) error {
	line, err := json.Marshal(m.kept)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, `The token, shown this once; give it to %s:

  %s

Put this into the secret of the stack, or its entry into the list that is there:

  "%s": %s

It counts within 5 minutes. %s
`, m.to, m.token, m.member, line, m.then)
	return err
}
