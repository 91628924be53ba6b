// Package signin is the local run's stand-in for Supabase: a mint that signs
// tokens with a key from the data folder, and the address it issues them for.
package signin

import (
	"net"
	"os"
	"path/filepath"

	"github.com/preset/nanobanana-functions/shared/auth/authtest"
)

// SampleOwner is the one user of a local run who needs no name: of the studio page,
// of the demo, and of tokens printed without an owner, so that all of them show the
// same pictures. It is a UUID, as Supabase's users are.
const SampleOwner = "00000000-0000-4000-8000-000000000001"

// Path is where a server serves the mint's public keys.
const Path = "/auth/v1"

// Open opens the mint of a server at origin, and creates its key if the data
// folder has none.
func Open(data, origin string) (*authtest.Mint, error) {
	if err := os.MkdirAll(data, 0o700); err != nil {
		return nil, err
	}
	key, err := authtest.LoadOrCreateKey(filepath.Join(data, "mint.pem"))
	if err != nil {
		return nil, err
	}
	return authtest.NewMint(key, origin+Path)
}

// Origin returns the address at which this machine reaches a server that
// listens on addr; port, unless empty, replaces that of addr. The mint's issuer
// is made of it, so "", "localhost" and 0.0.0.0 all become 127.0.0.1.
func Origin(addr, port string) string {
	host, addrPort, err := net.SplitHostPort(addr)
	if err != nil {
		host = addr
	}
	if port == "" {
		port = addrPort
	}
	if ip := net.ParseIP(host); host == "" || host == "localhost" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port)
}
