package ops

import (
	"errors"
	"flag"
	"fmt"
	"strings"
)

type discard struct{}

func (discard) Write(b []byte) (int, error) { return len(b), nil }

func isHelp(word string) bool {
	return word == "-h" || word == "-help" || word == "--help" || word == "help"
}

func isHelpError(err error) bool { return errors.Is(err, flag.ErrHelp) }

// helpColumn is the width of the column before what a command does.
const helpColumn = 22

// overview is the help about all commands.
func overview() string {
	var b strings.Builder
	b.WriteString("bin/ops COMMAND [flags] [arguments]\n\n")
	for _, c := range commands {
		typed := strings.TrimSpace(c.Name + " " + c.Args)
		if len(typed) > helpColumn {
			fmt.Fprintf(&b, "  %s\n", typed)
			typed = ""
		}
		fmt.Fprintf(&b, "  %-*s %s\n", helpColumn, typed, c.Short)
	}
	b.WriteString(`
Which run: STACK=name in the environment, with your AWS credentials and region;
or -addr HOST:PORT of a running local run (127.0.0.1:8787 if you name none);
or -data FOLDER of a stopped one.

-json prints JSON. bin/ops COMMAND -h lists a command's flags.
Exit status: 0 fine, 1 failed, 2 not understood, 3 something needs you.
`)
	return b.String()
}

// help is the help about one command.
func (c Command) help(flags *flag.FlagSet) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n  %s\n\n", c.usage(), c.Short)
	flags.VisitAll(func(f *flag.Flag) {
		value, text := flag.UnquoteUsage(f)
		if f.DefValue != "" && f.DefValue != "false" && f.DefValue != "0" {
			text += " (default " + f.DefValue + ")"
		}
		fmt.Fprintf(&b, "  %-22s %s\n", strings.TrimSpace("-"+f.Name+" "+value), text)
	})
	if len(c.Rights) > 0 {
		fmt.Fprintf(&b, "\nOn a stack it needs, besides what every command needs:\n  %s\n", strings.Join(c.Rights, "\n  "))
	}
	return b.String()
}
