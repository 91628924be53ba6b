package main

import (
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
)

// looks are what BenchmarkLastSecond counts for tasks that usually take some time: with
// a look each second, and as they are.
type looks struct {
	seconds    string
	late       float64 // ms from stored to answered, median
	reads      float64 // of a task
	readsPlain float64 // with a look each second
}

var counted = regexp.MustCompile(`BenchmarkLastSecond/(\d+)_s/(\w+)\S*.*?([\d.]+) p50-ms.*?([\d.]+) reads/task`)

// lastSecond runs BenchmarkLastSecond, which computes and so is the same everywhere.
func lastSecond(ctx context.Context) (all []looks, err error) {
	out, err := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", "^BenchmarkLastSecond$", "-benchtime", "1x", "github.com/preset/nanobanana-functions/functions/tasks").Output()
	if err != nil {
		return nil, fmt.Errorf("BenchmarkLastSecond: %w\n%s", err, out)
	}
	for _, m := range counted.FindAllStringSubmatch(string(out), -1) {
		late, _ := strconv.ParseFloat(m[3], 64) // digits, by the pattern
		reads, _ := strconv.ParseFloat(m[4], 64)
		if m[2] == "each_second" {
			all = append(all, looks{seconds: m[1], readsPlain: reads})
		} else if len(all) > 0 {
			last := &all[len(all)-1]
			last.late, last.reads = late, reads
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("BenchmarkLastSecond printed nothing that is known:\n%s", out)
	}
	return all, nil
}
