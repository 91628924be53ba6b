package drilltest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/task"
)

// checkKept checks what must hold of a task that has ended: what was paid for is kept, in
// its own row or in a rescued one; nothing was paid twice; and Preset was told.
func (d *drill) checkKept(id string) {
	d.Helper()
	t, paid := d.Row(id), d.paid(id)
	switch {
	case t.Status == task.Succeeded && len(t.Images) == t.NumImages:
		d.checkPictures(id)
	case paid > 0:
		d.checkRescued(id)
	case t.Status != task.Failed || !slices.Contains(d.MayFail, t.Failure):
		d.Errorf("%s is %s, %s", id, t.Status, t.Failure)
	}
	if paid > 1 {
		d.Errorf("%s was paid %d times", id, paid)
	}
	if !slices.Contains(d.Preset().Told(id), "task."+string(t.Status)) {
		d.Errorf("Preset was not told that %s has %s: %q", id, t.Status, d.Preset().Told(id))
	}
}

// unpictured returns the tasks that have failed.
func (d *drill) unpictured() (ids []string) {
	for _, id := range d.ids {
		if d.Row(id).Status == task.Failed {
			ids = append(ids, id)
		}
	}
	return ids
}

// paid returns how many pictures of a task the provider has made.
func (d *drill) paid(id string) (n int) {
	for _, made := range d.Provider().Tasks() {
		if strings.Contains(made.CallbackURL, "/"+id+"/") && made.Flag == nanobananatest.FlagSucceeded {
			n++
		}
	}
	return n
}

// checkRescued checks that the pictures of a task that has failed are kept in another.
func (d *drill) checkRescued(id string) {
	d.Helper()
	rescued := ""
	d.await("lost: "+id+" is paid for, and is "+string(d.Row(id).Failure), time.Hour, func() bool {
		rescued = d.rescued(id)
		return rescued != ""
	})
	d.checkPictures(rescued)
}

// rescued returns the task that has the pictures of another, or "".
func (d *drill) rescued(id string) string {
	d.Helper()
	status, answer := d.Call(http.MethodGet, "/v1/tasks?limit=100", nil, "")
	var got struct {
		Tasks []struct{ ID, Status, RescuedFrom string }
	}
	if err := json.Unmarshal(answer, &got); err != nil || status != http.StatusOK {
		d.Fatalf("the list is answered %d, %v: %s", status, err, answer)
	}
	for _, x := range got.Tasks {
		if x.RescuedFrom == id && x.Status == string(task.Succeeded) {
			return x.ID
		}
	}
	return ""
}

// checkPictures checks that a task's links lead to its pictures.
func (d *drill) checkPictures(id string) {
	d.Helper()
	status, answer := d.Call(http.MethodGet, "/v1/tasks/"+id, nil, "")
	var got struct {
		Images []struct{ URL, SHA256 string }
	}
	if err := json.Unmarshal(answer, &got); err != nil || status != http.StatusOK || len(got.Images) == 0 {
		d.Errorf("%s is answered %d, %v: %s", id, status, err, answer)
	}
	for _, p := range got.Images {
		if sum := sha256.Sum256(d.Get(p.URL)); hex.EncodeToString(sum[:]) != p.SHA256 {
			d.Errorf("%s has another picture", id)
		}
	}
}

// checkRefused checks that orders were refused for the fault's reason and for no other.
func (d *drill) checkRefused() {
	d.Helper()
	want := string(d.scenario.Refused)
	for _, code := range d.refused {
		if code != want {
			d.Errorf("an order was refused as %s, want %s", code, want)
		}
	}
	if want != "" && len(d.refused) == 0 {
		d.Errorf("no order was refused as %s", want)
	}
}
