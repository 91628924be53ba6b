package prooftest

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"slices"
	"time"

	"github.com/preset/nanobanana-functions/shared/config"
	"github.com/preset/nanobanana-functions/shared/lifecycle"
	"github.com/preset/nanobanana-functions/shared/media"
	"github.com/preset/nanobanana-functions/shared/moderation"
	"github.com/preset/nanobanana-functions/shared/nanobanana"
	"github.com/preset/nanobanana-functions/shared/outbound"
	"github.com/preset/nanobanana-functions/shared/task"
)

const (
	publicURL   = "https://api.test"
	providerURL = "https://provider.test"
	pictureHost = "pictures.test:80"
	callbackKey = "0123456789abcdef0123456789abcdef"
	rolledKey   = "a-key-that-was-rolled"
)

// process is an instance of a function that serves one actor after another. It has its own
// memory (secret, balance) and its own clock.
type process struct {
	n         int
	kind      string
	sim       *simulation
	dead      bool                 // guarded by simulation.mu
	blind     bool                 // it could not read the pauses when it last tried
	actor     *actor               // the one at work; one at a time, as on Lambda
	submitter *lifecycle.Submitter // its Service settles, too
	sweeper   *lifecycle.Sweeper
	reader    *lifecycle.Reader
	ingester  *lifecycle.Ingester
}

// skews are the errors of clocks: those of any two processes agree within a second.
var skews = []time.Duration{0, -450 * time.Millisecond, 450 * time.Millisecond}

func (p *process) now() time.Time { return time.Now().Add(skews[p.n%len(skews)]).Round(0) }

var filter = moderation.New(nil, nil)

// process returns the oldest idle process of a kind, or a new one. The caller holds mu.
func (sim *simulation) process(kind string) *process {
	var oldest *process
	for _, p := range sim.idle {
		if p.kind == kind && !p.dead && (oldest == nil || p.n < oldest.n) {
			oldest = p
		}
	}
	if oldest != nil {
		sim.idle = slices.DeleteFunc(sim.idle, func(p *process) bool { return p == oldest })
		return oldest
	}
	sim.made++
	p := &process{n: sim.made, kind: kind, sim: sim}
	client := outbound.NewClient()
	client.Transport = sim.mutant.wrapTransport(p, processTransport{p})
	log := slog.New(slog.NewJSONHandler(processLog{p}, nil))
	var store task.Store = processStore{Store: sim.rows, p: p}
	provider, secrets := &nanobanana.Client{BaseURL: providerURL, HTTP: client}, config.NewSecrets(sim.secret, p.now, slog.New(slog.DiscardHandler))
	poster := &lifecycle.Poster{
		Service: &lifecycle.Service{
			Store: store, Provider: provider, Secrets: secrets, Rules: sim.rules, Now: p.now, Log: log, PublicURL: publicURL,
		},
		Account: &lifecycle.Account{Store: store, Provider: provider, Secrets: secrets, Now: p.now, Log: log},
		Links:   links{},
	}
	p.submitter = &lifecycle.Submitter{
		Poster: poster, HTTP: client, Filter: filter, Prices: config.Prices{task.DefaultModel: 4}, Quota: sim.quota,
	}
	p.reader = lifecycle.NewReader(poster.Service)
	p.sweeper = lifecycle.NewSweeper(config.Settings{}, poster)
	p.sweeper.Rate = nil
	p.ingester = &lifecycle.Ingester{
		Store: store, Bucket: processBucket{p}, Links: links{}, HTTP: client, Open: open, Copy: anew, Rules: sim.rules, Now: p.now, Log: log, Dir: sim.dir,
		Fetcher:  media.NewFetcher(media.FetchOptions{Trusted: []string{pictureHost}, Dial: p.dial}),
		Parallel: 1, // the order of calls made at once would differ from run to run
		Retries:  []time.Duration{time.Second, 3 * time.Second},

		InputsTime: 5 * time.Second,
	}
	return p
}

// secret returns the secret's present value.
func (sim *simulation) secret(context.Context) ([]byte, error) {
	sim.mu.Lock()
	defer sim.mu.Unlock()
	if sim.conditions.secretDown {
		return nil, errLost
	}
	keys := []map[string]string{{"id": "k", "key": callbackKey}}
	return json.Marshal(map[string]any{"apiKey": sim.conditions.secretKey, "callbackKeys": keys, "imageKeys": keys})
}

// links makes links that the provider does not follow.
type links struct{}

func (links) Link(_ context.Context, key string, _ time.Duration, _ media.LinkOptions) (string, error) {
	return "https://bucket.test/" + key, nil
}

// dial connects a download to the provider.
func (p *process) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	var how string
	err := p.sim.call(ctx, p.actor, "fetch", "", false, func() error {
		how = p.sim.conditions.download
		return nil
	})
	if err != nil {
		p.sim.mu.Lock()
		defer p.sim.mu.Unlock()
		p.actor.failed++
		return nil, err
	}
	client, server := net.Pipe()
	go p.sim.provider.serveDownload(server, how, p.actor)
	return client, nil
}

// open accepts a file as a picture without decoding it: package picture has tests for that.
func open(_ context.Context, file io.ReadSeeker) (media.Picture, error) {
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return media.Picture{}, err
	}
	b, err := io.ReadAll(file)
	if err != nil {
		return media.Picture{}, err
	}
	return media.Picture{
		Width: 1, Height: 1, ContentType: "image/png", Ext: "png",
		Bytes: int64(len(b)), SHA256: digest(b), Thumbnail: []byte("small"),
	}, nil
}

// anew returns a copy of a file without decoding it.
func anew(context.Context, io.ReadSeeker) (media.Copy, error) {
	return media.Copy{Width: 1, Height: 1, JPEG: []byte("copy"), Thumbnail: []byte("small copy")}, nil
}
