package ops

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"
)

// Options are the surroundings of the program.
type Options struct {
	Getenv func(string) string
	In     io.Reader
	Out    io.Writer // what was found
	Err    io.Writer // why it failed

	// OpenData opens the data folder of a stopped local run; to write, or only to
	// read. The caller calls close.
	OpenData func(folder string, write bool) (e *Env, close func() error, err error)
}

// maxInput is the most bytes of standard input that a command reads.
const maxInput = 1 << 20

// Main runs the command that words are, and returns the status to exit with.
func Main(ctx context.Context, words []string, o Options) Exit {
	r, help, err := parse(words)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(o.Out, help)
		return Fine
	}
	var out output
	if err == nil {
		out, err = dispatch(ctx, words, r, o)
	}
	if err != nil {
		out = failure(err)
	}
	out.print(o)
	return out.Exit
}

// output is what a command printed, and how it ended.
type output struct {
	Text string `json:"text"`
	Err  string `json:"err,omitempty"`
	Ask  string `json:"ask,omitempty"`
	Exit Exit   `json:"exit"`
}

func failure(err error) output {
	if _, ok := errors.AsType[*UsageError](err); ok {
		return output{Err: err.Error(), Exit: Usage}
	}
	text := err.Error()
	if a := advice(err); a != "" {
		text = a + ". (" + text + ")"
	}
	return output{Err: text, Exit: Failed}
}

func (x output) print(o Options) {
	fmt.Fprint(o.Out, x.Text)
	if x.Err != "" {
		fmt.Fprintln(o.Err, "ops:", x.Err)
	}
}

// dispatch runs the command on the run that it names, and again with the person's answer
// for as long as it asks.
func dispatch(ctx context.Context, words []string, r request, o Options) (output, error) {
	in := bufio.NewReader(o.In)
	input, err := r.command.input(ctx, in, o)
	if err != nil {
		return output{}, err
	}
	run, closeRun, err := connect(ctx, words, r, o)
	if err != nil {
		return output{}, err
	}
	out, err := run(ctx, input, "")
	for err == nil && out.Ask != "" {
		question := o.Out
		if r.json { // which is one object: what was done
			question = o.Err
		}
		fmt.Fprint(question, out.Text)
		fmt.Fprint(question, out.Ask+" ")
		line, readErr := in.ReadString('\n')
		if !onTerminal(o.In) { // which shows the line that was typed
			fmt.Fprintln(question)
		}
		if strings.TrimSpace(line) == "" {
			return output{Err: "nothing was answered, and nothing was done", Exit: Failed}, errors.Join(ignoreEOF(readErr), closeRun())
		}
		out, err = run(ctx, input, strings.TrimRight(line, "\r\n"))
	}
	return out, errors.Join(err, closeRun())
}

// input returns the standard input that a command reads, nil for a command that reads
// none.
func (c Command) input(ctx context.Context, in io.Reader, o Options) ([]byte, error) {
	if c.Prompt != "" && onTerminal(o.In) {
		return readHidden(ctx, o.In.(*os.File), c.Prompt, o.Err)
	}
	if !c.Input && c.Prompt == "" {
		return nil, nil
	}
	input, err := io.ReadAll(io.LimitReader(in, maxInput+1))
	if err != nil {
		return nil, fmt.Errorf("reading standard input: %w", err)
	}
	if len(input) > maxInput {
		return nil, errors.New("standard input has more than 1 MiB")
	}
	return input, nil
}

func onTerminal(in io.Reader) bool {
	file, ok := in.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// readHidden asks for a line on a terminal, which does not show it. The end of ctx, as
// by Ctrl-C, leaves the terminal as it was.
func readHidden(ctx context.Context, file *os.File, prompt string, out io.Writer) ([]byte, error) {
	before, err := term.GetState(int(file.Fd()))
	if err != nil {
		return nil, err
	}
	fmt.Fprint(out, prompt+" ")
	defer fmt.Fprintln(out)
	type answer struct {
		line []byte
		err  error
	}
	answered := make(chan answer, 1)
	go func() { // it may wait for ever, and ends with the process
		line, err := term.ReadPassword(int(file.Fd()))
		answered <- answer{line, err}
	}()
	select {
	case a := <-answered:
		return a.line, ignoreEOF(a.err)
	case <-ctx.Done():
		return nil, errors.Join(errors.New("nothing was changed"), term.Restore(int(file.Fd()), before))
	}
}

func ignoreEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// runner runs one command, with its standard input and the answer to its question.
type runner func(ctx context.Context, input []byte, answer string) (output, error)

// connect returns what runs the command where it belongs: on a stack, in the process of
// a local run, or on the folder of a stopped one.
func connect(ctx context.Context, words []string, r request, o Options) (runner, func() error, error) {
	nothing := func() error { return nil }
	stack := o.Getenv("STACK")
	switch t := r.target; {
	case t.addr != "" && t.data != "":
		return nil, nil, Usagef("-addr is for a running local run, -data for a stopped one: name one of them")
	case stack != "" && (t.addr != "" || t.data != ""):
		return nil, nil, Usagef("STACK=%s is set, and a local run is named too: unset STACK, or leave the flag out", stack)
	case stack != "":
		e, err := openStack(ctx, stack, o)
		return r.on(e.telling(o)), nothing, err
	case r.command.Stack:
		return nil, nil, Usagef("%s needs a stack: set STACK=name", r.command.usage())
	case t.data != "":
		e, closeRun, err := o.OpenData(t.data, r.command.Writes)
		return r.on(e.telling(o)), closeRun, err
	}
	return remote{addr: r.target.addr, words: words}.run, nothing, nil
}

// telling lets commands tell the person how far they are. e may be nil.
func (e *Env) telling(o Options) *Env {
	if e != nil {
		e.Tell = func(line string) { fmt.Fprintln(o.Err, "ops:", line) }
	}
	return e
}

// on returns a runner of the command on e.
func (r request) on(e *Env) runner {
	return func(ctx context.Context, input []byte, answer string) (output, error) {
		here := *e
		here.In, here.Answer = strings.NewReader(string(input)), answer
		return r.execute(ctx, &here), nil
	}
}

// execute runs the command and prints its result.
func (r request) execute(ctx context.Context, e *Env) output {
	if r.command.Stack && e.Stack == nil {
		return failure(Usagef("%s needs a stack: set STACK=name", r.command.usage()))
	}
	result, err := r.run(ctx, e, r.args)
	if err != nil {
		return failure(err)
	}
	out := output{Exit: result.Exit, Ask: result.Ask}
	if result.Next != "" {
		result.Next = e.Command(result.Next)
	}
	if r.json {
		out.Text, err = result.json(e)
	} else {
		out.Text = result.text(e)
	}
	if err != nil {
		return failure(err)
	}
	return out
}

func (x Result) text(e *Env) string {
	p := &Page{Now: e.Now()}
	p.Raw(e.Name + ", " + At(p.Now) + " UTC")
	p.Blank()
	if x.Report != nil {
		x.Report.Print(p)
	}
	if x.Next != "" {
		p.Blank()
		p.Raw("next: " + x.Next)
	}
	return p.String()
}

// json returns one JSON object: which run it is about and when, the report, and the next
// command.
func (x Result) json(e *Env) (string, error) {
	b, err := json.MarshalIndent(struct {
		Run    string    `json:"run"`
		Now    time.Time `json:"now"`
		Report Report    `json:"report"`
		Next   string    `json:"next,omitempty"`
	}{e.Name, e.Now().UTC().Truncate(time.Millisecond), x.Report, x.Next}, "", "  ")
	return string(b) + "\n", err
}
