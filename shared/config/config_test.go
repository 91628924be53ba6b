package config_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/auth/token"
	"github.com/preset/nanobanana-functions/shared/config"
)

// env returns a getenv of pairs "NAME=value".
func env(pairs ...string) func(string) string {
	m := map[string]string{}
	for _, p := range pairs {
		name, value, _ := strings.Cut(p, "=")
		m[name] = value
	}
	return func(name string) string { return m[name] }
}

var all = []config.Need{config.NeedTable, config.NeedBucket, config.NeedSecretARN, config.NeedAuthIssuer}

func TestLoadDefaults(t *testing.T) {
	want := config.Settings{
		BaseURL:         "https://api.nanobananaapi.ai",
		RecordPath:      "/nanobanana/record-info",
		ResultHosts:     []string{"tempfile.aiquickdraw.com"},
		AuthAudience:    "authenticated",
		LowCredits:      100,
		UploadsPerDay:   200,
		MaxGenerations:  2,
		PostRate:        config.Rate{Count: 20, Per: 10 * time.Second},
		WaitMax:         20 * time.Second,
		PollEvery:       36 * time.Second,
		SweepEvery:      30 * time.Second,
		UnreadableAfter: 2 * time.Minute,
		Prices: config.Prices{
			"nano-banana": 4, "nano-banana-2/1K": 8, "nano-banana-2/2K": 12, "nano-banana-2/4K": 18,
			"nano-banana-pro/1K": 18, "nano-banana-pro/2K": 18, "nano-banana-pro/4K": 24,
		},
	}
	t.Run("on Lambda", func(t *testing.T) {
		got, err := config.Load(env(), config.Lambda)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("Load = %+v, %v; want %+v", got, err, want)
		}
	})
	t.Run("the local run requires nothing and has no base URL, which means the simulator", func(t *testing.T) {
		want := want
		want.BaseURL, want.StandIns = "", true
		got, err := config.Load(env(), config.Local, all...)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("Load = %+v, %v; want %+v", got, err, want)
		}
	})
}

func TestLoadEverySetting(t *testing.T) {
	got, err := config.Load(env(
		"TABLE=t", "BUCKET=b", "SECRET_ARN=arn:aws:secretsmanager:x", "PUBLIC_URL=https://Images.Example.com/",
		"NANOBANANA_BASE_URL=http://127.0.0.1:9000/provider/", "NANOBANANA_RECORD_PATH=/nanobanana/record",
		"RESULT_HOSTS=Tempfile.example.com, 127.0.0.1:9000,[::1]:8", "AUTH_ISSUER=https://x.supabase.co/auth/v1",
		"AUTH_AUDIENCE=preset", "CORS_ORIGINS=https://preset.example, http://localhost:3000", "LOW_CREDITS=7",
		"DAILY_QUOTA=3", "CONFIRM_CREDITS=12", "ALLOW_ANONYMOUS=true", "UPLOADS_PER_DAY=0", "MAX_GENERATIONS=1", "WAIT_MAX=0", "PRICES=nano-banana=5.5, other/1K=0",
		"NOTIFY_URL=http://localhost:1/hook?a=b", "LOG_LEVEL=DEBUG", "POLL_EVERY=500ms", "SWEEP_EVERY=1s",
		"UNREADABLE_AFTER=2s", "NANOBANANA_API_KEY=k", "CALLBACK_KEY=cccccccccccccccccccccccc",
		"IMAGE_KEY=iiiiiiiiiiiiiiiiiiiiiiii", "NOTIFY_KEY=nnnnnnnnnnnnnnnnnnnnnnnn", "AWS_SAM_LOCAL=true",
		"REFUSED_TERMS=acme, Straße 7,ヌード", "ALLOWED_TERMS=nude,bust study", "POST_RATE=3/1m30s",
		"OAUTH_PROXY=true", "OAUTH_API_KEY=sb_publishable_x",
	), config.Lambda, all...)
	want := config.Settings{
		Table: "t", Bucket: "b", SecretARN: "arn:aws:secretsmanager:x",
		PublicURL: "https://images.example.com", BaseURL: "http://127.0.0.1:9000/provider", RecordPath: "/nanobanana/record",
		ResultHosts: []string{"tempfile.example.com", "127.0.0.1:9000", "[::1]:8"},
		AuthIssuer:  "https://x.supabase.co/auth/v1", AuthAudience: "preset",
		AuthJWKSURL: "https://x.supabase.co/auth/v1/.well-known/jwks.json",
		OAuthProxy:  true, OAuthAPIKey: "sb_publishable_x",
		CORSOrigins: []string{"https://preset.example", "http://localhost:3000"},
		LowCredits:  7, DailyQuota: 3, ConfirmCredits: 12, AllowAnonymous: true, MaxGenerations: 1, NotifyURL: "http://localhost:1/hook?a=b", LogLevel: slog.LevelDebug,
		Prices: config.Prices{
			"nano-banana": 5.5, "nano-banana-2/1K": 8, "nano-banana-2/2K": 12, "nano-banana-2/4K": 18,
			"nano-banana-pro/1K": 18, "nano-banana-pro/2K": 18, "nano-banana-pro/4K": 24, "other/1K": 0,
		},
		PollEvery: 500 * time.Millisecond, SweepEvery: time.Second, UnreadableAfter: 2 * time.Second,
		APIKey: "k", CallbackKey: "cccccccccccccccccccccccc", ImageKey: "iiiiiiiiiiiiiiiiiiiiiiii", NotifyKey: "nnnnnnnnnnnnnnnnnnnnnnnn",
		RefusedTerms: []string{"acme", "Straße 7", "ヌード"}, AllowedTerms: []string{"nude", "bust study"},
		PostRate: config.Rate{Count: 3, Per: 90 * time.Second},
		StandIns: true,
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("Load = %+v, %v; want %+v", got, err, want)
	}
}

func TestLoadReportsEveryFaultTogether(t *testing.T) {
	_, err := config.Load(env("PUBLIC_URL=http://x.example.com", "DAILY_QUOTA=-1", "LOG_LEVEL=loud", "PRICES=,"), config.Lambda, all...)
	if err == nil {
		t.Fatal("Load succeeded")
	}
	lines := strings.Split(err.Error(), "\n")
	for i, name := range []string{"TABLE", "BUCKET", "SECRET_ARN", "AUTH_ISSUER", "PUBLIC_URL", "DAILY_QUOTA", "PRICES", "LOG_LEVEL"} {
		if i >= len(lines) || !strings.HasPrefix(lines[i], name+" ") {
			t.Errorf("line %d is not about %s in:\n%v", i, name, err)
		}
	}
	if len(lines) != 8 {
		t.Errorf("%d faults, want 8:\n%v", len(lines), err)
	}
}

func TestLoadFaults(t *testing.T) {
	for _, pair := range []string{
		"TABLE=t\n", "TABLE= t", "BUCKET=b c", "SECRET_ARN=\t",
		"PUBLIC_URL=https://x.example.com\n", "PUBLIC_URL= https://x.example.com", "PUBLIC_URL=https://x.exa mple.com",
		"PUBLIC_URL=x.example.com", "PUBLIC_URL=//x.example.com", "PUBLIC_URL=https:x.example.com", "PUBLIC_URL=https://",
		"PUBLIC_URL=https:///v1", "PUBLIC_URL=https://x.example.com/prod", "PUBLIC_URL=https://x.example.com//",
		"PUBLIC_URL=https://x.example.com?a=b", "PUBLIC_URL=https://x.example.com/?", "PUBLIC_URL=https://x.example.com#",
		"PUBLIC_URL=https://u:hunter2hunter2@x.example.com", "PUBLIC_URL=ftp://x.example.com", "PUBLIC_URL=http://127.0.0.1:1",
		"PUBLIC_URL=https://localhost", "PUBLIC_URL=https://x.example.com:0", "PUBLIC_URL=https://x.example.com:", "PUBLIC_URL=https://x..com",
		"PUBLIC_URL=https://①②⑦.⓪.⓪.①", "PUBLIC_URL=https://127.1", "PUBLIC_URL=https://2130706433", "PUBLIC_URL=https://0x7f.1",
		"PUBLIC_URL=https://256.1.1.1", "PUBLIC_URL=https://[::1]", "PUBLIC_URL=https://[::ffff:10.0.0.1]", "PUBLIC_URL=https://api.internal",
		"PUBLIC_URL=https://x.example.com\r\nX: y", "PUBLIC_URL=https://x.example.com\x00", "PUBLIC_URL=https://x.example.com/%2e", "PUBLIC_URL=\n",
		"NANOBANANA_BASE_URL=http://api.nanobananaapi.ai", "NANOBANANA_BASE_URL=http://127.0.0.1:1", "NANOBANANA_BASE_URL=https://10.0.0.1",
		"NANOBANANA_BASE_URL=https://x.example.com?key=hunter2hunter2",
		"NANOBANANA_RECORD_PATH=record/nanobanana", "NANOBANANA_RECORD_PATH=/a?b", "NANOBANANA_RECORD_PATH=/a/../b",
		"RESULT_HOSTS=https://x.example.com", "RESULT_HOSTS=x.example.com/", "RESULT_HOSTS=a.example.com,,b.example.com",
		"RESULT_HOSTS=x.example.com:99999", "RESULT_HOSTS=*.example.com", "RESULT_HOSTS=[::1", "RESULT_HOSTS=[127.0.0.1]", "RESULT_HOSTS=[::1]x",
		"OAUTH_PROXY=on", "OAUTH_PROXY=true", "OAUTH_API_KEY=sb_secret_hunter2hunter2", "OAUTH_API_KEY=key",
		"OAUTH_API_KEY=e30." + claims("service_role") + ".x", "OAUTH_API_KEY=e30.{.x",
		"AUTH_ISSUER=project", "AUTH_ISSUER=http://x.example.com", "AUTH_JWKS_URL=https://x.example.com/jwks",
		"CORS_ORIGINS=https://x.example.com/", "CORS_ORIGINS=http://x.example.com", "CORS_ORIGINS=*,https://x.example.com", "CORS_ORIGINS=null",
		"LOW_CREDITS=1.5", "LOW_CREDITS=-1", "DAILY_QUOTA=many", "CONFIRM_CREDITS=4.5", "CONFIRM_CREDITS=-1", "UPLOADS_PER_DAY=-1", "ALLOW_ANONYMOUS=yes", "ALLOW_ANONYMOUS=TRUE", "MAX_GENERATIONS=0", "MAX_GENERATIONS=11", "WAIT_MAX=21", "WAIT_MAX=20s",
		"PRICES=nano-banana", "PRICES=nano-banana=free", "PRICES=nano-banana=-1", "PRICES=nano-banana=NaN", "PRICES=nano-banana=+Inf",
		"PRICES==4", "PRICES=/1K=4", "PRICES=nano-banana/=4", "PRICES=a/b/c=4", "PRICES=nano banana=4",
		"NOTIFY_URL=http://x.example.com", "NOTIFY_URL=https://x.example.com#hunter2hunter2", "LOG_LEVEL=trace",
		"REFUSED_TERMS=a,,b", "REFUSED_TERMS=--", "REFUSED_TERMS=a\xffb", "REFUSED_TERMS=hunter2hunter2\nb", "ALLOWED_TERMS=hunter2hunter2 " + strings.Repeat("n", 60),
		"ALLOWED_TERMS=a" + strings.Repeat(",a", 500), "ALLOWED_TERMS= nude", "ALLOWED_TERMS=a\x00b",
		"POLL_EVERY=10", "POLL_EVERY=35s", "POLL_EVERY=0s", "POLL_EVERY=-1m", "POLL_EVERY=1h", "SWEEP_EVERY=1ms", "UNREADABLE_AFTER=forever",
		"POST_RATE=20", "POST_RATE=20/", "POST_RATE=/10s", "POST_RATE=20/10", "POST_RATE=0/10s", "POST_RATE=-1/10s", "POST_RATE=+20/10s", "POST_RATE=20/0s",
		"POST_RATE=20/-10s", "POST_RATE=2.5/1s", "POST_RATE=20 / 10s", "POST_RATE=20/10s/1", "POST_RATE=10000/10s", "POST_RATE=99999999999/1s",
		"POST_RATE=1000/2h", "POST_RATE=1/61s", "POST_RATE=none",
	} {
		t.Run(pair, func(t *testing.T) {
			name, value, _ := strings.Cut(pair, "=")
			_, err := config.Load(env(pair), config.Lambda)
			if err == nil {
				t.Fatal("Load succeeded")
			}
			if strings.Contains(err.Error(), "\n") || !strings.HasPrefix(err.Error(), name+" ") || !strings.Contains(err.Error(), ": ") {
				t.Errorf("not one sentence about %s and what to do: %v", name, err)
			}
			if len(value) > 12 && strings.Contains(err.Error(), value) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the value is quoted: %v", err)
			}
		})
	}
}

// claims returns the middle of a legacy key of Supabase's.
func claims(role string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(`{"iss":"supabase","role":"` + role + `"}`))
}

// A proxy passes requests on to an address alone, also where only the keys' address is checked.
func TestLoadOAuthProxy(t *testing.T) {
	key := "e30." + claims("anon") + ".x"
	got, err := config.Load(env("OAUTH_PROXY=true", "AUTH_ISSUER=https://x.supabase.co/auth/v1", "OAUTH_API_KEY="+key), config.Lambda)
	if err != nil || !got.OAuthProxy || got.OAuthAPIKey != key {
		t.Errorf("Load = %+v, %v", got, err)
	}
	if _, err := config.Load(env("OAUTH_PROXY=true", "AUTH_ISSUER=my-project", "AUTH_JWKS_URL=https://x.example.com/keys"), config.Lambda); err == nil {
		t.Error("an issuer that is no address gets requests")
	}
	if got, err := config.Load(env("AUTH_ISSUER=https://x.supabase.co/auth/v1"), config.Lambda); err != nil || got.OAuthProxy {
		t.Errorf("by default: %+v, %v", got, err)
	}
}

func TestLoadPostRate(t *testing.T) {
	for text, want := range map[string]config.Rate{
		"0": {}, "1/1m": {Count: 1, Per: time.Minute}, "9999/1s": {Count: 9999, Per: time.Second}, "60/1h": {Count: 60, Per: time.Hour}, "5/500ms": {Count: 5, Per: 500 * time.Millisecond},
	} {
		got, err := config.Load(env("POST_RATE="+text), config.Lambda)
		if err != nil || got.PostRate != want {
			t.Errorf("POST_RATE=%s is %+v, %v; want %+v", text, got.PostRate, err, want)
		}
		again, err := config.Load(env("POST_RATE="+got.PostRate.String()), config.Lambda)
		if err != nil || again.PostRate != want {
			t.Errorf("%s is printed as %s", text, got.PostRate)
		}
	}
}

func FuzzPublicURL(f *testing.F) {
	for _, text := range []string{"https://x.example.com", "https://x.example.com/", "https://x.example.com:8443", "http://127.0.0.1:1", "https://a@b", "https://[::1]", "https://x/%2f", "HTTPS://X.Y"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := config.Load(env("PUBLIC_URL="+text), config.Lambda)
		if err != nil || text == "" {
			return
		}
		// The code appends routes to it as text.
		u, err := url.Parse(s.PublicURL + "/v1/x")
		if err != nil || u.Scheme != "https" || u.Path != "/v1/x" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || "https://"+u.Host != s.PublicURL {
			t.Errorf("PUBLIC_URL=%q is read as %q", text, s.PublicURL)
		}
	})
}

func TestLoadStandIns(t *testing.T) {
	for _, tt := range []struct {
		pairs []string
		valid bool
	}{
		{[]string{"PUBLIC_URL=http://127.0.0.1:8787"}, true},
		{[]string{"PUBLIC_URL=http://localhost:8787/"}, true},
		{[]string{"PUBLIC_URL=http://192.168.1.2:8787"}, false},
		{[]string{"PUBLIC_URL=http://x.example.com"}, false},
		{[]string{"PUBLIC_URL=https://x.example.com"}, true},
		{[]string{"NANOBANANA_BASE_URL=http://[::1]:9000"}, true},
		{[]string{"NANOBANANA_BASE_URL=http://10.1.2.3"}, true},
		{[]string{"NANOBANANA_BASE_URL=http://host.docker.internal:9000"}, true},
		{[]string{"NANOBANANA_BASE_URL=http://provider:9000"}, true},
		{[]string{"NANOBANANA_BASE_URL=http://8.8.8.8"}, false},
		{[]string{"NANOBANANA_BASE_URL=http://127.0.0.1.example.com"}, false},
		{[]string{"NANOBANANA_BASE_URL=http://localhost.example.com"}, false},
		{[]string{"NANOBANANA_BASE_URL=http://169.254.169.254"}, false},
		{[]string{"POLL_EVERY=1s"}, true}, // the simulator
		{[]string{"POLL_EVERY=1s", "NANOBANANA_BASE_URL=http://127.0.0.1:1"}, true},
		{[]string{"POLL_EVERY=1s", "NANOBANANA_BASE_URL=http://10.1.2.3"}, false},
		{[]string{"POLL_EVERY=1s", "NANOBANANA_BASE_URL=" + config.DefaultBaseURL}, false},
		{[]string{"POLL_EVERY=40s", "NANOBANANA_BASE_URL=" + config.DefaultBaseURL}, true},
		{[]string{"AUTH_ISSUER=http://127.0.0.1:7", "AUTH_JWKS_URL=http://127.0.0.1:7/keys"}, true},
		{[]string{"AUTH_ISSUER=my-project", "AUTH_JWKS_URL=https://x.example.com/keys"}, true},
		{[]string{"CALLBACK_KEY=short"}, false},
		{[]string{"NANOBANANA_API_KEY=with space"}, false},
	} {
		t.Run(strings.Join(tt.pairs, " "), func(t *testing.T) {
			if _, err := config.Load(env(tt.pairs...), config.Local); (err == nil) != tt.valid {
				t.Errorf("Load: %v, want valid = %v", err, tt.valid)
			}
		})
	}
}

func TestLoadReadsNoKeysOnLambda(t *testing.T) {
	s, err := config.Load(env("NANOBANANA_API_KEY=k", "CALLBACK_KEY=short", "AWS_SAM_LOCAL=1"), config.Lambda)
	if err != nil || s.APIKey != "" || s.CallbackKey != "" || s.StandIns {
		t.Errorf("Load = %+v, %v", s, err)
	}
}

func TestCredits(t *testing.T) {
	p := config.Prices{"flat": 4, "sized/1K": 8, "sized/4K": 18.5, "both": 1, "both/2K": 3, "sized-else/1K": 99}
	for _, tt := range []struct {
		model, resolution string
		n                 int
		want              float64
	}{
		{"flat", "", 1, 4}, {"flat", "", 3, 12}, {"flat", "4K", 1, 4},
		{"sized", "1K", 2, 16}, {"sized", "4K", 1, 18.5}, {"sized", "8K", 1, 18.5}, {"sized", "", 1, 18.5},
		{"both", "2K", 1, 3}, {"both", "1K", 1, 1}, {"unknown", "1K", 4, 0}, {"flat", "", 0, 0},
	} {
		for range 20 { // the order of a map must not matter
			if got := p.Credits(tt.model, tt.resolution, tt.n); got != tt.want {
				t.Errorf("Credits(%q, %q, %d) = %v, want %v", tt.model, tt.resolution, tt.n, got, tt.want)
			}
		}
	}
}

func TestHidden(t *testing.T) {
	s := config.Settings{APIKey: "hunter2"}
	secret := config.Secret{CallbackKeys: token.Keys{{ID: "a", Key: "hunter2"}}, JWTSecret: "hunter2"}
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("m", "settings", s, "secret", &secret, "key", s.APIKey)
	slog.New(slog.NewTextHandler(&log, nil)).Info("m", "settings", s, "secret", &secret, "key", s.APIKey)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&log, verb, s.APIKey)
		fmt.Fprintf(&log, verb, []any{s, secret})
	}
	secrets := config.NewSecrets(func(context.Context) ([]byte, error) { return value("hunter2"), nil }, time.Now, slog.New(slog.DiscardHandler))
	if read, err := secrets.Current(t.Context()); err != nil || string(read.APIKey) != "hunter2" {
		t.Fatalf("Current = %v, %v", read, err)
	}
	slog.New(slog.NewJSONHandler(&log, nil)).Info("m", "secrets", secrets, "in", struct{ S *config.Secrets }{secrets})
	slog.New(slog.NewTextHandler(&log, nil)).Info("m", "secrets", secrets, "in", struct{ S *config.Secrets }{secrets})
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&log, verb, secrets)
		fmt.Fprintf(&log, verb, []any{*secrets})
	}
	encoded, err := json.Marshal([]any{secret, s, secrets})
	if err != nil {
		t.Fatal(err)
	}
	log.Write(encoded)
	if strings.Contains(log.String(), "hunter2") || strings.Contains(log.String(), keyA) || strings.Contains(log.String(), fmt.Sprintf("%x", "hunter2")) {
		t.Errorf("printed: %s", log.String())
	}
	if string(s.APIKey) != "hunter2" {
		t.Error("string(h) does not return the text")
	}
}

// Pages on this machine may call the local run, whatever CORS_ORIGINS says; in a
// stack that alone decides.
func TestAllowsOrigin(t *testing.T) {
	for _, tt := range []struct {
		origin       string
		origins      []string
		local, stack bool
	}{
		{"http://localhost:3000", nil, true, false},
		{"http://localhost", nil, true, false},
		{"http://127.0.0.1:5173", nil, true, false},
		{"http://[::1]:3000", nil, true, false},
		{"https://localhost:3000", nil, true, false},
		{"http://localhost:3000", []string{"http://localhost:3000"}, true, true},
		{"http://localhost:3000", []string{"https://app.example"}, true, false},
		{"https://app.example", []string{"https://app.example"}, true, true},
		{"https://app.example.evil.example", []string{"https://app.example"}, false, false},
		{"https://any.example", []string{"*"}, true, true},
		{"http://localhost.evil.example", nil, false, false},
		{"http://x.localhost:3000", nil, false, false}, // may lead to another machine
		{"http://127.0.0.1.evil.example", nil, false, false},
		{"http://192.168.1.7:3000", nil, false, false},
		{"http://evil.example#@localhost", nil, false, false},
		{"http://localhost:3000/", nil, false, false},
		{"http://evil@localhost", nil, false, false},
		{"ftp://localhost", nil, false, false},
		{"localhost:3000", nil, false, false},
		{"null", nil, false, false},
		{"", nil, false, false},
	} {
		if got := (config.Settings{CORSOrigins: tt.origins, StandIns: true}).AllowsOrigin(tt.origin); got != tt.local {
			t.Errorf("in the local run %q with %v: %v", tt.origin, tt.origins, got)
		}
		if got := (config.Settings{CORSOrigins: tt.origins}).AllowsOrigin(tt.origin); got != tt.stack {
			t.Errorf("in a stack %q with %v: %v", tt.origin, tt.origins, got)
		}
	}
}
