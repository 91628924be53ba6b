package ops

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"time"

	"github.com/preset/nanobanana-functions/local/ops/vault"
	"github.com/preset/nanobanana-functions/shared/config"
	"github.com/preset/nanobanana-functions/shared/outbound"
	"github.com/preset/nanobanana-functions/shared/webhook"
)

var keyRemoveCommand = Command{
	Name: "key remove", Args: "KIND ID", Short: "remove a key that nothing needs any more",
	Writes: true, Rights: secretRights,
	Setup: func(*flag.FlagSet) Run {
		return func(ctx context.Context, e *Env, args []string) (Result, error) {
			kind, err := vault.ParseKind(args[0])
			if err != nil {
				return Result{}, Usagef("%v", err)
			}
			tried := false
			err = vault.Change(ctx, e.Secret, func(v vault.Version, d *vault.Document) error {
				if err := d.Remove(kind, args[1], v); err != nil {
					return err
				}
				if kind != vault.Notify || !e.Settings.Notifies() {
					return nil
				}
				tried = true
				if err := sendTest(ctx, e, d.Text()); err != nil {
					return fmt.Errorf("nothing was changed: the receiver does not accept a notice that the other keys sign (%w). Give it those keys first: docs/supabase.md has the command", err)
				}
				return nil
			})
			if err != nil {
				return Result{}, err
			}
			return Result{Report: keyRemoved{Kind: kind, ID: args[1], Tried: tried}, Next: "key list"}, nil
		}
	},
}

type keyRemoved struct {
	Kind  vault.Kind `json:"kind"`
	ID    string     `json:"id"`
	Tried bool       `json:"testNoticeAccepted,omitempty"`
}

// Print implements Report.
func (r keyRemoved) Print(p *Page) {
	if r.Tried {
		p.Line("The receiver accepted a test notice that the other keys signed.")
	}
	p.Line("The %s key %s is removed. The functions that run forget it within 5 minutes.", r.Kind, r.ID)
	if r.Kind == vault.Notify {
		p.Line("Take it from the receiver too.")
	}
}

// sendTest sends the receiver of notices one of type test, signed with the notify keys of
// a secret. A receiver answers a type that it does not know with 2xx, and ignores it.
func sendTest(ctx context.Context, e *Env, secret []byte) error {
	secrets := config.NewSecrets(func(context.Context) ([]byte, error) { return secret, nil }, outbound.WallClock, slog.New(slog.DiscardHandler))
	body, err := json.Marshal(map[string]any{"type": "test", "timestamp": e.Now().UTC().Format(time.RFC3339), "data": map[string]any{}})
	if err != nil {
		return err
	}
	err = webhook.FromSettings(e.Settings, secrets, outbound.NewClient()).Send(ctx, "test-"+rand.Text(), body)
	return printable(err, "the receiver of notices")
}

// printable returns an error without what may be secret in it, such as an address.
func printable(err error, of string) error {
	switch {
	case err == nil, errors.Is(err, webhook.ErrKeys):
		return err
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s did not answer in time", of)
	}
	if safe := outbound.Printable(err); safe != nil {
		return fmt.Errorf("%s: %w", of, safe)
	}
	return fmt.Errorf("%s did not answer as it should", of)
}
