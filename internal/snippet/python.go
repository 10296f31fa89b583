package snippet

import (
	"regexp"
	"strings"
)

// PythonOpenAI returns a program for the package openai.
func PythonOpenAI(r Request) string {
	// What OpenAI's API lacks goes through the library as it is.
	var known, extra Object
	for _, m := range r.Body {
		if m.Name == "max_steps" {
			extra = append(extra, m)
		} else {
			known = append(known, m)
		}
	}
	if extra != nil {
		known = append(known, Member{"extra_body", extra})
	}
	return pythonProgram("from openai import OpenAI", "OpenAI", r.Origin+"/v1", known)
}

// PythonPerplexity returns a program for the package perplexityai.
func PythonPerplexity(r Request) string {
	return pythonProgram("from perplexity import Perplexity", "Perplexity", r.Origin, r.Body)
}

// identifier matches the names that may be those of an argument.
var identifier = regexp.MustCompile(`^[a-z_]+$`)

func pythonProgram(importing, client, base string, body Object) string {
	l := language{
		indent: "    ",
		text:   pythonText, name: pythonText, yes: "True", no: "False", trailing: true,
		env: func(e Env) string { return "os.environ[" + pythonText(string(e)) + "]" },
	}
	var b strings.Builder
	b.WriteString("import os\n\n" + importing + "\n\n")
	b.WriteString("client = " + client + "(\n")
	b.WriteString(l.indent + "api_key=" + l.env(APIKey) + ",\n")
	b.WriteString(l.indent + "base_url=" + l.text(base) + ",\n)\n\n")
	b.WriteString("response = client.responses.create(\n")
	for _, m := range body {
		if !identifier.MatchString(m.Name) {
			panic("snippet: " + m.Name + " cannot be an argument")
		}
		b.WriteString(l.indent + m.Name + "=")
		l.write(&b, m.Value, 1)
		b.WriteString(",\n")
	}
	b.WriteString(")\n\nprint(response.output_text)\n")
	return b.String()
}
