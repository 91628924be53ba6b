// Package config reads the service's settings and its secret. The settings come
// from the environment, once at the start. The secret is one JSON value, read again
// every few minutes so that keys can be replaced. All faults are reported together,
// each as a sentence for the operator, and never quote a value.
package config

import (
	"encoding/base64"
	"errors"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/preset/nanobanana-functions/shared/auth/token"
	"github.com/preset/nanobanana-functions/shared/outbound"
)

// DefaultBaseURL is the provider's own address.
const DefaultBaseURL = "https://api.nanobananaapi.ai"

// jwksPath is where an issuer publishes its keys if AUTH_JWKS_URL is not set.
const jwksPath = "/.well-known/jwks.json"

// A Profile is where the program runs.
type Profile string

const (
	// Lambda is a function on AWS, or in sam local's container (AWS_SAM_LOCAL=true).
	Lambda Profile = "lambda"
	// Local is bin/local: no setting is required, and stand-ins are allowed.
	Local Profile = "local"
)

// A Need names a variable that a function cannot start without on Lambda.
type Need string

// The variables that have no default on Lambda; each function needs some of them.
const (
	NeedTable      Need = "TABLE"
	NeedBucket     Need = "BUCKET"
	NeedSecretARN  Need = "SECRET_ARN"
	NeedAuthIssuer Need = "AUTH_ISSUER"
)

// Settings are the checked settings. PublicURL and BaseURL have no final slash; the
// other URLs are unchanged, because a token must repeat AuthIssuer exactly.
type Settings struct {
	Table     string // TABLE
	Bucket    string // BUCKET
	SecretARN string // SECRET_ARN

	PublicURL   string   // PUBLIC_URL, an origin; empty on Lambda means the request's own domain
	BaseURL     string   // NANOBANANA_BASE_URL; empty only in the local run: the simulator
	RecordPath  string   // NANOBANANA_RECORD_PATH, under BaseURL + "/api/v1"
	ResultHosts []string // RESULT_HOSTS, lower case, "host" or "host:port"

	AuthIssuer   string // AUTH_ISSUER; empty in the local run means its own mint
	AuthAudience string // AUTH_AUDIENCE
	AuthJWKSURL  string // AUTH_JWKS_URL; empty if and only if AuthIssuer is

	OAuthProxy  bool   // OAUTH_PROXY: clients of /mcp sign in through package oauthproxy
	OAuthAPIKey string // OAUTH_API_KEY, sent with what that package passes on; not secret

	AllowAnonymous bool          // ALLOW_ANONYMOUS: sessions without an account may sign in
	CORSOrigins    []string      // CORS_ORIGINS; "*" must be the only entry
	LowCredits     int           // LOW_CREDITS
	DailyBudget    int           // DAILY_BUDGET, credits of all owners together; 0: none
	DailyQuota     int           // DAILY_QUOTA, images per owner and UTC day; 0 is no quota
	ConfirmCredits int           // CONFIRM_CREDITS, above which Claude's client asks its user; 0 is never
	UploadsPerDay  int           // UPLOADS_PER_DAY, per owner and UTC day; 0 is no limit
	MaxGenerations int           // MAX_GENERATIONS
	PostRate       Rate          // POST_RATE, of the POSTs that the sweep sends
	WaitMax        time.Duration // WAIT_MAX, set in seconds; 0 is no waiting
	Prices         Prices        // PRICES, which override the defaults
	NotifyURL      string        // NOTIFY_URL; empty means no notices
	RefusedTerms   []string      // REFUSED_TERMS, which no prompt may contain
	AllowedTerms   []string      // ALLOWED_TERMS, which prompts may contain despite our own list
	LogLevel       slog.Level    // LOG_LEVEL

	PollEvery       time.Duration // POLL_EVERY
	SweepEvery      time.Duration // SWEEP_EVERY
	UnreadableAfter time.Duration // UNREADABLE_AFTER

	MetricsNamespace string // METRICS_NAMESPACE, by which Start counts log lines; empty means not at all

	// The keys of the local run. They are empty if StandIns is false: then only the secret has keys.
	APIKey      token.Hidden // NANOBANANA_API_KEY
	CallbackKey token.Hidden // CALLBACK_KEY
	ImageKey    token.Hidden // IMAGE_KEY
	NotifyKey   token.Hidden // NOTIFY_KEY

	// NoCallbacks is set if the provider cannot reach PublicURL. The environment does not
	// set it: a local run with the real provider does.
	NoCallbacks bool

	// StandIns allows private addresses and http for the provider, the result hosts
	// and the identity provider, and pages on this machine to call the API. Only the local run and sam local set it.
	StandIns bool
}

// Notifies reports whether Preset is notified of how tasks end.
func (s Settings) Notifies() bool { return s.NotifyURL != "" }

// AllowsOrigin reports whether pages of origin, written as in the header Origin, may
// call the API.
func (s Settings) AllowsOrigin(origin string) bool {
	if slices.Contains(s.CORSOrigins, origin) || slices.Contains(s.CORSOrigins, "*") {
		return true
	}
	u, err := url.Parse(origin)
	return s.StandIns && err == nil && outbound.OnLoopback(u.Host) && (origin == "http://"+u.Host || origin == "https://"+u.Host)
}

// Origin returns the address that the client of a request uses for this service; host
// is the request's.
func (s Settings) Origin(host string) string {
	if s.PublicURL != "" {
		return s.PublicURL
	}
	return "https://" + host
}

// Load reads the settings for a profile. On Lambda every variable in needs must be
// set. The error joins one sentence for each fault and quotes no value.
func Load(getenv func(string) string, profile Profile, needs ...Need) (Settings, error) {
	r := &reader{getenv: getenv, standIns: profile == Local || getenv("AWS_SAM_LOCAL") == "true"}
	if profile == Lambda {
		for _, n := range needs {
			if getenv(string(n)) == "" {
				r.fault(string(n), "is missing: set it under Environment in template.yaml")
			}
		}
	}
	s := Settings{
		Table:     r.word("TABLE", ""),
		Bucket:    r.word("BUCKET", ""),
		SecretARN: r.word("SECRET_ARN", ""),

		PublicURL:   r.publicURL("PUBLIC_URL"),
		RecordPath:  r.path("NANOBANANA_RECORD_PATH", "/nanobanana/record-info"),
		ResultHosts: r.hosts("RESULT_HOSTS", "tempfile.aiquickdraw.com"),

		AllowAnonymous: r.flag("ALLOW_ANONYMOUS"),
		CORSOrigins:    r.origins("CORS_ORIGINS"),
		LowCredits:     r.number("LOW_CREDITS", 100, 0, 1_000_000_000),
		DailyBudget:    r.number("DAILY_BUDGET", 0, 0, 1_000_000_000),
		DailyQuota:     r.number("DAILY_QUOTA", 0, 0, 1_000_000),
		ConfirmCredits: r.number("CONFIRM_CREDITS", 0, 0, 1_000_000_000),
		UploadsPerDay:  r.number("UPLOADS_PER_DAY", 200, 0, 1_000_000),
		MaxGenerations: r.number("MAX_GENERATIONS", 2, 1, 10),
		PostRate:       r.rate("POST_RATE", Rate{Count: 20, Per: 10 * time.Second}),
		WaitMax:        time.Duration(r.number("WAIT_MAX", 20, 0, 20)) * time.Second,
		Prices:         r.prices("PRICES"),
		NotifyURL:      r.url("NOTIFY_URL", r.value("NOTIFY_URL"), urlRule{query: true}),
		LogLevel:       r.level("LOG_LEVEL"),
		RefusedTerms:   r.terms("REFUSED_TERMS"),
		AllowedTerms:   r.terms("ALLOWED_TERMS"),

		SweepEvery:      r.duration("SWEEP_EVERY", 30*time.Second, 10*time.Millisecond, 10*time.Minute),
		UnreadableAfter: r.duration("UNREADABLE_AFTER", 2*time.Minute, 10*time.Millisecond, time.Hour),

		MetricsNamespace: r.word("METRICS_NAMESPACE", ""),

		StandIns: r.standIns,
	}
	r.provider(&s, profile)
	r.identity(&s)
	if r.standIns {
		s.APIKey = token.Hidden(r.word("NANOBANANA_API_KEY", ""))
		s.CallbackKey = r.key("CALLBACK_KEY")
		s.ImageKey = r.key("IMAGE_KEY")
		s.NotifyKey = r.key("NOTIFY_KEY")
	}
	if len(r.faults) > 0 {
		return Settings{}, errors.Join(r.faults...)
	}
	return s, nil
}

// provider sets the provider's address and how often it is polled. The provider's
// published limit is one read in 30 s; only a stand-in may be polled more often.
func (r *reader) provider(s *Settings, profile Profile) {
	text := r.value("NANOBANANA_BASE_URL")
	if text == "" && profile == Lambda {
		text = DefaultBaseURL
	}
	s.BaseURL = strings.TrimRight(r.url("NANOBANANA_BASE_URL", text, urlRule{}), "/")

	const limit = 36 * time.Second
	s.PollEvery = r.duration("POLL_EVERY", limit, 10*time.Millisecond, 10*time.Minute)
	if s.PollEvery < limit && s.BaseURL != "" && !outbound.Loopback(hostname(s.BaseURL)) {
		r.fault("POLL_EVERY", "is below 36s, which the provider does not allow: set 36s or more; only a provider on loopback may be polled more often")
	}
}

// identity sets the identity provider whose tokens are accepted.
func (r *reader) identity(s *Settings) {
	s.AuthIssuer = r.word("AUTH_ISSUER", "")
	s.AuthAudience = r.word("AUTH_AUDIENCE", "authenticated")
	jwks := r.value("AUTH_JWKS_URL")
	switch {
	case jwks != "" && s.AuthIssuer == "":
		r.fault("AUTH_JWKS_URL", "is set without AUTH_ISSUER: set both, or neither")
	case jwks != "":
		s.AuthJWKSURL = r.url("AUTH_JWKS_URL", jwks, urlRule{query: true})
	case s.AuthIssuer != "" && r.url("AUTH_ISSUER", s.AuthIssuer, urlRule{}) != "":
		s.AuthJWKSURL = strings.TrimRight(s.AuthIssuer, "/") + jwksPath
	}
	s.OAuthProxy = r.flag("OAUTH_PROXY")
	switch {
	case s.OAuthProxy && s.AuthIssuer == "":
		r.fault("OAUTH_PROXY", "is set without AUTH_ISSUER, to which it passes requests on: set both, or neither")
	case s.OAuthProxy && jwks != "":
		r.url("AUTH_ISSUER", s.AuthIssuer, urlRule{}) // AUTH_JWKS_URL alone would allow any text
	}
	s.OAuthAPIKey = r.word("OAUTH_API_KEY", "")
	if s.OAuthAPIKey != "" && !publishable(s.OAuthAPIKey) {
		r.fault("OAUTH_API_KEY", "is not a key that pages may show: set the publishable key (sb_publishable_…) or the legacy anon key, never a secret one")
	}
}

// publishable reports whether a key of Supabase's is one of those that its pages show
// to everybody.
func publishable(key string) bool {
	if strings.HasPrefix(key, "sb_publishable_") {
		return true
	}
	parts := strings.Split(key, ".")
	if len(parts) != 3 {
		return false
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	var claims struct {
		Role string `json:"role"`
	}
	return err == nil && json.Unmarshal(payload, &claims) == nil && claims.Role == "anon"
}
