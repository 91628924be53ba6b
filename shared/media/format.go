package media

// Limits of a picture.
const (
	MaxBytes  = 25 << 20   // of its file
	MaxPixels = 40_000_000 // width times height
	MaxSide   = 16384      // of width and of height
)

// ThumbnailSide is the longest side of a thumbnail in pixels.
const ThumbnailSide = 512

// A Picture is what was found in a file, by picture.Open. Its type is what the
// file's bytes say, whatever name or header it came with.
type Picture struct {
	Width, Height int // as browsers show it: turned where its EXIF says so
	ContentType   string
	Ext           string // png, jpg or webp
	Bytes         int64
	SHA256        [32]byte
	Thumbnail     []byte // JPEG, at most ThumbnailSide on its longest side; nil: none could be made
}

// A Format is one kind of picture we keep.
type Format struct {
	ContentType, Ext string

	magic  string // how files begin; "?" is any byte
	letter string // what the ids of uploads end with
}

var formats = [...]Format{
	{"image/png", "png", "\x89PNG\r\n\x1a\n", "p"},
	{"image/jpeg", "jpg", "\xff\xd8\xff", "j"},
	{"image/webp", "webp", "RIFF????WEBP", "b"},
}

// MagicLength is how many bytes of a file's head Sniff needs.
const MagicLength = 12

// Sniff gives the format whose files begin like head. What begins as a picture
// is not yet one.
func Sniff(head []byte) (Format, bool) {
	for _, f := range formats {
		if matches(f.magic, head) {
			return f, true
		}
	}
	return Format{}, false
}

func matches(magic string, head []byte) bool {
	if len(head) < len(magic) {
		return false
	}
	for i := range magic {
		if magic[i] != '?' && magic[i] != head[i] {
			return false
		}
	}
	return true
}
