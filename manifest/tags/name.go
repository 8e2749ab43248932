package tags

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxEscaped is the most bytes an escaped name may have: with "tag-" before it, it is a file name everywhere.
const maxEscaped = 240

// CheckName tells whether a tag may be called name: text of letters, digits, marks, punctuation and single inner
// spaces, without control, bidi or other invisible characters, that does not begin with "-" and whose escaped form has
// at most 240 bytes. The error is ErrName.
func CheckName(name string) error {
	_, err := escape(name)
	return err
}

// escape is the file name of a tag. Lower-case ASCII letters, digits, ".", "_" and "-" stand for themselves, an upper
// case letter x is "!x" as in Go's module cache, and every other byte is "%" and two hexadecimal digits, as are a dot
// at either end and the first letter of a name that Windows takes for a device. So no two names meet on a file system
// that forgets case or Unicode composition, and none is special to any.
func escape(name string) (string, error) {
	if fault := nameFault(name); fault != "" {
		return "", fmt.Errorf("%w: %q %s", ErrName, clip(name), fault)
	}
	const hex = "0123456789abcdef"
	device := isDevice(name)
	b := make([]byte, 0, len(name)+len(name)/2)
	for i := range len(name) {
		c := name[i]
		switch {
		case device && i == 0, c == '.' && (i == 0 || i == len(name)-1):
			b = append(b, '%', hex[c>>4], hex[c&15])
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '.', c == '_', c == '-':
			b = append(b, c)
		case 'A' <= c && c <= 'Z':
			b = append(b, '!', c|0x20)
		default:
			b = append(b, '%', hex[c>>4], hex[c&15])
		}
	}
	if len(b) > maxEscaped {
		return "", fmt.Errorf("%w: %q is too long", ErrName, clip(name))
	}
	return string(b), nil
}

// unescape is the name of a tag's file. ok is false for a file name that escape never makes.
func unescape(file string) (name string, ok bool) {
	b := make([]byte, 0, len(file))
	for i := 0; i < len(file); i++ {
		switch c := file[i]; {
		case c == '!' && i+1 < len(file):
			i++
			b = append(b, file[i]&^0x20)
		case c == '%' && i+2 < len(file):
			b = append(b, unhex(file[i+1])<<4|unhex(file[i+2]))
			i += 2
		default:
			b = append(b, c)
		}
	}
	name = string(b)
	back, err := escape(name)
	return name, err == nil && back == file
}

// unhex is the value of a digit that escape wrote; of another byte it is something that escape does not give back.
func unhex(c byte) byte {
	if c >= 'a' {
		return (c - 'a' + 10) & 15
	}
	return c & 15
}

// nameFault says what is wrong with a name, "" for nothing.
func nameFault(name string) string {
	switch {
	case name == "":
		return "is empty"
	case len(name) > maxEscaped:
		return "is too long"
	case !utf8.ValidString(name):
		return "is not UTF-8"
	case name[0] == '-':
		return "begins with a dash"
	case name[0] == ' ' || name[len(name)-1] == ' ' || strings.Contains(name, "  "):
		return "has a space where none shows"
	}
	for _, c := range name {
		if c != ' ' && !unicode.IsGraphic(c) || c != ' ' && unicode.IsSpace(c) || c == utf8.RuneError {
			return "has a control or invisible character"
		}
	}
	return ""
}

// isDevice knows the names that Windows takes for devices, whatever their extension.
func isDevice(name string) bool {
	base, _, _ := strings.Cut(strings.ToLower(name), ".")
	switch base = strings.TrimRight(base, " "); base {
	case "con", "prn", "aux", "nul", "clock$", "conin$", "conout$":
		return true
	}
	const port = 4 // com1, lpt9
	return len(base) == port && (base[:3] == "com" || base[:3] == "lpt") && '0' <= base[3] && base[3] <= '9'
}

// clip keeps an error about a hostile string short.
func clip(s string) string {
	const most = 100
	if len(s) <= most {
		return s
	}
	return s[:most] + "..."
}
