package picture

// EncodeThumbnail is for the benchmark of it alone.
var EncodeThumbnail = encodeThumbnail
