package ovsdb

import (
	"fmt"

	"github.com/go-logr/logr"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// A sink writes libovsdb's log to a zap.Logger. libovsdb's info messages are logged at debug
// level. From level 4 on, libovsdb logs every transaction and every row.
type sink struct{ log *zap.Logger }

var _ logr.LogSink = (*sink)(nil)

func (*sink) Init(logr.RuntimeInfo) {}

func (s *sink) Enabled(level int) bool {
	return level < 4 && s.log.Core().Enabled(zapcore.DebugLevel)
}

func (s *sink) Info(_ int, msg string, kv ...any) { s.log.Debug("libovsdb: "+msg, fields(kv)...) }

func (s *sink) Error(err error, msg string, kv ...any) {
	s.log.Warn("libovsdb: "+msg, append(fields(kv), zap.Error(err))...)
}

func (s *sink) WithValues(kv ...any) logr.LogSink { return &sink{s.log.With(fields(kv)...)} }

func (s *sink) WithName(name string) logr.LogSink { return &sink{s.log.Named(name)} }

func fields(kv []any) []zap.Field {
	var fs []zap.Field
	for i := 0; i+1 < len(kv); i += 2 {
		fs = append(fs, zap.Any(fmt.Sprint(kv[i]), kv[i+1]))
	}
	return fs
}
