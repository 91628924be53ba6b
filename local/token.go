package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/preset/nanobanana-functions/local/signin"
	"github.com/preset/nanobanana-functions/shared/auth/token"
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

// serviceToken prints a new service token and its entry for a stack's secret.
// Nothing is stored here.
func serviceToken(args []string, out io.Writer) error {
	usage := errors.New("usage: local service-token [ID]")
	if len(args) == 0 {
		args = []string{"preset"}
	}
	if len(args) > 1 || slices.ContainsFunc(args, isFlag) {
		return usage
	}
	secret, entry := token.NewServiceToken(args[0])
	if err := (token.ServiceTokens{entry}).Check("serviceTokens"); err != nil {
		return errors.Join(usage, err)
	}
	return newToken{
		token: secret, recipient: "the server that will use it", member: "serviceTokens", entry: entry,
		advice: "To replace a token, keep both in the list for a while.",
	}.print(out)
}

// personalToken prints a new personal token and its entry for a stack's secret.
// Nothing is stored here.
func personalToken(args []string, out io.Writer) error {
	usage := errors.New("usage: local personal-token OWNER [ID]; OWNER is the user's id, ID names the token in the secret (claude if omitted)")
	if len(args) == 1 {
		args = append(args, "claude")
	}
	if len(args) != 2 || slices.ContainsFunc(args, isFlag) {
		return usage
	}
	secret, entry := token.NewPersonalToken(args[0], args[1])
	if err := (token.PersonalTokens{entry}).Check("personalTokens"); err != nil {
		return errors.Join(usage, err)
	}
	return newToken{
		token: secret, recipient: "its user, for Claude Code or a script", member: "personalTokens", entry: entry,
		advice: `It works only for /mcp. To revoke it, remove its entry.
Each entry needs its own id: if this one is taken, run the command again with another ID.
A local run does not accept such tokens; bin/local token OWNER prints one that it accepts.`,
	}.print(out)
}

// isFlag reports whether arg looks like a flag, of which these commands have none.
func isFlag(arg string) bool { return strings.HasPrefix(arg, "-") }

// newToken is a new token with what the user needs to know about it.
type newToken struct {
	token     string
	recipient string
	member    string // the list in the secret for its entry
	entry     any
	advice    string
}

func (n newToken) print(out io.Writer) error {
	list, err := json.Marshal([]any{n.entry})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, `This token is shown only once. Give it to %s:

  %s

Add this to the secret of the stack; if it has the list already, add the entry to the list:

  "%s": %s

The token works within 5 minutes. %s
`, n.recipient, n.token, n.member, list, n.advice)
	return err
}
