package images_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/preset/nanobanana-functions/functions/images"
	"github.com/preset/nanobanana-functions/shared/config"
	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/httpapi/httpapitest"
	"github.com/preset/nanobanana-functions/shared/lifecycle"
	"github.com/preset/nanobanana-functions/shared/lifecycle/lifecycletest"
	"github.com/preset/nanobanana-functions/shared/task"
)

// The keys that image links are signed with.
var (
	first  = config.Key{ID: "k1", Key: "a key of twenty-four bytes"}
	second = config.Key{ID: "k2", Key: "another of twenty-four bytes"}
)

// site is the function, served over HTTP, and what stands behind it.
type site struct {
	*lifecycletest.World
	t     testing.TB
	keys  *keys
	view  httpapi.View
	http  *http.Client
	plain *http.Client // for the bucket, which is not in the contract
}

// keys is a secret whose image keys roll.
type keys struct {
	mu   sync.Mutex
	keys config.Keys
}

func (k *keys) set(keys ...config.Key) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.keys = keys
}

func (k *keys) read(context.Context) ([]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.keys == nil {
		return nil, errors.New("nobody is there")
	}
	var list []map[string]string
	for _, key := range k.keys {
		list = append(list, map[string]string{"id": key.ID, "key": string(key.Key)})
	}
	others := []map[string]string{{"id": "k1", "key": "a key for callbacks alone"}}
	return json.Marshal(map[string]any{"imageKeys": list, "callbackKeys": others})
}

func serve(t testing.TB) *site {
	t.Helper()
	s := &site{World: lifecycletest.New(t), t: t, keys: &keys{keys: config.Keys{first}}}
	s.Bucket.Now = s.Clock.Now
	secrets := config.NewSecrets(s.keys.read, s.Clock.Now)
	server := httptest.NewServer(images.New(images.Function{Secrets: secrets, Links: s.Bucket, Log: s.Log}))
	t.Cleanup(server.Close)
	s.view = httpapi.View{PublicURL: server.URL, Secrets: secrets}
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	s.http = &http.Client{Transport: httpapitest.Load(t).Transport(t, nil), CheckRedirect: stay}
	s.plain = &http.Client{CheckRedirect: stay}
	return s
}

// picture makes a task with one picture, and gives it as it is shown.
func (s *site) picture() httpapi.Task {
	s.t.Helper()
	n := len(s.Sim.Tasks())
	x, _, err := s.Submit(s.t.Context(), lifecycle.Order{Owner: "ada", Request: task.Request{Prompt: "a lighthouse", NumImages: 1}})
	if err != nil {
		s.t.Fatal(err)
	}
	made := s.Generated(s.t, n)
	body := fmt.Appendf(nil, `{"code":200,"data":{"taskId":%q,"info":{"resultImageUrl":%q}}}`, made.ID, made.URLs[0])
	if err := s.Settle(s.t.Context(), x.ID, 1, body); err != nil {
		s.t.Fatal(err)
	}
	if err := s.Ingester.Ingest(s.t.Context(), x.ID); err != nil {
		s.t.Fatal(err)
	}
	if x, err = s.Rows.Task(s.t.Context(), x.ID); err != nil {
		s.t.Fatal(err)
	}
	shown, err := s.view.Task(s.t.Context(), x)
	if err != nil || len(shown.Images) != 1 {
		s.t.Fatalf("%+v, %v", shown, err)
	}
	return shown
}

// answer is what the function, or the bucket, said.
type answer struct {
	status int
	header http.Header
	body   string
}

func (s *site) do(client *http.Client, method, link string) answer {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, link, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	resp, err := client.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(body)}
}

// get asks for a link.
func (s *site) get(link string) answer {
	s.t.Helper()
	return s.do(s.http, http.MethodGet, link)
}

// follow asks for a link, and then for what it leads to.
func (s *site) follow(link string) answer {
	s.t.Helper()
	got := s.get(link)
	if got.status != http.StatusFound {
		s.t.Fatalf("%d %s", got.status, got.body)
	}
	return s.do(s.plain, http.MethodGet, got.header.Get("Location"))
}

// link is the link that keys would sign for a file.
func (s *site) link(keys config.Keys, id, file string) string {
	token := keys.Sign(httpapi.ImageMessage(id, file))
	return s.view.PublicURL + "/v1/images/" + url.PathEscape(id) + "/" + token + "/" + url.PathEscape(file)
}

// parts takes a link apart: what comes before its token, the token, the file.
func parts(link string) (before, token, file string) {
	i := strings.LastIndexByte(link, '/')
	j := strings.LastIndexByte(link[:i], '/')
	return link[:j+1], link[j+1 : i], link[i+1:]
}

// notFound expects a 404, and gives its body without what tells one request
// from the other.
func (a answer) notFound(t testing.TB) string {
	t.Helper()
	var p httpapi.Problem
	if err := json.Unmarshal([]byte(a.body), &p); err != nil || a.status != http.StatusNotFound || p.Code != task.CodeNotFound {
		t.Errorf("%d %s; want 404", a.status, a.body)
	}
	if a.header.Get("Location") != "" || a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("%v", a.header)
	}
	return strings.Replace(a.body, p.RequestID, "", 1)
}
