package taskbolt

import (
	"context"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/preset/nanobanana-functions/shared/task"
)

// A file as the release before this one left it: one task's notice was work, with its
// record in the stream, and another's waited for the erase. Both are told, and nothing
// stays in the index.
func TestAnOlderFilesNotices(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "tasks.db"))
	due := start.Add(time.Minute)
	rows := map[string]string{
		"sent":   `"work":"notify","tries":2,"deadline":"2026-03-17T12:00:00Z"`,
		"erased": `"work":"erase","noticePending":true,"tries":2,"deletedAt":"2026-03-14T12:00:00Z"`,
	}
	err := s.write(t.Context(), func(tx *bbolt.Tx) error {
		for id, members := range rows {
			row := `{"id":"` + id + `","owner":"ada","schema":1,"version":5,"writer":"w","status":"succeeded","charges":["sure"],"attempt":1,
				"createdAt":"2026-03-14T11:00:00Z","endedAt":"2026-03-14T12:00:00Z","dueAt":"2026-03-14T12:01:00Z",` + members + `}`
			if err := tx.Bucket(bucketTasks).Put([]byte(id), []byte(row)); err != nil {
				return err
			}
			if err := tx.Bucket(bucketDue).Put([]byte(stampedID(due, id)), nil); err != nil {
				return err
			}
		}
		b, err := tx.Bucket(bucketStream).CreateBucketIfNotExists([]byte("notify"))
		if err != nil {
			return err
		}
		seq, err := b.NextSequence()
		if err != nil {
			return err
		}
		return b.Put(encodeInt(int64(seq)), []byte("sent"))
	})
	if err != nil {
		t.Fatal(err)
	}
	ids := func(at time.Time) (ids []string) {
		for id, err := range s.Due(t.Context(), at) {
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, id)
		}
		return ids
	}
	update := func(id string, change func(*task.Task) error) {
		t.Helper()
		x, err := s.Task(t.Context(), id)
		if err == nil {
			_, err = task.Update(t.Context(), s, x, change)
		}
		if err != nil {
			t.Fatalf("%s: %v", id, err)
		}
	}
	if got := ids(due); !slices.Equal(got, []string{"erased", "sent"}) {
		t.Fatalf("due: %v", got)
	}
	update("erased", func(x *task.Task) error { _, _, err := x.Wake(task.DefaultRules(), due); return err })

	ctx, cancel := context.WithCancel(t.Context())
	var told []string
	err = s.Consume(ctx, task.Notify, 1, func(_ context.Context, c Change) error {
		update(c.ID, func(x *task.Task) error { x.Notified(due, x.NoticeVersion()); return nil })
		if told = append(told, c.ID); len(told) == len(rows) {
			cancel()
		}
		return nil
	})
	if err != nil || !slices.Equal(told, []string{"sent", "erased"}) {
		t.Errorf("told %v, %v", told, err)
	}
	if got := ids(start.Add(1000 * time.Hour)); !slices.Equal(got, []string{"erased"}) {
		t.Errorf("left in the index: %v, want the erase alone", got)
	}
	update("erased", func(x *task.Task) error { x.Erased(start.Add(time.Hour)); return nil })
	if got := ids(start.Add(1000 * time.Hour)); len(got) > 0 {
		t.Errorf("left in the index: %v", got)
	}
}
