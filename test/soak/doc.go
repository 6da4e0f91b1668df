// Package soak_test runs the program on the embedded store under a constant mixed
// load and fails when something grows that should not: memory, threads, files,
// latencies, the queue, or the disk beyond what the stored events explain. It also
// fails when an accepted event is not counted, and when a goroutine outlives the
// clients. `make soak` runs it for SOAK (15m); without a duration it is skipped.
//
// The load is an open loop: each kind of request is sent at its own rate, whether or
// not earlier ones are answered. A request that finds every slot taken is dropped and
// fails the test, as the load was not the one described. Latency counts from when
// a request was due.
//
// The first quarter of the run is the warm-up. The slope of the rest is the median of
// the slopes between all pairs of samples (Theil-Sen), which single outliers do not
// move. A series fails when its slope times the length of the fitted part exceeds the
// allowance of the series.
//
// The configuration is the default one with limits on, with two exceptions: the
// clients' addresses come from a trusted proxy, and answers are cached for 10 s in
// place of 300, so that statistics are computed throughout a run of a minute, too.
package soak_test
