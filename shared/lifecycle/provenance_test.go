package lifecycle_test

import (
	"bytes"
	"image/jpeg"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/lifecycle"
	"github.com/preset/nanobanana-functions/shared/media"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/task"
)

// marks returns the terms that a JPEG's XMP states.
func marks(file []byte) (terms []string) {
	const before, after = "<Iptc4xmpExt:DigitalSourceType>", "</Iptc4xmpExt:DigitalSourceType>"
	for {
		_, rest, found := bytes.Cut(file, []byte(before))
		if !found {
			return terms
		}
		term, rest, _ := bytes.Cut(rest, []byte(after))
		terms, file = append(terms, string(term)), rest
	}
}

// inStrips orders pictures that have few pixels for their longest side.
func inStrips(o *lifecycle.Order) { o.Request.AspectRatio = "21:9" }

// A picture's row has whether the file carries a manifest. The file is kept as it came; its
// thumbnail is marked, also if it is as small as can be.
func TestProvenanceIsStored(t *testing.T) {
	for _, format := range []string{"png", "jpg", "webp"} {
		for _, manifest := range []bool{true, false} {
			for _, side := range []int{1, 513} {
				h := newHarness(t, func(k *nanobananatest.Knobs) {
					k.PictureFormat, k.Manifest, k.PictureSide = format, manifest, side
				})
				got, made := h.storing(inStrips)
				h.work(got.ID)
				img := h.expect(got.ID, task.Succeeded, "").Images[0]
				if img.C2PA != task.PresenceOf(manifest) {
					t.Errorf("%s, with a manifest %v: the row has %q", format, manifest, img.C2PA)
				}
				kept := h.stored(media.Prefix(got.ID) + img.File)
				if !bytes.Equal(kept, h.get(made.URLs[0])) || bytes.Contains(kept, []byte("c2pa")) != manifest {
					t.Errorf("%s, with a manifest %v: the file is another", format, manifest)
				}
				thumb := h.stored(media.Prefix(got.ID) + img.Thumbnail)
				if _, err := jpeg.Decode(bytes.NewReader(thumb)); err != nil || len(marks(thumb)) != 1 || marks(thumb)[0] != task.Trained.URI() {
					t.Errorf("%s of %d pixels: the thumbnail is marked %q, %v", format, side, marks(thumb), err)
				}
			}
		}
	}
}

// Another program finds what the row states: exiftool reads the term in a thumbnail, and the
// manifest in a file.
func TestProvenanceByExiftool(t *testing.T) {
	exiftool, err := exec.LookPath("exiftool")
	switch {
	case err != nil && os.Getenv("EXIFTOOL") == "required":
		t.Fatal(err, "; on Debian, install libimage-exiftool-perl")
	case err != nil:
		t.Skip(err)
	}
	read := func(file []byte, arguments ...string) string {
		name := filepath.Join(t.TempDir(), "picture")
		if err := os.WriteFile(name, file, 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.CommandContext(t.Context(), exiftool, append(arguments, name)...).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return strings.TrimSpace(string(out))
	}
	for _, format := range []string{"png", "jpg", "webp"} {
		for side, manifest := range map[int]bool{1: true, 513: false} {
			h := newHarness(t, func(k *nanobananatest.Knobs) {
				k.PictureFormat, k.Manifest, k.PictureSide = format, manifest, side
			})
			x := h.made(inStrips)
			img := x.Images[0]
			file, thumb := h.stored(media.Prefix(x.ID)+img.File), h.stored(media.Prefix(x.ID)+img.Thumbnail)
			if got := read(thumb, "-n", "-s3", "-a", "-XMP:all", "-validate"); got != task.Trained.URI()+"\n0 0 0" { // no errors, no warnings
				t.Errorf("%s of %d pixels: the thumbnail is marked %q", format, side, got)
			}
			// Debian's version does not look into a WebP's chunk, but prints it.
			if got := read(file, "-v3"); strings.Contains(got, "c2pa") != (img.C2PA == task.Present) {
				t.Errorf("%s, with a manifest %v: %s", format, manifest, got)
			}
		}
	}
}

// One input from outside makes a composite of a picture, and of all that are made from it.
func TestSourceType(t *testing.T) {
	h := newHarness(t)
	edit := func(entries ...string) *task.Task {
		return h.made(func(o *lifecycle.Order) { o.Request.ImageURLs = entries })
	}
	of := func(x *task.Task) string { return "task:" + x.ID + "/1" }
	linkOf := func(x *task.Task) string {
		return h.Settings.PublicURL + "/v1/images/" + x.ID + "/token/" + x.Images[0].File
	}
	older := func(x *task.Task) *task.Task { // as an older release stored it
		x, err := task.Update(t.Context(), h.Rows, x, func(x *task.Task) error {
			x.SourceType = ""
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	words := h.made()
	upload := edit("upload:" + h.uploaded())
	kept := upload.Inputs[0]
	for _, file := range []string{kept.File, kept.Thumbnail} {
		if got := marks(h.stored(media.Prefix(upload.ID) + file)); len(got) > 0 {
			t.Errorf("the copy of an upload is marked %q", got)
		}
	}
	link := h.submit(func(o *lifecycle.Order) { o.Request.ImageURLs = []string{of(words), "https://example.com/a.png"} })
	if link.SourceType != task.Composite {
		t.Errorf("of a link from outside the row has %q", link.SourceType)
	}
	for name, tt := range map[string]struct {
		made *task.Task
		want task.SourceType
	}{
		"words":                               {words, task.Trained},
		"an upload":                           {upload, task.Composite},
		"a picture from words":                {edit(of(words)), task.Trained},
		"its link":                            {edit(linkOf(words)), task.Trained},
		"an edit of that":                     {edit(of(edit(of(words)))), task.Trained},
		"a picture from words, and an upload": {edit(of(words), "upload:"+h.uploaded()), task.Composite},
		"a picture from an upload":            {edit(of(upload)), task.Composite},
		"the kept copy of an upload":          {edit(h.Settings.PublicURL + "/v1/images/" + upload.ID + "/token/" + kept.File), task.Composite},
		"its link, and a picture from words":  {edit(of(words), linkOf(upload)), task.Composite},
		"an edit of an edit of an upload":     {edit(of(edit(of(upload)))), task.Composite},
		"an older picture from words":         {edit(of(older(h.made()))), task.Trained},
		"an older edit of an upload":          {edit(of(older(edit("upload:" + h.uploaded())))), task.Composite},
		"an older edit of a picture of ours":  {edit(of(older(edit(of(words))))), task.Trained},
	} {
		t.Run(name, func(t *testing.T) {
			thumb := h.stored(media.Prefix(tt.made.ID) + tt.made.Images[0].Thumbnail)
			if got := marks(thumb); tt.made.SourceType != tt.want || len(got) != 1 || got[0] != tt.want.URI() {
				t.Errorf("the row has %q, the thumbnail %q; want %q", tt.made.SourceType, got, tt.want)
			}
		})
	}
}

// A task of an older release that is still running is judged when its pictures come.
func TestSourceTypeOfATaskThatWasRunning(t *testing.T) {
	h := newHarness(t)
	got, _ := h.storing(func(o *lifecycle.Order) { o.Request.ImageURLs = []string{"upload:" + h.uploaded()} })
	if _, err := task.Update(t.Context(), h.Rows, got, func(x *task.Task) error {
		x.SourceType = ""
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	end := h.until(got.ID, task.Succeeded, time.Hour)
	if thumb := marks(h.stored(media.Prefix(end.ID) + end.Images[0].Thumbnail)); len(thumb) != 1 || thumb[0] != task.Composite.URI() {
		t.Errorf("the thumbnail is marked %q", thumb)
	}
}
