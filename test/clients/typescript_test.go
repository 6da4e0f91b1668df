// Package clients_test tests the clients against a running service.
package clients_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/test/servers"
	"github.com/weather-mcp/weather-mcp-analytics/test/service"
)

const (
	root       = "../.."
	typescript = root + "/clients/typescript"
)

func TestTypeScriptClient(t *testing.T) {
	needNode(t)
	url := service.Start(t, "CACHE_TTL_SECONDS=0")
	run(t, root, []string{"ANALYTICS_URL=" + url}, "make", "--no-print-directory", "client-test")
}

// The packed package works where nothing but it is installed.
func TestTypeScriptPackage(t *testing.T) {
	needNode(t)
	dir := t.TempDir()
	run(t, root, nil, "make", "--no-print-directory", "clients/typescript/node_modules/installed")
	run(t, typescript, nil, "npm", "pack", "--silent", "--pack-destination", dir)
	packages, err := filepath.Glob(filepath.Join(dir, "*.tgz"))
	if err != nil || len(packages) != 1 {
		t.Fatalf("packed %q, %v", packages, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "package.json"), []byte(`{"private":true,"type":"module"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, dir, nil, "npm", "install", "--offline", "--no-audit", "--no-fund", packages[0])
	installed := filepath.Join(dir, "node_modules/@weather-mcp/analytics-client")
	for _, file := range []string{"README.md", "LICENSE", "dist/index.js", "dist/index.d.ts", "dist/schema.d.ts", "dist/personal.d.ts"} {
		if _, err := os.Stat(filepath.Join(installed, file)); err != nil {
			t.Error(err)
		}
	}
	url := service.Start(t)
	script := `import { AnalyticsClient } from "@weather-mcp/analytics-client";
const { status } = await new AnalyticsClient({ baseUrl: process.argv[1] }).statisticsHealth();
console.log(status);`
	if out := run(t, dir, nil, "node", "--input-type=module", "--eval", script, url); out != "healthy\n" {
		t.Errorf("the packed client says %q", out)
	}
}

// compiler stands in the client's folder.
const compiler = "node_modules/.bin/tsc"

// compileClient compiles the client into dir and returns where it stands.
func compileClient(t *testing.T, dir string) string {
	t.Helper()
	run(t, root, nil, "make", "--no-print-directory", "clients/typescript/node_modules/installed")
	client, err := filepath.Abs(typescript)
	if err != nil {
		t.Fatal(err)
	}
	run(t, client, nil, filepath.Join(client, compiler), "--outDir", dir)
	return client
}

func needNode(t *testing.T) {
	t.Helper()
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err != nil {
			servers.Missing(t, "Node.js", err)
		}
	}
}

// patience is how long a command may take.
const patience = 2 * time.Minute

// run returns what the command writes, and fails the test if it fails.
func run(t *testing.T, dir string, environ []string, name string, arguments ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	command := exec.CommandContext(ctx, name, arguments...)
	command.Dir = dir
	// What an outer make wants is not meant for an inner one.
	command.Env = append(slices.DeleteFunc(os.Environ(), func(variable string) bool {
		return strings.HasPrefix(variable, "MAKE") || strings.HasPrefix(variable, "MFLAGS")
	}), environ...)
	var failures strings.Builder
	command.Stderr = &failures
	out, err := command.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(arguments, " "), err, out, failures.String())
	}
	return string(out)
}
