package deployed_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/preset/nanobanana-functions/shared/aws/taskdb"
	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/task"
)

// addFinishedTask stores a task with all its pictures and returns its id.
func (h *harness) addFinishedTask(owner string, order task.Request, now time.Time) string {
	h.t.Helper()
	order.Normalize()
	x, rules := task.New(task.Draft{Owner: owner, Request: order, Estimate: 4, PublicURL: h.url}, now), task.DefaultRules()
	var urls []string
	var images []task.Image
	for n := range order.NumImages {
		urls = append(urls, fmt.Sprintf("https://tempfile.aiquickdraw.com/%s-%d.png", x.ID, n))
		sum := fmt.Sprintf("%016x%048x", now.UnixNano(), n)
		images = append(images, task.Image{
			N: n + 1, File: fmt.Sprintf("%d-%s.png", n+1, sum[:16]), Thumbnail: fmt.Sprintf("%d-%s-512.jpg", n+1, sum[:16]),
			Width: 1344, Height: 768, Bytes: 1_843_201, ContentType: "image/png", SHA256: sum,
		})
	}
	err := x.Accepted(rules, now, 1, "f00dfeedf00dfeedf00dfeedf00dfeed")
	if claim, ok := x.Claim(rules, now); err == nil && ok {
		err = x.ApplyRecord(rules, now, claim, task.Record{State: task.RecordMade, Match: task.MatchOwn, URLs: urls})
	}
	if err == nil {
		err = x.Stored(rules, now, images)
	}
	if err == nil {
		_, err = taskdb.New(h.aws, h.table).Create(h.t.Context(), x, 0)
	}
	if err != nil || !x.Done() {
		h.t.Fatalf("%s: %v", x.Status, err)
	}
	return x.ID
}

// Showing a page of 50 tasks costs a query and a batch read, and with one
// picture each the page is at most 64 KiB, with an address as long as API
// Gateway's.
func TestListOfFifty(t *testing.T) {
	t.Parallel()
	h := newHarness(t, map[string]string{"PUBLIC_URL": "https://a1b2c3d4e5.execute-api.eu-central-1.amazonaws.com"})
	story := strings.Repeat("soft daylight on a chrome stool, ", 160)[:5000]
	tests := map[string]struct {
		order    task.Request
		list     string
		requests []string
		most     int // bytes; 0: no limit
	}{
		"a picture each":     {task.Request{Prompt: story, NumImages: 1}, "target", []string{"Query", "BatchGetItem"}, 64 << 10},
		"four pictures each": {task.Request{Prompt: story, NumImages: 4}, "target", []string{"Query", "BatchGetItem"}, 0},
		"the newest of all":  {task.Request{Prompt: story, NumImages: 1}, "", []string{"Query", "BatchGetItem"}, 64 << 10},
		"all since a time":   {task.Request{Prompt: story, NumImages: 1}, "since", []string{"Query", "BatchGetItem"}, 64 << 10},
		// The longest prompts are read by ids, because the stand-in counts
		// whole rows towards a query's limit even for an index with keys only.
		"the longest prompts": {task.Request{Prompt: strings.Repeat("🍌", 20_000), Model: "nano-banana-2", NumImages: 1}, "ids", []string{"BatchGetItem"}, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			owner, order := strings.ReplaceAll(name, " ", "-"), test.order
			order.AspectRatio, order.Target = "16:9", &task.Target{Kind: "moodboard", ID: "42"}
			var ids []string
			for i := range 50 {
				ids = append(ids, h.addFinishedTask(owner, order, time.Now().Add(time.Duration(i)*time.Second)))
			}
			query := url.Values{}
			switch test.list {
			case "target":
				query.Set("target", order.Target.String())
			case "since":
				query.Set("since", time.Now().Add(-time.Minute).Format(time.RFC3339Nano))
			case "ids":
				query.Set("ids", strings.Join(ids, ","))
			}
			h.proxy["tasks"].Take()
			a := h.call(owner, http.MethodGet, "/v1/tasks?"+query.Encode(), nil)
			h.checkRequests("tasks", test.requests...)
			var page struct{ Tasks []httpapi.Task }
			a.decode(t, http.StatusOK, &page)
			if len(page.Tasks) != 50 || len(page.Tasks[49].Images) != order.NumImages {
				t.Errorf("%d tasks", len(page.Tasks))
			}
			t.Logf("%d bytes", len(a.body))
			if test.most > 0 && len(a.body) > test.most {
				t.Errorf("%d bytes, want at most %d", len(a.body), test.most)
			}
		})
	}
}

// listAll returns the ids of all of the owner's tasks, read in pages.
func (h *harness) listAll(owner, query string, limit int) (ids []string) {
	h.t.Helper()
	for cursor := ""; ; {
		var page struct {
			Tasks  []httpapi.Task
			Cursor string
		}
		h.call(owner, http.MethodGet, fmt.Sprintf("/v1/tasks?%slimit=%d&cursor=%s", query, limit, url.QueryEscape(cursor)), nil).decode(h.t, http.StatusOK, &page)
		for _, x := range page.Tasks {
			ids = append(ids, x.ID)
		}
		if cursor = page.Cursor; cursor == "" {
			return ids
		}
	}
}

// The list of everything has each task once, with a target or without, moved or not,
// and none that was deleted, not even by a release that left it in the index.
func TestListOfEverything(t *testing.T) {
	t.Parallel()
	h := newHarness(t, nil)
	begin := time.Now().Add(-time.Hour).Truncate(time.Millisecond)
	var ids []string
	for n := range 12 {
		order := task.Request{Prompt: "a lighthouse", NumImages: 1}
		if n%3 == 0 {
			order.Target = &task.Target{Kind: "moodboard", ID: "m1"}
		}
		ids = append(ids, h.addFinishedTask("ada", order, begin.Add(time.Duration(n/4)*time.Second))) // four at a time
	}
	for _, n := range []int{0, 5} {
		h.call("ada", http.MethodPut, "/v1/tasks/"+ids[n]+"/target", map[string]string{"kind": "showcase", "id": "s1"}).decode(t, http.StatusOK, &httpapi.Task{})
	}
	for _, n := range []int{3, 6, 10} {
		if a := h.call("ada", http.MethodDelete, "/v1/tasks/"+ids[n], nil); a.status != http.StatusNoContent {
			t.Fatalf("DELETE: %d %s", a.status, a.body)
		}
	}
	h.deletedByAnOlderRelease(ids[6])
	h.deletedByAnOlderRelease(ids[10])
	want := slices.Concat(ids[:3], ids[4:6], ids[7:10], ids[11:])
	slices.Sort(want)
	latest := []string{ids[8], ids[9], ids[11]}
	slices.Sort(latest)
	for _, limit := range []int{1, 2, 3, 4, 9, 50} {
		got := h.listAll("ada", "", limit)
		slices.Sort(got[:min(3, len(got))]) // of one time
		if len(got) < 3 || !slices.Equal(got[:3], latest) {
			t.Errorf("limit %d: it begins with %v, want %v", limit, got, latest)
		}
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("limit %d: %v, want %v", limit, got, want)
		}
		since := "since=" + url.QueryEscape(begin.Add(2*time.Second).Format(time.RFC3339Nano)) + "&"
		if got = h.listAll("ada", since, limit); !slices.Equal(slices.Sorted(slices.Values(got)), latest) {
			t.Errorf("limit %d, %s: %v, want %v", limit, since, got, latest)
		}
	}
	if got := h.listAll("bob", "", 50); len(got) != 0 {
		t.Errorf("bob has %v", got)
	}
}

// deletedByAnOlderRelease brings the row of a deleted task into the form in which releases
// before November 2026 left it.
func (h *harness) deletedByAnOlderRelease(id string) {
	h.t.Helper()
	_, err := dynamodb.NewFromConfig(h.aws).UpdateItem(h.t.Context(), &dynamodb.UpdateItemInput{
		TableName: &h.table, Key: map[string]types.AttributeValue{"id": &types.AttributeValueMemberS{Value: id}},
		ConditionExpression: aws.String("attribute_exists(wasMadeAt)"),
		UpdateExpression:    aws.String("SET createdAt = wasMadeAt REMOVE wasMadeAt"),
	})
	if err != nil {
		h.t.Fatal(err)
	}
}
