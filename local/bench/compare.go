package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"
)

// compare builds the functions by go.mod and by each of the files that stand in for it,
// and prints for each function how much more CPU and bytes it costs with the others.
func compare(ctx context.Context, out io.Writer, dir string, n int, modfiles []string) error {
	w, err := newWorld(dir, true)
	if err != nil {
		return err
	}
	defer w.close()
	modfiles = append([]string{"go.mod"}, modfiles...)
	builds := make([]map[string]string, len(modfiles))
	for i, file := range modfiles {
		if builds[i], err = build(ctx, filepath.Join(dir, fmt.Sprint(i)), "-modfile="+file); err != nil {
			return err
		}
	}
	all, err := scenes(ctx, w, builds[0], 1)
	if err != nil {
		return err
	}
	samples, err := byTurns(ctx, all, builds, n)
	if err != nil {
		return err
	}
	return printCompared(out, modfiles, builds, samples)
}

// byTurns runs each function n times by each build, and returns the samples by
// function, build and round. The first round only warms up, as in measure.
func byTurns(ctx context.Context, all map[string]*scene, builds []map[string]string, n int) (map[string][][]*sample, error) {
	samples := map[string][][]*sample{}
	for _, name := range functions {
		all[name].answers = 2
		samples[name] = make([][]*sample, len(builds))
	}
	for round := range n + 1 {
		for _, name := range functions {
			for i := range builds {
				i = (i + round) % len(builds)
				m, err := all[name].run(ctx, builds[i][name])
				if err != nil {
					return nil, fmt.Errorf("%s, build %d: %w", name, i, err)
				}
				if round > 0 {
					samples[name][i] = append(samples[name][i], m)
				}
			}
		}
	}
	return samples, nil
}

func printCompared(out io.Writer, modfiles []string, builds []map[string]string, samples map[string][][]*sample) error {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "CPU in ms, ratio (95 %)\tby\tuntil init ends\tuntil the first answer\tof the second request\tKiB, ratio")
	for _, name := range functions {
		for i, file := range modfiles {
			_, _ = fmt.Fprintf(t, "%s\t%s", name, filepath.Base(file))
			for _, of := range []func(*sample) time.Duration{startCPU, coldCPU, secondCPU} {
				one, other := figures(samples[name][0], of), figures(samples[name][i], of)
				low, high := spread(one, other)
				_, _ = fmt.Fprintf(t, "\t%.2f, %.3f (%.3f to %.3f)", middle(other)*1000, middle(other)/middle(one), low, high)
			}
			before, after := size(builds[0][name]), size(builds[i][name])
			_, _ = fmt.Fprintf(t, "\t%.0f, %.3f\n", after/1024, after/before)
		}
	}
	return t.Flush()
}

// figures returns a figure of all samples, in seconds.
func figures(samples []*sample, of func(*sample) time.Duration) (all []float64) {
	for _, m := range samples {
		all = append(all, of(m).Seconds())
	}
	return all
}

// middle returns the median.
func middle(all []float64) float64 {
	all = slices.Sorted(slices.Values(all))
	return all[len(all)/2]
}

// spread returns between what 95 % of the ratios of medians lie, if rounds are drawn
// again from those that were run.
func spread(one, other []float64) (low, high float64) {
	const draws = 4000
	random := rand.New(rand.NewPCG(1, 2))
	ratios := make([]float64, draws)
	for i := range ratios {
		a, b := make([]float64, len(one)), make([]float64, len(one))
		for k := range a {
			round := random.IntN(len(one))
			a[k], b[k] = one[round], other[round]
		}
		ratios[i] = middle(b) / middle(a)
	}
	slices.Sort(ratios)
	return ratios[draws/40], ratios[draws-1-draws/40]
}
