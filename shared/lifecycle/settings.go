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
		Store: store, Provider: provider(c, client), Secrets: secrets,
		Rules: Rules(c), Now: outbound.WallClock, Log: log, PublicURL: c.PublicURL,
	}
}

// NewAccount returns an Account for the settings.
func NewAccount(c config.Settings, store task.Store, secrets *config.Secrets, client *http.Client, log *slog.Logger) *Account {
	return &Account{Store: store, Provider: provider(c, client), Secrets: secrets, Now: outbound.WallClock, Log: log}
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
	return &Sweeper{Poster: poster, Rate: rate.NewLimiter(sweepRate, sweepRate), Posts: postPace(c.PostRate)}
}

func provider(c config.Settings, client *http.Client) *nanobanana.Client {
	return &nanobanana.Client{BaseURL: c.BaseURL, RecordPath: c.RecordPath, HTTP: client}
}

// NewIngester gives an Ingester by the settings. open is picture.Open, which is
// given so that only who ingests links the decoders.
func NewIngester(c config.Settings, store task.Store, bucket media.Bucket, open func(context.Context, io.ReadSeeker) (media.Picture, error), log *slog.Logger) *Ingester {
	return &Ingester{
		Store: store, Bucket: bucket, Open: open, Fetcher: media.NewFetcher(media.FetchOptions{Trusted: trusted(c)}),
		Rules: Rules(c), Now: outbound.WallClock, Log: log,
		Retries: []time.Duration{time.Second, 3 * time.Second},
	}
}

// Rules gives the rules of a task's life by the settings.
func Rules(c config.Settings) task.Rules {
	return task.Rules{
		Poll: c.PollEvery, UnreadableAfter: c.UnreadableAfter, MaxGenerations: c.MaxGenerations,
		Callbacks: true, Notify: c.NotifyURL != "",
		ResultHosts: func(link string) bool { return slices.Contains(c.ResultHosts, hostOf(link, c.StandIns)) },
	}
}

// hostOf is a link's host as RESULT_HOSTS names it: with its port, but for
// https's own. It is empty for a link that nobody vouches for.
func hostOf(link string, standIns bool) string {
	u, err := url.Parse(link)
	if err != nil || u.User != nil || u.Scheme != "https" && !(standIns && u.Scheme == "http") {
		return ""
	}
	return outbound.SettingHost(u)
}

// trusted are the hosts whose private addresses and plain http are allowed:
// where stand-ins are, the result hosts with a port, and the provider.
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
