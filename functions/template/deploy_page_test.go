package template_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// operator is a person who follows docs/deploy.md, in a copy of the repository, with the
// real `sam` and `aws` against the stand-in of AWS.
type operator struct {
	t   *testing.T
	dir string
	env []string
}

// buildStub is `sam`: its build makes placeholders of the functions, which `make
// sam-check` builds. Everything else is the real one.
const buildStub = `#!/bin/sh
[ "$1" = build ] || exec SAM "$@"
rm -rf .aws-sam && mkdir -p .aws-sam/build/code && echo placeholder >.aws-sam/build/code/bootstrap
sed -e '/Metadata: {BuildMethod/d' -e 's#CodeUri: functions/.*#CodeUri: code/#' template.yaml >.aws-sam/build/template.yaml
`

// newOperator returns an operator. Without the tools that make test-deploy installs the
// test is skipped; with DEPLOY_TESTS=required, as in CI, it fails.
func newOperator(t *testing.T) *operator {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	sam, cli := filepath.Join(root, ".aws/sam-venv/bin/sam"), filepath.Join(root, ".aws/cli-venv/bin/aws")
	_, samErr := os.Stat(sam)
	_, cliErr := os.Stat(cli)
	if err := errors.Join(samErr, cliErr); err != nil || os.Getenv("AWS_ENDPOINT_URL") == "" {
		if os.Getenv("DEPLOY_TESTS") == "required" {
			t.Fatalf("run this by make test-deploy: %v", err)
		}
		t.Skip("needs the stand-in of AWS, sam and aws: make test-deploy")
	}
	o := &operator{t: t, dir: t.TempDir()}
	tools := t.TempDir()
	if err := os.WriteFile(filepath.Join(tools, "sam"), []byte(strings.ReplaceAll(buildStub, "SAM", sam)), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(cli, filepath.Join(tools, "aws")); err != nil {
		t.Fatal(err)
	}
	o.env = append(os.Environ(), "PATH="+tools+":"+os.Getenv("PATH"), "SAM_CLI_TELEMETRY=0", "SAM_CLI_POLL_DELAY=0.3", "AWS_PAGER=", "AWS_DEFAULT_REGION="+os.Getenv("AWS_REGION"))
	if out, err := exec.Command("sh", "-c", `cd "$0" && git ls-files -co --exclude-standard | grep -v ^frontend/ | tar -cf - -T - | tar -xf - -C "$1"`, root, o.dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return o
}

// yes is an answer to every question.
type yes struct{}

func (yes) Read(b []byte) (int, error) { return copy(b, "y\n"), nil }

// run runs commands in the operator's shell, which keeps its variables.
func (o *operator) run(input, commands string) string {
	o.t.Helper()
	script := "touch .variables; . ./.variables; set -euo pipefail\n" + commands +
		"\nset +u; declare -p STACK OLD NEW TABLE BUCKET SECRET FUNCTIONS LOGS SWEEP CHECK ON 2>/dev/null >.variables || true"
	cmd := exec.Command("bash", "-c", script)
	cmd.Dir, cmd.Env, cmd.Stdin = o.dir, o.env, io.Reader(yes{})
	if input != "" {
		cmd.Stdin = strings.NewReader(input)
	}
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Run(); err != nil {
		o.t.Fatalf("%v\n%s\n%s", err, commands, said.Bytes())
	}
	return said.String()
}

// live returns a setting of a stack's function as requests meet it.
func (o *operator) live(stack, function, setting string) string {
	o.t.Helper()
	return strings.TrimSpace(o.run("", fmt.Sprintf(`aws lambda get-function-configuration --output text --query Environment.Variables.%s --function-name \
		"$(aws cloudformation describe-stack-resource --stack-name %s --logical-resource-id %s --query StackResourceDetail.PhysicalResourceId --output text):live"`, setting, stack, function)))
}

func (o *operator) wants(what, got, want string) {
	o.t.Helper()
	if got != want {
		o.t.Errorf("%s is %q, want %q", what, got, want)
	}
}

// status returns a stack's status.
func (o *operator) status(stack string) string {
	return strings.TrimSpace(o.run("", "aws cloudformation describe-stacks --stack-name "+stack+" --query Stacks[0].StackStatus --output text 2>&1 || true"))
}

// kept returns what the row, the object and the secret of the deploy test hold.
func (o *operator) kept() string {
	return o.run("", `aws dynamodb get-item --table-name $TABLE --key '{"id":{"S":"kept"}}' --query Item.prompt.S --output text
		aws s3 cp --quiet s3://$BUCKET/tasks/kept/1.png -
		aws secretsmanager get-secret-value --secret-id $SECRET --query SecretString --output text`)
}

const operatorsKey = "key-of-the-deploy-test"

// step is a block of commands of docs/deploy.md: what is typed into it, what has happened
// before it, and what must be so after it.
type step struct {
	with   string // a part of the block
	input  func(*stack) string
	before func(*operator)
	after  func(o *operator, said string)
}

var deploySteps = []step{
	{with: "ARGS=--guided", input: func(s *stack) string {
		return "nanobanana\n\n" + strings.Repeat("\n", len(s.Parameters)) + "n\n" + strings.Repeat("\n", 10)
	}, after: func(o *operator, _ string) {
		o.wants("the quota", o.live("nanobanana", "Submit", "DAILY_QUOTA"), "100")
	}},
	{with: "make set-api-key", input: func(*stack) string { return operatorsKey + "\n" }, after: func(o *operator, said string) {
		secret := o.run("", `aws secretsmanager get-secret-value --query SecretString --output text --secret-id "$(aws cloudformation describe-stack-resource \
			--stack-name nanobanana --logical-resource-id Secret --query StackResourceDetail.PhysicalResourceId --output text)"`)
		if !strings.Contains(secret, `"`+operatorsKey+`"`) || strings.Contains(said, operatorsKey) || !strings.Contains(said, "/mcp") {
			o.t.Errorf("the secret is %s, said %s", secret, said)
		}
	}},
	{with: "DailyQuota=50", after: func(o *operator, _ string) {
		o.wants("the quota", o.live("nanobanana", "Mcp", "DAILY_QUOTA"), "50")
		o.wants("the log level", o.live("nanobanana", "Ingest", "LOG_LEVEL"), "debug")
	}},
	{with: "lambda delete-function", before: func(o *operator) {
		o.run("", `f=$(aws cloudformation describe-stack-resource --stack-name nanobanana --logical-resource-id Submit --query StackResourceDetail.PhysicalResourceId --output text)
			for n in 1 2 3 4 5; do aws lambda update-function-configuration --function-name $f --description $n --query Version; aws lambda publish-version --function-name $f --query Version; done`)
	}, after: func(o *operator, _ string) {
		o.wants("the versions of Submit", strings.Join(strings.Fields(o.run("", `aws lambda list-versions-by-function --query 'Versions[].Version' --output text --function-name \
			"$(aws cloudformation describe-stack-resource --stack-name nanobanana --logical-resource-id Submit --query StackResourceDetail.PhysicalResourceId --output text)"`)), " "), "$LATEST 4 5 6 7 8")
	}},
	{with: "GlobalSecondaryIndexes", after: func(o *operator, said string) {
		if !strings.Contains(said, "owner") || !strings.Contains(said, "ACTIVE") {
			o.t.Errorf("the indexes are %s", said)
		}
	}},
	{with: "lambda update-alias", before: func(o *operator) {
		o.run("", `make deploy SET='DailyQuota=7 RefusedTerms="acme, rock and roll"'`) // quoted as the page says
		o.wants("the quota of a bad release", o.live("nanobanana", "Submit", "DAILY_QUOTA"), "7")
		o.wants("its refused terms", o.live("nanobanana", "Submit", "REFUSED_TERMS"), "acme, rock and roll")
	}, after: func(o *operator, _ string) {
		for name := range functionLimits {
			o.wants("the log level after the rollback of "+name, o.live("nanobanana", logicalID(name), "LOG_LEVEL"), "debug")
		}
		o.wants("the quota after the rollback", o.live("nanobanana", "Submit", "DAILY_QUOTA"), "50")
	}},
	{with: "OLD=nanobanana", before: func(o *operator) {
		o.run("", `aws s3 cp --quiet - s3://$(aws cloudformation describe-stack-resource --stack-name nanobanana --logical-resource-id Bucket \
				--query StackResourceDetail.PhysicalResourceId --output text)/tasks/kept/1.png <<<pixels
			aws dynamodb put-item --table-name $TABLE --item '{"id":{"S":"kept"},"prompt":{"S":"a lighthouse"}}'
			aws cloudformation delete-stack --stack-name nanobanana; aws cloudformation wait stack-delete-complete --stack-name nanobanana`)
	}, after: func(o *operator, _ string) {
		if got := o.kept(); !strings.HasPrefix(got, "a lighthouse\npixels\n") || !strings.Contains(got, operatorsKey) {
			o.t.Errorf("the deleted stack left %s", got)
		}
	}},
	{with: "create-change-set", after: func(o *operator, _ string) {
		o.wants("the new stack", o.status("nanobanana-2"), "IMPORT_COMPLETE")
	}},
	{with: `--stack-name $NEW"`, after: func(o *operator, _ string) {
		o.wants("the new stack", o.status("nanobanana-2"), "UPDATE_COMPLETE")
		if got := o.kept(); !strings.HasPrefix(got, "a lighthouse\npixels\n") || !strings.Contains(got, operatorsKey) {
			o.t.Errorf("the new stack has %s", got)
		}
		o.wants("its table", o.live("nanobanana-2", "Submit", "TABLE"), strings.TrimSpace(o.run("", "echo $TABLE")))
		o.wants("its bucket", o.live("nanobanana-2", "Ingest", "BUCKET"), strings.TrimSpace(o.run("", "echo $BUCKET")))
		o.wants("its secret", o.live("nanobanana-2", "Submit", "SECRET_ARN"), strings.TrimSpace(o.run("", "echo $SECRET")))
	}},
	{with: "delete-stack", after: func(o *operator, _ string) {
		if got := o.status("nanobanana-2"); !strings.Contains(got, "does not exist") {
			o.t.Errorf("the removed stack is %s", got)
		}
		if got := o.kept(); !strings.Contains(got, operatorsKey) {
			o.t.Errorf("the removed stack left %s", got)
		}
	}},
	{with: "delete-table", before: func(o *operator) { // two versions and a deletion
		o.run("", `aws s3api put-bucket-versioning --bucket $BUCKET --versioning-configuration Status=Enabled
			for n in 1 2; do aws s3 cp --quiet - s3://$BUCKET/tasks/kept/2.png <<<$n; done; aws s3 rm --quiet s3://$BUCKET/tasks/kept/2.png`)
	}, after: func(o *operator, _ string) {
		for _, gone := range []string{
			"aws dynamodb describe-table --table-name $TABLE", "aws s3api head-bucket --bucket $BUCKET", "aws secretsmanager get-secret-value --secret-id $SECRET",
		} {
			o.run("", "! "+gone)
		}
	}},
}

var shellBlock = regexp.MustCompile("(?ms)^```sh\n(.*?)^```$")

// The commands of docs/deploy.md, from the first deployment to the removal, do what the
// page says.
func TestDeployPage(t *testing.T) {
	o := newOperator(t)
	page, err := os.ReadFile("../../docs/deploy.md")
	if err != nil {
		t.Fatal(err)
	}
	commands, _, _ := strings.Cut(string(page), "\n## Parameters")
	blocks := shellBlock.FindAllStringSubmatch(commands, -1)
	if len(blocks) != len(deploySteps) {
		t.Fatalf("the page has %d blocks of commands, this test %d steps", len(blocks), len(deploySteps))
	}
	for i, step := range deploySteps {
		if !strings.Contains(blocks[i][1], step.with) {
			t.Fatalf("block %d has no %s:\n%s", i, step.with, blocks[i][1])
		}
		if step.before != nil {
			step.before(o)
		}
		input := ""
		if step.input != nil {
			input = step.input(template(t))
		}
		step.after(o, o.run(input, blocks[i][1]))
	}
}

// What local/aws/import.yaml imports is as template.yaml describes it: the deployment
// after the import would change any difference, of the secret too.
func TestImportTemplate(t *testing.T) {
	s := template(t)
	imported, err := transform("local/aws/import.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := runAtRoot(needPython(t), "-c", "import sys, cfnlint.runner; sys.exit(cfnlint.runner.main())", "local/aws/import.yaml"); err != nil {
		t.Error(err)
	}
	for id, r := range imported.Resources {
		checkJSON(t, id+"'s metadata", r.Metadata, `{"SamResourceId": "`+id+`"}`) // as sam build adds it
		checkJSON(t, id+" in import.yaml", r.Properties, encode(s.Resources[id].Properties))
		if r.Type != s.Resources[id].Type || r.DeletionPolicy == "" || s.Resources[id].DeletionPolicy == "Retain" && r.DeletionPolicy != "Retain" {
			t.Errorf("%s is a %s with %q", id, r.Type, r.DeletionPolicy)
		}
	}
	for id, r := range s.Resources {
		if _, taken := imported.Resources[id]; r.DeletionPolicy == "Retain" && r.Type != "AWS::Lambda::Version" && !taken {
			t.Errorf("%s is retained, but not taken over", id)
		}
	}
	for name, condition := range imported.Conditions {
		checkJSON(t, name+" in import.yaml", condition, encode(s.Conditions[name]))
	}
	for name, p := range imported.Parameters {
		if encode(p) != encode(s.Parameters[name]) {
			t.Errorf("%s in import.yaml is %s", name, encode(p))
		}
	}
}
