package redis

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	redigo "github.com/gomodule/redigo/redis"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

// The oldest version of Redis that has every command we use.
const (
	minMajor = 6
	minMinor = 2
)

// awaitServer inspects the server. While it is away or reads its data it tries
// again until ctx ends, if ctx has an end.
func (p *Pool) awaitServer(ctx context.Context) error {
	name := "Redis at " + p.address.at
	_, bounded := ctx.Deadline()
	err := p.inspect(ctx)
	for attempt := 0; err != nil && bounded && isPassing(err); attempt++ {
		if attempt == 0 {
			p.config.Log.Info("waiting for Redis", "error", err)
		}
		if !pause(ctx, attempt) {
			break
		}
		// An attempt for which there was no time left says nothing new.
		if next := p.inspect(ctx); endOf(ctx) == nil || next == nil {
			err = next
		}
	}
	return p.config.translate(context.WithoutCancel(ctx), name, err)
}

// isPassing reports whether waiting may help.
func isPassing(err error) bool {
	if r, ok := refusalOf(err); ok {
		return r.code == "LOADING" || r.code == "BUSY" || r.code == "MAXCLIENTS"
	}
	if _, ok := errors.AsType[redigo.Error](err); ok || tlsAdvice(err) != "" {
		return false
	}
	_, ok := errors.AsType[*connectionError](err)
	return ok
}

// inspect refuses a server that cannot be used, and warns of settings with
// which accepted batches can be lost.
func (p *Pool) inspect(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, p.config.CallTimeout)
	defer cancel()
	c, err := p.dial(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	text, err := redigo.String(redigo.DoContext(c, ctx, "INFO"))
	if err == nil {
		info := parseInfo(text)
		if err := info.objection(); err != nil {
			return err
		}
		// A server that still loads its data cannot tell its settings yet.
		if err = p.checkKeys(ctx, c); err == nil {
			if dir := settingOf(ctx, c, "dir"); isHere(p.address) && dir != unknown {
				p.directory = dir
			}
			p.warn(info, settingOf(ctx, c, "appendfsync"), settingOf(ctx, c, "save"))
		}
	}
	if err != nil && c.Err() != nil {
		return &connectionError{err: err, made: true}
	}
	return err
}

// checkKeys refuses keys under which something else stands, such as the list of
// another program.
func (p *Pool) checkKeys(ctx context.Context, c redigo.Conn) error {
	k := &p.keys
	wanted := []struct{ key, kind string }{
		{k.stream, "stream"},
		{k.size, "string"},
		{k.arrivals, "list"},
		{k.workers, "zset"},
		{k.dead, "stream"},
		{k.names, "hash"},
		{k.deadSize, "string"},
		{k.secret, "string"},
		{k.receipts, "hash"},
		{k.receiptOrder, "zset"},
	}
	names := make([]any, len(wanted))
	for i, w := range wanted {
		names[i] = w.key
	}
	kinds, err := redigo.Strings(kindsScript.DoContext(ctx, c, names...))
	if err != nil {
		return err
	}
	for i, w := range wanted {
		if kinds[i] != "none" && kinds[i] != w.kind {
			return redigo.Error("WRONGTYPE " + w.key + " is a " + kinds[i])
		}
	}
	return nil
}

// serverInfo is what INFO tells.
type serverInfo map[string]string

func parseInfo(text string) serverInfo {
	info := make(serverInfo)
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			info[name] = value
		}
	}
	return info
}

// objection says why the server cannot be used.
func (i serverInfo) objection() error {
	if i["redis_mode"] == "sentinel" {
		return redigo.Error("SENTINEL redis_mode is sentinel")
	}
	if version := i["redis_version"]; !isSupported(version) {
		return domain.NewError(domain.CodeUnavailable,
			fmt.Errorf("version %s is too old: Redis %d.%d or newer is needed", version, minMajor, minMinor),
			"the queue is not available")
	}
	if i["role"] == "slave" {
		return redigo.Error("READONLY its primary is " + i["master_host"] + ":" + i["master_port"])
	}
	if i["cluster_enabled"] == "1" {
		return redigo.Error("MOVED cluster mode is on")
	}
	return nil
}

func isSupported(version string) bool {
	major, rest, _ := strings.Cut(version, ".")
	minor, _, _ := strings.Cut(rest, ".")
	a, errA := strconv.Atoi(major)
	b, errB := strconv.Atoi(minor)
	return errA == nil && errB == nil && (a > minMajor || a == minMajor && b >= minMinor)
}

const unknown = "unknown"

// isHere reports whether a server is on this machine.
func isHere(a address) bool {
	host, _, _ := net.SplitHostPort(a.at)
	ip, err := netip.ParseAddr(host)
	return a.network == "unix" || host == "localhost" || err == nil && ip.IsLoopback()
}

// DataDirectory is where the server keeps its data, when it is on this machine
// and lets the program know; otherwise empty.
func (p *Pool) DataDirectory() string { return p.directory }

// settingOf returns a setting, or unknown where settings may not be read.
func settingOf(ctx context.Context, c redigo.Conn, name string) string {
	pair, err := redigo.Strings(redigo.DoContext(c, ctx, "CONFIG", "GET", name))
	if err != nil || len(pair) != 2 {
		return unknown
	}
	return pair[1]
}

// warn tells what can be lost with these settings, and what prevents it.
func (p *Pool) warn(info serverInfo, appendfsync, save string) {
	switch policy := info["maxmemory_policy"]; {
	case strings.HasPrefix(policy, "allkeys-"):
		p.config.Log.Warn("Redis may delete accepted batches when its memory is full: set maxmemory-policy noeviction",
			"maxmemory-policy", policy)
	case strings.HasPrefix(policy, "volatile-"):
		p.config.Log.Warn("Redis may forget idempotency keys when its memory is full: set maxmemory-policy noeviction",
			"maxmemory-policy", policy)
	}
	if most, err := strconv.ParseInt(info["maxmemory"], 10, 64); err == nil && most > 0 && most < p.config.Need {
		p.config.Log.Warn("Redis may have less memory than the bounds let be kept in it, and refuses events when it is full: "+
			"raise maxmemory, or lower MAX_QUEUE_MB, CACHE_MAX_MB, MAX_DEAD_LETTER_MB, MAX_RECEIPT_MB or RATE_LIMIT_MAX_CLIENTS",
			"maxmemory_mb", most>>20, "needed_mb", p.config.Need>>20)
	}
	switch {
	case info["aof_enabled"] == "1" && appendfsync == "everysec":
		p.config.Log.Warn("what Redis has accepted in the last two seconds can be lost when it is killed while its disk is slow, "+
			"or when the power fails: set appendfsync always", "appendfsync", appendfsync)
	case info["aof_enabled"] == "1" && appendfsync == "no":
		p.config.Log.Warn("what Redis has accepted in the last half minute can be lost when the power fails: "+
			"set appendfsync always", "appendfsync", appendfsync)
	case info["aof_enabled"] == "1":
	case save == "":
		p.config.Log.Warn("Redis keeps nothing on disk, so that every batch not yet stored is lost when it stops: " +
			"set appendonly yes and appendfsync always")
	default:
		p.config.Log.Warn("what Redis has accepted since its last snapshot is lost when it stops unexpectedly: "+
			"set appendonly yes and appendfsync always", "save", save)
	}
}
