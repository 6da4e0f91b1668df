// Package browser opens pages in headless Chromium and hears what goes wrong
// in them. Its tests see the service as people and pages of other origins do.
package browser

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/audits"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/weather-mcp/weather-mcp-analytics/test/servers"
)

// patience is how long a page may take for what a test waits for.
const patience = time.Minute

// Page is an open page of a browser of its own.
type Page struct {
	tb  testing.TB
	ctx context.Context //nolint:containedctx // holds the browser, as chromedp has it

	mu     sync.Mutex
	faults []string
	hosts  []string
}

// Scheme is what a person prefers.
type Scheme string

// The schemes.
const (
	Light Scheme = "light"
	Dark  Scheme = "dark"
)

// Open starts a browser with an empty profile and opens the page. Without
// Chromium the test is skipped, or fails in CI.
func Open(tb testing.TB, address string, scheme Scheme) *Page {
	tb.Helper()
	return OpenWith(tb, address, Options{Scheme: scheme})
}

// Options are what a browser is started with. Zero values mean the defaults.
type Options struct {
	// Scheme is what the person prefers. Default [Light].
	Scheme Scheme
	// Width and Height are of the page, in CSS pixels. Default 1280 by 1600.
	Width, Height int
	// Resolve maps host names to addresses, as a name server would.
	Resolve map[string]string
}

// OpenWith is Open with more options.
func OpenWith(tb testing.TB, address string, o Options) *Page {
	tb.Helper()
	o.Scheme, o.Width, o.Height = cmp.Or(o.Scheme, Light), cmp.Or(o.Width, 1280), cmp.Or(o.Height, 1600)
	var rules []string
	for name, ip := range o.Resolve {
		rules = append(rules, "MAP "+name+" "+ip)
	}
	program, err := exec.LookPath("chromium")
	if err != nil {
		servers.Missing(tb, "Chromium", err)
	}
	allocator, end := chromedp.NewExecAllocator(context.WithoutCancel(tb.Context()), append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(program), chromedp.UserDataDir(tb.TempDir()), chromedp.WindowSize(o.Width, o.Height),
		chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-quic", true),
		chromedp.Flag("host-resolver-rules", strings.Join(rules, ",")),
	)...)
	ctx, leave := chromedp.NewContext(allocator)
	tb.Cleanup(func() {
		_ = chromedp.Cancel(ctx) // waits until the profile is let go of
		leave()
		end()
	})
	p := &Page{tb: tb, ctx: ctx}
	// The browser lives as long as the context that is used first.
	if err := chromedp.Listen(ctx, p.hear); err != nil {
		tb.Fatalf("start Chromium: %v", err)
	}
	p.Do(enable(network.Enable, network.EnableParams{}), enable(audits.Enable, cdp.Empty{}))
	p.Do(enable(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: string(o.Scheme)}},
	}))
	p.Do(enable(emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
		Width: int64(o.Width), Height: int64(o.Height), DeviceScaleFactor: 1, Mobile: o.Width < 600,
	}))
	p.Do(chromedp.Navigate(address))
	return p
}

// enable makes an action of a command of the protocol that answers nothing.
func enable[P, R any](command cdp.Command[P, R], params P) chromedp.Action[chromedp.Void] {
	return func(ctx context.Context, t *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, t, command, params)
		return chromedp.Void{}, err
	}
}

// Do does what the actions say, in order, and fails the test when they take
// longer than a minute.
func (p *Page) Do(actions ...chromedp.Action[chromedp.Void]) {
	p.tb.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		p.Screenshot("failed")
		p.tb.Fatalf("%v; the page's faults: %q", err, p.Faults())
	}
}

// Text returns the text of the first element that the CSS selector finds, as
// soon as it is visible.
func (p *Page) Text(selector string) string {
	p.tb.Helper()
	p.Do(chromedp.WaitVisible(chromedp.CSS(selector)))
	return Evaluate[string](p, fmt.Sprintf("document.querySelector(%q).innerText", selector))
}

// Evaluate returns the value of a JavaScript expression, or what it promises.
func Evaluate[T any](p *Page, expression string) T {
	p.tb.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		p.tb.Fatalf("%s: %v", expression, err)
	}
	return value
}

// hear notes what the page asks for and what goes wrong.
func (p *Page) hear(event any) {
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		p.noteHost(e.Request.URL)
	case *runtime.EventExceptionThrown:
		p.noteFault("exception: %s %s", e.ExceptionDetails.Text, textOf([]*runtime.RemoteObject{e.ExceptionDetails.Exception}))
	case *runtime.EventConsoleAPICalled:
		if slices.Contains([]string{"error", "warning", "assert"}, string(e.Type)) {
			p.noteFault("console.%s: %s", e.Type, textOf(e.Args))
		}
	case *log.EventEntryAdded:
		if slices.Contains([]string{"error", "warning"}, string(e.Entry.Level)) {
			p.noteFault("%s: %s %s", e.Entry.Source, e.Entry.Text, e.Entry.URL)
		}
	case *audits.EventIssueAdded:
		if csp := e.Issue.Details.ContentSecurityPolicyIssueDetails; csp != nil {
			p.noteFault("Content-Security-Policy: %s %s", csp.ViolatedDirective, csp.BlockedURL)
		}
	}
}

func textOf(args []*runtime.RemoteObject) string {
	var text []string
	for _, arg := range args {
		if arg != nil {
			text = append(text, string(arg.Value)+arg.Description)
		}
	}
	return strings.Join(text, " ")
}

func (p *Page) noteFault(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = append(p.faults, fmt.Sprintf(format, args...))
}

// noteHost keeps the host of a request; data: and blob: stay in the browser.
func (p *Page) noteHost(address string) {
	u, err := url.Parse(address)
	if err == nil && u.Host == "" {
		return
	}
	host := address
	if err == nil {
		host = u.Host
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !slices.Contains(p.hosts, host) {
		p.hosts = append(p.hosts, host)
	}
}

// Faults lists errors and warnings of the console, exceptions, failed requests
// and violations of the page's Content-Security-Policy.
func (p *Page) Faults() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.faults)
}

// Hosts lists the hosts that were asked for anything.
func (p *Page) Hosts() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.hosts)
}

// Screenshot keeps what the page looks like among the test's artifacts, which
// go test -artifacts leaves behind.
func (p *Page) Screenshot(name string) {
	p.tb.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	picture, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err != nil {
		p.tb.Errorf("screenshot: %v", err)
		return
	}
	if err := os.WriteFile(filepath.Join(p.tb.ArtifactDir(), name+".png"), picture, 0o600); err != nil {
		p.tb.Error(err)
	}
}
