package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strings"

	"perdure/internal/secret"
)

const (
	secretPrefix = "whsec_"
	minKeyBytes  = 24
	maxKeyBytes  = 64
)

var errSecret = errors.New("must be whsec_ followed by 24 to 64 random bytes in base64; " +
	`make one with: echo "whsec_$(head -c 32 /dev/urandom | base64)"`)

// CheckSecret reports that s is not the secret of an endpoint, without repeating it.
func CheckSecret(s secret.String) error {
	_, err := parseSecret(s)
	return err
}

// parseSecret returns the key of a secret.
func parseSecret(s secret.String) ([]byte, error) {
	encoded, ok := strings.CutPrefix(s.Reveal(), secretPrefix)
	key, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if !ok || err != nil || len(key) < minKeyBytes || len(key) > maxKeyBytes || strings.ContainsAny(encoded, "\r\n") {
		return nil, errSecret
	}
	return key, nil
}

// sign returns the header webhook-signature: a signature for each key.
func sign(keys [][]byte, id, timestamp string, body []byte) string {
	signatures := make([]string, len(keys))
	for i, key := range keys {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(id + "." + timestamp + "."))
		mac.Write(body)
		signatures[i] = "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}
	return strings.Join(signatures, " ")
}
