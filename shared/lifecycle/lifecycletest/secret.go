package lifecycletest

import (
	"context"
	"encoding/json"
	"sync"

	"github.com/preset/nanobanana-functions/shared/auth/token"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
)

// Secret stands for Secrets Manager. A change shows at the next read.
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

// Set sets the provider's API key, or the error that reads return.
func (s *Secret) Set(key string, err error) {
	s.change(func() { s.apiKey, s.err = key, err })
}

// SetCallbackKeys sets the keys that sign callback URLs.
func (s *Secret) SetCallbackKeys(keys ...token.Key) {
	s.change(func() { s.callback = keys })
}

// SetImageKeys sets the keys that sign image links.
func (s *Secret) SetImageKeys(keys ...token.Key) {
	s.change(func() { s.image = keys })
}

// SetNotifyKeys sets the keys that sign notices.
func (s *Secret) SetNotifyKeys(keys ...token.Key) {
	s.change(func() { s.notify = keys })
}

// SetServiceTokens sets the tokens of our own servers.
func (s *Secret) SetServiceTokens(kept ...token.ServiceToken) {
	s.change(func() { s.service = kept })
}

// SetPersonalTokens sets the users' personal tokens.
func (s *Secret) SetPersonalTokens(kept ...token.PersonalToken) {
	s.change(func() { s.personal = kept })
}

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
		"apiKey": s.apiKey, "callbackKeys": plain(s.callback), "imageKeys": plain(s.image), "notifyKeys": plain(s.notify),
		"serviceTokens": s.service, "personalTokens": s.personal,
	})
}

// plain returns keys as the secret spells them: a key itself marshals to "[hidden]".
func plain(keys token.Keys) (list []map[string]string) {
	for _, k := range keys {
		list = append(list, map[string]string{"id": k.ID, "key": string(k.Key)})
	}
	return list
}
