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

// tokenLife is longer than anybody keeps an event.
const tokenLife = 100 * 365 * 24 * time.Hour

// site is the stand-ins that are up, as seen from beside them.
type site struct {
	address string
	env     map[string]string // of the functions
	token   string            // by which owner is signed in
	client  *http.Client
}

func open() (*site, error) {
	address, err := os.ReadFile(filepath.Join(dir, "address"))
	if err != nil {
		return nil, fmt.Errorf("are the stand-ins up? %w", err)
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
	s := &site{address: string(address), env: env.Parameters}
	if s.token, err = mint.Token(owner, tokenLife); err != nil {
		return nil, err
	}
	s.client = &http.Client{Timeout: time.Minute, Transport: &http.Transport{
		// By whatever name the functions call the stand-ins, here they are here.
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

func (s *site) get(ctx context.Context, link string) ([]byte, error) {
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

// order is what the provider has of a task of ours, if it was asked for it.
func (s *site) order(ctx context.Context, id string) (made nanobananatest.Task, ok bool, err error) {
	b, err := s.get(ctx, "http://"+s.address+ordersPath)
	if err != nil {
		return made, false, err
	}
	var orders []nanobananatest.Task
	if err := json.Unmarshal(b, &orders); err != nil {
		return made, false, err
	}
	for _, o := range orders {
		if strings.HasPrefix(o.CallbackURL, publicURL+"/v1/callbacks/"+id+"/") {
			return o, true, nil
		}
	}
	return made, false, nil
}
