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

// bundle is what template.yaml deploys, as far as it can be run here.
type bundle struct {
	functions map[string]function // by their folders
	filters   map[string]string   // of the stream's records, by the folders of those that get them
}

// function is what it says of one.
type function struct {
	timeout   time.Duration
	routes    []string // such as "GET /v1/tasks"
	variables []string // the names of those that it sees
}

// environment is read by its names alone: the values are CloudFormation's.
type environment struct {
	Variables map[string]yaml.Node `yaml:"Variables"`
}

type templateResource struct {
	Type       string    `yaml:"Type"`
	Properties yaml.Node `yaml:"Properties"`
}

// deployed reads template.yaml.
func deployed(t testing.TB) bundle {
	t.Helper()
	var template struct {
		Globals struct {
			Function struct {
				Environment environment `yaml:"Environment"`
			} `yaml:"Function"`
		} `yaml:"Globals"`
		Resources map[string]templateResource `yaml:"Resources"`
	}
	text, err := os.ReadFile("../../template.yaml")
	if err == nil {
		err = yaml.Unmarshal(text, &template)
	}
	b := bundle{functions: map[string]function{}, filters: map[string]string{}}
	for _, r := range template.Resources {
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
		f.variables = slices.AppendSeq(f.variables, maps.Keys(template.Globals.Function.Environment.Variables))
		b.functions[name] = f
	}
	return b
}

// add reads a resource, if it is one that runs here.
func (b *bundle) add(r templateResource) error {
	switch r.Type {
	case "AWS::Serverless::Function":
		var p struct {
			CodeUri     string      `yaml:"CodeUri"`
			Timeout     int         `yaml:"Timeout"`
			Environment environment `yaml:"Environment"`
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
		b.filters[strings.ToLower(p.FunctionName)] = p.FilterCriteria.Filters[0].Pattern
	}
	return nil
}
