package main

import (
	"fmt"
	"strconv"
	"time"
)

// count says how many of something there are.
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return grouped(n) + " " + what + "s"
}

// grouped writes a number with its thousands apart.
func grouped(n int) string {
	text := strconv.Itoa(n)
	for at := len(text) - 3; at > 0 && text[at-1] != '-'; at -= 3 {
		text = text[:at] + "," + text[at:]
	}
	return text
}

// took writes how long something took, as precisely as it matters.
func took(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%.1fs", d.Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", d/time.Minute, d%time.Minute/time.Second)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh%02dm", d/time.Hour, d%time.Hour/time.Minute)
	default:
		return fmt.Sprintf("%dd%02dh", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
	}
}

// about is took for what is not known precisely.
func about(d time.Duration) string {
	if d < time.Minute {
		return fmt.Sprintf("%ds", (d+time.Second-1)/time.Second)
	}
	return took(d)
}

// ago writes when something was, in Unix seconds.
func ago(at int64) string {
	if at == 0 {
		return "-"
	}
	d := time.Since(time.Unix(at, 0))
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds ago", max(0, d/time.Second))
	case d < time.Hour:
		return fmt.Sprintf("%dm ago", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh ago", d/time.Hour)
	default:
		return fmt.Sprintf("%dd ago", d/(24*time.Hour))
	}
}
