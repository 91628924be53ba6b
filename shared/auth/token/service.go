package token

// ServicePrefix starts every service token. It distinguishes one from a JWT,
// and lets scanners of repositories and logs recognize one.
const ServicePrefix = "nbs_"

// A ServiceToken is what the secret keeps of a token of one of our own servers.
type ServiceToken struct {
	ID   string `json:"id"` // identifies it when it is replaced: 1 to 32 of A-Z a-z 0-9 _ -
	Hash string `json:"hash"`
}

// ServiceTokens are the accepted service tokens: several while one replaces another.
type ServiceTokens []ServiceToken

// NewServiceToken makes a token and what the secret keeps of it. Show the token
// once and store it nowhere.
func NewServiceToken(id string) (token string, kept ServiceToken) {
	token, hash := newToken(ServicePrefix)
	return token, ServiceToken{ID: id, Hash: hash}
}

// Verify reports whether token is one of ts. It takes the same time for every token.
func (ts ServiceTokens) Verify(token string) bool {
	_, ok := find(ts, token)
	return ok
}

// Check returns one sentence for each fault in ts, the secret's member name.
func (ts ServiceTokens) Check(name string) error {
	c := newChecker(name)
	for i, t := range ts {
		c.id(i, t.ID)
		c.hash(i, t.Hash, "make service-token")
	}
	return c.err()
}

func (t ServiceToken) idAndHash() (id, hash string) { return t.ID, t.Hash }
