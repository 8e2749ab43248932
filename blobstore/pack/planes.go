package pack

// split sorts the bytes of src into w planes in dst, which has the same length: the first byte of each element, then the
// second of each, and so on. The last element may be cut off.
func split(dst, src []byte, w int) {
	switch w {
	case 1:
		copy(dst, src)
	case 2:
		split2(dst, src)
	default:
		split4(dst, src)
	}
}

func split2(dst, src []byte) {
	lo, hi := dst[:planeLen(len(src), 2, 0)], dst[planeLen(len(src), 2, 0):]
	for i := range hi {
		pair := src[2*i : 2*i+2]
		lo[i], hi[i] = pair[0], pair[1]
	}
	if len(lo) > len(hi) {
		lo[len(lo)-1] = src[len(src)-1]
	}
}

func split4(dst, src []byte) {
	p := cut(dst, maxWidth)
	for i := range p[3] {
		four := src[4*i : 4*i+4]
		p[0][i], p[1][i], p[2][i], p[3][i] = four[0], four[1], four[2], four[3]
	}
	for i := len(p[3]) * maxWidth; i < len(src); i++ {
		p[i%maxWidth][i/maxWidth] = src[i]
	}
}

// join is the reverse of split.
func join(dst, src []byte, w int) {
	switch w {
	case 1:
		copy(dst, src)
	case 2:
		join2(dst, src)
	default:
		join4(dst, src)
	}
}

func join2(dst, src []byte) {
	lo, hi := src[:planeLen(len(src), 2, 0)], src[planeLen(len(src), 2, 0):]
	for i := range hi {
		pair := dst[2*i : 2*i+2]
		pair[0], pair[1] = lo[i], hi[i]
	}
	if len(lo) > len(hi) {
		dst[len(dst)-1] = lo[len(lo)-1]
	}
}

func join4(dst, src []byte) {
	p := cut(src, maxWidth)
	for i := range p[3] {
		four := dst[4*i : 4*i+4]
		four[0], four[1], four[2], four[3] = p[0][i], p[1][i], p[2][i], p[3][i]
	}
	for i := len(p[3]) * maxWidth; i < len(dst); i++ {
		dst[i] = p[i%maxWidth][i/maxWidth]
	}
}

// cut gives the w planes that lie in b one behind the other.
func cut(b []byte, w int) [maxWidth][]byte {
	var p [maxWidth][]byte
	rest := b
	for i := range w {
		n := planeLen(len(b), w, i)
		p[i], rest = rest[:n:n], rest[n:]
	}
	return p
}
