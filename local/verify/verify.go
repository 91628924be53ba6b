// Package verify checks the code's guesses about the provider with a live
// account: it orders a few pictures, by API key or through a deployed stack, and
// prints a table of what was assumed, what was seen and what to change.
package verify

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// Options say what to verify, and how.
type Options struct {
	Addr    string // to listen on for callbacks, where PUBLIC_URL is set
	Origin  string // the address of a server there
	Data    string // the folder for what the provider said
	Yes     bool   // spend without asking
	Refused string // a prompt that the provider's content policy should refuse
	Getenv  func(string) string

	pace pace
}

// Flags adds the command's own flags and sets their defaults.
func (o *Options) Flags(flags *flag.FlagSet) {
	o.pace = livePace
	flags.BoolVar(&o.Yes, "yes", false, "spend without asking")
	flags.StringVar(&o.Refused, "refused", refusedPrompt, "a `prompt` that the provider's content policy refuses")
	flags.DurationVar(&o.pace.Callbacks, "wait", livePace.Callbacks, "how `long`, after all else, callbacks answered 503 are waited for")
}

// pace is how fast a verification goes.
type pace struct {
	Task      time.Duration // how long one is waited for
	Callbacks time.Duration // how long, after the last step, callbacks are
	FirstRead time.Duration // when a stack's sweep first reads a record that no callback asked for
	Balance   time.Duration // how long a stack is asked for a balance newer than the step
	Ask       time.Duration // and how often
}

var livePace = pace{
	Task: 10 * time.Minute, Callbacks: 5 * time.Minute,
	FirstRead: 90 * time.Second, Balance: 45 * time.Second, Ask: 5 * time.Second,
}

// refusedPrompt is one that a content policy can be expected to refuse.
const refusedPrompt = "NSFW: an explicit nude photograph of two adults"

// verification is what can be proven with a live account alone, and how.
type verification struct {
	account string // whose credits it spends
	minutes string // how long it takes
	balance func(context.Context) (float64, error)
	steps   []step
	finish  func(context.Context) // what follows the last step
	table   func() []finding
}

// step is a part of it that spends credits.
type step struct {
	name    string
	credits float64 // estimated
	run     func(context.Context) error
}

var errInterrupted = errors.New("interrupted: the table is what was seen until then")

// Run asks, spends credits, and prints which of the code's guesses are right.
func Run(ctx context.Context, o Options, in io.Reader, out io.Writer) error {
	var v verification
	var err error
	if stack := o.Getenv("STACK"); stack != "" {
		v, err = verifyStack(ctx, o, stack, out)
	} else {
		var p *prober
		if p, err = newProber(ctx, o, out); err == nil {
			defer p.close()
			v = p.verification()
		}
	}
	if err != nil {
		return err
	}
	have, err := v.balance(ctx)
	if err != nil {
		return fmt.Errorf("the balance cannot be read, so nothing was spent: %w", err)
	}
	var need float64
	for _, s := range v.steps {
		need += s.credits
	}
	fmt.Fprintf(out, "The balance of %s is %g credits.\n", v.account, have)
	if have < need {
		return fmt.Errorf("this needs about %g credits and there are %g: nothing was spent", need, have)
	}
	if !o.Yes {
		question := fmt.Sprintf("This spends about %g credits of %s, and takes %s: go on? [y/N] ", need, v.account, v.minutes)
		if err := confirm(ctx, question, in, out); err != nil {
			return err
		}
	}
	return v.run(ctx, out)
}

// run runs the steps, each whatever became of the others, and prints the table.
func (v verification) run(ctx context.Context, out io.Writer) error {
	failed := 0
	for i, s := range v.steps {
		if ctx.Err() != nil {
			break
		}
		fmt.Fprintf(out, "\n%d of %d: %s, about %g credits\n", i+1, len(v.steps), s.name, s.credits)
		if err := s.run(ctx); err != nil && ctx.Err() == nil {
			failed++
			fmt.Fprintf(out, "  failed: %v\n", err)
		}
	}
	if ctx.Err() == nil {
		v.finish(ctx)
	}
	fmt.Fprintln(out)
	printTable(out, v.table())
	switch {
	case ctx.Err() != nil:
		return errInterrupted
	case failed > 0:
		return fmt.Errorf("%d of %d steps failed", failed, len(v.steps))
	}
	return nil
}

// confirm asks at the terminal; silence is no.
func confirm(ctx context.Context, question string, in io.Reader, out io.Writer) error {
	if !terminal(in) {
		return errors.New("standard input is no terminal, so nobody can be asked; -yes goes on without asking. Nothing was spent")
	}
	fmt.Fprint(out, question)
	return answered(ctx, in)
}

// answered reads the answer, and gives an error unless it is yes.
func answered(ctx context.Context, in io.Reader) error {
	line := make(chan string, 1)
	go func() {
		text, _ := bufio.NewReader(in).ReadString('\n') // at its end there is no answer
		line <- text
	}()
	select {
	case <-ctx.Done():
		return errors.New("interrupted: nothing was spent")
	case text := <-line:
		switch strings.ToLower(strings.TrimSpace(text)) {
		case "y", "yes":
			return nil
		}
		return errors.New("not confirmed: nothing was spent")
	}
}

func terminal(in io.Reader) bool {
	f, ok := in.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// pause waits, and tells whether it waited to the end.
func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
