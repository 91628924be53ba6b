package task

import (
	"fmt"
	"slices"
	"sort"
	"time"
)

// Message is what the write of a row asks a stream consumer to do: a Work, or Notify.
type Message string

// Notify asks to send the notice that is pending.
const Notify Message = "notify"

// Messages returns what the write of this row asks for. Consumers do not wait for one
// another: each writes the row when it is done, and the others may be asked once more.
func (t *Task) Messages() (all []Message) {
	if t.Work != "" {
		all = append(all, Message(t.Work))
	}
	if t.Notice != "" {
		all = append(all, Notify)
	}
	return all
}

// setWork hands the task to a stream consumer, until the deadline it has. The write of
// the row is the message; see docs/decisions/streams.md.
func (t *Task) setWork(w Work, now time.Time) {
	t.Work, t.Turn = w, Turn{Deadline: t.Deadline}
	t.hand(now, workPace)
}

// Wake hands the task's work, its notice, or both, to the consumer again, as they are
// due. At the deadline it does so for the last time; what is not done after that wake is
// given up. The result links of a Storing task may have expired, so the wake may claim a
// read of its record: ok reports that it did.
func (t *Task) Wake(r Rules, now time.Time) (c Claim, ok bool, err error) {
	now = stamp(now)
	if t.Next(now) != NextWake {
		return Claim{}, false, nil
	}
	if t.NoticeTurn.due(now) {
		t.wakeNotice(now)
	}
	if !t.Turn.due(now) {
		return Claim{}, false, nil
	}
	if !t.Turn.wake(now, workPace) {
		return Claim{}, false, t.giveUp(r, now)
	}
	if t.Status == Storing {
		t.Work = Ingest // Salvage may have cleared it
	}
	if t.Status == Storing && !t.earliestRead(r, now).After(now) {
		return t.newClaim(now), true, nil
	}
	return Claim{}, false, nil
}

// giveUp ends a Storing task with the pictures that came, if any. An erase has no
// deadline.
func (t *Task) giveUp(r Rules, now time.Time) error {
	if salvaged := t.bestImages(nil); len(salvaged) > 0 {
		return t.succeed(r, byDeadline, now, salvaged)
	}
	return t.fail(r, byDeadline, CodeImageUnavailable, now)
}

// expectedImages returns how many pictures there can be: one for each URL. After a
// short record there may be more URLs than pictures: a later record may have had fresh
// links, and the old ones are dead or lead to the same bytes.
func (t *Task) expectedImages() int {
	if t.ShortAt.IsZero() {
		return len(t.URLs)
	}
	return min(len(t.URLs), t.NumImages)
}

// Complete reports whether images is complete: one per URL, or as many distinct
// pictures as can be expected. Damaged ones do not count.
func (t *Task) Complete(images []Image) bool {
	sound := undamaged(images)
	return len(sound) >= len(t.URLs) || len(distinct(sound)) >= t.expectedImages()
}

func undamaged(images []Image) []Image {
	return slices.DeleteFunc(slices.Clone(images), func(i Image) bool { return i.Damaged })
}

// distinct returns images without repeated pictures.
func distinct(images []Image) (all []Image) {
	for _, i := range images {
		if !slices.ContainsFunc(all, func(x Image) bool { return x.SHA256 == i.SHA256 }) {
			all = append(all, i)
		}
	}
	return all
}

// DropLinks drops links, which turned out to lead to no picture, if they were guesses
// and there is a picture without them.
func (t *Task) DropLinks(links []string, images []Image) {
	if t.Guessed && len(undamaged(images)) > 0 {
		t.URLs = slices.DeleteFunc(slices.Clone(t.URLs), func(u string) bool { return slices.Contains(links, u) })
	}
}

// SalvagedImage returns the sound picture that was salvaged from link n, counted from
// 1, if there is one.
func (t *Task) SalvagedImage(n int) (i Image, ok bool) {
	at := slices.IndexFunc(t.Salvaged, func(i Image) bool { return i.N == n && !i.Damaged })
	if at < 0 {
		return Image{}, false
	}
	return t.Salvaged[at], true
}

// Salvage keeps images, by the number of their link, until the last wake: a link may
// expire before the other pictures are there, and no better copy of a damaged picture
// may come. It clears Work, so that the write does not hand the task to ingest again;
// the sweep does so when it is due.
func (t *Task) Salvage(images []Image) {
	if t.Status != Storing || t.LastWake {
		return
	}
	for _, i := range images {
		at := slices.IndexFunc(t.Salvaged, func(x Image) bool { return x.N == i.N })
		switch {
		case at < 0:
			t.Salvaged = append(t.Salvaged, i)
		case t.Salvaged[at].Damaged && !i.Damaged:
			t.Salvaged[at] = i
		default:
			continue
		}
		t.Work = ""
	}
}

// Stored ends the task with images, one for each URL that led to a picture. They must
// be complete, except after the last wake: then salvaged and damaged pictures fill the
// gaps.
func (t *Task) Stored(r Rules, now time.Time, images []Image) error {
	now = stamp(now)
	if t.Status != Storing {
		return nil
	}
	best := t.bestImages(images)
	if len(best) == 0 || !t.Complete(images) && !t.LastWake {
		return fmt.Errorf("%w: only %d of %d images", errUnlawful, len(images), len(t.URLs))
	}
	return t.succeed(r, byIngest, now, best)
}

// KeepInputs notes copies of the owner's uploads, for the write that ends the task with
// its pictures.
func (t *Task) KeepInputs(copies []Input) {
	if t.Status == Storing {
		t.Inputs = copies
	}
}

// succeed ends the task with pictures.
func (t *Task) succeed(r Rules, by event, now time.Time, images []Image) error {
	return t.finish(r, by, Succeeded, now, func() {
		t.Images = images
		t.Missing = max(0, t.NumImages-len(t.Images))
	})
}

// bestImages returns the pictures that the task ends with, in the order of their links
// and numbered from 1.
func (t *Task) bestImages(images []Image) []Image {
	best := distinct(undamaged(images))
	if !t.Complete(images) {
		got := func(n int) bool { return slices.ContainsFunc(best, func(i Image) bool { return i.N == n }) }
		broken := slices.DeleteFunc(slices.Concat(images, t.Salvaged), func(i Image) bool { return !i.Damaged })
		sort.SliceStable(broken, func(i, j int) bool { return broken[i].Bytes > broken[j].Bytes }) // the longer, the better
		for _, i := range slices.Concat(undamaged(t.Salvaged), broken) {
			if len(best) < t.expectedImages() && !got(i.N) {
				best = distinct(append(best, i))
			}
		}
	}
	sort.SliceStable(best, func(i, j int) bool { return best[i].N < best[j].N }) // slices' generic sort is 7 KB of code for a type of this size
	for i := range best {
		best[i].N = i + 1
	}
	return best
}
