// Package vault changes the service's one secret. Every change is made of the value
// that was read, and becomes the current one only if no other change came first. What
// this code does not know in the secret keeps its text and its place.
package vault

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/preset/nanobanana-functions/shared/config"
)

// ErrChanged means that the secret has another current version than the one that was
// read. Nothing was changed.
var ErrChanged = errors.New("somebody else has changed the secret")

// Version is the secret's value at one time.
type Version struct {
	ID      string
	Created time.Time
	ReadAt  time.Time // by the clock of the service that keeps the secret
	Value   []byte
}

// Secret is where the secret is kept: Secrets Manager, or the data folder of a local run.
type Secret interface {
	// Read returns the current version.
	Read(ctx context.Context) (Version, error)
	// Swap makes value the current one if was still is. If not, it returns ErrChanged.
	// After any other error the value before is still the current one, unless the error
	// says that this is unknown.
	Swap(ctx context.Context, was Version, value []byte) error
}

// maxTries bounds how often a change begins again because of others.
const maxTries = 5

// Change reads the secret, lets edit change it, checks the result as the functions do
// when they read it, and writes it. If somebody else changes the secret meanwhile, it
// begins again with their value: so edit may be called several times. An error of edit
// ends it, and nothing is written; nor is anything if edit changes nothing.
func Change(ctx context.Context, s Secret, edit func(Version, *Document) error) error {
	for range maxTries {
		was, err := s.Read(ctx)
		if err != nil {
			return err
		}
		d, err := Parse(was.Value)
		if err != nil {
			return err
		}
		before := d.Text()
		if err := edit(was, d); err != nil {
			return err
		}
		value := d.Text()
		if string(value) == string(before) {
			return nil
		}
		if _, err := config.ParseSecret(value); err != nil {
			return fmt.Errorf("nothing was changed: the functions would refuse the secret that this makes: %w", err)
		}
		err = s.Swap(ctx, was, value)
		if !errors.Is(err, ErrChanged) {
			return err
		}
	}
	return fmt.Errorf("nothing was changed: %w %d times while this ran; run the command again", ErrChanged, maxTries)
}
