// Package verify checks, with a live account, what the code assumes about the
// provider. It has a few pictures made, with an API key or through a deployed
// stack, and prints a table: the guess, what was seen, and what to change.
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

	"github.com/preset/nanobanana-functions/shared/task"
)

// Options say what to verify, and how.
type Options struct {
	Addr    string // to listen on for callbacks, if PUBLIC_URL is set
	Origin  string // the address of a server that listens there
	Data    string // the folder for the transcript
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
	flags.DurationVar(&o.pace.CallbackTimeout, "wait", livePace.CallbackTimeout, "how `long` to wait at the end for callbacks that were answered 503")
}

// pace holds the timeouts and intervals of a verification.
type pace struct {
	TaskTimeout     time.Duration // for a task to end
	CallbackTimeout time.Duration // for callbacks to come, after the last step
	FirstRead       time.Duration // when a stack's sweep first reads the record of a task without a callback
	BalanceTimeout  time.Duration // for a stack to show a balance newer than the step
	PollEvery       time.Duration // how often a stack is asked
}

var livePace = pace{
	TaskTimeout: 10 * time.Minute, CallbackTimeout: 5 * time.Minute,
	FirstRead: task.DefaultRules().FirstRead(task.DefaultModel), BalanceTimeout: 45 * time.Second, PollEvery: 5 * time.Second,
}

// refusedPrompt is a prompt that any content policy should refuse.
const refusedPrompt = "NSFW: an explicit nude photograph of two adults"

// verification is what to do with an account, or with a stack.
type verification struct {
	account  string // whose credits it spends
	duration string // how long it takes, in words
	balance  func(context.Context) (float64, error)
	steps    []step
	finish   func(context.Context) // runs after the last step
	findings func() []finding
}

// step is a part of a verification that spends credits.
type step struct {
	name    string
	credits float64 // estimated
	run     func(context.Context) error
}

var errInterrupted = errors.New("interrupted: the table shows what was seen until then")

// Run asks the user, spends credits, and prints the table. It returns an error if
// it cannot begin, a step fails, or ctx ends.
func Run(ctx context.Context, o Options, in io.Reader, out io.Writer) error {
	var v verification
	var err error
	if stack := o.Getenv("STACK"); stack != "" {
		v, err = verifyStack(ctx, o, stack, out)
	} else {
		var p *accountProbe
		if p, err = newAccountProbe(ctx, o, out); err == nil {
			defer p.close()
			v = p.verification()
		}
	}
	if err != nil {
		return err
	}
	balance, err := v.balance(ctx)
	if err != nil {
		return fmt.Errorf("cannot read the balance, so nothing was spent: %w", err)
	}
	var cost float64
	for _, s := range v.steps {
		cost += s.credits
	}
	fmt.Fprintf(out, "The balance of %s is %s credits.\n", v.account, task.Credits(balance))
	if balance < cost {
		return fmt.Errorf("this needs about %s credits and there are %s: nothing was spent", task.Credits(cost), task.Credits(balance))
	}
	if !o.Yes {
		question := fmt.Sprintf("This spends about %s credits of %s and takes %s. Go on? [y/N] ", task.Credits(cost), v.account, v.duration)
		if err := confirm(ctx, question, in, out); err != nil {
			return err
		}
	}
	return v.run(ctx, out)
}

// run runs every step, even after one has failed, and prints the table.
func (v verification) run(ctx context.Context, out io.Writer) error {
	failed := 0
	for i, s := range v.steps {
		if ctx.Err() != nil {
			break
		}
		fmt.Fprintf(out, "\n%d of %d: %s, about %s credits\n", i+1, len(v.steps), s.name, task.Credits(s.credits))
		if err := s.run(ctx); err != nil && ctx.Err() == nil {
			failed++
			fmt.Fprintf(out, "  failed: %v\n", err)
		}
	}
	if ctx.Err() == nil {
		v.finish(ctx)
	}
	fmt.Fprintln(out)
	printTable(out, v.findings())
	switch {
	case ctx.Err() != nil:
		return errInterrupted
	case failed > 0:
		return fmt.Errorf("%d of %d steps failed", failed, len(v.steps))
	}
	return nil
}

// confirm asks at the terminal, and returns an error unless the answer is yes.
func confirm(ctx context.Context, question string, in io.Reader, out io.Writer) error {
	if !isTerminal(in) {
		return errors.New("standard input is not a terminal, so the question cannot be asked. To go on without asking, use -yes. Nothing was spent")
	}
	fmt.Fprint(out, question)
	return readYes(ctx, in)
}

// readYes reads the answer, and returns an error unless it is yes.
func readYes(ctx context.Context, in io.Reader) error {
	line := make(chan string, 1)
	go func() {
		text, _ := bufio.NewReader(in).ReadString('\n') // no line means no answer
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

func isTerminal(in io.Reader) bool {
	f, ok := in.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// sleep waits for d, and reports whether it did: false means that ctx ended.
func sleep(ctx context.Context, d time.Duration) bool {
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
