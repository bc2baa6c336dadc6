package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"flow/cmd/flow/internal/page"
)

// What a piece of a log has at most, so that no page gets too large, whatever a task writes.
const (
	pieceLines = 2000
	pieceBytes = 1 << 20  // of the file
	shownBytes = 4 << 10  // of a line
	countBytes = 32 << 20 // in front of a piece, in which lines are counted to number its own
)

// filePiece reads some lines of a log that is a file: "tail" the last ones, "after" those from
// place at on, "before" those that end there. live says that a line without an end may still
// get one. A log that is not there has no lines.
func filePiece(path, kind string, at int64, live bool) (p page.LogPiece, err error) {
	f, err := openLog(path)
	if errors.Is(err, fs.ErrNotExist) {
		return p, nil
	}
	if err != nil {
		return p, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return p, err
	}
	p.Size = info.Size()
	from, to := min(at, p.Size), p.Size
	switch kind {
	case "tail":
		from, err = pieceStart(f, to, page.LogTail)
	case "before":
		to = from
		from, err = pieceStart(f, to, pieceLines)
	}
	if err != nil {
		return p, err
	}
	p.From, p.Next = from, from
	if from <= countBytes {
		n, err := countLines(io.NewSectionReader(f, 0, from))
		if err != nil {
			return p, err
		}
		p.First = n + 1
	}
	return p, readPiece(&p, io.NewSectionReader(f, from, to-from), live && to == p.Size)
}

// pieceStart returns where the last n lines before end begin, and not more than pieceBytes
// before it.
func pieceStart(f io.ReaderAt, end int64, n int) (int64, error) {
	least := max(end-pieceBytes, 0)
	at, err := tailOffset(io.NewSectionReader(f, least, end-least), end-least, n)
	return least + at, err
}

// countLines counts the line ends.
func countLines(r io.Reader) (n int, err error) {
	block := make([]byte, tailBlock)
	for {
		got, err := r.Read(block)
		n += bytes.Count(block[:got], []byte("\n"))
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}

// readPiece adds lines to a piece. Of a long one it keeps the beginning.
func readPiece(p *page.LogPiece, from io.Reader, open bool) error {
	r := bufio.NewReaderSize(from, longestLine)
	var a page.ANSI
	var line []byte
	length, begun := int64(0), int64(0)
	for len(p.Lines) < pieceLines && begun < pieceBytes {
		part, err := r.ReadSlice('\n')
		line = append(line, part[:min(len(part), max(shownBytes+4-len(line), 0))]...)
		length += int64(len(part))
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF) && (length == 0 || open && length < pieceBytes):
			return nil
		case err != nil && !errors.Is(err, io.EOF):
			return err
		}
		p.Lines = append(p.Lines, shownLine(&a, string(line), length))
		p.Next += length
		begun += length
		line, length = line[:0], 0
	}
	return nil
}

// shownLine is a line of which the beginning is known; length is that of all of it, in bytes.
func shownLine(a *page.ANSI, line string, length int64) []page.LogSpan {
	if length <= shownBytes {
		return a.Line(line)
	}
	line = strings.ToValidUTF8(line[:min(len(line), shownBytes)], "")
	return append(a.Line(line), page.LogSpan{Class: "a-more", Text: fmt.Sprintf("… and %d bytes more, see the whole log", length-int64(len(line)))})
}
