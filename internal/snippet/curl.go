package snippet

import "strings"

// Curl returns a command for a POSIX shell.
func Curl(r Request) string {
	// The body is one string in single quotes, which are left for the value of a variable.
	body := language{
		indent: "  ",
		text:   func(s string) string { return shellInner(jsonText(s)) },
		env:    func(e Env) string { return `"'"$` + string(e) + `"'"` },
		yes:    "true", no: "false",
	}
	body.name = body.text
	var b strings.Builder
	b.WriteString("curl " + shellText(r.Origin+"/v1/responses") + " \\\n")
	b.WriteString("  -H \"Authorization: Bearer $" + string(APIKey) + "\" \\\n")
	b.WriteString("  -H 'Content-Type: application/json' \\\n")
	b.WriteString("  -d '")
	body.write(&b, r.Body, 0)
	b.WriteString("'\n")
	return b.String()
}
