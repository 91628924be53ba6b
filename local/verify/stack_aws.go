package verify

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strings"
)

// aws runs AWS's own command, which speaks to the account.
func aws(ctx context.Context, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "aws", args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	b, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("aws %s %s: %w: %s", args[0], args[1], err, clip(strings.TrimSpace(stderr.String())))
	}
	return b, nil
}

// check has the stack look at its balance now. By itself it does so every 5
// minutes, and the API shows what was found then. Where this may not be asked
// for, prices are not seen; all else is.
func (p *stackProber) check(ctx context.Context) {
	err := p.findCheck(ctx)
	if err == nil {
		_, err = aws(ctx, "lambda", "invoke", "--function-name", p.checker,
			"--cli-binary-format", "raw-in-base64-out", "--payload", `{"check":"credits"}`, "/dev/null")
	}
	if err != nil {
		fmt.Fprintf(p.out, "  the balance is as old as its last check: %v\n", err)
	}
}

// findCheck finds out once what the stack's function that checks is called.
func (p *stackProber) findCheck(ctx context.Context) error {
	if p.checker != "" {
		return nil
	}
	b, err := aws(ctx, "cloudformation", "describe-stack-resource", "--stack-name", p.stack,
		"--logical-resource-id", "Credits", "--query", "StackResourceDetail.PhysicalResourceId", "--output", "text")
	p.checker = strings.TrimSpace(string(b))
	return err
}
