package lifecycle

import (
	"context"
	"fmt"
	"io"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/preset/nanobanana-functions/shared/media"
	"github.com/preset/nanobanana-functions/shared/task"
)

// outcome is what tries of a copy brought. A damaged picture comes with an error.
type outcome struct {
	image task.Image
	err   error
}

// oneDecode returns an Ingester that decodes only one picture at a time, since that may
// take 256 MiB.
func (g *Ingester) oneDecode() *Ingester {
	var decoding sync.Mutex
	one := *g
	one.Open = func(ctx context.Context, file io.ReadSeeker) (media.Picture, error) {
		decoding.Lock()
		defer decoding.Unlock()
		return g.Open(ctx, file)
	}
	one.Copy = func(ctx context.Context, file io.ReadSeeker) (media.Copy, error) {
		decoding.Lock()
		defer decoding.Unlock()
		// A picture may be waiting, and this is somebody's file.
		ctx, cancel := context.WithTimeout(ctx, 2*g.InputsTime)
		defer cancel()
		return g.Copy(ctx, file)
	}
	return &one
}

// firstTries tries the copy of each of the task's pictures once, and Parallel of them at
// once.
func (g *Ingester) firstTries(ctx context.Context, t *task.Task) []outcome {
	all := make([]outcome, len(t.URLs))
	together(len(all), g.Parallel, func(i int) {
		all[i] = g.try(ctx, t, i+1, t.URLs[i], task.Image{})
	})
	return all
}

// tryAgain tries the copy of the picture at the link with number n again, after each of
// Retries, until it succeeds. If only a damaged picture came, that is in the bucket and
// returned with the error. No other copy runs meanwhile: a host that is too slow for
// several downloads may be fast enough for one.
func (g *Ingester) tryAgain(ctx context.Context, t *task.Task, n int, url string, o outcome) (task.Image, error) {
	for _, pause := range g.Retries {
		if o.err == nil || ctx.Err() != nil {
			break
		}
		select {
		case <-ctx.Done():
			return o.image, o.err
		case <-time.After(pause):
		}
		o = g.try(ctx, t, n, url, o.image)
	}
	return o.image, o.err
}

// try tries a copy once. damaged is what earlier tries of this run brought, and is
// returned if this one brings nothing. Since each try may bring other bytes, only the
// first damaged picture is put into the bucket, and again after the last wake, when it
// may count.
func (g *Ingester) try(ctx context.Context, t *task.Task, n int, url string, damaged task.Image) outcome {
	salvaged := !t.LastWake && slices.ContainsFunc(t.Salvaged, func(i task.Image) bool { return i.N == n })
	image, err := g.copyOnce(ctx, t, n, url, !salvaged && damaged.File == "")
	if image.File == "" {
		image = damaged
	}
	return outcome{image, err}
}

// together calls do with 0 to n-1, and returns once all calls have returned. At most
// limit of them run at once, or one if limit is 0. A panic of do is passed on to the
// caller: in a goroutine of its own it would end the process.
func together(n, limit int, do func(i int)) {
	var running sync.WaitGroup
	turns, panics := make(chan struct{}, max(1, limit)), make(chan string, n)
	for i := range n {
		turns <- struct{}{}
		running.Go(func() {
			defer func() {
				if p := recover(); p != nil {
					panics <- fmt.Sprintf("%v\n%s", p, debug.Stack())
				}
				<-turns
			}()
			do(i)
		})
	}
	running.Wait()
	select {
	case p := <-panics:
		panic(p)
	default:
	}
}
