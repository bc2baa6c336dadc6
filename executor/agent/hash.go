package agent

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"sync"
	"syscall"
	"time"

	"flow/engine"
)

// A Sum is the sha256 of a file's content.
type Sum = [sha256.Size]byte

// A Memo remembers the sha256 of files, so that a file that has not changed need not
// be read again. A file is known by its real path, its size in bytes, its time of
// modification in nanoseconds since the epoch, and its inode. It is safe for
// concurrent use, and may forget.
type Memo interface {
	Get(path string, size, mtime int64, inode uint64) (sum Sum, ok bool)
	Put(path string, size, mtime int64, inode uint64, sum Sum)
}

// errChanged says that a file changed while it was read.
var errChanged = errors.New("the file changed while it was read")

// racy is how young a file may be for its time of modification to tell nothing: it
// could change once more within the same tick of the file system's clock.
const racy = 2 * time.Second

// buffers are what files are read through.
var buffers = sync.Pool{New: func() any { return new([256 << 10]byte) }}

// hashOpen returns the sha256 of an open file with the real path real, from the memo if
// it is there.
func (f *Files) hashOpen(ctx context.Context, file *os.File, real string) (Sum, fs.FileInfo, error) {
	info, err := file.Stat()
	if err != nil {
		return Sum{}, nil, err
	}
	if f.Memo != nil {
		if sum, ok := f.Memo.Get(real, info.Size(), info.ModTime().UnixNano(), inode(info)); ok {
			return sum, info, nil
		}
	}
	sum, info, err := hashStable(ctx, file, nil)
	if err == nil && time.Since(info.ModTime()) > racy {
		f.remember(real, info, sum)
	}
	return sum, info, err
}

// remember puts a sum into the memo.
func (f *Files) remember(real string, info fs.FileInfo, sum Sum) {
	if f.Memo != nil {
		f.Memo.Put(real, info.Size(), info.ModTime().UnixNano(), inode(info), sum)
	}
}

// hashStable returns the sha256 of a file, and errChanged if it is not what it was when
// reading began. data, unless nil, is its content, already read.
func hashStable(ctx context.Context, file *os.File, data []byte) (Sum, fs.FileInfo, error) {
	before, err := file.Stat()
	if err != nil {
		return Sum{}, nil, err
	}
	var sum Sum
	n := int64(len(data))
	if data != nil {
		sum = sha256.Sum256(data)
	} else if sum, n, err = hashReader(ctx, file); err != nil {
		return Sum{}, nil, err
	}
	after, err := file.Stat()
	if err != nil {
		return Sum{}, nil, err
	}
	if n != after.Size() || before.Size() != after.Size() || !before.ModTime().Equal(after.ModTime()) {
		return Sum{}, nil, errChanged
	}
	return sum, after, nil
}

// hashReader returns the sha256 of what r yields, and how many bytes that was.
func hashReader(ctx context.Context, r io.Reader) (sum Sum, n int64, err error) {
	buf := buffers.Get().(*[256 << 10]byte)
	defer buffers.Put(buf)
	h := sha256.New()
	for {
		if err := ctx.Err(); err != nil {
			return sum, n, err
		}
		k, err := r.Read(buf[:])
		h.Write(buf[:k])
		n += int64(k)
		if err == io.EOF {
			h.Sum(sum[:0])
			return sum, n, nil
		}
		if err != nil {
			return sum, n, err
		}
	}
}

// inode returns the number of a file's inode.
func inode(info fs.FileInfo) uint64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(st.Ino)
	}
	return 0
}

// manifestFile describes a file for a manifest.
func manifestFile(rel string, info fs.FileInfo, sum Sum) engine.ManifestFile {
	return engine.ManifestFile{Path: rel, Size: info.Size(), SHA256: hex.EncodeToString(sum[:]), ModTime: info.ModTime().UnixNano()}
}
