package lifecycle_test

import (
	"testing"

	"github.com/preset/nanobanana-functions/shared/lifecycle"
	"github.com/preset/nanobanana-functions/shared/task"
)

// Two links of one record with the same bytes are one picture, recorded once.
// The other is missing, and nobody waits for it.
func TestTwoLinksWithTheSameBytes(t *testing.T) {
	w := newWorld(t)
	got, made := w.storing(func(o *lifecycle.Order) { o.Request.NumImages = 2 })
	_, err := task.Update(t.Context(), w.Rows, w.task(got.ID), func(x *task.Task) error {
		x.URLs = []string{made.URLs[0], made.URLs[0] + "?again"}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	w.work(got.ID)
	end := w.expect(got.ID, task.Succeeded, "")
	if len(end.Images) != 1 || end.Images[0].N != 1 || end.Missing != 1 {
		t.Errorf("images %+v, missing %d; want one picture, one missing", end.Images, end.Missing)
	}
	w.stored("tasks/" + got.ID + "/" + end.Images[0].File)
}
