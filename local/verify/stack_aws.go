package verify

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strings"
)

// aws runs the aws command.
func aws(ctx context.Context, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "aws", args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	b, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("aws %s %s: %w: %s", args[0], args[1], err, truncate(strings.TrimSpace(stderr.String())))
	}
	return b, nil
}

// check makes the stack check its balance now. By itself it does so every 5 minutes,
// and the API shows the result. If the caller may not invoke the function, only
// prices are not seen.
func (p *stackProbe) check(ctx context.Context) {
	err := p.findChecker(ctx)
	if err == nil {
		_, err = aws(ctx, "lambda", "invoke", "--function-name", p.checker,
			"--cli-binary-format", "raw-in-base64-out", "--payload", `{"check":"credits"}`, "/dev/null")
	}
	if err != nil {
		fmt.Fprintf(p.out, "  cannot make the stack check its balance; the last check's is used: %v\n", err)
	}
}

// findChecker sets checker, unless it is known.
func (p *stackProbe) findChecker(ctx context.Context) error {
	if p.checker != "" {
		return nil
	}
	b, err := aws(ctx, "cloudformation", "describe-stack-resource", "--stack-name", p.stack,
		"--logical-resource-id", "Credits", "--query", "StackResourceDetail.PhysicalResourceId", "--output", "text")
	p.checker = strings.TrimSpace(string(b))
	return err
}
