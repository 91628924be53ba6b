package submit_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/media"
	"github.com/preset/nanobanana-functions/shared/media/dir"
	"github.com/preset/nanobanana-functions/shared/task"
)

// edit returns the body of an edit of these pictures.
func edit(entries ...string) string {
	b, _ := json.Marshal(map[string]any{"prompt": "a", "imageUrls": entries}) // strings always encode
	return string(b)
}

// A link that must not be sent to the provider is refused and named.
func TestLinkRefused(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	for _, link := range []string{
		"http://example.com/a.png", "ftp://example.com/a.png", "file:///etc/passwd", "data:image/png;base64,AAAA", "javascript:alert(1)",
		"blob:https://example.com/a", "//example.com/a.png", "example.com/a.png", "/a.png", "https:", "https://", "https:///a.png", "",
		"https://user:pw@example.com/a.png", "https://user@example.com/a.png", "https://example.com@127.0.0.1/a.png",
		"https://127.0.0.1/a.png", "https://[::1]/a.png", "https://[::ffff:127.0.0.1]/a.png", "https://0.0.0.0/a.png", "https://10.0.0.1/a.png",
		"https://8.8.8.8/a.png", "https://2130706433/a.png", "https://0x7f000001/a.png", "https://0x7f.1/a.png", "https://127.1/a.png", "https://0177.0.0.1/a.png",
		"https://①②⑦.⓪.⓪.①/a.png", "https://169.254.169.254/latest/meta-data", "https://[fd00:ec2::254]/a.png",
		"https://localhost/a.png", "https://localhost./a.png", "https://LOCALHOST/a.png", "https://a.localhost/a.png",
		"https://db.internal/a.png", "https://metadata.google.internal/a.png", "https://printer.local/a.png", "https://intranet/a.png",
		"https://example.com:22/a.png", "https://example.com:80/a.png", "https://example.com:0443x/a.png",
		`https:\\example.com\a.png`, `https://example.com\@127.0.0.1/a.png`, "https://example.com/a b.png", "https://example.com/\na.png", "https://exa\tmple.com/a.png",
		"https://example.com/\u202egnp.a", " https://example.com/a.png", "https://example.com/" + strings.Repeat("a", 2029), "https://example.com/" + strings.Repeat("a", 3000),
		"task:", "task:x/1", "task:../../x/1", "upload:x", "upload:", "TASK:x/1",
	} {
		t.Run(link[:min(len(link), 40)], func(t *testing.T) {
			p := h.with(t).refused(422, task.CodeInvalidRequest, edit("https://example.com/good.png", link))
			if len(p.Errors) != 1 || p.Errors[0].Pointer != "/imageUrls/1" || p.Errors[0].Message == "" {
				t.Errorf("errors: %+v", p.Errors)
			}
			if len(link) > 8 && strings.Contains(fmt.Sprint(p), link) {
				t.Errorf("it repeats the link: %+v", p)
			}
		})
	}
	t.Run("twice", func(t *testing.T) {
		p := h.with(t).refused(422, task.CodeInvalidRequest, edit("https://example.com/a.png", "https://example.com/b.png", "https://example.com/a.png"))
		if len(p.Errors) != 1 || p.Errors[0].Pointer != "/imageUrls/2" || p.Errors[0].Code != "duplicate" {
			t.Errorf("errors: %+v", p.Errors)
		}
	})
	t.Run("all faulty links are named", func(t *testing.T) {
		p := h.with(t).refused(422, task.CodeInvalidRequest, edit("http://example.com/a.png", "https://example.com/b.png", "https://localhost/c.png"))
		if len(p.Errors) != 2 || p.Errors[0].Pointer != "/imageUrls/0" || p.Errors[1].Pointer != "/imageUrls/2" {
			t.Errorf("errors: %+v", p.Errors)
		}
	})
}

// An unusual but harmless link is sent to the provider unchanged.
func TestLinkAccepted(t *testing.T) {
	h := newHarness(t)
	for _, link := range []string{
		"https://example.com/a.png", "https://example.com:443/a.png", "https://EXAMPLE.com/A.png", "https://xn--bcher-kva.example/a.png",
		"https://example.com/a.png?x=1&y=%20#top", "https://example.com/%E2%80%AE.png", "https://example.com/é.png", "https://example.com/" + strings.Repeat("a", 2028),
	} {
		n := len(h.Sim.Tasks())
		shown := h.accepted(edit(link))
		if len(shown.ImageURLs) != 1 || shown.ImageURLs[0] != link || shown.Parent != "" || len(h.Sim.Tasks()) != n+1 {
			t.Fatalf("%s: %+v", link, shown)
		}
		if p := h.Sim.Tasks()[n].Params; p["type"] != "IMAGETOIAMGE" || fmt.Sprint(p["imageUrls"]) != "["+link+"]" {
			t.Errorf("ordered %v", p)
		}
	}
}

// finishedTask returns a task of owner's with one picture, and the picture's
// link.
func (h *harness) finishedTask(owner string) (x *task.Task, link string) {
	h.t.Helper()
	x = h.Succeeded(h.t, owner)
	shown, err := httpapi.View{PublicURL: h.Settings.PublicURL, Secrets: h.Secrets}.Task(h.t.Context(), x)
	if err != nil || len(shown.Images) != 1 {
		h.t.Fatalf("%+v, %v", shown, err)
	}
	return x, shown.Images[0].URL
}

func (h *harness) delete(x *task.Task) {
	h.t.Helper()
	if _, err := task.Update(h.t.Context(), h.Rows, x, func(x *task.Task) error { return x.Delete(h.Rules, h.Now()) }); err != nil {
		h.t.Fatal(err)
	}
}

// Only pictures of the caller's own succeeded tasks can be edited. The answer
// does not show whether another owner's task exists.
func TestPictureRefused(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	own, link := h.finishedTask("ada")
	bobs, bobsLink := h.finishedTask("bob")
	deleted, deletedLink := h.finishedTask("ada")
	h.delete(deleted)
	unknown := task.NewID("ada", "never")
	running := h.accepted(`{"prompt":"a"}`).ID
	failed, err := task.Update(t.Context(), h.Rows, h.Submitted(t, "ada", 1), func(x *task.Task) error {
		x.Status = task.Unconfirmed
		return x.Refused(h.Rules, h.Now(), 1, task.Refusal{Code: task.CodeProviderRejected})
	})
	if err != nil || failed.Status != task.Failed {
		t.Fatalf("%+v, %v", failed, err)
	}
	tests := map[string]struct{ entry, code string }{
		"bob's":                 {"task:" + bobs.ID + "/1", "not_found"},
		"bob's, by its link":    {bobsLink, "not_found"},
		"unknown":               {"task:" + unknown + "/1", "not_found"},
		"unknown, by a link":    {strings.Replace(link, own.ID, unknown, 1), "not_found"},
		"deleted":               {"task:" + deleted.ID + "/1", "not_found"},
		"deleted, by its link":  {deletedLink, "not_found"},
		"unfinished":            {"task:" + running + "/1", "not_ready"},
		"failed":                {"task:" + failed.ID + "/1", "not_ready"},
		"picture 2":             {"task:" + own.ID + "/2", "not_found"},
		"picture 9":             {"task:" + own.ID + "/9", "not_found"},
		"picture 9, by a link":  {strings.Replace(link, "/1-", "/9-", 1), "not_found"},
		"picture 0":             {"task:" + own.ID + "/0", "invalid"},
		"picture 01":            {"task:" + own.ID + "/01", "invalid"},
		"picture 100":           {"task:" + own.ID + "/100", "invalid"},
		"no picture":            {"task:" + own.ID, "invalid"},
		"a path":                {"task:" + own.ID + "/1/../2", "invalid"},
		"an id in capitals":     {"task:" + strings.ToUpper(own.ID) + "/1", "invalid"},
		"a line more":           {"task:" + own.ID + "/1\n", "invalid"},
		"an upload there isn't": {"upload:" + unknown, "not_found"},
	}
	messages := map[string]string{}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := h.with(t).refused(422, task.CodeInvalidRequest, edit("https://example.com/a.png", test.entry))
			if len(p.Errors) != 1 || p.Errors[0].Pointer != "/imageUrls/1" || p.Errors[0].Code != test.code {
				t.Fatalf("errors: %+v, want %s", p.Errors, test.code)
			}
			messages[name] = p.Detail
		})
	}
	for _, name := range []string{"bob's", "bob's, by its link", "deleted"} {
		if messages[name] != messages["unknown"] {
			t.Errorf("%s: %q, but of one unknown %q", name, messages[name], messages["unknown"])
		}
	}
}

// The caller's own picture can be edited by its name or its link. Only the
// provider gets the presigned link to its bytes.
func TestPictureAccepted(t *testing.T) {
	h := newHarness(t)
	own, link := h.finishedTask("ada")
	for _, entry := range []string{"task:" + own.ID + "/1", link, link + "?download=1"} {
		n := len(h.Sim.Tasks())
		h.Logged.Take()
		got := h.post(edit("https://example.com/a.png", entry))
		var shown httpapi.Task
		got.JSON(t, 202, &shown)
		if shown.Parent != own.ID || len(shown.ImageURLs) != 2 || shown.ImageURLs[1] != entry {
			t.Errorf("%+v", shown)
		}
		sent := fmt.Sprint(h.Sim.Tasks()[n].Params["imageUrls"])
		if !strings.Contains(sent, dir.LinkPath+media.Prefix(own.ID)+own.Images[0].File+"?") || strings.Contains(sent, "/v1/images/") {
			t.Errorf("the provider was sent %s", sent)
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
