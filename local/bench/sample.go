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
	far      bool // answers take as long as over a network

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
	wall    time.Duration // from its start to its first answer, without freeze
	again   time.Duration // of its second request
	shaken  int           // full handshakes with the provider and the identity provider
	answer  []byte        // the first
	failure error         // of measuring
}

// A meter takes a sample of a process.
type meter struct {
	scene *scene
	*sample
	begun   time.Time
	paused  time.Duration // before its first event; the kernel takes 20 ms to move a process
	started bool
	answers int
	last    time.Duration // CPU until its last answer
}

func (m *meter) cpu(p *os.Process) time.Duration {
	d, err := cpuTime(p)
	m.failure = errors.Join(m.failure, err)
	return d
}

// onNext freezes the process, if the scene says so, and limits its CPU, before it gets its first
// event.
func (m *meter) onNext(p *os.Process) {
	if m.started {
		return
	}
	m.started, m.start = true, m.cpu(p)
	stopped := time.Now()
	if m.scene.freeze > 0 {
		_ = p.Signal(syscall.SIGSTOP) // an error means that it has ended, which is detected
		time.Sleep(m.scene.freeze)
		_ = p.Signal(syscall.SIGCONT)
	}
	if m.scene.quota != "" {
		m.failure = errors.Join(m.failure, m.scene.quota.limit(p))
	}
	m.paused = time.Since(stopped)
}

func (m *meter) onAnswer(p *os.Process) {
	now := m.cpu(p)
	switch m.answers++; m.answers {
	case 1:
		m.wall, m.cold = time.Since(m.begun)-m.paused, now
	case 2:
		m.second = now - m.last
	}
	m.last = now
}

// run runs a scene once, in a process of its own.
func (s *scene) run(ctx context.Context, path string) (*sample, error) {
	env := map[string]string{"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": strconv.Itoa(s.memory)}
	if s.world != nil {
		s.world.set(s)
		maps.Copy(env, s.world.env)
	}
	m := &meter{scene: s, sample: &sample{}}
	f := lambdatest.NewFunction(lambdatest.Config{
		Name: s.function, Path: path, Env: env, Timeout: 30 * time.Second, OnNext: m.onNext, OnAnswer: m.onAnswer,
	})
	defer f.Close()
	m.begun = time.Now()
	for i := range max(s.answers, 1) {
		sent := time.Now()
		answer, err := f.Invoke(ctx, s.event)
		if err == nil && !strings.Contains(string(answer), s.want) {
			err = fmt.Errorf("the answer lacks %s: %s", s.want, answer)
		}
		if err != nil {
			return nil, fmt.Errorf("%s, request %d: %w\n%s", s.function, i+1, err, f.Log())
		}
		switch i {
		case 0:
			m.answer = answer
		case 1:
			m.again = time.Since(sent)
		}
	}
	if s.world != nil {
		m.shaken = s.world.shaken()
	}
	return m.sample, m.failure
}
