package batch

// Running is a batch of an organization that wants to run lines.
type Running struct {
	ID          string
	Concurrency int
}

// Share returns how many of an organization's places the batch may have: all get as much as they want if there is room, and else as much
// as the others that want more. What cannot be divided goes to those that come first in the list, which must be the same for all of them,
// so that the shares together are never more than places. A batch that is not in the list gets nothing.
func Share(places int, running []Running, id string) int {
	shares := make([]int, len(running))
	for places > 0 {
		var hungry []int
		for i, r := range running {
			if shares[i] < r.Concurrency {
				hungry = append(hungry, i)
			}
		}
		if len(hungry) == 0 {
			break
		}
		each := max(1, places/len(hungry))
		for _, i := range hungry {
			more := min(each, running[i].Concurrency-shares[i], places)
			shares[i] += more
			places -= more
		}
	}
	for i, r := range running {
		if r.ID == id {
			return shares[i]
		}
	}
	return 0
}
