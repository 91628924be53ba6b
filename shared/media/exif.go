package media

import "encoding/binary"

// orientation returns how the picture must be turned and mirrored, 1 to 8, from its EXIF
// data, which are a TIFF file. It returns 0 if they do not state it.
func orientation(tiff []byte) int {
	const (
		entry = 12     // bytes per entry
		tag   = 0x0112 // Orientation
		short = 3      // the type of its value
	)
	if len(tiff) < 8 {
		return 0
	}
	var order binary.ByteOrder = binary.LittleEndian
	switch string(tiff[:4]) {
	case "II*\x00":
	case "MM\x00*":
		order = binary.BigEndian
	default:
		return 0
	}
	at := uint64(order.Uint32(tiff[4:]))
	if at+2 > uint64(len(tiff)) {
		return 0
	}
	entries := tiff[at+2:]
	for range order.Uint16(tiff[at:]) {
		if len(entries) < entry {
			return 0
		}
		if order.Uint16(entries) == tag {
			value := order.Uint16(entries[8:])
			if order.Uint16(entries[2:]) == short && order.Uint32(entries[4:]) == 1 && value >= 1 && value <= 8 {
				return int(value)
			}
			return 0
		}
		entries = entries[entry:]
	}
	return 0
}
