package serve

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/local/client/clienttest"
	"github.com/preset/nanobanana-functions/local/signin"
	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/lifecycle"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
)

// fastSweeps makes the sweep find quickly what callbacks do not report.
var fastSweeps = map[string]string{"SWEEP_EVERY": "50ms", "POLL_EVERY": "40ms"}

// harness is a server in this process and a user of it, each of whose exchanges
// is checked against openapi.yaml.
type harness struct {
	*Server
	t testing.TB
	clienttest.User
}

func startHarness(t testing.TB, env map[string]string) *harness {
	t.Helper()
	return startLogged(t, env, io.Discard)
}

func startLogged(t testing.TB, env map[string]string, log io.Writer) *harness {
	t.Helper()
	s, err := Start(Options{
		Addr: "127.0.0.1:0", Data: t.TempDir(), Log: log,
		Getenv: func(name string) string { return env[name] },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	r := &harness{Server: s, t: t}
	if r.studio.simulator != nil {
		r.studio.simulator.SetKnobs(func(k *nanobananatest.Knobs) { k.Delay, k.PictureSide = 0, 64 })
	}
	r.User = clienttest.SignIn(t, s.URL, s.data, "ada")
	return r
}

// providerPictures returns the pictures that the simulator serves for its nth task.
func providerPictures(t testing.TB, sim *nanobananatest.Server, n int) [][]byte {
	t.Helper()
	var all [][]byte
	for _, link := range sim.Tasks()[n].URLs {
		b, err := clienttest.Visitor.Get(t.Context(), link)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b)
	}
	return all
}

// checkPictures checks that the task's stored files and its lasting links are, byte
// for byte, what the provider served.
func (r *harness) checkPictures(got httpapi.Task, provider [][]byte) {
	r.t.Helper()
	names := clienttest.Pictures(r.t, r.data, got.ID)
	if len(names) != len(provider) || len(got.Images) != len(provider) {
		r.t.Fatalf("%d files and %d images for %d pictures", len(names), len(got.Images), len(provider))
	}
	for i, image := range got.Images {
		stored, err := os.ReadFile(filepath.Join(r.data, "pictures", "tasks", got.ID, names[i]))
		if err != nil {
			r.t.Fatal(err)
		}
		linked, err := clienttest.Visitor.Get(r.t.Context(), image.URL)
		if err != nil {
			r.t.Fatal(err)
		}
		if !bytes.Equal(stored, provider[i]) || !bytes.Equal(linked, provider[i]) {
			r.t.Errorf("picture %d: stored %d bytes, linked %d, the provider's %d", i+1, len(stored), len(linked), len(provider[i]))
		}
	}
}

// The provider's pictures are stored and linked, byte for byte; an edit starts from
// the stored picture.
func TestSubmitAndEdit(t *testing.T) {
	r := startHarness(t, nil)
	first := r.AwaitSuccess(t, r.Submit(t, map[string]any{"prompt": "a lighthouse", "numImages": 3}, "k").ID)
	r.checkPictures(first, providerPictures(t, r.studio.simulator, 0))
	edit := r.AwaitSuccess(t, r.Submit(t, map[string]any{"prompt": "at night", "imageUrls": []string{"task:" + first.ID + "/2"}}, "e").ID)
	r.checkPictures(edit, providerPictures(t, r.studio.simulator, 1))
	if edit.Parent != first.ID {
		t.Errorf("the parent is %q, want the first task", edit.Parent)
	}
	if n := r.studio.simulator.Posts(); n != 2 {
		t.Errorf("%d POSTs, want 2", n)
	}
}

// If every callback is lost, the sweep finds the pictures.
func TestCallbacksLost(t *testing.T) {
	r := startHarness(t, fastSweeps)
	r.studio.simulator.SetKnobs(func(k *nanobananatest.Knobs) { k.LoseCallbacks = true })
	got := r.AwaitSuccess(t, r.Submit(t, map[string]any{"prompt": "a lighthouse"}, "k").ID)
	r.checkPictures(got, providerPictures(t, r.studio.simulator, 0))
	if n := len(r.studio.simulator.Tasks()[0].Callbacks); n != 0 {
		t.Errorf("%d callbacks arrived, want none", n)
	}
}

// If each callback is sent five times, and forged ones too, each picture is stored
// once.
func TestCallbacksRepeatedAndForged(t *testing.T) {
	r := startHarness(t, nil)
	sim := r.studio.simulator
	sim.SetKnobs(func(k *nanobananatest.Knobs) {
		k.RepeatCallbacks, k.Delay = 5, nanobananatest.Duration(200*time.Millisecond)
	})
	first := r.Submit(t, map[string]any{"prompt": "a lighthouse", "numImages": 2}, "k")
	link := sim.Tasks()[0].CallbackURL
	forged := fmt.Sprintf(`{"code":200,"data":{"taskId":%q,"info":{"resultImageUrl":"https://attacker.example/a.png"}}}`, sim.Tasks()[0].ID)
	for _, address := range []string{link[:len(link)-1] + "_", strings.Replace(link, "/1/", "/2/", 1), link[:strings.LastIndexByte(link, '/')] + "/local.AAAA"} {
		resp, err := http.Post(address, "application/json", strings.NewReader(forged))
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusNotFound {
			t.Errorf("a forged callback: %s, want 404", resp.Status)
		}
	}
	got := r.AwaitSuccess(t, first.ID)
	clienttest.Eventually(t, func() error {
		if n := len(sim.Tasks()[0].Callbacks); n != 5 {
			return fmt.Errorf("%d callbacks", n)
		}
		return nil
	})
	for _, c := range sim.Tasks()[0].Callbacks {
		if c.Status != http.StatusOK {
			t.Errorf("a callback was answered with %d", c.Status)
		}
	}
	r.checkPictures(got, providerPictures(t, sim, 0))
	if after := r.AwaitSuccess(t, first.ID); !slices.Equal(after.Images, got.Images) {
		t.Errorf("the images changed: %+v", after.Images)
	}
}

// Another provider and another identity provider can be set.
func TestOtherProviders(t *testing.T) {
	other := startHarness(t, nil) // the next uses its mint and its simulator
	r := startHarness(t, map[string]string{
		"NANOBANANA_BASE_URL": other.settings.BaseURL, "NANOBANANA_API_KEY": nanobananatest.DefaultKey,
		"AUTH_ISSUER": other.URL + signin.Path, "AUTH_AUDIENCE": "authenticated", "AUTH_JWKS_URL": other.URL + signin.Path + "/.well-known/jwks.json",
	})
	if r.studio.simulator != nil || r.studio.mint != nil {
		t.Error("the stand-ins are used")
	}
	if _, err := r.Call(t.Context(), http.MethodPost, "/v1/tasks", map[string]any{"prompt": "x"}, "k"); err == nil || !strings.Contains(err.Error(), "401") {
		t.Errorf("a token of the server's own mint: %v, want 401", err)
	}
	r.Token = other.Token
	got := r.AwaitSuccess(t, r.Submit(t, map[string]any{"prompt": "a lighthouse"}, "k").ID)
	r.checkPictures(got, providerPictures(t, other.studio.simulator, 0))
}

func TestLiveNeedsKey(t *testing.T) {
	_, err := Start(Options{Addr: "127.0.0.1:0", Data: t.TempDir(), Live: true, Log: io.Discard, Getenv: func(string) string { return "" }})
	if err == nil || !strings.Contains(err.Error(), "NANOBANANA_API_KEY") {
		t.Errorf("got %v", err)
	}
}

// A key without -live spends nothing.
func TestKeyWithoutLiveIsSimulated(t *testing.T) {
	r := startHarness(t, map[string]string{"NANOBANANA_API_KEY": "a-real-key"})
	if r.studio.simulator == nil {
		t.Fatal("the real provider is used without -live")
	}
	r.AwaitSuccess(t, r.Submit(t, map[string]any{"prompt": "a lighthouse"}, "k").ID)
}

func TestInvalidSettings(t *testing.T) {
	_, err := Start(Options{Addr: "127.0.0.1:0", Data: t.TempDir(), Log: io.Discard, Getenv: func(name string) string {
		return map[string]string{"DAILY_QUOTA": "many", "WAIT_MAX": "-1"}[name]
	}})
	for _, name := range []string{"DAILY_QUOTA", "WAIT_MAX"} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("the error does not name %s: %v", name, err)
		}
	}
}

func TestAddressInUse(t *testing.T) {
	r := startHarness(t, nil)
	_, err := Start(Options{Addr: strings.TrimPrefix(r.URL, "http://"), Data: t.TempDir(), Log: io.Discard, Getenv: func(string) string { return "" }})
	if err == nil || !strings.Contains(err.Error(), "-addr") {
		t.Errorf("got %v, want a hint to use -addr", err)
	}
}

// BenchmarkLocal submits b.N tasks, 32 at a time, and waits until the log says of each
// that it has ended, with its picture stored. The simulator answers at once. Compare with
// TMPDIR=/dev/shm to see what a disk costs, each run on ext4 in a new folder below one
// with chattr +T: docs/decisions/embedded-store.md says why. GOGC=400 is what bin/local
// sets.
func BenchmarkLocal(b *testing.B) {
	ends := &endLog{left: b.N, all: make(chan struct{})}
	r := startLogged(b, nil, ends)
	r.studio.simulator.SetBalance(1e9)
	r.studio.simulator.SetKnobs(func(k *nanobananatest.Knobs) { k.PictureSide = 64 })
	r.User.HTTP = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	b.ResetTimer()
	jobs := make(chan int)
	done := make(chan []string)
	for range 32 {
		go func() {
			var ids []string
			for n := range jobs {
				ids = append(ids, r.Submit(b, map[string]any{"prompt": fmt.Sprint("picture ", n%50)}, fmt.Sprint(n)).ID) // few different prompts: drawing is not measured
			}
			done <- ids
		}()
	}
	for n := range b.N {
		jobs <- n
	}
	close(jobs)
	var ids []string
	for range 32 {
		ids = append(ids, <-done...)
	}
	<-ends.all
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tasks/s")
	for _, id := range ids {
		r.AwaitSuccess(b, id)
	}
	if n := r.studio.simulator.Posts(); n != b.N {
		b.Errorf("%d POSTs for %d tasks", n, b.N)
	}
}

// endLog is a log that counts the tasks that end. A benchmark that asked for each task
// would measure how often one may ask.
type endLog struct {
	left int           // only the log's handler changes it, one line at a time
	all  chan struct{} // closed when none is left
}

func (e *endLog) Write(line []byte) (int, error) {
	if bytes.Contains(line, []byte(`"event":"`+lifecycle.EventEnded+`"`)) {
		if e.left--; e.left == 0 {
			close(e.all)
		}
	}
	return len(line), nil
}
