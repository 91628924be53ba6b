package thumbnail

import "image"

// Turned reports whether a picture with this EXIF orientation is shown with width and
// height exchanged.
func Turned(orientation int) bool { return orientation >= 5 && orientation <= 8 }

// upright returns img as it is shown with this orientation.
func upright(img *image.RGBA, orientation int) *image.RGBA {
	if orientation < 2 || orientation > 8 {
		return img
	}
	w, h := img.Rect.Dx(), img.Rect.Dy()
	out := image.NewRGBA(image.Rect(0, 0, w, h))
	if Turned(orientation) {
		out = image.NewRGBA(image.Rect(0, 0, h, w))
	}
	for y := range h {
		for x := range w {
			tx, ty := shownAt(orientation, x, y, w, h)
			out.SetRGBA(tx, ty, img.RGBAAt(x, y))
		}
	}
	return out
}

// shownAt returns where the pixel at x, y of a picture of w x h is shown. The comments
// name the edges at which the picture's first row and first column are shown.
func shownAt(orientation, x, y, w, h int) (int, int) {
	right, below := w-1-x, h-1-y
	switch orientation {
	case 2: // top, right
		return right, y
	case 3: // bottom, right
		return right, below
	case 4: // bottom, left
		return x, below
	case 5: // left, top
		return y, x
	case 6: // right, top
		return below, x
	case 7: // right, bottom
		return below, right
	case 8: // left, bottom
		return y, right
	}
	return x, y
}
