package prooftest

import (
	"slices"
	"time"

	"github.com/preset/nanobanana-functions/shared/task"
)

// decidesNothing is the promise about another task's record.
const decidesNothing = "a stranger's record decides nothing"

// checkCause checks a change of status against what the record said: the record decides,
// and a callback alone counts only if the record could not be read, or used.
func (sim *simulation) checkCause(by *actor, old, new *task.Task) {
	known := old.Status == task.Generating || old.Status == task.Unconfirmed
	a := sim.ledger.attempt(new.ID, new.Attempt)
	o := sim.provider.byID(new.ProviderID)
	hint := sim.believed(by, old, new)
	invariant := "the record decides"
	if o != nil && by.read[o.id] == strange {
		invariant = decidesNothing
	}
	switch {
	case known && new.Status == task.Storing:
		for _, url := range new.URLs {
			shown := o != nil && o.shown[url]
			hinted := hint != nil && slices.Contains(hint.URLs, url) && sim.rules.ResultHosts(url)
			unstated := o != nil && o.unstated[url] && sim.unusableLong(new.ID)
			sim.count("a hint alone stores", hinted && !shown)
			sim.count("a record without a state stores", unstated && !shown && !hinted)
			if !shown && !hinted && !unstated {
				sim.violate(invariant, "%s is to store %s, which no record had", short(new.ID), url)
			}
		}
	case old.Status == task.Generating && (new.Failure == task.CodeTimedOut || new.Failure == task.CodeImageUnavailable):
		sim.checkExpiry(by, o, new)
	case new.Failure == task.CodeTimedOut, new.Failure == task.CodeOutcomeUnknown:
	case known && (new.Status == task.Failed || new.Status == task.Waiting):
		hinted := hint != nil && hint.Failure != "" && new.Status == task.Failed
		sim.count("a hint alone fails", hinted && (o == nil || !o.broken))
		unsent := a.tries == 0 && new.Status == task.Waiting
		if !(o != nil && o.broken) && !hinted && !a.refused && !unsent {
			sim.violate(invariant, "%s is %s, which no record said", short(new.ID), state(new))
		}
	}
	if new.Status == task.Succeeded {
		sim.checkImages(new)
		sim.checkDamaged(old, new)
	}
}

// believed returns the hint if it counts alone: the record must have been unreadable for
// long, and if an unusable one came, the order must certainly be the task's.
func (sim *simulation) believed(by *actor, old, new *task.Task) *task.Hint {
	h := old.Hint
	switch {
	case h == nil, !sim.unusableLong(new.ID):
		return nil
	case h.ProviderID != "" && h.ProviderID != new.ProviderID:
		return nil
	}
	o := sim.provider.byID(new.ProviderID)
	if o == nil || o.foreign {
		return h
	}
	last := o.lastOf(by)
	if doubtful := last == unusable || last == strange; doubtful && new.Charges[new.Attempt-1] != task.ChargeSure {
		return nil
	} else if doubtful {
		sim.count("a hint counts, its record being "+viewNames[last], true)
	}
	return h
}

// unusableLong reports whether a task's record could not be read, or used, for so long that
// a callback counts.
func (sim *simulation) unusableLong(id string) bool {
	since := sim.ledger.unusableSince[id]
	return !since.IsZero() && time.Since(since) > sim.rules.UnreadableAfter-2*skew
}

// checkExpiry checks the code of a task that ends at its deadline against its last record:
// a success whose pictures cannot be had, or not.
func (sim *simulation) checkExpiry(by *actor, o *order, t *task.Task) {
	if o == nil || o.foreign {
		return
	}
	if made := o.lastOf(by) == unusable; made != (t.Failure == task.CodeImageUnavailable) {
		sim.violate("the end's code is true", "%s is %s, and its last record was %s", short(t.ID), state(t), viewNames[o.lastOf(by)])
	}
}

// checkImages checks a success's pictures: I5.
func (sim *simulation) checkImages(t *task.Task) {
	h := sim.ledger.callbacksOf(t.ID)
	for _, image := range t.Images {
		o, url := sim.maker(image.SHA256)
		switch {
		case o == nil:
			sim.violate("I5", "%s has stored %s, which no order made", short(t.ID), image.File)
		case o == sim.ledger.maker(t).order:
		case h.foreignIDs[o.id] && (o.unreadable || o.anonymous || sim.keyless):
		case h.foreignURLs[lasting(url)] && sim.rules.ResultHosts(url):
		default:
			sim.violate("I5", "%s has stored %s, made for %s/%d", short(t.ID), url, short(o.task), o.attempt)
		}
	}
}

// checkSpares checks that links kept as stand-ins come from callbacks for the task's own
// order.
func (sim *simulation) checkSpares(old, new *task.Task) {
	h := sim.ledger.callbacksOf(new.ID)
	for _, url := range new.Spares {
		if slices.Contains(old.Spares, url) {
			continue
		}
		sim.count("a spare link is kept", true)
		if !h.links[new.ProviderID+" "+url] || !sim.rules.ResultHosts(url) {
			sim.violate("I5", "%s keeps %s, which no callback that counts named", short(new.ID), url)
		}
	}
}

// checkFetch checks that a download uses a link of the task's record, or, if one of those
// is dead and the record was read again, a link that a callback named.
func (sim *simulation) checkFetch(a *actor, url string) {
	t := a.found
	switch {
	case slices.Contains(t.URLs, url):
		return
	case slices.Contains(t.Spares, url) && a.failed > 0 && (!t.Reread.IsZero() || t.LastWake):
		sim.count("a spare link is tried", true)
		return
	}
	sim.violate("I5", "%s fetches %s, though its record was read again: %v, and %d downloads have failed", short(t.ID), url, !t.Reread.IsZero(), a.failed)
}

// maker returns the order that made a picture, and its URL.
func (sim *simulation) maker(sum string) (*order, string) {
	for _, o := range sim.provider.orders {
		for i, url := range o.urls() {
			all := picture(o.path(i + 1))
			if hexDigest(all) == sum || hexDigest(cutShort(all)) == sum {
				return o, url
			}
		}
	}
	return nil, ""
}

// checkDamaged checks that an incomplete picture is marked as damaged, and counts only
// after the last wake.
func (sim *simulation) checkDamaged(old, new *task.Task) {
	whole := map[string]bool{}
	for _, o := range sim.provider.orders {
		for i := range o.urls() {
			whole[hexDigest(picture(o.path(i+1)))] = true
		}
	}
	for n, i := range new.Images {
		sim.count("damaged in the end", i.Damaged)
		if i.N != n+1 || i.Damaged == whole[i.SHA256] || i.Damaged && !old.LastWake {
			sim.violate("I3", "%s has stored %+v", short(new.ID), i)
		}
	}
}
