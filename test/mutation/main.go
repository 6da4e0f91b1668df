// Command mutation shows which rules no test holds. It breaks a package in one
// place at a time, by forcing a condition, moving a boundary or leaving out a
// statement, and runs tests that should notice. A mutant that every test passes
// is printed: the rule there is untested, or the mutant means the same.
//
//	go run ./test/mutation [-files REGEXP] [-skip REGEXP] [-by PACKAGE,…] PACKAGE
//
// All mutants are compiled into one test binary per package of tests, and an
// environment variable selects one, so that a mutant costs a run and no build.
// Exit code: 0 when no mutant survives, 1 when one does, 2 on failure.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

func main() {
	files := flag.String("files", ".", "regular expression for the names of files to mutate")
	skip := flag.String("skip", "", "regular expression for tests that do not run, such as slow ones")
	by := flag.String("by", "", "packages, separated by commas, whose tests run too")
	workers := flag.Int("workers", runtime.NumCPU(), "mutants tried at once")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	survivors, err := run(ctx, flag.Arg(0), *files, *skip, *by, *workers)
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, "mutation:", err)
		os.Exit(2)
	case survivors > 0:
		os.Exit(1)
	}
}

func run(ctx context.Context, target, files, skip, by string, workers int) (int, error) {
	if target == "" {
		return 0, errors.New("name a package, such as ./domain")
	}
	scratch, err := os.MkdirTemp("", "mutation")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(scratch)
	mutants, overlay, err := mutate(target, files, scratch)
	if err != nil {
		return 0, err
	}
	suites := []*suite{}
	for _, name := range append([]string{target}, strings.FieldsFunc(by, func(r rune) bool { return r == ',' })...) {
		s, err := build(ctx, name, overlay, scratch, skip)
		if err != nil {
			return 0, err
		}
		suites = append(suites, s)
	}
	return tryAll(ctx, mutants, suites, workers), nil
}

// mutate writes the mutated files of the package and an overlay for the go
// command that puts them in place of the originals.
func mutate(target, files, scratch string) ([]mutant, string, error) {
	pattern, err := regexp.Compile(files)
	if err != nil {
		return nil, "", err
	}
	sources, err := filepath.Glob(filepath.Join(target, "*.go"))
	if err != nil {
		return nil, "", err
	}
	sources = slices.DeleteFunc(sources, func(path string) bool {
		return strings.HasSuffix(path, "_test.go") || !pattern.MatchString(filepath.Base(path))
	})
	if len(sources) == 0 {
		return nil, "", fmt.Errorf("%s has no file that matches %s", target, files)
	}
	m := mutator{}
	replaced := map[string]string{}
	for _, path := range sources {
		text, err := m.file(path)
		if err != nil {
			return nil, "", err
		}
		if err := replace(replaced, path, filepath.Join(scratch, filepath.Base(path)), text); err != nil {
			return nil, "", err
		}
	}
	support := filepath.Join(target, "mutation_support.go")
	if err := replace(replaced, support, filepath.Join(scratch, "mutation_support.go"), m.support()); err != nil {
		return nil, "", err
	}
	data, err := json.Marshal(map[string]any{"Replace": replaced})
	if err != nil {
		return nil, "", err
	}
	overlay := filepath.Join(scratch, "overlay.json")
	return m.mutants, overlay, os.WriteFile(overlay, data, 0o600)
}

func replace(replaced map[string]string, path, by string, text []byte) error {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	replaced[absolute] = by
	return os.WriteFile(by, text, 0o600)
}

// suite is the test binary of a package.
type suite struct {
	binary, dir string
	flags       []string
	limit       time.Duration
}

// build compiles the tests and runs them once without a mutant.
func build(ctx context.Context, name, overlay, scratch, skip string) (*suite, error) {
	dir, err := filepath.Abs(name)
	if err != nil {
		return nil, err
	}
	s := &suite{binary: filepath.Join(scratch, strings.ReplaceAll(filepath.Clean(name), "/", "_")+".test"), dir: dir, limit: 10 * time.Minute}
	command := exec.CommandContext(ctx, "go", "test", "-c", "-vet=off", "-overlay", overlay, "-o", s.binary, name)
	if out, err := command.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build the tests of %s: %w\n%s", name, err, out)
	}
	s.flags = []string{"-test.failfast", "-test.skip=" + skip}
	// Rapid would leave a file for every mutant that it notices.
	if help, _ := exec.CommandContext(ctx, s.binary, "-help").CombinedOutput(); bytes.Contains(help, []byte("rapid.nofailfile")) {
		s.flags = append(s.flags, "-rapid.nofailfile")
	}
	start := time.Now()
	if !s.passes(ctx, 0) {
		return nil, fmt.Errorf("the tests of %s fail without a mutant", name)
	}
	// A mutant may loop for ever; a slow machine may not look like one.
	s.limit = 4*time.Since(start) + 5*time.Second
	return s, nil
}

// passes reports whether all tests pass with the mutant.
func (s *suite) passes(ctx context.Context, mutant int) bool {
	ctx, cancel := context.WithTimeout(ctx, s.limit)
	defer cancel()
	command := exec.CommandContext(ctx, s.binary, append(s.flags, "-test.timeout="+s.limit.String())...)
	command.Dir = s.dir
	command.Env = append(os.Environ(), variable+"="+strconv.Itoa(mutant), "GOMEMLIMIT=512MiB")
	command.WaitDelay = time.Second
	return command.Run() == nil
}

// tryAll prints the mutants that every suite passes.
func tryAll(ctx context.Context, mutants []mutant, suites []*suite, workers int) int {
	var mu sync.Mutex
	var survivors, tried int
	next := make(chan mutant)
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			for m := range next {
				survives := !slices.ContainsFunc(suites, func(s *suite) bool { return !s.passes(ctx, m.id) })
				mu.Lock()
				tried++
				if survives && ctx.Err() == nil {
					survivors++
					fmt.Println(m)
				}
				mu.Unlock()
			}
		})
	}
	for _, m := range mutants {
		if ctx.Err() != nil {
			break
		}
		next <- m
	}
	close(next)
	group.Wait()
	fmt.Printf("%d of %d mutants survive\n", survivors, tried)
	return survivors
}
