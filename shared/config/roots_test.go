package config

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// rootsPEM returns n roots of this block type, each under a comment, as Amazon Linux
// writes them.
func rootsPEM(t *testing.T, n int, block string) []byte {
	t.Helper()
	var text bytes.Buffer
	for range n {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		serial, _ := rand.Int(rand.Reader, big.NewInt(1<<62))
		root := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: serial.String()}, IsCA: true}
		der, err := x509.CreateCertificate(rand.Reader, root, root, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		text.WriteString("# " + serial.String() + "\n")
		if err := pem.Encode(&text, &pem.Block{Type: block, Bytes: der}); err != nil {
			t.Fatal(err)
		}
	}
	return text.Bytes()
}

// amazonLinux makes the files and links of Amazon Linux 2023 in a folder of its own. It
// returns the bundle and the two folders, of which one is a link to the other.
func amazonLinux(t *testing.T) (bundle string, folders []string) {
	t.Helper()
	root := t.TempDir()
	extracted, certs, ssl := filepath.Join(root, "extracted"), filepath.Join(root, "pki"), filepath.Join(root, "ssl")
	for _, err := range []error{
		os.Mkdir(extracted, 0o700), os.Mkdir(certs, 0o700), os.Symlink(certs, ssl),
		os.WriteFile(filepath.Join(extracted, "bundle.pem"), rootsPEM(t, 5, "CERTIFICATE"), 0o600),
		os.WriteFile(filepath.Join(extracted, "trust.crt"), rootsPEM(t, 5, "TRUSTED CERTIFICATE"), 0o600),
		os.Symlink("../extracted/bundle.pem", filepath.Join(certs, "ca-bundle.crt")),
		os.Symlink("../extracted/trust.crt", filepath.Join(certs, "ca-bundle.trust.crt")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(certs, "ca-bundle.crt"), []string{ssl, certs}
}

func TestReadRootsOnce(t *testing.T) {
	for name, test := range map[string]struct {
		change func(bundle string) error
		env    string
		reads  bool // all that x509 reads by itself
	}{
		"Amazon Linux's files": {},
		"SSL_CERT_FILE is set": {env: "SSL_CERT_FILE", reads: true},
		"SSL_CERT_DIR is set":  {env: "SSL_CERT_DIR", reads: true},
		"the bundle is missing": {reads: true,
			change: func(bundle string) error { return os.Remove(bundle) }},
		"the bundle is unreadable": {reads: true, // as a folder is, even for root
			change: func(bundle string) error { return errors.Join(os.Remove(bundle), os.Mkdir(bundle, 0o700)) }},
		"the bundle is empty": {reads: true,
			change: func(bundle string) error { return os.Truncate(bundle, 0) }},
		"a folder holds another root": {reads: true,
			change: func(bundle string) error {
				return os.WriteFile(filepath.Join(filepath.Dir(bundle), "ours.pem"), rootsPEM(t, 1, "CERTIFICATE"), 0o600)
			}},
		"a folder holds a link to nowhere": {
			change: func(bundle string) error {
				return os.Symlink("nowhere", filepath.Join(filepath.Dir(bundle), "gone.pem"))
			}},
	} {
		t.Run(name, func(t *testing.T) {
			bundle, folders := amazonLinux(t)
			if test.change != nil {
				if err := test.change(bundle); err != nil {
					t.Fatal(err)
				}
			}
			t.Setenv("SSL_CERT_FILE", "")
			t.Setenv("SSL_CERT_DIR", "")
			wantFile, wantDir := bundle, os.DevNull
			if test.reads {
				wantFile, wantDir = "", ""
			}
			if test.env != "" {
				t.Setenv(test.env, "/set")
				wantFile, wantDir = os.Getenv("SSL_CERT_FILE"), os.Getenv("SSL_CERT_DIR")
			}
			readRootsOnce(bundle, folders)
			if file, dir := os.Getenv("SSL_CERT_FILE"), os.Getenv("SSL_CERT_DIR"); file != wantFile || dir != wantDir {
				t.Errorf("x509 reads %q and %q, want %q and %q", file, dir, wantFile, wantDir)
			}
		})
	}
}

// The roots are the same as those of the bundle and both folders. x509 loads them once
// in a process, so each set is loaded in a process of its own.
func TestReadRootsOnceKeepsTheRoots(t *testing.T) {
	if mode := os.Getenv("ROOTS_TEST"); mode != "" {
		bundle, folders := os.Getenv("ROOTS_BUNDLE"), strings.Split(os.Getenv("ROOTS_FOLDERS"), ":")
		if mode == "all" {
			t.Setenv("SSL_CERT_FILE", bundle)
			t.Setenv("SSL_CERT_DIR", strings.Join(folders, ":"))
		} else {
			readRootsOnce(bundle, folders)
		}
		text, err := os.ReadFile(bundle)
		if err != nil {
			t.Fatal(err)
		}
		got, err := x509.SystemCertPool()
		if err != nil {
			t.Fatal(err)
		}
		want := x509.NewCertPool()
		if !want.AppendCertsFromPEM(text) || !got.Equal(want) {
			t.Errorf("other roots than the bundle's")
		}
		return
	}
	bundle, folders := amazonLinux(t)
	for _, mode := range []string{"all", "once"} {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestReadRootsOnceKeepsTheRoots$")
		cmd.Env = []string{"ROOTS_TEST=" + mode, "ROOTS_BUNDLE=" + bundle, "ROOTS_FOLDERS=" + strings.Join(folders, ":"), "GORACE=atexit_sleep_ms=0"}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", mode, err, out)
		}
	}
}
