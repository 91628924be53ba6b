package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
)

// goVulnerabilities holds the functions against the database of Go's known
// vulnerabilities.
func goVulnerabilities(ctx context.Context, root string) (string, error) {
	tool, err := tool(ctx, root, vulnTool)
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, tool, "./functions/...", "./local")
	cmd.Dir = root
	said, err := cmd.CombinedOutput()
	return judgeGo(string(said), err)
}

// judgeGo distinguishes a database that cannot be reached from one that reports a vulnerability.
func judgeGo(said string, err error) (string, error) {
	said = strings.TrimSpace(said)
	switch {
	case err == nil:
		return "none known", nil
	case strings.HasPrefix(said, "govulncheck: fetching vulnerabilities:"):
		return "not run: the database of vulnerabilities cannot be reached from here", nil
	}
	return "", fmt.Errorf("%w\n%s", err, said)
}

// audited are the folders whose packages Preset takes. What the tests install runs
// on nobody's machine but a developer's.
var audited = []string{"frontend/client", "frontend/example"}

// npmVulnerabilities asks npm's registry about the packages that audited lock.
func npmVulnerabilities(ctx context.Context, root string) (string, error) {
	for _, dir := range audited {
		cmd := exec.CommandContext(ctx, "npm", "audit", "--json", "--package-lock-only", "--audit-level=low")
		cmd.Dir = filepath.Join(root, dir)
		said, err := cmd.Output()
		if reason, err := judgeNPM(said, err); err != nil {
			return "", fmt.Errorf("%s: %w", dir, err)
		} else if reason != "" {
			return reason, nil
		}
	}
	return "none known in " + strings.Join(audited, " and "), nil
}

// judgeNPM returns why the audit has not run, if it has not, and an error if it has
// found something.
func judgeNPM(said []byte, err error) (reason string, _ error) {
	var answer struct {
		AuditReportVersion int
		Message            string
		Error              *struct{ Code, Summary string }
		Vulnerabilities    map[string]struct{ Severity string }
	}
	if faulty := json.Unmarshal(said, &answer); faulty != nil {
		return "", errors.Join(err, fmt.Errorf("npm audit: its answer is not JSON: %w", faulty))
	}
	switch {
	case answer.Error != nil && answer.Error.Code == "" && strings.Contains(answer.Message, "/security/advisories/"):
		return "not run: the registry does not answer audits from here", nil
	case answer.Error != nil:
		return "", errors.Join(err, fmt.Errorf("npm audit: %s", cmp.Or(answer.Error.Summary, answer.Message)))
	case answer.AuditReportVersion == 0:
		return "", errors.Join(err, errors.New("npm audit: its answer is no report"))
	case len(answer.Vulnerabilities) > 0:
		var found []string
		for name, v := range answer.Vulnerabilities {
			found = append(found, name+" ("+v.Severity+")")
		}
		return "", fmt.Errorf("known in %s", strings.Join(found, ", "))
	}
	return "", err
}
