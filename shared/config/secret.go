package config

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/preset/nanobanana-functions/shared/auth/token"
)

const (
	secretAge     = 5 * time.Minute // how long a value read is used without another read
	secretGap     = 5 * time.Second // after a read that failed, before the next
	secretTimeout = 5 * time.Second // of one read
	minJWTSecret  = 32              // bytes; HS256 takes no shorter key
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

// ParseSecret reads the JSON value of the secret. Members it does not know are
// passed over, since a newer release may stand beside this one. The error joins a
// sentence for each fault and holds nothing of the value.
func ParseSecret(value []byte) (Secret, error) {
	var m members
	if err := json.Unmarshal(value, &m.values); err != nil || m.values == nil {
		// The decoder's own words may quote the value.
		return Secret{}, errors.New(`the secret is not one JSON object: write {"apiKey":"...","callbackKeys":[{"id":"...","key":"..."}],"imageKeys":[...]}`)
	}
	s := Secret{
		APIKey:       m.text("apiKey"),
		CallbackKeys: m.keys("callbackKeys", 1),
		ImageKeys:    m.keys("imageKeys", 1),
		NotifyKeys:   m.keys("notifyKeys", 0),
		JWTSecret:    m.text("jwtSecret"),

		ServiceTokens:  tokens[token.ServiceTokens](&m, "serviceTokens", `{"id":"...","hash":"..."}`, "make service-token"),
		PersonalTokens: tokens[token.PersonalTokens](&m, "personalTokens", `{"id":"...","owner":"...","hash":"..."}`, "make token"),
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

// members are the secret's values by name, and the faults found in them.
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
		m.fault("%s is not text: put it in quotes", name)
	}
	return text
}

func (m *members) keys(name string, atLeast int) token.Keys {
	var keys token.Keys
	if v, ok := m.values[name]; ok && json.Unmarshal(v, &keys) != nil {
		m.fault(`%s is not a list of keys: write [{"id":"...","key":"..."}]`, name)
		return nil
	}
	if len(keys) < atLeast {
		m.fault("%s is missing or empty: add a key", name)
	}
	m.faults = append(m.faults, keys.Check(name))
	return keys
}

// tokens reads a list of entries of this form, as maker prints them.
func tokens[L interface{ Check(name string) error }](m *members, name, form, maker string) (list L) {
	if v, ok := m.values[name]; ok && json.Unmarshal(v, &list) != nil {
		m.fault("%s is not a list of tokens' hashes: write [%s], as %s prints them", name, form, maker)
		return *new(L)
	}
	m.faults = append(m.faults, list.Check(name))
	return list
}

// LocalSecret reads the secret of the local run: its keys, each under the id "local".
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
	})
}

// Secrets is the secret, read when it is first asked for and again while it rolls.
// It is safe for concurrent use; callers share a read.
type Secrets struct {
	read func(context.Context) ([]byte, error)
	now  func() time.Time
	log  *slog.Logger

	turn    chan struct{} // holding its one place guards what follows; a channel, since waiting ends with ctx
	secret  Secret
	readAt  time.Time // of secret, before the read; zero: there never was one
	triedAt time.Time // of the last read, failed or not, after it
	err     error     // of the last read
}

// Format prints "[hidden]": fmt would look through what is not exported, where
// Hidden cannot hide.
func (Secrets) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, token.Redacted) }

// NewSecrets gives a Secrets that takes the JSON value from read, which runs
// apart from its caller's cancellation with 5 s of its own. now is the wall clock
// (outbound.WallClock).
func NewSecrets(read func(context.Context) ([]byte, error), now func() time.Time, log *slog.Logger) *Secrets {
	return &Secrets{read: read, now: now, log: log, turn: make(chan struct{}, 1)}
}

// Current gives the secret, at most 5 minutes old. While a newer one cannot be
// read or is faulty, the last good one stays in use; the error says that there never was one.
func (s *Secrets) Current(ctx context.Context) (Secret, error) {
	if err := s.take(ctx); err != nil {
		return Secret{}, err
	}
	defer s.release()
	if err := s.refresh(ctx, s.now().Add(-secretAge)); err != nil && s.readAt.IsZero() {
		return Secret{}, err
	}
	return s.secret, nil
}

// Reload gives the secret as it stood at since or later, for the moment after a
// key was refused: callers that name the same moment share a read. The error
// says that it could not be read, now or within the last 5 s.
func (s *Secrets) Reload(ctx context.Context, since time.Time) (Secret, error) {
	if err := s.take(ctx); err != nil {
		return Secret{}, err
	}
	defer s.release()
	if err := s.refresh(ctx, since); err != nil {
		return Secret{}, err
	}
	return s.secret, nil
}

// refresh reads the secret unless it has been read since, or the last read
// failed a moment ago, and gives the last read's error.
func (s *Secrets) refresh(ctx context.Context, since time.Time) error {
	now := s.now()
	switch {
	case s.readAt.After(since):
		return nil
	case s.err != nil && now.Sub(s.triedAt) < secretGap:
		return s.err
	}
	// The read is everybody's: its caller's going away must not fail it.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), secretTimeout)
	defer cancel()
	value, err := s.read(ctx)
	if err != nil {
		err = fmt.Errorf("reading the secret: %w", err)
	}
	var secret Secret
	if err == nil {
		secret, err = ParseSecret(value)
	}
	// After the read: else one that hangs as long as the gap is followed by the
	// next at once, and no caller is served without waiting.
	s.triedAt, s.err = s.now(), err
	if err == nil {
		s.secret, s.readAt = secret, now
	} else if !s.readAt.IsZero() {
		s.log.ErrorContext(ctx, "secret not refreshed; the last one stays in use", "error", err)
	}
	return err
}

func (s *Secrets) take(ctx context.Context) error {
	select {
	case s.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting for the secret: %w", context.Cause(ctx))
	}
}

func (s *Secrets) release() { <-s.turn }
