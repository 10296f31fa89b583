// Package admission decides what a process takes on: how often a key may ask ([Rates]), how many runs it may have under way ([Runs]),
// how much of something there may be at the same time ([Budget]), and whether the service that everything depends on can be used at
// all ([Health]). Nothing here waits for room. What does not fit is refused at once, so that a flood costs little and whoever asks
// can go elsewhere or come again later.
//
// It knows nothing of HTTP, Temporal or Perdure. What it keeps of keys is bounded by the number of keys that the caller knows.
package admission
