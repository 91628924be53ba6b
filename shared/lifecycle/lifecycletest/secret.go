package lifecycletest

import (
	"context"
	"encoding/json"
	"sync"

	"github.com/preset/nanobanana-functions/shared/auth/token"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
)

// Secret is what Secrets Manager holds. What is set is seen once it is read again.
type Secret struct {
	mu       sync.Mutex
	apiKey   string
	callback token.Keys
	image    token.Keys
	service  token.ServiceTokens
	personal token.PersonalTokens
	notify   token.Keys
	err      error
}

func newSecret() *Secret {
	keys := token.Keys{{ID: "k", Key: "0123456789abcdef0123456789abcdef"}}
	return &Secret{apiKey: nanobananatest.DefaultKey, callback: keys, image: keys}
}

// Set makes key the provider's, or err what reading gives.
func (s *Secret) Set(key string, err error) {
	s.change(func() { s.apiKey, s.err = key, err })
}

// SetCallbackKeys makes keys those that callback URLs are signed with.
func (s *Secret) SetCallbackKeys(keys ...token.Key) {
	s.change(func() { s.callback = keys })
}

// SetImageKeys makes keys those that image links are signed with.
func (s *Secret) SetImageKeys(keys ...token.Key) {
	s.change(func() { s.image = keys })
}

// SetNotifyKeys makes keys those that notices are signed with.
func (s *Secret) SetNotifyKeys(keys ...token.Key) {
	s.change(func() { s.notify = keys })
}

// SetServiceTokens makes these the tokens of our own servers.
func (s *Secret) SetServiceTokens(kept ...token.ServiceToken) {
	s.change(func() { s.service = kept })
}

// SetPersonalTokens makes these the tokens that are users' own.
func (s *Secret) SetPersonalTokens(kept ...token.PersonalToken) {
	s.change(func() { s.personal = kept })
}

// change changes the secret, as the next read of it will find it.
func (s *Secret) change(how func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	how()
}

func (s *Secret) read(context.Context) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return nil, s.err
	}
	return json.Marshal(map[string]any{
		"apiKey": s.apiKey, "callbackKeys": spelt(s.callback), "imageKeys": spelt(s.image), "notifyKeys": spelt(s.notify),
		"serviceTokens": s.service, "personalTokens": s.personal,
	})
}

// spelt gives keys as the secret has them: a key itself prints "[hidden]".
func spelt(keys token.Keys) (list []map[string]string) {
	for _, k := range keys {
		list = append(list, map[string]string{"id": k.ID, "key": string(k.Key)})
	}
	return list
}
