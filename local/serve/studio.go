package serve

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"time"

	"github.com/preset/nanobanana-functions/local/ops"
	"github.com/preset/nanobanana-functions/local/page"
	"github.com/preset/nanobanana-functions/local/signin"
	"github.com/preset/nanobanana-functions/shared/auth/authtest"
	"github.com/preset/nanobanana-functions/shared/config"
	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/task"
)

// pagePolicy lets the page load only its own files, but pictures from anywhere.
// Uploads go to the bucket's origin (%s), which differs from the page's if that
// was opened as localhost.
const pagePolicy = "default-src 'self'; connect-src 'self' %s; img-src 'self' http: https: blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

const (
	simulatorPath = "/simulator"
	simulatorKey  = nanobananatest.DefaultKey
)

// studio is the page at / with the stand-ins for the provider and the identity
// provider. Each stand-in is nil if the settings name a real one.
type studio struct {
	origin       string // of the bucket's links
	paid         bool   // the real provider is used
	tokenCommand string // prints a token for the page
	mint         *authtest.Mint
	simulator    *nanobananatest.Server
	switches     switchboard
}

// openStudio opens the studio of a server at url, and the stand-ins to which the
// settings point.
func openStudio(c config.Settings, url, data string) (s *studio, err error) {
	s = &studio{origin: url, paid: c.BaseURL == config.DefaultBaseURL, tokenCommand: "bin/local token" + commandFlags(url, data)}
	if c.AuthIssuer == url+signin.Path {
		if s.mint, err = signin.Open(data, url); err != nil {
			return nil, err
		}
	}
	if c.BaseURL == url+simulatorPath {
		largePictures := func(k *nanobananatest.Knobs) { k.PictureSide = 768 }
		if s.simulator, err = nanobananatest.Open(filepath.Join(data, "simulator.jsonl"), largePictures); err != nil {
			return nil, err
		}
		s.simulator.URL = url + simulatorPath
		s.switches.simulator = s.simulator
		s.switches.set(switches{RepeatCallbacks: 1})
	}
	return s, nil
}

func (s *studio) close() {
	if s.simulator != nil {
		s.simulator.Close()
	}
}

// localHandler serves the routes under localPath, which only the page uses. check reads
// the provider's balance: asking the simulator costs nothing, so the page may ask for it
// after each picture, and what it shows agrees.
func (s *studio) localHandler(log *slog.Logger, t *troubles, check func(context.Context) error, commands http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /local/troubles", httpapi.Handler(log, t.read))
	mux.Handle("POST "+ops.RemotePath, commands)
	mux.Handle("GET /local/session", httpapi.Handler(log, s.session))
	if s.simulator != nil {
		mux.Handle("GET /local/simulator", httpapi.Handler(log, s.switches.read))
		mux.Handle("PUT /local/simulator", httpapi.Handler(log, s.switches.write))
		mux.Handle("POST /local/balance", httpapi.Handler(log, func(r *http.Request) (httpapi.Answer, error) {
			_ = check(r.Context()) // logs its own errors; then the page shows the last known balance
			return httpapi.Answer{Status: http.StatusNoContent}, nil
		}))
	}
	return httpapi.Mux(log, mux)
}

// register adds the routes of the page's files and of the stand-ins.
func (s *studio) register(mux *http.ServeMux) {
	files := servePage(http.FileServerFS(page.Files), fmt.Sprintf(pagePolicy, s.origin))
	mux.Handle("GET /{$}", files)
	entries, _ := page.Files.ReadDir(".")
	for _, e := range entries {
		mux.Handle("GET /"+e.Name(), files)
	}
	if s.mint != nil {
		mux.Handle("GET "+signin.Path+authtest.Path, http.StripPrefix(signin.Path, s.mint))
	}
	if s.simulator != nil {
		mux.Handle(simulatorPath+"/", http.StripPrefix(simulatorPath, s.simulator))
	}
}

// servePage serves the page's files and keeps browsers from caching them: they are
// compiled in without a date, so a cached one would be from an older build.
func servePage(files http.Handler, policy string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-cache")
		files.ServeHTTP(w, r)
	})
}

// sessionTTL is how long the page's token is valid; then the page asks for a new one.
const sessionTTL = 12 * time.Hour

// session answers GET /local/session: who the page's user is, with a token. If
// pictures cost credits there is no token, only the command that prints one for
// the user to paste.
func (s *studio) session(*http.Request) (httpapi.Answer, error) {
	var token, command string
	switch {
	case s.mint != nil && s.paid:
		command = s.tokenCommand
	case s.mint != nil:
		var err error
		if token, err = s.mint.Token(signin.SampleOwner, sessionTTL); err != nil {
			return httpapi.Answer{}, err
		}
	}
	return httpapi.Answer{Body: map[string]any{
		"token": token, "tokenCommand": command, "owner": signin.SampleOwner, "simulator": s.simulator != nil,
		"target": task.Target{Kind: "moodboard", ID: "studio"},
	}}, nil
}
