package config

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A start waits for its steps, all at once, and for a second at most. None runs on.
func TestRunSteps(t *testing.T) {
	for name, test := range map[string]struct {
		steps []Step
		waits time.Duration
		lines int // one for each step that failed
	}{
		"no step":           {nil, 0, 0},
		"two steps":         {[]Step{takes(300 * time.Millisecond), takes(200 * time.Millisecond)}, 300 * time.Millisecond, 0},
		"one fails":         {[]Step{func(context.Context) error { return errors.New("down") }, takes(200 * time.Millisecond)}, 200 * time.Millisecond, 1},
		"one hangs":         {[]Step{takes(time.Hour), takes(200 * time.Millisecond)}, time.Second, 1},
		"all of them hang":  {[]Step{takes(time.Hour), takes(time.Hour), takes(time.Hour)}, time.Second, 3},
		"one is just there": {[]Step{takes(999 * time.Millisecond)}, 999 * time.Millisecond, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var ended atomic.Int32
				var steps []Step
				for _, step := range test.steps {
					steps = append(steps, func(ctx context.Context) error { defer ended.Add(1); return step(ctx) })
				}
				var log bytes.Buffer
				start := time.Now()
				runSteps(slog.New(slog.NewTextHandler(&log, nil)), steps)
				if waited := time.Since(start); waited != test.waits || int(ended.Load()) != len(steps) {
					t.Errorf("waited %v, want %v; %d of %d steps ended", waited, test.waits, ended.Load(), len(steps))
				}
				if n := strings.Count(log.String(), "\n"); n != test.lines {
					t.Errorf("%d lines, want %d:\n%s", n, test.lines, log.String())
				}
			})
		})
	}
}

// takes returns a step that needs d.
func takes(d time.Duration) Step {
	return func(ctx context.Context) error {
		select {
		case <-time.After(d):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
