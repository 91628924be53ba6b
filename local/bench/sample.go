package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/preset/nanobanana-functions/functions/deployed/lambdatest"
)

// A scene is one request of one function and what stands before it.
type scene struct {
	function string // its binary
	world    *world
	event    []byte
	want     string // what its answer holds
	rows     rows
	keep     bool // written rows stay, for the next scene
	pictures int
	delay    time.Duration

	memory  int           // MB
	quota   quota         // the CPU that comes with the memory, from the first event on; empty for all
	freeze  time.Duration // between the start and the first event
	answers int           // requests of one process
}

// A sample is what one process of a scene took.
type sample struct {
	start   time.Duration // CPU until it asked for its first event
	cold    time.Duration // CPU until its first answer
	second  time.Duration // CPU of its second request
	wall    time.Duration // from its start to its first answer
	shaken  int           // full handshakes with the provider and the identity provider
	answer  []byte        // the first
	failure error         // of measuring
}

// run runs a scene once, in a process of its own.
func (s *scene) run(ctx context.Context, path string) (*sample, error) {
	m := &sample{}
	answers, asked := 0, false
	var last time.Duration
	cpu := func(p *os.Process) time.Duration {
		d, err := cpuTime(p)
		m.failure = errors.Join(m.failure, err)
		return d
	}
	env := map[string]string{"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": strconv.Itoa(s.memory)}
	if s.world != nil {
		s.world.set(s.rows, s.keep, s.pictures, s.delay)
		maps.Copy(env, s.world.env)
	}
	var begun time.Time
	f := lambdatest.NewFunction(lambdatest.Config{
		Name: s.function, Path: path, Env: env, Timeout: 30 * time.Second,
		OnNext: func(p *os.Process) {
			if asked {
				return
			}
			asked = true
			m.start = cpu(p)
			if s.freeze > 0 {
				_ = p.Signal(syscall.SIGSTOP)
				time.Sleep(s.freeze)
				_ = p.Signal(syscall.SIGCONT)
			}
			if s.quota != "" {
				m.failure = errors.Join(m.failure, s.quota.limit(p))
			}
		},
		OnAnswer: func(p *os.Process) {
			now := cpu(p)
			switch answers++; answers {
			case 1:
				m.wall, m.cold = time.Since(begun), now
			case 2:
				m.second = now - last
			}
			last = now
		},
	})
	defer f.Close()
	begun = time.Now()
	for i := range max(s.answers, 1) {
		answer, err := f.Invoke(ctx, s.event)
		if err == nil && !strings.Contains(string(answer), s.want) {
			err = fmt.Errorf("the answer lacks %s: %s", s.want, answer)
		}
		if err != nil {
			return nil, fmt.Errorf("%s, request %d: %w\n%s", s.function, i+1, err, f.Log())
		}
		if i == 0 {
			m.answer = answer
		}
	}
	if s.world != nil {
		s.world.mu.Lock()
		m.shaken = s.world.handshakes
		s.world.mu.Unlock()
	}
	return m, m.failure
}
