package lifecycle_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/lifecycle"
	"github.com/preset/nanobanana-functions/shared/media"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/task"
	"github.com/preset/nanobanana-functions/shared/taskbolt"
)

// killedStore is a store whose process is killed, as by kill -9, before or after its nth
// call.
type killedStore struct {
	task.Store
	left  atomic.Int32
	after bool
}

func (s *killedStore) step(do func() error) error {
	last := s.left.Add(-1) == 0
	if last && !s.after {
		kill()
	}
	err := do()
	if last {
		kill()
	}
	return err
}

func kill() {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {} // it comes at once, but not within this call
}

func (s *killedStore) Paused(ctx context.Context) (p task.Pauses, err error) {
	err = s.step(func() (err error) { p, err = s.Store.Paused(ctx); return err })
	return p, err
}

func (s *killedStore) Forget(ctx context.Context, owner string, now time.Time) error {
	return s.step(func() error { return s.Store.Forget(ctx, owner, now) })
}

func (s *killedStore) List(ctx context.Context, q task.Query) (ids []string, next string, err error) {
	err = s.step(func() (err error) { ids, next, err = s.Store.List(ctx, q); return err })
	return ids, next, err
}

func (s *killedStore) Put(ctx context.Context, t *task.Task) (got *task.Task, err error) {
	err = s.step(func() (err error) { got, err = s.Store.Put(ctx, t); return err })
	return got, err
}

// notedBucket notes the keys of its objects.
type notedBucket struct {
	media.Bucket
	mu   sync.Mutex // guards keys
	keys []string
}

func (b *notedBucket) Put(ctx context.Context, key string, body io.ReadSeeker, size int64, contentType string, sum [32]byte) error {
	b.mu.Lock()
	b.keys = append(b.keys, key)
	b.mu.Unlock()
	return b.Bucket.Put(ctx, key, body, size, contentType, sum)
}

const killEnv = "FORGET_KILLED_AT"

// TestForgetProcess is the process that TestForgetKilled kills: it forgets the owner on a
// file of the embedded store.
func TestForgetProcess(t *testing.T) {
	at := strings.Split(os.Getenv(killEnv), "|")
	if len(at) != 4 {
		t.Skip("TestForgetKilled runs it")
	}
	store, err := taskbolt.Open(at[0])
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	n, numberErr := strconv.Atoi(at[1])
	now, timeErr := time.Parse(time.RFC3339, at[3])
	if err := errors.Join(numberErr, timeErr); err != nil {
		t.Fatal(err)
	}
	rules := task.DefaultRules()
	rules.Notify = true
	killed := &killedStore{Store: store, after: at[2] == "after"}
	killed.left.Store(int32(n))
	f := lifecycle.Forgetter{
		Store: killed, Rules: rules, Now: func() time.Time { return now },
		Log: slog.New(slog.DiscardHandler), Sleep: func(context.Context, time.Duration) error { return nil },
	}
	refused, err := f.Refuse(t.Context(), owner)
	if err == nil {
		_, err = f.Erase(t.Context(), owner, refused, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// The process that forgets is killed before and after each of its calls to the store, and
// the command is typed again. In the end nothing of the owner is left, nothing was sent
// twice, and Preset was told of each task once.
func TestForgetKilled(t *testing.T) {
	t.Parallel()
	for _, when := range []string{"before", "after"} {
		t.Run(when, func(t *testing.T) {
			t.Parallel()
			killed := 0
			for n := 1; forgetKilledAt(t, n, when); n++ {
				killed = n
			}
			if killed < 8 { // the pauses, the owner, lists, and four tasks
				t.Errorf("it was killed at %d calls", killed)
			}
		})
	}
}

// forgetKilledAt kills the process at its nth call, finishes all, and checks the end. It
// returns false if the process ended before that call.
func forgetKilledAt(t *testing.T, n int, when string) (killed bool) {
	t.Helper()
	h := newHarness(t)
	h.Rules.Notify, h.Ingester.Rules.Notify = true, true
	path := filepath.Join(t.TempDir(), "tasks.db")
	store, err := taskbolt.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	h.Rows.Store = store
	objects := &notedBucket{Bucket: h.Bucket}
	h.Ingester.Bucket = objects
	ids := h.inEveryStatus()
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	process := exec.Command(os.Args[0], "-test.run=^TestForgetProcess$")
	process.Env = append(os.Environ(), fmt.Sprintf("%s=%s|%d|%s|%s", killEnv, path, n, when, h.Now().Format(time.RFC3339)))
	out, err := process.CombinedOutput()
	exit, is := errors.AsType[*exec.ExitError](err)
	if killed = is && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL; !killed && err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if store, err = taskbolt.Open(path); err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	h.Rows.Store = store
	h.Clock.Add(time.Minute)
	h.work(ids[0]) // the stream goes on meanwhile
	h.forget(h.forgetter(nil))
	h.Sim.SetKnobs(func(k *nanobananatest.Knobs) { k.Submit = nanobananatest.Fault{} })
	told := map[string]int{}
	for _, id := range ids {
		for range 400 {
			x := h.task(id)
			if x.Notice != "" {
				told[id]++
				h.told(id)
			}
			if x.Done() && x.Due().IsZero() {
				break
			}
			h.work(id)
			h.provided(id)
			h.sweep(10 * time.Minute)
		}
	}
	for _, id := range ids {
		x := h.task(id)
		if !x.Deleted() || x.Owner != "" || !x.Due().IsZero() || told[id] != 1 {
			t.Errorf("killed %s call %d: told %d times, in the end %+v", when, n, told[id], x)
		}
	}
	for _, key := range objects.keys {
		if !h.gone(key) {
			t.Errorf("killed %s call %d: %s is still there", when, n, key)
		}
	}
	if len(objects.keys) < 6 {
		t.Errorf("only %q were stored", objects.keys)
	}
	if left, _, err := store.List(t.Context(), task.Query{Owner: owner, Limit: 10}); err != nil || len(left) > 0 {
		t.Errorf("killed %s call %d: left are %v, %v", when, n, left, err)
	}
	if posts := h.Sim.Posts(); posts != len(ids) {
		t.Errorf("killed %s call %d: %d POSTs for %d tasks", when, n, posts, len(ids))
	}
	if e := h.refused(); e.Code != task.CodeForbidden {
		t.Errorf("killed %s call %d: an order is answered %v", when, n, e)
	}
	return killed
}

// told is Preset's acceptance of a task's notice.
func (h *harness) told(id string) {
	h.t.Helper()
	_, err := task.Update(h.t.Context(), h.Rows, h.task(id), func(x *task.Task) error {
		if x.NoticeKind() != task.NoticeDeleted {
			h.t.Errorf("%s is told as %s", id, x.NoticeKind())
		}
		x.Notified(h.Now(), x.NoticeVersion())
		return nil
	})
	if err != nil {
		h.t.Fatal(err)
	}
}

// inEveryStatus returns tasks of the owner that have ended, wait, are unconfirmed, are
// generating and are being stored.
func (h *harness) inEveryStatus() (ids []string) {
	h.t.Helper()
	ended := h.Succeeded(h.t, owner)
	h.update(ended.ID, func(x *task.Task) error { x.Notified(h.Now(), x.NoticeVersion()); return nil })
	storing := h.submit()
	h.provided(storing.ID)
	h.sweep(2 * time.Minute)
	busy := h.submitWith(nanobananatest.Fault{Kind: nanobananatest.FaultStatus, Code: 455})
	silent := h.submitWith(nanobananatest.Fault{Kind: nanobananatest.FaultReset})
	generating := h.submitWith(nanobananatest.Fault{})
	for id, want := range map[string]task.Status{ended.ID: task.Succeeded, storing.ID: task.Storing, busy: task.Waiting, silent: task.Unconfirmed, generating: task.Generating} {
		if got := h.task(id).Status; got != want {
			h.t.Fatalf("it is %s, want %s", got, want)
		}
	}
	if objects := h.task(ended.ID).Images; len(objects) != 1 || h.gone(media.Prefix(ended.ID)+objects[0].File) {
		h.t.Fatal("the first has no picture")
	}
	return []string{ended.ID, storing.ID, busy, silent, generating}
}

func (h *harness) submitWith(f nanobananatest.Fault) string {
	h.Sim.SetKnobs(func(k *nanobananatest.Knobs) { k.Submit = f })
	return h.submit().ID
}

// update changes a row.
func (h *harness) update(id string, change func(*task.Task) error) {
	h.t.Helper()
	if _, err := task.Update(h.t.Context(), h.Rows, h.task(id), change); err != nil {
		h.t.Fatal(err)
	}
}
