package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// A bench runs scenes by turns.
type bench struct {
	binaries map[string]string // paths, by function
	names    []string          // of the scenes, in order
	scenes   map[string]*scene
	quotas   quotas
	noQuota  error // why there are none
	noNode   error // why there is no binary "node"
	samples  map[string][]*sample
	looks    []looks
}

// quotas are by their memory in MB.
type quotas map[int]quota

func (q quotas) close() {
	for _, one := range q {
		one.close()
	}
}

// prepare makes all scenes that the table needs.
func (b *bench) prepare(ctx context.Context, secure, plain *world, freeze time.Duration) error {
	tls, err := scenes(ctx, secure, b.binaries, 1)
	if err != nil {
		return err
	}
	bare, err := scenes(ctx, plain, b.binaries, 1)
	if err != nil {
		return err
	}
	b.scenes = map[string]*scene{"hello": {function: "hello", event: []byte(`{}`), want: "statusCode", memory: smallMemory}}
	add := func(name string, from *scene, change func(*scene)) {
		s := *from
		change(&s)
		b.scenes[name] = &s
	}
	for name, s := range tls {
		if name != "ingest" {
			add(name, s, func(s *scene) { s.answers = 2 })
		}
	}
	add("submit, plain", bare["submit"], func(s *scene) { s.answers = 2 })
	add("submit, frozen", tls["submit"], func(s *scene) { s.freeze = freeze })
	for _, name := range []string{"submit", "callback"} {
		add(name+", ten", tls[name], func(s *scene) { s.answers = 10 })
	}
	if b.noNode == nil {
		body := `{"version":"2.0","requestContext":{"requestId":"r"},"body":"{\"prompt\":\"A lighthouse\"}"}`
		b.scenes["node"] = &scene{function: "node", world: secure, event: []byte(body), want: `"statusCode":200`, memory: smallMemory}
	}
	if b.quotas, b.noQuota = newQuotas(memories...); b.noQuota == nil {
		if err := b.addLimited(ctx, secure, tls); err != nil {
			return err
		}
	}
	for name := range b.scenes {
		b.names = append(b.names, name)
	}
	slices.Sort(b.names)
	return nil
}

// memories are the sizes that are compared, in MB. One CPU comes with the last.
var memories = []int{256, 512, 1024, fullCPU}

// limited names a function's scene with the CPU of so much memory.
func limited(name string, mb int) string { return fmt.Sprint(name, ", MB ", mb) }

// addLimited adds the scenes with the CPU of a memory size: each function, and
// ingest of four pictures.
func (b *bench) addLimited(ctx context.Context, w *world, from map[string]*scene) error {
	four, err := scenes(ctx, w, b.binaries, 4)
	if err != nil {
		return err
	}
	for _, mb := range memories {
		for name, s := range from {
			c := *s
			c.memory, c.quota, c.answers, c.far = mb, b.quotas[mb], 2, true
			b.scenes[limited(name, mb)] = &c
		}
	}
	for _, mb := range []int{smallMemory, fullCPU} {
		c := *from["submit"]
		c.memory, c.quota = mb, b.quotas[mb]
		b.scenes[limited("submit, near", mb)] = &c
	}
	if b.noNode == nil {
		c := *b.scenes["node"]
		c.quota = b.quotas[smallMemory]
		b.scenes[limited("node", smallMemory)] = &c
	}
	c := *four["ingest"]
	c.memory, c.quota, c.far = ingestMemory, b.quotas[ingestMemory], true
	b.scenes["ingest of four"] = &c
	return nil
}

func newQuotas(memory ...int) (quotas, error) {
	all := quotas{}
	for _, mb := range memory {
		q, err := newQuota(mb)
		if err != nil {
			all.close()
			return nil, err
		}
		all[mb] = q
	}
	return all, nil
}

// once are the scenes whose figures are the same each time.
var once = []string{"submit, frozen", "submit, ten", "callback, ten"}

// measure runs each scene n times. Each round begins with another one, so that a drift
// of the machine falls on all alike; the first round only warms up.
func (b *bench) measure(ctx context.Context, n int) error {
	for round := range n + 1 {
		for i := range b.names {
			name := b.names[(i+round)%len(b.names)]
			if slices.Contains(once, name) && round != 1 {
				continue
			}
			s := b.scenes[name]
			m, err := s.run(ctx, b.binaries[s.function])
			switch {
			case name == "submit, frozen" && err != nil && ctx.Err() == nil:
				continue // its row says so
			case err != nil:
				return fmt.Errorf("%s: %w", name, errors.Join(err, ctx.Err()))
			case round > 0:
				b.samples[name] = append(b.samples[name], m)
			}
		}
	}
	return nil
}
