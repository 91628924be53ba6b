package template_test

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Whatever invokes a function invokes its alias, which leads to a version that
// stays when it is replaced: to it a deployment is rolled back.
func TestAliases(t *testing.T) {
	s := template(t)
	versions := s.ofType("AWS::Lambda::Version")
	if len(versions) != len(functionLimits) || len(s.ofType("AWS::Lambda::Alias")) != len(functionLimits) {
		t.Errorf("%d versions, %d aliases", len(versions), len(s.ofType("AWS::Lambda::Alias")))
	}
	for name := range functionLimits {
		id := logicalID(name)
		alias := s.Resources[id+"Aliaslive"].Properties
		checkJSON(t, id+"'s alias", alias["Name"], `"live"`)
		checkJSON(t, id+"'s alias", alias["FunctionName"], `{"Ref": "`+id+`"}`)
		version, _ := dig(alias, "FunctionVersion", "Fn::GetAtt", "0").(string)
		checkJSON(t, id+"'s version", versions[version].Properties["FunctionName"], `{"Ref": "`+id+`"}`)
		if versions[version].DeletionPolicy != "Retain" {
			t.Errorf("%s's old versions are deleted", id)
		}
	}
	// What configures or watches a function names it.
	naming := []string{"AWS::Lambda::Version", "AWS::Lambda::Alias", "AWS::Lambda::EventInvokeConfig", "AWS::CloudWatch::Alarm", "AWS::CloudWatch::Dashboard"}
	for id, r := range s.Resources {
		if r.Type == "AWS::Lambda::EventInvokeConfig" && r.Properties["Qualifier"] != "live" {
			t.Errorf("%s is not about the alias", id)
		}
		if slices.Contains(naming, r.Type) {
			continue
		}
		for name := range functionLimits {
			for _, reference := range []string{`"Ref":"` + logicalID(name) + `"`, `"Fn::GetAtt":["` + logicalID(name) + `"`, "${" + logicalID(name) + "}", "${" + logicalID(name) + "."} {
				if strings.Contains(encode(r.Properties), reference) {
					t.Errorf("%s leads to %s past its alias", id, logicalID(name))
				}
			}
		}
	}
}

// With a deployment type of more than one step CodeDeploy moves the functions
// that answer requests, and goes back if tasks end badly. By default there is
// nothing of it.
func TestDeploymentTypes(t *testing.T) {
	plain := template(t)
	served := map[string]bool{}
	for _, function := range plain.routes(t) {
		served[function] = true
	}
	checkJSON(t, "the default", plain.Parameters["DeploymentType"].Default, `"AllAtOnce"`)
	if types := slices.Sorted(slices.Values(plain.Parameters["DeploymentType"].AllowedValues)); !slices.Equal(types, slices.Sorted(maps.Keys(plain.Mappings["DeploymentTypes"]))) {
		t.Errorf("the parameter has %q, the mapping %v", types, plain.Mappings["DeploymentTypes"])
	}
	for kind, value := range plain.Mappings["DeploymentTypes"] {
		steps := kind != "AllAtOnce"
		checkJSON(t, kind, value["Steps"], map[bool]string{true: `"true"`, false: `"false"`}[steps])
		if steps && kind != "Canary10Percent5Minutes" {
			continue // one of them is enough: a transform takes two seconds
		}
		s, err := transform("template.yaml", "DeploymentType="+kind)
		if err != nil {
			t.Fatal(err)
		}
		moved := map[string]bool{}
		for id, r := range s.ofType("AWS::CodeDeploy::DeploymentGroup") {
			function := strings.TrimSuffix(id, "DeploymentGroup")
			moved[function] = true
			checkJSON(t, id+"'s alarms", r.Properties["AlarmConfiguration"], `{"Enabled": true, "Alarms": [{"Name": {"Ref": "TasksEndBadly"}}]}`)
			checkJSON(t, id+"'s type", dig(r.Properties["DeploymentConfigName"], "Fn::Sub", "1", "ConfigName"), `"`+kind+`"`)
			checkJSON(t, id+"'s way back", r.Properties["AutoRollbackConfiguration"], `{"Enabled": true, "Events": ["DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_ALARM", "DEPLOYMENT_STOP_ON_REQUEST"]}`)
			checkJSON(t, function+"'s update", dig(s.Resources[function+"Aliaslive"].UpdatePolicy, "CodeDeployLambdaAliasUpdate", "DeploymentGroupName", "Ref"), `"`+id+`"`)
		}
		if steps && !maps.Equal(moved, served) || !steps && len(moved) > 0 {
			t.Errorf("%s moves %v step by step; %v answer requests", kind, moved, served)
		}
		for id, r := range s.Resources {
			if codeDeploy := strings.HasPrefix(r.Type, "AWS::CodeDeploy::") || strings.Contains(id, "CodeDeploy"); codeDeploy && !steps {
				t.Errorf("%s has %s", kind, id)
			}
		}
	}
	// The alarm must exist before a function does, so it may not depend on any.
	for name := range functionLimits {
		if strings.Contains(encode(plain.Resources["TasksEndBadly"].Properties), `"`+logicalID(name)+`"`) {
			t.Errorf("TasksEndBadly depends on %s", name)
		}
	}
}

// versionIDs returns the logical ids of the functions' versions. A version whose
// id changes is published.
func (s *stack) versionIDs() []string {
	return slices.Sorted(maps.Keys(s.ofType("AWS::Lambda::Version")))
}

// SAM publishes versions by the template's text, in which no parameter's value
// stands. So local/aws/deploy changes the text before it deploys.
func TestDeployPublishes(t *testing.T) {
	before := template(t).versionIDs()
	other, err := transform("template.yaml", "DailyQuota=7")
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(other.versionIDs(), before) {
		t.Error("SAM publishes by itself when a parameter changes: local/aws/deploy is no longer needed")
	}
	dir := t.TempDir()
	built := filepath.Join(dir, "template.yaml")
	text, err := os.ReadFile("../../template.yaml")
	if err == nil {
		err = os.WriteFile(built, text, 0o644)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "sam"), []byte("#!/bin/sh\necho \"sam $*\"\n"), 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	deploy := func() (string, error) {
		cmd := exec.Command("../../local/aws/deploy", "--guided")
		cmd.Env = append(os.Environ(), "BUILT="+built, "PATH="+dir+string(os.PathListSeparator)+os.Getenv("PATH"))
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := deploy(); err != nil || out != "sam deploy --guided\n" {
		t.Fatalf("%v: %s", err, out)
	}
	s, err := transform(built)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range s.versionIDs() {
		if slices.Contains(before, id) {
			t.Errorf("%s is not published again", id)
		}
	}
	if err := os.WriteFile(built, []byte(strings.ReplaceAll(string(text), "Description: Deployed", "Description:")), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := deploy(); err == nil || !strings.Contains(out, "make build") {
		t.Errorf("without the line to change: %v, %s", err, out)
	}
}
