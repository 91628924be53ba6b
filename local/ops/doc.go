// Package ops is the operator's tool, bin/ops: its commands, and what they act on. A
// command acts on a stack (STACK=name), on a running local run (the command's words are
// sent to it and it runs them in its own process), or on the folder of a stopped one.
//
// # To add a command
//
// Write one file, named after the command, with a value of type Command and add it to
// the table commands in command.go:
//
//	var pauseCommand = Command{
//		Name: "pause", Short: "take no more orders until resume", Writes: true,
//		Rights: []string{"dynamodb:UpdateItem"},
//		Setup: func(f *flag.FlagSet) Run {
//			reason := f.String("reason", "", "what callers read; required")
//			return func(ctx context.Context, e *Env, args []string) (Result, error) {
//				...
//				return Result{Report: paused{...}, Next: "resume"}, nil
//			}
//		},
//	}
//
// The framework parses flags anywhere after the command's name, checks the number of
// arguments against Args, opens what Env holds, prints the Report, "next: " with what
// selects the run put in, and exits. What a command must keep to:
//
//   - It acts on Env alone: no os.Getenv, os.Stdin, time.Now. In a local run it runs in
//     another process than the one that was typed.
//   - At most 4 requests to DynamoDB a page of its answer, and never a Scan. The test
//     TestRequests runs every command of the table: add ways to type the command to
//     typedCommands in requests_test.go.
//   - Env.Stack is nil in a local run. A command that cannot do without sets Stack.
//   - What only people can decide is asked by Result.Ask: bin/ops prints the report and
//     the question, and runs the command again with Env.Answer.
//   - Errors are for people: what is wrong, and the next step. Usagef is for what was
//     typed wrongly. What needs a person although the command ran is Exit NeedsYou.
//   - A Report is a struct with json tags and a method Print(*Page). Never in it: prompts,
//     links, owners, keys. The framework prints which run it is about, and when. Page
//     breaks lines at 80 characters: look at yours.
//   - Rights lists the actions of IAM besides the ones that every command needs.
//   - docs/ops.md has a section "## NAME" for it, and its rights. A block fenced as
//     "console" that begins with "$ bin/ops …" is run by TestExamples on the samples of
//     world_test.go, and holds what it prints; with -update the test writes it.
package ops
