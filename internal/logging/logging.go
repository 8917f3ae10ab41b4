// Package logging provides the daemon's log. It writes to standard error, in a format for people or
// for programs. The level can be changed at run time. The latest entries are kept in memory.
package logging

import (
	"fmt"
	"log"
	"net"
	"os"
	"strings"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// Repeated entries are sampled. In each second, the first entries with the same message are
// logged. After that only a fraction is logged.
const (
	sampleFirst = 100
	sampleThen  = 100
)

// A Log is the daemon's log.
type Log struct {
	*zap.Logger             // sampled
	All         *zap.Logger // a logger without sampling, whose entries are not kept in the Journal
	Journal     *Journal

	level zap.AtomicLevel
}

// New returns a Log that writes to standard error. The level is debug, info, warn or error.
// The format is console or json.
func New(level, format string) (*Log, error) {
	l := &Log{level: zap.NewAtomicLevel(), Journal: NewJournal(journalSize)}
	if err := l.SetLevel(level); err != nil {
		return nil, err
	}
	enc, err := encoder(format)
	if err != nil {
		return nil, err
	}
	out := zapcore.NewCore(enc, zapcore.Lock(os.Stderr), l.level)
	failures := zap.ErrorOutput(zapcore.Lock(os.Stderr)) // errors of the log itself
	l.All = zap.New(out, failures)
	l.Logger = zap.New(zapcore.NewSamplerWithOptions(zapcore.NewTee(out, l.Journal.core()), time.Second, sampleFirst, sampleThen), failures)
	return l, nil
}

func encoder(format string) (zapcore.Encoder, error) {
	cfg := zap.NewProductionEncoderConfig()
	cfg.EncodeDuration = zapcore.StringDurationEncoder
	cfg.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	switch format {
	case "json":
		return zapcore.NewJSONEncoder(cfg), nil
	case "console":
		cfg.EncodeLevel = zapcore.CapitalLevelEncoder
		cfg.EncodeTime = zapcore.TimeEncoderOfLayout("2006-01-02 15:04:05.000")
		cfg.ConsoleSeparator = "  "
		return zapcore.NewConsoleEncoder(cfg), nil
	}
	return nil, fmt.Errorf("log format %q: want console or json", format)
}

// Level returns the lowest level that is logged.
func (l *Log) Level() string { return l.level.String() }

// SetLevel sets the lowest level that is logged: debug, info, warn or error.
func (l *Log) SetLevel(level string) error {
	var v zapcore.Level
	if err := v.Set(level); err != nil || level == "" || v > zapcore.ErrorLevel {
		return fmt.Errorf("log level %q: want debug, info, warn or error", level)
	}
	l.level.SetLevel(v)
	return nil
}

// Since returns entries of the Journal; see [Journal.Since].
func (l *Log) Since(seq uint64) ([]Entry, <-chan struct{}) { return l.Journal.Since(seq) }

// Entries that HTTP clients can cause are sampled.
const (
	httpFirst = 10
	httpWhile = time.Minute
)

// HTTP returns the log of an HTTP server at an address.
func (l *Log) HTTP(addr net.Addr) *zap.Logger {
	return l.WithOptions(zap.WrapCore(func(c zapcore.Core) zapcore.Core {
		return zapcore.NewSamplerWithOptions(c, httpWhile, httpFirst, 0)
	})).With(zap.Stringer("address", addr))
}

// Lines returns a log for the ErrorLog of an [net/http.Server]. It logs a panic as an error.
// Any other line, such as a failed TLS handshake, is a warning.
func Lines(to *zap.Logger) *log.Logger { return log.New(lines{to}, "", 0) }

type lines struct{ log *zap.Logger }

// Write implements [io.Writer].
func (w lines) Write(line []byte) (int, error) {
	text := strings.TrimSpace(strings.TrimPrefix(string(line), "http: "))
	switch {
	case strings.HasPrefix(text, "panic"):
		w.log.Error("the HTTP server could not handle a request, please report this", zap.String("error", text))
	case strings.HasPrefix(text, "Accept error"):
		w.log.Warn("the HTTP server could not accept a connection", zap.String("error", text))
	default:
		w.log.Warn("the HTTP server had an error with a client", zap.String("error", text))
	}
	return len(line), nil
}
