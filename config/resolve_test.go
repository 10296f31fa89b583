package config

import (
	"reflect"
	"strings"
	"testing"
)

// envKeys returns the paths of all keys that name a variable, with 0 and x for an entry of a list and of a map.
func envKeys(section reflect.Type, path string) []string {
	var keys []string
	for _, f := range fieldsOf(section) {
		at := join(path, f.key)
		switch {
		case isSection(f.typ):
			keys = append(keys, envKeys(f.typ, at)...)
		case isEntries(f.typ):
			keys = append(keys, envKeys(f.typ.Elem(), at+".0")...)
		case isMap(f.typ) && isSection(f.typ.Elem()):
			keys = append(keys, envKeys(f.typ.Elem(), at+".x")...)
		case !isMap(f.typ) && strings.HasSuffix(f.key, "_env"):
			keys = append(keys, at)
		}
	}
	return keys
}

// A secret may be in a variable that is called as if it were a key. Whichever key names it, it is not taken for one.
func TestSecretsInVariablesOfOurs(t *testing.T) {
	t.Parallel()
	keys := envKeys(configType, "")
	if len(keys) < 8 {
		t.Fatalf("the walk found only %v", keys)
	}
	const name = "PERDURE_SOME_SECRET"
	for _, key := range keys {
		variable := envPrefix + envName(strings.ReplaceAll(key, ".", "_"))
		_, err := Load(Options{Environ: []string{variable + "=" + name, name + "=of-twenty-characters"}})
		if err != nil && strings.Contains(err.Error(), name) { // that something else is missing is not the matter here
			t.Errorf("%s: %v", key, err)
		}
		if _, err := Load(Options{Environ: []string{variable + "=OTHER", "OTHER=x", name + "=x"}}); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s does not name the variable, which is no error: %v", key, err)
		}
	}
}
