package auth

import "sync"

// maxCached limits the memory: a token's claims take a few hundred bytes.
const maxCached = 1000

// verifiedClaims are claims whose signature is valid, with the key that verified
// it. The key and the claims themselves are checked on every request.
type verifiedClaims struct {
	id     keyID
	key    any
	claims claims
}

// A claimsCache holds verified claims by the token's SHA-256. A client that
// polls sends the same token many times, and verifying it is the most expensive
// part of a read.
type claimsCache struct {
	mu      sync.Mutex // guards entries
	entries map[[32]byte]verifiedClaims
}

func (c *claimsCache) get(sum [32]byte) (verifiedClaims, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.entries[sum]
	return e, ok
}

func (c *claimsCache) put(sum [32]byte, e verifiedClaims) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.entries == nil || len(c.entries) >= maxCached {
		c.entries = map[[32]byte]verifiedClaims{} // cheaper than tracking which entry was used last
	}
	c.entries[sum] = e
}
