package vault

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/auth/token"
	"github.com/preset/nanobanana-functions/shared/config"
)

var noon = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

const twoOfEach = `{"callbackKeys":[{"id":"1","key":"callback-key-that-nobody-sees"}],"imageKeys":[{"id":"old","key":"image-key-that-nobody-may-see"}],
"notifyKeys":[{"id":"1","key":"notify1key1that1nobody1may1see1x"}]}`

func parse(t *testing.T, value string) *Document {
	t.Helper()
	d, err := Parse([]byte(value))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// order returns the ids of a kind in their order.
func order(d *Document, kind Kind) string {
	var ids []string
	for _, k := range d.Keys(kind) {
		ids = append(ids, k.ID)
	}
	return strings.Join(ids, " ")
}

func refused(t *testing.T, err error, says string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), "nothing was changed") || !strings.Contains(err.Error(), says) {
		t.Errorf("got %v, want a refusal that says %q", err, says)
	}
}

// The whole way of a callback key: what each process may have in memory verifies what
// each other may sign, at every moment.
func TestRotateCallback(t *testing.T) {
	d := parse(t, twoOfEach)
	first, err := d.Rotate(Callback, noon)
	if err != nil || first != (Rotated{Kind: Callback, New: "2", Old: "1", Until: noon.Add(6 * time.Minute)}) || order(d, Callback) != "1 2" {
		t.Fatalf("the first step: %+v, %v, %s", first, err, order(d, Callback))
	}
	_, err = d.Rotate(Callback, noon.Add(6*time.Minute-time.Second))
	refused(t, err, "from 2026-11-29T12:06:00Z on")
	// Another change of the secret does not begin the wait again.
	if err := d.AddService(token.ServiceToken{ID: "preset", Hash: strings.Repeat("0", 64)}); err != nil {
		t.Fatal(err)
	}
	refused(t, d.Remove(Callback, "1", Version{ReadAt: noon}), "the callback key 1 signs")
	second, err := d.Rotate(Callback, noon.Add(6*time.Minute))
	if err != nil || !second.Signs || second.New != "2" || order(d, Callback) != "2 1" {
		t.Fatalf("the second step: %+v, %v, %s", second, err, order(d, Callback))
	}
	if keys := d.Keys(Callback); !keys[0].Signs || keys[0].Next || keys[1].Signs || keys[1].Next || keys[1].RetiredAt != noon.Add(6*time.Minute) {
		t.Errorf("%+v", keys)
	}
	refused(t, d.Remove(Callback, "1", Version{ReadAt: noon.Add(27 * time.Hour)}), "from 2026-11-30T15:06:00Z on")
	if err := d.Remove(Callback, "1", Version{ReadAt: second.Until}); err != nil || order(d, Callback) != "2" {
		t.Errorf("removing: %v, %s", err, order(d, Callback))
	}
	refused(t, d.Remove(Callback, "2", Version{ReadAt: noon.Add(100 * time.Hour)}), "the only callback key")
	if third, err := d.Rotate(Callback, noon.Add(time.Hour)); err != nil || third.New != "3" || order(d, Callback) != "2 3" {
		t.Errorf("the next rotation: %+v, %v", third, err)
	}
	if err := d.Remove(Callback, "3", Version{ReadAt: noon.Add(time.Hour)}); err != nil {
		t.Errorf("a key that never signed: %v", err)
	}
	if _, err := config.ParseSecret(d.Text()); err != nil {
		t.Error(err)
	}
}

// A list that was changed by hand has no times: the version's counts.
func TestRotatedByHand(t *testing.T) {
	d := parse(t, strings.Replace(twoOfEach, `"callbackKeys":[`, `"callbackKeys":[{"id":"new","key":"callback-key-two-nobody-sees"},`, 1))
	made := Version{Created: noon, ReadAt: noon.Add(27*time.Hour - time.Second)}
	refused(t, d.Remove(Callback, "1", made), "2026-11-30T15:00:00Z")
	made.ReadAt = noon.Add(27 * time.Hour)
	if err := d.Remove(Callback, "1", made); err != nil {
		t.Error(err)
	}
	if r, err := d.Rotate(Callback, noon); err != nil || r.New != "2" || r.Old != "new" {
		t.Errorf("%+v, %v", r, err)
	}
}

// Picture links are for good, and so are the keys that signed them.
func TestImageKeyIsNeverRemoved(t *testing.T) {
	d := parse(t, twoOfEach)
	old := d.Text()
	signed := func(value []byte) token.Keys {
		s, err := config.ParseSecret(value)
		if err != nil {
			t.Fatal(err)
		}
		return s.ImageKeys
	}
	link := signed(old).Sign("image|id|1.png")
	for i, now := range []time.Time{noon, noon.Add(time.Hour)} {
		if _, err := d.Rotate(Image, now); err != nil {
			t.Fatal(err)
		}
		if !signed(d.Text()).Verify("image|id|1.png", link) {
			t.Errorf("after step %d the link is dead", i+1)
		}
	}
	if order(d, Image) != "2 old" {
		t.Errorf("the order is %s", order(d, Image))
	}
	for _, id := range []string{"old", "2", "none"} {
		refused(t, d.Remove(Image, id, Version{ReadAt: noon.Add(10_000 * time.Hour)}), "never removed")
	}
}

func TestRotateNotify(t *testing.T) {
	d := parse(t, twoOfEach)
	r, err := d.Rotate(Notify, noon)
	if err != nil || !r.Signs || order(d, Notify) != "1 2" {
		t.Fatalf("%+v, %v", r, err)
	}
	for _, k := range d.Keys(Notify) {
		if !k.Signs {
			t.Errorf("%s does not sign", k.ID)
		}
	}
	_, err = d.Rotate(Notify, noon.Add(time.Hour))
	refused(t, err, "key remove notify 1")
	refused(t, d.Remove(Notify, "1", Version{ReadAt: noon.Add(time.Minute)}), "from 2026-11-29T12:06:00Z on")
	if err := d.Remove(Notify, "1", Version{ReadAt: noon.Add(6 * time.Minute)}); err != nil || order(d, Notify) != "2" {
		t.Errorf("%v, %s", err, order(d, Notify))
	}
	refused(t, d.Remove(Notify, "2", Version{ReadAt: noon.Add(time.Hour)}), "the only notify key")
	// Where there is none, a first one is made.
	empty := parse(t, `{"notifyKeys":[]}`)
	if r, err := empty.Rotate(Notify, noon); err != nil || r.New != "1" || r.Old != "" {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestTokens(t *testing.T) {
	d := parse(t, twoOfEach)
	_, personal := token.NewPersonalToken("ada", "laptop")
	_, service := token.NewServiceToken("laptop")
	if err := d.AddPersonal(personal); err != nil {
		t.Fatal(err)
	}
	refused(t, d.AddPersonal(personal), "another ID")
	if err := d.AddService(service); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(d.Tokens()); got != "[{personal laptop ada} {service laptop }]" {
		t.Errorf("tokens: %s", got)
	}
	if s, err := config.ParseSecret(d.Text()); err != nil || len(s.PersonalTokens) != 1 || len(s.ServiceTokens) != 1 {
		t.Errorf("%v", err)
	}
	_, err := d.Revoke("laptop", "")
	refused(t, err, "-kind")
	if gone, err := d.Revoke("laptop", Service); err != nil || gone.Kind != Service || len(d.Tokens()) != 1 {
		t.Errorf("%+v, %v", gone, err)
	}
	if gone, err := d.Revoke("laptop", ""); err != nil || gone.Owner != "ada" || len(d.Tokens()) != 0 {
		t.Errorf("%+v, %v", gone, err)
	}
	_, err = d.Revoke("laptop", "")
	refused(t, err, "token list")
}

func TestParseRefuses(t *testing.T) {
	for _, value := range []string{"", "null", "[]", `"x"`, `{} {}`, `{"a":1,"a":2}`, `{"a":}`, `{"callbackKeys":{}}`, `{"imageKeys":[1]}`, `{"a":1`} {
		if _, err := Parse([]byte(value)); err == nil || strings.Contains(err.Error(), `"a"`) {
			t.Errorf("%s: %v", value, err)
		}
	}
}

func FuzzDocument(f *testing.F) {
	f.Add(twoOfEach)
	f.Add(`{"a":[1e5,"\u0000"],"b":{"callbackKeys":[]},"serviceTokens":[{"id":"ü\n"}]}`)
	f.Fuzz(func(t *testing.T, value string) {
		d, err := Parse([]byte(value))
		if err != nil {
			return
		}
		again, err := Parse(d.Text())
		if err != nil || string(again.Text()) != string(d.Text()) {
			t.Fatalf("%s: %v, then %s", d.Text(), err, again.Text())
		}
		if _, err := d.Rotate(Callback, noon); err == nil {
			if _, err := Parse(d.Text()); err != nil {
				t.Errorf("after a rotation: %v", err)
			}
		}
	})
}
