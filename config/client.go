package config

import "slices"

// shortNames are variables of the commands that call the API, whose users set nothing else, by the rest of the name that they are short
// for.
var shortNames = map[string]string{"PERDURE_URL": "CLIENT_URL", "PERDURE_API_KEY": "CLIENT_API_KEY"}

// clientKeys are the ways to give the key.
var clientKeys = []string{"api_key", "api_key_env", "api_key_file"}

// dropWeakerKeys makes a source override the client's key in whichever way it and the weaker ones give it: elsewhere two ways to give a
// secret are a mistake, but here a flag or a variable is how one command is run as somebody else.
func dropWeakerKeys(sources ...map[string]any) {
	given := false
	for _, source := range slices.Backward(sources) {
		client, _ := source["client"].(map[string]any)
		here := false
		for _, key := range clientKeys {
			if _, ok := client[key]; !ok {
				continue
			}
			if here = true; given {
				delete(client, key)
			}
		}
		given = given || here
	}
}

func (c *Client) resolve(env environment) error {
	return secretSource{path: "client.api_key", value: &c.APIKey, env: c.APIKeyEnv, file: c.APIKeyFile}.resolve(env)
}

func (c Client) validate(v *validation) {
	if c.URL != "" {
		v.baseURL("client.url", c.URL)
	}
	if !c.APIKey.IsZero() {
		v.credential("client.api_key", c.APIKey.Reveal())
	}
}
