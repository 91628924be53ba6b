package deployed_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/functions/deployed/lambdatest"
	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/task"
	"github.com/preset/nanobanana-functions/shared/webhook/webhooktest"
)

// previous is the commit of the release before this one. Each release moves it.
const previous = "076ce621f59e67b3bb37ab34121ac06a164a61a0"

// needPrevious returns the source of the previous release. Where the repository's
// history does not go back to it the test is skipped; with HISTORY=required it fails.
func needPrevious(t testing.TB) string {
	t.Helper()
	dir, err := previousSource()
	switch {
	case err != nil && os.Getenv("HISTORY") == "required":
		t.Fatal(err)
	case err != nil:
		t.Skipf("NOT RUN, the previous release is not here: %v", err)
	}
	return dir
}

// previousSource unpacks the previous release's source.
var previousSource = sync.OnceValues(func() (string, error) {
	dir := filepath.Join(binariesDir, previous, "source")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	var source, said bytes.Buffer
	archive := exec.Command("git", "archive", "--format=tar", previous, "functions", "shared", "local", "go.mod", "go.sum", "openapi.yaml", "openapi.go")
	archive.Dir, archive.Stdout, archive.Stderr = "../..", &source, &said
	if err := archive.Run(); err != nil {
		return "", fmt.Errorf("git archive %s: %w: %s", previous, err, said.Bytes())
	}
	unpack := exec.Command("tar", "-x", "-C", dir)
	unpack.Stdin, unpack.Stderr = &source, &said
	if err := unpack.Run(); err != nil {
		return "", fmt.Errorf("tar: %w: %s", err, said.Bytes())
	}
	return dir, nil
})

// buildPrevious builds a function of the previous release, once for all tests.
func buildPrevious(t testing.TB, name string) string {
	t.Helper()
	source := needPrevious(t)
	binariesLock.Lock()
	defer binariesLock.Unlock()
	key := previous + "/" + name
	if path, ok := binaries[key]; ok {
		return path
	}
	path, err := lambdatest.BuildIn(context.Background(), source, filepath.Join(binariesDir, key), "./functions/"+name+"/bootstrap")
	if err != nil {
		t.Fatal(err)
	}
	binaries[key] = path
	return path
}

// release is which binaries run.
type release bool

const (
	oldRelease release = false
	newRelease release = true
)

func (r release) String() string {
	return map[release]string{oldRelease: "the previous release", newRelease: "this release"}[r]
}

// deployAll lets all functions run a release from now on.
func (h *harness) deployAll(r release) {
	h.t.Helper()
	for name, f := range h.function {
		if r == newRelease {
			f.Update(buildBootstrap(h.t, name))
		} else {
			f.Update(buildPrevious(h.t, name))
		}
	}
}

// handover is a task that one release begins and another ends.
type handover struct {
	env    map[string]string
	knobs  func(*nanobananatest.Knobs)
	begin  func(*harness) (id string) // leaves it in status
	status task.Status
	end    func(*harness, string) // fails the test unless it ends well
	ended  task.Status
	posts  int
}

var handoverOrder = map[string]any{"prompt": "a lighthouse", "target": map[string]string{"kind": "moodboard", "id": "m"}}

// beginAny orders handoverOrder.
func beginAny(h *harness) string { return h.submit("ada", handoverOrder, "k").ID }

// unanswered orders it of a submit that is killed at a point.
func unanswered(at killPoint) func(*harness) string {
	return func(h *harness) string {
		if at == (killPoint{}) {
			h.killWhilePosting()
		} else {
			h.killAt("submit", at, 1)
		}
		h.submitUnanswered(handoverOrder, "k")
		return task.NewID("ada", "k")
	}
}

// sweepToEnd sweeps until it has ended, with its picture.
func sweepToEnd(h *harness, id string) { h.checkImages(h.sweepUntilDone("ada", id), 0) }

// calledBack repeats the callback of what the provider made, and waits for the picture.
func calledBack(h *harness, id string) {
	h.callBack(h.awaitOrder(0), http.StatusOK)
	h.checkImages(h.awaitEnd("ada", id), 0)
}

func lost(k *nanobananatest.Knobs) { k.LoseCallbacks = true }

func refused(code, times int) func(*nanobananatest.Knobs) {
	return func(k *nanobananatest.Knobs) {
		k.LoseCallbacks, k.Submit = true, nanobananatest.Fault{Kind: nanobananatest.FaultStatus, Code: code, Times: times}
	}
}

var handovers = map[string]handover{
	"submitting, not posted": {nil, lost, unanswered(killPoint{"PutItem", 1, true}), task.Submitting, func(h *harness, id string) {
		h.age(id, time.Minute)
		h.sweep()
		h.age(id, 2*time.Hour)
		if got := h.sweepUntilDone("ada", id); got.Error == nil || got.Error.Code != task.CodeOutcomeUnknown {
			h.t.Errorf("it ended with %+v", got.Error)
		}
	}, task.Failed, 0},
	"submitting, accepted": {fastPolling, lost, unanswered(killPoint{}), task.Submitting, func(h *harness, id string) {
		h.callBack(h.awaitOrder(0), http.StatusOK) // its id is kept, and read once nobody may post any more
		h.age(id, time.Minute)
		sweepToEnd(h, id)
	}, task.Succeeded, 1},
	"unconfirmed": {fastPolling, func(k *nanobananatest.Knobs) {
		k.LoseCallbacks, k.Submit = true, nanobananatest.Fault{Kind: nanobananatest.FaultReset, Accepted: true, Times: 1}
	}, beginAny, task.Unconfirmed, calledBack, task.Succeeded, 1},
	"waiting for the provider": {fastPolling, refused(455, 1), beginAny, task.Waiting, func(h *harness, id string) {
		h.age(id, 10*time.Minute)
		sweepToEnd(h, id)
	}, task.Succeeded, 2},
	"waiting, canceled": {nil, refused(455, 0), beginAny, task.Waiting, func(h *harness, id string) {
		if a := h.call("ada", http.MethodDelete, "/v1/tasks/"+id, nil); a.status != http.StatusNoContent {
			h.t.Errorf("DELETE: %d %s", a.status, a.body)
		}
		h.age(id, time.Hour)
		h.sweep()
		eventually(h.t, "it is still due", func() bool { x := h.row(id); return x.Due().IsZero() })
	}, task.Failed, 1},
	"waiting after a failed generation": {fastPolling, func(k *nanobananatest.Knobs) {
		k.LoseCallbacks, k.Outcome = true, nanobananatest.Outcome{ErrorCode: 500, Times: 1}
	}, func(h *harness) string {
		id := beginAny(h)
		eventually(h.t, "the failure is not found", func() bool { h.sweep(); return h.row(id).Status == task.Waiting })
		return id
	}, task.Waiting, func(h *harness, id string) {
		h.age(id, time.Minute)
		h.checkImages(h.sweepUntilDone("ada", id), 1)
	}, task.Succeeded, 2},
	"generating, called back":  {nil, lost, beginAny, task.Generating, calledBack, task.Succeeded, 1},
	"generating, never called": {fastPolling, lost, beginAny, task.Generating, sweepToEnd, task.Succeeded, 1},
	"storing": {nil, func(*nanobananatest.Knobs) {}, func(h *harness) string {
		h.killAt("ingest", killPoint{"PutItem", 1, false}, 2)
		id := beginAny(h)
		h.awaitGivenUp(id)
		return id
	}, task.Storing, func(h *harness, id string) {
		h.age(id, time.Minute)
		sweepToEnd(h, id)
	}, task.Succeeded, 1},
	"failed": {nil, func(k *nanobananatest.Knobs) { k.Outcome = nanobananatest.Outcome{ErrorCode: 400} }, func(h *harness) string {
		id := beginAny(h)
		h.awaitEnd("ada", id)
		return id
	}, task.Failed, func(h *harness, id string) {
		if got := h.awaitEnd("ada", id); got.Error.Code != task.CodeContentPolicy {
			h.t.Errorf("it ended with %+v", got.Error)
		}
	}, task.Failed, 1},
}

// A release begins a task, the other one ends it, and the first one shows it: an update
// in every status, and the way back. The replay never posts.
func TestReleasesShareRows(t *testing.T) {
	needPrevious(t)
	for name, story := range handovers {
		for _, from := range []release{oldRelease, newRelease} {
			t.Run(fmt.Sprintf("%s, begun by %s", name, from), func(t *testing.T) {
				t.Parallel()
				h := newHarness(t, story.env, story.knobs)
				h.deployAll(from)
				id := story.begin(h)
				if got := h.row(id); got.Status != story.status {
					t.Fatalf("it is %s, want %s", got.Status, story.status)
				}
				h.deployAll(!from)
				story.end(h, id)
				h.deployAll(from)
				if got := h.row(id); got.Status != story.ended || h.sim.Posts() != story.posts {
					t.Errorf("%s, %d POSTs; want %s, %d", got.Status, h.sim.Posts(), story.ended, story.posts)
				}
				h.checkShown(id, story.posts)
			})
		}
	}
}

// checkShown checks that the running release shows a task and answers its replay
// without a POST.
func (h *harness) checkShown(id string, posts int) {
	h.t.Helper()
	row := h.row(id)
	replay := h.call("ada", http.MethodPost, "/v1/tasks", handoverOrder, "Idempotency-Key", "k")
	if row.Deleted() {
		checkRefused(h.t, replay, http.StatusUnprocessableEntity, task.CodeIdempotencyKeyReused)
	} else {
		var again, one httpapi.Task
		replay.decode(h.t, http.StatusAccepted, &again)
		h.call("ada", http.MethodGet, "/v1/tasks/"+id, nil).decode(h.t, http.StatusOK, &one)
		var list struct{ Tasks []httpapi.Task }
		h.call("ada", http.MethodGet, "/v1/tasks?target=moodboard:m", nil).decode(h.t, http.StatusOK, &list)
		if again.ID != id || one.Status != row.Status || len(list.Tasks) != 1 || list.Tasks[0].ID != id || len(one.Images) != len(row.Images) {
			h.t.Errorf("the replay is %s, the task %s, listed %+v", again.ID, one.Status, list.Tasks)
		}
	}
	if n := h.sim.Posts(); n != posts {
		h.t.Errorf("%d POSTs after the replay, want %d", n, posts)
	}
}

// Notices that one release could not deliver are delivered by the other: of an end, of
// a move, and of a DELETE whose erase was not over either.
func TestReleasesShareNotices(t *testing.T) {
	needPrevious(t)
	for _, from := range []release{oldRelease, newRelease} {
		t.Run("begun by "+from.String(), func(t *testing.T) {
			t.Parallel()
			receiver := webhooktest.NewReceiver(t)
			h := newHarness(t, map[string]string{"NOTIFY_URL": receiver.URL})
			h.hide(webhooktest.Query)
			h.deployAll(from)
			id := beginAny(h)
			link := h.call("", http.MethodGet, h.awaitEnd("ada", id).Images[0].URL, nil).header.Get("Location")
			eventually(t, "no notice of the end", func() bool { return h.row(id).Notice == "" })
			receiver.Take()

			change := func(what, method, path string, body any, want int) {
				receiver.Answer(webhooktest.Status(http.StatusServiceUnavailable))
				h.deployAll(from)
				if a := h.call("ada", method, path, body); a.status != want {
					t.Fatalf("%s: %d %s", what, a.status, a.body)
				}
				eventually(t, "it is not tried", func() bool { return len(receiver.Take()) > 0 })
				eventually(t, "its try is not over", func() bool { return h.row(id).NoticeTurn.Tries > 0 })
				h.deployAll(!from)
				receiver.Answer(nil)
				h.age(id, time.Hour)
				h.sweep()
				eventually(t, what+" is not told", func() bool { return h.row(id).Notice == "" })
				if got := receiver.Take(); len(got) != 1 || !bytes.Contains(got[0].Body, []byte(id)) {
					t.Errorf("%s: %d notices", what, len(got))
				}
			}
			change("a move", http.MethodPut, "/v1/tasks/"+id+"/target", map[string]string{"kind": "showcase", "id": "s"}, http.StatusOK)
			change("a DELETE", http.MethodDelete, "/v1/tasks/"+id, nil, http.StatusNoContent)
			h.age(id, time.Hour)
			h.sweep()
			eventually(t, "it is still due", func() bool { x := h.row(id); return x.Due().IsZero() })
			if got := h.status(link); got != http.StatusNotFound {
				t.Errorf("its picture is still there: %d", got)
			}
			h.deployAll(from)
			h.checkShown(id, 1)
		})
	}
}
