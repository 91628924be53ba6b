package drilltest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/task"
)

// drill is a scenario that runs over a world.
type drill struct {
	*testing.T
	World
	scenario
	alarm    Alarm
	alarms   map[string]Alarm
	runbook  string                   // its beginning, and the alarm's section
	rang     map[string]time.Duration // when each alarm first rang after the fault
	metrics  map[string][]Datum       // by their names
	sorted   int                      // so many of World.Metrics are among them
	listened time.Time
	orders   int
	ids      []string // of the tasks
	refused  []string // codes of the orders that made no task
	broken   time.Time
	during   int  // orders to be placed since then
	placed   int  // of these
	looked   bool // at stuck
}

// row is a line of the table at the end.
type row struct {
	Fault, Alarm string
	After        time.Duration // from the fault to the alarm
	Mended       []string      // commands
	Tasks        int
	Refused      int
}

// All plays all scenarios, each in a world of its own that begin makes, and prints a table.
// It does so for make drill alone, which takes minutes.
func All(t *testing.T, world string, begin func(t *testing.T, play func(*testing.T, World))) {
	t.Helper()
	if os.Getenv("DRILL") != "on" {
		t.Skip("takes minutes: run make drill")
	}
	template, err := os.ReadFile("../../template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	runbook, err := os.ReadFile(filepath.Join("..", "..", "docs", "RUNBOOK.md"))
	if err != nil {
		t.Fatal(err)
	}
	alarms, err := Alarms(template)
	if err != nil {
		t.Fatal(err)
	}
	rows := make([]row, len(scenarios))
	t.Run("faults", func(t *testing.T) { // returns when all have ended
		for i, s := range scenarios {
			t.Run(s.Fault, func(t *testing.T) {
				t.Parallel() // most of the time they wait
				begin(t, func(t *testing.T, w World) { rows[i] = play(t, w, s, alarms, string(runbook)) })
			})
		}
	})
	rows = slices.DeleteFunc(rows, func(r row) bool { return r.Fault == "" }) // failed, or not asked for
	t.Log("\n" + table(world, rows))
}

// play plays a scenario over a world, with alarms as the template has them. Nothing must
// be unfinished in this world.
func play(t *testing.T, w World, s scenario, alarms map[string]Alarm, runbook string) row {
	t.Helper()
	d := &drill{T: t, World: w, scenario: s, alarm: alarms[s.Alarm], alarms: alarms, rang: map[string]time.Duration{}, metrics: map[string][]Datum{}}
	if d.runbook = sectionOf(runbook, s.Alarm); d.alarm.Name == "" || d.runbook == "" {
		t.Fatalf("the template has no alarm %s, or the runbook no section about it", s.Alarm)
	}
	defer func() {
		if t.Failed() {
			t.Logf("the logs:\n%s", tail(w.Logs(), 60))
		}
	}()
	d.calm()
	inFlight, during := 2, 3
	if s.Few {
		inFlight, during = 1, 0
	}
	d.during = during
	if s.Prepare != nil {
		s.Prepare(w)
	}
	for range inFlight {
		d.order("in flight")
	}
	d.broken = w.Now()
	s.Break(w)
	rang := d.await("the alarm does not ring", s.Within, func() bool {
		d.worsen()
		d.listen()
		if _, ok := d.rang[s.First]; ok && !d.looked {
			d.checkStuck()
		}
		return d.rings()
	})
	t.Logf("alarms until then: %v", d.rang)
	d.await("", day*30, func() bool {
		d.worsen()
		return w.Now().Sub(d.broken) >= max(s.Lasts, 3*spread)
	})
	switch {
	case s.First == "":
		d.checkStuck()
	case !d.looked:
		t.Errorf("%s does not ring", s.First)
	}
	d.look()
	mended := d.mend()
	d.await("a task is unfinished", s.Ends, func() bool { return !slices.ContainsFunc(d.ids, d.unfinished) })
	d.await("the alarm still rings", s.Ends, func() bool { return !d.rings() })
	for _, id := range d.ids {
		d.checkKept(id)
	}
	d.checkRefused()
	tasks, refused := len(d.ids), len(d.refused)
	d.calm()
	return row{s.Fault, s.Alarm, rang.Sub(d.broken), mended, tasks, refused}
}

// mend ends the fault, by the runbook's commands and what else it takes, and returns by
// what it was ended.
func (d *drill) mend() (by []string) {
	if d.scenario.By != "" {
		by = []string{d.scenario.By}
	}
	by = append(by, d.run(d.scenario.Meanwhile)...)
	if d.scenario.Meanwhile != nil {
		d.order("the meantime")
	}
	if d.scenario.Repair != nil {
		d.scenario.Repair(d.World)
	}
	return append(by, d.run(d.scenario.Mend)...)
}

// spread is the time between two orders during the fault.
const spread = 5 * time.Minute

// worsen places an order from time to time, at first; before each the fault gets worse.
func (d *drill) worsen() {
	d.Helper()
	if n := d.placed; n < d.during && d.Now().Sub(d.broken) >= time.Duration(n)*spread {
		if n < len(d.Worse) && d.Worse[n] != nil {
			d.Worse[n](d.World)
		}
		d.order("during the fault")
		d.placed++
	}
}

// calm waits until all alarms are silent and an order succeeds.
func (d *drill) calm() {
	d.Helper()
	d.await("alarms ring without a fault", 4*time.Hour, func() bool { return len(d.ringing()) == 0 })
	id := d.order("a calm time")
	if id == "" {
		d.Fatalf("an order is refused: %v", d.refused)
	}
	d.await("a task is unfinished without a fault", 10*time.Minute, func() bool { return !d.unfinished(id) })
	if t := d.Row(id); t.Status != task.Succeeded {
		d.Fatalf("a task ended as %s, %s", t.Status, t.Failure)
	}
	d.checkKept(id)
}

// order places an order and returns its task's id, or "" if it was refused.
func (d *drill) order(what string) string {
	d.Helper()
	d.orders++
	status, answer := d.Call(http.MethodPost, "/v1/tasks", map[string]any{"prompt": "a lighthouse in " + what}, fmt.Sprint("order-", d.orders))
	var got struct{ ID, Code string }
	if err := json.Unmarshal(answer, &got); err != nil {
		d.Fatalf("an order is answered %d, %s: %v", status, answer, err)
	}
	if status != http.StatusAccepted {
		d.refused = append(d.refused, got.Code)
		return ""
	}
	d.ids = append(d.ids, got.ID)
	return got.ID
}

// await lets time pass until a condition holds, and returns when that was.
func (d *drill) await(problem string, limit time.Duration, holds func() bool) time.Time {
	d.Helper()
	for begin := d.Now(); !holds(); d.Wait(d.Step(d.Now().Sub(begin))) {
		if d.Now().Sub(begin) > limit {
			d.Fatalf("after %v: %s (%s: %s; these ring: %v)", limit, problem, d.Alarm, d.alarm.Values(d.recent(d.alarm), d.Now()), d.ringing())
		}
	}
	return d.Now()
}

// listen notes which alarms ring for the first time, every five minutes.
func (d *drill) listen() {
	d.Helper()
	now := d.Now()
	if now.Sub(d.listened) < 5*time.Minute && !d.rings() {
		return
	}
	d.listened = now
	for _, name := range d.ringing() {
		if _, before := d.rang[name]; !before {
			d.rang[name] = now.Sub(d.broken).Round(time.Minute)
		}
	}
}

// ringing returns the names of the alarms that ring.
func (d *drill) ringing() (names []string) {
	d.Helper()
	for name, a := range d.alarms {
		if d.ringsNow(a) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// rings reports whether the scenario's alarm rings.
func (d *drill) rings() bool {
	d.Helper()
	return d.ringsNow(d.alarm)
}

// longest is more than any alarm looks back.
const longest = 4 * time.Hour

func (d *drill) ringsNow(a Alarm) bool {
	d.Helper()
	rings, err := a.Rings(d.recent(a), d.Now())
	if err != nil {
		d.Fatal(err)
	}
	return rings
}

// recent returns the values that an alarm may read.
func (d *drill) recent(a Alarm) (data []Datum) {
	all := d.Metrics()
	for _, x := range all[d.sorted:] {
		d.metrics[x.Metric] = append(d.metrics[x.Metric], x)
	}
	d.sorted = len(all)
	begin := d.Now().Add(-longest)
	for _, s := range a.series {
		values := d.metrics[s.metric]
		for i := len(values) - 1; i >= 0 && values[i].At.After(begin); i-- {
			data = append(data, values[i])
		}
	}
	return data
}

// unfinished reports whether something is left to do for a task, or to tell of it.
func (d *drill) unfinished(id string) bool { return !d.Row(id).Due().IsZero() }

// checkStuck checks that stuck shows each unfinished task under what is wrong.
func (d *drill) checkStuck() {
	d.Helper()
	d.looked = true
	said, exit := d.Ops("", "stuck")
	if exit != 0 {
		d.Fatalf("stuck ends with %d:\n%s", exit, said)
	}
	for _, id := range d.ids {
		if d.unfinished(id) && !strings.Contains(said, id) {
			d.Errorf("stuck does not show %s, %s:\n%s", id, d.Row(id).Status, said)
		}
	}
	if !regexp.MustCompile(d.Stuck).MatchString(strings.Join(strings.Fields(said), " ")) {
		d.Errorf("stuck does not show %q:\n%s", d.Stuck, said)
	}
}

// run runs commands of the alarm's section in the runbook, or of its beginning.
func (d *drill) run(commands func(*drill) []command) (ran []string) {
	d.Helper()
	if commands == nil {
		return nil
	}
	for _, c := range commands(d) {
		if !strings.Contains(d.runbook, "bin/ops "+c.verb()) {
			d.Errorf("the runbook's section %s does not have bin/ops %s", d.Alarm, c.verb())
		}
		said, exit := d.Ops(c.Input, c.Words...)
		if exit != 0 {
			d.Fatalf("bin/ops %s ends with %d:\n%s", strings.Join(c.Words, " "), exit, said)
		}
		if !slices.Contains(ran, c.verb()) {
			ran = append(ran, c.verb())
		}
	}
	return ran
}

var lookLine = regexp.MustCompile(`(?m)^bin/ops ([^#\n]+)`)

// look runs what the runbook says to look at. It finds something, or nothing.
func (d *drill) look() {
	d.Helper()
	_, section, _ := strings.Cut(d.runbook, "**Look:**")
	section, _, _ = strings.Cut(section, "**Do:**")
	for _, m := range lookLine.FindAllStringSubmatch(section, -1) {
		words := strings.Fields(m[1])
		for i, w := range words {
			if w == "TASK" {
				words[i] = d.ids[len(d.ids)-1]
			}
		}
		if said, exit := d.Ops("", words...); exit != 0 && exit != 3 {
			d.Errorf("bin/ops %s ends with %d:\n%s", m[1], exit, said)
		}
	}
}

// sectionOf returns the beginning of the runbook and its section about an alarm.
func sectionOf(runbook, alarm string) string {
	beginning, _, _ := strings.Cut(runbook, "\n## ")
	_, section, found := strings.Cut(runbook, "\n## "+alarm+"\n")
	if !found {
		return ""
	}
	section, _, _ = strings.Cut(section, "\n## ")
	return beginning + section
}

func tail(text string, lines int) string {
	all := strings.Split(strings.TrimRight(text, "\n"), "\n")
	all = all[max(0, len(all)-lines):]
	for i, line := range all {
		all[i] = line[:min(len(line), 300)]
	}
	return strings.Join(all, "\n")
}

// table returns the table of all scenarios that have run.
func table(world string, rows []row) string {
	width := func(of func(row) string, head string) int {
		n := len(head)
		for _, r := range rows {
			n = max(n, len(of(r)))
		}
		return n
	}
	columns := []struct {
		head string
		of   func(row) string
	}{
		{world, func(r row) string { return r.Fault }},
		{"alarm", func(r row) string { return r.Alarm }},
		{"after", func(r row) string { return r.After.Round(time.Minute).String() }},
		{"mended by", func(r row) string { return cmp.Or(strings.Join(r.Mended, ", "), "-") }},
		{"tasks", func(r row) string { return fmt.Sprint(r.Tasks) }},
		{"refused", func(r row) string { return fmt.Sprint(r.Refused) }},
		{"lost", func(row) string { return "0" }}, // or the scenario has failed
	}
	var b strings.Builder
	line := func(cell func(i int) string) {
		for i, c := range columns {
			fmt.Fprintf(&b, "%-*s  ", width(c.of, c.head), cell(i))
		}
		b.WriteString("\n")
	}
	line(func(i int) string { return columns[i].head })
	for _, r := range rows {
		line(func(i int) string { return columns[i].of(r) })
	}
	return b.String()
}
