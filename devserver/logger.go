package main

import (
	"os"

	temporallog "go.temporal.io/server/common/log"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// newLogger writes to standard error, a line an entry: the stack traces of the server's own logger fill
// screens with errors that it recovers from. The level can change later.
func newLogger(level zap.AtomicLevel) temporallog.Logger {
	cfg := zap.NewProductionEncoderConfig()
	cfg.EncodeTime = zapcore.ISO8601TimeEncoder
	core := zapcore.NewCore(zapcore.NewConsoleEncoder(cfg), zapcore.Lock(os.Stderr), level)
	return temporallog.NewZapLogger(zap.New(core))
}
