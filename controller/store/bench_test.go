package store_test

import (
	"os"
	"slices"
	"testing"
	"time"

	"github.com/ofdvr/ofdvr/controller/store"
	"github.com/ofdvr/ofdvr/routing"
)

const many = 100_000

// diskDir returns a directory on a disk, even if TMPDIR is in memory.
func diskDir(b *testing.B) string {
	b.Helper()
	dir, err := os.MkdirTemp("/var/tmp", "ofdvr-store-")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func full(b *testing.B) (*store.Store, string) {
	b.Helper()
	dir := diskDir(b)
	s := open(b, dir)
	commit(b, s, 1, routing.Change{Put: site(many)})
	return s, dir
}

// BenchmarkCommitOne changes one port of 100,000.
func BenchmarkCommitOne(b *testing.B) {
	s, _ := full(b)
	var took []time.Duration
	for i := 0; b.Loop(); i++ {
		start := time.Now()
		commit(b, s, uint64(i+2), routing.Change{Put: routing.Model{Ports: []routing.Port{port(i*7919%many, 1)}}})
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
}

// BenchmarkCommitMany commits 10,000 ports in one change.
func BenchmarkCommitMany(b *testing.B) {
	var ports []routing.Port
	for i := range many {
		ports = append(ports, port(i, 2))
	}
	run := func(s *store.Store) func(*testing.B) {
		return func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				at := i * 10_000 % many
				commit(b, s, uint64(i+2), routing.Change{Put: routing.Model{Ports: ports[at : at+10_000]}})
			}
		}
	}
	s, _ := full(b)
	b.Run("disk", run(s))
	memory := open(b, b.TempDir()) // a store in memory if TMPDIR is in memory
	commit(b, memory, 1, routing.Change{Put: site(many)})
	b.Run("memory", run(memory))
	b.Run("empty", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			s := open(b, b.TempDir())
			b.StartTimer()
			commit(b, s, 1, routing.Change{Put: routing.Model{Ports: ports[:10_000]}})
			b.StopTimer()
			s.Close()
			b.StartTimer()
		}
	})
}

// BenchmarkOpenLoad opens a store of 100,000 ports and loads it.
func BenchmarkOpenLoad(b *testing.B) {
	s, dir := full(b)
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	var opening time.Duration
	for b.Loop() {
		start := time.Now()
		s, err := store.Open(dir)
		if err != nil {
			b.Fatal(err)
		}
		opening += time.Since(start)
		if n := len(load(b, s).Model.Ports); n != many {
			b.Fatal(n)
		}
		s.Close()
	}
	info, err := os.Stat(s.Path())
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(opening.Milliseconds())/float64(b.N), "open-ms")
	b.ReportMetric(float64(info.Size())/(1<<20), "MiB")
}
