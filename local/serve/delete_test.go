package serve

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/preset/nanobanana-functions/functions/credits"
	"github.com/preset/nanobanana-functions/local/client/clienttest"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/task"
)

// A task can move to another target. Once its owner has deleted it, its files are
// gone from the disk and its links return 404.
func TestMoveAndDelete(t *testing.T) {
	r := startHarness(t, nil)
	const order, target = `{"prompt":"a lighthouse","numImages":2}`, `{"kind":"showcase","id":"7"}`
	got := r.AwaitSuccess(t, r.Submit(t, map[string]any{"prompt": "a lighthouse", "numImages": 2}, "k").ID)
	if n := len(clienttest.Pictures(t, r.data, got.ID)); n != 2 {
		t.Fatalf("%d pictures", n)
	}
	path := "/v1/tasks/" + got.ID
	bob := clienttest.SignIn(t, r.URL, r.data, "bob")
	bob.Do(t, 404, "PUT", path+"/target", target, nil)
	bob.Do(t, 404, "DELETE", path, "", nil)
	r.Do(t, 200, "PUT", path+"/target", target, nil)
	var list struct{ Tasks []struct{ ID string } }
	r.Do(t, 200, "GET", "/v1/tasks?target=showcase:7", "", &list)
	if len(list.Tasks) != 1 || list.Tasks[0].ID != got.ID {
		t.Errorf("listed %+v", list.Tasks)
	}
	r.Do(t, 202, "POST", "/v1/tasks", order, nil, "Idempotency-Key", "k") // a replay finds the same task

	r.Do(t, 204, "DELETE", path, "", nil)
	r.Do(t, 204, "DELETE", path, "", nil)
	clienttest.Eventually(t, func() error {
		files, err := os.ReadDir(filepath.Join(r.data, "pictures", "tasks", got.ID))
		if err != nil && !errors.Is(err, os.ErrNotExist) || len(files) > 0 {
			return fmt.Errorf("%d files, %w", len(files), err)
		}
		return nil
	})
	for _, image := range got.Images {
		if _, err := clienttest.Visitor.Get(t.Context(), image.URL); err == nil || !strings.Contains(err.Error(), "404") {
			t.Errorf("the link of a deleted picture: %v, want 404", err)
		}
	}
	r.Do(t, 404, "GET", path, "", nil)
	r.Do(t, 404, "PUT", path+"/target", target, nil)
	r.Do(t, 422, "POST", "/v1/tasks", order, nil, "Idempotency-Key", "k")
	if n := r.studio.simulator.Posts(); n != 1 {
		t.Errorf("%d POSTs, want 1", n)
	}
}

// A task that waits for a busy provider can be cancelled: the quota is given back,
// and the task is not submitted later.
func TestCancelWaiting(t *testing.T) {
	r := startHarness(t, map[string]string{"DAILY_QUOTA": "2", "SWEEP_EVERY": "50ms"})
	sim := r.studio.simulator
	sim.SetKnobs(func(k *nanobananatest.Knobs) {
		k.Submit = nanobananatest.Fault{Kind: nanobananatest.FaultStatus, Code: 455}
	})
	got := r.Submit(t, map[string]any{"prompt": "a lighthouse", "numImages": 2}, "k")
	if got.Status != task.Waiting {
		t.Fatalf("the task is %s, want waiting", got.Status)
	}
	r.Do(t, 204, "DELETE", "/v1/tasks/"+got.ID, "", nil)
	var left credits.Credits
	r.Do(t, 200, "GET", "/v1/credits", "", &left)
	if left.Quota.Used != 0 || !left.CanGenerate {
		t.Errorf("credits %+v", left)
	}
	sim.SetKnobs(func(k *nanobananatest.Knobs) { k.Submit = nanobananatest.Fault{} })
	r.AwaitSuccess(t, r.Submit(t, map[string]any{"prompt": "a ship", "numImages": 2}, "k2").ID)
	if n := sim.Posts(); n != 2 {
		t.Errorf("%d POSTs, want 2: the first try of the cancelled task, and the next task", n)
	}
}
