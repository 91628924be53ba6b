package media_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"image"
	"image/png"
	"io"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// secret is in every link of these tests, and no error may contain it.
const secret = "X-Amz-Signature=c0ffee"

// hostile serves pictures, and every fault that a host can show.
func hostile() http.Handler {
	mux := http.NewServeMux()
	png := pngOf(64, 64)
	mux.HandleFunc("/ok.png", func(w http.ResponseWriter, r *http.Request) { w.Write(png) })
	mux.HandleFunc("/lies.png", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.Header().Set("Content-Encoding", "aws-chunked") // as some stores answer
		w.Write(png)
	})
	mux.HandleFunc("/status/403", func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, r.URL.RawQuery, http.StatusForbidden)
	})
	mux.HandleFunc("/status/204", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusNoContent) })
	mux.HandleFunc("/json", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "image/png")
		io.WriteString(w, `{"code":404,"msg":"expired"}`)
	})
	mux.HandleFunc("/html.jpg", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "<!doctype html><title>x") })
	mux.HandleFunc("/empty", func(w http.ResponseWriter, r *http.Request) {})
	mux.HandleFunc("/short", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "\x89PNG") })
	mux.HandleFunc("/range", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Range", r.FormValue("range"))
		w.WriteHeader(http.StatusPartialContent)
		if r.FormValue("length") == "none" {
			w.(http.Flusher).Flush()
		}
		w.Write(png)
	})
	mux.HandleFunc("/as/{status}", func(w http.ResponseWriter, r *http.Request) {
		status, _ := strconv.Atoi(r.PathValue("status"))
		w.WriteHeader(status)
		w.Write(png)
	})
	mux.HandleFunc("/signed", func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("signature") == "" {
			http.Error(w, r.URL.RawQuery, http.StatusForbidden)
			return
		}
		w.Write(png)
	})
	compressed(mux, png)
	broken(mux, png)
	return mux
}

// compressed adds pages that serve a picture with gzip, well or badly.
func compressed(mux *http.ServeMux, png []byte) {
	mux.HandleFunc("/gzip", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", r.FormValue("encoding"))
		w.Write(zipped(png))
	})
	mux.HandleFunc("/gzip/rubbish", func(w http.ResponseWriter, r *http.Request) {
		rubbish, _ := strconv.Atoi(r.FormValue("bytes"))
		w.Write(append(zipped(png), make([]byte, rubbish)...))
	})
	mux.HandleFunc("/gzip/members", func(w http.ResponseWriter, r *http.Request) {
		w.Write(slices.Concat(zipped(png[:5]), zipped(png[5:50]), zipped(nil), zipped(png[50:])))
	})
	mux.HandleFunc("/gzip/claimed", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip") // but it is not
		w.Write(png)
	})
	mux.HandleFunc("/gzip/twice", func(w http.ResponseWriter, r *http.Request) { w.Write(zipped(zipped(png))) })
	mux.HandleFunc("/gzip/page", func(w http.ResponseWriter, r *http.Request) { w.Write(zipped([]byte("<!doctype html><title>x"))) })
	mux.HandleFunc("/gzip/cut", func(w http.ResponseWriter, r *http.Request) { w.Write(zipped(png)[:100]) })
	mux.HandleFunc("/gzip/wrong", func(w http.ResponseWriter, r *http.Request) {
		z := zipped(png)
		z[len(z)-8]++ // its checksum
		w.Write(z)
	})
	mux.HandleFunc("/gzip/head", func(w http.ResponseWriter, r *http.Request) { w.Write([]byte{0x1f, 0x8b}) })
	mux.HandleFunc("/gzip/bomb", func(w http.ResponseWriter, r *http.Request) {
		w.Write(zipped(append(bytes.Clone(png), make([]byte, 1<<20)...)))
	})
	mux.HandleFunc("/gzip/empty", func(w http.ResponseWriter, r *http.Request) {
		z := zipped(nil)
		for r.Context().Err() == nil { // empty members, without end
			if _, err := w.Write(bytes.Repeat(z, 1000)); err != nil {
				return
			}
		}
	})
}

// broken adds pages that are slow, never end, break off or redirect to nowhere.
func broken(mux *http.ServeMux, png []byte) {
	mux.HandleFunc("/silent", func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	mux.HandleFunc("/stalled", func(w http.ResponseWriter, r *http.Request) {
		w.Write(png[:20])
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	mux.HandleFunc("/drip", func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			w.Write(png[:20])
			w.(http.Flusher).Flush()
			time.Sleep(time.Millisecond) // the drip itself, not a wait of the test
		}
	})
	mux.HandleFunc("/endless", func(w http.ResponseWriter, r *http.Request) {
		w.Write(png)
		for r.Context().Err() == nil {
			w.Write(make([]byte, 32<<10))
		}
	})
	mux.HandleFunc("/claims", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", r.FormValue("length"))
		w.Write(png)
	})
	mux.HandleFunc("/cut", func(w http.ResponseWriter, r *http.Request) {
		w.Write(png[:100])
		w.(http.Flusher).Flush() // chunked, without an end
		panic(http.ErrAbortHandler)
	})
	mux.HandleFunc("/garbage", func(w http.ResponseWriter, r *http.Request) {
		conn, _, _ := http.NewResponseController(w).Hijack()
		fmt.Fprintf(conn, "HTTP/1.1 %s\r\n\r\n", r.URL.RawQuery)
		conn.Close()
	})
	mux.HandleFunc("/to", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", r.FormValue("url"))
		w.WriteHeader(http.StatusFound)
	})
	mux.HandleFunc("/loop", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", "/loop?"+secret)
		w.WriteHeader(http.StatusTemporaryRedirect)
	})
	mux.HandleFunc("/nowhere", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusFound) })
}

func zipped(b []byte) []byte {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	if _, err := z.Write(b); err != nil {
		panic(err)
	}
	if err := z.Close(); err != nil {
		panic(err)
	}
	return out.Bytes()
}

// pngOf returns a PNG of this size.
func pngOf(w, h int) []byte {
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, w, h))); err != nil {
		panic(err)
	}
	return b.Bytes()
}
