package logstore

import "strings"

// Names of groups and streams become paths piece by piece: a piece is escaped by itself,
// and is one directory of the path, or at its end the file. Where a name is cut depends
// on nothing but what stands before the cut. So the directories are a trie, and walking
// them in the order of their pieces yields the names in the order of their bytes.
const (
	maxPiece = 80  // bytes of a piece; three times as many when escaped, with room for a suffix
	maxName  = 512 // characters of a name; CreateLogStream, CreateLogGroup

	groupSuffix  = ".group"
	streamSuffix = ".log"
	marksSuffix  = ".marks"
)

// appendPath appends the path of a name. With shard, the name is cut after every slash,
// and two bytes into the third segment and those behind it: what Batch calls
// definition/container/task has all tasks of a definition in up to 256 directories.
func appendPath(to []byte, name string, shard bool) []byte {
	size, segment, slashes := 0, 0, 0
	for i := range len(name) {
		to = appendByte(to, name[i])
		size, segment = size+1, segment+1
		if name[i] == '/' {
			slashes, segment = slashes+1, 0
		}
		if size < maxPiece && !(shard && (segment == 0 || segment == 2 && slashes > 1)) {
			continue
		}
		if i+1 < len(name) {
			to, size = append(to, '/'), 0
		}
	}
	return to
}

const hexDigits = "0123456789abcdef"

// appendByte escapes one byte of a name. Capitals are escaped, since there are file
// systems that do not tell them from small letters; so is the point, which begins a suffix.
func appendByte(to []byte, b byte) []byte {
	switch {
	case 'a' <= b && b <= 'z', '0' <= b && b <= '9', b == '-', b == '_':
		return append(to, b)
	case b == '/':
		return append(to, '+')
	}
	return append(to, '%', hexDigits[b>>4], hexDigits[b&15])
}

// unescape returns the piece that escaped stands for, and false if it stands for none.
func unescape(escaped string) (string, bool) {
	piece := make([]byte, 0, len(escaped))
	for i := 0; i < len(escaped); i++ {
		switch c := escaped[i]; {
		case c == '+':
			piece = append(piece, '/')
		case c == '%' && i+2 < len(escaped):
			high, low := strings.IndexByte(hexDigits, escaped[i+1]), strings.IndexByte(hexDigits, escaped[i+2])
			if high < 0 || low < 0 {
				return "", false
			}
			piece = append(piece, byte(high<<4|low))
			i += 2
		default:
			piece = append(piece, c)
		}
	}
	again := make([]byte, 0, len(escaped))
	for _, b := range piece {
		again = appendByte(again, b)
	}
	return string(piece), len(piece) > 0 && string(again) == escaped
}

func groupPath(group string) string {
	return string(append(appendPath(make([]byte, 0, 64), group, false), groupSuffix...))
}

// streamPath returns the path of a stream without a suffix.
func streamPath(group, stream string) string {
	to := appendPath(make([]byte, 0, 192), group, false)
	to = append(append(to, groupSuffix...), '/')
	return string(appendPath(to, stream, true))
}
