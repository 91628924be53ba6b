package auth

import "sync"

// maxProven bounds the memory: a token's claims are some hundred bytes.
const maxProven = 1000

// proof is that a token's signature holds: which key showed it, and what the
// token says. Whether that is enough is judged each time anew.
type proof struct {
	id     keyID
	key    any
	claims claims
}

// proven remembers proofs by the token's SHA-256: whoever polls sends the same
// token again and again, and to verify it is the dearest part of a read.
type proven struct {
	mu     sync.Mutex
	proofs map[[32]byte]proof
}

func (p *proven) get(token [32]byte) (proof, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	found, ok := p.proofs[token]
	return found, ok
}

func (p *proven) put(token [32]byte, found proof) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.proofs == nil || len(p.proofs) >= maxProven {
		p.proofs = map[[32]byte]proof{} // begun anew: cheaper than to know which was used last
	}
	p.proofs[token] = found
}
