package tags

// Encode, Decode and DecodeUsual are the ways between a tag and the content of its file.
var (
	Encode      = encode
	Decode      = decode
	DecodeUsual = decodeUsual
)

// Escape and Unescape are the two ways between a name and its file.
var (
	Escape   = escape
	Unescape = unescape
)
