package config

import (
	"fmt"
	"log/slog"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/preset/nanobanana-functions/shared/auth/token"
	"github.com/preset/nanobanana-functions/shared/outbound"
)

// A reader reads settings from the environment and collects their faults. The
// value that its methods return for a faulty variable is not used: Load fails.
type reader struct {
	getenv   func(string) string
	standIns bool
	faults   []error
}

func (r *reader) fault(name, sentence string) {
	r.faults = append(r.faults, fmt.Errorf("%s %s", name, sentence))
}

// value returns the variable's text, "" if it is not set. White space around it is
// always a fault; usually it is a newline at the end of a pasted value.
func (r *reader) value(name string) string {
	v := r.getenv(name)
	if strings.TrimSpace(v) != v {
		r.fault(name, "has white space or a newline around it: remove it")
		return ""
	}
	return v
}

// word reads a text of visible ASCII characters.
func (r *reader) word(name, fallback string) string {
	v := r.value(name)
	if v == "" {
		return fallback
	}
	if !visible(v) {
		r.fault(name, "has characters that are not visible ASCII: remove them")
		return ""
	}
	return v
}

func (r *reader) key(name string) token.Hidden {
	v := r.word(name, "")
	if v != "" && len(v) < token.MinKey {
		r.fault(name, fmt.Sprintf("is too short: use at least %d random bytes", token.MinKey))
	}
	return token.Hidden(v)
}

func (r *reader) number(name string, fallback, low, high int) int {
	v := r.value(name)
	if v == "" {
		return fallback
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < low || n > high {
		r.fault(name, fmt.Sprintf("is not a whole number from %d to %d: correct it, or remove it to use %d", low, high, fallback))
		return 0
	}
	return n
}

// flag reads true or false, which is the default.
func (r *reader) flag(name string) bool {
	v := r.value(name)
	if v != "" && v != "true" && v != "false" {
		r.fault(name, "is neither true nor false: correct it, or remove it to use false")
	}
	return v == "true"
}

func (r *reader) duration(name string, fallback, low, high time.Duration) time.Duration {
	v := r.value(name)
	if v == "" {
		return fallback
	}
	d, err := time.ParseDuration(v)
	if err != nil || d < low || d > high {
		r.fault(name, fmt.Sprintf("is not a duration from %v to %v: write it like 90s or 2m, or remove it to use %v", low, high, fallback))
		return fallback
	}
	return d
}

func (r *reader) level(name string) slog.Level {
	switch strings.ToLower(r.value(name)) {
	case "", "info":
		return slog.LevelInfo
	case "debug":
		return slog.LevelDebug
	case "warn":
		return slog.LevelWarn
	case "error":
		return slog.LevelError
	}
	r.fault(name, "is not a log level: set it to debug, info, warn or error")
	return slog.LevelInfo
}

func (r *reader) path(name, fallback string) string {
	v := r.word(name, fallback)
	if !strings.HasPrefix(v, "/") || strings.ContainsAny(v, "?#%\\") || strings.Contains(v, "..") {
		r.fault(name, "is not a plain path: write it like "+fallback)
		return ""
	}
	return v
}

// list splits a comma list; an empty entry is a fault.
func (r *reader) list(name, fallback string) []string {
	v := r.value(name)
	if v == "" {
		v = fallback
	}
	if v == "" {
		return nil
	}
	entries := strings.Split(v, ",")
	for i, e := range entries {
		entries[i] = strings.TrimSpace(e)
		if entries[i] == "" {
			r.fault(name, "has an empty entry: remove the extra comma")
			return nil
		}
	}
	return entries
}

func (r *reader) hosts(name, fallback string) []string {
	entries := r.list(name, fallback)
	for i, e := range entries {
		if !outbound.ValidHostPort(e) {
			r.fault(name, fmt.Sprintf("entry %d is not a host: write host or host:port, without https:// and without a path", i+1))
		}
		entries[i] = strings.ToLower(e)
	}
	return entries
}

func (r *reader) origins(name string) []string {
	entries := r.list(name, "")
	for i, e := range entries {
		if e == "*" && len(entries) == 1 {
			continue
		}
		u, err := url.Parse(e)
		// Pages on loopback are allowed: a developer's page may call a deployed service.
		if err != nil || !outbound.ValidHostPort(u.Host) || u.Scheme != "https" && (u.Scheme != "http" || !outbound.Loopback(u.Hostname())) || e != u.Scheme+"://"+u.Host {
			r.fault(name, fmt.Sprintf("entry %d is not an origin: write it like https://app.example.com, without a path or a final slash", i+1))
		}
	}
	return entries
}

// publicURL reads the origin at which the provider and browsers reach us.
func (r *reader) publicURL(name string) string {
	text := r.url(name, r.value(name), urlRule{plainOnLoopbackOnly: true})
	origin := strings.TrimSuffix(text, "/")
	if u, err := url.Parse(origin); err != nil || u.Path != "" {
		r.fault(name, "has a path: give only scheme and host, because the routes start at the root")
		return ""
	}
	return strings.ToLower(origin)
}

// A urlRule says what one URL may have besides scheme, host and path.
type urlRule struct {
	query               bool
	plainOnLoopbackOnly bool
}

// url checks text, the value of the variable name, and returns it. It accepts "".
func (r *reader) url(name, text string, rule urlRule) string {
	if text == "" {
		return ""
	}
	u, err := url.Parse(text)
	wrong := ""
	switch {
	case err != nil || !visible(text) || u.Opaque != "":
		wrong = "is not a URL: write it like https://host"
	case u.User != nil:
		wrong = "has a user or password in it: remove them"
	case !outbound.ValidHostPort(u.Host):
		wrong = "has no valid host: write it like https://host or https://host:port"
	case strings.Contains(text, "#"):
		wrong = "has a fragment (#): remove it"
	case strings.Contains(text, "?") && !rule.query:
		wrong = "has a query (?): remove it"
	case !r.standIns && outbound.Private(u.Hostname()):
		wrong = "names a private host, which only a local run can reach: use its public name"
	case u.Scheme == "https":
	case u.Scheme != "http":
		wrong = "is not https: write it like https://host"
	case rule.plainOnLoopbackOnly && !outbound.Loopback(u.Hostname()):
		wrong = "is http to another machine: use https"
	case !outbound.Private(u.Hostname()):
		wrong = "is http to a public host: use https"
	}
	if wrong != "" {
		r.fault(name, wrong)
		return ""
	}
	return text
}

func visible(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c > '~' })
}

func hostname(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Hostname()
}
