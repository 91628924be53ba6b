package mediatest

import (
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/media"
)

// TestUploads checks that s keeps the promises of media.Uploader.
func TestUploads(t *testing.T, s Subject) {
	t.Run("what is uploaded is read by a link, byte for byte, with its type", s.testUpload)
	t.Run("a second PUT is refused and changes nothing", s.testOnce)
	t.Run("of many at once one is kept", s.testAtOnce)
	t.Run("a link for reading does not write, nor the other way round", s.testVerbs)
	t.Run("another file than announced is refused and leaves nothing", s.testOther)
	t.Run("a link for uploading that was tampered with is refused", s.testUploadTampered)
	t.Run("a link for uploading expires", s.testUploadExpiry)
}

// place gives a key of an upload, and a link to put size bytes there.
func (s Subject) place(t *testing.T, contentType string, size int) (key, link string, header http.Header) {
	t.Helper()
	_, key, ok := media.NewUpload("ada", contentType)
	if !ok {
		t.Fatalf("no key for %s", contentType)
	}
	link, header, err := s.Uploader.PutLink(t.Context(), key, int64(size), linkFor)
	if err != nil {
		t.Fatalf("PutLink(%s): %v", key, err)
	}
	return key, link, header
}

// upload puts a body, with the header as it was given but for what change does
// to it, and gives the answer's status.
func (s Subject) upload(t *testing.T, link string, header http.Header, body string, change ...string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, link, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header = header.Clone()
	for i := 0; i < len(change); i += 2 {
		if r.Header.Del(change[i]); change[i+1] != "" {
			r.Header.Set(change[i], change[i+1])
		}
	}
	resp, err := s.Client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

func (s Subject) testUpload(t *testing.T) {
	body := strings.Repeat("\x89PNG\r\n\x00\xff", 100_000)
	for _, contentType := range []string{"image/png", "image/jpeg", "image/webp"} {
		key, link, header := s.place(t, contentType, len(body))
		s.wantGone(t, key)
		if got := s.upload(t, link, header, body); got != http.StatusOK {
			t.Fatalf("%s: PUT answers %d, want 200", contentType, got)
		}
		resp, got := s.follow(t, s.link(t, key, ""), nil)
		if resp.StatusCode != http.StatusOK || got != body || resp.Header.Get("Content-Type") != contentType {
			t.Errorf("%s: %d with %d bytes of %s", contentType, resp.StatusCode, len(got), resp.Header.Get("Content-Type"))
		}
	}
}

func (s Subject) testOnce(t *testing.T) {
	key, link, header := s.place(t, "image/png", 5)
	if got := s.upload(t, link, header, "first"); got != http.StatusOK {
		t.Fatalf("PUT answers %d, want 200", got)
	}
	if got := s.upload(t, link, header, "again"); got != http.StatusPreconditionFailed {
		t.Errorf("a second PUT answers %d, want 412", got)
	}
	other, header, err := s.Uploader.PutLink(t.Context(), key, 7, linkFor)
	if err != nil {
		t.Fatal(err)
	}
	if got := s.upload(t, other, header, "another"); got != http.StatusPreconditionFailed {
		t.Errorf("a PUT by another link answers %d, want 412", got)
	}
	s.wantBody(t, key, "first")
}

func (s Subject) testAtOnce(t *testing.T) {
	key, link, header := s.place(t, "image/png", 1<<16)
	var kept atomic.Int32
	var wg sync.WaitGroup
	for _, letter := range strings.Split("abcdefgh", "") {
		wg.Go(func() {
			switch got := s.upload(t, link, header, strings.Repeat(letter, 1<<16)); got {
			case http.StatusOK:
				kept.Add(1)
			case http.StatusPreconditionFailed, http.StatusConflict: // S3 says either
			default:
				t.Errorf("PUT answers %d", got)
			}
		})
	}
	wg.Wait()
	_, body := s.follow(t, s.link(t, key, ""), nil)
	if kept.Load() != 1 || len(body) != 1<<16 || strings.Trim(body, body[:1]) != "" {
		t.Errorf("%d were kept, and are %d bytes", kept.Load(), len(body))
	}
}

func (s Subject) testVerbs(t *testing.T) {
	if s.Advance == nil {
		t.Skip("this bucket does not judge links")
	}
	key, link, header := s.place(t, "image/png", 5)
	if got := s.upload(t, s.link(t, key, ""), header, "bytes"); got != http.StatusForbidden {
		t.Errorf("PUT by a link for reading answers %d, want 403", got)
	}
	if got := s.upload(t, link, header, "bytes"); got != http.StatusOK {
		t.Errorf("PUT answers %d, want 200", got)
	}
	if resp, _ := s.follow(t, link, nil); resp.StatusCode != http.StatusForbidden {
		t.Errorf("GET by a link for uploading answers %d, want 403", resp.StatusCode)
	}
}

func (s Subject) testOther(t *testing.T) {
	if s.Advance == nil {
		t.Skip("this bucket does not judge links")
	}
	key, link, header := s.place(t, "image/png", 5)
	refused := func(body string, change ...string) {
		t.Helper()
		if got := s.upload(t, link, header, body, change...); got != http.StatusForbidden {
			t.Errorf("%d bytes with %q: %d, want 403", len(body), change, got)
		}
	}
	refused("longer")
	refused("less")
	refused("")
	refused(strings.Repeat("x", 1<<20))
	refused("bytes", "Content-Type", "image/jpeg")
	refused("bytes", "Content-Type", "text/html")
	refused("bytes", "Content-Type", "")
	refused("bytes", "If-None-Match", "")
	refused("bytes", "If-None-Match", `"etag"`)
	s.wantGone(t, key)
	if got := s.upload(t, link, header, "bytes"); got != http.StatusOK {
		t.Errorf("then the right one: %d, want 200", got)
	}
}

func (s Subject) testUploadTampered(t *testing.T) {
	if s.Advance == nil {
		t.Skip("this bucket does not judge links")
	}
	key, link, header := s.place(t, "image/png", 5)
	other, _, _ := s.place(t, "image/png", 5)
	refused := func(link, body string) {
		t.Helper()
		if got := s.upload(t, link, header, body); got != http.StatusForbidden {
			t.Errorf("PUT %s: %d, want 403", link, got)
		}
	}
	refused(strings.Replace(link, media.File(key), media.File(other), 1), "bytes")
	refused(link[:strings.Index(link, "?")], "bytes")
	u, err := url.Parse(link)
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range u.Query() {
		for _, value := range []string{"", "7", values[0] + "0", values[0][1:]} {
			query := u.Query()
			query.Set(name, value)
			changed := *u
			changed.RawQuery = query.Encode()
			refused(changed.String(), "bytes")
			refused(changed.String(), "sevenby")
		}
	}
	s.wantGone(t, key)
	s.wantGone(t, other)
}

func (s Subject) testUploadExpiry(t *testing.T) {
	if s.Advance == nil {
		t.Skip("this bucket does not judge links")
	}
	key, link, header := s.place(t, "image/png", 5)
	early, inTime, headerToo := s.place(t, "image/png", 5)
	s.Advance(linkFor - time.Second)
	if got := s.upload(t, inTime, headerToo, "bytes"); got != http.StatusOK {
		t.Errorf("a second before its end a link answers %d", got)
	}
	s.Advance(2 * time.Second)
	if got := s.upload(t, link, header, "bytes"); got != http.StatusForbidden {
		t.Errorf("a second after its end a link answers %d, want 403", got)
	}
	s.wantGone(t, key)
	s.wantBody(t, early, "bytes")
}
