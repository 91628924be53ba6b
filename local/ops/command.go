package ops

import (
	"context"
	"flag"
	"fmt"
	"strings"
)

// commands are the commands of bin/ops, in the order of its help.
var commands = []Command{
	stuckCommand, inspectCommand, endsCommand, redriveCommand, rescueCommand,
	pauseCommand, resumeCommand, forgetCommand,
	checkCommand, reconcileCommand,
	keySetCommand, keyListCommand, keyRotateCommand, keyRemoveCommand,
	tokenAddCommand, tokenListCommand, tokenRevokeCommand,
}

// Command is one command of bin/ops. See the package comment for how to add one.
type Command struct {
	Name  string // what is typed: one word, or two, such as "key set"
	Args  string // its arguments, as the help shows them: "TASK", "[TASK]"; empty: none
	Short string // what it does, in one line of at most 54 characters

	// Input is set if the command reads standard input.
	Input bool
	// Prompt is set if the command reads one secret line of standard input. On a terminal
	// it is the question, and the answer is not shown.
	Prompt string
	// Writes is set if the command changes rows, or the secret.
	Writes bool
	// Stack is set if the command needs a stack: no local run has what it is about.
	Stack bool
	// Rights are the actions of IAM that the command needs on a stack, besides
	// those that every command needs.
	Rights []string

	// Setup defines the command's flags and returns what runs it.
	Setup func(*flag.FlagSet) Run
}

// Run does what a command is for. It acts on e alone: not on the process's environment,
// standard streams or clock.
type Run func(ctx context.Context, e *Env, args []string) (Result, error)

// Exit is a status with which bin/ops ends.
type Exit int

// The statuses.
const (
	Fine     Exit = 0
	Failed   Exit = 1
	Usage    Exit = 2 // the command was not understood
	NeedsYou Exit = 3 // it ran, and found something that a person must see to
)

// Result is what a command found or did.
type Result struct {
	Report Report // nil prints nothing
	Next   string // the command to type next, without bin/ops: "inspect TASK"; empty: none
	Exit   Exit   // Fine or NeedsYou

	// Ask is a question for the person at the keyboard. If it is not empty, bin/ops
	// prints the report and the question, reads a line, and runs the command again with
	// that line as Env.Answer.
	Ask string
}

// Report is the content of a Result. It prints itself for people, under a line that says
// which run it is about and when; -json prints what encoding/json makes of it.
type Report interface {
	Print(*Page)
}

// UsageError is a command that was not understood. Its text ends with what to type.
type UsageError struct{ text string }

func (e *UsageError) Error() string { return e.text }

// Usagef returns a UsageError.
func Usagef(format string, args ...any) error { return &UsageError{fmt.Sprintf(format, args...)} }

// usage returns how a command is typed.
func (c Command) usage() string {
	return strings.TrimSpace("bin/ops " + c.Name + " " + c.Args)
}

// checkArgs returns a UsageError if the number of arguments is wrong.
func (c Command) checkArgs(args []string) error {
	var least, most int
	for _, a := range strings.Fields(c.Args) {
		most++
		if !strings.HasPrefix(a, "[") {
			least++
		}
	}
	switch {
	case len(args) > most:
		return Usagef("%q is too much. Usage: %s", args[most], c.usage())
	case len(args) < least:
		return Usagef("%s is missing. Usage: %s", strings.Fields(c.Args)[len(args)], c.usage())
	}
	return nil
}

// find returns the command that words begin with, and the words after it.
func find(words []string) (Command, []string, error) {
	for n := min(2, len(words)); n > 0; n-- {
		name := strings.Join(words[:n], " ")
		for _, c := range commands {
			if c.Name == name {
				return c, words[n:], nil
			}
		}
	}
	name := ""
	if len(words) > 0 {
		name = words[0]
	}
	for _, c := range commands {
		if strings.HasPrefix(c.Name, name+" ") {
			return Command{}, nil, Usagef("bin/ops %s what? bin/ops -h lists the commands", name)
		}
	}
	return Command{}, nil, Usagef("bin/ops has no command %q. bin/ops -h lists them", name)
}

// request is a command as it was typed.
type request struct {
	command Command
	run     Run
	args    []string
	target  target
	json    bool
}

// target is which run a command acts on, as flags name it.
type target struct{ addr, data string }

// parse understands the words after bin/ops. Flags may stand anywhere after the command.
// With -h it returns flag.ErrHelp and a text for people.
func parse(words []string) (r request, help string, err error) {
	if len(words) == 0 || isHelp(words[0]) {
		return request{}, overview(), flag.ErrHelp
	}
	c, words, err := find(words)
	if err != nil {
		return request{}, "", err
	}
	r.command = c
	flags := flag.NewFlagSet(c.Name, flag.ContinueOnError)
	flags.SetOutput(discard{})
	flags.StringVar(&r.target.addr, "addr", "", "`HOST:PORT` of a running local run")
	flags.StringVar(&r.target.data, "data", "", "`FOLDER` of a stopped local run")
	flags.BoolVar(&r.json, "json", false, "print JSON, for programs")
	r.run = c.Setup(flags)
	for {
		if err := flags.Parse(words); err != nil {
			if isHelpError(err) {
				return request{}, c.help(flags), flag.ErrHelp
			}
			return request{}, "", Usagef("%v. bin/ops %s -h lists the flags", err, c.Name)
		}
		rest := flags.Args()
		if len(rest) == 0 {
			break
		}
		if used := len(words) - len(rest); used > 0 && words[used-1] == "--" {
			r.args = append(r.args, rest...)
			break
		}
		r.args, words = append(r.args, rest[0]), rest[1:]
	}
	return r, "", c.checkArgs(r.args)
}
