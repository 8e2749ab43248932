package manifest

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// ErrUnsafePath reports a name that is not that of a file below a folder on every system.
var ErrUnsafePath = errors.New("unsafe file name")

const (
	maxPath      = 1024 // bytes of a whole path: leaves room for the store's own under PATH_MAX
	maxComponent = 255  // bytes of one name in it: what ext4, APFS and NTFS take
)

// SafePath is name as a relative, slash-separated path below a folder, or [ErrUnsafePath]. "./" and doubled slashes
// are dropped; a safe path comes back as it is. It judges by the rules of POSIX and of Windows on every system, so
// that a model that one machine takes is taken by all: no "..", no absolute path, drive, share, backslash, colon
// (streams) or wildcard, no device name (CON, aux.txt), no component that ends in a dot or space or has more than 255
// bytes, at most 1024 bytes in all, and no control, bidi or other invisible character.
func SafePath(name string) (string, error) {
	if err := checkText(name); err != nil {
		return "", err
	}
	if name[0] == '/' || name[len(name)-1] == '/' {
		return "", unsafePath(name, "begins or ends with a slash")
	}
	clean := name
	if strings.HasPrefix(name, "./") || strings.Contains(name, "//") || strings.Contains(name, "/./") {
		clean = dropEmpty(name)
	}
	for rest, more := clean, true; more; {
		var part string
		part, rest, more = strings.Cut(rest, "/")
		if fault := componentFault(part); fault != "" {
			return "", unsafePath(name, fault)
		}
	}
	if strings.HasPrefix(strings.ToLower(clean), reserved) {
		return "", unsafePath(name, "begins with "+reserved+", as the private files beside a model do")
	}
	return clean, nil
}

// reserved begins the names of what mstore itself puts into a folder beside a model's files.
const reserved = ".mstore-"

// checkText judges the characters of a whole name.
func checkText(name string) error {
	switch {
	case name == "":
		return unsafePath(name, "is empty")
	case len(name) > maxPath:
		return unsafePath(name, fmt.Sprintf("has more than %d bytes", maxPath))
	case !utf8.ValidString(name):
		return unsafePath(name, "is not UTF-8")
	}
	for _, c := range name {
		switch {
		case c < ' ' || c == 0x7f || c > 0x7f && (unicode.IsControl(c) || unicode.In(c, unicode.Cf, unicode.Zl, unicode.Zp)):
			return unsafePath(name, "has a control or invisible character")
		case c < 0x7f && strings.IndexByte(`\:*?"<>|`, byte(c)) >= 0:
			return unsafePath(name, fmt.Sprintf("has the character %q", c))
		}
	}
	return nil
}

// componentFault says what is wrong with one name of a path, "" for nothing.
func componentFault(part string) string {
	switch {
	case part == "" || part == ".":
		return "names no file"
	case part == "..":
		return "leads out of its folder"
	case len(part) > maxComponent:
		return fmt.Sprintf("has a component of more than %d bytes", maxComponent)
	case part[len(part)-1] == '.' || part[len(part)-1] == ' ':
		return "has a component that ends in a dot or space"
	case isDevice(part):
		return "has the name of a device"
	}
	return ""
}

// isDevice knows the names that Windows takes for devices in every folder, whatever their extension.
func isDevice(part string) bool {
	const shortest, longest = 3, 8 // NUL, and COM¹ and CONOUT$ in bytes
	base, _, _ := strings.Cut(part, ".")
	base = strings.TrimRight(base, " ")
	if len(base) < shortest || len(base) > longest {
		return false
	}
	switch base = strings.ToUpper(base); base {
	case "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$", "CLOCK$":
		return true
	}
	port, ok := strings.CutPrefix(base, "COM")
	if !ok {
		port, ok = strings.CutPrefix(base, "LPT")
	}
	return ok && utf8.RuneCountInString(port) == 1 && strings.Contains("0123456789¹²³", port)
}

func dropEmpty(name string) string {
	var parts []string
	for part := range strings.SplitSeq(name, "/") {
		if part != "" && part != "." {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, "/")
}

func unsafePath(name, fault string) error {
	return fmt.Errorf("%w: %q %s", ErrUnsafePath, clip(name), fault)
}

// fold is what two names have in common that some file system takes for one: case and Unicode composition.
func fold(name string) string {
	for i := range len(name) {
		if name[i] >= utf8.RuneSelf {
			return norm.NFC.String(cases.Fold().String(norm.NFD.String(name)))
		}
	}
	return strings.ToLower(name)
}
