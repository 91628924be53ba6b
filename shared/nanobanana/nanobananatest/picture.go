package nanobananatest

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"hash/fnv"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/HugoSmits86/nativewebp"
	"golang.org/x/image/draw"
	"golang.org/x/image/font"
	"golang.org/x/image/font/basicfont"
	"golang.org/x/image/math/fixed"
	_ "golang.org/x/image/webp" // input images may be WebP

	"github.com/preset/nanobanana-functions/shared/media/c2patest"
	"github.com/preset/nanobanana-functions/shared/outbound"
)

const maxSide = 4096

// album caches the latest pictures. A picture is drawn when it is first asked for.
type album struct {
	mu    sync.Mutex // guards what follows
	drawn map[drawing][]byte
	order []drawing
}

// drawing is all that a picture is drawn from, so that the same request always yields the same bytes.
type drawing struct {
	prompt string
	n      int // which picture of the request, from 1
	look   look
	edit   string // the task whose input images are drawn in; empty if there are none
}

// look is what the knobs decide about a picture, once and for all at acceptance.
type look struct {
	Width     int    `json:"width"`
	Height    int    `json:"height"`
	Format    string `json:"format"`    // the encoding
	Extension string `json:"extension"` // the encoding that its name and its Content-Type claim
	Manifest  bool   `json:"manifest,omitempty"`
}

const albumSize = 64

func (a *album) picture(sh drawing, inputs [][]byte) ([]byte, error) {
	a.mu.Lock()
	body, ok := a.drawn[sh]
	a.mu.Unlock()
	if ok {
		return body, nil
	}
	var images []image.Image
	for _, input := range inputs {
		img, err := jpeg.Decode(bytes.NewReader(input))
		if err != nil {
			return nil, fmt.Errorf("decode input image: %w", err)
		}
		images = append(images, img)
	}
	body, err := encode(sh.draw(images), sh.look.Format)
	if err != nil {
		return nil, err
	}
	if sh.look.Manifest {
		body = c2patest.Add(body, c2patest.Store())
	}
	a.keep(sh, body)
	return body, nil
}

func (a *album) keep(sh drawing, body []byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, known := a.drawn[sh]; known { // it was drawn twice at the same time
		return
	}
	if len(a.order) >= albumSize {
		delete(a.drawn, a.order[0])
		a.order = a.order[1:]
	}
	if a.drawn == nil {
		a.drawn = map[drawing][]byte{}
	}
	a.drawn[sh] = body
	a.order = append(a.order, sh)
}

func encode(img image.Image, format string) ([]byte, error) {
	var out bytes.Buffer
	var err error
	switch format {
	case "jpg":
		err = jpeg.Encode(&out, img, &jpeg.Options{Quality: 85})
	case "webp":
		err = nativewebp.Encode(&out, img, nil)
	default:
		err = (&png.Encoder{CompressionLevel: png.BestSpeed}).Encode(&out, img)
	}
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", format, err)
	}
	return out.Bytes(), nil
}

// draw draws a picture for the prompt: a gradient and discs in colours from its hash, the input images
// in a frame if there are any, and its first words.
func (sh drawing) draw(inputs []image.Image) image.Image {
	hash := fnv.New64a()
	_, _ = io.WriteString(hash, sh.prompt)
	dice := rand.New(rand.NewPCG(hash.Sum64(), uint64(sh.n)))
	width, height := sh.look.Width, sh.look.Height
	img := image.NewRGBA(image.Rect(0, 0, width, height))
	gradient(img, randomColor(dice), randomColor(dice))
	for range 5 {
		disc(img, randomColor(dice), dice.IntN(width), dice.IntN(height), 1+dice.IntN(1+min(width, height)/4))
	}
	insert(img, inputs, randomColor(dice))
	caption(img, sh.prompt)
	return img
}

func randomColor(dice *rand.Rand) color.RGBA {
	return color.RGBA{uint8(dice.IntN(256)), uint8(dice.IntN(256)), uint8(dice.IntN(256)), 255}
}

func gradient(img *image.RGBA, from, to color.RGBA) {
	size := img.Rect.Size()
	mix := func(a, b uint8, at, of int) uint8 { return uint8((int(a)*(of-at) + int(b)*at) / of) }
	for y := range size.Y {
		for x := range size.X {
			at, of := x+y, size.X+size.Y
			img.SetRGBA(x, y, color.RGBA{mix(from.R, to.R, at, of), mix(from.G, to.G, at, of), mix(from.B, to.B, at, of), 255})
		}
	}
}

func disc(img *image.RGBA, c color.RGBA, centerX, centerY, radius int) {
	for y := centerY - radius; y <= centerY+radius; y++ {
		for x := centerX - radius; x <= centerX+radius; x++ {
			if dx, dy := x-centerX, y-centerY; dx*dx+dy*dy <= radius*radius && image.Pt(x, y).In(img.Rect) {
				img.SetRGBA(x, y, c)
			}
		}
	}
}

// insert draws the input images side by side, tinted and framed.
func insert(img *image.RGBA, inputs []image.Image, tint color.RGBA) {
	if len(inputs) == 0 {
		return
	}
	frame := max(1, min(img.Rect.Dx(), img.Rect.Dy())/16)
	inner := img.Rect.Inset(frame)
	for i, input := range inputs {
		tile := inner
		tile.Min.X = inner.Min.X + inner.Dx()*i/len(inputs)
		tile.Max.X = inner.Min.X + inner.Dx()*(i+1)/len(inputs)
		draw.ApproxBiLinear.Scale(img, tile, input, input.Bounds(), draw.Over, nil)
	}
	veil := image.NewUniform(color.NRGBA{tint.R, tint.G, tint.B, 60})
	draw.Draw(img, inner, veil, image.Point{}, draw.Over)
}

// caption writes the beginning of the prompt on a bar at the bottom, if there is room.
func caption(img *image.RGBA, prompt string) {
	const lineHeight = 18
	letters := (img.Rect.Dx() - 12) / basicfont.Face7x13.Advance
	if letters < 4 || img.Rect.Dy() < 3*lineHeight {
		return
	}
	text := []rune(strings.Join(strings.Fields(prompt), " "))
	if len(text) > letters {
		text = append(text[:letters-2], '.', '.')
	}
	bar := img.Rect
	bar.Min.Y = bar.Max.Y - lineHeight
	draw.Draw(img, bar, image.NewUniform(color.NRGBA{0, 0, 0, 160}), image.Point{}, draw.Over)
	writer := font.Drawer{Dst: img, Src: image.White, Face: basicfont.Face7x13, Dot: fixed.P(6, bar.Max.Y-5)}
	writer.DrawString(string(text))
}

// size returns a picture's sides for a ratio and a resolution; side is the longest one at 1K.
func size(ratio, resolution string, side int) (width, height int) {
	switch resolution {
	case "2K":
		side *= 2
	case "4K":
		side *= 4
	}
	side = min(max(side, 1), maxSide)
	across, down, _ := strings.Cut(ratio, ":")
	w, errW := strconv.Atoi(across)
	h, errH := strconv.Atoi(down)
	switch {
	case errW != nil || errH != nil: // none, or auto
		return side, side
	case w >= h:
		return side, max(1, side*h/w)
	}
	return max(1, side*w/h), side
}

// fileNames returns the names under which the pictures of t are served.
func (t *task) fileNames() []string {
	names := make([]string, t.request.count())
	for i := range names {
		names[i] = fmt.Sprintf("%s-%d.%s", t.ID, i+1, t.look.Extension)
	}
	return names
}

// result serves a picture.
func (s *Server) result(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	id, _, _ := strings.Cut(name, "-")
	s.mu.Lock()
	t, n := s.tasks[id], 0
	if t != nil && t.Flag == FlagSucceeded {
		n = 1 + slices.Index(t.fileNames(), name)
	}
	if n > 0 {
		t.Downloads++
	}
	s.mu.Unlock()
	fault := s.takeFault(func(k *Knobs) *Fault { return &k.Download })
	proper, sending := notFound, s.Knobs().Sending
	switch {
	case strings.Contains(r.URL.RawQuery, "amp;"):
		// Like a signed link, it is invalid when written otherwise.
		proper = reply{http.StatusForbidden, "text/plain", []byte("403 the signature does not match\n")}
	case strings.HasPrefix(r.UserAgent(), "Go-http-client"):
		// The vendor's host refuses this one too; it accepts clients that identify themselves.
		proper = reply{http.StatusForbidden, "text/plain", []byte("403 for the default User-Agent of a library\n")}
	case n > 0:
		proper = s.picture(t, n)
		if proper.status == http.StatusOK && fault.Kind == NoFault {
			proper = sending.send(w, proper)
		}
	}
	s.answer(w, r, fault, proper)
}

// send returns the answer that is sent in place of the proper picture, and sets its headers.
func (d Sending) send(w http.ResponseWriter, proper reply) reply {
	if d.Change != nil {
		proper.body = d.Change(slices.Clone(proper.body))
	}
	if d.Gzip {
		proper.body = pack(proper.body)
		w.Header().Set("Content-Encoding", "gzip")
	}
	if d.Encoding != "" {
		w.Header().Set("Content-Encoding", d.Encoding)
	}
	if d.Status != 0 {
		proper.status = d.Status
	}
	if d.Status == http.StatusPartialContent {
		w.Header().Set("Content-Range", fmt.Sprintf("bytes 0-%d/%d", len(proper.body)-1, len(proper.body)))
	}
	return proper
}

// NoEnd removes a JPEG's end marker, as a Change of [Sending].
func NoEnd(body []byte) []byte { return bytes.TrimSuffix(body, []byte{0xff, 0xd9}) }

// BadChecksum adds an optional chunk with a wrong checksum to a PNG, as a Change of [Sending].
func BadChecksum(body []byte) []byte {
	const header = 33 // the signature and IHDR
	chunk := []byte("\x00\x00\x00\x04teXtabcd\x00\x00\x00\x00")
	return slices.Concat(body[:header], chunk, body[header:])
}

func (s *Server) picture(t *task, n int) reply {
	sh := drawing{prompt: t.Prompt, n: n, look: t.look}
	if len(t.inputs) > 0 {
		sh.edit = t.ID
	}
	body, err := s.album.picture(sh, t.inputs)
	if err != nil {
		return reply{http.StatusInternalServerError, "text/plain", []byte(err.Error())}
	}
	return reply{http.StatusOK, contentTypes[t.look.Extension], body}
}

var contentTypes = map[string]string{"png": "image/png", "jpg": "image/jpeg", "webp": "image/webp"}

// look returns how the pictures of a request will look.
func (k Knobs) look(e endpoint, o submitRequest) look {
	format := e.format
	if contentTypes[k.PictureFormat] != "" {
		format = k.PictureFormat
	} else if o.OutputFormat != "" {
		format = o.OutputFormat
	}
	l := look{Format: format, Extension: format, Manifest: k.Manifest}
	if k.Mislabel {
		l.Extension = "jpg"
	}
	l.Width, l.Height = size(cmp.Or(o.ImageSize, o.AspectRatio), o.Resolution, k.PictureSide)
	return l
}

// fetch downloads an input image and returns it as a small JPEG. It allows plain http on loopback only,
// where tests and the local run serve their pictures.
func (s *Server) fetch(ctx context.Context, address string) ([]byte, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	if u.Scheme != "https" && !outbound.OnLoopback(u.Host) {
		return nil, fmt.Errorf("plain http to %s", u.Host)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", userAgent)
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxInput+1))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK || len(body) > maxInput {
		return nil, fmt.Errorf("status %d, %d bytes", resp.StatusCode, len(body))
	}
	return shrink(body)
}

// shrink returns an image as a small JPEG, with white behind transparent parts.
func shrink(body []byte) ([]byte, error) {
	config, _, err := image.DecodeConfig(bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if int64(config.Width)*int64(config.Height) > maxPixels {
		return nil, fmt.Errorf("%d x %d is too large", config.Width, config.Height)
	}
	img, _, err := image.Decode(bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	width, height := size(fmt.Sprintf("%d:%d", config.Width, config.Height), "", inputSide)
	small := image.NewRGBA(image.Rect(0, 0, width, height))
	draw.Draw(small, small.Rect, image.White, image.Point{}, draw.Src)
	draw.ApproxBiLinear.Scale(small, small.Rect, img, img.Bounds(), draw.Over, nil)
	return encode(small, "jpg")
}
