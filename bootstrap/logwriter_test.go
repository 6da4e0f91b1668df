package bootstrap_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/bootstrap"
	"github.com/weather-mcp/weather-mcp-analytics/test/logs"
)

// gate is a log that can fail or stand still.
type gate struct {
	logs.Buffer

	mu sync.Mutex
	// fail is the outcome of writing, after the first part bytes of a line.
	fail error
	part int
}

func (g *gate) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.fail != nil {
		_, _ = g.Buffer.Write(p[:g.part])
		return g.part, g.fail
	}
	return g.Buffer.Write(p)
}

func (g *gate) set(fail error, part int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.fail, g.part = fail, part
}

func awaitText(t *testing.T, log *gate, text string) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !strings.Contains(log.String(), text); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the log lacks %q: %s", text, log)
		}
	}
}

func awaitDropped(t *testing.T, w *bootstrap.LogWriter, want int64) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); w.Dropped() != want; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d lines dropped, want %d", w.Dropped(), want)
		}
	}
}

func TestLinesThatCannotBeWrittenAreCountedAndReported(t *testing.T) {
	for _, format := range []string{"json", "text"} {
		t.Run(format, func(t *testing.T) {
			log := new(gate)
			w := bootstrap.NewLogWriter(log)
			logger := bootstrap.NewLogger(w, load(t, "LOG_FORMAT="+format, "LOG_LEVEL=info"))
			logger.Info("first")
			awaitText(t, log, "first")
			log.set(syscall.ENOSPC, 0)
			for range 3 {
				logger.Info("lost")
			}
			awaitDropped(t, w, 3)
			log.set(nil, 0)
			logger.Info("last")
			w.Close(10 * time.Second)
			lines := strings.Split(strings.TrimSpace(log.String()), "\n")
			if len(lines) != 3 || !strings.Contains(lines[0], "first") || !strings.Contains(lines[2], "last") {
				t.Fatalf("log is %q", lines)
			}
			if format == "text" && !strings.Contains(lines[1], `level=WARN msg="log lines were lost" lines=3`) {
				t.Errorf("report is %s", lines[1])
			}
			var report struct {
				Message string `json:"msg"`
				Lines   int    `json:"lines"`
			}
			if format == "json" && (json.Unmarshal([]byte(lines[1]), &report) != nil || report.Message != "log lines were lost" || report.Lines != 3) {
				t.Errorf("report is %s", lines[1])
			}
		})
	}
}

// TestTornLineIsEnded has the disk become full in the middle of a line.
func TestTornLineIsEnded(t *testing.T) {
	log := new(gate)
	w := bootstrap.NewLogWriter(log)
	logger := bootstrap.NewLogger(w, load(t))
	log.set(syscall.ENOSPC, 5)
	logger.Info("torn")
	awaitDropped(t, w, 1)
	log.set(nil, 0)
	logger.Info("whole")
	w.Close(10 * time.Second)
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	if len(lines) != 3 || len(lines[0]) != 5 || !json.Valid([]byte(lines[1])) || !json.Valid([]byte(lines[2])) {
		t.Errorf("log is %q", lines)
	}
}

// TestWriterNeverWaitsForTheReader writes to a pipe that is full and unread.
func TestWriterNeverWaitsForTheReader(t *testing.T) {
	reader, pipe, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer pipe.Close()
	w := bootstrap.NewLogWriter(pipe)
	logger := bootstrap.NewLogger(w, load(t))
	const lines = 20_000
	for i := range lines {
		logger.Info(strings.Repeat("x", 500), "i", i)
	}
	if w.Dropped() == 0 {
		t.Error("nothing was dropped")
	}
	w.Close(time.Millisecond) // nor does the end
	kept := int64(0)
	for read := bufio.NewScanner(reader); read.Scan(); kept++ {
		var line struct {
			Message string `json:"msg"`
			Lines   int64  `json:"lines"`
		}
		if err := json.Unmarshal(read.Bytes(), &line); err != nil {
			t.Fatal(err)
		}
		if line.Message == "log lines were lost" {
			if line.Lines != w.Dropped() || kept+line.Lines != lines {
				t.Errorf("%d lines kept, %d dropped, %d reported; want %d", kept, w.Dropped(), line.Lines, lines)
			}
			return
		}
	}
	t.Error("nothing was reported")
}

func TestWriterHoldsNoMoreThanItMay(t *testing.T) {
	reader, pipe := io.Pipe()
	w := bootstrap.NewLogWriter(pipe)
	defer w.Close(time.Millisecond)
	defer reader.CloseWithError(errors.New("nobody reads"))
	for range 10 {
		if n, err := fmt.Fprint(w, strings.Repeat("x", 300<<10)); n != 300<<10 || err != nil {
			t.Fatalf("wrote %d, %v", n, err)
		}
	}
	if got := w.Dropped(); got < 6 { // three fit, and one is being written
		t.Errorf("%d lines dropped", got)
	}
}

// heldLog holds its first write until it is let go, and fails the second after so
// many bytes, unless that is 0.
type heldLog struct {
	logs.Buffer

	begun, letGo chan struct{}
	part, writes int
}

func (h *heldLog) Write(p []byte) (int, error) {
	h.writes++
	switch {
	case h.writes == 1:
		close(h.begun)
		<-h.letGo
	case h.writes == 2 && h.part > 0:
		_, _ = h.Buffer.Write(p[:h.part])
		return h.part, syscall.ENOSPC
	}
	return h.Buffer.Write(p)
}

var lossReport = regexp.MustCompile(`time=\S+ level=WARN msg="log lines were lost" lines=(\d+)`)

func writeLine(t *testing.T, w io.Writer, line string) {
	t.Helper()
	if _, err := io.WriteString(w, line); err != nil {
		t.Fatal(err)
	}
}

// Lines that were logged while the writer was busy are written together. When that
// fails, those that are whole count as written, and each of the others as lost.
func TestLinesAreWrittenTogether(t *testing.T) {
	const line = "0123456789\n"
	for name, test := range map[string]struct {
		part  int
		lost  int64
		want  string
		wants int
	}{
		"whole":               {0, 0, strings.Repeat(line, 5), 2},
		"to amid the second":  {len(line) + 4, 3, line + line + "0123\n" + "report 3\n", 4},
		"to the second's end": {2 * len(line), 2, line + line + line + "report 2\n", 3},
	} {
		t.Run(name, func(t *testing.T) {
			log := &heldLog{begun: make(chan struct{}), letGo: make(chan struct{}), part: test.part}
			w := bootstrap.NewLogWriter(log)
			bootstrap.NewLogger(w, load(t, "LOG_FORMAT=text")) // has it report
			writeLine(t, w, line)
			<-log.begun
			for range 4 {
				writeLine(t, w, line)
			}
			close(log.letGo)
			w.Close(10 * time.Second)
			if got := lossReport.ReplaceAllString(log.String(), "report $1"); got != test.want || log.writes != test.wants || w.Dropped() != test.lost {
				t.Errorf("%d writes, %d lost, log is %q\nwant %d writes, %d lost, %q", log.writes, w.Dropped(), got, test.wants, test.lost, test.want)
			}
		})
	}
}
