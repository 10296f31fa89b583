package snippet

import "strings"

// TypeScript returns a program for the package openai.
func TypeScript(r Request) string {
	l := language{
		indent: "  ",
		text:   jsonText, yes: "true", no: "false", trailing: true,
		env: func(e Env) string { return "process.env." + string(e) },
		name: func(name string) string {
			if identifier.MatchString(name) {
				return name
			}
			return jsonText(name)
		},
		beforeEntry: func(m Member) string {
			if m.Name == "connector_id" {
				return "// @ts-expect-error: the library's type has OpenAI's own connectors only"
			}
			return ""
		},
	}
	var b strings.Builder
	b.WriteString("import OpenAI from \"openai\";\n\nconst client = new OpenAI({\n")
	b.WriteString(l.indent + "apiKey: " + l.env(APIKey) + ",\n")
	b.WriteString(l.indent + "baseURL: " + l.text(r.Origin+"/v1") + ",\n});\n\n")
	b.WriteString("const response = await client.responses.create({\n")
	for _, m := range r.Body {
		if m.Name == "max_steps" { // the library's type lacks it, which a spread is not checked for
			b.WriteString(l.indent + "...{ max_steps: ")
			l.write(&b, m.Value, 1)
			b.WriteString(" },\n")
			continue
		}
		l.member(&b, m, 1)
		b.WriteString(",\n")
	}
	b.WriteString("});\n\nconsole.log(response.output_text);\n")
	return b.String()
}
