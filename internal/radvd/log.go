package radvd

import (
	"io"
	"os"
	"regexp"
	"strings"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/ofdvr/ofdvr/internal/ownfile"
)

// maxLog is the size in bytes at which a log is truncated.
const maxLog = 64 << 10

// sampled returns a logger for lines that machines can cause repeatedly. It logs a few lines
// per minute.
func sampled(log *zap.Logger) *zap.Logger {
	return log.WithOptions(zap.WrapCore(func(c zapcore.Core) zapcore.Core {
		return zapcore.NewSamplerWithOptions(c, time.Minute, 10, 0)
	}))
}

var (
	// stamp precedes each line: "[Nov 25 09:45:15] radvd (9809): ".
	stamp = regexp.MustCompile(`^\[[^]]*\] radvd \(\d+\): `)
	// usual matches lines about normal operation.
	usual = regexp.MustCompile(`^(version .* started|attempting to reread config file|resuming normal operation|sending stop adverts|` +
		`exiting, \d+ sigterm|exiting, failed to read config file|removing /|returning from radvd main|Exiting, privsep_read_loop|.* not found: No such device$)`)
)

// follow logs the output of a radvd.
func (k *Keeper) follow(base string, s *state) {
	f, err := ownfile.Open(base+logFile, os.O_RDWR, 0)
	if err != nil {
		return
	}
	defer f.Close()
	data, err := io.ReadAll(io.NewSectionReader(f, s.logged, maxLog))
	if err != nil {
		return
	}
	end := strings.LastIndexByte(string(data), '\n') + 1
	if end == 0 && len(data) == maxLog { // a line without an end
		end = maxLog
	}
	s.logged += int64(end)
	for line := range strings.Lines(string(data[:end])) {
		line = stamp.ReplaceAllString(strings.TrimSpace(line), "")
		if line == "" {
			continue
		}
		log := k.sampled.Warn
		if usual.MatchString(line) {
			log = k.log.Debug
		} else {
			s.lastLine = line
		}
		log("radvd printed", zap.String("router", s.id), zap.String("line", line))
	}
	if s.logged >= maxLog && f.Truncate(0) == nil {
		s.logged = 0
	}
}
