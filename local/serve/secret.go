package serve

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/preset/nanobanana-functions/local/ops/vault"
	"github.com/preset/nanobanana-functions/shared/auth/token"
	"github.com/preset/nanobanana-functions/shared/config"
)

// secretFile holds the local run's secret, in the data folder, once a command has
// changed it. Until then the secret is made of keys.json and the environment.
const secretFile = "secret.json"

// Secret is the secret of a local run: a file. It has the lists of a stack's secret; the
// provider's key, and every key that the environment sets, are the environment's.
type Secret struct {
	path     string
	settings config.Settings // with the keys of keys.json where the environment sets none
	fixed    []fixedKey
	now      func() time.Time

	mu sync.Mutex // held while the file is replaced
}

// fixedKey is a list of the secret that a variable sets.
type fixedKey struct{ list, variable string }

// openSecret returns the secret of the data folder. fromEnv are the settings before
// keys.json filled them; all are those after it.
func openSecret(data string, fromEnv, all config.Settings) *Secret {
	s := &Secret{path: filepath.Join(data, secretFile), settings: all, now: time.Now}
	for _, f := range []struct {
		key token.Hidden
		fixedKey
	}{
		{fromEnv.CallbackKey, fixedKey{"callbackKeys", "CALLBACK_KEY"}},
		{fromEnv.ImageKey, fixedKey{"imageKeys", "IMAGE_KEY"}},
		{fromEnv.NotifyKey, fixedKey{"notifyKeys", "NOTIFY_KEY"}},
	} {
		if f.key != "" {
			s.fixed = append(s.fixed, f.fixedKey)
		}
	}
	return s
}

// value returns the secret's JSON, as [config.NewSecrets] wants it.
func (s *Secret) value(ctx context.Context) ([]byte, error) {
	v, err := s.Read(ctx)
	return v.Value, err
}

// Read returns the secret. Its version is named by what it holds.
func (s *Secret) Read(ctx context.Context) (vault.Version, error) {
	made, err := s.settings.LocalSecret(ctx)
	if err != nil {
		return vault.Version{}, err
	}
	kept, err := os.ReadFile(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return s.version(keysFile, made)
	}
	if err != nil {
		return vault.Version{}, err
	}
	d, err := vault.Parse(kept)
	if err != nil {
		return vault.Version{}, fmt.Errorf("%s: %w", s.path, err)
	}
	own, err := vault.Parse(made)
	if err != nil {
		return vault.Version{}, err
	}
	for _, f := range s.fixed {
		d.Take(f.list, own)
	}
	d.Take("apiKey", own)
	return s.version(secretFile, d.Text())
}

// version is a value that a file of the data folder holds.
func (s *Secret) version(name string, value []byte) (vault.Version, error) {
	file, err := os.Stat(filepath.Join(filepath.Dir(s.path), name))
	if err != nil {
		return vault.Version{}, err
	}
	sum := sha256.Sum256(value)
	return vault.Version{ID: hex.EncodeToString(sum[:]), Created: file.ModTime(), ReadAt: s.now(), Value: value}, nil
}

// Swap replaces the file, in one step, if the secret is still the one that was read.
// Another process does not: only one has the data folder open.
func (s *Secret) Swap(ctx context.Context, was vault.Version, value []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	is, err := s.Read(ctx)
	if err != nil {
		return err
	}
	if is.ID != was.ID {
		return vault.ErrChanged
	}
	next, err := vault.Parse(value)
	if err != nil {
		return err
	}
	before, err := vault.Parse(is.Value)
	if err != nil {
		return err
	}
	if !next.Same("apiKey", before) {
		return errors.New("nothing was changed: a local run has the provider's key from NANOBANANA_API_KEY. Set it and start bin/local -live")
	}
	for _, f := range s.fixed {
		if !next.Same(f.list, before) {
			return fmt.Errorf("nothing was changed: this local run has its key from %s. Start it without that variable; then it has keys of its own, which commands can change", f.variable)
		}
	}
	next.Drop("apiKey")
	return replaceFile(s.path, next.Text())
}

// replaceFile replaces the content of the file at path, as a whole or not at all.
func replaceFile(path string, content []byte) error {
	next := path + ".new"
	file, err := os.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	err = errors.Join(err, file.Sync(), file.Close())
	if err == nil {
		err = os.Rename(next, path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(next))
	}
	return syncNames(filepath.Dir(path))
}
