package hostile_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/weather-mcp/weather-mcp-analytics/test/servers"
)

// An attack comes from a process of its own, which runs the same test from
// start to endure and attacks there. It runs at a lower priority than all
// others: the witness is to feel what the program makes of the attack, and not
// that the attackers share its machine.
const attackersNice = 10

// How an attacking process learns whom to attack and where to write its report.
const (
	targetVariable = "HOSTILE_TARGET"
	pidVariable    = "HOSTILE_TARGET_PID"
	reportVariable = "HOSTILE_REPORT"
)

// report is what an attacking process tells the one that started it.
type report struct {
	// Answers counts by status.
	Answers map[int]int64
	// Accepted is how many events were.
	Accepted int64
}

// attacked returns the target of this process when that is to attack.
func attacked() (*target, bool) {
	address := os.Getenv(targetVariable)
	pid, err := strconv.Atoi(os.Getenv(pidVariable))
	if address == "" || err != nil {
		return nil, false
	}
	return &target{address: address, pid: pid, settled: func() {}, attacking: true}, true
}

// tell writes the report.
func (g *target) tell(t *testing.T) {
	t.Helper()
	text, err := json.Marshal(report{Answers: g.answers.all(), Accepted: g.accepted.Load()})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(os.Getenv(reportVariable), text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// beAttacked has a process attack, waits for its end and takes its report.
func (g *target) beAttacked(ctx context.Context, t *testing.T) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "report.json")
	this := "^" + strings.ReplaceAll(regexp.QuoteMeta(t.Name()), "/", "$/^") + "$"
	command := exec.CommandContext(ctx, "nice", "-n", strconv.Itoa(attackersNice), self,
		"-test.run="+this, "-test.v", "-test.timeout=30m", fmt.Sprintf("-full=%t", *scale))
	command.Env = append(os.Environ(), targetVariable+"="+g.address, fmt.Sprintf("%s=%d", pidVariable, g.pid), reportVariable+"="+file,
		"GORACE=atexit_sleep_ms=0") // else each attack ends a second later
	command.SysProcAttr = servers.EndWithTests(syscall.SIGKILL)
	output, err := command.CombinedOutput()
	t.Logf("the attackers say:\n%s", output)
	if err != nil {
		t.Errorf("the attackers: %v", err)
	}
	g.learn(t, file)
}

func (g *target) learn(t *testing.T, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("the attackers told nothing: %v", err)
	}
	var told report
	if err := json.Unmarshal(text, &told); err != nil {
		t.Fatal(err)
	}
	for status, n := range told.Answers {
		g.answers.counts[status].Add(n)
	}
	g.accepted.Add(told.Accepted)
}
