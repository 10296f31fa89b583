package webhook

import (
	"encoding/base64"
	"strings"
	"testing"

	"perdure/internal/secret"
)

// TestSignature has the example of the Standard Webhooks specification.
func TestSignature(t *testing.T) {
	t.Parallel()
	const (
		id, timestamp = "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330"
		payload       = `{"test": 2432232314}`
		want          = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
	)
	key, err := parseSecret(secret.New("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"))
	if err != nil {
		t.Fatal(err)
	}
	if got := sign([][]byte{key}, id, timestamp, []byte(payload)); got != want {
		t.Errorf("signature %s, want %s", got, want)
	}
}

func TestCheckSecret(t *testing.T) {
	t.Parallel()
	of := func(n int) string {
		return "whsec_" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", n)))
	}
	for text, valid := range map[string]bool{
		of(24): true, of(32): true, of(64): true,
		of(23): false, of(65): false, of(0): false, "": false,
		strings.TrimPrefix(of(32), "whsec_"): false,
		strings.TrimRight(of(32), "="):       false,
		of(30)[:20] + "\n" + of(30)[20:]:     false,
		"whsec_" + strings.Repeat("!", 32):   false,
		strings.Repeat(" ", 3) + of(24):      false,
	} {
		err := CheckSecret(secret.New(text))
		if (err == nil) != valid {
			t.Errorf("%q: error %v, want valid: %v", text, err, valid)
		}
		if err != nil && len(text) > 10 && strings.Contains(err.Error(), text[6:]) {
			t.Errorf("the error repeats the secret: %v", err)
		}
	}
}
