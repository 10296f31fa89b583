package config

import (
	"fmt"
	"net/url"
	"strings"

	"perdure/internal/secret"
)

// Encryption is what is encrypted before it leaves the process, beyond the secrets, which always are. The keys are those of Secrets.
type Encryption struct {
	// Payloads encrypts what runs carry: in Temporal, in the event log and in the blob store. What is encrypted stays readable when it
	// is switched off.
	Payloads bool  `mapstructure:"payloads"`
	Codec    Codec `mapstructure:"codec"`
}

// Codec is the endpoint at which Temporal's Web UI and CLI have payloads decrypted. Without a token there is none. The token is given
// in one of three ways.
type Codec struct {
	Token     secret.String `mapstructure:"token"`      // Load fills it from TokenEnv or TokenFile
	TokenEnv  string        `mapstructure:"token_env"`  // name of an environment variable that holds the token
	TokenFile string        `mapstructure:"token_file"` // path of a file that holds the token

	Origins []string `mapstructure:"origins"` // of Web UIs; empty for that of Temporal.UIURL
}

// shortestToken is how long a token must be that opens the payloads of all tenants: characters.
const shortestToken = 20

func (e *Encryption) resolve(env environment) error {
	c := &e.Codec
	return secretSource{path: "encryption.codec.token", value: &c.Token, env: c.TokenEnv, file: c.TokenFile}.resolve(env)
}

func (e Encryption) validate(v *validation) {
	const path = "encryption.codec"
	if e.Codec.Token.IsZero() {
		if len(e.Codec.Origins) > 0 {
			v.report(path+".origins", "is for the codec endpoint, which needs a token: set one of token, token_env and token_file")
		}
		return
	}
	v.credential(path+".token", e.Codec.Token.Reveal())
	if len(e.Codec.Token.Reveal()) < shortestToken {
		v.report(path+".token", "must have at least %d characters: it opens the payloads of all organizations", shortestToken)
	}
	for i, origin := range e.Codec.Origins {
		// Unlike an origin to connect to, one that is let in has no port of *.
		if u, err := url.Parse(origin); err != nil || u.Port() == "*" || !isOrigin(origin) {
			v.report(fmt.Sprintf("%s.origins[%d]", path, i),
				"must be scheme://host or scheme://host:port in lower case and nothing more, with http or https")
		}
	}
}

// CodecOrigins returns the origins of the Web UIs that may use the codec endpoint, as browsers write them: without the port that goes
// without saying.
func (c Config) CodecOrigins() []string {
	pages := c.Encryption.Codec.Origins
	if len(pages) == 0 && c.Temporal.UIURL != "" {
		pages = []string{c.Temporal.UIURL}
	}
	var origins []string
	for _, page := range pages {
		u, err := url.Parse(page)
		if err != nil {
			continue // which Validate has reported
		}
		usual := map[string]string{"http": ":80", "https": ":443"}[u.Scheme]
		origins = append(origins, u.Scheme+"://"+strings.TrimSuffix(strings.ToLower(u.Host), usual))
	}
	return origins
}
