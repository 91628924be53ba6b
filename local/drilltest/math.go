package drilltest

import (
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
)

// evaluate returns the value of CloudWatch's metric math for one period: the metrics have
// these values, NaN where one is missing. It knows numbers, ids, + - * /, comparisons,
// AND, OR, IF, FILL, METRICS, SUM, MAX, MIN and AVG.
func evaluate(expression string, values map[string]float64) (result float64, err error) {
	p := &mathParser{words: mathWord.FindAllString(expression, -1), values: values}
	defer func() {
		if fault, ok := recover().(mathFault); ok {
			err = fmt.Errorf("%s in %s", string(fault), expression)
		}
	}()
	list := p.either()
	if p.peek() != "" || len(list) != 1 {
		p.fail("%q is left over", p.peek())
	}
	return list[0], nil
}

var mathWord = regexp.MustCompile(`[A-Za-z_][A-Za-z0-9_]*|[0-9]+(?:\.[0-9]+)?|[<>=!]=|&&|\|\||\S`)

type mathFault string

// mathParser computes while it reads. A value is a list of numbers: METRICS() is all of
// them, all other values are one.
type mathParser struct {
	words  []string
	values map[string]float64
}

func (p *mathParser) fail(format string, args ...any) { panic(mathFault(fmt.Sprintf(format, args...))) }

func (p *mathParser) peek() string {
	if len(p.words) == 0 {
		return ""
	}
	return p.words[0]
}

func (p *mathParser) next() string {
	word := p.peek()
	if word != "" {
		p.words = p.words[1:]
	}
	return word
}

func (p *mathParser) expect(word string) {
	if got := p.next(); got != word {
		p.fail("%q where %q belongs", got, word)
	}
}

// operators are those with two sides, from the loosest.
var operators = []map[string]func(a, b float64) float64{
	{"OR": or, "||": or},
	{"AND": and, "&&": and},
	{
		"<": truth(func(a, b float64) bool { return a < b }), "<=": truth(func(a, b float64) bool { return a <= b }),
		">": truth(func(a, b float64) bool { return a > b }), ">=": truth(func(a, b float64) bool { return a >= b }),
		"==": truth(func(a, b float64) bool { return a == b }), "!=": truth(func(a, b float64) bool { return a != b }),
	},
	{"+": func(a, b float64) float64 { return a + b }, "-": func(a, b float64) float64 { return a - b }},
	{"*": func(a, b float64) float64 { return a * b }, "/": func(a, b float64) float64 { return a / b }},
}

// truth returns a comparison that is missing where one side is.
func truth(holds func(a, b float64) bool) func(a, b float64) float64 {
	return func(a, b float64) float64 {
		switch {
		case math.IsNaN(a) || math.IsNaN(b):
			return math.NaN()
		case holds(a, b):
			return 1
		}
		return 0
	}
}

var (
	or  = truth(func(a, b float64) bool { return a != 0 || b != 0 })
	and = truth(func(a, b float64) bool { return a != 0 && b != 0 })
)

func (p *mathParser) either() []float64 { return p.level(0) }

func (p *mathParser) level(n int) []float64 {
	if n == len(operators) {
		return p.operand()
	}
	left := p.level(n + 1)
	for {
		do, ok := operators[n][p.peek()]
		if !ok {
			return left
		}
		p.next()
		left = []float64{do(p.one(left), p.one(p.level(n+1)))}
	}
}

// one returns the only number of a list.
func (p *mathParser) one(list []float64) float64 {
	if len(list) != 1 {
		p.fail("%d series where one belongs", len(list))
	}
	return list[0]
}

func (p *mathParser) operand() []float64 {
	word := p.next()
	if v, err := strconv.ParseFloat(word, 64); err == nil {
		return []float64{v}
	}
	if word == "(" {
		inner := p.either()
		p.expect(")")
		return inner
	}
	if p.peek() == "(" {
		return p.call(word)
	}
	v, ok := p.values[word]
	if !ok {
		p.fail("the unknown metric %q", word)
	}
	return []float64{v}
}

func (p *mathParser) call(function string) []float64 {
	p.expect("(")
	var args [][]float64
	for p.peek() != ")" {
		args = append(args, p.either())
		if p.peek() == "," {
			p.next()
		} else if p.peek() != ")" {
			p.fail("%q in the arguments of %s", p.peek(), function)
		}
	}
	p.expect(")")
	need := func(n int) {
		if len(args) != n {
			p.fail("%s with %d arguments", function, len(args))
		}
	}
	switch function {
	case "METRICS":
		need(0)
		var all []float64
		for _, id := range slices.Sorted(maps.Keys(p.values)) {
			all = append(all, p.values[id])
		}
		return all
	case "FILL":
		need(2)
		filled := slices.Clone(args[0])
		for i, v := range filled {
			if math.IsNaN(v) {
				filled[i] = p.one(args[1])
			}
		}
		return filled
	case "IF":
		need(3)
		// Where the condition is missing, CloudWatch takes it as false.
		if c := p.one(args[0]); c != 0 && !math.IsNaN(c) {
			return args[1]
		}
		return args[2]
	}
	stat, ok := map[string]string{"SUM": "Sum", "MAX": "Maximum", "MIN": "Minimum", "AVG": "Average"}[function]
	if !ok {
		p.fail("the unknown function %q", function)
	}
	need(1)
	v, _ := statistic(stat, slices.DeleteFunc(slices.Clone(args[0]), math.IsNaN)) // all of these are known
	return []float64{v}
}
