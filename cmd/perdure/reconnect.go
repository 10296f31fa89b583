package main

import (
	"time"

	"go.temporal.io/sdk/client"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
)

// The connection to Temporal is tried again after lastReconnect at the latest. The SDK's 10 s would be time in which Temporal is back and
// nobody uses it. A try costs a packet.
const (
	firstReconnect = 100 * time.Millisecond
	lastReconnect  = 500 * time.Millisecond
	connectTimeout = 5 * time.Second
)

func reconnectSoon(o *client.Options) {
	pause := backoff.DefaultConfig // for its jitter
	pause.BaseDelay, pause.MaxDelay = firstReconnect, lastReconnect
	o.ConnectionOptions.DialOptions = append(o.ConnectionOptions.DialOptions,
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: pause, MinConnectTimeout: connectTimeout}))
}
