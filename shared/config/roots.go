package config

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
)

// Amazon Linux's bundle of root certificates, and the folders that crypto/x509 reads
// after it. There both are one folder, whose links lead to the bundle.
const systemBundle = "/etc/pki/tls/certs/ca-bundle.crt"

var systemFolders = []string{"/etc/ssl/certs", "/etc/pki/tls/certs"}

// readRootsOnce makes crypto/x509 parse the bundle alone, if it would find the same
// roots in the folders again; otherwise it changes nothing. It must run before the
// first handshake. Parsing them three times is a third of a cold start's CPU.
func readRootsOnce(bundle string, folders []string) {
	if os.Getenv("SSL_CERT_FILE") != "" || os.Getenv("SSL_CERT_DIR") != "" || !hasAllRoots(bundle, folders) {
		return
	}
	_ = os.Setenv("SSL_CERT_FILE", bundle)
	_ = os.Setenv("SSL_CERT_DIR", os.DevNull) // a file, so no folder can ever be there
}

// hasAllRoots reports whether the bundle has certificates and the folders have no others:
// all their readable files are the bundle itself, or hold none.
func hasAllRoots(bundle string, folders []string) bool {
	info, err := os.Stat(bundle)
	if err != nil || !holdsCertificate(bundle) {
		return false
	}
	seen := []os.FileInfo{info}
	for _, folder := range folders {
		entries, _ := os.ReadDir(folder) // x509 skips what it cannot read, too
		for _, entry := range entries {
			path := filepath.Join(folder, entry.Name())
			info, err := os.Stat(path)
			if err != nil || slices.ContainsFunc(seen, func(s os.FileInfo) bool { return os.SameFile(s, info) }) {
				continue
			}
			if holdsCertificate(path) {
				return false
			}
			seen = append(seen, info)
		}
	}
	return true
}

// holdsCertificate reports whether a file holds the line that begins each certificate
// that x509 takes. OpenSSL's TRUSTED CERTIFICATE is none.
func holdsCertificate(path string) bool {
	text, err := os.ReadFile(path)
	return err == nil && bytes.Contains(text, []byte("-----BEGIN CERTIFICATE-----"))
}
