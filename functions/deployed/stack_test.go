package deployed_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/preset/nanobanana-functions/shared/aws/env/envtest"
)

// ops runs a command of bin/ops on the harness as on a stack, as an operator's shell
// does, and returns what it printed and its status.
func (h *harness) ops(stack *httptest.Server, input string, words ...string) (said string, exit int) {
	h.t.Helper()
	binary := filepath.Join(binariesDir, "ops")
	binariesLock.Lock()
	if _, err := os.Stat(binary); err != nil {
		if out, err := exec.CommandContext(h.t.Context(), "go", "build", "-o", binary, "../../local/ops/bootstrap").CombinedOutput(); err != nil {
			h.t.Errorf("%v: %s", err, out)
		}
	}
	binariesLock.Unlock()
	cmd := exec.CommandContext(h.t.Context(), binary, words...)
	cmd.Stdin = strings.NewReader(input)
	cmd.Env = append(os.Environ(), "STACK=drill", "AWS_ENDPOINT_URL="+stack.URL, "AWS_REGION="+h.aws.Region, "AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test")
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		h.t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// stack is AWS as an operator's shell reaches it: the stand-in, in front of which
// CloudFormation, Lambda and CloudWatch's log know what the harness consists of.
func (h *harness) stack(log func() string) *httptest.Server {
	aws := envtest.NewProxy(h.t, h.aws)
	aws.OnWrite(h.wakeStreams)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /2015-03-31/functions/{name}/configuration", func(w http.ResponseWriter, r *http.Request) {
		writeJSON(w, map[string]any{"Environment": map[string]any{"Variables": h.env}})
	})
	mux.HandleFunc("POST /", func(w http.ResponseWriter, r *http.Request) {
		service, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
		switch {
		case service == "Logs_20140328" && operation == "FilterLogEvents":
			writeJSON(w, map[string]any{"events": events(log())})
		case service == "Logs_20140328":
			writeJSON(w, map[string]any{"logGroups": []any{map[string]any{"logGroupName": "drill-logs", "creationTime": 1}}})
		case isForm(r, "ListStackResources"):
			_, _ = io.WriteString(w, h.resources())
		default:
			aws.ServeHTTP(w, r)
		}
	})
	mux.Handle("/", aws)
	server := httptest.NewServer(mux)
	h.t.Cleanup(server.Close)
	return server
}

// isForm reports whether a request is this action of a service that takes forms.
func isForm(r *http.Request, action string) bool {
	if !strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		return false
	}
	body, err := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	return err == nil && bytes.Contains(body, []byte("Action="+action))
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	_ = json.NewEncoder(w).Encode(v)
}

// events are lines as FilterLogEvents returns them; the client filters them itself.
func events(log string) []any {
	all := []any{}
	for line := range strings.Lines(log) {
		all = append(all, map[string]any{"message": strings.TrimSuffix(line, "\n"), "timestamp": time.Now().UnixMilli()})
	}
	return all
}

// resources is CloudFormation's answer to ListStackResources.
func (h *harness) resources() string {
	var members strings.Builder
	add := func(id, kind, physical string) {
		fmt.Fprintf(&members, "<member><LogicalResourceId>%s</LogicalResourceId><ResourceType>%s</ResourceType><PhysicalResourceId>%s</PhysicalResourceId><ResourceStatus>CREATE_COMPLETE</ResourceStatus></member>", id, kind, html.EscapeString(physical))
	}
	add("Table", "AWS::DynamoDB::Table", h.table)
	add("Bucket", "AWS::S3::Bucket", h.bucket)
	add("Secret", "AWS::SecretsManager::Secret", h.secret)
	add("Logs", "AWS::Logs::LogGroup", "drill-logs")
	for name := range h.function {
		add(strings.ToUpper(name[:1])+name[1:], "AWS::Lambda::Function", path.Join("drill-"+name))
	}
	return `<ListStackResourcesResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/"><ListStackResourcesResult><StackResourceSummaries>` +
		members.String() + `</StackResourceSummaries></ListStackResourcesResult></ListStackResourcesResponse>`
}
