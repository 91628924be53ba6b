// Package vaulttest tests what every vault.Secret promises.
package vaulttest

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/preset/nanobanana-functions/local/ops/vault"
	"github.com/preset/nanobanana-functions/shared/auth/token"
	"github.com/preset/nanobanana-functions/shared/config"
)

// TestSecret tests the secret that open returns, which may have any keys.
func TestSecret(t *testing.T, open func(t *testing.T) vault.Secret) {
	t.Run("a change is read back, and has another version", func(t *testing.T) {
		s := open(t)
		was := read(t, s)
		again := read(t, s)
		if again.ID != was.ID || string(again.Value) != string(was.Value) {
			t.Errorf("read twice: %s, %s", was.ID, again.ID)
		}
		rotate(t, s, vault.Image, was)
		is := read(t, s)
		if is.ID == was.ID || is.Created.Before(was.Created) || is.ReadAt.IsZero() {
			t.Errorf("version %s of %v, then %s of %v", was.ID, was.Created, is.ID, is.Created)
		}
		if n := len(parsed(t, is).ImageKeys); n != 2 {
			t.Errorf("%d image keys, want 2", n)
		}
	})
	t.Run("a change of a value that was replaced meanwhile is refused", func(t *testing.T) {
		s := open(t)
		was := read(t, s)
		rotate(t, s, vault.Callback, was)
		between := read(t, s)
		if err := s.Swap(t.Context(), was, was.Value); !errors.Is(err, vault.ErrChanged) {
			t.Errorf("got %v", err)
		}
		if is := read(t, s); is.ID != between.ID || string(is.Value) != string(between.Value) {
			t.Errorf("the refused change changed it")
		}
	})
	t.Run("of many changes at once none is lost", func(t *testing.T) {
		s := open(t)
		const n = 4
		var running sync.WaitGroup
		for i := range n {
			running.Go(func() {
				_, kept := token.NewServiceToken(fmt.Sprint("server", i))
				for { // as a person does whom the tool tells to run the command again
					err := vault.Change(t.Context(), s, func(_ vault.Version, d *vault.Document) error { return d.AddService(kept) })
					if err == nil {
						return
					}
					if !errors.Is(err, vault.ErrChanged) {
						t.Error(err)
						return
					}
				}
			})
		}
		running.Wait()
		if got := parsed(t, read(t, s)).ServiceTokens; len(got) != n {
			t.Errorf("%d tokens are kept, want %d", len(got), n)
		}
	})
	t.Run("a value that the functions would refuse is not written", func(t *testing.T) {
		s := open(t)
		was := read(t, s)
		err := vault.Change(t.Context(), s, func(_ vault.Version, d *vault.Document) error {
			return d.AddService(token.ServiceToken{ID: "server", Hash: "no hash"})
		})
		if err == nil || !strings.Contains(err.Error(), "nothing was changed") {
			t.Errorf("got %v", err)
		}
		if is := read(t, s); is.ID != was.ID {
			t.Error("it was written")
		}
	})
}

func read(t *testing.T, s vault.Secret) vault.Version {
	t.Helper()
	v, err := s.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func parsed(t *testing.T, v vault.Version) config.Secret {
	t.Helper()
	secret, err := config.ParseSecret(v.Value)
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

// rotate adds a key to the value of v and writes it.
func rotate(t *testing.T, s vault.Secret, kind vault.Kind, v vault.Version) {
	t.Helper()
	d, err := vault.Parse(v.Value)
	if err == nil {
		_, err = d.Rotate(kind, v.ReadAt)
	}
	if err == nil {
		err = s.Swap(t.Context(), v, d.Text())
	}
	if err != nil {
		t.Fatal(err)
	}
}
