package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"log"
	"maps"
	mathrand "math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/preset/nanobanana-functions/shared/auth/authtest"
)

// rows are the table's items by their id, as the wire has them.
type rows map[string]json.RawMessage

// The delays of answers in a world that is far.
const (
	awsDelay = 3 * time.Millisecond
	webDelay = 60 * time.Millisecond
)

// A world is all that the functions call, with canned answers: AWS at one address, the
// provider and the identity provider at another. It remembers just enough for a whole
// request to run.
type world struct {
	env      map[string]string // leads a function here
	mint     *authtest.Mint
	picture  []byte
	aws, web *httptest.Server

	mu         sync.Mutex // guards what follows
	rows       rows
	keep       bool   // whether written rows stay
	pictures   int    // that the provider's record shows
	far        bool   // whether answers take as long as over a network
	handshakes int    // in full, with the provider or the identity provider
	callback   string // of the last POST
	prompt     string
}

// newWorld starts a world, over TLS or not; files are written into dir. The caller calls
// close when finished.
func newWorld(dir string, withTLS bool) (*world, error) {
	w := &world{rows: rows{}, pictures: 1}
	picture, err := newPicture(1024)
	if err != nil {
		return nil, err
	}
	w.picture = picture
	w.aws, w.web = httptest.NewUnstartedServer(http.HandlerFunc(w.answerAWS)), httptest.NewUnstartedServer(http.HandlerFunc(w.answerWeb))
	quiet := log.New(io.Discard, "", 0) // connections break whenever a process is killed
	w.aws.Config.ErrorLog, w.web.Config.ErrorLog = quiet, quiet
	w.env = map[string]string{
		"AWS_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_SAM_LOCAL": "true",
		"TABLE": "tasks", "BUCKET": "pictures", "SECRET_ARN": "arn:aws:secretsmanager:eu-central-1:123456789012:secret:bench-AbCdEf",
	}
	if !withTLS {
		w.aws.Start()
		w.web.Start()
	} else {
		bundle, extra := filepath.Join(dir, "roots.pem"), filepath.Join(dir, "extra.pem")
		aws, web, err := chains(bundle, extra)
		if err != nil {
			return nil, err
		}
		w.aws.TLS = &tls.Config{Certificates: []tls.Certificate{aws}}
		w.web.TLS = &tls.Config{Certificates: []tls.Certificate{web}, VerifyConnection: w.countHandshake}
		// As a start on Lambda sets them: see shared/config/roots.go.
		w.env["SSL_CERT_FILE"], w.env["SSL_CERT_DIR"] = bundle, os.DevNull
		w.env["NODE_EXTRA_CA_CERTS"] = extra // Node brings all other roots along
		w.aws.StartTLS()
		w.web.StartTLS()
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	host := strings.TrimPrefix(strings.TrimPrefix(w.web.URL, "https://"), "http://")
	issuer := strings.Replace(w.web.URL, "127.0.0.1", "localhost", 1) // another name, so another TLS session
	w.env["AWS_ENDPOINT_URL"], w.env["AUTH_ISSUER"], w.env["NANOBANANA_BASE_URL"], w.env["RESULT_HOSTS"] = w.aws.URL, issuer, w.web.URL, host
	w.env["NOTIFY_URL"] = w.web.URL + "/notices"
	w.mint, err = authtest.NewMint(key, issuer)
	return w, err
}

func (w *world) close() { w.aws.Close(); w.web.Close() }

// set sets the stage for a scene.
func (w *world) set(s *scene) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rows, w.keep, w.pictures, w.far, w.handshakes = maps.Clone(s.rows), s.keep, s.pictures, s.far, 0
}

// wait waits as long as a network takes.
func (w *world) wait(d time.Duration) {
	w.mu.Lock()
	far := w.far
	w.mu.Unlock()
	if far {
		time.Sleep(d)
	}
}

func (w *world) countHandshake(c tls.ConnectionState) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !c.DidResume {
		w.handshakes++
	}
	return nil
}

// shaken returns how many full handshakes there were in this scene.
func (w *world) shaken() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.handshakes
}

const secret = `{"apiKey":"bench-key","callbackKeys":[{"id":"c1","key":"callback-key-that-nobody-may-see"}],` +
	`"imageKeys":[{"id":"i1","key":"image-key-that-nobody-may-ever-see"}],` +
	`"notifyKeys":[{"id":"n1","key":"notify+key+that+nobody+may+ever+see+that/are+not/us/"}]}`

func (w *world) answerAWS(rw http.ResponseWriter, r *http.Request) {
	var in struct {
		Key           struct{ ID struct{ S string } }
		Item          json.RawMessage
		TransactItems []struct {
			Put struct{ Item json.RawMessage }
		}
	}
	body, _ := io.ReadAll(r.Body)
	w.wait(awsDelay)
	_, operation, ok := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	if !ok { // S3
		rw.Header().Set("ETag", `"00000000000000000000000000000000"`)
		return
	}
	_ = json.Unmarshal(body, &in) // what is not there stays empty
	w.mu.Lock()
	defer w.mu.Unlock()
	answer := map[string]any{}
	switch operation {
	case "GetSecretValue":
		answer["SecretString"] = secret
	case "GetItem":
		if row, ok := w.rows[in.Key.ID.S]; ok {
			answer["Item"] = row
		}
	case "PutItem":
		w.write(in.Item)
	case "TransactWriteItems":
		for _, t := range in.TransactItems {
			w.write(t.Put.Item)
		}
	}
	rw.Header().Set("Content-Type", "application/x-amz-json-1.0")
	_ = json.NewEncoder(rw).Encode(answer)
}

func (w *world) write(item json.RawMessage) {
	var row struct{ ID struct{ S string } }
	if _ = json.Unmarshal(item, &row); w.keep && row.ID.S != "" {
		w.rows[row.ID.S] = item
	}
}

const providerID = "9e4286b7b27960dfe8e1d279b50b28d"

func (w *world) answerWeb(rw http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	w.wait(webDelay)
	rw.Header().Set("Content-Type", "application/json")
	var data any
	switch {
	case r.URL.Path == authtest.Path:
		w.mint.ServeHTTP(rw, r)
		return
	case strings.HasPrefix(r.URL.Path, "/result/"):
		rw.Header().Set("Content-Type", "image/png")
		_, _ = rw.Write(w.picture)
		return
	case strings.HasSuffix(r.URL.Path, "/credit"):
		data = 5000
	case strings.HasSuffix(r.URL.Path, "/record-info"):
		data = w.record()
	case r.URL.Path == "/notices":
	case r.Method == http.MethodPost:
		var in struct{ Prompt, CallBackURL string }
		_ = json.Unmarshal(body, &in)
		w.mu.Lock()
		w.callback, w.prompt = in.CallBackURL, in.Prompt
		w.mu.Unlock()
		data = map[string]string{"taskId": providerID}
	}
	_ = json.NewEncoder(rw).Encode(map[string]any{"code": 200, "msg": "success", "data": data})
}

// record returns the provider's record of the last POST, as finished.
func (w *world) record() map[string]any {
	w.mu.Lock()
	defer w.mu.Unlock()
	param, _ := json.Marshal(map[string]any{"prompt": w.prompt, "callBackUrl": w.callback, "type": "TEXTTOIAMGE", "numImages": w.pictures})
	links := make([]string, w.pictures)
	for i := range links {
		links[i] = fmt.Sprintf("%s/result/%d.png", w.web.URL, i)
	}
	return map[string]any{
		"taskId": providerID, "paramJson": string(param), "successFlag": 1, "errorMessage": "", "operationType": "nano-banana_1k",
		"response":   map[string]any{"originImageUrl": "", "resultImageUrl": links},
		"createTime": "2026-11-28 12:00:00", "completeTime": "2026-11-28 12:00:00",
	}
}

// newPicture returns a square PNG with some noise, as photographs have.
func newPicture(side int) ([]byte, error) {
	m := image.NewNRGBA(image.Rect(0, 0, side, side))
	random := mathrand.New(mathrand.NewPCG(1, 2))
	for y := range side {
		for x := range side {
			n := random.UintN(8)
			shade := func(v, most int) uint8 { return uint8(uint(v*most/side) + n) }
			m.SetNRGBA(x, y, color.NRGBA{shade(x, 200), shade(y, 200), shade((x+y)/2, 200), 255})
		}
	}
	var b bytes.Buffer
	err := (&png.Encoder{CompressionLevel: png.BestSpeed}).Encode(&b, m)
	return b.Bytes(), err
}
