package tags

// Escape and Unescape are the two ways between a name and its file.
var (
	Escape   = escape
	Unescape = unescape
)
