package media

import (
	"encoding/binary"
	"slices"
)

// An XMP packet in a JPEG is a segment APP1 with this head.
const (
	xmpHead  = "http://ns.adobe.com/xap/1.0/\x00"
	xmpBegin = "<?xpacket begin=\"\ufeff\" id=\"W5M0MpCehiHzreSzNTczkc9d\"?>\n" +
		`<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">` +
		`<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/">` +
		`<Iptc4xmpExt:DigitalSourceType>`
	xmpEnd = `</Iptc4xmpExt:DigitalSourceType></rdf:Description></rdf:RDF></x:xmpmeta>` + "\n<?xpacket end=\"r\"?>"
)

// MarkBytes is the most that Mark adds to a file, in bytes.
const MarkBytes = 512

// Mark returns thumb, a JPEG without XMP, with an XMP packet that states how the picture
// was made: sourceType is the URI of IPTC's term for that. If it is empty, Mark returns
// thumb unchanged.
func Mark(thumb []byte, sourceType string) []byte {
	if sourceType == "" {
		return thumb
	}
	packet := xmpHead + xmpBegin + sourceType + xmpEnd
	segment := binary.BigEndian.AppendUint16([]byte{0xff, jpegAPP1}, uint16(2+len(packet)))
	const start = 2 // the first marker
	return slices.Concat(thumb[:start], segment, []byte(packet), thumb[start:])
}
