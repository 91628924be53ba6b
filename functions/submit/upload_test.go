package submit_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"hash/crc32"
	"image"
	"image/jpeg"
	"image/png"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/httpapi/httpapitest"
	"github.com/preset/nanobanana-functions/shared/media"
	"github.com/preset/nanobanana-functions/shared/media/dir"
	"github.com/preset/nanobanana-functions/shared/outbound"
	"github.com/preset/nanobanana-functions/shared/task"
)

func pngOf(side int) string {
	var b bytes.Buffer
	_ = png.Encode(&b, image.NewGray(image.Rect(0, 0, side, side))) // to memory, which does not fail
	return b.String()
}

func jpegOf(side int) string {
	var b bytes.Buffer
	_ = jpeg.Encode(&b, image.NewGray(image.Rect(0, 0, side, side)), nil)
	return b.String()
}

// announceUpload announces an upload of owner's and returns its id and the link
// for its bytes.
func (h *harness) announceUpload(owner, contentType string, size int) (id, link string, header http.Header) {
	h.t.Helper()
	id, key, ok := media.NewUpload(owner, contentType, h.Now())
	link, header, err := h.Bucket.PutLink(h.t.Context(), key, int64(size), time.Minute)
	if err != nil || !ok {
		h.t.Fatal(err)
	}
	return id, link, header
}

// upload uploads a file of owner's and returns the upload's id.
func (h *harness) upload(owner, contentType, file string) string {
	h.t.Helper()
	id, link, header := h.announceUpload(owner, contentType, len(file))
	r := httpapitest.NewRequest(h.t, http.MethodPut, link, strings.NewReader(file))
	r.Header = header
	if got := httpapitest.Do(h.t, r); got.Status != http.StatusOK {
		h.t.Fatalf("%d %s", got.Status, got.Body)
	}
	return id
}

// The caller's own upload can be edited more than once. The provider gets a
// fresh link to its bytes each time, which is not stored.
func TestUploadAccepted(t *testing.T) {
	h := newHarness(t)
	one, two := h.upload("ada", "image/png", pngOf(8)), h.upload("ada", "image/jpeg", jpegOf(8))
	for n := range 2 {
		h.Logged.Take()
		got := h.post(edit("upload:"+one, "https://example.com/a.png", "upload:"+two))
		var shown httpapi.Task
		got.JSON(t, 202, &shown)
		if shown.Parent != "" || len(shown.ImageURLs) != 3 || shown.ImageURLs[0] != "upload:"+one {
			t.Errorf("%+v", shown)
		}
		sent, _ := h.Sim.Tasks()[n].Params["imageUrls"].([]any)
		if len(sent) != 3 || sent[1] != "https://example.com/a.png" {
			t.Fatalf("the provider was sent %v", sent)
		}
		for i, want := range map[int]string{0: pngOf(8), 2: jpegOf(8)} {
			link, _ := sent[i].(string)
			if got := httpapitest.Do(t, httpapitest.NewRequest(t, http.MethodGet, link, nil)); got.Status != 200 || got.Body != want {
				t.Errorf("link %d: %d with %d bytes", i, got.Status, len(got.Body))
			}
		}
		row, err := h.Rows.Task(t.Context(), shown.ID)
		if err != nil {
			t.Fatal(err)
		}
		stored, err := json.Marshal(row)
		for name, text := range map[string]string{"answer": got.Body, "log": h.Logged.Take(), "row": string(stored)} {
			if err != nil || strings.Contains(text, "signature=") || strings.Contains(text, dir.LinkPath) {
				t.Errorf("the %s has the presigned link: %s", name, text)
			}
		}
	}
}

// An upload that is not the caller's or no picture is refused before anything
// is stored or paid for. The answer does not show whether another owner's
// upload exists.
func TestUploadRefused(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	good := pngOf(8)
	never, _, _ := h.announceUpload("ada", "image/png", 10)
	bad := func(contentType, file string) string { return h.upload("ada", contentType, file) }
	for name, test := range map[string]struct{ id, code string }{
		"never finished":          {never, "not_found"},
		"bob's":                   {h.upload("bob", "image/png", good), "not_found"},
		"never announced":         {strings.Repeat("0", 25) + "p", "not_found"},
		"of no type":              {strings.Repeat("0", 26), "not_found"},
		"a task's id":             {h.accepted(`{"prompt":"a"}`).ID, "not_found"},
		"no id":                   {"", "invalid"},
		"a path":                  {"../../tasks/x", "invalid"},
		"in capitals":             {strings.ToUpper(never), "invalid"},
		"text":                    {bad("image/png", "hello"), "not_a_picture"},
		"HTML after a magic":      {bad("image/jpeg", "\xff\xd8\xff<script>alert(1)</script>"), "not_a_picture"},
		"half a picture":          {bad("image/png", good[:len(good)/2]), "not_a_picture"},
		"a JPEG as PNG":           {bad("image/png", jpegOf(8)), "not_a_picture"},
		"a PNG as WebP":           {bad("image/webp", good), "not_a_picture"},
		"too tall":                {bad("image/png", tall), "not_a_picture"},
		"a picture with a flaw":   {bad("image/png", strings.Replace(good, "IDAT", "IDAU", 1)), "not_a_picture"},
		"a GIF, called a picture": {bad("image/png", "GIF89a\x01\x00\x01\x00\x80\x00\x00"), "not_a_picture"},
	} {
		t.Run(name, func(t *testing.T) {
			p := h.with(t).refused(422, task.CodeInvalidRequest, edit("https://example.com/a.png", "upload:"+test.id))
			if len(p.Errors) != 1 || p.Errors[0].Pointer != "/imageUrls/1" || p.Errors[0].Code != test.code {
				t.Errorf("errors: %+v, want %s", p.Errors, test.code)
			}
		})
	}
	t.Run("each is named", func(t *testing.T) {
		p := h.with(t).refused(422, task.CodeInvalidRequest, edit("upload:"+never, "upload:"+h.upload("ada", "image/png", good), "upload:"+bad("image/png", "x")))
		if len(p.Errors) != 2 || p.Errors[0].Pointer != "/imageUrls/0" || p.Errors[1].Pointer != "/imageUrls/2" {
			t.Errorf("errors: %+v", p.Errors)
		}
	})
}

// tall is a PNG that claims to be 1 x 70000 pixels.
var tall = func() string {
	b := []byte(pngOf(8))
	binary.BigEndian.PutUint32(b[16:], 1)
	binary.BigEndian.PutUint32(b[20:], 70000)
	binary.BigEndian.PutUint32(b[29:], crc32.ChecksumIEEE(b[12:29]))
	return string(b)
}()

// A replay is answered with its task even when its upload has long been
// deleted.
func TestUploadReplayed(t *testing.T) {
	h := newHarness(t)
	id := h.upload("ada", "image/png", pngOf(8))
	first := h.accepted(edit("upload:"+id), "Idempotency-Key", "k")
	if err := h.Bucket.Expire(t.Context(), media.UploadPrefix, -time.Hour); err != nil { // deletes every upload
		t.Fatal(err)
	}
	if again := h.accepted(edit("upload:"+id), "Idempotency-Key", "k"); again.ID != first.ID || h.Sim.Posts() != 1 {
		t.Errorf("%s, then %s, with %d POSTs", first.ID, again.ID, h.Sim.Posts())
	}
	p := h.refused(422, task.CodeInvalidRequest, edit("upload:"+id), "Idempotency-Key", "other")
	if len(p.Errors) != 1 || p.Errors[0].Code != "not_found" {
		t.Errorf("errors: %+v", p.Errors)
	}
}

// A bucket that cannot be read is not the upload's fault: the request may be
// repeated. No log contains the signed link.
func TestUploadUnreadable(t *testing.T) {
	h := newHarness(t)
	id := h.upload("ada", "image/png", pngOf(8))
	for name, answer := range map[string]http.HandlerFunc{
		"500": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
		"503": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) },
		"a redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://"+r.Host+"/else", http.StatusFound)
		},
		"no answer": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"half of it": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, pngOf(8)[:20])
		},
	} {
		t.Run(name, func(t *testing.T) {
			bucket := httptest.NewServer(answer)
			defer bucket.Close()
			h.HTTP = clientOf(bucket)
			h.Logged.Take()
			h.with(t).refused(503, task.CodeUnavailable, edit("upload:"+id))
			if log := h.Logged.Take(); strings.Contains(log, "signature=") || strings.Contains(log, media.UploadPrefix) {
				t.Errorf("the log has the link: %s", log)
			}
		})
	}
}

// S3 answers 403 for a missing object to a caller that may not list the bucket.
func TestUploadForbidden(t *testing.T) {
	h := newHarness(t)
	bucket := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }))
	defer bucket.Close()
	h.HTTP = clientOf(bucket)
	never, _, _ := h.announceUpload("ada", "image/png", 10)
	if p := h.refused(422, task.CodeInvalidRequest, edit("upload:"+never)); len(p.Errors) != 1 || p.Errors[0].Code != "not_found" {
		t.Errorf("errors: %+v", p.Errors)
	}
}

// A picture inside the request or inside a browser is refused with a hint what
// to do instead, whatever its length.
func TestInlinePicture(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	for _, entry := range []string{
		"data:image/png;base64,AAAA", "DATA:image/png;base64,AAAA", "data:", "data:image/png;base64," + strings.Repeat("A", 100_000),
		"blob:https://app.example.com/3f6c2d0e", "Blob:null/1",
	} {
		p := h.refused(422, task.CodeInvalidRequest, edit("https://example.com/good.png", entry))
		if len(p.Errors) != 1 || p.Errors[0].Pointer != "/imageUrls/1" || p.Errors[0].Code != "upload_first" || !strings.Contains(p.Errors[0].Message, "POST /v1/uploads") {
			t.Errorf("%.20s: %+v", entry, p.Errors)
		}
	}
}

// An upload that takes too long to check is passed to the provider, which
// checks it too: it exists, and is as long as its signature said.
func TestUploadSlow(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	id := h.upload("ada", "image/png", pngOf(8))
	bucket := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "1000")
		_, _ = io.WriteString(w, pngOf(8)[:20])
		w.(http.Flusher).Flush()
		<-r.Context().Done() // until the reader gives up
	}))
	defer bucket.Close()
	h.HTTP = clientOf(bucket)
	if h.accepted(edit("upload:" + id)); h.Sim.Posts() != 1 {
		t.Errorf("%d POSTs", h.Sim.Posts())
	}
}

// clientOf returns a client that sends all requests to this server.
func clientOf(server *httptest.Server) *http.Client {
	client := outbound.NewClient()
	client.Transport = &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, server.Listener.Addr().String())
	}}
	return client
}

// Copies of uploads are kept unless the order says false, which makes it another order. The
// provider is told nothing of it.
func TestKeepInputs(t *testing.T) {
	h := newHarness(t)
	entry := `"upload:` + h.upload("ada", "image/png", pngOf(8)) + `"`
	body := func(more string) string { return `{"prompt":"a","imageUrls":[` + entry + `]` + more + `}` }
	for key, test := range map[string]struct {
		more, same, other string
		drop              bool
	}{
		"default": {"", `,"keepInputs":true`, `,"keepInputs":false`, false},
		"true":    {`,"keepInputs":true`, "", `,"keepInputs":false`, false},
		"false":   {`,"keepInputs":false`, `,"keepInputs":false`, "", true},
	} {
		x := h.accepted(body(test.more), "Idempotency-Key", key)
		row, err := h.Rows.Task(t.Context(), x.ID)
		if err != nil || row.DropInputs != test.drop || len(row.InputsToKeep()) == 1 == test.drop {
			t.Errorf("%s: the row says %v, %v; %v", key, row.DropInputs, row.InputsToKeep(), err)
		}
		if again := h.accepted(body(test.same), "Idempotency-Key", key); again.ID != x.ID {
			t.Errorf("%s: a replay is another task", key)
		}
		h.refused(422, task.CodeIdempotencyKeyReused, body(test.other), "Idempotency-Key", key)
	}
	for _, made := range h.Sim.Tasks() {
		if sent, err := json.Marshal(made.Params); err != nil || strings.Contains(strings.ToLower(string(sent)), "inputs") {
			t.Errorf("the provider was sent %s, %v", sent, err)
		}
	}
}
