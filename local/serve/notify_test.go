package serve

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/local/client/clienttest"
	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/httpapi/httpapitest"
	"github.com/preset/nanobanana-functions/shared/webhook/webhooktest"
)

// With NOTIFY_URL set, a receiver on this machine gets notices signed with
// NOTIFY_KEY or, if that is not set, with the generated key.
func TestNotices(t *testing.T) {
	given := "whsec_" + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, 32))
	for name, key := range map[string]string{"NOTIFY_KEY": given, "the generated key": ""} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			type delivery struct {
				header http.Header
				body   []byte
			}
			got := make(chan delivery, 10)
			receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				got <- delivery{r.Header, body}
			}))
			defer receiver.Close()
			env := maps.Clone(fastSweeps)
			env["NOTIFY_URL"], env["NOTIFY_KEY"] = receiver.URL+"/hook?token=hunter2", key
			r := startHarness(t, env)
			x := r.AwaitSuccess(t, r.Submit(t, map[string]any{"prompt": "a lighthouse"}, "k").ID)
			var d delivery
			select {
			case d = <-got:
			case <-time.After(time.Minute):
				t.Fatal("no notice came")
			}
			httpapitest.Load(t).CheckJSON(t, "SucceededNotice", d.body)
			if key == "" {
				k, err := openKeys(r.data)
				if err != nil {
					t.Fatal(err)
				}
				key = k.Notify
			}
			raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(key, "whsec_"))
			if err != nil {
				t.Fatal(err)
			}
			mac := hmac.New(sha256.New, raw)
			fmt.Fprintf(mac, "%s-succeeded-1.%s.%s", x.ID, d.header.Get("webhook-timestamp"), d.body)
			if want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)); d.header.Get("webhook-signature") != want {
				t.Errorf("signed %q, want %q", d.header.Get("webhook-signature"), want)
			}
			var banner bytes.Buffer
			if r.banner(t.Context(), &banner); !strings.Contains(banner.String(), receiver.URL) || strings.Contains(banner.String(), "hunter2") || strings.Contains(banner.String(), key) {
				t.Errorf("the banner is %s", banner.String())
			}
		})
	}
}

// A finished task is moved and deleted: the receiver is told of each within seconds, by
// the stream.
func TestMovedAndDeletedNotices(t *testing.T) {
	t.Parallel()
	key, spelt := webhooktest.NewKey("k")
	receiver := webhooktest.NewReceiver(t)
	env := map[string]string{"NOTIFY_URL": receiver.URL, "NOTIFY_KEY": string(spelt.Key), "SWEEP_EVERY": "10m"}
	r := startHarness(t, env)
	await := func(contract, id string) {
		t.Helper()
		var all []webhooktest.Delivery
		clienttest.Eventually(t, func() error {
			if all = append(all, receiver.Take()...); len(all) == 0 {
				return fmt.Errorf("no %s", contract)
			}
			return nil
		})
		if len(all) != 1 || all[0].ID() != id || !all[0].SignedBy(key) {
			t.Errorf("%d notices, the first with %v, want %s", len(all), all[0].Header, id)
		}
		httpapitest.Load(t).CheckJSON(t, contract, all[0].Body)
	}
	x := r.AwaitSuccess(t, r.Submit(t, map[string]any{"prompt": "a lighthouse"}, "k").ID)
	await("SucceededNotice", x.ID+"-succeeded-1")
	var shown httpapi.Task
	r.Do(t, http.StatusOK, http.MethodPut, "/v1/tasks/"+x.ID+"/target", `{"kind":"showcase","id":"7"}`, &shown)
	await("MovedNotice", x.ID+"-moved-2")
	r.Do(t, http.StatusNoContent, http.MethodDelete, "/v1/tasks/"+x.ID, "", nil)
	await("DeletedNotice", x.ID+"-deleted-3")
	clienttest.Eventually(t, func() error {
		if _, err := os.Stat(filepath.Join(r.data, "pictures", "tasks", x.ID)); !os.IsNotExist(err) {
			return fmt.Errorf("its pictures are not erased: %v", err)
		}
		return nil
	})
}

// The receiver also gets notices of the credits, as the simulator's balance falls
// and rises.
func TestCreditsNotices(t *testing.T) {
	t.Parallel()
	key, spelt := webhooktest.NewKey("k")
	receiver := webhooktest.NewReceiver(t)
	env := maps.Clone(fastSweeps)
	env["NOTIFY_URL"], env["NOTIFY_KEY"] = receiver.URL, string(spelt.Key)
	r := startHarness(t, env)
	for _, step := range []struct {
		balance float64
		id      string // prefix of the notice's webhook-id
	}{{50, "credits-low-"}, {0, "credits-empty-"}, {1000, "credits-restored-"}} {
		r.studio.simulator.SetBalance(step.balance)
		var all []webhooktest.Delivery
		clienttest.Eventually(t, func() error {
			if all = append(all, receiver.Take()...); len(all) == 0 {
				return fmt.Errorf("no notice of the balance %v", step.balance)
			}
			return nil
		})
		if len(all) != 1 || !strings.HasPrefix(all[0].ID(), step.id) || !all[0].SignedBy(key) {
			t.Errorf("%d notices, the first with %v", len(all), all[0].Header)
		}
		httpapitest.Load(t).CheckJSON(t, "CreditsNotice", all[0].Body)
	}
}

// A key that no receiver would accept makes the start fail, and is not shown.
func TestFaultyNotifyKey(t *testing.T) {
	const key = "a passphrase of more than 24 bytes"
	for _, faulty := range []string{strings.ReplaceAll(key, " ", "-"), base64.StdEncoding.EncodeToString(make([]byte, 23))} {
		s, err := Start(Options{Addr: "127.0.0.1:0", Data: t.TempDir(), Log: io.Discard, Getenv: func(name string) string {
			return map[string]string{"NOTIFY_KEY": faulty}[name]
		}})
		if err == nil {
			_ = s.Close()
		}
		if err == nil || !strings.Contains(err.Error(), "NOTIFY_KEY") || strings.Contains(err.Error(), faulty) {
			t.Errorf("%q: %v", faulty, err)
		}
	}
}

// Keys from a release without notices are kept: existing image links are signed
// with them.
func TestOlderKeysAreKept(t *testing.T) {
	data := t.TempDir()
	if err := os.WriteFile(filepath.Join(data, keysFile), []byte(`{"callback":"c","image":"i","bucket":"b"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	first, err := openKeys(data)
	if err != nil || first.Callback != "c" || first.Image != "i" || first.Bucket != "b" || first.Notify == "" {
		t.Errorf("%+v, %v", first, err)
	}
	if again, err := openKeys(data); err != nil || again != first {
		t.Errorf("%+v, %v; want %+v", again, err, first)
	}
}
