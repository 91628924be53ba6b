package media_test

import (
	"bytes"
	"encoding/xml"
	"image"
	"image/jpeg"
	"strings"
	"testing"

	"github.com/preset/nanobanana-functions/shared/media"
)

// The mark of a JPEG, also of a single pixel, is one segment with well-formed XML, and
// the picture stays the same.
func TestMark(t *testing.T) {
	for _, side := range []int{1, 512} {
		var b bytes.Buffer
		if err := jpeg.Encode(&b, image.NewGray(image.Rect(0, 0, side, side)), nil); err != nil {
			t.Fatal(err)
		}
		const term = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
		thumb := b.Bytes()
		marked := media.Mark(thumb, term)
		if _, err := jpeg.Decode(bytes.NewReader(marked)); err != nil {
			t.Error(err)
		}
		if added := len(marked) - len(thumb); added > media.MarkBytes || added < len(term) {
			t.Errorf("%d bytes are added", added)
		}
		const head = "\xff\xd8\xff\xe1"
		length := int(marked[4])<<8 | int(marked[5])
		segment, rest := string(marked[6:4+length]), marked[4+length:]
		if !bytes.HasPrefix(marked, []byte(head)) || !bytes.Equal(rest, thumb[2:]) {
			t.Error("the rest of the picture is another")
		}
		packet, ok := strings.CutPrefix(segment, "http://ns.adobe.com/xap/1.0/\x00")
		var read struct {
			Type string `xml:"RDF>Description>DigitalSourceType"`
		}
		if err := xml.Unmarshal([]byte(packet), &read); err != nil || !ok || read.Type != term {
			t.Errorf("the packet states %q, %v", read.Type, err)
		}
		if !bytes.Equal(media.Mark(thumb, ""), thumb) {
			t.Error("a picture is marked without a term")
		}
	}
}
