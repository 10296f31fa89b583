package events

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

const (
	maxPayload  = 8 << 20
	serverStart = 20 * time.Second
)

// startServer starts a server in this process.
func startServer(o Options) (*server.Server, error) {
	options := &server.Options{
		ServerName:             "perdure",
		DontListen:             o.Listen == "",
		JetStream:              true,
		StoreDir:               o.Dir,
		MaxPayload:             maxPayload,
		NoSigs:                 true,
		DisableJetStreamBanner: true,
	}
	if o.Listen != "" {
		host, port, err := net.SplitHostPort(o.Listen)
		if err != nil {
			return nil, fmt.Errorf("events: the address to listen on: %w", err)
		}
		options.Host = host
		if options.Port, err = strconv.Atoi(port); err != nil {
			return nil, fmt.Errorf("events: the port to listen on: %w", err)
		}
		if options.Port == 0 {
			options.Port = server.RANDOM_PORT
		}
	}
	s, err := server.NewServer(options)
	if err != nil {
		return nil, fmt.Errorf("events: %w", err)
	}
	log := &serverLog{logger: o.Logger.With("component", "nats")}
	s.SetLoggerV2(log, false, false, false)
	s.Start()
	if !s.ReadyForConnections(serverStart) {
		s.Shutdown()
		s.WaitForShutdown()
		return nil, fmt.Errorf("events: the embedded server did not start: %w", log.failure())
	}
	return s, nil
}

func (l *Log) stopServer() {
	if l.server != nil {
		l.server.Shutdown()
		l.server.WaitForShutdown()
	}
}

// serverLog hands the server's lines to our logger. What it only notices is of interest to those who look for errors.
type serverLog struct {
	logger *slog.Logger
	mu     sync.Mutex
	fatal  error
}

func (l *serverLog) Noticef(format string, v ...any) { l.logger.Debug(fmt.Sprintf(format, v...)) }
func (l *serverLog) Debugf(format string, v ...any)  { l.logger.Debug(fmt.Sprintf(format, v...)) }
func (l *serverLog) Tracef(format string, v ...any)  { l.logger.Debug(fmt.Sprintf(format, v...)) }
func (l *serverLog) Warnf(format string, v ...any)   { l.logger.Warn(fmt.Sprintf(format, v...)) }
func (l *serverLog) Errorf(format string, v ...any)  { l.logger.Error(fmt.Sprintf(format, v...)) }

func (l *serverLog) Fatalf(format string, v ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fatal = fmt.Errorf(format, v...)
}

func (l *serverLog) failure() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fatal != nil {
		return l.fatal
	}
	return errors.New("it was not ready in time")
}
