package snippet

import "strings"

// Request is what a snippet sends to POST /v1/responses.
type Request struct {
	// Origin is that of the server, such as https://agents.example.com.
	Origin string
	Body   Object
}

// Object is a JSON object whose members have an order.
type Object []Member

// Member is a member of an [Object].
type Member struct {
	Name string
	// Value is a string, a bool, an int, a float64, an [Object], a [List] or an [Env].
	Value any
}

// List is a JSON array.
type List []any

// Env is a string that is the value of an environment variable. Its name must be one that [EnvName] returned, or a constant.
type Env string

// APIKey is the environment variable that snippets read the API key from.
const APIKey Env = "PERDURE_API_KEY"

// Snippet is a piece of code.
type Snippet struct {
	// ID is a word for the address of the snippet within a page, and Title the language and the library.
	ID, Title string
	// Install is the command that installs what the code needs; empty: nothing.
	Install string
	Code    string
}

// All returns the request in all languages.
func All(r Request) []Snippet {
	return []Snippet{
		{ID: "curl", Title: "curl", Code: Curl(r)},
		{ID: "python-openai", Title: "Python (OpenAI)", Install: "pip install openai", Code: PythonOpenAI(r)},
		{ID: "python-perplexity", Title: "Python (Perplexity)", Install: "pip install perplexityai", Code: PythonPerplexity(r)},
		{ID: "typescript", Title: "TypeScript (OpenAI)", Install: "npm install openai", Code: TypeScript(r)},
	}
}

// EnvName returns the name of an environment variable for a word, such as DEEPWIKI_TOKEN for "deepwiki" and "TOKEN". No two words of
// those that were taken get the same.
func EnvName(word, suffix string, taken map[Env]bool) Env {
	name := make([]byte, 0, len(word)+len(suffix)+1)
	for _, c := range []byte(word) {
		switch {
		case c >= 'a' && c <= 'z':
			name = append(name, c-'a'+'A')
		case c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
			name = append(name, c)
		default:
			name = append(name, '_')
		}
	}
	if len(name) == 0 || (name[0] >= '0' && name[0] <= '9') {
		name = append([]byte("MCP_"), name...)
	}
	name = append(append(name, '_'), suffix...)
	env := Env(name)
	for env == APIKey || taken[env] {
		env += "_"
	}
	taken[env] = true
	return env
}

// Envs returns the environment variables that the request needs, in order.
func (r Request) Envs() []Env { return append([]Env{APIKey}, envs(r.Body)...) }

func envs(value any) (out []Env) {
	switch v := value.(type) {
	case Env:
		out = append(out, v)
	case Object:
		for _, m := range v {
			out = append(out, envs(m.Value)...)
		}
	case List:
		for _, element := range v {
			out = append(out, envs(element)...)
		}
	}
	return out
}

// JSON returns the object as JSON, with the values of the environment variables in it.
func (o Object) JSON(value func(Env) string) []byte {
	l := language{indent: "  ", text: jsonText, name: jsonText, yes: "true", no: "false", env: func(e Env) string { return jsonText(value(e)) }}
	var b strings.Builder
	l.write(&b, o, 0)
	return []byte(b.String())
}
