package bootstrap

import (
	"bytes"
	"io"
	"slices"
	"sync/atomic"
	"time"
)

// The bounds of the log lines that wait to be written.
const (
	maxPendingLines = 4096
	maxPendingBytes = 1 << 20
)

// A line that comes alone is written at once. Lines that come within gatherTime of
// that are written together, at most gatherBytes and one line more: many requests
// cost few system calls and wake the writer rarely.
const (
	gatherTime  = time.Millisecond
	gatherBytes = 32 << 10
)

// LogWriter writes log lines in the background, so that no caller waits for the
// reader of the log. It drops and counts the lines that cannot be written and
// those for which there is no room, at most 4096 lines or 1 MB. Once lines can
// be written again one of them says how many were lost.
type LogWriter struct {
	to      io.Writer
	pending chan logLine
	bytes   atomic.Int64
	dropped atomic.Int64
	// report writes the line that says how many were lost; nil for none.
	report atomic.Pointer[func(to io.Writer, lost int64) error]

	// The rest belongs to the goroutine that writes.

	// reported is how many of the dropped lines the log accounts for.
	reported int64
	// gathered is what is written next, and ends is where its lines end.
	gathered []byte
	ends     []int
	// failing says that the last attempt failed, torn that it left a part of a
	// line.
	failing, torn bool
}

// logLine is a line to write or, with ends, the end of all.
type logLine struct {
	text []byte
	ends chan struct{}
}

// NewLogWriter returns a writer to the given one. Close ends it.
func NewLogWriter(to io.Writer) *LogWriter {
	w := &LogWriter{to: to, pending: make(chan logLine, maxPendingLines)}
	go w.run()
	return w
}

// Write takes one line or more and keeps a copy. It neither waits nor fails.
func (w *LogWriter) Write(line []byte) (int, error) {
	n := int64(len(line))
	if w.bytes.Add(n) > maxPendingBytes {
		w.bytes.Add(-n)
		w.dropped.Add(1)
		return len(line), nil
	}
	select {
	case w.pending <- logLine{text: bytes.Clone(line)}:
	default:
		w.bytes.Add(-n)
		w.dropped.Add(1)
	}
	return len(line), nil
}

// Dropped returns how many lines were dropped since the start.
func (w *LogWriter) Dropped() int64 { return w.dropped.Load() }

// Close writes what is pending, but waits no longer than given, and ends the
// writer. What is written later is lost.
func (w *LogWriter) Close(wait time.Duration) {
	late := time.NewTimer(wait)
	defer late.Stop()
	ends := make(chan struct{})
	select {
	case w.pending <- logLine{ends: ends}:
	case <-late.C:
		return
	}
	select {
	case <-ends:
	case <-late.C:
	}
}

func (w *LogWriter) run() {
	for line := range w.pending {
		closed := w.gather(line)
		w.writeGathered()
		if closed != nil {
			w.catchUp()
			close(closed)
			return
		}
		if !w.failing {
			time.Sleep(gatherTime)
		}
	}
}

// gather takes the line and those that are pending behind it. While lines cannot be
// written each is tried alone. It returns what to close at the end of all.
func (w *LogWriter) gather(line logLine) (closed chan<- struct{}) {
	w.gathered, w.ends = w.gathered[:0], w.ends[:0]
	for {
		if line.ends != nil {
			return line.ends
		}
		w.bytes.Add(-int64(len(line.text)))
		w.gathered = append(w.gathered, line.text...)
		w.ends = append(w.ends, len(w.gathered))
		if w.failing || len(w.gathered) >= gatherBytes {
			return nil
		}
		select {
		case line = <-w.pending:
		default:
			return nil
		}
	}
}

// writeGathered writes what was gathered and counts the lines that were lost.
func (w *LogWriter) writeGathered() {
	if len(w.ends) == 0 {
		return
	}
	// What was lost is reported before the first line after a failure, and
	// otherwise when nothing is pending: a reader that is too slow gets no
	// report for each line that it reads.
	if w.failing {
		w.catchUp()
	}
	if w.failing {
		w.dropped.Add(int64(len(w.ends)))
		return
	}
	if written, err := w.write(w.gathered); err != nil {
		whole, found := slices.BinarySearch(w.ends, written)
		if found {
			whole++
			w.torn = false // what was written ends with a line
		}
		w.dropped.Add(int64(len(w.ends) - whole))
		return
	}
	if len(w.pending) == 0 {
		w.catchUp()
	}
}

// catchUp reports the lines that were lost since the last report.
func (w *LogWriter) catchUp() {
	lost := w.dropped.Load() - w.reported
	report := w.report.Load()
	if lost == 0 || report == nil {
		w.failing = false
		return
	}
	if (*report)(writerFunc(func(line []byte) (int, error) { return w.write(line) }), lost) == nil {
		w.reported += lost
	}
}

// write writes lines, after the end of one that was torn, and returns how many of
// their bytes.
func (w *LogWriter) write(lines []byte) (int, error) {
	if w.torn {
		n, err := w.to.Write([]byte{'\n'})
		w.torn = n == 0
		if err != nil {
			w.failing = true
			return 0, err
		}
	}
	n, err := w.to.Write(lines)
	w.failing = err != nil
	w.torn = n > 0 && n < len(lines)
	return n, err
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
