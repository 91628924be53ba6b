package deployed_test

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"
)

// template is what template.yaml deploys, as far as it runs here.
type template struct {
	functions map[string]function // by folder
	filters   map[string]string   // of the stream's records, by the folder of the function
}

// function is a function in template.yaml.
type function struct {
	timeout   time.Duration
	routes    []string // such as "GET /v1/tasks"
	variables []string // names
}

// variables are read by name only: CloudFormation decides the values.
type variables struct {
	Variables map[string]yaml.Node `yaml:"Variables"`
}

type templateResource struct {
	Type       string    `yaml:"Type"`
	Properties yaml.Node `yaml:"Properties"`
}

// readTemplate reads template.yaml.
func readTemplate(t testing.TB) template {
	t.Helper()
	var doc struct {
		Globals struct {
			Function struct {
				Environment variables `yaml:"Environment"`
			} `yaml:"Function"`
		} `yaml:"Globals"`
		Resources map[string]templateResource `yaml:"Resources"`
	}
	text, err := os.ReadFile("../../template.yaml")
	if err == nil {
		err = yaml.Unmarshal(text, &doc)
	}
	b := template{functions: map[string]function{}, filters: map[string]string{}}
	for _, r := range doc.Resources {
		if err == nil {
			err = b.add(r)
		}
	}
	if err == nil && (len(b.functions) == 0 || len(b.filters) == 0) {
		err = fmt.Errorf("%d functions, filters %q", len(b.functions), b.filters)
	}
	if err != nil {
		t.Fatalf("template.yaml: %v", err)
	}
	for name, f := range b.functions {
		f.variables = slices.AppendSeq(f.variables, maps.Keys(doc.Globals.Function.Environment.Variables))
		b.functions[name] = f
	}
	return b
}

// add reads a resource if it is one that runs here.
func (b *template) add(r templateResource) error {
	switch r.Type {
	case "AWS::Serverless::Function":
		var p struct {
			CodeUri     string    `yaml:"CodeUri"`
			Timeout     int       `yaml:"Timeout"`
			Environment variables `yaml:"Environment"`
			Events      map[string]struct {
				Type       string
				Properties struct {
					Method string `yaml:"Method"`
					Path   string `yaml:"Path"`
				} `yaml:"Properties"`
			} `yaml:"Events"`
		}
		if err := r.Properties.Decode(&p); err != nil {
			return err
		}
		f := function{timeout: time.Duration(p.Timeout) * time.Second, variables: slices.Collect(maps.Keys(p.Environment.Variables))}
		for _, e := range p.Events {
			if e.Properties.Path != "" {
				f.routes = append(f.routes, e.Properties.Method+" "+e.Properties.Path)
			}
		}
		b.functions[strings.TrimSuffix(strings.TrimPrefix(p.CodeUri, "functions/"), "/bootstrap/")] = f
	case "AWS::Lambda::EventSourceMapping":
		var p struct {
			FunctionName   string `yaml:"FunctionName"`
			FilterCriteria struct {
				Filters []struct {
					Pattern string `yaml:"Pattern"`
				} `yaml:"Filters"`
			} `yaml:"FilterCriteria"`
		}
		if err := r.Properties.Decode(&p); err != nil {
			return err
		}
		b.filters[strings.ToLower(strings.TrimSuffix(p.FunctionName, ".Alias"))] = p.FilterCriteria.Filters[0].Pattern
	}
	return nil
}
