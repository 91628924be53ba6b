package metric

import (
	"context"
	"encoding/json"
	"log/slog"
	"reflect"
	"slices"
	"strconv"
)

// Handler adds metrics to log lines.
type Handler struct {
	slog.Handler
	namespace []byte // as JSON
	attrs     []slog.Attr
	nested    bool // lines have their attributes in a group, where CloudWatch finds none
}

// NewHandler returns h if the namespace is empty, else a Handler that writes to h.
func NewHandler(h slog.Handler, namespace string) slog.Handler {
	if namespace == "" {
		return h
	}
	quoted, _ := json.Marshal(namespace) // a string cannot fail
	return &Handler{Handler: h, namespace: quoted}
}

// Handle implements slog.Handler.
func (h *Handler) Handle(ctx context.Context, r slog.Record) error {
	if h.nested {
		return h.Handler.Handle(ctx, r)
	}
	var d document
	l := line{h.attrs, r}
	event, _ := l.field("event")
	for _, m := range Table[text(event)] {
		if value, ok := l.value(m); ok {
			d.add(m, value)
		}
	}
	if r.Level >= slog.LevelError {
		d.add(Errors, 1)
	}
	if len(d.values) > 0 {
		r = r.Clone()
		r.AddAttrs(d.values...)
		r.AddAttrs(slog.Any("_aws", d.metadata(h.namespace, r.Time.UnixMilli())))
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h *Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	c := *h
	c.Handler, c.attrs = h.Handler.WithAttrs(attrs), slices.Concat(h.attrs, attrs)
	return &c
}

// WithGroup implements slog.Handler. Its lines count for nothing: CloudWatch wants the
// values at the top of a line, and the group is below it.
func (h *Handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	c := *h
	c.Handler, c.nested = h.Handler.WithGroup(name), true
	return &c
}

// line is a log line.
type line struct {
	attrs  []slog.Attr
	record slog.Record
}

// field returns the value of a field.
func (l line) field(name string) (v slog.Value, ok bool) {
	find := func(a slog.Attr) bool {
		if a.Key == name {
			v, ok = a.Value.Resolve(), true
		}
		return !ok
	}
	for _, a := range l.attrs {
		find(a)
	}
	if !ok {
		l.record.Attrs(find)
	}
	return v, ok
}

// value returns what the line says about a metric; ok is false if it says nothing.
func (l line) value(m Metric) (value float64, ok bool) {
	for name, want := range m.When {
		if v, _ := l.field(name); text(v) != want {
			return 0, false
		}
	}
	if m.Dimension != "" {
		v, _ := l.field(m.Dimension)
		if !slices.Contains(Values[m.Dimension], text(v)) {
			return 0, false
		}
	}
	if m.Field == "" {
		return 1, true
	}
	v, ok := l.field(m.Field)
	if m.Is == "" {
		return number(v)
	}
	if text(v) == m.Is {
		value = 1
	}
	return value, ok
}

// number returns the number that a field holds.
func number(v slog.Value) (n float64, ok bool) {
	switch v.Kind() {
	case slog.KindInt64:
		return float64(v.Int64()), true
	case slog.KindUint64:
		return float64(v.Uint64()), true
	case slog.KindFloat64:
		return v.Float64(), true
	case slog.KindBool:
		if v.Bool() {
			n = 1
		}
		return n, true
	}
	return 0, false
}

// text returns the text that a field holds, or "".
func text(v slog.Value) string {
	switch v.Kind() {
	case slog.KindString:
		return v.String()
	case slog.KindAny: // words have types of their own
		if r := reflect.ValueOf(v.Any()); r.Kind() == reflect.String {
			return r.String()
		}
	}
	return ""
}

// document is what a line says to CloudWatch.
type document struct {
	values     []slog.Attr // by the metrics' names
	directives []directive
}

// directive names the metrics of a line that have the same dimension.
type directive struct {
	dimension string
	metrics   []byte
}

func (d *document) add(m Metric, value float64) {
	d.values = append(d.values, slog.Float64(m.Name, value))
	i := slices.IndexFunc(d.directives, func(x directive) bool { return x.dimension == m.Dimension })
	if i < 0 {
		i, d.directives = len(d.directives), append(d.directives, directive{dimension: m.Dimension})
	}
	b := d.directives[i].metrics
	if len(b) > 0 {
		b = append(b, ',')
	}
	b = append(append(b, `{"Name":"`...), m.Name...)
	b = append(append(b, `","Unit":"`...), m.Unit...)
	d.directives[i].metrics = append(b, `"}`...)
}

// metadata returns the member "_aws" of a line that was written at these milliseconds.
func (d *document) metadata(namespace []byte, at int64) json.RawMessage {
	b := strconv.AppendInt([]byte(`{"Timestamp":`), at, 10)
	b = append(b, `,"CloudWatchMetrics":[`...)
	for i, x := range d.directives {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(b, `{"Namespace":`...), namespace...)
		b = append(b, `,"Dimensions":[[`...)
		if x.dimension != "" {
			b = append(append(append(b, '"'), x.dimension...), '"')
		}
		b = append(append(append(b, `]],"Metrics":[`...), x.metrics...), `]}`...)
	}
	return append(b, `]}`...)
}
