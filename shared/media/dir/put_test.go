package dir_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/preset/nanobanana-functions/shared/media"
)

// files returns the names of all files below folder.
func files(t *testing.T, folder string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(folder, func(path string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			names = append(names, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// An upload that breaks off leaves nothing behind and can be repeated.
func TestDirBucketUploadBroken(t *testing.T) {
	folder := t.TempDir()
	bucket := serveDir(t, folder)
	_, key, _ := media.NewUpload("ada", "image/png", time.Now())
	link, header, err := bucket.PutLink(t.Context(), key, 1000, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(link)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", u.Host)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "PUT %s HTTP/1.1\r\nHost: %s\r\nContent-Type: image/png\r\nIf-None-Match: *\r\nContent-Length: 1000\r\n\r\nhalf", u.RequestURI(), u.Host)
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || resp.StatusCode != http.StatusBadRequest {
		t.Errorf("answered %+v, %v; want 400", resp, err)
	}
	_ = conn.Close()
	if left := files(t, folder); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
	r := httptest.NewRequest(http.MethodPut, link, strings.NewReader(strings.Repeat("x", 1000)))
	r.Header = header
	w := httptest.NewRecorder()
	if bucket.ServeHTTP(w, r); w.Code != http.StatusOK {
		t.Errorf("repeated: %d %s", w.Code, w.Body)
	}
}

// If an upload cannot be read or stored, the answer is 500, not a fault of the file, and
// nothing is left behind.
func TestDirBucketUploadFails(t *testing.T) {
	folder := t.TempDir()
	bucket := serveDir(t, folder)
	_, key, _ := media.NewUpload("ada", "image/png", time.Now())
	link, header, err := bucket.PutLink(t.Context(), key, 1000, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	put := func(body io.Reader) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodPut, link, body)
		r.Header, r.ContentLength = header, 1000
		w := httptest.NewRecorder()
		bucket.ServeHTTP(w, r)
		return w
	}
	half := strings.NewReader(strings.Repeat("x", 500))
	if w := put(io.MultiReader(half, iotest.ErrReader(errors.New("the disk is full")))); w.Code != http.StatusInternalServerError {
		t.Errorf("answered %d %s, want 500", w.Code, w.Body)
	}
	if w := put(strings.NewReader(strings.Repeat("x", 999))); w.Code != http.StatusBadRequest {
		t.Errorf("with a byte missing: answered %d %s, want 400", w.Code, w.Body)
	}
	if left := files(t, folder); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
	if w := put(strings.NewReader(strings.Repeat("x", 1000))); w.Code != http.StatusOK {
		t.Errorf("repeated: %d %s", w.Code, w.Body)
	}
}

// Of two concurrent uploads, the first to be complete stays and the other gets 412.
func TestDirBucketConcurrentUploads(t *testing.T) {
	folder := t.TempDir()
	bucket := serveDir(t, folder)
	_, key, _ := media.NewUpload("ada", "image/png", time.Now())
	link, header, err := bucket.PutLink(t.Context(), key, 5, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	put := func(body io.Reader) int {
		r := httptest.NewRequest(http.MethodPut, link, body)
		r.Header, r.ContentLength = header, 5
		w := httptest.NewRecorder()
		bucket.ServeHTTP(w, r)
		return w.Code
	}
	between := readerFunc(func([]byte) (int, error) {
		if status := put(strings.NewReader("first")); status != http.StatusOK {
			t.Errorf("the first is answered %d", status)
		}
		return 0, io.EOF
	})
	if status := put(io.MultiReader(between, strings.NewReader("other"))); status != http.StatusPreconditionFailed {
		t.Errorf("the other is answered %d, want 412", status)
	}
	if b, err := os.ReadFile(filepath.Join(folder, key)); err != nil || string(b) != "first" {
		t.Errorf("the object is %q, %v", b, err)
	}
	if left := files(t, folder); len(left) != 1 {
		t.Errorf("left: %q", left)
	}
}

// Pages of any origin may use a link; browsers send a preflight request first.
func TestDirBucketPreflight(t *testing.T) {
	bucket := serveDir(t, t.TempDir())
	_, key, _ := media.NewUpload("ada", "image/png", time.Now())
	link, header, err := bucket.PutLink(t.Context(), key, 5, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodOptions, link, nil)
	r.Header = http.Header{"Origin": {"http://localhost:3000"}, "Access-Control-Request-Method": {"PUT"}, "Access-Control-Request-Headers": {"content-type,if-none-match"}}
	w := httptest.NewRecorder()
	bucket.ServeHTTP(w, r)
	headers := w.Header()
	if w.Code != http.StatusNoContent || headers.Get("Access-Control-Allow-Origin") != "*" || !strings.Contains(headers.Get("Access-Control-Allow-Methods"), "PUT") {
		t.Errorf("%d, %v", w.Code, headers)
	}
	for name := range header {
		if !strings.Contains(headers.Get("Access-Control-Allow-Headers"), name) {
			t.Errorf("%s is not allowed: %v", name, headers)
		}
	}
}

// Expire deletes old uploads, and partial files that an earlier release left among
// them. Younger uploads and the pictures of tasks stay.
func TestDirBucketExpire(t *testing.T) {
	folder := t.TempDir()
	bucket := serveDir(t, folder)
	if err := bucket.Expire(t.Context(), media.UploadPrefix, time.Hour); err != nil {
		t.Errorf("an empty bucket: %v", err)
	}
	keep := []string{"tasks/t/1.png", "uploads/o/young.png"}
	for _, name := range append(keep, "uploads/o/old.png", "uploads/p/.HALF") {
		path := filepath.Join(folder, name)
		age := 49 * time.Hour
		if strings.Contains(name, "young") {
			age = 47 * time.Hour
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, time.Time{}, time.Now().Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	if err := bucket.Expire(t.Context(), media.UploadPrefix, 48*time.Hour); err != nil {
		t.Fatal(err)
	}
	if left := files(t, folder); len(left) != len(keep) {
		t.Errorf("left: %q, want %q", left, keep)
	}
}
