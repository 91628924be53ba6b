package images_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/preset/nanobanana-functions/functions/images"
	"github.com/preset/nanobanana-functions/shared/auth/token"
	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/httpapi/httpapitest"
	"github.com/preset/nanobanana-functions/shared/lifecycle/lifecycletest"
)

// The keys that image links are signed with.
var (
	first  = token.Key{ID: "k1", Key: "a key of twenty-four bytes"}
	second = token.Key{ID: "k2", Key: "another of twenty-four bytes"}
)

// harness is the function, served over HTTP, with everything behind it.
type harness struct {
	*lifecycletest.Harness
	t        testing.TB
	view     httpapi.View
	contract *httpapitest.Contract
}

func newHarness(t testing.TB) *harness {
	t.Helper()
	h := &harness{Harness: lifecycletest.New(t), t: t, contract: httpapitest.Load(t)}
	h.Secret.SetImageKeys(first)
	h.Secret.SetCallbackKeys(token.Key{ID: "k1", Key: "a key for callbacks alone"})
	h.Bucket.Now = h.Clock.Now
	server := httptest.NewServer(images.New(images.Function{Secrets: h.Secrets, Links: h.Bucket, Log: h.Log}))
	t.Cleanup(server.Close)
	h.view = httpapi.View{PublicURL: server.URL, Secrets: h.Secrets}
	return h
}

// picture makes a task with one picture and returns it as a client sees it.
func (h *harness) picture() httpapi.Task {
	h.t.Helper()
	shown, err := h.view.Task(h.t.Context(), h.Succeeded(h.t, "ada"))
	if err != nil || len(shown.Images) != 1 {
		h.t.Fatalf("%+v, %v", shown, err)
	}
	return shown
}

// do sends a request to the function, or to the bucket, which is not in the
// contract.
func (h *harness) do(method, link string) httpapitest.Answer {
	h.t.Helper()
	return h.contract.Do(h.t, httpapitest.NewRequest(h.t, method, link, nil))
}

// get gets a link.
func (h *harness) get(link string) httpapitest.Answer {
	h.t.Helper()
	return h.do(http.MethodGet, link)
}

// follow gets a link, and then the link that it redirects to.
func (h *harness) follow(link string) httpapitest.Answer {
	h.t.Helper()
	got := h.get(link)
	if got.Status != http.StatusFound {
		h.t.Fatalf("%d %s", got.Status, got.Body)
	}
	return h.get(got.Header.Get("Location"))
}

// link returns the link to a file, signed with keys.
func (h *harness) link(keys token.Keys, id, file string) string {
	token := keys.Sign(httpapi.ImageMessage(id, file))
	return h.view.PublicURL + "/v1/images/" + url.PathEscape(id) + "/" + token + "/" + url.PathEscape(file)
}

// splitLink returns what comes before a link's token, the token, and the file.
func splitLink(link string) (before, token, file string) {
	i := strings.LastIndexByte(link, '/')
	j := strings.LastIndexByte(link[:i], '/')
	return link[:j+1], link[j+1 : i], link[i+1:]
}
