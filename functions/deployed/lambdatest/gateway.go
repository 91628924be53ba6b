package lambdatest

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-lambda-go/events"

	"github.com/preset/nanobanana-functions/shared/outbound"
)

const (
	gatewayTimeout = 30 * time.Second // of an integration; no setting extends it
	gatewayMaxBody = 10 << 20         // bytes
)

// Gateway is an API Gateway HTTP API: an http.Handler that turns a request into an
// event of payload format 2.0 for the route's function, and the function's answer
// into a response. If there is no route or the function fails, it answers
// {"message"} itself.
type Gateway struct{ mux *http.ServeMux }

// NewGateway returns a gateway without routes.
func NewGateway() *Gateway {
	g := &Gateway{mux: http.NewServeMux()}
	g.mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { sendMessage(w, http.StatusNotFound, "Not Found") })
	return g
}

// Handle leads a route, such as "GET /v1/tasks/{id}", to a function.
func (g *Gateway) Handle(route string, f *Function) {
	method, path, _ := strings.Cut(route, " ")
	var names []string
	for part := range strings.SplitSeq(path, "/") {
		if name, ok := strings.CutPrefix(part, "{"); ok {
			names = append(names, strings.TrimSuffix(name, "}"))
		}
	}
	g.mux.HandleFunc(route, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != method { // a mux accepts HEAD for GET
			sendMessage(w, http.StatusNotFound, "Not Found")
			return
		}
		serve(w, r, route, names, f)
	})
}

// ServeHTTP accepts only requests to a loopback name, as a gateway accepts only
// those to its own names.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !outbound.OnLoopback(r.Host) {
		sendMessage(w, http.StatusForbidden, "Forbidden")
		return
	}
	g.mux.ServeHTTP(w, r)
}

func serve(w http.ResponseWriter, r *http.Request, route string, names []string, f *Function) {
	body, err := io.ReadAll(io.LimitReader(r.Body, gatewayMaxBody+1))
	switch {
	case err != nil:
		sendMessage(w, http.StatusBadRequest, "Bad Request")
		return
	case len(body) > gatewayMaxBody:
		sendMessage(w, http.StatusRequestEntityTooLarge, "Request Entity Too Large")
		return
	}
	params := map[string]string{}
	for _, name := range names {
		params[name] = r.PathValue(name)
	}
	event, err := json.Marshal(Event(r, route, params, body))
	if err != nil {
		sendMessage(w, http.StatusInternalServerError, "Internal Server Error")
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), gatewayTimeout)
	defer cancel()
	answer, err := f.Invoke(ctx, event)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		sendMessage(w, http.StatusServiceUnavailable, "Service Unavailable")
	case err != nil || write(w, answer) != nil:
		sendMessage(w, http.StatusInternalServerError, "Internal Server Error")
	}
}

// Event returns the event that a function gets for a request: payload format 2.0.
func Event(r *http.Request, route string, params map[string]string, body []byte) events.APIGatewayV2HTTPRequest {
	source, _, _ := net.SplitHostPort(r.RemoteAddr)
	now := time.Now().UTC()
	e := events.APIGatewayV2HTTPRequest{
		Version: "2.0", RouteKey: route, RawPath: r.URL.Path, RawQueryString: r.URL.RawQuery,
		Headers: headers(r, source), Cookies: cookies(r), PathParameters: params,
		QueryStringParameters: joinValues(r.URL.Query()), Body: string(body),
		RequestContext: events.APIGatewayV2HTTPRequestContext{
			RouteKey: route, AccountID: "123456789012", Stage: "$default", APIID: "a1b2c3d4e5",
			RequestID: "Ff" + strings.ReplaceAll(uuid(), "-", "")[:12] + "=", DomainName: r.Host,
			DomainPrefix: strings.SplitN(r.Host, ".", 2)[0],
			Time:         now.Format("02/Jan/2006:15:04:05 -0700"), TimeEpoch: now.UnixMilli(),
			HTTP: events.APIGatewayV2HTTPRequestContextHTTPDescription{
				Method: r.Method, Path: r.URL.Path, Protocol: r.Proto, SourceIP: source, UserAgent: r.UserAgent(),
			},
		},
	}
	if len(body) > 0 && !isText(r.Header.Get("Content-Type"), body) {
		e.Body, e.IsBase64Encoded = base64.StdEncoding.EncodeToString(body), true
	}
	return e
}

// headers returns the request's headers as a function gets them: in lower case, with
// one value each.
func headers(r *http.Request, source string) map[string]string {
	h := map[string]string{
		"host": r.Host, "x-forwarded-for": source, "x-forwarded-proto": "https", "x-forwarded-port": "443",
		"x-amzn-trace-id": "Root=1-5759e988-bd862e3fe1be46a994272793",
	}
	for name, value := range joinValues(url.Values(r.Header)) {
		if name != "Cookie" {
			h[strings.ToLower(name)] = value
		}
	}
	return h
}

func cookies(r *http.Request) (all []string) {
	for _, line := range r.Header.Values("Cookie") {
		all = append(all, strings.Split(line, "; ")...)
	}
	return all
}

func joinValues(values url.Values) map[string]string {
	if len(values) == 0 {
		return nil
	}
	one := map[string]string{}
	for name, all := range values {
		one[name] = strings.Join(all, ",")
	}
	return one
}

// isText reports whether the gateway passes a body on without base64.
func isText(contentType string, body []byte) bool {
	kind, _, _ := mime.ParseMediaType(contentType)
	switch kind {
	case "application/json", "application/javascript", "application/xml":
		return utf8.Valid(body)
	}
	return strings.HasPrefix(kind, "text/") && utf8.Valid(body)
}

// write turns a function's answer into a response. It returns an error if the answer
// is no response.
func write(w http.ResponseWriter, answer []byte) error {
	var a events.APIGatewayV2HTTPResponse
	if err := json.Unmarshal(answer, &a); err != nil {
		return err
	}
	if a.StatusCode < 200 || a.StatusCode > 599 {
		return errors.New("lambdatest: the answer has no status")
	}
	body := []byte(a.Body)
	if a.IsBase64Encoded {
		var err error
		if body, err = base64.StdEncoding.DecodeString(a.Body); err != nil {
			return err
		}
	}
	for name, value := range a.Headers {
		w.Header().Set(name, value)
	}
	for _, cookie := range a.Cookies {
		w.Header().Add("Set-Cookie", cookie)
	}
	w.WriteHeader(a.StatusCode)
	_, _ = w.Write(body) // an error means that the client is gone
	return nil
}

// sendMessage sends the gateway's own answer.
func sendMessage(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"message": message})
}
