package media_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/media"
	"github.com/preset/nanobanana-functions/shared/media/mediatest"
)

// trusting returns options for a Fetcher that trusts server, with enough time for a
// busy machine.
func trusting(server *httptest.Server) media.FetchOptions {
	return media.FetchOptions{Trusted: []string{server.Listener.Addr().String()}, MaxBytes: 1 << 20}
}

// impatient returns options like trusting, under which a slow host times out quickly.
func impatient(server *httptest.Server) media.FetchOptions {
	o := trusting(server)
	o.HeaderTimeout = 300 * time.Millisecond
	o.FloorWindow = 200 * time.Millisecond
	o.FloorBytes = 64 << 10
	return o
}

// wantFetchError checks that err is of this kind and does not contain the secret.
func wantFetchError(t *testing.T, err error, kind media.Kind) *media.FetchError {
	t.Helper()
	var fetchErr *media.FetchError
	if !errors.As(err, &fetchErr) || fetchErr.Kind != kind {
		t.Fatalf("got %v, want kind %s", err, kind)
	}
	for e := err; e != nil; e = errors.Unwrap(e) {
		if strings.Contains(e.Error(), "c0ffee") {
			t.Errorf("the error quotes the signature: %v", e)
		}
	}
	return fetchErr
}

func TestFetch(t *testing.T) {
	server := httptest.NewServer(hostile())
	defer server.Close()
	fetcher := media.NewFetcher(trusting(server))
	all := len(pngOf(64, 64))
	for _, path := range []string{
		"/ok.png", "/lies.png", "/to?url=/ok.png",
		"/gzip", "/gzip?encoding=gzip", "/gzip?encoding=br", "/gzip/claimed", "/gzip/members",
		"/gzip/rubbish?bytes=1", "/gzip/rubbish?bytes=9", "/gzip/rubbish?bytes=10", "/gzip/rubbish?bytes=32",
		"/as/201", "/as/203",
		fmt.Sprintf("/range?range=bytes+0-%d/%d", all-1, all), fmt.Sprintf("/range?length=none&range=Bytes+0-%d/%d", all-1, all),
		"/signed?a=1&amp;signature=x", "/signed?a=1&#38;signature=x",
	} {
		file := mediatest.TempFile(t)
		n, err := fetcher.Fetch(t.Context(), server.URL+path, file)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		got, err := os.ReadFile(file.Name())
		if err != nil || int64(len(got)) != n || !bytes.Equal(got, pngOf(64, 64)) {
			t.Errorf("%s: Fetch returned %d bytes and wrote %d, %v", path, n, len(got), err)
		}
	}
}

func TestFetchFaults(t *testing.T) {
	server := httptest.NewServer(hostile())
	t.Cleanup(server.Close)
	patient, hurried := media.NewFetcher(trusting(server)), media.NewFetcher(impatient(server))
	for _, test := range []struct {
		path string
		kind media.Kind
	}{
		{"/status/403", media.KindStatus},
		{"/status/404", media.KindStatus},
		{"/status/204", media.KindStatus},
		{"/json", media.KindNotPicture},
		{"/html.jpg", media.KindNotPicture},
		{"/empty", media.KindNotPicture},
		{"/short", media.KindNotPicture},
		{"/gzip/twice", media.KindNotPicture},
		{"/gzip/page", media.KindNotPicture},
		{"/gzip/head", media.KindNotPicture},
		{"/gzip/cut", media.KindCut},
		{"/gzip/wrong", media.KindCut},
		{"/gzip/bomb", media.KindTooBig},
		{"/gzip/empty", media.KindNotPicture},
		{"/as/202", media.KindStatus},
		{"/range?range=bytes+0-99/9999", media.KindStatus},
		{"/range?range=bytes+1-99/100", media.KindStatus},
		{"/range?range=bytes+0-99/100", media.KindStatus},
		{"/range?range=bytes+0-99/*", media.KindStatus},
		{"/range?length=none&range=bytes+0-999/1000", media.KindCut},
		{"/range?length=none&range=bytes+0--1/0", media.KindStatus},
		{"/range?length=none&range=bytes+0-99/100x", media.KindStatus},
		{"/range?length=none&range=bytes+0-99999999/100000000", media.KindTooBig},
		{"/range", media.KindStatus},
		{"/signed?a=1&amp;b=2", media.KindStatus},
		{"/silent", media.KindTimeout},
		{"/stalled", media.KindTimeout},
		{"/drip", media.KindTimeout},
		{"/endless", media.KindTooBig},
		{"/claims?length=1048577", media.KindTooBig},
		{"/claims?length=4096", media.KindCut},
		{"/cut", media.KindCut},
		{"/garbage", media.KindUnreachable},
		{"/loop", media.KindRefused},
		{"/nowhere", media.KindRefused},
		{"/to?url=https://127.0.0.1/x", media.KindRefused},
		{"/to?url=https://169.254.169.254/latest/meta-data", media.KindRefused},
		{"/to?url=http://127.0.0.1/x", media.KindRefused},
		{"/to?url=file:///etc/passwd", media.KindRefused},
		{"/to?url=https://user:pass@example.com/x", media.KindRefused},
		{"/to?url=//[::1]/x", media.KindRefused},
		{"/to?url=https://①②⑦.⓪.⓪.①/x", media.KindRefused},
		{"/to?url=%25zz", media.KindRefused},
	} {
		t.Run(test.path, func(t *testing.T) {
			t.Parallel()
			link := server.URL + test.path + map[bool]string{true: "&", false: "?"}[strings.Contains(test.path, "?")] + secret
			fetcher := patient
			if test.kind == media.KindTimeout {
				fetcher = hurried
			}
			_, err := fetcher.Fetch(t.Context(), link, io.Discard)
			fetchErr := wantFetchError(t, err, test.kind)
			if status, ok := strings.CutPrefix(test.path, "/status/"); ok && fmt.Sprint(fetchErr.Status) != status {
				t.Errorf("Status %d", fetchErr.Status)
			}
		})
	}
}

// Timeout ends a Fetch also while data keeps coming.
func TestFetchTotalTime(t *testing.T) {
	server := httptest.NewServer(hostile())
	defer server.Close()
	for _, path := range []string{"/endless", "/loop", "/silent"} {
		o := trusting(server)
		o.MaxBytes, o.Timeout = 1<<40, time.Nanosecond
		if path == "/endless" {
			o.Timeout = 100 * time.Millisecond
		}
		_, err := media.NewFetcher(o).Fetch(t.Context(), server.URL+path+"?"+secret, io.Discard)
		if fetchErr := wantFetchError(t, err, media.KindTimeout); !strings.Contains(fetchErr.Error(), "took too long") {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestFetchSizeLimit(t *testing.T) {
	const limit = 25 << 20
	var length atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush() // no Content-Length
		w.Write(append([]byte("\x89PNG\r\n\x1a\n"), make([]byte, length.Load()-8)...))
	}))
	defer server.Close()
	fetcher := media.NewFetcher(media.FetchOptions{Trusted: []string{server.Listener.Addr().String()}})

	length.Store(limit)
	if n, err := fetcher.Fetch(t.Context(), server.URL, io.Discard); n != limit || err != nil {
		t.Errorf("25 MiB: %d, %v", n, err)
	}
	length.Store(limit + 1)
	_, err := fetcher.Fetch(t.Context(), server.URL, io.Discard)
	wantFetchError(t, err, media.KindTooBig)
}

func TestFetchNeedsNoMemory(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "\xff\xd8\xff")
		io.CopyN(w, zeros{}, 24<<20)
	}))
	defer server.Close()
	fetcher := media.NewFetcher(media.FetchOptions{Trusted: []string{server.Listener.Addr().String()}})
	file := mediatest.TempFile(t)
	if got := mediatest.Allocated(func() {
		if _, err := fetcher.Fetch(t.Context(), server.URL, file); err != nil {
			t.Error(err)
		}
	}); got > 1<<20 {
		t.Errorf("24 MiB take %d bytes of memory", got)
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

func TestFetchSendsOnlyNeededHeaders(t *testing.T) {
	var got *http.Request
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/first" {
			http.Redirect(w, r, "/second", http.StatusFound)
			return
		}
		got = r
		w.Write(pngOf(1, 1))
	}))
	defer server.Close()
	if _, err := media.NewFetcher(trusting(server)).Fetch(t.Context(), server.URL+"/first?"+secret, io.Discard); err != nil {
		t.Fatal(err)
	}
	for header, want := range map[string]string{
		"Accept":          "image/png, image/jpeg;q=0.9, image/webp;q=0.5, */*;q=0.1",
		"Accept-Encoding": "identity", "Referer": "", "Cookie": "", "Authorization": "",
	} {
		if got := got.Header.Get(header); got != want {
			t.Errorf("%s: %q, want %q", header, got, want)
		}
	}
	if !strings.HasPrefix(got.UserAgent(), "nanobanana-functions/1 ") {
		t.Errorf("User-Agent %q", got.UserAgent())
	}
}

func TestFetchWriterFails(t *testing.T) {
	server := httptest.NewServer(hostile())
	defer server.Close()
	file := mediatest.TempFile(t)
	file.Close()
	_, err := media.NewFetcher(trusting(server)).Fetch(t.Context(), server.URL+"/ok.png", file)
	if fetchErr := (*media.FetchError)(nil); !errors.Is(err, os.ErrClosed) || errors.As(err, &fetchErr) {
		t.Errorf("got %v, want the writer's own error", err)
	}
}

func TestFetchLeavesNothingBehind(t *testing.T) {
	mute, err := net.Listen("tcp", "127.0.0.1:0") // accepts connections, but never answers the handshake
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	server := httptest.NewServer(hostile())
	defer server.Close()
	before := runtime.NumGoroutine()
	options := trusting(server)
	options.Trusted = append(options.Trusted, mute.Addr().String())
	options.ConnectTimeout = time.Hour
	fetcher := media.NewFetcher(options)
	for _, link := range []string{server.URL + "/ok.png", server.URL + "/stalled", "https://" + mute.Addr().String() + "/"} {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		_, err := fetcher.Fetch(ctx, link, io.Discard)
		cancel()
		if err != nil {
			wantFetchError(t, err, media.KindTimeout)
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v is not context.DeadlineExceeded", err)
			}
		}
	}
	server.CloseClientConnections()
	for deadline := time.Now().Add(time.Minute); runtime.NumGoroutine() > before; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			stacks := make([]byte, 1<<20)
			t.Fatalf("goroutines are still running:\n%s", stacks[:runtime.Stack(stacks, true)])
		}
	}
}

func TestFetchChecksCertificatesOfTrustedHosts(t *testing.T) {
	server := httptest.NewTLSServer(hostile())
	defer server.Close()
	options := trusting(server)
	_, err := media.NewFetcher(options).Fetch(t.Context(), server.URL+"/ok.png", io.Discard)
	fetchErr := wantFetchError(t, err, media.KindUnreachable)
	if cert := (*tls.CertificateVerificationError)(nil); !errors.As(fetchErr, &cert) {
		t.Errorf("%v is not about the certificate", fetchErr)
	}
	options.RootCAs = x509.NewCertPool()
	options.RootCAs.AddCert(server.Certificate())
	if _, err := media.NewFetcher(options).Fetch(t.Context(), server.URL+"/ok.png", io.Discard); err != nil {
		t.Error(err)
	}
}

// A link that works is requested unchanged, and once.
func TestFetchKeepsLinks(t *testing.T) {
	var requested []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requested = append(requested, r.URL.RawQuery)
		w.Write(pngOf(1, 1))
	}))
	defer server.Close()
	if _, err := media.NewFetcher(trusting(server)).Fetch(t.Context(), server.URL+"/x?a=1&amp;b=2", io.Discard); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(requested) != "[a=1&amp;b=2]" {
		t.Errorf("requested %q", requested)
	}
}
