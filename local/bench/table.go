package main

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"slices"
	"text/tabwriter"
	"time"
)

// A row is one line of the table.
type row struct {
	what   string
	got    float64
	most   float64 // the goal, or
	least  float64
	format string
	not    string // why it was not measured
}

func (r row) print(w io.Writer) {
	if r.not != "" {
		_, _ = fmt.Fprintf(w, "%s\t-\t\tnot measured: %s\n", r.what, r.not)
		return
	}
	sign, goal, met := "<=", r.most, r.got <= r.most
	if r.least > 0 {
		sign, goal, met = ">=", r.least, r.got >= r.least
	}
	verdict := "met"
	if !met {
		verdict = "NOT MET"
	}
	f := cmp.Or(r.format, "%.2f")
	_, _ = fmt.Fprintf(w, "%s\t"+f+"\t%s "+f+"\t%s\n", r.what, r.got, sign, goal, verdict)
}

func startCPU(m *sample) time.Duration  { return m.start }
func coldCPU(m *sample) time.Duration   { return m.cold }
func afterCPU(m *sample) time.Duration  { return m.cold - m.start }
func secondCPU(m *sample) time.Duration { return m.second }
func wall(m *sample) time.Duration      { return m.wall }
func again(m *sample) time.Duration     { return m.again }

// median returns the median of a figure of a scene's samples, or 0 without samples.
func (b *bench) median(name string, of func(*sample) time.Duration) time.Duration {
	var all []time.Duration
	for _, m := range b.samples[name] {
		all = append(all, of(m))
	}
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[len(all)/2]
}

// ratio returns the ratio of the medians of two scenes' figure.
func (b *bench) ratio(of func(*sample) time.Duration, one, other string) float64 {
	return float64(b.median(one, of)) / float64(b.median(other, of))
}

// shaken returns how many handshakes ten requests needed.
func (b *bench) shaken(name string) float64 { return float64(b.samples[name][0].shaken) }

func (b *bench) rows() []row {
	var all []row
	goals := []struct {
		name        string
		after, cold float64
	}{{"submit", .35, 9}, {"callback", .55, 7}, {"tasks", .15, 6.5}, {"images", .12, 4}}
	for _, g := range goals {
		share := float64(b.median(g.name, afterCPU)) / float64(b.median(g.name, coldCPU))
		all = append(all, row{what: g.name + ": CPU after init / cold CPU", got: share, most: g.after})
	}
	for _, g := range goals {
		all = append(all, row{what: g.name + ": cold CPU over TLS / hello", got: b.ratio(coldCPU, g.name, "hello"), most: g.cold})
	}
	quota := ""
	if b.noQuota != nil {
		quota = "needs root and Linux (" + b.noQuota.Error() + ")"
	}
	node := ""
	if b.noNode != nil {
		node = "needs Node and npm (" + b.noNode.Error() + ")"
	}
	all = append(all,
		row{what: "submit's second request: CPU, TLS / plain", got: b.ratio(secondCPU, "submit", "submit, plain"), most: 1.7},
		row{what: "a cold submit: wall, 256 MB / 1769 MB", got: b.ratio(wall, limited("submit, near", smallMemory), limited("submit, near", fullCPU)), most: 3, not: quota},
		row{what: "Node, bundled, one PutItem / a cold submit: CPU", got: b.ratio(coldCPU, "node", "submit"), least: 8, not: node},
		row{what: "Node, bundled, one PutItem / a cold submit: wall, 256 MB", got: b.ratio(wall, limited("node", smallMemory), limited("submit, near", smallMemory)), least: 5, not: cmp.Or(node, quota)},
		row{what: "full web handshakes in ten requests: callback", got: b.shaken("callback, ten"), most: 1, format: "%.0f"},
		row{what: "full web handshakes in ten requests: submit", got: b.shaken("submit, ten"), most: 2, format: "%.0f"},
		row{what: "submit, frozen after its start: answers unlike those without", got: float64(1 - len(b.samples["submit, frozen"])), format: "%.0f"},
		row{what: "ingest of four pictures / one: wall, 1024 MB", got: b.ratio(wall, "ingest of four", limited("ingest", ingestMemory)), most: 2.5, not: quota},
	)
	for _, l := range b.looks {
		of := "a task of " + l.seconds + " s: "
		all = append(all,
			row{what: of + "ms from stored to answered, median", got: l.late, most: 130, format: "%.0f"},
			row{what: of + "reads / those with a look each second", got: l.reads / l.readsPlain, most: 2.5})
	}
	return append(all, b.sizes()...)
}

// sizesBefore are the binaries' sizes over hello's, for amd64, when the goal was set:
// none may grow. Only tasks and mcp may.
var sizesBefore = []struct {
	name string
	most float64
}{
	{"submit", 1.679}, {"callback", 1.549}, {"images", 1.370}, {"uploads", 1.443},
	{"credits", 1.576}, {"sweep", 1.562}, {"ingest", 1.649}, {"notify", 1.456},
}

func (b *bench) sizes() (all []row) {
	not := ""
	if runtime.GOARCH != "amd64" {
		not = "the goal is for amd64"
	}
	hello := size(b.binaries["hello"])
	for _, s := range sizesBefore {
		got := math.Round(size(b.binaries[s.name])/hello*1000) / 1000
		all = append(all, row{what: s.name + ": binary / hello", got: got, most: s.most, format: "%.3f", not: not})
	}
	return all
}

// size returns a file's size, or 0 if there is none.
func size(path string) float64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return float64(info.Size())
}

// print prints the table, and the figures behind it.
func (b *bench) print(out io.Writer, n int) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintf(w, "medians of %d processes each, by turns\n\nwhat\tratio\tgoal\t\n", n)
	for _, r := range b.rows() {
		r.print(w)
	}
	_, _ = fmt.Fprintf(w, "\nms\tCPU until init ends\tCPU until the first answer\tCPU of the second request\twall until the first answer\n")
	for _, name := range b.names {
		_, _ = fmt.Fprint(w, name)
		for _, of := range []func(*sample) time.Duration{startCPU, coldCPU, secondCPU, wall} {
			_, _ = fmt.Fprintf(w, "\t%.2f", b.median(name, of).Seconds()*1000)
		}
		_, _ = fmt.Fprintln(w)
	}
	if b.noQuota == nil {
		b.printMemories(w)
	}
	_ = w.Flush() // what cannot be printed cannot be reported either
}

// printMemories prints what each memory size makes of a function, with the delays of a
// network: a cold request, a warm one, and a warm one's price against that at 256 MB.
func (b *bench) printMemories(w io.Writer) {
	_, _ = fmt.Fprint(w, "\ncold ms, warm ms, price of warm")
	for _, mb := range memories {
		_, _ = fmt.Fprintf(w, "\t%d MB", mb)
	}
	_, _ = fmt.Fprintln(w)
	price := func(name string, mb int) float64 {
		return math.Ceil(b.median(limited(name, mb), again).Seconds()*1000) * float64(mb) // whole milliseconds are paid
	}
	for _, name := range functions {
		_, _ = fmt.Fprint(w, name)
		for _, mb := range memories {
			cold, warm := b.median(limited(name, mb), wall), b.median(limited(name, mb), again)
			_, _ = fmt.Fprintf(w, "\t%.0f, %.0f, %.2f", cold.Seconds()*1000, warm.Seconds()*1000, price(name, mb)/price(name, memories[0]))
		}
		_, _ = fmt.Fprintln(w)
	}
}
