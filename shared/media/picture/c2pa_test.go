package picture_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/preset/nanobanana-functions/shared/media"
	"github.com/preset/nanobanana-functions/shared/media/c2patest"
	"github.com/preset/nanobanana-functions/shared/media/mediatest"
	"github.com/preset/nanobanana-functions/shared/media/picture"
)

// sized returns the box with another length in its header; the length 1 means that the
// true length follows, as long.
func sized(box []byte, length uint32, long ...uint64) []byte {
	b := slices.Concat(binary.BigEndian.AppendUint32(nil, length), box[4:8])
	for _, n := range long {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	return append(b, box[8:]...)
}

// boxes are contents of a PNG's caBX and a WebP's C2PA, and whether that is a store.
func boxes() map[string]struct {
	content []byte
	want    bool
} {
	type box = struct {
		content []byte
		want    bool
	}
	store := c2patest.Store()
	const length = 8 + 16 + 1 + 5 // of the description
	description, inside := store[8:8+length], store[8+length:]
	describedAs := func(description []byte) []byte { return c2patest.Box("jumb", description, inside) }
	unlabelled := bytes.Clone(store)
	unlabelled[8+8+16] = 1
	all := map[string]box{
		"a store":                               {store, true},
		"a large store":                         {c2patest.Superbox(c2patest.StoreType, "c2pa", make([]byte, 300_000)), true},
		"an empty store":                        {c2patest.Superbox(c2patest.StoreType, "c2pa"), true},
		"a store and more":                      {append(bytes.Clone(store), "more"...), true},
		"to the end":                            {sized(store, 0), true},
		"a long length":                         {sized(store, 1, uint64(len(store)+8)), true},
		"a description with a long length":      {describedAs(sized(description, 1, length+8)), true},
		"nothing":                               {nil, false},
		"less than a header":                    {store[:7], false},
		"a header":                              {store[:8], false},
		"half a store":                          {store[:len(store)/2], false},
		"all but a byte":                        {store[:len(store)-1], false},
		"a claim of 2 GB":                       {sized(store, 1<<31), false},
		"a claim of 4 GB":                       {sized(store, 1<<32-1), false},
		"a long claim of a byte too many":       {sized(store, 1, uint64(len(store)+9)), false},
		"a long claim of 2^63":                  {sized(store, 1, 1<<63), false},
		"a long claim of 2^64 - 1":              {sized(store, 1, 1<<64-1), false},
		"a long claim of less than its header":  {sized(store, 1, 15), false},
		"a long length of 0":                    {sized(store, 1, 0), false},
		"half a long length":                    {sized(store, 1)[:12], false},
		"a claim of less than its header":       {sized(store, 7), false},
		"a claim of a header":                   {sized(store, 8), false},
		"a claim that ends in the label":        {sized(store, 8+length-1), false},
		"a description that claims 2 GB":        {describedAs(sized(description, 1<<31)), false},
		"a description that ends in its label":  {describedAs(sized(description, length-1)), false},
		"a description without its own content": {describedAs(sized(description, 8)), false},
		"another label":                         {c2patest.Superbox(c2patest.StoreType, "c2pb"), false},
		"a longer label":                        {c2patest.Superbox(c2patest.StoreType, "c2pa.assertions"), false},
		"a shorter label":                       {c2patest.Superbox(c2patest.StoreType, "c2p"), false},
		"a label in capitals":                   {c2patest.Superbox(c2patest.StoreType, "C2PA"), false},
		"no label":                              {unlabelled, false},
		"a manifest without its store":          {c2patest.Superbox(c2patest.ManifestType, "c2pa"), false},
		"a store in another box":                {c2patest.Superbox("json\x00\x11\x00\x10\x80\x00\x00\xaa\x00\x38\x9b\x71", "other", store), false},
		"a store in a plain box":                {c2patest.Box("jumb", store), false},
		"a box of another kind":                 {slices.Concat(store[:4], []byte("uuid"), store[8:]), false},
		"text":                                  {bytes.Repeat([]byte("c2pa jumb jumd "), 20), false},
	}
	return all
}

// Open finds a store in all three forms of picture, whatever the boxes claim.
func TestC2PA(t *testing.T) {
	for name, box := range boxes() {
		files := map[string][]byte{
			"PNG":                      insertPNG(pngOf(8, 8), pngChunk("caBX", box.content)),
			"PNG, after its pixels":    slices.Insert(pngOf(8, 8), len(pngOf(8, 8))-12, pngChunk("caBX", box.content)...),
			"PNG, in the second chunk": insertPNG(pngOf(8, 8), pngChunk("caBX", []byte("no box")), pngChunk("caBX", box.content)),
			"WebP":                     c2patest.Add(webpOf(8, 8), box.content),
			"lossy WebP":               c2patest.Add(unbase64(lossyWebP), box.content),
			"extended WebP":            c2patest.Add(unbase64(alphaWebP), box.content),
		}
		if len(box.content) >= 16 {
			// In a JPEG a box's header is in each part.
			for _, size := range []int{60_000, 37, 7} {
				parts := c2patest.Parts(3, size, box.content)
				files[fmt.Sprint("JPEG, by ", size)] = insertJPEG(jpegOf(8, 8), 0xeb, parts...)
				slices.Reverse(parts)
				files[fmt.Sprint("JPEG, in reverse, by ", size)] = insertJPEG(jpegOf(8, 8), 0xeb, parts...)
			}
		}
		for form, file := range files {
			t.Run(form+" with "+name, func(t *testing.T) {
				p, err := picture.Open(t.Context(), bytes.NewReader(file))
				if err != nil || p.C2PA != box.want || len(p.Thumbnail) == 0 {
					t.Errorf("C2PA is %v, want %v; %v", p.C2PA, box.want, err)
				}
			})
		}
	}
}

// A store counts where programs look for it, and if all of it is there.
func TestC2PAPlaces(t *testing.T) {
	store := c2patest.Store()
	parts := c2patest.Parts(1, 20, store)
	part := func(number uint16, n uint32) []byte {
		b := bytes.Clone(parts[0])
		binary.BigEndian.PutUint16(b[2:], number)
		binary.BigEndian.PutUint32(b[4:], n)
		return b
	}
	inJPEG := func(parts ...[]byte) []byte { return insertJPEG(jpegOf(8, 8), 0xeb, parts...) }
	other := c2patest.Parts(2, 20, c2patest.Superbox(c2patest.ManifestType, "other", make([]byte, len(store))))
	var mixed [][]byte
	for i := range parts {
		mixed = append(mixed, other[i], parts[i])
	}
	whole, inWhole := jpegOf(8, 8), inJPEG(parts...)
	segments := inWhole[2 : len(inWhole)-len(whole)+2]
	frame := append(make([]byte, 16), unbase64(lossyWebP)[12:]...)
	animated := func(chunks ...[]byte) []byte {
		return webpChunks(2, 1, 1, append([][]byte{webpChunk("ANIM", make([]byte, 6))}, chunks...)...)
	}
	for name, tt := range map[string]struct {
		file []byte
		want bool
	}{
		"PNG without one":                            {pngOf(8, 8), false},
		"JPEG without one":                           {jpegOf(8, 8), false},
		"WebP without one":                           {webpOf(8, 8), false},
		"PNG, wrong checksum":                        {insertPNG(pngOf(8, 8), broken(pngChunk("caBX", store))), false},
		"PNG, another chunk":                         {insertPNG(pngOf(8, 8), pngChunk("teXt", store)), false},
		"PNG, after its end":                         {append(pngOf(8, 8), pngChunk("caBX", store)...), false},
		"PNG, before a chunk that is none":           {insertPNG(pngOf(8, 8), pngChunk("caBX", store), pngChunk("caBX", []byte("no box"))), true},
		"WebP, before a chunk that is none":          {c2patest.Add(c2patest.Add(webpOf(8, 8), store), []byte("no box")), true},
		"JPEG, another box between its parts":        {inJPEG(mixed...), true},
		"JPEG, after its pixels":                     {slices.Insert(whole, len(whole)-2, segments...), true},
		"JPEG, after its end":                        {append(jpegOf(8, 8), segments...), false},
		"JPEG, in another segment":                   {insertJPEG(jpegOf(8, 8), 0xe2, parts...), false},
		"JPEG, not marked as a box":                  {inJPEG(append([]byte("XX"), c2patest.Parts(1, 60_000, store)[0][2:]...)), false},
		"JPEG, no parts":                             {inJPEG([]byte("JP"), []byte("J"), nil, parts[0][:8], parts[0][:15]), false},
		"JPEG, the first part is missing":            {inJPEG(parts[1:]...), false},
		"JPEG, the last part is missing":             {inJPEG(parts[:len(parts)-1]...), false},
		"JPEG, a part in the middle is missing":      {inJPEG(slices.Delete(slices.Clone(parts), 1, 2)...), false},
		"JPEG, a part twice for one that is missing": {inJPEG(append(slices.Clone(parts[:len(parts)-1]), parts[0])...), false},
		"JPEG, parts of two boxes":                   {inJPEG(append(slices.Clone(parts[:len(parts)-1]), part(2, uint32(len(parts))))...), false},
		"JPEG, parts that are numbered from 0":       {inJPEG(part(1, 0)), false},
		"JPEG, a part with the highest number":       {inJPEG(append(slices.Clone(parts), part(1, 1<<32-1))...), false},
		"animated WebP, beside the frames":           {animated(webpChunk("ANMF", frame), webpChunk("C2PA", store)), true},
		"animated WebP, in a frame":                  {animated(webpChunk("ANMF", append(frame, webpChunk("C2PA", store)...))), false},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := picture.Open(t.Context(), bytes.NewReader(tt.file))
			if err != nil || p.C2PA != tt.want {
				t.Errorf("C2PA is %v, want %v; %v", p.C2PA, tt.want, err)
			}
		})
	}
}

// A manifest that claims more bytes than the file has is a file that is cut short: the
// picture is damaged, no memory is taken for the claim, and no manifest is reported.
func TestC2PAThatClaimsTooMuch(t *testing.T) {
	store := c2patest.Store()
	claimPNG := pngChunk("caBX", store)
	binary.BigEndian.PutUint32(claimPNG, 2<<30-1)
	claimWebP := c2patest.Add(webpOf(8, 8), store)
	binary.LittleEndian.PutUint32(claimWebP[len(webpOf(8, 8))+4:], 2<<30)
	cutJPEG := jpegOf(8, 8)
	cutJPEG = append(cutJPEG[:len(cutJPEG)-2], 0xff, 0xeb, 0xff, 0xff)
	cutJPEG = append(cutJPEG, c2patest.Parts(1, 60_000, store)[0]...)
	for name, file := range map[string][]byte{
		"PNG":  slices.Insert(pngOf(8, 8), len(pngOf(8, 8))-12, claimPNG...),
		"WebP": claimWebP,
		"JPEG": cutJPEG,
	} {
		t.Run(name, func(t *testing.T) {
			var l media.Layout
			var err error
			if got := mediatest.Allocated(func() { l, err = media.Walk(bytes.NewReader(file)) }); got > 128<<10 {
				t.Errorf("takes %d bytes of memory", got)
			}
			if !errors.Is(err, media.ErrNotPicture) || l.C2PA {
				t.Errorf("C2PA is %v; %v", l.C2PA, err)
			}
			if p, err := picture.Open(t.Context(), bytes.NewReader(file)); !errors.Is(err, media.ErrDamaged) || p.C2PA {
				t.Errorf("C2PA is %v; %v, want a damaged picture", p.C2PA, err)
			}
		})
	}
}

// However many boxes and parts a JPEG has, Walk keeps few of them.
func TestC2PAInManyParts(t *testing.T) {
	for name, numbers := range map[string]func(i int) (number uint16, n uint32){
		"boxes":                 func(i int) (uint16, uint32) { return uint16(i), 1 },
		"parts":                 func(i int) (uint16, uint32) { return 1, uint32(i + 1) },
		"parts of several":      func(i int) (uint16, uint32) { return uint16(i % 20), uint32(i/20 + 1) },
		"parts in reverse":      func(i int) (uint16, uint32) { return 1, uint32(200_000 - i) },
		"the same part":         func(int) (uint16, uint32) { return 1, 1 },
		"parts of high numbers": func(i int) (uint16, uint32) { return 1, uint32(1<<32 - 1 - i) },
	} {
		t.Run(name, func(t *testing.T) {
			one := append(c2patest.Parts(1, 60_000, c2patest.Box("jumb", []byte("a")))[0], make([]byte, 60)...)
			segment := slices.Concat([]byte{0xff, 0xeb, 0, byte(2 + len(one))}, one)
			segments := bytes.Repeat(segment, 100_000)
			for i := range 100_000 {
				number, n := numbers(i)
				at := segments[i*len(segment)+4:]
				binary.BigEndian.PutUint16(at[2:], number)
				binary.BigEndian.PutUint32(at[4:], n)
			}
			file := slices.Concat(jpegOf(8, 8)[:2], segments, jpegOf(8, 8)[2:])
			memory := func() uint64 {
				return mediatest.Allocated(func() {
					if l, err := media.Walk(bytes.NewReader(file)); err != nil || l.C2PA {
						t.Errorf("C2PA is %v; %v", l.C2PA, err)
					}
				})
			}
			with := memory()
			for i := 3; i < len(file) && file[i] == 0xeb; i += len(segment) {
				file[i] = 0xec // segments that nobody looks into
			}
			if without := memory(); with > without+160<<10 {
				t.Errorf("takes %d bytes of memory, without boxes %d", with, without)
			}
		})
	}
}

// The same bytes are a store in all forms of picture, or in none.
func FuzzC2PA(f *testing.F) {
	for _, box := range boxes() {
		f.Add(box.content, 20)
	}
	f.Fuzz(func(t *testing.T, box []byte, size int) {
		found := func(file []byte) bool {
			l, err := media.Walk(bytes.NewReader(file))
			if err != nil {
				t.Fatal(err)
			}
			return l.C2PA
		}
		want := found(c2patest.Add(pngOf(8, 8), box))
		if got := found(c2patest.Add(webpOf(8, 8), box)); got != want {
			t.Errorf("in a WebP: %v, in a PNG: %v", got, want)
		}
		if len(box) > 16 && string(box[4:8]) == "jumb" {
			parts := c2patest.Parts(9, max(1, size%60_000), box)
			if got := found(insertJPEG(jpegOf(8, 8), 0xeb, parts...)); got != want {
				t.Errorf("in a JPEG: %v, in a PNG: %v", got, want)
			}
		}
	})
}
