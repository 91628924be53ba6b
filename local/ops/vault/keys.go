package vault

import (
	"crypto/rand"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/preset/nanobanana-functions/shared/config"
)

// Kind is what a key signs. It is a word of the commands.
type Kind string

// The kinds of keys.
const (
	Callback Kind = "callback" // the addresses that the provider calls back
	Image    Kind = "image"    // picture links, which are for good
	Notify   Kind = "notify"   // notices to Preset; all keys sign
)

// Kinds are all kinds, in the order in which they are listed.
var Kinds = []Kind{Callback, Image, Notify}

// ParseKind returns the kind of that name.
func ParseKind(name string) (Kind, error) {
	if k := Kind(name); slices.Contains(Kinds, k) {
		return k, nil
	}
	return "", fmt.Errorf("%q is no kind of key: name callback, image or notify", name)
}

// list is the member of the secret.
func (k Kind) list() string { return string(k) + "Keys" }

const (
	personalTokens = "personalTokens"
	serviceTokens  = "serviceTokens"
)

// lists are the members of the secret that are lists of objects.
var lists = []string{Callback.list(), Image.list(), Notify.list(), personalTokens, serviceTokens}

// When a key came and when it ceased to sign stands beside it. The functions ignore
// these members. The time of the secret's version would not do: any other change of
// the secret makes a new version.
const (
	addedAt   = "addedAt"
	retiredAt = "retiredAt"
)

const (
	// SpreadAfter is when every running process has the secret of now: it keeps what it
	// read for config.SecretTTL. The rest is for clocks and for the request itself.
	SpreadAfter = config.SecretTTL + time.Minute
	// SpentAfter is when no callback can come to an address that a key signed last: a
	// task is unconfirmed for 2 h and generating for 24 h at most. The rest is for
	// processes that still had the key, and for callbacks under way.
	SpentAfter = 27 * time.Hour
)

// A Key is what may be shown of a key.
type Key struct {
	ID        string    `json:"id"`
	Signs     bool      `json:"signs"`
	Next      bool      `json:"next,omitempty"` // will sign when the rotation goes on
	AddedAt   time.Time `json:"addedAt,omitzero"`
	RetiredAt time.Time `json:"retiredAt,omitzero"`
}

// Keys returns what may be shown of the keys of a kind, in their order.
func (d *Document) Keys(kind Kind) []Key {
	var keys []Key
	for i, e := range d.list(kind.list()) {
		k := Key{ID: e.text("id"), Signs: i == 0 || kind == Notify, AddedAt: e.time(addedAt), RetiredAt: e.time(retiredAt)}
		k.Next = !k.Signs && isNext(e)
		keys = append(keys, k)
	}
	return keys
}

// isNext reports whether a rotation has added e and not yet made it the first.
func isNext(e object) bool { return !e.time(addedAt).IsZero() && e.time(retiredAt).IsZero() }

// HasAPIKey reports whether the provider's key is set.
func (d *Document) HasAPIKey() bool { return d.members.text("apiKey") != "" }

// SetAPIKey sets the provider's key.
func (d *Document) SetAPIKey(key string) { d.members.setText("apiKey", key) }

// Rotated is what a step of a rotation did.
type Rotated struct {
	Kind  Kind      `json:"kind"`
	New   string    `json:"new"`   // id of the new key
	Old   string    `json:"old"`   // id of the key that signed before
	Signs bool      `json:"signs"` // the new key signs from now on
	Until time.Time `json:"until"` // what comes next may be done from then on
}

// Rotate does the next step of replacing the key that signs: the first adds a new key,
// which verifies as soon as all processes have it; then the second, not before
// SpreadAfter, makes it sign.
func (d *Document) Rotate(kind Kind, now time.Time) (Rotated, error) {
	entries := d.list(kind.list())
	if len(entries) > 0 {
		if i := 1 + slices.IndexFunc(entries[1:], isNext); i > 0 {
			return d.promote(kind, entries, i, now)
		}
	}
	made, r := newKey(kind, entries, now), Rotated{Kind: kind, Until: now.Add(SpreadAfter), Signs: kind == Notify}
	if len(entries) > 0 {
		r.Old = entries[0].text("id")
	}
	r.New = made.text("id")
	d.setList(kind.list(), slices.Insert(entries, min(1, len(entries)), made))
	return r, nil
}

// promote makes entry i the first.
func (d *Document) promote(kind Kind, entries []object, i int, now time.Time) (Rotated, error) {
	next, old := entries[i], entries[0]
	r := Rotated{Kind: kind, New: next.text("id"), Old: old.text("id"), Signs: true, Until: now.Add(SpentAfter)}
	if kind == Notify {
		return r, fmt.Errorf("nothing was changed: the notify key %s was added on %s and signs already, as all notify keys do. When the receiver has it, run: key remove notify %s",
			r.New, stamp(next.time(addedAt)), r.Old)
	}
	if ready := next.time(addedAt).Add(SpreadAfter); now.Before(ready) {
		return r, fmt.Errorf("nothing was changed: the %s key %s was added on %s, and running processes know it from %s on. Run this again then",
			kind, r.New, stamp(next.time(addedAt)), stamp(ready))
	}
	old.setText(retiredAt, stamp(now))
	entries = slices.Delete(entries, i, i+1)
	entries[0] = old
	d.setList(kind.list(), slices.Insert(entries, 0, next))
	return r, nil
}

func stamp(at time.Time) string { return at.UTC().Format(time.RFC3339) }

// newKey makes a key with an id of its own.
func newKey(kind Kind, beside []object, now time.Time) object {
	number := len(beside) + 1
	for _, e := range beside {
		if n, err := strconv.Atoi(e.text("id")); err == nil && n < 1e6 {
			number = max(number, n+1)
		}
	}
	key := rand.Text() + rand.Text() // 52 letters and digits: also valid base64, as receivers of notices want
	var e object
	e.setText("id", strconv.Itoa(number))
	e.setText("key", key)
	e.setText(addedAt, stamp(now))
	return e
}

// Remove removes a key that is no longer needed, and refuses every other. Whether a
// receiver of notices can do without a notify key is the caller's to find out.
func (d *Document) Remove(kind Kind, id string, v Version) error {
	if kind == Image {
		return fmt.Errorf("nothing was changed: an image key is never removed. Picture links do not expire, and those that it signed would stop to work. %s", rotateHint(kind))
	}
	entries := d.list(kind.list())
	i := slices.IndexFunc(entries, func(e object) bool { return e.text("id") == id })
	switch {
	case i < 0:
		return fmt.Errorf("nothing was changed: there is no %s key %q, only %s", kind, id, ids(entries))
	case len(entries) == 1:
		return fmt.Errorf("nothing was changed: %s is the only %s key. %s", id, kind, rotateHint(kind))
	case kind == Callback && i == 0:
		return fmt.Errorf("nothing was changed: the callback key %s signs. %s", id, rotateHint(kind))
	}
	if err := removable(kind, entries, i, v); err != nil {
		return err
	}
	d.setList(kind.list(), slices.Delete(entries, i, i+1))
	return nil
}

func rotateHint(kind Kind) string { return fmt.Sprintf("To replace it, run: key rotate %s", kind) }

// removable reports whether the time has come to remove entry i.
func removable(kind Kind, entries []object, i int, v Version) error {
	e := entries[i]
	switch {
	case kind == Callback && isNext(e): // it has signed nothing
		return nil
	case kind == Callback:
		retired := e.time(retiredAt)
		if retired.IsZero() { // replaced by hand, at the latest when the current version was made
			retired = v.Created
		}
		if ready := retired.Add(SpentAfter); v.ReadAt.Before(ready) {
			return fmt.Errorf("nothing was changed: the callback key %s may have signed until %s, and such a task can take a day. Run this again from %s on",
				e.text("id"), stamp(retired), stamp(ready))
		}
		return nil
	}
	var ready time.Time // when one of the others is known everywhere
	for j, other := range entries {
		if known := other.time(addedAt).Add(SpreadAfter); j != i && (ready.IsZero() || known.Before(ready)) {
			ready = known
		}
	}
	if v.ReadAt.Before(ready) {
		return fmt.Errorf("nothing was changed: running processes sign with the other notify key from %s on. Run this again then", stamp(ready))
	}
	return nil
}

func ids(entries []object) string {
	var all []string
	for _, e := range entries {
		all = append(all, e.text("id"))
	}
	if len(all) == 0 {
		return "none"
	}
	return strings.Join(all, ", ")
}
