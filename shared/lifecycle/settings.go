package lifecycle

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"time"

	"golang.org/x/time/rate"

	"github.com/preset/nanobanana-functions/shared/config"
	"github.com/preset/nanobanana-functions/shared/media"
	"github.com/preset/nanobanana-functions/shared/moderation"
	"github.com/preset/nanobanana-functions/shared/nanobanana"
	"github.com/preset/nanobanana-functions/shared/outbound"
	"github.com/preset/nanobanana-functions/shared/task"
)

// sweepRate is how many records a sweep reads per second. The provider publishes no
// limit.
const sweepRate = 10

// New returns a Service for the settings.
func New(c config.Settings, store task.Store, secrets *config.Secrets, client *http.Client, log *slog.Logger) *Service {
	return &Service{
		Store: store, Provider: provider(c, client, log), Secrets: secrets,
		Rules: Rules(c), Now: outbound.WallClock, Log: log, PublicURL: c.PublicURL,
	}
}

// NewAccount returns an Account for the settings.
func NewAccount(c config.Settings, store task.Store, secrets *config.Secrets, client *http.Client, log *slog.Logger) *Account {
	return &Account{Store: store, Provider: provider(c, client, log), Secrets: secrets, Now: outbound.WallClock, Log: log}
}

// NewPoster returns a Poster for the settings, with a Service and an Account of its own.
func NewPoster(c config.Settings, store task.Store, secrets *config.Secrets, links media.Linker, client *http.Client, log *slog.Logger) *Poster {
	return &Poster{
		Service: New(c, store, secrets, client, log), Account: NewAccount(c, store, secrets, client, log), Links: links,
	}
}

// NewSubmitter returns a Submitter for the settings.
func NewSubmitter(c config.Settings, poster *Poster, client *http.Client) *Submitter {
	return &Submitter{
		Poster: poster, HTTP: client, Filter: moderation.New(c.RefusedTerms, c.AllowedTerms),
		Prices: c.Prices, Quota: c.DailyQuota,
	}
}

// NewSweeper returns a Sweeper for the settings.
func NewSweeper(c config.Settings, poster *Poster) *Sweeper {
	return &Sweeper{
		Poster: poster, Rate: rate.NewLimiter(sweepRate, sweepRate), Posts: postPace(c.PostRate),
		PostTime: time.Minute, Sleep: sleep,
	}
}

func provider(c config.Settings, client *http.Client, log *slog.Logger) *nanobanana.Client {
	return &nanobanana.Client{BaseURL: c.BaseURL, RecordPath: c.RecordPath, HTTP: client, Log: log}
}

// NewIngester returns an Ingester for the settings. open is picture.Open, and anew is
// picture.Copy; the caller passes them, so that only functions that ingest link the
// decoders.
func NewIngester(c config.Settings, store task.Store, bucket media.Bucket, links media.Linker, open func(context.Context, io.ReadSeeker) (media.Picture, error), anew func(context.Context, io.ReadSeeker) (media.Copy, error), log *slog.Logger) *Ingester {
	return &Ingester{
		Store: store, Bucket: bucket, Links: links, HTTP: outbound.NewClient(), Open: open, Copy: anew, Fetcher: media.NewFetcher(media.FetchOptions{Trusted: trusted(c)}),
		Rules: Rules(c), Now: outbound.WallClock, Log: log,
		Parallel: 4, // all that most tasks have
		Retries:  []time.Duration{time.Second, 3 * time.Second},

		InputsTime: 5 * time.Second,
	}
}

// Rules returns the rules of a task's life for the settings.
func Rules(c config.Settings) task.Rules {
	return task.Rules{
		Poll: c.PollEvery, UnreadableAfter: c.UnreadableAfter, MaxGenerations: c.MaxGenerations,
		Callbacks: !c.NoCallbacks, Notify: c.Notifies(),
		ResultHosts: func(link string) bool { return slices.Contains(c.ResultHosts, hostOf(link, c.StandIns)) },
	}
}

// hostOf returns a link's host as RESULT_HOSTS spells it: with its port, unless that is
// 443 over https. It is empty for a link that RESULT_HOSTS can never allow.
func hostOf(link string, standIns bool) string {
	u, err := url.Parse(link)
	if err != nil || u.User != nil || u.Scheme != "https" && !(standIns && u.Scheme == "http") {
		return ""
	}
	return outbound.SettingHost(u)
}

// trusted returns the hosts that may have private addresses and plain http: with
// stand-ins, the result hosts that have a port, and the provider.
func trusted(c config.Settings) []string {
	if !c.StandIns {
		return nil
	}
	var hosts []string
	for _, h := range c.ResultHosts {
		if _, _, err := net.SplitHostPort(h); err == nil {
			hosts = append(hosts, h)
		}
	}
	if u, err := url.Parse(c.BaseURL); err == nil && u.Port() != "" {
		hosts = append(hosts, u.Host)
	}
	return hosts
}
