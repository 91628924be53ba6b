package ops

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/preset/nanobanana-functions/local/ops/vault"
)

// secretRights are the actions of IAM that a change of the secret needs.
var secretRights = []string{
	"secretsmanager:GetSecretValue", "secretsmanager:DescribeSecret", "secretsmanager:PutSecretValue", "secretsmanager:UpdateSecretVersionStage",
}

var keySetCommand = Command{
	Name: "key set", Short: "put the provider's API key in, from standard input",
	Prompt: "NanoBanana API key (not shown):", Writes: true, Rights: secretRights,
	Setup: func(*flag.FlagSet) Run {
		return func(ctx context.Context, e *Env, _ []string) (Result, error) {
			key, err := readKey(e.In)
			if err != nil {
				return Result{}, err
			}
			same := false
			err = vault.Change(ctx, e.Secret, func(_ vault.Version, d *vault.Document) error {
				before := string(d.Text())
				d.SetAPIKey(key)
				same = string(d.Text()) == before
				return nil
			})
			if err != nil {
				return Result{}, err
			}
			return Result{Report: keySet{Changed: !same, Known: e.Now().Add(vault.SpreadAfter).UTC()}, Next: "check"}, nil
		}
	},
}

// maxKey is far longer than any key of the provider.
const maxKey = 1024

// readKey reads one key from one line.
func readKey(in io.Reader) (string, error) {
	b, err := io.ReadAll(io.LimitReader(in, maxKey+2))
	if err != nil {
		return "", fmt.Errorf("nothing was changed: standard input cannot be read: %w", err)
	}
	key := strings.TrimSpace(string(b))
	switch {
	case key == "":
		return "", Usagef("nothing was changed: give the key on standard input, such as: bin/ops key set < key.txt")
	case len(b) > maxKey:
		return "", errors.New("nothing was changed: this is far longer than an API key")
	case strings.ContainsAny(key, "\r\n"):
		return "", errors.New("nothing was changed: this is more than one line; give the key alone")
	case strings.ContainsFunc(key, func(c rune) bool { return c <= ' ' || c > '~' }):
		return "", errors.New("nothing was changed: this is not an API key: a key has only visible ASCII characters and no spaces")
	}
	return key, nil
}

type keySet struct {
	Changed bool      `json:"changed"`
	Known   time.Time `json:"knownEverywhereAt"`
}

// Print implements Report.
func (r keySet) Print(p *Page) {
	if !r.Changed {
		p.Line("It was this key already; nothing was changed.")
		return
	}
	p.Line("The provider's key is set. The functions that run use it within 5 minutes, and at once when the provider refuses the old one.")
}

var keyListCommand = Command{
	Name: "key list", Short: "the keys in the secret, without their values",
	Rights: secretRights[:1],
	Setup: func(*flag.FlagSet) Run {
		return func(ctx context.Context, e *Env, _ []string) (Result, error) {
			_, d, err := readSecret(ctx, e)
			if err != nil {
				return Result{}, err
			}
			r := keyList{APIKey: d.HasAPIKey(), Keys: map[vault.Kind][]vault.Key{}, Tokens: len(d.Tokens())}
			for _, kind := range vault.Kinds {
				r.Keys[kind] = d.Keys(kind)
			}
			result := Result{Report: r}
			if !r.APIKey {
				result.Next = "key set"
			}
			return result, nil
		}
	},
}

// readSecret reads the secret.
func readSecret(ctx context.Context, e *Env) (vault.Version, *vault.Document, error) {
	v, err := e.Secret.Read(ctx)
	if err != nil {
		return v, nil, err
	}
	d, err := vault.Parse(v.Value)
	return v, d, err
}

type keyList struct {
	APIKey bool                       `json:"apiKeySet"`
	Keys   map[vault.Kind][]vault.Key `json:"keys"`
	Tokens int                        `json:"tokens"`
}

// Print implements Report.
func (r keyList) Print(p *Page) {
	if r.APIKey {
		p.Line("The provider's API key is set. %s.", Count(r.Tokens, "token"))
	} else {
		p.Line("The provider's API key is NOT set: no order is accepted. %s.", Count(r.Tokens, "token"))
	}
	p.Blank()
	var rows [][]string
	for _, kind := range vault.Kinds {
		for _, k := range r.Keys[kind] {
			rows = append(rows, []string{string(kind), k.ID, does(k), At(k.AddedAt), At(k.RetiredAt)})
		}
	}
	p.Table([]string{"KEY", "ID", "DOES", "ADDED", "CEASED TO SIGN"}, rows...)
}

func does(k vault.Key) string {
	switch {
	case k.Signs:
		return "signs"
	case k.Next:
		return "verifies, signs next"
	}
	return "verifies"
}

var keyRotateCommand = Command{
	Name: "key rotate", Args: "KIND", Short: "replace a callback, image or notify key, step by step",
	Writes: true, Rights: secretRights,
	Setup: func(*flag.FlagSet) Run {
		return func(ctx context.Context, e *Env, args []string) (Result, error) {
			kind, err := vault.ParseKind(args[0])
			if err != nil {
				return Result{}, Usagef("%v", err)
			}
			var done vault.Rotated
			err = vault.Change(ctx, e.Secret, func(v vault.Version, d *vault.Document) (err error) {
				done, err = d.Rotate(kind, v.ReadAt)
				return err
			})
			if err != nil {
				return Result{}, err
			}
			return Result{Report: keyRotated{done}, Next: nextOf(done)}, nil
		}
	},
}

// nextOf returns the command after a step of a rotation.
func nextOf(r vault.Rotated) string {
	switch {
	case r.Kind == vault.Notify && r.Old == "":
		return "check"
	case r.Kind == vault.Notify:
		return "key remove notify " + r.Old
	case !r.Signs:
		return "key rotate " + string(r.Kind)
	case r.Kind == vault.Callback:
		return "key remove callback " + r.Old
	}
	return "key list"
}

type keyRotated struct{ vault.Rotated }

// Print implements Report.
func (r keyRotated) Print(p *Page) {
	switch {
	case r.Kind == vault.Notify:
		p.Line("The notify key %s is added. From %s UTC on, every notice is signed with it too.", r.New, At(r.Until))
		p.Line("Give the receiver both keys now: docs/supabase.md has the command. When it has them, remove the old one; that is tried with a test notice first.")
	case !r.Signs:
		p.Line("Step 1 of 2: the %s key %s is added. It signs nothing yet; every function knows it from %s UTC on.", r.Kind, r.New, At(r.Until))
		p.Line("Step 2 is the same command, then.")
	case r.Kind == vault.Callback:
		p.Line("Step 2 of 2: the callback key %s signs from now on. %s still verifies, since tasks under way have addresses that it signed.", r.New, r.Old)
		p.Line("It can be removed from %s UTC on.", At(r.Until))
	default:
		p.Line("Step 2 of 2: the image key %s signs from now on. %s stays for good: picture links do not expire, and it verifies those that it signed.", r.New, r.Old)
	}
}
