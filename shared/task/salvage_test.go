package task

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

func damaged(n int, bytes int64) Image {
	return Image{N: n, File: "damaged.png", SHA256: fmt.Sprint("damaged ", n, " ", bytes), Bytes: bytes, Damaged: true}
}

// Pictures are kept until all are there. The write that keeps them is no work for ingest
// (P4); the sweep wakes the task again.
func TestSalvageKeepsPictures(t *testing.T) {
	sound := pictures(3)
	h := in(t, Storing, images(3))
	due, tries := h.DueAt, h.Tries
	h.after(time.Second).Salvage([]Image{sound[0], damaged(2, 5)})
	h.must(nil)
	equal(t, "salvaged", h.Salvaged, []Image{sound[0], damaged(2, 5)})
	for n, want := range []Image{sound[0], {}, {}} {
		got, ok := h.SalvagedImage(n + 1)
		equal(t, "kept", got, want)
		equal(t, "is kept", ok, n == 0)
	}
	equal(t, "work, P4", h.Work, "")
	equal(t, "due", h.DueAt, due)
	unchanged(t, h, func() { h.Salvage([]Image{sound[0], damaged(2, 7)}) })
	unchanged(t, h, func() { h.Salvage([]Image{damaged(1, 7), damaged(2, 7)}) })
	unchanged(t, h, func() { h.wake() })
	equal(t, "next", h.Next(due), NextWake)
	h.now = due
	c, ok, err := h.Wake(h.r, h.now)
	h.must(err)
	equal(t, "work after a wake", h.Work, Ingest)
	equal(t, "tries after a wake", h.Tries, tries+1)

	h.Salvage([]Image{sound[1]})
	equal(t, "a sound picture replaces a damaged one", h.Salvaged, []Image{sound[0], sound[1]})
	equal(t, "work", h.Work, "")
	if !ok {
		t.Fatal("the wake claimed no read")
	}
	h.applyRecord(c, Record{State: RecordMade, URLs: []string{good + "?fresh", good2 + "?fresh", good}})
	equal(t, "work with fresh links", h.Work, Ingest)

	for name, h := range map[string]*history{"ended": in(t, Succeeded), "after the last wake": in(t, Storing).after(72 * time.Hour).wake()} {
		unchanged(t, h, func() { h.Salvage([]Image{damaged(1, 5)}) })
		equal(t, name, h.Salvaged, nil)
	}
	equal(t, "after the end", h.stored(sound...).Salvaged, nil)
}

// The consumer of the last wake may die while salvaged pictures are in the bucket.
func TestSalvagedPicturesAreNotGivenUp(t *testing.T) {
	h := in(t, Storing, images(2))
	h.Salvage([]Image{damaged(2, 5)})
	h.must(nil).after(72 * time.Hour).wake()
	equal(t, "at the last wake", h.Status, Storing)
	h.now = h.Deadline
	h.wake()
	equal(t, "after it", h.Status, Succeeded)
	want := damaged(2, 5)
	want.N = 1
	equal(t, "images", h.Images, []Image{want})
	equal(t, "missing", h.Missing, 1)
	equal(t, "due", h.DueAt, time.Time{})
}

func TestStoredUsesDamagedPicturesAtTheLastWake(t *testing.T) {
	sound := pictures(2)
	salvaged := func(n int, salvaged ...Image) *history {
		h := in(t, Storing, images(n))
		h.Salvage(salvaged)
		return h.must(nil)
	}
	h := salvaged(2, damaged(2, 5))
	unchanged(t, h, func() {
		for _, got := range [][]Image{nil, sound[:1], {sound[0], damaged(2, 5)}, {damaged(1, 5), damaged(2, 5)}} {
			if err := h.Stored(h.r, h.now, got); !errors.Is(err, errUnlawful) {
				t.Errorf("%d images before the last wake: %v", len(got), err)
			}
		}
	})
	last := func(h *history, got ...Image) (files []string) {
		h.after(72 * time.Hour).wake().after(time.Second).stored(got...)
		equal(t, "status", h.Status, Succeeded)
		for i, x := range h.Images {
			equal(t, "n", x.N, i+1)
			files = append(files, x.SHA256)
		}
		equal(t, "missing", h.Missing, h.NumImages-len(files))
		return files
	}
	d := func(n int, bytes int64) string { return damaged(n, bytes).SHA256 }
	equal(t, "the link is dead", last(salvaged(1, damaged(1, 5))), []string{d(1, 5)})
	equal(t, "one sound", last(salvaged(2, damaged(1, 5)), sound[1]), []string{d(1, 5), sound[1].SHA256})
	equal(t, "all sound", last(salvaged(2, damaged(1, 5)), sound...), []string{sound[0].SHA256, sound[1].SHA256})
	equal(t, "longer now", last(salvaged(1, damaged(1, 5)), damaged(1, 9)), []string{d(1, 9)})
	equal(t, "shorter now", last(salvaged(1, damaged(1, 5)), damaged(1, 2)), []string{d(1, 5)})
	equal(t, "one of three", last(salvaged(3, damaged(2, 5))), []string{d(2, 5)})
	equal(t, "a sound one from before", last(salvaged(3, damaged(2, 5), sound[0]), damaged(1, 9)), []string{sound[0].SHA256, d(2, 5)})
	equal(t, "the same one", last(salvaged(2, sound[0]), Image{N: 2, SHA256: sound[0].SHA256}), []string{sound[0].SHA256})

	h = in(t, Generating, images(2)).after(90 * time.Second).read(made).after(time.Minute)
	h.read(Record{State: RecordMade, URLs: []string{good + "?fresh", good2 + "?fresh"}})
	fresh := pictures(3)
	equal(t, "no more than requested", last(h, damaged(1, 5), damaged(2, 6), fresh[2]), []string{d(2, 6), fresh[2].SHA256})
}

func TestDropLinksDropsWrongGuesses(t *testing.T) {
	h := in(t, Storing, images(2))
	unchanged(t, h, func() { h.DropLinks([]string{good2}, pictures(1)) })
	h.Guessed = true
	unchanged(t, h, func() { h.DropLinks([]string{good2}, nil) })
	unchanged(t, h, func() { h.DropLinks([]string{good2}, []Image{damaged(1, 5)}) })
	unchanged(t, h, func() { h.DropLinks(nil, pictures(1)) })
	h.DropLinks([]string{good2}, pictures(1))
	equal(t, "urls", h.URLs, []string{good})
	equal(t, "missing", h.stored(pictures(1)...).Missing, 1)
}

// Two links with the same bytes are one picture. The task does not wait for another one,
// because each link was tried; the second counts as missing.
func TestTwoLinksWithTheSameBytesAreOnePicture(t *testing.T) {
	all := pictures(3)
	all[1].SHA256 = all[0].SHA256
	h := in(t, Storing, images(3)).after(time.Second)
	equal(t, "complete", h.Complete(all), true)
	h.stored(all...)
	equal(t, "status", h.Status, Succeeded)
	equal(t, "pictures", len(h.Images), 2)
	equal(t, "missing", h.Missing, 1)

	late := in(t, Storing, images(3)).after(72 * time.Hour).wake().stored(all[:2]...)
	equal(t, "pictures after the last wake with one dead link", len(late.Images), 1)
	equal(t, "missing after the last wake", late.Missing, 2)
}
