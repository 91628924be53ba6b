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

// site is the function, served over HTTP, and what stands behind it.
type site struct {
	*lifecycletest.Harness
	t        testing.TB
	view     httpapi.View
	contract *httpapitest.Contract
}

func serve(t testing.TB) *site {
	t.Helper()
	s := &site{Harness: lifecycletest.New(t), t: t, contract: httpapitest.Load(t)}
	s.Secret.SetImageKeys(first)
	s.Secret.SetCallbackKeys(token.Key{ID: "k1", Key: "a key for callbacks alone"})
	s.Bucket.Now = s.Clock.Now
	server := httptest.NewServer(images.New(images.Function{Secrets: s.Secrets, Links: s.Bucket, Log: s.Log}))
	t.Cleanup(server.Close)
	s.view = httpapi.View{PublicURL: server.URL, Secrets: s.Secrets}
	return s
}

// picture makes a task with one picture, and gives it as it is shown.
func (s *site) picture() httpapi.Task {
	s.t.Helper()
	shown, err := s.view.Task(s.t.Context(), s.Succeeded(s.t, "ada"))
	if err != nil || len(shown.Images) != 1 {
		s.t.Fatalf("%+v, %v", shown, err)
	}
	return shown
}

// do asks the function, or the bucket, which is not in the contract.
func (s *site) do(method, link string) httpapitest.Answer {
	s.t.Helper()
	return s.contract.Do(s.t, httpapitest.NewRequest(s.t, method, link, nil))
}

// get asks for a link.
func (s *site) get(link string) httpapitest.Answer {
	s.t.Helper()
	return s.do(http.MethodGet, link)
}

// follow asks for a link, and then for what it leads to.
func (s *site) follow(link string) httpapitest.Answer {
	s.t.Helper()
	got := s.get(link)
	if got.Status != http.StatusFound {
		s.t.Fatalf("%d %s", got.Status, got.Body)
	}
	return s.get(got.Header.Get("Location"))
}

// link is the link that keys would sign for a file.
func (s *site) link(keys token.Keys, id, file string) string {
	token := keys.Sign(httpapi.ImageMessage(id, file))
	return s.view.PublicURL + "/v1/images/" + url.PathEscape(id) + "/" + token + "/" + url.PathEscape(file)
}

// parts takes a link apart: what comes before its token, the token, the file.
func parts(link string) (before, token, file string) {
	i := strings.LastIndexByte(link, '/')
	j := strings.LastIndexByte(link[:i], '/')
	return link[:j+1], link[j+1 : i], link[i+1:]
}
