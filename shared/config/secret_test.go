package config_test

import (
	"context"
	"errors"
	"log/slog"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/preset/nanobanana-functions/shared/auth/token"
	"github.com/preset/nanobanana-functions/shared/config"
)

const (
	keyA = "aaaaaaaaaaaaaaaaaaaaaaaa"
	keyB = "bbbbbbbbbbbbbbbbbbbbbbbb"
)

// value returns a secret with this API key.
func value(apiKey string) []byte {
	return []byte(`{"apiKey":"` + apiKey + `","callbackKeys":[{"id":"c","key":"` + keyA + `"}],"imageKeys":[{"id":"i","key":"` + keyA + `"}]}`)
}

func TestParseSecret(t *testing.T) {
	got, err := config.ParseSecret([]byte(`{"apiKey":"","callbackKeys":[{"id":"new","key":"` + keyB + `"},{"id":"old","key":"` + keyA + `"}],
		"imageKeys":[{"id":"i_1-Z","key":"` + keyA + `"}],"notifyKeys":[{"id":"n","key":"` + keyA + `"}],
		"jwtSecret":"01234567890123456789012345678901","laterMember":{"a":1}}`))
	want := config.Secret{
		CallbackKeys: token.Keys{{ID: "new", Key: keyB}, {ID: "old", Key: keyA}},
		ImageKeys:    token.Keys{{ID: "i_1-Z", Key: keyA}},
		NotifyKeys:   token.Keys{{ID: "n", Key: keyA}},
		JWTSecret:    "01234567890123456789012345678901",
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("ParseSecret = %#v, %v", got, err)
	}
}

func TestParseSecretFaults(t *testing.T) {
	const fine = `"callbackKeys":[{"id":"c","key":"` + keyA + `"}],"imageKeys":[{"id":"i","key":"` + keyA + `"}]`
	for _, tt := range []struct {
		name, value string
		faults      []string
	}{
		{"empty", "", []string{"not one JSON object"}},
		{"null", "null", []string{"not one JSON object"}},
		{"a list", "[]", []string{"not one JSON object"}},
		{"the API key alone", `hunter2`, []string{"not one JSON object"}},
		{"two values", `{` + fine + `}{}`, []string{"not one JSON object"}},
		{"a duplicate member", `{"apiKey":"hunter2","apiKey":"x",` + fine + `}`, []string{"not one JSON object"}},
		{"invalid UTF-8", "{\"apiKey\":\"\xff\"," + fine + "}", []string{"not one JSON object"}},
		{"no members", `{}`, []string{"callbackKeys is missing", "imageKeys is missing"}},
		{"null lists", `{"callbackKeys":null,"imageKeys":[]}`, []string{"callbackKeys is missing", "imageKeys is missing"}},
		{"wrong case", `{"APIKey":"x","callbackkeys":[],"imageKeys":[{"id":"i","key":"` + keyA + `"}]}`, []string{"callbackKeys is missing"}},
		{"every fault together", `{"apiKey":7,"callbackKeys":"hunter2","imageKeys":[{"id":"a b","key":"hunter2"},{"id":"i","key":"` + keyA + `"},{"id":"i","key":"` + keyB + `"}],"jwtSecret":"hunter2"}`,
			[]string{"apiKey is not a string", "callbackKeys is not a list", "callbackKeys is", "imageKeys[0].id", "imageKeys[0].key is too short", "imageKeys[2].id occurs twice", "jwtSecret is too short"}},
		{"a newline in the API key", `{"apiKey":"hunter2\n",` + fine + `}`, []string{"apiKey has white space"}},
		{"a key without id", `{` + fine + `,"notifyKeys":[{"key":"` + keyA + `"}]}`, []string{"notifyKeys[0].id"}},
		{"a long id", `{` + fine + `,"notifyKeys":[{"id":"` + strings.Repeat("x", 33) + `","key":"` + keyA + `"}]}`, []string{"notifyKeys[0].id"}},
		{"a dot in an id", `{` + fine + `,"notifyKeys":[{"id":"a.b","key":"` + keyA + `"}]}`, []string{"notifyKeys[0].id"}},
		{"a key of 23 bytes", `{` + fine + `,"notifyKeys":[{"id":"n","key":"` + keyA[1:] + `"}]}`, []string{"notifyKeys[0].key"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := config.ParseSecret([]byte(tt.value))
			if err == nil || !reflect.ValueOf(s).IsZero() {
				t.Fatalf("ParseSecret = %v, %v", s, err)
			}
			for _, f := range tt.faults {
				if !strings.Contains(err.Error(), f) {
					t.Errorf("no %q in: %v", f, err)
				}
			}
			if strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), keyA) || strings.Contains(err.Error(), "a b") {
				t.Errorf("the value is quoted: %v", err)
			}
		})
	}
}

func FuzzParseSecret(f *testing.F) {
	f.Add(value("k"))
	f.Add([]byte(`{"callbackKeys":[{}]}`))
	f.Fuzz(func(t *testing.T, value []byte) {
		s, err := config.ParseSecret(value)
		if err != nil {
			return
		}
		for _, keys := range []token.Keys{s.CallbackKeys, s.ImageKeys} {
			if !keys.Verify("m", keys.Sign("m")) {
				t.Errorf("a token signed with an accepted secret does not verify")
			}
		}
	})
}

func TestLocalSecret(t *testing.T) {
	s := config.Settings{APIKey: "k", CallbackKey: keyA, ImageKey: keyB}
	got, err := config.NewSecrets(s.LocalSecret, time.Now, slog.New(slog.DiscardHandler)).Current(t.Context())
	want := config.Secret{APIKey: "k", CallbackKeys: token.Keys{{ID: "local", Key: keyA}}, ImageKeys: token.Keys{{ID: "local", Key: keyB}}, NotifyKeys: token.Keys{}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("Current = %#v, %v", got, err)
	}
	if _, err := config.NewSecrets(config.Settings{}.LocalSecret, time.Now, slog.New(slog.DiscardHandler)).Current(t.Context()); err == nil {
		t.Error("Current succeeded without keys")
	}
}

// store is a secret store whose value and error a test sets between calls.
type store struct {
	value []byte
	err   error
	slow  time.Duration
	reads atomic.Int32
}

func (s *store) read(ctx context.Context) ([]byte, error) {
	s.reads.Add(1)
	select {
	case <-time.After(s.slow):
		return s.value, s.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// expect fails the test unless get returns the API key want, or an error if want is
// "", and the store has been read this many times in all.
func (s *store) expect(t *testing.T, get func(context.Context) (config.Secret, error), want string, reads int32) {
	t.Helper()
	got, err := get(t.Context())
	if string(got.APIKey) != want || (err == nil) != (want != "") || s.reads.Load() != reads {
		t.Errorf("got key %q, error %v after %d reads; want %q after %d", string(got.APIKey), err, s.reads.Load(), want, reads)
	}
}

func TestSecretsCurrent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := &store{err: errors.New("down")}
		s := config.NewSecrets(st.read, time.Now, slog.New(slog.DiscardHandler))
		st.expect(t, s.Current, "", 1)
		time.Sleep(4 * time.Second)
		st.expect(t, s.Current, "", 1) // many calls at a cold start read once in 5 s
		st.value, st.err = value("one"), nil
		time.Sleep(time.Second)
		st.expect(t, s.Current, "one", 2)
		st.value = value("two")
		time.Sleep(5*time.Minute - time.Second)
		st.expect(t, s.Current, "one", 2)
		time.Sleep(time.Second)
		st.expect(t, s.Current, "two", 3)

		st.err = errors.New("down")
		time.Sleep(5 * time.Minute)
		st.expect(t, s.Current, "two", 4) // the old value stays in use
		st.expect(t, s.Current, "two", 4)
		st.value, st.err = []byte("hunter2"), nil
		time.Sleep(5 * time.Second)
		st.expect(t, s.Current, "two", 5) // after a faulty value too
		st.value = value("three")
		time.Sleep(5 * time.Second)
		st.expect(t, s.Current, "three", 6)
	})
}

func TestSecretsReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := &store{value: value("one")}
		s := config.NewSecrets(st.read, time.Now, slog.New(slog.DiscardHandler))
		since := func(at time.Time) func(context.Context) (config.Secret, error) {
			return func(ctx context.Context) (config.Secret, error) { return s.Reload(ctx, at) }
		}
		st.expect(t, s.Current, "one", 1)
		st.value = value("two") // at the same instant as the read
		refused := time.Now()
		st.expect(t, since(refused), "two", 2)
		time.Sleep(time.Second)
		st.expect(t, since(time.Now().Add(-5*time.Second)), "two", 2) // recent enough
		st.value = value("three")
		refused = time.Now()
		st.expect(t, since(refused.Add(-time.Nanosecond)), "three", 3)
		for range 100 {
			st.expect(t, since(refused.Add(-time.Nanosecond)), "three", 3) // they share the read
		}
		st.expect(t, s.Current, "three", 3)
		st.err = errors.New("down")
		st.expect(t, since(time.Now()), "", 4)
		st.expect(t, since(time.Now()), "", 4) // an old value is never returned as a new one
		st.expect(t, s.Current, "three", 4)
		st.err = nil
		time.Sleep(5 * time.Second)
		st.expect(t, since(time.Now()), "three", 5)
	})
}

func TestSecretsShareARead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := &store{value: value("one"), slow: time.Second}
		s := config.NewSecrets(st.read, time.Now, slog.New(slog.DiscardHandler))
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() { st.expect(t, s.Current, "one", 1) })
		}
		wg.Wait()
	})
}

// When the store hangs, one caller waits now and then, not all of them.
func TestSecretsHangingStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := &store{value: value("one")}
		s := config.NewSecrets(st.read, time.Now, slog.New(slog.DiscardHandler))
		st.expect(t, s.Current, "one", 1)
		st.slow = time.Hour
		time.Sleep(5 * time.Minute)
		start := time.Now()
		st.expect(t, s.Current, "one", 2)
		if took := time.Since(start); took != 5*time.Second {
			t.Errorf("the first caller waited %v", took)
		}
		for range 100 {
			st.expect(t, s.Current, "one", 2)
		}
		if took := time.Since(start); took != 5*time.Second {
			t.Errorf("the callers after it waited until %v", took)
		}
	})
}

func TestSecretsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := &store{value: value("one"), slow: time.Hour}
		s := config.NewSecrets(st.read, time.Now, slog.New(slog.DiscardHandler))
		start := time.Now()
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := s.Current(t.Context()); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 5*time.Second {
				t.Errorf("a read that hangs: %v after %v", err, time.Since(start))
			}
		})
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := s.Current(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("waiting for another caller's read: %v after %v", err, time.Since(start))
		}
		wg.Wait()

		st.slow = time.Second
		time.Sleep(time.Minute)
		gone, cancel := context.WithCancel(t.Context())
		wg.Go(func() { _, _ = s.Current(gone) })
		synctest.Wait()
		cancel()
		wg.Wait()
		st.expect(t, s.Current, "one", 2) // the read did not end with its caller
	})
}

// What Prepare reads, the first caller has. A read that fails, or is cancelled, counts
// as no try: the first caller reads at once.
func TestSecretsPrepare(t *testing.T) {
	for name, test := range map[string]struct {
		slow  time.Duration
		err   error
		waits time.Duration
		ok    bool
	}{
		"it is read":     {slow: 900 * time.Millisecond, waits: 900 * time.Millisecond, ok: true},
		"the read fails": {err: errors.New("down")},
		"the read hangs": {slow: time.Hour, waits: time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				st := &store{value: value("one"), slow: test.slow, err: test.err}
				s := config.NewSecrets(st.read, time.Now, slog.New(slog.DiscardHandler))
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				start := time.Now()
				if err := s.Prepare(ctx); (err == nil) != test.ok || time.Since(start) != test.waits {
					t.Errorf("Prepare: %v after %v, want %v", err, time.Since(start), test.waits)
				}
				st.slow, st.err = 0, nil
				reads := int32(2)
				if test.ok {
					reads = 1
				}
				st.expect(t, s.Current, "one", reads)
				time.Sleep(5 * time.Minute) // as frozen: what Prepare read ages too
				st.value = value("two")
				st.expect(t, s.Current, "two", reads+1)
			})
		})
	}
}
