package egress

import (
	"encoding/binary"
	"net"
	"net/netip"
	"strings"
	"testing"
)

// newNameServer starts a name server that knows the IPv4 addresses of a few names, and that there are no others. It returns its address.
func newNameServer(t *testing.T, known map[string][]string) string {
	t.Helper()
	conn, err := new(net.ListenConfig).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	go func() {
		query := make([]byte, 512)
		for {
			n, from, err := conn.ReadFrom(query)
			if err != nil {
				return // the test is over
			}
			if _, err := conn.WriteTo(nameAnswer(query[:n], known), from); err != nil {
				return
			}
		}
	}()
	return conn.LocalAddr().String()
}

// nameAnswer answers a query of one question (RFC 1035, 4.1).
func nameAnswer(query []byte, known map[string][]string) []byte {
	const (
		header  = 12
		typeA   = 1
		noName  = 3
		answers = 0x8180 // an answer, with recursion
	)
	var labels []string
	end := header
	for query[end] != 0 {
		length := int(query[end])
		labels = append(labels, string(query[end+1:end+1+length]))
		end += 1 + length
	}
	end++
	kind := binary.BigEndian.Uint16(query[end:])
	addrs, ok := known[strings.Join(labels, ".")]
	flags := uint16(answers)
	if !ok {
		flags |= noName
	}
	if kind != typeA {
		addrs = nil
	}
	out := append([]byte(nil), query[:2]...)
	for _, field := range []uint16{flags, 1, uint16(len(addrs)), 0, 0} {
		out = binary.BigEndian.AppendUint16(out, field)
	}
	out = append(out, query[header:end+4]...)
	for _, addr := range addrs {
		ip := netip.MustParseAddr(addr).As4()
		out = append(out, 0xc0, header, 0, typeA, 0, 1, 0, 0, 0, 0, 0, 4) // the name of the question, class IN, no time to live
		out = append(out, ip[:]...)
	}
	return out
}
