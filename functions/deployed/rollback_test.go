package deployed_test

import (
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/preset/nanobanana-functions/shared/aws/taskdb"
	"github.com/preset/nanobanana-functions/shared/task"
)

// addedAttributes returns what this release's rows have and the previous one's do not,
// with values as in shared/task/testdata/row.json, which has every attribute.
func addedAttributes(t testing.TB) map[string]types.AttributeValue {
	t.Helper()
	read := func(root string) (members map[string]any) {
		text, err := os.ReadFile(filepath.Join(root, "shared/task/testdata/row.json"))
		if err == nil {
			err = json.Unmarshal(text, &members)
		}
		if err != nil {
			t.Fatal(err)
		}
		return members
	}
	old, added := read(needPrevious(t)), read("../..")
	maps.DeleteFunc(added, func(name string, _ any) bool { _, known := old[name]; return known })
	if len(added) == 0 {
		t.Fatal("this release adds nothing to rows: move previous to the release before it")
	}
	return attributes(added)
}

// attributes returns JSON members as DynamoDB has them.
func attributes(members map[string]any) map[string]types.AttributeValue {
	all := map[string]types.AttributeValue{}
	for name, v := range members {
		all[name] = attribute(v)
	}
	return all
}

func attribute(v any) types.AttributeValue {
	switch v := v.(type) {
	case string:
		return &types.AttributeValueMemberS{Value: v}
	case bool:
		return &types.AttributeValueMemberBOOL{Value: v}
	case map[string]any:
		return &types.AttributeValueMemberM{Value: attributes(v)}
	case []any:
		list := &types.AttributeValueMemberL{}
		for _, entry := range v {
			list.Value = append(list.Value, attribute(entry))
		}
		return list
	}
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return &types.AttributeValueMemberN{Value: string(b)}
}

// change sets attributes of a row, past all rules.
func (h *harness) change(id string, set map[string]types.AttributeValue) {
	h.t.Helper()
	var sets []string
	names, values := map[string]string{}, map[string]types.AttributeValue{}
	for name, v := range set {
		sets = append(sets, "#"+name+" = :"+name)
		names["#"+name], values[":"+name] = name, v
	}
	_, err := dynamodb.NewFromConfig(h.aws).UpdateItem(h.t.Context(), &dynamodb.UpdateItemInput{
		TableName: &h.table, Key: map[string]types.AttributeValue{"id": &types.AttributeValueMemberS{Value: id}},
		UpdateExpression: aws.String("SET " + strings.Join(sets, ", ")), ExpressionAttributeNames: names, ExpressionAttributeValues: values,
	})
	if err != nil {
		h.t.Fatal(err)
	}
}

// checkHas fails the test unless a row has these attributes unchanged.
func (h *harness) checkHas(when, id string, want map[string]types.AttributeValue) {
	h.t.Helper()
	got, err := dynamodb.NewFromConfig(h.aws).GetItem(h.t.Context(), &dynamodb.GetItemInput{
		TableName: &h.table, Key: map[string]types.AttributeValue{"id": &types.AttributeValueMemberS{Value: id}}, ConsistentRead: aws.Bool(true),
	})
	if err != nil {
		h.t.Fatal(err)
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if !reflect.DeepEqual(got.Item[name], want[name]) {
			h.t.Errorf("%s, %s of row %s is %+v, was %+v", when, name, id, got.Item[name], want[name])
		}
	}
}

// After a rollback the previous release carries everything that this release added to a
// task's row, through all its own writes until the row is emptied.
func TestRollbackKeepsAttributes(t *testing.T) {
	t.Parallel()
	added := addedAttributes(t)
	h := newHarness(t, fastPolling, lost)
	id := beginAny(h)
	h.change(id, added)
	h.deployAll(oldRelease)
	h.checkImages(h.sweepUntilDone("ada", id), 0)
	h.checkHas("ended", id, added)
	if a := h.call("ada", http.MethodPut, "/v1/tasks/"+id+"/target", map[string]string{"kind": "showcase", "id": "s"}); a.status != http.StatusOK {
		t.Errorf("PUT: %d %s", a.status, a.body)
	}
	h.checkHas("moved", id, added)
	if a := h.call("ada", http.MethodDelete, "/v1/tasks/"+id, nil); a.status != http.StatusNoContent {
		t.Errorf("DELETE: %d %s", a.status, a.body)
	}
	h.age(id, time.Hour)
	h.change(id, added) // their times are as old as before
	h.sweep()
	eventually(t, "it is still due", func() bool { x := h.row(id); return x.Due().IsZero() })
	h.checkHas("deleted", id, added)
	h.deployAll(newRelease)
	h.checkShown(id, 1)
}

// A row that this release emptied has no owner. The previous release neither shows it nor
// posts again under its key.
func TestRollbackOfEmptiedRows(t *testing.T) {
	t.Parallel()
	needPrevious(t)
	h := newHarness(t, nil)
	id := beginAny(h)
	h.awaitEnd("ada", id)
	h.call("ada", http.MethodDelete, "/v1/tasks/"+id, nil)
	h.age(id, time.Hour)
	h.sweep()
	eventually(t, "it still has an owner", func() bool { return h.row(id).Owner == "" })
	h.deployAll(oldRelease)
	a := h.call("ada", http.MethodPost, "/v1/tasks", handoverOrder, "Idempotency-Key", "k")
	checkRefused(t, a, http.StatusUnprocessableEntity, task.CodeIdempotencyKeyReused)
	checkRefused(t, h.call("ada", http.MethodGet, "/v1/tasks/"+id, nil), http.StatusNotFound, task.CodeNotFound)
	if n := h.sim.Posts(); n != 1 {
		t.Errorf("%d POSTs", n)
	}
}

// Holds and forgotten owners survive a pause that the previous release writes beside
// them, although it does not know them: it posts during a hold, and its check of the
// credits drops the day's spend. docs/deploy.md says so.
func TestRollbackOfPausesAndBalance(t *testing.T) {
	t.Parallel()
	needPrevious(t)
	h := newHarness(t, fastPolling, refused(429, 0))
	store := taskdb.New(h.aws, h.table)
	now := time.Now()
	spend := task.Balance{Credits: 50, AsOf: now.Add(-time.Hour), Spend: task.Spend{Day: now.UTC().Format(time.DateOnly), Today: 7}}
	if err := errors.Join(store.Hold(t.Context(), task.HeldByOperator, task.Hold{Reason: "a new key", Since: now}), store.Forget(t.Context(), "eve", now), store.SetBalance(t.Context(), spend)); err != nil {
		t.Fatal(err)
	}
	before, err := store.Paused(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	h.deployAll(oldRelease)
	id := beginAny(h)
	h.age(id, 10*time.Minute)
	h.sweep() // posts, is refused, and pauses posts for all
	h.checkCredits()
	after, err := store.Paused(t.Context())
	if err != nil || after.Posts.IsZero() || h.sim.Posts() == 0 {
		t.Errorf("the previous release did not post and pause: %+v, %v", after, err)
	}
	after.Posts = before.Posts
	if !reflect.DeepEqual(after, before) {
		t.Errorf("the pauses are %+v, were %+v", after, before)
	}
	kept, err := store.Balance(t.Context())
	if err != nil || kept.Credits != h.sim.Balance() || kept.Spend.Today != 0 {
		t.Errorf("the balance is %+v, %v", kept, err)
	}
}
