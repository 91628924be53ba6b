package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/preset/nanobanana-functions/shared/auth/authtest"
	"github.com/preset/nanobanana-functions/shared/media"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
)

// tokenTTL is long enough for a token in a stored event.
const tokenTTL = 100 * 365 * 24 * time.Hour

// connection is a connection to the running stand-ins.
type connection struct {
	address string
	env     map[string]string // the functions' variables
	token   string            // owner's
	client  *http.Client
}

// connect reads what serve has written. It fails if the stand-ins do not run.
func connect() (*connection, error) {
	address, err := os.ReadFile(filepath.Join(dir, "address"))
	if err != nil {
		return nil, fmt.Errorf("the stand-ins do not run; start them with make sam-up: %w", err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "env.json"))
	if err != nil {
		return nil, err
	}
	var env environment
	if err := json.Unmarshal(text, &env); err != nil {
		return nil, err
	}
	mint, err := openMint(env.Parameters["AUTH_ISSUER"])
	if err != nil {
		return nil, err
	}
	s := &connection{address: string(address), env: env.Parameters}
	if s.token, err = mint.Token(owner, tokenTTL); err != nil {
		return nil, err
	}
	s.client = &http.Client{Timeout: time.Minute, Transport: &http.Transport{
		// The functions reach the stand-ins under another name than this process.
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, s.address)
		},
	}}
	return s, nil
}

func openMint(issuer string) (*authtest.Mint, error) {
	key, err := authtest.LoadOrCreateKey(filepath.Join(dir, "mint.pem"))
	if err != nil {
		return nil, err
	}
	return authtest.NewMint(key, issuer)
}

func (s *connection) get(ctx context.Context, link string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, link, nil)
	if err != nil {
		return nil, err
	}
	answer, err := s.client.Do(r)
	if err != nil {
		return nil, err
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		return nil, errors.New(answer.Status)
	}
	return io.ReadAll(io.LimitReader(answer.Body, media.MaxBytes+1))
}

// order returns the provider's task for our task id. ok is false if there is none.
func (s *connection) order(ctx context.Context, id string) (t nanobananatest.Task, ok bool, err error) {
	b, err := s.get(ctx, "http://"+s.address+ordersPath)
	if err != nil {
		return t, false, err
	}
	var orders []nanobananatest.Task
	if err := json.Unmarshal(b, &orders); err != nil {
		return t, false, err
	}
	for _, o := range orders {
		if strings.HasPrefix(o.CallbackURL, publicURL+"/v1/callbacks/"+id+"/") {
			return o, true, nil
		}
	}
	return t, false, nil
}
