package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"time"

	"github.com/preset/nanobanana-functions/functions/deployed/lambdatest"
)

// invoke does what `sam local invoke` does, without a container: it runs what SAM has
// built as a process, with the variables that SAM would set.
func invoke(ctx context.Context, function, event string, out io.Writer) error {
	s, err := connect()
	if err != nil {
		return err
	}
	input, err := os.ReadFile(event)
	if err != nil {
		return err
	}
	path, err := filepath.Abs(filepath.Join(dir, "build", function, "bootstrap"))
	if err != nil {
		return err
	}
	maps.Copy(s.env, map[string]string{
		"AWS_SAM_LOCAL": "true", "AWS_REGION": os.Getenv("AWS_REGION"),
		"AWS_ACCESS_KEY_ID": os.Getenv("AWS_ACCESS_KEY_ID"), "AWS_SECRET_ACCESS_KEY": os.Getenv("AWS_SECRET_ACCESS_KEY"),
	})
	f := lambdatest.NewFunction(lambdatest.Config{Name: function, Path: path, Env: s.env, Timeout: time.Minute})
	answer, err := f.Invoke(ctx, input)
	f.Close() // completes its log
	fmt.Fprint(os.Stderr, f.Log())
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s\n", answer)
	return err
}
