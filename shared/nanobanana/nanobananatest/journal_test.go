package nanobananatest_test

import (
	"bytes"
	"image/color"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
)

// reopen opens the journal with a listener of its own.
func reopen(t *testing.T, path string, adjust ...func(*nanobananatest.Knobs)) *provider {
	t.Helper()
	small := func(k *nanobananatest.Knobs) { k.PictureSide, k.CallbackRetries = 32, nil }
	s, err := nanobananatest.Open(path, append([]func(*nanobananatest.Knobs){small}, adjust...)...)
	if err != nil {
		t.Fatal(err)
	}
	front := httptest.NewServer(s)
	t.Cleanup(front.Close) // after s
	s.URL = front.URL
	return attach(t, s)
}

// killed returns a copy of the journal as a kill at this moment would leave it.
func killed(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(t.TempDir(), "journal")
	if err := os.WriteFile(copied, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return copied
}

func TestJournalKeepsTasksMoneyAndPictures(t *testing.T) {
	path, callbacks := filepath.Join(t.TempDir(), "journal"), receive(t)
	p := reopen(t, path, func(k *nanobananatest.Knobs) { k.RefundFailures = true })
	p.SetBalance(200)
	p.over(p.mustSubmit("generate", object{"callBackUrl": callbacks.url, "numImages": 2}))
	p.over(p.mustSubmit("generate-2", object{"callBackUrl": callbacks.url, "imageUrls": []string{plain(t, color.NRGBA{255, 0, 0, 255})}}))
	p.SetKnobs(func(k *nanobananatest.Knobs) { k.Outcome.ErrorCode = 400 })
	p.over(p.mustSubmit("generate", object{"callBackUrl": callbacks.url}))

	again := reopen(t, killed(t, path), func(k *nanobananatest.Knobs) { k.PictureSide, k.PictureFormat = 64, "webp" })
	again.Resume()
	before, after := p.Tasks(), again.Tasks()
	for i := range before {
		want, got := before[i], after[i]
		for n, url := range want.URLs {
			if strings.TrimPrefix(url, p.URL) != strings.TrimPrefix(got.URLs[n], again.URL) {
				t.Errorf("picture %s is now %s", url, got.URLs[n])
			}
			if want.Flag != nanobananatest.FlagSucceeded {
				continue
			}
			was, _, _ := p.picture(url)
			if is, _, _ := again.picture(got.URLs[n]); !bytes.Equal(was, is) {
				t.Errorf("%s shows something else", url)
			}
		}
		if !want.CreatedAt.Equal(got.CreatedAt) {
			t.Errorf("created %v, now %v", want.CreatedAt, got.CreatedAt)
		}
		want.CreatedAt, want.URLs, want.Callbacks = got.CreatedAt, got.URLs, nil
		if !reflect.DeepEqual(want, got) {
			t.Errorf("task was %+v\nand is   %+v", want, got)
		}
		was, is := p.record(want.ID).raw, again.record(want.ID).raw
		if string(was) != strings.ReplaceAll(string(is), again.URL, p.URL) {
			t.Errorf("its record was %s\nand is %s", was, is)
		}
	}
	if again.Balance() != p.Balance() || again.Balance() != 200-8-8 || !reflect.DeepEqual(again.Charged(), p.Charged()) {
		t.Errorf("the balance was %v and is %v", p.Balance(), again.Balance())
	}
	for range 3 {
		callbacks.next(t)
	}
	again.over(again.mustSubmit("generate")) // it continues, and
	callbacks.none(t)                        // no callback was repeated
}

func TestJournalLetsUnfinishedTasksGoOn(t *testing.T) {
	path, callbacks := filepath.Join(t.TempDir(), "journal"), receive(t, 500)
	hour := nanobananatest.Duration(time.Hour)
	p := reopen(t, path, func(k *nanobananatest.Knobs) { k.CallbackRetries = []nanobananatest.Duration{hour} })
	unfinished := p.mustSubmit("generate", object{"callBackUrl": callbacks.url})
	p.statuses(unfinished, 1)
	p.SetKnobs(func(k *nanobananatest.Knobs) { k.Delay = hour })
	running := p.mustSubmit("generate", object{"callBackUrl": callbacks.url})

	again := reopen(t, killed(t, path))
	if n := len(again.task(unfinished).Callbacks); n != 0 {
		t.Errorf("called back %d times before Resume", n)
	}
	again.Resume()
	if got := again.over(unfinished).Callbacks; len(got) != 1 || got[0].Status != 200 {
		t.Errorf("called back %v", got)
	}
	if got := again.task(running); got.Flag != nanobananatest.FlagRunning {
		t.Errorf("what has an hour to go is done: %+v", got)
	}
}

// A task that became due while no process ran is done at once.
func TestJournalKeepsTheTimeATaskIsDue(t *testing.T) {
	path, callbacks := filepath.Join(t.TempDir(), "journal"), receive(t)
	p := reopen(t, path, func(k *nanobananatest.Knobs) { k.Delay = nanobananatest.Duration(100 * time.Millisecond) })
	start := time.Now()
	id := p.mustSubmit("generate", object{"callBackUrl": callbacks.url})
	copied := killed(t, path)
	p.Close()
	again := reopen(t, copied, func(k *nanobananatest.Knobs) { k.Delay = nanobananatest.Duration(time.Hour) })
	again.credit() // the first request is enough
	_, body := callbacks.next(t)
	if took := time.Since(start); at(body, "data.taskId") != id || took < 100*time.Millisecond {
		t.Errorf("called back about %v after %v", at(body, "data.taskId"), took)
	}
}

func TestTornJournal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	p := reopen(t, path)
	p.SetBalance(50)
	id := p.over(p.mustSubmit("generate")).ID
	p.Close()
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, cut := range []int{0, 1, len(whole) / 2, len(whole) - 1, len(whole)} {
		if err := os.WriteFile(path, whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		again := reopen(t, path)
		if n := bytes.Count(whole[:cut], []byte("\n")); (n >= 1) != (again.Balance() < 1000) || (n >= 2) != (len(again.Tasks()) == 1) {
			t.Errorf("%d lines: balance %v, %d tasks", n, again.Balance(), len(again.Tasks()))
		}
		more := again.over(again.mustSubmit("generate")).ID
		for _, task := range again.Tasks() {
			again.over(task.ID)
		}
		again.Close()
		third := reopen(t, path) // the entries after the torn line are readable
		if task := third.task(more); task.Flag != nanobananatest.FlagSucceeded || !task.CallbacksDone {
			t.Errorf("cut at %d: %+v", cut, task)
		}
		third.Close()
	}
	for name, line := range map[string]string{
		"no JSON":               "{\n",
		"an unknown endpoint":   `{"accepted":{"id":"a","endpoint":"draw","params":{}}}` + "\n",
		"an impossible request": `{"accepted":{"id":"a","endpoint":"generate","params":{"prompt":7}}}` + "\n",
		"an end of no task":     `{"finished":{"id":"` + id + `x"}}` + "\n",
		"JSON of another kind":  "[]\n",
	} {
		if err := os.WriteFile(path, []byte(line), 0o600); err != nil {
			t.Fatal(err)
		}
		if s, err := nanobananatest.Open(path); err == nil || !strings.Contains(err.Error(), "line 1") {
			t.Errorf("%s: opened %v, %v", name, s != nil, err)
		}
		if kept, err := os.ReadFile(path); err != nil || string(kept) != line {
			t.Errorf("%s: the file is now %q, %v", name, kept, err)
		}
	}
	if _, err := nanobananatest.Open(t.TempDir()); err == nil {
		t.Error("a folder opens as a journal")
	}
}
