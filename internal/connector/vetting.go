package connector

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"time"
)

// MaxReason bounds why a connector is restricted: characters.
const MaxReason = 500

// CheckReason reports what is wrong with the reason of a restriction, which the connector's owner gets to read. The error is an [Invalid].
func CheckReason(reason string) error {
	var v Invalid
	v.checkText("reason", reason, MaxReason, true)
	return v.err()
}

// A Vetting says that an admin has looked at a member's connector and has found nothing to object to.
type Vetting struct {
	By string    `json:"by"`
	At time.Time `json:"at"`
	// Of is a hash of what there was to look at.
	Of string `json:"of"`
}

// Vet returns the vetting of the connector as it is.
func (c Connector) Vet(by string, at time.Time) Vetting {
	return Vetting{By: by, At: at, Of: c.vetted()}
}

// IsVetted reports whether an admin has looked at the connector as it is. It is to be looked at again once it leads elsewhere, or its server
// offers other tools: a member could otherwise have a harmless one vetted and turn it into another.
func (c Connector) IsVetted() bool { return c.Vetting != nil && c.Vetting.Of == c.vetted() }

func (c Connector) vetted() string {
	h := sha256.New()
	s := c.Settings
	parts := []string{s.URL, string(s.Transport), string(s.Auth.Type), string(s.Network)}
	for _, tool := range c.Probe.Tools {
		parts = append(parts, tool.Hash)
	}
	for _, part := range parts {
		// With their lengths, so that nothing can move from one to the next.
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
		h.Write([]byte(part))
	}
	return hex.EncodeToString(h.Sum(nil))
}
