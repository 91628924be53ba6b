package config

import (
	"context"
	"errors"
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/preset/nanobanana-functions/shared/auth/token"
)

const (
	minJWTSecret = 32 // bytes; HS256 accepts no shorter key
	keyForm      = `{"id":"...","key":"..."}`
)

// Secret is the service's one secret value.
type Secret struct {
	APIKey       token.Hidden // the provider's key; without it nothing can be submitted
	CallbackKeys token.Keys   // at least one
	ImageKeys    token.Keys   // at least one
	NotifyKeys   token.Keys   // may be empty
	JWTSecret    token.Hidden // verifies HS256 tokens; if empty they are refused

	ServiceTokens  token.ServiceTokens  // may be empty
	PersonalTokens token.PersonalTokens // may be empty
}

// ParseSecret parses the JSON value of the secret. It ignores unknown members,
// because a newer release may be deployed besides this one. The error joins a
// sentence for each fault and quotes nothing of the value.
func ParseSecret(value []byte) (Secret, error) {
	var m members
	if err := json.Unmarshal(value, &m.values); err != nil || m.values == nil {
		// Not wrapped: the decoder's error may quote the value.
		return Secret{}, errors.New(`the secret is not one JSON object: write {"apiKey":"...","callbackKeys":[{"id":"...","key":"..."}],"imageKeys":[...]}`)
	}
	s := Secret{
		APIKey:       m.text("apiKey"),
		CallbackKeys: list[token.Keys](&m, "callbackKeys", 1, keyForm),
		ImageKeys:    list[token.Keys](&m, "imageKeys", 1, keyForm),
		NotifyKeys:   list[token.Keys](&m, "notifyKeys", 0, keyForm),
		JWTSecret:    m.text("jwtSecret"),

		ServiceTokens:  list[token.ServiceTokens](&m, "serviceTokens", 0, `{"id":"...","hash":"..."}`),
		PersonalTokens: list[token.PersonalTokens](&m, "personalTokens", 0, `{"id":"...","owner":"...","hash":"..."}`),
	}
	if !visible(string(s.APIKey)) {
		m.fault("apiKey has white space or characters that are not visible ASCII: paste it again")
	}
	if s.JWTSecret != "" && len(s.JWTSecret) < minJWTSecret {
		m.fault("jwtSecret is too short: HS256 needs at least %d bytes", minJWTSecret)
	}
	if err := errors.Join(m.faults...); err != nil {
		return Secret{}, fmt.Errorf("the secret: %w", err)
	}
	return s, nil
}

// members are the secret's values by name, with the faults found in them.
type members struct {
	values map[string]jsontext.Value
	faults []error
}

func (m *members) fault(format string, args ...any) {
	m.faults = append(m.faults, fmt.Errorf(format, args...))
}

func (m *members) text(name string) token.Hidden {
	var text token.Hidden
	if v, ok := m.values[name]; ok && json.Unmarshal(v, &text) != nil {
		m.fault("%s is not a string: put it in quotes", name)
	}
	return text
}

// A checkedList is a list in the secret, such as token.Keys.
type checkedList[E any] interface {
	~[]E
	Check(name string) error
}

// list reads and checks a list of atLeast entries or more. form shows an entry.
func list[L checkedList[E], E any](m *members, name string, atLeast int, form string) (entries L) {
	if v, ok := m.values[name]; ok && json.Unmarshal(v, &entries) != nil {
		m.fault("%s is not a list: write [%s]", name, form)
		return nil
	}
	if len(entries) < atLeast {
		m.fault("%s is missing or empty: write [%s]", name, form)
	}
	m.faults = append(m.faults, entries.Check(name))
	return entries
}

// LocalSecret returns the JSON of the local run's secret, whose keys all have the id
// "local". It is the same for the same settings.
func (s Settings) LocalSecret(context.Context) ([]byte, error) {
	keys := func(k token.Hidden) []map[string]string {
		if k == "" {
			return nil
		}
		return []map[string]string{{"id": "local", "key": string(k)}}
	}
	return json.Marshal(map[string]any{
		"apiKey":       string(s.APIKey),
		"callbackKeys": keys(s.CallbackKey),
		"imageKeys":    keys(s.ImageKey),
		"notifyKeys":   keys(s.NotifyKey),
	}, json.Deterministic(true))
}
