package model

import "time"

// SetDrainTime sets how long a finished answer may take to end.
func SetDrainTime(c *Client, d time.Duration) { c.drainTime = d }
