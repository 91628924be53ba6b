package main

import (
	"embed"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"time"

	"github.com/preset/nanobanana-functions/shared/auth/authtest"
	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/task"
)

//go:embed page
var page embed.FS

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
	origin    string // of the bucket's links
	mint      *authtest.Mint
	simulator *nanobananatest.Server
	switches  switchboard
}

// openStudio opens the stand-ins that the settings ask for.
func openStudio(s *server, data string) (*studio, error) {
	studio := studio{origin: s.URL}
	var err error
	if s.settings.AuthIssuer == s.URL+mintPath {
		if studio.mint, err = openMint(data, s.URL); err != nil {
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

// register adds the studio's routes.
func (s *studio) register(mux *http.ServeMux, log *slog.Logger) {
	files, err := fs.Sub(page, "page")
	if err != nil {
		panic(err) // the folder is compiled in
	}
	serve := servePage(http.FileServerFS(files), fmt.Sprintf(pagePolicy, s.origin))
	mux.Handle("GET /{$}", serve)
	entries, _ := fs.ReadDir(files, ".")
	for _, e := range entries {
		mux.Handle("GET /"+e.Name(), serve)
	}
	mux.Handle("GET /local/session", ours(httpapi.Handler(log, s.session)))
	if s.mint != nil {
		mux.Handle("GET "+mintPath+authtest.Path, http.StripPrefix(mintPath, s.mint))
	}
	if s.simulator != nil {
		mux.Handle(simulatorPath+"/", http.StripPrefix(simulatorPath, s.simulator))
		mux.Handle("GET /local/simulator", ours(httpapi.Handler(log, s.switches.read)))
		mux.Handle("PUT /local/simulator", ours(httpapi.Handler(log, s.switches.write)))
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

// ours keeps other sites, and other machines behind a tunnel, from what is for
// the developer's own browser: it hands out tokens. A rebound name shows in Host.
func ours(h http.Handler) http.Handler {
	forbidden := httpapi.Handler(slog.New(slog.DiscardHandler), func(*http.Request) (httpapi.Answer, error) {
		return httpapi.Answer{}, &task.Error{Code: task.CodeForbidden}
	})
	guard := http.NewCrossOriginProtection()
	guard.SetDenyHandler(forbidden)
	guarded := guard.Handler(h)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
		}
		if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			forbidden.ServeHTTP(w, r)
			return
		}
		guarded.ServeHTTP(w, r)
	})
}

// sessionLife is how long the page's token is good for; it asks again after.
const sessionLife = 12 * time.Hour

// session gives the page what it needs to be a user.
func (s *studio) session(*http.Request) (httpapi.Answer, error) {
	var token string
	if s.mint != nil {
		var err error
		if token, err = s.mint.Token(studioOwner, sessionLife); err != nil {
			return httpapi.Answer{}, err
		}
	}
	return httpapi.Answer{Body: map[string]any{
		"token": token, "owner": studioOwner, "simulator": s.simulator != nil,
		"target": task.Target{Kind: "moodboard", ID: "studio"},
	}}, nil
}
