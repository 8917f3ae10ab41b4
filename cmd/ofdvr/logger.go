package main

import (
	"fmt"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// newLogger returns a logger to standard error.
func newLogger(level, format string) (*zap.Logger, error) {
	var l zapcore.Level
	if err := l.Set(level); err != nil || l > zapcore.ErrorLevel {
		return nil, fmt.Errorf("--log-level %s: want debug, info, warn or error", level)
	}
	cfg := zap.NewProductionConfig()
	cfg.Level = zap.NewAtomicLevelAt(l)
	cfg.DisableCaller = true
	cfg.DisableStacktrace = true
	cfg.EncoderConfig.EncodeDuration = zapcore.StringDurationEncoder
	cfg.EncoderConfig.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	switch format {
	case "json":
	case "console":
		cfg.Encoding = "console"
		cfg.EncoderConfig.EncodeLevel = zapcore.CapitalLevelEncoder
		cfg.EncoderConfig.EncodeTime = zapcore.TimeEncoderOfLayout("2006-01-02 15:04:05.000")
		cfg.EncoderConfig.ConsoleSeparator = "  "
	default:
		return nil, fmt.Errorf("--log-format %s: want console or json", format)
	}
	log, err := cfg.Build()
	if err != nil {
		return nil, fmt.Errorf("set up logging: %w", err)
	}
	return log, nil
}
