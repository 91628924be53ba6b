package mcp_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/preset/nanobanana-functions/functions/mcp"
	"github.com/preset/nanobanana-functions/shared/httpapi/httpapitest"
)

// FuzzServe checks that nothing a signed-in client sends is answered with a 5xx
// or logged as an error.
func FuzzServe(f *testing.F) {
	for _, seed := range []string{
		ping, "[" + ping + "]", "null", `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"cursor":"x"}}`,
		`{"jsonrpc":"2.0","id":"a","method":"tools/call","params":{"name":"get_credits","arguments":{},"_meta":{"progressToken":1}}}`,
		`{"jsonrpc":"2.0","id":1.5,"method":"tools/call","params":{"name":"generate_image","arguments":{"requestKey":"k","prompt":"\ud800"}}}`,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get_image","arguments":{"taskId":"00000000000000000000000000","waitSeconds":1e300}}}`,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"list_images","arguments":{"target":{"kind":"a","id":"\u0000"},"cursor":"%"}}}`,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"upload_image","arguments":{"contentType":"image/png","bytes":-9223372036854775808}}}`,
		`{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"ui://\u0007"}}`, `{"jsonrpc":"2.0","id":1,"method":"resources/list","params":{"cursor":"x"}}`,
		`{"jsonrpc":"2.0","id":1,"method":"skills/get","params":{"uri":"skill://\u0007"}}`, `{"jsonrpc":"2.0","id":1,"method":"skills/list","params":null}`,
		`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":7}}`, `{"jsonrpc":"2.0","id":1,"result":{}}`,
		`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`,
	} {
		f.Add(seed, "2025-11-25")
		f.Add(seed, "2026-07-28")
		f.Add(seed, "")
	}
	h := newHarness(f)
	handler := mcp.New(h.function)
	f.Fuzz(func(t *testing.T, body, version string) {
		if strings.Contains(body, "imageUrls") {
			return // the links could name any host, and would be fetched
		}
		r := httpapitest.NewRequest(t, http.MethodPost, h.Settings.PublicURL+"/mcp", strings.NewReader(body),
			"Authorization", "Bearer "+h.token, "Content-Type", "application/json", "Accept", "*/*", "Mcp-Method", "tools/call", "Mcp-Name", "get_credits")
		r.Header["Mcp-Protocol-Version"] = []string{version}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code >= http.StatusInternalServerError {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		if log := h.Logged.Take(); strings.Contains(log, `"level":"ERROR"`) {
			t.Error(log)
		}
	})
}
