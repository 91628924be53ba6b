package serve

import (
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"time"

	"github.com/preset/nanobanana-functions/local/page"
	"github.com/preset/nanobanana-functions/local/signin"
	"github.com/preset/nanobanana-functions/shared/auth/authtest"
	"github.com/preset/nanobanana-functions/shared/config"
	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/task"
)

// pagePolicy keeps the page to its own files; pictures may be anybody's. Uploads
// go to where the bucket is, which has another name where the page was opened
// at localhost.
const pagePolicy = "default-src 'self'; connect-src 'self' %s; img-src 'self' http: https: blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

const (
	studioOwner = "studio"

	simulatorPath = "/simulator"
	simulatorKey  = nanobananatest.DefaultKey
)

// studio is the page at / and what exists for it alone: the stand-ins for the
// provider and the identity provider, each absent where a real one is set.
type studio struct {
	origin       string // of the bucket's links
	paid         bool   // the provider is the real one
	tokenCommand string // prints a token of the mint for the page
	mint         *authtest.Mint
	simulator    *nanobananatest.Server
	switches     switchboard
}

// openStudio opens the stand-ins that the settings ask for.
func openStudio(s *Server, data string) (*studio, error) {
	studio := studio{origin: s.URL, paid: s.settings.BaseURL == config.DefaultBaseURL, tokenCommand: "bin/local token" + s.flags() + " " + studioOwner}
	var err error
	if s.settings.AuthIssuer == s.URL+signin.Path {
		if studio.mint, err = signin.Open(data, s.URL); err != nil {
			return nil, err
		}
	}
	if s.settings.BaseURL == s.URL+simulatorPath {
		if studio.simulator, err = nanobananatest.Open(filepath.Join(data, "simulator.jsonl"), drawing); err != nil {
			return nil, err
		}
		studio.simulator.URL = s.URL + simulatorPath
		studio.switches.simulator = studio.simulator
		studio.switches.set(switches{RepeatCallbacks: 1})
	}
	return &studio, nil
}

// drawing makes the simulator's pictures worth a look.
func drawing(k *nanobananatest.Knobs) { k.PictureSide = 768 }

func (s *studio) close() {
	if s.simulator != nil {
		s.simulator.Close()
	}
}

// own serves what is for the page alone, under localPath.
func (s *studio) own(log *slog.Logger, t *troubles) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /local/troubles", httpapi.Handler(log, t.read))
	mux.Handle("GET /local/session", httpapi.Handler(log, s.session))
	if s.simulator != nil {
		mux.Handle("GET /local/simulator", httpapi.Handler(log, s.switches.read))
		mux.Handle("PUT /local/simulator", httpapi.Handler(log, s.switches.write))
	}
	return httpapi.Mux(log, mux)
}

// register adds the routes of the page's files and of the stand-ins.
func (s *studio) register(mux *http.ServeMux) {
	serve := servePage(http.FileServerFS(page.Files), fmt.Sprintf(pagePolicy, s.origin))
	mux.Handle("GET /{$}", serve)
	entries, _ := page.Files.ReadDir(".")
	for _, e := range entries {
		mux.Handle("GET /"+e.Name(), serve)
	}
	if s.mint != nil {
		mux.Handle("GET "+signin.Path+authtest.Path, http.StripPrefix(signin.Path, s.mint))
	}
	if s.simulator != nil {
		mux.Handle(simulatorPath+"/", http.StripPrefix(simulatorPath, s.simulator))
	}
}

// servePage serves the page's files. They are compiled in and carry no date:
// a browser that kept one would show the page of yesterday's build.
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

// sessionLife is how long the page's token is good for; it asks again after.
const sessionLife = 12 * time.Hour

// session returns what the page needs to be a user. Where pictures cost money
// that is no token: the user pastes one, which the command prints.
func (s *studio) session(*http.Request) (httpapi.Answer, error) {
	var token, command string
	switch {
	case s.mint != nil && s.paid:
		command = s.tokenCommand
	case s.mint != nil:
		var err error
		if token, err = s.mint.Token(studioOwner, sessionLife); err != nil {
			return httpapi.Answer{}, err
		}
	}
	return httpapi.Answer{Body: map[string]any{
		"token": token, "tokenCommand": command, "owner": studioOwner, "simulator": s.simulator != nil,
		"target": task.Target{Kind: "moodboard", ID: "studio"},
	}}, nil
}
