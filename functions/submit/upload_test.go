package submit_test

import (
	"bytes"
	"context"
	"crypto/sha256"
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
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/httpapi/httpapitest"
	"github.com/preset/nanobanana-functions/shared/media"
	"github.com/preset/nanobanana-functions/shared/media/dir"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
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
	gone := h.upload("ada", "image/png", good)
	if err := h.Bucket.Expire(t.Context(), media.UploadPrefix, -time.Hour); err != nil { // deletes every upload
		t.Fatal(err)
	}
	old, _, _ := media.NewUpload("ada", "image/png", h.Now().Add(-25*time.Hour))
	const unknown = "You have no uploaded picture with this id. Upload it and try again."
	for name, test := range map[string]struct{ id, code, message string }{
		"never finished":       {never, "not_found", unknown},
		"deleted":              {gone, "not_found", unknown},
		"bob's":                {h.upload("bob", "image/png", good), "not_found", unknown},
		"never announced":      {strings.Repeat("0", 25) + "p", "not_found", unknown},
		"of no type":           {strings.Repeat("0", 26), "not_found", unknown},
		"a task's id":          {h.accepted(`{"prompt":"a"}`).ID, "not_found", unknown},
		"expired":              {old, "expired", "This upload has expired. Upload the picture again."},
		"no id":                {"", "invalid", ""},
		"a path":               {"../../tasks/x", "invalid", ""},
		"in capitals":          {strings.ToUpper(never), "invalid", ""},
		"text":                 {bad("image/png", "hello"), "not_a_picture", "This is a text file. Choose a picture and try again."},
		"an HEIC file as JPEG": {bad("image/jpeg", heic), "not_a_picture", "This is an HEIC file. Save it as JPEG and try again."},
		"a GIF as PNG":         {bad("image/png", "GIF89a\x01\x00\x01\x00\x80\x00\x00"), "not_a_picture", "This is a GIF file. Save it as PNG and try again."},
		"half a picture":       {bad("image/png", good[:len(good)/2]), "incomplete", "The end of this picture is missing. Upload the whole file again."},
		"half a JPEG as PNG":   {bad("image/png", jpegOf(8)[:300]), "incomplete", "The end of this picture is missing. Upload the whole file again."},
		"too tall":             {bad("image/png", tall), "too_many_pixels", "This picture has more than 16384 pixels on one side. Make it smaller and try again."},
		"damaged":              {bad("image/png", strings.Replace(good, "IDAT", "IDAU", 1)), "damaged", ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := h.with(t).refused(422, task.CodeInvalidRequest, edit("https://example.com/a.png", "upload:"+test.id))
			if len(p.Errors) != 1 || p.Errors[0].Pointer != "/imageUrls/1" || p.Errors[0].Code != test.code || test.message != "" && p.Detail != test.message {
				t.Errorf("%+v, want %s: %s", p, test.code, test.message)
			}
		})
	}
	t.Run("each is named", func(t *testing.T) {
		h, text, half := h.with(t), bad("image/png", "text"), bad("image/png", good[:len(good)/2])
		p := h.refused(422, task.CodeInvalidRequest, edit(
			"upload:"+never, "upload:"+h.upload("ada", "image/png", good), "upload:"+text, "http://example.com/a.png", // four kinds of check
			"task:"+strings.Repeat("0", 26)+"/1", "https://example.com/a.png", "upload:x", "upload:"+half))
		var got []string
		for _, e := range p.Errors {
			got = append(got, strings.TrimPrefix(e.Pointer, "/imageUrls/")+" "+e.Code)
		}
		if want := []string{"0 not_found", "2 not_a_picture", "3 unusable_link", "4 not_found", "6 invalid", "7 incomplete"}; !slices.Equal(got, want) {
			t.Errorf("errors: %q, want %q", got, want)
		}
	})
}

// heic begins as the photos of an iPhone do.
const heic = "\x00\x00\x00\x24ftypheic\x00\x00\x00\x00mif1MiHBmiafMiHEheic\x00\x00\x00\x0cmeta\x00\x00\x00\x00"

// A picture is what its bytes are, not what it was announced as. The link that the
// provider gets has the true type, at each attempt.
func TestUploadOfAnotherType(t *testing.T) {
	t.Parallel()
	files := map[string]string{"image/png": pngOf(8), "image/jpeg": jpegOf(8)}
	for announced, is := range map[string]string{"image/png": "image/jpeg", "image/jpeg": "image/png", "image/webp": "image/jpeg"} {
		t.Run(is+" announced as "+announced, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			id := h.upload("ada", announced, files[is])
			h.Sim.SetKnobs(func(k *nanobananatest.Knobs) {
				k.Submit = nanobananatest.Fault{Kind: nanobananatest.FaultStatus, Code: 429, Times: 1}
			})
			shown := h.accepted(edit("https://example.com/a.png", "upload:"+id))
			if shown.Status != task.Waiting || shown.ImageURLs[1] != "upload:"+id {
				t.Fatalf("%+v", shown)
			}
			h.Clock.Add(time.Minute)
			if _, err := h.Sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
			second := h.accepted(edit("upload:" + id))
			sent := h.sentLinks()
			if len(sent) != 2 || second.Status != task.Generating {
				t.Fatalf("the provider was sent %q", sent)
			}
			for _, link := range sent {
				got := httpapitest.Do(t, httpapitest.NewRequest(t, http.MethodGet, link, nil))
				if got.Body != files[is] || got.Header.Get("Content-Type") != is {
					t.Errorf("the link leads to %d bytes of %s", len(got.Body), got.Header.Get("Content-Type"))
				}
			}
		})
	}
}

// sentLinks returns the links of ours that the provider was sent.
func (h *harness) sentLinks() (links []string) {
	for _, x := range h.Sim.Tasks() {
		sent, _ := x.Params["imageUrls"].([]any)
		for _, link := range sent {
			if link := link.(string); strings.Contains(link, dir.LinkPath) {
				links = append(links, link)
			}
		}
	}
	return links
}

// tall is a PNG that claims to be 1 x 70000 pixels.
var tall = func() string {
	b := []byte(pngOf(8))
	binary.BigEndian.PutUint32(b[16:], 1)
	binary.BigEndian.PutUint32(b[20:], 70000)
	binary.BigEndian.PutUint32(b[29:], crc32.ChecksumIEEE(b[12:29]))
	return string(b)
}()

// A file that got into the bucket in spite of its size is refused for that, whether it
// is a picture or not.
func TestUploadTooLarge(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	chunk := append([]byte("teXt"), make([]byte, media.MaxUploadBytes)...)
	long := binary.BigEndian.AppendUint32(nil, media.MaxUploadBytes)
	long = binary.BigEndian.AppendUint32(append(long, chunk...), crc32.ChecksumIEEE(chunk))
	file := pngOf(8)
	file = file[:len(file)-12] + string(long) + file[len(file)-12:]
	id, key, _ := media.NewUpload("ada", "image/png", h.Now())
	if err := h.Bucket.Put(t.Context(), key, strings.NewReader(file), int64(len(file)), "image/png", sha256.Sum256([]byte(file))); err != nil {
		t.Fatal(err)
	}
	p := h.refused(422, task.CodeInvalidRequest, edit("upload:"+id))
	if len(p.Errors) != 1 || p.Errors[0].Code != "too_large" || p.Detail != "This file is larger than 10 MB. Make the picture smaller and try again." {
		t.Errorf("%+v", p)
	}
}

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
