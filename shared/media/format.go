package media

// Limits of a picture.
const (
	MaxBytes  = 25 << 20   // of the file
	MaxPixels = 40_000_000 // width times height
	MaxSide   = 16384      // pixels of width and of height
)

// ThumbnailSide is the longest side of a thumbnail in pixels.
const ThumbnailSide = 512

// InputSide is the longest side in pixels of the copy that is kept of an upload.
const InputSide = 2048

// A Copy is a picture encoded anew, as browsers show it and without what its file said
// about the camera and the place.
type Copy struct {
	Width, Height int
	JPEG          []byte // at most InputSide on its longest side
	Thumbnail     []byte // JPEG, at most ThumbnailSide
}

// A Picture is what picture.Open found in a file. Its type comes from the file's
// bytes, not from a name or a header.
type Picture struct {
	Width, Height int // as browsers show it: turned if its EXIF says so
	ContentType   string
	Ext           string // png, jpg or webp
	Bytes         int64
	SHA256        [32]byte
	C2PA          bool   // the file carries a C2PA manifest store, which is not verified
	Thumbnail     []byte // JPEG, at most ThumbnailSide on its longest side; nil if none could be made
}

// A Format is a kind of picture that we store.
type Format struct {
	ContentType, Ext string

	magic  string // how files begin; "?" is any byte
	letter string // the last letter of an upload's id
}

var formats = [...]Format{
	{"image/png", "png", "\x89PNG\r\n\x1a\n", "p"},
	{"image/jpeg", "jpg", "\xff\xd8\xff", "j"},
	{"image/webp", "webp", "RIFF????WEBP", "b"},
}

// MagicLength is how many bytes of a file's head Sniff needs.
const MagicLength = 12

// Sniff returns the format whose files begin like head. A file that begins as a
// picture may still be none.
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
