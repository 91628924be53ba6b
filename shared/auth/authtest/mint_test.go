package authtest_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/auth"
	"github.com/preset/nanobanana-functions/shared/auth/authtest"
)

func TestLoadOrCreateKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data", "mint.pem")
	first, err := authtest.LoadOrCreateKey(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file: %v, %v", info, err)
	}
	again, err := authtest.LoadOrCreateKey(path)
	if err != nil || !again.Equal(first) {
		t.Errorf("loaded another key: %v", err)
	}
	left, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}

	for name, text := range map[string]string{
		"not PEM": "x", "not a key": "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := authtest.LoadOrCreateKey(path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestLoadOrCreateKeyAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mint.pem")
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			key, err := authtest.LoadOrCreateKey(path)
			if err != nil {
				t.Error(err)
				return
			}
			if again, err := authtest.LoadOrCreateKey(path); err != nil || !again.Equal(key) {
				t.Errorf("two keys, %v", err)
			}
		})
	}
	wg.Wait()
}

func TestMint(t *testing.T) {
	key, err := authtest.LoadOrCreateKey(filepath.Join(t.TempDir(), "mint.pem"))
	if err != nil {
		t.Fatal(err)
	}
	mint, err := authtest.NewMint(key, "http://127.0.0.1:8787")
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(mint)
	defer srv.Close()
	v, err := auth.New(auth.Config{
		Issuer: "http://127.0.0.1:8787", Audience: authtest.Audience, JWKSURL: srv.URL + authtest.Path, HTTP: srv.Client(), Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	token, err := mint.Token("alice", 30*24*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	if owner, err := v.Owner(t.Context(), r); owner != "alice" || err != nil {
		t.Errorf("Owner = %q, %v", owner, err)
	}
	resp, err := srv.Client().Get(srv.URL + "/elsewhere")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusNotFound {
		t.Errorf("another path: %s", resp.Status)
	}
}
