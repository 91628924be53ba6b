package serve

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/preset/nanobanana-functions/local/ops/vault"
	"github.com/preset/nanobanana-functions/local/ops/vault/vaulttest"
	"github.com/preset/nanobanana-functions/shared/config"
)

func openTestSecret(t *testing.T, data string, env map[string]string) *Secret {
	t.Helper()
	_, s, err := settings(Options{Data: data, Getenv: func(name string) string { return env[name] }}, "http://127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestLocalSecret(t *testing.T) {
	vaulttest.TestSecret(t, func(t *testing.T) vault.Secret { return openTestSecret(t, t.TempDir(), nil) })
}

// A rotated key and the old one work after a restart; a variable wins over both.
func TestLocalSecretSurvives(t *testing.T) {
	data := t.TempDir()
	s := openTestSecret(t, data, nil)
	rotate := func(v vault.Version, d *vault.Document) error { _, err := d.Rotate(vault.Image, v.ReadAt); return err }
	if err := vault.Change(t.Context(), s, rotate); err != nil {
		t.Fatal(err)
	}
	k, err := openKeys(data)
	if err != nil {
		t.Fatal(err)
	}
	secret := parsed(t, openTestSecret(t, data, nil))
	if len(secret.ImageKeys) != 2 || secret.ImageKeys[0].ID != "local" || string(secret.ImageKeys[0].Key) != k.Image || len(secret.CallbackKeys) != 1 || secret.APIKey != simulatorKey {
		t.Errorf("%d image keys, %d callback keys", len(secret.ImageKeys), len(secret.CallbackKeys))
	}
	set := openTestSecret(t, data, map[string]string{"IMAGE_KEY": "an-image-key-of-the-environment"})
	if secret := parsed(t, set); len(secret.ImageKeys) != 1 || secret.ImageKeys[0].Key != "an-image-key-of-the-environment" {
		t.Errorf("with IMAGE_KEY: %d image keys", len(secret.ImageKeys))
	}
	if err := vault.Change(t.Context(), set, rotate); err == nil || !strings.Contains(err.Error(), "IMAGE_KEY") {
		t.Errorf("with IMAGE_KEY: %v", err)
	}
	if err := vault.Change(t.Context(), s, func(_ vault.Version, d *vault.Document) error { d.SetAPIKey("k"); return nil }); err == nil || !strings.Contains(err.Error(), "NANOBANANA_API_KEY") {
		t.Errorf("the provider's key: %v", err)
	}
	if b, err := os.ReadFile(filepath.Join(data, secretFile)); err != nil || strings.Contains(string(b), simulatorKey) {
		t.Errorf("%s keeps the provider's key, or %v", secretFile, err)
	}
}

func parsed(t *testing.T, s *Secret) config.Secret {
	t.Helper()
	value, err := s.value(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	secret, err := config.ParseSecret(value)
	if err != nil {
		t.Fatal(err)
	}
	return secret
}
