package benchmark_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/test/program"
	"github.com/weather-mcp/weather-mcp-analytics/test/servers"
)

// server is a process that answers HTTP requests.
type server struct {
	address string
	pid     int
	// kill ends the process at once, and waits for that.
	kill func()
}

// cpu is the processor time that the process has used.
func (s server) cpu(tb testing.TB) time.Duration {
	tb.Helper()
	return cpuOf(s.pid)
}

// startProgram starts the program in a role and waits until it is ready. It logs
// into a file, as under systemd or Docker.
func startProgram(tb testing.TB, role string, environ ...string) server {
	tb.Helper()
	return startProgramIn(tb, tb.TempDir(), role, environ...)
}

// startProgramIn is startProgram with a folder for data and log.
func startProgramIn(tb testing.TB, dir, role string, environ ...string) server {
	tb.Helper()
	logName := filepath.Join(dir, "log")
	return start(tb, logName, `"address":"`, exec.CommandContext(context.WithoutCancel(tb.Context()), program.Build(tb), role),
		append([]string{"BIND_ADDRESS=127.0.0.1", "PORT=0", "LOG_FORMAT=json", "DATA_DIR=" + dir}, environ...))
}

// readerAddress says in the environment that this program is to be the reading
// handler.
const readerAddress = "BENCHMARK_READING_HANDLER"

// startReader starts the handler that everything is compared with: it reads the
// body and answers, at /bytes/N with N bytes from memory, elsewhere with none.
func startReader(tb testing.TB) server {
	tb.Helper()
	executable, err := os.Executable()
	if err != nil {
		tb.Fatal(err)
	}
	return start(tb, filepath.Join(tb.TempDir(), "log"), "address=", exec.CommandContext(context.WithoutCancel(tb.Context()), executable),
		append(os.Environ(), readerAddress+"=127.0.0.1:0"))
}

// serveReading is the process of startReader.
func serveReading(address string) error {
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", address)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(os.Stderr, "address=%s\n", listener.Addr()); err != nil {
		return err
	}
	body := make([]byte, 1<<20)
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // a client that goes away gets no answer
		if number, found := strings.CutPrefix(r.URL.Path, "/bytes/"); found {
			n, _ := strconv.Atoi(number)
			w.Header().Set("Content-Length", number)
			_, _ = w.Write(body[:min(n, len(body))])
			return
		}
		w.WriteHeader(http.StatusOK)
	})
	return (&http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}).Serve(listener)
}

// start starts a process and waits for its address, which its log has behind the mark.
// It is killed after the test.
func start(tb testing.TB, logName, mark string, command *exec.Cmd, environ []string) server {
	tb.Helper()
	logFile, err := os.Create(logName)
	if err != nil {
		tb.Fatal(err)
	}
	defer logFile.Close()
	command.Dir, command.Env = filepath.Dir(logName), environ
	command.Stdout, command.Stderr = logFile, logFile
	command.SysProcAttr = servers.EndWithTests(syscall.SIGKILL)
	if err := command.Start(); err != nil {
		tb.Fatal(err)
	}
	var outcome error // once ended is closed
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		outcome = command.Wait()
	}()
	s := server{pid: command.Process.Pid, kill: func() {
		_ = command.Process.Kill() // it may have ended
		<-ended
	}}
	tb.Cleanup(s.kill)
	var text []byte
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if text, err = os.ReadFile(logName); err != nil {
			tb.Fatal(err)
		}
		if _, rest, found := strings.Cut(string(text), mark); found && strings.Contains(rest, "\n") {
			line, _, _ := strings.Cut(rest, "\n")
			s.address, _, _ = strings.Cut(line, `"`)
			return s
		}
		select {
		case <-ended:
			tb.Fatalf("the server ended: %v\n%s", outcome, text)
		default:
		}
	}
	tb.Fatalf("the server does not say where it listens:\n%s", text)
	return server{}
}

// turn is what a server did while clients asked without a pause.
type turn struct {
	requests int
	// latencies are those of the answers, and of the refusals that the server was
	// overloaded (503).
	latencies, refused []time.Duration
	// bodyBytes is the length of the last body.
	bodyBytes int
	took      time.Duration
	computed  time.Duration
}

func (t turn) rate() float64 { return float64(t.requests) / t.took.Seconds() }

// cpuMicros is the processor time of the server for a request, in microseconds.
func (t turn) cpuMicros() float64 {
	return float64(t.computed.Nanoseconds()) / 1e3 / float64(max(t.requests, 1))
}

// hammer has clients, each on a connection of its own, send requests for that long,
// each as soon as the answer to the one before is complete. requests returns what gives a
// client the bytes of its next one. The clients do no more than they must, as they share the
// machine with the server.
func hammer(tb testing.TB, s server, clients int, d time.Duration, requests func(client int) func(number int) []byte) turn {
	tb.Helper()
	var (
		running sync.WaitGroup
		asked   = make([]turn, clients)
		failed  = make([]error, clients)
	)
	before, begun := s.cpu(tb), time.Now()
	done := func(int) bool { return time.Since(begun) >= d }
	for client := range clients {
		running.Go(func() {
			asked[client], failed[client] = ask(s.address, requests(client), done)
		})
	}
	running.Wait()
	t := turn{took: time.Since(begun), computed: s.cpu(tb) - before}
	for client := range clients {
		t.requests += asked[client].requests
		t.bodyBytes = asked[client].bodyBytes
		t.latencies = append(t.latencies, asked[client].latencies...)
		t.refused = append(t.refused, asked[client].refused...)
		if failed[client] != nil {
			tb.Fatal(failed[client])
		}
	}
	return t
}

// ask sends requests on one connection until that many answers are enough. Every
// status but 200 and 503 is an error.
func ask(address string, request func(number int) []byte, enough func(answers int) bool) (turn, error) {
	var t turn
	connection, err := net.Dial("tcp", address)
	if err != nil {
		return t, err
	}
	defer connection.Close()
	reader := bufio.NewReaderSize(connection, 64<<10)
	for !enough(t.requests) {
		begun := time.Now()
		if _, err := connection.Write(request(t.requests)); err != nil {
			return t, err
		}
		overloaded, length, err := readAnswer(reader)
		if err != nil {
			return t, err
		}
		t.bodyBytes = length
		t.requests++
		if overloaded {
			t.refused = append(t.refused, time.Since(begun))
		} else {
			t.latencies = append(t.latencies, time.Since(begun))
		}
	}
	return t, nil
}

var (
	statusOK      = []byte("HTTP/1.1 200 ")
	statusBusy    = []byte("HTTP/1.1 503 ")
	contentLength = []byte("Content-Length: ")
)

// readAnswer reads an answer with a Content-Length to its end.
func readAnswer(r *bufio.Reader) (overloaded bool, length int, err error) {
	length = -1
	for first := true; ; first = false {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return false, 0, fmt.Errorf("read the header of an answer: %w", err)
		}
		if first {
			overloaded = bytes.HasPrefix(line, statusBusy)
			if !overloaded && !bytes.HasPrefix(line, statusOK) {
				return false, 0, fmt.Errorf("the answer is %q", line)
			}
		}
		if number, ok := bytes.CutPrefix(line, contentLength); ok {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(number))); err != nil {
				return false, 0, err
			}
		}
		if len(line) > len("\r\n") {
			continue
		}
		if length < 0 {
			return false, 0, errors.New("an answer without a Content-Length")
		}
		_, err = r.Discard(length)
		return overloaded, length, err
	}
}
