package thumbnail

// Shrink is shrink, for comparisons that JPEG would blur.
var Shrink = shrink
